//! Which waiting runs each neighbour may be asked for.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use super::{Place, Want};
use crate::model::{Instant, NodeId, RunId};

/// A neighbour, and whether it is about what is wanted for the store alone.
pub(super) type Group = (NodeId, bool);

/// Waiting runs, so that few have to be looked at.
#[derive(Debug, Default)]
pub(super) struct Askable {
    /// Those that do not rest, by who may hold them. None of the groups is empty.
    groups: BTreeMap<Group, BTreeSet<Place>>,
    /// Those that rest, by when they are ready. `true`: those that are wanted for the store alone.
    resting: BTreeMap<bool, BTreeSet<(Instant, Arc<RunId>)>>,
}

impl Askable {
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Group, &BTreeSet<Place>)> {
        self.groups.iter()
    }

    /// The runs of a group, in order.
    pub(super) fn group(&self, group: &Group) -> impl Iterator<Item = &Place> {
        self.groups.get(group).into_iter().flatten()
    }

    /// A run that is ready, and still counts as resting.
    pub(super) fn next_ready(&self, now: Instant) -> Option<Arc<RunId>> {
        let firsts = self.resting.values().filter_map(BTreeSet::first);
        firsts.filter(|(ready, _)| *ready <= now).map(|(_, run)| run.clone()).next()
    }

    /// When the next one is ready. `low_held`: nothing is asked for the store alone.
    pub(super) fn ready_at(&self, low_held: bool) -> Option<Instant> {
        let asked = self.resting.iter().filter(|(low, _)| !(**low && low_held));
        asked.filter_map(|(_, runs)| runs.first()).map(|(ready, _)| *ready).min()
    }

    /// Who may hold a run that does not rest, and its place, have changed.
    pub(super) fn moved(&mut self, before: &[(NodeId, Place)], after: &[(NodeId, Place)]) {
        for (peer, place) in before.iter().filter(|it| !after.contains(it)) {
            let group = (*peer, place.0.0);
            let Some(places) = self.groups.get_mut(&group) else { continue };
            places.remove(place);
            if places.is_empty() {
                self.groups.remove(&group);
            }
        }
        for (peer, place) in after.iter().filter(|it| !before.contains(it)) {
            self.groups.entry((*peer, place.0.0)).or_default().insert(place.clone());
        }
    }

    pub(super) fn rests(&mut self, want: &Want) {
        self.resting.entry(want.low).or_default().insert((want.ready, want.run.clone()));
    }

    pub(super) fn rests_no_more(&mut self, want: &Want) {
        if let Some(runs) = self.resting.get_mut(&want.low) {
            runs.remove(&(want.ready, want.run.clone()));
        }
    }

    /// Whether it is the index of these.
    pub(super) fn is_of<'a>(&self, wants: impl Iterator<Item = &'a Want>) -> bool {
        let mut expected = Self { groups: BTreeMap::new(), resting: self.resting.clone() };
        expected.resting.values_mut().for_each(BTreeSet::clear);
        for want in wants {
            expected.moved(&[], &want.askable());
            if want.rests {
                expected.rests(want);
            }
        }
        self.groups == expected.groups && self.resting == expected.resting
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::{Missing, Ranges};
    use super::*;
    use crate::chat::log::testing::TestAuthor;
    use crate::chat::testing::{at, peer};
    use crate::model::Limits;
    use crate::wire::{RangeEnd, RangeQuery};

    /// Ranges to which things happen by chance.
    struct Chance {
        ranges: Ranges,
        limits: Limits,
        state: u64,
        now: u64,
        asked: Vec<(NodeId, RangeQuery)>,
        runs: Vec<RunId>,
    }

    impl Chance {
        fn below(&mut self, most: u64) -> u64 {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.state >> 33) % most
        }

        fn peer(&mut self) -> NodeId {
            peer(1 + self.below(5) as u8)
        }

        fn step(&mut self) {
            self.now += self.below(4) * self.below(400);
            let (now, from, what) = (at(self.now), self.peer(), self.below(12));
            let index = self.below(self.runs.len() as u64) as usize;
            let run = self.runs[index].clone();
            let (first, last) = (self.below(9), 20 + self.below(700));
            match what {
                0..=2 => {
                    let missing = Missing { run, first, last, at: last / 100, tip: None };
                    let ready = at(self.now + self.below(2) * 3_000);
                    self.ranges.want((from, true), missing, (now, ready), &self.limits);
                }
                3..=6 => self.answer(),
                7 => {
                    let holders = [from, self.peer()].into_iter();
                    self.ranges.want_low(now, &run, (first, last), 7, holders, &self.limits);
                }
                8 => self.ranges.hold_low(last % 3 == 0),
                9 => self.ranges.compared(now, from, &self.limits),
                10 if last % 4 == 0 => self.ranges.unlinked(now, from, |_, _| false),
                _ => _ = self.ranges.expire(now, &self.limits, |_| None),
            }
            self.ranges.expire_alone(now, &self.limits, |_, numbers| Some(numbers));
            assert!(self.ranges.is_consistent(|_| true));
        }

        /// Some neighbour ends an answer.
        fn answer(&mut self) {
            if self.asked.is_empty() {
                return;
            }
            let index = self.below(self.asked.len() as u64) as usize;
            let (from, RangeQuery { run, first, last, tag }) = self.asked.swap_remove(index);
            let next = [first, first + 1, last, last + 1][self.below(4) as usize];
            if next > first && self.below(2) == 0 {
                self.ranges.came(at(self.now), from, (&run, first), 400);
            }
            if self.below(3) == 0 {
                self.ranges.untimely(from, &run, first);
            }
            self.ranges.ended(at(self.now), from, RangeEnd::new(tag, next).unwrap(), &self.limits);
        }

        /// Asks for all that can be asked for, and compares it with what a look at each run finds.
        fn ask(&mut self) {
            let now = at(self.now);
            let free_at = |of| if of == peer(5) { at(9_000) } else { at(0) };
            let whole = |_: &RunId, numbers| Some(numbers);
            loop {
                let all = self.ranges.idle_until.is_some_and(|until| until <= now);
                let mut wake = Instant::FAR_FUTURE;
                let mut places = self.ranges.waiting.iter();
                let expected = places.find_map(|(_, run)| {
                    let to = self.ranges.whom_to_ask(now, run, &mut wake, &self.limits, free_at)?;
                    Some((to, RunId::clone(run)))
                });
                let next = self.ranges.next_query(now, &self.limits, whole, free_at);
                assert_eq!(next.as_ref().map(|(to, query)| (*to, query.run.clone())), expected);
                let Some(next) = next else {
                    let found = self.ranges.idle_until;
                    let until = self.ranges.deadline(&self.limits);
                    self.ranges.idle_until = Some(wake);
                    let exact = self.ranges.deadline(&self.limits);
                    self.ranges.idle_until = found;
                    assert!(if all { until == exact } else { until <= exact || exact.is_none() });
                    return;
                };
                self.asked.push(next);
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_what_a_look_at_each_run_finds() {
        let mut asked = 0;
        for state in 0..20 {
            let runs = (1..=12).map(|n| TestAuthor::new(n).entry(0).run().clone()).collect();
            let limits = Limits::default().with(|limits| {
                (limits.chat.ranges, limits.chat.wanted, limits.chat.announcers) = (2, 10, 3);
            });
            let (ranges, asked_for) = (Ranges::default(), Vec::new());
            let mut chance = Chance { ranges, limits, state, now: 0, asked: asked_for, runs };
            for _ in 0..400 {
                chance.step();
                // A look at all runs finds what one at those that changed does.
                if chance.below(2) == 0 {
                    chance.ranges.idle_until = Some(Instant::ORIGIN);
                }
                let before = chance.asked.len();
                chance.ask();
                asked += chance.asked.len() - before;
            }
        }
        assert!(asked > 1_000, "{asked}");
    }
}
