//! What a node tells its user.

use std::net::SocketAddr;
use std::sync::Arc;

use proto_core::{Entry, LeaveReason, Message, Notice, PeerInfo, Violation};

use crate::Origin;

/// Something that happened in the network or was said here. Events come in batches, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer is here: from now on what is said reaches it.
    Joined(Arc<PeerInfo>),
    /// A peer that is here changed its name or address.
    Updated(Arc<PeerInfo>),
    /// A peer is gone.
    Left {
        /// What was last known of it.
        peer: Arc<PeerInfo>,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody said something. Its control characters are untamed.
    Message(Message),
    /// Something that was said at this node in an earlier run came back from the network.
    Recalled(Message),
    /// Something was said here and is on its way to everybody.
    Said {
        /// The entries that it is in, in order.
        entries: Vec<Arc<Entry>>,
        /// Who said it here.
        origin: Origin,
    },
    /// Something the user should know.
    Notice(Notice),
    /// A peer broke a rule and the node dealt with it: for logs.
    Report {
        /// Where the connection comes from or leads to.
        remote: SocketAddr,
        /// What the peer did.
        violation: Violation,
    },
}
