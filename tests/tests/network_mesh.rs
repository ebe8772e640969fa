//! Nodes find each other, keep one connection a pair, and come back: in memory, in virtual time.

use std::time::Duration;

use proto_core::{LeaveReason, Notice};
use tests::sim::HostId;
use tests::sim::harness::Harness;

const SECOND: Duration = Duration::from_secs(1);

/// Whether every node has all the others as peers.
fn is_full_mesh(net: &Harness, nodes: &[HostId]) -> bool {
    nodes.iter().all(|index| net.node(*index).peers().count() == nodes.len() - 1)
}

/// Every pair has exactly one connection that is open at both ends.
fn assert_one_connection_a_pair(net: &Harness, nodes: &[HostId]) {
    for index in nodes {
        let peers = net.node(*index).peers().count();
        assert_eq!(net.conns(*index).len(), peers, "of host {index}");
        assert_eq!(net.node(*index).connections(), peers, "of host {index}");
    }
}

#[test]
fn three_nodes_in_a_chain_know_each_other_in_two_seconds_and_hear_each_other_once() {
    for seed in 0..50 {
        let mut net = Harness::new(seed);
        let alice = net.add_node("Alice", &[]);
        let bob = net.add_node("Bob", &[net.addr(alice)]);
        let carol = net.add_node("Carol", &[net.addr(bob)]);
        let all = [alice, bob, carol];
        assert!(net.run_until(2 * SECOND, |net| is_full_mesh(net, &all)), "seed {seed}");
        for index in all {
            for line in 0..100 {
                net.say(index, &format!("line {line}"));
            }
        }
        net.run_for(SECOND);
        for index in all {
            for speaker in ["Alice", "Bob", "Carol"] {
                let heard = net.heard(index);
                let heard: Vec<_> =
                    heard.iter().filter_map(|line| line.strip_prefix(&format!("{speaker}: "))).collect();
                let own = net.node(index).uname().as_str() == speaker;
                let expected: Vec<_> =
                    (0..if own { 0 } else { 100 }).map(|line| format!("line {line}")).collect();
                assert_eq!(heard, expected, "seed {seed}, host {index}, {speaker}");
            }
        }
        net.run_for(15 * SECOND);
        assert_one_connection_a_pair(&net, &all);
    }
}

#[test]
fn what_is_said_during_simultaneous_dials_arrives_once_and_in_order() {
    for seed in 0..100 {
        let mut net = Harness::new(seed);
        let a = net.add_host();
        let b = net.add_host();
        let addrs = [net.addr(a), net.addr(b)];
        net.start(a, "A", &addrs[1..]);
        net.start(b, "B", &addrs[..1]);
        let mut said = [Vec::new(), Vec::new()];
        for turn in 0..400 {
            net.run_for(Duration::from_micros(500));
            for (index, said) in [a, b].into_iter().zip(&mut said) {
                if net.node(index).peers().count() > 0 {
                    net.say(index, &format!("turn {turn}"));
                    said.push(turn);
                }
            }
        }
        net.run_for(3 * SECOND);
        for (index, name, other) in [(a, "B", 1), (b, "A", 0)] {
            let expected: Vec<_> = said[other].iter().map(|turn| format!("{name}: turn {turn}")).collect();
            assert!(net.heard(index) == expected, "seed {seed}, host {index}: {:?}", net.heard(index));
            let changes = &net.transcript(index).changes;
            assert_eq!(changes.len(), 1, "seed {seed}: the peer came once and stayed: {changes:?}");
        }
        net.run_for(10 * SECOND);
        assert_one_connection_a_pair(&net, &[a, b]);
        assert_eq!(net.transcript(a).violations, []);
        assert_eq!(net.transcript(b).violations, []);
    }
}

