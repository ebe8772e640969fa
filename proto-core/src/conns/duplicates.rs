//! Duplicate connections: which of two stays, and how lines keep their order at the switch (SPEC section 4).
//!
//! A `JOIN` only claims an id. When it claims the id of a linked version 2 peer, the newcomer is in
//! [`Phase::Claiming`], and `PING` with the nonce of the newcomer's `JOIN` is sent on the old link. The peer does the
//! same, if both connections are its own. So a `PING` with a nonce that this node sent on another connection proves
//! that both are duplicates. Without that proof, the newcomer is refused when the old link has answered twice and sixteen round
//! trips have passed. It replaces the old link if that does not answer.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::closing::Ending;
use super::link::{Check, Link, Phase};
use super::{Breach, Conns, Event, LostLink};
use crate::model::{Census, ConnId, Cx, Instant, LeaveReason, NodeId, Stage, Version};
use crate::wire::{ByeCode, Frame, Token};

impl Conns {
    /// The `JOIN` on this connection claims the id of a linked peer.
    pub(crate) fn claim(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(node_id) = self.table.get(conn).and_then(Link::node_id) else { return };
        self.introduce(cx, conn);
        let Some(peer) = self.roster.get(node_id) else { return };
        let holder = peer.active;
        let version = peer.info.version;
        self.counts.duplicates += 1;
        if version == Version::V1 {
            return self.claim_v1(cx, conn, node_id);
        }
        let fallback = Token::from_bits(cx.random_bits());
        let until = cx.now + self.patience(cx, holder);
        let Some(newcomer) = self.table.get_mut(conn) else { return };
        let nonce = newcomer.peer.as_ref().and_then(|peer| peer.nonce);
        let token = nonce.unwrap_or(fallback);
        newcomer.phase = Phase::Claiming { since: cx.now, until, check: Check::Asked(token) };
        newcomer.hold_back_until(Instant::FAR_FUTURE);
        // A version 1 node cannot be the linked version 2 node, even if a nonce says so.
        let duplicate = newcomer.duplicate.filter(|_| nonce.is_some());
        newcomer.duplicate = duplicate;
        self.ping(cx, holder, token);
        if duplicate == Some(holder) {
            self.resolve_duplicate(cx, node_id, conn);
        }
    }

    /// How long the peer on this connection may take to answer.
    fn patience(&self, cx: &Cx, conn: ConnId) -> Duration {
        self.table.get(conn).map_or(cx.limits().conns.probe, |link| link.patience(cx.limits()))
    }

    /// A linked peer answered a `PING` with this token. If that told it of a claim to its id, it is sent another one: if the
    /// claim is its own, the proof is sent before the second answer, as it waits for one answer of this node at most.
    pub(super) fn claim_answered(&mut self, cx: &mut Cx, peer: NodeId, holder: ConnId, token: Token) {
        let check = |link: &Link| match link.phase {
            Phase::Claiming { check, .. } => Some(check),
            _ => None,
        };
        let claims: Vec<_> =
            self.claimants(peer).filter_map(|(conn, link)| Some((conn, check(link)?))).collect();
        for (conn, before) in claims {
            let next = match before {
                Check::Asked(asked) if asked == token => {
                    Check::AskedAgain(Token::from_bits(cx.random_bits()))
                }
                Check::AskedAgain(asked) if asked == token => Check::Lives,
                _ => continue,
            };
            let patience = self.patience(cx, holder);
            let holding = self.table.get(holder);
            let elsewhere = holding.map_or(patience, |link| link.patience_elsewhere(cx.limits()));
            let is_proven = self.table.get(conn).is_some_and(|link| link.duplicate == Some(holder));
            if let Some(Phase::Claiming { since, until, check }) =
                self.table.get_mut(conn).map(|link| &mut link.phase)
            {
                *check = next;
                *until = match next {
                    Check::Lives if is_proven => (*since + cx.limits().conns.probe).max(cx.now),
                    // The proof was sent, but the packet that carries it may be lost and sent again.
                    Check::Lives => cx.now + elsewhere,
                    _ => (*until).max(cx.now + patience),
                };
            }
            if let Check::AskedAgain(again) = next {
                self.ping(cx, holder, again);
            }
        }
    }

