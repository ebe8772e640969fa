//! Several connections to one peer: which stay, and how what is said moves from one to the other.
//!
//! A `JOIN` only claims an id. When it claims that of a version 2 peer that is here, both ends say `PING` on the link
//! they have, with the nonce that the newcomer's `JOIN` brought. A `PING` with the nonce that we said on another
//! connection thus proves that both lead to one node; without it, the newcomer takes the place of a peer that does
//! not answer, and is refused if it does.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::net::SocketAddr;

use super::Node;
use super::entries::context;
use super::links::{Ending, encode};
use crate::gossip::Context;
use crate::link::{Link, Opener, Phase};
use crate::wire::{ByeCode, Frame};
use crate::{Action, ConnId, Instant, LeaveReason, NodeId, Version, Violation};

impl Node {
    /// A `JOIN` claims the id of a peer that is here.
    pub(super) fn claim(&mut self, conn: ConnId, node_id: NodeId) {
        let Some(peer) = self.roster.get(node_id) else { return };
        let holder = peer.active;
        let version = peer.info.version;
        self.counted.duplicates += 1;
        if version == Version::V1 {
            return self.claim_of_version_1(conn, node_id);
        }
        let fallback = self.fresh_token();
        let now = self.now;
        let Some(newcomer) = self.links.get_mut(&conn) else { return };
        let until = now + self.config.limits.probe;
        newcomer.phase = Phase::Claiming { since: now, until };
        newcomer.hold_until(Instant::FAR_FUTURE);
        let nonce = newcomer.peer.as_ref().and_then(|peer| peer.nonce);
        // What speaks version 1 is not the node that speaks version 2, whatever was said of it.
        let twin = newcomer.twin.filter(|_| nonce.is_some());
        newcomer.twin = twin;
        self.touch(conn);
        if let Some(link) = self.links.get_mut(&holder) {
            link.probe(nonce.unwrap_or(fallback), &self.config.limits);
        }
        self.send_ping(holder);
        if twin == Some(holder) {
            self.settle(node_id, conn);
        }
    }

    /// A version 1 peer has two links at most: its dial to us, and ours to the very address that both name.
    fn claim_of_version_1(&mut self, conn: ConnId, node_id: NodeId) {
        let Some(peer) = self.roster.get(node_id) else { return };
        let (Some(here), Some(newcomer)) = (self.links.get(&peer.active), self.links.get(&conn)) else {
            return;
        };
        let kept = if newcomer.is_outbound() { 0 } else { self.config.limits.reserved_outbound };
        let parallel = peer.parallel.is_none() && are_parallel(here, newcomer);
        if parallel && !self.has_room_for_keyless(kept) {
            return self.turn_away(conn, node_id);
        }
        if !parallel {
            // Another name of the address that it has: dialed again, it would forget us each time.
            self.reached(conn, node_id);
            return self.refuse(conn, Violation::ClaimsPeersId);
        }
        let active = peer.active;
        let info = peer.info.clone();
        if let Some(peer) = self.roster.get_mut(node_id) {
            peer.parallel = Some(active);
            peer.active = conn;
        }
        if let Some(link) = self.links.get_mut(&conn) {
            link.queue.hold_until(self.now + self.config.limits.settle_v1);
            link.push(self.now, &encode(&Frame::Peers([].into())), &self.config.limits);
        }
        self.settled_here(conn, &info);
        self.refresh(node_id);
    }

    /// The id in its `JOIN` is not its own.
    pub(super) fn refuse(&mut self, conn: ConnId, violation: Violation) {
        self.report(conn, violation);
        self.end(conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
    }

    /// A `PING` on `conn` brought the nonce that we said on another connection.
    pub(super) fn confirm(&mut self, conn: ConnId, other: ConnId) {
        let Some(node_id) = self.links.get(&conn).and_then(Link::node_id) else { return };
        let Some(holder) = self.roster.get(node_id).map(|peer| peer.active) else { return };
        let newcomer = if conn == holder { other } else { conn };
        let known = if conn == holder { conn } else { other };
        let Some(link) = self.links.get_mut(&newcomer) else { return };
        if link.version() == Some(Version::V1) {
            return;
        }
        link.twin = Some(known);
        if known == holder && matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id)
        {
            self.settle(node_id, newcomer);
        }
    }

