//! What it costs that peers join, one after the other: in memory, in virtual time.
//!
//! First they join one node, and only that. The yardstick is what version 1 nodes do, computed: upon every `JOIN` they
//! send everybody here all that they know. Then whole nodes join a network where everybody links to everybody, as it is up to
//! 13 nodes: a join makes more links there the more nodes there are, and what is told is what each link costs.

use std::time::Duration;

use proto_core::Limits;
use tests::bench::is_smoke;
use tests::bench::joiner::{join, peers_len};
use tests::bench::table::Table;
use tests::sim::harness::Harness;

fn main() {
    let (crowds, meshes): (&[u32], &[usize]) =
        if is_smoke() { (&[10, 40], &[5, 10]) } else { (&[50, 100, 200, 500, 1_000], &[5, 9, 13]) };
    one_node(crowds);
    full_mesh(meshes);
}

/// What is under way when the last of it came: more than any latency.
const SETTLED: Duration = Duration::from_millis(50);

/// More than a join takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// So many peers may be held, and what idle links say is left out.
fn limits(peers: usize) -> Limits {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let defaults = Limits::default();
    let degree_high = peers.max(defaults.mesh.degree_high);
    // With a key and without.
    let held = peers + degree_high + 1 + defaults.conns.slots_reserved;
    defaults.with(|limits| {
        limits.conns.slots = held;
        limits.mesh.degree_high = degree_high;
        limits.conns.ping_idle = NEVER;
        limits.conns.dead = NEVER;
        limits.conns.ping_answer = NEVER;
        limits.mesh.refresh_every = NEVER;
    })
}

/// What one join took.
struct Cost {
    bytes: u64,
    time: Duration,
}

fn one_node(crowds: &[u32]) {
    let headings = ["peers", "bytes a join", "version 1", "ms a join", "bytes in all", "version 1", "ratio"];
    let mut table = Table::new(headings);
    for &peers in crowds {
        let costs = join_one_node(peers);
        let last = costs.last().expect("there are joins");
        let all: u64 = costs.iter().map(|cost| cost.bytes).sum();
        let version1 = |number: u32| u64::from(number) * peers_len(number) + join(number).len() as u64;
        let all_version1: u64 = (1..=peers).map(version1).sum();
        table.row([
            peers.to_string(),
            last.bytes.to_string(),
            version1(peers).to_string(),
            format!("{:.0}", last.time.as_secs_f64() * 1e3),
            all.to_string(),
            all_version1.to_string(),
            format!("{:.4}", all as f64 / all_version1 as f64),
        ]);
    }
    table.print("Peers join one node; a join is the last one, its time virtual, up to the answer");
}

fn join_one_node(peers: u32) -> Vec<Cost> {
    let mut net = Harness::new(1);
    let node = net.add_node_with("Node", &[], limits(peers as usize));
    let raw_peer = net.add_raw_peer();
    let mut costs = Vec::new();
    for number in 1..=peers {
        let (began, before) = (net.now(), net.bytes_sent());
        let join = join(number);
        let conn = net.connect(raw_peer, node);
        net.send(conn, &join);
        let answered = net.run_until(PATIENCE, |net| net.received(raw_peer, conn).contains("PEERS|"));
        assert!(answered, "peer {number} is not answered");
        let time = net.now().since(began);
        net.run_for(SETTLED);
        costs.push(Cost { bytes: net.bytes_sent() - before + join.len() as u64, time });
    }
    assert_eq!(net.node(node).peers().count(), peers as usize);
    costs
}

fn full_mesh(meshes: &[usize]) {
    let mut table = Table::new(["nodes", "bytes a link", "s a join", "bytes in all"]);
    for &nodes in meshes {
        let costs = join_full_mesh(nodes);
        let last = costs.last().expect("there are joins");
        table.row([
            nodes.to_string(),
            (last.bytes / costs.len() as u64).to_string(),
            format!("{:.1}", last.time.as_secs_f64()),
            costs.iter().map(|cost| cost.bytes).sum::<u64>().to_string(),
        ]);
    }
    table
        .print("Whole nodes join a full mesh; a join is the last one, its time virtual, up to its last link");
}

fn join_full_mesh(nodes: usize) -> Vec<Cost> {
    let mut net = Harness::new(1);
    let first = net.add_node_with("Node 0", &[], limits(nodes));
    let addr = net.addr(first);
    let join = |number: usize| {
        let (began, before) = (net.now(), net.bytes_sent());
        let node = net.add_node_with(&format!("Node {number}"), &[addr], limits(nodes));
        let linked = net.run_until(PATIENCE, |net| net.node(node).peers().count() == number);
        assert!(linked, "node {number} does not link to everybody");
        let time = net.now().since(began);
        net.run_for(SETTLED);
        Cost { bytes: net.bytes_sent() - before, time }
    };
    (1..nodes).map(join).collect()
}
