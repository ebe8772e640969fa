//! How many links a node keeps to peers with a key, whom it lets in, and whom it lets go for them (SPEC 5).
//!
//! A network of `degree_high` nodes and one is a full mesh; in a larger one each node has from `degree_low` to
//! `degree_high` links. Peers without a key do not count, and leave places for those with one.

use alloc::vec::Vec;

use super::Node;
use super::links::{Ending, encode};
use crate::link::{Link, Opener};
use crate::mesh::{Chore, Chores, Room, Stock};
use crate::random::below;
use crate::wire::{ByeCode, Frame, PeerRecord};
use crate::{ConnId, Instant, LeaveReason, NodeId, TimerKind};

/// What becomes of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    /// In the place of this link, which is closed.
    InPlaceOf(ConnId),
    Full,
}

impl Node {
    /// For which peers whose addresses were learned there is room.
    pub(super) fn room(&self) -> Room {
        const NONE: Room = Room { keyless: false, keyed: false, told: false };
        if !self.mesh.wants_room(self.now) {
            return NONE;
        }
        self.room_later()
    }

    /// The same, whether or not an address is due now.
    fn room_later(&self) -> Room {
        let limits = &self.config.limits;
        // One look at each link: this is asked after every frame.
        let (mut pending, mut greeting, mut dialed) = (0, 0, 0);
        for link in self.links.values().filter(|link| link.is_outbound()) {
            pending += usize::from(link.is_pending());
            greeting += usize::from(link.is_greeting() && self.may_bring_a_key(link));
            dialed += usize::from(!link.is_pending() && link.key().is_some());
        }
        debug_assert_eq!(dialed, self.dialed());
        let held = self.places_taken() + pending < limits.held;
        let degree = self.roster.degree();
        // Addresses of peers without a key, which anybody can name any number of, keep no other from being dialed.
        let under_way = self.mesh.dialed_nodes().count() + greeting;
        let wanted = degree + under_way < self.mesh.goal(degree, limits)
            || dialed + under_way < limits.degree_outbound;
        Room {
            keyless: held && self.has_room_for_keyless(0),
            keyed: held && wanted,
            told: !self.mesh.awaits_advice(),
        }
    }

    /// The links that there are to peers with a key.
    pub(super) fn stock(&self) -> Stock {
        Stock { degree: self.roster.degree(), few_dialed: !self.dialed_enough() }
    }

    /// Links to peers with a key that are our own dials.
    fn dialed(&self) -> usize {
        self.keyed_links().filter(|(_, _, link)| link.is_outbound()).count()
    }

    /// Links to peers with a key that dialed us, but for those that the user gave.
    pub(super) fn accepted_degree(&self) -> usize {
        let accepted = self.keyed_links().filter(|(_, _, link)| !link.is_outbound());
        accepted.filter(|(node_id, ..)| !self.mesh.is_anchor(*node_id)).count()
    }

    /// Whether there are as many of them as there should be: nobody can bring that about by dialing in.
    fn dialed_enough(&self) -> bool {
        self.dialed() >= self.config.limits.degree_outbound
    }

    /// When the mesh wants to be looked after.
    pub(super) fn mesh_deadline(&self) -> Option<(Instant, TimerKind)> {
        self.mesh.deadline(self.now, || self.room_later(), self.chores(), &self.config.limits)
    }

