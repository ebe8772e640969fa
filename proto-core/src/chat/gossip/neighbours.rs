//! Whom we are linked to, whom they are linked to, and whether that makes a full mesh.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{Instant, Limits, NodeId};
use crate::wire::MAX_LINKS;

/// The neighbours and what their `LINKS` say.
#[derive(Debug)]
pub(super) struct Neighbours {
    me: NodeId,
    peers: BTreeMap<NodeId, Neighbour>,
    /// Neighbours whose neighbourhood is ours: an index of `peers`.
    same_neighbourhoods: usize,
    /// When we said `LINKS` last, to all.
    sent_at: Option<Instant>,
    /// Our links have changed since then.
    changed: bool,
    recipients: BTreeSet<NodeId>,
}

#[derive(Debug, Default)]
struct Neighbour {
    links: BTreeSet<NodeId>,
    /// It and its links are us and our links.
    same_neighbourhood: bool,
}

impl Neighbours {
    pub(super) fn new(me: NodeId) -> Self {
        Self {
            me,
            peers: BTreeMap::new(),
            same_neighbourhoods: 0,
            sent_at: None,
            changed: false,
            recipients: BTreeSet::new(),
        }
    }

    pub(super) fn linked(&mut self, peer: NodeId) {
        self.peers.entry(peer).or_default();
        self.links_changed();
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.peers.remove(&peer);
        self.recipients.remove(&peer);
        self.links_changed();
    }

    fn links_changed(&mut self) {
        self.changed = true;
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.compare(peer);
        }
        self.count();
    }

    /// The neighbour says whom it is linked to.
    pub(super) fn links_received(&mut self, peer: NodeId, links: &[NodeId]) {
        let Some(neighbour) = self.peers.get_mut(&peer) else { return };
        neighbour.links = links.iter().copied().filter(|id| *id != peer).take(MAX_LINKS).collect();
        self.compare(peer);
        self.count();
    }

    fn compare(&mut self, peer: NodeId) {
        let Some(neighbour) = self.peers.get(&peer) else { return };
        let links = &neighbour.links;
        // Without the two, the neighbourhood of each is its links.
        let same = links.len() == self.peers.len()
            && links.contains(&self.me)
            && self.peers.keys().all(|id| *id == peer || links.contains(id));
        if let Some(neighbour) = self.peers.get_mut(&peer) {
            neighbour.same_neighbourhood = same;
        }
    }

    fn count(&mut self) {
        self.same_neighbourhoods = self.peers.values().filter(|peer| peer.same_neighbourhood).count();
    }

    /// Whether all whom we know to be here are linked to each other.
    pub(super) fn is_full_mesh(&self) -> bool {
        self.same_neighbourhoods == self.peers.len()
    }

    /// Whether the neighbour says that it is linked to another of ours.
    pub(super) fn has_mutual_neighbour(&self, peer: NodeId) -> bool {
        let links = self.peers.get(&peer).map(|neighbour| &neighbour.links);
        links.is_some_and(|links| links.iter().any(|id| *id != peer && self.peers.contains_key(id)))
    }

    pub(super) fn me(&self) -> NodeId {
        self.me
    }

    pub(super) fn contains(&self, peer: NodeId) -> bool {
        self.peers.contains_key(&peer)
    }

    /// In the order of their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.peers.keys().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// When `LINKS` is due.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        if !self.recipients.is_empty() {
            return Some(Instant::ORIGIN);
        }
        let after = self.sent_at.map_or(Instant::ORIGIN, |at| at + limits.chat.links_every);
        (self.changed && !self.peers.is_empty()).then_some(after)
    }

    /// The next `LINKS` to send.
    pub(super) fn next_links(&mut self, now: Instant, limits: &Limits) -> Option<(NodeId, Vec<NodeId>)> {
        if self.recipients.is_empty() && self.deadline(limits)? <= now {
            self.changed = false;
            self.sent_at = Some(now);
            self.recipients = self.peers.keys().copied().collect();
        }
        let peer = self.recipients.pop_first()?;
        Some((peer, self.peers.keys().copied().take(MAX_LINKS).collect()))
    }

    pub(super) fn is_consistent(&self) -> bool {
        let neighbourhood =
            |of: NodeId, links: &mut dyn Iterator<Item = NodeId>| links.chain([of]).collect::<BTreeSet<_>>();
        let ours = neighbourhood(self.me, &mut self.peers.keys().copied());
        self.recipients.iter().all(|peer| self.peers.contains_key(peer))
            && self.same_neighbourhoods == self.peers.values().filter(|peer| peer.same_neighbourhood).count()
            && self.peers.iter().all(|(id, peer)| {
                peer.same_neighbourhood == (neighbourhood(*id, &mut peer.links.iter().copied()) == ours)
            })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_mesh_is_full_when_every_neighbour_says_so() {
        let mut neighbours = Neighbours::new(id(0));
        assert!(neighbours.is_full_mesh(), "one alone");
        neighbours.linked(id(1));
        neighbours.linked(id(2));
        neighbours.links_received(id(1), &[id(0), id(2)]);
        assert!(!neighbours.is_full_mesh(), "nothing is known of the second");
        neighbours.links_received(id(2), &[id(0), id(1), id(2)]);
        assert!(neighbours.is_full_mesh(), "one that names itself says no more by it");
        neighbours.links_received(id(2), &[id(0), id(1), id(3)]);
        assert!(!neighbours.is_full_mesh(), "it knows somebody else");
        neighbours.links_received(id(2), &[id(0)]);
        assert!(!neighbours.is_full_mesh(), "two neighbours are not linked");
        neighbours.unlinked(id(2));
        assert!(!neighbours.is_full_mesh(), "the other still has a third");
        neighbours.links_received(id(1), &[id(0)]);
        assert!(neighbours.is_full_mesh() && neighbours.is_consistent());
    }

    #[test]
    fn links_are_told_on_change_to_all_and_once_a_second() {
        let limits = Limits::default();
        let mut neighbours = Neighbours::new(id(0));
        let told = |neighbours: &mut Neighbours, now| {
            core::iter::from_fn(|| neighbours.next_links(now, &limits)).collect::<Vec<_>>()
        };
        assert_eq!(neighbours.deadline(&limits), None);
        neighbours.linked(id(1));
        assert_eq!(told(&mut neighbours, at(5000)), [(id(1), vec![id(1)])]);
        neighbours.linked(id(2));
        assert_eq!(neighbours.deadline(&limits), Some(at(6000)));
        assert_eq!(told(&mut neighbours, at(5999)), []);
        let both = vec![id(1), id(2)];
        assert_eq!(told(&mut neighbours, at(6000)), [(id(1), both.clone()), (id(2), both)]);
        assert_eq!((neighbours.deadline(&limits), told(&mut neighbours, at(9000))), (None, vec![]));
    }
}
