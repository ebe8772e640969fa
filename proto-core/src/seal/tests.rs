//! Sessions against each other, and against ends that break the rules.

mod handshake;
mod hostile;
mod records;

use alloc::vec::Vec;

use super::{SealError, Sealer, Session};
use crate::model::Identity;

fn identity(number: u8) -> Identity {
    Identity::from_secret(&[number; 32])
}

fn sealer(number: u8) -> Sealer {
    Sealer::new(&identity(number))
}

/// All that a session wants to write.
fn output(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.has_output() {
        session.write_to(&mut wire).unwrap();
    }
    wire
}

/// What a session makes of these bytes.
fn feed(session: &mut Session, wire: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut plain = Vec::new();
    session.receive(wire, &mut plain).map(|()| plain)
}

/// Two sessions of nodes 1 and 2, and the flights of their handshake.
fn pair() -> ([Session; 2], [Vec<u8>; 3]) {
    let mut dialed = sealer(1).dial(None).unwrap();
    let mut accepted = sealer(2).accept().unwrap();
    let hello = output(&mut dialed);
    feed(&mut accepted, &hello).unwrap();
    let answer = output(&mut accepted);
    feed(&mut dialed, &answer).unwrap();
    let finished = output(&mut dialed);
    feed(&mut accepted, &finished).unwrap();
    ([dialed, accepted], [hello, answer, finished])
}

/// Seals all of it, record by record.
fn seal_all(session: &mut Session, mut plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    while !plain.is_empty() {
        let count = session.seal(plain);
        assert_ne!(count, 0);
        plain = &plain[count..];
        wire.extend(output(session));
    }
    wire
}
