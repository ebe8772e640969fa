//! Lazy push: which ids are announced to whom, and when.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{EntryId, Fifo, Instant, Limits, NodeId};
use crate::wire::MAX_IHAVE;

/// Ids to announce, in a batch for each neighbour.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    batches: BTreeMap<NodeId, Batch>,
}

#[derive(Debug)]
struct Batch {
    ids: Fifo<EntryId, ()>,
    due: Instant,
}

impl Announcements {
    /// Queues an id, to be announced at most `after` from now. False: the batch was full, and its oldest id
    /// was dropped.
    #[must_use]
    pub(super) fn add(
        &mut self,
        now: Instant,
        to: NodeId,
        id: EntryId,
        after: Duration,
        limits: &Limits,
    ) -> bool {
        let batch = self
            .batches
            .entry(to)
            .or_insert_with(|| Batch { ids: Fifo::default(), due: Instant::FAR_FUTURE });
        batch.ids.insert(id, ());
        batch.due = if batch.ids.len() >= MAX_IHAVE { now } else { batch.due.min(now + after) };
        let room = batch.ids.len() <= limits.chat.announced;
        if !room {
            batch.ids.pop_first();
        }
        room
    }

    /// The neighbour has this entry, so it needs no announcement.
    pub(super) fn cancel(&mut self, to: NodeId, id: &EntryId) {
        if let Some(batch) = self.batches.get_mut(&to)
            && batch.ids.remove(id).is_some()
            && batch.ids.is_empty()
        {
            self.batches.remove(&to);
        }
    }

    /// The size of the largest batch.
    pub(super) fn most(&self) -> usize {
        self.batches.values().map(|batch| batch.ids.len()).max().unwrap_or(0)
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.batches.remove(&peer);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.batches.values().map(|batch| batch.due).min()
    }

    /// The next ids that are due, as many as fit in one `IHAVE`.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<(NodeId, Vec<EntryId>)> {
        let (&to, batch) = self.batches.iter_mut().find(|(_, batch)| batch.due <= now)?;
        let ids = core::iter::from_fn(|| batch.ids.pop_first()).map(|(id, ())| id).take(MAX_IHAVE).collect();
        if batch.ids.is_empty() {
            self.batches.remove(&to);
        }
        Some((to, ids))
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.batches.values().all(|batch| !batch.ids.is_empty() && batch.ids.is_consistent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::{at, entry_id as id, peer};

    const AFTER: Duration = Duration::from_millis(100);

    #[test]
    fn a_batch_is_due_some_time_after_its_first_id() {
        let limits = Limits::default();
        let mut waiting = Announcements::default();
        assert!(waiting.add(at(0), peer(1), id(1), AFTER, &limits));
        assert!(waiting.add(at(60), peer(1), id(2), AFTER, &limits));
        assert!(waiting.add(at(60), peer(1), id(3), AFTER, &limits));
        waiting.cancel(peer(1), &id(2));
        assert_eq!((waiting.deadline(), waiting.next_batch(at(99))), (Some(at(100)), None));
        assert_eq!(waiting.next_batch(at(100)), Some((peer(1), vec![id(1), id(3)])));
        assert_eq!(waiting.deadline(), None);
        assert!(waiting.add(at(200), peer(1), id(4), AFTER, &limits));
        assert!(waiting.add(at(201), peer(1), id(5), Duration::ZERO, &limits));
        assert_eq!(waiting.deadline(), Some(at(201)));
        waiting.cancel(peer(1), &id(4));
        waiting.cancel(peer(1), &id(5));
        assert_eq!(waiting.deadline(), None);
    }

    #[test]
    fn a_full_frame_is_due_at_once_and_a_full_batch_drops_its_oldest_id() {
        let limits = Limits::default().with(|limits| limits.chat.announced = MAX_IHAVE + 2);
        let mut waiting = Announcements::default();
        let most = u16::try_from(limits.chat.announced).unwrap();
        for n in 0..most {
            assert!(waiting.add(at(7), peer(1), id(n), AFTER, &limits));
            let full = usize::from(n) + 1 >= MAX_IHAVE;
            assert_eq!(waiting.deadline(), Some(if full { at(7) } else { at(107) }), "{n}");
        }
        assert!(!waiting.add(at(7), peer(1), id(most), AFTER, &limits));
        let (_, first) = waiting.next_batch(at(7)).unwrap();
        assert_eq!((first.len(), first[0]), (MAX_IHAVE, id(1)));
        assert_eq!(waiting.next_batch(at(7)), Some((peer(1), vec![id(most - 1), id(most)])));
        assert!(waiting.is_consistent());
    }
}
