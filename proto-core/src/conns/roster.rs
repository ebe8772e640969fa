//! The roster: the peers that are linked.

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
    /// How many have a key: an index of `peers`.
    degree: usize,
}

/// A peer that is linked.
#[derive(Debug)]
pub(super) struct LinkedPeer {
    pub(super) info: Arc<PeerInfo>,
    /// The connection on which it is sent its frames.
    pub(super) active: ConnId,
    /// The other link of a version 1 peer, which is only read.
    pub(super) parallel: Option<ConnId>,
    /// It has said another address than when it was linked.
    readdressed: bool,
}

/// What has changed of a peer.
pub(super) struct Changed {
    pub(super) info: Arc<PeerInfo>,
    /// It says another address, for the first time since it was linked.
    pub(super) readdressed: bool,
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
        self.peers.insert(info.node_id, LinkedPeer { info, active, parallel: None, readdressed: false });
    }

    pub(super) fn remove(&mut self, node_id: NodeId) -> Option<Arc<PeerInfo>> {
        let peer = self.peers.remove(&node_id)?;
        self.degree -= usize::from(peer.info.key.is_some());
        Some(peer.info)
    }

    /// Replaces what is known of a peer. None if it is the same.
    pub(super) fn update(&mut self, info: PeerInfo) -> Option<Changed> {
        let peer = self.peers.get_mut(&info.node_id).filter(|peer| *peer.info != info)?;
        let other_address = info.listen_addr.is_some() && info.listen_addr != peer.info.listen_addr;
        let readdressed = other_address && !peer.readdressed;
        peer.readdressed |= readdressed;
        peer.info = Arc::new(info);
        Some(Changed { info: peer.info.clone(), readdressed })
    }

    /// Makes another connection the active one of a peer. Returns the one before, and what is known of the peer.
    pub(super) fn set_active(&mut self, node_id: NodeId, conn: ConnId) -> Option<(ConnId, Arc<PeerInfo>)> {
        let peer = self.peers.get_mut(&node_id)?;
        let before = core::mem::replace(&mut peer.active, conn);
        Some((before, peer.info.clone()))
    }

    /// Adds a second connection of a peer, which becomes the active one.
    pub(super) fn add_parallel(&mut self, node_id: NodeId, conn: ConnId) {
        if let Some(peer) = self.peers.get_mut(&node_id) {
            peer.parallel = Some(core::mem::replace(&mut peer.active, conn));
        }
    }

    /// One of the peer's connections ended. Whether it has another one. None: the peer is not linked.
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

    /// Connection slots in use: a version 1 peer may take two.
    pub(super) fn slots_taken(&self) -> usize {
        self.len() + self.iter().filter(|peer| peer.parallel.is_some()).count()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many linked peers have a key.
    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkedPeer> {
        self.peers.values()
    }

    /// A uniform sample of at most `count` of the eligible peers, in the order of their ids (selection sampling: Knuth,
    /// TAOCP volume 2, section 3.4.2, algorithm S).
    pub(super) fn sample(
        &self,
        count: usize,
        eligible: impl Fn(&LinkedPeer) -> bool,
        random: &mut impl Rng,
    ) -> Vec<&LinkedPeer> {
        let eligible = self.peers.values().filter(|peer| eligible(peer));
        let mut left = eligible.clone().count();
        let mut wanted = count.min(left);
        let mut sample = Vec::with_capacity(wanted);
        for peer in eligible {
            // The bias of the remainder is below 2^-50 for any number of peers that fits in memory.
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
