//! The timers of a node.

use serde::{Deserialize, Serialize};

/// What the deadline of [`Node::poll_timeout`](crate::Node::poll_timeout) is for. It is for logs and tests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TimerKind {
    /// `JOIN` is sent to a peer that has sent nothing.
    Greet,
    /// The first byte of a peer is overdue.
    FirstByte,
    /// The `JOIN` of a peer is overdue.
    Greeting,
    /// A version 1 peer is ready for the frames after `JOIN`.
    Settle,
    /// An idle peer is pinged, or sent a blank line.
    Idle,
    /// A neighbour that does not answer counts as silent.
    Silent,
    /// A silent peer is dropped.
    Dead,
    /// A newcomer's claim to the id of a linked peer is decided.
    Claim,
    /// Lines on a new link no longer wait for the end of the old one.
    Handover,
    /// A link with `BYE` no longer waits for the one that replaces it.
    Farewell,
    /// A link that is being closed is aborted.
    Linger,
    /// A link on which nothing was written for too long is dropped.
    Stalled,
    /// The node reads again from a peer that exceeded a rate.
    Resume,
    /// A handshake of a sealed connection has its turn.
    Seal,
    /// The user's messages no longer wait for a full queue.
    Pace,
    /// Entries that were held back are shown.
    Log,
    /// A line of a peer without a key is signed.
    Lines,
    /// An address is due to be dialed.
    Dial,
    /// A maintenance task of the mesh is due.
    Maintenance,
    /// A dial or a resolution times out.
    Connect,
    /// `LINKS` is sent to the neighbours.
    Links,
    /// A claim to be the root is due, a root expires, or tree adverts are sent.
    Tree,
    /// Entries are announced.
    Announce,
    /// Entries are requested.
    Graft,
    /// A reconciliation is due.
    Reconcile,
    /// The node says that it is here, or a member is not heard any more.
    Presence,
}
