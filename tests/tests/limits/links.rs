//! Connections: how many, and what comes in on one.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    Action, Capacity, Command, CommandError, ConnId, ConnLimits, Input, Instant, LeaveReason, Limits,
    MeshLimits,
};

use crate::solo::{ELSEWHERE, HERE, SECOND, around, join_line, solo, up_to};

#[test]
fn pending_connections() {
    let limit = Limits::default().conns.pending;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        (0..count).for_each(|conn| solo.accept_from(conn, [127, 0, 0, 1]));
        assert_eq!(solo.node.connections(), count.min(limit));
        assert_eq!(solo.node.stats().evicted as usize, count.saturating_sub(limit));
    }
}

#[test]
fn links_that_are_being_closed_make_room_too() {
    let limits = Limits::default().with(|limits| limits.conns.pending = 3);
    let mut solo = solo(limits);
    for round in 0..5 {
        let conns = round * 10..round * 10 + 3;
        for conn in conns.clone() {
            solo.join(conn);
        }
        // Their ends are not reported yet.
        conns.for_each(|conn| solo.receive(conn, "BYE|shutdown|\n"));
        (0..3).for_each(|n| solo.accept_from(1_000 + round * 10 + n, [127, 0, 0, 1]));
        let pending = solo.node.capacities().find(|(capacity, _)| *capacity == Capacity::Pending);
        assert_eq!(pending, Some((Capacity::Pending, 3)));
        assert_eq!(solo.node.connections(), 3);
    }
}