    /// The peer's link and this newcomer lead to one node: of two dialed by different sides the one that the lower id
    /// dialed stays, of two dialed by one side that side closes the later (SPEC 4.4).
    fn settle(&mut self, node_id: NodeId, newcomer: ConnId) {
        let Some(holder) = self.roster.get(node_id).map(|peer| peer.active) else { return };
        let (Some(here), Some(link)) = (self.links.get(&holder), self.links.get(&newcomer)) else { return };
        let we_are_lower = self.id() < node_id;
        let newcomer_stays = match (here.is_outbound(), link.is_outbound()) {
            _ if here.farewell.is_some() => true,
            (ours, theirs) if ours != theirs => theirs == we_are_lower,
            (true, _) => false,
            // Both are the peer's dials: it decides.
            (false, _) => return,
        };
        if newcomer_stays {
            self.take_over(node_id, newcomer);
        } else {
            self.reached(newcomer, node_id);
            self.leave(newcomer, holder);
        }
        self.settle_others(node_id);
    }

    /// Other newcomers that were confirmed against either link are confirmed against the one that stayed.
    fn settle_others(&mut self, node_id: NodeId) {
        let Some(holder) = self.roster.get(node_id).map(|peer| peer.active) else { return };
        let other = self.claimants(node_id).find(|(_, link)| link.twin.is_some_and(|twin| twin != holder));
        if let Some((other, _)) = other
            && let Some(link) = self.links.get_mut(&other)
        {
            link.twin = Some(holder);
            self.settle(node_id, other);
        }
    }

    /// A newcomer that is the same node takes the place of the peer's link, which may be gone already.
    pub(super) fn take_over(&mut self, node_id: NodeId, newcomer: ConnId) {
        let Some(peer) = self.roster.get_mut(node_id) else { return };
        let before = core::mem::replace(&mut peer.active, newcomer);
        let info = peer.info.clone();
        let nonce = self.links.get(&before).and_then(|link| link.peer.as_ref()?.nonce);
        if let Some(link) = self.links.get_mut(&newcomer) {
            link.twin = Some(before);
            // Ahead of all that is said here, so that the peer knows what it has to wait for.
            if let Some(nonce) = nonce {
                link.probe(nonce, &self.config.limits);
            }
        }
        self.send_ping(newcomer);
        self.settled_here(newcomer, &info);
        self.refresh(node_id);
        self.leave(before, newcomer);
        if info.key.is_some() {
            // What was on its way on the other link may be lost with it.
            self.reconciler.moved(before, newcomer);
            self.gossip.flag(context!(self), node_id);
        }
    }

    /// Says `BYE` on a link in favour of another, on which nothing is read before the peer's own `BYE` here.
    fn leave(&mut self, loser: ConnId, winner: ConnId) {
        let limits = &self.config.limits;
        let loser_link = self.links.get_mut(&loser);
        let Some(link) = loser_link.filter(|link| !matches!(link.phase, Phase::Closing { .. })) else {
            return self.release(winner);
        };
        link.twin = Some(winner);
        let Some(node_id) = link.node_id() else { return };
        let held = link.hold.take();
        let both_left = link.bye.is_some();
        link.push(self.now, &encode(&Frame::Bye(ByeCode::Duplicate, "")), limits);
        link.phase = Phase::Leaving { until: self.now + limits.stalled };
        link.farewell = None;
        link.queue.open_gate();
        self.touch(loser);
        self.regulate(loser);
        self.deliver_all(node_id, held.map(|hold| hold.texts).unwrap_or_default());
        if let Some(link) = self.links.get_mut(&winner) {
            link.hold_until(self.now + self.config.limits.handover);
        }
        self.touch(winner);
        if both_left {
            self.end(loser, Ending::Bye(ByeCode::Duplicate), LeaveReason::Bye);
        }
    }

    /// Delivers what waited on a link, and lets the rest through.
    pub(super) fn release(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        if link.phase != Phase::Here {
            return;
        }
        if let (Some(hold), Some(node_id)) = (link.hold.take(), link.node_id()) {
            self.deliver_all(node_id, hold.texts);
        }
        self.regulate(conn);
        self.touch(conn);
    }

    pub(super) fn deliver_all(&mut self, node_id: NodeId, texts: VecDeque<String>) {
        for text in texts {
            self.line_heard(node_id, text);
        }
    }

