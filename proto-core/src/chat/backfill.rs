//! Filling the store with what is below the window: the newest first, in bounded steps, after all that the window wants
//! (SPEC section 23).

#[cfg(test)]
mod tests;
mod turns;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::log::Below;
use super::ranges::{Low, STEP};
use super::{Chat, Event};
use crate::model::{Cx, Entry, Instant, RunId};

use turns::{Progress, Step, Turn, Turns};

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

/// What is looked for, and how far that is. It goes in rounds over the runs. A round that lasts long is joined by the next
/// one.
#[derive(Debug, Default)]
pub(super) struct Backfill {
    turns: Turns,
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
    pub(super) fn came(&mut self, entry: &Entry) {
        self.came += 1;
        self.turns.came(entry.run(), entry.seq());
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
        self.turns.is_empty()
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.turns.is_consistent()
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
        let open: BTreeSet<_> = self.turns.open().map(|(run, _)| run).collect();
        runs.retain(|below| !open.contains(&below.run));
        // Keys that come at once have their first turns in this order.
        runs.sort_by_key(|below| Reverse(below.at));
        let mut begun = Vec::new();
        for Below { run, at, end, missing } in runs {
            let is_news = self.absent.get(&run).is_none_or(|absent| {
                missing > absent.missing || absent.links != self.links && now.since(absent.at) >= AGAIN
            });
            if is_news {
                begun.push((run.clone(), end));
                self.absent.remove(&run);
                let progress = Progress { at, steps: 0, below: end, end, step: STEP, links: self.links };
                self.turns.wait(run, progress);
            }
        }
        begun
    }

    /// Leads a run on whose step is over. The window wanted something of it first, or somebody may still have the rest:
    /// `is_cut_off`. `has_more` tells whether something is missing below a number. `missing` walks all that the store has of the
    /// run, so that is done once in a round.
    fn end_step(
        &mut self,
        now: Instant,
        run: RunId,
        is_cut_off: impl FnOnce((u64, u64)) -> bool,
        has_more: impl FnOnce(u64) -> bool,
        missing: impl FnOnce(u64) -> u64,
    ) {
        let Some(step) = self.turns.end(&run) else { return };
        let progress = if is_cut_off(step.numbers()) { step.cut_off() } else { step.over() };
        if has_more(progress.below) {
            return self.turns.wait(run, progress);
        }
        let missing = missing(progress.end);
        if missing > 0 {
            self.absent.insert(run, Absent { missing, links: progress.links, at: now });
        }
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
        patience.into_iter().chain(*tell_at).chain(self.backfill.turns.next_end()).chain(round).min()
    }

    /// The store fails: what comes could not be kept.
    fn stop_backfill(&mut self) {
        let Self { backfill, ranges, .. } = self;
        backfill.turns.under_way().for_each(|run| ranges.drop_low(run));
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
        backfill.turns.begin(|run, progress| {
            let Some((_, last)) = log.last_gap(run, progress.below) else { return Turn::Over };
            let first = last.saturating_add(1).saturating_sub(progress.step);
            if !ranges.want_low(cx.now, run, (first, last), progress.at, addrs.keys().copied(), limits) {
                return Turn::HeldUp;
            }
            Turn::Begun(Step::new(cx.now, progress, (first, last)))
        });
    }

    /// Ends the steps that are over, and leads their runs to the next ones.
    fn end_steps(&mut self, cx: &Cx) {
        let Self { backfill, log, ranges, .. } = self;
        let is_over = |run: &&RunId| ranges.low(run) != Low::Open;
        let over: Vec<_> = backfill.turns.under_way().filter(is_over).cloned().collect();
        if over.is_empty() {
            return;
        }
        for run in over {
            let is_dropped = ranges.low(&run) == Low::Over;
            ranges.drop_low(&run);
            // What the window wants of the run came between.
            let is_cut_off = |(first, last)| is_dropped && log.lacks(&run, first, last);
            let has_more = |below| log.last_gap(&run, below).is_some();
            let missing = |end| log.missing_below(&run, end);
            backfill.end_step(cx.now, run.clone(), is_cut_off, has_more, missing);
        }
        if backfill.is_idle() {
            backfill.next_round = cx.now + PAUSE;
        }
    }

    /// Where runs wait, a step that has brought nothing for a while gives them its place, and goes on later: whoever holds up
    /// some runs does not hold up others.
    fn end_turns(&mut self, now: Instant) {
        let over = self.backfill.turns.take_places(now);
        over.iter().for_each(|run| self.ranges.drop_low(run));
    }

    fn tell_of_backfill(&mut self, cx: &Cx) {
        if !self.backfill.is_idle() && self.backfill.tell_at.is_none_or(|at| at > cx.now) {
            return;
        }
        let Backfill { turns, absent, .. } = &self.backfill;
        let open = turns.open().map(|(run, end)| self.log.missing_below(run, end));
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
