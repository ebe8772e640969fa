//! Peers that break rules, by accident or on purpose: spoken byte by byte to a node in memory, in virtual time.

mod version1;

use std::time::Duration;

use proto_core::{ConnId, LeaveReason, Limits, LinkState, Violation};
use tests::sim::HostId;
use tests::sim::harness::Harness;

const SECOND: Duration = Duration::from_secs(1);
const EVE: &str = "eeeeeeee-0000-4000-8000-000000000000";
const MALLORY: &str = "99999999-0000-4000-8000-000000000000";

/// A `JOIN` of version 2.
fn join(id: impl std::fmt::Display, nonce: &str) -> String {
    format!("JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Eve\",\"v\":2,\"nonce\":\"{nonce}\",\"links\":1}}\n")
}

/// A `JOIN` of version 1.
fn join_v1(id: impl std::fmt::Display, listen_addr: impl std::fmt::Display) -> String {
    format!(
        "JOIN|{{\"remote_addr\":null,\"listen_addr\":\"{listen_addr}\",\"node_id\":\"{id}\",\"uname\":\"Old\"}}\n\n"
    )
}

/// A raw peer connects to a host and joins under an id of its own.
fn join_as_eve(net: &mut Harness, raw_peer: HostId, host: HostId) -> ConnId {
    let conn = net.connect(raw_peer, host);
    net.send(conn, join(EVE, "n"));
    net.run_for(SECOND);
    conn
}

/// Alice and Bob, linked and settled, and a raw peer.
fn pair(seed: u64) -> (Harness, HostId, HostId, HostId) {
    let mut net = Harness::new(seed);
    let alice = net.add_node("Alice", &[]);
    let bob = net.add_node("Bob", &[net.addr(alice)]);
    let eve = net.add_raw_peer();
    assert!(
        net.run_until(2 * SECOND, |net| net.peer_names(alice) == ["Bob"] && net.peer_names(bob) == ["Alice"])
    );
    net.run_for(2 * SECOND);
    (net, alice, bob, eve)
}

/// Says something at every turn while `disturb` does its worst, and demands that nothing of it is lost or late.
fn talks_undisturbed(
    net: &mut Harness,
    alice: HostId,
    bob: HostId,
    mut disturb: impl FnMut(&mut Harness, usize),
) {
    let before = net.transcript(bob).heard.len();
    let gone = net.transcript(bob).changes.len();
    for turn in 0..100 {
        disturb(net, turn);
        net.say(alice, &format!("turn {turn}"));
        net.run_for(SECOND / 10);
    }
    let heard: Vec<_> = net.transcript(bob).heard[before..].iter().map(|(_, text)| text.clone()).collect();
    let expected: Vec<_> = (0..100).map(|turn| format!("turn {turn}")).collect();
    assert_eq!(heard, expected);
    assert_eq!(net.transcript(bob).changes.len(), gone, "Alice stayed");
}

#[test]
fn a_join_that_claims_the_id_of_a_peer_that_answers_is_refused_and_the_real_one_stays() {
    for nonce in ["n1", ""] {
        let (mut net, alice, bob, eve) = pair(1);
        let id = net.id(bob);
        let hello = if nonce.is_empty() { join_v1(id, "127.0.0.1:9999") } else { join(id, nonce) };
        let conn = net.connect(eve, alice);
        net.send(conn, hello);
        net.send(conn, "MSG|I am Bob\n");
        net.run_for(5 * SECOND);
        assert_eq!(net.transcript(alice).violations, [Violation::NotItsKeysId]);
        assert_eq!(net.peer_names(alice), ["Bob"]);
        assert_eq!(net.heard(alice), [""; 0]);
        assert_eq!(net.received(eve, conn).contains("BYE|refused"), !nonce.is_empty());
        assert!(net.conns(eve).is_empty(), "it is hung up on");
        net.say(bob, "still me");
        net.run_for(SECOND);
        assert_eq!(net.heard(alice), ["Bob: still me"]);
    }
}

#[test]
fn claims_to_a_peers_id_without_end_do_not_disturb_it() {
    let (mut net, alice, bob, eve) = pair(2);
    let id = net.id(alice);
    talks_undisturbed(&mut net, alice, bob, |net, turn| {
        let conn = net.connect(eve, bob);
        net.send(conn, join(id, &format!("n{turn}")) + "MSG|I am Alice\nPING|x\nPONG|y\n");
    });
    net.run_for(5 * SECOND);
    assert!(net.transcript(bob).violations.len() >= 90);
}

