//! What others can fill in a node, and the bound of each.

use serde::{Deserialize, Serialize};

use crate::model::{Limits, MAX_LINE, MAX_RESOLVED};

/// A collection in a node that grows with what others send.
///
/// Each has a [bound](Self::bound). What happens at the bound stands at the limit of the same name in [`Limits`].
/// [`Node::capacities`](crate::Node::capacities) tells how full each is. Where several collections of one kind exist,
/// the fullest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capacity {
    /// Connections that the driver holds, those that are being closed included.
    Connections,
    /// Accepted connections whose handshake is not over.
    Pending,
    /// Connection slots in use. A version 1 peer may use two.
    Slots,
    /// Linked peers with a key. Peers at addresses that the user gave are linked beyond `mesh.degree_high`. A host name
    /// whose addresses change may bring more than the bound says, within [`Slots`](Self::Slots).
    PeersWithKey,
    /// Bytes in the buffers of all connections together.
    Buffers,
    /// Bytes in the longest output queue. Its last chunk may go beyond `conns.queue_hard`.
    QueueHard,
    /// Bytes of the longest line whose end has not come yet.
    Line,
    /// Malformed frames on one connection within `conns.malformed_window`.
    Malformed,
    /// Newcomers that claim the id of one linked peer. There can be as many as there are pending connections.
    Probes,

    /// Linked peers with a key that dialed this node, without those at addresses that the user gave.
    DegreeHigh,
    /// Learned addresses that are being dialed.
    Dials,
    /// Learned addresses in the address book.
    Book,
    /// Addresses in the address book from one source.
    BookPerSource,
    /// Banned peers.
    Banned,
    /// Budgets of dials at hosts, in networks, or of addresses from one teller. The kind with most of them counts.
    DialBudgets,
    /// Addresses where a node has proven its key.
    Pins,

    /// Authors whose rate of entries is limited. The bound is `chat.authors`.
    Rates,
    /// Neighbours whose rate of new authors, or of what is of no use in the window, is limited: keys or hosts, whichever are
    /// more. The bound is `conns.slots`.
    NewAuthors,
    /// Bytes of the decompressed keys of authors.
    KnownKeys,
    /// Reconciliations that this node began and that are not over.
    Syncs,
    /// What entries of this node are charged that the store has not committed, in bytes.
    UncommittedOwn,
    /// What other entries are charged that the store was asked to keep and has not committed, in bytes.
    Uncommitted,
    /// Bytes of the entries that the first catch-up holds back. The last one may go beyond the bound.
    CatchUpBytes,
    /// Entries in the window.
    LogEntries,
    /// What the entries in the window are [charged](crate::Entry::charge), in bytes.
    LogBytes,
    /// Ids of evicted entries that are remembered.
    Evicted,
    /// Authors of entries in the window, and authors whose evicted entries are known by their floors.
    Floors,
    /// Frozen runs that are remembered, though what proves the fork was evicted.
    Forks,
    /// What the tips of runs are charged, in bytes.
    TipsBytes,
    /// Tips of one author's runs of which nothing is held.
    TipsPerAuthor,
    /// Spans of numbers that are known to be in the store.
    Spans,
    /// Entries that wait for earlier ones of their author.
    Early,
    /// Entries of one author that wait for earlier ones.
    EarlyPerAuthor,
    /// What the entries are charged that are held back because they are dated too far ahead, in bytes.
    Parked,
    /// Authors whose sequences are tracked.
    Authors,
    /// What these authors, their epochs and their gaps are charged, in bytes.
    AuthorsBytes,
    /// Pairs of a room and a class in which epochs of one author are tracked.
    LanesPerAuthor,
    /// Tracked epochs of one author in one room and class.
    EpochsPerAuthor,
    /// Known gaps in one epoch.
    GapsPerEpoch,
    /// Names of authors that are remembered, counted for each key.
    Names,
    /// Remembered names of one author.
    NamesPerAuthor,
    /// Members of the network.
    Members,
    /// Ids of entries that came recently.
    Seen,
    /// Announced entries that have not come yet.
    AnnouncedMissing,
    /// Announced entries that have not come yet and that one neighbour announced first.
    AnnouncedMissingPerLink,
    /// Remembered announcers of one entry.
    Announcers,
    /// Ids that wait to be announced to one neighbour.
    Announced,
    /// Tips to ask for that reconciliations found at neighbours.
    Fetching,
    /// Tips that one neighbour was asked for after a reconciliation.
    Requested,
    /// Entries that one neighbour lacks, or for which it has no body; or tips that it was told of.
    Bodiless,
    /// Entries of neighbours that are announced to nobody while the mesh is full.
    Spared,
    /// Runs of which entries are missing.
    Wanted,
    /// Ranges that one neighbour was asked for and has not answered.
    Ranges,
    /// Requests of one neighbour that wait to be answered: entries and ranges.
    Serving,
    /// Answers of the store that are awaited for what neighbours asked for.
    Loads,
    /// Bytes of what the store gave for one neighbour and was not sent.
    LoadedBytes,
    /// Budgets of what neighbours are served: of keys or of hosts, whichever are more. The bound is `conns.slots`.
    ServingBudgets,

    /// Remembered lines of peers without a key.
    V1Lines,
    /// Lines of peers without a key that wait to be brought in.
    V1Waiting,
    /// Bytes of the lines that wait to be brought in.
    V1WaitingBytes,
    /// Nodes that one version 1 peer says it is linked to.
    V1Linked,
    /// Version 1 peers that are gone and may still see the end of a connection with this node. The bound is
    /// `conns.slots`.
    V1Lost,
}

