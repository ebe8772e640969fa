//! When to reconcile, and with whom. The exchange itself is in [`log`](crate::chat::log).

use alloc::collections::BTreeMap;

use rand_core::Rng;

use crate::model::{Instant, Limits, NodeId, below, uniform};

/// The neighbours with whom a reconciliation is due.
#[derive(Debug, Default)]
pub(super) struct SyncSchedule {
    turns: BTreeMap<NodeId, Turn>,
    /// When the next one with a random neighbour is due.
    random_at: Option<Instant>,
    /// When the last one with a random neighbour was due.
    random_last: Option<Instant>,
}

/// A neighbour's reconciliations.
#[derive(Debug, Default)]
struct Turn {
    /// When the next one is due.
    due: Option<Instant>,
    /// When the last one was.
    last: Option<Instant>,
    /// When the neighbour last asked for as many entries as fit in one `GRAFT`.
    served: Option<Instant>,
    /// The neighbour ignored the last one.
    ignored: bool,
    /// This node begins the next one, whatever the neighbour does.
    needed: bool,
}

impl SyncSchedule {
    /// A neighbour was linked. One side begins at once, the other after an interval if the first has not.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId, we_begin: bool, limits: &Limits) {
        let due = if we_begin { now } else { now + limits.chat.reconcile_again };
        self.turns.insert(peer, Turn { due: Some(due), ..Turn::default() });
        self.random_at.get_or_insert(now + limits.chat.reconcile_every);
    }

    /// This node asks the neighbour, which was just linked, for what it lacks, and begins for that.
    pub(super) fn begin_on_new_link(&mut self, now: Instant, peer: NodeId) {
        if let Some(turn) = self.turns.get_mut(&peer).filter(|turn| turn.last.is_none()) {
            *turn = Turn { due: Some(now), needed: true, ..*turn };
        }
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.turns.remove(&peer);
        if self.turns.is_empty() {
            self.random_at = None;
        }
    }

    /// The neighbour began a reconciliation. On a new link this node need not begin another.
    pub(super) fn peer_began(&mut self, now: Instant, peer: NodeId) {
        if let Some(turn) = self.turns.get_mut(&peer).filter(|turn| turn.last.is_none() && !turn.needed) {
            *turn = Turn { due: None, last: Some(now), ..*turn };
        }
    }

    /// The neighbour asked for as many entries as fit in one `GRAFT`: it is catching up.
    pub(super) fn served_many(&mut self, now: Instant, peer: NodeId) {
        if let Some(turn) = self.turns.get_mut(&peer) {
            turn.served = Some(now);
        }
    }

    /// Schedules a reconciliation with this neighbour, as soon as the last one is long enough ago.
    pub(super) fn request(&mut self, now: Instant, peer: NodeId, limits: &Limits) {
        if let Some(turn) = self.turns.get_mut(&peer) {
            let earliest = turn.last.map_or(now, |last| now.max(last + limits.chat.reconcile_again));
            turn.due.get_or_insert(earliest);
        }
    }

    /// The neighbour ignored the last reconciliation. The next one is not put off.
    pub(super) fn ignored(&mut self, now: Instant, peer: NodeId, limits: &Limits) {
        if let Some(turn) = self.turns.get_mut(&peer) {
            turn.ignored = true;
        }
        self.request(now, peer, limits);
    }

    /// Schedules a reconciliation with a random neighbour, as soon as the last such one is long enough ago.
    pub(super) fn request_any(&mut self, now: Instant, limits: &Limits) {
        let earliest = self.random_last.map_or(now, |last| now.max(last + limits.chat.reconcile_again));
        self.random_at = self.random_at.map(|at| at.min(earliest));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.turns.values().filter_map(|turn| turn.due).chain(self.random_at).min()
    }

    /// The next neighbour with whom a reconciliation is due. It is put off while either side catches up from the other:
    /// `is_fetching` tells from whom this node does.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        is_fetching: impl Fn(NodeId) -> bool,
        limits: &Limits,
    ) -> Option<NodeId> {
        if self.random_at.is_some_and(|at| at <= now) {
            self.random_last = Some(now);
            // Between half and one and a half of the interval, so that nodes do not act in step.
            self.random_at =
                Some(now + limits.chat.reconcile_every / 2 + uniform(random, limits.chat.reconcile_every));
            let index = below(random, self.turns.len());
            if let Some(turn) = self.turns.values_mut().nth(index) {
                turn.due = Some(now);
            }
        }
        let is_due = |turn: &Turn| turn.due.is_some_and(|at| at <= now);
        while let Some((peer, turn)) = self.turns.iter_mut().find(|(_, turn)| is_due(turn)) {
            if turn.is_put_off(now, is_fetching(*peer), limits) {
                turn.due = Some(now + limits.chat.asked_for);
            } else {
                *turn = Turn { due: None, last: Some(now), ignored: false, needed: false, ..*turn };
                return Some(*peer);
            }
        }
        None
    }
}

