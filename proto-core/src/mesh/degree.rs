//! How many links a node wants, and so which learned addresses it may dial (SPEC 5.2, 5.3).
//!
//! A network of up to `degree_high` + 1 nodes is a full mesh. In a larger network, each node has from `degree_low` to
//! `degree_high` links. Peers without a key do not count, and leave connection slots for peers with one.

use super::Mesh;
use super::book::Eligible;
use crate::model::{Census, Cx, Dialed, Limits, LinkView, NodeId};

/// How well a node is linked to peers with a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connectivity {
    pub(super) degree: usize,
    /// Fewer than `mesh.degree_outbound` links are own dials.
    pub(super) lacks_outbound: bool,
}

impl Mesh {
    pub(super) fn connectivity(&self, cx: &Cx, census: &impl Census) -> Connectivity {
        Connectivity { degree: census.degree(), lacks_outbound: !has_enough_outbound(census, cx.limits()) }
    }

    /// Which learned addresses may be dialed now. None where no address is due, which saves looking at all links.
    pub(super) fn eligible_now(&self, cx: &Cx, census: &impl Census) -> Eligible {
        const NONE: Eligible = Eligible { keyless: false, keyed: false, from_inbound: false };
        const ALL: Eligible = Eligible { keyless: true, keyed: true, from_inbound: true };
        let has_due = self.book.first_due(ALL).is_some_and(|at| at <= cx.now);
        if has_due { self.eligible(cx, census) } else { NONE }
    }

    /// Which learned addresses may be dialed once they are due.
    pub(super) fn eligible(&self, cx: &Cx, census: &impl Census) -> Eligible {
        let limits = cx.limits();
        // One pass over the links: this runs after every frame.
        let (mut pending, mut in_handshake, mut outbound) = (0, 0, 0);
        for link in census.links().filter(|link| link.dialed.is_some()) {
            pending += usize::from(!link.linked);
            in_handshake += usize::from(link.greeting && self.may_bring_keyed_peer(&link));
            outbound += usize::from(link.linked && link.keyed);
        }
        debug_assert_eq!(outbound, count_outbound(census));
        let has_slot = census.slots_taken() + pending < limits.conns.slots;
        let degree = census.degree();
        // Addresses of peers without a key do not count here: anybody can advertise any number of them, and they must
        // not keep other addresses from being dialed.
        let under_way = self.nodes_being_dialed().count() + in_handshake;
        let wanted = degree + under_way < self.degree_to_dial_for(degree, limits)
            || outbound + under_way < limits.mesh.degree_outbound;
        Eligible {
            keyless: has_slot && census.has_slot_for_keyless(0, limits),
            keyed: has_slot && wanted,
            from_inbound: !self.targets.has_first_attempt_open(),
        }
    }

    /// Whether the network is too large for a full mesh, as far as a node of this degree knows (SPEC 5.3).
    pub(super) fn is_large_network(&self, degree: usize, limits: &Limits) -> bool {
        degree + self.book.fresh() > limits.mesh.degree_high
    }

    /// The degree up to which learned addresses are dialed (SPEC 5.3.1). In a small network, that is a link to every
    /// node.
    fn degree_to_dial_for(&self, degree: usize, limits: &Limits) -> usize {
        if self.is_large_network(degree, limits) {
            limits.mesh.degree_target
        } else {
            limits.mesh.degree_high
        }
    }

    /// The nodes at the learned addresses that are being dialed, without those that have no key. None: the node is
    /// unknown.
    pub(super) fn nodes_being_dialed(&self) -> impl Iterator<Item = Option<NodeId>> {
        let nodes = self.dials.learned_addrs().map(|addr| self.book.node_at(addr));
        nodes.filter(|node_id| node_id.is_none_or(|id| id.is_of_key()))
    }

    /// Whether this is a dial of a learned address that may bring a peer with a key. What the address book says of the
    /// address comes before the id that the other side claims and has not proven.
    pub(super) fn may_bring_keyed_peer(&self, link: &LinkView) -> bool {
        let Some(Dialed { addr, target: None, .. }) = link.dialed else { return false };
        self.book.node_at(addr).or(link.node_id).is_none_or(|id| id.is_of_key())
    }
}

/// The number of outbound links to peers with a key: the node's own dials.
pub(super) fn count_outbound(census: &impl Census) -> usize {
    census.neighbours().filter(|link| link.dialed.is_some()).count()
}

/// Whether `mesh.degree_outbound` links are own dials. Nobody can bring that about by dialing this node.
pub(super) fn has_enough_outbound(census: &impl Census, limits: &Limits) -> bool {
    count_outbound(census) >= limits.mesh.degree_outbound
}
