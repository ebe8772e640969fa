//! Members: the nodes of the network that say that they are here.

use serde::{Deserialize, Serialize};

use super::{Name, NodeId, PublicKey};

/// A node of the network with a key, linked or not, by its own word (SPEC 9.19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Its id.
    pub node_id: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// Its user's name.
    pub uname: Name,
    /// Since when it is here, in milliseconds since the Unix epoch, by its own clock.
    pub since: u64,
    /// When this node last heard that it is here, in milliseconds since the Unix epoch.
    pub heard: u64,
    /// Whether it is here.
    pub state: MemberState,
}

/// Whether a member is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MemberState {
    /// It is.
    Here,
    /// Three times in a row it did not say so when it was due.
    Silent,
    /// It said that it leaves.
    Left,
}

/// What is new about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemberChange {
    /// It was here before this node came.
    Listed,
    /// It came.
    Joined,
    /// It has another name.
    Renamed,
    /// It is heard again, after it was [silent](MemberState::Silent).
    Back,
    /// It is not heard any more.
    Silent,
    /// It left.
    Left,
}

impl Member {
    pub(crate) fn new(key: PublicKey, uname: Name, since: u64, heard: u64, state: MemberState) -> Self {
        Self { node_id: key.node_id(), key, uname, since, heard, state }
    }
}
