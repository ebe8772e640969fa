//! Which address is dialed next, and which addresses are advertised (SPEC 5.3, 5.7, 5.8).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand_core::Rng;

use super::super::bans::Bans;
use super::super::budgets::Account;
use super::entry::{BookEntry, Kind};
use super::{AddressBook, Eligible};
use crate::model::{Instant, Limits, NodeId, Reach, below};

/// The lowest address in the order of addresses.
const LOWEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl AddressBook {
    /// When the first eligible address is due.
    pub(in crate::mesh) fn first_due(&self, eligible: Eligible) -> Option<Instant> {
        let kinds = Kind::ALL.into_iter().filter(|kind| eligible.includes(*kind));
        kinds.filter_map(|kind| self.waiting(kind).next()).map(|(dial_at, _)| dial_at).min()
    }

    /// One of the eligible addresses that are due. A coin decides
    /// - between peers without a key and peers with one, so that neither group can crowd out the other;
    /// - between found and advertised addresses, so that no number of advertised ones crowds out those that are known to
    ///   be true.
    ///
    /// Of the advertised ones, those from peers that this node dialed come first. In three turns of four, an address
    /// where a dial failed gives way to others. Chance decides the rest, so that nobody chooses this node's neighbours
    /// by advertising addresses first.
    pub(in crate::mesh) fn pick_due(
        &self,
        now: Instant,
        eligible: Eligible,
        random: &mut impl Rng,
    ) -> Option<SocketAddr> {
        let due =
            |kind| self.waiting(kind).take_while(move |(dial_at, _)| *dial_at <= now).map(|(_, addr)| addr);
        let keyless = due(Kind::Keyless).next().filter(|_| eligible.keyless);
        if !eligible.keyed {
            return keyless;
        }
        let has_from_dialed = due(Kind::FromDialed).next().is_some();
        let only_from_dialed = has_from_dialed || !eligible.from_inbound;
        let advertised = due(if only_from_dialed { Kind::FromDialed } else { Kind::FromInbound });
        let found = due(Kind::Found);
        // Draw no random number where there is nothing to choose: a choice without a result must not change what
        // follows.
        if found.clone().chain(advertised.clone()).next().is_none() {
            return keyless;
        }
        if keyless.is_some() && below(random, 2) == 0 {
            return keyless;
        }
        // One turn in four is open to all addresses, so that endless advertising cannot starve those that were found.
        let open = below(random, 4) == 0;
        let in_turn =
            |addr: &SocketAddr| open || self.entries.get(addr).is_some_and(|entry| !entry.unanswered);
        pick_either(found.clone().filter(in_turn), advertised.clone().filter(in_turn), random)
            .or_else(|| pick_either(found, advertised, random))
    }

    /// An address that waits, due or not, where it is unknown if a node is there. A coin decides between found and
    /// advertised addresses. Those are left out that are to be left alone for a while (SPEC 3.13.6, 4.8.4), those of banned
    /// nodes, and those whose account cannot pay for a dial.
    pub(in crate::mesh) fn pick_uncertain(
        &self,
        now: Instant,
        bans: &Bans,
        pays: impl Fn(&Account) -> bool,
        random: &mut impl Rng,
        limits: &Limits,
    ) -> Option<SocketAddr> {
        let is_candidate = |addr: &SocketAddr| {
            let entry = self.entries.get(addr).filter(|entry| entry.is_uncertain(now, limits));
            entry.is_some_and(|entry| {
                entry.earliest.is_none_or(|earliest| earliest <= now)
                    && entry.node_id.is_none_or(|node_id| !bans.contains(now, node_id, addr.ip()))
                    && entry.account(*addr).is_none_or(|account| pays(&account))
            })
        };
        let candidates = |kind| self.waiting(kind).map(|(_, addr)| addr).filter(is_candidate);
        let advertised = candidates(Kind::FromDialed).chain(candidates(Kind::FromInbound));
        pick_either(candidates(Kind::Found), advertised, random)
    }

    /// The addresses of this kind that wait to be dialed, by when they are due.
    fn waiting(&self, kind: Kind) -> impl Iterator<Item = (Instant, SocketAddr)> + Clone {
        let waiting = self.due.range((kind, Instant::ORIGIN, LOWEST)..);
        waiting.take_while(move |due| due.0 == kind).map(|due| (due.1, due.2))
    }

    /// Whether any address waits to be dialed.
    pub(in crate::mesh) fn has_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether an address of a peer with a key waits to be dialed.
    pub(in crate::mesh) fn has_waiting_keyed(&self) -> bool {
        self.due.range((Kind::Found, Instant::ORIGIN, LOWEST)..).next().is_some()
    }

    /// A random sample of at most `count` addresses to advertise to a peer with this reach, each with the node that is
    /// there. They are found, and no dial has failed there since.
    pub(in crate::mesh) fn sample(
        &self,
        count: usize,
        reach: Reach,
        random: &mut impl Rng,
    ) -> Vec<(SocketAddr, NodeId)> {
        let candidate = |(addr, entry): (&SocketAddr, &BookEntry)| {
            let told = entry.found_at.is_some() && entry.is_fresh() && reach.includes(*addr);
            Some((*addr, entry.node_id.filter(|_| told)?))
        };
        let mut addrs: Vec<_> = self.entries.iter().filter_map(candidate).collect();
        let count = count.min(addrs.len());
        // The first steps of a Fisher-Yates shuffle.
        for index in 0..count {
            let other = index + below(random, addrs.len() - index);
            addrs.swap(index, other);
        }
        addrs.truncate(count);
        addrs
    }
}

/// A random one of the first or of the second addresses. A coin decides which, if there are both.
fn pick_either<I: Iterator<Item = SocketAddr> + Clone, J: Iterator<Item = SocketAddr> + Clone>(
    mut first: I,
    mut second: J,
    random: &mut impl Rng,
) -> Option<SocketAddr> {
    let (first_count, second_count) = (first.clone().count(), second.clone().count());
    let from_first = match (first_count, second_count) {
        (0, 0) => return None,
        (_, 0) => true,
        (0, _) => false,
        _ => below(random, 2) == 0,
    };
    if from_first { first.nth(below(random, first_count)) } else { second.nth(below(random, second_count)) }
}
