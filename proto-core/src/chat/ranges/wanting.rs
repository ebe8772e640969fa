//! What is missing, as entries, announcements and comparisons show it, and who may hold it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Missing, Ranges, Want};
use crate::model::{EntryId, Instant, Limits, NodeId, RunId};

/// At one comparison, holes take the place of one in so many wanted runs. If many holes cannot be filled, each is asked for
/// again and again: so it stays wanted for some comparisons, and neighbours are not asked all the time.
const TURNOVER: usize = 16;

impl Ranges {
    /// An entry shows that entries before it are missing. They are asked for after `ready`. `from`: who sent it, and whether
    /// that one is linked, and so may be asked.
    pub(in crate::chat) fn want(
        &mut self,
        (from, may_ask): (NodeId, bool),
        missing: Missing,
        (now, ready): (Instant, Instant),
        limits: &Limits,
    ) {
        let Missing { run, first, last, at, tip } = missing;
        if !self.wants.contains_key(&run) {
            self.make_room(from, limits);
            self.counter += 1;
            self.shown_by.entry(from).or_default().insert((self.counter, run.clone()));
            let shown = (from, self.counter);
            let want = Want { ready, ..Want::new(&run, false, (first, last), at, shown) };
            self.wants.insert(run.clone(), want);
        }
        self.change(now, &run, |want| {
            if core::mem::take(&mut want.low) {
                // What is below can wait.
                (want.first, want.last, want.at, want.ready) = (first, last, at, ready);
                want.holders.values_mut().for_each(|next| *next = first);
            }
            if first < want.first {
                // Nobody was asked for these.
                want.holders.values_mut().for_each(|next| *next = first.min(*next));
                want.first = first;
            }
            want.last = want.last.max(last);
            want.at = want.at.max(at);
            want.tip = tip.map(|tip| (tip, last)).or(want.tip);
            let room = want.holders.len() < limits.chat.announcers.max(1);
            if may_ask && (room || want.holders.contains_key(&from)) {
                // A new one may hold all that is missing, and another one may have got these since it was asked.
                let next = want.holders.entry(from).or_insert(want.first);
                *next = first.min(*next);
            }
        });
    }

    /// Entries of these runs between these numbers, both included, are missing before ones that are held, whoever may hold
    /// them. This neighbour was compared with, and [`compared`](Self::compared) comes first. Where there is no room, they take
    /// the place of some of what nobody is known to hold, and of nothing else.
    pub(in crate::chat) fn note_holes(
        &mut self,
        now: Instant,
        peer: NodeId,
        mut holes: Vec<(RunId, u64, u64)>,
        limits: &Limits,
    ) {
        // Those that make room for others here are not among them.
        holes.retain(|(run, first, last)| {
            self.wants.get(run).is_none_or(|want| *first < want.first || want.last < *last)
        });
        let most_dropped = self.dropped + limits.chat.wanted.div_ceil(TURNOVER) as u64;
        self.next_hole = None;
        for (run, first, last) in holes {
            let has_room = self.wants.len() < limits.chat.wanted || self.wants.contains_key(&run);
            if has_room || !self.alone.is_empty() && self.dropped < most_dropped {
                let missing = Missing { run, first, last, at: 0, tip: None };
                self.want((peer, true), missing, (now, now), limits);
            } else {
                self.next_hole.get_or_insert(run);
            }
        }
    }

    /// This neighbour announced an entry of a run that is held: it may have got now what it did not hold. It is asked again,
    /// but not often.
    pub(in crate::chat) fn announced(&mut self, now: Instant, peer: NodeId, run: &RunId, limits: &Limits) {
        let is_due =
            |want: &Want| want.again <= now && want.holders.contains_key(&peer) && !want.may_hold(peer);
        if self.wants.get(run).is_some_and(is_due) {
            self.change(now, run, |want| {
                want.again = now + limits.chat.reconcile_every;
                want.holders.insert(peer, want.first);
            });
        }
    }

    /// The last number of this run that is wanted.
    pub(in crate::chat) fn last(&self, run: &RunId) -> Option<u64> {
        self.wants.get(run).map(|want| want.last)
    }

    /// A reconciliation showed that this neighbour holds the entry. Whether it is a tip that a range of its run is to bring.
    /// One that none brings has to be asked for by its id: another version of its number is held, or its number is too far
    /// below what the run was shown to have. `missing` tells the first missing numbers of a run between two.
    pub(in crate::chat) fn show_tip(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: &EntryId,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
    ) -> bool {
        let Some(run) = self.tips.get(id).cloned() else { return false };
        let Some(want) = self.wants.get(&run) else { return false };
        let is_missing =
            |number: &u64| missing(&run, (*number, want.last)).map(|(first, _)| first) == Some(*number);
        let Some(number) = want.tip.map(|(_, number)| number).filter(is_missing) else {
            self.change(now, &run, |want| want.tip = None);
            return false;
        };
        // It has the tip, whatever it said.
        let is_news = match want.holders.get(&peer) {
            Some(next) => *next > number,
            None => want.holders.len() < limits.chat.announcers.max(1),
        };
        if is_news {
            self.change(now, &run, |want| {
                let next = want.holders.entry(peer).or_insert(want.first);
                *next = number.min(*next);
            });
        }
        true
    }

    /// This neighbour was compared with: it may hold what is missing of runs of which nothing is expected.
    pub(in crate::chat) fn compared(&mut self, now: Instant, peer: NodeId, limits: &Limits) {
        let is_new = |want: &Want| {
            let room = want.holders.len() < limits.chat.announcers.max(1);
            room && !want.holders.contains_key(&peer)
        };
        let new: Vec<_> =
            self.wants.iter().filter(|(_, want)| is_new(want)).map(|(run, _)| run.clone()).collect();
        for run in new {
            self.change(now, &run, |want| _ = want.holders.insert(peer, want.first));
        }
    }

    /// An entry with this number came into the log. `missing` tells the first missing number of a run from one on.
    pub(in crate::chat) fn arrived(
        &mut self,
        run: &RunId,
        seq: u64,
        missing: impl Fn(u64, u64) -> Option<(u64, u64)>,
    ) {
        let Some(want) = self.wants.get_mut(run).filter(|want| seq == want.first) else { return };
        match missing(want.first, want.last) {
            Some((first, _)) => want.first = first,
            None => self.remove(run),
        }
    }

    /// Makes room for a run that this neighbour shows: what nobody has had for longest goes first. Then the neighbour that showed
    /// most runs loses the oldest one.
    pub(super) fn make_room(&mut self, from: NodeId, limits: &Limits) {
        while self.wants.len() >= limits.chat.wanted.max(1) {
            let len = |peer: &NodeId, runs: &BTreeSet<_>| runs.len() + usize::from(*peer == from);
            let most = || self.shown_by.iter().max_by_key(|(peer, runs)| len(peer, runs));
            let oldest = || most().and_then(|(_, runs)| runs.first());
            let alone = self.alone.first().map(|(_, run)| run);
            let Some(run) = alone.or_else(|| oldest().map(|(_, run)| run)).cloned() else { return };
            self.dropped += 1;
            self.remove(&run);
        }
    }
}
