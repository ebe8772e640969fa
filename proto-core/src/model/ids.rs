//! Ids of connections, dials and targets.

use serde::{Deserialize, Serialize};

/// The id of a connection. The driver chooses it, from a counter, and never uses an id twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnId(pub u64);

/// The id of an attempt to resolve a host name or to dial an address. The node chooses it, and never uses an id twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DialId(pub(crate) u64);

/// The index of an address that the user gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetId(pub(crate) usize);
