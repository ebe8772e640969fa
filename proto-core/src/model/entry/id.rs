//! Ids of entries.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::read::{FromText, text};
use crate::model::NetworkId;
use crate::model::identity::decode;

/// The id of an entry: the SHA-256 of a domain string, the network's id and the entry's header as sent (SPEC 7.1.2).
///
/// As text it is 43 characters of base64url without padding (RFC 4648 section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 32]);

impl EntryId {
    /// The id with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id with this text. None: the text is not 43 characters of base64url.
    pub fn new(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the entry with this header.
    pub(super) fn of(network: NetworkId, header: &str) -> Self {
        let hash = Sha256::new().chain_update(b"p2p-chat/2 entry id\0").chain_update(network.as_bytes());
        Self(hash.chain_update(header).finalize().into())
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer)
    }
}

impl FromText for EntryId {
    fn from_text(text: &str) -> Option<Self> {
        Self::new(text)
    }
}
