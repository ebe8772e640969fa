//! Whom a sealed connection has to reach, and the addresses that the user gives with it.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{NodeId, PeerAddr, PeerAddrError, PublicKey};

/// An address that the user gives, and the node that has to be there, if the user says so.
///
/// As text it is a [`PeerAddr`], with an [`Expected`] and `@` before it where one is given. Serde uses that text, too.
///
/// ```
/// use proto_core::{Expected, Identity, PeerTarget};
///
/// let id = Identity::from_secret(&[42; 32]).node_id();
/// let target: PeerTarget = format!("{id}@example.org:8080").parse()?;
/// assert_eq!(target.addr, "example.org:8080".parse()?);
/// assert_eq!(target.expected, Some(Expected::Id(id)));
/// assert_eq!("example.org:8080".parse::<PeerTarget>()?.expected, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerTarget {
    /// Where to dial.
    pub addr: PeerAddr,
    /// Who has to be there. The connection is sealed, and the key is checked in the handshake. None: anybody.
    pub expected: Option<Expected>,
}

impl From<PeerAddr> for PeerTarget {
    fn from(addr: PeerAddr) -> Self {
        Self { addr, expected: None }
    }
}

impl From<SocketAddr> for PeerTarget {
    fn from(addr: SocketAddr) -> Self {
        PeerAddr::from(addr).into()
    }
}

/// Why a text is not a [`PeerTarget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerTargetError {
    /// What stands before the `@` names no node.
    #[error(transparent)]
    Expected(#[from] ExpectedError),
    /// The address cannot be read.
    #[error(transparent)]
    Addr(#[from] PeerAddrError),
}

impl FromStr for PeerTarget {
    type Err = PeerTargetError;

    /// Parses an address, or a node and its address.
    ///
    /// # Errors
    /// [`PeerTargetError`] says which part is wrong.
    fn from_str(text: &str) -> Result<Self, PeerTargetError> {
        let (expected, addr) = match text.split_once('@') {
            Some((expected, addr)) => (Some(expected.parse()?), addr),
            None => (None, text),
        };
        Ok(Self { addr: addr.parse()?, expected })
    }
}

impl TryFrom<String> for PeerTarget {
    type Error = PeerTargetError;

    fn try_from(text: String) -> Result<Self, PeerTargetError> {
        text.parse()
    }
}

impl From<PeerTarget> for String {
    fn from(target: PeerTarget) -> Self {
        alloc::format!("{target}")
    }
}

impl fmt::Display for PeerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(expected) => write!(f, "{expected}@{}", self.addr),
            None => self.addr.fmt(f),
        }
    }
}

/// The node that a sealed dial has to reach.
///
/// As text it is a key or the id of one: 43 characters of base64url or 64 hexadecimal digits for a key, a UUID of
/// version 8 for an id.
///
/// ```
/// use proto_core::{Expected, Identity};
///
/// let key = Identity::from_secret(&[42; 32]).key();
/// let expected: Expected = key.node_id().to_string().parse()?;
/// assert_eq!(expected, Expected::Id(key.node_id()));
/// assert!(expected.matches(&key));
/// assert!(!expected.matches(&Identity::from_secret(&[43; 32]).key()));
/// # Ok::<(), proto_core::ExpectedError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Expected {
    /// The node with this key.
    Key(PublicKey),
    /// The node with this id, which follows from its key.
    Id(NodeId),
}

impl Expected {
    /// Whether this is the key of that node.
    pub fn matches(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(expected) => expected == key,
            Self::Id(expected) => *expected == key.node_id(),
        }
    }

    /// The id of that node.
    pub fn node_id(&self) -> NodeId {
        match self {
            Self::Key(key) => key.node_id(),
            Self::Id(node_id) => *node_id,
        }
    }
}

/// The text names no node that could be expected: the error of parsing an [`Expected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node is named by its whole id, a UUID of version 8, or by its key: 64 hexadecimal digits")]
pub struct ExpectedError;

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Id(node_id) => node_id.fmt(f),
        }
    }
}

impl FromStr for Expected {
    type Err = ExpectedError;

    /// Parses a key or the id of one.
    ///
    /// # Errors
    /// [`ExpectedError`], if the text is neither, or is an id that follows from no key.
    fn from_str(text: &str) -> Result<Self, ExpectedError> {
        if let Some(bytes) = hex_key(text) {
            return PublicKey::from_bytes(&bytes).map(Self::Key).map_err(|_| ExpectedError);
        }
        if let Ok(key) = text.parse() {
            return Ok(Self::Key(key));
        }
        let id = text.parse().ok().filter(NodeId::is_of_key);
        id.map(Self::Id).ok_or(ExpectedError)
    }
}

/// The bytes that 64 hexadecimal digits stand for.
fn hex_key(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::string::{String, ToString};

    use super::*;
    use crate::Identity;

    #[test]
    fn a_node_is_expected_by_its_id_or_by_its_key() {
        let [key, other] = [1, 2].map(|n| Identity::from_secret(&[n; 32]).key());
        let hex: String = key.as_bytes().iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        for (text, expected) in [
            (key.to_string(), Expected::Key(key)),
            (hex.clone(), Expected::Key(key)),
            (hex.to_uppercase(), Expected::Key(key)),
            (key.node_id().to_string(), Expected::Id(key.node_id())),
            (key.node_id().to_string().replace('-', ""), Expected::Id(key.node_id())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert!(expected.matches(&key) && !expected.matches(&other), "{text}");
            assert_eq!(expected.node_id(), key.node_id());
        }
        // An id that no key has can never be reached. A part of an id may be that of another node.
        let random = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let short = key.node_id().short().to_string();
        for text in [random, &short, &hex[..62], &alloc::format!("{hex}00"), &"0".repeat(64), "", "bob"] {
            assert_eq!(text.parse::<Expected>(), Err(ExpectedError), "{text}");
        }
    }

    #[test]
    fn a_target_is_parsed_and_written_in_the_same_form() {
        let key = Identity::from_secret(&[1; 32]).key();
        for text in [
            "127.0.0.1:8080".to_owned(),
            alloc::format!("{}@[::1]:8080", key.node_id()),
            alloc::format!("{key}@example.org:1"),
        ] {
            assert_eq!(text.parse::<PeerTarget>().map(String::from), Ok(text));
        }
        let error = |text: &str| text.parse::<PeerTarget>().unwrap_err();
        assert_eq!(error("bob@127.0.0.1:1"), PeerTargetError::Expected(ExpectedError));
        assert_eq!(error("@127.0.0.1:1"), PeerTargetError::Expected(ExpectedError));
        assert_eq!(error(&alloc::format!("{key}@127.0.0.1")), PeerTargetError::Addr(PeerAddrError::Port));
    }
}
