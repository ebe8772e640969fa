//! Version 1 peers' part in the conversation (SPEC sections 2 and 10). A peer without a key speaks and hears lines. [`V1`] decides
//! which of the nodes linked to it tells it what others said, and which of them brings in what it says.
//!
//! - [`V1::note_line`] says of each of its lines whether to show it; what [`V1::next_due`] gives is then to be said as `via` entries.
//! - [`V1::note_entry`] says of an entry whether to show it, and [`V1::relay`] whom to tell it in lines. Where
//!   [`V1::concerns`] does not hold, neither has anything to say. What the node's own user says, the node says to all such
//!   peers itself, and names them in the entry's `to`.
//! - [`V1::due_greetings`] names those to whom `JOIN` is to be said again.
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

use crate::model::{Capacity, ChatText, Cx, Entry, Instant, Limits, NodeId, PeerInfo, Version, Via};
use crate::wire::{Frame, PeerRecord};

/// The most steps that a line waits: a peer that names many nodes is brought in all the same.
const MOST_STEPS: usize = 30;

/// Which version 1 peers are here, and what they were heard to say.
#[derive(Debug)]
pub(crate) struct V1 {
    own_id: NodeId,
    peers: BTreeMap<NodeId, KeylessPeer>,
    utterances: Utterances,
    /// When version 1 peers are greeted again.
    greetings: Greetings,
    counts: Counts,
}

/// What is counted of version 1 peers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Lines that they were told of what others said.
    pub(crate) relayed: u64,
    /// Lines of theirs that were brought in from here.
    pub(crate) brought_in: u64,
    /// Lines of theirs that were not brought in from here, for want of room.
    pub(crate) dropped: u64,
    /// Lines of theirs that are no longer known when they come in again, for want of room.
    pub(crate) forgotten: u64,
}

#[derive(Debug)]
struct KeylessPeer {
    /// When it came.
    at: u64,
    /// Whether it names itself: only then do others mean the same peer by its id.
    named: bool,
    /// Whom it is linked to by its word; none if it has not said so yet.
    linked: Option<BTreeSet<NodeId>>,
    relay_period: Option<RelayPeriod>,
}

/// The time in which it is this node that tells a peer what others say. Two nodes learn at different moments that one takes
/// the other's place: by when something was said both know whose it is.
#[derive(Clone, Copy, Debug)]
struct RelayPeriod {
    from: u64,
    /// None: it is still this node's.
    until: Option<u64>,
}

impl V1 {
    /// For the node with this id.
    pub(crate) fn new(own_id: NodeId) -> Self {
        Self {
            own_id,
            peers: BTreeMap::new(),
            utterances: Utterances::default(),
            greetings: Greetings::default(),
            counts: Counts::default(),
        }
    }

    /// A peer is linked; `named`: the id is of its own choice.
    pub(crate) fn linked(&mut self, cx: &mut Cx, info: &PeerInfo, named: bool) {
        if info.key.is_none() {
            self.keyless_linked(info.node_id, named, cx.time());
        }
        if info.version == Version::V1 {
            let Cx { now, random, config, .. } = cx;
            self.greetings.peer_linked(*now, info.node_id, random, &config.limits);
        }
    }

    fn keyless_linked(&mut self, peer: NodeId, named: bool, at: u64) {
        self.peers.entry(peer).or_insert(KeylessPeer { at, named, linked: None, relay_period: None });
    }

    /// A peer is linked no more; `left`: it has left the network. What a peer without a key said is brought in all the same.
    pub(crate) fn unlinked(&mut self, cx: &mut Cx, node_id: NodeId, left: bool) {
        self.peers.remove(&node_id);
        self.greetings.peer_unlinked(node_id, cx.limits());
        if node_id.is_of_key() {
            // Version 1 peers to whom it spoke may name it still.
            let Cx { now, random, config, .. } = cx;
            for peer in self.relayed_by(node_id) {
                self.greetings.ask_soon(*now, peer, random, &config.limits);
            }
        }
        if left {
            self.left_network(node_id, cx.time());
        }
    }

    /// A peer said whom it is linked to. A version 1 peer names all.
    pub(crate) fn peers_received(&mut self, cx: &mut Cx, info: &PeerInfo, records: &[PeerRecord]) {
        if info.key.is_some() {
            return;
        }
        let ids = records.iter().filter_map(|record| record.node_id);
        self.neighbours_named(info.node_id, ids, info.version == Version::V1, cx.time(), cx.limits());
        let Cx { now, random, config, .. } = cx;
        self.greetings.peers_received(*now, info.node_id, random, &config.limits);
    }

