//! The events of a node.

use std::net::SocketAddr;
use std::sync::Arc;

use proto_core::{
    Entry, LeaveReason, Member, MemberChange, Message, Name, NodeId, Notice, PeerInfo, Violation,
};

use crate::Origin;
use crate::store::StoreNotice;

/// Something that happened in the network or was sent by this node. Events come in batches, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A peer is linked: from now on it receives messages.
    Joined(Arc<PeerInfo>),
    /// A linked peer changed its name or address.
    Updated(Arc<PeerInfo>),
    /// A peer is no longer linked.
    #[non_exhaustive]
    Left {
        /// Its last known state.
        peer: Arc<PeerInfo>,
        /// The reason.
        reason: LeaveReason,
    },
    /// A message was received. It may contain control characters.
    Message(Message),
    /// A message that this node sent in an earlier run came back from the network.
    Recalled(Message),
    /// This node sent messages, which are on their way to everybody.
    #[non_exhaustive]
    Said {
        /// The entries that contain them, in order.
        entries: Vec<Arc<Entry>>,
        /// Who sent them at this node.
        origin: Origin,
    },
    /// There is news of a member of the network, linked or not.
    #[non_exhaustive]
    Member {
        /// The member.
        member: Arc<Member>,
        /// What is new.
        change: MemberChange,
    },
    /// The user wants to see nothing of a node any more, or wants to see it again.
    #[non_exhaustive]
    Mute {
        /// The node.
        node_id: NodeId,
        /// The name that it was muted by.
        uname: Name,
        /// Whether it is muted now.
        muted: bool,
        /// Where the user asked for it.
        origin: Origin,
    },
    /// Something that the user should know.
    Notice(Notice),
    /// Something about the store that the user should know.
    Store(StoreNotice),
    /// A peer violated the protocol and the node handled it. This is for logs.
    #[non_exhaustive]
    Report {
        /// The peer's address.
        remote: SocketAddr,
        /// The violation.
        violation: Violation,
    },
}
