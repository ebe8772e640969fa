//! The window: the newest entries, by their place in the conversation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::model::{Entry, EntryId, Limits, Place, PublicKey};

/// How many entries with the same number are kept: the first one, and one that proves a fork.
pub(super) const VERSIONS: usize = 2;

/// The order of the conversation. The id makes it unique, since the entries of a fork may have the same
/// place.
pub(super) type OrderKey = (Place, EntryId);

/// The window, and what was evicted from it.
///
/// A bounded number of evicted entries is remembered. The others are at or below the *floor*. An entry that is
/// remembered, or at or below the floor, is not taken, so no entry is taken twice.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: BTreeMap<OrderKey, Arc<Entry>>,
    /// An index of `entries`.
    by_id: BTreeMap<EntryId, Place>,
    /// The size of all `entries`.
    bytes: usize,
    /// Evicted entries that are remembered: the newest by their place, not those that were evicted last.
    /// Otherwise an author whose clock is ahead could silence the others, whose entries have lower places.
    evicted: BTreeSet<OrderKey>,
    /// The newest evicted entry that is no longer remembered.
    floor: Option<OrderKey>,
    /// An index of `entries` and `evicted`.
    by_sequence: BTreeSet<SequenceKey>,
    /// Rises with each change of `entries`.
    generation: u64,
}

/// The order of author sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SequenceKey {
    key: PublicKey,
    epoch: u64,
    seq: u64,
    at: u64,
    id: EntryId,
}

impl SequenceKey {
    fn of(&(Place { at, key, epoch, seq }, id): &OrderKey) -> Self {
        Self { key, epoch, seq, at, id }
    }
}

/// The lowest id.
const FIRST_ID: EntryId = EntryId::from_bytes([0; 32]);
/// The highest id.
const LAST_ID: EntryId = EntryId::from_bytes([u8::MAX; 32]);

fn order_key(entry: &Entry) -> OrderKey {
    (entry.place(), entry.id())
}

impl Window {
    pub(super) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.entries.get(&(*self.by_id.get(id)?, *id))
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The dates and ids of the entries dated `at` or later, oldest first.
    pub(super) fn dated_since(&self, at: u64) -> impl Iterator<Item = (u64, EntryId)> {
        let keys = self.entries.keys().skip_while(move |(place, _)| place.at < at);
        keys.map(|(place, id)| (place.at, *id))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of evicted entries that are remembered.
    pub(super) fn evicted(&self) -> usize {
        self.evicted.len()
    }

    /// The size of all entries in the window.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A number that changes whenever the entries change.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// From which date on the window is complete: no entry dated then or later was evicted.
    pub(super) fn complete_since(&self) -> u64 {
        self.evicted.last().or(self.floor.as_ref()).map_or(0, |(place, _)| place.at.saturating_add(1))
    }

    /// Whether this entry was evicted, or is too old to tell.
    pub(super) fn may_be_evicted(&self, entry: &Entry) -> bool {
        let key = order_key(entry);
        self.floor.is_some_and(|floor| key <= floor) || self.evicted.contains(&key)
    }

    /// The number of entries with this sequence number, in the window or evicted.
    pub(super) fn versions(&self, key: PublicKey, epoch: u64, seq: u64) -> usize {
        self.of_sequence(key, epoch, seq..=seq).count()
    }

    /// The highest sequence number of this epoch, in the window or evicted.
    pub(super) fn last_number(&self, key: PublicKey, epoch: u64) -> Option<u64> {
        self.of_sequence(key, epoch, 0..=u64::MAX).next_back().map(|number| number.seq)
    }

    /// Whether the entry is dated no later than the one before it in its author sequence.
    pub(super) fn is_backdated(&self, entry: &Entry) -> bool {
        let Some(before) = entry.seq().checked_sub(1) else { return false };
        let latest = self.of_sequence(entry.key(), entry.epoch(), before..=before).next_back();
        latest.is_some_and(|number| number.at >= entry.at())
    }

    fn of_sequence(
        &self,
        key: PublicKey,
        epoch: u64,
        seqs: core::ops::RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = &SequenceKey> {
        let from = SequenceKey { key, epoch, seq: *seqs.start(), at: 0, id: FIRST_ID };
        let to = SequenceKey { key, epoch, seq: *seqs.end(), at: u64::MAX, id: LAST_ID };
        self.by_sequence.range(from..=to)
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        let key = order_key(&entry);
        let size = entry.charge();
        if self.entries.insert(key, entry).is_none() {
            self.by_id.insert(key.1, key.0);
            self.by_sequence.insert(SequenceKey::of(&key));
            self.bytes += size;
            self.generation += 1;
        }
    }

    /// Removes an entry, so that it can be received again.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let key = order_key(entry);
        if self.entries.remove(&key).is_some() {
            self.unindex(&key, entry);
            self.by_sequence.remove(&SequenceKey::of(&key));
        }
    }

    /// The oldest entry, if the window is over a limit.
    pub(super) fn oldest_over_limit(&self, limits: &Limits) -> Option<&Arc<Entry>> {
        let over = self.entries.len() > limits.chat.log_entries || self.bytes > limits.chat.log_bytes;
        self.entries.values().next().filter(|_| over)
    }

    /// Evicts the oldest entry. Returns how many entries evicted before are no longer remembered.
    pub(super) fn evict_oldest(&mut self, limits: &Limits) -> u64 {
        let Some((key, entry)) = self.entries.pop_first() else { return 0 };
        let mut forgotten = 0;
        self.unindex(&key, &entry);
        self.evicted.insert(key);
        while self.evicted.len() > limits.chat.evicted
            && let Some(oldest) = self.evicted.pop_first()
        {
            self.by_sequence.remove(&SequenceKey::of(&oldest));
            self.floor = Some(oldest);
            forgotten += 1;
        }
        forgotten
    }

    fn unindex(&mut self, key: &OrderKey, entry: &Entry) {
        self.by_id.remove(&key.1);
        self.bytes -= entry.charge();
        self.generation += 1;
    }

    pub(super) fn is_consistent(&self) -> bool {
        let known = || self.entries.keys().chain(&self.evicted);
        self.entries.iter().all(|(key, entry)| order_key(entry) == *key)
            && known().all(|key| Some(key) > self.floor.as_ref())
            && self.by_id == self.entries.keys().map(|(place, id)| (*id, *place)).collect()
            && self.by_sequence == known().map(SequenceKey::of).collect()
            && self.bytes == self.iter().map(|entry| entry.charge()).sum::<usize>()
    }
}
