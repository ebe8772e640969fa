//! What a node waits for.

use serde::{Deserialize, Serialize};

/// Why [`Node::poll_timeout`](crate::Node::poll_timeout) wants to wake the node; for logs and tests, never to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TimerKind {
    /// A peer that has said nothing is greeted.
    Greet,
    /// A peer must have sent its first byte.
    FirstByte,
    /// A peer must have sent its `JOIN`.
    Greeting,
    /// A version 1 peer can be written to.
    Settle,
    /// An idle peer is pinged, or sent a blank line.
    Idle,
    /// A silent peer is dead.
    Dead,
    /// A newcomer's claim to the id of a peer that is here is settled.
    Claim,
    /// What came in on a new link waits no longer for the end of the old one.
    Handover,
    /// A link on which the peer said `BYE` waits no longer for the one that replaces it.
    Farewell,
    /// A link that is being closed is aborted.
    Linger,
    /// A link that took nothing is cut.
    Stalled,
    /// A link that sent too much is read again.
    Resume,
    /// What is said waits no longer for a full link.
    Pace,
    /// Entries that are held back are shown.
    Log,
    /// What a peer without a key said is brought in as an entry.
    Lines,
    /// An address is due to be dialed.
    Dial,
    /// A link of too many is closed, an unsure address dialed, or a neighbour told of some.
    Maintenance,
    /// A dial or a resolution must have ended.
    Connect,
    /// Neighbours are told whom we are linked to.
    Links,
    /// The eager tree wants something: a claim is due or ends, or neighbours are told of our place.
    Tree,
    /// Entries are announced.
    Announce,
    /// Entries are asked for.
    Graft,
    /// A reconciliation is due.
    Reconcile,
}
