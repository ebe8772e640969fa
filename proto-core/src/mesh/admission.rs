//! Which newcomers are admitted, and which links make room for them (SPEC 5.4, 5.5).

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::SocketAddr;

use super::Mesh;
use super::degree::{count_outbound, has_enough_outbound};
use super::displacements::Payer;
use crate::model::{
    Census, ConnId, Crowd, Cx, Dialed, Instant, Largest, Limits, LinkView, MeshLimits, NodeId, Stage,
    host_of, net_of,
};

/// The decision about a newcomer, or about a peer that makes room for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is refused: it broke a rule a while ago.
    Banned,
    /// It claims a key, and may prove it. So does this node.
    Prove,
    /// It claims a key, and may prove it. Then it is most likely turned away, so this node proves nothing yet.
    AwaitProof,
    /// A peer with its id is linked: the newcomer claims that id.
    Claim,
    /// It is admitted, and sent these addresses, too. This link, if any, is closed to make room.
    Welcome(Found, Option<ConnId>),
    /// It is turned away, and sent these addresses, too.
    TurnAway(Found),
}

/// A sample of found addresses, with the node at each.
pub(crate) type Found = Vec<(SocketAddr, NodeId)>;

/// Whether there is a slot for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// It is admitted.
    Admit,
    /// It is admitted, and this link is closed to make room. None pays where the peers have no key: these leave the links
    /// to peers with one alone.
    Replace(ConnId, Option<Payer>),
    /// No slot is free.
    Full,
}

impl Mesh {
    /// Decides about a newcomer, or about a peer that makes room for one. `closed`: as far as this node knows,
    /// most neighbours are linked to each other and to hardly any other node, and not to the newcomer (SPEC 5.4.4).
    pub(crate) fn decide(
        &mut self,
        cx: &mut Cx,
        (conn, stage): (ConnId, Stage),
        census: &impl Census,
        closed: bool,
    ) -> Verdict {
        match stage {
            Stage::ClaimsKey => self.screen(cx, conn, census, closed),
            Stage::Introduced => self.receive(cx, conn, census, closed),
            Stage::Unclaimed => self.admit(cx, conn, census, closed),
            Stage::NoSlot => self.turn_away(cx, conn, census),
            Stage::Displaced => self.displace(cx, conn, census),
        }
    }

    /// Decides about a newcomer whose handshake is done.
    fn receive(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, closed: bool) -> Verdict {
        let claimed = census.link(conn).and_then(|link| link.node_id);
        if self.is_banned(cx, conn, census) {
            Verdict::Banned
        } else if claimed.is_some_and(|node_id| census.is_linked(node_id)) {
            Verdict::Claim
        } else {
            self.admit(cx, conn, census, closed)
        }
    }

    /// Decides whether this node proves its key to a newcomer that claims one, too, or waits with that because it has no room
    /// (SPEC 3.7.3). Who is told of peers has proven its key.
    fn screen(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, closed: bool) -> Verdict {
        if self.is_banned(cx, conn, census) {
            return Verdict::Banned;
        }
        let inbound = census.link(conn).filter(|link| link.dialed.is_none());
        let is_new = inbound.and_then(|link| link.node_id).is_some_and(|id| !census.is_linked(id));
        if is_new && self.admission(cx, conn, census, closed) == Admission::Full {
            return Verdict::AwaitProof;
        }
        Verdict::Prove
    }

    /// Decides about a newcomer that is not banned and whose id no linked peer has.
    fn admit(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, closed: bool) -> Verdict {
        let replaced = match self.admission(cx, conn, census, closed) {
            Admission::Full => return self.turn_away(cx, conn, census),
            Admission::Admit => None,
            Admission::Replace(other, payer) => {
                if let Some(payer) = payer {
                    self.maintenance.displacements.charge(cx.now, payer, cx.limits());
                }
                Some(other)
            }
        };
        Verdict::Welcome(self.sample_for(cx, conn, census), replaced)
    }

