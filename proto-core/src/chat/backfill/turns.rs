//! Which runs have a step under way, and which one has the next: authors' keys take turns (SPEC 23.5.2).

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;
use core::time::Duration;

use crate::chat::ranges::STEP;
use crate::model::{Instant, PublicKey, RunId};

/// The most runs of which something is asked for at once.
pub(super) const RUNS: usize = 16;

/// The most runs whose step is held up that are looked at in one go.
pub(super) const LOOKS: usize = 64;

/// How much longer than [`STEP`] a step becomes for each before it that brought nothing.
const LONGER: u64 = 8;

/// How long a step may bring nothing while other runs wait. Then one of them takes its place.
const TURN: Duration = Duration::from_secs(30);

/// The order in which the runs of a key have their next steps: by the number of steps they have had, the newest first.
type Order = (u64, Reverse<u64>, RunId);

/// The order in which keys have their next steps: by the number of steps they have under way, and then by their turns.
type Standing = (usize, u64);

/// The runs that are not over in this round.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The runs that wait for their next step, by their authors' keys.
    waiting: BTreeMap<PublicKey, Queue>,
    under_way: BTreeMap<RunId, Step>,
    /// Each key with a run that is still to be looked at, and the first such run. An index of `waiting` and `under_way`.
    heads: BTreeSet<(Standing, Order)>,
    /// The keys of the runs that were looked at and are held up, as long as others were not looked at.
    looked_at: BTreeSet<PublicKey>,
    /// Turns follow from it.
    counter: u64,
}

/// The runs of one key that wait.
#[derive(Debug)]
struct Queue {
    runs: BTreeMap<Order, Progress>,
    /// Rises with each step of the key. A key that comes anew is behind those that wait.
    turn: u64,
    /// The last run that was looked at, as long as others were not.
    looked_to: Option<Order>,
}

/// How far a run is in this round.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) at: u64,
    pub(super) steps: u64,
    /// All from this number on was looked for.
    pub(super) below: u64,
    /// The end of what is looked for.
    pub(super) end: u64,
    pub(super) step: u64,
    /// The number of neighbours that had come when its round began.
    pub(super) links: u64,
}

/// What becomes of a run that waits.
pub(super) enum Turn {
    /// There is nothing left to look for.
    Over,
    /// The window wants something of the run first.
    HeldUp,
    Begun(Step),
}

/// A step that is under way.
#[derive(Debug)]
pub(super) struct Step {
    /// How far the run is when it is over.
    then: Progress,
    /// The last number that it asks for.
    last: u64,
    /// How many entries below the end of what is looked for have come since it began.
    came: u64,
    /// When it began, or was last seen to have brought something, and how many entries had come then.
    seen: (Instant, u64),
}

impl Step {
    /// The step of a run that asks for these numbers, both included.
    pub(super) fn new(now: Instant, progress: &Progress, (first, last): (u64, u64)) -> Self {
        let then = Progress { below: first, steps: progress.steps + 1, ..progress.clone() };
        Self { then, last, came: 0, seen: (now, 0) }
    }

    /// The numbers that it asks for, both included.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.then.below, self.last)
    }

    /// How far the run is when nothing more of the step is to come.
    pub(super) fn over(self) -> Progress {
        let step = if self.came > 0 { STEP } else { self.then.step.saturating_mul(LONGER) };
        Progress { step, ..self.then }
    }

    /// How far the run is where more of the step may come later.
    pub(super) fn cut_off(self) -> Progress {
        Progress { below: self.last.saturating_add(1), ..self.then }
    }

    /// When another run may take its place.
    fn turn_ends(&self) -> Instant {
        self.seen.0 + TURN
    }
}

