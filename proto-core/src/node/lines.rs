//! Peers without a key: their lines, and what they are told in lines.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::say::lines;
use crate::bridge;
use crate::wire::PeerRecord;
use crate::{Action, ConnId, Entry, Message, NodeId, PeerInfo, Version, Via};

impl Node {
    /// A peer without a key is here.
    pub(super) fn line_peer_here(&mut self, conn: ConnId, info: &PeerInfo) {
        let named = self.links.get(&conn).and_then(|link| link.peer.as_ref()).is_some_and(|peer| peer.named);
        if info.key.is_none() {
            self.bridge.came(info.node_id, named, self.clock.time(self.now));
        }
        if info.version == Version::V1 {
            let Self { bridge, random, config, .. } = self;
            bridge.greetings.came(self.now, info.node_id, random, &config.limits);
        }
    }

    /// A peer without a key said whom it is linked to.
    pub(super) fn line_peer_named(&mut self, peer: NodeId, records: &[PeerRecord]) {
        let Some(info) = self.roster.get(peer).map(|peer| peer.info.clone()) else { return };
        if info.key.is_none() {
            let ids = records.iter().filter_map(|record| record.node_id);
            let at = self.clock.time(self.now);
            self.bridge.named(peer, ids, info.version == Version::V1, at, &self.config.limits);
            let Self { bridge, random, config, .. } = self;
            bridge.greetings.heard(self.now, peer, random, &config.limits);
        }
    }

    /// A node with a key is no longer linked. Version 1 peers to whom it spoke may name it still.
    pub(super) fn teller_unlinked(&mut self, node_id: NodeId) {
        let Self { bridge, random, config, .. } = self;
        for peer in bridge.told_by(node_id) {
            bridge.greetings.ask_soon(self.now, peer, random, &config.limits);
        }
    }

    /// A version 1 peer may be yet to see the end of another connection with us: it forgets us then.
    pub(super) fn line_peer_forgets(&mut self, peer: NodeId) {
        let Self { bridge, random, config, .. } = self;
        bridge.greetings.forgets(self.now, peer, random, &config.limits);
    }

    /// Says `JOIN` to version 1 peers that may have forgotten us, or have not said for long whom they are linked to.
    pub(super) fn greet_line_peers(&mut self) {
        let Self { bridge, random, config, .. } = self;
        let next_due = || bridge.greetings.next_due(self.now, random, &config.limits);
        for node_id in core::iter::from_fn(next_due).collect::<Vec<_>>() {
            self.greet_line_peer(node_id);
        }
    }

    /// Says `JOIN` to a version 1 peer again, and `PEERS` a moment behind it: a `MSG` that is the first line after a `JOIN` is lost.
    pub(super) fn greet_line_peer(&mut self, node_id: NodeId) {
        let Some(conn) = self.roster.get(node_id).map(|peer| peer.active) else { return };
        if let Some(until) = self.links.get(&conn).and_then(|link| link.queue.gate()) {
            // What waits behind another `JOIN` goes first.
            return self.bridge.greetings.put_off(node_id, until);
        }
        let Some(frame) = self.join_frame(conn) else { return };
        self.send(conn, &frame);
        self.sample_peers(conn, node_id);
        self.touch(conn);
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
