//! What a reconciliation showed to be elsewhere: asked for in turn, so much at a time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};
use crate::wire::MAX_GRAFT;

/// Entries that a neighbour holds and we lack, by its side of a reconciliation.
#[derive(Debug, Default)]
pub(super) struct SyncFetch {
    queues: BTreeMap<NodeId, PeerQueue>,
    /// From whom each is wanted: an index of `queues`.
    source: BTreeMap<EntryId, NodeId>,
    /// How many were left to the next reconciliation for want of room.
    dropped: u64,
}

#[derive(Debug, Default)]
struct PeerQueue {
    /// When each may be asked for.
    queued: Fifo<EntryId, Instant>,
    /// When each was asked for.
    asked: Fifo<EntryId, Instant>,
    /// Something that had been asked for came, since something did not.
    progress: bool,
}

impl SyncFetch {
    pub(super) fn len(&self) -> usize {
        self.source.len()
    }

    /// The most that one neighbour was asked for.
    pub(super) fn most_asked(&self) -> usize {
        self.queues.values().map(|queue| queue.asked.len()).max().unwrap_or(0)
    }

    /// These are wanted from that neighbour, the first first. What is wanted from another already stays with that one;
    /// what there is no room for is left to the next reconciliation, except that whoever holds most makes room for one
    /// who holds less. They are asked for after a moment: what is being said just now comes by itself.
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
        limits: &Limits,
    ) {
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            if self.source.contains_key(&id) {
                continue;
            }
            if self.source.len() >= limits.chat.wanted {
                self.dropped += 1;
                if !self.make_room(peer) {
                    self.dropped += ids.filter(|id| !self.source.contains_key(id)).count() as u64;
                    break;
                }
            }
            self.source.insert(id, peer);
            self.queues.entry(peer).or_default().queued.insert(id, now + limits.chat.ask_after);
        }
    }

    /// Whether there was somebody who held more than this one will, and has given up the last.
    fn make_room(&mut self, peer: NodeId) -> bool {
        let held = self.queues.get(&peer).map_or(0, |queue| queue.queued.len());
        let most = self.queues.iter_mut().max_by_key(|(_, queue)| queue.queued.len());
        let Some((_, queue)) = most.filter(|(_, queue)| queue.queued.len() > held + 1) else { return false };
        let last = queue.queued.pop_last();
        last.is_some_and(|(id, _)| self.source.remove(&id).is_some())
    }

    /// How many were left to the next reconciliation for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove_if_empty(&mut self, peer: NodeId) {
        if self.queues.get(&peer).is_some_and(|queue| queue.queued.is_empty() && queue.asked.is_empty()) {
            self.queues.remove(&peer);
        }
    }

    /// Whether this neighbour was asked for the entry.
    pub(super) fn is_requested(&self, peer: NodeId, id: &EntryId) -> bool {
        self.queues.get(&peer).is_some_and(|queue| queue.asked.contains(id))
    }

    /// The entry came, or is no longer wanted. Whether it had been asked for.
    pub(super) fn complete(&mut self, id: &EntryId) -> bool {
        let Some(peer) = self.source.remove(id) else { return false };
        let Some(queue) = self.queues.get_mut(&peer) else { return false };
        queue.queued.remove(id);
        let asked = queue.asked.remove(id).is_some();
        queue.progress |= asked;
        self.remove_if_empty(peer);
        asked
    }

    /// Whether something was wanted from it.
    pub(super) fn unlinked(&mut self, peer: NodeId) -> bool {
        let Some(queue) = self.queues.remove(&peer) else { return false };
        for id in queue.queued.keys().chain(queue.asked.keys()) {
            self.source.remove(id);
        }
        true
    }

    /// When a neighbour is to be asked for more, or is waited for no longer.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of = |queue: &PeerQueue| {
            let over = queue.asked.first().map(|(_, at)| *at + limits.chat.asked_for);
            queue.ready_at(limits).into_iter().chain(over).min()
        };
        self.queues.values().filter_map(of).min()
    }

    /// The next ids to ask for, as many as one `GRAFT` takes.
    pub(super) fn next_graft(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, Vec<EntryId>)> {
        let (peer, queue) =
            self.queues.iter_mut().find(|(_, queue)| queue.ready_at(limits).is_some_and(|at| at <= now))?;
        let room = limits.chat.asked.saturating_sub(queue.asked.len()).min(MAX_GRAFT);
        let mut ids = Vec::new();
        while let Some((&id, at)) = queue.queued.first()
            && *at <= now
            && ids.len() < room
        {
            queue.queued.pop_first();
            queue.asked.insert(id, now);
            ids.push(id);
        }
        Some((*peer, ids))
    }

    /// What a neighbour was asked for too long ago is left to another reconciliation, and all that waits for it if nothing
    /// came from it since. Whether there was anything.
    pub(super) fn expire(&mut self, now: Instant, limits: &Limits) -> bool {
        let is_over = |at: Instant| now >= at + limits.chat.asked_for;
        let mut given_up = Vec::new();
        let mut over = BTreeSet::new();
        for (peer, queue) in &mut self.queues {
            while let Some((id, at)) = queue.asked.first().map(|(id, at)| (*id, *at))
                && is_over(at)
            {
                queue.asked.pop_first();
                given_up.push(id);
                over.insert(*peer);
            }
        }
        for id in &given_up {
            self.source.remove(id);
        }
        for peer in over {
            let came = self
                .queues
                .get_mut(&peer)
                .is_some_and(|queue| core::mem::replace(&mut queue.progress, false));
            if !came {
                self.unlinked(peer);
            }
            self.remove_if_empty(peer);
        }
        !given_up.is_empty()
    }

    pub(super) fn is_consistent(&self) -> bool {
        let all = self
            .queues
            .iter()
            .flat_map(|(peer, queue)| queue.queued.keys().chain(queue.asked.keys()).map(|id| (*id, *peer)));
        all.collect::<BTreeMap<_, _>>() == self.source
            && self.queues.values().all(|queue| queue.queued.is_consistent() && queue.asked.is_consistent())
    }
}