    /// `all`: it names all whom it is linked to.
    fn neighbours_named(
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
            if linked.len() < limits.v1.linked {
                linked.insert(id);
            }
        }
        let from = match (first, linked.iter().any(|id| *id != self.own_id && id.is_of_key())) {
            (true, false) => peer.at,
            // Another tells it until that one reads the same: at most once beats at least once.
            (true, true) => at.saturating_add(u64::try_from(limits.v1.step.as_millis()).unwrap_or(u64::MAX)),
            (false, _) => at,
        };
        peer.update_relay_period(self.own_id, from, at);
    }

    /// Whom this node with a key tells what others say, and we would tell otherwise.
    fn relayed_by(&self, node_id: NodeId) -> Vec<NodeId> {
        let is_named =
            |peer: &KeylessPeer| peer.linked.as_ref().is_some_and(|linked| linked.contains(&node_id));
        let told = self.peers.iter().filter(|(_, peer)| node_id < self.own_id && is_named(peer));
        told.map(|(peer, _)| *peer).collect()
    }

    /// This node has left the network: nobody waits for it to tell or to bring in anything.
    fn left_network(&mut self, node_id: NodeId, at: u64) {
        for peer in self.peers.values_mut() {
            if peer.linked.as_mut().is_some_and(|linked| linked.remove(&node_id)) {
                peer.update_relay_period(self.own_id, at, at);
            }
        }
    }

    /// A version 1 peer may be yet to see the end of another connection with us: it forgets us then.
    pub(crate) fn may_forget(&mut self, cx: &mut Cx, peer: NodeId) {
        let Cx { now, random, config, .. } = cx;
        self.greetings.may_forget(*now, peer, random, &config.limits);
    }

    /// The peer is to be greeted at that time, whatever it says until then.
    pub(crate) fn postpone_greeting(&mut self, peer: NodeId, until: Instant) {
        self.greetings.postpone(peer, until);
    }

    /// The version 1 peers that are to be greeted now: they may have forgotten us, or have not said for long whom they are linked to.
    pub(crate) fn due_greetings(&mut self, cx: &mut Cx) -> Vec<NodeId> {
        let Cx { now, random, config, .. } = cx;
        core::iter::from_fn(|| self.greetings.next_due(*now, random, &config.limits)).collect()
    }

    /// A line came from a peer without a key. Whether to show it: others may have brought it in already.
    pub(crate) fn note_line(&mut self, cx: &Cx, info: &PeerInfo, text: &str) -> bool {
        let who = Via { node_id: info.node_id, uname: info.uname.clone() };
        self.note_line_at(cx.now, cx.time(), who, text, cx.limits())
    }

    fn note_line_at(&mut self, now: Instant, at: u64, who: Via, text: &str, limits: &Limits) -> bool {
        let Some(peer) = self.peers.get(&who.node_id).filter(|peer| peer.named) else { return true };
        let steps = u32::try_from(peer.rank(self.own_id).min(MOST_STEPS)).unwrap_or(u32::MAX);
        let due = now + limits.v1.step.saturating_mul(steps);
        let when = When { now, at };
        let heard = self.utterances.note(Source::Heard, who.node_id, text, when, true, limits);
        // Longer than any entry can carry: nobody can bring it in.
        if let (Some(number), Ok(text)) = (heard.new, ChatText::new(text)) {
            self.utterances.bring_in(number, next_gathering(due, limits), who, text, limits);
        }
        heard.show
    }

    /// Whether an entry is of any concern to version 1 peers or their words.
    pub(crate) fn concerns(&self, entry: &Entry) -> bool {
        entry.via().is_some() || !self.peers.is_empty()
    }

    /// Whether to show an entry: not if it is what a version 1 peer said, and that was heard from it or in another entry.
    pub(crate) fn note_entry(&mut self, cx: &Cx, entry: &Entry) -> bool {
        self.note_entry_at(cx.now, entry, cx.limits())
    }

    fn note_entry_at(&mut self, now: Instant, entry: &Entry, limits: &Limits) -> bool {
        let Some(via) = entry.via() else { return true };
        let source = Source::Entry(entry.key());
        let when = When { now, at: entry.at() };
        let known = self.utterances.any_known(source, via.node_id, entry.texts(), when, limits);
        for text in entry.texts() {
            self.utterances.note(source, via.node_id, text.as_str(), when, !known, limits);
        }
        !known
    }

    /// The peers without a key whom this node has to tell an entry that is not its own user's words, and the frames for them.
    pub(crate) fn relay(&mut self, entry: &Entry) -> Option<(Vec<NodeId>, Vec<u8>)> {
        let peers: Vec<_> = self.relay_targets(entry).collect();
        if peers.is_empty() {
            return None;
        }
        let texts: Vec<_> = lines(entry).collect();
        self.counts.relayed += (texts.len() * peers.len()) as u64;
        Some((peers, frames(texts.iter().map(String::as_str))))
    }

    fn relay_targets(&self, entry: &Entry) -> impl Iterator<Item = NodeId> {
        let speaker = entry.via().map(|via| via.node_id);
        self.peers.iter().filter_map(move |(node_id, peer)| {
            let told =
                entry.to().contains(node_id) || speaker.is_some_and(|it| self.are_linked(*node_id, it));
            let ours = peer.relay_period.is_some_and(|period| period.covers(entry.at()));
            (ours && !told).then_some(*node_id)
        })
    }

    /// When [`next_due`](Self::next_due) or [`due_greetings`](Self::due_greetings) have something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.utterances.deadline().into_iter().chain(self.greetings.deadline()).min()
    }

    /// Lines of one speaker that nobody else has brought in.
    pub(crate) fn next_due(&mut self, cx: &Cx) -> Option<(Via, Vec<ChatText>)> {
        let due = self.utterances.next_due(cx.now);
        self.counts.brought_in += due.as_ref().map_or(0, |(_, texts)| texts.len() as u64);
        due
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { dropped: self.utterances.dropped, forgotten: self.utterances.forgotten, ..self.counts }
    }

    /// How full each bounded thing is.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 5] {
        let linked = self.peers.values().filter_map(|peer| Some(peer.linked.as_ref()?.len()));
        let [lines, waiting, bytes] = self.utterances.sizes();
        [
            (Capacity::V1Lines, lines),
            (Capacity::V1Waiting, waiting),
            (Capacity::V1WaitingBytes, bytes),
            (Capacity::V1Linked, linked.max().unwrap_or(0)),
            (Capacity::V1Lost, self.greetings.departed()),
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

impl KeylessPeer {
    /// How many nodes of the network with lower ids are linked to this peer. As long as it has not said so, there may
    /// be one.
    fn rank(&self, own_id: NodeId) -> usize {
        let Some(linked) = &self.linked else { return 1 };
        linked.range(..own_id).filter(|id| id.is_of_key()).count()
    }

    /// Whom it is linked to has changed, at the time `at`: if it is our turn now and was not, it is from `from` on.
    fn update_relay_period(&mut self, own_id: NodeId, from: u64, at: u64) {
        let ours = self.rank(own_id) == 0;
        match &mut self.relay_period {
            Some(RelayPeriod { until: None, .. }) if ours => {}
            _ if ours => self.relay_period = Some(RelayPeriod { from, until: None }),
            Some(RelayPeriod { until: until @ None, .. }) => *until = Some(at),
            _ => {}
        }
    }
}

impl RelayPeriod {
    fn covers(self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// What a peer without a key is told of an entry: one line each text.
fn lines(entry: &Entry) -> impl Iterator<Item = String> {
    let uname = entry.via().map_or(entry.uname(), |via| &via.uname);
    entry.texts().iter().map(move |text| format!("{uname}: {}", text.as_str()))
}

/// A `MSG` frame for each text.
pub(crate) fn frames<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<u8> {
    let mut frames = Vec::with_capacity(texts.clone().map(|text| text.len() + "MSG|\n".len()).sum());
    for text in texts {
        Frame::Msg(text).encode(&mut frames);
    }
    frames
}

/// Lines are brought in together at points of time that are so far apart: an entry each would be too many.
fn next_gathering(due: Instant, limits: &Limits) -> Instant {
    let step = limits.v1.gather.as_nanos().max(1);
    let nanos = due.since_origin().as_nanos().div_ceil(step).saturating_mul(step);
    let rest = nanos.saturating_sub(due.since_origin().as_nanos());
    due + Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
}
