//! One run: a network from a seed, chaos, then calm, and what it comes to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use proto_core::Limits;
use serde::{Deserialize, Serialize};

use super::check::{Breach, Checker, Rule};
use super::faults::{Chaos, Counts};
use super::hostile::{Hostile, Trick};
use super::trace::{Digest, Recorder};
use super::version1::Version1;
use super::world::Tamper;
use super::{Dice, Host, HostId, Latency, Nanos, NetConfig, World, nanos};

/// What a run is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many honest nodes it begins with; some more may join.
    pub nodes: RangeInclusive<u32>,
    /// How long the chaos lasts at least and at most.
    pub chaos: (Duration, Duration),
    /// Whether anything goes wrong at all.
    pub faults: bool,
    /// Whether hostile peers may be among them.
    pub hostile: bool,
    /// Whether version 1 nodes may be among them.
    pub version1: bool,
    /// Whether the digest of the run is wanted.
    pub digest: bool,
    /// Of the nodes.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3..=50,
            chaos: (Duration::from_secs(30), Duration::from_secs(120)),
            faults: true,
            hostile: true,
            version1: true,
            digest: false,
            limits: Limits::default(),
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// What must not be, if anything.
    pub breach: Option<Breach>,
    /// Hosts, in the end.
    pub hosts: usize,
    /// The faults that really happened.
    pub faults: Counts,
    /// Other things that happened, by name.
    pub tally: BTreeMap<String, u64>,
    /// Events.
    pub events: u64,
    /// Messages shown by all nodes.
    pub shown: u64,
    /// Simulated time.
    pub lasted: Nanos,
    /// From the calm to one network with one view.
    pub settled: Option<Nanos>,
    /// A number that follows from all actions, if it was asked for.
    pub digest: u64,
}

/// What may be attached to a run.
#[derive(Default)]
pub struct Attached {
    /// Records a node.
    pub recorder: Option<(HostId, Recorder)>,
    /// Plants faults.
    pub tamper: Option<Box<dyn Tamper>>,
}

/// How long the calm may take: all that the protocol's own timers can ask for, one after the other.
pub fn longest_calm(limits: &Limits) -> Duration {
    // A dead link is found out, its address dialed again, the greeting done, and what is missing asked for a few times.
    limits.dead + limits.backoff_user * 2 + limits.connect + limits.greeting + SYNC_EVERY * 6
}

/// How often two neighbours compare what they hold.
const SYNC_EVERY: Duration = Duration::from_secs(30);

/// Makes the run of a seed. Never panics: a node that does is a breach.
pub fn run(seed: u64, options: &Options, attached: Attached) -> Outcome {
    keep_panics_quiet();
    let mut state = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let run = state.insert(Run::new(seed, options, attached));
        run.go(options)
    }));
    let mut outcome = state.as_ref().map(Run::outcome).unwrap_or_default();
    match result {
        Ok(settled) => outcome.settled = settled,
        Err(_) => {
            let what = PANIC.with_borrow_mut(std::mem::take);
            outcome.breach = Some(Breach { at: outcome.lasted, rule: Rule::NoPanic, what });
        }
    }
    if let Some((_, recorder)) = state.and_then(|run| run.world.probes.recorder)
        && let Err(error) = recorder.finish()
    {
        outcome.tally.insert(format!("the trace was not written: {error}"), 1);
    }
    outcome
}

thread_local! {
    /// What the last panic on this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// What a panic in a run says belongs into its breach, not on the terminal.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.with_borrow(|quiet| *quiet) {
                PANIC.with_borrow_mut(|panic| *panic = info.to_string());
            } else {
                before(info);
            }
        }));
    });
    QUIET.with_borrow_mut(|quiet| *quiet = true);
}

struct Run {
    world: World,
    dice: Dice,
    chaos: Chaos,
    /// What runs on hosts that have no node.
    odd: BTreeMap<HostId, Odd>,
    breach: Option<Breach>,
}

impl Run {
    fn new(seed: u64, options: &Options, attached: Attached) -> Self {
        let mut dice = Dice::new(seed);
        let net = net_config(&mut dice);
        let mut world = World::new(net, dice.fork());
        world.probes.check = Some(Checker::default());
        world.probes.digest = options.digest.then(Digest::default);
        world.probes.recorder = attached.recorder;
        world.probes.tamper = attached.tamper;
        let (least, most) = (*options.nodes.start(), *options.nodes.end());
        let nodes = least + dice.below(u64::from(most.saturating_sub(least)) + 1) as u32;
        for _ in 0..nodes {
            world.add_host(options.limits.clone());
        }
        introduce(&mut world, &mut dice);
        let odd = invite(&mut world, &mut dice, options);
        let most_hosts = world.hosts().len() + nodes as usize / 4;
        let chaos = Chaos::new(dice.fork(), most_hosts, options.limits.clone());
        Self { world, dice, chaos, odd, breach: None }
    }

