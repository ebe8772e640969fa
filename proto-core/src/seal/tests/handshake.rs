//! Keys are proven both ways, and nothing is said before.

use alloc::vec::Vec;

use super::{feed, identity, output, pair, sealer};
use crate::model::Expected;
use crate::seal::{MAX_HANDSHAKE, SealError, Session};

#[test]
fn both_ends_learn_the_key_of_the_other() {
    let ([dialed, accepted], _) = pair();
    assert_eq!(dialed.peer(), Some(identity(2).key()));
    assert_eq!(accepted.peer(), Some(identity(1).key()));
}

#[test]
fn the_lengths_are_the_same_each_time_and_no_ticket_follows() {
    for _ in 0..20 {
        let ([mut dialed, mut accepted], flights) = pair();
        assert_eq!(flights.map(|flight| flight.len()), [1_414, 1_476, 209]);
        assert!(!dialed.has_output() && !accepted.has_output());
        assert!(output(&mut accepted).is_empty());
        assert!(output(&mut dialed).is_empty());
    }
}

#[test]
fn the_first_flight_names_nobody() {
    let (_, [hello, ..]) = pair();
    assert!(!hello.windows(32).any(|bytes| bytes == identity(1).key().as_bytes()));
    assert!(hello.windows(16).any(|bytes| bytes == b"p2p-chat.invalid"));
}

#[test]
fn neither_key_is_in_clear() {
    let (_, flights) = pair();
    let wire = flights.concat();
    for key in [identity(1).key(), identity(2).key()] {
        assert!(!wire.windows(32).any(|bytes| bytes == key.as_bytes()));
    }
}

/// What becomes of a dial to node 2 that expects another: the error, and what was said after the answer.
fn dial_expecting(expected: Expected) -> (Result<Vec<u8>, SealError>, Vec<u8>, Session) {
    let mut dialed = sealer(1).dial(Some(expected)).unwrap();
    let mut accepted = sealer(2).accept().unwrap();
    feed(&mut accepted, &output(&mut dialed)).unwrap();
    let result = feed(&mut dialed, &output(&mut accepted));
    let said = output(&mut dialed);
    (result, said, dialed)
}

#[test]
fn the_expected_key_or_id_is_accepted() {
    for expected in [Expected::Key(identity(2).key()), Expected::Id(identity(2).node_id())] {
        let (result, said, dialed) = dial_expecting(expected);
        assert_eq!((result, said.len()), (Ok(Vec::new()), 209));
        assert_eq!(dialed.peer(), Some(identity(2).key()));
    }
}

#[test]
fn another_key_than_the_expected_one_learns_nothing() {
    for expected in [Expected::Key(identity(3).key()), Expected::Id(identity(3).node_id())] {
        let (result, said, mut dialed) = dial_expecting(expected);
        assert_eq!(result, Err(SealError::WrongKey { shown: identity(2).key() }));
        // An alert, sealed with the keys of the handshake. The key and the signature of this node take 200 bytes.
        assert!(said.len() <= 30, "{} bytes", said.len());
        assert_eq!(dialed.peer(), None);
        assert_eq!(dialed.seal(b"JOIN|{}\n"), 0);
        assert_eq!(feed(&mut dialed, b"more"), Err(SealError::WrongKey { shown: identity(2).key() }));
    }
}

#[test]
fn a_session_says_nothing_before_its_handshake_is_complete() {
    let mut dialed = sealer(1).dial(None).unwrap();
    output(&mut dialed);
    assert_eq!(dialed.seal(b"JOIN|{}\n"), 0);
    let mut accepted = sealer(2).accept().unwrap();
    assert_eq!(accepted.seal(b"JOIN|{}\n"), 0);
    assert!(!accepted.has_output());
}