impl Capacity {
    /// All capacities, in the order of [`Node::capacities`](crate::Node::capacities).
    pub const ALL: [Self; 62] = [
        Self::Connections,
        Self::Pending,
        Self::Slots,
        Self::PeersWithKey,
        Self::Buffers,
        Self::QueueHard,
        Self::Line,
        Self::Malformed,
        Self::Probes,
        Self::DegreeHigh,
        Self::Dials,
        Self::Book,
        Self::BookPerSource,
        Self::Banned,
        Self::DialBudgets,
        Self::Pins,
        Self::Rates,
        Self::NewAuthors,
        Self::KnownKeys,
        Self::Syncs,
        Self::UncommittedOwn,
        Self::Uncommitted,
        Self::CatchUpBytes,
        Self::LogEntries,
        Self::LogBytes,
        Self::Evicted,
        Self::Floors,
        Self::Forks,
        Self::TipsBytes,
        Self::TipsPerAuthor,
        Self::Spans,
        Self::Early,
        Self::EarlyPerAuthor,
        Self::Parked,
        Self::Authors,
        Self::AuthorsBytes,
        Self::LanesPerAuthor,
        Self::EpochsPerAuthor,
        Self::GapsPerEpoch,
        Self::Names,
        Self::NamesPerAuthor,
        Self::Members,
        Self::Seen,
        Self::AnnouncedMissing,
        Self::AnnouncedMissingPerLink,
        Self::Announcers,
        Self::Announced,
        Self::Fetching,
        Self::Requested,
        Self::Bodiless,
        Self::Spared,
        Self::Wanted,
        Self::Ranges,
        Self::Serving,
        Self::Loads,
        Self::LoadedBytes,
        Self::ServingBudgets,
        Self::V1Lines,
        Self::V1Waiting,
        Self::V1WaitingBytes,
        Self::V1Linked,
        Self::V1Lost,
    ];

    /// The bound under these limits, in the unit of what it counts: items or bytes.
    pub fn bound(self, limits: &Limits) -> usize {
        limits.bound_of(self).unwrap_or_else(|| self.computed_bound(limits))
    }

