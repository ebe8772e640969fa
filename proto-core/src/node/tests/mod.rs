//! Tests of a single node, byte by byte and in virtual time.

mod admission;
mod backfill;
mod batches;
mod classes;
mod conversation;
mod crowd;
mod dials;
mod entries;
mod keyed;
mod networks;
mod presence;
mod sealed;
mod sealed_again;
mod shared_key;
mod slots;
mod store;
mod v1;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::*;
use crate::contract::{Message, Notice, Violation};
use crate::model::{ChatText, DialError, Identity, LeaveReason, Limits, NetworkId, PeerAddr};
use crate::wire::Token;

use keyed::{chat, join_keyed, keyed, keyed_as, keyed_on};

/// A node and its virtual clock.
pub(super) struct Solo {
    pub(super) node: Node,
    pub(super) now: Instant,
}

const ALICE: &str = "00000000-0000-4000-8000-000000000001";

fn remote() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50_000))
}

pub(super) fn solo() -> Solo {
    solo_with(|_| {})
}

pub(super) fn solo_with(change: impl FnOnce(&mut Limits)) -> Solo {
    let config = Config::builder("Me".parse().unwrap())
        .listen_addr(SocketAddr::from(([127, 0, 0, 1], 8080)))
        .limits(change)
        .build()
        .unwrap();
    Solo {
        node: Node::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN),
        now: Instant::ORIGIN,
    }
}

/// One that keeps so many links: at least, in the middle, at most, and by dials of its own.
pub(super) fn solo_of_degrees(degrees: [usize; 4]) -> Solo {
    solo_with(|limits| set_degrees(limits, degrees))
}

pub(super) fn set_degrees(limits: &mut Limits, [low, target, high, outbound]: [usize; 4]) {
    (limits.mesh.degree_low, limits.mesh.degree_target) = (low, target);
    (limits.mesh.degree_high, limits.mesh.degree_outbound) = (high, outbound);
}

