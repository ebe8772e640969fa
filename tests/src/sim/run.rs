//! One run: a network from a seed, chaos, then calm, and what it comes to.

mod final_delivery;
mod membership;
mod population;
mod silence;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use proto_core::{Capacity, Limits};
use serde::{Deserialize, Serialize};

use super::check::{Breach, Checker, Rule};
use super::digest::Digest;
use super::faults::{Chaos, Counts};
use super::hostile::Hostile;
use super::trace::Recorder;
use super::version1::Version1;
use super::world::Tamper;
use super::{Dice, Host, HostId, Nanos, World, nanos};
use population::{Odd, introduce, invite, net_config};
pub use silence::is_silent;

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
    /// How often each of them does its bad thing at most.
    pub acts: Option<u64>,
    /// Whether version 1 nodes may be among them.
    pub version1: bool,
    /// Whether they are in every network then, not in a third of all.
    pub always_version1: bool,
    /// Whether nodes have next to no room for what they hold and know: they forget, and that is not held against them.
    pub cramped: bool,
    /// Whether the logs of nodes are so small that authors who say much fill them: others keep their share.
    pub crowded: bool,
    /// Whether the nodes seal their connections with each other. None: in half of all networks.
    pub sealed: Option<bool>,
    /// Whether the nodes have stores. None: in half of all networks.
    pub stores: Option<bool>,
    /// Whether the nodes say that they are here. None: in half of all networks.
    pub presence: Option<bool>,
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
            acts: None,
            version1: true,
            always_version1: false,
            cramped: false,
            crowded: false,
            sealed: None,
            stores: None,
            presence: None,
            digest: false,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Whether nodes may have forgotten some of what was said.
    fn forgets(&self) -> bool {
        self.cramped || self.crowded
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
    /// How full capacities of nodes became, in percent of their bounds.
    pub fills: BTreeMap<Capacity, u64>,
    /// Events.
    pub events: u64,
    /// Messages shown by all nodes.
    pub shown: u64,
    /// Simulated time.
    pub lasted: Nanos,
    /// From the calm to one network with one view.
    pub settled: Option<Nanos>,
    /// The digest of all that nodes did, in hexadecimal, if it was asked for.
    pub digest: Option<String>,
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
    limits.conns.dead
        + limits.mesh.backoff_user * 2
        + limits.mesh.connect
        + limits.conns.greeting
        + SYNC_EVERY * 6
}

/// How often two neighbours compare what they hold.
const SYNC_EVERY: Duration = Duration::from_secs(30);

/// Makes the run of a seed. Never panics: a node that does is a breach.
pub fn run(seed: u64, options: &Options, attached: Attached) -> Outcome {
    keep_panics_quiet();
    let confined = if options.cramped {
        Some(population::cramped(seed, &options.limits))
    } else {
        population::limits(seed, &options.limits)
    };
    let little_room = u64::from(confined.is_some());
    let mut limits = confined.unwrap_or_else(|| options.limits.clone());
    if options.crowded {
        limits.chat.log_bytes = limits.chat.log_bytes.min(population::CROWDED);
    }
    let options = &Options { limits, ..options.clone() };
    let mut state = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let run = state.insert(Run::new(seed, options, attached));
        run.go(options)
    }));
    let mut outcome = state.as_ref().map(Run::outcome).unwrap_or_default();
    outcome.tally.insert("little room".to_owned(), little_room);
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

/// What the draw whether a network is sealed starts from.
const SEALED: u64 = 0x5ea1;

/// The same for whether its nodes say that they are here.
const PRESENCE: u64 = 0x4e4e;

/// The same for whether nodes have stores, and what happens to these.
const STORES: u64 = 0x570e;

struct Run {
    world: World,
    dice: Dice,
    chaos: Chaos,
    /// What runs on hosts that have no node.
    odd: BTreeMap<HostId, Odd>,
    /// How often a hostile peer does its bad thing at most.
    most_acts: u64,
    /// Version 1 nodes that were seen to hear, and to be heard, in the end.
    heard_version1: u64,
    /// How often the network was seen to fall silent.
    silent: u64,
    /// How often all were seen to list all others as members.
    listed: u64,
    breach: Option<Breach>,
}

impl Run {
    fn new(seed: u64, options: &Options, attached: Attached) -> Self {
        let mut dice = Dice::new(seed);
        let net = net_config(&mut dice);
        let mut world = World::new(net, dice.fork());
        world.probes.check = Some(if options.cramped {
            Checker::forgiving()
        } else if options.crowded {
            Checker::of_shares()
        } else {
            Checker::default()
        });
        // By a draw of its own: the others stay what they were.
        if options.sealed.unwrap_or_else(|| Dice::new(seed ^ SEALED).chance(0.5)) {
            world.seal();
        }
        if options.presence.unwrap_or_else(|| Dice::new(seed ^ PRESENCE).chance(0.5)) {
            world.announce_members();
        }
        let mut stores = Dice::new(seed ^ STORES);
        let drawn = stores.chance(0.5);
        if options.stores.unwrap_or(drawn) {
            world.give_stores(stores);
        }
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
        let mut chaos = Chaos::new(dice.fork(), most_hosts, options.limits.clone());
        chaos.version1 =
            odd.iter().filter(|(_, odd)| **odd == Odd::Version1).map(|(host, _)| *host).collect();
        let most_acts = options.acts.unwrap_or(u64::MAX);
        Self { world, dice, chaos, odd, most_acts, heard_version1: 0, silent: 0, listed: 0, breach: None }
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
            self.start_again();
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
                Version1::new(&format!("host{host}"), addr, targets, dice).start(&mut self.world, host);
            }
            Some(Odd::Hostile(trick)) => {
                let actor = Hostile::new(*trick, addr, targets, self.world.epoch_ms(), dice);
                self.world.start_actor(host, Box::new(actor.at_most(self.most_acts)));
            }
        }
    }

    /// Other version 1 nodes, in the place of those that ended.
    fn start_again(&mut self) {
        for host in std::mem::take(&mut self.chaos.returning) {
            self.start(host);
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
        self.start_again();
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
        // Where next to nothing is held, what is dated ahead leaves no room for what is not.
        let heard = if options.cramped { self.all_is_found_out() } else { self.final_delivery() };
        let listed = heard && (options.cramped || self.all_are_listed());
        (listed && (options.forgets() || self.falls_silent())).then_some(settled)
    }

    /// Who else was there, and what befell the bytes.
    fn tally(&self) -> BTreeMap<String, u64> {
        let mut tally = BTreeMap::from([
            ("split".to_owned(), self.world.net().splits),
            ("sealed dials".to_owned(), self.world.sealed_dials()),
            ("version 1 heard".to_owned(), self.heard_version1),
            ("fell silent".to_owned(), self.silent),
            ("members listed".to_owned(), self.listed),
        ]);
        for (what, count) in self.world.store_counts() {
            tally.insert(what.to_owned(), count);
        }
        for (host, odd) in &self.odd {
            *tally.entry(odd.to_string()).or_default() += 1;
            if matches!(odd, Odd::Hostile(_)) {
                let acts = tally.entry(format!("{odd}, acts")).or_default();
                *acts += self.world.host(*host).acts();
            }
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
            fills: check.map(|check| check.fills().clone()).unwrap_or_default(),
            events: self.world.events,
            shown: check.map_or(0, |check| check.shown),
            lasted: self.world.now(),
            settled: None,
            digest: self.world.probes.digest.as_ref().map(Digest::hex),
        }
    }
}