impl Turn {
    /// Whether a reconciliation would only name what is on its way. That costs a slow link much. No neighbour can put one
    /// off for longer than `limits.chat.sync_timeout`, nor the one that shows whether it ignores them all.
    fn is_put_off(&self, now: Instant, is_fetching: bool, limits: &Limits) -> bool {
        let within = |at: Option<Instant>, time| at.is_some_and(|at| now < at + time);
        let catching_up = is_fetching || within(self.served, limits.chat.ask_same);
        catching_up && !self.ignored && within(self.last, limits.chat.sync_timeout)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::chat::testing::{at, generator, peer};

    #[test]
    fn a_new_link_reconciles_at_once_and_a_requested_one_after_an_interval() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        assert_eq!(syncs.deadline(), None);
        syncs.linked(at(0), peer(1), true, &limits);
        syncs.linked(at(0), peer(2), false, &limits);
        assert_eq!(syncs.next_due(at(0), &mut random, |_| false, &limits), Some(peer(1)));
        assert_eq!(syncs.next_due(at(0), &mut random, |_| false, &limits), None);
        syncs.peer_began(at(1), peer(2));
        syncs.request(at(1), peer(1), &limits);
        syncs.request(at(1), peer(2), &limits);
        syncs.request(at(1), peer(3), &limits);
        assert_eq!(syncs.next_due(at(1999), &mut random, |_| false, &limits), None);
        assert_eq!(syncs.deadline(), Some(at(2000)));
        assert_eq!(syncs.next_due(at(2000), &mut random, |_| false, &limits), Some(peer(1)));
        assert_eq!(syncs.next_due(at(2000), &mut random, |_| false, &limits), None);
        assert_eq!(syncs.next_due(at(2001), &mut random, |_| false, &limits), Some(peer(2)));
        syncs.unlinked(peer(1));
        syncs.unlinked(peer(2));
        assert_eq!(syncs.deadline(), None);
    }

