//! Sealed connections (SPEC 22): TLS 1.3 between socket bytes and a [`Node`](crate::Node), without I/O.
//!
//! A [`Sealer`] holds a node's key. It makes a [`Session`] for each connection. The driver gives a session what comes in
//! from the socket, and gives its plain bytes to the node. It gives the frames of the node to the session, and writes
//! what comes out:
//!
//! ```
//! use proto_core::Identity;
//! use proto_core::seal::{SealError, Sealer, Session};
//!
//! # fn main() -> Result<(), SealError> {
//! let [alice, bob] = [[1; 32], [2; 32]].map(|secret| Identity::from_secret(&secret));
//! let mut dialed = Sealer::new(&alice).dial(None)?;
//! let mut accepted = Sealer::new(&bob).accept()?;
//!
//! /// Brings what one session has to say to the other.
//! fn carry(from: &mut Session, to: &mut Session) -> Result<Vec<u8>, SealError> {
//!     let (mut wire, mut plain) = (Vec::new(), Vec::new());
//!     while from.has_output() {
//!         from.write_to(&mut wire).map_err(|_| SealError::Broken)?;
//!     }
//!     to.receive(&wire, &mut plain)?;
//!     Ok(plain)
//! }
//! while dialed.peer().is_none() || accepted.peer().is_none() {
//!     carry(&mut dialed, &mut accepted)?;
//!     carry(&mut accepted, &mut dialed)?;
//! }
//! assert_eq!((dialed.peer(), accepted.peer()), (Some(bob.key()), Some(alice.key())));
//! assert_eq!(dialed.seal(b"JOIN|{}\n"), 8);
//! assert_eq!(carry(&mut dialed, &mut accepted)?, b"JOIN|{}\n");
//! # Ok(())
//! # }
//! ```
//!
//! The randomness and the ephemeral keys of TLS come from the operating system. So the bytes of two sessions differ, but
//! their numbers and lengths do not.

mod config;
mod error;
mod keys;
mod session;

#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

pub use self::error::SealError;
pub use self::session::{MAX_HANDSHAKE, MAX_IDLE_INPUT, MAX_PIECE, MAX_SEALED, OVERHEAD, Session};
use crate::model::{Expected, Identity};

/// The application protocol that both ends must name (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"p2p-chat/2";

/// Whether a connection whose first byte this is opens a TLS handshake: it is the content type of the first record (RFC
/// 8446 section 5.1). No frame begins with it.
pub const fn opens_handshake(first_byte: u8) -> bool {
    first_byte == 0x16
}

/// Makes the sessions of one node.
#[derive(Clone, Debug)]
pub struct Sealer {
    identity: Identity,
    dial: Arc<ClientConfig>,
    accept: Arc<ServerConfig>,
}

impl Sealer {
    /// Seals with this key.
    pub fn new(identity: &Identity) -> Self {
        let provider = config::provider();
        Self {
            identity: identity.clone(),
            dial: Arc::new(config::client(identity, &provider, None)),
            accept: Arc::new(config::server(identity, &provider)),
        }
    }

    /// The session of a connection that this node dialed. It has output at once. If a key is expected and the other end
    /// has another, the session fails before it says anything of this node.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`], if the operating system gives no randomness.
    pub fn dial(&self, expected: Option<Expected>) -> Result<Session, SealError> {
        let config = match expected {
            None => Arc::clone(&self.dial),
            Some(_) => Arc::new(config::client(&self.identity, self.dial.crypto_provider(), expected)),
        };
        Session::dialed(config)
    }

    /// The session of a connection that this node accepted. The first byte that it receives should be one that
    /// [`opens_handshake`].
    ///
    /// # Errors
    /// [`SealError::NoRandomness`], if the operating system gives no randomness.
    pub fn accept(&self) -> Result<Session, SealError> {
        Session::accepted(Arc::clone(&self.accept))
    }
}
