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
//! - [`announce`]: when entries are announced by `IHAVE`;
//! - [`fetch_announced`] and [`fetch_synced`]: when missing entries are requested by `GRAFT`, after an
//!   announcement or after a reconciliation;
//! - [`sync_schedule`]: when to reconcile, and with whom. The exchange itself is in
//!   [`log`](crate::chat::log);
//! - [`spared`]: which announcements a full mesh spares, until a link is lost;
//! - [`seen`]: which entries came recently;
//! - [`bodiless`]: which neighbours have no body for an entry.

mod advert;
mod announce;
mod barred;
mod bodiless;
mod election;
mod fetch_announced;
mod fetch_synced;
mod neighbours;
mod position;
mod seen;
mod spared;
mod sync_schedule;
#[cfg(test)]
mod tests;
mod tree;
mod trees;
mod views;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

use crate::chat::{FalseClaim, Timer};
use crate::model::{ChatLimits, EntryId, Identity, Instant, Moment, NodeId, PublicKey};
use crate::wire::{Frame, MAX_GRAFT, TreeClaim};

use announce::Announcements;
use bodiless::Bodiless;
use fetch_announced::AnnouncedFetch;
use fetch_synced::SyncFetch;
use neighbours::Neighbours;
use seen::Seen;
use spared::Spared;
use sync_schedule::SyncSchedule;
use trees::Trees;

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
    sync_fetch: SyncFetch,
    bodiless: Bodiless,
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
            sync_fetch: SyncFetch::default(),
            bodiless: Bodiless::default(),
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

    /// A neighbour lost its link.
    pub(crate) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId) {
        if !self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.unlinked(peer);
        self.trees.unlinked(moment, peer);
        self.announcements.unlinked(peer);
        self.announced_fetch.unlinked(peer);
        if self.sync_fetch.unlinked(peer) {
            self.syncs.request_any(moment.now, moment.limits);
        }
        self.grafts.remove(&peer);
        self.bodiless.unlinked(peer);
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

    /// Whether the neighbours are all linked to each other and to no other node, as far as their `LINKS`
    /// show.
    pub(crate) fn is_full_mesh(&self) -> bool {
        self.neighbours.is_full_mesh()
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
        // Without a tree no push is expected, so there is less to wait for.
        let after =
            if self.is_attached(moment, None) { limits.chat.ask_after } else { limits.chat.ask_after_alone };
        let mut surplus = false;
        for id in ids {
            if self.seen.contains(id) || is_held(id) {
                self.announcements.cancel(from, id);
            } else if self.bodiless.contains(from, id) || self.sync_fetch.is_queued(from, id) {
                // It would not bring the body this time, either; or it is requested from this neighbour already, or will be.
            } else if !self.announced_fetch.add(now, from, *id, after, limits) {
                surplus = true;
            }
        }
        if surplus {
            // So many do not come along the tree. A reconciliation shows them, if they exist.
            self.syncs.request(now, from, limits);
        }
    }

    /// A reconciliation showed that this neighbour holds these entries and this node does not. They are
    /// requested in this order.
    pub(crate) fn fetch_synced(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
    ) {
        if self.neighbours.contains(from) {
            let expected = |id: &EntryId| self.announced_fetch.is_expected_from(from, id);
            let ids = ids.into_iter().filter(|id| !expected(id) && !self.bodiless.contains(from, id));
            self.sync_fetch.add(moment.now, from, ids, moment.limits);
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

    /// The entry is no longer held: it is not announced any more. It stays known.
    pub(crate) fn withdraw(&mut self, id: &EntryId) {
        for peer in self.neighbours.ids() {
            self.announcements.cancel(peer, id);
        }
    }

    /// Why the entry was requested from this neighbour.
    pub(crate) fn request_to(&self, peer: NodeId, id: &EntryId) -> Request {
        if self.sync_fetch.is_requested(peer, id) {
            Request::Reconciled
        } else if self.announced_fetch.is_requested(peer, id) {
            Request::Announced
        } else {
            Request::None
        }
    }

    /// A neighbour sent an entry, or its part of a reconciliation.
    pub(crate) fn heard(&mut self, now: Instant, from: NodeId) {
        self.sync_fetch.heard(now, from);
    }

    /// An entry came that is known, or that there is no room for.
    pub(crate) fn duplicate_received(&mut self, now: Instant, from: NodeId, id: &EntryId) {
        self.announcements.cancel(from, id);
        self.complete_fetch(now, Some(from), id);
    }

    /// This neighbour answered a request with an entry whose body is gone. The body is asked for elsewhere.
    pub(crate) fn body_gone(&mut self, moment: Moment<'_>, from: NodeId, id: EntryId) {
        if self.neighbours.contains(from) {
            self.bodiless.insert(from, id, moment.limits);
            self.announced_fetch.body_gone(moment.now, from, &id);
            self.sync_fetch.complete(moment.now, Some(from), &id);
        }
    }

    /// A new entry came with a valid signature, or this node signed it.
    pub(crate) fn arrived(&mut self, moment: Moment<'_>, from: Option<NodeId>, id: EntryId) -> Arrival {
        self.seen.insert(moment.now, id, moment.limits);
        self.complete_fetch(moment.now, from, &id)
    }

    /// Stops requesting an entry.
    fn complete_fetch(&mut self, now: Instant, from: Option<NodeId>, id: &EntryId) -> Arrival {
        let synced = self.sync_fetch.complete(now, from, id);
        let completed = self.announced_fetch.complete(now, from, id);
        Arrival { holders: completed.announcers, grafted: completed.requested, synced }
    }

    /// Spreads a new entry: queues its announcements, and returns the neighbours to push it to, by ascending
    /// id.
    pub(crate) fn spread(&mut self, moment: Moment<'_>, meta: EntryMeta, arrival: &Arrival) -> Vec<NodeId> {
        self.blame_parent(moment, meta, arrival);
        let eager = if arrival.synced { BTreeSet::new() } else { self.eager_peers(moment, meta) };
        let has_it = |peer: &NodeId| {
            *peer == meta.author || Some(*peer) == meta.from || arrival.holders.contains(peer)
        };
        let lazy: Vec<_> =
            self.neighbours.ids().filter(|peer| !eager.contains(peer) && !has_it(peer)).collect();
        if self.is_pushed_to_all(meta, arrival) {
            if !lazy.is_empty() {
                self.spared.insert(moment.now, meta.author, meta.id, moment.limits);
            }
            return Vec::new();
        }
        let attached = self.is_attached(moment, Some(meta.at));
        for peer in lazy {
            let after = if attached { self.announce_after(moment, peer) } else { Duration::ZERO };
            self.announce(moment, peer, meta.id, after);
        }
        eager.into_iter().filter(|peer| !has_it(peer)).collect()
    }

    /// Whether its author, a neighbour, pushed this entry here, and so to all others: each has a link to the author.
    fn is_pushed_to_all(&self, meta: EntryMeta, arrival: &Arrival) -> bool {
        let pushed = meta.from == Some(meta.author) && !arrival.grafted && !arrival.synced;
        // An entry that was dated ahead may be due when its author is gone.
        pushed && self.neighbours.contains(meta.author) && self.neighbours.is_full_mesh()
    }

    /// Announces what this author pushed here lately, and what it was taken to have pushed to all others.
    fn announce_spared(&mut self, moment: Moment<'_>, author: NodeId) {
        for id in self.spared.take(moment.now, author, moment.limits) {
            let others: Vec<_> = self.neighbours.ids().filter(|peer| *peer != author).collect();
            for peer in others {
                self.announce(moment, peer, id, self.announce_after(moment, peer));
            }
        }
    }

    /// The neighbours to send an entry to that is not held: those on eager links, or all where there are none. It is
    /// announced to nobody.
    pub(crate) fn relay_live(&self, moment: Moment<'_>, meta: EntryMeta) -> Vec<NodeId> {
        let has_it = |peer: &NodeId| *peer == meta.author || Some(*peer) == meta.from;
        if self.neighbours.is_full_mesh() && self.neighbours.contains(meta.author) {
            return Vec::new();
        }
        let eager = self.eager_peers(moment, meta);
        let peers = if eager.is_empty() { self.neighbours.ids().collect() } else { eager };
        peers.into_iter().filter(|peer| !has_it(peer)).collect()
    }

    /// Whether entries dated `at`, or now, are pushed to this node unless something fails.
    fn is_attached(&self, moment: Moment<'_>, at: Option<u64>) -> bool {
        self.trees.tree_for(moment, at).is_some_and(tree::Tree::is_attached)
    }

    /// Counts a failure of the parent, if another neighbour had an entry first that the parent did not push.
    fn blame_parent(&mut self, moment: Moment<'_>, meta: EntryMeta, arrival: &Arrival) {
        let parent = self.trees.tree_for(moment, Some(meta.at)).and_then(tree::Tree::parent);
        let has_it = |peer: NodeId| meta.from == Some(peer) || arrival.holders.contains(&peer);
        if arrival.grafted && parent.is_some_and(|parent| !has_it(parent)) {
            self.trees.parent_failed(moment, meta.at);
        }
    }

    /// The neighbours on eager links for this entry, including those that have it.
    fn eager_peers(&self, moment: Moment<'_>, meta: EntryMeta) -> BTreeSet<NodeId> {
        let full_mesh = self.neighbours.is_full_mesh();
        let tree = self.trees.tree_for(moment, Some(meta.at));
        let along_tree = tree.into_iter().flat_map(|tree| tree.children().chain(tree.parent()));
        if meta.from.is_some() {
            // In a full mesh the author pushes to everybody.
            let pushed_by_author = full_mesh && self.neighbours.contains(meta.author);
            return along_tree.filter(|_| !pushed_by_author).collect();
        }
        let eager: BTreeSet<_> = along_tree.collect();
        if full_mesh || eager.is_empty() { self.neighbours.ids().collect() } else { eager }
    }

    /// How long an announcement waits. Of two neighbours that hold an entry, the lower id announces it, and
    /// the higher id waits for that.
    fn announce_after(&self, moment: Moment<'_>, to: NodeId) -> Duration {
        let ChatLimits { announce_after, announce_tiebreak, .. } = moment.limits.chat;
        if self.neighbours.me() < to {
            announce_after
        } else {
            announce_after.saturating_add(announce_tiebreak)
        }
    }

    fn announce(&mut self, moment: Moment<'_>, to: NodeId, id: EntryId, after: Duration) {
        let Moment { now, limits, .. } = moment;
        if self.neighbours.contains(to) && !self.announcements.add(now, to, id, after, limits) {
            self.announcements_dropped += 1;
            self.syncs.request(now, to, limits);
        }
    }

    /// A push to this neighbour failed, because its queue is full. The entry is announced instead, and a
    /// reconciliation finds whatever else is lost.
    pub(crate) fn push_failed(&mut self, moment: Moment<'_>, to: NodeId, id: EntryId) {
        self.announce(moment, to, id, self.announce_after(moment, to));
        self.sync_with(moment, to);
    }
}

/// Reconciliations.
impl Gossip {
    /// This neighbour began a reconciliation.
    pub(crate) fn peer_began_sync(&mut self, peer: NodeId, now: Instant) {
        self.syncs.peer_began(now, peer);
    }

    /// This neighbour asked for so many entries at once.
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

    /// The next neighbour with whom a reconciliation is due.
    pub(crate) fn due_for_sync(&mut self, moment: Moment<'_>, random: &mut impl Rng) -> Option<NodeId> {
        let Self { syncs, sync_fetch, announced_fetch, .. } = self;
        let is_fetching = |peer| sync_fetch.len_from(peer) + announced_fetch.len_from(peer) >= MAX_GRAFT;
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
            (self.sync_fetch.deadline(limits), Timer::Graft),
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
        if self.sync_fetch.expire(now, limits) {
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
        self.sync_fetch.next_graft(now, limits).map(|(peer, ids)| (peer, Frame::Graft(ids)))
    }
}
