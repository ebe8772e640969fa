//! With whom to reconcile, and when.

use alloc::collections::BTreeMap;

use rand_core::Rng;

use crate::model::{Instant, Limits, NodeId, below, uniform};

/// With whom a reconciliation is due.
#[derive(Debug, Default)]
pub(super) struct SyncSchedule {
    neighbours: BTreeMap<NodeId, Turn>,
    /// When one with a random neighbour is due.
    random_at: Option<Instant>,
    /// When the last one was.
    random_last: Option<Instant>,
}

#[derive(Debug, Default)]
struct Turn {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl SyncSchedule {
    /// A new link: one side begins; the other does if that one has not after a while.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId, begin: bool, limits: &Limits) {
        let due = if begin { now } else { now + limits.chat.reconcile_again };
        self.neighbours.insert(peer, Turn { due: Some(due), last: None });
        self.random_at.get_or_insert(now + limits.chat.reconcile_every);
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.neighbours.remove(&peer);
        if self.neighbours.is_empty() {
            self.random_at = None;
        }
    }

    /// The neighbour began one: on a new link that is enough.
    pub(super) fn peer_began(&mut self, now: Instant, peer: NodeId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer).filter(|neighbour| neighbour.last.is_none()) {
            *neighbour = Turn { due: None, last: Some(now) };
        }
    }

    /// Something may be missing on one of the two sides.
    pub(super) fn request(&mut self, now: Instant, peer: NodeId, limits: &Limits) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            let free = neighbour.last.map_or(now, |last| now.max(last + limits.chat.reconcile_again));
            neighbour.due.get_or_insert(free);
        }
    }

    /// Something is missing that one neighbour did not bring: another may.
    pub(super) fn request_any(&mut self, now: Instant, limits: &Limits) {
        let free = self.random_last.map_or(now, |last| now.max(last + limits.chat.reconcile_again));
        self.random_at = self.random_at.map(|at| at.min(free));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.neighbours.values().filter_map(|neighbour| neighbour.due).chain(self.random_at).min()
    }

    /// The next neighbour with whom it is due.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<NodeId> {
        if self.random_at.is_some_and(|at| at <= now) {
            self.random_last = Some(now);
            // Between half and one and a half times as long, so that a network does not do it all at once.
            self.random_at =
                Some(now + limits.chat.reconcile_every / 2 + uniform(random, limits.chat.reconcile_every));
            let index = below(random, self.neighbours.len());
            if let Some(neighbour) = self.neighbours.values_mut().nth(index) {
                neighbour.due = Some(now);
            }
        }
        let due = |neighbour: &Turn| neighbour.due.is_some_and(|at| at <= now);
        let (peer, neighbour) = self.neighbours.iter_mut().find(|(_, neighbour)| due(neighbour))?;
        *neighbour = Turn { due: None, last: Some(now) };
        Some(*peer)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::time::Duration;

    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_new_link_at_once_and_a_flagged_one_after_a_while() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut due = SyncSchedule::default();
        assert_eq!(due.deadline(), None);
        due.linked(at(0), peer(1), true, &limits);
        due.linked(at(0), peer(2), false, &limits);
        assert_eq!(due.next_due(at(0), &mut random, &limits), Some(peer(1)));
        assert_eq!(due.next_due(at(0), &mut random, &limits), None);
        due.peer_began(at(1), peer(2));
        due.request(at(1), peer(1), &limits);
        due.request(at(1), peer(2), &limits);
        due.request(at(1), peer(3), &limits);
        assert_eq!(due.next_due(at(1999), &mut random, &limits), None);
        assert_eq!(due.deadline(), Some(at(2000)));
        assert_eq!(due.next_due(at(2000), &mut random, &limits), Some(peer(1)));
        assert_eq!(due.next_due(at(2000), &mut random, &limits), None);
        assert_eq!(due.next_due(at(2001), &mut random, &limits), Some(peer(2)));
        due.unlinked(peer(1));
        due.unlinked(peer(2));
        assert_eq!(due.deadline(), None);
    }

    #[test]
    fn on_a_new_link_the_other_side_begins_if_the_one_that_should_does_not() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut due = SyncSchedule::default();
        due.linked(at(0), peer(1), false, &limits);
        due.linked(at(0), peer(2), false, &limits);
        due.peer_began(at(1000), peer(2));
        assert_eq!(due.next_due(at(1999), &mut random, &limits), None);
        assert_eq!(due.next_due(at(2000), &mut random, &limits), Some(peer(1)));
        due.request(at(2000), peer(1), &limits);
        due.peer_began(at(2001), peer(1));
        assert_eq!(due.next_due(at(4000), &mut random, &limits), Some(peer(1)), "there was a reason");
        assert_eq!(due.next_due(at(4000), &mut random, &limits), None);
    }

    #[test]
    fn what_one_did_not_bring_is_looked_for_soon_and_not_too_often() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut due = SyncSchedule::default();
        due.request_any(at(0), &limits);
        assert_eq!(due.deadline(), None, "there is nobody");
        due.linked(at(0), peer(1), false, &limits);
        due.peer_began(at(1), peer(1));
        due.request_any(at(5), &limits);
        assert_eq!(due.next_due(at(5), &mut random, &limits), Some(peer(1)));
        due.request_any(at(6), &limits);
        assert_eq!(due.deadline(), Some(at(2005)));
    }

    #[test]
    fn every_neighbour_has_its_turn() {
        let limits = Limits::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut due = SyncSchedule::default();
        for n in 0..4 {
            due.linked(at(0), peer(n), false, &limits);
            due.peer_began(at(0), peer(n));
        }
        let mut met = BTreeSet::new();
        let mut now = at(0);
        for _ in 0..40 {
            let next = due.deadline().unwrap();
            assert!(next.since(now) >= limits.chat.reconcile_every / 2);
            now = next;
            met.extend(due.next_due(now, &mut random, &limits));
        }
        assert_eq!(met.len(), 4);
        assert!(now.since(at(0)) < limits.chat.reconcile_every * 48);
    }
}
