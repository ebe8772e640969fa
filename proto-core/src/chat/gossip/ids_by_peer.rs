//! Entries that are remembered for each neighbour.

use alloc::collections::BTreeMap;

use crate::model::{EntryId, Fifo, Limits, NodeId};

/// So many entries for each neighbour: those that it lacks, those whose body is gone there, as its answers showed, or
/// those that it was told of.
#[derive(Debug, Default)]
pub(super) struct IdsByPeer {
    by_peer: BTreeMap<NodeId, Fifo<EntryId, ()>>,
}

impl IdsByPeer {
    /// The most entries of one neighbour.
    pub(super) fn most(&self) -> usize {
        self.by_peer.values().map(Fifo::len).max().unwrap_or(0)
    }

    /// How many entries of this neighbour are remembered.
    pub(super) fn len(&self, peer: NodeId) -> usize {
        self.by_peer.get(&peer).map_or(0, Fifo::len)
    }

    /// Remembers an entry for this neighbour. At the bound, its oldest entry is forgotten.
    pub(super) fn insert(&mut self, peer: NodeId, id: EntryId, limits: &Limits) {
        let ids = self.by_peer.entry(peer).or_default();
        ids.insert(id, ());
        while ids.len() > limits.chat.bodiless && ids.pop_first().is_some() {}
    }

    /// Forgets an entry of this neighbour.
    pub(super) fn remove(&mut self, peer: NodeId, id: &EntryId) {
        if let Some(ids) = self.by_peer.get_mut(&peer) {
            ids.remove(id);
        }
    }

    /// Whether the entry is remembered for this neighbour.
    pub(super) fn contains(&self, peer: NodeId, id: &EntryId) -> bool {
        self.by_peer.get(&peer).is_some_and(|ids| ids.contains(id))
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.by_peer.remove(&peer);
    }

    pub(super) fn is_consistent(&self, is_linked: impl Fn(&NodeId) -> bool) -> bool {
        self.by_peer.iter().all(|(peer, ids)| is_linked(peer) && ids.is_consistent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{entry_id as id, peer};

    #[test]
    fn so_many_entries_of_one_neighbour_are_remembered() {
        let limits = Limits::default().with(|limits| limits.chat.bodiless = 2);
        let mut ids = IdsByPeer::default();
        for n in 1..=3 {
            ids.insert(peer(1), id(n), &limits);
            ids.insert(peer(2), id(1), &limits);
        }
        assert_eq!([1, 2, 3].map(|n| ids.contains(peer(1), &id(n))), [false, true, true]);
        assert!(ids.contains(peer(2), &id(1)) && !ids.contains(peer(3), &id(1)));
        assert_eq!(ids.most(), 2);
        ids.remove(peer(1), &id(2));
        ids.remove(peer(3), &id(2));
        assert!(!ids.contains(peer(1), &id(2)) && ids.len(peer(1)) == 1);
        ids.unlinked(peer(1));
        assert!(!ids.contains(peer(1), &id(3)) && ids.is_consistent(|it| *it == peer(2)));
    }
}
