//! What follows from what happens in the conversation.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::model::{ConnId, Entry, EntryError, EntryId, Marks, Name, NodeId};
use crate::wire::Frame;

/// Something that follows, for others to act on, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An entry is to be shown.
    Show { entry: Arc<Entry>, marks: Marks },
    /// Entries of an author are missing and not waited for any longer.
    Gap { node_id: NodeId, uname: Name, missing: u64 },
    /// This node's clock differs from others', positive where it is ahead.
    ClockOff { ahead_ms: i64 },
    /// The line of an entry is to go to these peers; those whose links are full are told of it.
    Push { peers: Vec<NodeId>, id: EntryId, line: Vec<u8> },
    /// A frame is to go out on this connection.
    Reply { conn: ConnId, frame: Frame<'static> },
    /// What came on this connection, so many bytes, was asked for: it does not count against the rates.
    Asked { conn: ConnId, bytes: usize },
    /// A frame on this connection broke a rule.
    Faulty { conn: ConnId, fault: Fault },
}

/// A rule that a frame of the conversation broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A `CHAT` that is no entry.
    Entry(EntryError),
    /// A `TREE` that does not hold.
    Tree,
    /// A `SYNC` that cannot be read.
    Sync,
    /// Reconciliation after reconciliation was ignored.
    SyncsIgnored,
}

impl Fault {
    /// Whether it costs the link, and not only the frame.
    pub(crate) fn is_severe(self) -> bool {
        self == Self::SyncsIgnored
    }
}

/// What the conversation counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) said: u64,
    /// Texts of entries that the log has shown.
    pub(crate) shown: u64,
    pub(crate) signed: u64,
    pub(crate) entries: u64,
    pub(crate) entries_again: u64,
    pub(crate) entries_dropped: u64,
    pub(crate) entries_put_off: u64,
    pub(crate) entries_over_rate: u64,
    pub(crate) entries_sent: u64,
    pub(crate) entries_not_pushed: u64,
    pub(crate) gaps: u64,
    pub(crate) syncs: u64,
}