#[test]
fn a_crowd_that_all_start_at_once_ends_as_a_full_mesh_of_single_connections() {
    for seed in 0..10 {
        let mut net = Harness::new(seed);
        let nodes: Vec<_> = (0..13).map(|_| net.add_host()).collect();
        let addrs: Vec<_> = nodes.iter().map(|index| net.addr(*index)).collect();
        for index in &nodes {
            let others: Vec<_> = addrs.iter().copied().filter(|addr| *addr != net.addr(*index)).collect();
            net.start(*index, &format!("n{index}"), &others[..3]);
        }
        assert!(net.run_until(20 * SECOND, |net| is_full_mesh(net, &nodes)), "seed {seed}");
        net.run_for(15 * SECOND);
        assert_one_connection_a_pair(&net, &nodes);
        for index in &nodes {
            net.say(*index, "hello");
        }
        net.run_for(SECOND);
        for index in &nodes {
            let mut heard = net.heard(*index);
            heard.sort();
            heard.dedup();
            assert_eq!(
                (heard.len(), net.transcript(*index).heard.len()),
                (12, 12),
                "seed {seed}, host {index}"
            );
        }
    }
}

#[test]
fn a_node_that_is_told_to_dial_itself_says_so_once_and_stops() {
    let mut net = Harness::new(1);
    let alice = net.add_host();
    let addr = net.addr(alice);
    net.start(alice, "Alice", &[addr]);
    net.run_for(60 * SECOND);
    assert_eq!(net.transcript(alice).notices, [Notice::IsSelf { target: addr.into() }]);
    assert_eq!(net.transcript(alice).dialed.len(), 1);
    assert_eq!((net.node(alice).peers().count(), net.node(alice).connections()), (0, 0));
    assert!(net.transcript(alice).violations.is_empty());
}

#[test]
fn a_peer_that_restarts_is_back_within_15_seconds_whoever_dialed() {
    for seed in 0..100 {
        for down in [1, 3, 6] {
            let mut net = Harness::new(seed);
            let alice = net.add_node("Alice", &[]);
            let bob = net.add_node("Bob", &[net.addr(alice)]);
            let carol = net.add_node("Carol", &[net.addr(bob)]);
            net.run_for(5 * SECOND);
            net.kill(alice, false);
            net.run_for(down * SECOND);
            assert_eq!(net.peer_names(bob), ["Carol"]);
            net.start(alice, "Alice", &[]);
            let back = |net: &Harness| is_full_mesh(net, &[alice, bob, carol]);
            assert!(net.run_until(15 * SECOND, back), "seed {seed}, down for {down} s");
        }
    }
}

#[test]
fn a_peer_that_vanishes_without_a_word_is_gone_after_45_seconds_at_most() {
    for seed in 0..20 {
        let mut net = Harness::new(seed);
        let alice = net.add_node("Alice", &[]);
        let bob = net.add_node("Bob", &[net.addr(alice)]);
        net.run_for(3 * SECOND);
        let vanished = net.now();
        net.kill(bob, true);
        assert!(net.run_until(60 * SECOND, |net| net.node(alice).peers().count() == 0));
        let (at, _, reason) = net.transcript(alice).changes.last().unwrap();
        assert_eq!(*reason, Some(LeaveReason::Silent));
        // What was on its way then still came.
        let last = vanished + Duration::from_millis(50);
        assert!(at.since(last) <= 45 * SECOND, "seed {seed}: {at}");
    }
}

#[test]
fn a_peer_given_by_the_user_is_dialed_until_it_is_up() {
    let mut net = Harness::new(3);
    let late = net.add_host();
    let bob = net.add_node("Bob", &[net.addr(late)]);
    net.run_for(3600 * SECOND);
    let dialed: Vec<_> = net.transcript(bob).dialed.iter().map(|(at, _)| *at).collect();
    assert!(dialed.windows(2).all(|pair| pair[1].since(pair[0]) <= 8 * SECOND + Duration::from_millis(100)));
    assert_eq!(net.transcript(bob).notices.len(), 1);
    net.start(late, "Late", &[]);
    assert!(net.run_until(9 * SECOND, |net| net.peer_names(bob) == ["Late"]));
}