    /// The peer's word on how many links it has.
    pub(super) fn degree_told(&mut self, conn: ConnId, degree: usize) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.told_degree = degree;
        }
    }

    /// Sends a newcomer on that says it has a key, before either side has proven anything, if there is no room. Whether
    /// it did.
    pub(super) fn sent_on(&mut self, conn: ConnId, node_id: NodeId) -> bool {
        let inbound = self.links.get(&conn).is_some_and(|link| !link.is_outbound());
        let full =
            inbound && !self.roster.contains(node_id) && self.admission(conn, node_id) == Admission::Full;
        if full {
            self.turn_away(conn, node_id);
        }
        full
    }

    /// Tells a newcomer of others, and closes its link.
    pub(super) fn turn_away(&mut self, conn: ConnId, node_id: NodeId) {
        self.counted.turned_away += 1;
        self.sample_peers(conn, node_id);
        self.end(conn, Ending::Bye(ByeCode::Full), LeaveReason::NoRoom);
    }

    /// Whether the newcomer on this link is let in.
    pub(super) fn admission(&self, conn: ConnId, node_id: NodeId) -> Admission {
        let Some(link) = self.links.get(&conn) else { return Admission::Full };
        let limits = &self.config.limits;
        if self.places_taken() >= limits.held {
            return Admission::Full;
        }
        let keyed = link.peer.as_ref().is_some_and(|peer| peer.key.is_some());
        let room = self.roster.degree() < limits.degree_high;
        match link.opener {
            Opener::Us { target: Some(_), .. } if !keyed => Admission::Free,
            Opener::Us { .. } if !keyed && self.has_room_for_keyless(0) => Admission::Free,
            Opener::Peer if !keyed && self.has_room_for_keyless(limits.reserved_outbound) => Admission::Free,
            _ if !keyed => Admission::Full,
            Opener::Us { .. } if room => Admission::Free,
            Opener::Us { target, .. }
                if target.is_some() || !self.dialed_enough() || self.gossip.is_full_mesh() =>
            {
                let anyhow = if target.is_some() { Admission::Free } else { Admission::Full };
                self.youngest(|_| true).map_or(anyhow, Admission::InPlaceOf)
            }
            Opener::Us { .. } => Admission::Full,
            Opener::Peer if self.roster.degree() + self.kept(node_id) < limits.degree_high => Admission::Free,
            Opener::Peer => self.displaced_by(link).map_or(Admission::Full, Admission::InPlaceOf),
        }
    }

    /// Places of peers that are taken: a version 1 peer may have two.
    pub(super) fn places_taken(&self) -> usize {
        self.roster.len() + self.roster.iter().filter(|peer| peer.parallel.is_some()).count()
    }

    /// Whether one more link to a peer without a key, which costs nothing to be, leaves `kept` places, one for each with a key
    /// that there may be, and one for a newcomer that takes the place of another.
    pub(super) fn has_room_for_keyless(&self, kept: usize) -> bool {
        let limits = &self.config.limits;
        let keyless = self.places_taken() - self.roster.degree();
        let keyed = limits.degree_high.max(self.roster.degree());
        keyless.saturating_add(keyed).saturating_add(1).saturating_add(kept) < limits.held
    }

    /// Whether this is a dial to a learned address that may bring a peer with a key. What is said of the address counts before
    /// what somebody says there and has not proven.
    fn may_bring_a_key(&self, link: &Link) -> bool {
        let Opener::Us { addr, target: None } = link.opener else { return false };
        self.mesh.node_at(addr).or_else(|| link.node_id()).is_none_or(|id| id.is_of_key())
    }

    /// Places that no newcomer may take but this one: those of the dials under way, and of those to come while few links
    /// are our own dials and there are addresses to dial. So whoever dials in, however often, is not our only company.
    fn kept(&self, newcomer: NodeId) -> usize {
        let is_another = |node_id: NodeId| node_id != newcomer && !self.roster.contains(node_id);
        let dials = self.mesh.dialed_nodes().filter(|node_id| node_id.is_none_or(is_another)).count();
        let greeting = self.links.values().filter(|link| link.is_greeting() && self.may_bring_a_key(link));
        let greeting = greeting.filter(|link| link.node_id().is_none_or(is_another)).count();
        let wanted = self.config.limits.degree_outbound.saturating_sub(self.dialed());
        let to_come = if wanted == 0 { 0 } else { wanted.min(self.mesh.worth_dialing(newcomer)) };
        to_come.max(dials + greeting)
    }

    /// The link that makes room for a newcomer where all are taken: the youngest for one that has none, and for any where all
    /// are within a full mesh, which a link out of it is worth more to; for one that has few the youngest to a neighbour that
    /// has more than it needs; only so often.
    fn displaced_by(&self, newcomer: &Link) -> Option<ConnId> {
        let limits = &self.config.limits;
        if self.mesh.upkeep.displaced.next_at(self.now) > self.now {
            return None;
        }
        match newcomer.told_degree {
            0 => self.youngest(|_| true),
            _ if self.gossip.is_full_mesh() => self.youngest(|_| true),
            few if few < limits.degree_low => self.youngest(|link| link.told_degree > limits.degree_target),
            _ => None,
        }
    }

    /// The youngest of the links that may be closed for others.
    fn youngest(&self, may_go: impl Fn(&Link) -> bool) -> Option<ConnId> {
        let links = self.expendable().filter(|(_, link)| may_go(link));
        links.max_by_key(|(conn, link)| (link.here_since, *conn)).map(|(conn, _)| conn)
    }

    /// The links that may be closed for others: to peers with a key, not dialed by us, not to an address that the user
    /// gave.
    fn expendable(&self) -> impl Iterator<Item = (ConnId, &Link)> {
        let inbound = self.keyed_links().filter(|(_, _, link)| !link.is_outbound());
        inbound.filter(|(node_id, ..)| !self.mesh.is_anchor(*node_id)).map(|(_, conn, link)| (conn, link))
    }

    fn keyed_links(&self) -> impl Iterator<Item = (NodeId, ConnId, &Link)> {
        let keyed = self.roster.iter().filter(|peer| peer.info.key.is_some());
        keyed.filter_map(|peer| Some((peer.info.node_id, peer.active, self.links.get(&peer.active)?)))
    }

    /// Closes a link to make room for a newcomer, which is here already.
    pub(super) fn displace(&mut self, conn: ConnId) {
        let Some(node_id) = self.links.get(&conn).and_then(Link::node_id) else { return };
        self.counted.displaced += 1;
        self.mesh.upkeep.displaced.charge(self.now, 1);
        self.sample_peers(conn, node_id);
        self.end(conn, Ending::Bye(ByeCode::Full), LeaveReason::NoRoom);
    }

    /// The chores that there is reason for.
    fn chores(&self) -> Chores {
        let limits = &self.config.limits;
        let degree = self.roster.degree();
        Chores {
            trim: degree > limits.degree_target && self.mesh.is_large(degree, limits),
            // With fewer links every address is dialed as soon as it is due.
            explore: degree >= limits.degree_low && self.mesh.is_waiting(),
            refresh: degree > 0,
        }
    }

    /// Does what is due.
    pub(super) fn keep_up(&mut self) {
        while !self.stopping {
            let wanted = self.chores();
            let Self { mesh, random, now, config, .. } = self;
            match mesh.upkeep.next(*now, wanted, random, &config.limits) {
                Some(Chore::Trim) => self.trim(),
                Some(Chore::Explore) => self.explore(),
                Some(Chore::Refresh) => self.refresh_neighbour(),
                None => return,
            }
        }
    }

    /// Closes a link of too many, so that there is always room for newcomers: one at whose other end there are too many,
    /// as well, and if there is one, one to a neighbour of a neighbour. Which one is chance. So old links give way to
    /// those to new parts of the network, and what was two networks becomes one. It is one of our own dials, and some of
    /// these stay: who floods us with links makes neither us nor our neighbours close those that we chose.
    fn trim(&mut self) {
        let limits = &self.config.limits;
        if self.dialed() <= limits.degree_outbound {
            return;
        }
        let is_spare = |link: &Link| {
            let old = link.here_since.is_some_and(|since| self.now.since(since) >= limits.trim_age);
            old && is_learned(link) && link.told_degree > limits.degree_target
        };
        let spare = self.keyed_links().filter(|(_, _, link)| is_spare(link));
        let mut spare: Vec<_> = spare.map(|(node_id, conn, _)| (node_id, conn)).collect();
        let is_near = |(node_id, _): &(NodeId, ConnId)| self.gossip.is_near_another(*node_id);
        if spare.iter().any(is_near) {
            spare.retain(is_near);
        }
        let index = below(&mut self.random, spare.len());
        if let Some((_, conn)) = spare.get(index) {
            self.counted.trimmed += 1;
            self.end(*conn, Ending::Bye(ByeCode::Full), LeaveReason::NoRoom);
        }
    }

    /// Dials an address of which it is not known whether anybody is there, however many links there are: so two parts of
    /// a network that were separated find each other when each of them has all the links that it needs.
    fn explore(&mut self) {
        let Self { mesh, random, now, config, .. } = self;
        if let Some((dial, what)) = mesh.explore(*now, random, &config.limits) {
            self.counted.explored += 1;
            self.announce_dial(dial, &what);
        }
    }

    /// Tells a neighbour some addresses, so that its book stays fresh.
    fn refresh_neighbour(&mut self) {
        let neighbours: Vec<_> = self.keyed_links().map(|(node_id, conn, _)| (node_id, conn)).collect();
        let index = below(&mut self.random, neighbours.len());
        let Some((node_id, conn)) = neighbours.get(index) else { return };
        let records = self.sample_records(self.config.limits.refresh_peers, *node_id);
        if !records.is_empty() {
            self.send(*conn, &encode(&Frame::Peers(records)));
        }
    }

    /// At most `count` peers to tell `receiver` of: half of them are here, half were found before, as far as there are
    /// enough of both.
    pub(super) fn sample_records(&mut self, count: usize, receiver: NodeId) -> Vec<PeerRecord> {
        let mut found = self.mesh.sample(count, &mut self.random);
        found.retain(|(_, node_id)| *node_id != receiver && !self.roster.contains(*node_id));
        let here =
            self.roster.sample(count.saturating_sub(found.len().min(count / 2)), receiver, &mut self.random);
        found.truncate(count - here.len());
        let found = found.into_iter().map(|(addr, node_id)| PeerRecord {
            node_id: Some(node_id),
            listen_addr: Some(addr),
            ..PeerRecord::default()
        });
        here.into_iter().map(|peer| super::links::record(&peer.info)).chain(found).collect()
    }
}

/// Whether it was dialed at a learned address.
fn is_learned(link: &Link) -> bool {
    matches!(link.opener, Opener::Us { target: None, .. })
}

#[cfg(test)]
mod tests;