impl PeerQueue {
    /// A whole frame's worth where there is so much.
    fn ready_at(&self, limits: &Limits) -> Option<Instant> {
        let room = limits.chat.asked.saturating_sub(self.asked.len());
        let enough = room >= MAX_GRAFT || room >= self.queued.len() || self.asked.is_empty();
        self.queued.first().filter(|_| enough).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn id(n: u16) -> EntryId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        EntryId::from_bytes(bytes)
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn so_many_are_asked_for_at_a_time_in_order() {
        let limits = Limits::default();
        let mut fetch = SyncFetch::default();
        fetch.add(at(0), peer(1), (0..400).map(id), &limits);
        let mut frames = Vec::new();
        assert!(fetch.next_graft(at(149), &limits).is_none(), "it may come by itself");
        while let Some((_, ids)) = fetch.next_graft(at(150), &limits) {
            frames.push(ids);
        }
        let asked = frames.concat();
        assert_eq!((asked.len(), frames.len()), (limits.chat.asked, limits.chat.asked / MAX_GRAFT));
        assert!(asked.iter().copied().eq((0..256).map(id)));
        for n in 0..64 {
            assert!(fetch.next_graft(at(151), &limits).is_none());
            assert!(fetch.is_requested(peer(1), &id(n)) && fetch.complete(&id(n)));
        }
        let (_, next) = fetch.next_graft(at(151), &limits).unwrap();
        assert!(next.iter().copied().eq((256..320).map(id)));
        assert!(!fetch.complete(&id(399)), "it came before it was asked for");
        assert!(!fetch.complete(&id(0)), "nobody wants it any more");
        assert!(fetch.is_consistent());
    }

    #[test]
    fn what_does_not_come_is_left_to_another_reconciliation() {
        let limits = Limits::default().with(|limits| limits.chat.asked = 2);
        let mut fetch = SyncFetch::default();
        fetch.add(at(0), peer(1), (0..6).map(id), &limits);
        fetch.add(at(0), peer(2), (3..8).map(id), &limits);
        let ids = |range: core::ops::Range<u16>| range.map(id).collect::<Vec<_>>();
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), ids(0..2))));
        assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(2), ids(6..8))));
        let over = at(150) + limits.chat.asked_for;
        assert_eq!(fetch.deadline(&limits), Some(over));
        assert!(fetch.unlinked(peer(2)) && !fetch.unlinked(peer(2)));
        assert!(fetch.complete(&id(0)));
        assert!(fetch.expire(over, &limits), "one of the two");
        assert_eq!(fetch.next_graft(over, &limits), Some((peer(1), ids(2..4))));
        assert!(fetch.is_consistent());
        let over = over + limits.chat.asked_for;
        assert!(fetch.expire(over, &limits), "nothing came since: all the rest");
        assert!(fetch.queues.is_empty() && fetch.source.is_empty());
        assert!(fetch.deadline(&limits).is_none() && !fetch.expire(over, &limits));
    }

    #[test]
    fn who_wants_most_makes_room() {
        let limits = Limits::default().with(|limits| limits.chat.wanted = 8);
        let mut fetch = SyncFetch::default();
        fetch.add(at(0), peer(1), (0..20).map(id), &limits);
        assert_eq!((fetch.source.len(), fetch.dropped()), (8, 12));
        fetch.add(at(0), peer(2), (20..40).map(id), &limits);
        assert_eq!(fetch.dropped(), 12 + 20, "four of the one and all but four of the other");
        assert_eq!(fetch.queues.values().map(|queue| queue.queued.len()).collect::<Vec<_>>(), [4, 4]);
        assert!(fetch.queues[&peer(1)].queued.keys().copied().eq((0..4).map(id)), "the first stay");
        assert!(fetch.is_consistent());
    }
}
