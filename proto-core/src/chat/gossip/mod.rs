//! How entries spread: eager push along a tree, lazy push (announcements) along all other links, and requests
//! for what did not come.
//!
//! This is Plumtree (Leitão et al., SRDS 2007) with another tree. The tree has one root and is kept by
//! distances, as by bridges (IEEE 802.1D). Sequence numbers of the root guard against stale claims. The tree
//! is an optimisation, never a condition: without a tree, or with a broken one, announcements carry the
//! conversation.
//!
//! The parts, and what each decides:
//! - [`neighbours`]: who is linked to whom, by `LINKS`, and whether that is a full mesh;
//! - [`trees`]: which period's tree an entry takes. Each [`tree`] has an [`election`] of its root, a
//!   [`position`] of this node, and an [`advert`] schedule; [`barred`] lists neighbours that may not be the
//!   parent;
//! - [`spread`]: to whom an entry is pushed, and to whom it is announced;
//! - [`announce`]: when entries are announced by `IHAVE`;
//! - [`fetch_announced`] and [`fetch_tips`]: when missing entries are requested by `GRAFT`, after an
//!   announcement, or as tips after a reconciliation;
//! - [`sync_schedule`]: when to reconcile, and with whom. The exchange itself is in
//!   [`log`](crate::chat::log);
//! - [`spared`]: which announcements a full mesh spares, until a link is lost;
//! - [`seen`]: which entries came recently;
//! - [`ids_by_peer`]: which entries a neighbour lacks, and of which it was told.

mod advert;
mod announce;
mod barred;
mod election;
mod fetch_announced;
mod fetch_tips;
mod ids_by_peer;
mod neighbours;
mod position;
mod seen;
mod spared;
mod spread;
mod sync_schedule;
#[cfg(test)]
mod tests;
mod tree;
mod trees;
mod views;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

use crate::chat::{FalseClaim, Timer};
use crate::model::{EntryId, Identity, Instant, Moment, NodeId, PublicKey};
use crate::wire::{Frame, MAX_GRAFT, TreeClaim};

use announce::Announcements;
use fetch_announced::AnnouncedFetch;
use fetch_tips::TipFetch;
use ids_by_peer::IdsByPeer;
use neighbours::Neighbours;
use seen::Seen;
use spared::Spared;
use sync_schedule::SyncSchedule;
use trees::Trees;

pub(crate) use fetch_tips::{MAX_WAIT_ANSWERING, MAX_WAIT_BUSY};
pub(crate) use views::{GossipLost, Role, Standing};

/// Decides what is sent to which neighbour. It knows entries by their ids alone.
///
/// After each call, call [`timeout`](Self::timeout) if its deadline has passed, then drain
/// [`next_frame`](Self::next_frame).
#[derive(Debug)]
pub(crate) struct Gossip {
    neighbours: Neighbours,
    trees: Trees,
    seen: Seen,
    announcements: Announcements,
    announced_fetch: AnnouncedFetch,
    tip_fetch: TipFetch,
    /// What each neighbour has no body for. It is not asked for that again (SPEC 7.10.6).
    bodiless: IdsByPeer,
    /// What each neighbour lacks. It is not asked for that again before it announces it (SPEC 8.9.12).
    lacked: IdsByPeer,
    /// The tips that each neighbour was told of. It is not told of them again (SPEC 9.7.1).
    told: IdsByPeer,
    spared: Spared,
    /// Entries that `announced_fetch` decided to request from each neighbour.
    grafts: BTreeMap<NodeId, VecDeque<EntryId>>,
    syncs: SyncSchedule,
    announcements_dropped: u64,
}

/// What gossip has to know of an entry to spread it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryMeta {
    pub(crate) id: EntryId,
    /// The author's date.
    pub(crate) at: u64,
    pub(crate) author: NodeId,
    /// The neighbour that sent it. None: this node is the author.
    pub(crate) from: Option<NodeId>,
}

/// Why an entry was requested from a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// It was not.
    None,
    /// The neighbour announced it. It counts against rates, since anybody can announce anything.
    Announced,
    /// A reconciliation showed it. It does not count against rates.
    Reconciled,
}

/// How an entry came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    /// Neighbours that announced it.
    holders: Vec<NodeId>,
    /// It was requested after an announcement.
    grafted: bool,
    /// It was requested after a reconciliation.
    synced: bool,
}

