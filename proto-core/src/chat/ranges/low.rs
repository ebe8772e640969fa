//! What is missing below the window, for the store alone: it is asked for after all else (SPEC section 23).

use alloc::collections::BTreeMap;

use super::{Ranges, Want};
use crate::model::{Instant, Limits, NodeId, RunId};

/// The numbers of a run that are wanted in a step. In one of more numbers, few exist, since the step before brought none: they are
/// asked for at once, however many they are.
pub(in crate::chat) const STEP: u64 = 4_096;

/// How far numbers that are wanted for the store have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) enum Low {
    /// They came, or something else of the run is wanted first.
    Over,
    /// Somebody is asked for them, or will be.
    Open,
    /// Nobody has what is left of them.
    Exhausted,
}

impl Ranges {
    /// These numbers of a run are wanted for the store, from any of these neighbours. False: they have to wait for what the
    /// window wants of the run.
    pub(in crate::chat) fn want_low(
        &mut self,
        now: Instant,
        run: &RunId,
        (first, last): (u64, u64),
        at: u64,
        holders: impl Iterator<Item = NodeId>,
        limits: &Limits,
    ) -> bool {
        if self.wants.get(run).is_some_and(|want| want.asked.is_some() || want.is_waiting()) {
            return false;
        }
        // Nobody has what is left of another one.
        self.remove(run);
        let holders: BTreeMap<_, _> =
            holders.take(limits.chat.announcers.max(1)).map(|peer| (peer, first)).collect();
        let Some(shower) = holders.keys().next().copied() else { return false };
        self.make_room(shower, limits);
        self.counter += 1;
        self.shown_by.entry(shower).or_default().insert((self.counter, run.clone()));
        let want = Want::new(run, true, (first, last), at, (shower, self.counter));
        self.wants.insert(run.clone(), want);
        self.change(now, run, |want| want.holders = holders);
        true
    }

    /// How far such numbers have come.
    pub(in crate::chat) fn low(&self, run: &RunId) -> Low {
        match self.wants.get(run).filter(|want| want.low) {
            None => Low::Over,
            Some(want) if want.asked.is_some() || want.is_waiting() => Low::Open,
            Some(_) => Low::Exhausted,
        }
    }

    /// Whether the store has no room. Nothing is asked for it alone then.
    pub(in crate::chat) fn hold_low(&mut self, held: bool) {
        if self.low_held && !held {
            self.idle_until = Some(Instant::ORIGIN);
        }
        self.low_held = held;
    }

    /// They are not wanted any more.
    pub(in crate::chat) fn drop_low(&mut self, run: &RunId) {
        if self.wants.get(run).is_some_and(|want| want.low) {
            self.remove(run);
        }
    }
}