/// Views.
impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// The runs with a step under way.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &RunId> {
        self.under_way.keys()
    }

    /// All these runs, and the end of what is looked for.
    pub(super) fn open(&self) -> impl Iterator<Item = (&RunId, u64)> {
        let waiting = self.waiting.values().flat_map(|queue| &queue.runs);
        let waiting = waiting.map(|((_, _, run), progress)| (run, progress.end));
        waiting.chain(self.under_way.iter().map(|(run, step)| (run, step.then.end)))
    }

    /// When a run that waits may take the place of a step that brings nothing.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.under_way.values().map(Step::turn_ends).min().filter(|_| !self.waiting.is_empty())
    }

    /// Where a key stands, and its run that is looked at next, if there is one.
    fn head(&self, key: &PublicKey) -> Option<(Standing, Order)> {
        let queue = self.waiting.get(key)?;
        let behind = queue.looked_to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let (order, _) = queue.runs.range::<Order, _>((behind, Bound::Unbounded)).next()?;
        let under_way = self.under_way.keys().filter(|run| run.key == *key).count();
        Some(((under_way, queue.turn), order.clone()))
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.heads == self.waiting.keys().filter_map(|key| self.head(key)).collect()
            && self.waiting.iter().all(|(key, queue)| {
                !queue.runs.is_empty()
                    && queue.runs.keys().all(|(_, _, run)| run.key == *key)
                    && (queue.looked_to.is_none() || self.looked_at.contains(key))
            })
            && self.under_way.len() <= RUNS
    }
}

/// Changes.
impl Turns {
    /// Changes what waits and what is under way of a key, and updates the index.
    fn change<T>(
        &mut self,
        key: PublicKey,
        change: impl FnOnce(&mut Queue, &mut BTreeMap<RunId, Step>) -> T,
    ) -> T {
        if let Some(head) = self.head(&key) {
            self.heads.remove(&head);
        }
        self.counter += 1;
        let new = Queue { runs: BTreeMap::new(), turn: self.counter, looked_to: None };
        let queue = self.waiting.entry(key).or_insert(new);
        let changed = change(queue, &mut self.under_way);
        if queue.runs.is_empty() {
            self.waiting.remove(&key);
        }
        self.heads.extend(self.head(&key));
        changed
    }

    /// A run waits for its next step.
    pub(super) fn wait(&mut self, run: RunId, progress: Progress) {
        let order = (progress.steps, Reverse(progress.at), run);
        self.change(order.2.key, |queue, _| queue.runs.insert(order, progress));
    }

    /// The step of a run is over. Returns it.
    pub(super) fn end(&mut self, run: &RunId) -> Option<Step> {
        self.change(run.key, |_, under_way| under_way.remove(run))
    }

    /// An entry of a run came for the store alone.
    pub(super) fn came(&mut self, run: &RunId, seq: u64) {
        let step = self.under_way.get_mut(run).filter(|step| seq < step.then.end);
        step.into_iter().for_each(|step| step.came += 1);
    }

    /// Begins steps of runs that wait, in order. `look` looks at a run. Keys cost nothing, so any number of runs may be held up:
    /// after some of these, the next call goes on behind them.
    pub(super) fn begin(&mut self, mut look: impl FnMut(&RunId, &Progress) -> Turn) {
        if self.under_way.len() >= RUNS {
            return;
        }
        let mut held_up = 0;
        while self.under_way.len() < RUNS
            && let Some((_, order)) = self.heads.first().cloned()
            && let Some(progress) = self.waiting.get(&order.2.key).and_then(|queue| queue.runs.get(&order))
        {
            let key = order.2.key;
            match look(&order.2, progress) {
                Turn::HeldUp => {
                    self.looked_at.insert(key);
                    self.change(key, |queue, _| queue.looked_to = Some(order));
                    held_up += 1;
                    if held_up >= LOOKS {
                        return;
                    }
                }
                Turn::Over => _ = self.change(key, |queue, _| queue.runs.remove(&order)),
                Turn::Begun(step) => {
                    let turn = self.counter + 1;
                    self.change(key, |queue, under_way| {
                        queue.runs.remove(&order);
                        queue.turn = turn;
                        under_way.insert(order.2, step);
                    });
                }
            }
        }
        while let Some(key) = self.looked_at.pop_first() {
            self.change(key, |queue, _| queue.looked_to = None);
        }
    }

    /// Where runs wait, takes their places from the steps that have brought nothing for a while. Returns their runs, which go on
    /// later.
    pub(super) fn take_places(&mut self, now: Instant) -> Vec<RunId> {
        if self.next_end().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut over = Vec::new();
        for (run, step) in self.under_way.iter_mut().filter(|(_, step)| step.turn_ends() <= now) {
            if step.came == step.seen.1 {
                over.push(run.clone());
            }
            step.seen = (now, step.came);
        }
        for run in &over {
            let step = self.end(run);
            step.into_iter().for_each(|step| self.wait(run.clone(), step.cut_off()));
        }
        over
    }
}
