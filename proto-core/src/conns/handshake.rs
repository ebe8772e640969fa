//! The handshake: both sides send `JOIN`, and a side whose `JOIN` has a key proves it by `PROOF` (SPEC 2.1, 3.5 to
//! 3.8).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::closing::Ending;
use super::link::{Link, Phase};
use super::roster::{Changed, LinkedPeer};
use super::{Breach, Conns, Event, Registration, encode};
use crate::model::{
    ClockReading, Config, ConnId, Cx, Identity, LeaveReason, Name, NetworkId, NodeId, PeerInfo, PublicKey,
    Purpose, Reach, Signature, Stage, Version,
};
use crate::wire::{ByeCode, Frame, Hello, Join, PeerRecord, Token};

impl Conns {
    /// Sends `JOIN`, once.
    pub(super) fn greet(&mut self, cx: &Cx, conn: ConnId) {
        let frame = self.join_frame(cx, conn);
        if let Some(link) = self.table.get_mut(conn).filter(|link| link.join_sent.is_none())
            && let Some(frame) = frame
        {
            link.join_sent = Some(cx.now);
            link.push(cx.now, &frame, cx.limits());
        }
    }

    /// This node's `JOIN` for this connection.
    fn join_frame(&self, cx: &Cx, conn: ConnId) -> Option<Vec<u8>> {
        let join = Join {
            node_id: Some(cx.identity.node_id()),
            uname: Some(cx.config.uname().clone()),
            listen_addr: cx.config.listen_addr(),
            remote_addr: None,
            hello: Some(Hello {
                version: 2,
                nonce: self.table.get(conn)?.nonce,
                links: u16::try_from(self.roster.degree()).unwrap_or(u16::MAX),
                key: Some(cx.identity.key()),
                network: cx.config.network(),
                now: cx.wall(),
            }),
        };
        Some(encode(&Frame::Join(Box::new(join))))
    }

