//! Filling the store with what is below the window: the newest first, in bounded steps, after all that the window wants
//! (SPEC section 23).

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;
use core::time::Duration;

use super::log::Below;
use super::ranges::{Low, STEP};
use super::{Chat, Event};
use crate::model::{Cx, Instant, RunId};

/// The most runs of which something is asked for at once.
const RUNS: usize = 16;

/// The most runs whose step is held up that are looked at in one go.
const LOOKS: usize = 64;

/// How much longer than [`STEP`] a step becomes for each before it that brought nothing.
const LONGER: u64 = 8;

/// How long a step may bring nothing while other runs wait. Then one of them takes its place.
const TURN: Duration = Duration::from_secs(30);

/// How long after a round the next one may begin.
const PAUSE: Duration = Duration::from_secs(10);

/// How long after the beginning of a round that is not over the next one may begin.
const ROUND: Duration = Duration::from_secs(60);

/// How long after a round what nobody had is looked for again, if neighbours came since.
const AGAIN: Duration = Duration::from_secs(600);

/// How long it waits at most for what the window wants. A neighbour that shows ever more does not hold it up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interval at which it is told how far it is.
const TELL: Duration = Duration::from_secs(5);

/// How many entries of the window have to be missing to tell how far it is.
const MANY: u64 = 1_000;

/// The most entries of one run that are told as missing: an author alone decides how high its numbers are.
const MOST_TOLD: u64 = 1_000_000;

/// The order in which runs have their next steps: by the number of steps they have had, the newest first.
type Order = (u64, Reverse<u64>, RunId);

/// What is looked for, and how far that is. It goes in rounds over the runs. A round that lasts long is joined by the next
/// one.
#[derive(Debug, Default)]
pub(super) struct Backfill {
    /// The runs that wait for their next step.
    waiting: BTreeMap<Order, Progress>,
    /// The last one of them that was looked at, if others behind it were not.
    looked_to: Option<Order>,
    under_way: BTreeMap<RunId, Step>,
    /// What nobody had of a run at the end of its round.
    absent: BTreeMap<RunId, Absent>,
    /// Entries that came in this round.
    came: u64,
    /// When the user is to be told next.
    tell_at: Option<Instant>,
    window: Filling,
    /// The user was told how far the window is, and is to be told when all is over.
    owed: bool,
    /// What the user was last told as missing, at the end of a round.
    told_missing: u64,
    next_round: Instant,
    /// Since when it waits for what the window wants.
    waits_since: Option<Instant>,
    /// The number of neighbours that came, and the same at the start of the last round.
    links: u64,
    links_then: u64,
    /// The generation of the tips at the start of the last round.
    tips_then: u64,
}

/// How far the window is, as long as it wants something.
#[derive(Debug, Default)]
struct Filling {
    /// Entries that came for it.
    came: u64,
    /// How many had come when the user was last told.
    told: u64,
    /// When the user is to be told next.
    tell_at: Option<Instant>,
}

/// How far a run is in this round.
#[derive(Clone, Debug)]
struct Progress {
    at: u64,
    steps: u64,
    /// All from this number on was looked for.
    below: u64,
    /// The end of what is looked for.
    end: u64,
    step: u64,
    /// The number of neighbours that had come when its round began.
    links: u64,
}

/// What becomes of a run that waits.
enum Turn {
    /// There is nothing left to look for.
    Over,
    /// The window wants something of the run first.
    HeldUp,
    Begun(Step),
}

/// A step that is under way.
#[derive(Debug)]
struct Step {
    /// How far the run is when it is over.
    then: Progress,
    /// What was missing of the run before it.
    missing: u64,
    /// The last number that it asks for.
    last: u64,
    /// When it began, or was last seen to have brought something, and what was missing of the run then.
    seen: (Instant, u64),
}

impl Step {
    /// When another run may take its place.
    fn turn_ends(&self) -> Instant {
        self.seen.0 + TURN
    }
}

#[derive(Debug)]
struct Absent {
    missing: u64,
    links: u64,
    at: Instant,
}

impl Backfill {
    /// A neighbour was linked: it may have what the others lack.
    pub(super) fn linked(&mut self) {
        self.links += 1;
    }

