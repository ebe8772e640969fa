//! Who a node is.

use core::fmt;
use core::str::FromStr;

use rand_core::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A node's id: a UUID, written in its hyphenated form.
///
/// Ids order as their 128 bits do; of two simultaneous dials the one from the lower id stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Uuid);

impl NodeId {
    /// The id with these 128 bits.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// A random id (UUID version 4, RFC 9562 section 5.4).
    pub(crate) fn random(random: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The first eight hexadecimal digits, to tell two peers of one name apart.
    pub fn short(&self) -> impl fmt::Display + use<> {
        let start = self.0.as_fields().0;
        fmt::from_fn(move |f| write!(f, "{start:08x}"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id is a UUID, as 67e55044-10b1-426f-9247-bb680e5fe0c8")]
pub struct NodeIdError;

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| NodeIdError)
    }
}
