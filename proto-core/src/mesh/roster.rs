//! The peers that are here.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::Rng;

use crate::{ConnId, NodeId, PeerInfo};

/// The peers that are here, by id.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    peers: BTreeMap<NodeId, Peer>,
    /// Those with a key: an index.
    degree: usize,
}

/// A peer that is here.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: Arc<PeerInfo>,
    /// Where it is written to.
    pub(crate) active: ConnId,
    /// A version 1 peer's other link, which is read, too.
    pub(crate) parallel: Option<ConnId>,
}

impl Roster {
    pub(crate) fn get(&self, node_id: NodeId) -> Option<&Peer> {
        self.peers.get(&node_id)
    }

    pub(crate) fn get_mut(&mut self, node_id: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&node_id)
    }

    pub(crate) fn contains(&self, node_id: NodeId) -> bool {
        self.peers.contains_key(&node_id)
    }

    pub(crate) fn insert(&mut self, info: Arc<PeerInfo>, active: ConnId) {
        self.remove(info.node_id);
        self.degree += usize::from(info.key.is_some());
        self.peers.insert(info.node_id, Peer { info, active, parallel: None });
    }

    pub(crate) fn remove(&mut self, node_id: NodeId) -> Option<Peer> {
        let peer = self.peers.remove(&node_id)?;
        self.degree -= usize::from(peer.info.key.is_some());
        Some(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many have a key: they are what links are counted by.
    pub(crate) fn degree(&self) -> usize {
        self.degree
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// At most `count` of the peers but `except`, each as likely as the others, in the order of their ids
    /// (selection sampling: Knuth, TAOCP volume 2, section 3.4.2, algorithm S).
    pub(crate) fn sample(&self, count: usize, except: NodeId, random: &mut impl Rng) -> Vec<&Peer> {
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
    pub(crate) fn is_consistent(&self) -> bool {
        self.peers.values().filter(|peer| peer.info.key.is_some()).count() == self.degree
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::{Name, Version};

    #[test]
    fn a_sample_is_of_the_size_asked_for_and_fair() {
        let mut roster = Roster::default();
        for n in 0..40 {
            let node_id = NodeId::from_bytes([n; 16]);
            let info = PeerInfo {
                node_id,
                uname: Name::cut("x").unwrap(),
                listen_addr: None,
                remote_addr: ([127, 0, 0, 1], 1).into(),
                version: Version::V2,
                key: None,
            };
            roster.insert(Arc::new(info), ConnId(n.into()));
        }
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 40];
        for _ in 0..1000 {
            let sample = roster.sample(10, NodeId::from_bytes([7; 16]), &mut random);
            assert_eq!(sample.len(), 10);
            for peer in sample {
                counts[peer.active.0 as usize] += 1;
            }
        }
        assert_eq!(counts[7], 0);
        for (n, count) in counts.into_iter().enumerate().filter(|(n, _)| *n != 7) {
            assert!((180..340).contains(&count), "{n}: {count}, about 256 expected");
        }
        assert_eq!(roster.sample(64, NodeId::from_bytes([7; 16]), &mut random).len(), 39);
    }
}
