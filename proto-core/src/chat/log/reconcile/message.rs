//! The encoding of a `SYNC` message: a tag, a date in eight bytes, and for most tags a negentropy message.

use alloc::vec::Vec;

/// The most bytes of a negentropy message. Negentropy exceeds it by less than the room that
/// [`MAX_SYNC`](crate::wire::MAX_SYNC) leaves.
pub(super) const MAX_MESSAGE: u64 = 45_000;

/// How much an answer may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerRoom {
    /// As much as fits in a message.
    Whole,
    /// The least that negentropy can do with: whoever asks has used up what it is served (SPEC 9.18.8).
    Least,
}

impl AnswerRoom {
    /// The most bytes of the negentropy message.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Whole => MAX_MESSAGE,
            Self::Least => 4_096,
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The initiator's first message. A responder whose window is complete only from a later date on answers
    /// [`Later`](Tag::Later).
    Begin = 0,
    /// A later message of the initiator. The responder answers it for this date in any case.
    Continue = 1,
    /// The responder's answer to either.
    Answer = 2,
    /// The responder's request to begin again from this date on.
    Later = 3,
}

impl Tag {
    const ALL: [Self; 4] = [Self::Begin, Self::Continue, Self::Answer, Self::Later];
}

/// A message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of a reconciliation cannot be read")]
pub(crate) struct SyncError;

impl From<negentropy::Error> for SyncError {
    fn from(_: negentropy::Error) -> Self {
        Self
    }
}

/// A message about the entries dated `since` or later.
pub(super) fn encode(tag: Tag, since: u64, negentropy: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + negentropy.len());
    bytes.push(tag as u8);
    bytes.extend_from_slice(&since.to_be_bytes());
    bytes.extend_from_slice(negentropy);
    bytes
}

/// The tag, the date and the negentropy message.
pub(super) fn decode(bytes: &[u8]) -> Result<(Tag, u64, &[u8]), SyncError> {
    let (tag, rest) = bytes.split_first().ok_or(SyncError)?;
    let tag = Tag::ALL.into_iter().find(|known| *known as u8 == *tag).ok_or(SyncError)?;
    let (since, negentropy) = rest.split_first_chunk().ok_or(SyncError)?;
    Ok((tag, u64::from_be_bytes(*since), negentropy))
}
