//! A network too large for a full mesh: everybody gets in, nobody has too many links, and all of them hang together; in
//! memory, in virtual time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::Limits;
use tests::sim::HostId;
use tests::sim::check::parts;
use tests::sim::harness::Harness;

const SECOND: Duration = Duration::from_secs(1);

/// A network without hosts, in which what is sent at once arrives at once.
fn network(seed: u64) -> Harness {
    let mut net = Harness::new(seed);
    net.world.net_mut().0.config.split = 0.0;
    net
}

fn degree(net: &Harness, index: HostId) -> usize {
    net.node(index).peers().filter(|peer| peer.key.is_some()).count()
}

/// The nodes that can be reached from the first by links that both ends know of.
fn reachable(net: &Harness, nodes: &[HostId]) -> usize {
    parts(&net.world, nodes).iter().find(|part| part.contains(&nodes[0])).map_or(0, Vec::len)
}

fn is_settled(net: &Harness, nodes: &[HostId]) -> bool {
    let limits = Limits::default();
    let low = limits.mesh.degree_low.min(nodes.len() - 1);
    nodes.iter().all(|index| (low..=limits.mesh.degree_high).contains(&degree(net, *index)))
        && reachable(net, nodes) == nodes.len()
}

/// Lets time pass until the network is settled, and says how long that took.
fn settles(net: &mut Harness, nodes: &[HostId], bound: Duration) -> Option<Duration> {
    let start = net.now();
    while net.now().since(start) < bound {
        net.run_for(SECOND / 5);
        if is_settled(net, nodes) {
            return Some(net.now().since(start));
        }
    }
    None
}

fn degrees(net: &Harness, nodes: &[HostId]) -> Vec<usize> {
    nodes.iter().map(|index| degree(net, *index)).collect()
}

/// Nodes that all start at once, each with an address by `peers`, which is told its number.
fn start(net: &mut Harness, count: usize, peers: impl Fn(usize) -> Option<usize>) -> Vec<HostId> {
    let nodes: Vec<_> = (0..count).map(|_| net.add_host()).collect();
    let addrs: Vec<SocketAddr> = nodes.iter().map(|index| net.addr(*index)).collect();
    for (number, index) in nodes.iter().enumerate() {
        let peers: Vec<_> = peers(number).map(|other| addrs[other]).into_iter().collect();
        net.start(*index, &format!("n{number}"), &peers);
    }
    nodes
}

#[test]
fn a_network_of_any_size_hangs_together_with_few_links_a_node_however_it_starts() {
    type Peer = fn(usize) -> Option<usize>;
    let starts: [(&str, Peer); 3] = [
        ("all by one", |number| (number > 0).then_some(0)),
        ("in a chain", |number| number.checked_sub(1)),
        ("as a tree", |number| number.checked_sub(1).map(|number| number / 2)),
    ];
    for (count, bound) in [(5, 10), (14, 20), (30, 30), (200, 120)] {
        for (name, peers) in starts {
            let mut net = network(count as u64);
            let nodes = start(&mut net, count, peers);
            let settled = settles(&mut net, &nodes, bound * SECOND);
            assert!(settled.is_some(), "{count} {name}: {:?}", degrees(&net, &nodes));
        }
    }
}

#[test]
fn newcomers_get_in_whomever_they_know() {
    for seed in 0..2 {
        let mut net = network(seed);
        let mut nodes = start(&mut net, 40, |number| number.checked_sub(1));
        assert!(settles(&mut net, &nodes, 30 * SECOND).is_some(), "seed {seed}");
        net.run_for(300 * SECOND);
        for number in 0..20 {
            // All of them know nobody but one of two.
            let addr = net.addr(nodes[number % 2]);
            nodes.push(net.add_node(&format!("new {number}"), &[addr]));
            net.run_for(SECOND);
        }
        let settled = settles(&mut net, &nodes, 20 * SECOND);
        assert!(settled.is_some(), "seed {seed}: {:?}", degrees(&net, &nodes));
    }
}

