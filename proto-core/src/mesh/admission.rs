//! How many links a node keeps to peers with a key, whom it lets in, and whom it lets go for them (SPEC section 5).
//!
//! A network of `degree_high` nodes and one is a full mesh; in a larger one each node has from `degree_low` to
//! `degree_high` links. Peers without a key do not count, and leave slots for those with one.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::book::Room;
use super::upkeep::{Chore, Chores};
use super::{Event, Mesh};
use crate::model::{Census, ConnId, Cx, Dialed, Limits, LinkView, NodeId, Stage, below};

/// What becomes of a newcomer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was cut for breaking rules a while ago: it is refused.
    Banned,
    /// It says that it has a key, and may prove it.
    Prove,
    /// A peer with its id is linked: which of the two stays is to be settled.
    Claim,
    /// It is linked, and told of these addresses, too. This link, if there is one, is closed for it.
    Welcome(Found, Option<ConnId>),
    /// There is no slot for it: it is told of these addresses, too, and closed.
    TurnAway(Found),
}

/// Addresses of peers with a key, and who is there.
pub(crate) type Found = Vec<(SocketAddr, NodeId)>;

/// Whether there is a slot for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Free,
    /// In the place of this link, which is closed.
    InPlaceOf(ConnId),
    Full,
}

/// The links to peers with a key that a node has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stock {
    pub(super) degree: usize,
    /// Fewer of them are its own dials than should be.
    pub(super) few_dialed: bool,
}

impl Mesh {
    /// What becomes of a newcomer, or of a peer's link; `full_mesh`: all neighbours are linked to each other and to nobody else, as
    /// far as is known.
    pub(crate) fn decide(
        &mut self,
        cx: &mut Cx,
        (conn, stage): (ConnId, Stage),
        census: &impl Census,
        full_mesh: bool,
    ) -> Verdict {
        match stage {
            Stage::SaysKey => self.screen(cx, conn, census, full_mesh),
            Stage::Introduced => self.receive(cx, conn, census, full_mesh),
            Stage::Unclaimed => self.admit(cx, conn, census, full_mesh),
            Stage::NoSlot => self.turn_away(cx, conn, census),
            Stage::Displaced => self.displace(cx, conn, census),
        }
    }

