//! The log: the entries that this node holds, in which order it shows them, and what is missing.
//!
//! - [`window`]: the entries by their place in the conversation;
//! - [`shares`]: who holds how much of it, and whose entries are evicted;
//! - [`floors`]: what was evicted of each author;
//! - [`forks`]: what is held of a run that has two continuations;
//! - [`tips`]: the newest entry of each run, which is what nodes compare;
//! - [`shelf`]: what the store has of each run, and [`stored`] what follows from that;
//! - [`parked`]: entries dated ahead;
//! - [`authors`] and [`sequence`]: the order of each author sequence, holding back, and gaps;
//! - [`reconcile`]: the exchange by which two neighbours find out what either lacks. When it takes place is
//!   up to [`gossip`](crate::chat::gossip);
//! - [`ignored`]: who ignores reconciliations.

mod authors;
mod floors;
mod forks;
mod ignored;
mod parked;
#[cfg(test)]
mod properties;
mod reconcile;
mod sequence;
mod shares;
mod shelf;
mod stored;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod tips;
mod window;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use authors::Authors;
pub(crate) use authors::Gap;
use forks::Effect;
use parked::{Parked, Waiting};
pub(crate) use reconcile::{AnswerRoom, Asker, Reconciler};
pub(crate) use sequence::Coming;
use sequence::{EvictedState, SequenceEvent};
pub(super) use shares::SHARE;
use shelf::Shelf;
pub(super) use stored::Below;
use window::Window;

use crate::model::{
    Capacity, Entry, EntryId, Instant, Limits, MAX_NUMBER, Marks, Name, NodeId, PublicKey, RunId, Unverified,
};

/// The log. It shows each entry at most once, and those of an author sequence in order, unless they are
/// marked as late.
///
/// The window tells new entries from known ones, by its floors; of what came before the start, the store does. State of
/// authors may be evicted at any time.
#[derive(Debug, Default)]
pub(crate) struct Log {
    window: Window,
    /// Empty without a store.
    shelf: Shelf,
    /// There is a store.
    stores: bool,
    authors: Authors,
    parked: Parked,
    /// Entries that were parked for so long that they are history, and that are held back now.
    waited: BTreeSet<EntryId>,
    events: VecDeque<LogEvent>,
    lost: LogLost,
    /// The latest date that was shown. This node's own entries do not count, since its clock may be wrong.
    shown_until: u64,
    /// The first catch-up is over: what comes of an author from now on counts from when it comes.
    caught_up: bool,
}

/// What the log did with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the window, shown or held back. Record it as seen, and relay it.
    New,
    /// It is dated ahead, and waits here until it is due. Do not record it as seen, and do not relay it.
    Parked,
    /// It is known.
    Known,
    /// It is of use to the store alone. Ask the store to keep it.
    Archived,
    /// It is of no use, now or later. Record it as seen, and do not relay it.
    Dropped,
    /// There is no room for it now, or it is dated too far ahead. Do not record it, so that it can be received again
    /// (the wall clock may be wrong), and do not relay it.
    Full,
    /// It is of use to the store alone, which has no room for it now. It is to be asked for again.
    NoRoom,
}