fn join(id: &str, nonce: Option<&str>) -> String {
    let hello =
        nonce.map(|nonce| alloc::format!(r#","v":2,"nonce":"{nonce}","links":0"#)).unwrap_or_default();
    alloc::format!("JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Alice\"{hello}}}\n")
}

impl Solo {
    pub(super) fn input(&mut self, input: Input<'_>) -> Vec<Action> {
        self.node.handle_input(self.now, input);
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Vec<Action> {
        core::iter::from_fn(|| self.node.poll_action()).collect()
    }

    pub(super) fn accept(&mut self, conn: u64) -> Vec<Action> {
        self.input(Input::accepted(ConnId(conn), remote()))
    }

    pub(super) fn receive(&mut self, conn: u64, text: &str) -> Vec<Action> {
        self.input(Input::received(ConnId(conn), text.as_bytes()))
    }

    fn flush(&mut self, conn: u64) -> Vec<Action> {
        self.input(Input::flushed(ConnId(conn)))
    }

    /// A peer completes its handshake without a key. All frames to it are flushed.
    pub(super) fn peer(&mut self, conn: u64, id: &str, nonce: Option<&str>) -> Vec<Action> {
        self.accept(conn);
        let mut actions = self.receive(conn, &join(id, nonce));
        actions.extend(self.settle(conn));
        actions
    }

    pub(super) fn settle(&mut self, conn: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        loop {
            let more = self.flush(conn);
            if more.is_empty() {
                return actions;
            }
            actions.extend(more);
        }
    }

    /// Fires the timers of the node exactly when they are due, for a time of `after`.
    pub(super) fn pass(&mut self, after: Duration) -> Vec<(Instant, Action)> {
        let end = self.now + after;
        let mut actions = Vec::new();
        for _ in 0..10_000 {
            match self.node.poll_timeout() {
                Some((at, _)) if at <= end => {
                    assert!(at > self.now || actions.len() < 1000, "the node has timers without end");
                    self.now = at.max(self.now);
                    let now = self.now;
                    actions.extend(self.input(Input::Timeout).into_iter().map(|action| (now, action)));
                }
                _ => {
                    self.now = end;
                    return actions;
                }
            }
        }
        panic!("the node has timers without end");
    }
}

/// The answers of a peer that has no entries.
pub(super) fn answers(lines: &str) -> String {
    let answer = |line: &str| {
        let pong = line.strip_prefix("PING|").map(|token| alloc::format!("PONG|{token}\n"));
        // The echo of the first message of a reconciliation answers it.
        pong.or_else(|| Some(alloc::format!("SYNC|Ag{}\n", line.strip_prefix("SYNC|AA")?)))
    };
    lines.lines().filter_map(answer).collect()
}

pub(super) fn sent(actions: &[Action]) -> String {
    let bytes = actions.iter().filter_map(|action| match action {
        Action::SendFrame { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
}

#[test]
fn a_listener_sends_join_upon_the_first_byte_and_registers_the_peer_upon_its_join() {
    let mut solo = solo();
    assert_eq!(solo.accept(1), []);
    assert!(sent(&solo.receive(1, "J")).starts_with("JOIN|"));
    let actions = solo.receive(1, &join(ALICE, Some("n"))[1..]);
    assert!(
        matches!(&actions[..], [Action::RegisterPeer(peer)] if peer.uname.as_str() == "Alice"),
        "{actions:?}"
    );
    assert_eq!(sent(&solo.flush(1)), "PEERS|\n");
    let actions = solo.receive(1, "MSG|hello\nMSG|there\n");
    assert!(
        matches!(&actions[..], [Action::Deliver(Message::Line { text, .. }), Action::Deliver(_)] if text == "hello")
    );
}

#[test]
fn a_listener_sends_join_to_a_silent_peer_after_250_ms_and_closes_after_15_s() {
    let mut solo = solo();
    solo.accept(1);
    let actions = solo.pass(Duration::from_secs(20));
    assert_eq!(actions[0].0, Instant::from_origin(Duration::from_millis(250)));
    let closed = actions
        .iter()
        .find(|(_, action)| matches!(action, Action::Report { violation: Violation::NoGreeting, .. }));
    assert_eq!(closed.unwrap().0, Instant::from_origin(Duration::from_secs(15)));
    assert!(matches!(actions.last(), Some((_, Action::Abort { .. }))));
    assert_eq!(solo.node.connections(), 0);
}

#[test]
fn a_dialer_sends_join_upon_the_first_byte() {
    let mut solo = solo();
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9".parse().unwrap())).unwrap();
    let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
    assert_eq!(solo.input(Input::connected(dial, ConnId(1))), []);
    assert!(sent(&solo.receive(1, "J")).starts_with("JOIN|"));
    let later = solo.pass(Limits::default().conns.greet_after);
    assert_eq!(later, [], "it sends it once");
}

#[test]
fn an_address_that_is_advertised_later_is_told_to_all_peers() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    let addr = SocketAddr::from(([203, 0, 113, 7], 4444));
    solo.node.command(solo.now, Command::Advertise(addr)).unwrap();
    let told = sent(&solo.drain());
    assert!(told.starts_with("JOIN|") && told.contains(r#""listen_addr":"203.0.113.7:4444""#), "{told}");
    assert_eq!(solo.node.config().listen_addr(), Some(addr));
    solo.settle(1);
    solo.node.command(solo.now, Command::Advertise(addr)).unwrap();
    assert_eq!(solo.drain(), [], "it is the same");
}

#[test]
fn a_target_that_never_sends_join_is_dialed_again_after_the_old_connection_closed() {
    let mut solo = solo();
    solo.node.command(solo.now, Command::Connect("127.0.0.1:1".parse().unwrap())).unwrap();
    let actions = solo.drain();
    let [Action::Dial { dial, .. }] = actions[..] else { panic!("{actions:?}") };
    solo.input(Input::connected(dial, ConnId(1)));
    solo.receive(1, "PEERS|\n");
    solo.settle(1);
    let actions = solo.pass(Duration::from_secs(15));
    let at = |is: fn(&Action) -> bool| actions.iter().find(|(_, action)| is(action)).unwrap().0;
    assert_eq!(
        at(|action| matches!(action, Action::Close { .. })),
        Instant::from_origin(Duration::from_secs(10))
    );
    assert_eq!(
        at(|action| matches!(action, Action::Dial { .. })),
        Instant::from_origin(Duration::from_secs(11))
    );
}

#[test]
fn an_idle_peer_is_pinged_after_15_s_and_dead_after_45_s() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("n"));
    let actions = solo.pass(Duration::from_secs(60));
    assert_eq!(actions[0].0, Instant::from_origin(Duration::from_secs(15)));
    assert!(matches!(&actions[0].1, Action::SendFrame { bytes, .. } if bytes.starts_with(b"PING|")));
    let gone = actions.iter().find(|(_, action)| matches!(action, Action::UnregisterPeer { .. })).unwrap();
    // The `PING` was never flushed, so the link is stalled.
    let stalled = Limits::default().conns.stalled;
    assert_eq!(gone.0, Instant::from_origin(Duration::from_secs(15) + stalled));

    let mut solo = self::solo();
    solo.peer(1, ALICE, Some("n"));
    solo.pass(Duration::from_secs(15));
    solo.flush(1);
    let actions = solo.pass(Duration::from_secs(60));
    assert_eq!(actions[0].0, Instant::from_origin(Duration::from_secs(45)));
    assert!(matches!(&actions[1].1, Action::UnregisterPeer { reason: LeaveReason::Silent, .. }));
}

#[test]
fn a_peer_on_a_slow_link_lives_while_bytes_leave() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("n"));
    solo.pass(Duration::from_secs(15));
    let lost = |actions: &[(Instant, Action)]| {
        actions.iter().find_map(|(at, action)| match action {
            Action::UnregisterPeer { reason, .. } => Some((*at, *reason)),
            _ => None,
        })
    };
    for _ in 0..20 {
        solo.input(Input::written(ConnId(1), 1));
        assert_eq!(lost(&solo.pass(Duration::from_secs(5))), None);
    }
    let last = Duration::from_secs(15 + 19 * 5);
    let stalled = Instant::from_origin(last + Limits::default().conns.stalled);
    assert_eq!(lost(&solo.pass(Duration::from_secs(60))), Some((stalled, LeaveReason::Slow)));
}

#[test]
fn a_version_1_peer_is_sent_peers_after_100_ms_then_lines_and_blank_lines_when_idle() {
    let mut solo = solo();
    let actions = solo.peer(1, ALICE, None);
    assert!(!sent(&actions).contains("PEERS"));
    solo.node.command(solo.now, Command::Say(ChatText::lines("hi").unwrap())).unwrap();
    assert_eq!(solo.drain(), []);
    let actions = solo.pass(Duration::from_millis(100));
    assert_eq!(actions.len(), 1);
    assert!(matches!(&actions[0].1, Action::SendFrame { bytes, .. } if bytes == b"PEERS|\nMSG|hi\n"));
    solo.flush(1);
    let actions = solo.pass(Duration::from_secs(15));
    assert!(matches!(&actions[..], [(_, Action::SendFrame { bytes, .. })] if bytes == b"\n"), "{actions:?}");
}

#[test]
fn a_given_address_is_dialed_at_least_every_eight_seconds_for_ever() {
    let mut solo = solo();
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9".parse().unwrap())).unwrap();
    let mut last = solo.now;
    for _ in 0..500 {
        let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
        assert!(solo.now.since(last) <= Duration::from_secs(8));
        last = solo.now;
        let actions = solo.input(Input::dial_failed(dial, DialError::Refused));
        if actions.iter().any(|action| matches!(action, Action::Dial { .. })) {
            panic!("dialed at once: {actions:?}");
        }
        let (at, kind) = solo.node.poll_timeout().unwrap();
        assert_eq!(kind, TimerKind::Dial);
        solo.now = at;
        solo.node.handle_input(at, Input::Timeout);
    }
}

#[test]
fn the_user_is_notified_once_that_a_peer_is_unreachable() {
    let mut solo = solo();
    let target: PeerAddr = "127.0.0.1:9".parse().unwrap();
    solo.node.command(solo.now, Command::Connect(target.clone().into())).unwrap();
    let mut notices = Vec::new();
    for _ in 0..5 {
        let dial = solo.drain().into_iter().find_map(|action| match action {
            Action::Dial { dial, .. } => Some(dial),
            _ => None,
        });
        notices.extend(solo.input(Input::dial_failed(dial.unwrap(), DialError::Refused)));
        solo.now = solo.node.poll_timeout().unwrap().0;
        solo.node.handle_input(solo.now, Input::Timeout);
    }
    assert_eq!(notices, [Action::Notice(Notice::Unreachable { target, reason: DialError::Refused })]);
}

/// The nonce of this node's `JOIN` among these actions.
fn our_nonce(actions: &[Action]) -> String {
    let sent = sent(actions);
    let (_, rest) = sent.split_once(r#""nonce":""#).unwrap();
    rest.split_once('"').unwrap().0.into()
}

/// Alice dials in on connection 1, and a dial reaches her on connection 2. This node's nonce there.
fn meet_alice_twice(solo: &mut Solo) -> String {
    solo.peer(1, ALICE, Some("a"));
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9".parse().unwrap())).unwrap();
    let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
    solo.input(Input::connected(dial, ConnId(2)));
    let nonce = our_nonce(&solo.receive(2, "\n"));
    solo.receive(2, &join(ALICE, Some("b")));
    nonce
}

#[test]
fn reading_resumes_on_the_duplicate_that_is_closed() {
    let mut solo = solo();
    let nonce = meet_alice_twice(&mut solo);
    let line = alloc::format!("MSG|{}\n", "x".repeat(1000));
    assert!(solo.receive(2, &line.repeat(70)).contains(&Action::PauseReading { conn: ConnId(2) }));
    // Alice has the lower id, so the connection that she dialed stays.
    let actions = solo.receive(1, &alloc::format!("PING|{nonce}\n"));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Deliver(_))).count(), 70);
    assert!(actions.contains(&Action::ResumeReading { conn: ConnId(2) }), "{actions:?}");
}

#[test]
fn held_back_lines_are_bounded_by_their_memory_not_their_characters() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    solo.accept(2);
    solo.receive(2, &join(ALICE, Some("b")));
    assert!(solo.receive(2, &"MSG|x\n".repeat(5000)).contains(&Action::PauseReading { conn: ConnId(2) }));
}

