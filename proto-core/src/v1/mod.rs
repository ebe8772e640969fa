//! Peers without a key in the conversation (SPEC 2.11 and 10). Such a peer sends and reads lines, not entries.
//!
//! [`V1`] owns what the node knows of these peers, what they said lately, and when they are greeted again. It decides
//! two things: whether this node sends them what others said (it is then their *designated relay*), and which of the
//! nodes linked to one of them brings its lines in as `via` entries.
//!
//! **Ways in.** [`V1::linked`], [`V1::unlinked`], [`V1::peers_received`] and [`V1::may_forget`] tell it of links.
//! [`V1::note_line`] tells it a line, [`V1::note_entry`] an entry: each returns what to show of it, and the latter also
//! the peers to send it to. [`V1::relay`] does that for an entry of this node that brings lines in. The node sends what
//! its own user says to all these peers itself, and names them in the entry's `to`.
//!
//! **Ways out.** There are no events. When [`V1::deadline`] has come, [`V1::next_due`] returns the lines to bring in,
//! and [`V1::due_greetings`] the peers to greet again.
//!
//! **Capacities**: utterances known, lines that wait and their bytes, ids named by one peer, peers that left
//! ([`V1::capacities`]; the limits are `limits.v1`).
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
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use greetings::Greetings;
#[cfg(test)]
pub(crate) use tests::Ran;
use utterances::{Origin, Utterances, When};

use crate::model::{
    Capacity, ChatText, Cx, Entry, Instant, Limits, NodeId, PeerInfo, Repeated, Version, Via, host_of,
};
use crate::wire::{Frame, PeerRecord};

/// The most steps that a line waits before it is brought in, however many nodes the peer names.
const MAX_STEPS: usize = 30;

/// The linked peers without a key, and what they said lately.
#[derive(Debug)]
pub(crate) struct V1 {
    own_id: NodeId,
    peers: BTreeMap<NodeId, KeylessPeer>,
    utterances: Utterances,
    greetings: Greetings,
    counts: Counts,
    /// What ran for entries.
    #[cfg(test)]
    ran: Ran,
}

/// What becomes of an entry.
#[derive(Debug)]
pub(crate) struct Reception {
    /// The peers without a key to send it to, and the frames for them.
    pub(crate) lines: Option<(Vec<NodeId>, Vec<u8>)>,
    /// Which of its texts were shown before, because a peer without a key said them. None: all were, so it is not shown.
    pub(crate) repeated: Option<Repeated>,
}

/// The counters of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Lines of peers without a key that were shown.
    pub(crate) shown: u64,
    /// Texts of `via` entries that were not shown again.
    pub(crate) again: u64,
    /// Lines sent to peers without a key with what others said.
    pub(crate) relayed: u64,
    /// Lines that this node brought in.
    pub(crate) lines_signed: u64,
    /// Lines that this node did not bring in because too much waited, or for too long.
    pub(crate) dropped: u64,
    /// Lines that this node no longer recognises because there were too many.
    pub(crate) forgotten: u64,
}

/// A linked peer without a key.
#[derive(Debug)]
struct KeylessPeer {
    linked_at: u64,
    /// Its `JOIN` named its id. Only then do other nodes know it by the same id.
    named: bool,
    /// The ids that its `PEERS` named. None: it has not sent `PEERS` yet.
    links: Option<BTreeSet<NodeId>>,
    relay_period: Option<RelayPeriod>,
}

/// The time in which this node is the designated relay of a peer. An entry belongs to the relay of the moment when it
/// was said: two nodes learn at different moments that one replaces the other, and both still agree on each entry.
#[derive(Clone, Copy, Debug)]
struct RelayPeriod {
    from: u64,
    /// None: the period goes on.
    until: Option<u64>,
}

impl V1 {
    /// What ran for entries so far.
    #[cfg(test)]
    pub(crate) fn ran(&self) -> Ran {
        self.ran
    }

