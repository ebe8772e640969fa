//! What the mesh wants done.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::model::{ConnId, DialError, DialId, NodeId, PeerAddr};
use crate::wire::ByeCode;

/// Something to be done, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The driver is to find the addresses of a name.
    Resolve { dial: DialId, host: String, port: u16 },
    /// The driver is to dial.
    Dial { dial: DialId, addr: SocketAddr },
    /// The driver is to give a resolution or dial up.
    Cancel(DialId),
    /// The user is to be told something of an address that they gave.
    Target { target: PeerAddr, news: TargetNews },
    /// There is one link too many: this one is to be closed.
    Trim(ConnId),
    /// A peer is to be told of at most so many peers, among them those found elsewhere.
    Tell(ConnId, usize, Vec<(SocketAddr, NodeId)>),
}

/// How an attempt to link what is at an address ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attempt {
    Failed(DialError),
    NotAChatNode,
    TurnedAway(ByeCode),
}

/// What the user is told of an address that they gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TargetNews {
    Failed(Attempt),
    /// It is this node's own.
    IsSelf,
}

/// The node that took or lost a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) node_id: NodeId,
    pub(crate) ip: core::net::IpAddr,
    /// When its address may be dialed again at the earliest.
    pub(crate) again: crate::model::Instant,
    /// How long the link lasted.
    pub(crate) lasted: core::time::Duration,
    /// One side had no room: the other is alive, and not to be dialed again soon.
    pub(crate) full: bool,
    /// It broke a rule: whatever is there is nobody to look for.
    pub(crate) broke: bool,
}

/// What the mesh counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) dials: u64,
    pub(crate) dials_failed: u64,
    pub(crate) turned_away: u64,
    pub(crate) displaced: u64,
    pub(crate) trimmed: u64,
    pub(crate) explored: u64,
    pub(crate) learned: u64,
    pub(crate) passed_over: u64,
}
