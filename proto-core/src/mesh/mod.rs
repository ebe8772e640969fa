//! Whom to know and whom to hold: the address book, the user's addresses, the dials under way, who is let in, who is let go
//! (SPEC section 5).
//!
//! [`Mesh`] decides; it sees the connections through a [`Census`]. What it wants done comes out of [`Mesh::next_event`].

mod admission;
mod backoff;
mod bans;
mod book;
mod dials;
mod event;
mod reach;
mod targets;
mod upkeep;

use alloc::collections::{BTreeMap, VecDeque};
#[cfg(test)]
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use bans::Bans;
use book::{Book, Leaving, Rumour};
use dials::{Dial, Dials, Goal};
use reach::is_credible;
use targets::Targets;
use upkeep::Upkeep;

use crate::model::{
    Capacity, Census, ConnId, Cx, DialError, DialId, Dialed, Instant, MAX_RESOLVED, NodeId, PeerAddr,
    PeerInfo, TargetId, Teller, TokenBucket, uniform,
};
use crate::wire::{ByeCode, PeerRecord};

pub(crate) use admission::Verdict;
pub(crate) use event::{Attempt, Counts, Departure, Event, TargetNews};

/// How long a linked node waits before it dials a newcomer, which most likely dials first: this and up to as much again.
const COURTESY: Duration = Duration::from_millis(250);

/// Where to find peers, and whom to hold.
#[derive(Debug)]
pub(crate) struct Mesh {
    book: Book,
    targets: Targets,
    dials: Dials,
    upkeep: Upkeep,
    bans: Bans,
    /// New addresses that may still be learned on each connection.
    learning: BTreeMap<ConnId, TokenBucket>,
    events: VecDeque<Event>,
    counts: Counts,
}

/// As many addresses as the node dials for its user are there already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooManyTargets;

/// What the mesh wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Dial,
    Upkeep,
    Connect,
}

