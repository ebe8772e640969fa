//! Actions: what a node asks its driver to do.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Notice, Violation};
use crate::model::{
    ConnId, DialId, Entry, LeaveReason, LoadId, Marks, Member, MemberChange, Name, NodeId, PeerInfo, Record,
    SayId, Seal, StoreId, Wanted,
};

/// An action for the driver, from [`Node::poll_action`](crate::Node::poll_action). Actions have to be carried out in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// Resolve a host name. Answer with [`Input::Resolved`](crate::Input::Resolved) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Resolve {
        /// The number to repeat in the answer.
        dial: DialId,
        /// The host name.
        host: String,
        /// The port of the addresses in the answer.
        port: u16,
    },
    /// Open a connection. Answer with [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Dial {
        /// The number to repeat in the answer.
        dial: DialId,
        /// The address to dial.
        addr: SocketAddr,
        /// How the connection is to be secured.
        seal: Seal,
    },
    /// Go on with the handshake that [`Input::Sealing`](crate::Input::Sealing) reported, with the bytes that came first. Answer
    /// with [`Input::Sealed`](crate::Input::Sealed) or [`Input::Closed`](crate::Input::Closed). The node may delay this,
    /// and limits the time of the handshake.
    AcceptSeal {
        /// The connection.
        conn: ConnId,
    },
    /// Give up a resolution or a dial. The node ignores an answer that comes nevertheless.
    CancelDial {
        /// The number of the resolution or dial.
        dial: DialId,
    },
    /// Write all of these bytes, in order. Report [`Input::Flushed`](crate::Input::Flushed) when the operating system has
    /// taken them. The node has one such action under way on each connection.
    SendFrame {
        /// The connection.
        conn: ConnId,
        /// Whole frames, or the next part of a sequence of frames.
        bytes: Vec<u8>,
    },
    /// Stop reading from the connection until [`Action::ResumeReading`].
    PauseReading {
        /// The connection.
        conn: ConnId,
    },
    /// Read from the connection again.
    ResumeReading {
        /// The connection.
        conn: ConnId,
    },
    /// Close the connection gracefully: write what [`Action::SendFrame`] brought, shut down the sending side, discard what
    /// comes in until the peer closes, and report [`Input::Closed`](crate::Input::Closed). The node limits the time of
    /// this: [`Action::Abort`] may follow.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// Drop the connection and its unwritten bytes at once, and report [`Input::Closed`](crate::Input::Closed).
    Abort {
        /// The connection.
        conn: ConnId,
    },
    /// A peer was linked. It receives what is said from now on.
    RegisterPeer(Arc<PeerInfo>),
    /// A linked peer has another name or address, or moved to another connection.
    UpdatePeer(Arc<PeerInfo>),
    /// A peer is no longer linked.
    UnregisterPeer {
        /// The peer, as the last action described it.
        peer: Arc<PeerInfo>,
        /// Why the link ended.
        reason: LeaveReason,
    },
    /// Show a message.
    Deliver(Message),
    /// Keep this, in the order of the numbers. Answer with [`Input::Stored`](crate::Input::Stored) when it is committed.
    ///
    /// The node asks for this, and for [`Load`](Self::Load), only if its [`Config`](crate::Config) says that there is a
    /// store.
    Store {
        /// The number.
        id: StoreId,
        /// What to keep.
        record: Record,
    },
    /// Read entries from the store. Answer with [`Input::Loaded`](crate::Input::Loaded) in any case.
    Load {
        /// The number to repeat in the answer.
        id: LoadId,
        /// Which entries.
        wanted: Wanted,
        /// The most bytes of all entries of the answer, as their headers and bodies count. One entry may go beyond it, if it
        /// is the only one.
        most_bytes: usize,
    },
    /// What a [`Command::Say`](crate::Command::Say) said is on its way.
    Said {
        /// The number from [`Outcome::Saying`](crate::Outcome::Saying).
        id: SayId,
        /// The entries that contain it, in order.
        entries: Vec<Arc<Entry>>,
        /// The store has committed all of them. If not, the store fails, and they are lost if no peer has them when this
        /// node ends.
        stored: bool,
    },
    /// There is news of a member of the network. It comes only if the [`Config`](crate::Config) asks for presence.
    Member {
        /// The member.
        member: Arc<Member>,
        /// What is new.
        change: MemberChange,
    },
    /// What was refused with [`CommandError::Busy`](crate::CommandError::Busy) can be said now.
    Ready,
    /// A peer broke a rule. The node has already reacted; this is for logs.
    Report {
        /// The connection. It may be gone by now.
        conn: ConnId,
        /// The other end of the connection.
        remote: SocketAddr,
        /// The rule that was broken.
        violation: Violation,
    },
    /// Tell the user something.
    Notice(Notice),
    /// A peer holds all that this node held when [`Command::Confirm`](crate::Command::Confirm) came.
    Confirmed,
}

/// A message to show. It can contain control characters: whoever shows it has to escape them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message {
    /// A line from a peer without a key. It is not signed.
    Line {
        /// The peer that sent it.
        peer: Arc<PeerInfo>,
        /// The text.
        text: String,
    },
    /// An entry from a node anywhere in the network.
    Entry {
        /// The entry.
        entry: Arc<Entry>,
        /// What is unusual about it.
        marks: Marks,
    },
}

impl Message {
    /// The name of the node that said it.
    pub fn uname(&self) -> &Name {
        match self {
            Self::Line { peer, .. } => &peer.uname,
            Self::Entry { entry, .. } => entry.via().map_or(entry.uname(), |via| &via.uname),
        }
    }

    /// The id of the node that said it.
    pub fn node_id(&self) -> NodeId {
        match self {
            Self::Line { peer, .. } => peer.node_id,
            Self::Entry { entry, .. } => entry.via().map_or(entry.author(), |via| via.node_id),
        }
    }

    /// Whether the node that said it signed it.
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Entry { entry, .. } if entry.via().is_none())
    }

    /// The lines to show: at least one. Those of an entry that were shown before are left out.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (line, texts) = match self {
            Self::Line { text, .. } => (Some(text.as_str()), None),
            Self::Entry { entry, marks } => (None, Some(marks.repeated.others(entry.texts()))),
        };
        line.into_iter().chain(texts.into_iter().flatten())
    }
}