    /// From the beginning to the end; the time from the calm to one network with one view.
    fn go(&mut self, options: &Options) -> Option<Nanos> {
        let length = self.dice.between(options.chaos.0, options.chaos.1);
        let hurry = self.dice.between(Duration::from_millis(300), Duration::from_secs(5));
        let talk = self.dice.between(Duration::from_millis(100), Duration::from_secs(3));
        self.start_all();
        let end = self.world.now() + nanos(length);
        let mut strike = self.world.now() + nanos(hurry);
        let mut say = self.world.now() + nanos(talk);
        while self.world.now() < end {
            let repair = self.chaos.next_repair().unwrap_or(end);
            if !self.world.run_to(strike.min(say).min(repair).min(end)) {
                return None;
            }
            let now = self.world.now();
            self.chaos.repair(&mut self.world);
            if strike <= now {
                strike = now + nanos(self.dice.exponential(hurry)) + 1;
                if options.faults {
                    self.chaos.strike(&mut self.world);
                }
            }
            if say <= now {
                say = now + nanos(self.dice.exponential(talk)) + 1;
                self.somebody_says();
            }
        }
        self.calm(options)
    }

    fn start_all(&mut self) {
        let mut hosts: Vec<_> = (0..self.world.hosts().len() as HostId).collect();
        if self.dice.chance(0.5) {
            self.dice.shuffle(&mut hosts);
        }
        let gap = self.dice.between(Duration::ZERO, Duration::from_millis(500));
        for host in hosts {
            self.start(host);
            self.world.run_for(gap);
        }
    }

    fn start(&mut self, host: HostId) {
        let dice = self.dice.fork();
        let (addr, targets) = (self.world.host(host).addr, self.world.host(host).targets.clone());
        match self.odd.get(&host) {
            None => self.world.start(host, true),
            Some(Odd::Version1) => {
                let actor = Version1::new(&format!("host{host}"), addr, targets, dice);
                if let Some(check) = &mut self.world.probes.check {
                    check.speaks_version_1(host, actor.id());
                }
                self.world.start_actor(host, Box::new(actor));
            }
            Some(Odd::Hostile(trick)) => {
                let actor = Hostile::new(*trick, addr, targets, self.world.epoch_ms(), dice);
                self.world.start_actor(host, Box::new(actor));
            }
        }
    }

    fn somebody_says(&mut self) {
        let mut live = self.world.live();
        live.extend(self.odd.iter().filter(|(_, odd)| **odd == Odd::Version1).map(|(host, _)| *host));
        if let Some(host) = self.dice.pick(&live) {
            self.chaos.say(&mut self.world, *host);
        }
    }

    fn calm(&mut self, options: &Options) -> Option<Nanos> {
        const STEP: Duration = Duration::from_secs(5);
        self.chaos.calm(&mut self.world);
        // Some go on while the others have their calm.
        if self.dice.chance(0.5) {
            for host in self.odd.iter().filter(|(_, odd)| **odd != Odd::Version1).map(|(host, _)| *host) {
                self.world.stop(host, true);
            }
        }
        while let Some(until) = self.world.hosts().iter().filter_map(Host::asleep_until).max() {
            if !self.world.run_to(until) {
                return None;
            }
        }
        let start = self.world.now();
        for host in self.world.live() {
            self.chaos.say(&mut self.world, host);
        }
        let end = start + nanos(longest_calm(&options.limits));
        loop {
            if !self.world.run_for(STEP) {
                return None;
            }
            let check = self.world.probes.check.as_ref()?;
            match check.end(&self.world) {
                Ok(()) => break,
                Err(breach) if self.world.now() >= end => {
                    self.breach = Some(breach);
                    return None;
                }
                Err(_) => {}
            }
        }
        let settled = self.world.now() - start;
        self.last_words().then_some(settled)
    }

