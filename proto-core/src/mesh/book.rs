//! The address book: the addresses that peers advertised, and what this node's dials found there (SPEC 5.3, 5.10 to
//! 5.12).

mod entry;
mod pick;
mod room;
#[cfg(test)]
mod tests;
mod views;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use rand_core::Rng;

use super::budgets::Account;
use super::event::Disconnect;
use crate::model::{Crowd, Instant, Limits, NodeId, Past, uniform};
pub(super) use entry::Advertisement;
use entry::{BookEntry, Kind, State};

/// The learned addresses that the node knows.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    entries: BTreeMap<SocketAddr, BookEntry>,
    /// The addresses that wait to be dialed, by kind, then by when they are due. An index of `entries`.
    due: BTreeSet<(Kind, Instant, SocketAddr)>,
    /// The number of fresh entries. An index of `entries`.
    fresh: usize,
    /// How many each host and each network holds. An index of `entries`.
    crowd: Crowd,
    /// How often an address came, went, or turned out to lead to a node.
    changes: u64,
}

/// Which addresses may be dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Eligible {
    /// Those of nodes without a key.
    pub(super) keyless: bool,
    /// Those of nodes with a key.
    pub(super) keyed: bool,
    /// Of the latter, also those that only peers advertised that this node did not dial.
    pub(super) from_inbound: bool,
}

impl Eligible {
    fn includes(self, kind: Kind) -> bool {
        match kind {
            Kind::Keyless => self.keyless,
            Kind::Found | Kind::FromDialed => self.keyed,
            Kind::FromInbound => self.keyed && self.from_inbound,
        }
    }
}

impl AddressBook {
    /// Takes what a peer says of an address, which is due at `dial_at`. False: it is no news, or there is no room.
    pub(super) fn learn(
        &mut self,
        addr: SocketAddr,
        advertisement: Advertisement,
        dial_at: Instant,
        limits: &Limits,
    ) -> bool {
        let Some(entry) = self.entries.get(&addr) else {
            let room = self.make_room_for(addr, advertisement.source, limits);
            if room {
                self.insert(addr, BookEntry::new(advertisement, State::Waiting { dial_at }));
            }
            return room;
        };
        let (contradicts, revives) = (entry.is_contradicted_by(&advertisement), entry.is_revived_at(dial_at));
        if advertisement.source_dialed && !entry.source_dialed {
            self.change(addr, |entry| entry.source_dialed = true);
        }
        if contradicts || revives {
            self.change(addr, |entry| {
                entry.wait_until(dial_at);
                entry.unanswered = false;
                if contradicts {
                    entry.node_id = advertisement.node_id;
                }
            });
        }
        contradicts || revives
    }

    /// Another peer tells an address whose dial a budget put off. From now on its dials are charged to that peer, and it is
    /// due at `dial_at`. So nobody whose budget is used up keeps this node from an address that others tell as well.
    pub(super) fn retell(&mut self, addr: SocketAddr, teller: Option<IpAddr>, dial_at: Instant) -> bool {
        let waits = |entry: &&BookEntry| entry.put_off && matches!(entry.state, State::Waiting { .. });
        let Some(entry) = self.entries.get(&addr).filter(waits) else { return false };
        let another = entry.teller != teller;
        if another {
            self.change(addr, |entry| {
                (entry.teller, entry.put_off) = (teller, false);
                entry.state = State::Waiting { dial_at };
            });
        }
        another
    }

    /// A linked peer says that it listens at `addr`. The address is not dialed while that peer is linked (SPEC 5.10),
    /// unless the book has it under the key of another node. Then a dial decides, so that a peer cannot keep this node
    /// from another node's address by claiming it.
    pub(super) fn claim(&mut self, addr: SocketAddr, by: NodeId, teller: Option<IpAddr>, limits: &Limits) {
        let Some(entry) = self.entries.get(&addr) else {
            if self.make_room_for(addr, by, limits) {
                let advertisement =
                    Advertisement { source: by, source_dialed: false, teller, node_id: Some(by) };
                self.insert(addr, BookEntry::new(advertisement, State::Linked(by)));
            }
            return;
        };
        if entry.can_be(by) && matches!(entry.state, State::Waiting { .. }) {
            self.change(addr, |entry| {
                entry.state = State::Linked(by);
                entry.node_id = Some(by);
                entry.put_off = false;
            });
        }
    }

    /// What a dial of this address is charged to. None: it is free.
    pub(super) fn account(&self, addr: SocketAddr) -> Option<Account> {
        self.entries.get(&addr)?.account(addr)
    }

    /// A budget puts a dial off.
    pub(super) fn put_off(&mut self, addr: SocketAddr, until: Instant) {
        self.change(addr, |entry| {
            entry.put_off = true;
            entry.state = State::Waiting { dial_at: until };
        });
    }

    /// The number of fresh addresses: those worth a dial (SPEC 5.3).
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// The number of fresh addresses without those of one node.
    pub(super) fn fresh_except(&self, node_id: NodeId) -> usize {
        self.entries.values().filter(|entry| entry.is_fresh() && entry.node_id != Some(node_id)).count()
    }

    /// The node at an address, as far as it is known.
    pub(super) fn node_at(&self, addr: SocketAddr) -> Option<NodeId> {
        self.entries.get(&addr)?.node_id
    }

    /// A dial begins.
    pub(super) fn dialing(&mut self, addr: SocketAddr) {
        self.change(addr, |entry| (entry.state, entry.put_off) = (State::Dialing, false));
    }

