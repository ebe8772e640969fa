//! What the conversation reports: events, faults of peers, and counts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::skew::Skewed;
use crate::model::{
    ConnId, Entry, EntryError, EntryId, LoadId, Marks, Member, MemberChange, Name, NodeId, Record, SayId,
    StoreId, Wanted,
};
use crate::wire::Frame;

/// Something that others have to act on, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Show this entry.
    Show { entry: Arc<Entry>, marks: Marks },
    /// The first catch-up is over. It brought so many entries, which were shown.
    CaughtUp { entries: usize },
    /// So many entries came for the store alone, and so many are missing.
    Backfill { came: u64, missing: u64, over: bool },
    /// Entries of this author are missing, and are no longer waited for.
    Gap { node_id: NodeId, uname: Name, missing: u64 },
    /// An author goes by the name of another one.
    NameTaken { node_id: NodeId, uname: Name, holder: NodeId },
    /// A neighbour holds all that this node held when the user asked.
    Confirmed,
    /// There is news of a member.
    Member { member: Arc<Member>, change: MemberChange },
    /// Another node has this node's key.
    KeyShared,
    /// This node's clock differs from the neighbours' clocks.
    ClockOff(Skewed),
    /// Send the line of an entry to these peers, and report for each whether its queue took it. `id`: it is held.
    Push { peers: Vec<NodeId>, id: Option<EntryId>, line: Vec<u8> },
    /// The store is to keep this.
    Store { id: StoreId, record: Record },
    /// The store is to be read.
    Load { id: LoadId, wanted: Wanted, most_bytes: usize },
    /// What was said is on its way.
    Said { id: SayId, entries: Vec<Arc<Entry>>, stored: bool },
    /// An entry of this node is on its way, later than it was said. These peers without a key are to hear it from this
    /// node.
    Uttered { entry: Arc<Entry>, recipients: Vec<NodeId> },
    /// What was refused for want of room before the store can be said now.
    Ready,
    /// Send a frame on this connection.
    Reply { conn: ConnId, frame: Frame<'static> },
    /// A reconciliation showed what just came on this connection. These bytes do not count against rates.
    Asked { conn: ConnId, bytes: usize },
    /// A frame on this connection broke a rule.
    Faulty { conn: ConnId, fault: Fault },
}

/// Which rule a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A `CHAT` frame is not a valid entry.
    Entry(EntryError),
    /// A tree advert is false.
    Tree,
    /// A `SYNC` message cannot be read.
    Sync,
    /// The peer ignored several reconciliations in a row.
    SyncsIgnored,
}

impl Fault {
    /// Whether it costs the link, and not only the frame.
    pub(crate) fn is_severe(self) -> bool {
        self == Self::SyncsIgnored
    }
}

/// Counters of the conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Texts that the user said.
    pub(crate) said: u64,
    /// Texts of entries that the log has shown.
    pub(crate) shown: u64,
    /// Entries that this node signed.
    pub(crate) signed: u64,
    /// Entries received that were new.
    pub(crate) entries: u64,
    /// Signatures of entries that were found to hold together with others of one input.
    pub(crate) verified_together: u64,
    /// Signatures of entries that were verified by themselves.
    pub(crate) verified_alone: u64,
    /// Entries received that were known.
    pub(crate) entries_known: u64,
    /// Entries received that only the store keeps.
    pub(crate) entries_archived: u64,
    /// Entries received that were not kept.
    pub(crate) entries_dropped: u64,
    /// Entries kept that had to make room, and can be received again.
    pub(crate) entries_displaced: u64,
    /// Entries that were shown as of an author whose name another key had before.
    pub(crate) names_taken: u64,
    /// Entries received that were over their author's rate.
    pub(crate) entries_over_rate: u64,
    /// Entries of new authors received that were over the rate of new authors of the neighbour.
    pub(crate) entries_of_new_authors: u64,
    /// Entries received without their bodies.
    pub(crate) bodies_gone: u64,
    /// Entries of no run received and relayed.
    pub(crate) live: u64,
    /// Entries of no run received that were over the rate of the neighbour.
    pub(crate) live_over_rate: u64,
    /// Entries of no run received that were dated too far from now.
    pub(crate) live_untimely: u64,
    /// Entries sent, counted for each neighbour.
    pub(crate) entries_sent: u64,
    /// Entries not sent because a neighbour's queue was full.
    pub(crate) entries_not_pushed: u64,
    /// Entries of which the log has decided that they would be shown now, of a kind or room that is not.
    pub(crate) entries_not_shown: u64,
    /// Times that a run turned out to be forked, or to be forked at a lower number than was known.
    pub(crate) forks: u64,
    /// Entries taken out of the window because of a fork.
    pub(crate) entries_withdrawn: u64,
    /// Gaps reported.
    pub(crate) gaps: u64,
    /// Reconciliations begun by this node.
    pub(crate) syncs: u64,
}
