//! The coordinator: takes an input, asks the parts, queues actions.

mod degree;
mod entries;
mod frames;
mod lines;
mod links;
mod say;
mod settle;
#[cfg(test)]
mod tests;
mod timers;
mod views;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::net::SocketAddr;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::gossip::Gossip;
use crate::link::{Indexed, Link, Opener, Phase};
use crate::log::{Log, Reconciler};
use crate::mesh::{Attempt, Dial, Goal, Mesh, Roster, TargetId};
use crate::rate::TokenBuckets;
use crate::skew::Skew;
use crate::wire::Token;
use crate::{
    Action, Command, CommandError, Config, ConfigError, ConnId, DialError, DialId, Identity, Input, Instant,
    MAX_NUMBER, MAX_RESOLVED, Name, NodeId, Outcome, PeerAddr, PeerInfo, PublicKey, Stats, TimerKind,
};

/// One node of the network, as a state machine.
///
/// Its methods are of four kinds:
/// - **what happens** goes in by [`handle_input`](Self::handle_input), which never fails: a bad peer becomes an action;
/// - **what the application wants** by [`command`](Self::command), which is carried out whole or not at all;
/// - **what is to be done** comes out of [`poll_action`](Self::poll_action), in order, and of
///   [`poll_timeout`](Self::poll_timeout), the one deadline;
/// - the rest are **views**.
///
/// `now` never goes back; one that does counts as the latest seen. Any number of inputs and commands between two
/// drains of the actions is legal, and so are timeouts that nobody asked for. Polling means nothing to the protocol.
/// Two nodes with the same config, seed, inputs and commands give the same actions, byte for byte.
#[derive(Debug)]
pub struct Node {
    config: Config,
    identity: Identity,
    random: ChaCha8Rng,
    now: Instant,
    clock: Clock,
    skew: Skew,
    /// Of what is said here: this run of the author's, and its next number.
    epoch: u64,
    seq: u64,
    links: BTreeMap<ConnId, Link>,
    /// Whose nonce is whose: an index of `links`.
    nonces: BTreeMap<Token, ConnId>,
    /// When each link wants to be woken: an index of `links`.
    deadlines: BTreeSet<(Instant, ConnId)>,
    /// Bytes in the buffers of all links: an index of `links`.
    buffered: usize,
    /// Links that may have a chunk, or their close, for the driver.
    sendable: BTreeSet<ConnId>,
    roster: Roster,
    mesh: Mesh,
    gossip: Gossip,
    log: Log,
    bridge: Bridge,
    reconciler: Reconciler,
    /// How fast entries of each author come unasked.
    rates: TokenBuckets<NodeId>,
    actions: VecDeque<Action>,
    /// A command was refused as [`CommandError::Busy`] and no [`Action::Ready`] has followed yet.
    busy: bool,
    /// The user was told that nobody hears what is said.
    alone_told: bool,
    stopping: bool,
    /// What the node counts itself; the parts count what they lose, see [`Node::stats`].
    counted: Stats,
}

#[cfg(not(feature = "plumtree"))]
fn new_gossip(_: &Config, identity: &Identity) -> Gossip {
    Gossip::new(identity.key())
}

#[cfg(feature = "plumtree")]
fn new_gossip(config: &Config, identity: &Identity) -> Gossip {
    let gossip = Gossip::new(identity.key());
    if config.plumtree { gossip.with_plumtree() } else { gossip }
}

impl Node {
    /// A node without connections. The seed feeds one generator (ChaCha8); it is never key material.
    pub fn new(
        config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.limits.check()?;
        let mut random = ChaCha8Rng::from_seed(seed);
        Ok(Self {
            // Nothing is kept of the runs before, so this is a new one.
            epoch: random.next_u64() & MAX_NUMBER,
            seq: 0,
            skew: Skew::default(),
            gossip: new_gossip(&config, &identity),
            log: Log::default(),
            bridge: Bridge::new(identity.node_id()),
            reconciler: Reconciler::default(),
            rates: TokenBuckets::new(),
            alone_told: false,
            identity,
            mesh: Mesh::new(now, &mut random, &config.limits),
            config,
            random,
            now,
            clock: Clock::default(),
            links: BTreeMap::new(),
            nonces: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            buffered: 0,
            sendable: BTreeSet::new(),
            roster: Roster::default(),
            actions: VecDeque::new(),
            busy: false,
            stopping: false,
            counted: Stats::default(),
        })
    }

