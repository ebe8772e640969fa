//! The known authors, each with the sequences of its epochs.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::forks::Effect;
use super::sequence::{AuthorSequence, Coming, EvictedState, Known, SequenceEvent, highest_spans};
use super::shelf::Shelf;
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
    /// The epochs of these authors. A map for each author would take much memory, since most have one epoch.
    epochs: BTreeMap<RunId, Epoch>,
    /// The least recently heard author first. An index of `authors`.
    by_heard: BTreeSet<(u64, PublicKey)>,
    /// The authors with entries held back, by their number. An index of `authors`.
    by_early: BTreeSet<(usize, PublicKey)>,
    /// The epochs with entries held back, by the oldest one. An index of `epochs`.
    waiting: BTreeSet<(Instant, RunId)>,
    /// The number of entries held back. A cache over `authors`.
    early: usize,
    /// The number of gaps, and of other spans of numbers. A cache over `epochs`.
    gaps: usize,
    /// Rises with each entry. It orders authors and epochs by when they were last heard.
    ticks: u64,
}

#[derive(Debug)]
struct Author {
    uname: Name,
    /// The tick of its last entry.
    heard: u64,
    /// The number of its entries held back. A cache over its epochs.
    early: usize,
}

#[derive(Debug)]
struct Epoch {
    sequence: AuthorSequence,
    /// The tick of its last entry.
    heard: u64,
    /// Cached from the sequence, as the indexes have it.
    early: usize,
    /// The gaps and other spans that it remembers. Cached from the sequence, as the sum has it.
    gaps: usize,
    /// Cached from the sequence, as the indexes have it.
    waiting_since: Option<Instant>,
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
        self.authors.len() * AUTHOR_CHARGE + self.epochs.len() * EPOCH_CHARGE + self.gaps * GAP_CHARGE
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
        lanes(self.epochs.keys()).map(|(_, epochs)| epochs).max().unwrap_or(0)
    }

    /// The most pairs of a room and a class of one author.
    pub(super) fn most_lanes(&self) -> usize {
        let mut lanes = lanes(self.epochs.keys()).map(|(run, _)| run.key).peekable();
        let of_one = core::iter::from_fn(|| {
            let key = lanes.next()?;
            Some(1 + core::iter::from_fn(|| lanes.next_if_eq(&key)).count())
        });
        of_one.max().unwrap_or(0)
    }

    /// The most gaps of one epoch.
    pub(super) fn most_gaps(&self) -> usize {
        self.epochs.values().map(|epoch| epoch.sequence.open_gaps()).max().unwrap_or(0)
    }

    /// The earliest of the times since which entries held back wait in vain.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// The gaps that were reported and are still open.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.epochs
            .iter()
            .filter_map(|(run, epoch)| Some((run, epoch, self.authors.get(&run.key)?)))
            .flat_map(|(run, Epoch { sequence, .. }, Author { uname, .. })| {
                let gap = |(from, to)| Gap { run: run.clone(), uname: uname.clone(), from, to };
                sequence.gaps().map(gap)
            })
    }

    /// The epochs of an author.
    fn of(&self, key: PublicKey) -> impl Iterator<Item = (&RunId, &Epoch)> {
        self.epochs.range(RunId::first_of(key)..).take_while(move |(run, _)| run.key == key)
    }

    /// The least recently heard epoch of an author.
    fn oldest(&self, key: PublicKey) -> Option<RunId> {
        self.of(key).min_by_key(|(_, epoch)| epoch.heard).map(|(run, _)| run.clone())
    }

    /// The epoch that has to make room for this one, which is new: the least recently heard one in its room and class, or
    /// in the room and class that was least recently heard.
    fn in_the_way(&self, run: &RunId, limits: &Limits) -> Option<RunId> {
        let beside = |run: &RunId| {
            let run = run.clone();
            self.of(run.key).filter(move |(other, _)| other.is_beside(&run))
        };
        if beside(run).count() >= limits.chat.epochs_per_author.max(1) {
            return beside(run).min_by_key(|(_, epoch)| epoch.heard).map(|(run, _)| run.clone());
        }
        let lanes = lanes(self.of(run.key).map(|(run, _)| run)).count();
        if beside(run).next().is_some() || lanes < limits.chat.lanes_per_author.max(1) {
            return None;
        }
        let newest_beside = |run: &RunId| beside(run).map(|(_, epoch)| epoch.heard).max();
        let oldest = self.of(run.key).min_by_key(|(run, epoch)| (newest_beside(run), epoch.heard));
        oldest.map(|(run, _)| run.clone())
    }

    /// Takes an entry that is not in the window yet. `effect`: what follows for its run, which is still to happen in the
    /// window. What proves a fork before it is not shown.
    pub(super) fn take(
        &mut self,
        now: Instant,
        (entry, effect): (&Arc<Entry>, &Effect),
        (window, shelf): (&Window, &Shelf),
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) {
        let run = entry.run();
        let shown = effect.fork.is_none_or(|seq| entry.seq() <= seq);
        if shown {
            self.touch(entry, (window, shelf), limits, events);
        }
        if let Some(seq) = effect.fork {
            self.update(run, |sequence| sequence.freeze(seq, &effect.withdrawn));
        }
        if shown {
            let known = match window.versions(run, entry.seq()) {
                _ if shelf.may_have_had(run, (entry.seq(), entry.at())) => Known::Stored,
                0 => Known::Nothing,
                _ => Known::Another,
            };
            self.update(run, |sequence| sequence.take(now, entry.clone(), known, limits, events));
        }
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
    fn touch(
        &mut self,
        entry: &Entry,
        (window, shelf): (&Window, &Shelf),
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) {
        let (key, run) = (entry.key(), entry.run());
        while !self.authors.contains_key(&key) && self.authors.len() >= limits.chat.authors.max(1) {
            let Some((_, oldest)) = self.by_heard.first().copied() else { break };
            self.evict_author(oldest, limits, events);
        }
        while !self.epochs.contains_key(run)
            && let Some(oldest) = self.in_the_way(run, limits)
        {
            self.evict_epoch(&oldest, limits, events);
        }
        self.ticks += 1;
        let heard = self.ticks;
        let author = self.authors.entry(key).or_insert_with(|| Author {
            uname: entry.uname().clone(),
            heard,
            early: 0,
        });
        self.by_heard.remove(&(author.heard, key));
        self.by_heard.insert((heard, key));
        author.heard = heard;
        author.uname = entry.uname().clone();
        // Entries in the window and on the shelf whose epoch is unknown have been shown or came before the start, or prove a
        // fork.
        let start = || {
            let last = window.last_number(run).max(shelf.last_number(run));
            let next = last.map(|last| last.saturating_add(1));
            // What is above a fork was not shown.
            let end = window.frozen_at(run).unwrap_or(u64::MAX);
            // Of what the window may want, the shelf may count missing numbers as held, for want of room.
            let base = window.tips().base(run);
            let low = shelf.spans_below(run, base).map(|(first, last)| (first, last.min(base - 1)));
            let high = shelf.sure_spans_from(run, base).filter(|(_, last)| *last >= base);
            let high = high.map(|(first, last)| (first.max(base), last));
            let spans = window.spans(run).chain(highest_spans(low)).chain(highest_spans(high));
            let shown = spans.filter(|(first, _)| *first <= end).map(|(first, last)| (first, last.min(end)));
            AuthorSequence::starting_at(next, window.held_twice(run), shown)
        };
        let epoch = self.epochs.entry(run.clone());
        let epoch = epoch.or_insert_with(|| Epoch {
            sequence: start(),
            heard,
            early: 0,
            gaps: 0,
            waiting_since: None,
        });
        epoch.heard = heard;
    }

    /// Shows what an author's epochs hold back, and removes the author.
    fn evict_author(&mut self, key: PublicKey, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        while let Some(oldest) = self.oldest(key) {
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
        if let Some(removed) = self.epochs.remove(run) {
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
        while self.authors.get(&key).is_some_and(|author| author.early > limits.chat.early_per_author) {
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
        let holding = || self.of(key).filter(|(_, epoch)| epoch.early > 0);
        // Prefer an epoch whose start is unknown. It starts now, and nothing is lost: older entries are shown
        // as late.
        let unknown = holding().find(|(_, epoch)| epoch.sequence.is_start_unknown());
        if let Some(run) = unknown.map(|(run, _)| run.clone()) {
            self.update(&run, |sequence| sequence.start_at_lowest(limits, events));
            return None;
        }
        let run = holding().max_by_key(|(_, epoch)| epoch.early)?.0.clone();
        self.update(&run, AuthorSequence::drop_highest)?
    }

    /// Shows what was held back too long. `coming` tells what of a run is on its way.
    pub(super) fn release_overdue(
        &mut self,
        now: Instant,
        coming: impl Fn(&RunId) -> Option<Coming>,
        limits: &Limits,
        events: &mut Vec<SequenceEvent>,
    ) {
        while let Some((since, run)) = self.waiting.first()
            && *since + limits.chat.hold_back <= now
        {
            let coming = coming(run);
            self.update(&run.clone(), |sequence| {
                sequence.await_coming(coming, limits);
                sequence.release_overdue(now, limits, events);
            });
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
        self.epochs.get(entry.run()).map(|epoch| &epoch.sequence)
    }

    /// Changes a sequence, and updates the indexes.
    fn update<R>(&mut self, run: &RunId, change: impl FnOnce(&mut AuthorSequence) -> R) -> Option<R> {
        let (key, epoch) = (run.key, self.epochs.get_mut(run)?);
        let author = self.authors.get_mut(&key)?;
        let result = change(&mut epoch.sequence);
        let early_before = core::mem::replace(&mut epoch.early, epoch.sequence.early());
        let gaps_before = core::mem::replace(&mut epoch.gaps, epoch.sequence.spans());
        let since_before = core::mem::replace(&mut epoch.waiting_since, epoch.sequence.waiting_since());
        if let Some(before) = since_before {
            self.waiting.remove(&(before, run.clone()));
        }
        if let Some(since) = epoch.waiting_since {
            self.waiting.insert((since, run.clone()));
        }
        self.by_early.remove(&(author.early, key));
        author.early = author.early + epoch.early - early_before;
        if author.early > 0 {
            self.by_early.insert((author.early, key));
        }
        self.early = self.early + epoch.early - early_before;
        self.gaps = self.gaps + epoch.gaps - gaps_before;
        Some(result)
    }

    pub(super) fn is_consistent(&self, window: &Window) -> bool {
        let authors = || self.authors.iter();
        let early = |key: PublicKey| self.of(key).map(|(_, epoch)| epoch.early).sum::<usize>();
        let holding = authors().map(|(key, _)| (early(*key), *key)).filter(|(count, _)| *count > 0);
        let waiting = self.epochs.iter().filter_map(|(run, epoch)| Some((epoch.waiting_since?, run.clone())));
        let held = window.iter().filter(|entry| self.is_held_back(entry)).count();
        self.by_heard == authors().map(|(key, author)| (author.heard, *key)).collect()
            && self.by_early == holding.collect()
            && self.waiting == waiting.collect()
            && authors().all(|(key, author)| author.early == early(*key))
            && self.early == authors().map(|(_, author)| author.early).sum::<usize>()
            && self.early == held
            && self.gaps == self.epochs.values().map(|epoch| epoch.gaps).sum::<usize>()
            && self
                .epochs
                .iter()
                .all(|(run, epoch)| self.authors.contains_key(&run.key) && epoch.is_consistent())
            && window.iter().all(|entry| {
                // What proves a fork behind it is not shown.
                let behind = || window.frozen_at(entry.run()).is_some_and(|seq| seq < entry.seq());
                self.sequence(entry).is_none_or(|sequence| sequence.accounts_for(entry)) || behind()
            })
    }
}

impl Epoch {
    fn is_consistent(&self) -> bool {
        let Self { sequence, early, gaps, waiting_since, .. } = self;
        let cached = (*early, *gaps, *waiting_since);
        sequence.is_consistent() && cached == (sequence.early(), sequence.spans(), sequence.waiting_since())
    }
}

/// The pairs of a room and a class of each author among these runs, in order: the first run in each, and how many there are.
fn lanes<'a>(runs: impl Iterator<Item = &'a RunId>) -> impl Iterator<Item = (&'a RunId, usize)> {
    // The order of the runs puts those of one pair next to each other.
    let mut runs = runs.peekable();
    core::iter::from_fn(move || {
        let first = runs.next()?;
        let is_beside = |run: &&RunId| run.key == first.key && run.is_beside(first);
        let others = core::iter::from_fn(|| runs.next_if(is_beside));
        Some((first, others.count() + 1))
    })
}
