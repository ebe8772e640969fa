//! Links from their opening to their end, and what their end means for the peer.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Node;
use super::degree::Admission;
use super::entries::context;
use crate::gossip::Context;
use crate::link::{Link, Opener, Phase};
use crate::mesh::{Attempt, Leaving, Peer};
use crate::wire::{ByeCode, Frame, Hello, Join, PeerRecord};
use crate::{Action, ConnId, DialError, Instant, LeaveReason, NodeId, PeerInfo, Version, Violation};

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// We say `BYE` where the peer understands it, flush, and close.
    Bye(ByeCode),
    /// We drop it.
    Abort,
    /// The driver says that it is gone.
    Gone,
}

impl Node {
    pub(super) fn open(&mut self, conn: ConnId, remote: SocketAddr, opener: Opener) {
        if self.links.contains_key(&conn) {
            return;
        }
        let nonce = self.fresh_token();
        self.links.insert(conn, Link::new(self.now, remote, opener, nonce, &self.config.limits));
        self.nonces.insert(nonce, conn);
        self.touch(conn);
    }

    /// Says `JOIN`, once.
    pub(super) fn greet(&mut self, conn: ConnId) {
        let frame = self.join_frame(conn);
        if let Some(link) = self.links.get_mut(&conn).filter(|link| !link.greeted)
            && let Some(frame) = frame
        {
            link.greeted = true;
            link.push(self.now, &frame, &self.config.limits);
        }
    }

    /// Our `JOIN` for this link.
    pub(super) fn join_frame(&self, conn: ConnId) -> Option<Vec<u8>> {
        let join = Join {
            node_id: Some(self.id()),
            uname: Some(self.config.uname.clone()),
            listen_addr: self.config.listen_addr,
            remote_addr: None,
            hello: Some(Hello {
                version: 2,
                nonce: self.links.get(&conn)?.nonce,
                links: u16::try_from(self.roster.degree()).unwrap_or(u16::MAX),
                key: Some(self.identity.key()),
            }),
        };
        Some(encode(&Frame::Join(join)))
    }

