use alloc::format;
use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

use super::*;
use crate::model::{Census, DialId, MeshLimits};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn identity(n: u64) -> Identity {
    let mut secret = [9; 32];
    secret[..8].copy_from_slice(&n.to_le_bytes());
    Identity::from_secret(&secret)
}

/// The address at which the peer with this number can be dialed.
pub(super) fn addr(n: u64) -> SocketAddr {
    SocketAddr::from(([127, 9, 0, n as u8], 9000))
}

fn ids(count: u64) -> String {
    let ids = (0..count).map(|n| format!("{}", identity(1000 + n).node_id()));
    format!("LINKS|{}\n", ids.collect::<Vec<_>>().join(";"))
}

/// `PEERS` with the addresses of these peers.
pub(super) fn peers(numbers: impl Iterator<Item = u64>) -> String {
    let record = |n| format!(r#"{{"node_id":"{}","listen_addr":"{}"}}"#, identity(n).node_id(), addr(n));
    format!("PEERS|{}\n", numbers.map(record).collect::<Vec<_>>().join(";"))
}

/// Peers with a key. Each has the number of its connection.
impl Solo {
    /// The peer sends `JOIN` on an open connection.
    pub(super) fn introduce(&mut self, n: u64, links: usize) -> Vec<Action> {
        let fields = format!(r#""uname":"p{n}","listen_addr":"{}","links":{links}"#, addr(n));
        self.receive(n, &join_keyed(&identity(n), n, &fields))
    }

    pub(super) fn prove(&mut self, n: u64) -> Vec<Action> {
        self.prove_key(&identity(n), n)
    }

    /// The peer dials in, and is admitted if there is room. Returns what it was sent.
    pub(super) fn dial_in(&mut self, n: u64, links: usize) -> String {
        sent_on(&self.dial_in_actions(n, links), n)
    }

    pub(super) fn dial_in_actions(&mut self, n: u64, links: usize) -> Vec<Action> {
        let mut actions = self.accept(n);
        actions.extend(self.introduce(n, links));
        actions.extend(self.settle(n));
        if self.node.conns.link(ConnId(n)).is_some_and(|link| link.greeting) {
            actions.extend(self.prove(n));
            actions.extend(self.settle(n));
            actions.extend(self.answers(&actions, n));
        }
        actions
    }

    /// The peer answers what it was sent. Returns the actions that follow.
    pub(super) fn answers(&mut self, actions: &[Action], n: u64) -> Vec<Action> {
        let mut all = Vec::new();
        let mut text = answers(&sent_on(actions, n));
        while !text.is_empty() {
            let mut more = self.receive(n, &text);
            more.extend(self.settle(n));
            text = answers(&sent_on(&more, n));
            all.extend(more);
        }
        all
    }

    /// The peer answers a dial of the node.
    pub(super) fn answer(&mut self, dial: DialId, n: u64, links: usize) {
        self.input(Input::connected(dial, ConnId(n)));
        let mut actions = self.introduce(n, links);
        actions.extend(self.prove(n));
        actions.extend(self.settle(n));
        self.answers(&actions, n);
    }

    pub(super) fn dial_to(&self, actions: &[Action], n: u64) -> Option<DialId> {
        actions.iter().find_map(|action| match action {
            Action::Dial { dial, addr: to, .. } if *to == addr(n) => Some(*dial),
            _ => None,
        })
    }

    pub(super) fn linked(&self) -> Vec<u64> {
        let active = self.node.peers().filter_map(|peer| self.node.conns.active(peer.node_id));
        let conns = active.map(|conn| conn.0).collect::<alloc::collections::BTreeSet<_>>();
        conns.into_iter().collect()
    }

    /// Lets time pass. All that is sent is flushed, and all peers answer.
    pub(super) fn live(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut all = Vec::new();
        while self.now < end {
            let mut actions: Vec<_> = self.pass(SECOND).into_iter().map(|(_, action)| action).collect();
            for n in self.linked() {
                actions.extend(self.receive(n, "\n"));
                actions.extend(self.settle(n));
                actions.extend(self.answers(&actions, n));
            }
            all.extend(actions);
        }
        all
    }
}

/// What was sent on a connection.
fn sent_on(actions: &[Action], n: u64) -> String {
    let on = |action: &&Action| matches!(action, Action::SendFrame { conn, .. } if conn.0 == n);
    sent(&actions.iter().filter(on).cloned().collect::<Vec<_>>())
}

pub(super) fn turned_away(got: &str) -> bool {
    got.contains("PEERS|") && got.ends_with("BYE|full|\n")
}

#[test]
fn newcomers_are_admitted_up_to_degree_high_and_then_turned_away_without_a_proof_of_this_node() {
    let high = Limits::default().mesh.degree_high as u64;
    let mut solo = solo();
    for n in 1..=high {
        assert!(!turned_away(&solo.dial_in(n, 3)), "{n}");
    }
    let got = solo.dial_in(high + 1, 8);
    assert!(turned_away(&got) && !got.contains("PROOF"), "{got}");
    assert_eq!(got.matches("node_id").count() - 1, high as usize, "it is sent the linked peers: {got}");
    assert_eq!(solo.node.conns.degree(), high as usize);
    assert_eq!(solo.node.stats().turned_away, 1);
}

#[test]
fn peers_without_a_key_do_not_count_in_the_degree() {
    let high = Limits::default().mesh.degree_high as u64;
    let mut solo = solo();
    for n in 100..140 {
        solo.peer(n, &format!("00000000-0000-4000-8000-000000000{n}"), Some("n"));
    }
    for n in 1..=high {
        assert!(!turned_away(&solo.dial_in(n, 3)), "{n}");
    }
    assert_eq!(solo.node.peers().count() as u64, 40 + high);
}

#[test]
fn a_newcomer_without_links_displaces_the_youngest_link_at_most_every_five_seconds() {
    let high = Limits::default().mesh.degree_high as u64;
    let mut solo = solo();
    for n in 1..=high {
        solo.dial_in(n, 3);
        solo.now = solo.now + SECOND / 100;
    }
    solo.settle(high);
    let actions = solo.dial_in_actions(50, 0);
    assert!(!turned_away(&sent_on(&actions, 50)));
    assert_eq!(solo.linked(), (1..high).chain([50]).collect::<Vec<_>>(), "the youngest is gone");
    assert!(turned_away(&sent_on(&actions, high)), "it was sent other peers: {actions:?}");
    assert!(turned_away(&solo.dial_in(51, 0)), "not another one so soon");
    solo.now = solo.now + (Limits::default().mesh.displace_every - SECOND / 100);
    assert!(turned_away(&solo.dial_in(52, 0)));
    solo.now = solo.now + SECOND / 100;
    assert!(!turned_away(&solo.dial_in(53, 0)));
    assert_eq!(solo.linked(), (1..high).chain([53]).collect::<Vec<_>>());
    assert_eq!(solo.node.stats().displaced, 2);
}

#[test]
fn neighbours_of_each_other_admit_an_outsider_whichever_side_dials() {
    let high = Limits::default().mesh.degree_high as u64;
    for dials in [false, true] {
        let mut solo = solo();
        let us = solo.node.id();
        let circle = (1..=high).map(|n| identity(n).node_id()).chain([us]);
        let circle = format!("LINKS|{}\n", circle.map(|id| id.to_string()).collect::<Vec<_>>().join(";"));
        for n in 1..=high {
            solo.dial_in(n, 12);
        }
        assert!(turned_away(&solo.dial_in(50, 8)), "no peer has sent `LINKS` yet");
        for n in 1..=high {
            solo.receive(n, &circle);
        }
        if dials {
            // With enough own dials, another one needs a reason.
            (1..=4).for_each(|n| solo.node.conns.take_for_own_dial(ConnId(n), addr(n)));
            solo.receive(1, &peers([51].into_iter()));
            let explored = (0..60).find_map(|_| {
                let actions = solo.live(SECOND);
                solo.dial_to(&actions, 51)
            });
            solo.answer(explored.expect("it is explored"), 51, 8);
        } else {
            solo.dial_in(51, 8);
            assert!(turned_away(&solo.dial_in(52, 8)), "the full mesh has an outsider by now");
        }
        assert_eq!(solo.linked(), (1..high).chain([51]).collect::<Vec<_>>(), "the youngest is gone: {dials}");
    }
}

#[test]
fn a_newcomer_with_few_links_displaces_a_peer_with_more_than_it_needs() {
    let MeshLimits { degree_high, degree_low, degree_target, .. } = MeshLimits::default();
    let high = degree_high as u64;
    let mut solo = solo();
    for n in 1..=high {
        solo.dial_in(n, 3);
    }
    assert!(turned_away(&solo.dial_in(50, degree_low - 1)), "no peer has more links");
    solo.receive(4, &ids(degree_target as u64));
    assert!(turned_away(&solo.dial_in(51, degree_low - 1)), "no peer has more links than it needs");
    solo.receive(4, &ids(degree_target as u64 + 1));
    assert!(turned_away(&solo.dial_in(52, degree_low)), "the newcomer has enough links");
    assert!(!turned_away(&solo.dial_in(53, degree_low - 1)));
    assert!(!solo.linked().contains(&4) && solo.linked().contains(&53));
}

#[test]
fn own_dials_and_links_to_given_addresses_are_never_displaced() {
    let mut solo = solo_of_degrees([1, 2, 3, 2]);
    solo.dial_in(20, 1);
    solo.now = solo.now + SECOND;
    // The given address leads to a peer that has dialed in: its link stays, and the dial is not needed.
    solo.dial_in(21, 1);
    solo.node.command(solo.now, Command::Connect(addr(21).into())).unwrap();
    let actions = solo.drain();
    let dial = solo.dial_to(&actions, 21).unwrap();
    let Node { mesh, cx, conns, .. } = &mut solo.node;
    let dialed = mesh.connected(cx, dial, None, conns).unwrap();
    mesh.reached(cx, dialed, identity(21).node_id(), conns);
    solo.now = solo.now + SECOND;
    let actions = solo.receive(21, &peers([90].into_iter()));
    let dial = solo.dial_to(&actions, 90).unwrap();
    solo.answer(dial, 90, 1);
    assert_eq!(solo.linked(), [20, 21, 90]);
    assert!(!turned_away(&solo.dial_in(91, 0)));
    assert_eq!(solo.linked(), [21, 90, 91], "the oldest is displaced: the others are protected");
    solo.now = solo.now + 5 * SECOND;
    assert!(!turned_away(&solo.dial_in(92, 0)));
    assert_eq!(solo.linked(), [21, 90, 92]);
    assert!(turned_away(&solo.dial_in(93, 0)), "one at most every five seconds");
}

#[test]
fn room_is_kept_for_own_dials_while_there_are_addresses_to_dial() {
    let MeshLimits { degree_high, degree_outbound, .. } = MeshLimits::default();
    let mut solo = solo();
    solo.dial_in(1, 3);
    solo.receive(1, &peers(100..120));
    let places = (degree_high - degree_outbound) as u64;
    for n in 2..=places {
        assert!(!turned_away(&solo.dial_in(n, 3)), "{n}");
    }
    assert!(turned_away(&solo.dial_in(50, 3)), "the rest is kept for own dials");
    // Nobody is at these addresses, so no room is kept for them.
    for _ in 0..200 {
        solo.live(SECOND / 2);
        for dial in solo.node.mesh.under_way() {
            solo.input(Input::dial_failed(dial, DialError::Refused));
        }
    }
    for n in 60..60 + degree_outbound as u64 {
        assert!(!turned_away(&solo.dial_in(n, 3)), "{n}");
    }
    assert_eq!(solo.node.conns.degree(), degree_high);
}

#[test]
fn inbound_links_make_room_for_own_dials() {
    let MeshLimits { degree_high, .. } = MeshLimits::default();
    let mut solo = solo();
    for n in 1..=degree_high as u64 {
        solo.dial_in(n, 3);
    }
    let actions = solo.receive(1, &peers([90].into_iter()));
    let dial = solo.dial_to(&actions, 90).expect("none of the links is our own dial");
    solo.answer(dial, 90, 8);
    assert!(solo.linked().contains(&90));
    assert_eq!(solo.node.conns.degree(), degree_high, "it displaced another one");
}

#[test]
fn a_dialed_node_that_turns_us_away_is_no_peer_and_its_peers_are_learned() {
    let mut solo = solo();
    solo.dial_in(1, 3);
    let actions = solo.receive(1, &peers([90].into_iter()));
    let dial = solo.dial_to(&actions, 90).unwrap();
    solo.input(Input::connected(dial, ConnId(90)));
    let mut actions = solo.introduce(90, 12);
    actions.extend(solo.receive(90, &(peers([91].into_iter()) + "BYE|full|\n")));
    assert!(!actions.iter().any(|action| matches!(action, Action::RegisterPeer(_))), "{actions:?}");
    assert!(solo.dial_to(&actions, 91).is_some());
    assert_eq!(solo.node.stats().violations, 0);
    assert_eq!(solo.node.mesh.worth_dialing(identity(0).node_id()), 2, "both may be alive");
}

#[test]
fn surplus_own_dials_are_trimmed_down_to_degree_outbound() {
    let MeshLimits { degree_target, degree_outbound, .. } = MeshLimits::default();
    let mut solo = solo();
    solo.dial_in(1, 3);
    let mut actions = solo.receive(1, &peers(100..105));
    for _ in 0..20 {
        actions.extend(solo.live(SECOND));
        for n in 100..105 {
            if let Some(dial) = solo.dial_to(&actions, n)
                && solo.node.mesh.under_way().contains(&dial)
            {
                solo.answer(dial, n, 9);
            }
        }
    }
    assert_eq!(solo.linked(), [1, 100, 101, 102, 103, 104]);
    for n in 2..=6 {
        solo.dial_in(n, 9);
    }
    assert_eq!(solo.node.conns.degree(), 11);
    solo.live(15 * SECOND);
    assert_eq!(solo.node.stats().trimmed, 0, "the network may be small");
    solo.receive(1, &peers(120..125));
    let dialing = solo.node.mesh.under_way();
    assert!(dialing.is_empty(), "there are enough links");
    solo.live(20 * SECOND);
    assert!(solo.node.conns.degree() > degree_target);
    assert_eq!(solo.node.stats().trimmed, 1, "one of five own dials was too many");
    let own = solo.linked().into_iter().filter(|n| (100..105).contains(n)).count();
    assert_eq!(own, degree_outbound);
}

#[test]
fn a_neighbour_is_sent_some_peers_about_every_minute() {
    let mut solo = solo();
    for n in 1..=5 {
        solo.dial_in(n, 3);
    }
    solo.live(SECOND);
    let said = sent(&solo.live(600 * SECOND));
    let count = said.matches("PEERS|").count();
    assert!((7..=14).contains(&count), "{count}");
    assert!(
        said.lines()
            .filter(|line| line.starts_with("PEERS|"))
            .all(|line| line.matches("node_id").count() == 4)
    );
}
