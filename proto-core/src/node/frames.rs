//! What comes in on links.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use super::links::{Ending, encode};
use crate::identity::Purpose;
use crate::link::{LinkEvent, Phase};
use crate::mesh::Rumour;
use crate::random::uniform;
use crate::wire::{ByeCode, Chunk, Frame, Join, PeerRecord, Token};
use crate::{Action, ConnId, LeaveReason, NodeId, PublicKey, Signature, Version, Violation};

/// How long one who is here waits before it dials a newcomer, which most likely dials first: this and up to as much
/// again.
const COURTESY: Duration = Duration::from_millis(250);

impl Node {
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        if !bytes.is_empty() && self.links.get(&conn).is_some_and(|link| !link.greeted) {
            self.greet(conn);
        }
        let mut chunk = Chunk::new(bytes);
        loop {
            let Some(link) = self.links.get_mut(&conn) else { return };
            let Some(event) = link.next_event(self.now, &mut chunk, &self.config.limits) else { break };
            let local = matches!(event, LinkEvent::Said(_) | LinkEvent::Skipped { .. });
            self.take_event(conn, event);
            self.regulate(conn);
            if !local {
                // Here, not once for all that came in: how the stream was cut must not show.
                self.follow_up();
            }
        }
        self.touch(conn);
    }

    /// Tells the driver if this link is to be read no further, or again.
    pub(super) fn regulate(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        match link.pause_change(self.now, &self.config.limits) {
            Some(true) => {
                self.counted.pauses += 1;
                self.actions.push_back(Action::PauseReading { conn });
            }
            Some(false) => self.actions.push_back(Action::ResumeReading { conn }),
            None => {}
        }
    }

    fn take_event(&mut self, conn: ConnId, event: LinkEvent) {
        match event {
            LinkEvent::Skipped { unknown } => self.counted.unknown_frames += u64::from(unknown),
            LinkEvent::Joined(join) => self.joined(conn, &join),
            LinkEvent::Rejoined(join) => self.rejoined(conn, &join),
            LinkEvent::Peers(records) => self.peers_told(conn, &records),
            LinkEvent::Said(text) => self.heard(conn, text),
            LinkEvent::Pinged(token) => self.pinged(conn, token),
            LinkEvent::Ponged(token) => {
                if self.links.get_mut(&conn).is_some_and(|link| link.pong(self.now, token)) {
                    self.send_ping(conn);
                    self.ponged(conn, token);
                }
            }
            LinkEvent::Bye(code) => self.bye(conn, code),
            LinkEvent::Proof(signature) => self.proven(conn, &signature),
            LinkEvent::Chat(chat) => self.chat(conn, &chat),
            LinkEvent::Links(ids) => {
                self.degree_told(conn, ids.len());
                self.links_told(conn, &ids);
            }
            LinkEvent::Ihave(ids) => self.announced(conn, &ids),
            LinkEvent::Graft(ids) => self.grafted(conn, &ids),
            LinkEvent::Tree(claim) => self.tree_told(conn, &claim),
            LinkEvent::Sync(bytes) => self.synced(conn, &bytes),
            #[cfg(feature = "plumtree")]
            LinkEvent::Pruned => self.pruned(conn),
            LinkEvent::Broke(violation) => {
                self.counted.malformed += u64::from(matches!(violation, Violation::Malformed(_)));
                self.report(conn, violation);
            }
            LinkEvent::Cut(violation) => {
                self.report(conn, violation);
                self.end(conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
            }
        }
    }

    fn joined(&mut self, conn: ConnId, join: &Join) {
        let ours = join.hello.as_ref().and_then(|hello| self.nonces.get(&hello.nonce));
        match ours {
            // An echo, which is no node.
            Some(other) if *other == conn => {
                return self.end(conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
            }
            Some(other) => return self.met_itself(conn, *other),
            None => {}
        }
        let stand_in = NodeId::random(&mut self.random);
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.introduce(join, stand_in);
        let Some(peer) = &link.peer else { return };
        let (node_id, key) = (peer.node_id, peer.key);
        if node_id == self.id() {
            return self.refuse(conn, Violation::ClaimsOurId);
        }
        match key {
            Some(key) if key.node_id() == node_id => {
                if self.is_shunned(conn, node_id) {
                    self.shun(conn);
                } else if !self.sent_on(conn, node_id) {
                    self.prove(conn, key);
                }
            }
            None if !node_id.is_of_key() => self.introduced(conn, node_id),
            _ => self.refuse(conn, Violation::NotItsKeysId),
        }
    }

    /// Shows the peer on this link that our key is our own. Its own proof decides what becomes of the link.
    fn prove(&mut self, conn: ConnId, theirs: PublicKey) {
        let Some(link) = self.links.get(&conn) else { return };
        let Some(nonce) = link.peer.as_ref().and_then(|peer| peer.nonce) else { return };
        let message = proof(&link.nonce, &nonce, self.identity.key(), theirs);
        let signature = self.identity.sign(Purpose::Proof, &message);
        self.send(conn, &encode(&Frame::Proof(signature)));
    }

    fn proven(&mut self, conn: ConnId, signature: &Signature) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let (ours, peer) = (&link.nonce, link.peer.as_mut());
        let Some((peer, key, nonce)) = peer.and_then(|peer| {
            let (key, nonce) = (peer.key?, peer.nonce?);
            Some((peer, key, nonce))
        }) else {
            return;
        };
        let message = proof(&nonce, ours, key, self.identity.key());
        if !key.verify(Purpose::Proof, &message, signature) {
            return self.refuse(conn, Violation::FalseProof);
        }
        peer.proven = true;
        let node_id = peer.node_id;
        self.introduced(conn, node_id);
    }

    /// The peer on this link is who it says it is, as far as that can be known.
    fn introduced(&mut self, conn: ConnId, node_id: NodeId) {
        if self.is_shunned(conn, node_id) {
            self.shun(conn);
        } else if self.roster.contains(node_id) {
            self.claim(conn, node_id);
        } else {
            self.welcome(conn);
        }
    }

    /// Whether the peer on this link was cut for breaking rules a while ago.
    pub(super) fn is_shunned(&self, conn: ConnId, node_id: NodeId) -> bool {
        let remote = self.links.get(&conn).map(|link| link.remote.ip());
        remote.is_some_and(|ip| self.mesh.shunned.contains(self.now, node_id, ip))
    }

    /// Keeps it out.
    pub(super) fn shun(&mut self, conn: ConnId) {
        self.counted.shunned += 1;
        self.end(conn, Ending::Bye(ByeCode::Refused), LeaveReason::Violation);
    }

    /// A peer introduces itself anew: it has another name or address.
    fn rejoined(&mut self, conn: ConnId, join: &Join) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let Some(node_id) = link.node_id() else { return };
        let Some(before) = link.peer.as_ref().map(|peer| (peer.nonce, peer.key, peer.proven)) else { return };
        link.introduce(join, node_id);
        if let Some(peer) = &mut link.peer {
            (peer.nonce, peer.key, peer.proven) = before;
        }
        if link.phase == Phase::Here {
            self.refresh(node_id);
        }
    }

    fn peers_told(&mut self, conn: ConnId, records: &[PeerRecord]) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let first = !core::mem::replace(&mut link.peers_heard, true);
        let (teller, dialed) = (link.remote.ip().to_canonical(), link.is_outbound());
        let source = match (link.phase, link.node_id()) {
            (Phase::Here, Some(node_id)) => node_id,
            // Sent on: whoever it is, it is no peer whose share of the book this could use up.
            (Phase::Greeting, Some(_)) if dialed => NodeId::random(&mut self.random),
            _ => return,
        };
        self.line_peer_named(source, records);
        for record in records {
            // What answers our `JOIN` lists those here, what comes later is a newcomer.
            let courtesy =
                if first { Duration::ZERO } else { COURTESY + uniform(&mut self.random, COURTESY) };
            let known = record.node_id.is_some_and(|id| id == self.id() || self.roster.contains(id));
            let Some(addr) = address_of(record).filter(|_| !known) else { continue };
            if Some(addr) == self.config.listen_addr {
                continue;
            }
            let next = self.now + courtesy;
            let free =
                self.links.get_mut(&conn).is_some_and(|link| link.learning.next_at(self.now) <= self.now);
            let rumour = Rumour { source, dialed, node_id: record.node_id };
            let learned = free && self.mesh.learn(addr, rumour, teller, next, &self.config.limits);
            if learned && let Some(link) = self.links.get_mut(&conn) {
                link.learning.charge(self.now, 1);
            }
            *(if learned { &mut self.counted.learned } else { &mut self.counted.passed_over }) += 1;
        }
    }

    fn heard(&mut self, conn: ConnId, text: String) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        if let Some(hold) = &mut link.hold {
            hold.bytes += text.len() + size_of::<String>();
            hold.texts.push_back(text);
            return;
        }
        if let Some(node_id) = link.node_id() {
            self.line_heard(node_id, text);
        }
    }

    fn pinged(&mut self, conn: ConnId, token: Token) {
        self.send(conn, &encode(&Frame::Pong(token)));
        if let Some(other) = self.nonces.get(&token).copied().filter(|other| *other != conn) {
            self.confirm(conn, other);
        }
    }

    /// Says a `PING` with this token: at once, or after the `PONG` that is awaited.
    pub(super) fn ping(&mut self, conn: ConnId, token: Token) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.probe(token, &self.config.limits);
        }
        self.send_ping(conn);
    }

    /// Says the next `PING` that waits on a link, if none is out.
    pub(super) fn send_ping(&mut self, conn: ConnId) {
        let ping = self.links.get_mut(&conn).and_then(|link| link.next_ping(self.now));
        if let Some(token) = ping {
            self.send(conn, &encode(&Frame::Ping(token)));
        }
        self.touch(conn);
    }

    pub(super) fn rename(&mut self, name: crate::Name) {
        self.config.uname = name;
        // Those to be, too, who were told the old one.
        let greeted = self.links.iter().filter(|(_, link)| link.greeted);
        for (conn, node_id) in greeted.map(|(conn, link)| (*conn, link.node_id())).collect::<Vec<_>>() {
            let peer = node_id.and_then(|node_id| self.roster.get(node_id));
            match peer.filter(|peer| peer.info.version == Version::V1) {
                Some(peer) if peer.active == conn => self.greet_line_peer(peer.info.node_id),
                // It takes us for linked by the connection on which `JOIN` came last.
                Some(peer) if peer.parallel == Some(conn) => {}
                _ => {
                    if let Some(frame) = self.join_frame(conn) {
                        self.send(conn, &frame);
                    }
                }
            }
        }
    }
}

/// What `PROOF` signs: both nonces and both keys, the prover's first.
pub(super) fn proof(
    prover: &Token,
    verifier: &Token,
    prover_key: PublicKey,
    verifier_key: PublicKey,
) -> Vec<u8> {
    let mut message = Vec::new();
    for nonce in [prover, verifier] {
        // Length first: no two pairs of nonces read the same.
        message.push(nonce.as_str().len() as u8);
        message.extend_from_slice(nonce.as_str().as_bytes());
    }
    message.extend_from_slice(prover_key.as_bytes());
    message.extend_from_slice(verifier_key.as_bytes());
    message
}

/// Where a record says that its peer listens.
fn address_of(record: &PeerRecord) -> Option<core::net::SocketAddr> {
    let mut addr = record.listen_addr?;
    if addr.ip().is_unspecified() {
        addr.set_ip(record.remote_addr?.ip());
    }
    Some(addr)
}
