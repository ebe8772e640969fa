//! Networks: who shares one conversation (SPEC 3.13).

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The id of a network: 16 bytes that follow from its name (SPEC 3.13.1).
///
/// A node belongs to one network. The id of each entry and each signature cover the network's id, so that what is said
/// in one network holds in no other. The network with the empty name is the open one, the default.
///
/// As text it is 22 characters of base64url without padding (RFC 4648 section 5). Serde uses that text, too.
///
/// ```
/// use proto_core::NetworkId;
///
/// let club = NetworkId::named("club");
/// assert_ne!(club, NetworkId::OPEN);
/// assert_eq!(NetworkId::named(""), NetworkId::OPEN);
/// assert_eq!(club.to_string().parse(), Ok(club));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkId([u8; 16]);

impl NetworkId {
    /// The open network: the one with the empty name.
    pub const OPEN: Self = Self([
        0x34, 0xb5, 0x46, 0xcf, 0xab, 0x76, 0xbb, 0x50, 0xb7, 0x67, 0xde, 0x6f, 0xda, 0xd4, 0x59, 0x93,
    ]);

    /// The network with this name: the first 16 bytes of the SHA-256 of a domain string and the name. Names are compared
    /// byte by byte.
    pub fn named(name: &str) -> Self {
        let hash = Sha256::new().chain_update(b"p2p-chat/2 network\0").chain_update(name).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(bytes)
    }

    /// The id with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is the open network.
    pub fn is_open(&self) -> bool {
        *self == Self::OPEN
    }
}

/// The open network.
impl Default for NetworkId {
    fn default() -> Self {
        Self::OPEN
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a network's id: the error of parsing a [`NetworkId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network's id is 22 characters of base64url")]
pub struct NetworkIdError;

impl FromStr for NetworkId {
    type Err = NetworkIdError;

    /// Parses an id.
    ///
    /// # Errors
    /// [`NetworkIdError`], if the text is not 22 characters of base64url.
    fn from_str(text: &str) -> Result<Self, NetworkIdError> {
        super::identity::decode(text).map(Self).ok_or(NetworkIdError)
    }
}

impl TryFrom<String> for NetworkId {
    type Error = NetworkIdError;

    fn try_from(text: String) -> Result<Self, NetworkIdError> {
        text.parse()
    }
}

impl From<NetworkId> for String {
    fn from(network: NetworkId) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_network_is_the_one_with_the_empty_name() {
        assert_eq!(NetworkId::named(""), NetworkId::OPEN);
        assert!(NetworkId::default().is_open());
        assert!(!NetworkId::named("club").is_open());
    }
}