    /// An entry came for the store alone.
    pub(super) fn came(&mut self) {
        self.came += 1;
    }

    /// An entry came that was asked for by its number, for the window and the store.
    pub(super) fn came_to_window(&mut self) {
        self.window.came += 1;
    }

    /// Such an entry left the window before the store could take it: it will come again.
    pub(super) fn passed_over(&mut self) {
        self.links_then = u64::MAX;
        match self.window.came.checked_sub(1) {
            Some(came) => self.window.came = came,
            None => self.came = self.came.saturating_sub(1),
        }
    }

    /// The window wants something, or nothing more. What came for it counts with the rest, if the user knows of it.
    fn follow_window(&mut self, now: Instant, wants: bool) {
        if wants {
            self.window.tell_at.get_or_insert(now + TELL);
            return;
        }
        let Filling { came, told, .. } = core::mem::take(&mut self.window);
        if told > 0 {
            self.came += came;
            self.owed = true;
        }
    }

    /// The user is told how far the window is, if much is missing there.
    fn tell_of_window(&mut self, now: Instant, missing: u64) -> Option<Event> {
        let Filling { came, told, tell_at } = &mut self.window;
        *tell_at = Some(now + TELL);
        if *came <= *told || missing < MANY {
            return None;
        }
        *told = *came;
        Some(Event::Backfill { came: self.came + *came, missing, over: false })
    }

    /// The store lost something: whether it is complete is looked at again.
    pub(super) fn renew(&mut self) {
        self.links_then = u64::MAX;
        self.absent.clear();
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Whether there may be more to look for than in the last round.
    fn has_news(&self, tips: u64) -> bool {
        self.links != self.links_then || self.tips_then != tips
    }

    /// A round begins with these runs, as far as there is news of them and they are not looked at already.
    fn begin(&mut self, now: Instant, tips: u64, mut runs: Vec<Below>) -> Vec<(RunId, u64)> {
        (self.links_then, self.tips_then) = (self.links, tips);
        let known: BTreeSet<_> = runs.iter().map(|below| below.run.clone()).collect();
        self.absent.retain(|run, _| known.contains(run));
        let waiting: BTreeSet<_> = self.waiting.keys().map(|(_, _, run)| run).collect();
        runs.retain(|below| !waiting.contains(&below.run) && !self.under_way.contains_key(&below.run));
        let mut begun = Vec::new();
        for Below { run, at, end, missing } in runs {
            let is_news = self.absent.get(&run).is_none_or(|absent| {
                missing > absent.missing || absent.links != self.links && now.since(absent.at) >= AGAIN
            });
            if is_news {
                begun.push((run.clone(), end));
                self.absent.remove(&run);
                let progress = Progress { at, steps: 0, below: end, end, step: STEP, links: self.links };
                self.waiting.insert((0, Reverse(at), run), progress);
            }
        }
        begun
    }

    /// Begins steps of runs that wait, in order. `begin` looks at a run. Keys cost nothing, so any number of runs may be held up:
    /// after some of these, the next call goes on behind them.
    fn begin_steps(&mut self, mut begin: impl FnMut(&RunId, &Progress) -> Turn) {
        if self.under_way.len() >= RUNS {
            return;
        }
        let mut behind = self.looked_to.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut held_up = 0;
        while self.under_way.len() < RUNS
            && let Some((order, progress)) = self.waiting.range((behind, Bound::Unbounded)).next()
        {
            let (order, turn) = (order.clone(), begin(&order.2, progress));
            match turn {
                Turn::HeldUp => {
                    held_up += 1;
                    if held_up >= LOOKS {
                        self.looked_to = Some(order);
                        return;
                    }
                }
                Turn::Over => _ = self.waiting.remove(&order),
                Turn::Begun(step) => {
                    self.waiting.remove(&order);
                    self.under_way.insert(order.2.clone(), step);
                }
            }
            behind = Bound::Excluded(order);
        }
    }

    /// When a run that waits may take the place of a step that brings nothing.
    fn next_turn(&self) -> Option<Instant> {
        self.under_way.values().map(Step::turn_ends).min().filter(|_| !self.waiting.is_empty())
    }

    /// The user is told how far it is from time to time, and what nobody has once.
    fn tell(&mut self, now: Instant, missing: u64) -> Option<Event> {
        let is_over = self.is_idle();
        let is_due = self.tell_at.is_some_and(|at| at <= now);
        let is_news = self.came > 0 || is_over && missing > self.told_missing;
        if !(is_over || is_due) {
            return None;
        }
        let came = self.came;
        self.tell_at = (!is_over).then_some(now + TELL);
        if is_over {
            (self.came, self.told_missing, self.owed) = (0, missing, false);
        }
        is_news.then_some(Event::Backfill { came, missing, over: is_over })
    }
}

impl Chat {
    /// Goes on with what the store lacks below the window.
    pub(super) fn backfill(&mut self, cx: &Cx) {
        if !self.log.stores() {
            return;
        }
        if !self.keeper.works() {
            return self.stop_backfill();
        }
        let had_work = !self.backfill.is_idle();
        self.end_steps(cx);
        self.end_turns(cx.now);
        let wants = self.ranges.pending() > 0;
        self.backfill.follow_window(cx.now, wants);
        let waits = wants || self.gossip.awaited() > 0;
        let since = waits.then(|| self.backfill.waits_since.unwrap_or(cx.now));
        self.backfill.waits_since = since;
        if self.may_backfill() && since.is_none_or(|since| since + PATIENCE <= cx.now) {
            self.begin_round(cx);
            self.begin_steps(cx);
        }
        let is_owed = self.backfill.owed && !wants && self.may_backfill() && !self.has_news();
        if had_work || !self.backfill.is_idle() || is_owed {
            self.tell_of_backfill(cx);
        } else {
            self.tell_of_window(cx);
        }
    }

