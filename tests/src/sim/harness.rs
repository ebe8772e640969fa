//! A world that a test drives step by step: it starts nodes one by one, looks at each, and speaks for raw peers.
//!
//! Every step is held to the rules of [`check`](super::check). A run is a function of its seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{ChatText, Command, CommandError, ConnId, Instant, Limits, Node, NodeId, Outcome};

use super::check::Checker;
use super::host::{address, loopback};
use super::transcript::instant;
use super::{Dice, HostId, Latency, NetConfig, Partition, RawPeer, Todo, Transcript, World, nanos};

/// The shortest and the longest time that a packet takes from one host to another.
pub const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// A world and what its nodes told their users.
pub struct Harness {
    /// The world itself.
    pub world: World,
    addr_of: fn(HostId) -> SocketAddr,
}

impl Harness {
    /// A world without hosts, whose packets take [`LATENCY`] and arrive in pieces.
    pub fn new(seed: u64) -> Self {
        let config = NetConfig {
            latency: Latency::Constant(LATENCY.0),
            jitter: LATENCY.1 - LATENCY.0,
            split: 0.5,
            flush: Some(Duration::from_millis(1)),
            // Nobody but the node finds out that a peer has vanished.
            unacknowledged: None,
            ..NetConfig::default()
        };
        Self::with_config(seed, config)
    }

    /// The same with a network of its own.
    pub fn with_config(seed: u64, config: NetConfig) -> Self {
        let mut world = World::new(config, Dice::new(seed));
        world.probes.check = Some(Checker::default());
        world.probes.transcripts = Some(BTreeMap::new());
        Self { world, addr_of: loopback }
    }

    /// The same with hosts in the internet, where the rates apply to peers that are not on loopback.
    pub fn in_the_internet(seed: u64, config: NetConfig) -> Self {
        Self { addr_of: address, ..Self::with_config(seed, config) }
    }

    /// The time since the beginning.
    pub fn now(&self) -> Instant {
        instant(self.world.now())
    }

    /// Adds a host on which nothing runs yet.
    pub fn add_host(&mut self) -> HostId {
        self.add_host_with(Limits::default())
    }

    fn add_host_with(&mut self, limits: Limits) -> HostId {
        let host = self.world.add_host(limits);
        self.world.host_mut(host).addr = (self.addr_of)(host);
        self.world.probes.transcripts.get_or_insert_default().insert(host, Transcript::default());
        host
    }

    /// Adds a host with a node of this name that dials these.
    pub fn add_node(&mut self, name: &str, peers: &[SocketAddr]) -> HostId {
        self.add_node_with(name, peers, Limits::default())
    }

    /// The same with limits of its own.
    pub fn add_node_with(&mut self, name: &str, peers: &[SocketAddr], limits: Limits) -> HostId {
        let host = self.add_host_with(limits);
        self.start(host, name, peers);
        host
    }

    /// Adds a host with a peer that says what the test says.
    pub fn add_raw_peer(&mut self) -> HostId {
        let host = self.add_host();
        self.world.start_actor(host, Box::<RawPeer>::default());
        host
    }

    /// Starts a node on a host, with a key of its own unless the host has not had one before.
    pub fn start(&mut self, host: HostId, name: &str, peers: &[SocketAddr]) {
        self.start_with_key(host, name, peers, false);
    }

    /// The same with the key that the host's last node had.
    pub fn restart(&mut self, host: HostId, name: &str, peers: &[SocketAddr]) {
        self.start_with_key(host, name, peers, true);
    }

    fn start_with_key(&mut self, host: HostId, name: &str, peers: &[SocketAddr], kept: bool) {
        let state = self.world.host_mut(host);
        state.uname = name.parse().expect("a legal name");
        state.targets = peers.to_vec();
        state.dark = false;
        self.world.start(host, kept);
    }

    /// Ends a node without a word. With `silently`, nobody learns that its connections are gone, even from the next node.
    pub fn kill(&mut self, host: HostId, silently: bool) {
        if silently {
            for conn in self.conns(host).to_vec() {
                let net = self.world.net_mut().0;
                net.other(conn).into_iter().for_each(|other| net.lose(other));
            }
        }
        self.world.stop(host, !silently);
    }

