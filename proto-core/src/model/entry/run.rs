//! Runs of entries, and where an entry stands.

use serde::{Deserialize, Serialize};

use super::{Class, Entry, EntryId, MAX_NUMBER, Room};
use crate::model::PublicKey;

/// A run: the entries of one author in one room, one class and one epoch, numbered without gaps from 0 (SPEC 7.1.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunId {
    /// The author's key.
    pub key: PublicKey,
    /// The room. None: the lobby.
    #[serde(default)]
    pub room: Option<Room>,
    /// The class.
    pub class: Class,
    /// The author's epoch, at most [`MAX_NUMBER`].
    pub epoch: u64,
}

impl RunId {
    /// The run of this author in a room, a class and an epoch.
    pub fn new(key: PublicKey, room: Option<Room>, class: Class, epoch: u64) -> Self {
        Self { key, room, class, epoch }
    }

    /// The first run of an author, in the order of runs.
    pub(crate) fn first_of(key: PublicKey) -> Self {
        Self { key, room: None, class: Class::Kept, epoch: 0 }
    }

    /// Whether two runs are in one room and one class. The epochs of an author are bounded for each of these.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.room == other.room && self.class == other.class
    }
}

/// Where an entry stands in its run: its number, and the id of the entry before it (SPEC 7.1.5, 7.1.7).
///
/// ```
/// use proto_core::{EntryId, RunPosition};
///
/// let first = RunPosition::FIRST;
/// assert_eq!((first.seq(), first.prev()), (0, None));
/// let id = EntryId::from_bytes([7; 32]);
/// let second = RunPosition::new(1, id).unwrap();
/// assert_eq!((second.seq(), second.prev()), (1, Some(id)));
/// assert_eq!(RunPosition::new(0, id), None, "nothing is before the first");
/// ```
///
/// Serde uses the number and that id, and refuses what does not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u64, Option<EntryId>)", into = "(u64, Option<EntryId>)")]
pub struct RunPosition {
    seq: u64,
    /// None exactly if `seq` is 0.
    prev: Option<EntryId>,
}

impl RunPosition {
    /// The first entry.
    pub const FIRST: Self = Self { seq: 0, prev: None };

    /// The entry with this number, behind the one with this id. None: the number is 0 or above [`MAX_NUMBER`].
    pub fn new(seq: u64, prev: EntryId) -> Option<Self> {
        (1..=MAX_NUMBER).contains(&seq).then_some(Self { seq, prev: Some(prev) })
    }

    /// The next one behind this entry. None: its run is at its end.
    pub fn after(entry: &Entry) -> Option<Self> {
        Self::new(entry.seq().checked_add(1)?, entry.id())
    }

    /// Where an entry with these members of a header stands: nowhere, if it has no number. None: they do not go together.
    pub(super) fn read(seq: Option<u64>, prev: Option<EntryId>) -> Option<Option<Self>> {
        match (seq, prev) {
            (None, None) => Some(None),
            (Some(0), None) => Some(Some(Self::FIRST)),
            (Some(seq), Some(prev)) => Self::new(seq, prev).map(Some),
            _ => None,
        }
    }

    /// The number.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The id of the entry before it. None: it is the first.
    pub fn prev(&self) -> Option<EntryId> {
        self.prev
    }

    /// A position with this number, behind an entry that does not exist.
    #[cfg(test)]
    pub(crate) fn unlinked(seq: u64) -> Self {
        Self::new(seq, EntryId::from_bytes([1; 32])).unwrap_or(Self::FIRST)
    }
}

impl From<RunPosition> for (u64, Option<EntryId>) {
    fn from(position: RunPosition) -> Self {
        (position.seq, position.prev)
    }
}

impl TryFrom<(u64, Option<EntryId>)> for RunPosition {
    type Error = &'static str;

    fn try_from((seq, prev): (u64, Option<EntryId>)) -> Result<Self, Self::Error> {
        Self::read(Some(seq), prev).flatten().ok_or("no position in a run")
    }
}

/// The position of an entry in the conversation (SPEC 7.3). All nodes order entries by it: by time, then by key, epoch
/// and sequence number. Entries with the same position are ordered by their ids. They are a fork, or of different runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it was said, in milliseconds since the Unix epoch, by its author's clock.
    pub at: u64,
    /// The author's key.
    pub key: PublicKey,
    /// The author's epoch.
    pub epoch: u64,
    /// The sequence number in that epoch.
    pub seq: u64,
}
