//! Version 1 peers' part in the conversation (SPEC section 2). A peer without a key speaks and hears lines; here it is
//! decided which of the nodes linked to it tells it what others said, and who brings in what it says. The node
//! - says which such peers are here ([`came`](Bridge::came), [`left`](Bridge::left)), whom their `PEERS` name
//!   ([`named`](Bridge::named)), and which node with a key is known to have left the network ([`gone`](Bridge::gone));
//! - asks [`heard`](Bridge::heard) of each of their lines whether to show it, and then waits for
//!   [`deadline`](Bridge::deadline): what [`next_due`](Bridge::next_due) gives is to be said as `via` entries of its own;
//! - asks [`shows`](Bridge::shows) of each entry that the log shows whether to show it;
//! - sends [`lines`] of each entry taken, its own `via` entries too, to those whom [`tells`](Bridge::tells) names. What
//!   its own user says, it says to all of them itself, and names them in the entry's `to`;
//! - says `JOIN` again to those of version 1 whom the [`greetings`](Bridge::greetings) name.
//!
//! `at` is the node's wall clock, in milliseconds as in entries.

mod greetings;
#[cfg(test)]
mod tests;
mod utterances;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use greetings::Greetings;
use utterances::{Source, Utterances, When};

use crate::{ChatText, Entry, Instant, Limits, NodeId, Store, Via};

/// The most steps that a line waits: a peer that names many nodes is brought in all the same.
const MOST_STEPS: usize = 30;

/// Which version 1 peers are here, and what they were heard to say.
#[derive(Debug)]
pub(crate) struct Bridge {
    us: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    utterances: Utterances,
    /// When version 1 peers are greeted again.
    pub(crate) greetings: Greetings,
}

#[derive(Debug)]
struct Peer {
    /// When it came.
    at: u64,
    /// Whether it names itself: only then do others mean the same peer by its id.
    named: bool,
    /// Whom it is linked to by its word; none if it has not said so yet.
    linked: Option<BTreeSet<NodeId>>,
    turn: Option<Turn>,
}

/// The time in which it is this node that tells a peer what others say. Two nodes learn at different moments that one takes
/// the other's place: by when something was said both know whose it is.
#[derive(Clone, Copy, Debug)]
struct Turn {
    from: u64,
    /// None: it is still this node's.
    until: Option<u64>,
}

impl Bridge {
    /// For the node with this id.
    pub(crate) fn new(us: NodeId) -> Self {
        Self {
            us,
            peers: BTreeMap::new(),
            utterances: Utterances::default(),
            greetings: Greetings::default(),
        }
    }

    /// A peer without a key is here; `named`: the id is of its own choice.
    pub(crate) fn came(&mut self, peer: NodeId, named: bool, at: u64) {
        self.peers.entry(peer).or_insert(Peer { at, named, linked: None, turn: None });
    }

    /// It is no longer here. What it said is brought in all the same.
    pub(crate) fn left(&mut self, peer: NodeId, limits: &Limits) {
        self.peers.remove(&peer);
        self.greetings.left(peer, limits);
    }

    /// Its `PEERS` names these; `all`: it names all whom it is linked to, as version 1 does.
    pub(crate) fn named(
        &mut self,
        peer: NodeId,
        ids: impl IntoIterator<Item = NodeId>,
        all: bool,
        at: u64,
        limits: &Limits,
    ) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let first = peer.linked.is_none();
        let linked = peer.linked.get_or_insert_default();
        if all {
            linked.clear();
        }
        for id in ids {
            if linked.len() < limits.bridge_linked {
                linked.insert(id);
            }
        }
        let from = match (first, linked.iter().any(|id| *id != self.us && id.is_of_key())) {
            (true, false) => peer.at,
            // Another tells it until that one reads the same: at most once beats at least once.
            (true, true) => {
                at.saturating_add(u64::try_from(limits.bridge_step.as_millis()).unwrap_or(u64::MAX))
            }
            (false, _) => at,
        };
        peer.take_turn(self.us, from, at);
    }

    /// Whom this node with a key tells what others say, and we would tell otherwise.
    pub(crate) fn told_by(&self, node_id: NodeId) -> Vec<NodeId> {
        let is_named = |peer: &Peer| peer.linked.as_ref().is_some_and(|linked| linked.contains(&node_id));
        let told = self.peers.iter().filter(|(_, peer)| node_id < self.us && is_named(peer));
        told.map(|(peer, _)| *peer).collect()
    }

    /// This node has left the network: nobody waits for it to tell or to bring in anything.
    pub(crate) fn gone(&mut self, node_id: NodeId, at: u64) {
        for peer in self.peers.values_mut() {
            if peer.linked.as_mut().is_some_and(|linked| linked.remove(&node_id)) {
                peer.take_turn(self.us, at, at);
            }
        }
    }

    /// A line was heard from a peer without a key. Whether to show it: it may have come in by others already.
    pub(crate) fn heard(&mut self, now: Instant, at: u64, who: Via, text: &str, limits: &Limits) -> bool {
        let Some(peer) = self.peers.get(&who.node_id).filter(|peer| peer.named) else { return true };
        let steps = u32::try_from(peer.rank(self.us).min(MOST_STEPS)).unwrap_or(u32::MAX);
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

    /// When [`next_due`](Self::next_due) or the [`greetings`](Self::greetings) have something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.utterances.deadline().into_iter().chain(self.greetings.deadline()).min()
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
            let ours = peer.turn.is_some_and(|turn| turn.holds(entry.at()));
            (ours && !told).then_some(*node_id)
        })
    }

    /// Lines that were not brought in, for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.utterances.dropped
    }

    /// Lines that are no longer known when they come in again, for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.utterances.forgotten
    }

    /// How much is in each of its stores.
    pub(crate) fn stores(&self) -> [(Store, usize); 5] {
        let linked = self.peers.values().filter_map(|peer| Some(peer.linked.as_ref()?.len()));
        let [lines, waiting, bytes] = self.utterances.sizes();
        [
            (Store::BridgeLines, lines),
            (Store::BridgeWaiting, waiting),
            (Store::BridgeWaitingBytes, bytes),
            (Store::BridgeLinked, linked.max().unwrap_or(0)),
            (Store::BridgeLost, self.greetings.lost()),
        ]
    }

    /// Whether two peers without a key are linked by the word of either, or are one.
    fn are_linked(&self, one: NodeId, other: NodeId) -> bool {
        let names = |one, other| {
            let linked = self.peers.get(&one).and_then(|peer| peer.linked.as_ref());
            linked.is_some_and(|linked| linked.contains(&other))
        };
        one == other || names(one, other) || names(other, one)
    }

    pub(crate) fn is_consistent(&self) -> bool {
        self.utterances.is_consistent() && self.greetings.is_consistent()
    }
}

impl Peer {
    /// How many nodes of the network with lower ids are linked to this peer. As long as it has not said so, there may
    /// be one.
    fn rank(&self, us: NodeId) -> usize {
        let Some(linked) = &self.linked else { return 1 };
        linked.range(..us).filter(|id| id.is_of_key()).count()
    }

    /// Whom it is linked to has changed, at the time `at`: if it is our turn now and was not, it is from `from` on.
    fn take_turn(&mut self, us: NodeId, from: u64, at: u64) {
        let ours = self.rank(us) == 0;
        match &mut self.turn {
            Some(Turn { until: None, .. }) if ours => {}
            _ if ours => self.turn = Some(Turn { from, until: None }),
            Some(Turn { until: until @ None, .. }) => *until = Some(at),
            _ => {}
        }
    }
}

impl Turn {
    fn holds(self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
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
    due + Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
}
