//! The peers that are linked.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::Rng;

use crate::model::{ConnId, NodeId, PeerInfo};

/// The peers that are linked, by id.
#[derive(Debug, Default)]
pub(super) struct Roster {
    peers: BTreeMap<NodeId, LinkedPeer>,
    /// Those with a key: an index.
    degree: usize,
}

/// A peer that is linked.
#[derive(Debug)]
pub(super) struct LinkedPeer {
    pub(super) info: Arc<PeerInfo>,
    /// Where it is written to.
    pub(super) active: ConnId,
    /// A version 1 peer's other link, which is read, too.
    pub(super) parallel: Option<ConnId>,
}

impl Roster {
    pub(super) fn get(&self, node_id: NodeId) -> Option<&LinkedPeer> {
        self.peers.get(&node_id)
    }

    pub(super) fn contains(&self, node_id: NodeId) -> bool {
        self.peers.contains_key(&node_id)
    }

    pub(super) fn insert(&mut self, info: Arc<PeerInfo>, active: ConnId) {
        self.remove(info.node_id);
        self.degree += usize::from(info.key.is_some());
        self.peers.insert(info.node_id, LinkedPeer { info, active, parallel: None });
    }

    pub(super) fn remove(&mut self, node_id: NodeId) -> Option<Arc<PeerInfo>> {
        let peer = self.peers.remove(&node_id)?;
        self.degree -= usize::from(peer.info.key.is_some());
        Some(peer.info)
    }

    /// Takes what is known of a peer now; none if that is not new.
    pub(super) fn update(&mut self, info: PeerInfo) -> Option<Arc<PeerInfo>> {
        let peer = self.peers.get_mut(&info.node_id).filter(|peer| *peer.info != info)?;
        peer.info = Arc::new(info);
        Some(peer.info.clone())
    }

    /// The peer is written to on another connection from now on. Which one it was, and what is known of the peer.
    pub(super) fn set_active(&mut self, node_id: NodeId, conn: ConnId) -> Option<(ConnId, Arc<PeerInfo>)> {
        let peer = self.peers.get_mut(&node_id)?;
        let before = core::mem::replace(&mut peer.active, conn);
        Some((before, peer.info.clone()))
    }

    /// The peer has a second connection, on which it is written to from now on.
    pub(super) fn add_parallel(&mut self, node_id: NodeId, conn: ConnId) {
        if let Some(peer) = self.peers.get_mut(&node_id) {
            peer.parallel = Some(core::mem::replace(&mut peer.active, conn));
        }
    }

    /// One of the peer's connections ended. Whether it has another one; none if there is no such peer.
    pub(super) fn drop_parallel(&mut self, node_id: NodeId, conn: ConnId) -> Option<bool> {
        let peer = self.peers.get_mut(&node_id)?;
        let parallel = peer.parallel.take();
        if let Some(parallel) = parallel
            && peer.active == conn
        {
            peer.active = parallel;
        }
        Some(parallel.is_some())
    }

    /// Connections of peers: a version 1 peer may have two.
    pub(super) fn slots_taken(&self) -> usize {
        self.len() + self.iter().filter(|peer| peer.parallel.is_some()).count()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many have a key: they are what links are counted by.
    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkedPeer> {
        self.peers.values()
    }

    /// At most `count` of the peers but `except`, each as likely as the others, in the order of their ids
    /// (selection sampling: Knuth, TAOCP volume 2, section 3.4.2, algorithm S).
    pub(super) fn sample(&self, count: usize, except: NodeId, random: &mut impl Rng) -> Vec<&LinkedPeer> {
        let mut left = self.peers.len() - usize::from(self.contains(except));
        let mut wanted = count.min(left);
        let mut sample = Vec::with_capacity(wanted);
        for peer in self.peers.values().filter(|peer| peer.info.node_id != except) {
            // The bias of the remainder is below 2^-50 for any number of peers that fits memory.
            if random.next_u64() % (left as u64) < wanted as u64 {
                sample.push(peer);
                wanted -= 1;
            }
            left -= 1;
        }
        sample
    }

    /// Compares the index with what it is an index of.
    pub(super) fn is_consistent(&self) -> bool {
        self.peers.values().filter(|peer| peer.info.key.is_some()).count() == self.degree
    }
}
