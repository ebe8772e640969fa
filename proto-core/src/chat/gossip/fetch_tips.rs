//! Requests after a reconciliation: tips of runs that a neighbour showed and this node lacks, a bounded number at a time.
//!
//! Each tip is requested from one neighbour. One that does not come is requested from another one that showed it, too. Else it
//! is left to the next reconciliation.

#[cfg(test)]
mod tests;
mod tips;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::model::{EntryId, Instant, Limits, NodeId};
use crate::wire::MAX_GRAFT;

use tips::Tips;

/// While a neighbour sends what was requested, a request expires after this many times `limits.chat.asked_for` at the latest.
pub(crate) const MAX_WAIT_ANSWERING: u32 = 30;
/// While it sends other entries, ahead of which the answer cannot come: the same. It is shorter, so that a neighbour that
/// withholds an entry cannot keep it from being requested from another for long.
pub(crate) const MAX_WAIT_BUSY: u32 = 6;

/// The tips to request after reconciliations, in a queue for each neighbour.
#[derive(Debug, Default)]
pub(super) struct TipFetch {
    queues: BTreeMap<NodeId, PeerQueue>,
    /// From whom each entry is requested. An index of `queues`.
    source: BTreeMap<EntryId, Source>,
    /// How many tips were left to the next reconciliation for want of room.
    dropped: u64,
}

/// From whom an entry is requested, and who else showed it.
#[derive(Debug)]
struct Source {
    peer: NodeId,
    others: Vec<NodeId>,
}

#[derive(Debug, Default)]
struct PeerQueue {
    /// Tips to request, each with the earliest time for that.
    queued: Tips,
    /// Tips requested, each with the time of that.
    requested: Tips,
    /// A requested entry came since one last expired. So the queue stays, but for what others showed, too.
    progress: bool,
    /// When a requested entry last came.
    came: Option<Instant>,
    /// When the neighbour last sent any entry, or its part of a reconciliation.
    heard: Option<Instant>,
}

impl TipFetch {
    pub(super) fn len(&self) -> usize {
        self.source.len()
    }

    /// How many entries are requested from this neighbour, or wait for that.
    pub(super) fn len_from(&self, peer: NodeId) -> usize {
        self.queues.get(&peer).map_or(0, |queue| queue.queued.len() + queue.requested.len())
    }

    /// The most entries requested from one neighbour.
    pub(super) fn most_requested(&self) -> usize {
        self.queues.values().map(|queue| queue.requested.len()).max().unwrap_or(0)
    }

