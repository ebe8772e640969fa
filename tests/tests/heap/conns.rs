//! Connections: links with what their peers name, newcomers, and buffers.

use proto_core::wire::Frame;
use proto_core::{Capacity, Limits};
use serde_json::json;

use crate::node::{Node, Report, few_tips, full, some};
use crate::solo::{HERE, SECOND, keys};

const SLOTS: usize = 60;
/// Neighbours that dial in, peers without a key that do, and those at addresses that the user gave.
const KEYED: usize = 12;
const KEYLESS: usize = SLOTS - KEYED - TARGETS;
const TARGETS: usize = 9;
const PENDING: usize = 128;
/// The ids that a peer names as linked to it.
const NAMED: usize = 256;

fn limits() -> Limits {
    few_tips().with(|limits| {
        limits.conns.slots = SLOTS;
        limits.conns.queue = 256 << 10;
        limits.conns.queue_hard = 1 << 20;
        limits.conns.queues = 9 << 20;
        limits.conns.buffers = 9 << 20;
        limits.mesh.targets = TARGETS;
        // Nobody reads, and no claim is decided.
        limits.conns.greeting = 1_000 * SECOND;
        limits.conns.first_byte = 1_000 * SECOND;
        limits.conns.probe = 1_000 * SECOND;
        limits.conns.stalled = 1_000 * SECOND;
    })
}

/// The `JOIN` on this connection of the peer without a key that has this number.
fn join(conn: usize, peer: usize) -> String {
    let (uname, id) = ("n".repeat(64), format!("00000000-0000-4000-8000-{peer:012}"));
    format!(
        "JOIN|{}\n",
        json!({"node_id": id, "uname": uname, "v": 2, "nonce": format!("{conn:032}"), "links": 0})
    )
}

/// Peers take all slots, and name as many others as they may.
fn link(node: &mut Node) {
    for conn in KEYED..SLOTS {
        if conn < KEYED + KEYLESS {
            node.solo.accept_from(conn, HERE);
        } else {
            node.solo.connect(&format!("127.0.1.{conn}:9000"));
            node.solo.dialed(conn);
        }
        node.solo.receive(conn, &join(conn, conn));
        node.solo.read(conn);
        node.forget();
    }
    let named = |of: usize, n: usize| {
        let mut bytes = *keys(of).node_id().as_bytes();
        bytes[..2].copy_from_slice(&(n as u16).to_be_bytes());
        proto_core::NodeId::from_bytes(bytes)
    };
    for conn in 0..KEYED {
        node.solo.frame(conn, &Frame::Links((0..NAMED).map(|n| named(conn, n)).collect()));
    }
    for conn in KEYED..SLOTS {
        let ids: Vec<_> = (0..NAMED).map(|n| json!({"node_id": named(conn, n)}).to_string()).collect();
        ids.chunks(32).for_each(|some| node.solo.receive(conn, &format!("PEERS|{}\n", some.join(";"))));
    }
    (0..SLOTS).for_each(|conn| node.solo.read(conn));
}

/// Newcomers claim the ids of all peers without a key, and break the rules of frames nearly as often as they may.
fn claim(node: &mut Node) {
    for (nth, of) in (KEYED..SLOTS).enumerate() {
        for n in 0..PENDING {
            let conn = 1_000 + nth * PENDING + n;
            node.solo.accept_from(conn, HERE);
            node.solo.receive(conn, &join(conn, of));
            node.forget();
        }
    }
    (0..SLOTS).for_each(|conn| node.solo.receive(conn, &"PING|\n".repeat(31)));
}

/// Connections that say no more than the beginning of a `JOIN`.
fn open(node: &mut Node) {
    for n in 0..PENDING {
        node.solo.accept_from(100_000 + n, HERE);
        node.solo.receive(100_000 + n, &format!("JOIN|{}", "x".repeat(4_000)));
        node.forget();
    }
}

/// One peer reads nothing, and the others little.
fn say(node: &mut Node) {
    for n in 0..20 {
        node.solo.say_all(50_000);
        (0..SLOTS).for_each(|conn| node.solo.receive(conn, "\n"));
        if n < 18 {
            (0..SLOTS - 1).for_each(|conn| node.solo.read(conn));
        }
        node.forget();
    }
}

/// Neighbours begin lines and do not end them.
fn begin_lines(node: &mut Node) {
    for conn in 0..KEYED {
        node.solo.receive(conn, &format!("NOISE|{}", "x".repeat(60_000)));
    }
}

pub(crate) fn links(report: &mut Report) {
    let mut node = Node::new(limits(), KEYED);
    let links = [full(Capacity::Slots), full(Capacity::DegreeHigh), full(Capacity::V1Linked)];
    node.fill("links", &links, report, link);
    node.fill("newcomers", &[full(Capacity::Probes), full(Capacity::Malformed)], report, claim);
    let open_now = [full(Capacity::Pending), some(Capacity::Connections, SLOTS + PENDING)];
    node.fill("pending connections", &open_now, report, open);
    node.fill("queues", &[full(Capacity::QueueHard)], report, say);
    node.fill("lines without an end", &[full(Capacity::Buffers), full(Capacity::Line)], report, begin_lines);
    node.check("all connections", report);
}
