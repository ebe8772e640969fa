//! Views of the gossip.

use alloc::vec::Vec;

use super::Gossip;
use crate::model::{Capacity, Moment, NodeId};

/// What was lost so far, for want of room or over a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GossipLost {
    /// Ids of recent entries.
    pub(crate) ids: u64,
    /// Announcements that were not sent.
    pub(crate) announcements: u64,
    /// Entries that were not requested.
    pub(crate) asks: u64,
    /// Claims to be the root that were ignored.
    pub(crate) roots: u64,
}

/// A neighbour's role in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Eager: this node's parent.
    Parent,
    /// Eager: this node is its parent.
    Child,
    /// Lazy: entries are announced to it.
    Announce,
}

/// This node's position in the tree of the present period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) root: Option<NodeId>,
    /// Links to the root.
    pub(crate) distance: Option<u16>,
    pub(crate) parent: Option<NodeId>,
    pub(crate) children: Vec<NodeId>,
}

impl Gossip {
    /// The number of recent entries whose ids are known.
    pub(crate) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// The number of entries that neighbours hold and this node lacks.
    pub(crate) fn awaited(&self) -> usize {
        self.announced_fetch.len() + self.tip_fetch.len()
    }

    /// How full each bounded collection is.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 9] {
        [
            (Capacity::Seen, self.seen.len()),
            (Capacity::AnnouncedMissing, self.announced_fetch.len()),
            (Capacity::AnnouncedMissingPerLink, self.announced_fetch.most_per_neighbour()),
            (Capacity::Announcers, self.announced_fetch.most_announcers()),
            (Capacity::Announced, self.announcements.most()),
            (Capacity::Fetching, self.tip_fetch.len()),
            (Capacity::Requested, self.tip_fetch.most_requested()),
            (Capacity::Bodiless, self.bodiless.most().max(self.lacked.most()).max(self.told.most())),
            (Capacity::Spared, self.spared.len()),
        ]
    }

    /// What was lost so far.
    pub(crate) fn lost(&self) -> GossipLost {
        GossipLost {
            ids: self.seen.evicted(),
            announcements: self.announcements_dropped,
            asks: self.announced_fetch.dropped() + self.tip_fetch.dropped(),
            roots: self.trees.rate_limited(),
        }
    }

    /// This node's position in the tree of the present period.
    pub(crate) fn standing(&self, moment: Moment<'_>) -> Standing {
        let Some(tree) = self.trees.tree_for(moment, None) else { return Standing::default() };
        Standing {
            root: tree.root(),
            distance: tree.distance(),
            parent: tree.parent(),
            children: tree.children().collect(),
        }
    }

    /// This neighbour's role in the tree of the present period.
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

    /// Whether all indexes match what they index.
    pub(crate) fn is_consistent(&self) -> bool {
        let linked = |peer: &NodeId| self.neighbours.contains(*peer);
        self.neighbours.is_consistent()
            && self.trees.is_consistent()
            && self.seen.is_consistent()
            && self.announcements.is_consistent()
            && self.announced_fetch.is_consistent()
            && self.tip_fetch.is_consistent()
            && self.bodiless.is_consistent(linked)
            && self.lacked.is_consistent(linked)
            && self.spared.is_consistent(linked)
            && self.told.is_consistent(linked)
            && self.grafts.keys().all(linked)
    }
}