    fn has_news(&self) -> bool {
        self.backfill.has_news(self.log.tips_generation())
    }

    /// Whether there is somebody to ask, and room for what comes.
    fn may_backfill(&self) -> bool {
        self.catch_up.is_over() && !self.addrs.is_empty() && self.keeper.works()
    }

    /// When something of it is due.
    pub(super) fn backfill_deadline(&self, now: Instant) -> Option<Instant> {
        let Backfill { next_round, waits_since, tell_at, window, .. } = &self.backfill;
        let patience = waits_since.map(|since| since + PATIENCE).filter(|until| *until > now);
        let is_needed = self.may_backfill() && self.has_news();
        let round = match waits_since {
            Some(since) => (*since + PATIENCE).max(*next_round),
            None => *next_round,
        };
        let round = Some(round).filter(|_| is_needed);
        if self.backfill.is_idle() {
            return round.into_iter().chain(window.tell_at).min();
        }
        patience.into_iter().chain(*tell_at).chain(self.backfill.next_turn()).chain(round).min()
    }

    /// The store fails: what comes could not be kept.
    fn stop_backfill(&mut self) {
        let Self { backfill, ranges, .. } = self;
        backfill.under_way.keys().for_each(|run| ranges.drop_low(run));
        let (links, told_missing) = (backfill.links, backfill.told_missing);
        // There is news when it works again.
        *backfill = Backfill { links, told_missing, links_then: u64::MAX, ..Backfill::default() };
    }

    fn begin_round(&mut self, cx: &Cx) {
        let tips = self.log.tips_generation();
        let Self { backfill, log, .. } = self;
        if backfill.next_round > cx.now || !backfill.has_news(tips) {
            return;
        }
        let runs: Vec<_> = log.incomplete(cx.limits()).collect();
        for (run, end) in backfill.begin(cx.now, tips, runs) {
            log.raise_base(&run, end);
        }
        backfill.next_round = cx.now + if backfill.is_idle() { PAUSE } else { ROUND };
        backfill.tell_at.get_or_insert(cx.now + TELL);
    }

