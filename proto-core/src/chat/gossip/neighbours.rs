//! The neighbours, whom they are linked to, and whether that makes a full mesh.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::model::{Instant, Limits, NodeId};
use crate::wire::MAX_LINKS;

/// The neighbours and their last `LINKS`, and when this node sends its own.
#[derive(Debug)]
pub(super) struct Neighbours {
    me: NodeId,
    peers: BTreeMap<NodeId, Neighbour>,
    /// How many neighbours have the same neighbourhood as this node. A cache over `peers`.
    same_neighbourhoods: usize,
    /// Neighbours that do not answer.
    doubted: BTreeSet<NodeId>,
    /// When `LINKS` was last sent to all.
    sent_at: Option<Instant>,
    /// The neighbours changed since then.
    changed: bool,
    /// Neighbours to which `LINKS` is still to be sent.
    recipients: BTreeSet<NodeId>,
}

#[derive(Debug, Default)]
struct Neighbour {
    /// The nodes that it is linked to, by its last `LINKS`.
    links: BTreeSet<NodeId>,
    /// It and its links are the same set as this node and its links.
    same_neighbourhood: bool,
}

impl Neighbours {
    pub(super) fn new(me: NodeId) -> Self {
        Self {
            me,
            peers: BTreeMap::new(),
            same_neighbourhoods: 0,
            doubted: BTreeSet::new(),
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
        self.doubted.remove(&peer);
        self.links_changed();
    }

    /// A neighbour does not answer, or does again.
    pub(super) fn doubt(&mut self, peer: NodeId, doubted: bool) {
        if self.peers.contains_key(&peer) {
            let is_new = if doubted { self.doubted.insert(peer) } else { self.doubted.remove(&peer) };
            self.changed |= is_new;
        }
    }

    fn links_changed(&mut self) {
        self.changed = true;
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.compare(peer);
        }
        self.count();
    }

    /// `LINKS` came. Returns the neighbours of this node that the peer named before and does not name now.
    pub(super) fn links_received(&mut self, peer: NodeId, links: &[NodeId]) -> Vec<NodeId> {
        let Some(neighbour) = self.peers.get_mut(&peer) else { return Vec::new() };
        let links = links.iter().copied().filter(|id| *id != peer).take(MAX_LINKS).collect();
        let before = core::mem::replace(&mut neighbour.links, links);
        let lost = before.difference(&neighbour.links).copied().collect::<Vec<_>>();
        self.compare(peer);
        self.count();
        lost.into_iter().filter(|id| self.peers.contains_key(id)).collect()
    }

    /// Compares a neighbour's neighbourhood with this node's.
    fn compare(&mut self, peer: NodeId) {
        let Some(neighbour) = self.peers.get(&peer) else { return };
        let links = &neighbour.links;
        // A neighbourhood is a node with its links, so each of the two nodes has to name the other.
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

    /// Whether the neighbours all answer, and are all linked to each other and to no other node, as far as their `LINKS`
    /// show.
    pub(super) fn is_full_mesh(&self) -> bool {
        self.same_neighbourhoods == self.peers.len() && self.doubted.is_empty()
    }

    /// Whether the neighbours lead nowhere new, and a node with this id is none of those to whom they lead: three quarters of them
    /// are linked, as far as their `LINKS` show, to this node and its neighbours but for a quarter of their links. So it takes
    /// more than one neighbour that lies to hide that nodes are cut off from all others.
    pub(super) fn is_closed_to(&self, outsider: NodeId) -> bool {
        let is_near = |id: &NodeId| *id == self.me || self.peers.contains_key(id);
        let leads_nowhere = |peer: &&Neighbour| {
            let near = peer.links.iter().filter(|id| is_near(id)).count();
            near > 0 && near * 4 >= peer.links.len() * 3
        };
        let closed = self.peers.values().filter(leads_nowhere).count();
        let known = self.peers.values().filter(|peer| peer.links.contains(&outsider)).count();
        closed * 4 >= self.peers.len() * 3 && known * 4 <= self.peers.len()
    }

    /// Whether this neighbour is linked to another neighbour.
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

    /// The neighbours, by ascending id.
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
        let links = self.peers.keys().copied().filter(|id| *id == peer || !self.doubted.contains(id));
        Some((peer, links.take(MAX_LINKS).collect()))
    }

