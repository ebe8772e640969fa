//! What goes wrong in a run: faults drawn one by one, and what makes them good again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proto_core::{Command, ConnId, Limits};
use serde::{Deserialize, Serialize};

use super::{Dice, HostId, Nanos, Partition, World, nanos};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A connection is reset.
    Sever,
    /// What goes to one end of a connection is lost from now on, and nobody is told.
    HalfOpen,
    /// The same at both ends.
    Vanish,
    /// A connection becomes slow.
    Slow,
    /// A node ends without a word; its operating system closes its connections.
    Crash,
    /// A host loses power: nobody is told anything.
    PowerLoss,
    /// A node takes its leave.
    Leave,
    /// A node that is down starts again, with its key.
    Restart,
    /// The same without: it is another one now.
    Rebirth,
    /// The network falls apart.
    Partition,
    /// Packets get lost in one direction.
    OneWay,
    /// A host refuses to be dialed.
    Unplug,
    /// A host is suspended.
    Sleep,
    /// A clock is set a little wrong, or right again.
    Skew,
    /// A clock is set wrong by minutes to days.
    Jump,
    /// Somebody new comes.
    Join,
    /// Somebody says much at once.
    Burst,
    /// A version 1 node ends, and another starts in its place.
    Replace,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Sever,
        Self::HalfOpen,
        Self::Vanish,
        Self::Slow,
        Self::Crash,
        Self::PowerLoss,
        Self::Leave,
        Self::Restart,
        Self::Rebirth,
        Self::Partition,
        Self::OneWay,
        Self::Unplug,
        Self::Sleep,
        Self::Skew,
        Self::Jump,
        Self::Join,
        Self::Burst,
        Self::Replace,
    ];

    /// How often it is drawn, compared with the others.
    fn weight(self) -> u64 {
        match self {
            Self::Sever => 8,
            Self::HalfOpen | Self::Crash | Self::Burst | Self::Replace => 4,
            Self::Leave | Self::Rebirth | Self::Partition | Self::Jump | Self::PowerLoss => 2,
            Self::Join => 1,
            _ => 3,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name that serde gives it, without its quotes.
        let name = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.pad(name.trim_matches('"'))
    }
}

/// How often each fault really happened.
pub type Counts = BTreeMap<Fault, u64>;

/// What makes a fault good again.
#[derive(Clone, Copy, Debug)]
enum Repair {
    Start { host: HostId, memory: bool },
    Return { host: HostId },
    Stop { host: HostId },
    Heal,
    Plug { host: HostId },
    Quicken { conn: ConnId },
}

/// The chaos of a run.
pub struct Chaos {
    dice: Dice,
    enabled: Vec<Fault>,
    repairs: Vec<(Nanos, Repair)>,
    partitioned: bool,
    most_hosts: usize,
    limits: Limits,
    said: u64,
    /// Hosts of version 1 nodes.
    pub version1: Vec<HostId>,
    /// Of these, those where another is to start now.
    pub returning: Vec<HostId>,
    /// What has happened so far.
    pub counts: Counts,
}

impl Chaos {
    /// Chaos of a random half of all faults: some show only without others. Nobody joins beyond `most_hosts`.
    pub fn new(mut dice: Dice, most_hosts: usize, limits: Limits) -> Self {
        let mut enabled: Vec<_> = Fault::ALL.into_iter().filter(|_| dice.chance(0.5)).collect();
        if enabled.is_empty() {
            enabled.push(Fault::Sever);
        }
        Self {
            dice,
            enabled,
            repairs: Vec::new(),
            partitioned: false,
            most_hosts,
            limits,
            said: 0,
            version1: Vec::new(),
            returning: Vec::new(),
            counts: Counts::new(),
        }
    }

    /// When something is to be made good again.
    pub fn next_repair(&self) -> Option<Nanos> {
        self.repairs.iter().map(|(at, _)| *at).min()
    }