    /// For the node with this id.
    pub(crate) fn new(own_id: NodeId) -> Self {
        Self {
            own_id,
            peers: BTreeMap::new(),
            utterances: Utterances::default(),
            greetings: Greetings::default(),
            counts: Counts::default(),
            #[cfg(test)]
            ran: Ran::default(),
        }
    }

    /// A peer was linked. `named`: its `JOIN` named its id.
    pub(crate) fn linked(&mut self, cx: &mut Cx, info: &PeerInfo, named: bool) {
        if info.key.is_none() {
            self.keyless_linked(info.node_id, named, cx.time());
        }
        if info.version == Version::V1 {
            let Cx { now, random, config, .. } = cx;
            let peer = (info.node_id, info.listen_addr);
            self.greetings.peer_linked(*now, peer, random, config.limits());
        }
    }

    fn keyless_linked(&mut self, peer: NodeId, named: bool, at: u64) {
        self.peers.entry(peer).or_insert(KeylessPeer {
            linked_at: at,
            named,
            links: None,
            relay_period: None,
        });
    }

    /// A peer lost its link. `left`: it has left the network. What a peer without a key said is still brought in.
    pub(crate) fn unlinked(&mut self, cx: &mut Cx, node_id: NodeId, left: bool) {
        self.peers.remove(&node_id);
        self.greetings.peer_unlinked(node_id, cx.limits());
        if node_id.is_of_key() {
            // It may have been the designated relay of peers that still name it.
            let Cx { now, random, config, .. } = cx;
            for peer in self.relayed_by(node_id) {
                self.greetings.ask_soon(*now, peer, random, config.limits());
            }
        }
        if left {
            self.left_network(node_id, cx.time());
        }
    }

    /// `PEERS` came. A version 1 peer names all that it is linked to.
    pub(crate) fn peers_received(&mut self, cx: &mut Cx, info: &PeerInfo, records: &[PeerRecord]) {
        if info.key.is_some() {
            return;
        }
        let ids = records.iter().filter_map(|record| record.node_id);
        self.links_named(info.node_id, ids, info.version == Version::V1, cx.time(), cx.limits());
        let Cx { now, random, config, .. } = cx;
        self.greetings.peers_received(*now, info.node_id, random, config.limits());
    }

