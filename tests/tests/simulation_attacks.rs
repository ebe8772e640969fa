//! Four sybils for each honest node, who drop what they should pass on; else they are nodes as they are shipped. And
//! members that send nodes to a stranger's machine.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;

use proto_core::{Command, Limits, MeshLimits, Outcome};
use tests::sim::campaign::attack::{Kind, Measured, Options, measure};
use tests::sim::campaign::{Steady, each};
use tests::sim::check::{Checker, Rule};
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::{Dice, Filter, HostId, Nanos, NetConfig, World, address};

/// One in which the sybils have their way where nothing is done against them.
fn against(kind: Kind, limits: &Limits) -> Measured {
    let network = Steady::new(8, limits);
    measure(&Options { network, sybils: 32, kinds: Vec::new(), seed: 52, jobs: 1 }, kind)
}

#[test]
fn wherever_sybils_drop_all_every_honest_node_hears_every_message_in_six_seconds() {
    let kinds = Kind::value_variants();
    each(
        2,
        kinds,
        |kind| against(*kind, &Limits::default()),
        |kind, measured| {
            assert_eq!((measured.said, measured.in_time), (60, 60), "{kind:?}: {measured:?}");
        },
    );
}

/// Two honest nodes among so many sybils.
const AMID: HostId = 16;

/// Passes on nothing, and tells of sybils alone.
struct Mute(Vec<u8>);

impl Filter for Mute {
    fn outgoing(&mut self, _: Nanos, line: &[u8], out: &mut Vec<u8>) {
        match line.split(|byte| *byte == b'|').next() {
            Some(b"CHAT" | b"IHAVE" | b"SYNC") => {}
            Some(b"PEERS") => out.extend_from_slice(&self.0),
            _ => out.extend_from_slice(line),
        }
    }
}