    /// A version 1 peer may have a second link: one is its own dial, the other a dial of this node to the very address
    /// that both `JOIN`s name (SPEC 2.10).
    fn claim_v1(&mut self, cx: &mut Cx, conn: ConnId, node_id: NodeId) {
        let Some(peer) = self.roster.get(node_id) else { return };
        let (Some(active), Some(newcomer)) = (self.table.get(peer.active), self.table.get(conn)) else {
            return;
        };
        let kept = if newcomer.is_outbound() { 0 } else { cx.limits().conns.slots_reserved };
        let parallel = peer.parallel.is_none() && are_parallel(active, newcomer);
        let info = peer.info.clone();
        if !parallel {
            // The dialed address is another one of the same peer. It would forget this node after each further dial.
            self.reached(conn, node_id);
            return self.refuse(cx, conn, Breach::ClaimsPeersId);
        }
        if !self.has_slot_for_keyless(kept, cx.limits()) {
            return self.decide(conn, Stage::NoSlot);
        }
        self.roster.add_parallel(node_id, conn);
        if let Some(link) = self.table.get_mut(conn) {
            link.queue.close_gate_until(cx.now + cx.limits().conns.settle_v1);
        }
        self.send(cx, conn, &Frame::Peers([].into()));
        self.linked(cx, conn, &info);
        self.update(cx, node_id);
    }

