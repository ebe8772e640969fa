//! The shelf: what the store has of each run, by numbers (SPEC section 23).
//!
//! A number is held when the store was asked to keep an entry with it, and has not failed since. So what is on the shelf is
//! neither missing nor new.

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::model::{KeptRun, Limits, MAX_NUMBER, RunId};

/// What the store has. Without a store, it is empty.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    runs: BTreeMap<RunId, Shelved>,
    /// The runs in the order in which they keep their spans. An index of `runs`.
    by_spans: BTreeSet<Rank>,
    /// The number of spans. A cache over `runs`.
    spans: usize,
    /// How many entries of each run are not committed.
    uncommitted: BTreeMap<RunId, usize>,
    /// Rises whenever a run comes to have uncommitted entries, or none.
    generation: u64,
    /// How often missing numbers of a run, or what is remembered of it, were given up for want of room.
    joined: u64,
    /// The store may have entries of runs that are not [restored](Shelved::restored), dated no later than this.
    forgotten_until: Option<u64>,
    /// The latest date of what the store had at the start.
    had_dates_until: u64,
}

/// Whether a run holds nothing, how many spans it counts for, the date of its newest entry, and the run. The last ones make room:
/// those that hold nothing, then those with most spans; of those with as many, the oldest.
type Rank = (bool, usize, Reverse<u64>, RunId);

/// What the store has of one run.
#[derive(Debug, Default)]
struct Shelved {
    /// Spans of numbers, both ends included, which are apart.
    held: BTreeMap<u64, u64>,
    /// What is below is expired.
    floor: u64,
    /// Between these numbers, both included, some are missing and count as held, for want of room.
    doubtful: Option<(u64, u64)>,
    /// The date of its newest entry, as far as that is known.
    latest: u64,
    /// All is known that the store had of it at the start.
    restored: bool,
    /// The spans of numbers that the store had at the start, in order, both ends included: as many as there was room for, so
    /// some that it did not have count as had.
    had: Vec<(u64, u64)>,
}

impl Shelved {
    /// The span that contains this number.
    fn span(&self, seq: u64) -> Option<(u64, u64)> {
        let (first, last) = self.held.range(..=seq).next_back()?;
        (*last >= seq).then_some((*first, *last))
    }

    /// Adds a span, and joins it with those that it touches.
    fn add(&mut self, (mut first, mut last): (u64, u64)) {
        while let Some((from, to)) = self.held.range(..=last.saturating_add(1)).next_back()
            && to.saturating_add(1) >= first
        {
            let (from, to) = (*from, *to);
            (first, last) = (first.min(from), last.max(to));
            self.held.remove(&from);
        }
        self.held.insert(first, last);
    }

    /// Takes out these numbers, both included.
    fn remove_all(&mut self, first: u64, last: u64) {
        while let Some((from, to)) = self.held.range(..=last).next_back().map(|(from, to)| (*from, *to))
            && to >= first
        {
            self.held.remove(&from);
            if to > last {
                self.held.insert(last + 1, to);
            }
            if from < first {
                self.held.insert(from, first - 1);
            }
        }
    }

    /// Its two lowest spans become one, as if what is between them was held.
    fn join_lowest(&mut self) {
        let ends = self.held.first_key_value().zip(self.held.iter().nth(1));
        if let Some(((first, end), (next, last))) = ends {
            let (lowest, highest) = self.doubtful.unwrap_or((u64::MAX, 0));
            self.doubtful = Some((lowest.min(end + 1), highest.max(next - 1)));
            self.add((*first, *last));
        }
    }

    /// Removes all above a number.
    fn end_at(&mut self, last: u64) {
        self.held.split_off(&last.saturating_add(1));
        if let Some(mut span) = self.held.last_entry() {
            *span.get_mut() = last.min(*span.get());
        }
    }

    /// Whether there is something to remember of it where nothing is held.
    fn is_of_use(&self) -> bool {
        self.floor > 0 || !self.had.is_empty()
    }

