//! Tips: the newest entry of each run, whether or not it is still held. They are what two nodes compare: by `prev`, a tip
//! stands for all before it.

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};

use arrayvec::ArrayVec;

use crate::model::{Entry, EntryId, Limits, PublicKey, RunId};

/// What a tip is charged, in bytes (SPEC 9.17).
const CHARGE: usize = 512;

/// The most ids of one tip: those of a fork.
pub(super) const VERSIONS: usize = 2;

/// An item of the compared set: a date and an id.
pub(super) type Item = (u64, EntryId);

/// The number of a run's newest entries in the window, and their dates and ids.
pub(super) type Newest = (u64, ArrayVec<Item, VERSIONS>);

/// The tips of all runs that are known.
///
/// They are bounded by their charge. The tip of a run of which nothing is held goes first, the oldest by date. What is
/// dated no later than a tip that was forgotten so is not compared. Such tips of one author have a bound of their own, and
/// make room for each other there, so that a key with many runs moves no date.
#[derive(Debug, Default)]
pub(super) struct Tips {
    runs: BTreeMap<RunId, Tip>,
    /// The compared set. An index of `runs`.
    items: BTreeMap<Item, RunId>,
    /// The date of each of these. An index of `runs`.
    ids: BTreeMap<EntryId, u64>,
    /// The runs of which nothing is held, the oldest first. An index of `runs`.
    unheld: BTreeSet<(u64, RunId)>,
    /// The same for each author. An index of `runs`.
    unheld_of: BTreeMap<PublicKey, BTreeSet<(u64, RunId)>>,
    /// The latest date of a tip that was forgotten.
    forgotten_until: Option<u64>,
    /// How many tips were forgotten.
    forgotten: u64,
    /// Rises with each change of the compared set.
    generation: u64,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tip {
    seq: u64,
    /// The lowest ids with this number, in order.
    versions: ArrayVec<Item, VERSIONS>,
    /// Entries of the run are in the window.
    held: bool,
    /// Below this number, entries were evicted, or are below a floor.
    base: u64,
    /// The entries that came last of those that the window does not want, the latest one last.
    passed: Passes,
}

/// At most so many of a run are remembered.
type Passes = ArrayVec<Passed, 4>;

/// An entry that is not held: its number, its id, and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passed {
    seq: u64,
    id: EntryId,
    prev: Option<EntryId>,
}

impl Tip {
    fn at(&self) -> u64 {
        self.versions.iter().map(|(at, _)| *at).max().unwrap_or(0)
    }

    /// Takes in a version of the tip. Each node ends with the same ones, in whatever order they come.
    fn add(&mut self, item: Item) {
        if self.versions.iter().any(|(_, id)| *id == item.1) {
            return;
        }
        let index = self.versions.iter().filter(|(_, id)| *id < item.1).count();
        if self.versions.is_full() && index < VERSIONS {
            self.versions.pop();
        }
        if index < VERSIONS {
            self.versions.insert(index, item);
        }
    }
}

impl Tips {
    pub(super) fn bytes(&self) -> usize {
        self.runs.len() * CHARGE
    }

    /// The most runs of one author of which nothing is held.
    pub(super) fn most_unheld(&self) -> usize {
        self.unheld_of.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// How many tips were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// A number that changes whenever the compared set changes.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// From which date on tips are compared: all of them are known from there on.
    pub(super) fn compared_since(&self) -> u64 {
        self.forgotten_until.map_or(0, |until| until.saturating_add(1))
    }

    /// The dates and ids of the tips dated `at` or later, each with its run, oldest first.
    pub(super) fn dated_since(&self, at: u64) -> impl Iterator<Item = (Item, &RunId)> {
        self.items.range((at, super::window::FIRST_ID)..).map(|(item, run)| (*item, run))
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.ids.contains_key(id)
    }

    /// The run of a tip, and its number.
    pub(super) fn of(&self, id: &EntryId) -> Option<(&RunId, u64)> {
        let run = self.items.get(&(*self.ids.get(id)?, *id))?;
        Some((run, self.last_number(run)?))
    }

    /// The number of a run's tip.
    pub(super) fn last_number(&self, run: &RunId) -> Option<u64> {
        self.runs.get(run).map(|tip| tip.seq)
    }

    /// Below this number, no entry of the run is wanted.
    pub(super) fn base(&self, run: &RunId) -> u64 {
        self.runs.get(run).map_or(0, |tip| tip.base)
    }

    /// The store has this of a run, up to the number `seq` with these versions. What is below `base` is not wanted in the
    /// window.
    pub(super) fn restore(&mut self, run: &RunId, (seq, versions): Newest, base: u64) {
        self.change(run, |tip| {
            let Some(tip) = tip else {
                return Some(Tip { seq, versions, held: false, base, passed: Passes::new() });
            };
            if seq > tip.seq {
                (tip.seq, tip.versions) = (seq, versions);
            }
            tip.base = tip.base.max(base);
            None
        });
    }

    /// Below this number, no entry of the run is wanted in the window any more.
    pub(super) fn raise_base(&mut self, run: &RunId, base: u64) {
        if let Some(tip) = self.runs.get_mut(run) {
            tip.base = tip.base.max(base);
        }
    }

    /// All runs, each with the number of its tip and its date.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&RunId, u64, u64)> {
        self.runs.iter().map(|(run, tip)| (run, tip.seq, tip.at()))
    }

