//! The entries held, in the order of the conversation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::model::{Entry, EntryId, Limits, Place, PublicKey};

/// How many entries with one number are kept: the first, and one that shows that its author forks.
pub(super) const VERSIONS: usize = 2;

/// Where an entry stands, which no other does: forks of one time differ in their ids alone.
pub(super) type OrderKey = (Place, EntryId);

/// A bounded part of the conversation. What was evicted is remembered, and what is not remembered any longer is below
/// the *floor*; neither comes in again. So the three together know every entry that ever was here.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: BTreeMap<OrderKey, Arc<Entry>>,
    /// An index of `entries`.
    by_id: BTreeMap<EntryId, Place>,
    /// An index of `entries`.
    bytes: usize,
    /// Those that were evicted last in the order of the conversation, not of their eviction: authors whose clocks are
    /// ahead must not silence the others, whose entries are older than theirs.
    evicted: BTreeSet<OrderKey>,
    /// The last one that is not remembered any longer.
    floor: Option<OrderKey>,
    /// By author, epoch and number: an index of `entries` and `evicted`.
    by_sequence: BTreeSet<SequenceKey>,
    /// How often the window changed.
    generation: u64,
}

/// An entry's number, and the entry.
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

const FIRST_ID: EntryId = EntryId::from_bytes([0; 32]);
const LAST_ID: EntryId = EntryId::from_bytes([u8::MAX; 32]);

pub(super) fn key(entry: &Entry) -> OrderKey {
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

    /// Those that were said at this time or later, oldest first.
    pub(super) fn from_time(&self, at: u64) -> impl Iterator<Item = (u64, EntryId)> {
        let keys = self.entries.keys().skip_while(move |(place, _)| place.at < at);
        keys.map(|(place, id)| (place.at, *id))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those evicted that are remembered.
    pub(super) fn evicted(&self) -> usize {
        self.evicted.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// From when on the window is whole: nothing that was said then or later was evicted.
    pub(super) fn complete_since(&self) -> u64 {
        self.evicted.last().or(self.floor.as_ref()).map_or(0, |(place, _)| place.at.saturating_add(1))
    }

    /// Whether this entry was evicted, or there is no telling.
    pub(super) fn may_be_evicted(&self, entry: &Entry) -> bool {
        let key = key(entry);
        self.floor.is_some_and(|floor| key <= floor) || self.evicted.contains(&key)
    }

    /// How many entries with this number are remembered.
    pub(super) fn versions(&self, key: PublicKey, epoch: u64, seq: u64) -> usize {
        self.of_sequence(key, epoch, seq..=seq).count()
    }

    /// The highest number of this epoch that is remembered.
    pub(super) fn last_number(&self, key: PublicKey, epoch: u64) -> Option<u64> {
        self.of_sequence(key, epoch, 0..=u64::MAX).next_back().map(|number| number.seq)
    }

    /// Whether the author dated the entry no later than the one before it.
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
        let key = key(&entry);
        let size = entry.size();
        if self.entries.insert(key, entry).is_none() {
            self.by_id.insert(key.1, key.0);
            self.by_sequence.insert(SequenceKey::of(&key));
            self.bytes += size;
            self.generation += 1;
        }
    }

    /// Takes an entry out as if it never had been here.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let key = key(entry);
        if self.entries.remove(&key).is_some() {
            self.unindex(&key, entry);
            self.by_sequence.remove(&SequenceKey::of(&key));
        }
    }

    /// The oldest entry, if the window is larger than it may be.
    pub(super) fn oldest_over_limit(&self, limits: &Limits) -> Option<&Arc<Entry>> {
        let over = self.entries.len() > limits.chat.log_entries || self.bytes > limits.chat.log_bytes;
        self.entries.values().next().filter(|_| over)
    }

    /// Takes the oldest entry out, for good. How many of those evicted before are remembered no longer.
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
        self.bytes -= entry.size();
        self.generation += 1;
    }

    pub(super) fn is_consistent(&self) -> bool {
        let known = || self.entries.keys().chain(&self.evicted);
        self.entries.iter().all(|(at, entry)| key(entry) == *at)
            && known().all(|key| Some(key) > self.floor.as_ref())
            && self.by_id == self.entries.keys().map(|(place, id)| (*id, *place)).collect()
            && self.by_sequence == known().map(SequenceKey::of).collect()
            && self.bytes == self.iter().map(|entry| entry.size()).sum::<usize>()
    }
}
