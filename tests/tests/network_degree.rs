//! A network too large for a full mesh: everybody gets in, nobody has too many links, and all of them hang together; in
//! memory, in virtual time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{Limits, NodeId};
use tests::network::Network;

const SECOND: Duration = Duration::from_secs(1);

fn degree(net: &Network, index: usize) -> usize {
    net.node(index).peers().filter(|peer| peer.key.is_some()).count()
}

/// The nodes that can be reached from the first by links that both ends know of.
fn reachable(net: &Network, nodes: &[usize]) -> usize {
    let peers = |index: usize| net.node(index).peers().map(|peer| peer.node_id).collect::<BTreeSet<_>>();
    let links: Vec<_> = nodes.iter().map(|index| (net.id(*index), peers(*index))).collect();
    let mut found = BTreeSet::from([links[0].0]);
    loop {
        let more = links.iter().filter(|(id, peers)| {
            !found.contains(id)
                && links.iter().any(|(other, theirs)| {
                    found.contains(other) && peers.contains(other) && theirs.contains(id)
                })
        });
        let more: Vec<NodeId> = more.map(|(id, _)| *id).collect();
        if more.is_empty() {
            return found.len();
        }
        found.extend(more);
    }
}

fn is_settled(net: &Network, nodes: &[usize]) -> bool {
    let limits = Limits::default();
    let low = limits.degree_low.min(nodes.len() - 1);
    nodes.iter().all(|index| (low..=limits.degree_high).contains(&degree(net, *index)))
        && reachable(net, nodes) == nodes.len()
}

/// Lets time pass until the network is settled, and says how long that took.
fn settles(net: &mut Network, nodes: &[usize], bound: Duration) -> Option<Duration> {
    let start = net.now();
    while net.now().since(start) < bound {
        net.run_for(SECOND / 5);
        if is_settled(net, nodes) {
            return Some(net.now().since(start));
        }
    }
    None
}

fn degrees(net: &Network, nodes: &[usize]) -> Vec<usize> {
    nodes.iter().map(|index| degree(net, *index)).collect()
}

/// Nodes that all start at once, each with an address by `peers`, which is told its number.
fn start(net: &mut Network, count: usize, peers: impl Fn(usize) -> Option<usize>) -> Vec<usize> {
    let first = net.add_puppet();
    let nodes: Vec<_> = std::iter::once(first).chain((1..count).map(|_| net.add_puppet())).collect();
    let addrs: Vec<SocketAddr> = nodes.iter().map(|index| net.host(*index).addr).collect();
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
            let mut net = Network::new(count as u64);
            let nodes = start(&mut net, count, peers);
            let settled = settles(&mut net, &nodes, bound * SECOND);
            assert!(settled.is_some(), "{count} {name}: {:?}", degrees(&net, &nodes));
        }
    }
}
