//! Connection slots: who may take them, and that no more are taken than there are.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::admission::{SECOND, addr, identity, peers, turned_away};
use super::{Solo, join_keyed, set_degrees, solo, solo_of_degrees, solo_with};
use crate::contract::{Action, Command, Input};
use crate::model::{Census, ConnId, ConnLimits, DialError, Limits, MeshLimits};

/// The id of a peer without a key.
fn keyless(n: u64) -> String {
    format!("00000000-0000-4000-8000-000000000{n:03}")
}

/// The `JOIN` of the version 1 peer that listens at `addr(n)`.
fn join_v1(n: u64) -> String {
    format!("JOIN|{{\"node_id\":\"{}\",\"uname\":\"p\",\"listen_addr\":\"{}\"}}\n", keyless(n), addr(n))
}

/// `PEERS` with the addresses of peers without a key.
fn keyless_peers(numbers: impl Iterator<Item = u64>) -> String {
    let record = |n| format!(r#"{{"node_id":"{}","listen_addr":"{}"}}"#, keyless(n), addr(n));
    format!("PEERS|{}\n", numbers.map(record).collect::<Vec<_>>().join(";"))
}

fn over_bound(solo: &Solo) -> Option<String> {
    let limits = solo.node.config().limits();
    let over = solo.node.capacities().find(|(capacity, holds)| *holds > capacity.bound(limits));
    over.map(|(capacity, holds)| format!("{capacity:?} holds {holds}, above {}", capacity.bound(limits)))
}

/// A node with few connection slots, some of them reserved for own dials.
fn few_slots(slots: usize, reserved: usize) -> Solo {
    solo_with(|limits| {
        set_degrees(limits, [1, 1, 1, 1]);
        (limits.conns.slots, limits.conns.slots_reserved, limits.conns.pending) = (slots, reserved, 1);
        (limits.mesh.targets, limits.mesh.dials) = (1, 1);
    })
}

#[test]
fn inbound_peers_without_a_key_leave_slots_for_own_dials_and_for_peers_with_a_key() {
    let Limits {
        conns: ConnLimits { slots, slots_reserved, .. }, mesh: MeshLimits { degree_high, .. }, ..
    } = Limits::default();
    let most = (slots - degree_high - 1 - slots_reserved) as u64;
    let mut solo = solo();
    for n in 100..100 + most + 5 {
        solo.peer(n, &keyless(n), None);
    }
    assert_eq!(solo.node.peers().count() as u64, most);
    let mut actions = solo.receive(100, &keyless_peers(1..=20));
    for n in 1..=slots_reserved as u64 {
        let dial = loop {
            let next = (1..=20).find_map(|to| Some((solo.dial_to(&actions, to)?, to)));
            match next {
                Some((dial, to)) => {
                    let found = actions
                        .iter()
                        .position(|action| matches!(action, Action::Dial { dial: of, .. } if *of == dial));
                    actions.drain(..=found.unwrap());
                    break (dial, to);
                }
                None => actions.extend(solo.pass(SECOND).into_iter().map(|(_, action)| action)),
            }
        };
        solo.input(Input::connected(dial.0, ConnId(n)));
        actions.extend(solo.receive(n, &join_v1(dial.1)));
    }
    assert_eq!(solo.node.peers().count(), slots - degree_high - 1);
    assert!(
        !solo.node.mesh.has_room_for_keyless(&solo.node.cx, &solo.node.conns),
        "no slot is left for peers without a key"
    );
    for n in 50..50 + degree_high as u64 {
        assert!(!turned_away(&solo.dial_in(n, 3)), "{n}");
    }
    assert_eq!(over_bound(&solo), None);
}

#[test]
fn addresses_of_peers_without_a_key_do_not_starve_dials_to_peers_with_one() {
    let mut solo = solo_of_degrees([2, 3, 5, 2]);
    for n in 101..=103 {
        solo.dial_in(n, 9);
    }
    let mut actions = solo.receive(101, &keyless_peers(1..=60));
    actions.extend(solo.live(SECOND));
    let begun: Vec<_> = (1..=60).filter_map(|n| solo.dial_to(&actions, n)).collect();
    assert_eq!(begun.len(), solo.node.config().limits().mesh.dials);
    // Nobody answers at any of them. One dial after the other fails, and the next one begins.
    for dial in begun.into_iter().skip(1) {
        solo.input(Input::dial_failed(dial, DialError::Other));
        solo.live(SECOND);
    }
    let mut dialed = false;
    let mut actions = solo.receive(102, &peers(80..=80));
    for _ in 0..60 {
        dialed |= solo.dial_to(&actions, 80).is_some();
        actions = solo.live(SECOND);
    }
    assert!(dialed);
}

#[test]
fn unproven_keys_starve_neither_dials_nor_admission() {
    let mut solo = solo_of_degrees([2, 3, 5, 2]);
    solo.peer(200, &keyless(200), None);
    let mut actions = solo.receive(200, &keyless_peers(1..=60));
    let (mut dialed, mut most) = (false, 0);
    for round in 0..25 {
        for n in 1..=60 {
            if let Some(dial) = solo.dial_to(&actions, n) {
                solo.input(Input::connected(dial, ConnId(n)));
                solo.introduce(n, 3);
            }
        }
        actions = if round == 10 { solo.receive(200, &peers(80..=80)) } else { Vec::new() };
        actions.extend(solo.pass(SECOND).into_iter().map(|(_, action)| action));
        dialed |= solo.dial_to(&actions, 80).is_some();
        most = most.max(solo.node.conns.links().filter(|link| link.greeting).count());
        solo.settle(200);
        if round == 9 {
            assert!(!turned_away(&solo.dial_in(70, 0)), "{most} handshakes");
        }
    }
    assert!(dialed && most >= 5, "{most} handshakes");
}

#[test]
fn a_displaced_peer_does_not_return_by_its_second_connection() {
    let high = Limits::default().mesh.degree_high as u64;
    let mut solo = solo();
    for n in 1..=high {
        solo.dial_in(n, 9);
    }
    for round in 0..3 {
        solo.live(10 * SECOND);
        // The youngest opens a second connection, and proves by a `PING` that it is the same node.
        let (youngest, second) = (if round == 0 { high } else { 19 + round }, 100 + round);
        let identity = identity(youngest);
        solo.accept(second);
        solo.receive(second, &join_keyed(&identity, second, r#""uname":"p","links":9"#));
        let ours = solo.node.conns.nonce(ConnId(second)).unwrap();
        solo.prove_key(&identity, second);
        solo.settle(second);
        solo.receive(youngest, &format!("PING|{}\n", ours.as_str()));
        solo.settle(youngest);
        solo.dial_in(20 + round, 0);
        assert_eq!(solo.node.stats().displaced, 1 + round);
        assert_eq!(solo.node.conns.degree() as u64, high);
        assert!(!solo.node.conns.is_linked(identity.node_id()));
        assert_eq!(over_bound(&solo), None);
    }
}

#[test]
fn the_second_link_of_a_version_1_peer_takes_a_slot() {
    let mut solo = few_slots(10, 0);
    solo.accept(1);
    solo.receive(1, &join_v1(1));
    for n in 2..=8 {
        let mut actions = solo.receive(1, &keyless_peers(n..=n));
        actions.extend(solo.pass(SECOND).into_iter().map(|(_, action)| action));
        let Some(dial) = solo.dial_to(&actions, n) else { break };
        // It dials in before it answers.
        solo.accept(n);
        solo.receive(n, &join_v1(n));
        solo.input(Input::connected(dial, ConnId(100 + n)));
        solo.receive(100 + n, &join_v1(n));
        assert_eq!(over_bound(&solo), None);
    }
    assert_eq!(solo.node.conns.slots_taken(), 8);
    assert!(!turned_away(&solo.dial_in(50, 0)), "a slot is left for a peer with a key");
}

#[test]
fn a_host_name_with_many_addresses_stays_within_the_bounds() {
    let mut solo = few_slots(40, 2);
    solo.node.command(solo.now, Command::Connect("a.example:9000".parse().unwrap())).unwrap();
    let resolve = solo.drain().into_iter().find_map(|action| match action {
        Action::Resolve { dial, .. } => Some(dial),
        _ => None,
    });
    let actions = solo.input(Input::resolved(resolve.unwrap(), (1..=5).map(addr).collect()));
    let dials: Vec<_> = (1..=5).map(|n| solo.dial_to(&actions, n).unwrap()).collect();
    for (n, dial) in (1..).zip(dials) {
        solo.input(Input::connected(dial, ConnId(n)));
    }
    for n in 1..=5 {
        solo.introduce(n, 3);
        solo.prove(n);
    }
    assert_eq!(solo.node.conns.degree(), 5);
    assert_eq!(over_bound(&solo), None);
}

#[test]
fn huge_limits_do_not_overflow_a_bound() {
    let huge: [fn(&mut Limits); 4] = [
        |limits| limits.conns.slots = usize::MAX,
        |limits| limits.conns.queue_hard = usize::MAX,
        |limits| limits.mesh.targets = usize::MAX,
        |limits| limits.conns.greeting = Duration::MAX,
    ];
    for change in huge {
        let solo = solo_with(change);
        assert!(solo.node.status().capacities.iter().all(|fill| fill.holds <= fill.bound));
    }
    assert!(Limits::default().with(|limits| limits.conns.slots_reserved = usize::MAX).check().is_err());
}
