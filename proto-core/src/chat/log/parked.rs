//! Entries dated ahead. They wait until they are due.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::model::{Entry, EntryId, Instant, Limits, NodeId, PublicKey};

/// Entries that are not due yet, each charged to the neighbour that sent it and to its author.
#[derive(Debug, Default)]
pub(super) struct Parked {
    entries: BTreeMap<EntryId, Waiting>,
    /// The one that is due next first. An index of `entries`.
    by_time: BTreeSet<(u64, EntryId)>,
    /// What each neighbour's entries are charged. An index of `entries`.
    shares: BTreeMap<NodeId, usize>,
    /// The same for each author of a neighbour's entries.
    author_shares: BTreeMap<(NodeId, PublicKey), usize>,
    /// The charge of all `entries`.
    bytes: usize,
}

/// An entry that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Arc<Entry>,
    /// The neighbour that sent it.
    pub(super) from: NodeId,
    /// When it came.
    pub(super) since: Instant,
}

impl Waiting {
    fn owner(&self) -> (NodeId, PublicKey) {
        (self.from, self.entry.key())
    }
}

impl Parked {
    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The charge of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Inserts an entry. Above the bound, entries make room, and their ids are returned: of the neighbour that
    /// has the most bytes here, of its author with the most, the one dated furthest ahead.
    pub(super) fn insert(&mut self, waiting: Waiting, limits: &Limits) -> BTreeSet<EntryId> {
        self.add(waiting);
        let mut displaced = BTreeSet::new();
        while self.bytes > limits.chat.parked_bytes
            && let Some(id) = self.furthest_of_largest_share()
        {
            self.remove(&id);
            displaced.insert(id);
        }
        displaced
    }

    /// Both searches look at all who have a share, which takes as long as the bound allows for, and only where
    /// there is no room.
    fn furthest_of_largest_share(&self) -> Option<EntryId> {
        let (&from, _) = self.shares.iter().max_by_key(|(_, bytes)| **bytes)?;
        let authors = self.author_shares.iter().filter(|((neighbour, _), _)| *neighbour == from);
        let (&owner, _) = authors.max_by_key(|(_, bytes)| **bytes)?;
        let is_its = |id: &EntryId| self.entries.get(id).is_some_and(|waiting| waiting.owner() == owner);
        self.by_time.iter().rev().map(|(_, id)| *id).find(is_its)
    }

    /// The date of the entry that is due next.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Removes the next entry dated `until` or before.
    pub(super) fn pop_due(&mut self, until: u64) -> Option<Waiting> {
        let (_, id) = *self.by_time.first().filter(|(at, _)| *at <= until)?;
        self.remove(&id)
    }

    fn add(&mut self, waiting: Waiting) {
        let (charge, owner) = (waiting.entry.charge(), waiting.owner());
        self.bytes += charge;
        *self.shares.entry(owner.0).or_default() += charge;
        *self.author_shares.entry(owner).or_default() += charge;
        self.by_time.insert((waiting.entry.at(), waiting.entry.id()));
        self.entries.insert(waiting.entry.id(), waiting);
    }

    fn remove(&mut self, id: &EntryId) -> Option<Waiting> {
        let waiting = self.entries.remove(id)?;
        let (charge, owner) = (waiting.entry.charge(), waiting.owner());
        self.bytes -= charge;
        self.by_time.remove(&(waiting.entry.at(), *id));
        reduce(&mut self.shares, &owner.0, charge);
        reduce(&mut self.author_shares, &owner, charge);
        Some(waiting)
    }

    pub(super) fn is_consistent(&self) -> bool {
        let mut again = Self::default();
        for waiting in self.entries.values() {
            again.add(Waiting { entry: waiting.entry.clone(), ..*waiting });
        }
        self.by_time == again.by_time
            && self.shares == again.shares
            && self.author_shares == again.author_shares
            && self.bytes == again.bytes
    }
}

/// Takes from a share, and removes it when nothing is left.
fn reduce<K: Ord>(shares: &mut BTreeMap<K, usize>, key: &K, charge: usize) {
    if let Some(share) = shares.get_mut(key) {
        *share -= charge;
        if *share == 0 {
            shares.remove(key);
        }
    }
}
