//! Announcements that a full mesh spares (SPEC 8.7.3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};

/// The entries that neighbours pushed to this node in a full mesh and that it announced to nobody, by author. They are
/// announced after all when the author turns out to have lost a link.
#[derive(Debug, Default)]
pub(super) struct Spared {
    /// When each came.
    authors: BTreeMap<NodeId, Fifo<EntryId, Instant>>,
}

impl Spared {
    pub(super) fn len(&self) -> usize {
        self.authors.values().map(Fifo::len).sum()
    }

    /// An entry of this author is announced to nobody. At the bound, the author with most entries loses the oldest.
    pub(super) fn insert(&mut self, now: Instant, author: NodeId, id: EntryId, limits: &Limits) {
        let ids = self.authors.entry(author).or_default();
        while ids.first().is_some_and(|(_, at)| now.since(*at) > limits.chat.spared_for) {
            ids.pop_first();
        }
        ids.insert(id, now);
        while self.len() > limits.chat.spared {
            let Some(most) = self.authors.values_mut().max_by_key(|ids| ids.len()) else { return };
            most.pop_first();
        }
        self.authors.retain(|_, ids| !ids.is_empty());
    }

    /// Takes out the entries of this author that came lately, oldest first.
    pub(super) fn take(&mut self, now: Instant, author: NodeId, limits: &Limits) -> Vec<EntryId> {
        let mut ids = self.authors.remove(&author).unwrap_or_default();
        let came = core::iter::from_fn(|| ids.pop_first());
        came.filter(|(_, at)| now.since(*at) <= limits.chat.spared_for).map(|(id, _)| id).collect()
    }

    pub(super) fn is_consistent(&self, is_linked: impl Fn(&NodeId) -> bool) -> bool {
        self.authors.iter().all(|(author, ids)| is_linked(author) && !ids.is_empty() && ids.is_consistent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, entry_id as id, peer};

    #[test]
    fn what_came_lately_from_one_author_is_taken_out_in_order() {
        let limits = Limits::default();
        let life = limits.chat.spared_for.as_millis() as u64;
        let mut spared = Spared::default();
        for (n, came) in [(4, 0), (3, 1), (2, 2)] {
            spared.insert(at(came), peer(1), id(n), &limits);
        }
        spared.insert(at(2), peer(2), id(9), &limits);
        assert_eq!(spared.take(at(life + 1), peer(1), &limits), [id(3), id(2)]);
        assert_eq!((spared.len(), spared.take(at(3), peer(1), &limits)), (1, vec![]));
        spared.insert(at(life + 3), peer(2), id(8), &limits);
        assert_eq!(spared.len(), 1, "the other is too old");
        assert!(spared.is_consistent(|author| *author == peer(2)));
    }

    #[test]
    fn who_says_most_makes_room() {
        let limits = Limits::default().with(|limits| limits.chat.spared = 4);
        let mut spared = Spared::default();
        spared.insert(at(0), peer(1), id(1), &limits);
        for n in 10..20 {
            spared.insert(at(0), peer(2), id(n), &limits);
        }
        assert_eq!(spared.len(), 4);
        assert_eq!(spared.take(at(0), peer(1), &limits), [id(1)]);
        assert_eq!(spared.take(at(0), peer(2), &limits), [17, 18, 19].map(id));
    }
}