    /// A `PING` on `conn` brought the nonce that this node sent on `other`: they are duplicates.
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
        let unproven = link.phase == Phase::Greeting && link.node_id() == Some(node_id);
        let nonce = link.peer.as_ref().and_then(|peer| peer.nonce);
        if known == holder
            && unproven
            && let Some(nonce) = nonce
        {
            // The peer waits for this proof, and its own key is still to be proven on the other connection.
            return self.ping(cx, holder, nonce);
        }
        let Some(link) = self.table.get(newcomer) else { return };
        if known == holder && matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id)
        {
            self.resolve_duplicate(cx, node_id, newcomer);
        }
    }

    /// Decides which of two proven duplicates stays: the peer's link or this newcomer (SPEC 4.4). If different sides
    /// dialed them, it is the one that the lower id dialed. If one side dialed both, that side closes the later one.
    fn resolve_duplicate(&mut self, cx: &mut Cx, node_id: NodeId, newcomer: ConnId) {
        let Some(holder) = self.active(node_id) else { return };
        let (Some(held), Some(link)) = (self.table.get(holder), self.table.get(newcomer)) else { return };
        let we_are_lower = cx.identity.node_id() < node_id;
        let newcomer_stays = match (held.is_outbound(), link.is_outbound()) {
            _ if held.farewell.is_some() => true,
            (ours, theirs) if ours != theirs => theirs == we_are_lower,
            (true, _) => false,
            // The peer dialed both, so it closes one.
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

    /// Other newcomers that were proven to be duplicates of either one are duplicates of the one that stays.
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

    /// A newcomer that is the same node replaces the peer's link, which may have ended already.
    pub(crate) fn take_over(&mut self, cx: &mut Cx, node_id: NodeId, newcomer: ConnId) {
        let Some((before, info)) = self.roster.set_active(node_id, newcomer) else { return };
        let nonce = self.table.get(before).and_then(|link| link.peer.as_ref()?.nonce);
        if let Some(link) = self.table.get_mut(newcomer) {
            link.duplicate = Some(before);
            // This `PING` is the first frame (SPEC 4.5.2), so that the peer knows which connection this one replaces.
            if let Some(nonce) = nonce {
                link.probe(nonce, cx.limits());
            }
        }
        self.send_ping(cx, newcomer);
        self.linked(cx, newcomer, &info);
        self.update(cx, node_id);
        self.leave(cx, before, newcomer);
        if info.key.is_some() {
            self.events.push_back(Event::Moved { peer: node_id, before, after: newcomer });
        }
    }

    /// Sends `BYE|duplicate|` on the loser. Lines on the winner are held back until the peer's own `BYE` on the loser.
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

    /// Delivers the lines that a link has held back, and holds back no more.
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
        let Some(peer) = self.peer(from).cloned() else { return };
        self.events.extend(texts.into_iter().map(|text| Event::Line { peer: peer.clone(), text }));
    }

    /// The time of a claim to the id of a linked peer is over (SPEC 4.3).
    pub(super) fn claim_expired(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(link) = self.table.get(conn) else { return };
        let (Phase::Claiming { since, check, .. }, Some(node_id)) = (link.phase, link.node_id()) else {
            return;
        };
        let Some(holder) = self.active(node_id) else {
            return self.decide(conn, Stage::Unclaimed);
        };
        if link.duplicate == Some(holder) {
            return self.end(cx, conn, Ending::Bye(ByeCode::Duplicate), LeaveReason::Bye);
        }
        let (answered, linked_since) =
            self.table.get(holder).map_or((None, None), |link| (link.answered, link.linked_since));
        if check == Check::Lives {
            return match node_id.is_of_key() {
                true => {
                    self.tell_of_holder(cx, conn, node_id);
                    self.refuse_taken(cx, conn, Breach::ClaimsPeersId);
                }
                false => self.refuse(cx, conn, Breach::ClaimsPeersId),
            };
        }
        let patience = self.patience(cx, holder);
        if answered.is_some_and(|at| at >= since && at + patience > cx.now) {
            // It has answered another `PING`, and the one that tells it of the claim was sent after that.
            if let Some(Phase::Claiming { until, .. }) = self.table.get_mut(conn).map(|link| &mut link.phase)
            {
                *until = cx.now + patience;
            }
            return;
        }
        if linked_since.is_some_and(|at| at > since) {
            // The `PING` went to another link, which was replaced since.
            return self.claim(cx, conn);
        }
        // The end of the silent link admits the oldest claimant, which may be another one.
        self.counts.silent += 1;
        self.end(cx, holder, Ending::Abort, LeaveReason::Silent);
        self.events.push_back(Event::ClaimDecided(conn));
    }

    /// A silent peer lost its link because of this claim. If another newcomer got the id, this one is refused.
    pub(crate) fn claim_decided(&mut self, cx: &mut Cx, conn: ConnId) {
        if self.table.get(conn).is_some_and(|link| matches!(link.phase, Phase::Claiming { .. })) {
            self.refuse(cx, conn, Breach::ClaimsPeersId);
        }
    }

    /// `BYE` came: the peer's last frame on this connection.
    pub(super) fn bye(&mut self, cx: &mut Cx, conn: ConnId, code: ByeCode) {
        let until = cx.now + self.patience(cx, conn);
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
                // The link stays in use until the other connection is proven or refused.
                if let Some(link) = self.table.get_mut(conn) {
                    link.farewell = Some(until);
                }
                return;
            }
        }
        self.end(cx, conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye);
    }

    /// Both connections are ends of one connection of this node with itself (SPEC 4.1).
    pub(super) fn self_connection(&mut self, cx: &mut Cx, conn: ConnId, other: ConnId) {
        for conn in [conn, other] {
            let dialed = self.table.get(conn).and_then(|link| link.dialed);
            self.events.extend(dialed.map(Event::OwnAddress));
            self.end(cx, conn, Ending::Bye(ByeCode::SelfLink), LeaveReason::Bye);
        }
    }

    /// The newcomer that may replace a lost link, as it is a proven duplicate of it. A peer that had to make room does
    /// not return by another connection.
    pub(crate) fn successor(&self, cx: &Cx, lost: &LostLink) -> Option<ConnId> {
        self.duplicate_of(lost.node_id, lost.conn).filter(|_| !cx.stopping && !lost.is_full())
    }

    /// The oldest newcomer that claims this id and may be linked.
    pub(crate) fn first_claimant(&self, cx: &Cx, node_id: NodeId) -> Option<ConnId> {
        self.claimants(node_id).next().map(|(conn, _)| conn).filter(|_| !cx.stopping)
    }

    /// The newcomer with this id that is a proven duplicate of `conn`.
    fn duplicate_of(&self, node_id: NodeId, conn: ConnId) -> Option<ConnId> {
        self.claimants(node_id).find(|(_, link)| link.duplicate == Some(conn)).map(|(duplicate, _)| duplicate)
    }

    /// The address of this connection, if this node dialed it, leads to that node.
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

/// Whether one is inbound and the other an own dial to the very address that both `JOIN`s name.
fn are_parallel(one: &Link, other: &Link) -> bool {
    let claims = |link: &Link| link.peer.as_ref().and_then(|peer| peer.listen_addr);
    let dialed = match (one.dialed, other.dialed) {
        (Some(dialed), None) | (None, Some(dialed)) => dialed.addr,
        _ => return false,
    };
    other.version() == Some(Version::V1) && claims(one) == Some(dialed) && claims(other) == Some(dialed)
}
