//! When version 1 peers are greeted again (SPEC 2.11). Such a peer forgets who is linked to it when it sees the end of any
//! connection with it, which may be late, and takes whoever says `JOIN` for linked. Its `PEERS` come upon each `JOIN`, to
//! all that are linked to it and to them alone: who gets them need not ask.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use core::time::Duration;

use rand_core::Rng;

use crate::model::{Fifo, Instant, Limits, NodeId, uniform};

/// Greetings that are so many times the first pause apart begin anew when it may have forgotten us again: until then it
/// is greeted soon anyway, however often somebody takes its id.
const RESTART_AFTER: u32 = 16;

/// The greetings to come.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    plans: BTreeMap<NodeId, Plan>,
    /// Of those with a plan, who is to be greeted then whatever else happens.
    postponed: BTreeMap<NodeId, Instant>,
    /// Who was here, or tried to be: may be yet to see the end of that.
    departed: Fifo<NodeId, ()>,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    /// From then on the peer's `PEERS` spare it the greeting.
    from: Instant,
    at: Instant,
    /// How long it is left alone after that, where it may yet forget us.
    pause: Option<Duration>,
}

impl Greetings {
    /// A version 1 peer is here.
    pub(super) fn peer_linked(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        let plan = match self.departed.remove(&peer) {
            Some(()) => Plan::first_of_series(now, random, limits),
            None => Plan::after(None, now, random, limits),
        };
        self.plans.insert(peer, plan);
    }

    /// It is no longer here.
    pub(super) fn peer_unlinked(&mut self, peer: NodeId, limits: &Limits) {
        self.postponed.remove(&peer);
        if self.plans.remove(&peer).is_some() {
            self.remember(peer, limits);
        }
    }

    /// How many may be yet to see the end of a connection.
    pub(super) fn departed(&self) -> usize {
        self.departed.len()
    }

    /// Another connection with this peer has ended, or one that claims its id: when it sees that, it forgets us.
    pub(super) fn may_forget(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        match self.plans.get_mut(&peer) {
            Some(plan) if plan.is_soon(limits) => {}
            Some(plan) => *plan = Plan::first_of_series(now, random, limits),
            None => self.remember(peer, limits),
        }
    }

    /// What this peer said last may be true no more, and it may be yet to find that out.
    pub(super) fn ask_soon(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        let Some(plan) = self.plans.get_mut(&peer) else { return };
        let first = Plan::first_of_series(now, random, limits);
        if first.from <= plan.at {
            *plan = Plan { at: first.at.min(plan.at), ..first };
        } else {
            // The next greeting comes too early for it to know: there is another as long after that.
            plan.pause = Some(limits.v1.greet_soon);
        }
    }

    /// It is to be greeted then, whatever it says until then.
    pub(super) fn postpone(&mut self, peer: NodeId, until: Instant) {
        if self.plans.contains_key(&peer) {
            self.postponed.insert(peer, until);
        }
    }

    /// Its `PEERS` came.
    pub(super) fn peers_received(
        &mut self,
        now: Instant,
        peer: NodeId,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        if let Some(plan) = self.plans.get_mut(&peer).filter(|plan| plan.from <= now) {
            *plan = Plan::after(plan.pause, now, random, limits);
        }
    }

    /// A peer that is to be greeted now.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<NodeId> {
        if let Some(peer) = self.postponed.iter().find(|(_, at)| **at <= now).map(|(peer, _)| *peer) {
            self.postponed.remove(&peer);
            return Some(peer);
        }
        let (peer, plan) = self.plans.iter_mut().find(|(_, plan)| plan.at <= now)?;
        *plan = Plan::after(plan.pause, now, random, limits);
        Some(*peer)
    }

    /// When [`next_due`](Self::next_due) has one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.plans.values().map(|plan| plan.at).chain(self.postponed.values().copied()).min()
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.departed.keys().all(|peer| !self.plans.contains_key(peer))
            && self.postponed.keys().all(|peer| self.plans.contains_key(peer))
    }

    fn remember(&mut self, peer: NodeId, limits: &Limits) {
        self.departed.insert(peer, ());
        if self.departed.len() > limits.conns.slots {
            self.departed.pop_first();
        }
    }
}

impl Plan {
    /// The first greeting after it may have forgotten us.
    fn first_of_series(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self::between(now, limits.v1.greet_soon, random)
    }

    /// The greeting after one at `now`.
    fn after(pause: Option<Duration>, now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        let half = limits.v1.greet_every / 2;
        match pause.filter(|pause| *pause < half) {
            Some(pause) => Self::between(now, pause, random),
            None => Self { from: now, at: now + half + uniform(random, limits.v1.greet_every), pause: None },
        }
    }

    /// A greeting once or twice the pause from now; the one after it takes twice as long.
    fn between(now: Instant, pause: Duration, random: &mut impl Rng) -> Self {
        let from = now + pause;
        Self { from, at: from + uniform(random, pause), pause: Some(pause.saturating_mul(2)) }
    }

    fn is_soon(&self, limits: &Limits) -> bool {
        self.pause.is_some_and(|pause| pause <= limits.v1.greet_soon.saturating_mul(RESTART_AFTER))
    }
}