#[test]
fn two_halves_with_links_enough_each_become_one_network_again() {
    for (half, seed) in [(5, 1), (10, 2), (13, 3), (20, 4)] {
        let mut net = network(seed);
        let nodes = start(&mut net, 2 * half, |number| number.checked_sub(1));
        assert!(settles(&mut net, &nodes, 30 * SECOND).is_some(), "2 * {half}");
        net.run_for(120 * SECOND);
        net.divide(&nodes[..half]);
        net.run_for(1200 * SECOND);
        let (one, other) = nodes.split_at(half);
        for half in [one, other] {
            assert!(is_settled(&net, half), "{:?}", degrees(&net, half));
        }
        assert_eq!(reachable(&net, &nodes), half);
        net.heal();
        let settled = settles(&mut net, &nodes, 120 * SECOND);
        assert!(settled.is_some(), "2 * {half}: {:?}", degrees(&net, &nodes));
        for _ in 0..60 {
            net.run_for(10 * SECOND);
            assert_eq!(reachable(&net, &nodes), nodes.len(), "and stay one: 2 * {half} at {}", net.now());
        }
    }
}

#[test]
fn a_node_that_was_cut_off_for_an_hour_is_back_ten_seconds_after_its_network_is() {
    for seed in 0..2 {
        let mut net = network(seed);
        let nodes = start(&mut net, 30, |number| number.checked_sub(1));
        assert!(settles(&mut net, &nodes, 30 * SECOND).is_some(), "seed {seed}");
        net.run_for(60 * SECOND);
        net.divide(&nodes[..1]);
        net.run_for(3600 * SECOND);
        assert_eq!(degree(&net, nodes[0]), 0);
        assert!(is_settled(&net, &nodes[1..]), "{:?}", degrees(&net, &nodes));
        net.heal();
        let back = net.run_until(10 * SECOND, |net| degree(net, nodes[0]) >= 1);
        assert!(back, "seed {seed}");
        assert!(settles(&mut net, &nodes, 20 * SECOND).is_some(), "seed {seed}: {:?}", degrees(&net, &nodes));
    }
}

/// Nodes that know each other, keep no more than a few links, and all dial one victim again and again.
fn sybils(net: &mut Harness, count: usize, victim: SocketAddr) -> Vec<HostId> {
    let limits = Limits::default().with(|limits| {
        limits.mesh.degree_low = 1;
        limits.mesh.degree_target = 2;
        limits.mesh.degree_high = 3;
        limits.mesh.degree_outbound = 1;
    });
    (0..count)
        .map(|number| net.add_node_with(&format!("sybil {number}"), &[victim], limits.clone()))
        .collect()
}

fn links_among(net: &Harness, index: HostId, others: &[HostId]) -> usize {
    let ids: BTreeSet<_> = others.iter().map(|other| net.id(*other)).collect();
    net.node(index).peers().filter(|peer| ids.contains(&peer.node_id)).count()
}

#[test]
fn whoever_dials_in_however_often_is_not_all_of_a_nodes_company() {
    for seed in 0..2 {
        let mut net = network(seed);
        let honest = start(&mut net, 30, |number| number.checked_sub(1));
        assert!(settles(&mut net, &honest, 30 * SECOND).is_some(), "seed {seed}");
        let victim = honest[7];
        let addr = net.addr(victim);
        let sybils = sybils(&mut net, 100, addr);
        for _ in 0..30 {
            net.run_for(10 * SECOND);
            let taken = links_among(&net, victim, &sybils);
            let left = links_among(&net, victim, &honest);
            assert!(taken > 0, "they do get in");
            assert!(left >= 2, "seed {seed}: {left} of {} at {}", degree(&net, victim), net.now());
            assert!(degree(&net, victim) <= Limits::default().mesh.degree_high);
            assert_eq!(reachable(&net, &honest), honest.len(), "seed {seed} at {}", net.now());
        }
    }
}

#[test]
fn a_newcomer_among_sybils_that_knows_one_honest_node_finds_the_others() {
    for seed in 0..2 {
        let mut net = network(seed);
        let honest = start(&mut net, 30, |number| number.checked_sub(1));
        assert!(settles(&mut net, &honest, 30 * SECOND).is_some(), "seed {seed}");
        let addr = net.addr(honest[3]);
        let newcomer = net.add_node("newcomer", &[addr]);
        let victim = net.addr(newcomer);
        let sybils = sybils(&mut net, 100, victim);
        net.run_for(60 * SECOND);
        for _ in 0..24 {
            net.run_for(10 * SECOND);
            let found = links_among(&net, newcomer, &honest);
            assert!(found >= 1, "seed {seed}: none of {} at {}", degree(&net, newcomer), net.now());
            assert!(links_among(&net, newcomer, &sybils) > 0, "they do get in");
        }
    }
}