    #[test]
    fn on_a_new_link_the_other_side_begins_if_the_first_does_not() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        syncs.linked(at(0), peer(1), false, &limits);
        syncs.linked(at(0), peer(2), false, &limits);
        syncs.peer_began(at(1000), peer(2));
        assert_eq!(syncs.next_due(at(1999), &mut random, |_| false, &limits), None);
        assert_eq!(syncs.next_due(at(2000), &mut random, |_| false, &limits), Some(peer(1)));
        syncs.request(at(2000), peer(1), &limits);
        syncs.peer_began(at(2001), peer(1));
        assert_eq!(
            syncs.next_due(at(4000), &mut random, |_| false, &limits),
            Some(peer(1)),
            "it was requested"
        );
        assert_eq!(syncs.next_due(at(4000), &mut random, |_| false, &limits), None);
    }

    #[test]
    fn whoever_lacks_something_begins_on_a_new_link_whatever_the_other_side_does() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        syncs.linked(at(0), peer(1), false, &limits);
        syncs.begin_on_new_link(at(0), peer(1));
        syncs.peer_began(at(0), peer(1));
        assert_eq!(syncs.next_due(at(0), &mut random, |_| true, &limits), Some(peer(1)));
        assert_eq!(syncs.next_due(at(2000), &mut random, |_| false, &limits), None);
        syncs.begin_on_new_link(at(2000), peer(1));
        assert_eq!(syncs.next_due(at(2000), &mut random, |_| false, &limits), None, "it is not new any more");
    }

    #[test]
    fn a_request_for_any_neighbour_is_due_soon_but_not_too_often() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        syncs.request_any(at(0), &limits);
        assert_eq!(syncs.deadline(), None, "there is no neighbour");
        syncs.linked(at(0), peer(1), false, &limits);
        syncs.peer_began(at(1), peer(1));
        syncs.request_any(at(5), &limits);
        assert_eq!(syncs.next_due(at(5), &mut random, |_| false, &limits), Some(peer(1)));
        syncs.request_any(at(6), &limits);
        assert_eq!(syncs.deadline(), Some(at(2005)));
    }

    #[test]
    fn every_neighbour_has_its_turn() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        for n in 0..4 {
            syncs.linked(at(0), peer(n), false, &limits);
            syncs.peer_began(at(0), peer(n));
        }
        let mut met = BTreeSet::new();
        let mut now = at(0);
        for _ in 0..40 {
            let next = syncs.deadline().unwrap();
            assert!(next.since(now) >= limits.chat.reconcile_every / 2);
            now = next;
            met.extend(syncs.next_due(now, &mut random, |_| false, &limits));
        }
        assert_eq!(met.len(), 4);
        assert!(now.since(at(0)) < limits.chat.reconcile_every * 48);
    }

    #[test]
    fn a_reconciliation_is_put_off_while_one_side_catches_up_but_not_for_long() {
        let limits = Limits::default();
        let timeout = limits.chat.sync_timeout;
        for fetching in [true, false] {
            let mut random = generator();
            let mut syncs = SyncSchedule::default();
            syncs.linked(at(0), peer(1), true, &limits);
            let first = syncs.next_due(at(0), &mut random, |_| fetching, &limits);
            assert_eq!(first, Some(peer(1)), "the first one is not put off");
            let mut now = at(0);
            let begun = loop {
                if !fetching {
                    syncs.served_many(now, peer(1));
                }
                now = syncs.deadline().unwrap();
                if syncs.next_due(now, &mut random, |_| fetching, &limits).is_some() {
                    break now;
                }
            };
            assert!(begun >= at(0) + timeout && begun <= at(0) + timeout + limits.chat.asked_for);
        }
    }

    #[test]
    fn a_neighbour_that_ignored_one_puts_none_off() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        syncs.linked(at(0), peer(1), true, &limits);
        assert_eq!(syncs.next_due(at(0), &mut random, |_| true, &limits), Some(peer(1)));
        syncs.served_many(at(50), peer(1));
        syncs.ignored(at(100), peer(1), &limits);
        let again = at(0) + limits.chat.reconcile_again;
        assert_eq!(syncs.next_due(again, &mut random, |_| true, &limits), Some(peer(1)));
        syncs.request(again, peer(1), &limits);
        let later = again + limits.chat.reconcile_again;
        assert_eq!(syncs.next_due(later, &mut random, |_| true, &limits), None, "it has answered since");
    }

    #[test]
    fn a_reconciliation_goes_on_when_the_neighbour_has_caught_up() {
        let limits = Limits::default();
        let mut random = generator();
        let mut syncs = SyncSchedule::default();
        syncs.linked(at(0), peer(1), true, &limits);
        assert_eq!(syncs.next_due(at(0), &mut random, |_| false, &limits), Some(peer(1)));
        syncs.served_many(at(1000), peer(1));
        syncs.request(at(1000), peer(1), &limits);
        let mut begun = None;
        while begun.is_none() {
            let now = syncs.deadline().unwrap();
            begun = syncs.next_due(now, &mut random, |_| false, &limits).map(|_| now);
        }
        let over = at(1000) + limits.chat.ask_same;
        assert!(begun >= Some(over) && begun <= Some(over + limits.chat.asked_for));
    }
}
