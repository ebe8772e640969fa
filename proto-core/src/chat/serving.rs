//! What neighbours asked for, and how much of it each is served (SPEC 9.18).
//!
//! Requests wait until there is room on the link. Each key and each host have a budget of bytes. Both are looked at before
//! an entry is encoded. What has left the window is [read](loads) from the store, and is charged when it is read.

mod claimed;
mod loads;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::log::{AnswerRoom, Log};
use crate::model::{
    ConnId, Entry, EntryId, FreshBuckets, Gone, Instant, Limits, LoadId, Loaded, NodeId, PeerAtHost,
    PeerBuckets, TokenBucket, Wanted,
};
use crate::wire::{RangeEnd, RangeQuery};
use claimed::{Claimed, Requests};
use loads::{Loading, Loads};

/// The requests of all neighbours.
#[derive(Debug, Default)]
pub(super) struct Serving {
    queues: BTreeMap<NodeId, Queue>,
    claimed: Claimed,
    /// Who was served last: the others come first.
    last: Option<NodeId>,
    loads: Loads,
    budgets: PeerBuckets,
    over_budget: u64,
    dropped: u64,
}

/// The requests of one neighbour.
#[derive(Debug, Default)]
struct Queue {
    /// Where it is, if it has a budget.
    host: Option<IpAddr>,
    ids: VecDeque<EntryId>,
    /// The same ids.
    known: BTreeSet<EntryId>,
    ranges: VecDeque<RangeQuery>,
    /// The versions of the first number of the first range that were sent.
    versions: usize,
    /// What the store is asked for, for the first of these requests.
    loading: Option<Loading>,
    /// What it gave, and was not sent yet.
    loaded: VecDeque<Loaded>,
    /// That is what was asked for by its id.
    loaded_ids: bool,
    /// What the store does not have, though it was to have it.
    lacking: Vec<EntryId>,
}

impl Queue {
    fn len(&self) -> usize {
        self.ids.len() + self.ranges.len()
    }

    /// Nothing is left to be done for the neighbour.
    fn is_done(&self) -> bool {
        self.len() == 0 && self.loading.is_none() && self.loaded.is_empty() && self.lacking.is_empty()
    }

    /// An id is no longer asked for.
    fn forget(&mut self, id: &EntryId) {
        if self.known.remove(id) {
            self.ids.retain(|other| other != id);
        }
    }

    fn next_range(&mut self) -> Option<RangeQuery> {
        self.versions = 0;
        self.ranges.pop_front()
    }
}

/// What to send next.
#[derive(Debug)]
pub(super) enum Served {
    Entry(Arc<Entry>),
    /// An entry whose body is gone.
    Gone(Arc<Gone>),
    /// This was asked for, and the store does not have it after all.
    Lack(EntryId),
    /// The store is to be read first.
    Load(LoadId, Wanted),
    /// The end of an answer.
    End(RangeEnd),
}

impl Serving {
    /// The most requests of one neighbour that wait.
    pub(super) fn most(&self) -> usize {
        self.queues.values().map(Queue::len).max().unwrap_or(0).max(self.claimed.most())
    }

    /// The number of budgets: of keys or of hosts, whichever are more.
    pub(super) fn budgets(&self) -> usize {
        self.budgets.len()
    }

    /// How many entries and ranges were not served because a budget was used up.
    pub(super) fn over_budget(&self) -> u64 {
        self.over_budget
    }

    /// How many requests had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// This neighbour asks for these entries. `host`: where it is, if it is on another machine, so that budgets apply.
    pub(super) fn ask(&mut self, peer: NodeId, host: Option<IpAddr>, ids: &[EntryId], limits: &Limits) {
        let queue = self.queues.entry(peer).or_default();
        queue.host = host;
        for id in ids {
            if queue.known.contains(id) {
            } else if queue.len() < limits.chat.serving {
                queue.known.insert(*id);
                queue.ids.push_back(*id);
            } else {
                self.dropped += 1;
            }
        }
    }

    /// This neighbour asks for a range. Returns the answer, if it has asked for too much already.
    pub(super) fn ask_range(
        &mut self,
        peer: NodeId,
        host: Option<IpAddr>,
        query: RangeQuery,
        limits: &Limits,
    ) -> Option<RangeEnd> {
        let queue = self.queues.entry(peer).or_default();
        queue.host = host;
        if queue.len() < limits.chat.serving && queue.ranges.len() < limits.chat.ranges {
            queue.ranges.push_back(query);
            return None;
        }
        self.dropped += 1;
        RangeEnd::new(query.tag, query.first)
    }

