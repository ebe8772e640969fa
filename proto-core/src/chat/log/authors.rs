//! The known authors, each with the sequences of its epochs.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::sequence::{AuthorSequence, EvictedState, SequenceEvent};
use super::window::Window;
use crate::model::{Entry, Instant, Limits, Name, PublicKey, RunId};

/// What an author, an epoch and a gap are charged, in bytes (SPEC 9.14).
const AUTHOR_CHARGE: usize = 384;
const EPOCH_CHARGE: usize = 384;
const GAP_CHARGE: usize = 32;

/// The sequences of the most recently heard authors.
#[derive(Debug, Default)]
pub(super) struct Authors {
    authors: BTreeMap<PublicKey, Author>,
    /// The least recently heard author first. An index of `authors`.
    by_heard: BTreeSet<(u64, PublicKey)>,
    /// The authors with entries held back, by their number. An index of `authors`.
    by_early: BTreeSet<(usize, PublicKey)>,
    /// The epochs with entries held back, by the oldest one. An index of `authors`.
    waiting: BTreeSet<(Instant, RunId)>,
    /// The number of entries held back. A cache over `authors`.
    early: usize,
    /// The number of epochs. A cache over `authors`.
    epochs: usize,
    /// The number of gaps. A cache over `authors`.
    gaps: usize,
    /// Rises with each entry. It orders authors and epochs by when they were last heard.
    ticks: u64,
}

#[derive(Debug)]
struct Author {
    uname: Name,
    /// The tick of its last entry.
    heard: u64,
    epochs: BTreeMap<RunId, Epoch>,
}

#[derive(Debug)]
struct Epoch {
    sequence: AuthorSequence,
    /// The tick of its last entry.
    heard: u64,
    /// Cached from the sequence, as the indexes have it.
    early: usize,
    /// Cached from the sequence, as the sum has it.
    gaps: usize,
    /// Cached from the sequence, as the indexes have it.
    waiting_since: Option<Instant>,
}

impl Author {
    fn early(&self) -> usize {
        self.epochs.values().map(|epoch| epoch.early).sum()
    }

    /// The least recently heard epoch.
    fn oldest(&self) -> Option<RunId> {
        self.epochs.iter().min_by_key(|(_, epoch)| epoch.heard).map(|(run, _)| run.clone())
    }

    /// The epoch that has to make room for this one, which is new: the least recently heard one in its room and class, or
    /// in the room and class that was least recently heard.
    fn in_the_way(&self, run: &RunId, limits: &Limits) -> Option<RunId> {
        let beside = || self.epochs.iter().filter(|(other, _)| other.is_beside(run));
        if beside().count() >= limits.chat.epochs_per_author.max(1) {
            return beside().min_by_key(|(_, epoch)| epoch.heard).map(|(run, _)| run.clone());
        }
        if beside().next().is_some() || self.lanes().count() < limits.chat.lanes_per_author.max(1) {
            return None;
        }
        let newest_beside = |run: &RunId| {
            let beside = self.epochs.iter().filter(|(other, _)| other.is_beside(run));
            beside.map(|(_, epoch)| epoch.heard).max()
        };
        let oldest = self.epochs.iter().min_by_key(|(run, epoch)| (newest_beside(run), epoch.heard));
        oldest.map(|(run, _)| run.clone())
    }

    /// How many epochs there are in each pair of a room and a class.
    fn lanes(&self) -> impl Iterator<Item = usize> {
        // The order of the runs puts those of one pair next to each other.
        let mut runs = self.epochs.keys().peekable();
        core::iter::from_fn(move || {
            let first = runs.next()?;
            let others = core::iter::from_fn(|| runs.next_if(|run| run.is_beside(first)));
            Some(others.count() + 1)
        })
    }
}

/// Entries of an author that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) run: RunId,
    pub(crate) uname: Name,
    /// The first number that is missing.
    pub(crate) from: u64,
    /// The first number after it that is not missing.
    pub(crate) to: u64,
}

impl Authors {
    pub(super) fn len(&self) -> usize {
        self.authors.len()
    }

    /// What all authors, epochs and gaps are charged.
    pub(super) fn bytes(&self) -> usize {
        self.authors.len() * AUTHOR_CHARGE + self.epochs * EPOCH_CHARGE + self.gaps * GAP_CHARGE
    }

    /// The number of entries held back.
    pub(super) fn early(&self) -> usize {
        self.early
    }

    /// The most entries of one author that are held back.
    pub(super) fn most_early(&self) -> usize {
        self.by_early.last().map_or(0, |(most, _)| *most)
    }

