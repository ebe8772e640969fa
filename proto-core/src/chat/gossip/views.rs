//! What can be seen of the spreading from outside.

use alloc::vec::Vec;

use super::Gossip;
use crate::model::Capacity;
use crate::model::{Moment, NodeId};

/// What was lost so far, for want of room or because it came too fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GossipLost {
    /// Ids of entries seen.
    pub(crate) ids: u64,
    pub(crate) announcements: u64,
    /// Entries to ask for.
    pub(crate) asks: u64,
    /// Claims to be the root.
    pub(crate) roots: u64,
}

/// What a neighbour is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Parent,
    Child,
    Announce,
}

/// Where we stand in the tree that counts now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) root: Option<NodeId>,
    pub(crate) distance: Option<u16>,
    pub(crate) parent: Option<NodeId>,
    pub(crate) children: Vec<NodeId>,
}

impl Gossip {
    /// How many neighbours there are.
    pub(crate) fn neighbours(&self) -> usize {
        self.neighbours.ids().count()
    }

    /// Ids of entries that came here lately.
    pub(crate) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Entries that are known to be elsewhere.
    pub(crate) fn awaited(&self) -> usize {
        self.announced_fetch.len() + self.sync_fetch.len()
    }

    /// How much is in each bounded thing.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 7] {
        [
            (Capacity::Seen, self.seen.len()),
            (Capacity::Missing, self.announced_fetch.len()),
            (Capacity::MissingPerLink, self.announced_fetch.most_per_link()),
            (Capacity::Announcers, self.announced_fetch.most_announcers()),
            (Capacity::Announced, self.announcements.most()),
            (Capacity::Wanted, self.sync_fetch.len()),
            (Capacity::Asked, self.sync_fetch.most_asked()),
        ]
    }

    /// What was lost so far.
    pub(crate) fn lost(&self) -> GossipLost {
        GossipLost {
            ids: self.seen.evicted(),
            announcements: self.announcements_dropped,
            asks: self.announced_fetch.dropped() + self.sync_fetch.dropped(),
            roots: self.trees.rate_limited(),
        }
    }

    /// Where we stand in the tree that counts now.
    pub(crate) fn standing(&self, moment: Moment<'_>) -> Standing {
        let Some(tree) = self.trees.tree_for(moment, None) else { return Standing::default() };
        Standing {
            root: tree.root(),
            distance: tree.distance(),
            parent: tree.parent(),
            children: tree.children().collect(),
        }
    }

    /// What this neighbour is in the tree that counts now.
    pub(crate) fn role(&self, moment: Moment<'_>, peer: NodeId) -> Role {
        let Some(tree) = self.trees.tree_for(moment, None) else { return Role::Announce };
        if tree.parent() == Some(peer) {
            Role::Parent
        } else if tree.children().any(|child| child == peer) {
            Role::Child
        } else {
            Role::Announce
        }
    }

    /// Compares the indexes with what they are indexes of.
    pub(crate) fn is_consistent(&self) -> bool {
        let linked = |peer: &NodeId| self.neighbours.contains(*peer);
        self.neighbours.is_consistent()
            && self.trees.is_consistent()
            && self.seen.is_consistent()
            && self.announcements.is_consistent()
            && self.announced_fetch.is_consistent()
            && self.sync_fetch.is_consistent()
            && self.grafts.keys().all(linked)
    }
}
