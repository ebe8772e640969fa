//! Who the terminal said is here: arrivals and departures are those of members, however links come and go.

use std::collections::BTreeSet;

use proto_core::{LeaveReason, MemberChange, NodeId};

/// The most news of who comes, goes or has another name that is told at once. Keys are free, so anybody can bring about any
/// number.
const AT_ONCE: u64 = 20;
/// After this time, in milliseconds, one more is told.
const EVERY: u64 = 3_000;

/// As many as the list of members has. The node forgets some of them without a word.
const MOST: usize = 16_384;

/// Who is here, as far as the terminal knows.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Those who have come, and have not gone, as the user knows.
    told: BTreeSet<NodeId>,
    /// Those who say themselves that they are here.
    here: BTreeSet<NodeId>,
    /// When the last news that was told counts no more, as Unix time in milliseconds (GCRA).
    paid_until: u64,
}

impl Arrivals {
    /// A peer was linked. Whether that is news.
    pub(super) fn linked(&mut self, node_id: NodeId) -> bool {
        note(&mut self.told, node_id)
    }

    /// A link ended. Whether its peer is gone, as far as that tells: whoever had to make room, here or there, may still be in
    /// the network, and says so itself.
    pub(super) fn unlinked(&mut self, node_id: NodeId, reason: LeaveReason) -> bool {
        if matches!(reason, LeaveReason::NoRoom | LeaveReason::Bye) && self.here.contains(&node_id) {
            return false;
        }
        self.told.remove(&node_id)
    }

    /// Whether one more piece of such news is told at this time, Unix time in milliseconds.
    pub(super) fn may_tell(&mut self, now: u64) -> bool {
        let most = now.saturating_add(AT_ONCE * EVERY);
        let paid = self.paid_until.clamp(now, most);
        let tells = paid.saturating_add(EVERY) <= most;
        self.paid_until = if tells { paid.saturating_add(EVERY) } else { paid };
        tells
    }

    /// There is news of a member. Whether it is news for the user, too.
    pub(super) fn changed(&mut self, node_id: NodeId, change: MemberChange) -> bool {
        match change {
            MemberChange::Silent | MemberChange::Left => {
                self.here.remove(&node_id);
                self.told.remove(&node_id)
            }
            MemberChange::Joined | MemberChange::Back => {
                note(&mut self.here, node_id);
                note(&mut self.told, node_id)
            }
            // Who was here first, or has another name.
            _ => {
                note(&mut self.here, node_id);
                let is_new = note(&mut self.told, node_id);
                change == MemberChange::Renamed && !is_new
            }
        }
    }
}

/// Notes a node. Whether it was not noted before.
fn note(nodes: &mut BTreeSet<NodeId>, node_id: NodeId) -> bool {
    let is_new = nodes.insert(node_id);
    if nodes.len() > MOST {
        nodes.pop_first();
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_news_is_told_at_once_and_more_as_time_passes() {
        let mut arrivals = Arrivals::default();
        let mut told = |now: u64| (0..100).filter(|_| arrivals.may_tell(now)).count();
        assert_eq!([told(1_000_000), told(1_000_000), told(1_003_000), told(1_009_000)], [20, 0, 1, 2]);
        assert_eq!((1_009_001..1_012_000).map(&mut told).sum::<usize>(), 0, "however time passes");
        assert_eq!(
            [told(1_012_000), told(0), told(2_000_000)],
            [1, 0, 20],
            "the clock was set back, and forward"
        );
    }

    #[test]
    fn no_more_are_remembered_than_there_are_members() {
        let mut arrivals = Arrivals::default();
        for n in 0..MOST as u128 + 100 {
            arrivals.changed(NodeId::from_bytes(n.to_be_bytes()), MemberChange::Joined);
        }
        assert_eq!((arrivals.told.len(), arrivals.here.len()), (MOST, MOST));
    }

    #[test]
    fn each_is_said_to_come_and_to_go_once_however_links_change() {
        let id = NodeId::from_bytes([1; 16]);
        let mut arrivals = Arrivals::default();
        assert!(arrivals.linked(id));
        assert!(!arrivals.changed(id, MemberChange::Joined), "the link was told");
        assert!(!arrivals.unlinked(id, LeaveReason::NoRoom), "it is still in the network");
        assert!(!arrivals.linked(id));
        assert!(arrivals.changed(id, MemberChange::Renamed));
        assert!(!arrivals.unlinked(id, LeaveReason::Bye), "it had no room for this node");
        assert!(arrivals.unlinked(id, LeaveReason::Closed));
        assert!(!arrivals.changed(id, MemberChange::Silent), "the end of the link was told");
        assert!(arrivals.changed(id, MemberChange::Joined), "somebody far away");
        assert!(arrivals.changed(id, MemberChange::Silent));
        assert!(arrivals.changed(id, MemberChange::Back));
        // Who was here first is no news, and one that says nothing goes with its link.
        let (first, mute) = (NodeId::from_bytes([2; 16]), NodeId::from_bytes([3; 16]));
        assert!(!arrivals.changed(first, MemberChange::Listed) && !arrivals.linked(first));
        assert!(arrivals.linked(mute) && arrivals.unlinked(mute, LeaveReason::NoRoom));
    }
}
