//! When neighbours are told where we stand in a tree.

use alloc::collections::BTreeMap;

use crate::model::{Instant, Moment, NodeId};
use crate::wire::TreeClaim;

/// When neighbours are told where we stand in one tree: a new sequence number at once, other changes after a moment.
#[derive(Debug, Default)]
pub(super) struct AdvertSchedule {
    /// What all were told last, and when.
    last: Option<(TreeClaim, Instant)>,
    /// When all are told what has changed since.
    all_due: Option<Instant>,
    /// Who is told next, and when.
    recipients: BTreeMap<NodeId, Instant>,
}

impl AdvertSchedule {
    /// A neighbour is new.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        self.recipients.insert(peer, now);
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.recipients.remove(&peer);
    }

    /// This is where we stand now.
    pub(super) fn update(&mut self, moment: Moment<'_>, claim: Option<&TreeClaim>) {
        let Moment { now, limits, .. } = moment;
        let Some(claim) = claim else {
            *self = Self::default();
            return;
        };
        let due = match &self.last {
            Some((told, _)) if told == claim => return self.all_due = None,
            Some((told, at)) if (told.root, told.sequence) == (claim.root, claim.sequence) => {
                *at + limits.chat.tree_told_every
            }
            _ => now,
        };
        self.all_due = Some(self.all_due.map_or(due, |before| before.min(due)));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.recipients.values().copied().chain(self.all_due).min()
    }

    /// Who is to be told.
    pub(super) fn recipients(&self) -> impl Iterator<Item = NodeId> {
        self.recipients.keys().copied()
    }

    /// The next neighbour to be told.
    pub(super) fn next_recipient(
        &mut self,
        moment: Moment<'_>,
        claim: &TreeClaim,
        neighbours: impl Iterator<Item = NodeId>,
    ) -> Option<NodeId> {
        let Moment { now, limits, .. } = moment;
        if self.all_due.is_some_and(|at| at <= now) {
            self.all_due = None;
            let before = self.last.and_then(|(told, _)| told.parent).filter(|_| claim.parent.is_some());
            self.last = Some((*claim, now));
            for peer in neighbours {
                // The new parent is taken before the old one is let go.
                let let_go = before == Some(peer) && claim.parent != before;
                self.recipients.insert(peer, if let_go { now + limits.chat.tree_overlap } else { now });
            }
        }
        let (&peer, _) = self.recipients.iter().find(|(_, at)| **at <= now)?;
        self.recipients.remove(&peer);
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
    fn recipients(
        adverts: &mut AdvertSchedule,
        millis: u64,
        claim: &TreeClaim,
        limits: &Limits,
    ) -> Vec<NodeId> {
        let moment = moment(millis, limits);
        core::iter::from_fn(|| adverts.next_recipient(moment, claim, [1, 2, 3].map(peer).into_iter()))
            .collect()
    }

    fn moment(millis: u64, limits: &Limits) -> Moment<'_> {
        Moment { now: Instant::from_origin(Duration::from_millis(millis)), wall: None, limits }
    }

    #[test]
    fn a_new_number_is_told_at_once_and_another_place_after_a_moment() {
        let limits = Limits::default();
        let mut adverts = AdvertSchedule::default();
        let all = [1, 2, 3].map(peer);
        let first = claim(7, 3, 1);
        adverts.update(moment(0, &limits), Some(&first));
        assert_eq!(recipients(&mut adverts, 0, &first, &limits), all);
        let nearer = claim(7, 2, 1);
        adverts.update(moment(10, &limits), Some(&nearer));
        assert_eq!(recipients(&mut adverts, 149, &nearer, &limits), []);
        assert_eq!(recipients(&mut adverts, 150, &nearer, &limits), all);
        let newer = claim(8, 2, 1);
        adverts.update(moment(160, &limits), Some(&newer));
        assert_eq!(recipients(&mut adverts, 160, &newer, &limits), all);
        adverts.update(moment(170, &limits), Some(&nearer));
        adverts.update(moment(180, &limits), Some(&newer));
        assert_eq!(adverts.deadline(), None, "back where it was");
        adverts.linked(moment(190, &limits).now, peer(2));
        assert_eq!(recipients(&mut adverts, 190, &newer, &limits), [peer(2)]);
        adverts.update(moment(200, &limits), Some(&nearer));
        adverts.update(moment(200, &limits), None);
        assert_eq!(adverts.deadline(), None);
    }

    #[test]
    fn an_old_parent_learns_last_that_it_is_it_no_more() {
        let limits = Limits::default();
        let mut adverts = AdvertSchedule::default();
        let before = claim(7, 3, 1);
        adverts.update(moment(0, &limits), Some(&before));
        recipients(&mut adverts, 0, &before, &limits);
        let after = claim(8, 3, 2);
        adverts.update(moment(1000, &limits), Some(&after));
        assert_eq!(recipients(&mut adverts, 1000, &after, &limits), [peer(2), peer(3)]);
        assert_eq!(recipients(&mut adverts, 1199, &after, &limits), []);
        assert_eq!(recipients(&mut adverts, 1200, &after, &limits), [peer(1)]);
    }
}