    /// A connection that claims the id of this neighbour asks for these entries.
    pub(super) fn ask_by_claim(
        &mut self,
        claimant: (NodeId, ConnId),
        host: Option<IpAddr>,
        ids: &[EntryId],
        limits: &Limits,
    ) {
        self.dropped += self.claimed.ask(claimant, host, ids, limits) as u64;
    }

    /// It asks for a range. Returns the answer, if it has asked for too much already.
    pub(super) fn ask_range_by_claim(
        &mut self,
        claimant: (NodeId, ConnId),
        host: Option<IpAddr>,
        query: &RangeQuery,
        limits: &Limits,
    ) -> Option<RangeEnd> {
        if self.claimed.ask_range(claimant, host, query, limits) {
            return None;
        }
        self.dropped += 1;
        RangeEnd::new(query.tag, query.first)
    }

    /// Takes what was asked for on connections that are links now. `link` tells which one is that of a neighbour. Returns who has
    /// asked for too much, and the answers.
    pub(super) fn follow_claims(
        &mut self,
        link: impl Fn(NodeId) -> Option<ConnId>,
        limits: &Limits,
    ) -> Vec<(NodeId, RangeEnd)> {
        let mut refused = Vec::new();
        while let Some((peer, requests)) = self.claimed.next_decided(&link) {
            refused.extend(self.take_over(peer, requests, limits).into_iter().map(|end| (peer, end)));
        }
        refused
    }

    /// A connection ended. What it asked for goes out on the neighbour's link, if there is one.
    pub(super) fn ended(&mut self, conn: ConnId, is_linked: impl Fn(NodeId) -> bool, limits: &Limits) {
        if let Some((peer, requests)) = self.claimed.ended(conn).filter(|(peer, _)| is_linked(*peer)) {
            // Nobody waits on the link for answers with these tags that it has no room for.
            let _ = self.take_over(peer, requests, limits);
        }
    }

    fn take_over(&mut self, peer: NodeId, requests: Requests, limits: &Limits) -> Vec<RangeEnd> {
        self.ask(peer, requests.host, &requests.ids, limits);
        let ranges = requests.ranges.into_iter();
        ranges.filter_map(|query| self.ask_range(peer, requests.host, query, limits)).collect()
    }

