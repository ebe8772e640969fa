//! Which nodes to know and which to link with: the address book, the user's addresses, dials, admission, maintenance
//! (SPEC section 5).
//!
//! [`Mesh`] decides. It sees the connections through a [`Census`], and says what it wants by [`Mesh::next_event`].

mod admission;
mod backoff;
mod bans;
mod book;
mod budgets;
mod degree;
mod dialing;
mod dials;
mod displacements;
mod event;
mod maintenance;
mod memory;
mod pins;
mod sealing;
mod targets;
#[cfg(test)]
mod testing;

use alloc::collections::{BTreeMap, VecDeque};
#[cfg(test)]
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use bans::Bans;
use book::{AddressBook, Advertisement};
use budgets::{Account, Budgets};
use dials::Dials;
use maintenance::Maintenance;
use memory::FoundTargets;
use pins::Pins;
use targets::Targets;

#[cfg(test)]
use crate::model::DialId;
use crate::model::{
    Capacity, Census, ConnId, Cx, Dialed, Instant, NodeId, PeerAddr, PeerInfo, PeerTarget, PeersSource,
    Reach, TokenBucket, uniform,
};
use crate::wire::PeerRecord;

pub(crate) use admission::Verdict;
pub(crate) use event::{Counts, Disconnect, Event, LinkFailure, TargetNotice};
pub(crate) use targets::{Stage, TargetView};

/// How long a linked node waits before it dials a newcomer, which most likely dials first: from this to twice this
/// (SPEC 5.3.8).
const NEWCOMER_DELAY: Duration = Duration::from_millis(250);

/// The nodes that a node knows, and those that it links with.
#[derive(Debug)]
pub(crate) struct Mesh {
    book: AddressBook,
    targets: Targets,
    dials: Dials,
    budgets: Budgets,
    maintenance: Maintenance,
    bans: Bans,
    pins: Pins,
    found_targets: FoundTargets,
    /// How often `found_targets` changed.
    changes: u64,
    /// How many new addresses each connection may still bring.
    learning: BTreeMap<ConnId, TokenBucket>,
    events: VecDeque<Event>,
    counts: Counts,
}

/// Why an address that the user gives is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TargetRefusal {
    /// `mesh.targets` others are there already.
    TooMany,
    /// A node is expected there, and the driver cannot seal.
    CannotSeal,
}

/// What the mesh waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An address is due to be dialed.
    Dial,
    /// A maintenance task is due.
    Maintenance,
    /// A dial times out.
    Connect,
}

impl Mesh {
    pub(crate) fn new(cx: &mut Cx) -> Self {
        let limits = cx.config.limits();
        Self {
            book: AddressBook::default(),
            targets: Targets::default(),
            dials: Dials::new(limits),
            budgets: Budgets::new(),
            maintenance: Maintenance::new(cx.now, &mut cx.random, limits),
            bans: Bans::default(),
            pins: Pins::default(),
            found_targets: FoundTargets::default(),
            changes: 0,
            learning: BTreeMap::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The next event, until there is none.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Adds an address that the user gave, if there is room.
    pub(crate) fn add_target(&mut self, cx: &Cx, target: PeerTarget) -> Result<(), TargetRefusal> {
        if target.expected.is_some() && cx.config.plaintext().is_none() {
            return Err(TargetRefusal::CannotSeal);
        }
        let added = self.targets.add(target, cx.now, cx.limits());
        if added { Ok(()) } else { Err(TargetRefusal::TooMany) }
    }

    /// Gives up an address that the user gave. False: there is no such one. A link with its node lasts.
    pub(crate) fn give_up_target(&mut self, addr: &PeerAddr) -> bool {
        let given_up = self.targets.give_up(addr);
        if given_up.is_some() {
            self.cancel(given_up);
        }
        given_up.is_some()
    }

    /// The addresses that the user gave, in their order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = TargetView<'_>> {
        self.targets.views()
    }

    /// `PEERS` came. Takes the addresses of nodes that are not linked into the address book.
    pub(crate) fn peers_received(
        &mut self,
        cx: &mut Cx,
        source: &PeersSource,
        records: &[PeerRecord],
        census: &impl Census,
    ) {
        for record in records {
            let delay = if source.first {
                Duration::ZERO
            } else {
                NEWCOMER_DELAY + uniform(&mut cx.random, NEWCOMER_DELAY)
            };
            let own = record.node_id == Some(cx.identity.node_id());
            // A peer with a key tells of this id if another node has it, too (SPEC 4.8.9).
            let passed_over = own && !source.node_id.is_of_key();
            let linked = record.node_id.is_some_and(|id| census.is_linked(id));
            let Some(addr) = address_of(record).filter(|_| !linked && !passed_over) else { continue };
            if Some(addr) == cx.config.listen_addr() {
                continue;
            }
            let claimed = record.node_id.filter(|_| !own);
            let learned = self.learn(cx, addr, source, claimed, cx.now + delay);
            *(if learned { &mut self.counts.learned } else { &mut self.counts.addresses_ignored }) += 1;
        }
    }

    /// Takes an advertised address into the address book, due at `dial_at`. False: it is no news, not credible, one
    /// that the user gave, or beyond the limits.
    fn learn(
        &mut self,
        cx: &Cx,
        addr: SocketAddr,
        source: &PeersSource,
        node_id: Option<NodeId>,
        dial_at: Instant,
    ) -> bool {
        let limits = cx.limits();
        let budget = self
            .learning
            .entry(source.conn)
            .or_insert_with(|| TokenBucket::new(limits.mesh.learn_every, limits.mesh.learn_burst));
        let teller = Some(source.ip).filter(|_| source.reach != Reach::ThisMachine);
        let advertisement =
            Advertisement { source: source.node_id, source_dialed: source.dialed, teller, node_id };
        let has_budget = Account::new(addr, teller)
            .is_none_or(|account| self.budgets.next_at(cx.now, &account, limits) <= cx.now);
        let learned = budget.next_at(cx.now) <= cx.now
            && source.reach.includes(addr)
            && !self.targets.contains(addr)
            && (self.book.learn(addr, advertisement, dial_at, limits)
                || (has_budget && self.book.retell(addr, teller, dial_at)));
        if learned {
            budget.charge(cx.now, 1);
        }
        learned
    }

    /// A connection ended, or is being closed: nothing more is learned from it.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.learning.remove(&conn);
    }

