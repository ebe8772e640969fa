//! What is said after the handshake.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use std::io::{self, IoSlice, Write};

use proptest::prelude::*;
use rustls::{Connection, ServerConnection};

use super::{feed, identity, output, pair, seal_all, sealer};
use crate::seal::{MAX_IDLE_INPUT, MAX_PIECE, MAX_SEALED, OVERHEAD, SealError, Session, config};

#[test]
fn a_record_holds_a_piece_and_its_overhead() {
    let ([mut dialed, mut accepted], _) = pair();
    for len in [1, 200, MAX_PIECE] {
        assert_eq!(dialed.seal(&alloc::vec![7; len]), len);
        let wire = output(&mut dialed);
        assert_eq!(wire.len(), len + OVERHEAD);
        assert_eq!(feed(&mut accepted, &wire), Ok(alloc::vec![7; len]));
    }
}

/// A socket that takes so much at once.
struct Taking {
    most: usize,
    taken: Vec<u8>,
    writes: usize,
}

impl Write for Taking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(self.most).collect();
        self.taken.extend(&bytes);
        self.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_frame_of_the_largest_size_is_sealed_and_written_at_once() {
    let frame: Vec<u8> = (0..MAX_SEALED).map(|number| (number * 7 / 5) as u8).collect();
    for most in [usize::MAX, MAX_PIECE + 100] {
        let ([mut dialed, mut accepted], _) = pair();
        assert_eq!(dialed.seal(&frame), MAX_SEALED);
        let mut socket = Taking { most, taken: Vec::new(), writes: 0 };
        while dialed.has_output() {
            dialed.write_to(&mut socket).unwrap();
        }
        assert_eq!(socket.taken.len(), MAX_SEALED + MAX_SEALED / MAX_PIECE * OVERHEAD);
        assert_eq!(socket.writes, socket.taken.len().div_ceil(most));
        assert!(feed(&mut accepted, &socket.taken).unwrap() == frame);
    }
}

#[test]
fn no_more_is_sealed_than_fits_and_while_some_of_it_waits() {
    let ([mut dialed, _], _) = pair();
    assert_eq!(dialed.seal(&alloc::vec![7; MAX_SEALED + 1]), MAX_SEALED);
    assert_eq!(dialed.seal(&[7; 100]), 0);
    output(&mut dialed);
    let ([mut dialed, _], _) = pair();
    assert_eq!(dialed.seal(&[7; 100]), 100);
    assert_eq!(dialed.seal(&[7; 100]), 0);
    let mut taken = [0; 60];
    assert_eq!(dialed.write_to(&mut &mut taken[..]).unwrap(), 60);
    assert_eq!(dialed.seal(&[7; 100]), 0);
    assert_eq!(output(&mut dialed).len(), 100 + OVERHEAD - 60);
    assert_eq!(dialed.seal(&[7; 100]), 100);
}

#[test]
fn megabytes_pass_both_ways() {
    let ([mut dialed, mut accepted], _) = pair();
    let said: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 / 5) as u8).collect();
    let wire = seal_all(&mut dialed, &said);
    assert!(feed(&mut accepted, &wire).unwrap() == said);
    let wire = seal_all(&mut accepted, &said);
    assert!(feed(&mut dialed, &wire).unwrap() == said);
}

#[test]
fn the_end_is_announced_or_it_is_a_truncation() {
    let ([mut dialed, mut accepted], _) = pair();
    let said = seal_all(&mut dialed, b"MSG|bye\n");
    assert_eq!(feed(&mut accepted, &said), Ok(b"MSG|bye\n".to_vec()));
    assert_eq!(accepted.end_of_stream(), Err(SealError::Truncated));
    dialed.close();
    dialed.close();
    assert_eq!(dialed.seal(b"more"), 0);
    let end = output(&mut dialed);
    assert_eq!(end.len(), 24);
    let behind = [&end[..], b"anything"].concat();
    assert_eq!(feed(&mut accepted, &behind), Ok(Vec::new()));
    assert!(accepted.is_over());
    assert_eq!(accepted.end_of_stream(), Ok(()));
    // The other direction is still open.
    let said = seal_all(&mut accepted, b"BYE|full|\n");
    assert_eq!(feed(&mut dialed, &said), Ok(b"BYE|full|\n".to_vec()));
}

#[test]
fn what_came_before_an_error_counts() {
    let ([mut dialed, mut accepted], _) = pair();
    let good = seal_all(&mut dialed, b"MSG|good\n");
    let mut bad = seal_all(&mut dialed, b"MSG|bad\n");
    *bad.last_mut().unwrap() ^= 1;
    let mut plain = Vec::new();
    assert_eq!(accepted.receive(&[good, bad].concat(), &mut plain), Err(SealError::Broken));
    assert_eq!(plain, b"MSG|good\n");
    assert_eq!(accepted.end_of_stream(), Err(SealError::Broken));
    assert_eq!(accepted.seal(b"MSG|more\n"), 0);
    assert_eq!(output(&mut accepted).len(), 24);
}