/// What follows from new entries and from time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEvent {
    /// Show this entry.
    Show { entry: Arc<Entry>, marks: Marks },
    /// This parked entry is due and in the window. Record it as seen, and relay it, though not to `from`.
    Due { entry: Arc<Entry>, from: NodeId },
    /// Entries of this run are missing, and are no longer waited for.
    Gap { run: RunId, uname: Name, missing: u64 },
    /// An entry dated `at` shows that the entries of this run before it are missing: those with these numbers, both
    /// included. Ask the sender of the last entry for them, or, for an entry that was parked, who sent that.
    Missing { run: RunId, first: u64, last: u64, at: u64, from: Option<NodeId> },
    /// Entries of this author had to make room and have it now. Reconcile with the sender of the last entry, or with any
    /// neighbour.
    Reconcile { key: PublicKey },
    /// This run turned out to be forked, or to be forked at a lower number than was known.
    Forked { run: RunId },
    /// This entry left the window, since its run is frozen below it, or since two other versions of its number have lower
    /// ids. It is not received again.
    Withdrawn { id: EntryId, run: RunId },
    /// An entry that waited had to make room. It can be received again, so it is no longer recorded as seen.
    Deferred { id: EntryId },
    /// This entry came before and was of no use. With one that is in the window now it proves a fork, so it is wanted after all.
    /// Ask the sender of the last entry for it, or, for an entry that was parked, who sent that.
    Proof { id: EntryId, from: Option<NodeId> },
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogSizes {
    /// Entries in the window.
    pub(crate) held: usize,
    /// What these entries are charged, in bytes.
    pub(crate) bytes: usize,
    /// Entries in the window that are held back.
    pub(crate) early: usize,
    /// What entries of new authors are charged, in bytes.
    pub(crate) new_bytes: usize,
    /// Entries dated ahead. They are outside the window.
    pub(crate) parked: usize,
    /// Authors whose sequences are known.
    pub(crate) authors: usize,
}

/// What was lost so far for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogLost {
    /// Entries evicted from the window.
    pub(crate) evicted: u64,
    /// Ids of evicted entries that are no longer remembered.
    pub(crate) ids: u64,
    /// Authors whose sequences are no longer known.
    pub(crate) authors: u64,
    /// Author sequences that are no longer known.
    pub(crate) epochs: u64,
    /// Gaps that are no longer known.
    pub(crate) gaps: u64,
    /// Floors of authors that are no longer known.
    pub(crate) floors: u64,
    /// Frozen runs that are no longer known to be frozen.
    pub(crate) forks: u64,
    /// Tips of runs that are no longer known.
    pub(crate) tips: u64,
    /// Missing numbers of runs below the window that were given up, in spans.
    pub(crate) spans: u64,
}