    /// Queues entries to request from a neighbour, in this order.
    ///
    /// An entry that is queued for another neighbour stays there until that one is late. At the bound, the
    /// neighbour with the longest queue makes room for one with a shorter queue, and other entries are
    /// dropped. Requests wait for a short time, since entries that are spreading just now come by themselves.
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
        limits: &Limits,
    ) {
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            if let Some(source) = self.source.get(&id) {
                let is_new = source.peer != peer && !source.others.contains(&peer);
                if is_new && source.others.len() < limits.chat.announcers {
                    self.change_others(&id, |others| others.push(peer));
                }
                continue;
            }
            if self.source.len() >= limits.chat.fetching {
                self.dropped += 1;
                if !self.make_room(peer) {
                    self.dropped += ids.filter(|id| !self.source.contains_key(id)).count() as u64;
                    break;
                }
            }
            self.source.insert(id, Source { peer, others: Vec::new() });
            self.queues.entry(peer).or_default().queued.insert(id, now + limits.chat.ask_after, false);
        }
    }

    /// Changes who else showed a tip, and updates the indexes of its queue.
    fn change_others(&mut self, id: &EntryId, change: impl FnOnce(&mut Vec<NodeId>)) {
        let Some(source) = self.source.get_mut(id) else { return };
        change(&mut source.others);
        if let Some(queue) = self.queues.get_mut(&source.peer) {
            queue.queued.set_shared(id, !source.others.is_empty());
            queue.requested.set_shared(id, !source.others.is_empty());
        }
    }

    /// Drops the last entry of the longest queue, if that stays longer than this neighbour's will be.
    fn make_room(&mut self, peer: NodeId) -> bool {
        let ours = self.queues.get(&peer).map_or(0, |queue| queue.queued.len());
        let longest = self.queues.iter_mut().max_by_key(|(_, queue)| queue.queued.len());
        let Some((_, queue)) = longest.filter(|(_, queue)| queue.queued.len() > ours + 1) else {
            return false;
        };
        let last = queue.queued.pop_last();
        last.is_some_and(|id| self.source.remove(&id).is_some())
    }

    /// How many tips were left to the next reconciliation for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove_if_empty(&mut self, peer: NodeId) {
        if self.queues.get(&peer).is_some_and(|queue| queue.queued.is_empty() && queue.requested.is_empty()) {
            self.queues.remove(&peer);
        }
    }

    /// Whether the entry is requested from this neighbour, or waits for that.
    pub(super) fn is_queued(&self, peer: NodeId, id: &EntryId) -> bool {
        self.source.get(id).is_some_and(|source| source.peer == peer)
    }

    /// Whether the entry was requested from this neighbour.
    pub(super) fn is_requested(&self, peer: NodeId, id: &EntryId) -> bool {
        self.queues.get(&peer).is_some_and(|queue| queue.requested.contains(id))
    }

    /// The neighbour sent an entry, or its part of a reconciliation.
    pub(super) fn heard(&mut self, now: Instant, peer: NodeId) {
        if let Some(queue) = self.queues.get_mut(&peer) {
            queue.heard = Some(now);
        }
    }

    /// The entry came, or is no longer missing. Returns whether it had been requested, and who else showed it.
    pub(super) fn complete(
        &mut self,
        now: Instant,
        from: Option<NodeId>,
        id: &EntryId,
    ) -> (bool, Vec<NodeId>) {
        let Some(Source { peer, others }) = self.source.remove(id) else { return Default::default() };
        let Some(queue) = self.queues.get_mut(&peer) else { return (false, others) };
        queue.queued.remove(id);
        let requested = queue.requested.remove(id);
        queue.progress |= requested;
        if requested && from == Some(peer) {
            queue.came = Some(now);
        }
        self.remove_if_empty(peer);
        (requested, others)
    }

    /// The neighbour does not have an entry, or not its body. It is requested from another one that showed it.
    pub(super) fn asked_in_vain(&mut self, now: Instant, peer: NodeId, id: &EntryId) {
        self.change_others(id, |others| others.retain(|other| *other != peer));
        if !self.is_queued(peer, id) {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&peer) {
            queue.queued.remove(id);
            // It answered.
            queue.progress |= queue.requested.remove(id);
        }
        self.remove_if_empty(peer);
        self.hand_over(now, *id);
    }

    /// The neighbour is gone. What it was to send is requested from others. Returns whether some of it is left to the next
    /// reconciliation.
    pub(super) fn unlinked(&mut self, now: Instant, peer: NodeId) -> bool {
        let shown = self.source.iter().filter(|(_, source)| source.others.contains(&peer));
        for id in shown.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.change_others(&id, |others| others.retain(|other| *other != peer));
        }
        let alone = self.give_up_all(now, peer);
        debug_assert!(!self.queues.contains_key(&peer));
        alone
    }

    /// Requests from others what a neighbour was to send. Returns whether nobody else showed some of it.
    fn give_up_all(&mut self, now: Instant, peer: NodeId) -> bool {
        let Some(queue) = self.queues.remove(&peer) else { return false };
        let ids: Vec<_> = queue.requested.keys().chain(queue.queued.keys()).copied().collect();
        ids.into_iter().map(|id| self.hand_over(now, id)).fold(false, |any, alone| any | alone)
    }

    /// Requests a tip, which is in no queue now, from the next neighbour that showed it. True: there is none.
    fn hand_over(&mut self, now: Instant, id: EntryId) -> bool {
        let Some(source) = self.source.get_mut(&id) else { return true };
        if source.others.is_empty() {
            self.source.remove(&id);
            return true;
        }
        source.peer = source.others.remove(0);
        self.queues.entry(source.peer).or_default().queued.insert(id, now, !source.others.is_empty());
        false
    }

    /// Leaves a queued tip to the next neighbour that showed it. This one was not asked, so it may still be, after the others.
    fn pass_on(&mut self, now: Instant, peer: NodeId, id: EntryId) {
        if self.queues.get_mut(&peer).is_some_and(|queue| queue.queued.remove(&id)) {
            self.source.entry(id).and_modify(|source| source.others.push(peer));
            self.hand_over(now, id);
        }
    }

    /// When a request is due or expires.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of =
            |queue: &PeerQueue| queue.first_expiry(limits).into_iter().chain(queue.ready_at(limits)).min();
        self.queues.values().filter_map(of).min()
    }

    /// The next ids to request, as many as fit in one `GRAFT`.
    pub(super) fn next_graft(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, Vec<EntryId>)> {
        let (peer, queue) =
            self.queues.iter_mut().find(|(_, queue)| queue.ready_at(limits).is_some_and(|at| at <= now))?;
        let room = limits.chat.requested.saturating_sub(queue.requested.len()).min(MAX_GRAFT);
        let mut ids = Vec::new();
        while queue.queued.first().is_some_and(|tip| tip.at <= now)
            && ids.len() < room
            && let Some(tip) = queue.queued.pop_first()
        {
            queue.requested.insert(tip.id, now, tip.shared);
            ids.push(tip.id);
        }
        Some((*peer, ids))
    }

    /// Gives up requests that are too old. If a neighbour sent nothing requested since the last time, gives up its whole queue.
    /// Else leaves to others what they showed, too. Returns whether nobody else showed some of it.
    pub(super) fn expire(&mut self, now: Instant, limits: &Limits) -> bool {
        let is_due = |queue: &PeerQueue| queue.first_expiry(limits).is_some_and(|at| at <= now);
        // All are looked at first, so that a tip changes its queue once, and does not come back to a neighbour that is late, too.
        let due = self.queues.iter().filter(|(_, queue)| is_due(queue));
        let late: Vec<_> = due.map(|(peer, queue)| (*peer, queue.late(now, limits))).collect();
        let mut alone = false;
        for (peer, Late { requested, .. }) in &late {
            for id in requested {
                if self.queues.get_mut(peer).is_some_and(|queue| queue.requested.remove(id)) {
                    alone |= self.hand_over(now, *id);
                }
            }
        }
        for (peer, Late { requested, queued }) in late {
            let progress = |queue: &mut PeerQueue| core::mem::take(&mut queue.progress);
            if requested.is_empty() || self.queues.get_mut(&peer).is_some_and(progress) {
                queued.into_iter().for_each(|id| self.pass_on(now, peer, id));
            } else {
                alone |= self.give_up_all(now, peer);
            }
            self.remove_if_empty(peer);
        }
        alone
    }

    pub(super) fn is_consistent(&self) -> bool {
        let all = self.queues.iter().flat_map(|(peer, queue)| {
            queue.queued.keys().chain(queue.requested.keys()).map(|id| (*id, *peer))
        });
        let is_shared = |id: &EntryId| self.source.get(id).is_some_and(|source| !source.others.is_empty());
        all.collect::<BTreeMap<_, _>>() == self.source.iter().map(|(id, it)| (*id, it.peer)).collect()
            && self.source.values().all(|source| !source.others.contains(&source.peer))
            && self.queues.values().all(|queue| {
                queue.queued.is_consistent(is_shared) && queue.requested.is_consistent(is_shared)
            })
    }
}

