//! The memory that a sealed connection takes, measured: what waits for its socket, and what is not complete.

use proto_core::Identity;
use proto_core::seal::{MAX_PIECE, MAX_SEALED, OVERHEAD, SealError, Sealer, Session};
use tests::heap::{Counting, in_use};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is at hand for what comes in.
const INPUT: usize = 4 * 1024;
/// The longest record that is waited for, on the wire (SPEC 6).
const RECORD: usize = 18_436;
/// Headers, lists and what an allocation is rounded up to.
const SLACK: usize = 1_024;

fn output(session: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.has_output() {
        session.write_to(&mut wire).expect("a vector takes all");
    }
    wire
}

/// Two sessions whose handshake is complete.
fn pair() -> [Session; 2] {
    let [one, other] = [[1; 32], [2; 32]].map(|secret| Sealer::new(&Identity::from_secret(&secret)));
    let [mut dialed, mut accepted] = [one.dial(None), other.accept()].map(|made| made.expect("randomness"));
    let mut plain = Vec::new();
    while dialed.peer().is_none() || accepted.peer().is_none() {
        accepted.receive(&output(&mut dialed), &mut plain).expect("a handshake");
        dialed.receive(&output(&mut accepted), &mut plain).expect("a handshake");
    }
    [dialed, accepted]
}

/// By how much more is held after this.
fn held(work: impl FnOnce()) -> usize {
    let before = in_use();
    work();
    in_use().saturating_sub(before)
}

/// One test, since no other may allocate meanwhile.
#[test]
fn a_session_holds_what_it_may_and_no_more() {
    let [mut dialed, mut accepted] = pair();
    let words = vec![7; 2 * MAX_SEALED];
    let records = MAX_SEALED + MAX_SEALED / MAX_PIECE * OVERHEAD;
    let waits = held(|| assert_eq!((dialed.seal(&words), dialed.seal(&words)), (MAX_SEALED, 0)));
    assert!((records..records + SLACK).contains(&waits), "{waits} bytes wait for the socket");

    // The header of the longest record, and all of it but the last byte.
    let mut record = vec![23, 3, 3];
    record.extend(u16::try_from(RECORD - 5).expect("a length").to_be_bytes());
    record.resize(RECORD - 1, 0);
    let mut plain = Vec::new();
    let waits =
        held(|| record.chunks(100).for_each(|piece| accepted.receive(piece, &mut plain).expect("a part")));
    // The buffer doubles while it grows.
    assert!((RECORD - INPUT..=32 * 1024).contains(&waits), "{waits} bytes of a record wait");
    assert_eq!(accepted.receive(&[0], &mut plain), Err(SealError::Broken));

    // One that is longer still is refused by its header.
    let [_, mut accepted] = pair();
    record[3..5].copy_from_slice(&u16::try_from(RECORD - 4).expect("a length").to_be_bytes());
    let refused = held(|| assert_eq!(accepted.receive(&record, &mut plain), Err(SealError::Broken)));
    assert!(refused < RECORD + INPUT && plain.is_empty(), "{refused} bytes");
}
