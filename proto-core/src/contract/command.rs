//! Commands: what the application asks a node to do.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ChatText, Entry, Name, PeerAddr, PeerTarget, SayId};

/// A command of the application, for [`Node::command`](crate::Node::command).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Say these lines, in order, to all nodes of the network.
    Say(Vec<ChatText>),
    /// Dial this address until its node is linked, and again whenever that link ends.
    ///
    /// An address that was given before is not given twice. Who is expected there is replaced by whom the latest command
    /// names, and stays where that names nobody.
    Connect(PeerTarget),
    /// Dial this address no more, which [`Connect`](Self::Connect) or the driver gave. A link with its node lasts until one side
    /// closes it.
    Disconnect(PeerAddr),
    /// Report [`Action::Confirmed`](crate::Action::Confirmed) once a peer holds all that this node holds now.
    Confirm,
    /// Change the user's name, and tell the peers.
    Rename(Name),
    /// Tell peers that they can dial the node at this address. It replaces the address of the [`Config`](crate::Config).
    Advertise(SocketAddr),
    /// Send `BYE` to all peers, close all connections, and dial no more. Later commands are refused.
    Shutdown,
}

/// The result of a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done.
    Done,
    /// These entries contain what was said, in order.
    Said(Vec<Arc<Entry>>),
    /// The store is asked to keep what was said, and nothing of it was sent yet. [`Action::Said`](crate::Action::Said) with
    /// this number follows. Only a node with a store answers so.
    Saying(SayId),
}

/// Why a command was refused. The state of the node has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The queue of a peer is full, or the store has too much to commit. [`Action::Ready`](crate::Action::Ready) follows when there is room.
    #[error("too much waits to be sent: try again later")]
    Busy,
    /// The lines take more than half of an output queue.
    #[error("that is too much to say at once")]
    TooMuch,
    /// The user has given [`targets`](crate::MeshLimits::targets) other addresses already.
    #[error("too many peers to dial")]
    TooManyTargets,
    /// The user has not given this address.
    #[error("that address is not dialed")]
    NoSuchTarget,
    /// A node is expected at the address, and the driver cannot seal connections, so nobody can check who is there.
    #[error("connections cannot be sealed here, so nobody can check which node is there")]
    CannotSeal,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}
