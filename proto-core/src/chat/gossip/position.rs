//! A node's position in a tree, and which position it takes next.

use super::election::{Root, SignedSequence};
use crate::model::{Instant, Limits, NodeId, PublicKey};

/// A node's position in the tree below a root.
///
/// A newer sequence number is a better position, and of two places with one number the one at the smaller distance. Below
/// one root a position only gets better, and a parent's is better than its child's when it is taken. So no node is ever
/// below its own child: there are no loops (as in DSDV, SIGCOMM 1994; the feasibility condition of Babel, RFC 8966
/// section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreePosition {
    pub(super) root: PublicKey,
    pub(super) signed: SignedSequence,
    pub(super) distance: u16,
    /// None: we are the root, or have lost our parent.
    pub(super) parent: Option<NodeId>,
    /// When that became our parent.
    pub(super) since: Instant,
}

/// A neighbour below the same root that may be a parent, and its position by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) peer: NodeId,
    pub(super) sequence: u64,
    pub(super) distance: u16,
    /// It is the root or has a parent.
    pub(super) attached: bool,
}

/// Which position a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) position: Option<TreePosition>,
    /// A newer sequence number came by another than the parent, which has until then to bring it, too.
    pub(super) wait_until: Option<Instant>,
}

impl TreePosition {
    pub(super) fn of_root(root: &Root, since: Instant) -> Self {
        Self { root: root.key, signed: root.newest, distance: 0, parent: None, since }
    }

    /// Whether the position of this candidate is better.
    fn is_worse_than(&self, candidate: &Candidate) -> bool {
        let (ours, theirs) = (self.signed.sequence, candidate.sequence);
        theirs > ours || theirs == ours && candidate.distance < self.distance
    }

    fn join(&mut self, now: Instant, signed: SignedSequence, candidate: &Candidate) {
        if self.parent != Some(candidate.peer) {
            self.parent = Some(candidate.peer);
            self.since = now;
        }
        self.signed = signed;
        self.distance = candidate.distance.saturating_add(1);
    }
}

/// The next position of a node that has this one below this root.
pub(super) fn choose(
    now: Instant,
    root: &Root,
    position: Option<TreePosition>,
    candidates: &[Candidate],
    limits: &Limits,
) -> Choice {
    let newest = root.newest;
    let of_newest = candidates.iter().filter(|candidate| candidate.sequence == newest.sequence);
    let best_of_newest =
        of_newest.min_by_key(|candidate| (!candidate.attached, candidate.distance, candidate.peer));
    let Some(mut position) = position else {
        let nowhere =
            TreePosition { root: root.key, signed: newest, distance: u16::MAX, parent: None, since: now };
        let position = best_of_newest.map(|best| {
            let mut position = nowhere;
            position.join(now, newest, best);
            position
        });
        return Choice { position, wait_until: None };
    };
    let is_parent =
        |candidate: &&Candidate| position.parent == Some(candidate.peer) && position.is_worse_than(candidate);
    let parent = candidates.iter().find(is_parent);
    let mut wait_until = None;
    if newest.sequence > position.signed.sequence {
        let until = root.newest_at + limits.chat.tree_patience;
        match (parent, best_of_newest) {
            // A number comes along the tree, or else by the fastest way, which need not be the shortest.
            (Some(parent), _) if parent.sequence == newest.sequence => position.join(now, newest, parent),
            (Some(parent), Some(_)) if parent.attached && now < until => wait_until = Some(until),
            (_, Some(best)) => position.join(now, newest, best),
            (_, None) => {}
        }
    }
    improve(now, &mut position, candidates);
    Choice { position: Some(position), wait_until }
}

