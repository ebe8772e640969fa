//! Linked peers.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Name, NodeId, PublicKey, Repeated};

/// What is known of a linked peer. [`Action::UpdatePeer`](crate::Action::UpdatePeer) tells when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The peer's id. For a version 1 peer that names none, a random id that this node chose.
    pub node_id: NodeId,
    /// The peer's name. For a peer that names none, the first 16 hexadecimal digits of its id.
    pub uname: Name,
    /// Where the peer listens, by its own word. None: it does not say so, or does not say an IP address.
    pub listen_addr: Option<SocketAddr>,
    /// The other end of the peer's connection.
    pub remote_addr: SocketAddr,
    /// The protocol version that the peer speaks.
    pub version: Version,
    /// The key that the peer has proven. None: it takes no part in the exchange of entries, and is sent `MSG` lines.
    pub key: Option<PublicKey>,
    /// The peer's connection is sealed.
    #[serde(default)]
    pub sealed: bool,
}

impl PeerInfo {
    /// A version 1 peer that cannot be dialed. Set the fields for any other.
    pub fn new(node_id: NodeId, uname: Name, remote_addr: SocketAddr) -> Self {
        Self {
            node_id,
            uname,
            listen_addr: None,
            remote_addr,
            version: Version::V1,
            key: None,
            sealed: false,
        }
    }
}

/// The protocol version that a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Version {
    /// The peer's `JOIN` has no `"v"`, or one below 2: it knows `JOIN`, `PEERS` and `MSG` only (SPEC section 2).
    V1,
    /// The peer's `JOIN` has a `"v"` of 2 or more (SPEC section 3).
    V2,
}

/// Why a peer is no longer linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The peer sent `BYE`.
    Bye,
    /// This node is shutting down.
    Stopping,
    /// The connection ended.
    Closed,
    /// The peer sent nothing, or left a `PING` unanswered, for too long (SPEC 3.3).
    Silent,
    /// The peer did not take what it was sent, or took it too slowly.
    Slow,
    /// The peer broke a rule.
    Violation,
    /// This node made room: all connection slots, or all buffer memory, were in use.
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

/// What is unusual about an entry that is shown. More than one mark can be set (SPEC 18.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Marks {
    /// Later entries of its author sequence were shown before it.
    pub late: bool,
    /// Its author has signed another entry with the same sequence number in the same epoch.
    pub forked: bool,
    /// It is dated no later than the entry before it in its author sequence.
    pub backdated: bool,
    /// It is dated more than [`ahead`](crate::ChatLimits::ahead) before an entry that was shown before it. It is shown
    /// where it came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub behind: bool,
    /// It is dated before this node began, or came long after its date: show it with its date (SPEC 9.12).
    #[serde(default, skip_serializing_if = "is_false")]
    pub history: bool,
    /// The first catch-up held it back: [`Notice::CaughtUp`](crate::Notice::CaughtUp) follows (SPEC 9.11).
    #[serde(default, skip_serializing_if = "is_false")]
    pub catch_up: bool,
    /// Another key went by the name of its author before, as far as this node remembers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub name_taken: bool,
    /// These of its texts were shown before. The others are to be shown; there is at least one.
    #[serde(default, skip_serializing_if = "Repeated::is_empty")]
    pub repeated: Repeated,
}

/// Whether a mark is absent: Serde leaves rare ones out.
fn is_false(mark: &bool) -> bool {
    !mark
}
