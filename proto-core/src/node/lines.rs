//! Peers without a key: their lines, and what they are told in lines.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::say::lines;
use crate::bridge;
use crate::random::uniform;
use crate::wire::PeerRecord;
use crate::{Action, ConnId, Entry, Instant, Message, NodeId, PeerInfo, Version, Via};

impl Node {
    /// A peer without a key is here.
    pub(super) fn line_peer_here(&mut self, conn: ConnId, info: &PeerInfo) {
        let named = self.links.get(&conn).and_then(|link| link.peer.as_ref()).is_some_and(|peer| peer.named);
        let was_here = info.key.is_none() && self.bridge.came(info.node_id, named, self.clock.time(self.now));
        if was_here && info.version == Version::V1 {
            self.line_peer_forgets(info.node_id);
        }
    }

    /// A peer without a key said whom it is linked to.
    pub(super) fn line_peer_named(&mut self, peer: NodeId, records: &[PeerRecord]) {
        let Some(info) = self.roster.get(peer).map(|peer| peer.info.clone()) else { return };
        if info.key.is_none() {
            let ids = records.iter().filter_map(|record| record.node_id);
            let at = self.clock.time(self.now);
            self.bridge.named(peer, ids, info.version == Version::V1, at, &self.config.limits);
            if info.version == Version::V1 {
                let again = self.ask_again_at();
                self.bridge.greet_at(peer, again);
            }
        }
    }

    /// A node with a key is no longer linked, without a word of leaving the network.
    pub(super) fn teller_unlinked(&mut self, node_id: NodeId) {
        if !self.bridge.is_idle() {
            let at = self.soon();
            self.bridge.unlinked(node_id, at);
        }
    }

    /// A version 1 peer may be yet to see the end of another connection with us: it forgets us then.
    pub(super) fn line_peer_forgets(&mut self, peer: NodeId) {
        let at = self.soon();
        self.bridge.forgets(peer, at, self.config.limits.bridge_ask_soon.saturating_mul(2));
    }

    /// Version 1 peers say whom they are linked to when somebody says `JOIN`, and to all that are linked to them: whoever
    /// is first spares the others the question. Who says `JOIN` is linked to them from then on, even if it was forgotten.
    pub(super) fn greet_line_peers(&mut self) {
        let half = self.config.limits.bridge_ask_every / 2;
        let due: Vec<_> = core::iter::from_fn(|| self.bridge.next_to_greet(self.now, half)).collect();
        for (node_id, pause) in due {
            let next = match pause {
                Some(pause) => self.now + pause + uniform(&mut self.random, pause),
                None => self.ask_again_at(),
            };
            self.bridge.greeted(node_id, next);
            let Some(conn) = self.roster.get(node_id).map(|peer| peer.active) else { continue };
            let Some(frame) = self.join_frame(conn) else { continue };
            self.send(conn, &frame);
            self.sample_peers(conn, node_id);
            self.touch(conn);
        }
    }

    /// When a version 1 peer has seen the end of a connection.
    fn soon(&mut self) -> Instant {
        let soon = self.config.limits.bridge_ask_soon;
        self.now + soon + uniform(&mut self.random, soon)
    }

    fn ask_again_at(&mut self) -> Instant {
        let every = self.config.limits.bridge_ask_every;
        self.now + every / 2 + uniform(&mut self.random, every)
    }

    /// A line came from a peer that is here.
    pub(super) fn line_heard(&mut self, node_id: NodeId, text: String) {
        let Some(peer) = self.roster.get(node_id).map(|peer| peer.info.clone()) else { return };
        let who = Via { node_id, uname: peer.uname.clone() };
        let at = self.clock.time(self.now);
        if self.bridge.heard(self.now, at, who, &text, &self.config.limits) {
            self.counted.delivered += 1;
            self.actions.push_back(Action::Deliver(Message::Line { peer, text }));
        }
    }

    /// Tells those whom nobody else tells what an entry says.
    pub(super) fn tell_in_lines(&mut self, entry: &Arc<Entry>) {
        let peers: Vec<_> = self.bridge.tells(entry).collect();
        if peers.is_empty() {
            return;
        }
        let texts: Vec<_> = bridge::lines(entry).collect();
        let frames = lines(texts.iter().map(String::as_str));
        for conn in peers.iter().filter_map(|peer| Some(self.roster.get(*peer)?.active)).collect::<Vec<_>>() {
            self.counted.told_in_lines += texts.len() as u64;
            self.send(conn, &frames);
        }
    }

    /// Brings in what peers without a key said and nobody else has brought in.
    pub(super) fn bring_in(&mut self) {
        while let Some((via, texts)) = self.bridge.next_due(self.now) {
            self.counted.brought_in += texts.len() as u64;
            for entry in self.author(&texts, &[], Some(&via)) {
                self.tell_in_lines(&entry);
            }
        }
    }
}
