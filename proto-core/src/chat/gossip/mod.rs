//! How entries spread: pushed along a tree, announced along the rest, repaired by asking.
//!
//! Plumtree (Leitão et al., SRDS 2007) with another tree: one that is rooted at one node and kept by distances, as
//! bridges do (IEEE 802.1D), with sequence numbers from the root against stale claims. Where there is no tree, or a
//! broken one, announcements carry the conversation: the tree is an optimisation, never a condition.

mod announce;
mod election;
mod neighbours;
mod place;
mod repair;
mod seen;
mod sync;
mod telling;
#[cfg(test)]
mod tests;
mod tree;
mod trees;
mod views;
mod wanted;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

use crate::chat::{FalseClaim, Timer};
use crate::model::{ChatLimits, EntryId, Identity, Instant, Moment, NodeId, PublicKey};
use crate::wire::{Frame, MAX_GRAFT, TreeClaim};

use announce::Announcements;
use neighbours::Neighbours;
use repair::Missing;
use seen::Seen;
use sync::Reconciliations;
use trees::Trees;
use wanted::Wanted;

pub(crate) use views::{Lost, Role, Standing};

/// How entries spread among the neighbours: the peers with a key that are here, by their ids.
///
/// It decides what is sent to whom; entries themselves it never sees. After anything that happens to it, `timeout` if
/// its deadline has come, then all of [`next_frame`](Self::next_frame).
#[derive(Debug)]
pub(crate) struct Gossip {
    neighbours: Neighbours,
    trees: Trees,
    seen: Seen,
    announcements: Announcements,
    missing: Missing,
    wanted: Wanted,
    /// Entries to ask each neighbour for, which `missing` has chosen.
    to_ask: BTreeMap<NodeId, VecDeque<EntryId>>,
    reconciliations: Reconciliations,
    announcements_dropped: u64,
}

/// What spreads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) id: EntryId,
    /// When it was said, by its author.
    pub(crate) at: u64,
    pub(crate) author: NodeId,
    /// The neighbour that it came from; none: it was said here.
    pub(crate) from: Option<NodeId>,
}

/// How an entry came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    /// Neighbours that are known to have it.
    holders: Vec<NodeId>,
    /// It was asked for because it had been announced.
    grafted: bool,
    /// It was asked for because a reconciliation showed it.
    wanted: bool,
}

impl Gossip {
    pub(crate) fn new(key: PublicKey) -> Self {
        let me = key.node_id();
        Self {
            neighbours: Neighbours::new(me),
            trees: Trees::new(me, key),
            seen: Seen::default(),
            announcements: Announcements::default(),
            missing: Missing::default(),
            wanted: Wanted::default(),
            to_ask: BTreeMap::new(),
            reconciliations: Reconciliations::default(),
            announcements_dropped: 0,
        }
    }

    /// A peer with a key is here.
    pub(crate) fn linked(&mut self, moment: Moment<'_>, peer: NodeId) {
        if self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.linked(peer);
        self.trees.linked(moment.now, peer);
        let begin = self.neighbours.me() < peer;
        self.reconciliations.linked(moment.now, peer, begin, moment.limits);
    }

