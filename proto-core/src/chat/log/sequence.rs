//! The order of one author's entries in one epoch.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use arrayvec::ArrayVec;

use super::window::VERSIONS;
use crate::model::{Entry, Instant, Limits, PublicKey};

/// What was shown of an epoch, what is missing in it, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct AuthorSequence {
    /// The number that is shown next. None: it is not known where the epoch begins here.
    next: Option<u64>,
    /// Nothing below this number is known to be missing or not.
    base: u64,
    /// What is missing between `base` and `next`: from each number to the other, without that.
    gaps: BTreeMap<u64, u64>,
    /// Entries above `next`, held back.
    early: BTreeMap<u64, Early>,
    /// An entry had to make room since the last hole was closed or given up.
    dropped: bool,
}

#[derive(Debug)]
struct Early {
    since: Instant,
    versions: ArrayVec<Arc<Entry>, VERSIONS>,
}

/// What follows from an entry or from time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SequenceEvent {
    Show {
        entry: Arc<Entry>,
        late: bool,
        forked: bool,
    },
    /// These numbers, without the last, are not waited for any longer; `entry` is the one above them.
    Gap {
        entry: Arc<Entry>,
        from: u64,
        to: u64,
    },
    /// Entries of this author are to be asked for: some are missing since just now, or had to make room.
    Reconcile(PublicKey),
    /// This is no longer known, for want of room.
    Evicted(EvictedState),
}

/// What can be forgotten of an author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EvictedState {
    Author,
    Epoch,
    Gap,
}

impl AuthorSequence {
    /// A run of which everything below `next` may have been shown.
    pub(super) fn starting_at(next: Option<u64>) -> Self {
        Self { next, base: next.unwrap_or(0), ..Self::default() }
    }

    /// How many entries are held back.
    pub(super) fn early(&self) -> usize {
        self.early.values().map(|early| early.versions.len()).sum()
    }

    /// Whether it waits for the entry that it begins with here.
    pub(super) fn is_start_unknown(&self) -> bool {
        self.next.is_none()
    }

    /// What was reported missing and did not come.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.gaps.iter().map(|(from, to)| (*from, *to))
    }

    /// Since when something is missing that is waited for.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.early.values().map(|early| early.since).min()
    }

    /// Whether this entry is held back.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        let early = self.early.get(&entry.seq());
        early.is_some_and(|early| early.versions.iter().any(|version| version.id() == entry.id()))
    }

    /// Takes an entry that is not here yet; `forked`: another with its number is.
    pub(super) fn take(
        &mut self,
        now: Instant,
        entry: Arc<Entry>,
        forked: bool,
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
                let filled = seq < self.base || self.fill_gap(seq, limits, events);
                events.push(SequenceEvent::Show { entry, late: seq + 1 < next, forked: forked || !filled });
            }
            _ => self.hold_back(now, entry, events),
        }
    }

    fn show_next(&mut self, entry: Arc<Entry>, events: &mut Vec<SequenceEvent>) {
        self.next = Some(entry.seq().saturating_add(1));
        let key = entry.key();
        events.push(SequenceEvent::Show { entry, late: false, forked: false });
        self.show_following(events);
        self.request_dropped(key, events);
    }

    /// Shows what was held back for nothing but what has come now.
    fn show_following(&mut self, events: &mut Vec<SequenceEvent>) {
        while let Some(early) = self.next.and_then(|next| self.early.remove(&next)) {
            self.next = self.next.map(|next| next.saturating_add(1));
            let shown = early.versions.into_iter().enumerate();
            events.extend(shown.map(|(n, entry)| SequenceEvent::Show { entry, late: false, forked: n > 0 }));
        }
    }

    /// What had to make room has room now.
    fn request_dropped(&mut self, key: PublicKey, events: &mut Vec<SequenceEvent>) {
        if self.early.is_empty() && core::mem::take(&mut self.dropped) {
            events.push(SequenceEvent::Reconcile(key));
        }
    }

    fn hold_back(&mut self, now: Instant, entry: Arc<Entry>, events: &mut Vec<SequenceEvent>) {
        let seq = entry.seq();
        let last = self.early.last_key_value().map(|(last, _)| *last);
        // Below the last one the hole is an old one, right behind it there is none.
        let opens = last.is_none_or(|last| self.next.is_some() && seq > last.saturating_add(1));
        let early = self.early.entry(seq).or_insert_with(|| Early { since: now, versions: ArrayVec::new() });
        if opens {
            events.push(SequenceEvent::Reconcile(entry.key()));
        }
        // The caller takes no more versions than are kept.
        let _ = early.versions.try_push(entry);
    }

    /// Whether `seq` was missing, which it is no longer.
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

    /// Where there are too many gaps, the lowest is no longer known to be one.
    fn bound_gaps(&mut self, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while self.gaps.len() > limits.chat.gaps_per_epoch {
            let Some((_, to)) = self.gaps.pop_first() else { return };
            self.base = to;
            events.push(SequenceEvent::Evicted(EvictedState::Gap));
        }
    }

    /// Gives up the holes that have been open for too long.
    pub(super) fn release_overdue(&mut self, now: Instant, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        let is_overdue = |early: &Early| early.since + limits.chat.hold_back <= now;
        let overdue = self.early.iter().rev().find(|(_, early)| is_overdue(early));
        if let Some((&seq, _)) = overdue {
            self.release_up_to(seq, limits, events);
        }
    }

    /// Shows what is held back up to `seq`, and what follows it, whatever is missing.
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

    /// Lets the epoch begin with the lowest entry that is held back.
    pub(super) fn start_at_lowest(&mut self, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        if let Some((&lowest, _)) = self.early.first_key_value() {
            self.release_up_to(lowest, limits, events);
        }
    }

    /// Takes out the last of the entries that are held back.
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
        let missing = self.gaps.range(..=seq).next_back().is_some_and(|(_, to)| *to > seq);
        self.holds(entry) || self.next.is_some_and(|next| seq < next) && !missing
    }

    pub(super) fn is_consistent(&self) -> bool {
        let next = self.next.unwrap_or(0);
        let apart = self.gaps.iter().zip(self.gaps.iter().skip(1)).all(|((_, to), (from, _))| to < from);
        let inside = self.gaps.iter().all(|(from, to)| self.base <= *from && from < to && *to < next);
        let held = self.early.iter().all(|(seq, early)| {
            let right = early.versions.iter().all(|entry| entry.seq() == *seq);
            (self.next.is_none() || *seq > next) && right && !early.versions.is_empty()
        });
        apart && inside && held
    }
}