    pub(super) fn flushed(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.queue.flushed(self.now, &self.config.limits);
            self.touch(conn);
        }
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.end(conn, Ending::Gone, LeaveReason::Closed);
    }

    /// The oldest pending connection that is silent makes room for a new one, else the oldest. More than one may have to:
    /// links that are being closed are pending again.
    pub(super) fn make_room_for_pending(&mut self) {
        while let Some(conn) = self.surplus_pending() {
            self.counted.evicted += 1;
            self.end(conn, Ending::Abort, LeaveReason::NoRoom);
        }
    }

    fn surplus_pending(&self) -> Option<ConnId> {
        let limits = &self.config.limits;
        let pending = self.links.iter().filter(|(_, link)| link.is_pending() && !link.is_outbound());
        if pending.clone().count() < limits.pending {
            return None;
        }
        let oldest =
            pending.min_by_key(|(conn, link)| (!link.is_silent(self.now, limits), link.opened(), **conn));
        oldest.map(|(conn, _)| *conn)
    }

    /// The peer on this link is new here: it is registered if there is room, and sent on if not.
    pub(super) fn welcome(&mut self, conn: ConnId) {
        let Some(link) = self.links.get(&conn) else { return };
        let (Some(info), Some(node_id)) = (peer_info(link), link.node_id()) else { return };
        let admission = self.admission(conn, node_id);
        if admission == Admission::Full {
            return self.turn_away(conn, node_id);
        }
        self.sample_peers(conn, node_id);
        let info = Arc::new(info);
        self.roster.insert(info.clone(), conn);
        self.settled_here(conn, &info);
        self.announce(&info);
        self.alone_told = false;
        self.actions.push_back(Action::RegisterPeer(info.clone()));
        self.neighbour_here(conn, node_id);
        self.line_peer_here(conn, &info);
        self.release(conn);
        if let Admission::InPlaceOf(other) = admission {
            self.displace(other);
        }
    }

    /// This link is now a peer's.
    pub(super) fn settled_here(&mut self, conn: ConnId, info: &PeerInfo) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.phase = Phase::Here;
        link.here_since = Some(self.now);
        if let Opener::Us { addr, target } = link.opener {
            self.mesh.reached(addr, target, info.node_id, self.now);
            if let Some(target) = target {
                let others = self.mesh.under_way(Some(target));
                self.cancel(others);
            }
        }
        if let Some(addr) = info.listen_addr {
            let teller = info.remote_addr.ip().to_canonical();
            self.mesh.claimed(addr, info.node_id, teller, &self.config.limits);
        }
        self.touch(conn);
    }

    /// Answers a `JOIN` with `PEERS`: a sample of those here, which a version 1 peer gets a moment later, and for who
    /// has a key also of those that are elsewhere.
    pub(super) fn sample_peers(&mut self, conn: ConnId, node_id: NodeId) {
        let count = self.config.limits.peers_sent;
        let records = if node_id.is_of_key() {
            self.sample_records(count, node_id)
        } else {
            let sample = self.roster.sample(count, node_id, &mut self.random);
            sample.iter().map(|peer| record(&peer.info)).collect()
        };
        let frame = encode(&Frame::Peers(records));
        if let Some(link) = self.links.get_mut(&conn) {
            if link.version() == Some(Version::V1) {
                link.queue.hold_until(self.now + self.config.limits.settle_v1);
            }
            link.push(self.now, &frame, &self.config.limits);
        }
    }

    /// Tells some of those here of a newcomer.
    fn announce(&mut self, newcomer: &PeerInfo) {
        if newcomer.listen_addr.is_none() {
            return;
        }
        let frame = encode(&Frame::Peers([record(newcomer)].into()));
        let sample = self.roster.sample(self.config.limits.peers_sent, newcomer.node_id, &mut self.random);
        let conns: Vec<_> = sample.iter().map(|peer| peer.active).collect();
        for conn in conns {
            self.send(conn, &frame);
        }
    }

    /// Queues frames on a link.
    pub(super) fn send(&mut self, conn: ConnId, frames: &[u8]) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.push(self.now, frames, &self.config.limits);
            self.touch(conn);
        }
    }

    /// A peer broke a rule.
    pub(super) fn report(&mut self, conn: ConnId, violation: Violation) {
        self.counted.violations += 1;
        if let Some(link) = self.links.get(&conn) {
            self.actions.push_back(Action::Report { conn, remote: link.remote, violation });
        }
    }

    /// Ends a link, and with it what hangs on it.
    pub(super) fn end(&mut self, conn: ConnId, ending: Ending, reason: LeaveReason) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let phase = link.phase;
        let closing = matches!(phase, Phase::Closing { .. });
        if let Ending::Bye(code) = ending {
            if closing {
                return;
            }
            if link.version() == Some(Version::V2) && link.greeted {
                link.push(self.now, &encode(&Frame::Bye(code, "")), &self.config.limits);
            }
            link.queue.open_gate();
            let limits = &self.config.limits;
            // What was said on a link before another took its place still goes out.
            let linger = if matches!(phase, Phase::Leaving { .. }) { limits.stalled } else { limits.linger };
            link.phase = Phase::Closing { until: self.now + linger, close_sent: false };
            link.farewell = None;
        }
        let held = link.hold.take();
        if phase == Phase::Here
            && let (Some(hold), Some(node_id)) = (held, link.node_id())
        {
            self.deliver_all(node_id, hold.texts);
        }
        self.touch(conn);
        if ending == Ending::Abort {
            self.actions.push_back(Action::Abort { conn });
        }
        self.reconciler.ended(conn);
        let gone = if matches!(ending, Ending::Bye(_)) { None } else { self.forget(conn) };
        if closing {
            return;
        }
        let Some(link) = gone.as_ref().or_else(|| self.links.get(&conn)) else { return };
        let ended = Ended {
            node_id: link.node_id(),
            version: link.version(),
            remote: link.remote,
            opener: link.opener,
            twin: link.twin,
            heard: link.heard_anything(),
            bye: link.bye.or(match ending {
                Ending::Bye(code) => Some(code),
                Ending::Abort | Ending::Gone => None,
            }),
            here_since: link.here_since,
        };
        match phase {
            Phase::Greeting | Phase::Claiming { .. } => self.attempt_over(&ended, ending),
            Phase::Here => self.peer_link_lost(conn, &ended, reason),
            Phase::Leaving { .. } => {
                if let Some(twin) = ended.twin {
                    self.release(twin);
                }
            }
            Phase::Closing { .. } => {}
        }
    }

    /// A connection ended before it was a peer's link: if we dialed it, the attempt failed.
    fn attempt_over(&mut self, ended: &Ended, ending: Ending) {
        if let Some(node_id) = ended.node_id.filter(|_| ended.version == Some(Version::V1)) {
            self.line_peer_forgets(node_id);
        }
        let Opener::Us { addr, target } = ended.opener else { return };
        let attempt = match (ended.node_id, ended.heard, ending) {
            (Some(_), ..) => Attempt::TurnedAway(ended.bye.unwrap_or(ByeCode::Other)),
            (None, true, _) | (None, false, Ending::Bye(_)) => Attempt::NotAChatNode,
            (None, false, _) => Attempt::Failed(DialError::Other),
        };
        let closed = matches!(ending, Ending::Bye(_));
        self.attempt_failed(Some(addr), target, attempt, self.dial_again_from(closed));
        if ended.node_id.is_none() {
            self.forgotten_at(addr);
        }
    }

    /// Our own dial to this address ended, and our greeting was not answered there. A version 1 node has read it, and
    /// forgets us with that connection, whatever other one we have.
    fn forgotten_at(&mut self, addr: SocketAddr) {
        let forgets = |peer: &&Peer| peer.info.version == Version::V1 && peer.info.listen_addr == Some(addr);
        let forgetful: Vec<_> = self.roster.iter().filter(forgets).map(|peer| peer.info.node_id).collect();
        for node_id in forgetful {
            self.line_peer_forgets(node_id);
        }
    }

    /// From when on a peer whose connection ended may be dialed again; `closed`: by us, so that it is yet to read that. A
    /// version 1 node that has the next connection before it reads the end of this one forgets us upon that end.
    fn dial_again_from(&self, closed: bool) -> Instant {
        if closed { self.now + self.config.limits.linger } else { self.now }
    }

    /// One of a peer's links ended: the next that claims its id takes its place, or it left.
    fn peer_link_lost(&mut self, conn: ConnId, ended: &Ended, reason: LeaveReason) {
        let Some(node_id) = ended.node_id else { return };
        let Some(peer) = self.roster.get_mut(node_id) else { return };
        if let Some(parallel) = peer.parallel.take() {
            if peer.active == conn {
                peer.active = parallel;
            }
            self.line_peer_forgets(node_id);
            self.refresh(node_id);
            return;
        }
        if reason == LeaveReason::Violation && node_id.is_of_key() {
            self.mesh.shunned.cut(self.now, node_id, ended.remote.ip(), &self.config.limits);
        }
        let twin = self.claimants(node_id).find(|(_, link)| link.twin == Some(conn)).map(|(conn, _)| conn);
        // Who made room for another does not come back by another connection.
        let may_stay = !self.stopping && ended.bye != Some(ByeCode::Full);
        if let Some(twin) = twin.filter(|twin| may_stay && !self.is_shunned(*twin, node_id)) {
            self.take_over(node_id, twin);
            return;
        }
        if let Some(peer) = self.roster.remove(node_id) {
            self.gossip.unlinked(context!(self), node_id);
            self.bridge.left(node_id, &self.config.limits);
            if node_id.is_of_key() {
                self.teller_unlinked(node_id);
            }
            if ended.bye == Some(ByeCode::Shutdown) {
                self.bridge.gone(node_id, self.clock.time(self.now));
            }
            self.actions.push_back(Action::UnregisterPeer { peer: peer.info, reason });
        }
        let lasted = ended.here_since.map_or_else(Default::default, |since| self.now.since(since));
        let full = ended.bye == Some(ByeCode::Full);
        let again = self.dial_again_from(!node_id.is_of_key() && ended.bye.is_some());
        let leaving = Leaving { at: self.now, again, lasted, full, broke: reason == LeaveReason::Violation };
        let stock = self.stock();
        let Self { mesh, random, config, .. } = self;
        mesh.left(node_id, leaving, stock, random, &config.limits);
        while !self.stopping {
            let Some((conn, _)) = self.claimants(node_id).next() else { return };
            if !self.is_shunned(conn, node_id) {
                return self.welcome(conn);
            }
            self.shun(conn);
        }
    }

    /// A peer's name, address or active link changed.
    pub(super) fn refresh(&mut self, node_id: NodeId) {
        let Some(peer) = self.roster.get_mut(node_id) else { return };
        let Some(info) = self.links.get(&peer.active).and_then(peer_info) else { return };
        if *peer.info != info {
            peer.info = Arc::new(info);
            self.actions.push_back(Action::UpdatePeer(peer.info.clone()));
        }
    }

    pub(super) fn shut_down(&mut self) {
        self.stopping = true;
        let dials = self.mesh.under_way(None);
        self.cancel(dials);
        let conns: Vec<_> = self.links.iter().map(|(conn, link)| (*conn, link.node_id().is_some())).collect();
        for (conn, introduced) in conns {
            let ending = if introduced { Ending::Bye(ByeCode::Shutdown) } else { Ending::Abort };
            self.end(conn, ending, LeaveReason::Stopping);
            let until = self.now + self.config.limits.linger;
            if let Some(Phase::Closing { until: before, .. }) =
                self.links.get_mut(&conn).map(|link| &mut link.phase)
            {
                *before = until.min(*before);
            }
            self.touch(conn);
        }
    }
}

/// What is left of a link that ended.
struct Ended {
    node_id: Option<NodeId>,
    version: Option<Version>,
    remote: SocketAddr,
    opener: Opener,
    twin: Option<ConnId>,
    heard: bool,
    bye: Option<ByeCode>,
    here_since: Option<Instant>,
}

pub(super) fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

pub(super) fn record(info: &PeerInfo) -> PeerRecord {
    PeerRecord {
        node_id: Some(info.node_id),
        uname: Some(info.uname.clone()),
        listen_addr: info.listen_addr,
        remote_addr: Some(info.remote_addr),
    }
}

/// What the link's `JOIN` and its other end say of the peer.
pub(super) fn peer_info(link: &Link) -> Option<PeerInfo> {
    let peer = link.peer.as_ref()?;
    Some(PeerInfo {
        node_id: peer.node_id,
        uname: peer.uname.clone(),
        listen_addr: peer.listen_addr,
        remote_addr: link.remote,
        version: link.version()?,
        key: peer.key,
    })
}