#[test]
fn a_record_that_comes_twice_or_out_of_order_is_refused() {
    let ([mut dialed, mut accepted], _) = pair();
    let one = seal_all(&mut dialed, b"MSG|one\n");
    feed(&mut accepted, &one).unwrap();
    assert_eq!(feed(&mut accepted, &one), Err(SealError::Broken));
    let ([mut dialed, mut accepted], _) = pair();
    seal_all(&mut dialed, b"MSG|one\n");
    let two = seal_all(&mut dialed, b"MSG|two\n");
    assert_eq!(feed(&mut accepted, &two), Err(SealError::Broken));
}

/// The TLS of a session, to do with it what this protocol never does.
fn tls(session: &mut Session) -> &mut Connection {
    &mut session.tls
}

#[test]
fn new_keys_are_taken_and_answered_and_a_flood_of_them_is_refused() {
    let ([mut dialed, mut accepted], _) = pair();
    tls(&mut dialed).refresh_traffic_keys().unwrap();
    let wire = output(&mut dialed);
    feed(&mut accepted, &wire).unwrap();
    let said = seal_all(&mut accepted, b"PING|1\n");
    assert_eq!(feed(&mut dialed, &said), Ok(b"PING|1\n".to_vec()));
    let flood = iter::repeat_with(|| {
        tls(&mut dialed).refresh_traffic_keys().unwrap();
        output(&mut dialed)
    });
    let results: Vec<_> = flood.take(100).map(|wire| feed(&mut accepted, &wire)).collect();
    assert_eq!(results.iter().position(Result::is_err), Some(31));
    // There is one answer to all of them, beside the alert.
    assert!(output(&mut accepted).len() <= 100);
}

#[test]
fn new_keys_between_bytes_of_content_are_bounded_too() {
    let ([mut dialed, mut accepted], _) = pair();
    let mut wire = 0;
    let refused = (0..10_000).any(|_| {
        let mut bytes = Vec::new();
        for _ in 0..30 {
            tls(&mut dialed).refresh_traffic_keys().unwrap();
            bytes.extend(output(&mut dialed));
        }
        bytes.extend(seal_all(&mut dialed, b"\n"));
        wire += bytes.len();
        feed(&mut accepted, &bytes) == Err(SealError::Wasteful)
    });
    assert!(refused && wire < MAX_IDLE_INPUT + MAX_IDLE_INPUT / 16, "{wire} bytes");
}

#[test]
fn tickets_are_bounded() {
    let mut config = config::server(&identity(2), &config::provider());
    config.send_tls13_tickets = 1_000;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let mut dialed = sealer(1).dial(None).unwrap();
    let mut wire = Vec::new();
    let mut result = Ok(Vec::new());
    for _ in 0..2 {
        let mut bytes = &output(&mut dialed)[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        result = feed(&mut dialed, &wire);
    }
    assert!(wire.len() > MAX_IDLE_INPUT);
    assert_eq!(result, Err(SealError::Wasteful));
}

#[test]
fn single_bytes_are_no_waste() {
    let ([mut dialed, mut accepted], _) = pair();
    for _ in 0..10_000 {
        let wire = seal_all(&mut dialed, b"\n");
        assert_eq!(feed(&mut accepted, &wire), Ok(b"\n".to_vec()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn streams_may_be_cut_anywhere(
        frames in proptest::collection::vec(1_usize..40_000, 1..6), cuts in proptest::collection::vec(1_usize..6_000, 1..50),
    ) {
        let mut ends = [sealer(1).dial(None).unwrap(), sealer(2).accept().unwrap()];
        let mut cuts = cuts.into_iter().cycle();
        let mut heard = Vec::new();
        let mut carry = |ends: &mut [Session; 2], from: usize| {
            let wire = output(&mut ends[from]);
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                ends[1 - from].receive(piece, &mut heard).unwrap();
                rest = behind;
            }
        };
        for from in [0, 1, 0] {
            carry(&mut ends, from);
        }
        let mut said = Vec::new();
        for (number, len) in frames.into_iter().enumerate() {
            let frame: Vec<u8> = (0..len).map(|at| (at * 31 + number) as u8).collect();
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let count = ends[0].seal(rest);
                rest = &rest[count..];
                carry(&mut ends, 0);
            }
            said.extend(frame);
        }
        prop_assert!(heard == said);
    }
}