    /// Makes good what is due.
    pub fn repair(&mut self, world: &mut World) {
        let now = world.now();
        let mut due: Vec<_> = self.repairs.extract_if(.., |(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        for (_, repair) in due {
            self.make_good(world, repair);
        }
    }

    /// The user of a node that lost its key knows two others: nobody dials the node where another key is expected (SPEC
    /// 3.14).
    fn introduce(&mut self, world: &mut World, host: HostId) {
        let others = world.live();
        for _ in 0..2 {
            if let Some(other) = self.dice.pick(&others) {
                let addr = world.host(*other).addr;
                world.host_mut(host).targets.push(addr);
            }
        }
    }

    fn make_good(&mut self, world: &mut World, repair: Repair) {
        match repair {
            Repair::Start { host, memory } if !world.host(host).is_up() => {
                world.host_mut(host).dark = false;
                if !memory && world.is_sealed() {
                    self.introduce(world, host);
                }
                world.start(host, memory);
                *self.counts.entry(if memory { Fault::Restart } else { Fault::Rebirth }).or_default() += 1;
            }
            Repair::Start { .. } => {}
            Repair::Return { host } => self.returning.push(host),
            Repair::Stop { host } => world.stop(host, true),
            Repair::Heal => {
                self.partitioned = false;
                let now = world.now();
                let (net, queue) = world.net_mut();
                net.heal(queue, now);
            }
            Repair::Plug { host } => world.host_mut(host).unplugged = false,
            Repair::Quicken { conn } => world.net_mut().0.throttle(conn, None),
        }
    }

    /// Something goes wrong, if what was drawn can.
    pub fn strike(&mut self, world: &mut World) {
        let total = self.enabled.iter().map(|fault| fault.weight()).sum();
        let mut drawn = self.dice.below(total);
        let fault = self.enabled.iter().copied().find(|fault| {
            let weight = fault.weight();
            let here = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            here
        });
        if let Some(fault) = fault
            && self.inflict(world, fault)
        {
            *self.counts.entry(fault).or_default() += 1;
        }
    }

    fn inflict(&mut self, world: &mut World, fault: Fault) -> bool {
        match fault {
            Fault::Sever | Fault::HalfOpen | Fault::Vanish | Fault::Slow => self.hit_connection(world, fault),
            Fault::Crash | Fault::PowerLoss | Fault::Leave => self.take_down(world, fault),
            // They follow from the three above.
            Fault::Restart | Fault::Rebirth => false,
            Fault::Partition | Fault::OneWay => self.part(world, fault == Fault::OneWay),
            Fault::Join => self.join(world),
            Fault::Replace => self.replace(world),
            Fault::Unplug | Fault::Sleep | Fault::Skew | Fault::Jump | Fault::Burst => {
                self.hit_host(world, fault)
            }
        }
    }

    fn hit_connection(&mut self, world: &mut World, fault: Fault) -> bool {
        let Some(conn) = self.connection(world) else { return false };
        let other = world.net().other(conn);
        match fault {
            Fault::Sever => world.sever(conn),
            Fault::HalfOpen => world.net_mut().0.lose(conn),
            Fault::Vanish => {
                let net = world.net_mut().0;
                net.lose(conn);
                other.into_iter().for_each(|other| net.lose(other));
            }
            _ => {
                let bandwidth = 500 + self.dice.below(8_000);
                world.net_mut().0.throttle(conn, Some(bandwidth));
                self.later(world, 5, 40, Repair::Quicken { conn });
            }
        }
        true
    }

    /// A random connection of a random live host.
    fn connection(&mut self, world: &World) -> Option<ConnId> {
        let live = world.live();
        let host = *self.dice.pick(&live)?;
        self.dice.pick(&world.host(host).conns).copied()
    }

    fn take_down(&mut self, world: &mut World, fault: Fault) -> bool {
        let live = world.live();
        // Somebody has to be there to hear it.
        let Some(&host) = self.dice.pick(&live).filter(|_| live.len() > 2) else { return false };
        let memory = self.dice.chance(0.6);
        match fault {
            Fault::Leave => {
                _ = world.command(host, Command::Shutdown);
                self.repairs.push((world.now() + nanos(self.limits.conns.linger * 2), Repair::Stop { host }));
            }
            _ => world.stop(host, fault == Fault::Crash),
        }
        self.later(world, 3, 60, Repair::Start { host, memory });
        true
    }

    fn part(&mut self, world: &mut World, one_way: bool) -> bool {
        if self.partitioned {
            return false;
        }
        let sides = 2 + self.dice.below(2);
        let side = world.hosts().iter().map(|_| self.dice.below(sides) as u8).collect();
        world.net_mut().0.partitions.push(Partition { side, one_way });
        self.partitioned = true;
        self.later(world, 5, 90, Repair::Heal);
        true
    }

    fn join(&mut self, world: &mut World) -> bool {
        let live = world.live();
        if world.hosts().len() >= self.most_hosts {
            return false;
        }
        let Some(known) = self.dice.pick(&live) else { return false };
        let addr = world.host(*known).addr;
        let host = world.add_host(self.limits.clone());
        // Whoever it knows may leave: the first is always there in the end.
        world.host_mut(host).targets = vec![addr, world.host(0).addr];
        world.start(host, true);
        true
    }

    fn replace(&mut self, world: &mut World) -> bool {
        let up: Vec<_> = self.version1.iter().copied().filter(|host| world.host(*host).is_up()).collect();
        let Some(&host) = self.dice.pick(&up) else { return false };
        world.stop(host, true);
        self.later(world, 1, 30, Repair::Return { host });
        true
    }

    fn hit_host(&mut self, world: &mut World, fault: Fault) -> bool {
        let live = world.live();
        let Some(&host) = self.dice.pick(&live) else { return false };
        match fault {
            Fault::Unplug => {
                world.host_mut(host).unplugged = true;
                self.later(world, 5, 60, Repair::Plug { host });
            }
            Fault::Sleep => {
                let time = self.dice.between(Duration::from_secs(1), Duration::from_secs(100));
                world.sleep(host, time, self.dice.chance(0.5));
            }
            Fault::Skew => {
                let ahead = self.dice.below(2_000) as i64 - 1_000;
                world.set_clock(host, ahead);
            }
            Fault::Jump => {
                let far = self.dice.exponential(Duration::from_secs(600)).as_millis() as i64 + 2_000;
                world.set_clock(host, if self.dice.chance(0.5) { far } else { -far });
            }
            _ => {
                let lines = 2 + self.dice.below(60);
                let said = (0..lines).filter(|_| self.say(world, host)).count();
                return said > 0;
            }
        }
        true
    }

    /// The user of a host says something that nobody has said yet. False where it is refused.
    pub fn say(&mut self, world: &mut World, host: HostId) -> bool {
        self.said += 1;
        let mut text = format!("{} of host {host}", self.said);
        if self.dice.chance(0.05) {
            text.extend(std::iter::repeat_n('~', 1 + self.dice.index(3_000)));
        }
        if self.dice.chance(0.05) {
            for line in 0..2 + self.dice.below(10) {
                text += &format!("\nline {line} of {} of host {host}", self.said);
            }
        }
        world.say(host, &text).is_ok()
    }

    /// All is made good: what is down starts, what is parted meets, all wake and have the right time, but for some.
    pub fn calm(&mut self, world: &mut World) {
        world.calm_stores();
        let mut repairs = std::mem::take(&mut self.repairs);
        repairs.sort_by_key(|(at, _)| *at);
        for (_, repair) in repairs {
            self.make_good(world, repair);
        }
        for host in 0..world.hosts().len() as HostId {
            if world.host(host).honest && world.host(host).clock.ahead_ms != 0 && self.dice.chance(0.8) {
                world.set_clock(host, 0);
            }
        }
    }

    fn later(&mut self, world: &World, least: u64, most: u64, repair: Repair) {
        let after = self.dice.between(Duration::from_secs(least), Duration::from_secs(most));
        self.repairs.push((world.now() + nanos(after), repair));
    }
}
