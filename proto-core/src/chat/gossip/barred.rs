//! Neighbours that may not be the parent.

use alloc::collections::BTreeMap;

use crate::model::{Instant, Moment, NodeId};

/// Neighbours that failed as the parent, and until when they may not be it again. At most one for each
/// connection slot.
#[derive(Debug, Default)]
pub(super) struct BarredParents {
    until: BTreeMap<NodeId, Instant>,
}

impl BarredParents {
    /// Bars a neighbour. At the bound, the one whose bar ends first makes room.
    pub(super) fn insert(&mut self, moment: Moment<'_>, peer: NodeId) {
        if self.until.len() >= moment.limits.conns.slots {
            let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            first.map(|peer| self.until.remove(&peer));
        }
        self.until.insert(peer, moment.now + moment.limits.chat.parent_barred);
    }

    pub(super) fn contains(&self, now: Instant, peer: NodeId) -> bool {
        self.until.get(&peer).is_some_and(|until| *until > now)
    }

    /// Removes those whose bar is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, moment, peer};
    use crate::model::Limits;

    #[test]
    fn at_the_bound_the_bar_that_ends_first_makes_room() {
        let limits = Limits::default().with(|limits| limits.conns.slots = 2);
        let mut barred = BarredParents::default();
        for (millis, n) in [(0, 9), (1, 1), (2, 5)] {
            barred.insert(moment(millis, &limits), peer(n));
        }
        assert_eq!([1, 5, 9].map(|n| barred.contains(at(2), peer(n))), [true, true, false]);
        let end = at(1) + limits.chat.parent_barred;
        assert_eq!([1, 5].map(|n| barred.contains(end, peer(n))), [false, true]);
        barred.expire(end);
        assert_eq!(barred.until.len(), 1);
    }
}
