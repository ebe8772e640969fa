//! Ranges that are asked for: which entries of which runs are missing, who may hold them, and who is asked (SPEC 9.7).
//!
//! A run is wanted because a valid entry of it came whose predecessors are missing. One neighbour is asked at a time, for a
//! few entries first and for more while they come fast. One that brings nothing loses its ranges to another.
//!
//! - [`want`]: one run of which entries are missing;
//! - [`wanting`]: what shows that, and who may hold them;
//! - [`askable`]: which of these runs each neighbour may be asked for;
//! - [`asking`]: who is asked, and when that one loses a range, by what is known of each [`link`];
//! - [`low`]: what only the store is to have.

mod askable;
mod asking;
mod link;
mod low;
#[cfg(test)]
mod tests;
mod want;
mod wanting;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{EntryId, Instant, NodeId, RunId};

use askable::Askable;
use link::LinkRanges;
pub(super) use low::{Low, STEP};
use want::{Place, Want};

/// What is missing, and who is asked for it.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    wants: BTreeMap<RunId, Want>,
    /// The runs that nobody is asked for and somebody may hold, in the order in which they are asked for. An index of `wants`.
    waiting: BTreeSet<Place>,
    /// Those of them that changed since nobody could be asked for any.
    changed: BTreeSet<Place>,
    /// The waiting runs by who may hold them. An index of `wants`.
    askable: Askable,
    /// The runs that are wanted for the window and that nobody is asked for or may hold, by since when that is so. An index of
    /// `wants`.
    alone: BTreeSet<(Instant, RunId)>,
    /// The runs by the tip that showed them. An index of `wants`.
    tips: BTreeMap<EntryId, RunId>,
    /// The runs that each neighbour showed first, in order. An index of `wants`.
    shown_by: BTreeMap<NodeId, BTreeSet<(u64, RunId)>>,
    links: BTreeMap<NodeId, LinkRanges>,
    /// The number of runs that somebody is asked for. A cache over `wants`.
    asked: usize,
    /// The number of runs that are wanted for the store alone and of which something may still come. A cache over `wants`.
    low: usize,
    /// Tags, and the order of wants, follow from it.
    counter: u64,
    /// Nobody can be asked for anything but what changed until this time, or until a neighbour may be asked for more. None: that
    /// is not known.
    idle_until: Option<Instant>,
    /// The store has no room: nothing is asked for it alone.
    low_held: bool,
    /// Runs of which nothing more is to come for now: the newest entry that came, and who sent it.
    finished: Vec<(EntryId, NodeId)>,
    /// How many wanted runs had to make room.
    dropped: u64,
    /// The first run with a hole that found no room at the last comparison. None: all of them did.
    next_hole: Option<RunId>,
}

/// A run that an entry showed to be incomplete.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) run: RunId,
    /// The numbers that are missing, both included.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The date of the entry.
    pub(super) at: u64,
    /// The entry itself, if it is not in the log.
    pub(super) tip: Option<EntryId>,
}

/// Views.
impl Ranges {
    /// The number of wanted runs.
    pub(super) fn len(&self) -> usize {
        self.wants.len()
    }

    /// Whether the run is wanted.
    #[cfg(test)]
    pub(super) fn contains(&self, run: &RunId) -> bool {
        self.wants.contains_key(run)
    }

    /// The number of runs that are wanted for the window and of which something may still come.
    pub(super) fn pending(&self) -> usize {
        self.waiting.len() + self.asked - self.low
    }

    /// The runs that are wanted for the window and of which something may still come, and between which numbers.
    pub(super) fn open_for_window(&self) -> impl Iterator<Item = (&RunId, (u64, u64))> {
        let open = |want: &&Want| !want.low && (want.asked.is_some() || want.is_waiting());
        self.wants
            .iter()
            .filter(move |(_, want)| open(want))
            .map(|(run, want)| (run, (want.first, want.last)))
    }

    /// The most ranges that one neighbour was asked for and has not answered.
    pub(super) fn most_asked(&self) -> usize {
        self.links.values().map(|link| link.asked.len()).max().unwrap_or(0)
    }