/// Entries.
impl Log {
    /// Takes an entry from a neighbour. Without wall-clock time, no date is ahead.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        from: NodeId,
        entry: Arc<Entry>,
        limits: &Limits,
    ) -> Taken {
        if self.contains(&entry.id()) {
            return Taken::Known;
        }
        let shows_fork = self.window.tips().passed_fork(&entry).is_some();
        if self.window.is_below_floor(&entry)
            || self.is_forgotten(&entry)
            || self.is_archival(&entry) && !shows_fork
        {
            // The store may have another version, which is of no use either.
            let known = self.is_shelved(&entry);
            self.window.dropped(&entry, limits);
            return if known { Taken::Known } else { Taken::Dropped };
        }
        if wall.is_some_and(|wall| entry.at() > wall.saturating_add(millis(limits.chat.ahead_most))) {
            return Taken::Full;
        }
        if wall.is_some_and(|wall| entry.at() > latest_date(wall, limits)) {
            let id = entry.id();
            let mut displaced = self.parked.insert(Waiting { entry, from, since: now }, limits);
            let taken = if displaced.remove(&id) { Taken::Full } else { Taken::Parked };
            self.events.extend(displaced.into_iter().map(|id| LogEvent::Deferred { id }));
            return taken;
        }
        self.admit((now, wall), entry, None, true, limits)
    }

    /// Takes an entry of this node, which is not shown.
    pub(crate) fn take_own(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        entry: Arc<Entry>,
        limits: &Limits,
    ) -> Taken {
        if self.contains(&entry.id()) {
            return Taken::Known;
        }
        self.admit((now, wall), entry, None, false, limits)
    }

    /// The next event, in order.
    pub(crate) fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// Whether the entry is in the window or parked.
    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        self.window.contains(id) || self.parked.contains(id)
    }

    /// Whether this node lacks the entry, and may want it.
    pub(crate) fn wants(&self, id: &EntryId) -> bool {
        !self.contains(id) && !self.window.was_evicted(id) && !self.window.tips().contains(id)
    }

    /// Whether this entry was evicted, or may have been.
    pub(crate) fn is_below_floor(&self, entry: &Entry) -> bool {
        self.window.is_below_floor(entry)
    }

    /// Whether an entry whose signature was not verified is of no use in the window: it was evicted, or may have been, or has
    /// been stored.
    pub(crate) fn is_past(&self, entry: &Unverified<'_>) -> bool {
        let Some(((run, seq), place)) = entry.place_in_run().zip(entry.place()) else { return false };
        let stored =
            self.stores && (seq < self.window.tips().base(run) || self.shelf.has_forgotten(run, place.at));
        stored || self.window.is_place_below_floor(place, entry.id())
    }

    /// The numbers directly before an entry that are missing here and wanted, both included.
    pub(crate) fn missing_before(&self, entry: &Entry, limits: &Limits) -> Option<(u64, u64)> {
        self.window.missing_before(entry, limits)
    }

    /// The first numbers of these that are missing here and wanted, both included.
    pub(crate) fn first_missing(
        &self,
        run: &RunId,
        (first, last): (u64, u64),
        limits: &Limits,
    ) -> Option<(u64, u64)> {
        if self.stores && last < self.window.tips().base(run) {
            return self.shelf.first_gap(run, first, last);
        }
        self.window.first_missing(run, first, last, limits)
    }

    /// The runs with holes before entries that are held: the first and the last number that is missing there and wanted. Nothing
    /// else tells of a hole after a start with a store, or once it had to make room among what is wanted. They begin with the
    /// run `from`, or where it would be, and the ones before it come last.
    pub(crate) fn holes(&self, from: Option<&RunId>, limits: &Limits) -> Vec<(RunId, u64, u64)> {
        self.window.holes(from, limits)
    }

    /// The entries of a run in the window with these numbers, in order. Parked entries are not served.
    pub(crate) fn of_run(&self, run: &RunId, first: u64, last: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.window.of_run(run, first..=last)
    }

    /// Whether an entry of this run with a higher number is in the window.
    pub(crate) fn has_after(&self, run: &RunId, number: u64) -> bool {
        self.window.last_number(run) > Some(number)
    }

    /// The first catch-up is over.
    pub(crate) fn catch_up_ended(&mut self) {
        self.caught_up = true;
    }

    /// Whether the author has entries in the window, and is no longer new.
    pub(crate) fn is_established(&self, author: &PublicKey) -> bool {
        self.window.is_established(author)
    }

    /// Whether anything of this author was held lately.
    pub(crate) fn knows(&self, author: &PublicKey) -> bool {
        self.window.knows(author)
    }

    /// Whether this entry, which is new, displaces others of its run, which is forked.
    pub(crate) fn displaces(&self, entry: &Arc<Entry>) -> bool {
        self.window.effect_of(entry).is_some_and(|effect| !effect.withdrawn.is_empty())
    }

    /// The entry, if it is in the window. Parked entries are not served.
    pub(crate) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.window.get(id)
    }

    /// When [`timeout`](Self::timeout) is due. It changes with the wall clock.
    pub(crate) fn deadline(&self, now: Instant, wall: Option<u64>, limits: &Limits) -> Option<Instant> {
        let release = self.authors.waiting_since().map(|since| since + limits.chat.hold_back);
        let due = self
            .parked
            .next_at()
            .zip(wall)
            .map(|(at, wall)| now + Duration::from_millis(at.saturating_sub(latest_date(wall, limits))));
        release.into_iter().chain(due).min()
    }

    /// Shows entries that were held back long enough, and takes parked entries that are due. `coming` tells what
    /// of a run is on its way.
    pub(crate) fn timeout(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        coming: impl Fn(&RunId) -> Option<Coming>,
        limits: &Limits,
    ) {
        let mut events = Vec::new();
        self.authors.release_overdue(now, coming, limits, &mut events);
        self.authors.bound_bytes(limits, &mut events);
        self.report(events, None, wall, limits);
        let Some(wall) = wall else { return };
        while let Some(Waiting { entry, from, since }) = self.parked.pop_due(latest_date(wall, limits)) {
            if now.since(since) > limits.chat.waited {
                self.waited.insert(entry.id());
            }
            let taken = self.admit((now, Some(wall)), entry.clone(), Some(from), true, limits);
            if !self.authors.is_held_back(&entry) {
                self.waited.remove(&entry.id());
            }
            if taken == Taken::New {
                self.events.push_back(LogEvent::Due { entry, from });
            }
        }
    }

    /// Takes an entry that is due and new. `from`: who sent it, if it was parked.
    fn admit(
        &mut self,
        (now, wall): (Instant, Option<u64>),
        entry: Arc<Entry>,
        from: Option<NodeId>,
        show: bool,
        limits: &Limits,
    ) -> Taken {
        let (key, id) = (entry.key(), entry.id());
        let passed = self.window.tips().passed_fork(&entry).filter(|_| self.is_below_window(&entry));
        let effect = self.window.effect_of(&entry).filter(|_| !self.window.is_below_floor(&entry));
        let Some(effect) = effect else {
            self.window.dropped(&entry, limits);
            return Taken::Dropped;
        };
        if !self.window.make_room_for(&key, wall, limits) {
            return Taken::Full;
        }
        let hidden = Some(id).filter(|_| !show);
        let missing = self.window.missing_before(&entry, limits).filter(|_| show);
        if let Some((first, last)) = missing {
            let (run, at) = (entry.run().clone(), entry.at());
            self.events.push_back(LogEvent::Missing { run, first, last, at, from });
        }
        let mut events = Vec::new();
        self.authors.take(now, (&entry, &effect), (&self.window, &self.shelf), limits, &mut events);
        self.authors.bound_bytes(limits, &mut events);
        self.freeze(entry.run(), &effect, limits, &mut events);
        if !show {
            self.authors.release(&entry, limits, &mut events);
        }
        let frozen = effect.fork.is_some().then(|| entry.run().clone());
        self.window.insert(entry, self.caught_up.then_some(now), limits);
        if let Some(run) = frozen {
            self.window.end_with_proof(&run, limits);
            self.end_shelf_with_proof(&run);
        }
        let mut taken = Taken::New;
        for displaced in self.authors.bound_early(key, limits, &mut events) {
            // What proves a fork with it counts for nothing alone.
            let proof = self.window.proof_behind(&displaced).cloned();
            for gone in [displaced].into_iter().chain(proof) {
                self.waited.remove(&gone.id());
                self.window.remove(&gone, limits);
                self.unshelve_absent(&gone, limits);
                if gone.id() == id {
                    taken = Taken::Full;
                } else {
                    self.events.push_back(LogEvent::Deferred { id: gone.id() });
                }
            }
        }
        if let Some(id) = passed.filter(|_| taken == Taken::New) {
            self.window.want_again(&id);
            self.events.push_back(LogEvent::Proof { id, from });
        }
        self.evict(hidden, events, wall, limits);
        taken
    }

    /// Withdraws from the window what a fork leaves no place for.
    fn freeze(&mut self, run: &RunId, effect: &Effect, limits: &Limits, events: &mut Vec<SequenceEvent>) {
        let Some(seq) = effect.fork else { return };
        if self.window.frozen_at(run).is_none_or(|before| seq < before) {
            self.events.push_back(LogEvent::Forked { run: run.clone() });
        }
        if effect.missing {
            events.push(SequenceEvent::Reconcile(run.key));
        }
        effect.withdrawn.iter().for_each(|entry| self.withdraw(entry, limits));
        // What proves the fork stays in the window, and is not held back any more.
        let Self { waited, window, authors, .. } = self;
        for entry in window.of_run(run, seq..=MAX_NUMBER).filter(|entry| !authors.is_held_back(entry)) {
            waited.remove(&entry.id());
        }
    }

    /// Reports these events, and evicts entries until the window is within its limits.
    fn evict(
        &mut self,
        hidden: Option<EntryId>,
        mut events: Vec<SequenceEvent>,
        wall: Option<u64>,
        limits: &Limits,
    ) {
        while let Some(entry) = self.window.over_limit(limits).cloned() {
            self.authors.release(&entry, limits, &mut events);
            self.report(core::mem::take(&mut events), hidden, wall, limits);
            self.lost.forks += self.window.evict(&entry, limits);
            self.lost.evicted += 1;
        }
        self.report(events, hidden, wall, limits);
    }

    /// Turns the events of author sequences into events of the log. The entry `hidden` is not shown. A date that is ahead of
    /// the wall clock moves nothing.
    fn report(
        &mut self,
        events: Vec<SequenceEvent>,
        hidden: Option<EntryId>,
        wall: Option<u64>,
        limits: &Limits,
    ) {
        for event in events {
            self.events.push_back(match event {
                SequenceEvent::Show { entry, .. } if hidden == Some(entry.id()) => continue,
                SequenceEvent::Show { entry, late, forked } => {
                    let backdated = self.window.is_backdated(&entry);
                    let behind = entry.at().saturating_add(millis(limits.chat.ahead)) < self.shown_until;
                    self.shown_until = self.shown_until.max(entry.at().min(wall.unwrap_or(u64::MAX)));
                    let history = self.waited.remove(&entry.id());
                    let marks = Marks { late, forked, backdated, behind, history, ..Marks::default() };
                    LogEvent::Show { entry, marks }
                }
                SequenceEvent::Gap { entry, from, to } => LogEvent::Gap {
                    run: entry.run().clone(),
                    uname: entry.uname().clone(),
                    missing: to - from,
                },
                SequenceEvent::Reconcile(key) => LogEvent::Reconcile { key },
                SequenceEvent::Evicted(what) => {
                    *match what {
                        EvictedState::Author => &mut self.lost.authors,
                        EvictedState::Epoch => &mut self.lost.epochs,
                        EvictedState::Gap => &mut self.lost.gaps,
                    } += 1;
                    continue;
                }
            });
        }
    }
}