    /// What becomes of a newcomer that is who it says it is.
    fn receive(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Verdict {
        let claimed = census.link(conn).and_then(|link| link.node_id);
        if self.is_banned(cx, conn, census) {
            Verdict::Banned
        } else if claimed.is_some_and(|node_id| census.is_linked(node_id)) {
            Verdict::Claim
        } else {
            self.admit(cx, conn, census, full_mesh)
        }
    }

    /// What becomes of a newcomer that says that it has a key: if there is no slot for it, it is turned away before either side
    /// proves anything.
    fn screen(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Verdict {
        if self.is_banned(cx, conn, census) {
            return Verdict::Banned;
        }
        let inbound = census.link(conn).filter(|link| link.dialed.is_none());
        let is_new = inbound.and_then(|link| link.node_id).is_some_and(|id| !census.is_linked(id));
        if is_new && self.admission(cx, conn, census, full_mesh) == Admission::Full {
            return self.turn_away(cx, conn, census);
        }
        Verdict::Prove
    }

    /// What becomes of a newcomer whose id nobody else has.
    fn admit(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Verdict {
        let in_place_of = match self.admission(cx, conn, census, full_mesh) {
            Admission::Full => return self.turn_away(cx, conn, census),
            Admission::Free => None,
            Admission::InPlaceOf(other) => Some(other),
        };
        Verdict::Welcome(self.sample_for(cx, conn, census), in_place_of)
    }

    /// A newcomer for which there is no slot.
    fn turn_away(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Verdict {
        self.counts.turned_away += 1;
        Verdict::TurnAway(self.sample_for(cx, conn, census))
    }

    /// A peer that makes room for a newcomer.
    fn displace(&mut self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Verdict {
        self.counts.displaced += 1;
        self.upkeep.displaced.charge(cx.now, 1);
        Verdict::TurnAway(self.sample_for(cx, conn, census))
    }

    /// Addresses to tell the peer on this connection of; none to one without a key, which is told of linked peers alone.
    fn sample_for(&self, cx: &mut Cx, conn: ConnId, census: &impl Census) -> Found {
        let node_id = census.link(conn).and_then(|link| link.node_id);
        if !node_id.is_some_and(|node_id| node_id.is_of_key()) {
            return Found::new();
        }
        self.book.sample(cx.config.limits().conns.peers_sent, &mut cx.random)
    }

    /// Whether there is a slot for a newcomer whose id nobody else has.
    fn admission(&self, cx: &Cx, conn: ConnId, census: &impl Census, full_mesh: bool) -> Admission {
        let Some(link) = census.link(conn) else { return Admission::Full };
        let limits = cx.limits();
        if census.slots_taken() >= limits.conns.slots {
            return Admission::Full;
        }
        if !link.says_key {
            return admit_keyless(&link, census, limits);
        }
        let Some(node_id) = link.node_id else { return Admission::Full };
        let room = census.degree() < limits.mesh.degree_high;
        match link.dialed {
            Some(_) if room => Admission::Free,
            Some(Dialed { target, .. })
                if target.is_some() || !dialed_enough(census, limits) || full_mesh =>
            {
                let anyhow = if target.is_some() { Admission::Free } else { Admission::Full };
                self.youngest(census, |_| true).map_or(anyhow, Admission::InPlaceOf)
            }
            Some(_) => Admission::Full,
            None if census.degree() + self.kept(cx, node_id, census) < limits.mesh.degree_high => {
                Admission::Free
            }
            None => {
                self.displaced_by(cx, &link, census, full_mesh).map_or(Admission::Full, Admission::InPlaceOf)
            }
        }
    }

    /// For which peers whose addresses were learned there is room.
    pub(super) fn room(&self, cx: &Cx, census: &impl Census) -> Room {
        const NONE: Room = Room { keyless: false, keyed: false, told: false };
        if !self.wants_room(cx) {
            return NONE;
        }
        self.room_later(cx, census)
    }

    /// Whether a learned address is due.
    fn wants_room(&self, cx: &Cx) -> bool {
        let any = Room { keyless: true, keyed: true, told: true };
        self.book.first_due(any).is_some_and(|at| at <= cx.now)
    }

    /// For which peers there is room, whether or not an address is due now.
    pub(super) fn room_later(&self, cx: &Cx, census: &impl Census) -> Room {
        let limits = cx.limits();
        // One look at each link: this is asked after every frame.
        let (mut pending, mut greeting, mut dialed) = (0, 0, 0);
        for link in census.links().filter(|link| link.dialed.is_some()) {
            pending += usize::from(!link.linked);
            greeting += usize::from(link.greeting && self.may_bring_a_key(&link));
            dialed += usize::from(link.linked && link.keyed);
        }
        debug_assert_eq!(dialed, count_dialed(census));
        let slot = census.slots_taken() + pending < limits.conns.slots;
        let degree = census.degree();
        // Addresses of peers without a key, which anybody can name any number of, keep no other from being dialed.
        let under_way = self.dialed_nodes().count() + greeting;
        let wanted = degree + under_way < self.goal(degree, limits)
            || dialed + under_way < limits.mesh.degree_outbound;
        Room {
            keyless: slot && census.has_slot_for_keyless(0, limits),
            keyed: slot && wanted,
            told: !self.targets.is_awaited(),
        }
    }

    /// The links that there are to peers with a key.
    pub(super) fn stock(&self, cx: &Cx, census: &impl Census) -> Stock {
        Stock { degree: census.degree(), few_dialed: !dialed_enough(census, cx.limits()) }
    }

    /// Links to peers with a key that dialed us, but for those that the user gave.
    pub(super) fn accepted_degree(&self, census: &impl Census) -> usize {
        self.expendable(census).count()
    }

    /// Whether the network is larger than what can be a full mesh, as far as a node with so many links knows.
    fn is_large(&self, degree: usize, limits: &Limits) -> bool {
        degree + self.book.fresh() > limits.mesh.degree_high
    }

    /// How many links a node with so many dials for: in a small network, one to everybody.
    fn goal(&self, degree: usize, limits: &Limits) -> usize {
        if self.is_large(degree, limits) { limits.mesh.degree_target } else { limits.mesh.degree_high }
    }

    /// The nodes with a key to which dials of learned addresses are under way; none where it is not known which.
    fn dialed_nodes(&self) -> impl Iterator<Item = Option<NodeId>> {
        let nodes = self.dials.learned_addrs().map(|addr| self.book.node_at(addr));
        nodes.filter(|node_id| node_id.is_none_or(|id| id.is_of_key()))
    }

    /// Whether this is a dial to a learned address that may bring a peer with a key. What is said of the address counts before
    /// what somebody says there and has not proven.
    fn may_bring_a_key(&self, link: &LinkView) -> bool {
        let Some(Dialed { addr, target: None }) = link.dialed else { return false };
        self.book.node_at(addr).or(link.node_id).is_none_or(|id| id.is_of_key())
    }

    /// Places that no newcomer may take but this one: those of the dials under way, and of those to come while few links
    /// are our own dials and there are addresses to dial. So whoever dials in, however often, is not our only company.
    fn kept(&self, cx: &Cx, newcomer: NodeId, census: &impl Census) -> usize {
        let is_another = |node_id: NodeId| node_id != newcomer && !census.is_linked(node_id);
        let dials = self.dialed_nodes().filter(|node_id| node_id.is_none_or(is_another)).count();
        let greeting = census.links().filter(|link| link.greeting && self.may_bring_a_key(link));
        let greeting = greeting.filter(|link| link.node_id.is_none_or(is_another)).count();
        let wanted = cx.limits().mesh.degree_outbound.saturating_sub(count_dialed(census));
        let to_come = if wanted == 0 { 0 } else { wanted.min(self.book.fresh_but(newcomer)) };
        to_come.max(dials + greeting)
    }

    /// The link that makes room for a newcomer where all are taken: the youngest for one that has none, and for any where all
    /// are within a full mesh, which a link out of it is worth more to; for one that has few the youngest to a neighbour that
    /// has more than it needs; only so often.
    fn displaced_by(
        &self,
        cx: &Cx,
        newcomer: &LinkView,
        census: &impl Census,
        full_mesh: bool,
    ) -> Option<ConnId> {
        let limits = cx.limits();
        if self.upkeep.displaced.next_at(cx.now) > cx.now {
            return None;
        }
        match newcomer.told_degree {
            0 => self.youngest(census, |_| true),
            _ if full_mesh => self.youngest(census, |_| true),
            few if few < limits.mesh.degree_low => {
                self.youngest(census, |link| link.told_degree > limits.mesh.degree_target)
            }
            _ => None,
        }
    }

    /// The youngest of the links that may be closed for others.
    fn youngest(&self, census: &impl Census, may_go: impl Fn(&LinkView) -> bool) -> Option<ConnId> {
        let links = self.expendable(census).filter(may_go);
        links.max_by_key(|link| (link.linked_since, link.conn)).map(|link| link.conn)
    }

    /// The links that may be closed for others: to peers with a key, not dialed by us, not to an address that the user
    /// gave.
    fn expendable(&self, census: &impl Census) -> impl Iterator<Item = LinkView> {
        let inbound = census.neighbours().filter(|link| link.dialed.is_none());
        inbound.filter(|link| link.node_id.is_none_or(|node_id| !self.targets.is_linked(node_id)))
    }

    /// The chores that there is reason for.
    pub(super) fn chores(&self, cx: &Cx, census: &impl Census) -> Chores {
        let limits = cx.limits();
        let degree = census.degree();
        Chores {
            trim: degree > limits.mesh.degree_target && self.is_large(degree, limits),
            // With fewer links every address is dialed as soon as it is due.
            explore: degree >= limits.mesh.degree_low && self.book.is_waiting(),
            refresh: degree > 0,
        }
    }

    /// Does one chore that is due; whether there was one. `is_near`: the peer is also a neighbour's neighbour.
    pub(crate) fn keep_up(
        &mut self,
        cx: &mut Cx,
        census: &impl Census,
        is_near: impl Fn(NodeId) -> bool,
    ) -> bool {
        if cx.stopping {
            return false;
        }
        let wanted = self.chores(cx, census);
        let Cx { now, random, config, .. } = cx;
        let chore = self.upkeep.next(*now, wanted, random, config.limits());
        match chore {
            Some(Chore::Trim) => self.trim(cx, census, is_near),
            Some(Chore::Explore) => self.explore(cx),
            Some(Chore::Refresh) => self.refresh_neighbour(cx, census),
            None => {}
        }
        chore.is_some()
    }

    /// Closes a link of too many, so that there is always room for newcomers: one at whose other end there are too many,
    /// as well, and if there is one, one to a neighbour of a neighbour. Which one is chance. So old links give way to
    /// those to new parts of the network, and what was two networks becomes one. It is one of our own dials, and some of
    /// these stay: who floods us with links makes neither us nor our neighbours close those that we chose.
    fn trim(&mut self, cx: &mut Cx, census: &impl Census, is_near: impl Fn(NodeId) -> bool) {
        let limits = cx.limits();
        if count_dialed(census) <= limits.mesh.degree_outbound {
            return;
        }
        let is_spare = |link: &LinkView| {
            let old = link.linked_since.is_some_and(|since| cx.now.since(since) >= limits.mesh.trim_age);
            let learned = link.dialed.is_some_and(|dialed| dialed.target.is_none());
            old && learned && link.told_degree > limits.mesh.degree_target
        };
        let mut spare: Vec<_> = census.neighbours().filter(is_spare).collect();
        let is_near = |link: &LinkView| link.node_id.is_some_and(&is_near);
        if spare.iter().any(is_near) {
            spare.retain(is_near);
        }
        let index = below(&mut cx.random, spare.len());
        if let Some(link) = spare.get(index) {
            self.counts.trimmed += 1;
            self.events.push_back(Event::Trim(link.conn));
        }
    }

    /// Dials an address of which it is not known whether anybody is there, however many links there are: so two parts of
    /// a network that were separated find each other when each of them has all the links that it needs.
    fn explore(&mut self, cx: &mut Cx) {
        let Cx { now, random, config, .. } = cx;
        let limits = config.limits();
        if !self.dials.may_begin_learned(*now, limits) {
            return;
        }
        let Some(addr) = self.book.pick_doubtful(*now, &self.bans, random, limits) else { return };
        self.book.dialing(addr);
        let dial = self.dials.begin_learned(addr, *now, limits);
        self.counts.explored += 1;
        self.request(dial, super::Goal::Connect(addr));
    }

    /// Tells a neighbour some addresses, so that its book stays fresh.
    fn refresh_neighbour(&mut self, cx: &mut Cx, census: &impl Census) {
        let neighbours: Vec<_> = census.neighbours().map(|link| link.conn).collect();
        let index = below(&mut cx.random, neighbours.len());
        let Some(conn) = neighbours.get(index) else { return };
        let count = cx.config.limits().mesh.refresh_peers;
        let found = self.book.sample(count, &mut cx.random);
        self.events.push_back(Event::Tell(*conn, count, found));
    }
}

fn admit_keyless(link: &LinkView, census: &impl Census, limits: &Limits) -> Admission {
    let free = match link.dialed {
        Some(Dialed { target: Some(_), .. }) => true,
        Some(Dialed { target: None, .. }) => census.has_slot_for_keyless(0, limits),
        None => census.has_slot_for_keyless(limits.conns.slots_reserved, limits),
    };
    if free { Admission::Free } else { Admission::Full }
}

/// Links to peers with a key that are our own dials.
fn count_dialed(census: &impl Census) -> usize {
    census.neighbours().filter(|link| link.dialed.is_some()).count()
}

/// Whether there are as many of them as there should be: nobody can bring that about by dialing in.
fn dialed_enough(census: &impl Census, limits: &Limits) -> bool {
    count_dialed(census) >= limits.mesh.degree_outbound
}
