//! How a connection is secured (SPEC section 19).

use crate::model::{Instant, PublicKey};

/// How a connection is secured, or how far its handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conns) enum Channel {
    /// It is in clear.
    Clear,
    /// Its first byte tells. It may be in clear if `clear`.
    Undecided { clear: bool },
    /// The driver goes on with its handshake, since then.
    Sealing { since: Instant },
    /// It is sealed, and the peer has proven this key.
    Sealed(PublicKey),
}

impl Channel {
    /// The key that the peer proved when the connection was sealed.
    pub(in crate::conns) fn key(self) -> Option<PublicKey> {
        match self {
            Self::Sealed(key) => Some(key),
            Self::Clear | Self::Undecided { .. } | Self::Sealing { .. } => None,
        }
    }

    /// Whether this node may speak first there, in clear.
    pub(in crate::conns) fn may_speak(self) -> bool {
        !matches!(self, Self::Undecided { clear: false } | Self::Sealing { .. })
    }
}
