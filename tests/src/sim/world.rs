//! Hosts and the network between them, in virtual time.

mod disks;
mod events;
mod seals;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    Action, ChatText, Command, CommandError, ConnId, DialError, DialId, Input, Limits, Outcome, PeerAddr,
    Plaintext, Seal,
};

use self::disks::Disks;
use self::seals::Seals;
use super::actor::{Actor, Filter, Happening};
use super::check::Checker;
use super::digest::Digest;
use super::host::{Host, Machine, WallClock, address};
use super::measure::Meter;
use super::net::{Net, NetConfig};
use super::queue::Queue;
use super::random::Dice;
use super::trace::Recorder;
use super::transcript::Transcript;
use super::{Event, HostId, Nanos, nanos};

/// How long a dial waits for an answer that does not come.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A simulated network.
pub struct World {
    now: Nanos,
    queue: Queue<Event>,
    net: Net,
    hosts: Vec<Host>,
    dials: Vec<Option<Dialing>>,
    free_dials: Vec<u32>,
    /// What the node that is being settled is told once it wants nothing more.
    prompt: VecDeque<Prompt>,
    dice: Dice,
    /// None: all connections are in clear.
    seals: Option<Seals>,
    /// Whether nodes say that they are here.
    presence: bool,
    /// None: nodes have no stores.
    disks: Option<Disks>,
    epoch_ms: u64,
    /// Events that have happened.
    pub events: u64,
    /// What watches.
    pub probes: Probes,
}

/// What watches a world. What is not there costs nothing.
#[derive(Default)]
pub struct Probes {
    /// Holds the nodes to their word.
    pub check: Option<Checker>,
    /// Counts what goes over the network.
    pub meter: Option<Meter>,
    /// Makes the digest of all that nodes do.
    pub digest: Option<Digest>,
    /// Records what a node is told and does.
    pub recorder: Option<(HostId, Recorder)>,
    /// Keeps what each node told its user.
    pub transcripts: Option<BTreeMap<HostId, Transcript>>,
    /// Plants faults, to show that they are found.
    pub tamper: Option<Box<dyn Tamper>>,
}

/// Stands between a node and those who watch it.
pub trait Tamper: Send {
    /// What is seen in the place of this action.
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        let _ = host;
        seen.push(action);
    }

    /// What a version 1 node seems to print.
    fn printed(&mut self, host: HostId, lines: &mut Vec<String>) {
        let _ = (host, lines);
    }

    /// When the node seems to want to be woken.
    fn deadline(&mut self, host: HostId, now: Nanos, deadline: Option<Nanos>) -> Option<Nanos> {
        let _ = (host, now);
        deadline
    }
}

/// What follows at once from what a node did.
enum Prompt {
    Flushed(ConnId),
    Written(ConnId, usize),
    Closed(ConnId),
    Unresolved(DialId),
    /// Its user gives an address again, where the node says that another one is than before.
    Accepted(PeerAddr),
}

struct Dialing {
    host: HostId,
    run: u32,
    dial: Option<DialId>,
    to: SocketAddr,
    seal: Seal,
    result: Result<ConnId, DialError>,
}

impl World {
    /// A world without hosts.
    pub fn new(config: NetConfig, mut dice: Dice) -> Self {
        // Within an hour of its own, so that some runs go through the turn of it.
        let epoch_ms = (500_000 * 60 + dice.below(60)) * 60_000;
        Self {
            epoch_ms,
            now: 0,
            queue: Queue::default(),
            net: Net::new(config, dice.fork()),
            hosts: Vec::new(),
            dials: Vec::new(),
            free_dials: Vec::new(),
            prompt: VecDeque::new(),
            dice,
            seals: None,
            presence: false,
            disks: None,
            events: 0,
            probes: Probes::default(),
        }
    }

    /// A world on an ordinary network whose nodes are held to the rules of [`check`](super::check).
    pub fn checked(seed: u64) -> Self {
        let mut world = Self::new(NetConfig::default(), Dice::new(seed));
        world.probes.check = Some(Checker::default());
        world
    }

    /// The time.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// The true time at the beginning, in milliseconds since the Unix epoch.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }

