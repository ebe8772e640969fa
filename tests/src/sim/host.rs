//! One machine: what runs on it, its address, its clock.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto_core::{
    Config, ConnId, Identity, Input, Instant, Kept, Limits, Name, Node, NodeId, Plaintext, PublicKey,
};

use super::actor::{Actor, Filter, Lines};
use super::random::Dice;
use super::{HostId, Nanos};

/// One machine.
pub struct Host {
    /// Where it is dialed.
    pub addr: SocketAddr,
    /// What runs on it.
    pub machine: Machine,
    /// The user's name.
    pub uname: Name,
    /// Of each node that is started on it.
    pub limits: Limits,
    /// Which of their connections may be in clear. None: they seal none.
    pub plaintext: Option<Plaintext>,
    /// Whether they say that they are here.
    pub presence: bool,
    /// Whether all that it does is its node's doing: what it says is what its user said.
    pub honest: bool,
    /// Addresses that its user gives.
    pub targets: Vec<SocketAddr>,
    /// Refuses to be dialed.
    pub unplugged: bool,
    /// Cannot be reached at all, which the dialer finds out by waiting.
    pub dark: bool,
    /// The user's clock.
    pub clock: WallClock,
    /// How many nodes have run on it.
    pub runs: u32,
    /// When the present one was started.
    pub started: Nanos,
    /// Connections of the present one.
    pub conns: Vec<ConnId>,
    /// How often actors that have ended here did what they are for.
    pub(super) acts_before: u64,
    pub(super) filter: Option<(Box<dyn Filter>, BTreeMap<ConnId, Lines>)>,
    pub(super) secret: [u8; 32],
    pub(super) asleep_until: Option<Nanos>,
    /// Since when its monotonic clock stands still, if it does while the host sleeps.
    pub(super) stands_since: Option<Nanos>,
    /// The host's monotonic clock shows zero at this time.
    pub(super) origin: Nanos,
    /// When [`Event::Wake`](super::Event::Wake) is planned.
    pub(super) wake_at: Option<Nanos>,
    pub(super) dice: Dice,
}

/// What runs on a host.
pub enum Machine {
    /// Nothing: connections are refused.
    Off,
    /// A node, as it is shipped.
    Node(Box<Node>),
    /// Something else that speaks.
    Actor(Box<dyn Actor>),
}

/// A clock as users have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// The true time at the beginning of the run, in milliseconds since the Unix epoch.
    pub epoch_ms: u64,
    /// How far it is ahead of the true time, in milliseconds.
    pub ahead_ms: i64,
}

impl WallClock {
    /// What it shows.
    pub fn unix_ms(self, now: Nanos) -> u64 {
        (self.epoch_ms + now / 1_000_000).saturating_add_signed(self.ahead_ms)
    }

    /// Whether a node with this clock shows what others say when they say it.
    pub fn is_right(self) -> bool {
        self.ahead_ms.unsigned_abs() <= 1_000
    }
}

impl Host {
    /// A machine on which nothing runs yet.
    pub fn new(host: HostId, limits: Limits, epoch_ms: u64, mut dice: Dice) -> Self {
        let uname = Name::cut(&format!("host{host}")).expect("a name");
        Self {
            addr: address(host),
            machine: Machine::Off,
            uname,
            limits,
            plaintext: None,
            presence: false,
            honest: true,
            targets: Vec::new(),
            unplugged: false,
            dark: false,
            clock: WallClock { epoch_ms, ahead_ms: 0 },
            runs: 0,
            started: 0,
            conns: Vec::new(),
            acts_before: 0,
            filter: None,
            secret: dice.secret(),
            asleep_until: None,
            stands_since: None,
            origin: 0,
            wake_at: None,
            dice,
        }
    }

    /// The node that runs here.
    pub fn node(&self) -> Option<&Node> {
        match &self.machine {
            Machine::Node(node) => Some(node),
            Machine::Off | Machine::Actor(_) => None,
        }
    }

    /// The actor that runs here, if it is one of this type.
    pub fn actor<T: Actor>(&self) -> Option<&T> {
        let Machine::Actor(actor) = &self.machine else { return None };
        (actor.as_ref() as &dyn Any).downcast_ref()
    }

