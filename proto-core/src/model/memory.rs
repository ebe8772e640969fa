//! Whom a node knows, as it is kept from one start to the next.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Name, NodeId, PublicKey};

/// Whom a node knows: addresses, the keys that were proven there, and names. [`Node::memory`](crate::Node::memory) gives
/// it, and [`Kept`](crate::Kept) takes it back. It is bounded as those tables are (SPEC 6).
///
/// To a driver, it is a value to write and to read, such as JSON. A part that is absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Memory {
    /// Learned addresses, those where a node was found last first.
    pub addresses: Vec<KnownAddress>,
    /// Who proved a key at an address off loopback.
    pub pins: Vec<KnownPin>,
    /// Names that authors went by: of one name, the key that has it first.
    pub names: Vec<KnownName>,
}

/// A learned address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnownAddress {
    /// The address.
    pub addr: SocketAddr,
    /// The node that was reached there, or is said to be there.
    #[serde(default)]
    pub node_id: Option<NodeId>,
    /// A node was linked there when this was written.
    #[serde(default)]
    pub linked: bool,
    /// When a node was last found there, in milliseconds since the Unix epoch. None: never.
    #[serde(default)]
    pub found_ms: Option<u64>,
}

/// A node has proven its key at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnownPin {
    /// The address.
    pub addr: SocketAddr,
    /// The node.
    pub node_id: NodeId,
    /// When it last proved its key there, in milliseconds since the Unix epoch.
    pub proven_ms: u64,
    /// When the address was last reached sealed, in milliseconds since the Unix epoch. None: never.
    #[serde(default)]
    pub sealed_ms: Option<u64>,
}

/// An author has gone by a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnownName {
    /// The name.
    pub uname: Name,
    /// The author's key.
    pub key: PublicKey,
    /// The author has gone by it for a while.
    #[serde(default)]
    pub settled: bool,
}