/// What a neighbour is late with.
struct Late {
    /// Requests that expired.
    requested: Vec<EntryId>,
    /// Queued tips that others showed, too, and that are not to wait for this neighbour any longer.
    queued: Vec<EntryId>,
}

impl PeerQueue {
    /// When the next request may be sent. It waits until it can be a full frame, or the rest of the queue, or
    /// until nothing is outstanding.
    fn ready_at(&self, limits: &Limits) -> Option<Instant> {
        let room = limits.chat.requested.saturating_sub(self.requested.len());
        let enough = room >= MAX_GRAFT || room >= self.queued.len() || self.requested.is_empty();
        self.queued.first().filter(|_| enough).map(|tip| tip.at)
    }

    /// When a request, or the wait for one, first expires.
    fn first_expiry(&self, limits: &Limits) -> Option<Instant> {
        // Of the requests that are shared, and of the others, the first one expires first.
        let first = self.requested.first().map(|tip| self.expires_at(tip.at, tip.shared, limits));
        let shared = self.requested.first_shared().map(|at| self.expires_at(at, true, limits));
        let queued = self.queued.first_shared().map(|at| wait_ends(at, limits));
        [first, shared, queued].into_iter().flatten().min()
    }

    fn late(&self, now: Instant, limits: &Limits) -> Late {
        let expired = self.requested.iter().filter(|tip| self.expires_at(tip.at, tip.shared, limits) <= now);
        let requested: Vec<_> = expired.map(|tip| tip.id).collect();
        let shared = self.queued.iter().filter(|tip| tip.shared);
        let queued = shared.filter(|tip| !requested.is_empty() || wait_ends(tip.at, limits) <= now);
        Late { queued: queued.map(|tip| tip.id).collect(), requested }
    }

    /// When a request made at this time expires. On a slow link the entries of one request come over minutes, behind what was
    /// sent before, so each one that comes extends the time. `shared`: another neighbour showed the tip, too.
    fn expires_at(&self, requested: Instant, shared: bool, limits: &Limits) -> Instant {
        let wait = limits.chat.asked_for;
        let extended = |last: Option<Instant>, most: u32| {
            last.map_or(requested, |last| last.max(requested) + wait).min(requested + wait * most)
        };
        let (answering, busy) = if shared { (MAX_WAIT_BUSY, 1) } else { (MAX_WAIT_ANSWERING, MAX_WAIT_BUSY) };
        (requested + wait).max(extended(self.came, answering)).max(extended(self.heard, busy))
    }
}

/// Until when a tip that another neighbour showed, too, waits to be requested, counted from when it might have been. So whoever
/// brings what is requested slowly, be it all of it, does not hold up what waits behind that.
fn wait_ends(at: Instant, limits: &Limits) -> Instant {
    at + limits.chat.asked_for * MAX_WAIT_BUSY
}
