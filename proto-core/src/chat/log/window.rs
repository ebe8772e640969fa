//! The window: the entries that the node holds, by their place in the conversation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::floors::Floors;
use super::shares::Shares;
use super::tips::{self, Tips};
use crate::model::{Entry, EntryId, Fifo, Instant, Limits, Place, PublicKey, RunId};

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
    tips: Tips,
    /// The ids of entries that were evicted last, so that they are not asked for. The floors decide what is taken.
    evicted: Fifo<EntryId, ()>,
    /// The frozen runs of which what proves the fork was evicted, each with the forked number.
    frozen: Fifo<RunId, u64>,
    /// How many ids of entries that are not wanted were forgotten.
    ids_forgotten: u64,
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

    /// The newest entry of each run that is known, whether or not it is held.
    pub(super) fn tips(&self) -> &Tips {
        &self.tips
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

    /// Whether this entry was evicted, or may have been.
    pub(super) fn is_below_floor(&self, entry: &Entry) -> bool {
        self.floors.covers(&order_key(entry))
    }

    /// The same for an entry with this place and id.
    pub(super) fn is_place_below_floor(&self, place: Place, id: EntryId) -> bool {
        self.floors.covers(&(place, id))
    }

    /// Whether the author has entries in the window, or a floor.
    pub(super) fn knows(&self, key: &PublicKey) -> bool {
        self.has_share(key) || self.floors.contains(key)
    }

    /// Whether the author has entries in the window, and is no longer new.
    pub(super) fn is_established(&self, key: &PublicKey) -> bool {
        self.shares.is_established(key)
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

    /// The numbers directly before an entry that are missing here and wanted, both included. None: there are none.
    pub(super) fn missing_before(&self, entry: &Entry, limits: &Limits) -> Option<(u64, u64)> {
        let (run, last) = (entry.run(), entry.seq().checked_sub(1)?);
        // What is behind a fork comes alone, or not at all.
        if self.frozen_at(run).is_some_and(|frozen| last >= frozen) {
            return None;
        }
        let held = self.of_sequence(run, 0..=last).next_back().map(|key| key.seq);
        let first = held.map_or(0, |held| held.saturating_add(1)).max(self.first_wanted(run, last, limits));
        (first <= last).then_some((first, last))
    }

    /// The first numbers of these that are missing here and wanted, both included. None: there are none.
    pub(super) fn first_missing(
        &self,
        run: &RunId,
        first: u64,
        last: u64,
        limits: &Limits,
    ) -> Option<(u64, u64)> {
        // Nothing behind a fork is taken.
        let last = self.frozen_at(run).map_or(last, |frozen| last.min(frozen));
        let mut first = first.max(self.first_wanted(run, last, limits));
        if first > last {
            return None;
        }
        for key in self.of_sequence(run, first..=last) {
            if key.seq > first {
                return Some((first, key.seq - 1));
            }
            first = key.seq + 1;
        }
        (first <= last).then_some((first, last))
    }

    /// The runs with holes before entries that are held: the first and the last number that is missing there and wanted. They
    /// begin with the run `from`, or where it would be, and the ones before it come last.
    pub(super) fn holes(&self, from: Option<&RunId>, limits: &Limits) -> Vec<(RunId, u64, u64)> {
        let mut holes: Vec<(RunId, u64, u64)> = Vec::new();
        let mut before: Option<&SequenceKey> = None;
        let from = from.map(|run| SequenceKey { run: run.clone(), seq: 0, at: 0, id: FIRST_ID });
        let start = from.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let first_ones = from.iter().flat_map(|from| self.by_sequence.range(..from));
        for next in self.by_sequence.range((start, Bound::Unbounded)).chain(first_ones) {
            let first = before.filter(|one| one.run == next.run).map_or(0, |one| one.seq + 1);
            before = Some(next);
            if next.seq <= first {
                continue;
            }
            let last = next.seq - 1;
            match holes.last_mut().filter(|(run, ..)| *run == next.run) {
                Some(hole) => hole.2 = last,
                None => holes.extend(
                    self.first_missing(&next.run, first, last, limits)
                        .map(|(first, last)| (next.run.clone(), first, last)),
                ),
            }
        }
        holes
    }

    /// The lowest number of a run that is of use in the window, if `last` is that of its tip.
    pub(super) fn first_of_use(&self, run: &RunId, last: u64, limits: &Limits) -> u64 {
        self.first_wanted(run, self.frozen_at(run).map_or(last, |frozen| last.min(frozen)), limits)
    }

    /// The lowest number of a run that is of use, if `last` is its last one: it is above what was evicted, and as many
    /// entries as the window may hold are above it.
    fn first_wanted(&self, run: &RunId, last: u64, limits: &Limits) -> u64 {
        let most = u64::try_from(limits.chat.log_entries).unwrap_or(u64::MAX);
        self.tips.base(run).max(last.saturating_add(1).saturating_sub(most))
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

    /// The spans of numbers of this run in the window, both ends included.
    pub(super) fn spans(&self, run: &RunId) -> impl Iterator<Item = (u64, u64)> {
        let mut numbers = self.of_sequence(run, 0..=u64::MAX).map(|number| number.seq).peekable();
        core::iter::from_fn(move || {
            let first = numbers.next()?;
            let mut last = first;
            while let Some(next) = numbers.next_if(|next| *next <= last + 1) {
                last = next;
            }
            Some((first, last))
        })
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

    /// Takes an entry. `arrival`: when it came, unless its author is judged by dates alone.
    pub(super) fn insert(&mut self, entry: Arc<Entry>, arrival: Option<Instant>, limits: &Limits) {
        let key = order_key(&entry);
        if self.entries.contains_key(&key) {
            return;
        }
        self.by_id.insert(key.1, key.0);
        self.by_sequence.insert(SequenceKey::of(entry.run(), &key));
        self.floors.entered(entry.key());
        let author = entry.key();
        self.shares.insert(key, &entry, arrival, limits);
        self.note_tip(&entry, true);
        self.entries.insert(key, entry);
        self.bound_tips(&author, limits);
    }

    /// The run is frozen: what proves that is its tip, whatever came of it before.
    pub(super) fn end_with_proof(&mut self, run: &RunId, limits: &Limits) {
        let Some(fork) = self.fork(run) else { return };
        let proof = fork.proof.iter().filter_map(|id| self.get(id)).map(|entry| (entry.at(), entry.id()));
        let newest = self.last_number(run).map(|seq| (seq, proof.collect()));
        self.tips.end_at(run, newest);
        self.bound_tips(&run.key, limits);
    }

    /// The number of the newest entries of this run that are held, and their dates and ids.
    fn newest(&self, run: &RunId) -> Option<tips::Newest> {
        let seq = self.last_number(run)?;
        let versions = self.of_sequence(run, seq..=seq).map(|key| (key.at, key.id));
        Some((seq, versions.take(tips::VERSIONS).collect()))
    }

    /// Removes an entry, so that it can be received again.
    pub(super) fn remove(&mut self, entry: &Entry, limits: &Limits) {
        if !self.take_out(entry) {
            return;
        }
        let newest = self.newest(entry.run());
        self.tips.left(entry, newest);
        if !self.has_share(&entry.key()) {
            self.floors.left(entry.key());
        }
        self.bound_tips(&entry.key(), limits);
    }

    /// Removes an entry, for which a fork leaves no place. It is not shown again, also when that is forgotten.
    pub(super) fn withdraw(&mut self, entry: &Entry, limits: &Limits) {
        self.floors.withdrawn(order_key(entry));
        self.remove(entry, limits);
    }

    /// A valid entry came and is not taken: it is below its author's floor, where it still shows how far its run goes, or
    /// its run is frozen.
    pub(super) fn dropped(&mut self, entry: &Entry, limits: &Limits) {
        let held = self.last_number(entry.run()).is_some();
        match self.frozen_at(entry.run()) {
            None => {
                self.note_tip(entry, held);
                self.tips.passed(entry, held);
                self.bound_tips(&entry.key(), limits);
            }
            // Its run may be forked at a lower number than is known.
            Some(frozen) if entry.seq() < frozen => self.tips.note_passed(entry),
            Some(_) => {}
        }
        self.remember_evicted(entry.id(), limits);
    }

    /// The store has this of a run.
    pub(super) fn restore_run(&mut self, run: &RunId, newest: tips::Newest, base: u64) {
        self.tips.restore(run, newest, base);
    }

    /// Below this number, no entry of the run is wanted in the window any more.
    pub(super) fn raise_base(&mut self, run: &RunId, base: u64) {
        self.tips.raise_base(run, base);
    }

    /// A valid entry came. It may be the tip of its run. Where that was forgotten, others that are held may be.
    fn note_tip(&mut self, entry: &Entry, held: bool) {
        self.tips.heard(entry, held);
        let (run, last) = (entry.run(), self.last_number(entry.run()));
        if let Some(last) = last.filter(|last| self.tips.last_number(run) < Some(*last)) {
            let newest: Vec<_> = self.of_run(run, last..=last).cloned().collect();
            newest.iter().for_each(|entry| self.tips.heard(entry, true));
        }
    }

    pub(super) fn bound_tips(&mut self, author: &PublicKey, limits: &Limits) {
        for id in self.tips.bound(author, limits) {
            self.remember_evicted(id, limits);
        }
    }

    /// Remembers that an entry is not wanted.
    fn remember_evicted(&mut self, id: EntryId, limits: &Limits) {
        self.evicted.insert(id, ());
        while self.evicted.len() > limits.chat.evicted && self.evicted.pop_first().is_some() {
            self.ids_forgotten += 1;
        }
    }

    /// An entry that was not wanted is wanted now.
    pub(super) fn want_again(&mut self, id: &EntryId) {
        self.evicted.remove(id);
    }

    /// An entry came that is of use to the store alone.
    pub(super) fn passed_by(&mut self, entry: &Entry) {
        self.tips.note_passed(entry);
    }

    /// How many ids of entries that are not wanted were forgotten.
    pub(super) fn ids_forgotten(&self) -> u64 {
        self.ids_forgotten
    }

    /// The entry to evict, if the window is over a limit.
    pub(super) fn over_limit(&self, limits: &Limits) -> Option<&Arc<Entry>> {
        let victim = self.shares.is_over(limits).then(|| self.shares.victim(limits))??;
        self.entries.get(&victim)
    }

    /// Evicts an entry. Returns how many frozen runs are no longer remembered.
    pub(super) fn evict(&mut self, entry: &Entry, limits: &Limits) -> u64 {
        let fork = self.fork(entry.run()).filter(|fork| fork.proof.contains(&entry.id()));
        if !self.take_out(entry) {
            return 0;
        }
        let thawed = fork.map_or(0, |fork| self.remember(entry.run(), fork.seq, limits));
        self.floors.evicted(order_key(entry), self.has_share(&entry.key()));
        let held = self.last_number(entry.run()).is_some();
        self.tips.passed(entry, held);
        self.remember_evicted(entry.id(), limits);
        self.bound_tips(&entry.key(), limits);
        thawed
    }

    /// What proves that this run is frozen is evicted. Returns how many frozen runs are no longer remembered.
    pub(super) fn remember(&mut self, run: &RunId, seq: u64, limits: &Limits) -> u64 {
        let seq = self.frozen.remove(run).map_or(seq, |before| before.min(seq));
        self.frozen.insert(run.clone(), seq);
        let mut forgotten = 0;
        while self.frozen.len() > limits.chat.forks
            && let Some((run, _)) = self.frozen.pop_first()
        {
            self.floors.thawed(&run.key);
            forgotten += 1;
        }
        forgotten
    }

    fn take_out(&mut self, entry: &Entry) -> bool {
        let key = order_key(entry);
        if self.entries.remove(&key).is_none() {
            return false;
        }
        self.by_id.remove(&key.1);
        self.by_sequence.remove(&SequenceKey::of(entry.run(), &key));
        self.shares.remove(key, entry);
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
            && self.tips.is_consistent(|run| self.last_number(run).is_some())
            && self.entries.values().all(|entry| {
                // That of a run that is held may be forgotten, too.
                self.tips.last_number(entry.run()).is_none_or(|last| last >= entry.seq())
            })
    }
}
