//! What the application asks of a node.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ChatText, Entry, Name, PeerAddr};

/// Something the application wants, for [`Node::command`](crate::Node::command).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Say these lines, in order, to everybody in the network.
    Say(Vec<ChatText>),
    /// Dial this address until it is linked, and again whenever the link is lost.
    Connect(PeerAddr),
    /// Take another name and tell the peers.
    Rename(Name),
    /// Peers can dial the node there from now on: tell them. It replaces the address of the [`Config`](crate::Config).
    Advertise(SocketAddr),
    /// Say `BYE` to everybody, close every connection and dial no more. Nothing is taken after that.
    Shutdown,
}

/// A command was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing more is to be said of it.
    Done,
    /// What was said is in these entries now, in order.
    Said(Vec<Arc<Entry>>),
}

/// A command was refused; the node is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A peer takes what is said, but more slowly than it is said. [`Action::Ready`](crate::Action::Ready) follows.
    #[error("the peers take what is said more slowly than it is said: try again later")]
    Busy,
    /// More at once than half an output queue holds.
    #[error("that is too much to say at once")]
    TooMuch,
    /// As many addresses as a node dials for its user are there already.
    #[error("too many peers to dial")]
    TooManyTargets,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}
