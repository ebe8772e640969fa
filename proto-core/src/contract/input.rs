//! What happens to a node: the inputs that its driver reports.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ConnId, DialError, DialId, PublicKey};

/// Something that happened, for [`Node::handle_input`](crate::Node::handle_input).
///
/// The node ignores what is reported of a connection or a dial that it does not know. The one exception is a
/// [`Connected`](Self::Connected) that nobody waits for: the node answers it with [`Action::Abort`](crate::Action::Abort).
///
/// ```
/// use proto_core::{ConnId, Input};
///
/// let input = Input::received(ConnId(1), b"MSG|hello\n");
/// // Recordings keep inputs that own their bytes.
/// let recorded: Input<'static> = input.into_owned();
/// assert_eq!(recorded, Input::received(ConnId(1), b"MSG|hello\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Input<'a> {
    /// What time it is: at the start, and whenever wall-clock time and `now` have drifted apart by more than half a
    /// second since the last report (sleep, a corrected clock). Nothing else tells the node the date.
    #[non_exhaustive]
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// The listener accepted a connection.
    #[non_exhaustive]
    Accepted {
        /// Its new number.
        conn: ConnId,
        /// Where it comes from.
        remote: SocketAddr,
        /// The key that the peer proved when the connection was sealed. None: the connection is in clear. The node takes no
        /// sealed connections yet and drops one that has a key.
        key: Option<PublicKey>,
    },
    /// [`Action::Resolve`](crate::Action::Resolve) found addresses, best first.
    #[non_exhaustive]
    Resolved {
        /// The number that the action named.
        dial: DialId,
        /// At most [`MAX_RESOLVED`](crate::MAX_RESOLVED) of them count.
        addrs: Vec<SocketAddr>,
    },
    /// [`Action::Dial`](crate::Action::Dial) succeeded.
    #[non_exhaustive]
    Connected {
        /// The number that the action named.
        dial: DialId,
        /// The new connection's number.
        conn: ConnId,
        /// The key that the peer proved when the connection was sealed, as in [`Accepted`](Self::Accepted).
        key: Option<PublicKey>,
    },
    /// [`Action::Dial`](crate::Action::Dial) or [`Action::Resolve`](crate::Action::Resolve) failed.
    #[non_exhaustive]
    DialFailed {
        /// The number that the action named.
        dial: DialId,
        /// Why.
        reason: DialError,
    },
    /// Bytes came, cut anywhere.
    #[non_exhaustive]
    Received {
        /// On this connection.
        conn: ConnId,
        /// In the order of the stream.
        bytes: Cow<'a, [u8]>,
    },
    /// The operating system took some bytes of the last [`Action::SendFrame`](crate::Action::SendFrame), and more are left. A
    /// driver that can tell reports it each time: the node takes a link on which bytes leave for alive, however slow it is.
    #[non_exhaustive]
    Written {
        /// On this connection.
        conn: ConnId,
        /// How many, since the last report. More than are left count as all that are left but one.
        bytes: usize,
    },
    /// All bytes of the last [`Action::SendFrame`](crate::Action::SendFrame) are with the operating system.
    #[non_exhaustive]
    Flushed {
        /// On this connection.
        conn: ConnId,
    },
    /// The connection is gone: its end was read, it failed, or an action to close or abort it is done.
    ///
    /// Reported once for each connection, whoever ended it, and the last thing reported of it.
    #[non_exhaustive]
    Closed {
        /// This connection.
        conn: ConnId,
    },
    /// Time passed. Legal at any time; due when `now` reaches what
    /// [`Node::poll_timeout`](crate::Node::poll_timeout) said.
    Timeout,
}

impl<'a> Input<'a> {
    /// [`WallClock`](Self::WallClock): milliseconds since the Unix epoch.
    pub const fn wall_clock(unix_ms: u64) -> Self {
        Self::WallClock { unix_ms }
    }

    /// [`Accepted`](Self::Accepted), in clear.
    pub const fn accepted(conn: ConnId, remote: SocketAddr) -> Self {
        Self::Accepted { conn, remote, key: None }
    }

    /// [`Resolved`](Self::Resolved): the best address first.
    pub const fn resolved(dial: DialId, addrs: Vec<SocketAddr>) -> Self {
        Self::Resolved { dial, addrs }
    }

    /// [`Connected`](Self::Connected), in clear.
    pub const fn connected(dial: DialId, conn: ConnId) -> Self {
        Self::Connected { dial, conn, key: None }
    }

    /// [`DialFailed`](Self::DialFailed).
    pub const fn dial_failed(dial: DialId, reason: DialError) -> Self {
        Self::DialFailed { dial, reason }
    }

    /// [`Received`](Self::Received): bytes in the order of the stream, cut anywhere.
    pub const fn received(conn: ConnId, bytes: &'a [u8]) -> Self {
        Self::Received { conn, bytes: Cow::Borrowed(bytes) }
    }

    /// [`Written`](Self::Written): so many bytes since the last report.
    pub const fn written(conn: ConnId, bytes: usize) -> Self {
        Self::Written { conn, bytes }
    }

    /// [`Flushed`](Self::Flushed).
    pub const fn flushed(conn: ConnId) -> Self {
        Self::Flushed { conn }
    }

    /// [`Closed`](Self::Closed).
    pub const fn closed(conn: ConnId) -> Self {
        Self::Closed { conn }
    }

    /// The same where the connection is sealed and the peer proved this key. Other inputs stay as they are.
    pub fn sealed_by(mut self, proven: PublicKey) -> Self {
        if let Self::Accepted { key, .. } | Self::Connected { key, .. } = &mut self {
            *key = Some(proven);
        }
        self
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> Input<'static> {
        match self {
            Self::Received { conn, bytes } => Input::Received { conn, bytes: Cow::Owned(bytes.into_owned()) },
            Self::WallClock { unix_ms } => Input::WallClock { unix_ms },
            Self::Accepted { conn, remote, key } => Input::Accepted { conn, remote, key },
            Self::Resolved { dial, addrs } => Input::Resolved { dial, addrs },
            Self::Connected { dial, conn, key } => Input::Connected { dial, conn, key },
            Self::DialFailed { dial, reason } => Input::DialFailed { dial, reason },
            Self::Written { conn, bytes } => Input::Written { conn, bytes },
            Self::Flushed { conn } => Input::Flushed { conn },
            Self::Closed { conn } => Input::Closed { conn },
            Self::Timeout => Input::Timeout,
        }
    }
}
