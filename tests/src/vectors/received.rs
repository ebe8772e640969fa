//! Bytes that a node receives: what they mean, and what it does.

use proto_core::{ConnId, Message};
use serde::Deserialize;
use serde_json::{Value, json};

use super::listener::{Done, Listener};
use super::pieces::{Pieces, brief, expand};
use super::{Failure, NODE, NOW_MS, PEER, reading, same};

const CONN: ConnId = ConnId(1);

/// What a node says of itself, whoever speaks, is left out.
const ANSWERS: [&str; 7] = ["PROOF", "PONG", "BYE", "CHAT", "IHAVE", "GRAFT", "SYNC"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Received {
    peer: Peer,
    said: Pieces,
    reads: Value,
    #[serde(default)]
    reports: Vec<Value>,
    #[serde(default)]
    closes: bool,
    #[serde(default)]
    shows: Vec<String>,
    #[serde(default)]
    says: Vec<String>,
    here: Option<Value>,
}

/// Who speaks: how far the connection has got.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Peer {
    New,
    #[serde(rename = "version 1")]
    Version1,
    #[serde(rename = "version 2")]
    Version2,
    Unproven,
    Proven,
}

pub(super) fn check(vector: &Received) -> Result<(), Failure> {
    let bytes = vector.said.bytes()?;
    let reads = Value::Array(reading::reads(&bytes, vector.peer != Peer::New));
    same("reads", &expand(&vector.reads), &reads)?;
    // However the stream is cut.
    for size in [bytes.len(), if bytes.len() < 4_000 { 1 } else { 1_021 }] {
        let mut node = listener(vector.peer)?;
        let mut all = Done::default();
        for chunk in bytes.chunks(size) {
            let done = node.hear(CONN, chunk);
            all.reports.extend(done.reports);
            all.closed.extend(done.closed);
            all.shown.extend(done.shown);
            all.said.extend(done.said);
        }
        compare(vector, &node, &all).map_err(|failure| format!("in chunks of {size}: {failure}"))?;
    }
    Ok(())
}

fn listener(peer: Peer) -> Result<Listener, Failure> {
    let mut node = Listener::new(&NODE, NOW_MS);
    let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let join = match peer {
        Peer::Proven => return node.link(CONN, &PEER).map(|_| node),
        Peer::Unproven => return node.introduce(CONN, &PEER, "n").map(|_| node),
        Peer::New => None,
        Peer::Version1 => Some(json!({"node_id": id, "uname": "Peer"})),
        Peer::Version2 => Some(json!({"node_id": id, "uname": "Peer", "v": 2, "nonce": "n", "links": 0})),
    };
    node.accept(CONN);
    if let Some(join) = join {
        node.hear(CONN, format!("JOIN|{join}\n"));
    }
    Ok(node)
}

fn compare(vector: &Received, node: &Listener, done: &Done) -> Result<(), Failure> {
    let reports = Value::Array(vector.reports.clone());
    same("reports", &expand(&reports), &json!(done.reports))?;
    same("closes", &vector.closes, &!done.closed.is_empty())?;
    let shown: Vec<_> = done.shown.iter().flat_map(Message::texts).map(brief).collect();
    same("shows", &vector.shows, &shown)?;
    let said = done.lines(CONN, &ANSWERS).into_iter();
    let said = said.map(|line| if line.starts_with("PROOF|") { "PROOF" } else { line }.to_owned());
    same("says", &vector.says, &said.collect())?;
    match &vector.here {
        None => Ok(()),
        Some(Value::Object(expected)) => {
            let peer = node.node.peers().next().map(|peer| json!(**peer)).ok_or("nobody is here")?;
            expected.iter().try_for_each(|(key, value)| same(key, &Some(value), &peer.get(key)))
        }
        Some(Value::Bool(false)) => same("peers that are here", &0, &node.node.peers().count()),
        Some(other) => Err(format!("neither a peer nor false: {other}")),
    }
}
