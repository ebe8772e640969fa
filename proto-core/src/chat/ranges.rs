//! Ranges that are asked for: which entries of which runs are missing, who may hold them, and who is asked (SPEC 9.7).
//!
//! A run is wanted because a valid entry of it came whose predecessors are missing. One neighbour is asked at a time, for a
//! few entries first and for more while they come fast. One that brings nothing loses its ranges to another.

mod link;
mod low;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;

use crate::model::{EntryId, Instant, Limits, NodeId, RunId};
use crate::wire::{RangeEnd, RangeQuery};

use link::{Asked, LinkRanges};
pub(super) use low::Low;

/// What is missing, and who is asked for it.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    wants: BTreeMap<RunId, Want>,
    /// The runs that nobody is asked for and somebody may hold, in the order in which they are asked for. An index of `wants`.
    waiting: BTreeSet<(Order, RunId)>,
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
    /// Nobody can be asked for anything until this time, or until something changes. None: that is not known.
    idle_until: Option<Instant>,
    /// Runs of which nothing more is to come for now: the newest entry that came, and who sent it.
    finished: Vec<(EntryId, NodeId)>,
    /// How many wanted runs had to make room.
    dropped: u64,
}

/// What is wanted for the window comes before what is wanted for the store alone, then the newest entry.
type Order = (bool, Reverse<u64>);

/// A run of which entries are missing.
#[derive(Debug)]
struct Want {
    /// They are wanted for the store alone.
    low: bool,
    /// Between these numbers, both included. The first one is missing.
    first: u64,
    last: u64,
    /// The date of the entry that showed it.
    at: u64,
    /// The tip that showed it, which is not in the log yet, and its number. The range is to bring it.
    tip: Option<(EntryId, u64)>,
    /// Who may hold something of it, and from which number on: what it holds below, it has sent.
    holders: BTreeMap<NodeId, u64>,
    /// Who is asked for it now.
    asked: Option<NodeId>,
    /// It is not asked for before.
    ready: Instant,
    /// Whoever held nothing of it may be asked again from then on.
    again: Instant,
    /// The newest entry that came, and who sent it.
    came: Option<(EntryId, NodeId)>,
    /// Who showed it first, and the order of that.
    shown: (NodeId, u64),
    /// Who had nothing of what was last asked for.
    empty: Option<NodeId>,
}

impl Want {
    fn may_hold(&self, peer: NodeId) -> bool {
        self.holders.get(&peer).is_some_and(|next| *next <= self.last)
    }

    fn order(&self) -> Order {
        (self.low, Reverse(self.at))
    }

    /// It is wanted for the store alone, and something may still come.
    fn is_low_and_open(&self) -> bool {
        self.low && (self.asked.is_some() || self.is_waiting())
    }

    fn is_waiting(&self) -> bool {
        self.asked.is_none() && self.holders.values().any(|next| *next <= self.last)
    }
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

/// What is missing.
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

