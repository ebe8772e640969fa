//! How long a link is waited for.

use proto_core::{Action, ConnId, Input, Limits};

use crate::solo::{HERE, SECOND, Solo, join_line, solo, up_to};

const VERSION_1: &str =
    "JOIN|{\"node_id\":\"11111111-0000-4000-8000-000000000001\",\"listen_addr\":\"127.0.0.1:9000\"}\n\n";

fn closed(solo: &Solo) -> usize {
    solo.count(|action| matches!(action, Action::Close { .. }))
}

#[test]
fn the_first_byte_before_the_greeting() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.accept_from(0, HERE);
    for (at, greeted) in up_to(limits.conns.greet_after) {
        solo.at(at);
        assert_eq!(solo.sent(0).starts_with("JOIN|"), greeted);
    }
}

#[test]
fn the_first_byte_before_a_dialer_greets() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.connect("127.0.0.1:9000");
    solo.dialed(0);
    for (at, greeted) in up_to(limits.conns.greet_dialed) {
        solo.at(at);
        assert_eq!(solo.sent(0).starts_with("JOIN|"), greeted);
    }
}

#[test]
fn a_version_1_peer_hears_nothing_so_long() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.accept_from(0, HERE);
    solo.receive(0, VERSION_1);
    solo.read(0);
    for (at, told) in up_to(limits.conns.settle_v1) {
        solo.at(at);
        solo.read(0);
        assert_eq!(solo.sent(0).contains("PEERS|"), told);
    }
}

#[test]
fn a_silent_peer_is_pinged_and_then_dead() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.join(0);
    solo.read(0);
    for (at, pinged) in up_to(limits.conns.ping_idle) {
        solo.at(at);
        solo.read(0);
        assert_eq!(solo.sent(0).matches("PING|").count(), usize::from(pinged));
    }
    for (at, dead) in up_to(limits.conns.dead) {
        solo.at(at);
        assert_eq!((solo.peers() == 0, solo.stats().silent), (dead, dead.into()));
    }
}

#[test]
fn who_speaks_and_does_not_answer_is_dead() {
    let limits = Limits::default().with(|limits| limits.conns.ping_answer = 60 * SECOND);
    let mut solo = solo(limits.clone());
    solo.join(0);
    solo.read(0);
    solo.at(limits.conns.ping_idle);
    solo.read(0);
    for (time, dead) in up_to(limits.conns.ping_answer) {
        let ended = limits.conns.ping_idle + time;
        while solo.now.since_origin() + 10 * SECOND < ended {
            solo.at(solo.now.since_origin() + 10 * SECOND);
            solo.receive(0, "\n");
            solo.read(0);
        }
        solo.at(ended);
        assert_eq!((solo.peers() == 0, solo.stats().silent), (dead, dead.into()));
    }
}

#[test]
fn a_peer_whose_id_is_claimed_has_some_time_to_answer() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.join(0);
    solo.read(0);
    solo.accept_from(1, HERE);
    solo.receive(1, &join_line(0).replace("n0", "n1"));
    solo.read(0);
    for (at, replaced) in up_to(limits.conns.probe) {
        solo.at(at);
        solo.read(0);
        solo.read(1);
        let active = solo.node.status().links[0].conn;
        assert_eq!((active == ConnId(1), solo.peers()), (replaced, 1));
    }
}

#[test]
fn a_connection_that_is_closed_is_dropped_after_a_while() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.join(0);
    solo.read(0);
    solo.receive(0, "JOIN|{\"node_id\":\"00000000-0000-4000-8000-000000000099\"}\n");
    (0..3).for_each(|_| solo.read(0));
    assert_eq!((closed(&solo), solo.stats().violations), (1, 1));
    for (at, dropped) in up_to(limits.conns.linger) {
        solo.at(at);
        assert_eq!((solo.aborted().len(), solo.node.connections()), if dropped { (1, 0) } else { (0, 1) });
    }
    solo.input(Input::closed(ConnId(0)));
}

#[test]
fn what_comes_on_a_new_link_waits_for_the_end_of_the_old_one() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.connect("127.0.0.1:9000");
    solo.dialed(0);
    solo.receive(0, &join_line(0));
    let nonce = solo.nonce(0).unwrap();
    solo.read(0);
    // The peer dialed, too, and its id is the lower one: its own connection stays.
    solo.accept_from(1, HERE);
    solo.receive(1, &join_line(0).replace("n0", "n1"));
    solo.receive(1, &format!("PING|{nonce}\nMSG|hi\n"));
    solo.read(0);
    assert!(solo.sent(0).contains("BYE|duplicate"), "{}", solo.sent(0));
    for (at, delivered) in up_to(limits.conns.handover) {
        solo.at(at);
        assert_eq!(solo.stats().delivered, u64::from(delivered));
    }
    assert_eq!(solo.stats().duplicates, 1);
}
