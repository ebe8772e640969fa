//! The addresses that the user gave: dialed until they are linked, and again when the link is lost.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use super::admission::Stock;
use super::backoff::Backoff;
use super::book::Leaving;
use super::event::{Attempt, Event, TargetNews};
use crate::model::{Instant, Limits, NodeId, PeerAddr, TargetId, uniform};
use crate::wire::ByeCode;

/// All of them, in the order given.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// Those that wait, the most urgent first: an index.
    due: BTreeSet<(Instant, TargetId)>,
}

#[derive(Debug)]
struct Target {
    addr: PeerAddr,
    state: State,
    backoff: Backoff,
    /// What the user was told since it was last linked.
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        next: Instant,
    },
    /// So many resolutions, dials and greetings are under way, the first since then.
    Trying {
        open: usize,
        since: Instant,
    },
    Linked(NodeId),
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Unreachable,
    NotAChatNode,
    TurnedAway,
}

impl Targets {
    /// Adds an address, to be dialed now; one that is there already and waits is dialed now, too. False: no room.
    pub(super) fn add(&mut self, addr: PeerAddr, now: Instant, limits: &Limits) -> bool {
        if let Some(index) = self.list.iter().position(|target| target.addr == addr) {
            if matches!(self.list[index].state, State::Waiting { .. }) {
                self.list[index].told = None;
                self.set(TargetId(index), State::Waiting { next: now });
            }
            return true;
        }
        let room = self.list.len() < limits.mesh.targets;
        if room {
            let state = State::Waiting { next: now };
            self.list.push(Target { addr, state, backoff: Backoff::default(), told: None });
            self.due.insert((now, TargetId(self.list.len() - 1)));
        }
        room
    }

    /// Whether the user gave this very address.
    pub(super) fn contains(&self, addr: SocketAddr) -> bool {
        self.list.iter().any(|target| target.addr == PeerAddr::Ip(addr))
    }

    /// Whether one of them has not answered yet, and has not failed to either.
    pub(super) fn is_awaited(&self) -> bool {
        let open = |state| matches!(state, State::Waiting { .. } | State::Trying { .. });
        self.list.iter().any(|target| open(target.state) && target.backoff.is_fresh())
    }

    /// The one that is due first.
    pub(super) fn first_due(&self) -> Option<(Instant, TargetId)> {
        self.due.first().copied()
    }

    pub(super) fn addr(&self, id: TargetId) -> PeerAddr {
        self.list[id.0].addr.clone()
    }

    /// Attempts begin, this many at once.
    pub(super) fn trying(&mut self, id: TargetId, more: usize, now: Instant) {
        let state = match self.list[id.0].state {
            State::Trying { open, since } => State::Trying { open: open + more, since },
            State::Waiting { .. } => State::Trying { open: more, since: now },
            other => other,
        };
        self.set(id, state);
    }

    /// One attempt ended without a link; after the last of them the target waits. What to tell the user.
    pub(super) fn ended(
        &mut self,
        id: TargetId,
        attempt: Attempt,
        stock: Stock,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Event> {
        let State::Trying { open, since } = self.list[id.0].state else { return None };
        if open > 1 {
            self.set(id, State::Trying { open: open - 1, since });
            return None;
        }
        let full = matches!(attempt, Attempt::TurnedAway(ByeCode::Full));
        let delay =
            self.list[id.0].backoff.next(random, limits.mesh.backoff_min, ceiling(full, stock, limits));
        // Counted from the beginning of the round, so that it comes up every `backoff_user`, however long a dial takes.
        self.set(id, State::Waiting { next: (since + delay).max(now) });
        self.tell(id, attempt)
    }

    fn tell(&mut self, id: TargetId, attempt: Attempt) -> Option<Event> {
        let Target { addr, told, .. } = &mut self.list[id.0];
        let news = match attempt {
            Attempt::Failed(_) => Told::Unreachable,
            Attempt::NotAChatNode => Told::NotAChatNode,
            Attempt::TurnedAway(_) => Told::TurnedAway,
        };
        let fresh = *told != Some(news);
        *told = Some(news);
        fresh.then(|| Event::Target { target: addr.clone(), news: TargetNews::Failed(attempt) })
    }

    /// This peer answers at the target, or listens there by its own word.
    pub(super) fn linked(&mut self, id: TargetId, node_id: NodeId) {
        if self.list[id.0].state != State::Own {
            self.list[id.0].told = None;
            self.set(id, State::Linked(node_id));
        }
    }

    /// The target is this node. What to tell the user.
    pub(super) fn own(&mut self, id: TargetId) -> Option<Event> {
        let fresh = self.list[id.0].state != State::Own;
        self.set(id, State::Own);
        fresh.then(|| Event::Target { target: self.addr(id), news: TargetNews::IsSelf })
    }

    /// Whether a dial of ours to one of them has reached this node, which is here.
    pub(super) fn is_linked(&self, node_id: NodeId) -> bool {
        self.list.iter().any(|target| target.state == State::Linked(node_id))
    }

    /// A peer is gone: what was linked to it is dialed again.
    pub(super) fn left(
        &mut self,
        node_id: NodeId,
        leaving: Leaving,
        stock: Stock,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        for index in 0..self.list.len() {
            let target = &mut self.list[index];
            if target.state == State::Linked(node_id) {
                if leaving.lasted >= limits.mesh.backoff_reset && !leaving.full {
                    target.backoff.reset();
                }
                let ceiling = ceiling(leaving.full, stock, limits);
                let delay = target.backoff.next(random, limits.mesh.backoff_min, ceiling);
                self.set(TargetId(index), State::Waiting { next: leaving.again + delay });
            }
        }
    }

    /// There are too few links: none waits for longer than that allows.
    pub(super) fn hurry(&mut self, now: Instant, random: &mut impl Rng, limits: &Limits) {
        for index in 0..self.list.len() {
            if let State::Waiting { next } = self.list[index].state
                && next > now + limits.mesh.backoff_user
            {
                let next = now + uniform(random, limits.mesh.backoff_user);
                self.set(TargetId(index), State::Waiting { next });
            }
        }
    }

    fn set(&mut self, id: TargetId, state: State) {
        let target = &mut self.list[id.0];
        if let State::Waiting { next } = target.state {
            self.due.remove(&(next, id));
        }
        target.state = state;
        if let State::Waiting { next } = state {
            self.due.insert((next, id));
        }
    }
}

/// The longest wait for an address that the user gave. It is as for a learned one where the node there is full and we
/// have links of our own enough: a node that all others were given has places for a few of them.
fn ceiling(full: bool, stock: Stock, limits: &Limits) -> Duration {
    if full && !stock.few_dialed { limits.mesh.backoff_max } else { limits.mesh.backoff_user }
}
