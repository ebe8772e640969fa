//! A network in memory and in virtual time: real nodes, and puppets whose bytes a test writes itself.
//!
//! It is a driver like the others: it carries out actions, and reports inputs. A run is a function of its seed.

mod driver;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use proto_core::{
    ChatText, Command, CommandError, Config, ConnId, DialError, DialId, Identity, Input, Instant,
    LeaveReason, Limits, Name, Node, NodeId, Notice, Outcome, PeerInfo, Violation,
};
use rand_core::{Rng, SeedableRng};

/// A network. Hosts are named by their index.
pub struct Network {
    now: Instant,
    random: ChaCha8Rng,
    hosts: Vec<Host>,
    wires: BTreeMap<ConnId, Wire>,
    events: BTreeMap<(Instant, u64), Event>,
    /// When each node wants to be woken: an index.
    timers: BTreeSet<(Instant, usize)>,
    next_conn: u64,
    next_event: u64,
    /// One-way delays are drawn between these two.
    pub latency: (Duration, Duration),
    /// Hosts below this index and the others do not reach each other: see [`divide`](Self::divide).
    divided: Option<usize>,
    /// Whether what is sent is cut into pieces on its way.
    pub split: bool,
    /// Bytes sent so far, by all nodes.
    pub bytes_sent: u64,
}

/// One machine of it, at an address of its own.
pub struct Host {
    /// Where it is dialed.
    pub addr: SocketAddr,
    /// None for a puppet, and for a node that is down.
    pub node: Option<Node>,
    /// What it was told to tell its user.
    pub log: Log,
    /// Connections that a puppet has, the newest last.
    pub conns: Vec<ConnId>,
    /// What a puppet got, by connection.
    pub inbox: BTreeMap<ConnId, Vec<u8>>,
    limits: Limits,
    /// When its node wants to be woken.
    wakes: Option<Instant>,
    /// Of its last node's identity.
    secret: [u8; 32],
    /// Answers to dials: false while the host is unplugged.
    pub reachable: bool,
    dialed: Vec<(Instant, SocketAddr)>,
}

/// What a node told its user.
#[derive(Debug, Default)]
pub struct Log {
    /// Who said what, in the order of delivery.
    pub heard: Vec<(Name, String)>,
    /// Who came (`None`) and went, and when.
    pub changes: Vec<(Instant, Arc<PeerInfo>, Option<LeaveReason>)>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// Broken rules.
    pub violations: Vec<Violation>,
    /// How often a wait was over.
    pub ready: usize,
}

/// One end of a connection.
struct Wire {
    host: usize,
    other: ConnId,
    /// What was sent on it arrives no sooner: streams keep their order.
    arrives: Instant,
    paused: VecDeque<Vec<u8>>,
    is_paused: bool,
    /// The driver will say or has said `Closed`.
    ended: bool,
    /// Nothing is taken from it: a peer that does not read.
    pub stuck: bool,
    /// What is sent on it gets lost, its end included.
    lost: bool,
}

enum Event {
    Knock { dial: DialId, from: usize, to: SocketAddr },
    DialFailed { dial: DialId, host: usize, reason: DialError },
    Arrive { conn: ConnId, bytes: Vec<u8> },
    Flushed { conn: ConnId },
    End { conn: ConnId },
}

