//! A snapshot of the log's tips, and its comparison with a peer's by negentropy.

use alloc::vec::Vec;

use negentropy::{Bound, Error, Id, Item, Negentropy, NegentropyStorageBase, NegentropyStorageVector};

use super::Step;
use super::message::{AnswerRoom, MAX_MESSAGE, SyncError, Tag, encode};
use crate::chat::log::Log;
use crate::model::EntryId;

/// The ids of the tips that are dated `since` or later.
#[derive(Debug)]
pub(super) struct Snapshot {
    since: u64,
    /// That of the log at the time.
    generation: (u64, u64),
    /// Earlier ones may be among them.
    ids: NegentropyStorageVector,
}

impl Snapshot {
    pub(super) fn of(log: &Log, since: u64) -> Result<Self, Error> {
        let mut ids = NegentropyStorageVector::new();
        for ((at, id), run) in log.window.tips().dated_since(since) {
            // What the store has not committed is not offered yet.
            if log.shelf.is_settled(run) {
                ids.insert(at, Id::from_byte_array(*id.as_bytes()))?;
            }
        }
        ids.seal()?;
        Ok(Self { since, generation: generation(log), ids })
    }

    /// The part that is dated `since` or later. A peer chooses that date, so it costs no other snapshot.
    pub(super) fn from(self, since: u64) -> Self {
        Self { since, ..self }
    }

    /// Whether it still is a snapshot of this log.
    pub(super) fn is_current(&self, log: &Log) -> bool {
        self.generation == generation(log)
    }

    /// Whether a responder's message with this date belongs to this snapshot, and not to an earlier opening.
    pub(super) fn is_answered_by(&self, tag: Tag, since: u64) -> bool {
        if tag == Tag::Later { since > self.since } else { since == self.since }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.size().unwrap_or(0)
    }

    fn part(&self) -> Result<Part<'_>, Error> {
        let begin = self.ids.find_lower_bound(0, self.ids.size()?, &Bound::with_timestamp(self.since));
        Ok(Part { ids: &self.ids, begin })
    }

    /// The initiator's first message.
    pub(super) fn first_message(&self, tag: Tag) -> Result<Vec<u8>, Error> {
        let message = Negentropy::owned(self.part()?, MAX_MESSAGE)?.initiate()?;
        Ok(encode(tag, self.since, &message))
    }

    /// The responder's answer.
    pub(super) fn answer(&self, message: &[u8], room: AnswerRoom) -> Result<Vec<u8>, Error> {
        let answer = Negentropy::owned(self.part()?, room.bytes())?.reconcile(message)?;
        Ok(encode(Tag::Answer, self.since, &answer))
    }

    /// What the initiator learns from an answer, and its next message.
    pub(super) fn compare(&self, message: &[u8], log: &Log, step: &mut Step) -> Result<(), SyncError> {
        let mut side = Negentropy::owned(self.part()?, MAX_MESSAGE)?;
        side.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = side.reconcile_with_ids(message, &mut have, &mut need)?;
        step.reply = next.map(|next| encode(Tag::Continue, self.since, &next));
        let id = |id: Id| EntryId::from_bytes(id.to_bytes());
        step.have = have.into_iter().map(id).filter(|id| log.serves(id)).collect();
        step.need = need.into_iter().map(id).filter(|id| log.wants(id)).collect();
        // The crate collects them in no certain order.
        step.need.sort_unstable();
        Ok(())
    }
}

/// The items from one on.
struct Part<'a> {
    ids: &'a NegentropyStorageVector,
    begin: usize,
}

impl NegentropyStorageBase for Part<'_> {
    fn size(&self) -> Result<usize, Error> {
        Ok(self.ids.size()? - self.begin)
    }

    fn get_item(&self, index: usize) -> Result<Option<Item>, Error> {
        self.ids.get_item(self.begin + index)
    }

    fn iterate(
        &self,
        begin: usize,
        end: usize,
        visit: &mut dyn FnMut(Item, usize) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut visit = |item, index: usize| visit(item, index - self.begin);
        self.ids.iterate(self.begin + begin, self.begin + end, &mut visit)
    }

    fn find_lower_bound(&self, first: usize, last: usize, value: &Bound) -> usize {
        self.ids.find_lower_bound(self.begin + first, self.begin + last, value) - self.begin
    }
}

/// Changes whenever the compared set changes.
fn generation(log: &Log) -> (u64, u64) {
    (log.window.tips().generation(), log.shelf.generation())
}