#[test]
fn a_violator_is_disconnected_although_its_second_connection_replaces_the_link() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    solo.accept(2);
    let nonce = our_nonce(&solo.receive(2, &join(ALICE, Some("b"))));
    solo.receive(1, &alloc::format!("PING|{nonce}\n"));
    solo.settle(1);
    let mut actions = solo.receive(1, &"x".repeat(70_000));
    actions.extend(solo.settle(1));
    assert!(sent(&actions).contains("BYE|violation|"), "{actions:?}");
    assert!(actions.contains(&Action::Close { conn: ConnId(1) }), "{actions:?}");
    assert_eq!(solo.node.peers().count(), 1);
    assert_eq!(solo.receive(1, "\nMSG|more\n"), []);
}

#[test]
fn a_claim_is_not_decided_against_a_link_that_was_never_pinged() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    solo.accept(2);
    solo.receive(2, &join(ALICE, Some("b")));
    solo.pass(Duration::from_secs(1));
    solo.accept(3);
    solo.receive(3, &join(ALICE, Some("c")));
    solo.pass(Duration::from_secs(2));
    assert_eq!(solo.node.connections(), 2, "the silent link is gone");
    let actions: Vec<_> = solo.pass(Duration::from_secs(1)).into_iter().map(|(_, action)| action).collect();
    assert!(!actions.contains(&Action::Abort { conn: ConnId(2) }), "{actions:?}");
    let mut actions = solo.settle(2);
    actions.extend(solo.receive(2, "PONG|c\n"));
    assert!(sent(&actions).contains("PING|c\n"), "{actions:?}");
    actions.extend(solo.settle(2));
    let again = sent(&actions).lines().rev().find_map(|line| line.strip_prefix("PING|").map(String::from));
    solo.receive(2, &alloc::format!("PONG|{}\n", again.unwrap()));
    let actions = solo.pass(Duration::from_secs(3));
    assert!(actions.iter().any(|(_, action)| matches!(
        action,
        Action::Report { conn: ConnId(3), violation: Violation::ClaimsPeersId, .. }
    )));
}

