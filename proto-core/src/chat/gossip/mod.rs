//! How entries spread: pushed along a tree, announced along the rest, repaired by asking.
//!
//! Plumtree (Leitão et al., SRDS 2007) with another tree: one that is rooted at one node and kept by distances, as
//! bridges do (IEEE 802.1D), with sequence numbers from the root against stale claims. Where there is no tree, or a
//! broken one, announcements carry the conversation: the tree is an optimisation, never a condition.

mod advert;
mod announce;
mod election;
mod fetch_announced;
mod fetch_synced;
mod neighbours;
mod position;
mod seen;
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
use fetch_announced::AnnouncedFetch;
use fetch_synced::SyncFetch;
use neighbours::Neighbours;
use seen::Seen;
use sync_schedule::SyncSchedule;
use trees::Trees;

pub(crate) use views::{GossipLost, Role, Standing};

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
    announced_fetch: AnnouncedFetch,
    sync_fetch: SyncFetch,
    /// Entries to ask each neighbour for, which `missing` has chosen.
    grafts: BTreeMap<NodeId, VecDeque<EntryId>>,
    syncs: SyncSchedule,
    announcements_dropped: u64,
}

/// What spreads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryMeta {
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
    synced: bool,
}

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
            grafts: BTreeMap::new(),
            syncs: SyncSchedule::default(),
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
        self.syncs.linked(moment.now, peer, begin, moment.limits);
    }

    /// It is here no more.
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
        self.syncs.unlinked(peer);
    }

    /// Whether what the peer says reaches us by another neighbour, too, as far as their `LINKS` show.
    pub(crate) fn has_mutual_neighbour(&self, peer: NodeId) -> bool {
        self.neighbours.has_mutual_neighbour(peer)
    }

    /// Whether all neighbours are linked to each other, and to nobody else, as far as their `LINKS` show.
    pub(crate) fn is_full_mesh(&self) -> bool {
        self.neighbours.is_full_mesh()
    }

    /// `LINKS` came.
    pub(crate) fn links_received(&mut self, from: NodeId, links: &[NodeId]) {
        self.neighbours.links_received(from, links);
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

    /// `IHAVE` came; `have` says whether an entry is held here.
    pub(crate) fn ihave_received(
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
            } else if !self.announced_fetch.add(now, from, *id, after, limits) {
                more.push(*id);
            }
        }
        // So many are not on their way along the tree.
        self.sync_fetch.add(now, from, more, limits);
    }

    /// These entries are wanted from this neighbour, in this order: a reconciliation showed that it holds them.
    pub(crate) fn fetch_synced(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
    ) {
        if self.neighbours.contains(from) {
            self.sync_fetch.add(moment.now, from, ids, moment.limits);
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
    pub(crate) fn is_requested(&self, from: NodeId, id: &EntryId) -> bool {
        self.announced_fetch.is_requested(from, id) || self.sync_fetch.is_requested(from, id)
    }

    /// An entry came that is here already.
    pub(crate) fn duplicate(&mut self, from: NodeId, id: &EntryId) {
        self.announcements.cancel(from, id);
        self.complete_fetch(Some(from), id);
    }

    /// An entry came, or was said here, and its signature holds. It is asked for no more.
    pub(crate) fn arrived(&mut self, moment: Moment<'_>, from: Option<NodeId>, id: EntryId) -> Arrival {
        self.seen.remember(moment.now, id, moment.limits);
        self.complete_fetch(from, &id)
    }

    fn complete_fetch(&mut self, from: Option<NodeId>, id: &EntryId) -> Arrival {
        let synced = self.sync_fetch.complete(id);
        let completed = self.announced_fetch.complete(from, id);
        Arrival { holders: completed.announcers, grafted: completed.asked, synced }
    }

    /// An entry that was not here is to spread: whom to push it to, in the order of their ids. To others it is announced.
    pub(crate) fn spread(&mut self, moment: Moment<'_>, item: EntryMeta, arrival: &Arrival) -> Vec<NodeId> {
        self.blame_parent(moment, item, arrival);
        let pushed = if arrival.synced { BTreeSet::new() } else { self.eager_peers(moment, item) };
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
        self.trees.tree_for(moment, at).is_some_and(tree::Tree::is_attached)
    }

    /// A parent that did not bring what others had.
    fn blame_parent(&mut self, moment: Moment<'_>, item: EntryMeta, arrival: &Arrival) {
        let parent = self.trees.tree_for(moment, Some(item.at)).and_then(tree::Tree::parent);
        let by_parent = |peer: NodeId| item.from == Some(peer) || arrival.holders.contains(&peer);
        if arrival.grafted && parent.is_some_and(|parent| !by_parent(parent)) {
            self.trees.parent_failed(moment, item.at);
        }
    }

    /// Whom an entry is pushed to, whether they have it or not.
    fn eager_peers(&self, moment: Moment<'_>, item: EntryMeta) -> BTreeSet<NodeId> {
        let full_mesh = self.neighbours.is_full_mesh();
        let tree = self.trees.tree_for(moment, Some(item.at));
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
            self.syncs.request(now, to, limits);
        }
    }

    /// An entry that was to be pushed to this neighbour was not, for its queue is full: it is announced, and whatever
    /// else gets lost is found by reconciliation.
    pub(crate) fn push_failed(&mut self, moment: Moment<'_>, to: NodeId, id: EntryId) {
        self.announce(moment, to, id, self.announce_after(moment, to));
        self.sync_with(moment, to);
    }

    /// This neighbour began a reconciliation.
    pub(crate) fn peer_began_sync(&mut self, peer: NodeId, now: Instant) {
        self.syncs.peer_began(now, peer);
    }

    /// Something may be missing here that this neighbour has, or the other way round.
    pub(crate) fn sync_with(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.syncs.request(moment.now, peer, moment.limits);
    }

    /// Something may be missing here that any neighbour may have.
    pub(crate) fn sync_with_any(&mut self, moment: Moment<'_>) {
        self.syncs.request_any(moment.now, moment.limits);
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
            (self.announced_fetch.deadline(), Timer::Graft),
            (self.sync_fetch.deadline(limits), Timer::Graft),
            (self.syncs.deadline(), Timer::Reconcile),
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

    /// The next neighbour with whom to reconcile.
    pub(crate) fn due_for_sync(&mut self, moment: Moment<'_>, random: &mut impl Rng) -> Option<NodeId> {
        self.syncs.next_due(moment.now, random, moment.limits)
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
        if let Some(mut asked) = self.grafts.first_entry() {
            let peer = *asked.key();
            let ids = asked.get_mut();
            let batch = ids.drain(..ids.len().min(MAX_GRAFT)).collect();
            if ids.is_empty() {
                asked.remove();
            }
            return Some((peer, Frame::Graft(batch)));
        }
        self.sync_fetch.next_graft(now, limits).map(|(peer, ids)| (peer, Frame::Graft(ids)))
    }
}
