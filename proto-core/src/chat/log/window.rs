//! The window: the entries that the node holds, by their place in the conversation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use super::floors::Floors;
use super::shares::Shares;
use crate::model::{Entry, EntryId, Fifo, Limits, Place, PublicKey, RunId};

/// How many entries with the same number are kept: two, which prove a fork.
pub(super) const VERSIONS: usize = 2;

/// The order of the conversation. The id makes it unique, since the entries of a fork may have the same
/// place.
pub(super) type OrderKey = (Place, EntryId);

/// The window, and what was evicted from it.
///
/// When it is full, its [`Shares`] say which entry is evicted. An entry at or below the [floor](Floors) of its author is
/// not taken, so no entry is taken twice.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: BTreeMap<OrderKey, Arc<Entry>>,
    /// An index of `entries`.
    by_id: BTreeMap<EntryId, Place>,
    /// An index of `entries`.
    by_sequence: BTreeSet<SequenceKey>,
    /// Who holds how much of `entries`.
    shares: Shares,
    floors: Floors,
    /// The ids of entries that were evicted last, so that they are not asked for. The floors decide what is taken.
    evicted: Fifo<EntryId, ()>,
    /// The frozen runs of which what proves the fork was evicted, each with the forked number.
    frozen: Fifo<RunId, u64>,
    /// Rises with each change of `entries`.
    generation: u64,
}

/// The order of author sequences.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SequenceKey {
    run: RunId,
    seq: u64,
    at: u64,
    id: EntryId,
}

impl SequenceKey {
    fn of(run: &RunId, &(Place { at, seq, .. }, id): &OrderKey) -> Self {
        Self { run: run.clone(), seq, at, id }
    }
}

/// The lowest id.
pub(super) const FIRST_ID: EntryId = EntryId::from_bytes([0; 32]);
/// The highest id.
pub(super) const LAST_ID: EntryId = EntryId::from_bytes([u8::MAX; 32]);

pub(super) fn order_key(entry: &Entry) -> OrderKey {
    (entry.place(), entry.id())
}

impl Window {
    /// This node's own entries are evicted last.
    pub(super) fn set_own(&mut self, key: PublicKey) {
        self.shares.set_own(key);
    }

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

    /// The number of evicted entries whose ids are remembered.
    pub(super) fn evicted(&self) -> usize {
        self.evicted.len()
    }

    /// Whether this entry was evicted, as far as that is remembered.
    pub(super) fn was_evicted(&self, id: &EntryId) -> bool {
        self.evicted.contains(id)
    }

    /// What all entries in the window are charged.
    pub(super) fn bytes(&self) -> usize {
        self.shares.held().bytes
    }

    /// What the entries of new authors are charged.
    pub(super) fn new_bytes(&self) -> usize {
        self.shares.new_bytes()
    }

    /// A number that changes whenever the entries change.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// From which date on the window is compared with others: that of its oldest entry, if any was evicted.
    pub(super) fn compared_since(&self) -> u64 {
        let oldest = self.entries.first_key_value().filter(|_| self.floors.is_any());
        oldest.map_or(0, |((place, _), _)| place.at)
    }

    /// Whether this entry was evicted, or may have been.
    pub(super) fn is_below_floor(&self, entry: &Entry) -> bool {
        self.floors.covers(&order_key(entry))
    }

    /// Whether the author has entries in the window, or a floor.
    pub(super) fn knows(&self, key: &PublicKey) -> bool {
        self.has_share(key) || self.floors.contains(key)
    }

    /// Whether the author has entries in the window. For this node there is always room.
    fn has_share(&self, key: &PublicKey) -> bool {
        self.shares.is_own(key) || self.shares.contains(key)
    }

    /// The number of authors that have entries in the window, or a floor.
    pub(super) fn authors(&self) -> usize {
        self.shares.others() + self.floors.idle()
    }

    /// How many floors were forgotten.
    pub(super) fn floors_forgotten(&self) -> u64 {
        self.floors.forgotten()
    }

    /// Makes room for a floor of this author. False: there is none.
    pub(super) fn make_room_for(&mut self, key: &PublicKey, wall: Option<u64>, limits: &Limits) -> bool {
        while !self.knows(key) && self.authors() >= limits.chat.floors {
            if !self.floors.forget_one(wall, limits) {
                return false;
            }
        }
        true
    }

    /// The number of entries with this sequence number.
    pub(super) fn versions(&self, run: &RunId, seq: u64) -> usize {
        self.of_sequence(run, seq..=seq).count()
    }

    /// The highest sequence number of this run.
    pub(super) fn last_number(&self, run: &RunId) -> Option<u64> {
        self.of_sequence(run, 0..=u64::MAX).next_back().map(|number| number.seq)
    }

