//! The entries held, in the order of the conversation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::model::{Entry, EntryId, Limits, Place, PublicKey};

/// How many entries with one number are kept: the first, and one that shows that its author forks.
pub(super) const VERSIONS: usize = 2;

/// Where an entry stands, which no other does: forks of one time differ in their ids alone.
pub(super) type Spot = (Place, EntryId);

/// A bounded part of the conversation. What was evicted is remembered, and what is not remembered any longer is below
/// the *floor*; neither comes in again. So the three together know every entry that ever was here.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: BTreeMap<Spot, Arc<Entry>>,
    /// An index of `entries`.
    places: BTreeMap<EntryId, Place>,
    /// An index of `entries`.
    bytes: usize,
    /// Those that were evicted last in the order of the conversation, not of their eviction: authors whose clocks are
    /// ahead must not silence the others, whose entries are older than theirs.
    evicted: BTreeSet<Spot>,
    /// The last one that is not remembered any longer.
    floor: Option<Spot>,
    /// By author, epoch and number: an index of `entries` and `evicted`.
    numbers: BTreeSet<Number>,
    /// How often the window changed.
    generation: u64,
}

/// An entry's number, and the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    key: PublicKey,
    epoch: u64,
    seq: u64,
    at: u64,
    id: EntryId,
}

impl Number {
    fn of(&(Place { at, key, epoch, seq }, id): &Spot) -> Self {
        Self { key, epoch, seq, at, id }
    }
}

const FIRST_ID: EntryId = EntryId::from_bytes([0; 32]);
const LAST_ID: EntryId = EntryId::from_bytes([u8::MAX; 32]);

pub(super) fn spot(entry: &Entry) -> Spot {
    (entry.place(), entry.id())
}

impl Window {
    pub(super) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.entries.get(&(*self.places.get(id)?, *id))
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.places.contains_key(id)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// Those that were said at this time or later, oldest first.
    pub(super) fn since(&self, at: u64) -> impl Iterator<Item = (u64, EntryId)> {
        let spots = self.entries.keys().skip_while(move |(place, _)| place.at < at);
        spots.map(|(place, id)| (place.at, *id))
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
    pub(super) fn whole_since(&self) -> u64 {
        self.evicted.last().or(self.floor.as_ref()).map_or(0, |(place, _)| place.at.saturating_add(1))
    }

    /// Whether this entry was evicted, or there is no telling.
    pub(super) fn is_gone(&self, entry: &Entry) -> bool {
        let spot = spot(entry);
        self.floor.is_some_and(|floor| spot <= floor) || self.evicted.contains(&spot)
    }

    /// How many entries with this number are remembered.
    pub(super) fn versions(&self, key: PublicKey, epoch: u64, seq: u64) -> usize {
        self.numbered(key, epoch, seq..=seq).count()
    }

    /// The highest number of this epoch that is remembered.
    pub(super) fn last_number(&self, key: PublicKey, epoch: u64) -> Option<u64> {
        self.numbered(key, epoch, 0..=u64::MAX).next_back().map(|number| number.seq)
    }

    /// Whether the author dated the entry no later than the one before it.
    pub(super) fn is_backdated(&self, entry: &Entry) -> bool {
        let Some(before) = entry.seq().checked_sub(1) else { return false };
        let latest = self.numbered(entry.key(), entry.epoch(), before..=before).next_back();
        latest.is_some_and(|number| number.at >= entry.at())
    }

    fn numbered(
        &self,
        key: PublicKey,
        epoch: u64,
        seqs: core::ops::RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = &Number> {
        let from = Number { key, epoch, seq: *seqs.start(), at: 0, id: FIRST_ID };
        let to = Number { key, epoch, seq: *seqs.end(), at: u64::MAX, id: LAST_ID };
        self.numbers.range(from..=to)
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        let spot = spot(&entry);
        let size = entry.size();
        if self.entries.insert(spot, entry).is_none() {
            self.places.insert(spot.1, spot.0);
            self.numbers.insert(Number::of(&spot));
            self.bytes += size;
            self.generation += 1;
        }
    }

    /// Takes an entry out as if it never had been here.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let spot = spot(entry);
        if self.entries.remove(&spot).is_some() {
            self.leave(&spot, entry);
            self.numbers.remove(&Number::of(&spot));
        }
    }

    /// The oldest entry, if the window is larger than it may be.
    pub(super) fn surplus(&self, limits: &Limits) -> Option<&Arc<Entry>> {
        let over = self.entries.len() > limits.chat.log_entries || self.bytes > limits.chat.log_bytes;
        self.entries.values().next().filter(|_| over)
    }

    /// Takes the oldest entry out, for good. How many of those evicted before are remembered no longer.
    pub(super) fn evict_oldest(&mut self, limits: &Limits) -> u64 {
        let Some((spot, entry)) = self.entries.pop_first() else { return 0 };
        let mut forgotten = 0;
        self.leave(&spot, &entry);
        self.evicted.insert(spot);
        while self.evicted.len() > limits.chat.evicted
            && let Some(oldest) = self.evicted.pop_first()
        {
            self.numbers.remove(&Number::of(&oldest));
            self.floor = Some(oldest);
            forgotten += 1;
        }
        forgotten
    }

    fn leave(&mut self, spot: &Spot, entry: &Entry) {
        self.places.remove(&spot.1);
        self.bytes -= entry.size();
        self.generation += 1;
    }

    pub(super) fn is_consistent(&self) -> bool {
        let known = || self.entries.keys().chain(&self.evicted);
        self.entries.iter().all(|(at, entry)| spot(entry) == *at)
            && known().all(|spot| Some(spot) > self.floor.as_ref())
            && self.places == self.entries.keys().map(|(place, id)| (*id, *place)).collect()
            && self.numbers == known().map(Number::of).collect()
            && self.bytes == self.iter().map(|entry| entry.size()).sum::<usize>()
    }
}
