//! A node's settings.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Limits, Name};

/// A node's settings: always such that a node can work with them.
///
/// ```
/// use proto_core::{Config, ConfigError};
///
/// let config = Config::builder("Alice".parse().unwrap())
///     .listen_addr(std::net::SocketAddr::from(([192, 0, 2, 1], 8080)))
///     .limits(|limits| limits.chat.log_entries = 1_000)
///     .build()?;
/// assert_eq!(config.limits().chat.log_entries, 1_000);
///
/// let none = Config::builder("Alice".parse().unwrap()).limits(|limits| limits.conns.slots = 0);
/// assert_eq!(none.build(), Err(ConfigError::Zero("conns.slots")));
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ConfigBuilder", into = "ConfigBuilder")]
pub struct Config(ConfigBuilder);

/// Settings that are not checked yet, from [`Config::builder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "it becomes a `Config` by `build`"]
pub struct ConfigBuilder {
    uname: Name,
    listen_addr: Option<SocketAddr>,
    limits: Limits,
}

impl Config {
    /// The defaults, for a node that cannot be dialed; `uname` is the name its user goes by.
    pub fn new(uname: Name) -> Self {
        // The default limits pass their own check: a test says so.
        Self(ConfigBuilder { uname, listen_addr: None, limits: Limits::default() })
    }

    /// The defaults, to be changed.
    pub fn builder(uname: Name) -> ConfigBuilder {
        Self::new(uname).0
    }

    /// The same for a node that can be dialed there.
    pub fn with_listen_addr(mut self, addr: SocketAddr) -> Self {
        self.0.listen_addr = Some(addr);
        self
    }

    /// The name its user goes by.
    pub fn uname(&self) -> &Name {
        &self.0.uname
    }

    /// Where the node can be dialed. None: it cannot be.
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.0.listen_addr
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The user goes by another name.
    pub(crate) fn rename(&mut self, uname: Name) {
        self.0.uname = uname;
    }

    /// The node can be dialed there.
    pub(crate) fn advertise(&mut self, addr: SocketAddr) {
        self.0.listen_addr = Some(addr);
    }
}

impl ConfigBuilder {
    /// Where the node can be dialed, as its `JOIN` says it. For an unspecified address (`0.0.0.0`) each peer puts in the one
    /// that it sees.
    pub fn listen_addr(mut self, addr: impl Into<Option<SocketAddr>>) -> Self {
        self.listen_addr = addr.into();
        self
    }

    /// Changes limits.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The settings, unless no node can work with them.
    pub fn build(self) -> Result<Config, ConfigError> {
        self.limits.check().map(|()| Config(self))
    }
}

impl TryFrom<ConfigBuilder> for Config {
    type Error = ConfigError;

    fn try_from(builder: ConfigBuilder) -> Result<Self, ConfigError> {
        builder.build()
    }
}

impl From<Config> for ConfigBuilder {
    fn from(config: Config) -> Self {
        config.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_settings_that_a_node_can_work_with() {
        let name: Name = "x".parse().unwrap();
        assert_eq!(Config::builder(name.clone()).build(), Ok(Config::new(name)));
    }
}