/// Neighbours and their frames.
impl Gossip {
    pub(crate) fn new(key: PublicKey) -> Self {
        let me = key.node_id();
        Self {
            neighbours: Neighbours::new(me),
            trees: Trees::new(me, key),
            seen: Seen::default(),
            announcements: Announcements::default(),
            announced_fetch: AnnouncedFetch::default(),
            tip_fetch: TipFetch::default(),
            bodiless: IdsByPeer::default(),
            lacked: IdsByPeer::default(),
            told: IdsByPeer::default(),
            spared: Spared::default(),
            grafts: BTreeMap::new(),
            syncs: SyncSchedule::default(),
            announcements_dropped: 0,
        }
    }

    /// A peer with a key was linked.
    pub(crate) fn linked(&mut self, moment: Moment<'_>, peer: NodeId) {
        if self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.linked(peer);
        self.trees.linked(moment.now, peer);
        let we_begin = self.neighbours.me() < peer;
        self.syncs.linked(moment.now, peer, we_begin, moment.limits);
    }

    /// This node lacks something that the neighbour, which was just linked, may hold.
    pub(crate) fn begin_on_new_link(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.syncs.begin_on_new_link(moment.now, peer);
    }

    /// A neighbour lost its link.
    pub(crate) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId) {
        if !self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.unlinked(peer);
        self.trees.unlinked(moment, peer);
        self.announcements.unlinked(peer);
        self.announced_fetch.unlinked(peer);
        if self.tip_fetch.unlinked(moment.now, peer) {
            self.syncs.request_any(moment.now, moment.limits);
        }
        self.grafts.remove(&peer);
        self.bodiless.unlinked(peer);
        self.lacked.unlinked(peer);
        self.told.unlinked(peer);
        self.syncs.unlinked(peer);
        self.announce_spared(moment, peer);
    }

    /// A neighbour's link moved to another connection. Frames in flight on the old one may be lost.
    pub(crate) fn moved(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.neighbours.doubt(peer, false);
        self.announce_spared(moment, peer);
        self.sync_with(moment, peer);
    }

    /// A neighbour does not answer, or does again. While it does not, the node does not name it in `LINKS`.
    pub(crate) fn doubt(&mut self, peer: NodeId, doubted: bool) {
        self.neighbours.doubt(peer, doubted);
    }

    /// Whether the peer is linked to another neighbour, too, as far as its `LINKS` show.
    pub(crate) fn has_mutual_neighbour(&self, peer: NodeId) -> bool {
        self.neighbours.has_mutual_neighbour(peer)
    }

    /// Whether the neighbours lead nowhere new, as far as their `LINKS` show, and a node with this id is none of those to whom
    /// they lead (SPEC 5.4.4).
    pub(crate) fn is_closed_to(&self, outsider: NodeId) -> bool {
        self.neighbours.is_closed_to(outsider)
    }

    /// `LINKS` came.
    pub(crate) fn links_received(&mut self, moment: Moment<'_>, from: NodeId, links: &[NodeId]) {
        let lost = self.neighbours.links_received(from, links);
        // What either end of the link said last may not have reached the other one.
        let ends = lost.first().map(|_| from).into_iter().chain(lost.iter().copied());
        ends.for_each(|end| self.announce_spared(moment, end));
    }

    /// `TREE` came.
    pub(crate) fn tree_received(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        claim: &TreeClaim,
    ) -> Result<(), FalseClaim> {
        self.trees.receive(moment, from, claim, &self.neighbours)
    }

    /// `IHAVE` came. `is_held` says whether this node holds an entry, or does not want it.
    pub(crate) fn ihave_received(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        ids: &[EntryId],
        is_held: impl Fn(&EntryId) -> bool,
    ) {
        let Moment { now, limits, .. } = moment;
        if !self.neighbours.contains(from) {
            return;
        }
        let after = self.ask_after(moment);
        let mut surplus = false;
        for id in ids {
            // It holds it now, whatever it said.
            self.lacked.remove(from, id);
            if self.seen.contains(id) || is_held(id) {
                self.announcements.cancel(from, id);
            } else if self.bodiless.contains(from, id) || self.tip_fetch.is_queued(from, id) {
                // It would not bring the body this time, either; or it is requested from this neighbour already, or will be.
            } else {
                surplus |= !self.announced_fetch.add(now, from, *id, after, limits);
            }
        }
        if surplus {
            // So many do not come along the tree. A reconciliation shows the tips of their runs, if they exist.
            self.syncs.request(now, from, limits);
        }
    }

    /// How long the tree may take to bring what was announced.
    fn ask_after(&self, moment: Moment<'_>) -> Duration {
        // Without a tree no push is expected, so there is less to wait for.
        let chat = &moment.limits.chat;
        if self.is_attached(moment, None) { chat.ask_after } else { chat.ask_after_alone }
    }

    /// This neighbour most likely holds an entry that is wanted, though it did not announce it.
    pub(crate) fn ask_for(&mut self, moment: Moment<'_>, from: NodeId, id: EntryId) {
        let is_in_vain = self.lacked.contains(from, &id) || self.bodiless.contains(from, &id);
        if self.neighbours.contains(from) && !is_in_vain && !self.tip_fetch.is_queued(from, &id) {
            let after = self.ask_after(moment);
            // Where its share is full, the fork stays unknown until it is shown again.
            let _ = self.announced_fetch.add(moment.now, from, id, after, moment.limits);
        }
    }

    /// A reconciliation showed these tips, which this node lacks. They are requested in this order.
    pub(crate) fn fetch_tips(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
    ) {
        if self.neighbours.contains(from) {
            let expected = |id: &EntryId| self.announced_fetch.is_expected_from(from, id);
            let in_vain = |id: &EntryId| self.bodiless.contains(from, id) || self.lacked.contains(from, id);
            let ids = ids.into_iter().filter(|id| !expected(id) && !in_vain(id));
            // Of a neighbour that lacked more than can be remembered, few are worth a try.
            let most_in_vain = self.bodiless.len(from).max(self.lacked.len(from));
            let is_full = most_in_vain >= moment.limits.chat.bodiless;
            let most = if is_full { MAX_GRAFT } else { usize::MAX };
            self.tip_fetch.add(moment.now, from, ids.take(most), moment.limits);
        }
    }
}

