//! A node's settings.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Limits, Name};

/// A node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The name its user goes by.
    pub uname: Name,
    /// Where the node can be dialed, as its `JOIN` says it. For an unspecified address (`0.0.0.0`) each peer puts in the
    /// one that it sees. None: the node cannot be dialed.
    pub listen_addr: Option<SocketAddr>,
    /// Its limits.
    pub limits: Limits,
}

impl Config {
    /// The defaults, for a node that cannot be dialed.
    pub fn new(uname: Name) -> Self {
        Self { uname, listen_addr: None, limits: Limits::default() }
    }
}
