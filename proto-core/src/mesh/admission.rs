//! Which newcomers are admitted, and which links make room for them (SPEC 5.4, 5.5).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Mesh;
use super::degree::{count_outbound, has_enough_outbound};
use crate::model::{Census, ConnId, Cx, Dialed, Limits, LinkView, NodeId};

/// The decision about a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is refused: it broke a rule a while ago.
    Banned,
    /// A peer with its id is linked.
    AlreadyLinked,
    /// It is admitted.
    Admit,
    /// It is admitted, and this link is closed to make room.
    Replace(ConnId),
    /// It is turned away: no slot is free.
    Full,
}

/// The decision about a newcomer that claims a key, before either side proves its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screening {
    /// It is refused: it broke a rule a while ago.
    Banned,
    /// It is turned away: no slot is free.
    Full,
    /// It may prove its key.
    Passed,
}

impl Mesh {
    /// Decides about a newcomer whose handshake is done. `full_mesh`: as far as this node knows, all neighbours are
    /// linked to each other and to no other node.
    pub(crate) fn receive(&self, cx: &Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Verdict {
        if self.is_banned(cx, conn, census) {
            return Verdict::Banned;
        }
        match census.link(conn).and_then(|link| link.node_id) {
            Some(node_id) if census.is_linked(node_id) => Verdict::AlreadyLinked,
            _ => self.admit(cx, conn, census, full_mesh),
        }
    }

    /// Decides whether a newcomer that claims a key may prove it, or is turned away first (SPEC 3.7.3).
    pub(crate) fn screen(&self, cx: &Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Screening {
        let Some(link) = census.link(conn) else { return Screening::Full };
        let is_new = link.node_id.is_some_and(|node_id| !census.is_linked(node_id));
        if self.is_banned(cx, conn, census) {
            Screening::Banned
        } else if link.dialed.is_none() && is_new && self.admit(cx, conn, census, full_mesh) == Verdict::Full
        {
            Screening::Full
        } else {
            Screening::Passed
        }
    }

    /// Decides about a newcomer that is not banned and whose id no linked peer has.
    pub(crate) fn admit(&self, cx: &Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Verdict {
        let Some(link) = census.link(conn) else { return Verdict::Full };
        let limits = cx.limits();
        if census.slots_taken() >= limits.conns.slots {
            return Verdict::Full;
        }
        if !link.claims_key {
            return admit_keyless(&link, census, limits);
        }
        let Some(node_id) = link.node_id else { return Verdict::Full };
        let below_high = census.degree() < limits.mesh.degree_high;
        match link.dialed {
            Some(_) if below_high => Verdict::Admit,
            Some(Dialed { target, .. })
                if target.is_some() || !has_enough_outbound(census, limits) || full_mesh =>
            {
                let otherwise = if target.is_some() { Verdict::Admit } else { Verdict::Full };
                self.youngest_expendable(census, |_| true).map_or(otherwise, Verdict::Replace)
            }
            Some(_) => Verdict::Full,
            None if census.degree() + self.slots_kept(cx, node_id, census) < limits.mesh.degree_high => {
                Verdict::Admit
            }
            None => {
                self.link_to_replace(cx, &link, census, full_mesh).map_or(Verdict::Full, Verdict::Replace)
            }
        }
    }

    /// A newcomer is turned away. Returns the addresses to send it.
    pub(crate) fn turn_away(&mut self, cx: &mut Cx, node_id: NodeId) -> Vec<(SocketAddr, NodeId)> {
        self.counts.turned_away += 1;
        self.sample_for(cx, node_id)
    }

    /// A link is closed to make room for a newcomer. Returns the addresses to send its peer.
    pub(crate) fn displace(&mut self, cx: &mut Cx, node_id: NodeId) -> Vec<(SocketAddr, NodeId)> {
        self.counts.displaced += 1;
        self.maintenance.displacements.charge(cx.now, 1);
        self.sample_for(cx, node_id)
    }

    /// Whether the node at the other end of this connection is banned.
    pub(crate) fn is_banned(&self, cx: &Cx, conn: ConnId, census: &impl Census) -> bool {
        let link = census.link(conn).and_then(|link| Some((link.node_id?, link.ip)));
        link.is_some_and(|(node_id, ip)| self.bans.contains(cx.now, node_id, ip))
    }

    /// Inbound links to peers with a key, without those to addresses that the user gave.
    pub(super) fn count_expendable(&self, census: &impl Census) -> usize {
        self.expendable(census).count()
    }

    /// Slots that are kept free of newcomers other than this one (SPEC 5.5.1): for the dials under way, and for the
    /// dials to come while the node lacks outbound links and knows fresh addresses. So an attacker that dials in,
    /// however often, cannot be the node's only company.
    fn slots_kept(&self, cx: &Cx, newcomer: NodeId, census: &impl Census) -> usize {
        let is_another = |node_id: NodeId| node_id != newcomer && !census.is_linked(node_id);
        let dials = self.nodes_being_dialed().filter(|node_id| node_id.is_none_or(is_another)).count();
        let greeting = census.links().filter(|link| link.greeting && self.may_bring_keyed_peer(link));
        let in_handshake = greeting.filter(|link| link.node_id.is_none_or(is_another)).count();
        let lacking = cx.limits().mesh.degree_outbound.saturating_sub(count_outbound(census));
        let to_come = if lacking == 0 { 0 } else { lacking.min(self.book.fresh_except(newcomer)) };
        to_come.max(dials + in_handshake)
    }

    /// The link that makes room for an inbound newcomer when all slots are taken (SPEC 5.4.2 to 5.4.5).
    ///
    /// For a newcomer without links, and for any newcomer in a full mesh, it is the youngest expendable link. A full
    /// mesh gains more from a link out of it. For a newcomer with few links, it is the youngest expendable link whose
    /// peer has more links than it needs.
    fn link_to_replace(
        &self,
        cx: &Cx,
        newcomer: &LinkView,
        census: &impl Census,
        full_mesh: bool,
    ) -> Option<ConnId> {
        let limits = cx.limits();
        if self.maintenance.displacements.next_at(cx.now) > cx.now {
            return None;
        }
        match newcomer.advertised_degree {
            0 => self.youngest_expendable(census, |_| true),
            _ if full_mesh => self.youngest_expendable(census, |_| true),
            few if few < limits.mesh.degree_low => {
                self.youngest_expendable(census, |link| link.advertised_degree > limits.mesh.degree_target)
            }
            _ => None,
        }
    }

    /// The youngest expendable link that the condition holds for.
    fn youngest_expendable(
        &self,
        census: &impl Census,
        condition: impl Fn(&LinkView) -> bool,
    ) -> Option<ConnId> {
        let links = self.expendable(census).filter(condition);
        links.max_by_key(|link| (link.linked_since, link.conn)).map(|link| link.conn)
    }

    /// The links that may be closed for others: inbound ones to peers with a key that were not reached at an address
    /// that the user gave (SPEC 5.4).
    fn expendable(&self, census: &impl Census) -> impl Iterator<Item = LinkView> {
        let inbound = census.neighbours().filter(|link| link.dialed.is_none());
        inbound.filter(|link| link.node_id.is_none_or(|node_id| !self.targets.is_linked(node_id)))
    }
}

/// Decides about a newcomer without a key (SPEC 5.2.2 to 5.2.4).
fn admit_keyless(link: &LinkView, census: &impl Census, limits: &Limits) -> Verdict {
    let has_slot = match link.dialed {
        Some(Dialed { target: Some(_), .. }) => true,
        Some(Dialed { target: None, .. }) => census.has_slot_for_keyless(0, limits),
        None => census.has_slot_for_keyless(limits.conns.slots_reserved, limits),
    };
    if has_slot { Verdict::Admit } else { Verdict::Full }
}