    /// What each of what it counts is charged, in bytes: about the memory that it takes. It is the same on all machines.
    /// Zero: that is part of another capacity.
    pub fn charge(self, limits: &Limits) -> usize {
        match self {
            // Already bytes.
            Self::Buffers | Self::LogBytes | Self::Parked | Self::AuthorsBytes | Self::V1WaitingBytes => 1,
            Self::TipsBytes
            | Self::UncommittedOwn
            | Self::Uncommitted
            | Self::CatchUpBytes
            | Self::KnownKeys => 1,
            // Bytes of lines. An entry has its texts besides.
            Self::LoadedBytes => 2,
            Self::Wanted => 2 * 1024,
            // With the ids of its last `LINKS` or `PEERS`.
            Self::Slots => 16 * 1024,
            Self::Connections => 2 * 1024,
            Self::Book => 512,
            Self::Dials
            | Self::Banned
            | Self::Rates
            | Self::NewAuthors
            | Self::ServingBudgets
            | Self::Members
            | Self::Pins
            | Self::V1Lost => 256,
            Self::Floors | Self::Names => 512,
            // In three tables.
            Self::DialBudgets => 3 * 128,
            // It holds the ids of all tips.
            Self::Syncs => limits.chat.tips_bytes / 8,
            Self::Spans | Self::Evicted | Self::Fetching | Self::Forks => 256,
            Self::Seen | Self::Announced | Self::Spared | Self::Serving | Self::Bodiless => 128,
            Self::AnnouncedMissing => limits.chat.announcers.saturating_mul(32).saturating_add(256),
            Self::V1Lines => 1280,
            _ => 0,
        }
    }

    /// The bound, where it is not that of one limit.
    fn computed_bound(self, limits: &Limits) -> usize {
        match self {
            Self::Connections => connections(limits),
            Self::PeersWithKey => limits.mesh.degree_high.saturating_add(target_addresses(limits)),
            Self::QueueHard => limits.conns.queue_hard.saturating_add(limits.conns.chunk),
            Self::Line => limits.wire.line,
            Self::Probes => limits.conns.pending,
            Self::Rates => limits.chat.authors,
            Self::NewAuthors | Self::ServingBudgets => limits.conns.slots.max(1),
            Self::Seen => limits.chat.seen.max(1),
            // What the user says at once, if nothing waits, and an entry of a peer without a key.
            Self::UncommittedOwn => (limits.chat.uncommitted_own)
                .max(most_charged(limits.conns.queue / 2))
                .saturating_add(LARGEST_ENTRY),
            Self::LoadedBytes => limits.chat.load_bytes.max(MAX_LINE),
            Self::Uncommitted => limits.chat.uncommitted.saturating_add(LARGEST_ENTRY),
            Self::Announcers => limits.chat.announcers.max(1),
            Self::V1Lost => limits.conns.slots,
            // One limit bounds each of the others.
            _ => usize::MAX,
        }
    }
}

/// More than any entry is charged: its line, its texts once more, and fixed amounts.
const LARGEST_ENTRY: usize = 2 * MAX_LINE + 8 * 1024;

/// The most that entries are charged which are this long by [`Draft::most_bytes`](crate::Draft): of texts of one byte.
pub(crate) fn most_charged(bytes: usize) -> usize {
    bytes.saturating_mul(9) / 4
}

/// The most addresses that the user's targets resolve to.
fn target_addresses(limits: &Limits) -> usize {
    limits.mesh.targets.saturating_mul(MAX_RESOLVED)
}

/// Up to `conns.slots` links, as many that are being closed while others took their slots, the pending connections, the
/// dials under way, and dials of learned addresses that are in the handshake or being closed.
fn connections(limits: &Limits) -> usize {
    let every = limits.mesh.dial_every.as_nanos().max(1);
    let begun = limits.conns.greeting.saturating_add(limits.conns.linger).as_nanos() / every;
    let begun = usize::try_from(begun).unwrap_or(usize::MAX).saturating_add(limits.mesh.dial_burst as usize);
    [
        limits.conns.slots,
        limits.conns.slots,
        limits.conns.pending,
        target_addresses(limits),
        limits.mesh.dials,
    ]
    .into_iter()
    .fold(begun, usize::saturating_add)
}