    /// An entry shows that entries before it are missing. They are asked for after `ready`. `from`: who sent it, and whether
    /// that one is linked, and so may be asked.
    pub(super) fn want(
        &mut self,
        (from, may_ask): (NodeId, bool),
        missing: Missing,
        ready: Instant,
        limits: &Limits,
    ) {
        let Missing { run, first, last, at, tip } = missing;
        if !self.wants.contains_key(&run) {
            self.make_room(from, limits);
            self.counter += 1;
            self.shown_by.entry(from).or_default().insert((self.counter, run.clone()));
            let shown = (from, self.counter);
            let holders = BTreeMap::new();
            let again = Instant::ORIGIN;
            self.wants.insert(
                run.clone(),
                Want {
                    low: false,
                    first,
                    last,
                    at,
                    tip: None,
                    holders,
                    asked: None,
                    ready,
                    again,
                    came: None,
                    shown,
                    empty: None,
                },
            );
        }
        self.change(&run, |want| {
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

    /// Entries of a run between those that are held are missing, whoever may hold them. This neighbour was compared with.
    pub(super) fn note_hole(
        &mut self,
        peer: NodeId,
        run: &RunId,
        (first, last): (u64, u64),
        now: Instant,
        limits: &Limits,
    ) {
        let is_known = self.wants.get(run).is_some_and(|want| want.first <= first && last <= want.last);
        if !is_known {
            let missing = Missing { run: run.clone(), first, last, at: 0, tip: None };
            self.want((peer, true), missing, now, limits);
        }
    }

    /// This neighbour announced an entry of a run that is held: it may have got now what it did not hold. It is asked again,
    /// but not often.
    pub(super) fn announced(&mut self, now: Instant, peer: NodeId, run: &RunId, limits: &Limits) {
        let is_due =
            |want: &Want| want.again <= now && want.holders.contains_key(&peer) && !want.may_hold(peer);
        if self.wants.get(run).is_some_and(is_due) {
            self.change(run, |want| {
                want.again = now + limits.chat.reconcile_every;
                want.holders.insert(peer, want.first);
            });
        }
    }

    /// The last number of this run that is wanted.
    pub(super) fn last(&self, run: &RunId) -> Option<u64> {
        self.wants.get(run).map(|want| want.last)
    }

    /// A reconciliation showed that this neighbour holds the entry. Whether it is a tip that a range of its run is to bring.
    /// One that none brings has to be asked for by its id: another version of its number is held, or its number is too far
    /// below what the run was shown to have. `missing` tells the first missing numbers of a run between two.
    pub(super) fn show_tip(
        &mut self,
        peer: NodeId,
        id: &EntryId,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
    ) -> bool {
        let Some(run) = self.tips.get(id).cloned() else { return false };
        self.change(&run, |want| {
            let is_missing =
                |number| missing(&run, (number, want.last)).map(|(first, _)| first) == Some(number);
            want.tip = want.tip.filter(|(_, number)| is_missing(*number));
            let Some((_, number)) = want.tip else { return false };
            let room = want.holders.len() < limits.chat.announcers.max(1);
            if want.holders.contains_key(&peer) || room {
                // It has the tip, whatever it said.
                let next = want.holders.entry(peer).or_insert(want.first);
                *next = number.min(*next);
            }
            true
        })
        .unwrap_or(false)
    }

    /// This neighbour was compared with: it may hold what is missing of runs of which nothing is expected.
    pub(super) fn compared(&mut self, peer: NodeId, limits: &Limits) {
        let is_new = |want: &Want| {
            let room = want.holders.len() < limits.chat.announcers.max(1);
            room && !want.holders.contains_key(&peer)
        };
        let new: Vec<_> =
            self.wants.iter().filter(|(_, want)| is_new(want)).map(|(run, _)| run.clone()).collect();
        for run in new {
            self.change(&run, |want| _ = want.holders.insert(peer, want.first));
        }
    }

    /// An entry with this number came into the log. `missing` tells the first missing number of a run from one on.
    pub(super) fn arrived(
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

    /// Makes room for a run that this neighbour shows: the neighbour that showed most runs loses the oldest one.
    fn make_room(&mut self, from: NodeId, limits: &Limits) {
        while self.wants.len() >= limits.chat.wanted.max(1) {
            let len = |peer: &NodeId, runs: &BTreeSet<_>| runs.len() + usize::from(*peer == from);
            let most = self.shown_by.iter().max_by_key(|(peer, runs)| len(peer, runs));
            let Some(oldest) = most.and_then(|(_, runs)| runs.first().cloned()) else { return };
            self.dropped += 1;
            self.remove(&oldest.1);
        }
    }

    /// Changes a wanted run, and updates the indexes.
    fn change<R>(&mut self, run: &RunId, change: impl FnOnce(&mut Want) -> R) -> Option<R> {
        let want = self.wants.get_mut(run)?;
        if want.is_waiting() {
            self.waiting.remove(&(want.order(), run.clone()));
        }
        if let Some((tip, _)) = want.tip {
            self.tips.remove(&tip);
        }
        self.asked -= usize::from(want.asked.is_some());
        self.low -= usize::from(want.is_low_and_open());
        let result = change(want);
        self.asked += usize::from(want.asked.is_some());
        self.low += usize::from(want.is_low_and_open());
        if let Some((tip, _)) = want.tip {
            self.tips.insert(tip, run.clone());
        }
        if want.is_waiting() {
            self.waiting.insert((want.order(), run.clone()));
            self.idle_until = Some(Instant::ORIGIN);
        } else if want.asked.is_none() {
            // What only the store has is not announced.
            self.finished.extend(want.came.take().filter(|_| !want.low));
        }
        Some(result)
    }

    fn remove(&mut self, run: &RunId) {
        self.change(run, |want| (want.holders.clear(), want.tip.take(), want.asked.take()));
        if let Some(Want { shown: (peer, order), .. }) = self.wants.remove(run)
            && let Some(runs) = self.shown_by.get_mut(&peer)
        {
            runs.remove(&(order, run.clone()));
            if runs.is_empty() {
                self.shown_by.remove(&peer);
            }
        }
    }

    /// The newest entry of a run of which nothing more is to come for now, and who sent it.
    pub(super) fn next_finished(&mut self) -> Option<(EntryId, NodeId)> {
        self.finished.pop()
    }
}

/// Who is asked.
impl Ranges {
    /// Whether this neighbour was asked for the entry with this number.
    pub(super) fn is_asked(&self, peer: NodeId, run: &RunId, seq: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.of(run, seq).is_some())
    }

    /// This neighbour sent an entry that it was asked for.
    pub(super) fn came(&mut self, now: Instant, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        (asked.since, asked.brought) = (now, true);
    }

    /// Such an entry is in the log now.
    pub(super) fn taken(&mut self, peer: NodeId, run: &RunId, id: EntryId) {
        self.change(run, |want| want.came = Some((id, peer)));
    }

    /// There was no room for such an entry.
    pub(super) fn refused(&mut self, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        asked.refused = Some(asked.refused.map_or(seq, |before| before.min(seq)));
    }

    /// This neighbour ended its answer.
    pub(super) fn ended(&mut self, now: Instant, peer: NodeId, end: RangeEnd, limits: &Limits) {
        let asked = self.links.get_mut(&peer).and_then(|link| link.end(now, end, limits));
        let Some(asked) = asked else { return };
        self.idle_until = Some(Instant::ORIGIN);
        let (lost, refused) = (asked.lost, asked.refused);
        if self.wants.get(&asked.run).is_some_and(|want| asked.first > want.last) {
            // These numbers have come, and lower ones are wanted since.
            return;
        }
        let next = end.next.clamp(asked.first, asked.last.saturating_add(1));
        self.change(&asked.run, |want| {
            // One that was late holds it, too.
            want.holders.insert(peer, refused.map_or(next, |refused| refused.min(next)));
            if refused.is_some() {
                want.ready = now + limits.chat.hold_back;
            }
            want.empty = Some(peer).filter(|_| !asked.brought && end.next > asked.last);
            if want.asked == Some(peer) && !lost {
                want.asked = None;
            }
        });
    }

    /// The neighbour's link ended, or moved to another connection: its answers are lost. `gone`: it holds nothing any more.
    pub(super) fn interrupted(&mut self, peer: NodeId, gone: bool) {
        let Some(link) = self.links.remove(&peer) else { return self.forget(peer, gone) };
        for Asked { run, lost, .. } in link.asked {
            self.change(&run, |want| {
                if !lost && want.asked == Some(peer) {
                    want.asked = None;
                }
            });
        }
        self.forget(peer, gone);
    }

    fn forget(&mut self, peer: NodeId, gone: bool) {
        let runs = self.wants.iter().filter(|(_, want)| gone && want.holders.contains_key(&peer));
        let runs: Vec<_> = runs.map(|(run, _)| run.clone()).collect();
        for run in runs {
            self.change(&run, |want| want.holders.remove(&peer));
        }
        self.idle_until = Some(Instant::ORIGIN);
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let checks = self.links.values().flat_map(|link| link.asked.iter().map(|asked| asked.check));
        let idle = self.idle_until.filter(|until| *until < Instant::FAR_FUTURE && !self.waiting.is_empty());
        idle.into_iter().chain(checks).min()
    }

    /// The next range to ask for, and whom. `missing` tells the first missing numbers of a run between two, and `free_at` when
    /// a neighbour may be asked.
    pub(super) fn next_query(
        &mut self,
        now: Instant,
        limits: &Limits,
        missing: impl Fn(&RunId, (u64, u64)) -> Option<(u64, u64)>,
        free_at: impl Fn(NodeId) -> Instant,
    ) -> Option<(NodeId, RangeQuery)> {
        if self.idle_until.is_none_or(|until| until > now) {
            return None;
        }
        let mut wake = Instant::FAR_FUTURE;
        let mut after = Bound::Unbounded;
        while let Some((order, run)) = self.waiting.range((after, Bound::Unbounded)).next().cloned() {
            after = Bound::Excluded((order, run.clone()));
            while let Some(want) = self.wants.get(&run) {
                if missing(&run, (want.first, want.last)).is_none() {
                    self.remove(&run);
                    break;
                }
                if want.ready > now {
                    wake = wake.min(want.ready);
                    break;
                }
                let links = &self.links;
                let free = |peer: NodeId| match free_at(peer) {
                    until if until > now => Err(Some(until)),
                    _ => links.get(&peer).map_or(Ok((0, 0)), |link| link.load(now, &run, want.low, limits)),
                };
                let candidates = want.holders.keys().filter(|peer| want.may_hold(**peer));
                let mut best = None;
                for peer in candidates {
                    match free(*peer) {
                        Ok(load) => best = best.min(Some((load, *peer))).or(Some((load, *peer))),
                        Err(until) => wake = until.map_or(wake, |until| wake.min(until)),
                    }
                }
                let Some((_, peer)) = best else { break };
                let next = want.holders.get(&peer).copied().unwrap_or(0).max(want.first);
                let (last, low) = (want.last, want.low);
                // An author alone decides how high its numbers are, and so how many there are that nobody has.
                let all = low && want.empty == Some(peer);
                let batch = self.links.entry(peer).or_default().batch(limits);
                let Some((first, end)) = missing(&run, (next, last)) else {
                    // Nothing of it is missing from there on.
                    self.change(&run, |want| want.holders.insert(peer, last.saturating_add(1)));
                    continue;
                };
                self.counter += 1;
                let end = if all { end } else { end.min(first.saturating_add(batch - 1)) };
                let query = RangeQuery::new(run.clone(), first, end, self.counter)?;
                self.change(&run, |want| want.asked = Some(peer));
                let link = self.links.entry(peer).or_default();
                link.asked.push(Asked::new(now, query.clone(), low, limits));
                self.idle_until = Some(Instant::ORIGIN);
                return Some((peer, query));
            }
        }
        self.idle_until = Some(wake);
        None
    }

    /// Takes ranges from neighbours that bring nothing. `heard` tells when the last byte of a neighbour came. Returns
    /// whether a run has nobody left who may hold it.
    pub(super) fn expire(
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
            self.change(&run, |want| {
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
        self.waiting == waiting.map(|(run, want)| (want.order(), run.clone())).collect()
            && self.tips == wants().filter_map(|(run, want)| Some((want.tip?.0, run.clone()))).collect()
            && shown_by.collect::<BTreeSet<_>>() == shown.collect()
            && self.low == wants().filter(|(_, want)| want.is_low_and_open()).count()
            && self.asked == wants().filter(|(_, want)| want.asked.is_some()).count()
            && wants().all(|(run, want)| {
                want.holders.keys().all(&is_linked)
                    && want.asked.is_none_or(|peer| is_asked(run, &peer))
                    && want.first <= want.last
            })
            && self.links.keys().all(&is_linked)
    }
}
