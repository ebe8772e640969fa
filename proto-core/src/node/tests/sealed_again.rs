//! Addresses that were reached sealed before: who is expected there, and that they are not dialed in clear (SPEC 3.14).

use super::sealed::{dialed, join_of, key, sealing, wrong_keys};
use super::*;
use crate::model::{Expected, Plaintext, Seal};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ANYBODY: Seal = Seal::Sealed { expected: None };

/// The first dial and its seal after so much time in which the node did nothing.
fn dial_after(solo: &mut Solo, time: Duration) -> (crate::model::DialId, Seal) {
    solo.now = solo.now + time;
    solo.next_dial()
}

#[test]
fn an_address_that_was_reached_sealed_is_not_dialed_in_clear_for_thirty_days() {
    let mut solo = sealing(Plaintext::Allow);
    let actions = solo.connect("9.9.9.9:9000");
    solo.reach(dialed(&actions).unwrap().0, 1, 1);
    let expected = Some(Expected::Id(key(1).node_id()));
    // Nobody is expected there after a day, and still the dial is sealed.
    for (days, seal) in [(0, Seal::Sealed { expected }), (2, ANYBODY), (27, ANYBODY)] {
        for reason in [DialError::NotSealed, DialError::TimedOut, DialError::Other] {
            let wait = if reason == DialError::NotSealed { DAY * days } else { Duration::ZERO };
            let (dial, dialed_as) = dial_after(&mut solo, wait);
            assert_eq!(dialed_as, seal, "day {days} more");
            let then = dialed(&solo.input(Input::dial_failed(dial, reason)));
            assert_eq!(then, None, "day {days} more, {reason}");
        }
    }
    let (dial, seal) = dial_after(&mut solo, DAY * 2);
    assert_eq!(seal, ANYBODY);
    let (_, seal) = dialed(&solo.input(Input::dial_failed(dial, DialError::NotSealed))).unwrap();
    assert_eq!(seal, Seal::Clear, "after more than thirty");
}

#[test]
fn whoever_was_found_at_an_address_that_others_told_is_expected_there_as_well() {
    let mut solo = sealing(Plaintext::Allow);
    let teller = ConnId(5);
    solo.input(Input::accepted(teller, "7.7.7.7:50000".parse().unwrap()));
    solo.input(Input::sealing(teller));
    solo.input(Input::sealed(teller, key(5)));
    solo.receive(5, &join_of(5));
    solo.settle(5);
    let told = solo.receive(5, "PEERS|{\"listen_addr\":\"9.9.9.9:9000\"}\n");
    let (dial, seal) = dialed(&told).unwrap_or_else(|| solo.next_dial());
    assert_eq!(seal, ANYBODY);
    solo.reach(dial, 6, 6);
    let (expected, found) = (key(6).node_id(), key(7).node_id());
    for told in [&[(expected, found, false)][..], &[]] {
        let (dial, seal) = solo.next_dial();
        assert_eq!(seal, Seal::Sealed { expected: Some(Expected::Id(expected)) });
        let actions = solo.input(Input::dial_failed(dial, DialError::WrongKey { found }));
        assert_eq!(wrong_keys(&actions), told, "once, and it is no reason to dial in clear");
        assert_eq!(dialed(&actions), None);
    }
}

#[test]
fn what_is_known_of_an_address_holds_for_its_other_spelling() {
    let mut solo = sealing(Plaintext::Allow);
    let actions = solo.connect("9.9.9.9:9000");
    solo.reach(dialed(&actions).unwrap().0, 1, 1);
    // A name that leads there by another spelling is not dialed in clear either.
    let other: SocketAddr = "[::ffff:9.9.9.9]:9000".parse().unwrap();
    let actions = solo.connect("example.org:9000");
    let resolve = actions.iter().find_map(|action| match action {
        Action::Resolve { dial, .. } => Some(*dial),
        _ => None,
    });
    let actions = solo.input(Input::resolved(resolve.unwrap(), [other].into()));
    let dials = |action: &Action| matches!(action, Action::Dial { addr, .. } if *addr != other);
    assert!(actions.iter().any(dials), "{actions:?}");
    let (dial, _) = dialed(&actions).unwrap();
    assert_eq!(dialed(&solo.input(Input::dial_failed(dial, DialError::NotSealed))), None);
    // The user gives no new address by it, and gives the old one up.
    solo.node.command(solo.now, Command::Connect(PeerAddr::Ip(other).into())).unwrap();
    assert_eq!(solo.node.status().targets.len(), 2);
    solo.node.command(solo.now, Command::Disconnect(PeerAddr::Ip(other))).unwrap();
    assert_eq!(solo.node.status().targets.len(), 1);
}
