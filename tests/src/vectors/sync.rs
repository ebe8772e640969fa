//! Reconciliations of two nodes, message by message.

use std::time::Duration;

use proto_core::{ConnId, Identity};
use serde::Deserialize;

use super::listener::Listener;
use super::{Failure, NOW_MS, same, secret};

/// Who brings a node what it holds.
const BRINGER: ConnId = ConnId(1);
/// The other side of the reconciliation.
const OTHER: ConnId = ConnId(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reconciliation {
    /// Who begins, and has the lower id.
    beginner: String,
    answerer: String,
    /// Somebody with an even lower id, of whom both have heard what they hold.
    bringer: String,
    /// The lines of the entries that who begins holds.
    held: Vec<String>,
    /// Those that the other holds.
    held_there: Vec<String>,
    /// Who begins says these, one at a time, and the other one answers with those.
    begins: Vec<String>,
    answers: Vec<String>,
    /// What who begins says when the differences are known.
    tells: Vec<String>,
}

pub(super) fn check(vector: &Reconciliation) -> Result<(), Failure> {
    let [beginner, answerer, bringer] =
        [&vector.beginner, &vector.answerer, &vector.bringer].map(|text| secret(text));
    let (beginner, answerer, bringer) = (beginner?, answerer?, bringer?);
    let id = |secret| Identity::from_secret(secret).node_id();
    if !(id(&bringer) < id(&beginner) && id(&beginner) < id(&answerer)) {
        return Err("the ids are in another order".into());
    }
    same("answers", &vector.begins.len(), &vector.answers.len())?;
    let mut here = holding(&beginner, &bringer, &vector.held)?;
    let mut there = holding(&answerer, &bringer, &vector.held_there)?;
    there.link(OTHER, &beginner)?;
    let mut done = here.link(OTHER, &answerer)?;
    for (begins, answers) in vector.begins.iter().zip(&vector.answers) {
        same("begins", &vec![begins.as_str()], &done.lines(OTHER, &["SYNC"]))?;
        let answer = there.hear(OTHER, format!("{begins}\n"));
        same("answers", &vec![answers.as_str()], &answer.lines(OTHER, &["SYNC"]))?;
        done = here.hear(OTHER, format!("{answers}\n"));
    }
    let later = here.pass(Duration::from_millis(200));
    let tells = [done, later].map(|done| done.lines(OTHER, &["IHAVE", "GRAFT", "SYNC"]).join("\n"));
    let tells: Vec<_> = tells.iter().flat_map(|lines| lines.lines()).collect();
    same("tells", &vector.tells.iter().map(String::as_str).collect(), &tells)
}

/// A node that holds these entries.
fn holding(node: &[u8; 32], bringer: &[u8; 32], lines: &[String]) -> Result<Listener, Failure> {
    let mut node = Listener::new(node, NOW_MS);
    node.link(BRINGER, bringer)?;
    for line in lines {
        node.hear(BRINGER, format!("{line}\n"));
    }
    node.pass(Duration::from_secs(1));
    same("entries held", &lines.len(), &node.node.entries().count())?;
    Ok(node)
}
