//! A node's settings.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Limits, Name, NetworkId, canonical, is_loopback};

/// A node's settings. They are checked: a node can work with them.
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

/// Settings that are not checked yet. [`Config::builder`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "it becomes a `Config` by `build`"]
pub struct ConfigBuilder {
    uname: Name,
    listen_addr: Option<SocketAddr>,
    #[serde(default)]
    network: NetworkId,
    #[serde(default)]
    allow_v1: bool,
    /// None: as `listen_addr` says.
    #[serde(default)]
    trust_loopback: Option<bool>,
    /// None: the driver cannot seal connections.
    #[serde(default)]
    plaintext: Option<Plaintext>,
    #[serde(default)]
    store: bool,
    #[serde(default)]
    presence: bool,
    limits: Limits,
}

/// Which connections may be in clear, on a node whose driver can seal them (SPEC 3.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plaintext {
    /// None.
    Off,
    /// Those with this machine, if no key is expected there.
    #[default]
    Loopback,
    /// Those, and whatever peers open in clear. An address that was never reached sealed is dialed in clear when it cannot
    /// be reached sealed.
    Allow,
}

impl Plaintext {
    /// Whether a peer at this address may open a connection in clear.
    pub(crate) fn admits(self, ip: IpAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Loopback => is_loopback(ip),
            Self::Allow => true,
        }
    }
}

impl Config {
    /// The defaults, for a node that cannot be dialed. `uname` is the user's name.
    pub fn new(uname: Name) -> Self {
        // The default limits pass their own check: a test says so.
        Self(ConfigBuilder {
            uname,
            listen_addr: None,
            network: NetworkId::OPEN,
            allow_v1: false,
            trust_loopback: None,
            plaintext: None,
            store: false,
            presence: false,
            limits: Limits::default(),
        })
    }

    /// A builder with the defaults.
    pub fn builder(uname: Name) -> ConfigBuilder {
        Self::new(uname).0
    }

    /// The same settings for a node that can be dialed at this address.
    pub fn with_listen_addr(mut self, addr: SocketAddr) -> Self {
        self.0.listen_addr = Some(canonical(addr));
        self
    }

    /// The user's name.
    pub fn uname(&self) -> &Name {
        &self.0.uname
    }

    /// Where the node can be dialed. None: it cannot be.
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.0.listen_addr
    }

    /// The network that the node belongs to.
    pub fn network(&self) -> NetworkId {
        self.0.network
    }

    /// Whether the node links with peers without a key: those belong to the open network (SPEC 3.13.5).
    pub fn admits_keyless(&self) -> bool {
        self.0.network.is_open() || self.0.allow_v1
    }

    /// Whether peers at loopback addresses are taken for peers on this machine: no rates apply to them, and they may tell
    /// addresses of any class (SPEC 5.9).
    pub fn trusts_loopback(&self) -> bool {
        self.0.trust_loopback.unwrap_or_else(|| self.0.listen_addr.is_some_and(|addr| is_loopback(addr.ip())))
    }

    /// Which connections may be in clear. None: the driver cannot seal, so all are.
    pub fn plaintext(&self) -> Option<Plaintext> {
        self.0.plaintext
    }

    /// Whether the node says that it is here, and lists who does.
    pub fn presence(&self) -> bool {
        self.0.presence
    }

    /// Whether the driver has a store.
    pub fn stores(&self) -> bool {
        self.0.store
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Changes the user's name.
    pub(crate) fn rename(&mut self, uname: Name) {
        self.0.uname = uname;
    }

    /// The node can be dialed there.
    pub(crate) fn advertise(&mut self, addr: SocketAddr) {
        self.0.listen_addr = Some(addr);
    }
}

impl ConfigBuilder {
    /// Where the node can be dialed, as its `JOIN` says it. Each peer replaces an unspecified IP address (`0.0.0.0`) by the one
    /// that it sees.
    pub fn listen_addr(mut self, addr: impl Into<Option<SocketAddr>>) -> Self {
        self.listen_addr = addr.into().map(canonical);
        self
    }

    /// The network that the node belongs to. The default is the open one, [`NetworkId::OPEN`].
    pub fn network(mut self, network: NetworkId) -> Self {
        self.network = network;
        self
    }

    /// Whether peers without a key, such as version 1 nodes, are admitted to a network that is not the open one. They say
    /// nothing of a network, so this node carries their words from one network into the other. The default is no.
    pub fn allow_v1(mut self, allow: bool) -> Self {
        self.allow_v1 = allow;
        self
    }

    /// Whether peers at loopback addresses are taken for peers on this machine. A proxy or a tunnel on this machine makes
    /// everybody who uses it such a peer. Without this, loopback is trusted if [`listen_addr`](Self::listen_addr) is a
    /// loopback address.
    pub fn trust_loopback(mut self, trust: bool) -> Self {
        self.trust_loopback = Some(trust);
        self
    }

    /// The driver can seal connections, and these may be in clear. Without this, all connections are in clear, and the node
    /// asks for no seal.
    pub fn plaintext(mut self, plaintext: Plaintext) -> Self {
        self.plaintext = Some(plaintext);
        self
    }

    /// Whether the node tells all members of the network that it is here, at an interval, and lists the members that do
    /// ([`Node::members`](crate::Node::members)). The default is no.
    pub fn presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// Whether the driver has a store: it carries out [`Action::Store`](crate::Action::Store) and
    /// [`Action::Load`](crate::Action::Load). The default is no: the node keeps nothing from one start to the next.
    pub fn store(mut self, store: bool) -> Self {
        self.store = store;
        self
    }

    /// Changes the limits.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ConfigError`], if no node can work with them.
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

    #[test]
    fn loopback_is_trusted_by_a_node_that_listens_there_or_is_told_to() {
        for (addr, trusted) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:8080", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("10.0.0.1:8080", false),
            ("9.9.9.9:8080", false),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            let config = Config::builder("x".parse().unwrap()).listen_addr(addr);
            assert_eq!(config.clone().build().unwrap().trusts_loopback(), trusted, "{addr}");
            for told in [true, false] {
                assert_eq!(config.clone().trust_loopback(told).build().unwrap().trusts_loopback(), told);
            }
        }
        assert!(!Config::new("x".parse().unwrap()).trusts_loopback(), "it listens nowhere");
    }
}
