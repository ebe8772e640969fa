//! One connection a pair, whoever dials and however often, and nobody takes another's place.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use serde_json::json;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Process};
use tests::raw::{RawPeer, join_line};
use tests::talk::Talk;
use tests::version1::random_uuid;

/// Says numbered lines from the moment that the peer is listed.
fn say_at_once(node: &mut Process, peer: &str, lines: usize) {
    node.expect_peers(&[peer], SOON);
    let text: String = (0..lines).map(|n| format!("{n}\n")).collect();
    node.type_bytes(text.as_bytes());
}

#[track_caller]
fn expect_exactly(node: &Process, from: &str, lines: usize) {
    let said: Vec<_> = (0..lines).map(|n| format!("{from}: {n}")).collect();
    node.expect_out(&said[lines - 1], SOON);
    assert_eq!(node.out().all(), said);
}

#[test]
fn two_that_dial_each_other_at_once_keep_one_connection_and_lose_nothing() {
    Driver::each_pair(|pair| {
        for _ in 0..8 {
            let alice = Launch::new(pair[0], "Alice");
            let bob = Launch::new(pair[1], "Bob").peer(alice.addr());
            let alice = alice.peer(bob.addr());
            let [mut alice, mut bob] = [alice, bob].map(|launch| launch.spawn());
            alice.expect_start();
            bob.expect_start();
            std::thread::scope(|scope| {
                scope.spawn(|| say_at_once(&mut alice, "Bob", 500));
                say_at_once(&mut bob, "Alice", 500);
            });
            expect_exactly(&alice, "Bob", 500);
            expect_exactly(&bob, "Alice", 500);
            expect_connections(&[&alice, &bob], 1);
        }
    });
}

#[test]
fn many_addresses_of_one_node_come_to_one_connection() {
    Driver::each_pair(|pair| {
        let alice = Launch::new(pair[0], "Alice").start();
        let port = alice.addr().port();
        let bob = Launch::new(pair[1], "Bob").peer(format!("localhost:{port}")).peer(alice.addr());
        let bob = bob.peer(format!("localhost:{port}")).peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.expect_peers(&["Bob"], SOON);
        expect_connections(&[&alice, &bob], 1);
    });
}

#[test]
fn three_that_all_dial_all_keep_three_connections() {
    for drivers in [[Driver::Tokio, Driver::Smol, Driver::Tokio], [Driver::Smol, Driver::Tokio, Driver::Smol]]
    {
        let names = ["Alice", "Bob", "Carol"];
        let launches = [0, 1, 2].map(|n| Launch::new(drivers[n], names[n]));
        let addrs = launches.each_ref().map(Launch::addr);
        let launches = launches.map(|launch| addrs.iter().fold(launch, Launch::peer));
        let mut nodes = launches.map(|launch| launch.spawn());
        nodes.iter().for_each(Process::expect_start);
        nodes[0].expect_peers(&["Bob", "Carol"], SOON);
        nodes[1].expect_peers(&["Alice", "Carol"], SOON);
        nodes[2].expect_peers(&["Alice", "Bob"], SOON);
        expect_connections(&nodes.each_ref(), 3);
        nodes.iter_mut().for_each(|node| node.say("hello"));
        for (node, name) in nodes.iter().zip(names) {
            let others = names.into_iter().filter(|other| *other != name);
            others.for_each(|other| node.expect_out(&format!("{other}: hello"), SOON));
        }
    }
}

#[test]
fn peers_that_list_us_and_those_we_hold_bring_about_no_second_connection() {
    Driver::each_pair(|pair| {
        let mut alice = Launch::new(pair[0], "Alice").start();
        let mut bob = Launch::new(pair[1], "Bob").peer(alice.addr()).start();
        let talk = Talk::between(&mut alice, &mut bob);
        let last = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (peer, id) = RawPeer::join(alice.addr(), "Gossip");
        let listed = [
            (alice.addr(), random_uuid()),
            (bob.addr(), random_uuid()),
            (bob.addr(), id),
            (last.local_addr().unwrap(), random_uuid()),
        ];
        let entries = listed.map(|(addr, id)| json!({"listen_addr": addr, "node_id": id}).to_string());
        peer.send(format!("PEERS|{}\n", entries.join(";")));
        // Addresses are dialed in their order, so by now the ones before it were looked at.
        drop(RawPeer::accept(&last));
        expect_connections(&[&alice, &bob], 2);
        drop(peer);
        expect_connections(&[&alice, &bob], 1);
        talk.end(&alice, &bob);
    });
}

