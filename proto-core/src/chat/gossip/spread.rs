//! To whom an entry goes: pushed along the eager links, announced along the others.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Arrival, EntryMeta, Gossip, tree};
use crate::model::{ChatLimits, EntryId, Moment, NodeId};

impl Gossip {
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
    pub(super) fn announce_spared(&mut self, moment: Moment<'_>, author: NodeId) {
        for id in self.spared.take(moment.now, author, moment.limits) {
            let others: Vec<_> = self.neighbours.ids().filter(|peer| *peer != author).collect();
            for peer in others {
                self.announce(moment, peer, id, self.announce_after(moment, peer));
            }
        }
    }

    /// Announces an entry to all neighbours but this one: the newest of those that came from it by ranges.
    pub(crate) fn announce_newest(&mut self, moment: Moment<'_>, id: EntryId, from: NodeId) {
        let others: Vec<_> = self.neighbours.ids().filter(|peer| *peer != from).collect();
        for peer in others {
            self.announce(moment, peer, id, self.announce_after(moment, peer));
        }
    }

    /// The neighbours to send an entry to that is not held. Its author sends it to all: they may take it that each has got
    /// it, and nothing is announced that would make up for it. Others send it along eager links, or to all where there are none.
    pub(crate) fn relay_live(&self, moment: Moment<'_>, meta: EntryMeta) -> Vec<NodeId> {
        if meta.from.is_none() {
            return self.neighbours.ids().collect();
        }
        let has_it = |peer: &NodeId| *peer == meta.author || Some(*peer) == meta.from;
        if self.neighbours.is_full_mesh() && self.neighbours.contains(meta.author) {
            return Vec::new();
        }
        let eager = self.eager_peers(moment, meta);
        let peers = if eager.is_empty() { self.neighbours.ids().collect() } else { eager };
        peers.into_iter().filter(|peer| !has_it(peer)).collect()
    }

    /// Whether entries dated `at`, or now, are pushed to this node unless something fails.
    pub(super) fn is_attached(&self, moment: Moment<'_>, at: Option<u64>) -> bool {
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
