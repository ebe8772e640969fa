//! A handshake, and somebody on its way who changes what passes.

use proto_core::Identity;
use proto_core::seal::{SealError, Sealer, Session};

use super::script::Script;
use super::sealed::{UNASKED, output};

/// Who is to have read what: the dialer's hello, the listener's answer, the dialer's proof.
const FLIGHTS: usize = 3;

/// How a handshake ended at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shaken {
    /// At the dialer.
    pub dialer: End,
    /// At the listener.
    pub listener: End,
}

/// How a handshake ended at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The key of the other end is proven.
    Complete,
    /// It waits for more.
    Waits,
    /// It failed.
    Failed(SealError),
}

/// Three lines of a script say what becomes of the three flights, one letter and its operands after the other, see `change`.
/// How the handshake ended.
///
/// # Panics
/// When an end takes a changed flight for a proof, or fails though nothing was changed.
pub fn handshake(data: &[u8]) -> Shaken {
    let mut script = Script::new(data);
    let [one, other] = [[1; 32], [2; 32]].map(|secret| Identity::from_secret(&secret));
    let mut ends = [dial(&one), accept(&other)];
    let mut strangers = [dial(&Identity::from_secret(&[3; 32])), accept(&other)];
    let (mut intact, mut whole) = (true, true);
    for flight in 0..FLIGHTS {
        let [from, to] = [flight % 2, 1 - flight % 2];
        let said = output(&mut ends[from]);
        let old = output(&mut strangers[from]);
        pass(&mut strangers[to], &old, 0);
        let (came, piece) = changed(&said, &old, script.line());
        (intact, whole) = (intact && means(&came).starts_with(&means(&said)), whole && came == said);
        pass(&mut ends[to], &came, piece);
        let proves = flight > 0 && ends[to].peer().is_some();
        let shown = || data.escape_ascii();
        assert!(intact || !proves, "flight {flight} was changed, and proves a key: {}", shown());
        assert!(
            !whole || flight == 0 || proves,
            "flight {flight} was not changed, and proves none: {}",
            shown()
        );
    }
    let shows = ends[0].peer().is_some() || ends[1].peer().is_none();
    assert!(shows, "the dialer shows its key and has not taken the listener's: {}", data.escape_ascii());
    let keys = [other.key(), one.key()];
    for (end, key) in ends.iter_mut().zip(keys) {
        assert!(end.peer().is_none_or(|proven| proven == key), "another key is proven");
        assert!(output(end).len() <= UNASKED);
    }
    let [dialer, listener] = ends.each_mut().map(end);
    Shaken { dialer, listener }
}

fn dial(identity: &Identity) -> Session {
    Sealer::new(identity).dial(None).expect("randomness")
}

fn accept(identity: &Identity) -> Session {
    Sealer::new(identity).accept().expect("randomness")
}

/// Brings these bytes to an end, in pieces of this size, or all at once. Nothing in them is a word.
fn pass(to: &mut Session, bytes: &[u8], piece: usize) {
    let (mut plain, mut failed) = (Vec::new(), None);
    let size = if piece == 0 { bytes.len().max(1) } else { piece };
    for piece in bytes.chunks(size) {
        let result = to.receive(piece, &mut plain);
        assert!(failed.is_none() || result.err() == failed, "an error is for good");
        failed = result.err();
    }
    assert!(plain.is_empty(), "a handshake says nothing");
}

fn end(session: &mut Session) -> End {
    // Whoever failed says so again.
    match (session.receive(b"\x17", &mut Vec::new()), session.peer()) {
        (Err(error), None) => End::Failed(error),
        (_, Some(_)) => End::Complete,
        (Ok(()), None) => End::Waits,
    }
}

/// What becomes of a flight, and in pieces of what size it goes on.
fn changed(said: &[u8], old: &[u8], line: &[u8]) -> (Vec<u8>, usize) {
    let (mut came, mut piece, mut script) = (said.to_vec(), 0, Script::new(line));
    while let Some(letter) = script.byte() {
        match letter {
            // c<n>: it is cut into pieces of n bytes
            b'c' => piece = script.digit(),
            // o: another one's, of the same place
            b'o' => came = old.to_vec(),
            // 2: it comes twice
            b'2' => came.extend_from_within(..),
            // d: it is lost
            b'd' => came.clear(),
            letter => change(letter, &mut came, &mut script),
        }
        came.truncate(4 * 1024);
    }
    (came, piece)
}

fn change(letter: u8, came: &mut Vec<u8>, script: &mut Script<'_>) {
    let at = (0..3).fold(0, |at, _| at * 16 + script.digit());
    let at = at % came.len().max(1);
    match (letter, came.get_mut(at)) {
        // f<n><n><n><n>: a bit flips
        (b'f', Some(byte)) => *byte ^= 1 << (script.digit() % 8),
        // b<n><n><n><byte>: a byte is another one
        (b'b', Some(byte)) => *byte = script.byte().unwrap_or_default(),
        // i<n><n><n><byte>: a byte is put in
        (b'i', _) => came.insert(at, script.byte().unwrap_or_default()),
        // t<n><n><n>: it ends there
        (b't', _) => came.truncate(at),
        // l<n><n><n>: what is before that is lost
        (b'l', _) => drop(came.drain(..at)),
        _ => {}
    }
}

/// What records mean. TLS has no regard for the version in their headers. What kind they are it takes from what is in them
/// where they are sealed. It passes over `ChangeCipherSpec`, which old routers want to see (RFC 8446, appendix D.4).
fn means(mut wire: &[u8]) -> Vec<u8> {
    /// The length, and what is in it.
    const CHANGE_CIPHER_SPEC: [u8; 3] = [0, 1, 1];
    let mut meant = Vec::new();
    while let [_, _, _, high, low, ..] = wire {
        let len = (5 + usize::from(*high) * 256 + usize::from(*low)).min(wire.len());
        let (record, rest) = wire.split_at(len);
        if record[3..] != CHANGE_CIPHER_SPEC {
            meant.extend(&record[3..]);
        }
        wire = rest;
    }
    // The header of a record may be cut.
    meant.extend(wire.get(3..).unwrap_or_default());
    meant
}