    /// Something happened. Never fails, never panics, whatever a peer or a driver does.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if now > self.now {
            self.now = now;
            // What time brings comes before what the input brings: how a stream was cut must not show.
            self.start_dials();
            self.keep_up();
        }
        match input {
            Input::WallClock { unix_ms } => self.set_clock(unix_ms),
            Input::Accepted { conn, remote } => self.accepted(conn, remote),
            Input::Resolved { dial, addrs } => self.resolved(dial, &addrs),
            Input::Connected { dial, conn } => self.connected(dial, conn),
            Input::DialFailed { dial, reason } => self.dial_failed(dial, reason),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Flushed { conn } => self.flushed(conn),
            Input::Closed { conn } => self.closed(conn),
            Input::Timeout => self.timeout(),
        }
        self.settle_down();
    }

    /// The application wants something. Carried out whole, or refused with the node as it was.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<Outcome, CommandError> {
        self.now = self.now.max(now);
        if self.stopping {
            return Err(CommandError::ShuttingDown);
        }
        let mut outcome = Outcome::Done;
        match command {
            Command::Say(texts) => outcome = Outcome::Said(self.say(&texts)?),
            Command::Connect(addr) => {
                if !self.mesh.add_target(addr, self.now, &self.config.limits) {
                    return Err(CommandError::TooManyTargets);
                }
            }
            Command::Rename(name) => self.rename(name),
            Command::Shutdown => self.shut_down(),
        }
        self.settle_down();
        Ok(outcome)
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.next_chunk())
    }

    /// When [`Input::Timeout`] is due, and what for; the latter is for logs and tests alone.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let limits = &self.config.limits;
        let link = self.deadlines.first().and_then(|(_, conn)| self.links.get(conn)?.deadline(limits));
        let mesh = if self.stopping { None } else { self.mesh_deadline() };
        let entries = if self.stopping { None } else { self.entries_deadline() };
        [link, mesh, entries, self.pace_deadline()].into_iter().flatten().min()
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.identity.node_id()
    }

    /// Its public key.
    pub fn key(&self) -> PublicKey {
        self.identity.key()
    }

    /// The name its user goes by.
    pub fn uname(&self) -> &Name {
        &self.config.uname
    }

    /// Its settings, with the name as it is now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The peers that are here, in the order of their ids.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<PeerInfo>> {
        self.roster.iter().map(|peer| &peer.info)
    }

    /// Connections that the driver holds for it, those that are being closed included. After
    /// [`Command::Shutdown`] the node is done when there are none.
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    /// Bytes in its buffers.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// What follows from the new state of the whole.
    fn follow_up(&mut self) {
        self.send_gossip();
        self.keep_bounds();
        self.start_dials();
        self.keep_up();
        self.say_ready();
    }

    /// After each input and command.
    fn settle_down(&mut self) {
        self.follow_up();
        debug_assert!(self.is_consistent(), "an index differs from what it is an index of");
    }

    fn is_consistent(&self) -> bool {
        let deadline = |link: &Link| link.deadline(&self.config.limits).map(|(at, _)| at);
        let deadlines = self.links.iter().filter_map(|(conn, link)| Some((deadline(link)?, *conn)));
        self.mesh.is_consistent()
            && self.roster.is_consistent()
            // Slow where there is much: left to their own tests.
            && (self.log.sizes().held > 100 || (self.log.is_consistent() && self.gossip.is_consistent() && self.bridge.is_consistent()))
            && deadlines.collect::<BTreeSet<_>>() == self.deadlines
            && self.links.values().map(Link::buffered).sum::<usize>() == self.buffered
            && self.links.iter().map(|(conn, link)| (link.nonce, *conn)).collect::<BTreeMap<_, _>>()
                == self.nonces
    }

    /// A link changed: brings the indexes up to date.
    fn touch(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let indexed = Indexed {
            deadline: link.deadline(&self.config.limits).map(|(at, _)| at),
            buffered: link.buffered(),
        };
        let before = core::mem::replace(&mut link.index, indexed);
        if link.queue.is_ready() || matches!(link.phase, Phase::Closing { close_sent: false, .. }) {
            self.sendable.insert(conn);
        }
        self.reindex(conn, before, indexed);
    }

    fn reindex(&mut self, conn: ConnId, before: Indexed, after: Indexed) {
        if before.deadline != after.deadline {
            if let Some(at) = before.deadline {
                self.deadlines.remove(&(at, conn));
            }
            if let Some(at) = after.deadline {
                self.deadlines.insert((at, conn));
            }
        }
        self.buffered = self.buffered + after.buffered - before.buffered;
    }

    /// Takes a link out of the node.
    fn forget(&mut self, conn: ConnId) -> Option<Link> {
        let link = self.links.remove(&conn)?;
        self.nonces.remove(&link.nonce);
        self.sendable.remove(&conn);
        self.reindex(conn, link.index, Indexed::default());
        Some(link)
    }

    /// The next chunk or close of a link that has one.
    fn next_chunk(&mut self) -> Option<Action> {
        while let Some(conn) = self.sendable.pop_first() {
            let Some(link) = self.links.get_mut(&conn) else { continue };
            if let Some(bytes) = link.queue.take_chunk(self.now) {
                self.touch(conn);
                return Some(Action::SendFrame { conn, bytes });
            }
            if let Phase::Closing { close_sent, .. } = &mut link.phase
                && !*close_sent
                && link.queue.is_drained()
            {
                *close_sent = true;
                return Some(Action::Close { conn });
            }
        }
        None
    }

    fn fresh_token(&mut self) -> Token {
        let high = u128::from(self.random.next_u64());
        Token::from_bits(high << 64 | u128::from(self.random.next_u64()))
    }

    fn accepted(&mut self, conn: ConnId, remote: SocketAddr) {
        self.counted.accepted += 1;
        if self.stopping {
            self.actions.push_back(Action::Abort { conn });
            return;
        }
        self.make_room_for_pending();
        self.open(conn, remote, Opener::Peer);
    }

    fn resolved(&mut self, dial: DialId, addrs: &[SocketAddr]) {
        let Some(Dial { target: Some(target), .. }) = self.mesh.finish(dial) else { return };
        let addrs = &addrs[..addrs.len().min(MAX_RESOLVED)];
        let dials = self.mesh.resolved(target, addrs, self.now, &self.config.limits);
        for (dial, what) in dials {
            self.announce_dial(dial, &what);
        }
        // The resolution itself is over, and was one attempt.
        self.attempt_failed(None, Some(target), DialError::NotResolved.into(), self.now);
    }

    fn connected(&mut self, dial: DialId, conn: ConnId) {
        match self.mesh.finish(dial) {
            Some(Dial { goal: Goal::Connect(addr), target, .. }) if !self.links.contains_key(&conn) => {
                self.open(conn, addr, Opener::Us { addr, target });
                self.greet(conn);
                self.touch(conn);
            }
            _ => self.actions.push_back(Action::Abort { conn }),
        }
    }

    fn dial_failed(&mut self, dial: DialId, reason: DialError) {
        let Some(Dial { goal, target, .. }) = self.mesh.finish(dial) else { return };
        self.counted.dials_failed += 1;
        let addr = match goal {
            Goal::Connect(addr) => Some(addr),
            Goal::Resolve(_) => None,
        };
        self.attempt_failed(addr, target, reason.into(), self.now);
    }

    /// What was dialed is not linked; the next attempt comes no sooner than `over`.
    fn attempt_failed(
        &mut self,
        addr: Option<SocketAddr>,
        target: Option<TargetId>,
        attempt: Attempt,
        over: Instant,
    ) {
        let stock = self.stock();
        let Self { mesh, random, config, .. } = self;
        let notice = mesh.failed((addr, target), attempt, stock, over, random, &config.limits);
        self.actions.extend(notice.map(Action::Notice));
    }

    fn start_dials(&mut self) {
        if self.stopping {
            return;
        }
        loop {
            let room = self.room();
            let Self { mesh, random, now, config, .. } = self;
            let Some((dial, what)) = mesh.begin(*now, room, random, &config.limits) else { return };
            if let (Goal::Connect(addr), Some(target)) = (&what.goal, what.target)
                && let Some(node_id) = self.dialed_and_here(*addr)
            {
                self.mesh.finish(dial);
                self.mesh.reached(*addr, Some(target), node_id, self.now);
                continue;
            }
            self.announce_dial(dial, &what);
        }
    }

    /// The peer that is here by our own dial to this address.
    fn dialed_and_here(&self, addr: SocketAddr) -> Option<NodeId> {
        let dialed = |link: &&Link| matches!(link.opener, Opener::Us { addr: to, .. } if to == addr);
        self.links.values().filter(|link| !link.is_pending()).find(dialed)?.node_id()
    }

    fn announce_dial(&mut self, dial: DialId, what: &Dial) {
        self.counted.dials += u64::from(matches!(what.goal, Goal::Connect(_)));
        self.actions.push_back(match &what.goal {
            Goal::Connect(addr) | Goal::Resolve(PeerAddr::Ip(addr)) => Action::Dial { dial, addr: *addr },
            Goal::Resolve(PeerAddr::Host { host, port }) => {
                Action::Resolve { dial, host: host.clone(), port: *port }
            }
        });
    }

    fn cancel(&mut self, dials: impl IntoIterator<Item = DialId>) {
        for dial in dials {
            if self.mesh.finish(dial).is_some() {
                self.actions.push_back(Action::CancelDial { dial });
            }
        }
    }
}