#[test]
fn pings_for_newcomers_that_are_gone_are_bounded() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    for conn in 2..1000 {
        solo.accept(conn);
        solo.receive(conn, &join(ALICE, Some(&alloc::format!("n{conn}"))));
        solo.input(Input::closed(ConnId(conn)));
    }
    let mut pings = 0;
    let mut next = String::from("PONG|n2\n");
    loop {
        let mut actions = solo.receive(1, &next);
        actions.extend(solo.settle(1));
        let sent = sent(&actions);
        let Some((_, token)) = sent.rsplit_once("PING|") else { break };
        next = alloc::format!("PONG|{token}");
        pings += 1;
    }
    assert_eq!(pings, Limits::default().conns.pending);
    assert!(next.contains("n999"), "the newest is pinged for: {next}");
}

#[test]
fn a_new_name_reaches_peers_whose_handshake_is_under_way() {
    let mut solo = solo();
    solo.accept(1);
    solo.receive(1, "J");
    solo.node.command(solo.now, Command::Rename("Another".parse().unwrap())).unwrap();
    let mut actions = solo.receive(1, &join(ALICE, Some("a"))[1..]);
    actions.extend(solo.settle(1));
    assert!(sent(&actions).contains("Another"), "{actions:?}");
}

#[test]
fn shutdown_does_not_wait_for_a_replaced_link() {
    let mut solo = solo();
    let nonce = meet_alice_twice(&mut solo);
    solo.receive(1, &alloc::format!("PING|{nonce}\n"));
    solo.node.command(solo.now, Command::Shutdown).unwrap();
    assert_eq!(solo.node.connections(), 2);
    solo.pass(Limits::default().conns.linger);
    assert_eq!(solo.node.connections(), 0);
}

