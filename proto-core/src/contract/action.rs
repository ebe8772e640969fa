//! What a node wants done: the actions that its driver carries out, in order.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Notice, Violation};
use crate::model::{ConnId, DialId, Entry, LeaveReason, Marks, Name, NodeId, PeerInfo, Seal};

/// Something for the driver to do or to pass on, from [`Node::poll_action`](crate::Node::poll_action).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// Find the addresses of a name. Answer with [`Input::Resolved`](crate::Input::Resolved) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Resolve {
        /// To be named in the answer.
        dial: DialId,
        /// The name.
        host: String,
        /// The port, for the answer's addresses.
        port: u16,
    },
    /// Open a connection. Answer with [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Dial {
        /// To be named in the answer.
        dial: DialId,
        /// Where to.
        addr: SocketAddr,
        /// How the connection is to be secured.
        seal: Seal,
    },
    /// Give a resolution or dial up; an answer that comes all the same does no harm.
    CancelDial {
        /// The number that the action named.
        dial: DialId,
    },
    /// Write these bytes, whole and in order. Answer with [`Input::Flushed`](crate::Input::Flushed). At most one is
    /// out per connection.
    SendFrame {
        /// On this connection.
        conn: ConnId,
        /// One or more whole frames, or the next part of them.
        bytes: Vec<u8>,
    },
    /// Read no further on this connection until [`Action::ResumeReading`].
    PauseReading {
        /// This connection.
        conn: ConnId,
    },
    /// Read on.
    ResumeReading {
        /// This connection.
        conn: ConnId,
    },
    /// Close gracefully: write what [`Action::SendFrame`] handed over, then end the sending side, read and discard
    /// until the peer's end, and report [`Input::Closed`](crate::Input::Closed). The node sets the time limit: an
    /// [`Action::Abort`] may follow.
    Close {
        /// This connection.
        conn: ConnId,
    },
    /// Drop the connection at once, unwritten bytes with it, and report [`Input::Closed`](crate::Input::Closed).
    Abort {
        /// This connection.
        conn: ConnId,
    },
    /// A peer is here: from now on what is said reaches it.
    RegisterPeer(Arc<PeerInfo>),
    /// A peer that is here changed its name or address, or moved to another connection.
    UpdatePeer(Arc<PeerInfo>),
    /// A peer is no longer here.
    UnregisterPeer {
        /// What was last said of it.
        peer: Arc<PeerInfo>,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody said something.
    Deliver(Message),
    /// After [`CommandError::Busy`](crate::CommandError::Busy): say it again now.
    Ready,
    /// A peer broke a rule. The node has already done what the rule asks for.
    Report {
        /// On this connection, which may be gone by now.
        conn: ConnId,
        /// Where that comes from or leads to.
        remote: SocketAddr,
        /// What it did.
        violation: Violation,
    },
    /// Something the user should know.
    Notice(Notice),
}

/// Something that was said, to be shown. Control characters in it are the reader's to tame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message {
    /// A line of a peer without a key: nobody signed it.
    Line {
        /// Who.
        peer: Arc<PeerInfo>,
        /// What.
        text: String,
    },
    /// An entry, from anywhere in the network.
    Entry {
        /// Who, what and when.
        entry: Arc<Entry>,
        /// What is odd about it.
        marks: Marks,
    },
}

impl Message {
    /// The name of who said it.
    pub fn uname(&self) -> &Name {
        match self {
            Self::Line { peer, .. } => &peer.uname,
            Self::Entry { entry, .. } => entry.via().map_or(entry.uname(), |via| &via.uname),
        }
    }

    /// The id of who said it.
    pub fn node_id(&self) -> NodeId {
        match self {
            Self::Line { peer, .. } => peer.node_id,
            Self::Entry { entry, .. } => entry.via().map_or(entry.author(), |via| via.node_id),
        }
    }

    /// Whether who said it has signed it.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Entry { entry, .. } if entry.via().is_none())
    }

    /// What was said: at least one line.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (line, texts) = match self {
            Self::Line { text, .. } => (Some(text.as_str()), None),
            Self::Entry { entry, .. } => (None, Some(entry.texts())),
        };
        line.into_iter().chain(texts.into_iter().flatten())
    }
}
