//! How a connection is secured (SPEC 3.14).

use crate::model::{Instant, PublicKey};

/// What a handshake under way is charged, in bytes. One that its dialer does not complete takes 21.2 KB (bench `idle`).
const HALF_OPEN: usize = 24 * 1024;

/// How a connection is secured, or how far its handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conns) enum Channel {
    /// It is in clear.
    Clear,
    /// Its first byte tells. It may be in clear if `clear`.
    Undecided { clear: bool },
    /// Its handshake waits for its turn. `expected`: a node was found at its address, or the user gave it.
    Waiting { since: Instant, expected: bool },
    /// Its handshake is under way.
    Sealing { since: Instant, expected: bool },
    /// It is sealed, and the peer has proven this key.
    Sealed(PublicKey),
}

impl Channel {
    /// The key that the peer proved when the connection was sealed.
    pub(in crate::conns) fn key(self) -> Option<PublicKey> {
        match self {
            Self::Sealed(key) => Some(key),
            Self::Clear | Self::Undecided { .. } | Self::Waiting { .. } | Self::Sealing { .. } => None,
        }
    }

    /// Whether it is sealed.
    pub(in crate::conns) fn is_sealed(self) -> bool {
        self.key().is_some()
    }

    /// Whether a node may speak first there, in clear.
    pub(in crate::conns) fn may_be_greeted(self) -> bool {
        matches!(self, Self::Clear | Self::Undecided { clear: true })
    }

    /// Whether frames can be written: it is in clear, or sealed already.
    pub(in crate::conns) fn is_open(self) -> bool {
        matches!(self, Self::Clear | Self::Undecided { clear: true } | Self::Sealed(_))
    }

    /// Whether its handshake is not over, and it comes from where somebody is expected.
    pub(in crate::conns) fn is_expected(self) -> bool {
        matches!(self, Self::Waiting { expected: true, .. } | Self::Sealing { expected: true, .. })
    }

    /// What it is charged, in addition to what it buffers.
    pub(in crate::conns) fn charge(self) -> usize {
        if matches!(self, Self::Sealing { .. }) { HALF_OPEN } else { 0 }
    }
}
