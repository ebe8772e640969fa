//! What a node wants done: the actions that its driver carries out, in order.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::wire::ByeCode;
use crate::{ConnId, DialError, DialId, Name, NodeId, PeerAddr, Violation};

/// Something for the driver to do or to pass on, from [`Node::poll_action`](crate::Node::poll_action).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A peer said something.
    Deliver {
        /// Who.
        peer: Arc<PeerInfo>,
        /// What: one line, whose control characters are the reader's to tame.
        text: String,
    },
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

/// A peer that is here, as `GET /peers` shows it: nothing in it changes by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its id; one of ours where a version 1 peer names none.
    pub node_id: NodeId,
    /// Its name, or the start of its id where it has none.
    pub uname: Name,
    /// Where it listens, as far as that is known and an IP address.
    pub listen_addr: Option<SocketAddr>,
    /// The other end of its connection.
    pub remote_addr: SocketAddr,
    /// Whether it speaks version 2.
    pub version: Version,
}

/// Which protocol a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// `JOIN`, `PEERS` and `MSG` alone (SPEC section 2).
    V1,
    /// Its `JOIN` says `"v":2` or more (SPEC section 3).
    V2,
}

/// Why a peer is no longer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveReason {
    /// It said `BYE`.
    Bye,
    /// It is this node that leaves.
    Stopping,
    /// Its connection ended.
    Closed,
    /// Nothing came from it for too long.
    Silent,
    /// It took nothing, or too little, of what it was sent.
    Slow,
    /// It broke a rule.
    Violation,
    /// We made room: all connections, or all memory, were in use.
    NoRoom,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "it left",
            Self::Stopping => "this node is stopping",
            Self::Closed => "the connection ended",
            Self::Silent => "nothing came from it for too long",
            Self::Slow => "it took too little of what it was sent",
            Self::Violation => "it broke a rule",
            Self::NoRoom => "there was no room",
        })
    }
}

/// Something the user should know. Each is told once per target until its state changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// A peer that the user gave cannot be reached yet; it is dialed on.
    Unreachable {
        /// As the user gave it.
        target: PeerAddr,
        /// Of the last attempt.
        reason: DialError,
    },
    /// What answers at an address that the user gave does not speak this protocol; it is dialed on.
    NotAChatNode {
        /// As the user gave it.
        target: PeerAddr,
    },
    /// An address that the user gave is this node's own; it is dialed no more.
    IsSelf {
        /// As the user gave it.
        target: PeerAddr,
    },
    /// A node at an address that the user gave was not taken, or did not take us; it is dialed on.
    TurnedAway {
        /// As the user gave it.
        target: PeerAddr,
        /// Why, in its words or ours; [`ByeCode::Other`] where the connection just ended.
        code: ByeCode,
    },
}