    pub(super) fn is_consistent(&self) -> bool {
        let neighbourhood =
            |of: NodeId, links: &mut dyn Iterator<Item = NodeId>| links.chain([of]).collect::<BTreeSet<_>>();
        let ours = neighbourhood(self.me, &mut self.peers.keys().copied());
        self.recipients.iter().chain(&self.doubted).all(|peer| self.peers.contains_key(peer))
            && self.same_neighbourhoods == self.peers.values().filter(|peer| peer.same_neighbourhood).count()
            && self.peers.iter().all(|(id, peer)| {
                peer.same_neighbourhood == (neighbourhood(*id, &mut peer.links.iter().copied()) == ours)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, peer};

    #[test]
    fn a_mesh_is_full_when_every_neighbour_has_the_same_neighbourhood() {
        let mut neighbours = Neighbours::new(peer(0));
        assert!(neighbours.is_full_mesh(), "a node alone");
        neighbours.linked(peer(1));
        neighbours.linked(peer(2));
        neighbours.links_received(peer(1), &[peer(0), peer(2)]);
        assert!(!neighbours.is_full_mesh(), "the second has sent no LINKS");
        neighbours.links_received(peer(2), &[peer(0), peer(1), peer(2)]);
        assert!(neighbours.is_full_mesh(), "a neighbour that names itself");
        neighbours.links_received(peer(2), &[peer(0), peer(1), peer(3)]);
        assert!(!neighbours.is_full_mesh(), "it is linked to another node");
        neighbours.links_received(peer(2), &[peer(0)]);
        assert!(!neighbours.is_full_mesh(), "two neighbours are not linked");
        neighbours.unlinked(peer(2));
        assert!(!neighbours.is_full_mesh(), "the other still has a third");
        neighbours.links_received(peer(1), &[peer(0)]);
        assert!(neighbours.is_full_mesh() && neighbours.is_consistent());
    }

    #[test]
    fn neighbours_are_closed_to_an_outsider_though_a_quarter_of_them_lie() {
        let mut neighbours = Neighbours::new(peer(0));
        assert!(neighbours.is_closed_to(peer(50)), "a node alone");
        let circle: Vec<_> = (0..=12).map(peer).collect();
        (1..=12).for_each(|n| neighbours.linked(peer(n)));
        assert!(!neighbours.is_closed_to(peer(50)), "nobody has sent LINKS");
        // Each has another neighbour beside them in the place of one.
        for n in 1..=9 {
            neighbours.links_received(peer(n), &[&circle[..12], &[peer(100 + n)]].concat());
        }
        assert!(neighbours.is_closed_to(peer(50)) && !neighbours.is_full_mesh());
        neighbours.links_received(peer(10), &[]);
        neighbours.links_received(peer(11), &[peer(50)]);
        neighbours.links_received(peer(12), &[peer(50), peer(51)]);
        assert!(neighbours.is_closed_to(peer(50)), "whatever liars say");
        neighbours.links_received(peer(9), &[&circle[..8], &[20, 21, 22].map(peer)].concat());
        assert!(!neighbours.is_closed_to(peer(50)), "too many lead elsewhere");
        neighbours.links_received(peer(9), &circle);
        for n in 1..=4 {
            neighbours.links_received(peer(n), &[&circle[..12], &[peer(60)]].concat());
        }
        assert!(neighbours.is_closed_to(peer(50)) && !neighbours.is_closed_to(peer(60)), "four lead there");
    }

    #[test]
    fn links_are_sent_to_all_on_change_at_most_once_a_second() {
        let limits = Limits::default();
        let mut neighbours = Neighbours::new(peer(0));
        let sent = |neighbours: &mut Neighbours, now| {
            core::iter::from_fn(|| neighbours.next_links(now, &limits)).collect::<Vec<_>>()
        };
        assert_eq!(neighbours.deadline(&limits), None);
        neighbours.linked(peer(1));
        assert_eq!(sent(&mut neighbours, at(5000)), [(peer(1), vec![peer(1)])]);
        neighbours.linked(peer(2));
        assert_eq!(neighbours.deadline(&limits), Some(at(6000)));
        assert_eq!(sent(&mut neighbours, at(5999)), []);
        let both = vec![peer(1), peer(2)];
        assert_eq!(sent(&mut neighbours, at(6000)), [(peer(1), both.clone()), (peer(2), both)]);
        assert_eq!((neighbours.deadline(&limits), sent(&mut neighbours, at(9000))), (None, vec![]));
    }
}