    fn begin_steps(&mut self, cx: &Cx) {
        let limits = cx.limits();
        let Self { backfill, log, ranges, addrs, .. } = self;
        backfill.begin_steps(|run, progress| {
            let Some((_, last)) = log.last_gap(run, progress.below) else { return Turn::Over };
            let first = last.saturating_add(1).saturating_sub(progress.step);
            if !ranges.want_low(cx.now, run, (first, last), progress.at, addrs.keys().copied(), limits) {
                return Turn::HeldUp;
            }
            let missing = log.missing_below(run, progress.end);
            let then = Progress { below: first, steps: progress.steps + 1, ..progress.clone() };
            Turn::Begun(Step { then, missing, last, seen: (cx.now, missing) })
        });
    }

    /// Ends the steps that are over, and leads their runs to the next ones.
    fn end_steps(&mut self, cx: &Cx) {
        if self.backfill.under_way.is_empty() {
            return;
        }
        let is_over = |run: &&RunId| self.ranges.low(run) != Low::Open;
        let over: Vec<_> = self.backfill.under_way.keys().filter(is_over).cloned().collect();
        for run in over {
            let is_dropped = self.ranges.low(&run) == Low::Over;
            self.ranges.drop_low(&run);
            let Some(step) = self.backfill.under_way.remove(&run) else { continue };
            let mut progress = step.then;
            let missing = self.log.missing_below(&run, progress.end);
            if is_dropped && self.log.lacks(&run, progress.below, step.last) {
                // What the window wants of the run came between.
                progress.below = step.last.saturating_add(1);
            } else {
                let brought = missing < step.missing;
                progress.step = if brought { STEP } else { progress.step.saturating_mul(LONGER) };
            }
            if self.log.last_gap(&run, progress.below).is_some() {
                self.backfill.waiting.insert((progress.steps, Reverse(progress.at), run), progress);
            } else if missing > 0 {
                let absent = Absent { missing, links: progress.links, at: cx.now };
                self.backfill.absent.insert(run, absent);
            }
        }
        if self.backfill.is_idle() {
            self.backfill.next_round = cx.now + PAUSE;
        }
    }

    /// Where runs wait, a step that has brought nothing for a while gives them its place, and goes on later: whoever holds up
    /// some runs does not hold up others.
    fn end_turns(&mut self, now: Instant) {
        let Self { backfill, log, ranges, .. } = self;
        if backfill.next_turn().is_none_or(|at| at > now) {
            return;
        }
        let mut over = Vec::new();
        for (run, step) in backfill.under_way.iter_mut().filter(|(_, step)| step.turn_ends() <= now) {
            let missing = log.missing_below(run, step.then.end);
            if missing == step.seen.1 {
                over.push(run.clone());
            }
            step.seen = (now, missing);
        }
        for run in over {
            ranges.drop_low(&run);
            let Some(Step { then, last, .. }) = backfill.under_way.remove(&run) else { continue };
            let progress = Progress { below: last.saturating_add(1), ..then };
            backfill.waiting.insert((progress.steps, Reverse(progress.at), run), progress);
        }
    }

    fn tell_of_backfill(&mut self, cx: &Cx) {
        if !self.backfill.is_idle() && self.backfill.tell_at.is_none_or(|at| at > cx.now) {
            return;
        }
        let Backfill { waiting, under_way, absent, .. } = &self.backfill;
        let open = waiting.iter().map(|((_, _, run), progress)| (run, progress.end));
        let open = open.chain(under_way.iter().map(|(run, step)| (run, step.then.end)));
        let open = open.map(|(run, end)| self.log.missing_below(run, end));
        let absent = absent.values().map(|absent| absent.missing);
        let missing = open.chain(absent).map(|missing| missing.min(MOST_TOLD)).sum();
        self.events.extend(self.backfill.tell(cx.now, missing));
    }

    fn tell_of_window(&mut self, cx: &Cx) {
        if self.backfill.window.tell_at.is_none_or(|at| at > cx.now) {
            return;
        }
        let missing = self.ranges.open_for_window().map(|(run, (first, last))| {
            let below = self.log.missing_below(run, last.saturating_add(1));
            below.saturating_sub(self.log.missing_below(run, first)).min(MOST_TOLD)
        });
        let missing = missing.sum();
        self.events.extend(self.backfill.tell_of_window(cx.now, missing));
    }
}