/// Waits until so many connections are open between these nodes.
#[cfg(target_os = "linux")]
#[track_caller]
fn expect_connections(nodes: &[&Process], count: usize) {
    let ports: Vec<_> = nodes.iter().map(|node| node.addr().port()).collect();
    eventually("the right number of connections", SOON, || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
        let open = table.lines().filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
            // Each connection is listed at both ends; the one whose other end is a listener's counts.
            fields[3] == "01" && port(fields[2]).is_some_and(|port| ports.contains(&port))
        });
        open.count() == count
    });
}

#[cfg(not(target_os = "linux"))]
fn expect_connections(_: &[&Process], _: usize) {}

/// Alice with Bob, and a peer of the test's.
fn with_victim(pair: [Driver; 2]) -> (Process, Process, RawPeer, String) {
    let alice = Launch::new(pair[0], "Alice").start();
    let bob = Launch::new(pair[1], "Bob").peer(alice.addr()).start();
    let (victim, id) = RawPeer::join(alice.addr(), "Victim");
    alice.expect_peers(&["Bob", "Victim"], SOON);
    (alice, bob, victim, id)
}

/// Answers the `PING` with this number.
fn answer_ping(peer: &RawPeer, number: usize) {
    let ping = peer.lines().expect("a PING", SOON, |lines| {
        lines.iter().filter(|line| line.starts_with("PING|")).nth(number).cloned()
    });
    peer.send(format!("{}\n", ping.replace("PING", "PONG")));
}

#[test]
fn a_join_with_our_own_id_is_refused() {
    Driver::each_pair(|pair| {
        let (mut alice, bob, victim, _) = with_victim(pair);
        let own = alice.node_id();
        let thief = RawPeer::connect(alice.addr());
        thief.send(join_line(&own, "Alice"));
        thief.expect_end(SOON);
        expect_unharmed(&mut alice, &bob, &victim);
    });
}

#[test]
fn a_second_join_with_another_id_is_cut() {
    Driver::each_pair(|pair| {
        let (mut alice, bob, victim, _) = with_victim(pair);
        let (changing, _) = RawPeer::join(alice.addr(), "Changing");
        changing.send(join_line(&random_uuid(), "Changed"));
        changing.expect_end(SOON);
        expect_unharmed(&mut alice, &bob, &victim);
    });
}

#[test]
fn a_join_that_claims_a_peer_that_answers_is_refused() {
    Driver::each_pair(|pair| {
        let (mut alice, mut bob, victim, id) = with_victim(pair);
        let bobs = alice.peers().iter().find(|peer| peer["uname"] == "Bob").unwrap()["node_id"].clone();
        let thieves = [id.as_str(), bobs.as_str().unwrap()].map(|id| {
            let thief = RawPeer::connect(alice.addr());
            thief.send(join_line(id, "Thief"));
            thief
        });
        (0..2).for_each(|number| answer_ping(&victim, number));
        thieves.iter().for_each(|thief| thief.expect_end(SOON));
        expect_unharmed(&mut alice, &bob, &victim);
        bob.say("still me");
        alice.expect_out("Bob: still me", SOON);
        let heard = |line: &String| line.starts_with("MSG|");
        assert!(thieves.iter().all(|thief| !thief.lines().all().iter().any(heard)));
    });
}

#[test]
fn a_join_that_claims_a_peer_that_does_not_answer_takes_its_place() {
    Driver::each_pair(|pair| {
        let (mut alice, bob, victim, id) = with_victim(pair);
        let heir = RawPeer::connect(alice.addr());
        heir.send(join_line(&id, "Heir"));
        victim.expect_end(5 * Duration::from_secs(3));
        alice.expect_peers(&["Bob", "Heir"], SOON);
        alice.say("hello");
        heir.expect("MSG|hello", SOON);
        bob.expect_out("Alice: hello", SOON);
    });
}

/// The victim and Bob are still there and hear Alice.
#[track_caller]
fn expect_unharmed(alice: &mut Process, bob: &Process, victim: &RawPeer) {
    alice.expect_peers(&["Bob", "Victim"], SOON);
    alice.say("hello");
    victim.expect("MSG|hello", SOON);
    bob.expect_out("Alice: hello", SOON);
    victim.send("MSG|I am here\n");
    alice.expect_out("Victim: I am here", SOON);
}
