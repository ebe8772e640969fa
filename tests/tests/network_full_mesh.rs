//! Full meshes: what a say costs each link, and what brings an entry where the link from its author fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_core::{ConnId, Limits};
use tests::sim::harness::{Harness, LATENCY};
use tests::sim::{Filter, HostId, Nanos};

const SECOND: Duration = Duration::from_secs(1);
const NODES: HostId = 7;

/// What nodes sent: by whom, and the line.
type Sent = Arc<Mutex<Vec<(HostId, String)>>>;

/// Notes each line that a node sends.
struct Tap(HostId, Sent);

impl Filter for Tap {
    fn outgoing(&mut self, _: Nanos, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        self.1.lock().unwrap().push((self.0, String::from_utf8_lossy(line).into_owned()));
    }
}

/// Nodes that are all linked to each other, and no reconciliation of chance.
fn full_mesh(seed: u64) -> Harness {
    let limits = Limits::default().with(|limits| limits.chat.reconcile_every = SECOND * 3_600);
    let mut net = Harness::new(seed);
    for node in 0..NODES {
        let before: Vec<_> = node.checked_sub(1).map(|before| net.addr(before)).into_iter().collect();
        net.add_node_with(&format!("n{node}"), &before, limits.clone());
    }
    net.run_for(20 * SECOND);
    for node in 0..NODES {
        assert_eq!(net.node(node).peers().count(), NODES as usize - 1, "seed {seed}");
    }
    net
}

/// A node's end of its connection with another one.
fn end(net: &Harness, node: HostId, other: HostId) -> ConnId {
    let ends = net.conns(node).iter().copied();
    let mut ends = ends.filter(|conn| net.world.net().peer(*conn) == Some(other));
    ends.next().expect("they are linked")
}

fn has_heard(net: &Harness, node: HostId, text: &str) -> bool {
    net.heard(node).iter().any(|heard| heard.ends_with(text))
}

#[test]
fn a_say_puts_nothing_on_a_link_but_the_entry() {
    let mut nothing_else = 0;
    for seed in 0..3 {
        let mut net = full_mesh(seed);
        let sent = Sent::default();
        for node in 0..NODES {
            net.world.corrupt(node, Box::new(Tap(node, sent.clone())));
        }
        for speaker in 0..NODES {
            net.run_for(SECOND);
            sent.lock().unwrap().clear();
            net.say(speaker, "hello");
            net.run_for(SECOND);
            let lines = sent.lock().unwrap().clone();
            // The root, keep-alives and addresses have times of their own.
            let of_its_own =
                |line: &str| ["TREE|", "PING|", "PONG|", "PEERS|"].iter().any(|kind| line.starts_with(kind));
            let caused: Vec<_> = lines.iter().filter(|(_, line)| !of_its_own(line)).collect();
            let entries = caused.iter().filter(|(from, line)| *from == speaker && line.starts_with("CHAT|"));
            assert_eq!((entries.count(), caused.len()), (6, 6), "seed {seed}: {caused:?}");
            nothing_else += usize::from(lines.len() == 6);
            assert!((0..NODES).all(|node| node == speaker || has_heard(&net, node, "hello")));
        }
    }
    assert!(nothing_else >= 6, "{nothing_else}");
}

#[test]
fn what_a_dead_link_swallowed_comes_by_others_once_its_end_does_not_answer() {
    let limits = Limits::default().conns;
    for seed in 0..4 {
        let mut net = full_mesh(seed);
        // Nothing gets from the one to the other; and, half the time, back.
        let there = end(&net, 1, 0);
        net.world.net_mut().0.lose(there);
        if seed % 2 == 0 {
            let back = end(&net, 0, 1);
            net.world.net_mut().0.lose(back);
        }
        net.say(0, "can you hear me?");
        net.run_for(SECOND);
        assert!(
            (2..NODES).all(|node| has_heard(&net, node, "can you hear me?")) && !has_heard(&net, 1, "me?")
        );
        let doubted = limits.ping_idle + limits.probe + SECOND;
        assert!(net.run_until(doubted, |net| has_heard(net, 1, "can you hear me?")), "seed {seed}");
        // From then on, the others tell of what is said at once.
        net.run_for(3 * SECOND);
        net.say(0, "and now?");
        net.run_for(SECOND);
        assert!((1..NODES).all(|node| has_heard(&net, node, "and now?")), "seed {seed}");
    }
}

#[test]
fn what_was_on_its_way_on_a_link_that_ends_comes_by_others_in_two_seconds() {
    for seed in 0..4 {
        let mut net = full_mesh(seed);
        net.say(0, "good");
        net.say(0, "bye");
        let conn = end(&net, 0, 1);
        net.world.sever(conn);
        net.run_for(LATENCY.1);
        assert!(!has_heard(&net, 1, "bye"), "seed {seed}");
        assert!(net.run_until(2 * SECOND, |net| has_heard(net, 1, "bye")), "seed {seed}");
        assert_eq!(net.heard(1), ["n0: good", "n0: bye"]);
    }
}

#[test]
fn what_an_author_told_one_neighbour_before_it_died_reaches_all() {
    for seed in 0..4 {
        let mut net = full_mesh(seed);
        for node in 1..NODES - 1 {
            let there = end(&net, node, 0);
            net.world.net_mut().0.lose(there);
        }
        net.say(0, "tell them");
        net.run_for(SECOND);
        let heard = |net: &Harness| (1..NODES).filter(|node| has_heard(net, *node, "tell them")).count();
        assert_eq!(heard(&net), 1, "seed {seed}");
        net.kill(0, false);
        assert!(net.run_until(2 * SECOND, |net| heard(net) == NODES as usize - 1), "seed {seed}");
    }
}
