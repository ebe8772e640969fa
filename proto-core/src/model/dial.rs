//! Dials: where they lead, and how they fail.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{PublicKey, TargetId};

/// A connection that this node dialed, or tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialed {
    pub(crate) addr: SocketAddr,
    /// The address that the user gave and that led there. None: the address was learned from peers.
    pub(crate) target: Option<TargetId>,
}

/// How a connection is to be secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Seal {
    /// Not at all: it is in clear. The node asks for nothing else yet.
    Clear,
    /// Sealed with the node's own key; the peer has to prove `expected`, or any key where that is none.
    Sealed {
        /// The key that the peer must have.
        expected: Option<PublicKey>,
    },
}

/// How many addresses of one name are tried, in their order.
pub const MAX_RESOLVED: usize = 16;

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
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
