//! Several connections to one peer: which stay, and how what is said moves from one to the other (SPEC section 4).
//!
//! A `JOIN` only claims an id. When it claims that of a linked version 2 peer, both ends say `PING` on the link they have,
//! with the nonce that the newcomer's `JOIN` brought. A `PING` with the nonce that we said on another connection thus proves
//! that both lead to one node. Without it, the newcomer takes the place of a peer that does not answer, and is refused if
//! the peer does.

use alloc::collections::VecDeque;
use alloc::string::String;

use super::closing::Ending;
use super::link::{Link, Phase};
use super::{Breach, Conns, Event, LostLink};
use crate::model::{Census, ConnId, Cx, Instant, LeaveReason, NodeId, Version};
use crate::wire::{ByeCode, Frame, Token};

impl Conns {
    /// The `JOIN` on this connection claims the id of a linked peer.
    pub(crate) fn claim(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(node_id) = self.table.get(conn).and_then(Link::node_id) else { return };
        let Some(peer) = self.roster.get(node_id) else { return };
        let holder = peer.active;
        let version = peer.info.version;
        self.counts.duplicates += 1;
        if version == Version::V1 {
            return self.claim_v1(cx, conn, node_id);
        }
        let fallback = Token::from_bits(cx.random_bits());
        let Some(newcomer) = self.table.get_mut(conn) else { return };
        newcomer.phase = Phase::Claiming { since: cx.now, until: cx.now + cx.limits().conns.probe };
        newcomer.hold_back_until(Instant::FAR_FUTURE);
        let nonce = newcomer.peer.as_ref().and_then(|peer| peer.nonce);
        // A node of version 1 is not the one that speaks version 2, whatever was proven of it.
        let duplicate = newcomer.duplicate.filter(|_| nonce.is_some());
        newcomer.duplicate = duplicate;
        self.ping(cx, holder, nonce.unwrap_or(fallback));
        if duplicate == Some(holder) {
            self.resolve_duplicate(cx, node_id, conn);
        }
    }

    /// A version 1 peer has two links at most: its dial to us, and ours to the very address that both name.
    fn claim_v1(&mut self, cx: &mut Cx, conn: ConnId, node_id: NodeId) {
        let Some(peer) = self.roster.get(node_id) else { return };
        let (Some(active), Some(newcomer)) = (self.table.get(peer.active), self.table.get(conn)) else {
            return;
        };
        let kept = if newcomer.is_outbound() { 0 } else { cx.limits().conns.slots_reserved };
        let parallel = peer.parallel.is_none() && are_parallel(active, newcomer);
        let info = peer.info.clone();
        if !parallel {
            // Another name of the address that it has: dialed again, it would forget us each time.
            self.reached(conn, node_id);
            return self.refuse(cx, conn, Breach::ClaimsPeersId);
        }
        if !self.has_slot_for_keyless(kept, cx.limits()) {
            return self.events.push_back(Event::NoSlot(conn));
        }
        self.roster.add_parallel(node_id, conn);
        if let Some(link) = self.table.get_mut(conn) {
            link.queue.close_gate_until(cx.now + cx.limits().conns.settle_v1);
        }
        self.send(cx, conn, &Frame::Peers([].into()));
        self.linked(cx, conn, &info);
        self.update(node_id);
    }

