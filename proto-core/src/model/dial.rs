//! Dials: where they lead, and how they fail.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::TargetId;

/// A connection that this node dialed, or tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialed {
    pub(crate) addr: SocketAddr,
    /// The address that the user gave and that led there. None: the address was learned from peers.
    pub(crate) target: Option<TargetId>,
}

/// How many addresses of one name are tried, in their order.
pub const MAX_RESOLVED: usize = 16;

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DialError {
    /// The name has no address, or the resolver did not answer.
    NotResolved,
    /// Nobody listens there.
    Refused,
    /// No route to it, or the network is down.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// No descriptor, port or memory was free here.
    NoResources,
    /// Anything else.
    Other,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotResolved => "the name cannot be resolved",
            Self::Refused => "connection refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "no answer in time",
            Self::NoResources => "no resources free here",
            Self::Other => "the connection failed",
        })
    }
}
