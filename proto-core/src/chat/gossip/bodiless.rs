//! Neighbours that have no body for an entry.

use alloc::collections::BTreeMap;

use crate::model::{EntryId, Fifo, Limits, NodeId};

/// The entries whose body is gone at each neighbour, as its answers showed. It is not asked for them again (SPEC 7.10.6).
#[derive(Debug, Default)]
pub(super) struct Bodiless {
    by_peer: BTreeMap<NodeId, Fifo<EntryId, ()>>,
}

impl Bodiless {
    /// The most entries of one neighbour.
    pub(super) fn most(&self) -> usize {
        self.by_peer.values().map(Fifo::len).max().unwrap_or(0)
    }

    /// The body of an entry is gone at this neighbour. At the bound, its oldest entry is forgotten.
    pub(super) fn insert(&mut self, peer: NodeId, id: EntryId, limits: &Limits) {
        let ids = self.by_peer.entry(peer).or_default();
        ids.insert(id, ());
        while ids.len() > limits.chat.bodiless && ids.pop_first().is_some() {}
    }

    /// Whether the body of an entry is gone at this neighbour, as far as that is remembered.
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
        let mut bodiless = Bodiless::default();
        for n in 1..=3 {
            bodiless.insert(peer(1), id(n), &limits);
            bodiless.insert(peer(2), id(1), &limits);
        }
        assert_eq!([1, 2, 3].map(|n| bodiless.contains(peer(1), &id(n))), [false, true, true]);
        assert!(bodiless.contains(peer(2), &id(1)) && !bodiless.contains(peer(3), &id(1)));
        assert_eq!(bodiless.most(), 2);
        bodiless.unlinked(peer(1));
        assert!(!bodiless.contains(peer(1), &id(3)) && bodiless.is_consistent(|it| *it == peer(2)));
    }
}
