//! When to send `JOIN` to version 1 peers again (SPEC 2.11).
//!
//! A version 1 peer takes whoever sends `JOIN` for linked. It forgets a node when it sees the end of any connection
//! with that node, which may be late. It sends `PEERS` upon each `JOIN`, to all nodes that it knows as linked. So a
//! node that gets its `PEERS` is not forgotten and need not greet it.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use crate::model::{Fifo, Instant, Limits, NodeId, uniform};

/// When the peer may have forgotten this node again, a series of greetings restarts only if its pause has grown to more
/// than this many times the first one. Before, the next greeting comes soon anyway. So repeated claims to the peer's id
/// cause no flood of greetings.
const RESTART_AFTER: u32 = 16;

/// The greetings to come. Each linked version 1 peer has a plan.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    plans: BTreeMap<NodeId, Plan>,
    /// Peers with a plan whose greeting could not be sent, and when to greet them in any case.
    postponed: BTreeMap<NodeId, Instant>,
    /// Who may not have seen the end of a connection with this node yet. Bounded by the connection slots.
    departed: Fifo<Departed, ()>,
}

/// Who had a connection with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Departed {
    Peer(NodeId),
    /// Whoever listens at this address, which this node dialed: no `JOIN` came.
    At(SocketAddr),
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    /// From then on, `PEERS` of the peer count as a greeting.
    from: Instant,
    /// When it is greeted.
    at: Instant,
    /// The shortest pause after that, in a series. None: no series is under way.
    pause: Option<Duration>,
}

impl Greetings {
    /// A version 1 peer was linked, which listens at `addr`.
    pub(super) fn peer_linked(
        &mut self,
        now: Instant,
        (peer, addr): (NodeId, Option<SocketAddr>),
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let was_lost = self.departed.remove(&Departed::Peer(peer)).is_some();
        let was_dialed = addr.is_some_and(|addr| self.departed.remove(&Departed::At(addr)).is_some());
        let plan = match was_lost || was_dialed {
            true => Plan::first_of_series(now, random, limits),
            false => Plan::after(None, now, random, limits),
        };
        self.plans.insert(peer, plan);
    }

    /// It lost its link.
    pub(super) fn peer_unlinked(&mut self, peer: NodeId, limits: &Limits) {
        self.postponed.remove(&peer);
        if self.plans.remove(&peer).is_some() {
            self.remember(Departed::Peer(peer), limits);
        }
    }

    /// A dial of this node to this address, where no peer is linked, ended without a `JOIN`. Whoever is there has read ours, and
    /// may see the end of that connection when it is linked by another one.
    pub(super) fn dialed_in_vain(&mut self, addr: SocketAddr, limits: &Limits) {
        self.remember(Departed::At(addr), limits);
    }

    /// How many peers may not have seen the end of a connection yet.
    pub(super) fn departed(&self) -> usize {
        self.departed.len()
    }

    /// Another connection with this peer, or with one that claims its id, has ended. It forgets this node when it sees
    /// that.
    pub(super) fn may_forget(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        match self.plans.get_mut(&peer) {
            Some(plan) if plan.is_soon(limits) => {}
            Some(plan) => *plan = Plan::first_of_series(now, random, limits),
            None => self.remember(Departed::Peer(peer), limits),
        }
    }

    /// The last `PEERS` of this peer may be out of date, and it may not know that yet.
    pub(super) fn ask_soon(&mut self, now: Instant, peer: NodeId, random: &mut impl Rng, limits: &Limits) {
        let Some(plan) = self.plans.get_mut(&peer) else { return };
        let first = Plan::first_of_series(now, random, limits);
        if first.from <= plan.at {
            *plan = Plan { at: first.at.min(plan.at), ..first };
        } else {
            // At the next greeting it may not know yet. There is another one a pause later.
            plan.pause = Some(limits.v1.greet_soon);
        }
    }

    /// Its greeting could not be sent: it is greeted at that time, whatever it sends until then.
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

    /// A peer to greet now.
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

    /// When [`next_due`](Self::next_due) next has a peer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.plans.values().map(|plan| plan.at).chain(self.postponed.values().copied()).min()
    }

    pub(super) fn is_consistent(&self) -> bool {
        let is_gone = |who: &Departed| !matches!(who, Departed::Peer(peer) if self.plans.contains_key(peer));
        self.departed.keys().all(is_gone) && self.postponed.keys().all(|peer| self.plans.contains_key(peer))
    }

    /// Where there is no room, addresses give way to peers, which were here.
    fn remember(&mut self, who: Departed, limits: &Limits) {
        self.departed.remove(&who);
        self.departed.insert(who, ());
        if self.departed.len() > limits.conns.slots {
            let addr = self.departed.keys().find(|who| matches!(who, Departed::At(_))).copied();
            match addr {
                Some(addr) => _ = self.departed.remove(&addr),
                None => _ = self.departed.pop_first(),
            }
        }
    }
}

impl Plan {
    /// The first greeting of a series.
    fn first_of_series(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self::between(now, limits.v1.greet_soon, random)
    }

    /// The greeting after one at `now`. `pause`: the shortest pause until then, in a series.
    fn after(pause: Option<Duration>, now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        let half = limits.v1.greet_every / 2;
        match pause.filter(|pause| *pause < half) {
            Some(pause) => Self::between(now, pause, random),
            None => Self { from: now, at: now + half + uniform(random, limits.v1.greet_every), pause: None },
        }
    }

    /// A greeting one to two pauses from now. The next pause is twice as long.
    fn between(now: Instant, pause: Duration, random: &mut impl Rng) -> Self {
        let from = now + pause;
        Self { from, at: from + uniform(random, pause), pause: Some(pause.saturating_mul(2)) }
    }

    fn is_soon(&self, limits: &Limits) -> bool {
        self.pause.is_some_and(|pause| pause <= limits.v1.greet_soon.saturating_mul(RESTART_AFTER))
    }
}
