//! Requests after a reconciliation: tips of runs that a neighbour showed and this node lacks, a bounded number at a time.
//!
//! Each tip is requested from one neighbour. One that does not come is requested from another one that showed it, too. Else it
//! is left to the next reconciliation.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};
use crate::wire::MAX_GRAFT;

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
    queued: Fifo<EntryId, Instant>,
    /// Tips requested, each with the time of that.
    requested: Fifo<EntryId, Instant>,
    /// A requested entry came since one last expired.
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
    /// An entry that is queued for another neighbour stays there. At the bound, the neighbour with the
    /// longest queue makes room for one with a shorter queue, and other entries are dropped. Requests wait
    /// for a short time, since entries that are spreading just now come by themselves.
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
        limits: &Limits,
    ) {
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            if let Some(source) = self.source.get_mut(&id) {
                let is_new = source.peer != peer && !source.others.contains(&peer);
                if is_new && source.others.len() < limits.chat.announcers {
                    source.others.push(peer);
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
            self.queues.entry(peer).or_default().queued.insert(id, now + limits.chat.ask_after);
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
        last.is_some_and(|(id, _)| self.source.remove(&id).is_some())
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
        let requested = queue.requested.remove(id).is_some();
        queue.progress |= requested;
        if requested && from == Some(peer) {
            queue.came = Some(now);
        }
        self.remove_if_empty(peer);
        (requested, others)
    }

    /// The neighbour does not have an entry, or not its body. It is requested from another one that showed it.
    pub(super) fn asked_in_vain(&mut self, now: Instant, peer: NodeId, id: &EntryId) {
        let Some(source) = self.source.get_mut(id) else { return };
        source.others.retain(|other| *other != peer);
        if source.peer != peer {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&peer) {
            queue.queued.remove(id);
            // It answered.
            queue.progress |= queue.requested.remove(id).is_some();
        }
        self.remove_if_empty(peer);
        self.hand_over(now, *id);
    }

    /// The neighbour is gone. What it was to send is requested from others. Returns whether some of it is left to the next
    /// reconciliation.
    pub(super) fn unlinked(&mut self, now: Instant, peer: NodeId) -> bool {
        for source in self.source.values_mut() {
            source.others.retain(|other| *other != peer);
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
        self.queues.entry(source.peer).or_default().queued.insert(id, now);
        false
    }

    /// When a request is due or expires.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        // Of those that are shared, and of the others, the first one expires first.
        let expires = |queue: &PeerQueue| {
            let first = queue.requested.iter().next();
            let shared = queue.requested.iter().find(|(id, _)| self.is_shared(id));
            let of = |(id, at): (&EntryId, &Instant)| queue.expires_at(*at, self.is_shared(id), limits);
            first.into_iter().chain(shared).map(of).min()
        };
        let of = |queue| expires(queue).into_iter().chain(queue.ready_at(limits)).min();
        self.queues.values().filter_map(of).min()
    }

    /// The next ids to request, as many as fit in one `GRAFT`.
    pub(super) fn next_graft(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, Vec<EntryId>)> {
        let (peer, queue) =
            self.queues.iter_mut().find(|(_, queue)| queue.ready_at(limits).is_some_and(|at| at <= now))?;
        let room = limits.chat.requested.saturating_sub(queue.requested.len()).min(MAX_GRAFT);
        let mut ids = Vec::new();
        while let Some((&id, at)) = queue.queued.first()
            && *at <= now
            && ids.len() < room
        {
            queue.queued.pop_first();
            queue.requested.insert(id, now);
            ids.push(id);
        }
        Some((*peer, ids))
    }

    /// Gives up requests that are too old. If a neighbour sent nothing requested since the last time, gives up its whole queue.
    /// Returns whether nobody else showed some of it.
    pub(super) fn expire(&mut self, now: Instant, limits: &Limits) -> bool {
        let mut expired = Vec::new();
        for (peer, queue) in &self.queues {
            let is_over =
                |(id, at): &(&EntryId, &Instant)| queue.expires_at(**at, self.is_shared(id), limits) <= now;
            expired.extend(queue.requested.iter().filter(is_over).map(|(id, _)| (*peer, *id)));
        }
        let mut alone = false;
        for (peer, id) in &expired {
            if self.queues.get_mut(peer).is_some_and(|queue| queue.requested.remove(id).is_some()) {
                alone |= self.hand_over(now, *id);
            }
        }
        for peer in expired.into_iter().map(|(peer, _)| peer).collect::<BTreeSet<_>>() {
            let progress =
                self.queues.get_mut(&peer).is_some_and(|queue| core::mem::take(&mut queue.progress));
            if !progress {
                alone |= self.give_up_all(now, peer);
            }
            self.remove_if_empty(peer);
        }
        alone
    }

    /// Whether another neighbour showed a tip, too.
    fn is_shared(&self, id: &EntryId) -> bool {
        self.source.get(id).is_some_and(|source| !source.others.is_empty())
    }

    pub(super) fn is_consistent(&self) -> bool {
        let all = self.queues.iter().flat_map(|(peer, queue)| {
            queue.queued.keys().chain(queue.requested.keys()).map(|id| (*id, *peer))
        });
        all.collect::<BTreeMap<_, _>>() == self.source.iter().map(|(id, it)| (*id, it.peer)).collect()
            && self
                .queues
                .values()
                .all(|queue| queue.queued.is_consistent() && queue.requested.is_consistent())
    }
}

impl PeerQueue {
    /// When the next request may be sent. It waits until it can be a full frame, or the rest of the queue, or
    /// until nothing is outstanding.
    fn ready_at(&self, limits: &Limits) -> Option<Instant> {
        let room = limits.chat.requested.saturating_sub(self.requested.len());
        let enough = room >= MAX_GRAFT || room >= self.queued.len() || self.requested.is_empty();
        self.queued.first().filter(|_| enough).map(|(_, at)| *at)
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

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::chat::testing::{at, entry_id as id, peer};

    #[test]
    fn a_bounded_number_is_requested_at_a_time_in_order() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..400).map(id), &limits);
        let mut frames = Vec::new();
        assert!(fetch.next_graft(at(149), &limits).is_none(), "it may come by itself");
        while let Some((_, ids)) = fetch.next_graft(at(150), &limits) {
            frames.push(ids);
        }
        let asked = frames.concat();
        assert_eq!((asked.len(), frames.len()), (limits.chat.requested, limits.chat.requested / MAX_GRAFT));
        assert!(asked.iter().copied().eq((0..256).map(id)));
        for n in 0..64 {
            assert!(fetch.next_graft(at(151), &limits).is_none());
            assert!(fetch.is_requested(peer(1), &id(n)) && fetch.complete(at(151), Some(peer(1)), &id(n)).0);
        }
        let (_, next) = fetch.next_graft(at(151), &limits).unwrap();
        assert!(next.iter().copied().eq((256..320).map(id)));
        assert!(!fetch.complete(at(151), Some(peer(1)), &id(399)).0, "it came before it was requested");
        assert!(!fetch.complete(at(151), Some(peer(1)), &id(0)).0, "it is no longer missing");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn entries_that_do_not_come_are_left_to_another_reconciliation() {
        let limits = Limits::default().with(|limits| limits.chat.requested = 2);
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..6).map(id), &limits);
        fetch.add(at(0), peer(2), (3..8).map(id), &limits);
        let ids = |range: core::ops::Range<u16>| range.map(id).collect::<Vec<_>>();
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), ids(0..2))));
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(2), ids(6..8))));
        assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for));
        assert!(fetch.unlinked(at(150), peer(2)) && !fetch.unlinked(at(150), peer(2)));
        assert!(fetch.complete(at(151), Some(peer(1)), &id(0)).0);
        let over = at(151) + limits.chat.asked_for;
        assert_eq!(
            fetch.deadline(&limits),
            Some(over),
            "an entry that comes extends the time for the others"
        );
        assert!(fetch.expire(over, &limits), "one of two requests");
        assert_eq!(fetch.next_graft(over, &limits), Some((peer(1), ids(2..4))));
        assert!(fetch.is_consistent());
        let over = over + limits.chat.asked_for;
        assert!(fetch.expire(over, &limits), "nothing came since, so all the rest expires");
        assert!(fetch.queues.is_empty() && fetch.source.is_empty());
        assert!(fetch.deadline(&limits).is_none() && !fetch.expire(over, &limits));
    }

    #[test]
    fn a_slow_neighbour_is_waited_for_while_entries_come_but_not_without_end() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..128).map(id), &limits);
        while fetch.next_graft(at(150), &limits).is_some() {}
        let pause = limits.chat.asked_for - Duration::from_millis(1);
        let end = at(150) + limits.chat.asked_for * MAX_WAIT_ANSWERING;
        let mut now = at(150);
        for n in 1..128 {
            now = now + pause;
            if now >= end {
                break;
            }
            assert!(!fetch.expire(now, &limits), "entry {n}");
            assert!(fetch.complete(now, Some(peer(1)), &id(n)).0);
            assert_eq!(fetch.deadline(&limits), Some((now + limits.chat.asked_for).min(end)));
        }
        assert!(fetch.expire(end, &limits), "the neighbour withholds entry 0");
        assert!(!fetch.is_requested(peer(1), &id(0)));
    }

    #[test]
    fn what_others_send_does_not_extend_the_time() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..2).map(id), &limits);
        while fetch.next_graft(at(150), &limits).is_some() {}
        assert!(fetch.complete(at(5000), Some(peer(2)), &id(0)).0);
        fetch.heard(at(6000), peer(2));
        assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for));
    }

    #[test]
    fn other_entries_ahead_of_the_answer_extend_the_time_a_little() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..2).map(id), &limits);
        while fetch.next_graft(at(150), &limits).is_some() {}
        fetch.heard(at(5000), peer(1));
        assert_eq!(fetch.deadline(&limits), Some(at(5000) + limits.chat.asked_for));
        fetch.heard(at(500_000), peer(1));
        assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for * MAX_WAIT_BUSY));
    }

    #[test]
    fn a_tip_that_does_not_come_is_requested_from_another_that_showed_it() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        // The first one is shown by the one alone, who sends something all the time.
        fetch.add(at(0), peer(1), (0..3).map(id), &limits);
        fetch.add(at(0), peer(2), [id(1), id(2)], &limits);
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), (0..3).map(id).collect())));
        fetch.heard(at(9_000), peer(1));
        assert_eq!(fetch.deadline(&limits), Some(at(10_150)));
        assert!(!fetch.expire(at(10_149), &limits));
        // What it brings extends the time for a while.
        assert!(fetch.complete(at(10_149), Some(peer(1)), &id(1)).0);
        fetch.heard(at(20_000), peer(1));
        assert_eq!(fetch.deadline(&limits), Some(at(20_149)), "but not what else it sends");
        assert!(!fetch.expire(at(20_149), &limits), "another one showed it");
        assert_eq!(fetch.next_graft(at(20_149), &limits), Some((peer(2), vec![id(2)])));
        assert!(fetch.is_requested(peer(1), &id(0)) && fetch.is_consistent());
        assert!(fetch.unlinked(at(20_149), peer(2)), "nobody else showed it");
        assert!(!fetch.is_queued(peer(2), &id(2)) && fetch.is_consistent());
    }

    #[test]
    fn a_tip_that_a_neighbour_denies_is_requested_from_another() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        for n in 1..4 {
            fetch.add(at(0), peer(n), [id(1)], &limits);
        }
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), vec![id(1)])));
        fetch.asked_in_vain(at(200), peer(2), &id(1));
        fetch.asked_in_vain(at(200), peer(1), &id(1));
        assert_eq!(fetch.next_graft(at(200), &limits), Some((peer(3), vec![id(1)])));
        fetch.asked_in_vain(at(300), peer(3), &id(1));
        assert!(fetch.source.is_empty() && fetch.queues.is_empty());
    }

    #[test]
    fn what_a_neighbour_that_is_gone_was_to_send_is_requested_from_others() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        for n in 1..4 {
            fetch.add(at(0), peer(n), (0..3).map(id), &limits);
        }
        assert!(!fetch.unlinked(at(10), peer(2)) && !fetch.unlinked(at(10), peer(1)));
        assert_eq!(fetch.next_graft(at(10), &limits), Some((peer(3), (0..3).map(id).collect())));
        assert!(fetch.is_consistent());
        assert!(fetch.unlinked(at(10), peer(3)));
    }

    #[test]
    fn who_else_showed_a_tip_is_known_when_it_comes() {
        let limits = Limits::default();
        let mut fetch = TipFetch::default();
        for n in [1, 2, 1, 3, 2] {
            fetch.add(at(0), peer(n), [id(1)], &limits);
        }
        assert!(fetch.is_queued(peer(1), &id(1)) && !fetch.is_queued(peer(2), &id(1)));
        assert_eq!(fetch.complete(at(1), Some(peer(1)), &id(1)), (false, [peer(2), peer(3)].into()));
        assert_eq!(fetch.complete(at(1), Some(peer(1)), &id(1)), (false, vec![]));
    }

    #[test]
    fn the_longest_queue_makes_room() {
        let limits = Limits::default().with(|limits| limits.chat.fetching = 8);
        let mut fetch = TipFetch::default();
        fetch.add(at(0), peer(1), (0..20).map(id), &limits);
        assert_eq!((fetch.source.len(), fetch.dropped()), (8, 12));
        fetch.add(at(0), peer(2), (20..40).map(id), &limits);
        assert_eq!(fetch.dropped(), 12 + 20, "four of the one and all but four of the other");
        assert_eq!(fetch.queues.values().map(|queue| queue.queued.len()).collect::<Vec<_>>(), [4, 4]);
        assert!(fetch.queues[&peer(1)].queued.keys().copied().eq((0..4).map(id)), "the first entries stay");
        assert!(fetch.is_consistent());
    }
}