#[test]
fn a_newcomer_takes_the_place_of_a_peer_that_does_not_answer() {
    let (mut net, alice, bob, _) = pair(3);
    net.kill(bob, true);
    let addr = net.addr(alice);
    net.restart(bob, "Bob", &[addr]);
    net.run_for(Duration::from_millis(2900));
    assert_eq!(net.transcript(alice).changes.len(), 1, "the link of before is asked first");
    net.run_for(Duration::from_millis(500));
    net.say(bob, "I am back");
    net.run_for(Duration::from_millis(500));
    assert_eq!(net.heard(alice), ["Bob: I am back"]);
    let reasons: Vec<_> = net.transcript(alice).changes.iter().map(|(_, _, reason)| *reason).collect();
    assert_eq!(reasons, [None, Some(LeaveReason::Silent), None]);
}

#[test]
fn a_join_with_our_own_id_is_refused() {
    let (mut net, alice, _, eve) = pair(4);
    let id = net.id(alice);
    let conn = net.connect(eve, alice);
    net.send(conn, join(id, "n"));
    net.run_for(2 * SECOND);
    assert_eq!(net.transcript(alice).violations, [Violation::ClaimsOurId]);
    assert!(net.conns(eve).is_empty());
    assert_eq!(net.peer_names(alice), ["Bob"]);
}

#[test]
fn an_echo_is_no_node() {
    let (mut net, alice, _, eve) = pair(5);
    let conn = net.connect(eve, alice);
    net.send(conn, "\n");
    net.run_for(SECOND);
    let echo = net.received(eve, conn).to_owned();
    net.send(conn, echo);
    net.run_for(2 * SECOND);
    assert_eq!(net.peer_names(alice), ["Bob"]);
    assert!(net.conns(eve).is_empty());
}

#[test]
fn a_second_join_with_another_id_cuts_the_peer_and_one_with_its_own_renames_it() {
    let (mut net, alice, _, eve) = pair(6);
    let conn = join_as_eve(&mut net, eve, alice);
    assert_eq!(net.peer_names(alice), ["Bob", "Eve"]);
    net.send(conn, join(EVE, "n").replace("Eve", "Eva"));
    net.run_for(SECOND);
    assert_eq!(net.peer_names(alice), ["Bob", "Eva"]);
    net.send(conn, join(MALLORY, "n"));
    net.run_for(2 * SECOND);
    assert_eq!(net.peer_names(alice), ["Bob"]);
    assert_eq!(net.transcript(alice).violations, [Violation::SecondId]);
}

/// Its deadline must not outlive the link: a node once span on it.
#[test]
fn a_link_that_is_cut_while_it_waits_for_the_one_that_replaces_it_is_done() {
    let (mut net, alice, _, eve) = pair(7);
    let [here, claims] = [0, 1].map(|_| net.connect(eve, alice));
    net.send(here, join(EVE, "n"));
    net.run_for(SECOND);
    net.send(claims, join(EVE, "m"));
    net.run_for(SECOND);
    net.send(here, "BYE|duplicate|\n");
    net.run_for(SECOND);
    net.send(here, "x".repeat(70_000));
    net.run_for(20 * SECOND);
    assert_eq!(net.transcript(alice).violations, [Violation::LineTooLong]);
    assert_eq!(net.conns(eve), [claims], "the other took its place");
}

/// What comes in on one connection, and whether the peer is still here after it.
fn after(bytes: &[u8]) -> (Harness, HostId, HostId, ConnId) {
    let (mut net, alice, bob, eve) = pair(7);
    let conn = net.connect(eve, alice);
    net.send(conn, join(EVE, "n"));
    net.run_for(SECOND / 2);
    net.send(conn, bytes);
    net.say(alice, "undisturbed");
    net.run_for(SECOND / 2);
    assert_eq!(net.heard(bob), ["Alice: undisturbed"]);
    (net, alice, eve, conn)
}

#[test]
fn bad_frames_are_skipped_and_counted_and_good_ones_between_them_count() {
    let deep = format!("PEERS|{}1{}\n", "[".repeat(10_000), "]".repeat(10_000));
    let many = format!("PEERS|{}\n", "{};".repeat(20_000));
    let frames: [(&[u8], u64); 9] = [
        (b"MSG|\xff\xfe\n", 1),
        (b"\r\n\n\r\n", 0),
        (b"WHAT|is this\nNEVER\n", 0),
        (b"MSG\nMSG|\nJOIN\nPING|\n", 4),
        (b"PEERS|{\"node_id\":7}\n", 1),
        (b"JOIN|[]\nJOIN|{\"node_id\":7}\n", 2),
        (deep.as_bytes(), 1),
        (many.as_bytes(), 0),
        (b"PEERS|{\"listen_addr\":\"localhost:80\"};{\"uname\":null}\n", 0),
    ];
    for (bytes, malformed) in frames {
        let name = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let (mut net, alice, _, conn) = after(bytes);
        assert_eq!(net.node(alice).stats().malformed, malformed, "{name}");
        net.send(conn, "MSG|good\r\n");
        net.run_for(SECOND);
        assert_eq!(net.heard(alice), ["Eve: good"], "{name}");
    }
}

