//! Inputs: what a driver reports to a node.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ConnId, DialError, DialId, LoadId, Loaded, PublicKey, StoreChange, StoreId};

/// Something that happened, for [`Node::handle_input`](crate::Node::handle_input).
///
/// The node ignores inputs about connections and dials that it does not know. There is one exception: it answers an
/// unexpected [`Connected`](Self::Connected) with [`Action::Abort`](crate::Action::Abort).
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
    /// The wall-clock time. The driver reports it at the start, and again when the wall clock and `now` have drifted apart
    /// by more than half a second since the last report, because the machine slept or the clock was set.
    #[non_exhaustive]
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// The listener accepted a connection.
    #[non_exhaustive]
    Accepted {
        /// The number of the new connection.
        conn: ConnId,
        /// The other end of the connection.
        remote: SocketAddr,
        /// The key that the peer has proven, if something beneath this node sealed the connection already. None: the
        /// connection is in clear, or [`Sealing`](Self::Sealing) follows.
        key: Option<PublicKey>,
    },
    /// The first byte of an accepted connection opens a TLS handshake (`0x16`). The driver reads nothing more until
    /// [`Action::AcceptSeal`](crate::Action::AcceptSeal) comes for it.
    #[non_exhaustive]
    Sealing {
        /// The connection.
        conn: ConnId,
    },
    /// The handshake that [`Action::AcceptSeal`](crate::Action::AcceptSeal) began is complete. Bytes that are reported from
    /// now on came out of the seal. The driver reports a handshake that failed by [`Closed`](Self::Closed).
    #[non_exhaustive]
    Sealed {
        /// The connection.
        conn: ConnId,
        /// The key that the peer has proven.
        key: PublicKey,
    },
    /// [`Action::Resolve`](crate::Action::Resolve) succeeded.
    #[non_exhaustive]
    Resolved {
        /// The number from the action.
        dial: DialId,
        /// The addresses, the best one first. The node uses the first [`MAX_RESOLVED`](crate::MAX_RESOLVED).
        addrs: Vec<SocketAddr>,
    },
    /// [`Action::Dial`](crate::Action::Dial) succeeded, and with it the handshake, if the connection was to be sealed.
    #[non_exhaustive]
    Connected {
        /// The number from the action.
        dial: DialId,
        /// The number of the new connection.
        conn: ConnId,
        /// The key that the peer proved when the connection was sealed. None: the connection is in clear.
        key: Option<PublicKey>,
    },
    /// [`Action::Dial`](crate::Action::Dial) or [`Action::Resolve`](crate::Action::Resolve) failed.
    #[non_exhaustive]
    DialFailed {
        /// The number from the action.
        dial: DialId,
        /// Why it failed.
        reason: DialError,
    },
    /// Bytes came in. They can be cut anywhere.
    #[non_exhaustive]
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, in the order of the stream.
        bytes: Cow<'a, [u8]>,
    },
    /// The operating system took some bytes of the last [`Action::SendFrame`](crate::Action::SendFrame), and more are left. A
    /// driver should report it each time, so that the node does not take a slow link for a dead one.
    #[non_exhaustive]
    Written {
        /// The connection.
        conn: ConnId,
        /// The number of bytes since the last report. A number that is too large counts as all bytes that are left but one.
        bytes: usize,
    },
    /// The operating system took all bytes of the last [`Action::SendFrame`](crate::Action::SendFrame).
    #[non_exhaustive]
    Flushed {
        /// The connection.
        conn: ConnId,
    },
    /// The connection is gone: the peer closed it, it failed, or the driver closed or aborted it.
    ///
    /// The driver reports this once for each connection, as the last input about it.
    #[non_exhaustive]
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// The store has committed everything up to this number. One that is no news does no harm.
    #[non_exhaustive]
    Stored {
        /// The number of the last record.
        through: StoreId,
    },
    /// The store cannot write. What was not reported as [`Stored`](Self::Stored) is not kept, and nothing will be until
    /// [`StoreWorks`](Self::StoreWorks). The driver reports nothing as stored in between.
    StoreFailed,
    /// The store can write again. It works when the node begins.
    StoreWorks,
    /// The store does not have any more what it had. The node asks its peers for what is missing then.
    #[non_exhaustive]
    StoreChanged {
        /// What changed.
        change: StoreChange,
    },
    /// The answer to [`Action::Load`](crate::Action::Load).
    #[non_exhaustive]
    Loaded {
        /// The number from the action.
        id: LoadId,
        /// What was read. Nothing: the store has nothing of it, or cannot read it.
        entries: Vec<Loaded>,
    },
    /// Time passed. It is due when `now` reaches the deadline of
    /// [`Node::poll_timeout`](crate::Node::poll_timeout), and does no harm at any other time.
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

    /// [`Sealing`](Self::Sealing).
    pub const fn sealing(conn: ConnId) -> Self {
        Self::Sealing { conn }
    }

    /// [`Sealed`](Self::Sealed): the peer has proven this key.
    pub const fn sealed(conn: ConnId, key: PublicKey) -> Self {
        Self::Sealed { conn, key }
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

    /// [`Stored`](Self::Stored): everything up to this number.
    pub const fn stored(through: StoreId) -> Self {
        Self::Stored { through }
    }

    /// [`StoreChanged`](Self::StoreChanged).
    pub const fn store_changed(change: StoreChange) -> Self {
        Self::StoreChanged { change }
    }

    /// [`Loaded`](Self::Loaded).
    pub const fn loaded(id: LoadId, entries: Vec<Loaded>) -> Self {
        Self::Loaded { id, entries }
    }

    /// Changes [`Accepted`](Self::Accepted) and [`Connected`](Self::Connected) to a sealed connection whose peer proved this
    /// key. Other inputs do not change.
    pub fn sealed_by(mut self, proven: PublicKey) -> Self {
        if let Self::Accepted { key, .. } | Self::Connected { key, .. } = &mut self {
            *key = Some(proven);
        }
        self
    }

    /// The same input, which owns its bytes.
    pub fn into_owned(self) -> Input<'static> {
        match self {
            Self::Received { conn, bytes } => Input::Received { conn, bytes: Cow::Owned(bytes.into_owned()) },
            Self::WallClock { unix_ms } => Input::WallClock { unix_ms },
            Self::Accepted { conn, remote, key } => Input::Accepted { conn, remote, key },
            Self::Sealing { conn } => Input::Sealing { conn },
            Self::Sealed { conn, key } => Input::Sealed { conn, key },
            Self::Resolved { dial, addrs } => Input::Resolved { dial, addrs },
            Self::Connected { dial, conn, key } => Input::Connected { dial, conn, key },
            Self::DialFailed { dial, reason } => Input::DialFailed { dial, reason },
            Self::Written { conn, bytes } => Input::Written { conn, bytes },
            Self::Flushed { conn } => Input::Flushed { conn },
            Self::Closed { conn } => Input::Closed { conn },
            Self::Stored { through } => Input::Stored { through },
            Self::StoreFailed => Input::StoreFailed,
            Self::StoreWorks => Input::StoreWorks,
            Self::StoreChanged { change } => Input::StoreChanged { change },
            Self::Loaded { id, entries } => Input::Loaded { id, entries },
            Self::Timeout => Input::Timeout,
        }
    }
}