    /// Whether ranges are to come from this neighbour for the window.
    pub(super) fn is_asked_any(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.asked.iter().any(|asked| !asked.lost && !asked.low))
    }

    /// How many wanted runs had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The run whose hole comes first at the next comparison. None: that of the first run does.
    pub(super) fn next_hole(&self) -> Option<&RunId> {
        self.next_hole.as_ref()
    }
}

/// The indexes.
impl Ranges {
    /// Changes a wanted run, and updates the indexes.
    fn change(&mut self, now: Instant, run: &RunId, change: impl FnOnce(&mut Want)) {
        let Some(want) = self.wants.get_mut(run) else { return };
        let askable = want.askable();
        if want.is_waiting() {
            let place = want.place();
            self.waiting.remove(&place);
            self.changed.remove(&place);
        }
        if want.rests {
            self.askable.rests_no_more(want);
        }
        if let Some(since) = want.alone {
            self.alone.remove(&(since, run.clone()));
        }
        if let Some((tip, _)) = want.tip {
            self.tips.remove(&tip);
        }
        self.asked -= usize::from(want.asked.is_some());
        self.low -= usize::from(want.is_low_and_open());
        change(want);
        self.asked += usize::from(want.asked.is_some());
        self.low += usize::from(want.is_low_and_open());
        if let Some((tip, _)) = want.tip {
            self.tips.insert(tip, run.clone());
        }
        want.rests = want.is_waiting() && want.ready > now;
        if want.rests {
            self.askable.rests(want);
        }
        self.askable.moved(&askable, &want.askable());
        if want.is_waiting() {
            let place = want.place();
            self.waiting.insert(place.clone());
            self.changed.insert(place);
        } else if want.asked.is_none() {
            // What only the store has is not announced.
            self.finished.extend(want.came.take().filter(|_| !want.low));
        }
        let is_alone = !want.low && want.asked.is_none() && !want.is_waiting();
        want.alone = is_alone.then(|| want.alone.unwrap_or(now));
        self.alone.extend(want.alone.map(|since| (since, run.clone())));
    }

    fn remove(&mut self, run: &RunId) {
        self.change(Instant::ORIGIN, run, |want| {
            want.holders.clear();
            (want.tip, want.asked) = (None, None);
        });
        let Some(Want { shown: (peer, order), alone, .. }) = self.wants.remove(run) else { return };
        if let Some(since) = alone {
            self.alone.remove(&(since, run.clone()));
        }
        if let Some(runs) = self.shown_by.get_mut(&peer) {
            runs.remove(&(order, run.clone()));
            if runs.is_empty() {
                self.shown_by.remove(&peer);
            }
        }
    }

    pub(super) fn is_consistent(&self, is_linked: impl Fn(&NodeId) -> bool) -> bool {
        let wants = || self.wants.iter();
        let waiting = wants().filter(|(_, want)| want.is_waiting());
        let shown = wants().map(|(run, want)| (want.shown.0, (want.shown.1, run.clone())));
        let shown_by =
            self.shown_by.iter().flat_map(|(peer, runs)| runs.iter().map(|it| (*peer, it.clone())));
        let is_asked = |run: &RunId, peer: &NodeId| {
            let link = self.links.get(peer);
            link.is_some_and(|link| link.asked.iter().any(|asked| asked.run == *run && !asked.lost))
        };
        self.waiting == waiting.map(|(_, want)| want.place()).collect()
            && self.askable.is_of(self.wants.values())
            && self.changed.is_subset(&self.waiting)
            && self.alone == wants().filter_map(|(run, want)| Some((want.alone?, run.clone()))).collect()
            && self.tips == wants().filter_map(|(run, want)| Some((want.tip?.0, run.clone()))).collect()
            && shown_by.collect::<BTreeSet<_>>() == shown.collect()
            && self.low == wants().filter(|(_, want)| want.is_low_and_open()).count()
            && self.asked == wants().filter(|(_, want)| want.asked.is_some()).count()
            && wants().all(|(run, want)| {
                want.holders.keys().all(&is_linked)
                    && *want.run == *run
                    && (want.is_waiting() || !want.rests)
                    && want.asked.is_none_or(|peer| is_asked(run, &peer))
                    && want.first <= want.last
                    && want.alone.is_some() == (!want.low && want.asked.is_none() && !want.is_waiting())
            })
            && self.links.keys().all(&is_linked)
    }
}