/// Wall-clock time at the start, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl Network {
    /// A network without hosts.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ORIGIN,
            random: ChaCha8Rng::seed_from_u64(seed),
            hosts: Vec::new(),
            wires: BTreeMap::new(),
            events: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_conn: 0,
            next_event: 0,
            latency: (Duration::from_millis(1), Duration::from_millis(20)),
            divided: None,
            split: true,
            bytes_sent: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds a host with a node of this name, as the drivers start one: it listens, and dials these.
    pub fn add_node(&mut self, name: &str, peers: &[SocketAddr]) -> usize {
        self.add_node_with(name, peers, Limits::default())
    }

    /// The same with limits of its own.
    pub fn add_node_with(&mut self, name: &str, peers: &[SocketAddr], limits: Limits) -> usize {
        let index = self.add_puppet();
        self.hosts[index].limits = limits;
        self.start(index, name, peers);
        index
    }

    /// Adds a host that accepts connections and says what the test says.
    pub fn add_puppet(&mut self) -> usize {
        let index = self.hosts.len();
        let addr = SocketAddr::from(([127, 0, (index >> 8) as u8, index as u8], 8080));
        self.hosts.push(Host {
            addr,
            node: None,
            log: Log::default(),
            conns: Vec::new(),
            inbox: BTreeMap::new(),
            limits: Limits::default(),
            wakes: None,
            secret: [0; 32],
            reachable: true,
            dialed: Vec::new(),
        });
        index
    }

    /// Starts a node on a host that has none.
    pub fn start(&mut self, index: usize, name: &str, peers: &[SocketAddr]) {
        self.random.fill_bytes(&mut self.hosts[index].secret);
        self.restart(index, name, peers);
    }

    /// The same with the identity that the host's last node had.
    pub fn restart(&mut self, index: usize, name: &str, peers: &[SocketAddr]) {
        let host = &mut self.hosts[index];
        let config = Config::builder(name.parse().expect("a legal name"))
            .listen_addr(host.addr)
            .limits(|limits| limits.clone_from(&host.limits))
            .build()
            .expect("legal limits");
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let mut node = Node::new(config, Identity::from_secret(&host.secret), seed, self.now);
        let unix_ms = EPOCH_MS + self.now.since_origin().as_millis() as u64;
        node.handle_input(self.now, Input::wall_clock(unix_ms));
        host.node = Some(node);
        self.carry_out(index);
        for peer in peers {
            self.command(index, Command::Connect((*peer).into())).expect("there is room");
        }
    }

    /// Ends a node without a word. With `silently`, its connections stay open and nothing answers on them any more.
    pub fn kill(&mut self, index: usize, silently: bool) {
        self.hosts[index].node = None;
        self.hosts[index].reachable = false;
        self.carry_out(index);
        let conns: Vec<_> = self.conns_of(index);
        for conn in conns.into_iter().filter(|_| !silently) {
            self.sever(conn);
        }
    }

    /// Drops a connection as a reset does: both ends learn of it, and what is under way is lost.
    pub fn sever(&mut self, conn: ConnId) {
        let other = self.wires[&conn].other;
        self.end_at(conn, self.now);
        let at = self.now + self.delay();
        self.end_at(other, at);
    }

    /// From now on the hosts below this index and the others do not reach each other: what they send each other gets
    /// lost, and nothing answers their dials.
    pub fn divide(&mut self, at: usize) {
        self.divided = Some(at);
        let hosts: BTreeMap<_, _> = self.wires.iter().map(|(conn, wire)| (*conn, wire.host)).collect();
        for wire in self.wires.values_mut() {
            let other = hosts.get(&wire.other).copied().unwrap_or(wire.host);
            wire.lost |= (wire.host < at) != (other < at);
        }
    }

    /// All hosts reach each other again; connections that were lost stay lost.
    pub fn heal(&mut self) {
        self.divided = None;
    }

    /// A host, to look at.
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// A host, to change.
    pub fn host_mut(&mut self, index: usize) -> &mut Host {
        &mut self.hosts[index]
    }

    /// A node that is up.
    pub fn node(&self, index: usize) -> &Node {
        self.hosts[index].node.as_ref().expect("the node is up")
    }

    /// The id of a node that is up.
    pub fn id(&self, index: usize) -> NodeId {
        self.node(index).id()
    }

    /// The ends of connections that a host has.
    pub fn conns_of(&self, index: usize) -> Vec<ConnId> {
        self.wires
            .iter()
            .filter(|(_, wire)| wire.host == index && !wire.ended)
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// Dials that a host began, and when.
    pub fn dialed(&self, index: usize) -> &[(Instant, SocketAddr)] {
        &self.hosts[index].dialed
    }

    /// The names of the peers that a node has, sorted.
    pub fn peer_names(&self, index: usize) -> Vec<&str> {
        let mut names: Vec<_> = self.node(index).peers().map(|peer| peer.uname.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// What a node heard, as `name: text`.
    pub fn heard(&self, index: usize) -> Vec<String> {
        self.hosts[index].log.heard.iter().map(|(name, text)| format!("{name}: {text}")).collect()
    }

    /// Says a line; panics where it would have to wait.
    pub fn say(&mut self, index: usize, text: &str) {
        let texts = ChatText::lines(text).expect("it can be said");
        self.command(index, Command::Say(texts)).expect("nobody is slow");
    }

    /// Gives a command to a node.
    pub fn command(&mut self, index: usize, command: Command) -> Result<Outcome, CommandError> {
        let node = self.hosts[index].node.as_mut().expect("the node is up");
        let result = node.command(self.now, command);
        self.carry_out(index);
        result
    }

    /// A puppet dials a host. The connection's number at the puppet's end.
    pub fn puppet_dials(&mut self, puppet: usize, host: usize) -> ConnId {
        let from = SocketAddr::new(self.hosts[puppet].addr.ip(), 40_000);
        self.connect(puppet, host, from, None)
    }

    /// A puppet says bytes on a connection of its own.
    pub fn puppet_says(&mut self, conn: ConnId, bytes: impl AsRef<[u8]>) {
        self.send(conn, bytes.as_ref().to_vec());
    }

    /// A puppet ends a connection in good order.
    pub fn puppet_closes(&mut self, conn: ConnId) {
        let other = self.wires[&conn].other;
        let at = self.wires[&conn].arrives.max(self.now + self.delay());
        self.end_at(other, at);
    }

    /// From now on this end takes nothing: what is sent to it is never flushed.
    pub fn stop_reading(&mut self, conn: ConnId) {
        self.wires.get_mut(&conn).expect("it is open").stuck = true;
    }

    /// What a puppet got on a connection, as text.
    pub fn got(&self, puppet: usize, conn: ConnId) -> String {
        let bytes = self.hosts[puppet].inbox.get(&conn).cloned().unwrap_or_default();
        String::from_utf8(bytes).expect("a node says UTF-8")
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_to(end, |_| false);
        self.now = end;
    }

    /// Lets time pass until this is so; false if it is not within `bound`.
    pub fn run_until(&mut self, bound: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + bound;
        self.run_to(end, done)
    }
}