    /// Its place among the runs. What is remembered of a run that holds nothing counts as one span. None: it is nothing.
    fn rank(&self, run: &RunId) -> Option<Rank> {
        let empty = self.held.is_empty();
        (!empty || self.is_of_use())
            .then(|| (empty, self.held.len().max(1), Reverse(self.latest), run.clone()))
    }
}

impl Shelf {
    /// What the store has of a run, by its own word.
    pub(super) fn restore(&mut self, kept: &KeptRun, limits: &Limits) {
        let spans = kept.held.iter().filter(|(first, last)| first <= last && *last <= MAX_NUMBER);
        self.change(&kept.run, |shelved| {
            shelved.floor = kept.floor;
            shelved.latest = kept.versions.iter().map(|(at, _)| *at).max().unwrap_or(0);
            shelved.restored = true;
            spans.for_each(|span| shelved.add(*span));
        });
        self.bound(limits);
    }

    /// All of the store is restored. `latest`: the latest date of what it has.
    pub(super) fn begin_with(&mut self, latest: u64) {
        self.had_dates_until = latest;
        for shelved in self.runs.values_mut() {
            shelved.had = shelved.held.iter().map(|(first, last)| (*first, *last)).collect();
        }
    }

    /// The store has runs that are not restored. This is the date of their newest entry.
    pub(super) fn forget_until(&mut self, at: u64) {
        self.forgotten_until = self.forgotten_until.max(Some(at));
    }

    /// Whether the store may have had an entry with this date at the start, of a run of which it is not known what it had.
    pub(super) fn has_forgotten(&self, run: &RunId, at: u64) -> bool {
        self.forgotten_until.is_some_and(|until| at <= until)
            && self.runs.get(run).is_none_or(|shelved| !shelved.restored)
    }

    /// The store is asked to keep an entry with this number and this date.
    pub(super) fn put(&mut self, run: &RunId, (seq, at): (u64, u64), limits: &Limits) {
        self.change(run, |shelved| {
            shelved.add((seq, seq));
            shelved.latest = shelved.latest.max(at);
        });
        self.bound(limits);
    }

    /// Nothing above this number of a run is of use, since it is forked.
    pub(super) fn end_at(&mut self, run: &RunId, last: u64) {
        if self.last_number(run).is_some_and(|highest| highest > last) {
            self.change(run, |shelved| shelved.end_at(last));
        }
    }

    /// The store does not have it after all.
    pub(super) fn take_back(&mut self, run: &RunId, seq: u64, limits: &Limits) {
        if self.holds(run, seq) {
            self.change(run, |shelved| shelved.remove_all(seq, seq));
            self.bound(limits);
        }
    }

    /// The store has nothing any more. What is expired stays so.
    pub(super) fn empty(&mut self) {
        for shelved in self.runs.values_mut() {
            shelved.held.clear();
            shelved.doubtful = None;
        }
        self.runs.retain(|_, shelved| shelved.is_of_use());
        self.by_spans = self.runs.iter().filter_map(|(run, shelved)| shelved.rank(run)).collect();
        self.spans = self.runs.len();
    }

    /// The store has none of these numbers any more, both included.
    pub(super) fn lose(&mut self, run: &RunId, (first, last): (u64, u64), limits: &Limits) {
        if self.first_held(run, first, last).is_some() {
            self.change(run, |shelved| shelved.remove_all(first, last));
            self.bound(limits);
        }
    }

    /// What is below this number is expired from now on.
    pub(super) fn expire(&mut self, run: &RunId, floor: u64) {
        if self.runs.get(run).is_some_and(|shelved| shelved.floor < floor) {
            self.change(run, |shelved| {
                shelved.floor = floor;
                shelved.remove_all(0, floor - 1);
                let doubtful = shelved.doubtful.map(|(lowest, highest)| (lowest.max(floor), highest));
                shelved.doubtful = doubtful.filter(|(lowest, highest)| lowest <= highest);
            });
        }
    }

    pub(super) fn holds(&self, run: &RunId, seq: u64) -> bool {
        self.runs.get(run).is_some_and(|shelved| shelved.span(seq).is_some())
    }

