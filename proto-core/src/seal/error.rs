//! Why a session fails.

use crate::model::PublicKey;

/// Why a [`Session`](super::Session) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The other end proved no key, or another than the expected one. The one that it showed is not proven.
    #[error("the other end has the key {shown}, which was not expected")]
    WrongKey {
        /// The key that the other end showed.
        shown: PublicKey,
    },
    /// The other end does not speak this protocol: the bytes are no TLS 1.3, or it wants other algorithms, another
    /// application protocol, or certificates.
    #[error("the other end does not seal as this protocol does")]
    NotOurs,
    /// The other end ended the session with an alert.
    #[error("the other end refused")]
    Refused,
    /// The handshake is longer than [`MAX_HANDSHAKE`](super::MAX_HANDSHAKE).
    #[error("the handshake is too long")]
    TooLong,
    /// More than [`MAX_IDLE_INPUT`](super::MAX_IDLE_INPUT) came in for too few plain bytes.
    #[error("too many bytes came for too little content")]
    Wasteful,
    /// A record after the handshake was changed on its way, or breaks a rule of TLS.
    #[error("a record cannot be opened")]
    Broken,
    /// The stream ended without the end of the session (`close_notify`).
    #[error("the connection was cut")]
    Truncated,
    /// The operating system gave no randomness.
    #[error("there is no randomness")]
    NoRandomness,
}
