//! A peer that is here.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Name, NodeId, PublicKey};

/// A peer that is here, as `GET /peers` shows it: nothing in it changes by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

impl PeerInfo {
    /// A version 1 peer that cannot be dialed. Set the fields for any other.
    pub fn new(node_id: NodeId, uname: Name, remote_addr: SocketAddr) -> Self {
        Self { node_id, uname, listen_addr: None, remote_addr, version: Version::V1, key: None }
    }
}

/// Which protocol a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Version {
    /// `JOIN`, `PEERS` and `MSG` alone (SPEC section 2).
    V1,
    /// Its `JOIN` says `"v":2` or more (SPEC section 3).
    V2,
}

/// Why a peer is no longer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

/// What is odd about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Marks {
    /// Later ones of its author were shown before it.
    pub late: bool,
    /// Its author has signed another entry with the same number.
    pub forked: bool,
    /// It says that it was said no later than the one before it.
    pub backdated: bool,
}
