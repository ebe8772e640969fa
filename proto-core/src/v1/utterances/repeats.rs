//! The utterances of one speaker with one text, and the search for the one that a report is of.
//!
//! Where the clocks of nodes agree, the search looks at a few utterances, however many there are. Each look costs a
//! search in a tree. In the worst case it looks at each utterance that arrived too long ago to match by its arrival.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::ops::RangeInclusive;

use arrayvec::ArrayVec;

use super::{Source, When};
use crate::model::{Instant, Limits};

/// The most sources that are kept of an utterance. A report by yet another source is taken for this utterance.
const MAX_SOURCES: usize = 8;

/// The utterances of one speaker with one text.
///
/// Each has an ordinal: they count up from the first utterance ever, and are contiguous, because the oldest is
/// forgotten first.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The oldest first.
    utterances: VecDeque<Utterance>,
    /// The ordinal of the oldest.
    first: u64,
    /// The ordinals that each source has reported, as runs that do not touch: from the start of each to its end, which
    /// is not part of it. An index of `utterances`.
    reported: BTreeMap<(Source, u64), u64>,
    /// The utterances from this ordinal on arrived lately. What is reported now may be one of them, whatever the clocks
    /// say.
    recent: u64,
    /// The utterances before `recent`, by the time when they were said and by ordinal: an index of `utterances`.
    aged: BTreeSet<(u64, u64)>,
    /// Utterances that searches have looked at.
    #[cfg(test)]
    pub(super) steps: core::cell::Cell<usize>,
}

#[derive(Debug)]
struct Utterance {
    number: u64,
    /// The first report.
    when: When,
    /// Who reported it, the first [`MAX_SOURCES`] of them.
    sources: ArrayVec<Source, MAX_SOURCES>,
    /// When it is to be brought in.
    due: Option<Instant>,
}

impl Repeats {
    /// The number of the utterance that a report is of: the oldest that this source has not reported yet, and that
    /// arrived, or was said, at most [`match_window`](crate::model::V1Limits::match_window) before or after.
    pub(super) fn first_match(&mut self, source: Source, when: When, limits: &Limits) -> Option<u64> {
        self.age(when.now, limits);
        let window = u64::try_from(limits.v1.match_window.as_millis()).unwrap_or(u64::MAX);
        let said = when.at.saturating_sub(window)..=when.at.saturating_add(window);
        let ordinal =
            self.first_aged_match(source, said).or_else(|| self.next_unreported(source, self.recent))?;
        self.get(ordinal).map(|utterance| utterance.number)
    }

    /// Adds a new utterance. Numbers grow.
    pub(super) fn push(&mut self, number: u64, source: Source, when: When) {
        debug_assert!(self.utterances.back().is_none_or(|last| last.when.now <= when.now));
        let ordinal = self.end();
        let sources = [source].into_iter().collect();
        self.utterances.push_back(Utterance { number, when, sources, due: None });
        self.add_reported(source, ordinal);
    }

    /// Another source reports an utterance that [`first_match`](Self::first_match) has found.
    pub(super) fn report(&mut self, number: u64, source: Source) {
        let Some(index) = self.index(number) else { return };
        if self.utterances[index].sources.try_push(source).is_ok() {
            self.add_reported(source, self.first + index as u64);
        }
    }

    pub(super) fn due_mut(&mut self, number: u64) -> Option<&mut Option<Instant>> {
        let index = self.index(number)?;
        self.utterances.get_mut(index).map(|utterance| &mut utterance.due)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.utterances.is_empty()
    }

