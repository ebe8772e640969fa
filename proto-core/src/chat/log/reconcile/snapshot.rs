//! A snapshot of the log's ids, and its comparison with a peer's by negentropy.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::Step;
use super::message::{MAX_MESSAGE, SyncError, Tag, encode};
use crate::chat::log::Log;
use crate::model::EntryId;

/// The ids of the entries in the window that are dated `since` or later.
#[derive(Debug)]
pub(super) struct Snapshot {
    since: u64,
    /// The window's generation at the time.
    generation: u64,
    ids: NegentropyStorageVector,
}

impl Snapshot {
    pub(super) fn of(log: &Log, since: u64) -> Result<Self, negentropy::Error> {
        let mut ids = NegentropyStorageVector::new();
        for (at, id) in log.window.dated_since(since) {
            ids.insert(at, Id::from_byte_array(*id.as_bytes()))?;
        }
        ids.seal()?;
        Ok(Self { since, generation: log.window.generation(), ids })
    }

    /// Whether it still is a snapshot of this log, from this date on.
    pub(super) fn is_current(&self, log: &Log, since: u64) -> bool {
        self.since == since && self.generation == log.window.generation()
    }

    /// Whether a responder's message with this date belongs to this snapshot, and not to an earlier opening.
    pub(super) fn is_answered_by(&self, tag: Tag, since: u64) -> bool {
        if tag == Tag::Later { since > self.since } else { since == self.since }
    }

    /// The initiator's first message.
    pub(super) fn first_message(&self, tag: Tag) -> Result<Vec<u8>, negentropy::Error> {
        let message = Negentropy::borrowed(&self.ids, MAX_MESSAGE)?.initiate()?;
        Ok(encode(tag, self.since, &message))
    }

    /// The responder's answer.
    pub(super) fn answer(&self, message: &[u8]) -> Result<Vec<u8>, negentropy::Error> {
        let answer = Negentropy::borrowed(&self.ids, MAX_MESSAGE)?.reconcile(message)?;
        Ok(encode(Tag::Answer, self.since, &answer))
    }

    /// What the initiator learns from an answer, and its next message.
    pub(super) fn compare(&self, message: &[u8], log: &Log, step: &mut Step) -> Result<(), SyncError> {
        let mut side = Negentropy::borrowed(&self.ids, MAX_MESSAGE)?;
        side.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = side.reconcile_with_ids(message, &mut have, &mut need)?;
        step.reply = next.map(|next| encode(Tag::Continue, self.since, &next));
        let id = |id: Id| EntryId::from_bytes(id.to_bytes());
        step.have = have.into_iter().map(id).filter(|id| log.window.contains(id)).collect();
        let need: BTreeSet<EntryId> = need.into_iter().map(id).filter(|id| log.wants(id)).collect();
        step.need = in_order_of(message, need);
        Ok(())
    }
}

/// These ids in the order in which the message lists them, which is that of their dates.
///
/// The negentropy crate loses that order. In a message, each range is its upper bound (a date and the start
/// of an id, each with a length that is a varint), a mode, and what the mode says.
fn in_order_of(message: &[u8], mut ids: BTreeSet<EntryId>) -> Vec<EntryId> {
    let mut ordered = Vec::with_capacity(ids.len());
    let mut rest = message.get(1..).unwrap_or_default();
    while !rest.is_empty() && !ids.is_empty() {
        varint(&mut rest);
        let prefix = varint(&mut rest);
        rest = usize::try_from(prefix).ok().and_then(|prefix| rest.get(prefix..)).unwrap_or_default();
        match varint(&mut rest) {
            // Skip.
            0 => {}
            // A fingerprint.
            1 => rest = rest.get(negentropy::FINGERPRINT_SIZE..).unwrap_or_default(),
            // A list of ids.
            _ => {
                for _ in 0..varint(&mut rest) {
                    let Some((id, after)) = rest.split_first_chunk() else { break };
                    rest = after;
                    ordered.extend(ids.take(&EntryId::from_bytes(*id)));
                }
            }
        }
    }
    ordered.extend(ids);
    ordered
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value: u64 = 0;
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
