//! What a node wants done: the actions that its driver carries out, in order.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::wire::ByeCode;
use crate::{ChatText, ConnId, DialError, DialId, Entry, Name, NodeId, PeerAddr, PublicKey, Violation};

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
            Self::Line { text, .. } => (Some(text.as_str()), &[][..]),
            Self::Entry { entry, .. } => (None, entry.texts()),
        };
        line.into_iter().chain(texts.iter().map(ChatText::as_str))
    }
}

/// What is odd about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Later ones of its author were shown before it.
    pub late: bool,
    /// Its author has signed another entry with the same number.
    pub forked: bool,
    /// It says that it was said no later than the one before it.
    pub backdated: bool,
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
    /// The key that it has shown to be its own; none: it speaks no entries.
    pub key: Option<PublicKey>,
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

/// Something the user should know. What is told of a target is told once until its state changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Entries of this author are missing; it is shown on without them. They are asked for still, and shown as
    /// [late](Marks::late) ones if they come.
    Gap {
        /// The author's id.
        node_id: NodeId,
        /// The author's name.
        uname: Name,
        /// How many.
        missing: u64,
    },
    /// This node's clock differs from those of most authors heard lately.
    ClockOff {
        /// By so many milliseconds; positive where this clock is ahead.
        ahead_ms: i64,
    },
    /// What was just said has nobody to go to: no peer is here. It goes to those that come.
    Alone,
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
