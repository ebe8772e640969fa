//! Where room is short, the address that holds most makes room, then the network that does (SPEC 5.15).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::admission::{SECOND, identity};
use super::sealed::sealing;
use super::{Solo, join, join_keyed, sent, solo, solo_of_degrees};
use crate::contract::{Action, Command, Input};
use crate::model::{Census, ChatText, ConnId, ConnLimits, Limits, MeshLimits, Plaintext, V1Limits};

const CROWD: [u8; 4] = [9, 9, 9, 9];
const ELSEWHERE: [u8; 4] = [8, 8, 8, 8];

fn keyless(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

impl Solo {
    fn accept_from(&mut self, conn: u64, ip: impl Into<IpAddr>) -> Vec<Action> {
        self.input(Input::accepted(ConnId(conn), SocketAddr::from((ip, 40_000))))
    }

    /// A peer without a key dials in from there. Whether it is linked.
    fn keyless_from(&mut self, conn: u64, ip: [u8; 4]) -> bool {
        self.accept_from(conn, ip);
        self.receive(conn, &join(&keyless(conn), None));
        self.settle(conn);
        self.is_linked(conn)
    }

    /// A peer with a key dials in from there, which has links enough. Whether it is linked.
    fn keyed_from(&mut self, conn: u64, ip: impl Into<IpAddr>, links: usize) -> bool {
        self.accept_from(conn, ip);
        let fields = format!(r#""uname":"p","links":{links}"#);
        self.receive(conn, &join_keyed(&identity(conn), conn, &fields));
        if self.node.conns.link(ConnId(conn)).is_some_and(|link| link.greeting) {
            self.prove_key(&identity(conn), conn);
        }
        self.settle(conn);
        self.is_linked(conn)
    }

    fn is_linked(&self, conn: u64) -> bool {
        self.node.conns.link(ConnId(conn)).is_some_and(|link| link.linked)
    }

    fn linked_from(&self, ip: [u8; 4]) -> usize {
        self.node.conns.links().filter(|link| link.linked && link.ip == IpAddr::from(ip)).count()
    }
}

/// How many peers without a key that dial in are linked at once.
fn most_keyless() -> u64 {
    let Limits {
        conns: ConnLimits { slots, slots_reserved, .. }, mesh: MeshLimits { degree_high, .. }, ..
    } = Limits::default();
    (slots - slots_reserved - degree_high - 1) as u64
}

#[test]
fn silent_connections_without_end_from_one_address_keep_nobody_else_out() {
    // Also not its neighbours.
    for newcomer in [ELSEWHERE, [9, 9, 9, 1]] {
        flooded_by_silence(newcomer);
    }
}

/// A flood of silent connections, among which somebody joins from there.
fn flooded_by_silence(newcomer: [u8; 4]) {
    let mut solo = solo();
    let flood = |solo: &mut Solo, conns: core::ops::Range<u64>| {
        for conn in conns {
            solo.accept_from(conn, CROWD);
            solo.pass(SECOND / 600);
        }
    };
    flood(&mut solo, 1_000..2_500);
    solo.accept_from(1, newcomer);
    // What the newcomer says takes two seconds to come.
    flood(&mut solo, 4_000..5_200);
    solo.receive(1, &join_keyed(&identity(1), 1, r#""uname":"p","links":0"#));
    flood(&mut solo, 5_200..6_400);
    solo.prove_key(&identity(1), 1);
    assert!(solo.is_linked(1));
    assert_eq!(
        solo.node.conns.links().count(),
        Limits::default().conns.pending,
        "with those that are silent"
    );
}

#[test]
fn who_comes_from_the_address_of_a_flood_gets_in_when_it_speaks_at_once() {
    let mut solo = solo();
    (1_000..2_000).for_each(|conn| _ = solo.accept_from(conn, CROWD));
    assert!(solo.keyed_from(1, CROWD, 0));
}

#[test]
fn many_peers_at_one_address_are_linked_while_there_is_room_and_make_room_for_others() {
    let (mut solo, most) = (solo(), most_keyless());
    assert!((0..most).all(|n| solo.keyless_from(1_000 + n, CROWD)), "a campus behind one address");
    assert!(!solo.keyless_from(1, CROWD), "none of them makes room for another of them");
    assert!((2..12).all(|n| solo.keyless_from(n, [8, 8, n as u8, 8])));
    assert_eq!((solo.linked_from(CROWD) as u64, solo.node.stats().displaced), (most - 10, 10));
    let first = (1_000..1_000 + most - 10).all(|conn| solo.is_linked(conn));
    assert!(first, "the youngest made room");
}

#[test]
fn a_network_with_many_addresses_makes_room_like_one_address() {
    let (mut solo, most) = (solo(), most_keyless());
    assert!((0..most).all(|n| solo.keyless_from(1_000 + n, [9, 9, 9, n as u8])));
    assert!(!solo.keyless_from(1, [9, 9, 9, 250]));
    assert!(solo.keyless_from(2, ELSEWHERE));
    assert!(!solo.is_linked(1_000 + most - 1));
}

#[test]
fn where_each_address_holds_one_a_newcomer_without_a_key_is_turned_away() {
    let (mut solo, most) = (solo(), most_keyless());
    assert!((0..most).all(|n| solo.keyless_from(1_000 + n, [9, 9, n as u8, 9])));
    assert!(!solo.keyless_from(1, ELSEWHERE));
}

#[test]
fn peers_with_a_key_at_one_address_make_room_for_one_from_a_network_elsewhere_each_five_seconds() {
    let mut solo = solo_of_degrees([2, 3, 5, 0]);
    assert!((0..5).all(|n| solo.keyed_from(1_000 + n, CROWD, 9)));
    assert!(!solo.keyed_from(1, CROWD, 9));
    assert!(solo.keyed_from(2, ELSEWHERE, 9));
    assert!(!solo.is_linked(1_004), "the youngest");
    assert!(!solo.keyed_from(3, [8, 8, 8, 9], 9), "one in a while");
    solo.now = solo.now + Limits::default().mesh.displace_every;
    assert!(solo.keyed_from(4, [8, 8, 8, 9], 9));
}

#[test]
fn who_comes_each_time_that_a_crowd_may_make_room_keeps_nobody_of_another_network_out() {
    let mut solo = solo_of_degrees([2, 3, 5, 0]);
    assert!((0..5).all(|n| solo.keyed_from(1_000 + n, CROWD, 9)));
    for n in 0..4 {
        assert!(solo.keyed_from(2_000 + n, ELSEWHERE, 9));
        // It leaves, and the crowd is as large as before.
        solo.input(Input::closed(ConnId(2_000 + n)));
        assert!(solo.keyed_from(3_000 + n, CROWD, 9));
        assert!(!solo.keyed_from(4_000 + n, ELSEWHERE, 0), "nor has it the place of anybody else");
        solo.now = solo.now + Limits::default().mesh.displace_every;
    }
    assert!(solo.keyed_from(2_009, ELSEWHERE, 9));
    assert!(solo.keyed_from(1, [7, 7, 7, 7], 9));
    assert_eq!((solo.is_linked(2_009), solo.linked_from(CROWD)), (true, 3));
}

#[test]
fn where_a_crowd_just_made_room_for_a_network_who_has_no_link_takes_a_place_of_that_network() {
    for (newcomer, again) in [(ELSEWHERE, ELSEWHERE), ([8, 8, 8, 9], [8, 8, 8, 10])] {
        let mut solo = solo_of_degrees([2, 3, 6, 0]);
        assert!((0..6).all(|n| solo.keyed_from(1_000 + n, CROWD, 9)));
        assert!(solo.keyed_from(1, ELSEWHERE, 9));
        assert!(!solo.keyed_from(2, newcomer, 9), "it has links");
        assert!(solo.keyed_from(3, newcomer, 0));
        assert_eq!((solo.is_linked(1), solo.linked_from(CROWD)), (false, 5));
        assert!(!solo.keyed_from(4, again, 0), "one in a while");
    }
}

#[test]
fn who_has_no_link_takes_the_place_of_one_of_a_crowd_and_not_of_the_last_that_came() {
    let mut solo = solo_of_degrees([2, 3, 5, 0]);
    assert!((0..4).all(|n| solo.keyed_from(1_000 + n, CROWD, 9)));
    assert!(solo.keyed_from(1, ELSEWHERE, 9));
    assert!(solo.keyed_from(2, [7, 7, 7, 7], 0));
    assert_eq!((solo.is_linked(1), solo.is_linked(1_003)), (true, false));
}

#[test]
fn nodes_of_one_network_that_know_each_other_longest_stay_linked_when_many_come_from_elsewhere() {
    let mut solo = solo_of_degrees([2, 3, 6, 0]);
    assert!((0..6).all(|n| solo.keyed_from(1_000 + n, [9, 9, 9, n as u8], 9)));
    for n in 0..8 {
        solo.now = solo.now + Limits::default().mesh.displace_every;
        solo.keyed_from(n, [8, 8, n as u8, 8], 9);
    }
    let stayed: Vec<_> = (0..6).filter(|n| solo.is_linked(1_000 + n)).collect();
    assert_eq!(stayed, [0, 1, 2], "the older half");
}

#[test]
fn who_comes_back_each_five_seconds_takes_its_own_place_and_keeps_nobody_else_out() {
    // One address, and one network with an address for each time.
    for varied in [false, true] {
        let mut solo = solo_of_degrees([2, 3, 6, 0]);
        assert!((0..5).all(|n| solo.keyed_from(n, [7, 7, n as u8, 7], 9)));
        for n in 0..6 {
            let crowd = if varied { [9, 9, 9, n as u8] } else { CROWD };
            assert!(solo.keyed_from(1_000 + n, crowd, 0));
            solo.now = solo.now + Limits::default().mesh.displace_every;
        }
        assert!((0..5).all(|n| solo.is_linked(n)), "it parts nobody else");
        assert!(solo.keyed_from(1_100, CROWD, 0));
        let again = if varied { [9, 9, 9, 10] } else { CROWD };
        assert!(!solo.keyed_from(1_101, again, 0), "not free");
        assert!(solo.keyed_from(10, ELSEWHERE, 0));
        assert!(!solo.keyed_from(11, [6, 6, 6, 6], 0), "one in a while");
    }
}

/// A full node, each of whose links is to another network. From the oldest to the youngest, these have the numbers 0 to 5.
fn full_of_networks() -> Solo {
    let mut solo = solo_of_degrees([2, 3, 6, 0]);
    assert!((0..6).all(|n| solo.keyed_from(n, [7, n as u8, 7, 7], 9)));
    solo
}

#[test]
fn two_who_come_by_turns_from_two_networks_keep_no_newcomer_out_and_do_not_push_it_out() {
    let mut solo = full_of_networks();
    let every = Limits::default().mesh.displace_every;
    for turn in 0..12 {
        // They come the moment that a link may make room, with a new key each time.
        solo.keyed_from(1_000 + turn, [[9, 9, 9, 9], [8, 8, 8, 8]][turn as usize % 2], 0);
        if turn == 2 {
            assert!(solo.keyed_from(100, [6, 6, 6, 6], 0));
        }
        assert_eq!(solo.is_linked(100), turn >= 2, "{turn}");
        assert!((0..3).all(|n| solo.is_linked(n)), "the older ones");
        solo.now = solo.now + every;
    }
}

#[test]
fn one_region_with_many_networks_keeps_no_newcomer_out_and_does_not_push_it_out_at_once() {
    let v4 = |n: u8| IpAddr::from([9, 9, n, 9]);
    let v6 = |n: u8| IpAddr::from([0x2a01, 0xdb8, u16::from(n), 0, 0, 0, 0, 1]);
    for region in [&v4 as &dyn Fn(u8) -> IpAddr, &v6] {
        let mut solo = full_of_networks();
        let every = Limits::default().mesh.displace_every;
        for turn in 0..7 {
            let in_turn = solo.keyed_from(1_000 + turn, region(turn as u8), 0);
            assert_eq!(in_turn, turn % 2 == 0, "every other turn is for others: {turn}");
            if turn == 1 {
                assert!(solo.keyed_from(100, [6, 6, 6, 6], 0));
            }
            assert_eq!(
                solo.is_linked(100),
                (1..6).contains(&turn),
                "for three more turns that all share: {turn}"
            );
            assert!((0..3).all(|n| solo.is_linked(n)), "the older ones");
            solo.now = solo.now + every;
        }
    }
}

#[test]
fn a_network_takes_a_place_from_others_once_a_minute() {
    let mut solo = full_of_networks();
    let every = Limits::default().mesh.displace_every;
    for turn in 0..=12 {
        let let_in = solo.keyed_from(1_000 + turn, [8, 8, 8, turn as u8], 0);
        assert_eq!(let_in, turn % 12 == 0, "{turn}");
        if let_in {
            // It leaves, and others take the place.
            solo.input(Input::closed(ConnId(1_000 + turn)));
            assert!(solo.keyed_from(100 + turn, [5, 5, turn as u8, 5], 9));
        }
        solo.now = solo.now + every;
    }
    assert_eq!((solo.is_linked(100), solo.is_linked(4)), (false, true), "the youngest made room");
}

#[test]
fn a_crowd_makes_room_for_who_comes_from_elsewhere_although_others_just_did() {
    let mut solo = solo_of_degrees([2, 3, 6, 0]);
    assert!((0..4).all(|n| solo.keyed_from(n, [7, 7, n as u8, 7], 9)));
    assert!((0..2).all(|n| solo.keyed_from(1_000 + n, CROWD, 9)));
    assert!(solo.keyed_from(1_002, CROWD, 0), "in the place of the youngest there");
    assert!(solo.keyed_from(10, ELSEWHERE, 9));
    assert!(!solo.is_linked(1_002));
}

#[test]
fn links_without_a_key_that_make_room_do_not_hold_up_those_with_one() {
    let (mut solo, most) = (solo_of_degrees([2, 3, 5, 0]), most_keyless() + 7);
    assert!((0..most).all(|n| solo.keyless_from(1_000 + n, CROWD)));
    assert!((0..5).all(|n| solo.keyed_from(n, CROWD, 9)));
    assert!(solo.keyless_from(100, ELSEWHERE));
    assert!(solo.keyed_from(101, ELSEWHERE, 9));
    assert_eq!(solo.node.stats().displaced, 2);
}

#[test]
fn while_a_crowd_without_a_key_floods_a_neighbour_gets_few_of_its_lines_and_the_users_words_at_once() {
    const PEERS: u64 = 100;
    let mut solo = solo();
    assert!(solo.keyed_from(1, ELSEWHERE, 0));
    assert!((0..PEERS).all(|n| solo.keyless_from(1_000 + n, CROWD)));
    let chats = |text: &str| text.lines().filter(|line| line.starts_with("CHAT|")).count();
    let (mut lines, mut own) = (0, 0);
    solo.pass(SECOND);
    for conn in (1_000..1_000 + PEERS).chain([1]) {
        solo.settle(conn);
    }
    for second in 0..10 {
        for n in 0..PEERS {
            solo.receive(1_000 + n, &format!("MSG|{second} {n}\n"));
        }
        solo.node.command(solo.now, Command::Say([ChatText::new("mine").unwrap()].into())).unwrap();
        let said = solo.drain();
        let links = said.iter().filter(|action| matches!(action, Action::SendFrame { .. }));
        assert_eq!(links.count() as u64, PEERS + 1, "at once on every link");
        own += chats(&sent(&said));
        for conn in (1_000..1_000 + PEERS).chain([1]) {
            solo.settle(conn);
        }
        for _ in 0..5 {
            let actions: Vec<_> = solo.pass(SECOND / 5).into_iter().map(|(_, action)| action).collect();
            lines += chats(&sent(&actions)) + chats(&sent(&solo.settle(1)));
            for n in 0..PEERS {
                solo.settle(1_000 + n);
            }
        }
    }
    let V1Limits { entries_per_second, entries_burst, .. } = Limits::default().v1;
    assert_eq!(own, 10);
    assert!((20..=entries_burst + 10 * entries_per_second).contains(&(lines as u32)), "{lines}");
    assert!(solo.node.stats().lines_signed > 0);
}

#[test]
fn one_that_is_expected_and_seals_makes_room_last() {
    let most = Limits::default().conns.pending as u64;
    // From the address that the user gave come handshakes; the youngest has to go, and so has the oldest.
    for (sealing_conns, newcomer, gone) in [([most - 1, most], ELSEWHERE, most - 2), ([1, 2], CROWD, 3)] {
        let mut solo = sealing(Plaintext::Loopback);
        solo.node.command(solo.now, Command::Connect("9.9.9.9:9000".parse().unwrap())).unwrap();
        solo.drain();
        for conn in 1..=most {
            solo.accept_from(conn, CROWD);
            if sealing_conns.contains(&conn) {
                solo.input(Input::sealing(ConnId(conn)));
            }
        }
        let actions = solo.accept_from(most + 1, newcomer);
        assert_eq!(actions, [Action::Abort { conn: ConnId(gone) }]);
    }
}