    /// An entry came whose signature is valid. `held`: it is in the window now.
    pub(super) fn heard(&mut self, entry: &Entry, held: bool) {
        let item = (entry.at(), entry.id());
        self.change(entry.run(), |tip| {
            let Some(tip) = tip else {
                let versions = ArrayVec::from_iter([item]);
                return Some(Tip { seq: entry.seq(), versions, held, base: 0, passed: Passes::new() });
            };
            if entry.seq() > tip.seq {
                tip.seq = entry.seq();
                tip.versions.clear();
            }
            if entry.seq() == tip.seq {
                tip.add(item);
            }
            tip.held |= held;
            None
        });
    }

    /// An entry was evicted, or came and is below its author's floor: those before it in its run are not wanted. `held`:
    /// others of its run are in the window.
    pub(super) fn passed(&mut self, entry: &Entry, held: bool) {
        self.change(entry.run(), |tip| {
            if let Some(tip) = tip {
                tip.base = tip.base.max(entry.seq().saturating_add(1));
                tip.held = held;
            }
            None
        });
        self.note_passed(entry);
    }

    /// An entry came that the window does not want.
    pub(super) fn note_passed(&mut self, entry: &Entry) {
        if let Some(tip) = self.runs.get_mut(entry.run()) {
            tip.passed.retain(|passed| passed.id != entry.id());
            if tip.passed.is_full() {
                tip.passed.remove(0);
            }
            tip.passed.push(Passed { seq: entry.seq(), id: entry.id(), prev: entry.prev() });
        }
    }

    /// Of the entries of a run that came last of those that the window does not want, one with the lowest number that shows with
    /// this one that the run is forked.
    pub(super) fn passed_fork(&self, entry: &Entry) -> Option<EntryId> {
        let shows_fork = |passed: &&Passed| {
            passed.id != entry.id()
                && (passed.seq == entry.seq()
                    || passed.seq.checked_add(1) == Some(entry.seq()) && entry.prev() != Some(passed.id)
                    || entry.seq().checked_add(1) == Some(passed.seq) && passed.prev != Some(entry.id()))
        };
        let passed = self.runs.get(entry.run())?.passed.iter().filter(shows_fork);
        passed.min_by_key(|passed| passed.seq).map(|passed| passed.id)
    }

    /// An entry left the window so that it can be received again. `last`: what is the newest of its run there now.
    pub(super) fn left(&mut self, entry: &Entry, last: Option<Newest>) {
        let run = entry.run();
        if self.runs.get(run).is_none_or(|tip| tip.seq != entry.seq()) {
            let held = last.is_some();
            return self.change(run, |tip| {
                if let Some(tip) = tip {
                    tip.held = held;
                }
                None
            });
        }
        self.end_at(run, last);
    }

    /// The tip of a run is what is the newest of it in the window.
    pub(super) fn end_at(&mut self, run: &RunId, last: Option<Newest>) {
        let base = self.base(run);
        let passed = self.runs.get(run).map(|tip| tip.passed.clone()).unwrap_or_default();
        let left = last.map(|(seq, mut versions)| {
            versions.sort_unstable_by_key(|(_, id)| *id);
            Tip { seq, versions, held: true, base, passed }
        });
        self.remove(run);
        if let Some(tip) = left {
            self.insert(run.clone(), tip);
        }
    }

