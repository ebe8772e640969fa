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
    /// What was written at once and has not been carried over.
    wire: VecDeque<Vec<u8>>,
    written: Written,
    failed: Option<SealError>,
    opened: u64,
}

/// What one end wrote, compared with what reaches the other. A script may undo its own change: what arrives counts.
#[derive(Default)]
struct Written {
    /// What has not arrived yet.
    bytes: VecDeque<u8>,
    /// The records in it: how much of each is missing, and its content.
    records: VecDeque<(usize, Vec<u8>)>,
    /// Other bytes arrived: what comes next is refused.
    foul: bool,
}

impl Written {
    fn write(&mut self, record: &[u8], content: &[u8]) {
        self.bytes.extend(record);
        self.records.push_back((record.len(), content.to_vec()));
    }

    /// These bytes arrive. The contents of the records that are complete with them.
    fn arrive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut complete = Vec::new();
        for byte in bytes {
            self.foul |= self.bytes.pop_front() != Some(*byte);
            if self.foul {
                break;
            }
            let Some((missing, _)) = self.records.front_mut() else { break };
            *missing -= 1;
            if *missing == 0 {
                complete.extend(self.records.pop_front().map(|(_, content)| content));
            }
        }
        complete
    }
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
        Self { from, to, wire: VecDeque::new(), written: Written::default(), failed: None, opened: 0 }
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
            b'd' => drop(self.wire.pop_front()),
            // 2: the next record comes twice
            b'2' => {
                if let Some(record) = self.wire.front().cloned() {
                    self.wire.push_front(record);
                    self.carry_record(0);
                }
            }
            // r<bytes>\n: any bytes in between
            b'r' => {
                let bytes = script.line().to_vec();
                if !bytes.is_empty() {
                    self.wire.push_front(bytes);
                }
            }
            // e: the end is announced
            b'e' => {
                self.from.close();
                let end = output(&mut self.from);
                if !end.is_empty() {
                    self.written.write(&end, b"");
                    self.wire.push_back(end);
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
            for (record, content) in records.chunks(MAX_PIECE + OVERHEAD).zip(text[..count].chunks(MAX_PIECE))
            {
                self.written.write(record, content);
            }
            self.wire.push_back(records);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>, usize), script: &mut Script<'_>) {
        let at = script.digit() * 16 + script.digit();
        if let Some(record) = self.wire.front_mut().filter(|record| record.len() > 3) {
            // The type and the version in the header are the same in all sealed records. rustls opens the content whatever is
            // there, and authenticates what should be there.
            let at = (at % record.len()).max(3);
            change(record, at);
        }
    }

    fn carry(&mut self, size: usize) {
        while !self.wire.is_empty() {
            self.carry_record(size);
        }
    }

    fn carry_record(&mut self, size: usize) {
        let Some(record) = self.wire.pop_front() else { return };
        let size = if size == 0 { record.len() } else { size };
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for piece in record.chunks(size.max(1)) {
            let over = self.to.is_over();
            let result = self.to.receive(piece, &mut plain);
            if let Some(error) = self.failed {
                assert_eq!(result, Err(error), "an error is for good");
            }
            self.failed = result.err();
            let complete = self.written.arrive(piece);
            if !over {
                self.opened += complete.iter().filter(|content| !content.is_empty()).count() as u64;
                sealed.extend(complete.concat());
            }
        }
        assert_eq!(plain, sealed, "what was sealed came out otherwise");
        assert!(self.written.foul || self.failed.is_none(), "nothing was changed, and it is refused");
        assert!(output(&mut self.to).len() <= UNASKED);
    }
}

/// Ends a record early.
fn cut(record: &mut Vec<u8>, at: usize) {
    record.truncate(at);
}

pub(super) fn output(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.has_output() {
        session.write_to(&mut wire).expect("a vector takes all");
    }
    wire
}