    /// A connection is now this peer's link.
    pub(crate) fn linked(&mut self, cx: &Cx, peer: &PeerInfo, dialed: Option<Dialed>, census: &impl Census) {
        if let Some(dialed) = dialed {
            self.reached(cx, dialed, peer.node_id, census);
            if let Some(target) = dialed.target {
                self.cancel(Some(target));
            }
        }
        self.claim(cx, peer);
    }

    /// A linked peer says where it listens. It is dialed there once the link has ended.
    pub(crate) fn claim(&mut self, cx: &Cx, peer: &PeerInfo) {
        let ip = peer.remote_addr.ip();
        let reach = cx.reach_of(ip);
        if let Some(addr) = peer.listen_addr
            && reach.includes(addr)
            && !self.targets.contains(addr)
        {
            let teller = Some(ip).filter(|_| reach != Reach::ThisMachine);
            self.book.claim(addr, peer.node_id, teller, cx.limits());
        }
    }

    /// A link ended. Bans its peer if that has a key and broke a rule. Returns the `successor`, a newcomer that is the same
    /// node, unless it is banned.
    pub(crate) fn lost(
        &mut self,
        cx: &Cx,
        gone: &Disconnect,
        successor: Option<ConnId>,
        census: &impl Census,
    ) -> Option<ConnId> {
        if gone.violation && gone.node_id.is_of_key() {
            self.bans.add(cx.now, gone.node_id, gone.ip, cx.limits());
        }
        successor.filter(|conn| !self.is_banned(cx, *conn, census))
    }

    /// A link ended, and its peer is no longer linked.
    pub(crate) fn unlinked(&mut self, cx: &mut Cx, gone: &Disconnect, census: &impl Census) {
        let connectivity = self.connectivity(cx, census);
        let degree = connectivity.degree;
        let Cx { now, random, config, .. } = cx;
        let limits = config.limits();
        self.book.disconnected(gone, degree, *now, random, limits);
        self.events.extend(self.targets.disconnected(gone, connectivity, random, limits));
        if degree < limits.mesh.degree_low {
            self.book.shorten_waits(degree, *now, random, limits);
        }
        if connectivity.lacks_outbound {
            self.targets.shorten_waits(*now, random, limits);
        }
    }

    /// The next deadline, and what it is for.
    pub(crate) fn deadline(&self, cx: &Cx, census: &impl Census) -> Option<(Instant, Timer)> {
        if cx.stopping {
            return None;
        }
        let target = self.targets.first_due().map(|(at, _)| (at, Timer::Dial));
        let allowed_at = self.dials.next_learned_at(cx.now, cx.limits()).filter(|_| self.book.has_waiting());
        let learned = allowed_at.and_then(|allowed_at| {
            let due = self.book.first_due(self.eligible(cx, census))?;
            Some((due.max(allowed_at), Timer::Dial))
        });
        let connect = self.dials.deadline().map(|at| (at, Timer::Connect));
        let needed = self.tasks_needed(cx, census);
        let maintenance = self.maintenance.deadline(needed).map(|at| (at, Timer::Maintenance));
        [target, learned, connect, maintenance].into_iter().flatten().min()
    }

    /// How full each bounded collection is.
    pub(crate) fn capacities(&self, census: &impl Census) -> [(Capacity, usize); 7] {
        [
            (Capacity::DegreeHigh, self.count_expendable(census)),
            (Capacity::Dials, self.dials.learned()),
            (Capacity::Book, self.book.len()),
            (Capacity::BookPerSource, self.book.most_per_source()),
            (Capacity::Banned, self.bans.len()),
            (Capacity::DialBudgets, self.budgets.len()),
            (Capacity::Pins, self.pins.len()),
        ]
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The number of learned addresses, of those whose node is linked, and of those being dialed.
    pub(crate) fn book_sizes(&self) -> (usize, usize, usize) {
        (self.book.len(), self.book.linked(), self.dials.learned())
    }

    /// The resolutions and dials under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> Vec<DialId> {
        self.dials.of(None)
    }

    /// Whether an address of a peer without a key may be dialed once it is due.
    #[cfg(test)]
    pub(crate) fn has_room_for_keyless(&self, cx: &Cx, census: &impl Census) -> bool {
        self.eligible(cx, census).keyless
    }

    /// The number of fresh addresses without those of `node_id`.
    #[cfg(test)]
    pub(crate) fn worth_dialing(&self, node_id: NodeId) -> usize {
        self.book.fresh_except(node_id)
    }

    /// Whether the indexes agree with what they index.
    pub(crate) fn is_consistent(&self) -> bool {
        self.dials.is_consistent() && self.book.is_consistent()
    }
}

/// Where the peer of a record listens. For an unspecified IP address, the one from which the source sees the peer (SPEC
/// 2.5.3).
fn address_of(record: &PeerRecord) -> Option<SocketAddr> {
    let mut addr = record.listen_addr?;
    if addr.ip().is_unspecified() {
        addr.set_ip(record.remote_addr?.ip());
    }
    Some(addr)
}