    /// Time is up for a newcomer whose `JOIN` claims the id of a peer that is here.
    pub(super) fn claim_is_due(&mut self, conn: ConnId) {
        let Some(link) = self.links.get(&conn) else { return };
        let (Phase::Claiming { since, .. }, Some(node_id)) = (link.phase, link.node_id()) else { return };
        let Some(holder) = self.roster.get(node_id).map(|peer| peer.active) else {
            return self.welcome(conn);
        };
        if link.twin == Some(holder) {
            return self.end(conn, Ending::Bye(ByeCode::Duplicate), LeaveReason::Bye);
        }
        let (answered, here_since) =
            self.links.get(&holder).map_or((None, None), |link| (link.answered, link.here_since));
        if answered.is_some_and(|at| at >= since) {
            return self.refuse(conn, Violation::ClaimsPeersId);
        }
        if here_since.is_some_and(|at| at > since) {
            // It was another that was asked and was silent.
            return self.claim(conn, node_id);
        }
        // The end of the silent one lets a newcomer in: the oldest, whatever it is worth.
        self.counted.silent += 1;
        self.end(holder, Ending::Abort, LeaveReason::Silent);
        if self.links.get(&conn).is_some_and(|link| matches!(link.phase, Phase::Claiming { .. })) {
            self.refuse(conn, Violation::ClaimsPeersId);
        }
    }

    /// `BYE` came: the peer's last frame here.
    pub(super) fn bye(&mut self, conn: ConnId, code: ByeCode) {
        let until = self.now + self.config.limits.probe;
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.bye = Some(code);
        let (phase, node_id) = (link.phase, link.node_id());
        if phase == Phase::Here
            && code == ByeCode::Duplicate
            && let Some(node_id) = node_id
        {
            let twin =
                self.claimants(node_id).find(|(_, link)| link.twin == Some(conn)).map(|(twin, _)| twin);
            if let Some(twin) = twin {
                return self.take_over(node_id, twin);
            }
            let expected = self.links.values().any(|link| {
                let greeting = link.phase == Phase::Greeting && link.twin == Some(conn);
                greeting || (matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id))
            });
            if expected {
                // It is still written to, until the other connection is settled.
                if let Some(link) = self.links.get_mut(&conn) {
                    link.farewell = Some(until);
                }
                return self.touch(conn);
            }
        }
        self.end(conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye);
    }

    /// Both ends of a connection are this node.
    pub(super) fn met_itself(&mut self, conn: ConnId, other: ConnId) {
        for conn in [conn, other] {
            if let Some(Opener::Us { addr, target }) = self.links.get(&conn).map(|link| link.opener) {
                self.is_own_address(addr, target);
            }
            self.end(conn, Ending::Bye(ByeCode::SelfLink), LeaveReason::Bye);
        }
    }

    fn is_own_address(&mut self, addr: SocketAddr, target: Option<crate::mesh::TargetId>) {
        let notice = self.mesh.own(addr, target);
        self.actions.extend(notice.map(Action::Notice));
    }

    /// The address that this link of ours dialed leads to that node.
    fn reached(&mut self, conn: ConnId, node_id: NodeId) {
        if let Some(Opener::Us { addr, target }) = self.links.get(&conn).map(|link| link.opener) {
            self.mesh.reached(addr, target, node_id, self.now);
        }
    }

    /// The links whose `JOIN` claims this id, the oldest first.
    pub(super) fn claimants(&self, node_id: NodeId) -> impl Iterator<Item = (ConnId, &Link)> {
        let claims = move |link: &Link| {
            matches!(link.phase, Phase::Claiming { .. }) && link.node_id() == Some(node_id)
        };
        self.links.iter().filter(move |(_, link)| claims(link)).map(|(conn, link)| (*conn, link))
    }
}

/// Whether one is inbound and the other our own dial to the very address that both `JOIN`s claim.
fn are_parallel(one: &Link, other: &Link) -> bool {
    let claims = |link: &Link| link.peer.as_ref().and_then(|peer| peer.listen_addr);
    let dialed = match (one.opener, other.opener) {
        (Opener::Us { addr, .. }, Opener::Peer) | (Opener::Peer, Opener::Us { addr, .. }) => addr,
        _ => return false,
    };
    other.version() == Some(Version::V1) && claims(one) == Some(dialed) && claims(other) == Some(dialed)
}
