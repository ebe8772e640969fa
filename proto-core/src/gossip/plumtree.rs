//! Plain Plumtree (Leitão et al., SRDS 2007), to be compared with.
//!
//! All links push at first. One that brings a second copy announces from then on, on both sides (`PRUNE`); one that an
//! entry had to be asked for on (`GRAFT`), or that brought a first copy, pushes again. Announcements, their batches and
//! the asking are those of the rooted tree.

use alloc::collections::BTreeSet;

use crate::NodeId;

/// Which neighbours are announced to.
#[derive(Debug, Default)]
pub(super) struct Plumtree {
    lazy: BTreeSet<NodeId>,
    to_prune: BTreeSet<NodeId>,
}

impl Plumtree {
    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.lazy.remove(&peer);
        self.to_prune.remove(&peer);
    }

    pub(super) fn is_eager(&self, peer: NodeId) -> bool {
        !self.lazy.contains(&peer)
    }

    /// A second copy came on this link.
    pub(super) fn came_again(&mut self, from: NodeId) {
        self.lazy.insert(from);
        self.to_prune.insert(from);
    }

    /// `PRUNE` came.
    pub(super) fn pruned(&mut self, from: NodeId) {
        self.lazy.insert(from);
    }

    /// `GRAFT` came or goes out on this link, or a first copy came.
    pub(super) fn grafted(&mut self, peer: NodeId) {
        self.lazy.remove(&peer);
        self.to_prune.remove(&peer);
    }

    /// Whom to send `PRUNE` next.
    pub(super) fn next_to_prune(&mut self) -> Option<NodeId> {
        self.to_prune.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_copies_prune_and_asking_grafts() {
        let (one, other) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        let mut plumtree = Plumtree::default();
        assert!(plumtree.is_eager(one) && plumtree.is_eager(other));
        plumtree.came_again(one);
        plumtree.pruned(other);
        assert!(!plumtree.is_eager(one) && !plumtree.is_eager(other));
        assert_eq!((plumtree.next_to_prune(), plumtree.next_to_prune()), (Some(one), None));
        plumtree.came_again(one);
        plumtree.grafted(one);
        assert!(plumtree.is_eager(one));
        assert_eq!(plumtree.next_to_prune(), None, "it is wanted again");
        plumtree.unlinked(other);
        assert!(plumtree.is_eager(other));
    }
}