/// Sybils crowd around two honest nodes, who then learn of each other. How many of ten messages of the one the other hears.
fn amid_sybils(seed: u64, limits: &Limits) -> usize {
    let mut world = World::new(NetConfig::default(), Dice::new(seed));
    let honest = [0, 1].map(|_| world.add_node(limits.clone(), []));
    // A sybil bears with all that befalls it.
    let patient = limits.clone().with(|limits| limits.chat.syncs_ignored = usize::MAX);
    let records = (2..2 + AMID).map(|host| format!(r#"{{"listen_addr":"{}"}}"#, address(host)));
    let peers = format!("PEERS|{}\n", records.collect::<Vec<_>>().join(";"));
    for _ in 0..AMID {
        let host = world.add_host(patient.clone());
        world.host_mut(host).targets = honest.map(address).to_vec();
        world.corrupt(host, Box::new(Mute(peers.clone().into_bytes())));
        world.start(host, true);
    }
    world.run_for(Duration::from_secs(60));
    world.command(honest[0], Command::Connect(address(honest[1]).into())).expect("it is up");
    world.run_for(Duration::from_secs(30));
    let mut heard = 0;
    for n in 0..10 {
        let Ok(Outcome::Said(said)) = world.say(honest[0], &format!("message {n}")) else {
            panic!("it is up")
        };
        world.run_for(Duration::from_secs(6));
        let node = world.host(honest[1]).node().unwrap();
        heard += usize::from(said.iter().all(|entry| node.entries().any(|held| held.id() == entry.id())));
    }
    heard
}

#[test]
fn among_sybils_that_pass_over_reconciliations_two_nodes_find_each_other_because_they_cut_them() {
    let patient = Limits::default().with(|limits| limits.chat.syncs_ignored = usize::MAX);
    for seed in 0..5 {
        assert_eq!(amid_sybils(seed, &Limits::default()), 10, "seed {seed}");
        assert_eq!(amid_sybils(seed, &patient), 0, "seed {seed}, where they bear with them");
    }
}

/// The honest nodes among those that misdirect.
const HONEST: HostId = 3;

/// How long they do.
const ASTRAY: Duration = Duration::from_secs(200);

/// A network in which so many members misdirect the others, after that time.
fn misdirected(limits: &Limits, members: HostId) -> World {
    let (mut world, mut dice) = (World::new(NetConfig::default(), Dice::new(5)), Dice::new(6));
    world.probes.check = Some(Checker::default());
    for host in 0..HONEST {
        world.add_host(limits.clone());
        world.host_mut(host).targets = (0..host).map(address).collect();
        world.start(host, true);
        if let Some(checked) = world.probes.check.as_mut().and_then(|check| check.limits_mut(host)) {
            *checked = Limits::default();
        }
    }
    for _ in 0..members {
        let host = world.add_host(limits.clone());
        let (addr, targets) = (address(host), (0..HONEST).map(address).collect());
        let member = Hostile::new(Trick::Misdirect, addr, targets, world.epoch_ms(), dice.fork());
        world.start_actor(host, Box::new(member));
    }
    world.run_for(ASTRAY);
    world
}

#[test]
fn members_that_name_a_strangers_machine_make_no_node_dial_it_beyond_its_budgets() {
    let limits = Limits::default();
    let MeshLimits { host_dials, host_dial_every, net_dials, net_dial_every, .. } = limits.mesh;
    let most = |burst: u32, every: Duration| u64::from(burst) + ASTRAY.as_secs() / every.as_secs();
    // One machine, and two networks.
    let most = most(host_dials, host_dial_every) + 2 * most(net_dials, net_dial_every);
    let world = misdirected(&limits, 3);
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!((check.breach(), check.end(&world)), (None, Ok(())));
    for host in 0..HONEST {
        let astray = check.dials_astray(host);
        assert!((u64::from(host_dials)..=most).contains(&astray), "host {host}: {astray} of {most}");
    }
}

#[test]
fn without_budgets_nodes_dial_a_strangers_machine_as_fast_as_they_dial() {
    let none = Limits::default().with(|limits| {
        (limits.mesh.host_dials, limits.mesh.net_dials, limits.mesh.teller_dials) =
            (u32::MAX, u32::MAX, u32::MAX);
    });
    let breach = misdirected(&none, 2).probes.check.unwrap().breach().cloned();
    assert!(breach.as_ref().is_some_and(|breach| breach.rule == Rule::DialBudget), "{breach:?}");
}

/// How long a member announces more than it may say.
const LURED: Duration = Duration::from_secs(60);

/// How many entries of a member that announces them first the first and the last of three nodes in a row hold in the end. The
/// member is linked to the first.
fn lured(limits: &Limits) -> (usize, usize, u64) {
    let mut world = World::new(NetConfig::default(), Dice::new(7));
    for host in 0..HONEST {
        world.add_host(limits.clone());
        world.host_mut(host).targets = host.checked_sub(1).map(address).into_iter().collect();
        world.start(host, true);
    }
    world.run_for(Duration::from_secs(5));
    let member = world.add_host(limits.clone());
    let dice = Dice::new(8);
    let hostile =
        Hostile::new(Trick::AnnounceFirst, address(member), vec![address(0)], world.epoch_ms(), dice);
    world.start_actor(member, Box::new(hostile));
    world.run_for(LURED);
    let node = |host| world.host(host).node().unwrap();
    let of_member = |host| node(host).entries().filter(|entry| entry.uname().as_str() == "mallory").count();
    (of_member(0), of_member(HONEST - 1), node(0).stats().entries_over_rate)
}

#[test]
fn who_announces_first_says_no_more_than_others_may() {
    let limits = Limits::default();
    let most = limits.chat.entries_burst as usize + limits.chat.entries_per_second as usize * 61;
    let (first, last, over) = lured(&limits);
    assert!((most / 2..=most).contains(&first), "{first} of {most}");
    assert!((most / 2..=most).contains(&last), "{last} of {most}");
    assert!(over > 300, "{over}");
}

#[test]
fn a_neighbour_that_asks_without_end_and_ignores_reconciliations_is_cut_in_time() {
    let mut world = World::new(NetConfig::default(), Dice::new(9));
    let node = world.add_node(Limits::default(), []);
    let member = world.add_host(Limits::default());
    let hostile =
        Hostile::new(Trick::BusyAsking, address(member), vec![address(node)], world.epoch_ms(), Dice::new(9));
    world.start_actor(member, Box::new(hostile));
    world.run_for(Duration::from_secs(20));
    let stats = world.host(node).node().unwrap().stats();
    assert!(stats.banned >= 1 || stats.violations >= 1, "{stats:?}");
    assert_eq!(world.host(node).node().unwrap().peers().count(), 0);
}

/// What one of so many honest nodes sends in a minute in which three members play this trick.
fn tricked(trick: Trick, limits: &Limits) -> Vec<String> {
    let (mut world, mut dice, sent) =
        (World::new(NetConfig::default(), Dice::new(5)), Dice::new(6), Sent::default());
    for host in 0..CROWD {
        world.add_host(limits.clone());
        world.host_mut(host).targets = host.checked_sub(1).map(address).into_iter().collect();
        world.start(host, true);
    }
    world.run_for(Duration::from_secs(30));
    world.corrupt(0, Box::new(Tap(sent.clone())));
    for _ in 0..3 {
        let host = world.add_host(limits.clone());
        let member = Hostile::new(
            trick,
            address(host),
            (0..CROWD).map(address).collect(),
            world.epoch_ms(),
            dice.fork(),
        );
        world.start_actor(host, Box::new(member));
    }
    world.run_for(Duration::from_secs(60));
    let sent = sent.lock().unwrap();
    sent.clone()
}

const CROWD: HostId = 8;

/// The lines that it sent.
type Sent = Arc<Mutex<Vec<String>>>;

struct Tap(Sent);

impl Filter for Tap {
    fn outgoing(&mut self, _: Nanos, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        self.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    }
}

#[test]
fn roots_that_displace_each_other_are_followed_now_and_then_only() {
    let roots = |limits: &Limits| {
        let sent = tricked(Trick::FlapRoot, limits);
        let roots = sent.iter().filter_map(|line| line.strip_prefix("TREE|")?.split(';').next());
        roots.collect::<BTreeSet<_>>().len()
    };
    let limits = Limits::default().with(|limits| {
        (limits.chat.roots_burst, limits.chat.roots_every) = (4, Duration::from_secs(30));
    });
    // Those that it may follow, and the one before them.
    let most = limits.chat.roots_burst as usize + 60 / limits.chat.roots_every.as_secs() as usize + 1;
    let (bounded, unbounded) =
        (roots(&limits), roots(&limits.with(|limits| limits.chat.roots_burst = u32::MAX)));
    assert!(bounded >= 4 && bounded <= most && unbounded > most, "{bounded} of {most}, {unbounded}");
}