    pub(super) fn joined(&mut self, cx: &mut Cx, conn: ConnId, join: &Join) {
        match join.hello.as_ref().and_then(|hello| self.table.of_nonce(&hello.nonce)) {
            // The other end echoes: it is not a node.
            Some(other) if other == conn => {
                return self.end(cx, conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
            }
            Some(other) => return self.self_connection(cx, conn, other),
            None => {}
        }
        let fallback_id = NodeId::random(&mut cx.random);
        let Some(link) = self.table.get_mut(conn) else { return };
        link.read_join(join, fallback_id);
        let Some(peer) = &mut link.peer else { return };
        let theirs = join.hello.as_ref().and_then(|hello| hello.now);
        peer.clock = cx.wall().zip(theirs).map(|(wall, theirs)| ClockReading::new(cx.now, wall, theirs));
        let (node_id, key, proven) = (peer.node_id, peer.key, peer.proven);
        if link.channel.is_sealed() && link.channel.key() != key {
            return self.refuse(cx, conn, Breach::NotTheConnectionsKey);
        }
        if !is_admitted(cx, join) {
            return self.refuse_foreign(cx, conn);
        }
        if node_id == cx.identity.node_id() {
            return match key {
                // It may be another node that has the key. Its `PROOF` tells.
                Some(key) if key == cx.identity.key() && proven => self.own_key_proven(cx, conn),
                Some(key) if key == cx.identity.key() => self.prove(cx, conn),
                _ => self.refuse(cx, conn, Breach::ClaimsOurId),
            };
        }
        match key {
            Some(key) if key.node_id() == node_id && proven => self.decide(conn, Stage::Introduced),
            Some(key) if key.node_id() == node_id => self.decide(conn, Stage::ClaimsKey),
            None if !node_id.is_of_key() => self.decide(conn, Stage::Introduced),
            _ => self.refuse(cx, conn, Breach::NotItsKeysId),
        }
    }

    /// Sends `PROOF` of this node's key.
    pub(crate) fn prove(&mut self, cx: &Cx, conn: ConnId) {
        let Some(link) = self.table.get_mut(conn).filter(|link| !link.proof_sent) else { return };
        let Some((theirs, nonce)) = link.peer.as_ref().and_then(|peer| Some((peer.key?, peer.nonce?))) else {
            return;
        };
        link.proof_sent = true;
        let signature = sign_proof(&cx.identity, cx.config.network(), &link.nonce, &nonce, theirs);
        self.send(cx, conn, &Frame::Proof(signature));
    }

    /// Sends what tells a newcomer that it is taken in, or may yet be, where that was put off: `JOIN`, and `PROOF`.
    pub(super) fn introduce(&mut self, cx: &Cx, conn: ConnId) {
        if self.table.get(conn).is_some_and(|link| link.channel.is_open()) {
            self.greet(cx, conn);
            self.prove(cx, conn);
        }
    }

    pub(super) fn proven(&mut self, cx: &mut Cx, conn: ConnId, signature: &Signature) {
        let Some(link) = self.table.get_mut(conn) else { return };
        let (ours, peer) = (&link.nonce, link.peer.as_mut());
        let Some((peer, key, nonce)) = peer.and_then(|peer| {
            let (key, nonce) = (peer.key?, peer.nonce?);
            Some((peer, key, nonce))
        }) else {
            return;
        };
        let message = proof(&nonce, ours, key, cx.identity.key());
        if !key.verify(Purpose::Proof, cx.config.network(), &message, signature) {
            return self.refuse(cx, conn, Breach::FalseProof);
        }
        peer.proven = true;
        if key == cx.identity.key() {
            return self.own_key_proven(cx, conn);
        }
        self.decide(conn, Stage::Introduced);
    }

    /// The node at the other end has this node's key.
    fn own_key_proven(&mut self, cx: &mut Cx, conn: ConnId) {
        self.events.push_back(Event::OwnKeyProven);
        self.refuse_taken(cx, conn, Breach::ClaimsOurId);
    }

    /// Links the newcomer on this connection. It is sent a sample of peers, among them some that were `found`
    /// elsewhere. A sample of the linked peers is told of it (SPEC 2.6). The link `in_place_of` makes room for it.
    pub(crate) fn admit(
        &mut self,
        cx: &mut Cx,
        conn: ConnId,
        found: Vec<(SocketAddr, NodeId)>,
        in_place_of: Option<ConnId>,
    ) {
        let Some(link) = self.table.get(conn) else { return };
        let Some(info) = link.info() else { return };
        let (named, clock) = link.peer.as_ref().map_or((false, None), |peer| (peer.named, peer.clock));
        let dialed = link.dialed.is_some();
        let peer = Arc::new(info);
        self.introduce(cx, conn);
        self.send_peer_sample(cx, conn, found);
        self.roster.insert(peer.clone(), conn);
        self.linked(cx, conn, &peer);
        self.announce(cx, &peer);
        self.alone_notified = false;
        self.events.push_back(Event::Registered(Registration { peer, named, dialed, clock }));
        if self.table.get(conn).and_then(Link::key).is_some() {
            // The answer measures the round trip.
            let token = Token::from_bits(cx.random_bits());
            self.ping(cx, conn, token);
        }
        self.release_held_back(cx, conn);
        if let Some(other) = in_place_of {
            self.decide(other, Stage::Displaced);
        }
    }

    /// Asks what becomes of a connection.
    pub(super) fn decide(&mut self, conn: ConnId, stage: Stage) {
        self.events.push_back(Event::Decide { conn, stage });
    }

    /// Makes this connection the link of that peer.
    pub(super) fn linked(&mut self, cx: &Cx, conn: ConnId, peer: &Arc<PeerInfo>) {
        let Some(link) = self.table.get_mut(conn) else { return };
        link.phase = Phase::Linked;
        link.linked_since = Some(cx.now);
        self.events.push_back(Event::Linked { peer: peer.clone(), dialed: link.dialed });
    }

    /// Turns away a newcomer, or a linked peer that makes room: sends it a sample of peers, and closes the connection.
    pub(crate) fn turn_away(&mut self, cx: &mut Cx, conn: ConnId, found: Vec<(SocketAddr, NodeId)>) {
        self.send_peer_sample(cx, conn, found);
        self.end(cx, conn, Ending::Bye(ByeCode::Full), LeaveReason::NoRoom);
    }

    /// Closes a link because there are too many.
    pub(crate) fn trim(&mut self, cx: &mut Cx, conn: ConnId) {
        self.end(cx, conn, Ending::Bye(ByeCode::Full), LeaveReason::NoRoom);
    }

    /// Refuses a banned peer.
    pub(crate) fn refuse_banned(&mut self, cx: &mut Cx, conn: ConnId) {
        self.counts.banned += 1;
        self.tell(conn, Breach::Banned);
        self.end(cx, conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
    }

    /// Refuses a peer that has no right to the id in its `JOIN`.
    pub(super) fn refuse(&mut self, cx: &mut Cx, conn: ConnId, breach: Breach) {
        self.report(conn, breach);
        self.end(cx, conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
    }

    /// Tells a newcomer with the key of a linked peer where that peer listens, so that the two can meet (SPEC 4.8).
    pub(super) fn tell_of_holder(&mut self, cx: &Cx, conn: ConnId, holder: NodeId) {
        let Some(reach) = self.table.get(conn).map(|link| link.reach) else { return };
        let Some(info) = self.roster.get(holder).map(|peer| peer.info.clone()) else { return };
        if info.listen_addr.is_some() && is_told(&cx.config, &info, reach) {
            self.send(cx, conn, &Frame::Peers([record(&info)].into()));
        }
    }

    /// Refuses a peer with a key that another node has, which lives.
    pub(super) fn refuse_taken(&mut self, cx: &mut Cx, conn: ConnId, breach: Breach) {
        self.report(conn, breach);
        self.end(cx, conn, Ending::Bye(ByeCode::Taken), LeaveReason::Violation);
    }

    /// Another `JOIN` came from the peer: it has another name or address.
    pub(super) fn rejoined(&mut self, cx: &mut Cx, conn: ConnId, join: &Join) {
        let Some(link) = self.table.get_mut(conn) else { return };
        let Some(node_id) = link.node_id() else { return };
        let Some(before) = link.peer.as_ref().map(|peer| (peer.nonce, peer.key, peer.proven, peer.clock))
        else {
            return;
        };
        link.read_join(join, node_id);
        if let Some(peer) = &mut link.peer {
            (peer.nonce, peer.key, peer.proven, peer.clock) = before;
        }
        if link.phase == Phase::Linked {
            self.update(cx, node_id);
        }
    }

    /// A peer's name, address or active connection may have changed. Its first other address is told like a newcomer's;
    /// if each was, a peer could have this node send as much as it likes.
    pub(super) fn update(&mut self, cx: &mut Cx, node_id: NodeId) {
        let Some(active) = self.active(node_id) else { return };
        let Some(info) = self.table.get(active).and_then(Link::info) else { return };
        let Some(Changed { info, readdressed }) = self.roster.update(info) else { return };
        self.events.push_back(Event::Updated(info.clone()));
        if readdressed {
            self.announce(cx, &info);
            self.events.push_back(Event::Readdressed(info));
        }
    }

    /// The user goes by another name.
    pub(crate) fn rename(&mut self, cx: &mut Cx, name: Name) {
        cx.config.rename(name);
        self.reintroduce(cx);
    }

    /// Peers can dial this node there.
    pub(crate) fn advertise(&mut self, cx: &mut Cx, addr: SocketAddr) {
        if cx.config.listen_addr() != Some(addr) {
            cx.config.advertise(addr);
            self.reintroduce(cx);
        }
    }

    /// Sends `JOIN` wherever it was sent before, during handshakes, too.
    fn reintroduce(&mut self, cx: &Cx) {
        let join_sent = self.table.iter().filter(|(_, link)| link.join_sent.is_some());
        for (conn, node_id) in join_sent.map(|(conn, link)| (conn, link.node_id())).collect::<Vec<_>>() {
            let peer = node_id.and_then(|node_id| self.roster.get(node_id));
            match peer.filter(|peer| peer.info.version == Version::V1) {
                Some(peer) if peer.active == conn => {
                    self.events.push_back(Event::GreetAgain(peer.info.node_id));
                }
                // A version 1 peer uses the connection on which `JOIN` came last, so nothing is sent on this one.
                Some(peer) if peer.parallel == Some(conn) => {}
                _ => {
                    if let Some(frame) = self.join_frame(cx, conn) {
                        self.push(cx, conn, &frame);
                    }
                }
            }
        }
    }

    /// Sends `JOIN` to a version 1 peer again, and `PEERS` a moment later: the peer would lose a `MSG` directly after
    /// `JOIN`. If frames still wait behind an earlier `JOIN`, [`Event::GreetLater`] follows instead.
    pub(crate) fn greet_again(&mut self, cx: &mut Cx, peer: NodeId) {
        let Some(conn) = self.active(peer) else { return };
        if let Some(until) = self.table.get(conn).and_then(|link| link.queue.gate_opens_at()) {
            return self.events.push_back(Event::GreetLater { peer, until });
        }
        let Some(frame) = self.join_frame(cx, conn) else { return };
        self.push(cx, conn, &frame);
        self.send_peer_sample(cx, conn, Vec::new());
    }

    /// Answers a `JOIN` with `PEERS`: a sample of the linked peers and of those `found` elsewhere. To a version 1 peer
    /// it is sent a moment later, since such a peer loses what comes sooner.
    fn send_peer_sample(&mut self, cx: &mut Cx, conn: ConnId, found: Vec<(SocketAddr, NodeId)>) {
        let Some(node_id) = self.table.get(conn).and_then(Link::node_id) else { return };
        let records = self.sample(cx, cx.limits().conns.peers_sent, (conn, node_id), found);
        let frame = encode(&Frame::Peers(records));
        if let Some(link) = self.table.get_mut(conn) {
            if link.version() == Some(Version::V1) {
                link.queue.close_gate_until(cx.now + cx.limits().conns.settle_v1);
            }
            link.push(cx.now, &frame, cx.limits());
        }
    }

    /// Sends a linked peer at most `count` addresses, so that its address book stays fresh.
    pub(crate) fn send_peers(
        &mut self,
        cx: &mut Cx,
        conn: ConnId,
        count: usize,
        found: Vec<(SocketAddr, NodeId)>,
    ) {
        let Some(node_id) = self.table.get(conn).and_then(Link::node_id) else { return };
        let records = self.sample(cx, count, (conn, node_id), found);
        if !records.is_empty() {
            self.send(cx, conn, &Frame::Peers(records));
        }
    }

    /// A sample of at most `count` peers for the receiver. Half of them are linked, half were `found` elsewhere, as far
    /// as there are enough of both. The receiver can reach all of them (SPEC 5.14).
    fn sample(
        &mut self,
        cx: &mut Cx,
        count: usize,
        (conn, receiver): (ConnId, NodeId),
        mut found: Vec<(SocketAddr, NodeId)>,
    ) -> Vec<PeerRecord> {
        let Cx { random, config, .. } = cx;
        let Some(reach) = self.table.get(conn).map(|link| link.reach) else { return Vec::new() };
        let others = |peer: &LinkedPeer| peer.info.node_id != receiver;
        let told = |peer: &LinkedPeer| is_told(config, &peer.info, reach);
        self.counts.withheld += self.roster.iter().filter(|peer| others(peer) && !told(peer)).count() as u64;
        found.retain(|(_, node_id)| *node_id != receiver && !self.roster.contains(*node_id));
        let linked = count.saturating_sub(found.len().min(count / 2));
        let linked = self.roster.sample(linked, |peer| others(peer) && told(peer), random);
        found.truncate(count - linked.len());
        let found = found.into_iter().map(|(addr, node_id)| PeerRecord {
            node_id: Some(node_id),
            listen_addr: Some(addr),
            ..PeerRecord::default()
        });
        linked.into_iter().map(|peer| record(&peer.info)).chain(found).collect()
    }

    /// Sends `PEERS` with a peer, which is new or at another address, to a sample of the linked peers that can reach it.
    fn announce(&mut self, cx: &mut Cx, announced: &PeerInfo) {
        if announced.listen_addr.is_none() {
            return;
        }
        let Cx { random, config, .. } = &mut *cx;
        let reach_of = |conn: ConnId| self.table.get(conn).map(|link| link.reach);
        let tells =
            |peer: &LinkedPeer| reach_of(peer.active).is_some_and(|reach| is_told(config, announced, reach));
        let others = |peer: &LinkedPeer| peer.info.node_id != announced.node_id;
        self.counts.withheld += self.roster.iter().filter(|peer| others(peer) && !tells(peer)).count() as u64;
        let count = config.limits().conns.peers_sent;
        let sample = self.roster.sample(count, |peer| others(peer) && tells(peer), random);
        for conn in sample.iter().map(|peer| peer.active).collect::<Vec<_>>() {
            self.send(cx, conn, &Frame::Peers([record(announced)].into()));
        }
    }
}

/// Whether the sender belongs to this node's network, or has no key and is admitted without (SPEC 3.13).
fn is_admitted(cx: &Cx, join: &Join) -> bool {
    match &join.hello {
        Some(Hello { key: Some(_), network, .. }) => *network == cx.config.network(),
        _ => cx.config.admits_keyless(),
    }
}

/// Whether a peer with this reach is told of a linked one: whether both reach the address of the latter, so that nobody
/// outside can name a machine inside. A peer that cannot be dialed has no address to tell.
fn is_told(config: &Config, info: &PeerInfo, reach: Reach) -> bool {
    let own = Reach::of(info.remote_addr.ip(), config.trusts_loopback());
    info.listen_addr.is_none_or(|addr| own.includes(addr) && reach.includes(addr))
}

/// What a peer is told of a linked one.
fn record(info: &PeerInfo) -> PeerRecord {
    PeerRecord {
        node_id: Some(info.node_id),
        uname: Some(info.uname.clone()),
        listen_addr: info.listen_addr,
        // From where a peer connects is nobody else's business.
        remote_addr: None,
    }
}

/// The signature that `PROOF` carries.
pub(crate) fn sign_proof(
    prover: &Identity,
    network: NetworkId,
    ours: &Token,
    theirs: &Token,
    their_key: PublicKey,
) -> Signature {
    prover.sign(Purpose::Proof, network, &proof(ours, theirs, prover.key(), their_key))
}

/// What `PROOF` signs: both nonces and both keys, the prover's first.
fn proof(prover: &Token, verifier: &Token, prover_key: PublicKey, verifier_key: PublicKey) -> Vec<u8> {
    let mut message = Vec::new();
    for nonce in [prover, verifier] {
        // With its length, so that no two pairs of nonces give the same bytes.
        message.push(nonce.as_str().len() as u8);
        message.extend_from_slice(nonce.as_str().as_bytes());
    }
    message.extend_from_slice(prover_key.as_bytes());
    message.extend_from_slice(verifier_key.as_bytes());
    message
}
