//! The status of a node.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use serde::Serialize;

use crate::contract::Stats;
use crate::model::Capacity;
use crate::model::{ConnId, DialError, Name, NodeId, PeerAddr, PeerInfo, PublicKey};
use crate::wire::ByeCode;

/// The state of a node, from [`Node::status`](crate::Node::status), for people and monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The node's id.
    pub node_id: NodeId,
    /// The node's key.
    pub key: PublicKey,
    /// The user's name.
    pub uname: Name,
    /// Where the node can be dialed. None: it cannot be.
    pub listen_addr: Option<SocketAddr>,
    /// How far the node's clock is ahead of its neighbours' clocks, in milliseconds. None: it seems to be right.
    pub clock_ahead_ms: Option<i64>,
    /// With how many clocks it was compared. 0: it seems to be right.
    pub clocks: usize,
    /// The links, in the order of the peers' ids.
    pub links: Vec<LinkStatus>,
    /// Connections that are not links: their handshake is not over, or they are being closed.
    pub pending: usize,
    /// The addresses that the user gave, in their order.
    pub targets: Vec<TargetStatus>,
    /// The address book.
    pub book: BookStatus,
    /// The position in the eager tree.
    pub tree: TreeStatus,
    /// The entries that the node holds.
    pub entries: EntriesStatus,
    /// Gaps: entries that are known to be missing. At most [`MAX_GAPS`](Self::MAX_GAPS).
    pub gaps: Vec<GapStatus>,
    /// How full each bounded collection is, in the order of [`Capacity::ALL`].
    pub capacities: Vec<CapacityStatus>,
    /// The counters.
    pub stats: Stats,
}

impl Status {
    /// The most gaps in one status.
    pub const MAX_GAPS: usize = 64;
}

/// A link with a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The driver's number of the connection.
    pub conn: ConnId,
    /// The peer.
    pub peer: Arc<PeerInfo>,
    /// Whether the link works.
    pub state: LinkState,
    /// Whether this node dialed it.
    pub dialed: bool,
    /// The time from the last `PING` to its `PONG`.
    pub round_trip: Option<Duration>,
    /// Bytes that wait to be written, including those that the driver has.
    pub queued: usize,
    /// The peer's role in spreading entries.
    pub role: LinkRole,
}

impl LinkStatus {
    /// A working, idle link with a peer that dialed this node and receives lines.
    pub fn new(conn: ConnId, peer: Arc<PeerInfo>) -> Self {
        let (state, role) = (LinkState::Linked, LinkRole::Lines);
        Self { conn, peer, state, dialed: false, round_trip: None, queued: 0, role }
    }
}

/// Whether a link works, as of the last input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LinkState {
    /// It works.
    Linked,
    /// The peer has not answered a `PING` within [`probe`](crate::ConnLimits::probe), and may be gone. A version 1 peer cannot
    /// be pinged.
    Silent,
    /// The peer receives slowly: a chunk has waited to be written for [`patience`](crate::ConnLimits::patience).
    Slow,
}

/// A peer's role in spreading entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LinkRole {
    /// It is the parent in the eager tree. Both sides push entries.
    Parent,
    /// It is a child in the eager tree. Both sides push entries.
    Child,
    /// It is sent announcements of entries.
    Announce,
    /// It has no key and is sent lines.
    Lines,
}

/// An address that the user gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TargetStatus {
    /// The address, as the user gave it.
    pub addr: PeerAddr,
    /// What is done about it.
    pub state: TargetState,
    /// Why the last attempt failed, since a node was linked there.
    pub failure: Option<TargetFailure>,
}

impl TargetStatus {
    /// An address in this state, at which no attempt failed.
    pub fn new(addr: PeerAddr, state: TargetState) -> Self {
        Self { addr, state, failure: None }
    }

    /// The node there, if it is linked.
    pub fn linked(&self) -> Option<NodeId> {
        match self.state {
            TargetState::Linked(node_id) => Some(node_id),
            _ => None,
        }
    }
}

/// What is done about an address that the user gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TargetState {
    /// It is dialed after this time.
    Waiting(Duration),
    /// It is being dialed.
    Dialing,
    /// This node is linked there.
    Linked(NodeId),
    /// It leads to this node itself, and is not dialed.
    Own,
}

/// Why an attempt to link with the node at an address failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TargetFailure {
    /// There was no connection.
    Unreachable(DialError),
    /// What answers there does not speak the protocol.
    NotAChatNode,
    /// The node there sent `BYE` with this code.
    TurnedAway(ByeCode),
}

/// The address book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BookStatus {
    /// The number of known addresses.
    pub known: usize,
    /// Those whose node is linked.
    pub linked: usize,
    /// Those that are being dialed.
    pub dialing: usize,
}

/// The position in the eager tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TreeStatus {
    /// The root. None: there is none.
    pub root: Option<NodeId>,
    /// The distance from the root, in links. None: no path to it is known.
    pub distance: Option<u16>,
    /// The next neighbour on the path to the root.
    pub parent: Option<NodeId>,
    /// The neighbours that have this node as their parent.
    pub children: Vec<NodeId>,
}

/// How many entries a node holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntriesStatus {
    /// Entries in the window.
    pub held: usize,
    /// What they are [charged](crate::Entry::charge), in bytes.
    pub bytes: usize,
    /// What the entries of new authors are charged, in bytes.
    pub new_bytes: usize,
    /// Entries in the window that wait for earlier ones of their author.
    pub early: usize,
    /// Entries that are dated too far ahead, and wait until they are due.
    pub parked: usize,
    /// Authors whose sequences are known.
    pub authors: usize,
    /// Ids of entries that came recently.
    pub seen: usize,
    /// Entries that neighbours hold and this node lacks.
    pub awaited: usize,
}

/// Entries of one author that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GapStatus {
    /// The author's id.
    pub node_id: NodeId,
    /// The author's name.
    pub uname: Name,
    /// The author's epoch.
    pub epoch: u64,
    /// The first sequence number that is missing.
    pub from: u64,
    /// The first one after it that is not missing.
    pub to: u64,
}

impl GapStatus {
    /// A gap from the sequence number `from` up to the one before `to`.
    pub fn new(node_id: NodeId, uname: Name, epoch: u64, from: u64, to: u64) -> Self {
        Self { node_id, uname, epoch, from, to }
    }
}

/// How full a bounded collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CapacityStatus {
    /// The collection.
    pub capacity: Capacity,
    /// How much is in it, in the unit of its limit.
    pub holds: usize,
    /// The most that can be in it.
    pub bound: usize,
}
