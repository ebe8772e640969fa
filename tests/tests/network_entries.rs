//! Entries in whole networks: whom they reach, what they cost, and what heals.

use std::time::Duration;

use proto_core::{ChatText, Command, ConnId, Limits, LinkRole, Message, Notice, Outcome, Stats};
use tests::sim::harness::{Harness, LATENCY};
use tests::sim::{HostId, Latency, NetConfig};

const SECOND: Duration = Duration::from_secs(1);

/// So many nodes, each dialing the one before.
fn chain(seed: u64, count: usize, limits: &Limits) -> (Harness, Vec<HostId>) {
    let mut net = Harness::new(seed);
    let mut nodes: Vec<HostId> = Vec::new();
    for n in 0..count {
        let before: Vec<_> = nodes.last().map(|index| net.addr(*index)).into_iter().collect();
        nodes.push(net.add_node_with(&format!("n{n}"), &before, limits.clone()));
    }
    (net, nodes)
}

fn sum(net: &Harness, nodes: &[HostId], of: impl Fn(&Stats) -> u64) -> u64 {
    nodes.iter().map(|index| of(&net.node(*index).stats())).sum()
}

/// A version 1 peer's connection to a node, greeted.
fn old_peer(net: &mut Harness, raw_peer: HostId, host: HostId, id: u128) -> ConnId {
    let conn = net.connect(raw_peer, host);
    let id = format!("{id:08x}-0000-4000-8000-000000000000");
    net.send(conn, format!("JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Old\"}}\n\n"));
    net.run_for(SECOND);
    conn
}

/// What the network says to a version 1 peer that is linked to these nodes.
fn old_peers_word(net: &Harness, nodes: &[HostId]) -> String {
    let records: Vec<_> =
        nodes.iter().map(|index| format!("{{\"node_id\":\"{}\"}}", net.id(*index))).collect();
    format!("PEERS|{}\n", records.join(";"))
}

#[test]
fn in_a_full_mesh_one_say_costs_each_other_node_one_copy_and_one_hop() {
    for seed in 0..5 {
        let (mut net, nodes) = chain(seed, 8, &Limits::default());
        let latency = Latency::Constant(LATENCY.1);
        net.world.net_mut().0.config = NetConfig { latency, ..NetConfig::default() };
        net.run_for(20 * SECOND);
        for (turn, speaker) in nodes.iter().enumerate() {
            let sent = sum(&net, &nodes, |stats| stats.entries_sent);
            net.say(*speaker, &format!("hello {turn}"));
            // Less than two of them take.
            net.run_for(LATENCY.1 * 3 / 2);
            for index in nodes.iter().filter(|index| *index != speaker) {
                let last = net.heard(*index).pop();
                assert_eq!(last.as_deref(), Some(&*format!("n{turn}: hello {turn}")), "seed {seed}: one hop");
            }
            net.run_for(2 * SECOND);
            assert_eq!(sum(&net, &nodes, |stats| stats.entries_sent) - sent, 7, "seed {seed}, turn {turn}");
        }
        assert_eq!(sum(&net, &nodes, |stats| stats.entries_known), 0, "seed {seed}");
    }
}

#[test]
fn where_links_are_few_each_entry_still_reaches_each_node_once() {
    let limits = Limits::default().with(|limits| {
        limits.mesh.degree_low = 3;
        limits.mesh.degree_target = 3;
        limits.mesh.degree_high = 4;
    });
    for seed in 0..3 {
        let (mut net, nodes) = chain(seed, 30, &limits);
        net.run_for(60 * SECOND);
        let (again, taken) = (sum(&net, &nodes, |s| s.entries_known), sum(&net, &nodes, |s| s.entries));
        for speaker in &nodes {
            net.say(*speaker, "hello");
            net.run_for(SECOND);
        }
        net.run_for(5 * SECOND);
        for index in &nodes {
            let mut heard = net.heard(*index);
            assert_eq!(heard.len(), nodes.len() - 1, "seed {seed}");
            heard.sort();
            heard.dedup();
            assert_eq!(heard.len(), nodes.len() - 1, "seed {seed}");
            assert!(net.node(*index).peers().count() <= 5, "seed {seed}");
        }
        let taken = sum(&net, &nodes, |s| s.entries) - taken;
        let again = sum(&net, &nodes, |s| s.entries_known) - again;
        assert_eq!(taken, 30 * 29);
        assert!(again * 50 <= taken, "seed {seed}: {again} copies too many for {taken}");
    }
}