#[test]
fn a_handshake_that_is_cut_is_incomplete_wherever_it_is() {
    let (_, [hello, ..]) = pair();
    for cut in 0..hello.len() {
        let mut accepted = sealer(2).accept().unwrap();
        assert_eq!(feed(&mut accepted, &hello[..cut]), Ok(Vec::new()), "{cut}");
        assert!(!accepted.has_output(), "{cut}");
        assert_eq!(accepted.end_of_stream(), Err(SealError::Truncated), "{cut}");
    }
    let mut dialed = sealer(1).dial(None).unwrap();
    let mut accepted = sealer(2).accept().unwrap();
    feed(&mut accepted, &output(&mut dialed)).unwrap();
    let answer = output(&mut accepted);
    let (last, rest) = answer.split_last().unwrap();
    for byte in rest {
        feed(&mut dialed, &[*byte]).unwrap();
        // What a middlebox expects to see, and nothing else (RFC 8446 appendix D.4).
        let said = output(&mut dialed);
        assert!(dialed.peer().is_none() && (said.is_empty() || said == [0x14, 3, 3, 0, 1, 1]), "{said:?}");
        assert_eq!(dialed.end_of_stream(), Err(SealError::Truncated));
    }
    feed(&mut dialed, &[*last]).unwrap();
    let finished = output(&mut dialed);
    let (last, rest) = finished.split_last().unwrap();
    for byte in rest {
        feed(&mut accepted, &[*byte]).unwrap();
        assert!(accepted.peer().is_none());
        assert_eq!(accepted.end_of_stream(), Err(SealError::Truncated));
    }
    feed(&mut accepted, &[*last]).unwrap();
    assert_eq!(accepted.peer(), Some(identity(1).key()));
}

#[test]
fn a_changed_byte_of_an_answer_ends_the_dial() {
    // A version in the header of a record is not looked at (RFC 8446 section 5.1).
    let is_version = |wire: &[u8], at: usize| {
        let mut start = 0;
        while start + 2 < at {
            start += 5 + usize::from(wire[start + 3]) * 256 + usize::from(wire[start + 4]);
        }
        at == start + 1 || at == start + 2
    };
    for at in (0..1_476).step_by(7) {
        let mut dialed = sealer(1).dial(None).unwrap();
        let mut accepted = sealer(2).accept().unwrap();
        feed(&mut accepted, &output(&mut dialed)).unwrap();
        let mut answer = output(&mut accepted);
        if !is_version(&answer, at) {
            answer[at] ^= 1;
            let result = feed(&mut dialed, &answer);
            assert!(dialed.peer().is_none() && output(&mut dialed).len() <= 30, "{at}: {result:?}");
        }
    }
}

#[test]
fn a_recorded_flight_proves_nothing_a_second_time() {
    let (_, [hello, _, finished]) = pair();
    let mut accepted = sealer(2).accept().unwrap();
    assert_eq!(feed(&mut accepted, &hello), Ok(Vec::new()));
    output(&mut accepted);
    assert_eq!(feed(&mut accepted, &finished), Err(SealError::NotOurs));
    assert_eq!(accepted.peer(), None);
}

#[test]
fn a_recorded_answer_proves_nothing_a_second_time() {
    let (_, [_, answer, _]) = pair();
    let mut dialed = sealer(1).dial(None).unwrap();
    output(&mut dialed);
    assert_eq!(feed(&mut dialed, &answer), Err(SealError::NotOurs));
    assert!(output(&mut dialed).len() <= 30);
}

#[test]
fn a_handshake_has_a_largest_size() {
    // A handshake message of 60,000 bytes, in records of 1,000.
    let mut wire = Vec::new();
    for number in 0..60 {
        let start: &[u8] = if number == 0 { &[1, 0, 0xea, 0x60] } else { &[0; 4] };
        wire.extend([0x16, 3, 1, 0x03, 0xe8]);
        wire.extend_from_slice(start);
        wire.extend([0; 996]);
    }
    for session in [sealer(2).accept(), sealer(1).dial(None)] {
        let mut session = session.unwrap();
        output(&mut session);
        let fits = feed(&mut session, &wire[..MAX_HANDSHAKE]);
        if fits.is_ok() {
            assert_eq!(feed(&mut session, &[0]), Err(SealError::TooLong));
        }
        assert_eq!(session.peer(), None);
    }
}
