//! What happens to a node: the inputs that its driver reports.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ConnId, DialError, DialId};

/// Something that happened, for [`Node::handle_input`](crate::Node::handle_input).
///
/// What is reported of a connection or a dial that the node does not know (any more) is ignored, except that a
/// [`Connected`](Self::Connected) nobody waits for is answered by [`Action::Abort`](crate::Action::Abort).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// What time it is: at the start, and whenever wall-clock time and `now` have drifted apart by more than half a
    /// second since the last report (sleep, a corrected clock). Nothing else tells the node the date.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// The listener accepted a connection.
    Accepted {
        /// Its new number.
        conn: ConnId,
        /// Where it comes from.
        remote: SocketAddr,
    },
    /// [`Action::Resolve`](crate::Action::Resolve) found addresses, best first.
    Resolved {
        /// The number that the action named.
        dial: DialId,
        /// At most [`MAX_RESOLVED`] of them count.
        addrs: Vec<SocketAddr>,
    },
    /// [`Action::Dial`](crate::Action::Dial) succeeded.
    Connected {
        /// The number that the action named.
        dial: DialId,
        /// The new connection's number.
        conn: ConnId,
    },
    /// [`Action::Dial`](crate::Action::Dial) or [`Action::Resolve`](crate::Action::Resolve) failed.
    DialFailed {
        /// The number that the action named.
        dial: DialId,
        /// Why.
        reason: DialError,
    },
    /// Bytes came, cut anywhere.
    Received {
        /// On this connection.
        conn: ConnId,
        /// In the order of the stream.
        bytes: &'a [u8],
    },
    /// All bytes of the last [`Action::SendFrame`](crate::Action::SendFrame) are with the operating system.
    Flushed {
        /// On this connection.
        conn: ConnId,
    },
    /// The connection is gone: its end was read, it failed, or an action to close or abort it is done.
    ///
    /// Reported once for each connection, whoever ended it, and the last thing reported of it.
    Closed {
        /// This connection.
        conn: ConnId,
    },
    /// Time passed. Legal at any time; due when `now` reaches what
    /// [`Node::poll_timeout`](crate::Node::poll_timeout) said.
    Timeout,
}

/// An [`Input`] that owns its bytes, for recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Input`")]
pub enum OwnedInput {
    /// See [`Input::WallClock`].
    WallClock { unix_ms: u64 },
    /// See [`Input::Accepted`].
    Accepted { conn: ConnId, remote: SocketAddr },
    /// See [`Input::Resolved`].
    Resolved { dial: DialId, addrs: Vec<SocketAddr> },
    /// See [`Input::Connected`].
    Connected { dial: DialId, conn: ConnId },
    /// See [`Input::DialFailed`].
    DialFailed { dial: DialId, reason: DialError },
    /// See [`Input::Received`].
    Received { conn: ConnId, bytes: Vec<u8> },
    /// See [`Input::Flushed`].
    Flushed { conn: ConnId },
    /// See [`Input::Closed`].
    Closed { conn: ConnId },
    /// See [`Input::Timeout`].
    Timeout,
}

impl OwnedInput {
    /// The borrowed form.
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::WallClock { unix_ms } => Input::WallClock { unix_ms: *unix_ms },
            Self::Accepted { conn, remote } => Input::Accepted { conn: *conn, remote: *remote },
            Self::Resolved { dial, addrs } => Input::Resolved { dial: *dial, addrs: addrs.clone() },
            Self::Connected { dial, conn } => Input::Connected { dial: *dial, conn: *conn },
            Self::DialFailed { dial, reason } => Input::DialFailed { dial: *dial, reason: *reason },
            Self::Received { conn, bytes } => Input::Received { conn: *conn, bytes },
            Self::Flushed { conn } => Input::Flushed { conn: *conn },
            Self::Closed { conn } => Input::Closed { conn: *conn },
            Self::Timeout => Input::Timeout,
        }
    }
}

impl From<&Input<'_>> for OwnedInput {
    fn from(input: &Input<'_>) -> Self {
        match input {
            Input::WallClock { unix_ms } => Self::WallClock { unix_ms: *unix_ms },
            Input::Accepted { conn, remote } => Self::Accepted { conn: *conn, remote: *remote },
            Input::Resolved { dial, addrs } => Self::Resolved { dial: *dial, addrs: addrs.clone() },
            Input::Connected { dial, conn } => Self::Connected { dial: *dial, conn: *conn },
            Input::DialFailed { dial, reason } => Self::DialFailed { dial: *dial, reason: *reason },
            Input::Received { conn, bytes } => Self::Received { conn: *conn, bytes: bytes.to_vec() },
            Input::Flushed { conn } => Self::Flushed { conn: *conn },
            Input::Closed { conn } => Self::Closed { conn: *conn },
            Input::Timeout => Self::Timeout,
        }
    }
}