    /// A `PING` on `conn` brought the nonce that we said on another connection.
    pub(super) fn duplicate_proven(&mut self, cx: &mut Cx, conn: ConnId, other: ConnId) {
        let Some(node_id) = self.table.get(conn).and_then(Link::node_id) else { return };
        let Some(holder) = self.active(node_id) else { return };
        let newcomer = if conn == holder { other } else { conn };
        let known = if conn == holder { conn } else { other };
        let Some(link) = self.table.get_mut(newcomer) else { return };
        if link.version() == Some(Version::V1) {
            return;
        }
        link.duplicate = Some(known);
        if known == holder && matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id)
        {
            self.resolve_duplicate(cx, node_id, newcomer);
        }
    }

    /// The peer's link and this newcomer lead to one node: of two dialed by different sides the one that the lower id
    /// dialed stays, of two dialed by one side that side closes the later (SPEC 4.4).
    fn resolve_duplicate(&mut self, cx: &mut Cx, node_id: NodeId, newcomer: ConnId) {
        let Some(holder) = self.active(node_id) else { return };
        let (Some(held), Some(link)) = (self.table.get(holder), self.table.get(newcomer)) else { return };
        let we_are_lower = cx.identity.node_id() < node_id;
        let newcomer_stays = match (held.is_outbound(), link.is_outbound()) {
            _ if held.farewell.is_some() => true,
            (ours, theirs) if ours != theirs => theirs == we_are_lower,
            (true, _) => false,
            // Both are the peer's dials: it decides.
            (false, _) => return,
        };
        if newcomer_stays {
            self.take_over(cx, node_id, newcomer);
        } else {
            self.reached(newcomer, node_id);
            self.leave(cx, newcomer, holder);
        }
        self.resolve_other_claims(cx, node_id);
    }

    /// Other newcomers that were confirmed against either link are confirmed against the one that stayed.
    fn resolve_other_claims(&mut self, cx: &mut Cx, node_id: NodeId) {
        let Some(holder) = self.active(node_id) else { return };
        let other = self
            .claimants(node_id)
            .find(|(_, link)| link.duplicate.is_some_and(|duplicate| duplicate != holder));
        if let Some((other, _)) = other
            && let Some(link) = self.table.get_mut(other)
        {
            link.duplicate = Some(holder);
            self.resolve_duplicate(cx, node_id, other);
        }
    }

    /// A newcomer that is the same node takes the place of the peer's link, which may have ended already.
    pub(crate) fn take_over(&mut self, cx: &mut Cx, node_id: NodeId, newcomer: ConnId) {
        let Some((before, info)) = self.roster.set_active(node_id, newcomer) else { return };
        let nonce = self.table.get(before).and_then(|link| link.peer.as_ref()?.nonce);
        if let Some(link) = self.table.get_mut(newcomer) {
            link.duplicate = Some(before);
            // Ahead of all that is said here, so that the peer knows what it has to wait for.
            if let Some(nonce) = nonce {
                link.probe(nonce, cx.limits());
            }
        }
        self.send_ping(cx, newcomer);
        self.linked(cx, newcomer, &info);
        self.update(node_id);
        self.leave(cx, before, newcomer);
        if info.key.is_some() {
            self.events.push_back(Event::Moved { peer: node_id, before, after: newcomer });
        }
    }

    /// Says `BYE` on a link in favour of another, on which nothing is read before the peer's own `BYE` here.
    fn leave(&mut self, cx: &mut Cx, loser: ConnId, winner: ConnId) {
        let loser_link = self.table.get_mut(loser);
        let Some(link) = loser_link.filter(|link| !matches!(link.phase, Phase::Closing { .. })) else {
            return self.release_held_back(cx, winner);
        };
        link.duplicate = Some(winner);
        let Some(node_id) = link.node_id() else { return };
        let held = link.held_back.take();
        let both_left = link.bye.is_some();
        link.push(cx.now, &super::encode(&Frame::Bye(ByeCode::Duplicate, "")), cx.limits());
        link.phase = Phase::Leaving { until: cx.now + cx.limits().conns.stalled };
        link.farewell = None;
        link.queue.open_gate();
        self.update_pause(cx, loser);
        self.deliver_all(node_id, held.map(super::link::HoldBack::into_texts).unwrap_or_default());
        if let Some(link) = self.table.get_mut(winner) {
            link.hold_back_until(cx.now + cx.limits().conns.handover);
        }
        if both_left {
            self.end(cx, loser, Ending::Bye(ByeCode::Duplicate), LeaveReason::Bye);
        }
    }

    /// Delivers what waited on a link, and lets the rest through.
    pub(super) fn release_held_back(&mut self, cx: &Cx, conn: ConnId) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if link.phase != Phase::Linked {
            return;
        }
        if let (Some(hold), Some(node_id)) = (link.held_back.take(), link.node_id()) {
            self.deliver_all(node_id, hold.into_texts());
        }
        self.update_pause(cx, conn);
    }

    pub(super) fn deliver_all(&mut self, from: NodeId, texts: VecDeque<String>) {
        self.events.extend(texts.into_iter().map(|text| Event::Line { from, text }));
    }

    /// Time is up for a newcomer whose `JOIN` claims the id of a linked peer.
    pub(super) fn claim_expired(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(link) = self.table.get(conn) else { return };
        let (Phase::Claiming { since, .. }, Some(node_id)) = (link.phase, link.node_id()) else { return };
        let Some(holder) = self.active(node_id) else {
            return self.events.push_back(Event::Uncontested(conn));
        };
        if link.duplicate == Some(holder) {
            return self.end(cx, conn, Ending::Bye(ByeCode::Duplicate), LeaveReason::Bye);
        }
        let (answered, linked_since) =
            self.table.get(holder).map_or((None, None), |link| (link.answered, link.linked_since));
        if answered.is_some_and(|at| at >= since) {
            return self.refuse(cx, conn, Breach::ClaimsPeersId);
        }
        if linked_since.is_some_and(|at| at > since) {
            // It was another that was asked and was silent.
            return self.claim(cx, conn);
        }
        // The end of the silent one lets a newcomer in: the oldest, whatever it is worth.
        self.counts.silent += 1;
        self.end(cx, holder, Ending::Abort, LeaveReason::Silent);
        self.events.push_back(Event::ClaimDecided(conn));
    }

    /// The silent peer whose id this newcomer claims lost its link. If another newcomer took its place, this one is refused.
    pub(crate) fn claim_decided(&mut self, cx: &mut Cx, conn: ConnId) {
        if self.table.get(conn).is_some_and(|link| matches!(link.phase, Phase::Claiming { .. })) {
            self.refuse(cx, conn, Breach::ClaimsPeersId);
        }
    }

    /// `BYE` came: the peer's last frame here.
    pub(super) fn bye(&mut self, cx: &mut Cx, conn: ConnId, code: ByeCode) {
        let until = cx.now + cx.limits().conns.probe;
        let Some(link) = self.table.get_mut(conn) else { return };
        link.bye = Some(code);
        let (phase, node_id) = (link.phase, link.node_id());
        if phase == Phase::Linked
            && code == ByeCode::Duplicate
            && let Some(node_id) = node_id
        {
            if let Some(duplicate) = self.duplicate_of(node_id, conn) {
                return self.take_over(cx, node_id, duplicate);
            }
            let expected = self.table.links().any(|link| {
                let greeting = link.phase == Phase::Greeting && link.duplicate == Some(conn);
                greeting || (matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id))
            });
            if expected {
                // It is still written to, until the other connection is settled.
                if let Some(link) = self.table.get_mut(conn) {
                    link.farewell = Some(until);
                }
                return;
            }
        }
        self.end(cx, conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye);
    }

    /// Both ends of a connection are this node.
    pub(super) fn self_connection(&mut self, cx: &mut Cx, conn: ConnId, other: ConnId) {
        for conn in [conn, other] {
            let dialed = self.table.get(conn).and_then(|link| link.dialed);
            self.events.extend(dialed.map(Event::OwnAddress));
            self.end(cx, conn, Ending::Bye(ByeCode::SelfLink), LeaveReason::Bye);
        }
    }

    /// The newcomer that is the same node as a peer that lost its link, and may take its place. One that made room for another
    /// peer does not come back by another connection.
    pub(crate) fn successor(&self, cx: &Cx, lost: &LostLink) -> Option<ConnId> {
        self.duplicate_of(lost.node_id, lost.conn).filter(|_| !cx.stopping && !lost.is_full())
    }

    /// The oldest newcomer that claims this id.
    pub(crate) fn first_claimant(&self, node_id: NodeId) -> Option<ConnId> {
        self.claimants(node_id).next().map(|(conn, _)| conn)
    }

    /// The newcomer with this id that was confirmed to be the same node as the one on `conn`.
    fn duplicate_of(&self, node_id: NodeId, conn: ConnId) -> Option<ConnId> {
        self.claimants(node_id).find(|(_, link)| link.duplicate == Some(conn)).map(|(duplicate, _)| duplicate)
    }

    /// The address that this connection of ours dialed leads to that node.
    fn reached(&mut self, conn: ConnId, node_id: NodeId) {
        let dialed = self.table.get(conn).and_then(|link| link.dialed);
        self.events.extend(dialed.map(|dialed| Event::Reached { dialed, node_id }));
    }

    /// The connections whose `JOIN` claims this id, the oldest first.
    fn claimants(&self, node_id: NodeId) -> impl Iterator<Item = (ConnId, &Link)> {
        let claims = move |link: &Link| {
            matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id)
        };
        self.table.iter().filter(move |(_, link)| claims(link))
    }
}

/// Whether one is inbound and the other our own dial to the very address that both `JOIN`s claim.
fn are_parallel(one: &Link, other: &Link) -> bool {
    let claims = |link: &Link| link.peer.as_ref().and_then(|peer| peer.listen_addr);
    let dialed = match (one.dialed, other.dialed) {
        (Some(dialed), None) | (None, Some(dialed)) => dialed.addr,
        _ => return false,
    };
    other.version() == Some(Version::V1) && claims(one) == Some(dialed) && claims(other) == Some(dialed)
}
