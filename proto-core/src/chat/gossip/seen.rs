//! The ids of entries that came lately.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, VecDeque};

use crate::model::{EntryId, Instant, Limits};

/// The ids of entries that came lately and whose signatures held.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Each with when it came.
    ids: BTreeMap<EntryId, Instant>,
    /// The oldest first; what stands there with another time than in `ids` was evicted since.
    order: VecDeque<(Instant, EntryId)>,
    /// How many were evicted for want of room.
    evicted: u64,
}

impl Seen {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.ids.contains_key(id)
    }

    /// Remembers an id. Those that are too old are evicted, and the oldest where there is no room.
    pub(super) fn remember(&mut self, now: Instant, id: EntryId, limits: &Limits) {
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

    /// How many were evicted for want of room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// It may come again.
    pub(super) fn forget(&mut self, id: &EntryId) {
        self.ids.remove(id);
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

    fn id(n: u8) -> EntryId {
        EntryId::from_bytes([n; 32])
    }

    #[test]
    fn it_holds_as_many_as_the_limit_says_and_no_longer_than_it_says() {
        let limits = Limits::default().with(|limits| limits.chat.seen = 3);
        let mut seen = Seen::default();
        for n in 0..3 {
            seen.remember(Instant::ORIGIN, id(n), &limits);
        }
        assert!((0..3).all(|n| seen.contains(&id(n))));
        assert_eq!(seen.evicted(), 0);
        let later = Instant::ORIGIN + limits.chat.seen_for;
        seen.remember(later, id(3), &limits);
        assert_eq!((0..4).map(|n| seen.contains(&id(n))).collect::<Vec<_>>(), [false, true, true, true]);
        assert_eq!(seen.evicted(), 1);
        seen.remember(later + Duration::from_nanos(1), id(4), &limits);
        assert_eq!(
            (0..5).map(|n| seen.contains(&id(n))).collect::<Vec<_>>(),
            [false, false, false, true, true]
        );
        assert_eq!(seen.evicted(), 1, "the others were too old");
        assert!(seen.is_consistent());
    }
}