/// The node dials this address. The peer there sends `says` on this connection.
fn dialed(solo: &mut Solo, conn: u64, addr: &str, says: &str) -> Vec<Action> {
    solo.node.command(solo.now, Command::Connect(addr.parse().unwrap())).unwrap();
    let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
    solo.input(Input::connected(dial, ConnId(conn)));
    solo.settle(conn);
    solo.receive(conn, says)
}

#[test]
fn a_version_1_peer_at_two_given_addresses_is_not_dialed_at_the_second_while_linked() {
    let mut solo = solo();
    dialed(&mut solo, 1, "127.0.0.1:9", &join(ALICE, None));
    let actions = dialed(&mut solo, 2, "127.0.0.2:9", &join(ALICE, None));
    assert!(actions.contains(&Action::Close { conn: ConnId(2) }), "{actions:?}");
    solo.input(Input::closed(ConnId(2)));
    for _ in 0..10 {
        let actions = solo.pass(Duration::from_secs(10));
        assert!(!actions.iter().any(|(_, action)| matches!(action, Action::Dial { .. })), "{actions:?}");
        solo.settle(1);
    }
    let actions = solo.input(Input::closed(ConnId(1)));
    let dials =
        |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Dial { .. })).count();
    let later: Vec<_> = solo.pass(Duration::from_secs(2)).into_iter().map(|(_, action)| action).collect();
    assert_eq!(dials(&actions) + dials(&later), 2, "then both are dialed");
}

#[test]
fn an_address_whose_node_sends_bye_self_is_still_dialed() {
    let mut solo = solo();
    let bye = join(ALICE, Some("n")) + "BYE|self|\n";
    dialed(&mut solo, 1, "127.0.0.1:9", &bye);
    let actions = solo.pass(Duration::from_secs(9));
    assert!(actions.iter().any(|(_, action)| matches!(action, Action::Dial { .. })), "{actions:?}");
    assert!(!actions.iter().any(|(_, action)| matches!(action, Action::Notice(Notice::IsSelf { .. }))));
}

#[test]
fn a_given_address_of_a_linked_peer_is_not_dialed_again() {
    let mut solo = solo();
    solo.peer(1, ALICE, Some("a"));
    let mut actions = solo.receive(1, "PEERS|{\"listen_addr\":\"127.0.0.1:9000\"}\n");
    let Some(Action::Dial { dial, .. }) = actions.pop() else { panic!("no dial") };
    solo.input(Input::connected(dial, ConnId(2)));
    solo.settle(2);
    solo.receive(2, &join(&ALICE.replace('1', "2"), Some("b")));
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9000".parse().unwrap())).unwrap();
    assert!(!solo.drain().iter().any(|action| matches!(action, Action::Dial { .. })));
    solo.input(Input::closed(ConnId(2)));
    let later = solo.pass(Duration::from_secs(1));
    assert!(
        later.iter().any(|(_, action)| matches!(action, Action::Dial { .. })),
        "it is dialed when the peer is gone"
    );
}

#[test]
fn a_timeout_that_drops_a_silent_peer_runs_all_that_is_due_for_its_successor() {
    let mut solo = solo();
    keyed_on(&mut solo, 1);
    keyed_on(&mut solo, 2);
    while solo.node.peers().next().is_some_and(|peer| solo.node.conns.active(peer.node_id) == Some(ConnId(1)))
    {
        solo.now = solo.node.poll_timeout().unwrap().0.max(solo.now);
        solo.input(Input::Timeout);
        let next = solo.node.poll_timeout();
        assert!(next.is_none_or(|(at, _)| at > solo.now), "{next:?} at {}", solo.now);
    }
    assert!(solo.node.peers().next().is_some());
}
