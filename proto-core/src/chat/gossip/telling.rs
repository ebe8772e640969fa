//! When neighbours are told where we stand in a tree.

use alloc::collections::BTreeMap;

use crate::model::{Instant, Moment, NodeId};
use crate::wire::TreeClaim;

/// When neighbours are told where we stand in one tree: a new sequence number at once, other changes after a moment.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// What all were told last, and when.
    told: Option<(TreeClaim, Instant)>,
    /// When all are told what has changed since.
    due: Option<Instant>,
    /// Who is told next, and when.
    waiting: BTreeMap<NodeId, Instant>,
}

impl Telling {
    /// A neighbour is new.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        self.waiting.insert(peer, now);
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.waiting.remove(&peer);
    }

    /// This is where we stand now.
    pub(super) fn update(&mut self, moment: Moment<'_>, claim: Option<&TreeClaim>) {
        let Moment { now, limits, .. } = moment;
        let Some(claim) = claim else {
            *self = Self::default();
            return;
        };
        let due = match &self.told {
            Some((told, _)) if told == claim => return self.due = None,
            Some((told, at)) if (told.root, told.sequence) == (claim.root, claim.sequence) => {
                *at + limits.chat.tree_told_every
            }
            _ => now,
        };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.values().copied().chain(self.due).min()
    }

    /// Who is to be told.
    pub(super) fn waiting(&self) -> impl Iterator<Item = NodeId> {
        self.waiting.keys().copied()
    }

    /// The next neighbour to be told.
    pub(super) fn next_due(
        &mut self,
        moment: Moment<'_>,
        claim: &TreeClaim,
        neighbours: impl Iterator<Item = NodeId>,
    ) -> Option<NodeId> {
        let Moment { now, limits, .. } = moment;
        if self.due.is_some_and(|at| at <= now) {
            self.due = None;
            let before = self.told.and_then(|(told, _)| told.parent).filter(|_| claim.parent.is_some());
            self.told = Some((*claim, now));
            for peer in neighbours {
                // The new parent is taken before the old one is let go.
                let let_go = before == Some(peer) && claim.parent != before;
                self.waiting.insert(peer, if let_go { now + limits.chat.tree_overlap } else { now });
            }
        }
        let (&peer, _) = self.waiting.iter().find(|(_, at)| **at <= now)?;
        self.waiting.remove(&peer);
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::model::{Identity, Limits, Signature};

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn claim(sequence: u64, distance: u16, parent: u8) -> TreeClaim {
        let root = Identity::from_secret(&[1; 32]).key();
        let signature = Signature::from_bytes([0; 64]);
        TreeClaim { root, period: 0, sequence, signature, distance, parent: Some(peer(parent)) }
    }

    /// Whom it is told at this time, of the neighbours 1 to 3.
    fn told(telling: &mut Telling, millis: u64, claim: &TreeClaim, limits: &Limits) -> Vec<NodeId> {
        let moment = moment(millis, limits);
        core::iter::from_fn(|| telling.next_due(moment, claim, [1, 2, 3].map(peer).into_iter())).collect()
    }

    fn moment(millis: u64, limits: &Limits) -> Moment<'_> {
        Moment { now: Instant::from_origin(Duration::from_millis(millis)), wall: None, limits }
    }

    #[test]
    fn a_new_number_is_told_at_once_and_another_place_after_a_moment() {
        let limits = Limits::default();
        let mut telling = Telling::default();
        let all = [1, 2, 3].map(peer);
        let first = claim(7, 3, 1);
        telling.update(moment(0, &limits), Some(&first));
        assert_eq!(told(&mut telling, 0, &first, &limits), all);
        let nearer = claim(7, 2, 1);
        telling.update(moment(10, &limits), Some(&nearer));
        assert_eq!(told(&mut telling, 149, &nearer, &limits), []);
        assert_eq!(told(&mut telling, 150, &nearer, &limits), all);
        let newer = claim(8, 2, 1);
        telling.update(moment(160, &limits), Some(&newer));
        assert_eq!(told(&mut telling, 160, &newer, &limits), all);
        telling.update(moment(170, &limits), Some(&nearer));
        telling.update(moment(180, &limits), Some(&newer));
        assert_eq!(telling.deadline(), None, "back where it was");
        telling.linked(moment(190, &limits).now, peer(2));
        assert_eq!(told(&mut telling, 190, &newer, &limits), [peer(2)]);
        telling.update(moment(200, &limits), Some(&nearer));
        telling.update(moment(200, &limits), None);
        assert_eq!(telling.deadline(), None);
    }

    #[test]
    fn an_old_parent_learns_last_that_it_is_it_no_more() {
        let limits = Limits::default();
        let mut telling = Telling::default();
        let before = claim(7, 3, 1);
        telling.update(moment(0, &limits), Some(&before));
        told(&mut telling, 0, &before, &limits);
        let after = claim(8, 3, 2);
        telling.update(moment(1000, &limits), Some(&after));
        assert_eq!(told(&mut telling, 1000, &after, &limits), [peer(2), peer(3)]);
        assert_eq!(told(&mut telling, 1199, &after, &limits), []);
        assert_eq!(told(&mut telling, 1200, &after, &limits), [peer(1)]);
    }
}