    /// Whether the store may have had this entry at the start: it had one with this number, and has it still.
    pub(super) fn may_have_had(&self, run: &RunId, (seq, at): (u64, u64)) -> bool {
        let had = self.runs.get(run).is_some_and(|shelved| {
            let below = shelved.had.partition_point(|(first, _)| *first <= seq);
            below
                .checked_sub(1)
                .and_then(|index| shelved.had.get(index))
                .is_some_and(|(_, last)| seq <= *last)
        });
        had && at <= self.had_dates_until && self.holds(run, seq)
    }

    /// The spans of a run that begin below a number, both ends included.
    pub(super) fn spans_below(&self, run: &RunId, base: u64) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let held = self.runs.get(run).into_iter().flat_map(move |shelved| shelved.held.range(..base));
        held.map(|(first, last)| (*first, *last))
    }

    /// The spans of a run from a number on, without numbers that may be missing and count as held, for want of room. The first one
    /// may begin below that number.
    pub(super) fn sure_spans_from(
        &self,
        run: &RunId,
        base: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let shelved = self.runs.get(run);
        let doubtful = shelved.and_then(|shelved| shelved.doubtful);
        let from = shelved.and_then(|shelved| shelved.span(base)).map_or(base, |(first, _)| first);
        let parts = move |(first, last): (u64, u64)| match doubtful {
            Some((lowest, highest)) => {
                [(first, last.min(lowest.saturating_sub(1))), (first.max(highest.saturating_add(1)), last)]
            }
            None => [(first, last), (u64::MAX, 0)],
        };
        let held = shelved.into_iter().flat_map(move |shelved| shelved.held.range(from..));
        held.map(|(first, last)| (*first, *last)).flat_map(parts).filter(|(first, last)| first <= last)
    }

    /// The highest number of a run.
    pub(super) fn last_number(&self, run: &RunId) -> Option<u64> {
        self.runs.get(run)?.held.last_key_value().map(|(_, last)| *last)
    }

    /// A number of a run below `seq` that is held, such that none is held between the two but those from `least` on.
    pub(super) fn last_below(&self, run: &RunId, seq: u64, least: u64) -> Option<u64> {
        let shelved = self.runs.get(run)?;
        let (first, _) = shelved.span(seq)?;
        if first < seq {
            // The lowest one of the span, or the first one below `least`.
            return Some(first.max(least.saturating_sub(1)).min(seq - 1));
        }
        shelved.held.range(..first).next_back().map(|(_, last)| *last)
    }

    /// The lowest numbers from one on up to another that are held, both included.
    pub(super) fn first_held(&self, run: &RunId, first: u64, last: u64) -> Option<(u64, u64)> {
        let shelved = self.runs.get(run)?;
        let next = || shelved.held.range(first..=last).next().map(|(from, to)| (*from, *to));
        let (from, to) = shelved.span(first).or_else(next)?;
        Some((from.max(first), to.min(last)))
    }

    /// The lowest numbers of these that are neither held nor expired, both included.
    pub(super) fn first_gap(&self, run: &RunId, first: u64, last: u64) -> Option<(u64, u64)> {
        let Some(shelved) = self.runs.get(run) else { return (first <= last).then_some((first, last)) };
        let first = first.max(shelved.floor);
        let first = shelved.span(first).map_or(first, |(_, held)| held.saturating_add(1));
        if first > last {
            return None;
        }
        let end = shelved.held.range(first..=last).next().map_or(last, |(from, _)| from - 1);
        Some((first, end))
    }

    /// The highest numbers below one that are neither held nor expired, both included.
    pub(super) fn last_gap(&self, run: &RunId, below: u64) -> Option<(u64, u64)> {
        let last = below.checked_sub(1)?;
        let Some(shelved) = self.runs.get(run) else { return Some((0, last)) };
        let last = match shelved.span(last) {
            Some((held, _)) => held.checked_sub(1)?,
            None => last,
        };
        let first = shelved.held.range(..=last).next_back().map_or(0, |(_, held)| held + 1);
        let first = first.max(shelved.floor);
        (first <= last).then_some((first, last))
    }

    /// How many numbers below one are neither held nor expired. It walks the spans between.
    pub(super) fn missing(&self, run: &RunId, below: u64) -> u64 {
        let Some(shelved) = self.runs.get(run) else { return below };
        let first = shelved.floor.min(below);
        let from = shelved.span(first).map_or(first, |(from, _)| from);
        let held = shelved.held.range(from..below);
        let held = held.map(|(from, to)| to.saturating_add(1).min(below) - first.max(*from)).sum::<u64>();
        below - first - held
    }

    /// The number of spans: all that peers can make grow here.
    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    /// How often missing numbers were given up for want of room.
    pub(super) fn joined(&self) -> u64 {
        self.joined
    }

    /// An entry of a run is to be kept.
    pub(super) fn awaits(&mut self, run: &RunId) {
        let uncommitted = self.uncommitted.entry(run.clone()).or_default();
        *uncommitted += 1;
        self.generation += u64::from(*uncommitted == 1);
    }

    /// An entry of a run is committed, or will not be.
    pub(super) fn settled(&mut self, run: &RunId) {
        if let Some(uncommitted) = self.uncommitted.get_mut(run) {
            *uncommitted -= 1;
            if *uncommitted == 0 {
                self.uncommitted.remove(run);
                self.generation += 1;
            }
        }
    }

    /// Whether all of a run that this node knows is committed, as far as it is to be.
    pub(super) fn is_settled(&self, run: &RunId) -> bool {
        self.uncommitted.is_empty() || !self.uncommitted.contains_key(run)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes what is held of a run, and updates the index.
    fn change(&mut self, run: &RunId, change: impl FnOnce(&mut Shelved)) {
        let shelved = self.runs.entry(run.clone()).or_default();
        let before = shelved.rank(run);
        change(shelved);
        let after = shelved.rank(run);
        if after.is_none() {
            self.runs.remove(run);
        }
        if before != after {
            let spans = |rank: &Option<Rank>| rank.as_ref().map_or(0, |(_, spans, ..)| *spans);
            self.spans = self.spans + spans(&after) - spans(&before);
            before.into_iter().for_each(|before| _ = self.by_spans.remove(&before));
            self.by_spans.extend(after);
        }
    }

    /// Where there are too many spans, runs that hold nothing are forgotten. Then the run with most spans gives up its lowest
    /// missing numbers, as if they were held: one in sixteen at a time, so that a start with many takes a moment. So whoever leaves
    /// out every other number loses its own.
    fn bound(&mut self, limits: &Limits) {
        while let Some(over) = self.spans.checked_sub(limits.chat.spans).filter(|over| *over > 0)
            && let Some((_, most, Reverse(latest), run)) = self.by_spans.last().cloned()
        {
            let joined = over.min(most / 16).max(1);
            if most > 1 {
                self.change(&run, |shelved| (0..joined).for_each(|_| shelved.join_lowest()));
            } else {
                // It holds nothing, or there are more runs than there is room for: it is not known any more.
                let mut was_restored = false;
                self.change(&run, |shelved| was_restored = core::mem::take(shelved).restored);
                if was_restored {
                    self.forget_until(latest);
                }
            }
            self.joined += joined as u64;
        }
    }

    pub(super) fn is_consistent(&self) -> bool {
        let apart = |shelved: &Shelved| {
            let spans = || shelved.held.iter();
            spans().all(|(first, last)| first <= last)
                && spans().zip(spans().skip(1)).all(|((_, last), (first, _))| last + 1 < *first)
        };
        self.runs.values().all(apart)
            && self.by_spans == self.runs.iter().filter_map(|(run, shelved)| shelved.rank(run)).collect()
            && self.by_spans.len() == self.runs.len()
            && self.spans == self.by_spans.iter().map(|(_, spans, ..)| spans).sum::<usize>()
            && self.uncommitted.values().all(|uncommitted| *uncommitted > 0)
    }
}