    /// It is here no more.
    pub(crate) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId) {
        if !self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.unlinked(peer);
        self.trees.unlinked(moment, peer);
        self.announcements.unlinked(peer);
        self.missing.unlinked(peer);
        if self.wanted.unlinked(peer) {
            self.reconciliations.soon(moment.now, moment.limits);
        }
        self.to_ask.remove(&peer);
        self.reconciliations.unlinked(peer);
    }

    /// Whether what the peer says reaches us by another neighbour, too, as far as their `LINKS` show.
    pub(crate) fn is_near_another(&self, peer: NodeId) -> bool {
        self.neighbours.is_near_another(peer)
    }

    /// Whether all neighbours are linked to each other, and to nobody else, as far as their `LINKS` show.
    pub(crate) fn is_full_mesh(&self) -> bool {
        self.neighbours.is_full_mesh()
    }

    /// `LINKS` came.
    pub(crate) fn links_told(&mut self, from: NodeId, links: &[NodeId]) {
        self.neighbours.told(from, links);
    }

    /// `TREE` came.
    pub(crate) fn tree_told(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        claim: &TreeClaim,
    ) -> Result<(), FalseClaim> {
        self.trees.told(moment, from, claim, &self.neighbours)
    }

    /// `IHAVE` came; `have` says whether an entry is held here.
    pub(crate) fn announced(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        ids: &[EntryId],
        have: impl Fn(&EntryId) -> bool,
    ) {
        let Moment { now, limits, .. } = moment;
        if !self.neighbours.contains(from) {
            return;
        }
        // Where no tree brings it, there is less to wait for.
        let after =
            if self.is_attached(moment, None) { limits.chat.ask_after } else { limits.chat.ask_after_alone };
        let mut more = Vec::new();
        for id in ids {
            if self.seen.contains(id) || have(id) {
                self.announcements.cancel(from, id);
            } else if !self.missing.announced(now, from, *id, after, limits) {
                more.push(*id);
            }
        }
        // So many are not on their way along the tree.
        self.wanted.want(now, from, more, limits);
    }

    /// These entries are wanted from this neighbour, in this order: a reconciliation showed that it holds them.
    pub(crate) fn want(&mut self, moment: Moment<'_>, from: NodeId, ids: impl IntoIterator<Item = EntryId>) {
        if self.neighbours.contains(from) {
            self.wanted.want(moment.now, from, ids, moment.limits);
        }
    }

    /// Whether the entry came here lately, and its signature held.
    pub(crate) fn has_seen(&self, id: &EntryId) -> bool {
        self.seen.contains(id)
    }

    /// An entry could not be kept: it may come again.
    pub(crate) fn forget(&mut self, id: &EntryId) {
        self.seen.forget(id);
    }

    /// Whether this neighbour was asked for the entry, so that no rate is charged for it.
    pub(crate) fn is_asked(&self, from: NodeId, id: &EntryId) -> bool {
        self.missing.is_asked(from, id) || self.wanted.is_asked(from, id)
    }

    /// An entry came that is here already.
    pub(crate) fn came_again(&mut self, from: NodeId, id: &EntryId) {
        self.announcements.cancel(from, id);
        self.forget_missing(Some(from), id);
    }

    /// An entry came, or was said here, and its signature holds. It is asked for no more.
    pub(crate) fn remember(&mut self, moment: Moment<'_>, from: Option<NodeId>, id: EntryId) -> Arrival {
        self.seen.remember(moment.now, id, moment.limits);
        self.forget_missing(from, &id)
    }

    fn forget_missing(&mut self, from: Option<NodeId>, id: &EntryId) -> Arrival {
        let wanted = self.wanted.found(id);
        let found = self.missing.found(from, id);
        Arrival { holders: found.announcers, grafted: found.asked, wanted }
    }

    /// An entry that was not here is to spread: whom to push it to, in the order of their ids. To others it is announced.
    pub(crate) fn spread(&mut self, moment: Moment<'_>, item: Item, arrival: &Arrival) -> Vec<NodeId> {
        self.blame(moment, item, arrival);
        let pushed = if arrival.wanted { BTreeSet::new() } else { self.eager(moment, item) };
        let knows = |peer: &NodeId| {
            *peer == item.author || Some(*peer) == item.from || arrival.holders.contains(peer)
        };
        let others: Vec<_> =
            self.neighbours.ids().filter(|peer| !pushed.contains(peer) && !knows(peer)).collect();
        let attached = self.is_attached(moment, Some(item.at));
        for peer in others {
            let after = if attached { self.announce_after(moment, peer) } else { Duration::ZERO };
            self.announce(moment, peer, item.id, after);
        }
        pushed.into_iter().filter(|peer| !knows(peer)).collect()
    }

    /// Whether what was said then, or now, is pushed to us unless something is wrong.
    fn is_attached(&self, moment: Moment<'_>, at: Option<u64>) -> bool {
        self.trees.of(moment, at).is_some_and(tree::Tree::is_attached)
    }

    /// A parent that did not bring what others had.
    fn blame(&mut self, moment: Moment<'_>, item: Item, arrival: &Arrival) {
        let parent = self.trees.of(moment, Some(item.at)).and_then(tree::Tree::parent);
        let by_parent = |peer: NodeId| item.from == Some(peer) || arrival.holders.contains(&peer);
        if arrival.grafted && parent.is_some_and(|parent| !by_parent(parent)) {
            self.trees.failed(moment, item.at);
        }
    }

    /// Whom an entry is pushed to, whether they have it or not.
    fn eager(&self, moment: Moment<'_>, item: Item) -> BTreeSet<NodeId> {
        let full_mesh = self.neighbours.is_full_mesh();
        let tree = self.trees.of(moment, Some(item.at));
        let along_tree = tree.into_iter().flat_map(|tree| tree.children().chain(tree.parent()));
        if item.from.is_some() {
            // In a full mesh the author has pushed it to everybody.
            let told = full_mesh && self.neighbours.contains(item.author);
            return along_tree.filter(|_| !told).collect();
        }
        let eager: BTreeSet<_> = along_tree.collect();
        if full_mesh || eager.is_empty() { self.neighbours.ids().collect() } else { eager }
    }

    /// Of two neighbours that both have an entry one announces it; the other waits whether it does.
    fn announce_after(&self, moment: Moment<'_>, to: NodeId) -> Duration {
        let ChatLimits { announce_after, announce_courtesy, .. } = moment.limits.chat;
        if self.neighbours.me() < to {
            announce_after
        } else {
            announce_after.saturating_add(announce_courtesy)
        }
    }

    fn announce(&mut self, moment: Moment<'_>, to: NodeId, id: EntryId, after: Duration) {
        let Moment { now, limits, .. } = moment;
        if self.neighbours.contains(to) && !self.announcements.add(now, to, id, after, limits) {
            self.announcements_dropped += 1;
            self.reconciliations.flag(now, to, limits);
        }
    }

    /// An entry that was to be pushed to this neighbour was not, for its queue is full: it is announced, and whatever
    /// else gets lost is found by reconciliation.
    pub(crate) fn dropped_for(&mut self, moment: Moment<'_>, to: NodeId, id: EntryId) {
        self.announce(moment, to, id, self.announce_after(moment, to));
        self.flag(moment, to);
    }

    /// This neighbour began a reconciliation.
    pub(crate) fn met(&mut self, peer: NodeId, now: Instant) {
        self.reconciliations.met(now, peer);
    }

    /// Something may be missing here that this neighbour has, or the other way round.
    pub(crate) fn flag(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.reconciliations.flag(moment.now, peer, moment.limits);
    }

    /// Something may be missing here that any neighbour may have.
    pub(crate) fn look_around(&mut self, moment: Moment<'_>) {
        self.reconciliations.soon(moment.now, moment.limits);
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self, moment: Moment<'_>) -> Option<(Instant, Timer)> {
        if self.neighbours.is_empty() {
            return None;
        }
        let limits = moment.limits;
        let kinds = [
            (self.neighbours.deadline(limits), Timer::Links),
            (self.trees.deadline(moment), Timer::Tree),
            (self.announcements.deadline(), Timer::Announce),
            (self.missing.deadline(), Timer::Graft),
            (self.wanted.deadline(limits), Timer::Graft),
            (self.reconciliations.deadline(), Timer::Reconcile),
        ];
        kinds.into_iter().filter_map(|(at, kind)| Some((at?, kind))).min()
    }

    /// What time brings. Early and needless calls do no harm.
    pub(crate) fn timeout(&mut self, moment: Moment<'_>, identity: &Identity, random: &mut impl Rng) {
        let Moment { now, limits, .. } = moment;
        if self.neighbours.is_empty() {
            return;
        }
        self.trees.timeout(moment, &self.neighbours, identity, random);
        while let Some((peer, id)) = self.missing.next_due(now, limits) {
            self.to_ask.entry(peer).or_default().push_back(id);
        }
        if self.wanted.give_up(now, limits) {
            self.reconciliations.soon(now, limits);
        }
        while let Some(peer) = self.missing.next_unanswering() {
            self.trees.shun(moment, peer);
        }
    }

    /// The next neighbour with whom to reconcile.
    pub(crate) fn due_for_sync(&mut self, moment: Moment<'_>, random: &mut impl Rng) -> Option<NodeId> {
        self.reconciliations.next_due(moment.now, random, moment.limits)
    }

    /// The next frame to send, and to whom.
    pub(crate) fn next_frame(&mut self, moment: Moment<'_>) -> Option<(NodeId, Frame<'static>)> {
        let Moment { now, limits, .. } = moment;
        if let Some((peer, claim)) = self.trees.next_to_tell(moment) {
            return Some((peer, Frame::Tree(claim)));
        }
        if let Some((peer, links)) = self.neighbours.next_to_tell(now, limits) {
            return Some((peer, Frame::Links(links)));
        }
        if let Some((peer, ids)) = self.announcements.next_due(now) {
            return Some((peer, Frame::Ihave(ids)));
        }
        if let Some(mut asked) = self.to_ask.first_entry() {
            let peer = *asked.key();
            let ids = asked.get_mut();
            let batch = ids.drain(..ids.len().min(MAX_GRAFT)).collect();
            if ids.is_empty() {
                asked.remove();
            }
            return Some((peer, Frame::Graft(batch)));
        }
        self.wanted.next_due(now, limits).map(|(peer, ids)| (peer, Frame::Graft(ids)))
    }
}
