//! Whom to know and whom to dial: the address book, the user's addresses, the dials under way, the peers here.

mod backoff;
mod book;
mod reach;
mod roster;
mod targets;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::Rng;

use crate::rate::TokenBucket;
use crate::{DialError, DialId, Instant, Limits, NodeId, Notice, PeerAddr, TimerKind};

use book::Book;
use targets::Targets;

pub(crate) use crate::random::uniform;
pub(crate) use reach::is_credible;
pub(crate) use roster::Roster;
pub(crate) use targets::{Attempt, TargetId};

/// Where to find peers, and the dials under way.
#[derive(Debug)]
pub(crate) struct Mesh {
    book: Book,
    targets: Targets,
    dials: BTreeMap<DialId, Dial>,
    next_dial: u64,
    rate: TokenBucket,
    /// Dials of learned addresses among `dials`.
    learned_dials: usize,
}

/// A resolution or a dial under way.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) goal: Goal,
    /// None: a learned address.
    pub(crate) target: Option<TargetId>,
    until: Instant,
}

#[derive(Clone, Debug)]
pub(crate) enum Goal {
    Resolve(PeerAddr),
    Connect(SocketAddr),
}

impl Mesh {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            book: Book::default(),
            targets: Targets::default(),
            dials: BTreeMap::new(),
            next_dial: 0,
            rate: TokenBucket::new(limits.dial_every, limits.dial_burst),
            learned_dials: 0,
        }
    }

    /// Takes an address that the user gave. False: no room.
    pub(crate) fn add_target(&mut self, addr: PeerAddr, now: Instant, limits: &Limits) -> bool {
        self.targets.add(addr, now, limits)
    }

    /// Takes an address that `source`, at the address `teller`, told us, to be dialed from `next` on. Whether it is
    /// new.
    pub(crate) fn learn(
        &mut self,
        addr: SocketAddr,
        source: NodeId,
        teller: IpAddr,
        next: Instant,
        limits: &Limits,
    ) -> bool {
        is_credible(teller, addr)
            && !self.targets.contains(addr)
            && self.book.learn(addr, source, next, limits)
    }

    /// Whether a learned address is due.
    pub(crate) fn wants_room(&self, now: Instant) -> bool {
        self.book.first_due().is_some_and(|(at, _)| at <= now)
    }

    /// Begins the next dial that is due, if there is one; `room` says whether there is a place for a learned peer.
    pub(crate) fn begin(&mut self, now: Instant, room: bool, limits: &Limits) -> Option<(DialId, Dial)> {
        if let Some((_, target)) = self.targets.first_due().filter(|(at, _)| *at <= now) {
            self.targets.trying(target, 1, now);
            let goal = match self.targets.addr(target) {
                PeerAddr::Ip(addr) => Goal::Connect(addr),
                name => Goal::Resolve(name),
            };
            return Some(self.start(goal, Some(target), now, limits));
        }
        let (_, addr) = self.book.first_due().filter(|(at, _)| *at <= now)?;
        if !room || self.learned_dials >= limits.dials || !self.rate.take(now) {
            return None;
        }
        self.learned_dials += 1;
        self.book.dialing(addr);
        Some(self.start(Goal::Connect(addr), None, now, limits))
    }

    /// A name of the user's has these addresses: all are dialed at once, and the first that answers is taken.
    pub(crate) fn resolved(
        &mut self,
        target: TargetId,
        addrs: &[SocketAddr],
        now: Instant,
        limits: &Limits,
    ) -> Vec<(DialId, Dial)> {
        self.targets.trying(target, addrs.len(), now);
        addrs.iter().map(|addr| self.start(Goal::Connect(*addr), Some(target), now, limits)).collect()
    }

    fn start(
        &mut self,
        goal: Goal,
        target: Option<TargetId>,
        now: Instant,
        limits: &Limits,
    ) -> (DialId, Dial) {
        let id = DialId(self.next_dial);
        self.next_dial += 1;
        let dial = Dial { goal, target, until: now + limits.connect };
        self.dials.insert(id, dial.clone());
        (id, dial)
    }

    /// The dial with this number is over.
    pub(crate) fn finish(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.dials.remove(&id)?;
        self.learned_dials -= usize::from(dial.target.is_none());
        Some(dial)
    }

    /// The dials of this target, or all.
    pub(crate) fn under_way(&self, target: Option<TargetId>) -> Vec<DialId> {
        let wanted = self.dials.iter().filter(|(_, dial)| target.is_none() || dial.target == target);
        wanted.map(|(id, _)| *id).collect()
    }

    /// The first dial that is out of time.
    pub(crate) fn overdue(&self, now: Instant) -> Option<DialId> {
        self.dials.iter().find(|(_, dial)| dial.until <= now).map(|(id, _)| *id)
    }

    /// An attempt, from its dial to the end of its greeting, brought no link. What to tell the user.
    pub(crate) fn failed(
        &mut self,
        addr: Option<SocketAddr>,
        target: Option<TargetId>,
        attempt: Attempt,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Notice> {
        if let Some(target) = target {
            return self.targets.ended(target, attempt, now, random, limits);
        }
        self.book.failed(addr?, now, random, limits);
        None
    }

    /// A dial of ours reached this node.
    pub(crate) fn reached(&mut self, addr: SocketAddr, target: Option<TargetId>, node_id: NodeId) {
        match target {
            Some(target) => self.targets.linked(target, node_id),
            None => self.book.reached(addr, node_id),
        }
    }

    /// A dial of ours reached ourselves. What to tell the user.
    pub(crate) fn own(&mut self, addr: SocketAddr, target: Option<TargetId>) -> Option<Notice> {
        match target {
            Some(target) => self.targets.own(target),
            None => {
                self.book.own(addr);
                None
            }
        }
    }

    /// A peer that is here listens at `addr` by its own word: it is dialed there when it is gone.
    pub(crate) fn claimed(&mut self, addr: SocketAddr, by: NodeId, teller: IpAddr, limits: &Limits) {
        if is_credible(teller, addr) && !self.targets.contains(addr) {
            self.book.claimed(addr, by, limits);
        }
    }

    /// A peer is gone after a link of this length.
    pub(crate) fn left(
        &mut self,
        node_id: NodeId,
        now: Instant,
        lasted: Duration,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        self.book.left(node_id, now, lasted, random, limits);
        self.targets.left(node_id, now, lasted, random, limits);
    }

    /// The earliest time at which there is something to do; `room` as in [`begin`](Self::begin).
    pub(crate) fn deadline(
        &self,
        now: Instant,
        room: impl FnOnce() -> bool,
        limits: &Limits,
    ) -> Option<(Instant, TimerKind)> {
        let target = self.targets.first_due().map(|(at, _)| (at, TimerKind::Dial));
        let learned = self.book.first_due().filter(|_| self.learned_dials < limits.dials && room());
        let learned = learned.map(|(at, _)| (at.max(self.rate.next_at(now)), TimerKind::Dial));
        // All dials have the same time, so the first begun ends first.
        let connect = self.dials.first_key_value().map(|(_, dial)| (dial.until, TimerKind::Connect));
        [target, learned, connect].into_iter().flatten().min()
    }

    /// Compares the indexes with what they are indexes of.
    pub(crate) fn is_consistent(&self) -> bool {
        let learned = self.dials.values().filter(|dial| dial.target.is_none()).count();
        learned == self.learned_dials && self.book.is_consistent()
    }
}

/// The attempt failed before there was a connection.
impl From<DialError> for Attempt {
    fn from(reason: DialError) -> Self {
        Self::Failed(reason)
    }
}