#[test]
fn thirty_two_malformed_frames_in_ten_seconds_cut_a_peer_and_in_longer_do_not() {
    for (pause, here) in [(SECOND / 10, false), (SECOND / 3, true)] {
        let (mut net, alice, _, conn) = after(b"");
        for _ in 0..31 {
            net.send(conn, "MSG|\n");
            net.run_for(pause);
        }
        assert_eq!(net.peer_names(alice), ["Bob", "Eve"]);
        net.send(conn, "MSG|\n");
        net.run_for(2 * SECOND);
        assert_eq!(net.peer_names(alice).len() == 2, here);
    }
}

#[test]
fn a_line_is_cut_at_its_limit_and_not_before() {
    let limits = Limits::default();
    for (len, here) in [(limits.wire.line - 1, true), (limits.wire.line, true), (limits.wire.line + 1, false)]
    {
        let line = format!("MSG|{}\n", "x".repeat(len - 5));
        let (net, alice, _, _) = after(line.as_bytes());
        assert_eq!(net.peer_names(alice).len() == 2, here, "{len}");
        assert_eq!(net.transcript(alice).heard.len() == 1, here, "{len}");
    }
    for (len, here) in [(limits.wire.line_before_join, true), (limits.wire.line_before_join + 1, false)] {
        let (mut net, alice, _, eve) = pair(8);
        let conn = net.connect(eve, alice);
        let join = join(EVE, "n");
        let padding = " ".repeat(len - join.len());
        net.send(conn, join.replace("{", &format!("{{{padding}")));
        net.run_for(SECOND);
        assert_eq!(net.peer_names(alice).len() == 2, here, "{len}");
    }
}

#[test]
fn a_line_without_end_holds_no_more_than_a_line() {
    let (mut net, alice, _, eve) = pair(9);
    let conn = join_as_eve(&mut net, eve, alice);
    for _ in 0..1000 {
        net.send(conn, "x".repeat(10_000));
        net.run_for(SECOND / 100);
        assert!(net.node(alice).buffered() <= Limits::default().wire.line);
    }
    assert_eq!(net.peer_names(alice), ["Bob"]);
}

#[test]
fn silent_connections_are_bounded_and_make_room_for_each_other_and_for_peers() {
    let (mut net, alice, bob, eve) = pair(10);
    talks_undisturbed(&mut net, alice, bob, |net, _| {
        for _ in 0..5 {
            net.connect(eve, alice);
        }
        assert!(net.node(alice).connections() <= Limits::default().conns.pending + 1);
    });
    assert!(net.node(alice).stats().evicted > 0);
    let mallory = net.add_raw_peer();
    let conn = net.connect(mallory, alice);
    net.send(conn, join(MALLORY, "m"));
    net.run_for(SECOND);
    assert_eq!(net.peer_names(alice), ["Bob", "Eve"]);
    net.run_for(15 * SECOND);
    assert_eq!(net.node(alice).connections(), 2, "the silent ones are gone");
}

#[test]
fn addresses_in_peers_are_dialed_no_faster_than_the_limits_allow() {
    let (mut net, alice, _, eve) = pair(11);
    let conn = join_as_eve(&mut net, eve, alice);
    let start = net.now();
    let before = net.transcript(alice).dialed.len();
    for _ in 0..60 {
        // Nothing runs there: dials are refused.
        let hosts: Vec<_> = (0..64).map(|_| net.add_host()).collect();
        let record = |host: &HostId| format!("{{\"listen_addr\":\"{}\"}}", net.addr(*host));
        let records: Vec<_> = hosts.iter().map(record).collect();
        net.send(conn, format!("PEERS|{}\n", records.join(";")));
        net.run_for(SECOND);
    }
    // Chance decides what is dialed, and dials again what failed before.
    net.run_for(120 * SECOND);
    let dialed = &net.transcript(alice).dialed[before..];
    let limits = Limits::default();
    for (index, (at, _)) in dialed.iter().enumerate() {
        let allowed = limits.mesh.dial_burst as f64
            + at.since(start).as_secs_f64() / limits.mesh.dial_every.as_secs_f64();
        assert!(index as f64 <= allowed, "dial {index} after {:?}", at.since(start));
    }
    let addrs: std::collections::BTreeSet<_> = dialed.iter().map(|(_, addr)| addr).collect();
    assert!(addrs.len() <= limits.mesh.learn_burst as usize + 7, "{} addresses of one source", addrs.len());
    assert!(addrs.len() >= limits.mesh.learn_burst as usize, "and yet it takes what it may");
}