impl Mesh {
    pub(crate) fn new(cx: &mut Cx) -> Self {
        let limits = cx.config.limits();
        Self {
            book: Book::default(),
            targets: Targets::default(),
            dials: Dials::new(limits),
            upkeep: Upkeep::new(cx.now, &mut cx.random, limits),
            bans: Bans::default(),
            learning: BTreeMap::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// What is to be done, in order, until there is nothing.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes an address that the user gave, if there is room.
    pub(crate) fn add_target(&mut self, cx: &Cx, addr: PeerAddr) -> Result<(), TooManyTargets> {
        if self.targets.add(addr, cx.now, cx.limits()) { Ok(()) } else { Err(TooManyTargets) }
    }

    /// `PEERS` came.
    pub(crate) fn peers_told(
        &mut self,
        cx: &mut Cx,
        teller: &Teller,
        records: &[PeerRecord],
        census: &impl Census,
    ) {
        for record in records {
            let courtesy =
                if teller.first { Duration::ZERO } else { COURTESY + uniform(&mut cx.random, COURTESY) };
            let known = record.node_id.is_some_and(|id| id == cx.identity.node_id() || census.is_linked(id));
            let Some(addr) = address_of(record).filter(|_| !known) else { continue };
            if Some(addr) == cx.config.listen_addr() {
                continue;
            }
            let learned = self.learn(cx, addr, teller, record.node_id, cx.now + courtesy);
            *(if learned { &mut self.counts.learned } else { &mut self.counts.passed_over }) += 1;
        }
    }

    /// Takes what somebody says of an address, to be dialed from `next` on, within the budget of the connection. Whether it is
    /// news.
    fn learn(
        &mut self,
        cx: &Cx,
        addr: SocketAddr,
        teller: &Teller,
        node_id: Option<NodeId>,
        next: Instant,
    ) -> bool {
        let limits = cx.limits();
        let budget = self
            .learning
            .entry(teller.conn)
            .or_insert_with(|| TokenBucket::new(limits.mesh.learn_every, limits.mesh.learn_burst));
        let rumour = Rumour { source: teller.node_id, dialed: teller.dialed, node_id };
        let learned = budget.next_at(cx.now) <= cx.now
            && is_credible(teller.ip, addr)
            && !self.targets.contains(addr)
            && self.book.learn(addr, rumour, next, limits);
        if learned {
            budget.charge(cx.now, 1);
        }
        learned
    }

    /// Nothing is exchanged on this connection any more.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.learning.remove(&conn);
    }

    /// The addresses of a name that the user gave: all are dialed at once, and the first that answers is taken.
    pub(crate) fn resolved(&mut self, cx: &mut Cx, dial: DialId, addrs: &[SocketAddr], census: &impl Census) {
        let Some(Dial { target: Some(target), .. }) = self.dials.finish(dial) else { return };
        let addrs = &addrs[..addrs.len().min(MAX_RESOLVED)];
        self.targets.trying(target, addrs.len(), cx.now);
        for addr in addrs {
            let goal = Goal::Connect(*addr);
            let dial = self.dials.begin_target(goal.clone(), target, cx.now, cx.limits());
            self.request(dial, goal);
        }
        // The resolution itself is over, and was one attempt.
        self.target_failed(cx, target, DialError::NotResolved.into(), cx.now, census);
    }

    /// A dial is connected. Where it leads; none if nobody waits for it.
    pub(crate) fn connected(&mut self, dial: DialId) -> Option<Dialed> {
        match self.dials.finish(dial)? {
            Dial { goal: Goal::Connect(addr), target, .. } => Some(Dialed { addr, target }),
            Dial { goal: Goal::Resolve(_), .. } => None,
        }
    }

    pub(crate) fn failed(&mut self, cx: &mut Cx, dial: DialId, reason: DialError, census: &impl Census) {
        let Some(Dial { goal, target, .. }) = self.dials.finish(dial) else { return };
        self.counts.dials_failed += 1;
        match (goal, target) {
            (_, Some(target)) => self.target_failed(cx, target, reason.into(), cx.now, census),
            (Goal::Connect(addr), None) => {
                self.not_linked(cx, Dialed { addr, target: None }, reason.into(), cx.now, census);
            }
            (Goal::Resolve(_), None) => {}
        }
    }

    /// What was dialed is not linked; the next attempt comes no sooner than `again`.
    pub(crate) fn not_linked(
        &mut self,
        cx: &mut Cx,
        dialed: Dialed,
        attempt: Attempt,
        again: Instant,
        census: &impl Census,
    ) {
        match dialed.target {
            Some(target) => self.target_failed(cx, target, attempt, again, census),
            None => {
                let answered = matches!(attempt, Attempt::TurnedAway(ByeCode::Full));
                let Cx { random, config, .. } = cx;
                let degree = census.degree();
                self.book.failed(dialed.addr, answered, degree, again, random, config.limits());
            }
        }
    }

    fn target_failed(
        &mut self,
        cx: &mut Cx,
        target: TargetId,
        attempt: Attempt,
        again: Instant,
        census: &impl Census,
    ) {
        let stock = self.stock(cx, census);
        let Cx { random, config, .. } = cx;
        let news = self.targets.ended(target, attempt, stock, again, random, config.limits());
        self.events.extend(news);
    }

    /// A connection is now this peer's link.
    pub(crate) fn linked(&mut self, cx: &Cx, peer: &PeerInfo, dialed: Option<Dialed>) {
        if let Some(dialed) = dialed {
            self.reached(cx, dialed, peer.node_id);
            if let Some(target) = dialed.target {
                self.cancel(Some(target));
            }
        }
        // It is dialed there when it is gone.
        let teller = peer.remote_addr.ip().to_canonical();
        if let Some(addr) = peer.listen_addr
            && is_credible(teller, addr)
            && !self.targets.contains(addr)
        {
            self.book.claimed(addr, peer.node_id, cx.limits());
        }
    }

    /// A dial of ours reached this node.
    pub(crate) fn reached(&mut self, cx: &Cx, dialed: Dialed, node_id: NodeId) {
        match dialed.target {
            Some(target) => self.targets.linked(target, node_id),
            None => self.book.reached(dialed.addr, node_id, cx.now),
        }
    }

    /// A dial of ours reached ourselves.
    pub(crate) fn reached_ourselves(&mut self, dialed: Dialed) {
        match dialed.target {
            Some(target) => self.events.extend(self.targets.own(target)),
            None => self.book.own(dialed.addr),
        }
    }

    /// A peer lost its link. If it was cut for breaking a rule, it is kept out for a while. The `successor`, a newcomer that is the
    /// same node, unless it is kept out.
    pub(crate) fn lost(
        &mut self,
        cx: &Cx,
        gone: &Departure,
        successor: Option<ConnId>,
        census: &impl Census,
    ) -> Option<ConnId> {
        if gone.broke && gone.node_id.is_of_key() {
            self.bans.cut(cx.now, gone.node_id, gone.ip, cx.limits());
        }
        successor.filter(|conn| !self.is_banned(cx, *conn, census))
    }

    /// Whether the peer on this connection was cut for breaking rules a while ago.
    pub(crate) fn is_banned(&self, cx: &Cx, conn: ConnId, census: &impl Census) -> bool {
        let link = census.link(conn).and_then(|link| Some((link.node_id?, link.ip)));
        link.is_some_and(|(node_id, ip)| self.bans.contains(cx.now, node_id, ip))
    }

    /// A peer is linked no more.
    pub(crate) fn unlinked(&mut self, cx: &mut Cx, gone: &Departure, census: &impl Census) {
        let stock = self.stock(cx, census);
        let Departure { again, lasted, full, broke, .. } = *gone;
        let leaving = Leaving { at: cx.now, again, lasted, full, broke };
        let Cx { random, config, .. } = cx;
        let limits = config.limits();
        self.book.left(gone.node_id, leaving, stock.degree, random, limits);
        self.targets.left(gone.node_id, leaving, stock, random, limits);
        if stock.degree < limits.mesh.degree_low {
            self.book.hurry(stock.degree, leaving.at, random, limits);
        }
        if stock.few_dialed {
            self.targets.hurry(leaving.at, random, limits);
        }
    }

    /// Gives up the dials of this target, or all.
    pub(crate) fn cancel(&mut self, target: Option<TargetId>) {
        for dial in self.dials.of(target) {
            self.dials.finish(dial);
            self.events.push_back(Event::Cancel(dial));
        }
    }

    /// Dials whose time is up have failed.
    pub(crate) fn timeout(&mut self, cx: &mut Cx, census: &impl Census) {
        while let Some(dial) = self.dials.overdue(cx.now) {
            self.events.push_back(Event::Cancel(dial));
            self.failed(cx, dial, DialError::TimedOut, census);
        }
    }

    /// Begins the dials that are due and for which there is a place.
    pub(crate) fn dial(&mut self, cx: &mut Cx, census: &impl Census) {
        while !cx.stopping {
            let room = self.room(cx, census);
            let Some((goal, target)) = self.pick(cx, room) else { return };
            let limits = cx.limits();
            let dial = match target {
                None => match goal {
                    Goal::Connect(addr) => self.dials.begin_learned(addr, cx.now, limits),
                    Goal::Resolve(_) => return,
                },
                Some(target) => {
                    self.targets.trying(target, 1, cx.now);
                    let dial = self.dials.begin_target(goal.clone(), target, cx.now, limits);
                    if let Goal::Connect(addr) = goal
                        && let Some(node_id) = linked_by_dial_to(addr, census)
                    {
                        self.dials.finish(dial);
                        self.targets.linked(target, node_id);
                        continue;
                    }
                    dial
                }
            };
            self.request(dial, goal);
        }
    }

    /// The next address that is due, and whose place there is.
    fn pick(&mut self, cx: &mut Cx, room: book::Room) -> Option<(Goal, Option<TargetId>)> {
        if let Some((_, target)) = self.targets.first_due().filter(|(at, _)| *at <= cx.now) {
            let goal = match self.targets.addr(target) {
                PeerAddr::Ip(addr) => Goal::Connect(addr),
                name => Goal::Resolve(name),
            };
            return Some((goal, Some(target)));
        }
        if !self.dials.may_begin_learned(cx.now, cx.limits()) {
            return None;
        }
        let addr = self.book.pick_due(cx.now, room, &mut cx.random)?;
        self.book.dialing(addr);
        Some((Goal::Connect(addr), None))
    }

    /// Asks the driver for it.
    fn request(&mut self, dial: DialId, goal: Goal) {
        self.counts.dials += u64::from(matches!(goal, Goal::Connect(_)));
        self.events.push_back(match goal {
            Goal::Connect(addr) | Goal::Resolve(PeerAddr::Ip(addr)) => Event::Dial { dial, addr },
            Goal::Resolve(PeerAddr::Host { host, port }) => Event::Resolve { dial, host, port },
        });
    }

    /// When there is something to do next, and what.
    pub(crate) fn deadline(&self, cx: &Cx, census: &impl Census) -> Option<(Instant, Timer)> {
        if cx.stopping {
            return None;
        }
        let target = self.targets.first_due().map(|(at, _)| (at, Timer::Dial));
        let free = self.dials.next_learned_at(cx.now, cx.limits()).filter(|_| self.book.has_due());
        let learned = free.and_then(|free| {
            let due = self.book.first_due(self.room_later(cx, census))?;
            Some((due.max(free), Timer::Dial))
        });
        let connect = self.dials.deadline().map(|at| (at, Timer::Connect));
        let chore = self.upkeep.deadline(self.chores(cx, census)).map(|at| (at, Timer::Upkeep));
        [target, learned, connect, chore].into_iter().flatten().min()
    }

    /// How full each bounded thing is.
    pub(crate) fn capacities(&self, census: &impl Census) -> [(Capacity, usize); 5] {
        [
            (Capacity::DegreeHigh, self.accepted_degree(census)),
            (Capacity::Dials, self.dials.learned()),
            (Capacity::Book, self.book.len()),
            (Capacity::BookPerSource, self.book.most_per_source()),
            (Capacity::Banned, self.bans.len()),
        ]
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Addresses known, of these linked now, and of these being dialed.
    pub(crate) fn book_sizes(&self) -> (usize, usize, usize) {
        (self.book.len(), self.book.linked(), self.dials.learned())
    }

    /// The resolutions and dials under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> Vec<DialId> {
        self.dials.of(None)
    }

    /// Whether an address of a peer without a key may be dialed when it is due.
    #[cfg(test)]
    pub(crate) fn has_room_for_keyless(&self, cx: &Cx, census: &impl Census) -> bool {
        self.room_later(cx, census).keyless
    }

    /// Addresses of others than `node_id` that are worth a dial.
    #[cfg(test)]
    pub(crate) fn worth_dialing(&self, node_id: NodeId) -> usize {
        self.book.fresh_but(node_id)
    }

    /// Compares the indexes with what they are indexes of.
    pub(crate) fn is_consistent(&self) -> bool {
        self.dials.is_consistent() && self.book.is_consistent()
    }
}

/// The peer that is linked by our own dial to this address.
fn linked_by_dial_to(addr: SocketAddr, census: &impl Census) -> Option<NodeId> {
    let dialed = |dialed: Option<Dialed>| dialed.is_some_and(|dialed| dialed.addr == addr);
    census.links().find(|link| link.linked && dialed(link.dialed))?.node_id
}

/// Where a record says that its peer listens.
fn address_of(record: &PeerRecord) -> Option<SocketAddr> {
    let mut addr = record.listen_addr?;
    if addr.ip().is_unspecified() {
        addr.set_ip(record.remote_addr?.ip());
    }
    Some(addr)
}

/// The attempt failed before there was a connection.
impl From<DialError> for Attempt {
    fn from(reason: DialError) -> Self {
        Self::Failed(reason)
    }
}
