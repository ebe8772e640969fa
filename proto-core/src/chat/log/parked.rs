//! Entries dated too far ahead. They wait until they are due.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::model::{Entry, EntryId, Limits};

/// Entries that are not due yet.
#[derive(Debug, Default)]
pub(super) struct Parked {
    entries: BTreeMap<EntryId, Arc<Entry>>,
    /// The one that is due next first. An index of `entries`.
    by_time: BTreeSet<(u64, EntryId)>,
}

impl Parked {
    pub(super) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.entries.get(id)
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Inserts an entry. At the bound, the one dated furthest ahead makes room. Returns its id.
    pub(super) fn insert(&mut self, entry: Arc<Entry>, limits: &Limits) -> Option<EntryId> {
        self.by_time.insert((entry.at(), entry.id()));
        self.entries.insert(entry.id(), entry);
        if self.entries.len() <= limits.chat.parked {
            return None;
        }
        let (_, id) = self.by_time.pop_last()?;
        self.entries.remove(&id);
        Some(id)
    }

    /// The date of the entry that is due next.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Removes the next entry dated `until` or before.
    pub(super) fn pop_due(&mut self, until: u64) -> Option<Arc<Entry>> {
        let next = *self.by_time.first().filter(|(at, _)| *at <= until)?;
        self.by_time.remove(&next);
        self.entries.remove(&next.1)
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.by_time == self.entries.values().map(|entry| (entry.at(), entry.id())).collect()
    }
}
