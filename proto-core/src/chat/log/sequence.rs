//! The order of one author sequence: the entries of one author in one epoch, by sequence number.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use arrayvec::ArrayVec;

use super::window::VERSIONS;
use crate::model::{Entry, Instant, Limits, PublicKey};

/// The most spans of numbers below [`base`](AuthorSequence::base) that are remembered as shown.
const BELOW: usize = 64;

/// What was shown of an author sequence, what is missing, and what is held back for that.
#[derive(Debug, Default)]
pub(super) struct AuthorSequence {
    /// The sequence number that is shown next. None: the first one to show is not known yet.
    next: Option<u64>,
    /// Below this number it is not known what is missing, but what was shown.
    base: u64,
    /// What was shown below `base`, as far as that is known: from each key to its value, exclusive.
    below: BTreeMap<u64, u64>,
    /// What is missing between `base` and `next`: from each key to its value, exclusive.
    gaps: BTreeMap<u64, u64>,
    /// Entries above `next`, held back.
    early: BTreeMap<u64, Early>,
    /// An entry had to make room since nothing was last held back.
    dropped: bool,
    /// The lowest number of which two versions were shown. No further one of it or above it is.
    twice: Option<u64>,
    /// What is on its way of what is missing, as of the last time that an entry was due to be shown.
    awaited: Option<Awaited>,
}

/// What is missing is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coming {
    /// The lowest number that may still come.
    pub(in crate::chat) from: u64,
    /// Entries are held back for it as if they had come then, or later.
    pub(in crate::chat) at: Instant,
}

/// What may come, and how long it is waited for.
#[derive(Debug)]
struct Awaited {
    coming: Coming,
    /// How much longer than others an entry may be held back.
    most: Duration,
}

/// What else is known with the number of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// The store had an entry at the start, this one or another one.
    Stored,
    /// Another entry is in the window.
    Another,
}

#[derive(Debug)]
struct Early {
    since: Instant,
    versions: ArrayVec<Arc<Entry>, VERSIONS>,
}

/// What follows from an entry or from time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SequenceEvent {
    /// Show this entry.
    Show { entry: Arc<Entry>, late: bool, forked: bool },
    /// The numbers from `from` to `to`, exclusive, are no longer waited for. `entry` has the number `to`.
    Gap { entry: Arc<Entry>, from: u64, to: u64 },
    /// Entries of this author had to make room and have it now.
    Reconcile(PublicKey),
    /// State had to make room.
    Evicted(EvictedState),
}

/// State of an author that can be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EvictedState {
    Author,
    Epoch,
    Gap,
}

/// The highest spans of these, as many as a sequence remembers, and all below them as one: so that beginning with a run of many
/// spans costs little.
pub(super) fn highest_spans(mut spans: impl DoubleEndedIterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut highest: Vec<_> = spans.by_ref().rev().take(BELOW).collect();
    if let Some((first, last)) = spans.next_back() {
        highest.push((spans.next().map_or(first, |(lowest, _)| lowest), last));
    }
    highest.reverse();
    highest
}

impl AuthorSequence {
    /// A sequence whose entries below `next` may have been shown, and two versions of the number `twice`. These numbers were
    /// shown.
    pub(super) fn starting_at(
        next: Option<u64>,
        twice: Option<u64>,
        shown: impl Iterator<Item = (u64, u64)>,
    ) -> Self {
        let mut sequence = Self { next, base: next.unwrap_or(0), twice, ..Self::default() };
        for (first, last) in shown {
            sequence.add_below(first, last.saturating_add(1));
        }
        sequence
    }

    /// The number of entries held back.
    pub(super) fn early(&self) -> usize {
        self.early.values().map(|early| early.versions.len()).sum()
    }

    /// Whether the first entry to show is not known yet.
    pub(super) fn is_start_unknown(&self) -> bool {
        self.next.is_none()
    }

