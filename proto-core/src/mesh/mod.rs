//! Whom to know and whom to dial: the address book, the user's addresses, the dials under way, the peers here.

mod backoff;
mod book;
mod reach;
mod roster;
mod shunned;
mod targets;
mod upkeep;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use rand_core::Rng;

use crate::rate::TokenBucket;
use crate::{BookStatus, DialError, DialId, Instant, Limits, NodeId, Notice, PeerAddr, Store, TimerKind};

use crate::wire::ByeCode;

use book::Book;
use shunned::Shunned;
use targets::Targets;

pub(crate) use book::{Leaving, Room, Rumour};
pub(crate) use reach::is_credible;
pub(crate) use roster::{Peer, Roster};
pub(crate) use targets::{Attempt, TargetId};
pub(crate) use upkeep::{Chore, Chores, Upkeep};

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
    pub(crate) upkeep: Upkeep,
    pub(crate) shunned: Shunned,
}

/// A resolution or a dial under way.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) goal: Goal,
    /// None: a learned address.
    pub(crate) target: Option<TargetId>,
    until: Instant,
}

/// The links to peers with a key that a node has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock {
    pub(crate) degree: usize,
    /// Fewer of them are its own dials than should be.
    pub(crate) few_dialed: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Goal {
    Resolve(PeerAddr),
    Connect(SocketAddr),
}

impl Mesh {
    pub(crate) fn new(now: Instant, random: &mut impl Rng, limits: &Limits) -> Self {
        Self {
            book: Book::default(),
            targets: Targets::default(),
            dials: BTreeMap::new(),
            next_dial: 0,
            rate: TokenBucket::new(limits.dial_every, limits.dial_burst),
            learned_dials: 0,
            upkeep: Upkeep::new(now, random, limits),
            shunned: Shunned::default(),
        }
    }

    /// Takes an address that the user gave. False: no room.
    pub(crate) fn add_target(&mut self, addr: PeerAddr, now: Instant, limits: &Limits) -> bool {
        self.targets.add(addr, now, limits)
    }

    /// Takes what somebody at the address `teller` says of an address, to be dialed from `next` on. Whether it is news.
    pub(crate) fn learn(
        &mut self,
        addr: SocketAddr,
        rumour: Rumour,
        teller: IpAddr,
        next: Instant,
        limits: &Limits,
    ) -> bool {
        is_credible(teller, addr)
            && !self.targets.contains(addr)
            && self.book.learn(addr, rumour, next, limits)
    }

    /// Whether the network is larger than what can be a full mesh, as far as a node with so many links knows.
    pub(crate) fn is_large(&self, degree: usize, limits: &Limits) -> bool {
        degree + self.book.fresh() > limits.degree_high
    }

    /// How many links a node with so many dials for: in a small network, one to everybody.
    pub(crate) fn goal(&self, degree: usize, limits: &Limits) -> usize {
        if self.is_large(degree, limits) { limits.degree_target } else { limits.degree_high }
    }

    /// Addresses of others than `node_id` that are worth a dial.
    pub(crate) fn worth_dialing(&self, node_id: NodeId) -> usize {
        self.book.fresh_but(node_id)
    }

    /// Whether a node that the user chose is yet to say whom it knows: its word comes before that of who dials us.
    pub(crate) fn awaits_advice(&self) -> bool {
        self.targets.is_awaited()
    }

    /// Whether an address of a peer with a key waits, due or not.
    pub(crate) fn is_waiting(&self) -> bool {
        self.book.is_waiting()
    }

    /// Addresses worth telling, and who is there.
    pub(crate) fn sample(&self, count: usize, random: &mut impl Rng) -> Vec<(SocketAddr, NodeId)> {
        self.book.sample(count, random)
    }

    /// Whether a learned address is due.
    pub(crate) fn wants_room(&self, now: Instant) -> bool {
        self.book.first_due(Room { keyless: true, keyed: true, told: true }).is_some_and(|at| at <= now)
    }

    /// Who is at an address, as far as that is known.
    pub(crate) fn node_at(&self, addr: SocketAddr) -> Option<NodeId> {
        self.book.node_at(addr)
    }

    /// The nodes with a key to which dials of learned addresses are under way; none where it is not known which.
    pub(crate) fn dialed_nodes(&self) -> impl Iterator<Item = Option<NodeId>> {
        let learned = self.dials.values().filter(|dial| dial.target.is_none());
        let nodes = learned.filter_map(|dial| match dial.goal {
            Goal::Connect(addr) => Some(self.book.node_at(addr)),
            Goal::Resolve(_) => None,
        });
        nodes.filter(|node_id| node_id.is_none_or(|id| id.is_of_key()))
    }

