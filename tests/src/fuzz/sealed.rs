//! Sealed connections, and an end that writes what it likes.

use std::collections::VecDeque;

use proto_core::Identity;
use proto_core::seal::{MAX_HANDSHAKE, MAX_PIECE, MAX_SEALED, OVERHEAD, SealError, Sealer, Session};

use super::script::Script;

/// What a session writes at most without being asked to seal: its answer in a handshake, or an alert and an update of keys.
pub(super) const UNASKED: usize = 2 * 1024;

/// Any bytes from the beginning of an accepted connection, and of a dialed one. The first byte says how they are cut.
///
/// # Panics
/// When a session says more than it should, or takes anything for a proof.
pub fn first_bytes(data: &[u8]) {
    let Some((size, wire)) = data.split_first() else { return };
    let [mallory, node] = [[1; 32], [2; 32]].map(|secret| Sealer::new(&Identity::from_secret(&secret)));
    for dials in [false, true] {
        let session = if dials { mallory.dial(None) } else { node.accept() };
        let mut session = session.expect("randomness");
        let hello = output(&mut session);
        assert_eq!(hello.is_empty(), !dials, "who dials speaks first");
        let (mut plain, mut taken, mut result) = (Vec::new(), 0, Ok(()));
        for piece in wire.chunks(usize::from(*size).max(1)) {
            result = session.receive(piece, &mut plain);
            if result.is_err() {
                break;
            }
            taken += piece.len();
        }
        assert!(taken <= MAX_HANDSHAKE || session.peer().is_some(), "an endless handshake");
        assert!(output(&mut session).len() <= UNASKED);
        assert_eq!((session.peer(), plain.as_slice()), (None, &[][..]), "no bytes prove a key");
        assert_eq!(session.seal(b"JOIN|{}\n"), 0, "a word before the handshake is complete");
        assert!(session.end_of_stream().is_err());
        if let Err(error) = result {
            assert_eq!(session.receive(b"more", &mut plain), Err(error), "an error is for good");
        }
    }
}

/// A real handshake, then a script: one letter and its operands after the other, see `Pair::step`. How many records were
/// opened.
///
/// # Panics
/// When something comes out that was not put in, or anything grows.
pub fn sealed(data: &[u8]) -> u64 {
    let mut pair = Pair::new();
    let mut script = Script::new(data);
    while let Some(letter) = script.byte() {
        pair.step(letter, &mut script);
    }
    pair.opened
}

/// Two sessions whose handshake is complete, and the wire from the one to the other.
struct Pair {
    from: Session,
    to: Session,
    /// What was sealed at once and has not been carried over, each with its content.
    wire: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// The wire was changed, so that what comes next is refused.
    foul: bool,
    failed: Option<SealError>,
    opened: u64,
}

impl Pair {
    fn new() -> Self {
        let [one, other] = [[1; 32], [2; 32]].map(|secret| Identity::from_secret(&secret));
        let mut from = Sealer::new(&one).dial(None).expect("randomness");
        let mut to = Sealer::new(&other).accept().expect("randomness");
        let mut plain = Vec::new();
        to.receive(&output(&mut from), &mut plain).expect("a handshake");
        from.receive(&output(&mut to), &mut plain).expect("a handshake");
        to.receive(&output(&mut from), &mut plain).expect("a handshake");
        assert_eq!((from.peer(), to.peer()), (Some(other.key()), Some(one.key())));
        Self { from, to, wire: VecDeque::new(), foul: false, failed: None, opened: 0 }
    }

    fn step(&mut self, letter: u8, script: &mut Script<'_>) {
        match letter {
            // s<text>\n: it is sealed
            b's' => self.seal(script.line()),
            // S<n>: five thousand times n bytes are sealed
            b'S' => self.seal(&vec![b'x'; script.digit() * 5_000 + 1]),
            // c<n>: what waits is carried over, n bytes at a time, or all at once
            b'c' => self.carry(script.digit()),
            // f<n><n>: a bit of the next record flips
            b'f' => self.change(|record, at| record[at] ^= 1, script),
            // t<n><n>: the next record ends there
            b't' => self.change(cut, script),
            // d: the next record is lost
            b'd' => self.foul |= self.wire.pop_front().is_some() || self.foul,
            // 2: the next record comes twice
            b'2' => {
                if let Some((record, _)) = self.wire.front().cloned() {
                    self.carry_record(0);
                    self.foul = true;
                    self.wire.push_front((record, Vec::new()));
                }
            }
            // r<bytes>\n: any bytes in between
            b'r' => {
                let bytes = script.line().to_vec();
                if !bytes.is_empty() {
                    self.foul = true;
                    self.wire.push_front((bytes, Vec::new()));
                }
            }
            // e: the end is announced
            b'e' => {
                self.from.close();
                let end = output(&mut self.from);
                if !end.is_empty() {
                    self.wire.push_back((end, Vec::new()));
                }
            }
            _ => {}
        }
    }

    fn seal(&mut self, text: &[u8]) {
        let count = self.from.seal(text);
        assert!(count <= text.len().min(MAX_SEALED));
        let records = output(&mut self.from);
        assert_eq!(records.len(), count + count.div_ceil(MAX_PIECE) * OVERHEAD);
        if count > 0 {
            self.wire.push_back((records, text[..count].to_vec()));
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>, usize), script: &mut Script<'_>) {
        let at = script.digit() * 16 + script.digit();
        if let Some((record, content)) = self.wire.front_mut() {
            // The type and the version in the header are the same in all sealed records. rustls opens the content whatever is
            // there, and authenticates what should be there.
            let at = (at % record.len()).max(3);
            change(record, at);
            content.clear();
            self.foul = true;
        }
    }

    fn carry(&mut self, size: usize) {
        while !self.wire.is_empty() {
            self.carry_record(size);
        }
    }

    fn carry_record(&mut self, size: usize) {
        let Some((record, content)) = self.wire.pop_front() else { return };
        let size = if size == 0 { record.len() } else { size };
        let mut plain = Vec::new();
        for piece in record.chunks(size.max(1)) {
            let result = self.to.receive(piece, &mut plain);
            if let Some(error) = self.failed {
                assert_eq!(result, Err(error), "an error is for good");
            }
            self.failed = result.err();
        }
        if self.foul || self.to.is_over() {
            // What was changed may be all of what comes out of it: nothing.
            assert!(plain.is_empty(), "what nobody sealed was opened");
        } else {
            self.opened += content.len().div_ceil(MAX_PIECE) as u64;
            assert_eq!((self.failed, plain), (None, content), "what was sealed came out otherwise");
        }
        assert!(output(&mut self.to).len() <= UNASKED);
    }
}

/// Ends a record early. The next record begins with 0x17: if that is the first byte that is cut, it could be the last one, too,
/// and what was sealed would be complete again.
fn cut(record: &mut Vec<u8>, at: usize) {
    record.truncate(at - usize::from(record.get(at) == Some(&0x17)));
}

pub(super) fn output(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.has_output() {
        session.write_to(&mut wire).expect("a vector takes all");
    }
    wire
}