#[test]
fn a_peer_that_never_reads_is_cut_in_time_and_holds_nobody_up_for_longer_than_two_seconds() {
    let (mut net, alice, bob, eve) = pair(12);
    let conn = join_as_eve(&mut net, eve, alice);
    net.stop_reading(conn);
    let line = "x".repeat(1000);
    let mut waited = Duration::ZERO;
    for _ in 0..1500 {
        let texts = proto_core::ChatText::lines(&line).unwrap();
        while net.command(alice, proto_core::Command::Say(texts.clone())).is_err() {
            let ready = net.transcript(alice).ready;
            let before = net.now();
            assert!(
                net.run_until(SECOND * 3, |net| net.transcript(alice).ready > ready),
                "it is told when to go on"
            );
            waited += net.now().since(before);
        }
        net.run_for(SECOND / 1000);
    }
    net.run_for(SECOND);
    assert!(waited <= 2 * SECOND, "{waited:?}");
    assert_eq!(net.transcript(bob).heard.len(), 1500);
    net.run_for(Limits::default().conns.stalled);
    assert_eq!(net.peer_names(alice), ["Bob"]);
    let (_, _, reason) = net.transcript(alice).changes.last().unwrap();
    assert_eq!(*reason, Some(LeaveReason::Slow));
}

#[test]
fn a_link_tells_that_its_peer_does_not_answer_or_takes_nothing() {
    let (mut net, alice, _, eve) = pair(16);
    let conn = net.connect(eve, alice);
    net.send(conn, join(EVE, "n"));
    let limits = Limits::default();
    let state = |net: &Harness| {
        let links = net.node(alice).status().links;
        let link = links.iter().find(|link| link.peer.uname.as_str() == "Eve").expect("it is linked");
        link.state
    };
    net.run_for(limits.conns.ping_idle - SECOND);
    assert_eq!(state(&net), LinkState::Linked);
    net.run_for(SECOND + limits.conns.probe + SECOND);
    net.say(alice, "is anybody there?");
    assert_eq!(state(&net), LinkState::Silent);
    net.send(conn, "\n");
    net.run_for(SECOND);
    assert_eq!(state(&net), LinkState::Linked);
    net.stop_reading(conn);
    let texts = proto_core::ChatText::lines(&"x".repeat(1000)).unwrap();
    for _ in 0..1000 {
        let _ = net.command(alice, proto_core::Command::Say(texts.clone()));
        net.run_for(SECOND / 1000);
    }
    assert_eq!(state(&net), LinkState::Linked);
    net.run_for(limits.conns.patience);
    net.say(alice, "take that");
    assert_eq!(state(&net), LinkState::Slow);
}

#[test]
fn a_node_that_is_full_sends_newcomers_on_and_keeps_places_for_its_own_dials() {
    let limits = Limits::default().with(|limits| {
        limits.conns.slots = 11;
        limits.conns.slots_reserved = 2;
        limits.mesh.degree_low = 2;
        limits.mesh.degree_target = 3;
        limits.mesh.degree_high = 4;
    });
    let mut net = Harness::new(15);
    let alice = net.add_node_with("Alice", &[], limits);
    let crowd: Vec<_> = (0..6).map(|_| net.add_raw_peer()).collect();
    let mut conns = Vec::new();
    for raw_peer in &crowd {
        let conn = net.connect(*raw_peer, alice);
        net.send(
            conn,
            join(format!("00000000-0000-4000-8000-00000000000{raw_peer}"), "n").replace("Eve", "P"),
        );
        net.run_for(SECOND);
        conns.push(conn);
    }
    assert_eq!(net.node(alice).peers().count(), 4);
    assert!(
        net.received(crowd[5], conns[5]).ends_with("BYE|full|\n"),
        "{}",
        net.received(crowd[5], conns[5])
    );
    assert_eq!(net.node(alice).stats().turned_away, 2);
    let dave = net.add_node("Dave", &[]);
    net.command(alice, proto_core::Command::Connect(net.addr(dave).into())).unwrap();
    net.run_for(2 * SECOND);
    assert_eq!(net.node(alice).peers().count(), 5);
}
