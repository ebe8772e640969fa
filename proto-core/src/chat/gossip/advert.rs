//! When tree adverts are sent, and to whom.

use alloc::collections::BTreeMap;

use crate::model::{Instant, Moment, NodeId};
use crate::wire::TreeClaim;

/// The schedule of one tree's adverts. A new root or sequence number is advertised at once, any other change
/// after a short interval.
#[derive(Debug, Default)]
pub(super) struct AdvertSchedule {
    /// The last advert to all neighbours, and when it was made.
    last: Option<(TreeClaim, Instant)>,
    /// When the next advert to all neighbours is due.
    all_due: Option<Instant>,
    /// The neighbours to which an advert is to be sent, and when.
    recipients: BTreeMap<NodeId, Instant>,
}

impl AdvertSchedule {
    /// A new neighbour gets an advert at once.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        self.recipients.insert(peer, now);
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.recipients.remove(&peer);
    }

    /// Schedules an advert to all neighbours, if this claim differs from the last one. None: there is no
    /// tree.
    pub(super) fn update(&mut self, moment: Moment<'_>, claim: Option<&TreeClaim>) {
        let Moment { now, limits, .. } = moment;
        let Some(claim) = claim else {
            *self = Self::default();
            return;
        };
        let due = match &self.last {
            Some((last, _)) if last == claim => return self.all_due = None,
            Some((last, at)) if (last.root, last.sequence) == (claim.root, claim.sequence) => {
                *at + limits.chat.tree_advert_every
            }
            _ => now,
        };
        self.all_due = Some(self.all_due.map_or(due, |before| before.min(due)));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.recipients.values().copied().chain(self.all_due).min()
    }

    /// The neighbours to which an advert is to be sent.
    pub(super) fn recipients(&self) -> impl Iterator<Item = NodeId> {
        self.recipients.keys().copied()
    }

    /// The next neighbour to which `claim` is to be sent now.
    pub(super) fn next_recipient(
        &mut self,
        moment: Moment<'_>,
        claim: &TreeClaim,
        neighbours: impl Iterator<Item = NodeId>,
    ) -> Option<NodeId> {
        let Moment { now, limits, .. } = moment;
        if self.all_due.is_some_and(|at| at <= now) {
            self.all_due = None;
            let parent_before =
                self.last.and_then(|(last, _)| last.parent).filter(|_| claim.parent.is_some());
            self.last = Some((*claim, now));
            for peer in neighbours {
                // The new parent is grafted before the old one is pruned.
                let pruned = parent_before == Some(peer) && claim.parent != parent_before;
                self.recipients.insert(peer, if pruned { now + limits.chat.tree_overlap } else { now });
            }
        }
        let (&peer, _) = self.recipients.iter().find(|(_, at)| **at <= now)?;
        self.recipients.remove(&peer);
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{moment, peer};
    use crate::model::{Identity, Limits, Signature};

    fn claim(sequence: u64, distance: u16, parent: u8) -> TreeClaim {
        let root = Identity::from_secret(&[1; 32]).key();
        let signature = Signature::from_bytes([0; 64]);
        TreeClaim { root, period: 0, sequence, signature, distance, parent: Some(peer(parent)) }
    }

    /// The neighbours, of 1 to 3, that get an advert at this time.
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

    #[test]
    fn a_new_sequence_number_is_advertised_at_once_and_another_position_after_an_interval() {
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
        assert_eq!(adverts.deadline(), None, "nothing differs from the last advert");
        adverts.linked(moment(190, &limits).now, peer(2));
        assert_eq!(recipients(&mut adverts, 190, &newer, &limits), [peer(2)]);
        adverts.update(moment(200, &limits), Some(&nearer));
        adverts.update(moment(200, &limits), None);
        assert_eq!(adverts.deadline(), None);
    }

    #[test]
    fn the_former_parent_is_pruned_last() {
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
