//! What the mesh asks for, and what it is told of links that ended.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::model::{ConnId, DialError, DialId, Instant, NodeId, PeerAddr, Seal};
use crate::wire::ByeCode;

/// What the mesh asks for. The order of events matters.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The driver resolves a host name.
    Resolve { dial: DialId, host: String, port: u16 },
    /// The driver dials an address.
    Dial { dial: DialId, addr: SocketAddr, seal: Seal },
    /// The driver gives up a resolution or a dial.
    Cancel(DialId),
    /// The user is notified about an address that they gave.
    Target { target: PeerAddr, notice: TargetNotice },
    /// Another node than the expected one is at an address. `given`: the user named the expected one.
    WrongKey { target: PeerAddr, expected: NodeId, found: NodeId, given: bool },
    /// This link is closed, because the node has too many.
    Trim(ConnId),
    /// A peer is sent `PEERS` with at most this many entries. The addresses are candidates from the address book.
    SendPeers(ConnId, usize, Vec<(SocketAddr, NodeId)>),
}

/// Why an attempt to link with the node at an address failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LinkFailure {
    /// There was no connection.
    Dial(DialError),
    /// What answers there does not speak the protocol.
    NotAChatNode,
    /// The node there sent `BYE` with this code.
    TurnedAway(ByeCode),
}

/// What the user is notified of about an address that they gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TargetNotice {
    /// The attempt failed. More attempts follow.
    Failed(LinkFailure),
    /// The address leads to this node itself.
    IsSelf,
}

/// A link that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disconnect {
    /// The peer.
    pub(crate) node_id: NodeId,
    /// The other end of the connection.
    pub(crate) ip: IpAddr,
    /// The earliest time at which the peer's address may be dialed again.
    pub(crate) redial_after: Instant,
    /// How long the link lasted.
    pub(crate) lasted: Duration,
    /// One side had no free slot. The peer is alive, and there is no hurry to dial it again.
    pub(crate) full: bool,
    /// The peer is linked to another node with this node's key.
    pub(crate) taken: bool,
    /// The peer broke a rule.
    pub(crate) violation: bool,
}

/// The mesh's counters, each from the start of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) dials: u64,
    pub(crate) dials_failed: u64,
    pub(crate) turned_away: u64,
    pub(crate) displaced: u64,
    pub(crate) trimmed: u64,
    pub(crate) explored: u64,
    pub(crate) learned: u64,
    pub(crate) addresses_ignored: u64,
    pub(crate) dials_postponed: u64,
    pub(crate) wrong_keys: u64,
}

impl From<DialError> for LinkFailure {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}