    /// A newcomer is turned away.
    fn turn_away(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Verdict {
        self.counts.turned_away += 1;
        Verdict::TurnAway(self.sample_for(cx, conn, census))
    }

    /// A link is closed to make room for a newcomer.
    fn displace(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Verdict {
        self.counts.displaced += 1;
        Verdict::TurnAway(self.sample_for(cx, conn, census))
    }

    /// A sample of found addresses to send the node on this connection. It is empty for one without a key, which is told
    /// linked peers only.
    fn sample_for(&self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Found {
        let keyed = |link: &LinkView| link.node_id.is_some_and(|node_id| node_id.is_of_key());
        let Some(link) = census.link(conn).filter(keyed) else { return Found::new() };
        self.book.sample(cx.config.limits().conns.peers_sent, link.reach, &mut cx.random)
    }

    /// Whether there is a slot for a newcomer that is not banned and whose id no linked peer has.
    fn admission(&self, cx: &Cx, conn: ConnId, census: &impl Census, closed: bool) -> Admission {
        let Some(link) = census.link(conn) else { return Admission::Full };
        let limits = cx.limits();
        if census.slots_taken() >= limits.conns.slots {
            return Admission::Full;
        }
        if !link.claims_key {
            return admit_keyless(&link, census, limits);
        }
        let Some(node_id) = link.node_id else { return Admission::Full };
        let below_high = census.degree() < limits.mesh.degree_high;
        match link.dialed {
            Some(_) if below_high => Admission::Admit,
            Some(Dialed { target, .. })
                if target.is_some() || !has_enough_outbound(census, limits) || closed =>
            {
                let otherwise = if target.is_some() { Admission::Admit } else { Admission::Full };
                let youngest = youngest(self.expendable(census));
                youngest.map_or(otherwise, |other| Admission::Replace(other, Some(Payer::Own)))
            }
            Some(_) => Admission::Full,
            None if census.degree() + self.slots_kept(cx, node_id, census) < limits.mesh.degree_high => {
                Admission::Admit
            }
            None => {
                let replaced = self.link_to_replace(cx, &link, census, closed);
                replaced.map_or(Admission::Full, |(other, payer)| Admission::Replace(other, Some(payer)))
            }
        }
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

    /// The link that makes room for an inbound newcomer when all slots are taken, and who pays (SPEC 5.4.2 to 5.4.10).
    ///
    /// If one address or network holds more expendable links than the newcomer's would, it is the youngest of these (SPEC
    /// 5.15). By network, the older half is spared: nodes of one network that have been linked for long stay linked,
    /// from however many other networks somebody comes. Else, for a newcomer without links, and for any newcomer to which
    /// the neighbours are closed, it is the youngest expendable link. They gain more from a link to others. For a newcomer with few
    /// links, it is the youngest expendable link whose peer has more links than it needs. Where the newcomer's own host or
    /// network holds links, it is one of these. Else it is spared for a while, if it came in the same way.
    ///
    /// If a crowd makes no room because it just did for the newcomer's network, that network parts nobody outside it.
    fn link_to_replace(
        &self,
        cx: &Cx,
        newcomer: &LinkView,
        census: &impl Census,
        closed: bool,
    ) -> Option<(ConnId, Payer)> {
        let limits = cx.limits();
        let allows = |payer| self.maintenance.displacements.allows(cx.now, payer, limits);
        let crowded = crowded(newcomer, self.expendable(census), self.count_expendable(census) / 2);
        let by_crowd = Payer::Crowd(net_of(newcomer.ip));
        if let Some(other) = crowded.filter(|_| allows(by_crowd)) {
            return Some((other, by_crowd));
        }
        let payer = self.payer_for(newcomer, census);
        if crowded.is_some() && matches!(payer, Payer::All(_)) || !allows(payer) {
            return None;
        }
        let makes_room = |link: &LinkView| match newcomer.advertised_degree {
            _ if closed => true,
            0 => true,
            few => few < limits.mesh.degree_low && link.advertised_degree > limits.mesh.degree_target,
        };
        let of_payer = self.expendable(census).filter(|link| payer.holds(link)).filter(makes_room);
        let other = match payer {
            Payer::All(_) => self.first_to_go(cx, of_payer.collect()),
            _ => youngest(of_payer),
        };
        other.map(|other| (other, payer))
    }

    /// Which of these links makes room where all newcomers pay (SPEC 5.4.10): the youngest whose network did not come in that
    /// way of late, else the one whose network did so first. It is one of the youngest few, as many as a node can do without.
    /// So who gets in stays for some turns, and the older links stay whoever comes.
    fn first_to_go(&self, cx: &Cx, mut links: Vec<LinkView>) -> Option<ConnId> {
        let MeshLimits { degree_high, degree_target, .. } = cx.limits().mesh;
        let few = degree_high.saturating_sub(degree_target).max(1);
        links.sort_unstable_by_key(|link| Reverse(age(link)));
        let pays_at =
            |link: &&LinkView| self.maintenance.displacements.net_pays_at(cx.now, link.ip, cx.limits());
        links.iter().take(few).min_by_key(pays_at).map(|link| link.conn)
    }

    /// Who pays if a link makes room for a newcomer, and holds that link (SPEC 5.4.7).
    fn payer_for(&self, newcomer: &LinkView, census: &impl Census) -> Payer {
        let own = [Payer::Host(host_of(newcomer.ip)), Payer::Net(net_of(newcomer.ip))];
        let holds = |own: &Payer| self.expendable(census).any(|link| own.holds(&link));
        own.into_iter().find(holds).unwrap_or(Payer::All(newcomer.ip))
    }

    /// The links that may be closed for others: inbound ones to peers with a key that were not reached at an address
    /// that the user gave (SPEC 5.4).
    fn expendable(&self, census: &impl Census) -> impl Iterator<Item = LinkView> {
        let inbound = census.neighbours().filter(|link| link.dialed.is_none());
        inbound.filter(|link| link.node_id.is_none_or(|node_id| !self.targets.is_linked(node_id)))
    }
}

/// Decides about a newcomer without a key (SPEC 5.2.2 to 5.2.4, 5.15).
fn admit_keyless(link: &LinkView, census: &impl Census, limits: &Limits) -> Admission {
    let has_slot = match link.dialed {
        Some(Dialed { target: Some(_), .. }) => true,
        Some(Dialed { target: None, .. }) => census.has_slot_for_keyless(0, limits),
        None => census.has_slot_for_keyless(limits.conns.slots_reserved, limits),
    };
    if has_slot {
        return Admission::Admit;
    }
    let keyless = census.links().filter(|link| link.linked && !link.keyed && link.dialed.is_none());
    let crowded = if link.dialed.is_none() { crowded(link, keyless, 0) } else { None };
    crowded.map_or(Admission::Full, |other| Admission::Replace(other, None))
}

/// The link that makes room for one of the same kind: the youngest of the address, or of the network, that holds more of
/// these links than the newcomer's would. None: there is no such address or network, or it holds only links that are
/// spared: the `spared` oldest of all make no room where it is by network.
fn crowded(newcomer: &LinkView, links: impl Iterator<Item = LinkView>, spared: usize) -> Option<ConnId> {
    let mut links: Vec<_> = links.collect();
    let crowd = Crowd::of(links.iter().map(|link| link.ip));
    let largest = crowd.larger_than(newcomer.ip)?;
    if matches!(largest, Largest::Nets(_)) {
        links.sort_unstable_by_key(age);
        links.drain(..spared);
    }
    youngest(links.into_iter().filter(|link| crowd.is_among(link.ip, largest)))
}

fn youngest(links: impl Iterator<Item = LinkView>) -> Option<ConnId> {
    links.max_by_key(age).map(|link| link.conn)
}

/// Orders links from the oldest to the youngest.
fn age(link: &LinkView) -> (Option<Instant>, ConnId) {
    (link.linked_since, link.conn)
}
