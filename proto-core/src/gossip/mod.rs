//! How entries spread: pushed along a tree, announced along the rest, repaired by asking.
//!
//! Plumtree (Leitão et al., SRDS 2007) with another tree: one that is rooted at one node and kept by distances, as
//! bridges do (IEEE 802.1D), with sequence numbers from the root against stale claims. Where there is no tree, or a
//! broken one, announcements carry the conversation: the tree is an optimisation, never a condition.

mod announce;
mod election;
mod neighbours;
mod place;
#[cfg(feature = "plumtree")]
mod plumtree;
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

use crate::wire::{Frame, MAX_GRAFT, TreeClaim};
use crate::{EntryId, Identity, Instant, Limits, NodeId, PublicKey, TimerKind, Violation};

use announce::Announcements;
use neighbours::Neighbours;
use repair::Missing;
use seen::Seen;
use sync::Reconciliations;
use trees::Trees;
use wanted::Wanted;

pub(crate) use views::{Role, Standing};

/// When something happens, and within which bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// Wall-clock time in milliseconds since the Unix epoch, if it is known.
    pub(crate) wall: Option<u64>,
    pub(crate) limits: &'a Limits,
}

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
    /// Takes the tree's place.
    #[cfg(feature = "plumtree")]
    plumtree: Option<plumtree::Plumtree>,
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
            #[cfg(feature = "plumtree")]
            plumtree: None,
        }
    }

    /// Plain Plumtree from here on.
    #[cfg(feature = "plumtree")]
    pub(crate) fn with_plumtree(self) -> Self {
        Self { plumtree: Some(plumtree::Plumtree::default()), ..self }
    }

    /// `PRUNE` came.
    #[cfg(feature = "plumtree")]
    pub(crate) fn pruned(&mut self, from: NodeId) {
        if let Some(plumtree) = self.plumtree.as_mut().filter(|_| self.neighbours.contains(from)) {
            plumtree.pruned(from);
        }
    }

    /// `GRAFT` came.
    #[cfg(feature = "plumtree")]
    pub(crate) fn grafted(&mut self, from: NodeId) {
        if let Some(plumtree) = &mut self.plumtree {
            plumtree.grafted(from);
        }
    }

    /// A peer with a key is here.
    pub(crate) fn linked(&mut self, context: Context<'_>, peer: NodeId) {
        if self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.linked(peer);
        self.trees.linked(context.now, peer);
        let begin = self.neighbours.me() < peer;
        self.reconciliations.linked(context.now, peer, begin, context.limits);
    }

    /// It is here no more.
    pub(crate) fn unlinked(&mut self, context: Context<'_>, peer: NodeId) {
        if !self.neighbours.contains(peer) {
            return;
        }
        self.neighbours.unlinked(peer);
        self.trees.unlinked(context, peer);
        self.announcements.unlinked(peer);
        self.missing.unlinked(peer);
        if self.wanted.unlinked(peer) {
            self.reconciliations.soon(context.now, context.limits);
        }
        self.to_ask.remove(&peer);
        self.reconciliations.unlinked(peer);
        #[cfg(feature = "plumtree")]
        if let Some(plumtree) = &mut self.plumtree {
            plumtree.unlinked(peer);
        }
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
        context: Context<'_>,
        from: NodeId,
        claim: &TreeClaim,
    ) -> Result<(), Violation> {
        self.trees.told(context, from, claim, &self.neighbours)
    }

    /// `IHAVE` came; `have` says whether an entry is held here.
    pub(crate) fn announced(
        &mut self,
        context: Context<'_>,
        from: NodeId,
        ids: &[EntryId],
        have: impl Fn(&EntryId) -> bool,
    ) {
        let Context { now, limits, .. } = context;
        if !self.neighbours.contains(from) {
            return;
        }
        // Where no tree brings it, there is less to wait for.
        let after = if self.is_attached(context, None) { limits.ask_after } else { limits.ask_after_alone };
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
    pub(crate) fn want(
        &mut self,
        context: Context<'_>,
        from: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
    ) {
        if self.neighbours.contains(from) {
            self.wanted.want(context.now, from, ids, context.limits);
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
        #[cfg(feature = "plumtree")]
        if let Some(plumtree) = self.plumtree.as_mut().filter(|_| self.neighbours.contains(from)) {
            plumtree.came_again(from);
        }
    }

    /// An entry came, or was said here, and its signature holds. It is asked for no more.
    pub(crate) fn remember(&mut self, context: Context<'_>, from: Option<NodeId>, id: EntryId) -> Arrival {
        self.seen.remember(context.now, id, context.limits);
        self.forget_missing(from, &id)
    }

    fn forget_missing(&mut self, from: Option<NodeId>, id: &EntryId) -> Arrival {
        let wanted = self.wanted.found(id);
        let found = self.missing.found(from, id);
        Arrival { holders: found.announcers, grafted: found.asked, wanted }
    }

    /// An entry that was not here is to spread: whom to push it to, in the order of their ids. To others it is announced.
    pub(crate) fn spread(&mut self, context: Context<'_>, item: Item, arrival: &Arrival) -> Vec<NodeId> {
        self.blame(context, item, arrival);
        #[cfg(feature = "plumtree")]
        if let Some(from) = item.from {
            self.grafted(from);
        }
        let pushed = if arrival.wanted { BTreeSet::new() } else { self.eager(context, item) };
        let knows = |peer: &NodeId| {
            *peer == item.author || Some(*peer) == item.from || arrival.holders.contains(peer)
        };
        let others: Vec<_> =
            self.neighbours.ids().filter(|peer| !pushed.contains(peer) && !knows(peer)).collect();
        let attached = self.is_attached(context, Some(item.at));
        for peer in others {
            let after = if attached { self.announce_after(context, peer) } else { Duration::ZERO };
            self.announce(context, peer, item.id, after);
        }
        pushed.into_iter().filter(|peer| !knows(peer)).collect()
    }

    /// Whether what was said then, or now, is pushed to us unless something is wrong.
    fn is_attached(&self, context: Context<'_>, at: Option<u64>) -> bool {
        self.is_plumtree() || self.trees.of(context, at).is_some_and(tree::Tree::is_attached)
    }

    /// Whether there are no rooted trees.
    fn is_plumtree(&self) -> bool {
        #[cfg(feature = "plumtree")]
        return self.plumtree.is_some();
        #[cfg(not(feature = "plumtree"))]
        return false;
    }

    /// A parent that did not bring what others had.
    fn blame(&mut self, context: Context<'_>, item: Item, arrival: &Arrival) {
        let parent = self.trees.of(context, Some(item.at)).and_then(tree::Tree::parent);
        let by_parent = |peer: NodeId| item.from == Some(peer) || arrival.holders.contains(&peer);
        if arrival.grafted && parent.is_some_and(|parent| !by_parent(parent)) {
            self.trees.failed(context, item.at);
        }
    }

    /// Whom an entry is pushed to, whether they have it or not.
    fn eager(&self, context: Context<'_>, item: Item) -> BTreeSet<NodeId> {
        #[cfg(feature = "plumtree")]
        if let Some(plumtree) = &self.plumtree {
            return self.neighbours.ids().filter(|peer| plumtree.is_eager(*peer)).collect();
        }
        let full_mesh = self.neighbours.is_full_mesh();
        let tree = self.trees.of(context, Some(item.at));
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
    fn announce_after(&self, context: Context<'_>, to: NodeId) -> Duration {
        let Limits { announce_after, announce_courtesy, .. } = *context.limits;
        if self.neighbours.me() < to {
            announce_after
        } else {
            announce_after.saturating_add(announce_courtesy)
        }
    }

    fn announce(&mut self, context: Context<'_>, to: NodeId, id: EntryId, after: Duration) {
        let Context { now, limits, .. } = context;
        if self.neighbours.contains(to) && !self.announcements.add(now, to, id, after, limits) {
            self.announcements_dropped += 1;
            self.reconciliations.flag(now, to, limits);
        }
    }

    /// An entry that was to be pushed to this neighbour was not, for its queue is full: it is announced, and whatever
    /// else gets lost is found by reconciliation.
    pub(crate) fn dropped_for(&mut self, context: Context<'_>, to: NodeId, id: EntryId) {
        self.announce(context, to, id, self.announce_after(context, to));
        self.flag(context, to);
    }

    /// This neighbour began a reconciliation.
    pub(crate) fn met(&mut self, peer: NodeId, now: Instant) {
        self.reconciliations.met(now, peer);
    }

    /// Something may be missing here that this neighbour has, or the other way round.
    pub(crate) fn flag(&mut self, context: Context<'_>, peer: NodeId) {
        self.reconciliations.flag(context.now, peer, context.limits);
    }

    /// Something may be missing here that any neighbour may have.
    pub(crate) fn look_around(&mut self, context: Context<'_>) {
        self.reconciliations.soon(context.now, context.limits);
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self, context: Context<'_>) -> Option<(Instant, TimerKind)> {
        if self.neighbours.is_empty() {
            return None;
        }
        let limits = context.limits;
        let kinds = [
            (self.neighbours.deadline(limits), TimerKind::Links),
            (if self.is_plumtree() { None } else { self.trees.deadline(context) }, TimerKind::Tree),
            (self.announcements.deadline(), TimerKind::Announce),
            (self.missing.deadline(), TimerKind::Graft),
            (self.wanted.deadline(limits), TimerKind::Graft),
            (self.reconciliations.deadline(), TimerKind::Reconcile),
        ];
        kinds.into_iter().filter_map(|(at, kind)| Some((at?, kind))).min()
    }

    /// What time brings. Early and needless calls do no harm.
    pub(crate) fn timeout(&mut self, context: Context<'_>, identity: &Identity, random: &mut impl Rng) {
        let Context { now, limits, .. } = context;
        if self.neighbours.is_empty() {
            return;
        }
        if !self.is_plumtree() {
            self.trees.timeout(context, &self.neighbours, identity, random);
        }
        while let Some((peer, id)) = self.missing.next_due(now, limits) {
            self.to_ask.entry(peer).or_default().push_back(id);
            #[cfg(feature = "plumtree")]
            self.grafted(peer);
        }
        if self.wanted.give_up(now, limits) {
            self.reconciliations.soon(now, limits);
        }
        while let Some(peer) = self.missing.next_unanswering() {
            self.trees.shun(context, peer);
        }
    }

    /// The next neighbour with whom to reconcile.
    pub(crate) fn due_for_sync(&mut self, context: Context<'_>, random: &mut impl Rng) -> Option<NodeId> {
        self.reconciliations.next_due(context.now, random, context.limits)
    }

    /// The next frame to send, and to whom.
    pub(crate) fn next_frame(&mut self, context: Context<'_>) -> Option<(NodeId, Frame<'static>)> {
        let Context { now, limits, .. } = context;
        if let Some((peer, claim)) = self.trees.next_to_tell(context) {
            return Some((peer, Frame::Tree(claim)));
        }
        #[cfg(feature = "plumtree")]
        if let Some(peer) = self.plumtree.as_mut().and_then(plumtree::Plumtree::next_to_prune) {
            return Some((peer, Frame::Prune));
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