    /// The true time, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        WallClock { epoch_ms: self.epoch_ms, ahead_ms: 0 }.unix_ms(self.now)
    }

    /// The hosts, by their index.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A host.
    pub fn host(&self, host: HostId) -> &Host {
        &self.hosts[host as usize]
    }

    /// A host, to change.
    pub fn host_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host as usize]
    }

    /// The indexes of the hosts on which honest nodes run.
    pub fn live(&self) -> Vec<HostId> {
        (0..).zip(&self.hosts).filter(|(_, host)| host.is_live()).map(|(index, _)| index).collect()
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The network and the queue of what happens in it, to change both.
    pub fn net_mut(&mut self) -> (&mut Net, &mut Queue<Event>) {
        (&mut self.net, &mut self.queue)
    }

    /// The nodes of hosts that are added from now on say that they are here.
    pub fn announce_members(&mut self) {
        self.presence = true;
    }

    /// Adds a host on which nothing runs yet.
    pub fn add_host(&mut self, limits: Limits) -> HostId {
        let index = self.hosts.len() as HostId;
        let mut host = Host::new(index, limits, self.epoch_ms, self.dice.fork());
        // Version 1 nodes and raw peers speak in clear.
        host.plaintext = self.seals.is_some().then_some(Plaintext::Allow);
        host.presence = self.presence;
        self.hosts.push(host);
        index
    }

    /// Adds a host and starts a node there that dials these hosts.
    pub fn add_node(&mut self, limits: Limits, targets: impl IntoIterator<Item = HostId>) -> HostId {
        let index = self.add_host(limits);
        self.host_mut(index).targets = targets.into_iter().map(address).collect();
        self.start(index, true);
        index
    }

    /// Starts a node on a host. Without `memory` it has another key than the one that ran there before.
    pub fn start(&mut self, index: HostId, memory: bool) {
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        let (again, window) = (memory && host.runs > 0, host.limits.chat.log_entries);
        let (kept, whole) = self.disks.as_mut().map(|disks| disks.boot(index, window, again)).unzip();
        let own = kept.as_ref().map(|kept| kept.own.clone()).unwrap_or_default();
        let (config, seed, node) = host.boot(now, memory, kept.clone());
        if let Some((_, recorder)) = self.probes.recorder.as_mut().filter(|(recorded, _)| *recorded == index)
        {
            recorder.started(&config, host.secret, (seed, kept.unwrap_or_default()), host.clock.unix_ms(now));
        }
        host.machine = Machine::Node(Box::new(node));
        if let Some(digest) = &mut self.probes.digest {
            digest.started(now, index);
        }
        if let Some(check) = &mut self.probes.check {
            let store = self.disks.as_ref().and_then(|disks| disks.store(index));
            check.started(index, now, host, store.zip(whole));
            if whole == Some(false) {
                check.goes_on_from_a_copy(host.key(), &own);
            }
        }
        for target in self.hosts[index as usize].targets.clone() {
            // More addresses than a node takes are not dialed.
            let _ = self.command(index, Command::Connect(target.into()));
        }
        self.settle(index);
    }

    /// Starts something else on a host.
    pub fn start_actor(&mut self, index: HostId, actor: Box<dyn Actor>) {
        let host = &mut self.hosts[index as usize];
        host.honest = false;
        host.machine = Machine::Actor(actor);
        host.runs += 1;
        host.started = self.now;
        self.tell(index, Happening::Started);
    }

    /// Puts something between a host's node and the network. It is not honest any more.
    pub fn corrupt(&mut self, index: HostId, filter: Box<dyn Filter>) {
        let host = &mut self.hosts[index as usize];
        host.honest = false;
        host.filter = Some((filter, BTreeMap::new()));
    }

    /// Ends what runs on a host. With `word`, its operating system ends the connections; without, they are just gone.
    pub fn stop(&mut self, index: HostId, word: bool) {
        let host = &mut self.hosts[index as usize];
        host.acts_before = host.acts();
        host.machine = Machine::Off;
        host.dark = !word;
        host.wake_at = None;
        host.filter = None;
        self.lose_uncommitted(index);
        let host = &mut self.hosts[index as usize];
        for conn in std::mem::take(&mut host.conns) {
            self.seals.iter_mut().for_each(|seals| _ = seals.forget(conn));
            self.net.forget(&mut self.queue, self.now, conn, word);
        }
    }

    /// Opens a connection from one host to another at once, as if a dial had just been answered. The first host's end.
    pub fn connect(&mut self, from: HostId, to: HostId) -> ConnId {
        let ends = self.net.open(from, to, self.now, self.now);
        self.accept(from, to, ends, 0);
        self.tell(from, Happening::Connected(ends[0], self.host(to).addr));
        ends[0]
    }

    /// Drops a connection, as a reset does: both ends learn of it.
    pub fn sever(&mut self, conn: ConnId) {
        let other = self.net.other(conn);
        self.closed(conn, true);
        if let Some(other) = other {
            self.closed(other, false);
        }
    }

    /// Suspends a host. Its monotonic clock goes on meanwhile, as on Windows, or stands still, as on Linux and macOS.
    pub fn sleep(&mut self, index: HostId, time: Duration, stands_still: bool) {
        let host = &mut self.hosts[index as usize];
        if host.asleep_until.is_none() {
            let until = self.now + nanos(time);
            host.asleep_until = Some(until);
            host.stands_since = stands_still.then_some(self.now);
            self.queue.push(until, Event::Awake { host: index });
        }
    }

    /// Sets a host's clock.
    pub fn set_clock(&mut self, index: HostId, ahead_ms: i64) {
        let host = &mut self.hosts[index as usize];
        host.clock.ahead_ms = ahead_ms;
        if let Some(check) = &mut self.probes.check {
            check.set_clock(ahead_ms);
        }
        let unix_ms = host.clock.unix_ms(self.now);
        if host.asleep_until.is_none() {
            self.input(index, Input::wall_clock(unix_ms));
        }
    }

    /// What a host's user says; what is refused is not said.
    pub fn say(&mut self, index: HostId, text: &str) -> Result<Outcome, CommandError> {
        if let Machine::Actor(_) = self.host(index).machine {
            if let Some(check) = &mut self.probes.check {
                text.split('\n').for_each(|line| check.said_line(index, self.now, line));
            }
            self.tell(index, Happening::Say(text));
            return Ok(Outcome::Done);
        }
        let texts = ChatText::lines(text).map_err(|_| CommandError::TooMuch)?;
        self.command(index, Command::Say(texts))
    }

    /// Gives a command to a node. None runs there: it is shutting down for good.
    pub fn command(&mut self, index: HostId, command: Command) -> Result<Outcome, CommandError> {
        if let Some(check) = &mut self.probes.check {
            check.asked(index);
        }
        let host = &mut self.hosts[index as usize];
        let local = host.local(self.now);
        let Machine::Node(node) = &mut host.machine else { return Err(CommandError::ShuttingDown) };
        let given = command.clone();
        let result = node.command(local, command);
        if let Some((_, recorder)) = self.probes.recorder.as_mut().filter(|(recorded, _)| *recorded == index)
        {
            recorder.command(local, &given, &result);
        }
        if let Some(digest) = &mut self.probes.digest {
            digest.answered(self.now, index, &result);
        }
        if let (Ok(outcome), Command::Say(texts)) = (&result, &given) {
            let entries = if let Outcome::Said(entries) = outcome { entries.as_slice() } else { &[] };
            if let Some(check) = &mut self.probes.check {
                check.said(index, self.now, texts, entries);
            }
            if let Some(meter) = &mut self.probes.meter {
                meter.said(self.now, index, entries);
            }
        }
        self.settle(index);
        result
    }

    /// Lets time pass; false when what watches has seen enough before that.
    pub fn run_for(&mut self, time: Duration) -> bool {
        self.run_to(self.now.saturating_add(nanos(time)))
    }

    /// The same, up to a point in time.
    pub fn run_to(&mut self, end: Nanos) -> bool {
        while self.step(end) {
            if self.probes.check.as_ref().is_some_and(Checker::has_breach) {
                return false;
            }
        }
        self.now = self.now.max(end);
        true
    }
    /// Lets the next event happen; false where there is none up to this point in time.
    pub fn step(&mut self, end: Nanos) -> bool {
        if self.queue.next_at().is_none_or(|at| at > end) {
            return false;
        }
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        self.happen(event);
        true
    }
}
