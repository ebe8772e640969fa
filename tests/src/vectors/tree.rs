//! Claims about the tree, and who ranks before whom.

use std::time::Duration;

use proto_core::wire::{Frame, Line, Parsed, parse};
use proto_core::{ConnId, Identity, PublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::sign;
use super::listener::{Done, Listener};
use super::{Failure, NODE, hex, reading, same, secret, to_hex};
use crate::sim::hostile::{Keys, rank};

const CONN: ConnId = ConnId(1);
const PERIOD_MS: u64 = 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// What time it is when the peer comes.
    unix_ms: u64,
    /// Who speaks.
    peer: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    after_ms: u64,
    /// A line of the peer's, without its end.
    said: String,
    secret: Option<String>,
    signed: Option<String>,
    #[serde(default)]
    reports: Vec<Value>,
    /// What the node tells of its place then.
    tells: Option<Value>,
}

pub(super) fn check_claims(vector: &Claims) -> Result<(), Failure> {
    let mut node = Listener::new(&NODE, vector.unix_ms);
    node.link(CONN, &secret(&vector.peer)?)?;
    for step in &vector.steps {
        if let (Some(by), Some(signed)) = (&step.secret, &step.signed) {
            let signature = sign(&secret(by)?, &hex(signed)?);
            if !step.said.contains(&signature) {
                return Err(format!("the signature is {signature}"));
            }
        }
        node.pass(Duration::from_millis(step.after_ms));
        let done = node.hear(CONN, format!("{}\n", step.said));
        same("reports", &json!(step.reports), &json!(done.reports))?;
        same("tells", &step.tells, &told(&done))?;
    }
    Ok(())
}

/// The last `TREE` among what a node said.
fn told(done: &Done) -> Option<Value> {
    match parse(Line::Text(done.lines(CONN, &["TREE"]).last()?), 0) {
        Ok(Parsed::Frame(Frame::Tree(claim))) => Some(reading::of_claim(&claim)),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ranks {
    period: u64,
    /// Who would be the root first.
    ranks: Vec<Ranked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ranked {
    secret: String,
    key: PublicKey,
    rank: String,
}

pub(super) fn check_ranks(vector: &Ranks) -> Result<(), Failure> {
    for ranked in &vector.ranks {
        same("key", &ranked.key, &Identity::from_secret(&secret(&ranked.secret)?).key())?;
        same("rank", &ranked.rank, &to_hex(&rank(vector.period, &ranked.key)))?;
    }
    for pair in vector.ranks.windows(2) {
        let [first, second] = [secret(&pair[0].secret)?, secret(&pair[1].secret)?];
        same("the second takes the first for the root", &true, &is_root(vector.period, &first, &second)?)?;
        same("the first takes the second for the root", &false, &is_root(vector.period, &second, &first)?)?;
    }
    Ok(())
}

/// Whether a node takes a peer, which claims it, for the root.
fn is_root(period: u64, peer: &[u8; 32], node: &[u8; 32]) -> Result<bool, Failure> {
    let mut node = Listener::new(node, period * PERIOD_MS + PERIOD_MS / 2);
    node.link(CONN, peer)?;
    let keys = Keys::new(*peer);
    let done = node.hear(CONN, format!("TREE|{}\n", keys.tree(period, 1, 0, None)));
    let root = told(&done).map(|claim| claim["root"].clone());
    Ok(root == Some(json!(keys.key())))
}