/// Views.
impl Log {
    /// The window, in the order of the conversation, including what is held back.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.window.iter()
    }

    /// What was lost so far.
    pub(crate) fn lost(&self) -> LogLost {
        let tips = self.window.tips().forgotten();
        LogLost {
            floors: self.window.floors_forgotten(),
            ids: self.window.ids_forgotten(),
            tips,
            spans: self.shelf.joined(),
            ..self.lost
        }
    }

    /// How much is stored.
    pub(crate) fn sizes(&self) -> LogSizes {
        LogSizes {
            held: self.window.len(),
            bytes: self.window.bytes(),
            early: self.authors.early(),
            new_bytes: self.window.new_bytes(),
            parked: self.parked.len(),
            authors: self.authors.len(),
        }
    }

    /// How full each bounded collection is.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 16] {
        let LogSizes { held, bytes, early, authors, .. } = self.sizes();
        [
            (Capacity::LogEntries, held),
            (Capacity::LogBytes, bytes),
            (Capacity::Evicted, self.window.evicted()),
            (Capacity::Floors, self.window.authors()),
            (Capacity::Forks, self.window.frozen()),
            (Capacity::TipsBytes, self.window.tips().bytes()),
            (Capacity::TipsPerAuthor, self.window.tips().most_unheld()),
            (Capacity::Spans, self.shelf.spans()),
            (Capacity::Early, early),
            (Capacity::EarlyPerAuthor, self.authors.most_early()),
            (Capacity::Parked, self.parked.bytes()),
            (Capacity::Authors, authors),
            (Capacity::AuthorsBytes, self.authors.bytes()),
            (Capacity::LanesPerAuthor, self.authors.most_lanes()),
            (Capacity::EpochsPerAuthor, self.authors.most_epochs()),
            (Capacity::GapsPerEpoch, self.authors.most_gaps()),
        ]
    }

    /// The gaps that were reported and are still open.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.authors.gaps()
    }

    /// Whether all indexes match what they index. Slow.
    pub(crate) fn is_consistent(&self) -> bool {
        self.window.is_consistent()
            && self.parked.is_consistent()
            && self.shelf.is_consistent()
            && self.authors.is_consistent(&self.window)
            && self.window.iter().all(|entry| !self.parked.contains(&entry.id()))
            && self.waited.iter().all(|id| self.get(id).is_some_and(|entry| self.authors.is_held_back(entry)))
    }
}

/// The latest date that an entry may have now.
fn latest_date(wall: u64, limits: &Limits) -> u64 {
    wall.saturating_add(millis(limits.chat.ahead))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