    /// The most epochs of one author in one room and class.
    pub(super) fn most_epochs(&self) -> usize {
        self.authors.values().flat_map(Author::lanes).max().unwrap_or(0)
    }

    /// The most pairs of a room and a class of one author.
    pub(super) fn most_lanes(&self) -> usize {
        self.authors.values().map(|author| author.lanes().count()).max().unwrap_or(0)
    }

    /// The most gaps of one epoch.
    pub(super) fn most_gaps(&self) -> usize {
        let epochs = self.authors.values().flat_map(|author| author.epochs.values());
        epochs.map(|epoch| epoch.gaps).max().unwrap_or(0)
    }

    /// Since when the oldest entry is held back.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// The gaps that were reported and are still open.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.authors.values().flat_map(|author| {
            author.epochs.iter().flat_map(|(run, Epoch { sequence, .. })| {
                let gap = |(from, to)| Gap { run: run.clone(), uname: author.uname.clone(), from, to };
                sequence.gaps().map(gap)
            })
        })
    }

    /// Takes an entry that is not in the window yet.
    pub(super) fn take(
        &mut self,
        now: Instant,
        entry: &Arc<Entry>,
        window: &Window,
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) {
        self.touch(entry, window, limits, events);
        let forked = window.versions(entry.run(), entry.seq()) > 0;
        self.update(entry.run(), |sequence| sequence.take(now, entry.clone(), forked, limits, events));
    }

    /// Evicts the least recently heard authors, as long as all are charged too much.
    pub(super) fn bound_bytes(&mut self, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while self.bytes() > limits.chat.authors_bytes
            && self.authors.len() > 1
            && let Some((_, oldest)) = self.by_heard.first().copied()
        {
            self.evict_author(oldest, limits, events);
        }
    }

    /// Marks the author and the epoch of an entry as heard. Creates them, and makes room for that, where they
    /// are new.
    fn touch(&mut self, entry: &Entry, window: &Window, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        let (key, run) = (entry.key(), entry.run());
        while !self.authors.contains_key(&key) && self.authors.len() >= limits.chat.authors.max(1) {
            let Some((_, oldest)) = self.by_heard.first().copied() else { break };
            self.evict_author(oldest, limits, events);
        }
        while let Some(author) = self.authors.get(&key)
            && !author.epochs.contains_key(run)
            && let Some(oldest) = author.in_the_way(run, limits)
        {
            self.evict_epoch(&oldest, limits, events);
        }
        self.ticks += 1;
        let heard = self.ticks;
        let author = self.authors.entry(key).or_insert_with(|| Author {
            uname: entry.uname().clone(),
            heard,
            epochs: BTreeMap::new(),
        });
        self.by_heard.remove(&(author.heard, key));
        self.by_heard.insert((heard, key));
        author.heard = heard;
        author.uname = entry.uname().clone();
        // Entries in the window whose epoch is unknown have been shown.
        let start =
            || AuthorSequence::starting_at(window.last_number(run).map(|last| last.saturating_add(1)));
        let epochs = author.epochs.len();
        let epoch = author.epochs.entry(run.clone());
        let epoch = epoch.or_insert_with(|| Epoch {
            sequence: start(),
            heard,
            early: 0,
            gaps: 0,
            waiting_since: None,
        });
        epoch.heard = heard;
        self.epochs += author.epochs.len() - epochs;
    }

    /// Shows what an author's epochs hold back, and removes the author.
    fn evict_author(&mut self, key: PublicKey, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while let Some(oldest) = self.authors.get(&key).and_then(Author::oldest) {
            self.evict_epoch(&oldest, limits, events);
        }
        if let Some(author) = self.authors.remove(&key) {
            self.by_heard.remove(&(author.heard, key));
            events.push(SequenceEvent::Evicted(EvictedState::Author));
        }
    }

    /// Shows what an epoch holds back, and removes the epoch.
    fn evict_epoch(&mut self, run: &RunId, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        self.update(run, |sequence| sequence.release_up_to(u64::MAX, limits, events));
        if let Some(removed) = self.authors.get_mut(&run.key).and_then(|author| author.epochs.remove(run)) {
            self.epochs -= 1;
            self.gaps -= removed.gaps;
            events.push(SequenceEvent::Evicted(EvictedState::Epoch));
        }
    }

    /// Enforces the bounds of what is held back. Returns the entries that had to make room.
    pub(super) fn bound_early(
        &mut self,
        key: PublicKey,
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) -> Vec<Arc<Entry>> {
        let mut dropped = Vec::new();
        while self.authors.get(&key).is_some_and(|author| author.early() > limits.chat.early_per_author) {
            dropped.extend(self.shed_early(key, limits, events));
        }
        while self.early > limits.chat.early
            && let Some((_, most)) = self.by_early.last().copied()
        {
            dropped.extend(self.shed_early(most, limits, events));
        }
        dropped
    }

    /// Reduces what is held back of this author: shows entries, or returns one that has to make room.
    fn shed_early(
        &mut self,
        key: PublicKey,
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) -> Option<Arc<Entry>> {
        let author = self.authors.get(&key)?;
        let holding = || author.epochs.iter().filter(|(_, epoch)| epoch.early > 0);
        // Prefer an epoch whose start is unknown. It starts now, and nothing is lost: older entries are shown
        // as late.
        if let Some((run, _)) = holding().find(|(_, epoch)| epoch.sequence.is_start_unknown()) {
            self.update(&run.clone(), |sequence| sequence.start_at_lowest(limits, events));
            return None;
        }
        let run = holding().max_by_key(|(_, epoch)| epoch.early)?.0.clone();
        self.update(&run, AuthorSequence::drop_highest)?
    }

    /// Shows what was held back too long.
    pub(super) fn release_overdue(&mut self, now: Instant, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while let Some((since, run)) = self.waiting.first()
            && *since + limits.chat.hold_back <= now
        {
            self.update(&run.clone(), |sequence| sequence.release_overdue(now, limits, events));
        }
    }

    /// Shows this entry if it is held back.
    pub(super) fn release(&mut self, entry: &Entry, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        if self.is_held_back(entry) {
            let show = |sequence: &mut AuthorSequence| sequence.release_up_to(entry.seq(), limits, events);
            self.update(entry.run(), show);
        }
    }

    /// Whether this entry is held back.
    pub(super) fn is_held_back(&self, entry: &Entry) -> bool {
        self.sequence(entry).is_some_and(|sequence| sequence.is_held_back(entry))
    }

    fn sequence(&self, entry: &Entry) -> Option<&AuthorSequence> {
        let epoch = self.authors.get(&entry.key())?.epochs.get(entry.run())?;
        Some(&epoch.sequence)
    }

    /// Changes a sequence, and updates the indexes.
    fn update<R>(&mut self, run: &RunId, change: impl FnOnce(&mut AuthorSequence) -> R) -> Option<R> {
        let key = run.key;
        let author = self.authors.get_mut(&key)?;
        let held_before = author.early();
        let epoch = author.epochs.get_mut(run)?;
        let result = change(&mut epoch.sequence);
        epoch.early = epoch.sequence.early();
        let gaps_before = core::mem::replace(&mut epoch.gaps, epoch.sequence.open_gaps());
        self.gaps = self.gaps + epoch.gaps - gaps_before;
        let since_before = core::mem::replace(&mut epoch.waiting_since, epoch.sequence.waiting_since());
        let since = epoch.waiting_since;
        let held = author.early();
        if let Some(before) = since_before {
            self.waiting.remove(&(before, run.clone()));
        }
        if let Some(since) = since {
            self.waiting.insert((since, run.clone()));
        }
        self.by_early.remove(&(held_before, key));
        if held > 0 {
            self.by_early.insert((held, key));
        }
        self.early = self.early + held - held_before;
        Some(result)
    }

    pub(super) fn is_consistent(&self, window: &Window) -> bool {
        let authors = || self.authors.iter();
        let epochs = || authors().flat_map(|(_, author)| author.epochs.iter());
        let early =
            |author: &Author| author.epochs.values().map(|epoch| epoch.sequence.early()).sum::<usize>();
        let holding = authors().map(|(key, author)| (early(author), *key)).filter(|(count, _)| *count > 0);
        let waiting =
            epochs().filter_map(|(run, epoch)| Some((epoch.sequence.waiting_since()?, run.clone())));
        let held = window.iter().filter(|entry| self.is_held_back(entry)).count();
        self.by_heard == authors().map(|(key, author)| (author.heard, *key)).collect()
            && self.by_early == holding.collect()
            && self.waiting == waiting.collect()
            && self.early == authors().map(|(_, author)| early(author)).sum::<usize>()
            && self.early == held
            && self.epochs == epochs().count()
            && self.gaps == epochs().map(|(_, epoch)| epoch.sequence.open_gaps()).sum::<usize>()
            && epochs().all(|(run, epoch)| {
                self.authors.contains_key(&run.key)
                    && epoch.sequence.is_consistent()
                    && epoch.early == epoch.sequence.early()
                    && epoch.gaps == epoch.sequence.open_gaps()
            })
            && window
                .iter()
                .all(|entry| self.sequence(entry).is_none_or(|sequence| sequence.accounts_for(entry)))
    }
}