#[test]
fn the_pending_connection_that_makes_room_is_the_oldest_silent_one_else_the_oldest() {
    let mut solo = solo(Limits::default().with(|limits| limits.conns.pending = 2));
    solo.accept_from(0, [127, 0, 0, 1]);
    solo.accept_from(1, [127, 0, 0, 1]);
    solo.now = solo.now + 2 * SECOND;
    solo.receive(0, "J");
    solo.accept_from(2, [127, 0, 0, 1]);
    solo.accept_from(3, [127, 0, 0, 1]);
    let aborted = solo.actions.iter().filter_map(|action| match action {
        Action::Abort { conn } => Some(conn.0),
        _ => None,
    });
    assert_eq!(aborted.collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn own_dials_fill_what_is_kept_for_them() {
    let mut limits = Limits::default().with(|limits| {
        limits.conns.slots = 9;
        limits.conns.slots_reserved = 2;
    });
    (
        limits.mesh.degree_low,
        limits.mesh.degree_target,
        limits.mesh.degree_high,
        limits.mesh.degree_outbound,
    ) = (1, 2, 3, 1);
    for count in around(6) {
        let mut solo = solo(limits.clone());
        (0..3).for_each(|conn| solo.join(conn));
        for n in 0..count {
            let addr = SocketAddr::from(([127, 0, 1, n as u8], 9000));
            solo.node.command(solo.now, Command::Connect(addr.into())).unwrap();
            solo.input(Input::Timeout);
            let mut dials = solo.actions.iter().filter_map(|action| match action {
                Action::Dial { dial, .. } => Some(*dial),
                _ => None,
            });
            let dial = dials.next_back().unwrap();
            solo.input(Input::connected(dial, ConnId(10 + n as u64)));
            solo.receive(10 + n, &join_line(10 + n));
        }
        assert_eq!(solo.peers(), 3 + count.min(6), "{count}");
    }
}

#[test]
fn held_connections_and_those_kept_for_own_dials() {
    let Limits {
        conns: ConnLimits { slots: held, slots_reserved: reserved_outbound, .. },
        mesh: MeshLimits { degree_high, .. },
        ..
    } = Limits::default();
    // Places for peers with a key, and one for a newcomer that takes the place of another.
    let keyless = held - reserved_outbound - degree_high - 1;
    for count in around(keyless) {
        let mut solo = solo(Limits::default());
        (0..count).for_each(|conn| solo.join(conn));
        let turned_away = count.saturating_sub(keyless);
        assert_eq!(solo.peers(), count - turned_away);
        assert_eq!(solo.node.stats().turned_away as usize, turned_away);
        (500..500 + degree_high).for_each(|conn| solo.link(conn));
        assert_eq!(solo.peers(), count - turned_away + degree_high, "whatever without a key is here");
        solo.now = solo.now + 60 * SECOND;
        solo.link_as(600, HERE, 600, 0);
        assert_eq!(solo.node.stats().displaced, 1);
    }
}

#[test]
fn first_byte_and_greeting() {
    let limits = Limits::default();
    for (time, speaks) in [(limits.conns.first_byte, false), (limits.conns.greeting, true)] {
        let mut solo = solo(limits.clone());
        solo.accept_from(0, [127, 0, 0, 1]);
        if speaks {
            solo.receive(0, "J");
        }
        for (at, gone) in [(time - Duration::from_nanos(1), false), (time, true)] {
            solo.now = Instant::ORIGIN + at;
            solo.input(Input::Timeout);
            assert_eq!(solo.count(|action| matches!(action, Action::Close { .. })) == 1, gone, "{at:?}");
        }
        assert_eq!(solo.node.stats().violations, 1);
    }
}

#[test]
fn a_node_that_stops_says_goodbye_and_is_done_within_a_second() {
    let mut solo = solo(Limits::default());
    solo.join(0);
    solo.accept_from(1, [127, 0, 0, 1]);
    solo.read(0);
    solo.actions.clear();
    solo.node.command(solo.now, Command::Shutdown).unwrap();
    solo.input(Input::Timeout);
    assert!(solo.actions.contains(&Action::Abort { conn: ConnId(1) }), "nothing is owed to who said nothing");
    assert_eq!(
        solo.count(|action| matches!(action, Action::SendFrame { bytes, .. } if bytes == b"BYE|shutdown|\n")),
        1
    );
    assert!(solo.actions.ends_with(&[Action::Close { conn: ConnId(0) }]));
    let gone =
        |action: &Action| matches!(action, Action::UnregisterPeer { reason: LeaveReason::Stopping, .. });
    assert_eq!(solo.count(gone), 1);
    assert_eq!(solo.say(100), Err(CommandError::ShuttingDown));
    solo.now = solo.now + SECOND;
    solo.input(Input::Timeout);
    assert_eq!(solo.node.connections(), 0);
    assert_eq!(solo.node.poll_timeout(), None);
}

#[test]
fn a_line_that_is_too_long() {
    let limits = Limits::default();
    for len in around(limits.wire.line) {
        let mut solo = solo(limits.clone());
        solo.join(0);
        solo.receive(0, &format!("MSG|{}\n", "x".repeat(len - 5)));
        let cut = len > limits.wire.line;
        assert_eq!(
            (solo.peers() == 0, solo.stats().violations, solo.stats().delivered),
            (cut, cut.into(), (!cut).into())
        );
    }
    for len in around(limits.wire.line_before_join) {
        let mut solo = solo(limits.clone());
        solo.accept_from(0, HERE);
        let padding = " ".repeat(len - join_line(0).len());
        solo.receive(0, &join_line(0).replace('{', &format!("{{{padding}")));
        let cut = len > limits.wire.line_before_join;
        assert_eq!((solo.peers() == 0, solo.stats().violations), (cut, cut.into()));
    }
}

#[test]
fn who_is_silent_for_so_long_makes_room_first() {
    for (time, silent) in up_to(Limits::default().conns.pending_silent) {
        let mut solo = solo(Limits::default().with(|limits| limits.conns.pending = 2));
        solo.accept_from(0, HERE);
        // The younger one of the two is silent for as long.
        solo.accept_from(1, ELSEWHERE);
        solo.at(time);
        solo.receive(0, "J");
        solo.accept_from(2, HERE);
        assert_eq!(solo.aborted(), [u64::from(silent)], "{time:?}");
        assert_eq!(solo.stats().evicted, 1);
    }
}
