//! Who is asked for what is missing, and when that one loses it.

use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

use super::askable::Group;
use super::link::{Asked, LinkRanges};
use super::{Place, Ranges, Want};
use crate::chat::gossip::MAX_WAIT_ANSWERING;
use crate::chat::log::Coming;
use crate::model::{EntryId, Instant, Limits, NodeId, RunId};
use crate::wire::{RangeEnd, RangeQuery};

/// How much longer entries are held back for those before them: after a neighbour was asked for these or last brought something,
/// and after nobody is left who may hold them.
const FOR_AN_ANSWER: Duration = Duration::from_secs(12);
const FOR_A_HOLDER: Duration = Duration::from_secs(5);

impl Ranges {
    /// The newest entry of a run of which nothing more is to come for now, and who sent it.
    pub(in crate::chat) fn next_finished(&mut self) -> Option<(EntryId, NodeId)> {
        self.finished.pop()
    }

    /// Whether this neighbour was asked for the entry with this number.
    pub(in crate::chat) fn is_asked(&self, peer: NodeId, run: &RunId, seq: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.of(run, seq).is_some())
    }

    /// Whether this neighbour was asked for anything that the store alone is to have.
    pub(in crate::chat) fn is_asked_low(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(LinkRanges::is_asked_low)
    }

    /// Whether the store alone is to have this entry that this neighbour was asked for.
    pub(in crate::chat) fn is_low(&self, peer: NodeId, run: &RunId, seq: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.is_low(run, seq))
    }

    /// This neighbour sent an entry that it was asked for, whose line has so many bytes.
    pub(in crate::chat) fn came(
        &mut self,
        now: Instant,
        peer: NodeId,
        (run, seq): (&RunId, u64),
        bytes: usize,
    ) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let Some(asked) = link.of_mut(run, seq) else { return };
        asked.came(now, seq, bytes);
        link.begun = Some(now);
    }

    /// What of this run may still come: from the neighbour that is asked for it, from one that is to be asked for it, or from one
    /// that is not known yet to hold it.
    pub(in crate::chat) fn coming(&self, now: Instant, run: &RunId) -> Option<Coming> {
        let want = self.wants.get(run).filter(|want| !want.low)?;
        if let Some(link) = want.asked.and_then(|peer| self.links.get(&peer)) {
            let asked = link.asked.iter().find(|asked| asked.run == *run && !asked.lost)?;
            let since = link.begun.max(Some(asked.since))?;
            // What it has not got may come from another one that is to be asked then.
            let others = want.holders.iter().filter(|(other, _)| Some(**other) != want.asked);
            let from = others.map(|(_, next)| *next).fold(asked.next, u64::min).max(want.first);
            return Some(Coming { from, at: since + FOR_AN_ANSWER });
        }
        let at = if want.is_waiting() { now } else { want.alone? + FOR_A_HOLDER };
        Some(Coming { from: want.first, at })
    }

    /// Such an entry is in the log now.
    pub(in crate::chat) fn taken(&mut self, now: Instant, peer: NodeId, run: &RunId, id: EntryId) {
        self.change(now, run, |want| (want.came, want.refusals) = (Some((id, peer)), 0));
    }

    /// Such an entry was over a rate.
    pub(in crate::chat) fn refused(&mut self, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        asked.refused = Some(asked.refused.map_or(seq, |before| before.min(seq)));
    }

    /// There was no room for such an entry, or it is dated too far ahead.
    pub(in crate::chat) fn untimely(&mut self, peer: NodeId, run: &RunId, seq: u64) {
        self.refused(peer, run, seq);
        let asked = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq));
        asked.into_iter().for_each(|asked| asked.untimely = true);
    }

    /// The store had no room for an entry that this neighbour sent. It is asked for again when there is.
    pub(in crate::chat) fn had_no_room(&mut self, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        asked.left = Some(asked.left.map_or(seq, |before| before.min(seq)));
    }

    /// This neighbour ended its answer.
    pub(in crate::chat) fn ended(&mut self, now: Instant, peer: NodeId, end: RangeEnd, limits: &Limits) {
        let asked = self.links.get_mut(&peer).and_then(|link| link.end(now, end, limits));
        let Some(asked) = asked else { return };
        self.idle_until = Some(Instant::ORIGIN);
        let Asked { lost, refused, untimely, .. } = asked;
        if self.wants.get(&asked.run).is_some_and(|want| asked.first > want.last) {
            // These numbers have come, and lower ones are wanted since.
            return;
        }
        let next = end.next.clamp(asked.first, asked.last.saturating_add(1));
        let next = refused.into_iter().chain(asked.left).fold(next, u64::min);
        self.change(now, &asked.run, |want| {
            // One that was late holds it, too.
            want.holders.insert(peer, next);
            if refused.is_some() {
                want.refusals += u8::from(untimely && want.refusals < 16);
                let doubled = if untimely { want.refusals.saturating_sub(1) } else { 0 };
                let pause = limits.chat.hold_back.saturating_mul(1 << doubled);
                want.ready = now + pause.min(limits.chat.asked_for * MAX_WAIT_ANSWERING);
            }
            want.empty = Some(peer).filter(|_| asked.brought.is_none() && end.next > asked.last);
            if want.asked == Some(peer) && !lost {
                want.asked = None;
            }
        });
    }

    /// The neighbour's link moved to another connection: its answers are lost.
    pub(in crate::chat) fn interrupted(&mut self, now: Instant, peer: NodeId) {
        let asked = self.links.remove(&peer).map(|link| link.asked).unwrap_or_default();
        for Asked { run, lost, .. } in asked {
            self.change(now, &run, |want| {
                if !lost && want.asked == Some(peer) {
                    want.asked = None;
                }
            });
        }
        self.idle_until = Some(Instant::ORIGIN);
    }

    /// The neighbour is gone. So is what it showed and nobody else may hold: whoever has it shows it again. `shows` tells whether
    /// an entry of the log still shows that a number of a run is missing: that stays wanted.
    pub(in crate::chat) fn unlinked(
        &mut self,
        now: Instant,
        peer: NodeId,
        shows: impl Fn(&RunId, u64) -> bool,
    ) {
        self.interrupted(now, peer);
        let runs = self.wants.iter().filter(|(_, want)| want.holders.contains_key(&peer));
        let runs: Vec<_> = runs.map(|(run, _)| run.clone()).collect();
        for run in runs {
            self.change(now, &run, |want| _ = want.holders.remove(&peer));
        }
        let shown: Vec<_> = self.shown_by.get(&peer).into_iter().flatten().cloned().collect();
        for (_, run) in shown {
            if self.wants.get(&run).is_some_and(|want| want.alone.is_some() && !shows(&run, want.first)) {
                self.remove(&run);
            }
        }
    }

    /// When something is due.
    pub(in crate::chat) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let checks = self.links.values().flat_map(|link| link.asked.iter().map(|asked| asked.check));
        let idle = self.idle_until.filter(|until| *until < Instant::FAR_FUTURE && !self.waiting.is_empty());
        let alone = self.alone.first().map(|(since, _)| *since + given_up_after(limits));
        idle.into_iter().chain(checks).chain(alone).min()
    }

    /// The next range to ask for, and whom. `missing` tells the first missing numbers of a run between two, and `free_at` when
    /// a neighbour may be asked.
    pub(in crate::chat) fn next_query(
        &mut self,
        now: Instant,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Option<(NodeId, RangeQuery)> {
        let all = self.idle_until.is_some_and(|until| until <= now);
        let next = if all {
            self.next_of_all(now, limits, &missing, &free_at)
        } else {
            self.next_of_changed(now, limits, &missing, &free_at)
        };
        let wake = match next {
            Ok(query) => return Some(query),
            Err(wake) => wake,
        };
        self.changed.clear();
        self.idle_until = Some(wake);
        None
    }

    /// The same where those runs alone can be asked for that changed. An error: nobody may be asked before.
    fn next_of_changed(
        &mut self,
        now: Instant,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Result<(NodeId, RangeQuery), Instant> {
        let mut wake = self.idle_until.unwrap_or(Instant::FAR_FUTURE);
        let mut from = Bound::Unbounded;
        loop {
            let mut askable = self.changed.range((from, Bound::Unbounded)).filter_map(|place| {
                let peer = self.whom_to_ask(now, &place.1, &mut wake, limits, &free_at)?;
                Some((place.clone(), peer))
            });
            let Some((place, peer)) = askable.next() else { return Err(wake) };
            if let Some(query) = self.ask(now, &place.1, peer, limits, &missing) {
                return Ok((peer, query));
            }
            from = Bound::Included(place);
        }
    }

    /// The same where any run may be one that can be asked for. Few runs are looked at, since this comes with each answer of a
    /// neighbour, and thousands of runs may wait that nobody can be asked for.
    fn next_of_all(
        &mut self,
        now: Instant,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Result<(NodeId, RangeQuery), Instant> {
        while let Some(run) = self.askable.next_ready(now) {
            self.change(now, &run, |_| ());
        }
        let (free, mut wake) = self.free_groups(now, limits, &free_at);
        loop {
            let firsts = free.iter().filter_map(|group| self.first_not_lost(group));
            let Some((_, run)) = firsts.min().cloned() else { return Err(wake) };
            let peer = self.whom_to_ask(now, &run, &mut wake, limits, &free_at).ok_or(wake)?;
            if let Some(query) = self.ask(now, &run, peer, limits, &missing) {
                return Ok((peer, query));
            }
        }
    }

    /// The groups of runs whose neighbour may be asked for them, and until when nobody else may be asked for any.
    fn free_groups(
        &self,
        now: Instant,
        limits: &Limits,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> (Vec<Group>, Instant) {
        let mut free = Vec::new();
        let mut wake = self.askable.ready_at(self.low_held).unwrap_or(Instant::FAR_FUTURE);
        for (group, places) in self.askable.groups().filter(|((_, low), _)| !(*low && self.low_held)) {
            let lost = places.iter().take_while(|(_, run)| self.has_lost(group.0, run));
            // The neighbour may be asked for all of them that it did not lose, or for none.
            for (_, run) in lost.chain(self.first_not_lost(group)) {
                match self.load(now, *group, run, limits, &free_at) {
                    Ok(_) => free.push(*group),
                    Err(until) => wake = until.map_or(wake, |until| until.min(wake)),
                }
            }
        }
        (free, wake)
    }

    fn first_not_lost(&self, group: &Group) -> Option<&Place> {
        self.askable.group(group).find(|(_, run)| !self.has_lost(group.0, run))
    }

    fn has_lost(&self, peer: NodeId, run: &RunId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.has_lost(run))
    }

    /// How much a neighbour is asked for, and how much of that it did not bring. An error: it cannot be asked for this run, at
    /// least until that time.
    fn load(
        &self,
        now: Instant,
        (peer, low): Group,
        run: &RunId,
        limits: &Limits,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Result<(usize, usize), Option<Instant>> {
        let link = self.links.get(&peer);
        let load = link.map_or(Ok((0, 0)), |link| link.load(now, run, low, limits))?;
        Some(free_at(peer)).filter(|until| *until > now).map_or(Ok(load), |until| Err(Some(until)))
    }

    /// Which neighbour may be asked for a run now: of those that may hold it, the one that was asked for least. `wake` becomes
    /// when one may, if that is sooner.
    pub(super) fn whom_to_ask(
        &self,
        now: Instant,
        run: &RunId,
        wake: &mut Instant,
        limits: &Limits,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Option<NodeId> {
        let want = self.wants.get(run).filter(|want| !(want.low && self.low_held))?;
        if want.ready > now {
            *wake = want.ready.min(*wake);
            return None;
        }
        let mut best = None;
        for peer in want.holders.keys().filter(|peer| want.may_hold(**peer)) {
            match self.load(now, (*peer, want.low), run, limits, &free_at) {
                Ok(load) => best = best.min(Some((load, *peer))).or(Some((load, *peer))),
                Err(until) => *wake = until.map_or(*wake, |until| until.min(*wake)),
            }
        }
        best.map(|(_, peer)| peer)
    }

    /// Asks a neighbour for the next numbers of a run. None: none is missing that it may hold.
    fn ask(
        &mut self,
        now: Instant,
        run: &RunId,
        peer: NodeId,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
    ) -> Option<RangeQuery> {
        let want = self.wants.get(run)?;
        let (last, low) = (want.last, want.low);
        let next = want.holders.get(&peer).copied().unwrap_or(0).max(want.first);
        // An author alone decides how high its numbers are, and so how many there are that nobody has.
        let whole = low && want.empty == Some(peer);
        if missing(run, (want.first, last)).is_none() {
            self.remove(run);
            return None;
        }
        let Some((first, end)) = missing(run, (next, last)) else {
            // Nothing of it is missing from there on.
            self.change(now, run, |want| _ = want.holders.insert(peer, last.saturating_add(1)));
            return None;
        };
        let link = self.links.entry(peer).or_default();
        let most = if whole { u64::MAX } else { link.batch(limits) };
        let end = end.min(first.saturating_add(most - 1));
        self.counter += 1;
        let Some(query) = RangeQuery::new(run.clone(), first, end, self.counter) else {
            self.remove(run);
            return None;
        };
        if link.asked.is_empty() {
            link.begun = Some(now);
        }
        link.asked.push(Asked::new(now, query.clone(), low, limits));
        self.change(now, run, |want| want.asked = Some(peer));
        Some(query)
    }

    /// Takes ranges from neighbours that bring nothing. `heard` tells when the last byte of a neighbour came. Returns
    /// whether a run has nobody left who may hold it.
    pub(in crate::chat) fn expire(
        &mut self,
        now: Instant,
        limits: &Limits,
        heard: impl Fn(NodeId) -> Option<Instant>,
    ) -> bool {
        let mut lost = Vec::new();
        for (peer, link) in &mut self.links {
            link.asked.retain(|asked| !asked.lost || asked.check > now);
            for asked in link.asked.iter_mut().filter(|asked| !asked.lost && asked.check <= now) {
                let want = self.wants.get(&asked.run);
                let another = want.is_some_and(|want| {
                    want.holders.keys().any(|other| other != peer && want.may_hold(*other))
                });
                asked.check = asked.expires(heard(*peer), another, limits);
                if asked.check <= now {
                    asked.lose(now, limits);
                    lost.push((*peer, asked.run.clone(), another));
                }
            }
        }
        let mut alone = false;
        for (peer, run, another) in lost {
            self.idle_until = Some(Instant::ORIGIN);
            alone |= !another;
            self.change(now, &run, |want| {
                if want.asked == Some(peer) {
                    want.asked = None;
                }
                if !another {
                    want.holders.remove(&peer);
                }
            });
        }
        alone
    }
    /// Gives up what nobody has had for long, unless the log still shows that it is missing.
    pub(in crate::chat) fn expire_alone(
        &mut self,
        now: Instant,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
    ) {
        let is_due = |(since, _): &&(Instant, RunId)| *since + given_up_after(limits) <= now;
        let due: Vec<_> = self.alone.iter().take_while(is_due).map(|(_, run)| run.clone()).collect();
        for run in due {
            let is_missing = |first, last| missing(&run, (first, last)).map(|(first, _)| first);
            // The tip may have come without what is before it.
            let is_hole = |want: &Want| {
                let has_come = |number| is_missing(number, want.last) != Some(number);
                is_missing(want.first, want.last).is_some()
                    && want.tip.is_none_or(|(_, number)| has_come(number))
            };
            if self.wants.get(&run).is_some_and(is_hole) {
                self.change(now, &run, |want| want.alone = None);
            } else {
                self.remove(&run);
            }
        }
    }
}

/// How long after nobody may hold a run it is given up.
fn given_up_after(limits: &Limits) -> Duration {
    limits.chat.sync_timeout.max(Duration::from_secs(1))
}