    /// Changes the tip of a run, or returns a new one, and updates the indexes.
    fn change(&mut self, run: &RunId, change: impl FnOnce(Option<&mut Tip>) -> Option<Tip>) {
        let Some(tip) = self.runs.get_mut(run) else {
            if let Some(tip) = change(None) {
                self.insert(run.clone(), tip);
            }
            return;
        };
        let before = tip.clone();
        change(Some(tip));
        let (versions, held, at) = (before.versions == tip.versions, before.held == tip.held, before.at());
        if versions && held {
            return;
        }
        let after = tip.clone();
        if versions {
            // Whether the run is held is no part of the compared set.
            self.index_held(run, &before, at, false);
            self.index_held(run, &after, at, true);
        } else if let Some((run, _)) = self.take_out(run) {
            self.index(&run, &before, false);
            self.insert(run, after);
        }
    }

    fn insert(&mut self, run: RunId, tip: Tip) {
        self.index(&run, &tip, true);
        self.runs.insert(run, tip);
    }

    fn remove(&mut self, run: &RunId) {
        if let Some((run, tip)) = self.take_out(run) {
            self.index(&run, &tip, false);
        }
    }

    fn take_out(&mut self, run: &RunId) -> Option<(RunId, Tip)> {
        self.runs.remove_entry(run)
    }

    fn index(&mut self, run: &RunId, tip: &Tip, add: bool) {
        self.generation += 1;
        for item in &tip.versions {
            if add {
                self.items.insert(*item, run.clone());
                self.ids.insert(item.1, item.0);
            } else {
                self.items.remove(item);
                self.ids.remove(&item.1);
            }
        }
        self.index_held(run, tip, tip.at(), add);
    }

    fn index_held(&mut self, run: &RunId, tip: &Tip, at: u64, add: bool) {
        if tip.held {
            return;
        }
        let item = (at, run.clone());
        if add {
            self.unheld_of.entry(run.key).or_default().insert(item.clone());
            self.unheld.insert(item);
        } else {
            self.unheld.remove(&item);
            if let Some(of_author) = self.unheld_of.get_mut(&run.key) {
                of_author.remove(&item);
                if of_author.is_empty() {
                    self.unheld_of.remove(&run.key);
                }
            }
        }
    }

    /// Forgets tips until they are within their bounds, after one of this author changed. Returns the ids of those whose
    /// author had too many: others may still show them, and they are not wanted.
    pub(super) fn bound(&mut self, key: &PublicKey, limits: &Limits) -> ArrayVec<EntryId, VERSIONS> {
        let mut unwanted = ArrayVec::new();
        // One change adds one run at most.
        if let Some(of_author) = self.unheld_of.get(key)
            && of_author.len() > limits.chat.tips_per_author
            && let Some((_, run)) = of_author.first().cloned()
        {
            unwanted.extend(self.runs.get(&run).into_iter().flat_map(|tip| &tip.versions).map(|(_, id)| *id));
            self.remove(&run);
            self.forgotten += 1;
        }
        while self.bytes() > limits.chat.tips_bytes {
            let oldest = self.unheld.first().map(|(at, run)| (*at, run.clone()));
            let oldest =
                oldest.or_else(|| self.items.first_key_value().map(|((at, _), run)| (*at, run.clone())));
            let Some((at, run)) = oldest else { break };
            self.remove(&run);
            self.forgotten += 1;
            self.forgotten_until = self.forgotten_until.max(Some(at));
        }
        unwanted
    }

    /// `holds` says whether there are entries of a run in the window.
    pub(super) fn is_consistent(&self, holds: impl Fn(&RunId) -> bool) -> bool {
        let mut again = Self::default();
        for (run, tip) in &self.runs {
            again.insert(run.clone(), tip.clone());
        }
        (&self.items, &self.ids) == (&again.items, &again.ids)
            && (&self.unheld, &self.unheld_of) == (&again.unheld, &again.unheld_of)
            && self.runs.iter().all(|(run, tip)| tip.held == holds(run) && !tip.versions.is_empty())
    }
}
