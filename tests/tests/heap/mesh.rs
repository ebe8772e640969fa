//! Whom a node knows: addresses, keys at addresses, names, bans, and how often hosts are dialed.

use std::time::Duration;

use proto_core::{Action, Capacity, DialError, Input, Kept, Limits, Memory};
use serde_json::json;

use crate::node::{Node, Report, few_tips, full, kept_solo};
use crate::solo::{HERE, keys};

/// So many of each.
const MANY: usize = 256;

fn limits() -> Limits {
    few_tips().with(|limits| {
        limits.mesh.book = MANY;
        limits.mesh.banned = MANY;
        limits.mesh.budgets = MANY;
        limits.mesh.pins = MANY;
        limits.mesh.dial_burst = 10_000;
        limits.mesh.dial_every = Duration::ZERO;
        limits.chat.names = MANY;
    })
}

/// Keys proven at addresses, and names with four to each key, as an earlier start left them. Names that have not settled have a
/// quarter.
fn memory() -> Memory {
    let pin = |n: usize| json!({"addr": format!("[2a00:{n:x}::1]:9000"), "node_id": keys(n).node_id(), "proven_ms": 1, "sealed_ms": 1});
    let name = |n: usize| json!({"uname": format!("{n:064}"), "key": keys(n / 4).key(), "settled": !n.is_multiple_of(4)});
    let [pins, names]: [Vec<_>; 2] = [(0..MANY).map(pin).collect(), (0..MANY).map(name).collect()];
    serde_json::from_value(json!({"pins": pins, "names": names})).unwrap()
}

/// All dials that begin fail.
fn fail_dials(node: &mut Node) {
    while let Some(at) = node.solo.actions.iter().position(|action| matches!(action, Action::Dial { .. })) {
        if let Action::Dial { dial, .. } = node.solo.actions.swap_remove(at) {
            node.solo.input(Input::dial_failed(dial, DialError::Refused));
        }
    }
}

/// Peers, each at a host of its own, tell addresses, each in a network of its own.
fn tell(node: &mut Node, tellers: std::ops::Range<usize>, each: usize) {
    for n in tellers {
        let record = |m: usize| {
            let (n, number) = (n % 250, 4 * n + m);
            json!({"listen_addr": format!("8.{n}.{}.{}:9000", number % 250, m + 1), "node_id": keys(number).node_id()})
        };
        let records: Vec<_> = (0..each).map(|m| record(m).to_string()).collect();
        node.solo.join_from(n, [20, (n / 250) as u8, (n % 250) as u8, 1]);
        node.solo.receive(n, &format!("PEERS|{}\n", records.join(";")));
    }
}

pub(crate) fn addresses(report: &mut Report) {
    let memory = memory();
    let mut node = Node::start(0, || {
        let mut kept = Kept::default();
        kept.memory = memory.clone();
        kept_solo(limits(), (false, false), kept)
    });
    node.hold(&[full(Capacity::Pins), full(Capacity::Names), full(Capacity::NamesPerAuthor)], report);
    node.check("pins and names", report);
    let stores = [
        full(Capacity::DialBudgets),
        full(Capacity::Book),
        full(Capacity::BookPerSource),
        full(Capacity::Dials),
    ];
    node.fill("addresses", &stores, report, |node| {
        for n in 0..MANY {
            tell(node, n..n + 1, if n == MANY - 1 { 64 } else { 4 });
            // The last dials go on.
            if n < MANY - 1 {
                fail_dials(node);
            }
            node.solo.close(n);
            node.forget();
        }
    });
    node.fill("bans", &[full(Capacity::Banned)], report, |node| {
        for n in 0..MANY {
            let conn = 1_000 + n;
            node.solo.link_as(conn, HERE, n, 9);
            node.solo.receive(conn, &"PING|\n".repeat(40));
            node.solo.close(conn);
            node.forget();
        }
    });
    node.check("whom it knows", report);
}
