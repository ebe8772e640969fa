//! What can be seen of the book from outside.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Book, State};
impl Book {
    /// Addresses in it.
    pub(in crate::mesh) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The most of them that are from one source.
    pub(in crate::mesh) fn most_per_source(&self) -> usize {
        let mut sources = BTreeMap::<_, usize>::new();
        for source in self.entries.values().filter_map(|entry| entry.source) {
            *sources.entry(source).or_default() += 1;
        }
        sources.into_values().max().unwrap_or(0)
    }

    /// Addresses in it that are linked now.
    pub(in crate::mesh) fn linked(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.state, State::Linked(_))).count()
    }

    /// Compares the indexes with what they are indexes of.
    pub(in crate::mesh) fn is_consistent(&self) -> bool {
        let waiting = self.entries.iter().filter_map(|(addr, entry)| entry.due(*addr));
        waiting.collect::<BTreeSet<_>>() == self.due
            && self.entries.values().filter(|entry| entry.is_fresh()).count() == self.fresh
    }
}