    /// The neighbour's link ended.
    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.queues.remove(&peer);
    }

    /// The next entry or end to send, and to whom. `room` tells how many more bytes may be queued for a neighbour, if any.
    pub(super) fn next(
        &mut self,
        now: Instant,
        log: &Log,
        room: impl Fn(NodeId) -> Option<usize>,
        limits: &Limits,
    ) -> Option<(NodeId, Served)> {
        self.queues.retain(|_, queue| !queue.is_done());
        let after = |last: NodeId| self.queues.keys().filter(move |peer| **peer > last);
        let first = self.last.and_then(|last| after(last).next().copied());
        let start = first.or_else(|| self.queues.keys().next().copied())?;
        let turn: Vec<_> =
            self.queues.range(start..).chain(self.queues.range(..start)).map(|(peer, _)| *peer).collect();
        for peer in turn {
            if let Some(room) = room(peer)
                && let Some(served) = self.serve(now, peer, log, room, limits)
            {
                self.last = Some(peer);
                return Some((peer, served));
            }
        }
        None
    }

    /// The next entry or end for this neighbour. None: there is no room, or nothing is left.
    fn serve(
        &mut self,
        now: Instant,
        peer: NodeId,
        log: &Log,
        room: usize,
        limits: &Limits,
    ) -> Option<Served> {
        loop {
            let queue = self.queues.get_mut(&peer)?;
            if let Some(id) = queue.lacking.pop() {
                return Some(Served::Lack(id));
            }
            if queue.loading.is_some() || !queue.loaded.is_empty() {
                return self.serve_loaded(peer, room);
            }
            if let Some(id) = queue.ids.front() {
                let entry = log.get(id);
                let len = entry.map(|entry| entry.sealed().line_len());
                if len.is_some_and(|len| len > room) {
                    return None;
                }
                if entry.is_none() && log.shelved_tip(id).is_some() && self.may_spend(now, peer, 1, limits) {
                    return self.load_ids(peer, log, limits);
                }
                let queue = self.queues.get_mut(&peer)?;
                queue.ids.pop_front().inspect(|id| _ = queue.known.remove(id));
                let (Some(entry), Some(len)) = (entry, len) else { continue };
                if self.spend(now, peer, len, limits) {
                    return Some(Served::Entry(entry.clone()));
                }
                continue;
            }
            let RangeQuery { run, first, last, tag } = queue.ranges.front()?;
            let (first, last, tag, versions) = (*first, *last, *tag, queue.versions);
            let entry =
                (first <= last).then(|| log.of_run(run, first, last).nth(versions).cloned()).flatten();
            let next = first.saturating_add(u64::from(versions > 0));
            let before = entry.as_ref().map_or(last.saturating_add(1), |entry| entry.seq());
            let shelved = before.checked_sub(1).filter(|end| next <= *end);
            if let Some(span) = shelved.and_then(|end| log.first_shelved(run, next, end)) {
                let wanted = Wanted::Range { run: run.clone(), first: span.0, last: span.1 };
                if self.may_spend(now, peer, 1, limits) {
                    return self.load(peer, wanted, limits);
                }
                self.queues.get_mut(&peer)?.next_range();
                return RangeEnd::new(tag, span.0).map(Served::End);
            }
            let Some(entry) = entry else {
                queue.next_range();
                return RangeEnd::new(tag, last.saturating_add(1)).map(Served::End);
            };
            let len = entry.sealed().line_len();
            if len > room {
                return None;
            }
            if !self.spend(now, peer, len, limits) {
                // The first number was sent already, if another one is next.
                let next = if versions > 0 && entry.seq() > first { entry.seq() } else { first };
                self.queues.get_mut(&peer)?.next_range();
                return RangeEnd::new(tag, next).map(Served::End);
            }
            let queue = self.queues.get_mut(&peer)?;
            let query = queue.ranges.front_mut()?;
            queue.versions = if entry.seq() == query.first { versions + 1 } else { 1 };
            query.first = entry.seq();
            return Some(Served::Entry(entry));
        }
    }

    /// How much an answer to a reconciliation may bring to this neighbour. None: it has no budgets.
    pub(super) fn answer_room(
        &mut self,
        now: Instant,
        of: Option<PeerAtHost>,
        limits: &Limits,
    ) -> AnswerRoom {
        let has_some = of.is_none_or(|of| self.has(now, &of, 1, limits));
        self.over_budget += u64::from(!has_some);
        if has_some { AnswerRoom::Whole } else { AnswerRoom::Least }
    }

    /// Such an answer counts as served. One may go beyond the budgets.
    pub(super) fn answered(&mut self, now: Instant, of: Option<PeerAtHost>, bytes: usize, limits: &Limits) {
        if let Some(of) = of {
            self.charge(now, of, bytes, limits);
        }
    }

    /// Takes so many bytes from the budgets of a neighbour. False: one of them has not as many.
    fn spend(&mut self, now: Instant, peer: NodeId, bytes: usize, limits: &Limits) -> bool {
        let may = self.may_spend(now, peer, bytes, limits);
        if let Some(of) = self.budget_of(peer).filter(|_| may) {
            self.charge(now, of, bytes, limits);
        }
        may
    }

    /// Whether both budgets of a neighbour have so many bytes.
    fn may_spend(&mut self, now: Instant, peer: NodeId, bytes: usize, limits: &Limits) -> bool {
        let may = self.budget_of(peer).is_none_or(|of| self.has(now, &of, bytes, limits));
        self.over_budget += u64::from(!may);
        may
    }

    /// Whose budgets a neighbour that asked uses. None: none apply.
    fn budget_of(&self, peer: NodeId) -> Option<PeerAtHost> {
        self.queues.get(&peer).and_then(|queue| queue.host).map(|host| PeerAtHost { peer, host })
    }

    fn has(&self, now: Instant, of: &PeerAtHost, bytes: usize, limits: &Limits) -> bool {
        self.budgets.next_many_at(now, of, tokens(bytes), full_budget(limits)) <= now
    }

    /// Takes so many bytes from both, also where they have fewer.
    fn charge(&mut self, now: Instant, of: PeerAtHost, bytes: usize, limits: &Limits) {
        self.budgets.charge(now, of, tokens(bytes), full_budget(limits), limits.conns.slots.max(1));
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.queues.values().all(|queue| queue.known == queue.ids.iter().copied().collect())
            && self.loads.is_consistent()
    }
}

/// What a neighbour is served: a window and a quarter. Its host has twice that.
fn full_budget(limits: &Limits) -> FreshBuckets {
    FreshBuckets::twice(budget(limits.chat.log_bytes.saturating_add(limits.chat.log_bytes / 4), limits))
}

fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A budget of so many bytes, which is full again after `limits.chat.budget_time`.
pub(super) fn budget(bytes: usize, limits: &Limits) -> TokenBucket {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
    TokenBucket::new(limits.chat.budget_time / bytes, bytes)
}
