//! What a node can tell of itself.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use serde::Serialize;

use crate::contract::Stats;
use crate::model::Capacity;
use crate::model::{ConnId, Name, NodeId, PeerInfo, PublicKey};

/// A node at one moment, from [`Node::status`](crate::Node::status): for people and monitors, not for the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Its id.
    pub node_id: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// The name its user goes by.
    pub uname: Name,
    /// Where it can be dialed.
    pub listen_addr: Option<SocketAddr>,
    /// How far its clock is ahead of the others', in milliseconds, if it seems to be wrong.
    pub clock_ahead_ms: Option<i64>,
    /// Its links to peers that are here, in the order of their ids.
    pub links: Vec<LinkStatus>,
    /// Connections that are no links: the greeting is not over, or they are being closed.
    pub pending: usize,
    /// Its address book.
    pub book: BookStatus,
    /// Its place in the eager tree.
    pub tree: TreeStatus,
    /// The entries that it holds.
    pub entries: EntriesStatus,
    /// Entries that are known to be missing, at most [`MAX_GAPS`](Self::MAX_GAPS) of the gaps.
    pub gaps: Vec<GapStatus>,
    /// How full each bounded thing is that others can fill, in the order of [`Capacity::ALL`].
    pub capacities: Vec<CapacityStatus>,
    /// Its counters.
    pub stats: Stats,
}

impl Status {
    /// The most gaps in one status.
    pub const MAX_GAPS: usize = 64;
}

/// One link to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The driver's number of the connection.
    pub conn: ConnId,
    /// The peer.
    pub peer: Arc<PeerInfo>,
    /// How it does, as far as this node can see.
    pub state: LinkState,
    /// Whether this node dialed it.
    pub dialed: bool,
    /// From the last `PING` to its `PONG`.
    pub round_trip: Option<Duration>,
    /// Bytes that wait to be written, those with the driver included.
    pub queued: usize,
    /// What it is to the spreading of entries.
    pub role: LinkRole,
}

impl LinkStatus {
    /// A link of this peer that does well and has nothing to do: the peer dialed, and gets lines.
    pub fn new(conn: ConnId, peer: Arc<PeerInfo>) -> Self {
        let (state, role) = (LinkState::Linked, LinkRole::Lines);
        Self { conn, peer, state, dialed: false, round_trip: None, queued: 0, role }
    }
}

/// How a link does when the node last had an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LinkState {
    /// Nothing is wrong.
    Linked,
    /// The peer was asked whether it is there and has not said a word within [`probe`](crate::ConnLimits::probe): it may be gone. A
    /// version 1 peer cannot be asked.
    Silent,
    /// It takes little or nothing: a chunk has waited to be written for [`patience`](crate::ConnLimits::patience).
    Slow,
}

/// What a link is to the spreading of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LinkRole {
    /// Our parent in the eager tree: entries are pushed both ways.
    Parent,
    /// A child of ours in the eager tree: entries are pushed both ways.
    Child,
    /// Entries are announced to it.
    Announce,
    /// It speaks no entries: it gets lines.
    Lines,
}

/// The address book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BookStatus {
    /// Addresses known.
    pub known: usize,
    /// Of these, linked now.
    pub linked: usize,
    /// Of these, being dialed.
    pub dialing: usize,
}

/// The place in the eager tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TreeStatus {
    /// The root, if there is one.
    pub root: Option<NodeId>,
    /// Links from the root to here; none without a way to it.
    pub distance: Option<u16>,
    /// The neighbour on the way to the root.
    pub parent: Option<NodeId>,
    /// The neighbours whose parent this node is.
    pub children: Vec<NodeId>,
}

/// The entries held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntriesStatus {
    /// In the window.
    pub held: usize,
    /// What they are [charged](crate::Entry::charge), in bytes.
    pub bytes: usize,
    /// What those of new authors are charged, in bytes.
    pub new_bytes: usize,
    /// Of them, held back until those before them come.
    pub early: usize,
    /// Dated too far ahead: parked until they are due.
    pub parked: usize,
    /// Authors known.
    pub authors: usize,
    /// Ids of entries that came lately.
    pub seen: usize,
    /// Known to be elsewhere, by announcements and reconciliations, and asked for in turn.
    pub awaited: usize,
}

/// Entries that are known to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GapStatus {
    /// Their author.
    pub node_id: NodeId,
    /// The author's name.
    pub uname: Name,
    /// The author's run.
    pub epoch: u64,
    /// The first that is missing.
    pub from: u64,
    /// The first behind it that is not.
    pub to: u64,
}

impl GapStatus {
    /// The numbers from `from` to the one before `to` are missing.
    pub fn new(node_id: NodeId, uname: Name, epoch: u64, from: u64, to: u64) -> Self {
        Self { node_id, uname, epoch, from, to }
    }
}

/// How full a bounded thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CapacityStatus {
    /// Which.
    pub capacity: Capacity,
    /// How much is in it.
    pub holds: usize,
    /// The most that can be.
    pub bound: usize,
}
