//! What a reconciliation showed to be elsewhere: asked for in turn, so much at a time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};
use crate::wire::MAX_GRAFT;

/// Entries that a neighbour holds and we lack, by its side of a reconciliation.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    links: BTreeMap<NodeId, Link>,
    /// From whom each is wanted: an index of `links`.
    from: BTreeMap<EntryId, NodeId>,
    /// How many were left to the next reconciliation for want of room.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Link {
    /// When each may be asked for.
    waiting: Fifo<EntryId, Instant>,
    /// When each was asked for.
    asked: Fifo<EntryId, Instant>,
    /// Something that had been asked for came, since something did not.
    came: bool,
}

impl Wanted {
    pub(super) fn len(&self) -> usize {
        self.from.len()
    }

    /// The most that one neighbour was asked for.
    pub(super) fn most_asked(&self) -> usize {
        self.links.values().map(|link| link.asked.len()).max().unwrap_or(0)
    }

    /// These are wanted from that neighbour, the first first. What is wanted from another already stays with that one;
    /// what there is no room for is left to the next reconciliation, except that whoever holds most makes room for one
    /// who holds less. They are asked for after a moment: what is being said just now comes by itself.
    pub(super) fn want(
        &mut self,
        now: Instant,
        peer: NodeId,
        ids: impl IntoIterator<Item = EntryId>,
        limits: &Limits,
    ) {
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            if self.from.contains_key(&id) {
                continue;
            }
            if self.from.len() >= limits.chat.wanted {
                self.dropped += 1;
                if !self.make_room(peer) {
                    self.dropped += ids.filter(|id| !self.from.contains_key(id)).count() as u64;
                    break;
                }
            }
            self.from.insert(id, peer);
            self.links.entry(peer).or_default().waiting.insert(id, now + limits.chat.ask_after);
        }
    }

    /// Whether there was somebody who held more than this one will, and has given up the last.
    fn make_room(&mut self, peer: NodeId) -> bool {
        let held = self.links.get(&peer).map_or(0, |link| link.waiting.len());
        let most = self.links.iter_mut().max_by_key(|(_, link)| link.waiting.len());
        let Some((_, link)) = most.filter(|(_, link)| link.waiting.len() > held + 1) else { return false };
        let last = link.waiting.pop_last();
        last.is_some_and(|(id, _)| self.from.remove(&id).is_some())
    }

    /// How many were left to the next reconciliation for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn tidy(&mut self, peer: NodeId) {
        if self.links.get(&peer).is_some_and(|link| link.waiting.is_empty() && link.asked.is_empty()) {
            self.links.remove(&peer);
        }
    }

    /// Whether this neighbour was asked for the entry.
    pub(super) fn is_asked(&self, peer: NodeId, id: &EntryId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.asked.contains(id))
    }

    /// The entry came, or is no longer wanted. Whether it had been asked for.
    pub(super) fn found(&mut self, id: &EntryId) -> bool {
        let Some(peer) = self.from.remove(id) else { return false };
        let Some(link) = self.links.get_mut(&peer) else { return false };
        link.waiting.remove(id);
        let asked = link.asked.remove(id).is_some();
        link.came |= asked;
        self.tidy(peer);
        asked
    }

    /// Whether something was wanted from it.
    pub(super) fn unlinked(&mut self, peer: NodeId) -> bool {
        let Some(link) = self.links.remove(&peer) else { return false };
        for id in link.waiting.keys().chain(link.asked.keys()) {
            self.from.remove(id);
        }
        true
    }

    /// When a neighbour is to be asked for more, or is waited for no longer.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of = |link: &Link| {
            let over = link.asked.first().map(|(_, at)| *at + limits.chat.asked_for);
            link.may_ask_at(limits).into_iter().chain(over).min()
        };
        self.links.values().filter_map(of).min()
    }

    /// The next ids to ask for, as many as one `GRAFT` takes.
    pub(super) fn next_due(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, Vec<EntryId>)> {
        let (peer, link) =
            self.links.iter_mut().find(|(_, link)| link.may_ask_at(limits).is_some_and(|at| at <= now))?;
        let room = limits.chat.asked.saturating_sub(link.asked.len()).min(MAX_GRAFT);
        let mut ids = Vec::new();
        while let Some((&id, at)) = link.waiting.first()
            && *at <= now
            && ids.len() < room
        {
            link.waiting.pop_first();
            link.asked.insert(id, now);
            ids.push(id);
        }
        Some((*peer, ids))
    }

    /// What a neighbour was asked for too long ago is left to another reconciliation, and all that waits for it if nothing
    /// came from it since. Whether there was anything.
    pub(super) fn give_up(&mut self, now: Instant, limits: &Limits) -> bool {
        let is_over = |at: Instant| now >= at + limits.chat.asked_for;
        let mut given_up = Vec::new();
        let mut over = BTreeSet::new();
        for (peer, link) in &mut self.links {
            while let Some((id, at)) = link.asked.first().map(|(id, at)| (*id, *at))
                && is_over(at)
            {
                link.asked.pop_first();
                given_up.push(id);
                over.insert(*peer);
            }
        }
        for id in &given_up {
            self.from.remove(id);
        }
        for peer in over {
            let came =
                self.links.get_mut(&peer).is_some_and(|link| core::mem::replace(&mut link.came, false));
            if !came {
                self.unlinked(peer);
            }
            self.tidy(peer);
        }
        !given_up.is_empty()
    }

    pub(super) fn is_consistent(&self) -> bool {
        let all = self
            .links
            .iter()
            .flat_map(|(peer, link)| link.waiting.keys().chain(link.asked.keys()).map(|id| (*id, *peer)));
        all.collect::<BTreeMap<_, _>>() == self.from
            && self.links.values().all(|link| link.waiting.is_consistent() && link.asked.is_consistent())
    }
}