/// Among the places with the same sequence number there may be a better one.
fn improve(now: Instant, position: &mut TreePosition, candidates: &[Candidate]) {
    let is_parent =
        |candidate: &&Candidate| position.parent == Some(candidate.peer) && position.is_worse_than(candidate);
    let parent = candidates.iter().find(is_parent).copied();
    match &parent {
        Some(parent) if parent.sequence == position.signed.sequence => {
            position.join(now, position.signed, parent)
        }
        Some(_) => {}
        None => position.parent = None,
    }
    let better = candidates.iter().filter(|candidate| {
        candidate.attached
            && candidate.sequence == position.signed.sequence
            && position.is_worse_than(candidate)
    });
    let Some(best) = better.min_by_key(|candidate| (candidate.distance, candidate.peer)) else { return };
    let stay =
        parent.is_some_and(|parent| parent.attached && best.distance.saturating_add(1) >= position.distance);
    if !stay {
        position.join(now, position.signed, best);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::model::{Identity, Signature};

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn signed(sequence: u64) -> SignedSequence {
        SignedSequence { sequence, signature: Signature::from_bytes([0; 64]) }
    }

    fn candidate(n: u8, sequence: u64, distance: u16) -> Candidate {
        Candidate { peer: peer(n), sequence, distance, attached: true }
    }

    fn root(sequence: u64) -> Root {
        let key = Identity::from_secret(&[1; 32]).key();
        Root { key, node_id: key.node_id(), rank: [0; 32], newest: signed(sequence), newest_at: at(1000) }
    }

    fn position(sequence: u64, distance: u16, parent: Option<u8>) -> TreePosition {
        TreePosition {
            root: root(0).key,
            signed: signed(sequence),
            distance,
            parent: parent.map(peer),
            since: at(0),
        }
    }

    /// The sequence number, the distance and the parent of the next position.
    fn next(
        now: u64,
        newest: u64,
        position: Option<TreePosition>,
        candidates: &[Candidate],
    ) -> Option<(u64, u16, Option<NodeId>)> {
        let choice = choose(at(now), &root(newest), position, candidates, &Limits::default());
        choice.position.map(|position| (position.signed.sequence, position.distance, position.parent))
    }

    #[test]
    fn a_newcomer_takes_the_shortest_way_with_the_newest_number() {
        let around = [candidate(3, 7, 2), candidate(2, 7, 1), candidate(1, 7, 1), candidate(4, 6, 0)];
        assert_eq!(next(1000, 7, None, &around), Some((7, 2, Some(peer(1)))));
        assert_eq!(next(1000, 8, None, &around), None, "nobody has that number");
    }

    #[test]
    fn a_new_number_comes_from_the_parent_or_after_a_while_from_another() {
        let patience = Limits::default().chat.tree_patience.as_millis() as u64;
        let mut around = [candidate(1, 7, 2), candidate(2, 8, 4), candidate(3, 8, 3)];
        let here = Some(position(7, 3, Some(1)));
        let choice = choose(at(1100), &root(8), here, &around, &Limits::default());
        assert_eq!(choice, Choice { position: here, wait_until: Some(at(1000 + patience)) });
        assert_eq!(next(999 + patience, 8, here, &around), Some((7, 3, Some(peer(1)))));
        assert_eq!(next(1000 + patience, 8, here, &around), Some((8, 4, Some(peer(3)))));
        around[0].sequence = 8;
        assert_eq!(next(1100, 8, here, &around), Some((8, 3, Some(peer(1)))));
        around[0] = Candidate { attached: false, ..candidate(1, 7, 2) };
        assert_eq!(next(1100, 8, here, &around), Some((8, 4, Some(peer(3)))), "the parent has no parent");
    }

    #[test]
    fn a_shorter_way_is_taken_and_an_equal_one_is_not() {
        let here = Some(position(7, 4, Some(5)));
        let parent = candidate(5, 7, 3);
        assert_eq!(next(1000, 7, here, &[parent, candidate(1, 7, 3)]), Some((7, 4, Some(peer(5)))));
        assert_eq!(next(1000, 7, here, &[parent, candidate(1, 7, 2)]), Some((7, 3, Some(peer(1)))));
        assert_eq!(next(1000, 7, here, &[candidate(5, 7, 1)]), Some((7, 2, Some(peer(5)))), "it has one");
    }

    #[test]
    fn without_a_parent_only_who_is_nearer_to_the_root_becomes_one() {
        let orphan = Some(position(7, 3, Some(5)));
        assert_eq!(next(1000, 7, orphan, &[]), Some((7, 3, None)));
        // One at our own distance may be below us.
        assert_eq!(next(1000, 7, orphan, &[candidate(1, 7, 3), candidate(2, 6, 0)]), Some((7, 3, None)));
        assert_eq!(next(1000, 7, orphan, &[candidate(1, 7, 2)]), Some((7, 3, Some(peer(1)))));
        assert_eq!(next(1000, 8, orphan, &[candidate(1, 8, 9)]), Some((8, 10, Some(peer(1)))));
        // A parent that says it is farther away than we are is none.
        assert_eq!(next(1000, 7, orphan, &[candidate(5, 7, 3)]), Some((7, 3, None)));
        // One that has lost its own is left for any other, and kept if there is none.
        let lost = Candidate { attached: false, ..candidate(5, 7, 2) };
        assert_eq!(next(1000, 7, orphan, &[lost]), Some((7, 3, Some(peer(5)))));
        assert_eq!(next(1000, 7, orphan, &[lost, candidate(6, 7, 2)]), Some((7, 3, Some(peer(6)))));
    }
}