    pub(super) fn node_mut(&mut self) -> Option<&mut Node> {
        match &mut self.machine {
            Machine::Node(node) => Some(node),
            Machine::Off | Machine::Actor(_) => None,
        }
    }

    /// Whether what runs here has this node as a peer.
    pub fn knows(&self, node_id: NodeId) -> bool {
        match &self.machine {
            Machine::Off => false,
            Machine::Node(node) => node.peers().any(|peer| peer.node_id == node_id),
            Machine::Actor(actor) => actor.knows(node_id),
        }
    }

    /// How often actors did here what they are for.
    pub fn acts(&self) -> u64 {
        let acts = if let Machine::Actor(actor) = &self.machine { actor.acts() } else { 0 };
        self.acts_before + acts
    }

    /// Whether something runs here.
    pub fn is_up(&self) -> bool {
        !matches!(self.machine, Machine::Off)
    }

    /// Whether an honest node runs here and is awake.
    pub fn is_live(&self) -> bool {
        self.honest && self.asleep_until.is_none() && self.node().is_some()
    }

    /// When it wakes, if it is suspended.
    pub fn asleep_until(&self) -> Option<Nanos> {
        self.asleep_until
    }

    /// The key of the node that runs, ran last, or will run here.
    pub fn key(&self) -> PublicKey {
        self.identity().key()
    }

    /// The same with its secret.
    pub fn identity(&self) -> Identity {
        Identity::from_secret(&self.secret)
    }

    /// Gives the nodes that will run here this key pair.
    pub fn set_secret(&mut self, secret: [u8; 32]) {
        self.secret = secret;
    }

    /// The host's monotonic clock.
    pub fn local(&self, now: Nanos) -> Instant {
        let now = self.stands_since.unwrap_or(now);
        Instant::from_origin(Duration::from_nanos(now.saturating_sub(self.origin)))
    }

    /// When that clock shows this; none: never in this run.
    pub(super) fn global(&self, at: Instant) -> Option<Nanos> {
        u64::try_from(at.since_origin().as_nanos()).ok()?.checked_add(self.origin)
    }

    /// A new node with a seed of its own. Without `memory` it has another key than the one before. `kept`: it has a store, in
    /// which it finds this.
    pub(super) fn boot(&mut self, now: Nanos, memory: bool, kept: Option<Kept>) -> (Config, [u8; 32], Node) {
        if !memory && self.runs > 0 {
            self.secret = self.dice.secret();
        }
        let mut config = Config::builder(self.uname.clone())
            .listen_addr(self.addr)
            .store(kept.is_some())
            .presence(self.presence)
            .limits(|limits| limits.clone_from(&self.limits));
        if let Some(plaintext) = self.plaintext {
            config = config.plaintext(plaintext);
        }
        let config = config.build().expect("legal limits");
        let seed = self.dice.secret();
        self.origin = now;
        self.stands_since = None;
        self.started = now;
        self.runs += 1;
        let kept = kept.unwrap_or_default();
        let mut node = Node::restore(config.clone(), self.identity(), seed, Instant::ORIGIN, kept);
        node.handle_input(Instant::ORIGIN, Input::wall_clock(self.clock.unix_ms(now)));
        (config, seed, node)
    }
}

/// Each host has an address of its own, of a network where the rates of open networks apply.
pub fn address(host: HostId) -> SocketAddr {
    in_network(10, host)
}

/// The same on loopback, where no rates apply.
pub(super) fn loopback(host: HostId) -> SocketAddr {
    in_network(127, host)
}

fn in_network(network: u8, host: HostId) -> SocketAddr {
    let [_, high, middle, low] = host.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(network, high, middle, low), 4_000))
}

/// Whether no host ever has this address: half of all that look like one.
pub(super) fn is_nobodys(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V4(v4) if v4.ip().octets()[0] == 10 && v4.ip().octets()[1] >= 128)
}

/// Whose address it is.
pub(super) fn host_at(addr: SocketAddr, hosts: &[Host]) -> Option<HostId> {
    let SocketAddr::V4(v4) = addr else { return None };
    let [_, high, middle, low] = v4.ip().octets();
    let index = HostId::from_be_bytes([0, high, middle, low]);
    hosts.get(index as usize).filter(|host| host.addr == addr).map(|_| index)
}
