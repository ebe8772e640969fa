//! What others can fill, and how far.

use serde::{Deserialize, Serialize};

use crate::model::{Limits, MAX_RESOLVED};

/// A store that grows with what others send. Each has a [bound](Self::bound), at which the rule that its limit names
/// applies ([`Limits`]); [`Node::stores`](crate::Node::stores) tells how much is in each. One that bears the name of a limit
/// has that as its bound, or at least the greater part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capacity {
    /// Connections that the driver holds.
    Connections,
    /// Of them, those accepted whose greeting is not over.
    Pending,
    /// Connections of peers that are here: a version 1 peer may have two.
    Slots,
    /// Peers with a key that are here; the user's targets are dialed beyond the degree. A target whose addresses change may
    /// bring more, within [`Held`](Self::Slots).
    PeersWithKey,
    /// Bytes in the buffers of all connections.
    Buffers,
    /// Bytes in the longest output queue; the last chunk may go over it.
    QueueHard,
    /// Bytes of the longest line that has no end yet.
    Line,
    /// Malformed frames that are held against one connection, at most.
    Malformed,
    /// Peers that one connection is to be asked about, at most: as many as there can be newcomers.
    Probes,

    /// Peers with a key that dialed us, but for those at addresses that the user gave.
    DegreeHigh,
    /// Learned addresses that are being dialed.
    Dials,
    /// Addresses known.
    Book,
    /// Of them, those from one source, at most.
    BookPerSource,
    /// Peers that were cut for breaking rules.
    Banned,

    /// Authors whose rate is watched: as many as those whose order is known.
    Rates,
    /// Reconciliations begun and not over.
    Syncs,
    /// Entries held.
    LogEntries,
    /// Their bytes.
    LogBytes,
    /// Entries evicted that are remembered.
    Evicted,
    /// Entries that wait for those before them.
    Early,
    /// Of one author, at most.
    EarlyPerAuthor,
    /// Entries that are dated too far ahead.
    Parked,
    /// Authors whose order is known.
    Authors,
    /// Epochs of one author, at most.
    EpochsPerAuthor,
    /// Gaps in one epoch, at most.
    GapsPerEpoch,
    /// Ids of entries that came lately.
    Seen,
    /// Entries announced that are not here.
    Missing,
    /// Of them, those that one neighbour announced first, at most.
    MissingPerLink,
    /// Announcers of one of them, at most.
    Announcers,
    /// Ids to be announced to one neighbour, at most.
    Announced,
    /// Entries that reconciliations showed elsewhere.
    Wanted,
    /// Of them, those that one neighbour was asked for, at most.
    Asked,

    /// Lines of version 1 peers that are known when they come again.
    V1Lines,
    /// Of them, those that are yet to be brought in.
    V1Waiting,
    /// Their bytes.
    V1WaitingBytes,
    /// Nodes that one version 1 peer is linked to, at most.
    V1Linked,
    /// Version 1 peers that may yet see the end of a connection with us: as many as can be here.
    V1Lost,
}

impl Capacity {
    /// All of them, in the order in which [`Node::stores`](crate::Node::stores) names them.
    pub const ALL: [Self; 37] = [
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
        Self::Rates,
        Self::Syncs,
        Self::LogEntries,
        Self::LogBytes,
        Self::Evicted,
        Self::Early,
        Self::EarlyPerAuthor,
        Self::Parked,
        Self::Authors,
        Self::EpochsPerAuthor,
        Self::GapsPerEpoch,
        Self::Seen,
        Self::Missing,
        Self::MissingPerLink,
        Self::Announcers,
        Self::Announced,
        Self::Wanted,
        Self::Asked,
        Self::V1Lines,
        Self::V1Waiting,
        Self::V1WaitingBytes,
        Self::V1Linked,
        Self::V1Lost,
    ];

    /// The most that is in it, in what it counts.
    pub fn bound(self, limits: &Limits) -> usize {
        limits.bound_of(self).unwrap_or_else(|| self.computed_bound(limits))
    }

    /// The bound where it is not one limit alone.
    fn computed_bound(self, limits: &Limits) -> usize {
        match self {
            Self::Connections => connections(limits),
            Self::PeersWithKey => limits.mesh.degree_high.saturating_add(of_targets(limits)),
            Self::QueueHard => limits.conns.queue_hard.saturating_add(limits.conns.chunk),
            Self::Line => limits.wire.line,
            Self::Probes => limits.conns.pending,
            Self::Rates => limits.chat.authors,
            Self::Seen => limits.chat.seen.max(1),
            Self::Announcers => limits.chat.announcers.max(1),
            Self::V1Lost => limits.conns.slots,
            // All others are bounded by one limit.
            _ => usize::MAX,
        }
    }
}

/// Each of the user's targets may have so many addresses.
fn of_targets(limits: &Limits) -> usize {
    limits.mesh.targets.saturating_mul(MAX_RESOLVED)
}

/// Links that are being closed linger beside those that took their places, and dials of learned addresses greet while others
/// begin.
fn connections(limits: &Limits) -> usize {
    let every = limits.mesh.dial_every.as_nanos().max(1);
    let begun = limits.conns.greeting.saturating_add(limits.conns.linger).as_nanos() / every;
    let begun = usize::try_from(begun).unwrap_or(usize::MAX).saturating_add(limits.mesh.dial_burst as usize);
    [limits.conns.slots, limits.conns.slots, limits.conns.pending, of_targets(limits), limits.mesh.dials]
        .into_iter()
        .fold(begun, usize::saturating_add)
}