    /// Begins the next dial that is due, if there is one and a place for whom it leads to.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        room: Room,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<(DialId, Dial)> {
        if let Some((_, target)) = self.targets.first_due().filter(|(at, _)| *at <= now) {
            self.targets.trying(target, 1, now);
            let goal = match self.targets.addr(target) {
                PeerAddr::Ip(addr) => Goal::Connect(addr),
                name => Goal::Resolve(name),
            };
            return Some(self.start(goal, Some(target), now, limits));
        }
        if !self.may_dial(now, limits) {
            return None;
        }
        let addr = self.book.pick_due(now, room, random)?;
        Some(self.begin_learned(addr, now, limits))
    }

    /// Begins a dial to an address of which it is not known whether anybody is there, if there is one.
    pub(crate) fn explore(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<(DialId, Dial)> {
        if !self.may_dial(now, limits) {
            return None;
        }
        let addr = self.book.pick_doubtful(now, &self.shunned, random, limits)?;
        Some(self.begin_learned(addr, now, limits))
    }

    /// Whether a learned address may be dialed now. Asked before chance is: what is asked in vain must leave no trace.
    fn may_dial(&self, now: Instant, limits: &Limits) -> bool {
        self.learned_dials < limits.dials && self.rate.next_at(now) <= now
    }

    fn begin_learned(&mut self, addr: SocketAddr, now: Instant, limits: &Limits) -> (DialId, Dial) {
        self.rate.charge(now, 1);
        self.learned_dials += 1;
        self.book.dialing(addr);
        self.start(Goal::Connect(addr), None, now, limits)
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

    /// An attempt of a node with these links, from its dial to the end of its greeting, brought no link. What to tell
    /// the user.
    pub(crate) fn failed(
        &mut self,
        (addr, target): (Option<SocketAddr>, Option<TargetId>),
        attempt: Attempt,
        stock: Stock,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<Notice> {
        if let Some(target) = target {
            return self.targets.ended(target, attempt, stock, now, random, limits);
        }
        let answered = matches!(attempt, Attempt::TurnedAway(ByeCode::Full));
        self.book.failed(addr?, answered, stock.degree, now, random, limits);
        None
    }

    /// A dial of ours reached this node.
    pub(crate) fn reached(
        &mut self,
        addr: SocketAddr,
        target: Option<TargetId>,
        node_id: NodeId,
        now: Instant,
    ) {
        match target {
            Some(target) => self.targets.linked(target, node_id),
            None => self.book.reached(addr, node_id, now),
        }
    }

    /// Whether this node is at an address that the user gave: a dial of ours has found it there.
    pub(crate) fn is_anchor(&self, node_id: NodeId) -> bool {
        self.targets.is_linked(node_id)
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

    /// A peer is gone, and these links are left.
    pub(crate) fn left(
        &mut self,
        node_id: NodeId,
        leaving: Leaving,
        stock: Stock,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        self.book.left(node_id, leaving, stock.degree, random, limits);
        self.targets.left(node_id, leaving, stock, random, limits);
        if stock.degree < limits.degree_low {
            self.book.hurry(stock.degree, leaving.at, random, limits);
        }
        if stock.few_dialed {
            self.targets.hurry(leaving.at, random, limits);
        }
    }

    /// The earliest time at which there is something to do; `room` as in [`begin`](Self::begin).
    pub(crate) fn deadline(
        &self,
        now: Instant,
        room: impl FnOnce() -> Room,
        chores: Chores,
        limits: &Limits,
    ) -> Option<(Instant, TimerKind)> {
        let target = self.targets.first_due().map(|(at, _)| (at, TimerKind::Dial));
        let free = self.learned_dials < limits.dials && self.book.has_due();
        let learned = if free { self.book.first_due(room()) } else { None };
        let learned = learned.map(|at| (at.max(self.rate.next_at(now)), TimerKind::Dial));
        // All dials have the same time, so the first begun ends first.
        let connect = self.dials.first_key_value().map(|(_, dial)| (dial.until, TimerKind::Connect));
        let chore = self.upkeep.deadline(chores).map(|at| (at, TimerKind::Upkeep));
        [target, learned, connect, chore].into_iter().flatten().min()
    }

    /// How much is in each of its stores.
    pub(crate) fn stores(&self) -> [(Store, usize); 4] {
        [
            (Store::Dials, self.learned_dials),
            (Store::Book, self.book.len()),
            (Store::BookPerSource, self.book.most_per_source()),
            (Store::Shunned, self.shunned.len()),
        ]
    }

    /// What is known of addresses.
    pub(crate) fn book_status(&self) -> BookStatus {
        self.book.status(self.learned_dials)
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
