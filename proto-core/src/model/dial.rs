//! Dials: where one leads, how it is secured, and why one fails.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Expected, NodeId, TargetId};

/// What this node dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialed {
    pub(crate) addr: SocketAddr,
    /// The address that the user gave and that resolved to `addr`. None: `addr` was learned from peers.
    pub(crate) target: Option<TargetId>,
    /// How long connecting took: a round trip at least.
    pub(crate) took: Duration,
    /// The connection is sealed.
    pub(crate) sealed: bool,
}

/// How a connection is to be secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Seal {
    /// Not at all: it is in clear.
    Clear,
    /// Sealed with the node's own key: the peer has to prove the key that is `expected`, or any key where that is none. A
    /// node asks for it only where its [`Config`](crate::Config) says that the driver can seal.
    Sealed {
        /// Whose key the peer must have.
        expected: Option<Expected>,
    },
}

/// The most addresses of one host name that are dialed, in the resolver's order. Further ones are ignored.
pub const MAX_RESOLVED: usize = 16;

/// Why a resolution or a dial failed, as the driver reports it by [`Input::DialFailed`](crate::Input::DialFailed). The
/// node uses [`TimedOut`](Self::TimedOut) itself after [`MeshLimits::connect`](crate::MeshLimits::connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DialError {
    /// The host name has no address, or the resolver did not answer.
    NotResolved,
    /// The connection was refused: nothing listens there.
    Refused,
    /// There is no route to the address, or the network is down.
    Unreachable,
    /// The address did not answer in time.
    TimedOut,
    /// This machine had no file descriptor, port or memory left.
    NoResources,
    /// A dial that was to be sealed: the node at the other end has another key than the expected one.
    WrongKey {
        /// The id that follows from the key that the other end presented.
        found: NodeId,
    },
    /// A dial that was to be sealed: something is there, but it does not complete the handshake. It sent other bytes or an
    /// alert, speaks another version or application protocol, or closed the connection.
    NotSealed,
    /// Any other reason.
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
            Self::WrongKey { found } => return write!(f, "another node is there: {}", found.short()),
            Self::NotSealed => "what is there does not speak this protocol sealed",
            Self::Other => "the connection failed",
        })
    }
}
