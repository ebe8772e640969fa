//! Version 1 peers' part in the conversation (SPEC section 2). A peer without a key speaks and hears lines; here it is
//! decided which of the nodes linked to it tells it what others said, and who brings in what it says. The node
//! - says which such peers are here ([`came`](Bridge::came), [`left`](Bridge::left)), whom their `PEERS` name
//!   ([`named`](Bridge::named)), and which node with a key is known to have left the network ([`gone`](Bridge::gone));
//! - asks [`heard`](Bridge::heard) of each of their lines whether to show it, and then waits for
//!   [`deadline`](Bridge::deadline): what [`next_due`](Bridge::next_due) gives is to be said as `via` entries of its own;
//! - asks [`shows`](Bridge::shows) of each entry that the log shows whether to show it;
//! - sends [`lines`] of each entry taken, its own `via` entries too, to those whom [`tells`](Bridge::tells) names. What
//!   its own user says, it says to all of them itself, and names them in the entry's `to`.
//!
//! `at` is the node's wall clock, in milliseconds as in entries.

#[cfg(test)]
mod tests;
mod utterances;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use utterances::{Source, Utterances, When};

use crate::{ChatText, Entry, Instant, Limits, NodeId, Via};

/// The most steps that a line waits: a peer that names many nodes is brought in all the same.
const MOST_STEPS: usize = 30;

/// Which version 1 peers are here, and what they were heard to say.
#[derive(Debug)]
pub(crate) struct Bridge {
    us: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    utterances: Utterances,
}

#[derive(Debug)]
struct Peer {
    /// When it came.
    at: u64,
    /// Whether it names itself: only then do others mean the same peer by its id.
    named: bool,
    /// Whom it is linked to by its word; none if it has not said so yet.
    linked: Option<BTreeSet<NodeId>>,
}

impl Bridge {
    /// For the node with this id.
    pub(crate) fn new(us: NodeId) -> Self {
        Self { us, peers: BTreeMap::new(), utterances: Utterances::default() }
    }

    /// A peer without a key is here; `named`: the id is of its own choice.
    pub(crate) fn came(&mut self, peer: NodeId, named: bool, at: u64) {
        self.peers.entry(peer).or_insert(Peer { at, named, linked: None });
    }

    /// It is no longer here. What it said is brought in all the same.
    pub(crate) fn left(&mut self, peer: NodeId) {
        self.peers.remove(&peer);
    }

    /// Its `PEERS` names these; `all`: it names all whom it is linked to, as version 1 does.
    pub(crate) fn named(
        &mut self,
        peer: NodeId,
        ids: impl IntoIterator<Item = NodeId>,
        all: bool,
        limits: &Limits,
    ) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let linked = peer.linked.get_or_insert_default();
        if all {
            linked.clear();
        }
        for id in ids {
            if linked.len() < limits.bridge_linked {
                linked.insert(id);
            }
        }
    }

    /// This node has left the network: nobody waits for it to tell or to bring in anything.
    pub(crate) fn gone(&mut self, node_id: NodeId) {
        for linked in self.peers.values_mut().filter_map(|peer| peer.linked.as_mut()) {
            linked.remove(&node_id);
        }
    }

    /// A line was heard from a peer without a key. Whether to show it: it may have come in by others already.
    pub(crate) fn heard(&mut self, now: Instant, at: u64, who: Via, text: &str, limits: &Limits) -> bool {
        let Some(peer) = self.peers.get(&who.node_id).filter(|peer| peer.named) else { return true };
        let steps = u32::try_from(self.rank(peer).min(MOST_STEPS)).unwrap_or(u32::MAX);
        let due = now + limits.bridge_step.saturating_mul(steps);
        let when = When { now, at };
        let heard = self.utterances.note(Source::Heard, who.node_id, text, when, true, limits);
        // Longer than any entry can carry: nobody can bring it in.
        if let (Some(number), Ok(text)) = (heard.new, ChatText::new(text)) {
            self.utterances.bring_in(number, next_gathering(due, limits), who, text, limits);
        }
        heard.show
    }

    /// Whether an entry that the log shows is to be shown: not if it is what a version 1 peer said, and that was
    /// heard from it or in another entry.
    pub(crate) fn shows(&mut self, now: Instant, entry: &Entry, limits: &Limits) -> bool {
        let Some(via) = entry.via() else { return true };
        let source = Source::Entry(entry.key());
        let when = When { now, at: entry.at() };
        let known = self.utterances.any_known(source, via.node_id, entry.texts(), when, limits);
        for text in entry.texts() {
            self.utterances.note(source, via.node_id, text.as_str(), when, !known, limits);
        }
        !known
    }

    /// When [`next_due`](Self::next_due) has something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.utterances.deadline()
    }

    /// Lines of one speaker that nobody else has brought in.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<(Via, Vec<ChatText>)> {
        self.utterances.next_due(now)
    }

    /// The peers without a key whom this node has to tell of an entry that is not its own user's words.
    pub(crate) fn tells(&self, entry: &Entry) -> impl Iterator<Item = NodeId> {
        let speaker = entry.via().map(|via| via.node_id);
        self.peers.iter().filter_map(move |(node_id, peer)| {
            let told =
                entry.to().contains(node_id) || speaker.is_some_and(|it| self.are_linked(*node_id, it));
            let before = entry.at() < peer.at;
            let ours = peer.linked.is_some() && self.rank(peer) == 0;
            (ours && !told && !before).then_some(*node_id)
        })
    }

    /// Whether two peers without a key are linked by the word of either, or are one.
    fn are_linked(&self, one: NodeId, other: NodeId) -> bool {
        let names = |one, other| {
            let linked = self.peers.get(&one).and_then(|peer| peer.linked.as_ref());
            linked.is_some_and(|linked| linked.contains(&other))
        };
        one == other || names(one, other) || names(other, one)
    }

    /// How many nodes of the network with lower ids are linked to this peer. As long as it has not said so, there may
    /// be one.
    fn rank(&self, peer: &Peer) -> usize {
        let Some(linked) = &peer.linked else { return 1 };
        linked.range(..self.us).filter(|id| id.is_of_key()).count()
    }

    pub(crate) fn is_consistent(&self) -> bool {
        self.utterances.is_consistent()
    }
}

/// What a peer without a key is told of an entry: one line each text.
pub(crate) fn lines(entry: &Entry) -> impl Iterator<Item = String> {
    let uname = entry.via().map_or(entry.uname(), |via| &via.uname);
    entry.texts().iter().map(move |text| format!("{uname}: {}", text.as_str()))
}

/// Lines are brought in together at points of time that are so far apart: an entry each would be too many.
fn next_gathering(due: Instant, limits: &Limits) -> Instant {
    let step = limits.bridge_gather.as_nanos().max(1);
    let nanos = due.since_origin().as_nanos().div_ceil(step).saturating_mul(step);
    let rest = nanos.saturating_sub(due.since_origin().as_nanos());
    due + core::time::Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
}