    /// A dial, or the handshake after it, brought no link. `answered`: a node is there and has no free slot.
    pub(super) fn failed(
        &mut self,
        addr: SocketAddr,
        answered: bool,
        degree: usize,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let Some(entry) = self.entries.get(&addr).filter(|entry| entry.state == State::Dialing) else {
            return;
        };
        let mut failures = if answered { 0 } else { entry.failures.saturating_add(1) };
        if degree == 0 {
            // A node without links is most likely cut off itself: the failure says little about the address.
            failures = failures.min(limits.mesh.book_failures.saturating_sub(1).max(1));
        }
        self.change(addr, |entry| {
            entry.failures = failures;
            entry.unanswered = !answered;
            entry.found_at = entry.found_at.filter(|past| past.age(now) < limits.mesh.book_forget_after);
            let ceiling = entry.kind().backoff_ceiling(degree, limits);
            let delay = entry.backoff.next(random, limits.mesh.backoff_min, ceiling);
            entry.earliest = Some(now);
            entry.wait_until(now + delay);
        });
        if failures >= limits.mesh.book_failures
            && self.entries.get(&addr).is_some_and(|entry| entry.found_at.is_none())
        {
            self.remove(addr);
        }
    }

    /// An address that was kept from an earlier start, and when the node there was found last.
    pub(super) fn recall(
        &mut self,
        addr: SocketAddr,
        node_id: Option<NodeId>,
        found_at: Option<Past>,
        now: Instant,
    ) {
        if !self.entries.contains_key(&addr) {
            self.insert(addr, BookEntry::recalled(node_id, found_at, now));
            self.keep_few_of(node_id, &[]);
        }
    }

    /// A number that grows when an address comes or goes, or turns out to lead to a node.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A dial reached this node, which is linked. `link`: where the dial led that its link came from.
    pub(super) fn reached(
        &mut self,
        addr: SocketAddr,
        node_id: NodeId,
        link: Option<SocketAddr>,
        now: Instant,
    ) {
        self.changes += 1;
        self.change(addr, |entry| {
            entry.source = None;
            entry.node_id = Some(node_id);
            entry.found_at = Some(Past::at(now));
            entry.failures = 0;
            entry.unanswered = false;
            entry.state = State::Linked(node_id);
        });
        self.keep_few_of(Some(node_id), &[addr, link.unwrap_or(addr)]);
    }

    /// A dial reached this node itself. The address is not dialed again.
    pub(super) fn set_own(&mut self, addr: SocketAddr) {
        self.change(addr, |entry| entry.state = State::Own);
    }

    /// A link ended. The addresses of its peer wait for their next dial.
    pub(super) fn disconnected(
        &mut self,
        gone: &Disconnect,
        degree: usize,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let linked = self.entries.iter().filter(|(_, entry)| entry.state == State::Linked(gone.node_id));
        let linked: Vec<_> = linked.map(|(addr, _)| *addr).collect();
        for addr in linked {
            self.change(addr, |entry| {
                if gone.lasted >= limits.mesh.backoff_reset && !gone.full && !gone.violation {
                    entry.backoff.reset();
                }
                entry.failures = u32::from(!gone.full);
                entry.unanswered = false;
                entry.found_at = entry.found_at.filter(|_| !gone.violation).map(|_| Past::at(now));
                let ceiling = entry.kind().backoff_ceiling(degree, limits);
                let delay = entry.backoff.next(random, limits.mesh.backoff_min, ceiling);
                if gone.taken {
                    entry.earliest = Some(gone.redial_after);
                }
                entry.state = State::Waiting { dial_at: gone.redial_after + delay };
            });
        }
    }

    /// The node has too few links. Addresses that wait for longer than the ceiling at this degree are dialed sooner.
    pub(super) fn shorten_waits(
        &mut self,
        degree: usize,
        now: Instant,
        random: &mut impl Rng,
        limits: &Limits,
    ) {
        let ceiling = |kind: Kind| kind.backoff_ceiling(degree, limits);
        let late = self.due.iter().filter(|(kind, dial_at, _)| *dial_at > now + ceiling(*kind));
        let late: Vec<_> = late.map(|(kind, _, addr)| (*kind, *addr)).collect();
        for (kind, addr) in late {
            let dial_at = now + uniform(random, ceiling(kind));
            self.change(addr, |entry| entry.wait_until(dial_at));
        }
    }

    fn insert(&mut self, addr: SocketAddr, entry: BookEntry) {
        self.changes += 1;
        self.crowd.add(addr.ip());
        self.entries.insert(addr, entry);
        self.index(addr);
    }

    fn remove(&mut self, addr: SocketAddr) {
        self.changes += 1;
        self.unindex(addr);
        if self.entries.remove(&addr).is_some() {
            self.crowd.remove(addr.ip());
        }
    }

    fn change(&mut self, addr: SocketAddr, change: impl FnOnce(&mut BookEntry)) {
        self.unindex(addr);
        if let Some(entry) = self.entries.get_mut(&addr) {
            change(entry);
        }
        self.index(addr);
    }

    fn unindex(&mut self, addr: SocketAddr) {
        let Some(entry) = self.entries.get(&addr) else { return };
        self.fresh -= usize::from(entry.is_fresh());
        if let Some(due) = entry.due(addr) {
            self.due.remove(&due);
        }
    }

    fn index(&mut self, addr: SocketAddr) {
        let Some(entry) = self.entries.get(&addr) else { return };
        self.fresh += usize::from(entry.is_fresh());
        self.due.extend(entry.due(addr));
    }
}