    /// `all`: these are all that it is linked to.
    fn links_named(
        &mut self,
        peer: NodeId,
        ids: impl IntoIterator<Item = NodeId>,
        all: bool,
        at: u64,
        limits: &Limits,
    ) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let first = peer.links.is_none();
        let links = peer.links.get_or_insert_default();
        if all {
            links.clear();
        }
        for id in ids {
            if links.len() < limits.v1.linked {
                links.insert(id);
            }
        }
        let from = match (first, links.iter().any(|id| *id != self.own_id && id.is_of_key())) {
            (true, false) => peer.linked_at,
            // Another node relays to it until that one reads the same. A lost line is better than one that comes twice.
            (true, true) => at.saturating_add(u64::try_from(limits.v1.step.as_millis()).unwrap_or(u64::MAX)),
            (false, _) => at,
        };
        peer.update_relay_period(self.own_id, from, at);
    }

    /// The peers of which that node may be the designated relay, in place of this one.
    fn relayed_by(&self, node_id: NodeId) -> Vec<NodeId> {
        let is_named = |peer: &KeylessPeer| peer.links.as_ref().is_some_and(|links| links.contains(&node_id));
        let relayed = self.peers.iter().filter(|(_, peer)| node_id < self.own_id && is_named(peer));
        relayed.map(|(peer, _)| *peer).collect()
    }

    /// That node has left the network. Nobody waits for it to relay or to bring in anything.
    fn left_network(&mut self, node_id: NodeId, at: u64) {
        for peer in self.peers.values_mut() {
            if peer.links.as_mut().is_some_and(|links| links.remove(&node_id)) {
                peer.update_relay_period(self.own_id, at, at);
            }
        }
    }

    /// Another connection with a version 1 peer ended. The peer forgets this node when it sees that.
    pub(crate) fn may_forget(&mut self, cx: &mut Cx, peer: NodeId) {
        let Cx { now, random, config, .. } = cx;
        self.greetings.may_forget(*now, peer, random, config.limits());
    }

    /// A dial of this node to this address, where no version 1 peer is linked, ended without a `JOIN`.
    pub(crate) fn dialed_in_vain(&mut self, cx: &Cx, addr: SocketAddr) {
        self.greetings.dialed_in_vain(addr, cx.limits());
    }

    /// The greeting of a peer could not be sent. It is due again at that time, whatever the peer sends until then.
    pub(crate) fn postpone_greeting(&mut self, peer: NodeId, until: Instant) {
        self.greetings.postpone(peer, until);
    }

    /// The version 1 peers to greet now: they may have forgotten this node, or have not sent `PEERS` for long.
    pub(crate) fn due_greetings(&mut self, cx: &mut Cx) -> Vec<NodeId> {
        let Cx { now, random, config, .. } = cx;
        core::iter::from_fn(|| self.greetings.next_due(*now, random, config.limits())).collect()
    }

    /// Notes a line from a peer without a key. Whether to show it: not if an entry with it was shown already.
    pub(crate) fn note_line(&mut self, cx: &Cx, info: &PeerInfo, text: &str) -> bool {
        let who = Via { node_id: info.node_id, uname: info.uname.clone() };
        let shown =
            self.note_line_at((cx.now, cx.time()), host_of(info.remote_addr.ip()), who, text, cx.limits());
        self.counts.shown += u64::from(shown);
        shown
    }

    fn note_line_at(
        &mut self,
        (now, at): (Instant, u64),
        host: IpAddr,
        who: Via,
        text: &str,
        limits: &Limits,
    ) -> bool {
        let Some(peer) = self.peers.get(&who.node_id).filter(|peer| peer.named) else { return true };
        let steps = u32::try_from(peer.rank(self.own_id).min(MAX_STEPS)).unwrap_or(u32::MAX);
        let due = now + limits.v1.step.saturating_mul(steps);
        let when = When { now, at };
        let noted = self.utterances.note(Origin::Host(host), who.node_id, text, when, limits);
        // A text that is too long for an entry is not brought in.
        if let (Some(number), Ok(text)) = (noted, ChatText::new(text)) {
            self.utterances.bring_in((number, next_gathering(due, limits)), host, who, text, limits);
        }
        noted.is_some()
    }

    /// Notes an entry whose turn to be shown has come. Nothing is done for one without `via` where no peer without a
    /// key is linked. For one with `via`, only the check for duplicates runs there.
    pub(crate) fn note_entry(&mut self, cx: &Cx, entry: &Entry) -> Reception {
        if entry.via().is_none() && self.peers.is_empty() {
            return Reception { lines: None, repeated: Some(Repeated::default()) };
        }
        let lines = self.relay(entry);
        let repeated = self.note_entry_at(cx.now, entry, cx.limits());
        self.counts.again += repeated.len() as u64;
        Reception { lines, repeated: Some(repeated).filter(|it| it.len() < entry.texts().len()) }
    }

    fn note_entry_at(&mut self, now: Instant, entry: &Entry, limits: &Limits) -> Repeated {
        let Some(via) = entry.via() else { return Repeated::default() };
        #[cfg(test)]
        {
            self.ran.duplicate_check += 1;
        }
        let origin = Origin::Author(entry.key());
        let when = When { now, at: entry.at() };
        let mut is_new = |text| self.utterances.note(origin, via.node_id, text, when, limits).is_some();
        let texts = entry.texts().enumerate();
        texts.filter_map(|(position, text)| (!is_new(text)).then_some(position)).collect()
    }

    /// The peers without a key to which this node has to send an entry of another author, and the frames for them.
    pub(crate) fn relay(&mut self, entry: &Entry) -> Option<(Vec<NodeId>, Vec<u8>)> {
        if self.peers.is_empty() {
            return None;
        }
        #[cfg(test)]
        {
            self.ran.relay += 1;
        }
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
            let knows =
                entry.to().contains(node_id) || speaker.is_some_and(|it| self.are_linked(*node_id, it));
            let ours = peer.relay_period.is_some_and(|period| period.covers(entry.at()));
            (ours && !knows).then_some(*node_id)
        })
    }

    /// When [`next_due`](Self::next_due) or [`due_greetings`](Self::due_greetings) next has something to return.
    pub(crate) fn deadline(&self, cx: &Cx) -> Option<Instant> {
        if cx.stopping {
            return None;
        }
        self.next_at(cx.limits())
    }

    fn next_at(&self, limits: &Limits) -> Option<Instant> {
        self.utterances.deadline(limits).into_iter().chain(self.greetings.deadline()).min()
    }

    /// Lines of one speaker for this node to bring in as one entry, as nobody else has. None: no more are due, or the budget
    /// of all is used up.
    pub(crate) fn next_due(&mut self, cx: &Cx) -> Option<(Via, Vec<ChatText>)> {
        let due = self.utterances.next_due(cx.now, cx.limits());
        self.counts.lines_signed += due.as_ref().map_or(0, |(_, texts)| texts.len() as u64);
        due
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { dropped: self.utterances.dropped, forgotten: self.utterances.forgotten, ..self.counts }
    }

    /// How full each bounded thing is.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 5] {
        let links = self.peers.values().filter_map(|peer| Some(peer.links.as_ref()?.len()));
        let [lines, waiting, bytes] = self.utterances.sizes();
        [
            (Capacity::V1Lines, lines),
            (Capacity::V1Waiting, waiting),
            (Capacity::V1WaitingBytes, bytes),
            (Capacity::V1Linked, links.max().unwrap_or(0)),
            (Capacity::V1Lost, self.greetings.departed()),
        ]
    }

    /// Whether two peers without a key are one, or are linked by the `PEERS` of either.
    fn are_linked(&self, one: NodeId, other: NodeId) -> bool {
        let names = |one, other| {
            let links = self.peers.get(&one).and_then(|peer| peer.links.as_ref());
            links.is_some_and(|links| links.contains(&other))
        };
        one == other || names(one, other) || names(other, one)
    }

    pub(crate) fn is_consistent(&self) -> bool {
        self.utterances.is_consistent() && self.greetings.is_consistent()
    }
}

