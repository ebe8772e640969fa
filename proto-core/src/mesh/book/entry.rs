//! One learned address: what is known of it, and how long it waits to be dialed.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::super::backoff::Backoff;
use super::super::budgets::Account;
use crate::model::{Instant, Limits, NodeId, Past};

/// What a peer says of an address.
#[derive(Clone, Copy, Debug)]
pub(in crate::mesh) struct Advertisement {
    /// The peer that says it.
    pub(in crate::mesh) source: NodeId,
    /// Whether this node dialed the source.
    pub(in crate::mesh) source_dialed: bool,
    /// From where it says it. None: from this machine.
    pub(in crate::mesh) teller: Option<IpAddr>,
    /// The node that is said to be there.
    pub(in crate::mesh) node_id: Option<NodeId>,
}

/// A learned address.
#[derive(Debug)]
pub(super) struct BookEntry {
    pub(super) state: State,
    pub(super) backoff: Backoff,
    /// It is not dialed before this.
    pub(super) earliest: Option<Instant>,
    /// Failed dials in a row.
    pub(super) failures: u32,
    /// A dial has failed since a node was last reached there, or since the address was advertised.
    pub(super) unanswered: bool,
    /// The node that was reached there. Before that, the node that is said to be there.
    pub(super) node_id: Option<NodeId>,
    /// The peer that advertised the address first. None once a dial has reached a node there.
    pub(super) source: Option<NodeId>,
    /// Where the peer is to which its dials are charged. None: on this machine.
    pub(super) teller: Option<IpAddr>,
    /// A budget put its dial off.
    pub(super) put_off: bool,
    /// A peer that this node dialed has advertised the address.
    pub(super) source_dialed: bool,
    /// When a dial last reached a node there, or when the link with that node ended.
    pub(super) found_at: Option<Past>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting {
        dial_at: Instant,
    },
    Dialing,
    /// This peer is linked, and was reached there or claims to listen there.
    Linked(NodeId),
    /// The address leads to this node itself.
    Own,
}

/// What an address is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The node there has no key. It does not count towards the degree.
    Keyless,
    /// A dial has reached a node there.
    Found,
    /// Advertised by a peer that this node dialed. An attacker cannot choose which peers those are.
    FromDialed,
    /// Advertised by other peers only.
    FromInbound,
}

impl BookEntry {
    /// An entry for an address that was just advertised.
    pub(super) fn new(advertisement: Advertisement, state: State) -> Self {
        Self {
            state,
            backoff: Backoff::default(),
            earliest: None,
            failures: 0,
            unanswered: false,
            node_id: advertisement.node_id,
            source: Some(advertisement.source),
            teller: advertisement.teller,
            put_off: false,
            source_dialed: advertisement.source_dialed,
            found_at: None,
        }
    }

    /// An address that was kept from an earlier start. It is due at once.
    pub(super) fn recalled(node_id: Option<NodeId>, found_at: Option<Past>, now: Instant) -> Self {
        Self {
            state: State::Waiting { dial_at: now },
            backoff: Backoff::default(),
            earliest: None,
            failures: 0,
            unanswered: false,
            node_id,
            source: None,
            teller: None,
            put_off: false,
            source_dialed: false,
            found_at,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match (self.node_id, self.found_at) {
            (Some(node_id), _) if !node_id.is_of_key() => Kind::Keyless,
            (_, Some(_)) => Kind::Found,
            (_, None) if self.source_dialed => Kind::FromDialed,
            (_, None) => Kind::FromInbound,
        }
    }

    /// Its key in the index of addresses that wait to be dialed.
    pub(super) fn due(&self, addr: SocketAddr) -> Option<(Kind, Instant, SocketAddr)> {
        match self.state {
            State::Waiting { dial_at } => Some((self.kind(), dial_at, addr)),
            _ => None,
        }
    }

    /// It waits to be dialed at this time, or later if that is too early.
    pub(super) fn wait_until(&mut self, dial_at: Instant) {
        let dial_at = self.earliest.map_or(dial_at, |earliest| dial_at.max(earliest));
        self.state = State::Waiting { dial_at };
    }

    /// What its dials are charged to. None: they are free, because a dial has reached a node there, or because it is on
    /// this machine.
    pub(super) fn account(&self, addr: SocketAddr) -> Option<Account> {
        Account::new(addr, self.teller).filter(|_| self.found_at.is_none())
    }

    /// Whether it is worth a dial: the node there has a key and is not linked, no dial has failed since the last contact,
    /// and no budget put it off (SPEC 5.3).
    pub(super) fn is_fresh(&self) -> bool {
        let unlinked = matches!(self.state, State::Waiting { .. } | State::Dialing);
        unlinked && self.failures == 0 && !self.put_off && self.kind() != Kind::Keyless
    }

    /// Whether it is unknown if a node is there: the last dial failed, or none has reached a node for `mesh.book_fresh`
    /// (SPEC 5.7.1).
    pub(super) fn is_uncertain(&self, now: Instant, limits: &Limits) -> bool {
        self.failures > 0 || self.found_at.is_none_or(|past| past.age(now) >= limits.mesh.book_fresh)
    }

    /// Orders entries by what is lost with them: whether the node is linked, then when it was found.
    pub(super) fn worth(&self) -> (bool, Option<Past>) {
        (matches!(self.state, State::Linked(_)), self.found_at)
    }

    /// Whether that node can be the one there. A known id without a key proves nothing, because anybody can use it.
    pub(super) fn can_be(&self, node_id: NodeId) -> bool {
        self.node_id.is_none_or(|known| known == node_id || !known.is_of_key())
    }

    /// Whether a linked peer only claims the address, and another peer says that a different node is there.
    pub(super) fn is_contradicted_by(&self, advertisement: &Advertisement) -> bool {
        let claimed = matches!(self.state, State::Linked(by) if by != advertisement.source);
        let only_claimed = claimed && self.found_at.is_none();
        only_claimed
            && advertisement.node_id.is_some_and(|node_id| node_id.is_of_key() && !self.can_be(node_id))
    }

    /// Whether an advertisement makes it due at `sooner`: a node was found there, dials have failed since, and a peer
    /// says that the node is alive.
    pub(super) fn is_revived_at(&self, sooner: Instant) -> bool {
        let later = matches!(self.state, State::Waiting { dial_at } if dial_at > sooner);
        let allowed = self.earliest.is_none_or(|earliest| earliest <= sooner);
        later && allowed && self.failures > 0 && self.kind() == Kind::Found
    }
}

impl Kind {
    /// In their order.
    pub(super) const ALL: [Self; 4] = [Self::Keyless, Self::Found, Self::FromDialed, Self::FromInbound];

    /// Where the backoff of such an address stops at this degree (SPEC 5.11.1 to 5.11.3).
    pub(super) fn backoff_ceiling(self, degree: usize, limits: &Limits) -> Duration {
        match self {
            Self::Keyless => limits.mesh.backoff_max,
            _ if degree == 0 => limits.mesh.backoff_user,
            Self::Found if degree < limits.mesh.degree_low => limits.mesh.backoff_low,
            Self::Found | Self::FromDialed | Self::FromInbound => limits.mesh.backoff_max,
        }
    }
}