    /// What is said in a network that has settled reaches all at once.
    fn last_words(&mut self) -> bool {
        let live = self.world.live();
        let Some(host) = self.dice.pick(&live).copied() else { return true };
        let said = match self.world.say(host, "the last words") {
            Ok(proto_core::Outcome::Said(entries)) => entries,
            Ok(proto_core::Outcome::Done) | Err(_) => Vec::new(),
        };
        if !self.world.run_for(Duration::from_secs(10)) {
            return false;
        }
        let check = self.world.probes.check.as_ref();
        let right = live.iter().filter(|host| self.world.host(**host).clock.is_right());
        let deaf: Vec<_> = right
            .filter(|host| {
                !said.iter().all(|entry| check.is_some_and(|check| check.has_shown(**host, entry.id())))
            })
            .collect();
        // A clock that was far ahead goes on from there when it is right again.
        let due = self.world.unix_ms() + self.world.host(host).limits.clock_tolerance.as_millis() as u64;
        if !deaf.is_empty() && said.iter().all(|entry| entry.at() < due - 10_000) {
            let what = format!("hosts {deaf:?} do not show the last words of host {host}");
            self.breach = Some(Breach { at: self.world.now(), rule: Rule::SameView, what });
        }
        self.breach.is_none()
    }

    /// Who else was there, and what befell the bytes.
    fn tally(&self) -> BTreeMap<String, u64> {
        let mut tally = BTreeMap::from([("split".to_owned(), self.world.net().splits)]);
        for odd in self.odd.values() {
            *tally.entry(odd.to_string()).or_default() += 1;
        }
        tally
    }

    fn outcome(&self) -> Outcome {
        let check = self.world.probes.check.as_ref();
        Outcome {
            breach: check.and_then(Checker::breach).or(self.breach.as_ref()).cloned(),
            hosts: self.world.hosts().len(),
            faults: self.chaos.counts.clone(),
            tally: self.tally(),
            events: self.world.events,
            shown: check.map_or(0, |check| check.shown),
            lasted: self.world.now(),
            settled: None,
            digest: self.world.probes.digest.as_ref().map_or(0, Digest::value),
        }
    }
}

/// What is no honest node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    Version1,
    Hostile(Trick),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version1 => f.write_str("version 1"),
            Self::Hostile(trick) => write!(f, "hostile {trick}"),
        }
    }
}

/// Adds version 1 nodes to a third of all networks, and hostile peers to half of them: one for four honest at most.
fn invite(world: &mut World, dice: &mut Dice, options: &Options) -> BTreeMap<HostId, Odd> {
    let honest = world.hosts().len() as u64;
    let mut odd = Vec::new();
    if options.version1 && dice.chance(0.33) {
        odd.extend((0..1 + dice.below(2)).map(|_| Odd::Version1));
    }
    if options.hostile && dice.chance(0.5) {
        let count = 1 + dice.below(honest.div_ceil(4));
        odd.extend((0..count).filter_map(|_| dice.pick(&Trick::ALL).copied()).map(Odd::Hostile));
    }
    let mut hosts = BTreeMap::new();
    for kind in odd {
        let host = world.add_host(options.limits.clone());
        world.host_mut(host).honest = false;
        let known = dice.below(honest) as HostId;
        world.host_mut(host).targets = vec![world.host(known).addr];
        hosts.insert(host, kind);
    }
    hosts
}

fn net_config(dice: &mut Dice) -> NetConfig {
    let ms = Duration::from_millis;
    let latency = match dice.below(3) {
        0 => Latency::Constant(ms(dice.below(100))),
        1 => Latency::Uniform(ms(1), ms(2 + dice.below(200))),
        _ => Latency::Exponential(ms(1 + dice.below(100))),
    };
    let sometimes = |dice: &mut Dice, share: f64| dice.chance(share).then(|| dice.share());
    NetConfig {
        latency,
        jitter: sometimes(dice, 0.5).map_or(Duration::ZERO, |share| ms(50).mul_f64(share)),
        split: sometimes(dice, 0.5).map_or(0.0, |share| share / 2.0),
        window: (16 * 1024) << dice.below(5),
        flush: sometimes(dice, 0.5).map(|share| ms(5).mul_f64(share)),
        bandwidth: sometimes(dice, 0.3).map(|share| 20_000 + (share * 400_000.0) as u64),
    }
}

/// Users tell their nodes whom to dial: all the first, each the one before, or each one of those before.
fn introduce(world: &mut World, dice: &mut Dice) {
    let style = dice.below(3);
    for host in 1..world.hosts().len() as HostId {
        let known = match style {
            0 => 0,
            1 => host - 1,
            _ => dice.below(u64::from(host)) as HostId,
        };
        world.host_mut(host).targets = vec![world.host(known).addr];
    }
}