#[test]
fn what_is_said_in_one_burst_travels_under_one_signature() {
    let (mut net, nodes) = chain(1, 3, &Limits::default());
    net.run_for(5 * SECOND);
    let lines: Vec<_> = (0..100).map(|n| ChatText::new(format!("line {n}")).unwrap()).collect();
    let outcome = net.command(nodes[0], Command::Say(lines)).unwrap();
    let Outcome::Said(entries) = outcome else { panic!("{outcome:?}") };
    assert_eq!((entries.len(), entries[0].texts().len(), entries[0].seq()), (1, 100, 0));
    net.run_for(SECOND);
    for index in &nodes[1..] {
        let expected: Vec<_> = (0..100).map(|n| format!("n0: line {n}")).collect();
        assert_eq!(net.heard(*index), expected);
        assert_eq!(net.node(*index).stats().entries, 1);
        assert_eq!(net.node(*index).entries().next(), Some(&entries[0]));
    }
}

#[test]
fn a_node_that_joins_sees_the_recent_conversation_in_order() {
    let (mut net, nodes) = chain(1, 4, &Limits::default());
    net.run_for(5 * SECOND);
    for n in 0..50 {
        net.say(nodes[n % 4], &format!("line {n}"));
        net.run_for(SECOND);
    }
    let addr = net.addr(nodes[2]);
    let late = net.add_node("late", &[addr]);
    net.run_for(6 * SECOND);
    let mut shown = net.heard(late);
    shown.sort_by_key(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    assert_eq!(shown.len(), 50);
    for name in ["n0", "n1", "n2", "n3"] {
        let of = |lines: &[String]| -> Vec<_> {
            lines.iter().filter(|line| line.starts_with(name)).cloned().collect()
        };
        assert_eq!(of(&net.heard(late)), of(&shown), "each author's in its order");
    }
    let (all, here) = (net.node(late).entries(), net.node(nodes[0]).entries());
    assert!(all.eq(here), "the window is the same, in the same order");
}

#[test]
fn a_node_that_was_cut_off_for_an_hour_has_everything_within_seconds_of_its_return() {
    for seed in 0..5 {
        let (mut net, nodes) = chain(seed, 6, &Limits::default());
        net.run_for(10 * SECOND);
        net.divide(&nodes[5..]);
        for n in 0..60 {
            net.say(nodes[n % 5], &format!("line {n}"));
            net.run_for(60 * SECOND);
        }
        net.say(nodes[5], "is anybody there?");
        net.run_for(SECOND);
        assert_eq!(net.heard(nodes[5]), [""; 0]);
        net.heal();
        let back = |net: &Harness| net.heard(nodes[5]).len() == 60;
        assert!(net.run_until(15 * SECOND, back), "seed {seed}: {}", net.heard(nodes[5]).len());
        net.run_for(2 * SECOND);
        for index in &nodes[..5] {
            assert_eq!(net.heard(*index).pop().as_deref(), Some("n5: is anybody there?"), "seed {seed}");
        }
    }
}

#[test]
fn what_is_said_to_nobody_goes_to_those_who_come() {
    let mut net = Harness::new(1);
    let alice = net.add_node("Alice", &[]);
    net.say(alice, "hello?");
    net.say(alice, "anybody?");
    assert_eq!(net.transcript(alice).notices, [Notice::Alone], "told once");
    let addr = net.addr(alice);
    let bob = net.add_node("Bob", &[addr]);
    net.run_for(5 * SECOND);
    assert_eq!(net.heard(bob), ["Alice: hello?", "Alice: anybody?"]);
}

#[test]
fn a_version_1_peer_and_a_network_hear_each_other_each_message_once() {
    for seed in 0..5 {
        let mut net = Harness::new(seed);
        let (mut net, nodes) = {
            let alice = net.add_node("Alice", &[]);
            let addr = net.addr(alice);
            let bob = net.add_node("Bob", &[addr]);
            let carol = net.add_node("Carol", &[addr]);
            (net, [alice, bob, carol])
        };
        let old = net.add_raw_peer();
        net.run_for(5 * SECOND);
        // It is linked to two of the three.
        let conns = [old_peer(&mut net, old, nodes[0], 1), old_peer(&mut net, old, nodes[1], 1)];
        for conn in conns {
            let word = old_peers_word(&net, &nodes[..2]);
            net.send(conn, word);
        }
        net.run_for(SECOND);
        for conn in conns {
            net.send(conn, "MSG|good old days\n");
        }
        net.run_for(5 * SECOND);
        for index in nodes {
            assert_eq!(net.heard(index), ["Old: good old days"], "seed {seed}");
        }
        net.say(nodes[0], "from Alice");
        net.say(nodes[2], "from Carol");
        net.run_for(5 * SECOND);
        let got: String = conns.iter().map(|conn| net.received(old, *conn)).collect();
        // Each of those linked says its own words; of the others one tells.
        assert_eq!(got.matches("MSG|from Alice\n").count(), 1, "seed {seed}: {got}");
        assert_eq!(got.matches("MSG|Carol: from Carol\n").count(), 1, "seed {seed}: {got}");
        assert!(!got.contains("good old days") && !got.contains("CHAT|"), "seed {seed}: {got}");
    }
}

#[test]
fn one_whose_clock_is_off_is_told_and_its_entries_wait() {
    let (mut net, nodes) = chain(1, 4, &Limits::default());
    net.run_for(5 * SECOND);
    let wrong = nodes[3];
    net.world.set_clock(wrong, 600_000);
    net.say(wrong, "from the future");
    for index in &nodes[..3] {
        net.say(*index, "now");
        net.run_for(SECOND);
    }
    let told = |index: HostId| {
        let off = |notice: &Notice| match notice {
            Notice::ClockOff { ahead_ms, .. } => Some(*ahead_ms / 1_000),
            _ => None,
        };
        net.transcript(index).notices.iter().find_map(off)
    };
    assert!(matches!(told(wrong), Some(595..=600)), "{:?}", net.transcript(wrong).notices);
    for index in &nodes[..3] {
        assert_eq!(told(*index), None);
        assert_eq!(net.node(*index).status().entries.parked, 1);
        assert!(!net.heard(*index).contains(&"n3: from the future".to_owned()));
    }
    net.run_for(Duration::from_secs(600));
    for index in &nodes[..3] {
        assert!(net.heard(*index).contains(&"n3: from the future".to_owned()), "it is due");
    }
}

#[test]
fn the_status_shows_links_tree_and_round_trips() {
    let (mut net, nodes) = chain(1, 5, &Limits::default());
    net.run_for(30 * SECOND);
    let roots: Vec<_> = nodes.iter().map(|index| net.node(*index).status().tree.root).collect();
    assert!(roots[0].is_some() && roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    for index in &nodes {
        let status = net.node(*index).status();
        assert_eq!(status.links.len(), 4);
        for link in &status.links {
            let trip = link.round_trip.expect("it was pinged");
            // What was sent before the `PING` takes its time on the link, too.
            let most = LATENCY.1 * 2 + Duration::from_millis(1);
            assert!(trip >= LATENCY.0 * 2 && trip <= most, "{trip:?}");
        }
        let parents = status.links.iter().filter(|link| link.role == LinkRole::Parent).count();
        assert_eq!(parents, usize::from(roots[0] != Some(status.node_id)));
        assert_eq!(status.tree.distance, Some(u16::from(roots[0] != Some(status.node_id))));
    }
    // What is shown is what was signed.
    net.say(nodes[0], "hello");
    net.run_for(SECOND);
    let entry = net.node(nodes[1]).entries().next().expect("it is held");
    let message = Message::Entry { entry: entry.clone(), marks: Default::default() };
    assert!(message.is_signed() && message.texts().eq(["hello"]) && message.node_id() == net.id(nodes[0]));
}
