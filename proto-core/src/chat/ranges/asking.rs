//! Who is asked for what is missing: one neighbour at a time for each run, and another one if that brings nothing.

use alloc::vec::Vec;
use core::ops::Bound;

use super::Ranges;
use super::link::{Asked, LinkRanges};
use super::low::STEP;
use crate::chat::log::Coming;
use crate::model::{EntryId, Instant, Limits, NodeId, RunId};
use crate::wire::{RangeEnd, RangeQuery};

impl Ranges {
    /// Whether this neighbour was asked for the entry with this number.
    pub(in crate::chat) fn is_asked(&self, peer: NodeId, run: &RunId, seq: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.of(run, seq).is_some())
    }

    /// This neighbour sent an entry that it was asked for.
    pub(in crate::chat) fn came(&mut self, now: Instant, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        asked.since = now;
        asked.next = seq.saturating_add(1);
    }

    /// What of this run may come from neighbours that are answering, be it with another range. `heard` tells when the last
    /// byte of a neighbour came.
    pub(in crate::chat) fn coming(
        &self,
        run: &RunId,
        heard: impl Fn(NodeId) -> Option<Instant>,
    ) -> Option<Coming> {
        let want = self.wants.get(run).filter(|want| !want.low)?;
        let of = |(peer, link): (&NodeId, &LinkRanges)| {
            let asked = link.asked.iter().filter(|asked| !asked.lost);
            let from = match asked.clone().find(|asked| asked.run == *run) {
                Some(asked) => asked.next,
                None => *want.holders.get(peer).filter(|next| **next <= want.last)?,
            };
            let at = heard(*peer).filter(|_| asked.clone().next().is_some())?;
            Some(Coming { from: from.max(want.first), at })
        };
        let coming = self.links.iter().filter_map(of);
        coming.reduce(|one, other| Coming { from: one.from.min(other.from), at: one.at.max(other.at) })
    }

    /// Such an entry is in the log now.
    pub(in crate::chat) fn taken(&mut self, peer: NodeId, run: &RunId, id: EntryId) {
        self.change(run, |want| want.came = Some((id, peer)));
    }

    /// There was no room for such an entry.
    pub(in crate::chat) fn refused(&mut self, peer: NodeId, run: &RunId, seq: u64) {
        let Some(asked) = self.links.get_mut(&peer).and_then(|link| link.of_mut(run, seq)) else { return };
        asked.refused = Some(asked.refused.map_or(seq, |before| before.min(seq)));
    }

    /// This neighbour ended its answer.
    pub(in crate::chat) fn ended(&mut self, now: Instant, peer: NodeId, end: RangeEnd, limits: &Limits) {
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
            if want.asked == Some(peer) && !lost {
                want.asked = None;
            }
        });
    }

    /// The neighbour's link ended, or moved to another connection: its answers are lost. `gone`: it holds nothing any more.
    pub(in crate::chat) fn interrupted(&mut self, peer: NodeId, gone: bool) {
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
    pub(in crate::chat) fn deadline(&self) -> Option<Instant> {
        let checks = self.links.values().flat_map(|link| link.asked.iter().map(|asked| asked.check));
        let idle = self.idle_until.filter(|until| *until < Instant::FAR_FUTURE && !self.waiting.is_empty());
        idle.into_iter().chain(checks).min()
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
                let is_sparse = low && last - want.first >= STEP;
                let batch = self.links.entry(peer).or_default().batch(limits);
                let batch = if is_sparse { u64::MAX } else { batch };
                let Some((first, end)) = missing(&run, (next, last)) else {
                    // Nothing of it is missing from there on.
                    self.change(&run, |want| want.holders.insert(peer, last.saturating_add(1)));
                    continue;
                };
                self.counter += 1;
                let end = end.min(first.saturating_add(batch - 1));
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
}
