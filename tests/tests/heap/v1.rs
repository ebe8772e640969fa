//! Peers without a key, and what they say.

use proto_core::{Capacity, ChatText, Draft, Limits, RunPosition, Via};

use crate::node::{Node, Report, few_tips, full, some};
use crate::solo::{EPOCH_MS, keys};

/// So many peers without a key.
const SPEAKERS: usize = 8;
/// A line is known by so many ways (SPEC 6).
const WAYS: usize = 8;

fn limits() -> Limits {
    few_tips().with(|limits| {
        limits.v1.lines = 600;
        limits.v1.waiting = 300;
        limits.v1.waiting_bytes = 256 << 10;
        limits.conns.slots = 40;
    })
}

fn uname() -> String {
    "n".repeat(64)
}

/// The `JOIN` of a peer of version 1.
fn join(n: usize) -> String {
    format!("JOIN|{{\"node_id\":\"00000000-0000-4000-8000-{n:012}\",\"uname\":\"{}\"}}\n", uname())
}

/// A node with one neighbour, and with peers without a key, of which as many as there can be have left.
fn node(report: &mut Report) -> Node {
    let mut node = Node::new(limits(), 1);
    node.fill("peers that left", &[full(Capacity::V1Lost)], report, |node| {
        for n in (100..150).chain(100 - SPEAKERS..100) {
            node.solo.accept_from(n, [127, 0, 0, (n % 250) as u8]);
            node.solo.receive(n, &join(n));
            node.solo.read(n);
            if n >= 100 {
                node.solo.close(n);
            }
        }
    });
    node
}

/// Lines that came by as many ways as are told apart: by entries of so many authors.
fn brought(node: &mut Node, texts: &[ChatText]) {
    let (speaker, uname) =
        ("00000000-0000-4000-8000-000000000099".parse().unwrap(), uname().parse().unwrap());
    let via = Via::new(speaker, uname);
    let name = "Eve".parse().unwrap();
    for author in 0..WAYS {
        let mut draft = Draft::new(1, RunPosition::FIRST, EPOCH_MS, &name, texts, [7; 16]);
        draft.via = Some(&via);
        node.take(0, &keys(100 + author).sign_entry(&draft));
    }
}

/// The peers say so many lines, each of so many bytes.
fn say(node: &mut Node, count: usize, len: usize) {
    for n in 0..count {
        node.solo.receive(100 - SPEAKERS + n % SPEAKERS, &format!("MSG|{n:0len$}\n"));
        node.settle();
    }
}

pub(crate) fn short_lines(report: &mut Report) {
    let texts: Vec<_> = (0..300).map(|n| ChatText::new(format!("w{n}")).unwrap()).collect();
    let mut node = node(report);
    node.fill("lines that came by many ways", &[some(Capacity::V1Lines, 300)], report, |node| {
        brought(node, &texts);
    });
    node.fill("lines that wait", &[full(Capacity::V1Lines), full(Capacity::V1Waiting)], report, |node| {
        say(node, 300, 1);
    });
    node.check("short lines", report);
}

pub(crate) fn long_lines(report: &mut Report) {
    let mut node = node(report);
    node.fill("long lines", &[full(Capacity::V1WaitingBytes)], report, |node| say(node, 60, 4_000));
    node.check("long lines", report);
}