impl KeylessPeer {
    /// How many nodes with a key and a lower id are linked to this peer. Before its first `PEERS`, one is assumed.
    fn rank(&self, own_id: NodeId) -> usize {
        let Some(links) = &self.links else { return 1 };
        links.range(..own_id).filter(|id| id.is_of_key()).count()
    }

    /// Its links changed at the time `at`. If this node becomes its designated relay, it is that from `from` on.
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

/// What a peer without a key is sent of an entry: one line for each text.
fn lines(entry: &Entry) -> impl Iterator<Item = String> {
    let uname = entry.via().map_or(entry.uname(), |via| &via.uname);
    entry.texts().map(move |text| format!("{uname}: {text}"))
}

/// The bytes of [`frames`] for these texts.
pub(crate) fn frames_len<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.len() + "MSG|\n".len()).sum()
}

/// A `MSG` frame for each text.
pub(crate) fn frames<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<u8> {
    let mut frames = Vec::with_capacity(frames_len(texts.clone()));
    for text in texts {
        Frame::Msg(text).encode(&mut frames);
    }
    frames
}

/// The first multiple of [`gather`](crate::model::V1Limits::gather) from `due` on. Lines are brought in together then,
/// since an entry for each would be too many.
fn next_gathering(due: Instant, limits: &Limits) -> Instant {
    let step = limits.v1.gather.as_nanos().max(1);
    let nanos = due.since_origin().as_nanos().div_ceil(step).saturating_mul(step);
    let rest = nanos.saturating_sub(due.since_origin().as_nanos());
    due + Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
}
