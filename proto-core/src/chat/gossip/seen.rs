//! The ids of recent entries.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, VecDeque};

use crate::model::{EntryId, Instant, Limits};

/// The ids of entries that came recently with a valid signature.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When each came.
    ids: BTreeMap<EntryId, Instant>,
    /// The oldest first. An item whose time differs from that in `ids` is stale.
    order: VecDeque<(Instant, EntryId)>,
    /// How many ids had to make room.
    evicted: u64,
}

impl Seen {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.ids.contains_key(id)
    }

    /// Inserts an id. Ids that are too old are removed. At the bound, the oldest makes room.
    pub(super) fn insert(&mut self, now: Instant, id: EntryId, limits: &Limits) {
        while let Some((at, oldest)) = self.order.front().copied()
            && (now.since(at) > limits.chat.seen_for || self.order.len() >= limits.chat.seen)
        {
            self.order.pop_front();
            if self.ids.get(&oldest) == Some(&at) {
                self.ids.remove(&oldest);
                self.evicted += u64::from(now.since(at) <= limits.chat.seen_for);
            }
        }
        if let Entry::Vacant(vacant) = self.ids.entry(id) {
            vacant.insert(now);
            self.order.push_back((now, id));
        }
    }

    /// How many ids had to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Removes an id, so that the entry can be received again.
    pub(super) fn forget(&mut self, id: &EntryId) {
        self.ids.remove(id);
    }

    /// Removes all ids.
    pub(super) fn forget_all(&mut self) {
        self.ids.clear();
        self.order.clear();
    }

    pub(super) fn is_consistent(&self) -> bool {
        let known = self.order.iter().filter(|(at, id)| self.ids.get(id) == Some(at)).count();
        known >= self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::chat::testing::entry_id as id;

    #[test]
    fn ids_are_kept_up_to_their_number_and_for_their_time() {
        let limits = Limits::default().with(|limits| limits.chat.seen = 3);
        let mut seen = Seen::default();
        for n in 0..3 {
            seen.insert(Instant::ORIGIN, id(n), &limits);
        }
        assert!((0..3).all(|n| seen.contains(&id(n))));
        assert_eq!(seen.evicted(), 0);
        let later = Instant::ORIGIN + limits.chat.seen_for;
        seen.insert(later, id(3), &limits);
        assert_eq!((0..4).map(|n| seen.contains(&id(n))).collect::<Vec<_>>(), [false, true, true, true]);
        assert_eq!(seen.evicted(), 1);
        seen.insert(later + Duration::from_nanos(1), id(4), &limits);
        assert_eq!(
            (0..5).map(|n| seen.contains(&id(n))).collect::<Vec<_>>(),
            [false, false, false, true, true]
        );
        assert_eq!(seen.evicted(), 1, "the others had expired");
        assert!(seen.is_consistent());
    }
}
