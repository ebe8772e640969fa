//! A node's position in a tree, and the choice of the next one.

use super::election::{Root, SignedSequence};
use crate::model::{Instant, Limits, NodeId, PublicKey};

/// A node's position in the tree below a root.
///
/// A position is better than another if its sequence number is newer, or the same at a smaller distance.
/// Below one root a node's position only improves, and a node takes a parent only if the parent's position is
/// better. So no node is ever below its own child, and there are no loops (as in DSDV, SIGCOMM 1994; the
/// feasibility condition of Babel, RFC 8966 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreePosition {
    pub(super) root: PublicKey,
    pub(super) signed: SignedSequence,
    /// Links to the root.
    pub(super) distance: u16,
    /// None: this node is the root, or lost its parent.
    pub(super) parent: Option<NodeId>,
    /// When the parent became the parent.
    pub(super) since: Instant,
}

/// A neighbour below the same root that may be the parent, and its position as it advertises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) peer: NodeId,
    pub(super) sequence: u64,
    pub(super) distance: u16,
    /// It is the root or has a parent.
    pub(super) attached: bool,
}

/// The next position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) position: Option<TreePosition>,
    /// Another neighbour than the parent brought the newest sequence number. The parent has until then to
    /// bring it, too.
    pub(super) wait_until: Option<Instant>,
}

impl TreePosition {
    pub(super) fn of_root(root: &Root, since: Instant) -> Self {
        Self { root: root.key, signed: root.newest, distance: 0, parent: None, since }
    }

    /// Whether this candidate's position is better.
    fn is_worse_than(&self, candidate: &Candidate) -> bool {
        let (ours, theirs) = (self.signed.sequence, candidate.sequence);
        theirs > ours || theirs == ours && candidate.distance < self.distance
    }

    /// The parent among these candidates, if it is one and still has a better position.
    fn parent_of(&self, candidates: &[Candidate]) -> Option<Candidate> {
        let is_parent =
            |candidate: &&Candidate| self.parent == Some(candidate.peer) && self.is_worse_than(candidate);
        candidates.iter().find(is_parent).copied()
    }

    /// Takes this candidate as the parent.
    fn join(&mut self, now: Instant, signed: SignedSequence, candidate: &Candidate) {
        if self.parent != Some(candidate.peer) {
            self.parent = Some(candidate.peer);
            self.since = now;
        }
        self.signed = signed;
        self.distance = candidate.distance.saturating_add(1);
    }
}

/// The next position of a node below this root. `position` is its present one.
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
    let mut wait_until = None;
    if newest.sequence > position.signed.sequence {
        let until = root.newest_at + limits.chat.tree_patience;
        match (position.parent_of(candidates), best_of_newest) {
            (Some(parent), _) if parent.sequence == newest.sequence => position.join(now, newest, &parent),
            // The fastest path need not be the shortest, so the parent gets some time.
            (Some(parent), Some(_)) if parent.attached && now < until => wait_until = Some(until),
            (_, Some(best)) => position.join(now, newest, best),
            (_, None) => {}
        }
    }
    improve(now, &mut position, candidates);
    Choice { position: Some(position), wait_until }
}

/// Follows the parent, and moves to a better candidate with the same sequence number.
fn improve(now: Instant, position: &mut TreePosition, candidates: &[Candidate]) {
    let parent = position.parent_of(candidates);
    match &parent {
        Some(parent) if parent.sequence == position.signed.sequence => {
            position.join(now, position.signed, parent);
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
    use super::*;
    use crate::chat::testing::{at, peer};
    use crate::model::{Identity, Signature};

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
    fn a_node_without_a_position_takes_the_shortest_path_with_the_newest_number() {
        let candidates = [candidate(3, 7, 2), candidate(2, 7, 1), candidate(1, 7, 1), candidate(4, 6, 0)];
        assert_eq!(next(1000, 7, None, &candidates), Some((7, 2, Some(peer(1)))));
        assert_eq!(next(1000, 8, None, &candidates), None, "no candidate has that number");
    }

    #[test]
    fn a_new_number_is_taken_from_the_parent_or_after_some_time_from_another_candidate() {
        let patience = Limits::default().chat.tree_patience.as_millis() as u64;
        let mut candidates = [candidate(1, 7, 2), candidate(2, 8, 4), candidate(3, 8, 3)];
        let present = Some(position(7, 3, Some(1)));
        let choice = choose(at(1100), &root(8), present, &candidates, &Limits::default());
        assert_eq!(choice, Choice { position: present, wait_until: Some(at(1000 + patience)) });
        assert_eq!(next(999 + patience, 8, present, &candidates), Some((7, 3, Some(peer(1)))));
        assert_eq!(next(1000 + patience, 8, present, &candidates), Some((8, 4, Some(peer(3)))));
        candidates[0].sequence = 8;
        assert_eq!(next(1100, 8, present, &candidates), Some((8, 3, Some(peer(1)))));
        candidates[0] = Candidate { attached: false, ..candidate(1, 7, 2) };
        assert_eq!(
            next(1100, 8, present, &candidates),
            Some((8, 4, Some(peer(3)))),
            "the parent has no parent"
        );
    }

    #[test]
    fn a_shorter_path_is_taken_and_an_equal_one_is_not() {
        let present = Some(position(7, 4, Some(5)));
        let parent = candidate(5, 7, 3);
        assert_eq!(next(1000, 7, present, &[parent, candidate(1, 7, 3)]), Some((7, 4, Some(peer(5)))));
        assert_eq!(next(1000, 7, present, &[parent, candidate(1, 7, 2)]), Some((7, 3, Some(peer(1)))));
        assert_eq!(
            next(1000, 7, present, &[candidate(5, 7, 1)]),
            Some((7, 2, Some(peer(5)))),
            "the parent moved closer"
        );
    }

    #[test]
    fn an_orphan_takes_only_a_parent_that_is_nearer_to_the_root() {
        let orphan = Some(position(7, 3, Some(5)));
        assert_eq!(next(1000, 7, orphan, &[]), Some((7, 3, None)));
        // A candidate at the same distance may be below this node.
        assert_eq!(next(1000, 7, orphan, &[candidate(1, 7, 3), candidate(2, 6, 0)]), Some((7, 3, None)));
        assert_eq!(next(1000, 7, orphan, &[candidate(1, 7, 2)]), Some((7, 3, Some(peer(1)))));
        assert_eq!(next(1000, 8, orphan, &[candidate(1, 8, 9)]), Some((8, 10, Some(peer(1)))));
        // A parent that is not nearer to the root is no parent.
        assert_eq!(next(1000, 7, orphan, &[candidate(5, 7, 3)]), Some((7, 3, None)));
        // A parent without a parent is kept only if there is no other candidate.
        let lost = Candidate { attached: false, ..candidate(5, 7, 2) };
        assert_eq!(next(1000, 7, orphan, &[lost]), Some((7, 3, Some(peer(5)))));
        assert_eq!(next(1000, 7, orphan, &[lost, candidate(6, 7, 2)]), Some((7, 3, Some(peer(6)))));
    }
}