impl Link {
    /// A whole frame's worth where there is so much.
    fn may_ask_at(&self, limits: &Limits) -> Option<Instant> {
        let room = limits.chat.asked.saturating_sub(self.asked.len());
        let enough = room >= MAX_GRAFT || room >= self.waiting.len() || self.asked.is_empty();
        self.waiting.first().filter(|_| enough).map(|(_, at)| *at)
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
        let mut wanted = Wanted::default();
        wanted.want(at(0), peer(1), (0..400).map(id), &limits);
        let mut frames = Vec::new();
        assert!(wanted.next_due(at(149), &limits).is_none(), "it may come by itself");
        while let Some((_, ids)) = wanted.next_due(at(150), &limits) {
            frames.push(ids);
        }
        let asked = frames.concat();
        assert_eq!((asked.len(), frames.len()), (limits.chat.asked, limits.chat.asked / MAX_GRAFT));
        assert!(asked.iter().copied().eq((0..256).map(id)));
        for n in 0..64 {
            assert!(wanted.next_due(at(151), &limits).is_none());
            assert!(wanted.is_asked(peer(1), &id(n)) && wanted.found(&id(n)));
        }
        let (_, next) = wanted.next_due(at(151), &limits).unwrap();
        assert!(next.iter().copied().eq((256..320).map(id)));
        assert!(!wanted.found(&id(399)), "it came before it was asked for");
        assert!(!wanted.found(&id(0)), "nobody wants it any more");
        assert!(wanted.is_consistent());
    }

    #[test]
    fn what_does_not_come_is_left_to_another_reconciliation() {
        let limits = Limits::default().with(|limits| limits.chat.asked = 2);
        let mut wanted = Wanted::default();
        wanted.want(at(0), peer(1), (0..6).map(id), &limits);
        wanted.want(at(0), peer(2), (3..8).map(id), &limits);
        let ids = |range: core::ops::Range<u16>| range.map(id).collect::<Vec<_>>();
        assert_eq!(wanted.next_due(at(150), &limits), Some((peer(1), ids(0..2))));
        assert_eq!(wanted.next_due(at(150), &limits), Some((peer(2), ids(6..8))));
        let over = at(150) + limits.chat.asked_for;
        assert_eq!(wanted.deadline(&limits), Some(over));
        assert!(wanted.unlinked(peer(2)) && !wanted.unlinked(peer(2)));
        assert!(wanted.found(&id(0)));
        assert!(wanted.give_up(over, &limits), "one of the two");
        assert_eq!(wanted.next_due(over, &limits), Some((peer(1), ids(2..4))));
        assert!(wanted.is_consistent());
        let over = over + limits.chat.asked_for;
        assert!(wanted.give_up(over, &limits), "nothing came since: all the rest");
        assert!(wanted.links.is_empty() && wanted.from.is_empty());
        assert!(wanted.deadline(&limits).is_none() && !wanted.give_up(over, &limits));
    }

    #[test]
    fn who_wants_most_makes_room() {
        let limits = Limits::default().with(|limits| limits.chat.wanted = 8);
        let mut wanted = Wanted::default();
        wanted.want(at(0), peer(1), (0..20).map(id), &limits);
        assert_eq!((wanted.from.len(), wanted.dropped()), (8, 12));
        wanted.want(at(0), peer(2), (20..40).map(id), &limits);
        assert_eq!(wanted.dropped(), 12 + 20, "four of the one and all but four of the other");
        assert_eq!(wanted.links.values().map(|link| link.waiting.len()).collect::<Vec<_>>(), [4, 4]);
        assert!(wanted.links[&peer(1)].waiting.keys().copied().eq((0..4).map(id)), "the first stay");
        assert!(wanted.is_consistent());
    }
}