    /// From now on these hosts and the others do not reach each other.
    pub fn divide(&mut self, hosts: &[HostId]) {
        let side = (0..).zip(self.world.hosts()).map(|(host, _)| u8::from(hosts.contains(&host))).collect();
        self.world.net_mut().0.partitions.push(Partition { side, one_way: false });
    }

    /// All hosts reach each other again.
    pub fn heal(&mut self) {
        let now = self.world.now();
        let (net, queue) = self.world.net_mut();
        net.heal(queue, now);
    }

    /// Where a host is dialed.
    pub fn addr(&self, host: HostId) -> SocketAddr {
        self.world.host(host).addr
    }

    /// The node of a host.
    pub fn node(&self, host: HostId) -> &Node {
        self.world.host(host).node().expect("a node runs there")
    }

    /// The id of a host's node.
    pub fn id(&self, host: HostId) -> NodeId {
        self.node(host).id()
    }

    /// The ends of connections that a host has.
    pub fn conns(&self, host: HostId) -> &[ConnId] {
        &self.world.host(host).conns
    }

    /// What the nodes of a host told their user.
    pub fn transcript(&self, host: HostId) -> &Transcript {
        &self.world.probes.transcripts.as_ref().expect("they are kept")[&host]
    }

    /// Bytes sent so far, by all nodes.
    pub fn bytes_sent(&self) -> u64 {
        self.world.probes.transcripts.iter().flatten().map(|(_, transcript)| transcript.bytes_sent).sum()
    }

    /// The names of the peers that a node has, sorted.
    pub fn peer_names(&self, host: HostId) -> Vec<&str> {
        let mut names: Vec<_> = self.node(host).peers().map(|peer| peer.uname.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// What a node showed, as `name: text`.
    pub fn heard(&self, host: HostId) -> Vec<String> {
        self.transcript(host).heard.iter().map(|(name, text)| format!("{name}: {text}")).collect()
    }

    /// Says a line.
    ///
    /// # Panics
    /// Where it would have to wait.
    pub fn say(&mut self, host: HostId, text: &str) {
        let texts = ChatText::lines(text).expect("it can be said");
        self.command(host, Command::Say(texts)).expect("nobody is slow");
    }

    /// Gives a command to a node.
    pub fn command(&mut self, host: HostId, command: Command) -> Result<Outcome, CommandError> {
        self.world.command(host, command)
    }

    /// Connects a raw peer to a host at once. The connection's end at the raw peer.
    pub fn connect(&mut self, raw_peer: HostId, host: HostId) -> ConnId {
        self.world.connect(raw_peer, host)
    }

    /// A raw peer says bytes at its end of a connection.
    pub fn send(&mut self, conn: ConnId, bytes: impl AsRef<[u8]>) {
        self.act(conn, Todo::Send(conn, bytes.as_ref().to_vec()));
    }

    /// A raw peer ends a connection in good order.
    pub fn close(&mut self, conn: ConnId) {
        self.act(conn, Todo::Close(conn));
    }

    /// From now on a raw peer reads nothing at its end of a connection.
    pub fn stop_reading(&mut self, conn: ConnId) {
        self.act(conn, Todo::Pause(conn, true));
    }

    /// What is done at an end that is gone has no effect.
    fn act(&mut self, conn: ConnId, todo: Todo) {
        if let Some(host) = self.world.net().host(conn) {
            self.world.act(host, todo);
        }
    }

    /// The raw peer of a host.
    pub fn raw_peer(&self, host: HostId) -> &RawPeer {
        self.world.host(host).actor().expect("a raw peer runs there")
    }

    /// What a raw peer got on a connection, as text.
    pub fn received(&self, raw_peer: HostId, conn: ConnId) -> &str {
        std::str::from_utf8(self.raw_peer(raw_peer).received(conn)).expect("a node says UTF-8")
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// When a node breaks a rule.
    pub fn run_for(&mut self, time: Duration) {
        self.world.run_for(time);
        self.assert_no_breach();
    }

    /// Lets time pass until this is so; false if it is not within `bound`.
    ///
    /// # Panics
    /// When a node breaks a rule.
    pub fn run_until(&mut self, bound: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.world.now() + nanos(bound);
        while !done(self) {
            if !self.world.step(end) {
                return false;
            }
            self.assert_no_breach();
        }
        true
    }

    fn assert_no_breach(&self) {
        if let Some(breach) = self.world.probes.check.as_ref().and_then(Checker::breach) {
            panic!("{breach}");
        }
    }
}