/// Entries.
impl Gossip {
    /// Whether the entry came recently, with a valid signature.
    pub(crate) fn has_seen(&self, id: &EntryId) -> bool {
        self.seen.contains(id)
    }

    /// The entry had to make room. It can be received again.
    pub(crate) fn forget(&mut self, id: &EntryId) {
        self.seen.forget(id);
    }

    /// Every entry can be received again.
    pub(crate) fn forget_all(&mut self) {
        self.seen.forget_all();
    }

    /// The entry is no longer held: it is not announced any more. It stays known.
    pub(crate) fn withdraw(&mut self, id: &EntryId) {
        for peer in self.neighbours.ids() {
            self.announcements.cancel(peer, id);
        }
    }

    /// Of these tips, which a reconciliation showed that this neighbour lacks, those that it was not told of yet.
    pub(crate) fn tips_to_tell(
        &mut self,
        moment: Moment<'_>,
        peer: NodeId,
        mut ids: Vec<EntryId>,
    ) -> Vec<EntryId> {
        ids.retain(|id| !self.told.contains(peer, id));
        if self.neighbours.contains(peer) {
            ids.iter().for_each(|id| self.told.insert(peer, *id, moment.limits));
        }
        ids
    }

    /// Why the entry was requested from this neighbour.
    pub(crate) fn request_to(&self, peer: NodeId, id: &EntryId) -> Request {
        if self.tip_fetch.is_requested(peer, id) {
            Request::Reconciled
        } else if self.announced_fetch.is_requested(peer, id) {
            Request::Announced
        } else {
            Request::None
        }
    }

    /// A neighbour sent an entry, or its part of a reconciliation.
    pub(crate) fn heard(&mut self, now: Instant, from: NodeId) {
        self.tip_fetch.heard(now, from);
    }

    /// An entry came that is known, or that there is no room for. Returns who else is known to hold it.
    pub(crate) fn duplicate_received(&mut self, now: Instant, from: NodeId, id: &EntryId) -> Vec<NodeId> {
        self.announcements.cancel(from, id);
        self.complete_fetch(now, Some(from), id).holders
    }

    /// This neighbour lacks an entry that it was asked for. It is asked for elsewhere.
    pub(crate) fn lacks(&mut self, moment: Moment<'_>, from: NodeId, id: EntryId) {
        if self.neighbours.contains(from) {
            self.lacked.insert(from, id, moment.limits);
            self.asked_in_vain(moment.now, from, &id);
        }
    }

    /// The body of an entry is gone at this neighbour, which was asked for it. It is asked for elsewhere.
    pub(crate) fn lacks_body(&mut self, moment: Moment<'_>, from: NodeId, id: EntryId) {
        if self.neighbours.contains(from) {
            self.bodiless.insert(from, id, moment.limits);
            self.asked_in_vain(moment.now, from, &id);
        }
    }

    fn asked_in_vain(&mut self, now: Instant, from: NodeId, id: &EntryId) {
        self.announced_fetch.asked_in_vain(now, from, id);
        self.tip_fetch.asked_in_vain(now, from, id);
    }

    /// This neighbour asked for entries that are not held: it has to be told of them when they are.
    pub(crate) fn lacks_here(&mut self, peer: NodeId, ids: &[EntryId]) {
        ids.iter().for_each(|id| self.told.remove(peer, id));
    }