    /// The number of each, and when it is to be brought in.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Option<Instant>)> {
        self.utterances.iter().map(|utterance| (utterance.number, utterance.due))
    }

    /// The number of the oldest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.utterances.front().map(|utterance| utterance.number)
    }

    /// Forgets the oldest.
    pub(super) fn pop_oldest(&mut self) {
        let Some(oldest) = self.utterances.pop_front() else { return };
        let ordinal = self.first;
        self.first += 1;
        self.recent = self.recent.max(self.first);
        self.aged.remove(&(oldest.when.at, ordinal));
        for source in oldest.sources {
            // It is the start of the source's first run.
            if let Some(end) = self.reported.remove(&(source, ordinal))
                && end > self.first
            {
                self.reported.insert((source, self.first), end);
            }
        }
    }

    /// Compares the indexes with what they are indexes of.
    pub(super) fn is_consistent(&self) -> bool {
        let all = || (self.first..).zip(&self.utterances);
        let of = |ordinal, utterance: &Utterance| {
            utterance.sources.iter().map(move |source| (*source, ordinal)).collect::<BTreeSet<_>>()
        };
        let expected: BTreeSet<_> = all().flat_map(|(ordinal, utterance)| of(ordinal, utterance)).collect();
        let run = |((source, start), end): (&(Source, u64), &u64)| {
            let source = *source;
            (*start..*end).map(move |ordinal| (source, ordinal))
        };
        let apart =
            |((source, _), end): (&(Source, u64), &u64)| !self.reported.contains_key(&(*source, *end));
        let aged = all().take_while(|(ordinal, _)| *ordinal < self.recent);
        self.reported.iter().flat_map(run).collect::<BTreeSet<_>>() == expected
            && self.reported.iter().all(apart)
            && aged.map(|(ordinal, utterance)| (utterance.when.at, ordinal)).collect::<BTreeSet<_>>()
                == self.aged
            && (self.first..=self.end()).contains(&self.recent)
    }

    /// The utterances that arrived too long ago no longer match by their arrival.
    fn age(&mut self, now: Instant, limits: &Limits) {
        while let Some(utterance) = self.get(self.recent)
            && now.since(utterance.when.now) > limits.v1.match_window
        {
            self.aged.insert((utterance.when.at, self.recent));
            self.recent += 1;
        }
    }

    /// The oldest of the aged utterances that this source has not reported and that was said within this time.
    ///
    /// Two searches take turns, and the first to end decides: one goes through what the source has not reported, the
    /// other through what was said in time. So neither many equal words nor many reports by others make it slow.
    fn first_aged_match(&self, source: Source, said: RangeInclusive<u64>) -> Option<u64> {
        let mut in_time = self.aged.range((*said.start(), 0)..=(*said.end(), u64::MAX));
        let mut oldest = None;
        let mut next = self.first;
        loop {
            #[cfg(test)]
            self.steps.set(self.steps.get() + 1);
            let unreported = self.next_unreported(source, next).filter(|ordinal| *ordinal < self.recent)?;
            if said.contains(&self.get(unreported)?.when.at) {
                return Some(unreported);
            }
            next = unreported + 1;
            let Some((_, ordinal)) = in_time.next() else { return oldest };
            if !self.get(*ordinal)?.sources.contains(&source) {
                oldest = Some(oldest.map_or(*ordinal, |oldest: u64| oldest.min(*ordinal)));
            }
        }
    }

    /// The first ordinal from `from` on that this source has not reported.
    fn next_unreported(&self, source: Source, from: u64) -> Option<u64> {
        let run = self.reported.range((source, 0)..=(source, from)).next_back();
        let next = run.map_or(from, |(_, end)| from.max(*end));
        (next < self.end()).then_some(next)
    }

    fn add_reported(&mut self, source: Source, ordinal: u64) {
        let end = self.reported.remove(&(source, ordinal + 1)).unwrap_or(ordinal + 1);
        let before = self.reported.range_mut((source, 0)..(source, ordinal)).next_back();
        match before.filter(|(_, before_end)| **before_end == ordinal) {
            Some((_, before_end)) => *before_end = end,
            None => {
                self.reported.insert((source, ordinal), end);
            }
        }
    }

    /// The ordinal of the next utterance.
    fn end(&self) -> u64 {
        self.first + self.utterances.len() as u64
    }

    fn get(&self, ordinal: u64) -> Option<&Utterance> {
        self.utterances.get(usize::try_from(ordinal.checked_sub(self.first)?).ok()?)
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.utterances.binary_search_by_key(&number, |utterance| utterance.number).ok()
    }
}