    /// Whether the entry is dated no later than the one before it in its author sequence.
    pub(super) fn is_backdated(&self, entry: &Entry) -> bool {
        let Some(before) = entry.seq().checked_sub(1) else { return false };
        let latest = self.of_sequence(entry.run(), before..=before).next_back();
        latest.is_some_and(|number| number.at >= entry.at())
    }

    /// The entries of a run with these numbers, in order.
    pub(super) fn of_run(
        &self,
        run: &RunId,
        seqs: core::ops::RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let place = |number: &SequenceKey| Place {
            at: number.at,
            key: number.run.key,
            epoch: number.run.epoch,
            seq: number.seq,
        };
        self.of_sequence(run, seqs).filter_map(move |number| self.entries.get(&(place(number), number.id)))
    }

    /// The number at which this run is frozen, if what proves it was evicted.
    pub(super) fn frozen_before(&self, run: &RunId) -> Option<u64> {
        self.frozen.get(run).copied()
    }

    /// The number of frozen runs of which what proves the fork was evicted.
    pub(super) fn frozen(&self) -> usize {
        self.frozen.len()
    }

    fn of_sequence(
        &self,
        run: &RunId,
        seqs: core::ops::RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = &SequenceKey> {
        let from = SequenceKey { run: run.clone(), seq: *seqs.start(), at: 0, id: FIRST_ID };
        let to = SequenceKey { run: run.clone(), seq: *seqs.end(), at: u64::MAX, id: LAST_ID };
        self.by_sequence.range(from..=to)
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>, limits: &Limits) {
        let key = order_key(&entry);
        if self.entries.contains_key(&key) {
            return;
        }
        self.by_id.insert(key.1, key.0);
        self.by_sequence.insert(SequenceKey::of(entry.run(), &key));
        self.floors.entered(entry.key());
        self.shares.insert(key, &entry, limits);
        self.entries.insert(key, entry);
        self.generation += 1;
    }

    /// Removes an entry, so that it can be received again.
    pub(super) fn remove(&mut self, entry: &Entry, limits: &Limits) {
        if self.take_out(entry, limits) && !self.has_share(&entry.key()) {
            self.floors.left(entry.key());
        }
    }

    /// The entry to evict, if the window is over a limit.
    pub(super) fn over_limit(&self, limits: &Limits) -> Option<&Arc<Entry>> {
        let victim = self.shares.is_over(limits).then(|| self.shares.victim(limits))??;
        self.entries.get(&victim)
    }

    /// Evicts an entry. Returns how many ids of entries evicted before, and how many frozen runs, are no longer
    /// remembered.
    pub(super) fn evict(&mut self, entry: &Entry, limits: &Limits) -> (u64, u64) {
        let fork = self.fork(entry.run()).filter(|fork| fork.proof.contains(&entry.id()));
        if !self.take_out(entry, limits) {
            return (0, 0);
        }
        let thawed = fork.map_or(0, |fork| self.remember(entry.run(), fork.seq, limits));
        self.floors.evicted(order_key(entry), self.has_share(&entry.key()));
        self.evicted.insert(entry.id(), ());
        let mut forgotten = 0;
        while self.evicted.len() > limits.chat.evicted && self.evicted.pop_first().is_some() {
            forgotten += 1;
        }
        (forgotten, thawed)
    }

    /// What proves that this run is frozen is evicted. Returns how many frozen runs are no longer remembered.
    fn remember(&mut self, run: &RunId, seq: u64, limits: &Limits) -> u64 {
        let seq = self.frozen.remove(run).map_or(seq, |before| before.min(seq));
        self.frozen.insert(run.clone(), seq);
        let mut forgotten = 0;
        while self.frozen.len() > limits.chat.forks && self.frozen.pop_first().is_some() {
            forgotten += 1;
        }
        forgotten
    }

    fn take_out(&mut self, entry: &Entry, limits: &Limits) -> bool {
        let key = order_key(entry);
        if self.entries.remove(&key).is_none() {
            return false;
        }
        self.by_id.remove(&key.1);
        self.by_sequence.remove(&SequenceKey::of(entry.run(), &key));
        self.shares.remove(key, entry, limits);
        self.generation += 1;
        true
    }

    pub(super) fn is_consistent(&self) -> bool {
        let numbers = self.entries.iter().map(|(key, entry)| SequenceKey::of(entry.run(), key));
        self.entries
            .iter()
            .all(|(key, entry)| order_key(entry) == *key && self.floors.of(&key.0.key) < Some(*key))
            && self.by_id == self.entries.keys().map(|(place, id)| (*id, *place)).collect()
            && self.by_sequence == numbers.collect()
            && self.evicted.is_consistent()
            && self.frozen.is_consistent()
            && self.shares.is_consistent(self.entries.values())
            && self.floors.is_consistent(|key| self.has_share(key))
    }
}