    /// A new entry came with a valid signature, or this node signed it.
    pub(crate) fn arrived(&mut self, moment: Moment<'_>, from: Option<NodeId>, id: EntryId) -> Arrival {
        self.seen.insert(moment.now, id, moment.limits);
        self.complete_fetch(moment.now, from, &id)
    }

    /// Stops requesting an entry.
    fn complete_fetch(&mut self, now: Instant, from: Option<NodeId>, id: &EntryId) -> Arrival {
        let (synced, others) = self.tip_fetch.complete(now, from, id);
        let completed = self.announced_fetch.complete(now, from, id);
        let mut holders = completed.announcers;
        holders.extend(others);
        Arrival { holders, grafted: completed.requested, synced }
    }
}

/// Reconciliations.
impl Gossip {
    /// This neighbour began a reconciliation.
    pub(crate) fn peer_began_sync(&mut self, peer: NodeId, now: Instant) {
        self.syncs.peer_began(now, peer);
    }

    /// This neighbour asked for so many entries.
    pub(crate) fn graft_received(&mut self, now: Instant, peer: NodeId, entries: usize) {
        if entries >= MAX_GRAFT {
            self.syncs.served_many(now, peer);
        }
    }

    /// This neighbour or this node may lack entries that the other has.
    pub(crate) fn sync_with(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.syncs.request(moment.now, peer, moment.limits);
    }

    /// This neighbour ignored a reconciliation. The next one shows whether it ignores them all.
    pub(crate) fn sync_ignored(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.syncs.ignored(moment.now, peer, moment.limits);
    }

    /// This node lacks entries that any neighbour may have.
    pub(crate) fn sync_with_any(&mut self, moment: Moment<'_>) {
        self.syncs.request_any(moment.now, moment.limits);
    }

    /// The next neighbour with whom a reconciliation is due. `awaits_ranges` tells from whom ranges are to come.
    pub(crate) fn due_for_sync(
        &mut self,
        moment: Moment<'_>,
        random: &mut impl Rng,
        awaits_ranges: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let Self { syncs, tip_fetch, announced_fetch, .. } = self;
        let is_fetching = |peer| {
            awaits_ranges(peer) || tip_fetch.len_from(peer) + announced_fetch.len_from(peer) >= MAX_GRAFT
        };
        syncs.next_due(moment.now, random, is_fetching, moment.limits)
    }
}

/// Time and output.
impl Gossip {
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
            (self.announced_fetch.deadline(), Timer::Graft),
            (self.tip_fetch.deadline(limits), Timer::Graft),
            (self.syncs.deadline(), Timer::Reconcile),
        ];
        kinds.into_iter().filter_map(|(at, kind)| Some((at?, kind))).min()
    }

    /// Runs what is due. Early or repeated calls change nothing.
    pub(crate) fn timeout(&mut self, moment: Moment<'_>, identity: &Identity, random: &mut impl Rng) {
        let Moment { now, limits, .. } = moment;
        if self.neighbours.is_empty() {
            return;
        }
        self.trees.timeout(moment, &self.neighbours, identity, random);
        while let Some((peer, id)) = self.announced_fetch.next_request(now, limits) {
            self.grafts.entry(peer).or_default().push_back(id);
        }
        if self.tip_fetch.expire(now, limits) {
            self.syncs.request_any(now, limits);
        }
        while let Some(peer) = self.announced_fetch.next_unresponsive() {
            self.trees.bar_parent(moment, peer);
        }
    }

    /// The next frame to send, and to whom.
    pub(crate) fn next_frame(&mut self, moment: Moment<'_>) -> Option<(NodeId, Frame<'static>)> {
        let Moment { now, limits, .. } = moment;
        if let Some((peer, claim)) = self.trees.next_advert(moment) {
            return Some((peer, Frame::Tree(claim)));
        }
        if let Some((peer, links)) = self.neighbours.next_links(now, limits) {
            return Some((peer, Frame::Links(links)));
        }
        if let Some((peer, ids)) = self.announcements.next_batch(now) {
            return Some((peer, Frame::Ihave(ids)));
        }
        if let Some(mut waiting) = self.grafts.first_entry() {
            let peer = *waiting.key();
            let ids = waiting.get_mut();
            let batch = ids.drain(..ids.len().min(MAX_GRAFT)).collect();
            if ids.is_empty() {
                waiting.remove();
            }
            return Some((peer, Frame::Graft(batch)));
        }
        self.tip_fetch.next_graft(now, limits).map(|(peer, ids)| (peer, Frame::Graft(ids)))
    }
}
