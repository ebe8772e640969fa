//! What a node asks its store to keep and to read, and what the store gives back (SPEC section 23).

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Class, Entry, EntryId, Gone, Memory, PublicKey, RunId, RunPosition};

/// The number of a record that the node asked the store to keep. It rises by one with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub u64);

/// The number of a request to read from the store. The node never uses one twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoadId(pub u64);

/// The number of a [`Command::Say`](crate::Command::Say) on a node with a store. The node never uses one twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SayId(pub u64);

/// What the store is to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// An entry of another node, or one of this node that is on its way already. It may wait for a batch. The store may
    /// have it.
    Entry(Arc<Entry>),
    /// A new entry of this node. Nothing of it was sent, and nothing will be before it is committed.
    Own(Arc<Entry>),
    /// This entry of that run was withdrawn, since the run is forked. The store need not have it.
    Withdrawn(EntryId, RunId),
}

/// Which entries are to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Wanted {
    /// The entries of a run with these numbers, both included. The answer begins with the lowest, in their order. It may
    /// end early, and leaves out no entry of the store before its end.
    Range {
        /// The run.
        run: RunId,
        /// The lowest number.
        first: u64,
        /// The highest number.
        last: u64,
    },
    /// The entries with these ids, as far as the store has them.
    Ids(Vec<EntryId>),
}

/// An entry that was read from the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loaded {
    /// A whole entry.
    Entry(Arc<Entry>),
    /// An entry whose body was deleted.
    Gone(Arc<Gone>),
}

/// What became of entries that the store had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StoreChange {
    /// The store was damaged as a whole, and is empty now. The driver reports
    /// [`StoreFailed`](crate::Input::StoreFailed) before, since what was not committed is lost, too.
    Emptied,
    /// Entries of a run were damaged: the store has none with these numbers any more, both included.
    Lost {
        /// The run.
        run: RunId,
        /// The lowest number.
        first: u64,
        /// The highest number.
        last: u64,
    },
    /// What is below this number of a run is expired from now on.
    Expired {
        /// The run.
        run: RunId,
        /// The number.
        floor: u64,
    },
}

/// What a node had when it ran before, for [`Node::restore`](crate::Node::restore).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Kept {
    /// The runs of which the store has entries, in any order.
    pub runs: Vec<KeptRun>,
    /// The date of the newest entry in runs that are left out of [`runs`](Self::runs). Nothing of them that is dated no later is
    /// shown. 0: none is left out.
    pub left_out: u64,
    /// The newest entries, in the order of the conversation. The node holds them, and never shows them again.
    pub entries: Vec<Arc<Entry>>,
    /// Where the node goes on in its own runs. One of a class that is not named begins another run.
    pub own: Vec<OwnPosition>,
    /// Whom the node knew.
    pub memory: Memory,
}

/// What the store has of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptRun {
    /// The run.
    pub run: RunId,
    /// The highest number that the store has.
    pub tip: u64,
    /// The dates and ids of the entries with that number: one, or two if the run is forked there.
    pub versions: Vec<(u64, EntryId)>,
    /// The numbers that the store has: from the first to the last of each pair, both included. They ascend, and are apart.
    pub held: Vec<(u64, u64)>,
    /// What is below this number is expired, and neither missing nor wanted.
    pub floor: u64,
}

impl KeptRun {
    /// What the store has of a run. Without [`floor`](Self::floor), nothing of it is expired.
    pub fn new(run: RunId, tip: u64, versions: Vec<(u64, EntryId)>, held: Vec<(u64, u64)>) -> Self {
        Self { run, tip, versions, held, floor: 0 }
    }
}

/// Where a node goes on in a run of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnPosition {
    /// [`Class::Kept`] or [`Class::Line`].
    pub class: Class,
    /// The epoch.
    pub epoch: u64,
    /// Where the next entry stands.
    pub next: RunPosition,
    /// The date of the entry before it, in milliseconds since the Unix epoch. 0: there is none.
    pub at: u64,
}

impl OwnPosition {
    /// The run of the author with this key.
    pub(crate) fn run(&self, key: PublicKey) -> RunId {
        RunId::new(key, None, self.class.clone(), self.epoch)
    }

    /// The position behind this entry. None: its run is at its end.
    pub fn after(entry: &Entry) -> Option<Self> {
        let next = RunPosition::after(entry)?;
        Some(Self { class: entry.class().clone(), epoch: entry.epoch(), next, at: entry.at() })
    }

    /// The position behind the last entry of a run of this class and epoch, of which its number, id and date are known.
    /// None: the run is at its end.
    pub fn behind(class: Class, epoch: u64, (seq, id): (u64, EntryId), at: u64) -> Option<Self> {
        Some(Self { class, epoch, next: RunPosition::new(seq.checked_add(1)?, id)?, at })
    }
}