    /// The gaps that were reported and are still open: each from a number to another, exclusive.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.gaps.iter().map(|(from, to)| (*from, *to))
    }

    /// The number of these gaps.
    pub(super) fn open_gaps(&self) -> usize {
        self.gaps.len()
    }

    /// The number of all spans of numbers that are remembered.
    pub(super) fn spans(&self) -> usize {
        self.gaps.len() + self.below.len()
    }

    /// Since when the entries held back wait in vain. The earliest such time of all of them.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.early.iter().map(|(seq, early)| self.waits_since(*seq, early)).min()
    }

    /// The same for the entries held back with this number.
    fn waits_since(&self, seq: u64, early: &Early) -> Instant {
        let awaited = self.awaited.as_ref().filter(|awaited| awaited.coming.from < seq);
        awaited.map_or(early.since, |it| early.since.max(it.coming.at.min(early.since + it.most)))
    }

    /// What is missing is on its way, as far as is known now.
    pub(super) fn await_coming(&mut self, coming: Option<Coming>, limits: &Limits) {
        let most = limits.chat.hold_back_most.saturating_sub(limits.chat.hold_back);
        self.awaited = coming.map(|coming| Awaited { coming, most });
    }

    /// Whether this entry is held back.
    pub(super) fn is_held_back(&self, entry: &Entry) -> bool {
        let early = self.early.get(&entry.seq());
        early.is_some_and(|early| early.versions.iter().any(|version| version.id() == entry.id()))
    }

    /// Takes a new entry.
    pub(super) fn take(
        &mut self,
        now: Instant,
        entry: Arc<Entry>,
        known: Known,
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) {
        let seq = entry.seq();
        match self.next {
            None if seq == 0 => {
                self.next = Some(0);
                self.show_next(entry, events);
            }
            Some(next) if seq == next => self.show_next(entry, events),
            Some(next) if seq < next => {
                let was_missing = match seq < self.base {
                    true => self.shows_below(seq),
                    false => self.fill_gap(seq, limits, events),
                };
                let forked = !was_missing || known == Known::Another;
                // This one may have been shown before the start.
                let may_be_again = !was_missing && known == Known::Stored;
                if !may_be_again && (!forked || self.shows_another(seq)) {
                    events.push(SequenceEvent::Show { entry, late: seq + 1 < next, forked });
                }
            }
            _ => self.hold_back(now, entry),
        }
    }

    /// Whether a number below `base` was not shown yet. It is now.
    fn shows_below(&mut self, seq: u64) -> bool {
        if self.below.range(..=seq).next_back().is_some_and(|(_, to)| *to > seq) {
            return false;
        }
        self.add_below(seq, seq.saturating_add(1));
        true
    }

    /// These numbers below `base` were shown: from one to another, exclusive. Where there are too many spans, the lowest two
    /// become one, as if what is between them was shown.
    fn add_below(&mut self, mut from: u64, mut to: u64) {
        while let Some((first, end)) = self.below.range(..=to).next_back()
            && *end >= from
        {
            let (first, end) = (*first, *end);
            (from, to) = (from.min(first), to.max(end));
            self.below.remove(&first);
        }
        self.below.insert(from, to);
        while self.below.len() > BELOW
            && let Some((first, _)) = self.below.pop_first()
            && let Some((_, end)) = self.below.pop_first()
        {
            self.below.insert(first, end);
        }
    }

    /// Whether another version of this number is shown. It is the last one.
    fn shows_another(&mut self, seq: u64) -> bool {
        let shows = self.twice.is_none_or(|lowest| seq < lowest);
        if shows {
            self.twice = Some(seq);
        }
        shows
    }

    /// The run is frozen at this number: what is held back above it is not shown, nothing above it is missing, and the
    /// entries `withdrawn` are no longer held.
    pub(super) fn freeze(&mut self, seq: u64, withdrawn: &[Arc<Entry>]) {
        let end = seq.saturating_add(1);
        self.early.split_off(&end);
        if let Some(early) = self.early.get_mut(&seq) {
            early.versions.retain(|version| withdrawn.iter().all(|gone| gone.id() != version.id()));
            if early.versions.is_empty() {
                self.early.remove(&seq);
            }
        }
        self.gaps.split_off(&end);
        if let Some(mut last) = self.gaps.last_entry() {
            *last.get_mut() = end.min(*last.get());
        }
    }

    fn show_next(&mut self, entry: Arc<Entry>, events: &mut Vec<SequenceEvent>) {
        self.next = Some(entry.seq().saturating_add(1));
        let key = entry.key();
        events.push(SequenceEvent::Show { entry, late: false, forked: false });
        self.show_following(events);
        self.request_dropped(key, events);
    }

    /// Shows the entries held back that are next now.
    fn show_following(&mut self, events: &mut Vec<SequenceEvent>) {
        while let Some(early) = self.next.and_then(|next| self.early.remove(&next)) {
            self.next = self.next.map(|next| next.saturating_add(1));
            for (n, entry) in early.versions.into_iter().enumerate() {
                let forked = n > 0;
                if !forked || self.shows_another(entry.seq()) {
                    events.push(SequenceEvent::Show { entry, late: false, forked });
                }
            }
        }
    }

    /// Requests entries that had to make room, when nothing is held back any more.
    fn request_dropped(&mut self, key: PublicKey, events: &mut Vec<SequenceEvent>) {
        if self.early.is_empty() && core::mem::take(&mut self.dropped) {
            events.push(SequenceEvent::Reconcile(key));
        }
    }

    fn hold_back(&mut self, now: Instant, entry: Arc<Entry>) {
        let new = || Early { since: now, versions: ArrayVec::new() };
        let early = self.early.entry(entry.seq()).or_insert_with(new);
        // It fits, since the caller takes at most `VERSIONS` entries with one number.
        let _ = early.versions.try_push(entry);
    }

    /// Removes `seq` from its gap. False: it is in none.
    fn fill_gap(&mut self, seq: u64, limits: &Limits, events: &mut Vec<SequenceEvent>) -> bool {
        let Some((&from, &to)) = self.gaps.range(..=seq).next_back().filter(|(_, to)| **to > seq) else {
            return false;
        };
        self.gaps.remove(&from);
        if from < seq {
            self.gaps.insert(from, seq);
        }
        if seq + 1 < to {
            self.gaps.insert(seq + 1, to);
        }
        self.bound_gaps(limits, events);
        true
    }

    /// Evicts the lowest gaps beyond the bound.
    fn bound_gaps(&mut self, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while self.gaps.len() > limits.chat.gaps_per_epoch {
            let Some((from, to)) = self.gaps.pop_first() else { return };
            if self.base < from {
                self.add_below(self.base, from);
            }
            self.base = to;
            events.push(SequenceEvent::Evicted(EvictedState::Gap));
        }
    }

    /// Shows what was held back too long.
    pub(super) fn release_overdue(&mut self, now: Instant, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        let is_overdue = |seq, early| self.waits_since(seq, early) + limits.chat.hold_back <= now;
        let overdue = self.early.iter().rev().find(|(seq, early)| is_overdue(**seq, early));
        if let Some((&seq, _)) = overdue {
            self.release_up_to(seq, limits, events);
        }
    }

    /// Shows what is held back up to `seq`, inclusive, and what follows directly. Reports what is missing as
    /// gaps.
    pub(super) fn release_up_to(&mut self, seq: u64, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while let Some((&lowest, early)) = self.early.first_key_value()
            && lowest <= seq
        {
            let Some(entry) = early.versions.first().cloned() else { return };
            let key = entry.key();
            if let Some(next) = self.next {
                events.push(SequenceEvent::Gap { entry, from: next, to: lowest });
                self.gaps.insert(next, lowest);
                self.bound_gaps(limits, events);
            } else {
                self.base = lowest;
            }
            self.next = Some(lowest);
            self.show_following(events);
            self.request_dropped(key, events);
        }
    }

    /// Starts the sequence with the lowest entry that is held back.
    pub(super) fn start_at_lowest(&mut self, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        if let Some((&lowest, _)) = self.early.first_key_value() {
            self.release_up_to(lowest, limits, events);
        }
    }

    /// Removes the entry with the highest number of those held back.
    pub(super) fn drop_highest(&mut self) -> Option<Arc<Entry>> {
        self.dropped = true;
        let mut highest = self.early.last_entry()?;
        let entry = highest.get_mut().versions.pop();
        if highest.get().versions.is_empty() {
            highest.remove();
        }
        entry
    }

    /// Whether an entry that was taken is held back, or counts as shown.
    pub(super) fn accounts_for(&self, entry: &Entry) -> bool {
        let seq = entry.seq();
        let is_missing = self.gaps.range(..=seq).next_back().is_some_and(|(_, to)| *to > seq);
        self.is_held_back(entry) || self.next.is_some_and(|next| seq < next) && !is_missing
    }

    pub(super) fn is_consistent(&self) -> bool {
        let next = self.next.unwrap_or(0);
        let apart = self.gaps.iter().zip(self.gaps.iter().skip(1)).all(|((_, to), (from, _))| to < from);
        let inside = self.gaps.iter().all(|(from, to)| self.base <= *from && from < to && *to < next);
        let early = self.early.iter().all(|(seq, early)| {
            let right = early.versions.iter().all(|entry| entry.seq() == *seq);
            (self.next.is_none() || *seq > next) && right && !early.versions.is_empty()
        });
        let below = self.below.iter().all(|(from, to)| from < to && *to <= self.base);
        let below_apart =
            self.below.iter().zip(self.below.iter().skip(1)).all(|((_, to), (from, _))| to < from);
        apart && inside && early && below && below_apart
    }
}
