//! Authors that fork their runs, and nodes with one key: all nodes end with the same, and fall silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_core::{Action, Limits, Node, Notice, Stats};
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::{Dice, HostId, Tamper, World, address};

/// The honest nodes.
const NODES: HostId = 5;

/// How often two neighbours reconcile, at most.
const SYNC_EVERY: Duration = Duration::from_secs(45);

fn stats(world: &World) -> Vec<Stats> {
    (0..NODES).filter_map(|host| world.host(host).node().map(Node::stats)).collect()
}

fn sum(world: &World, count: impl Fn(&Stats) -> u64) -> u64 {
    stats(world).iter().map(count).sum()
}

/// A network in which somebody forked its runs for two minutes, who is gone now.
fn forked(trick: Trick) -> World {
    let mut world = World::checked(31);
    for host in 0..NODES {
        // A line: what one node holds comes to the last one by several others.
        world.add_node(Limits::default(), host.checked_sub(1));
        world.start(host, true);
    }
    let hostile = world.add_host(Limits::default());
    let targets = (0..NODES).map(address).collect();
    let actor = Hostile::new(trick, address(hostile), targets, world.epoch_ms(), Dice::new(9));
    world.start_actor(hostile, Box::new(actor));
    for n in 0..60 {
        assert!(world.run_for(Duration::from_secs(2)));
        let _ = world.say(n % NODES, &format!("words {n}"));
    }
    world.stop(hostile, true);
    world
}

#[test]
fn nodes_agree_on_what_is_forked_and_fall_silent() {
    for trick in [Trick::Fork, Trick::ForkLower, Trick::ForkBehind] {
        let mut world = forked(trick);
        let end = |world: &World| world.probes.check.as_ref().unwrap().end(world);
        for _ in 0..6 {
            world.run_for(SYNC_EVERY);
        }
        assert_eq!(end(&world), Ok(()), "{trick}");
        let (forks, withdrawn) = (sum(&world, |it| it.forks), sum(&world, |it| it.entries_withdrawn));
        assert!(forks >= 20 && withdrawn >= 20, "{trick}: {forks} {withdrawn}");
        // Now they are in agreement: reconciliations go on, and find nothing.
        let before = (sum(&world, |it| it.entries_sent), sum(&world, |it| it.syncs));
        world.run_for(Duration::from_secs(600));
        let after = (sum(&world, |it| it.entries_sent), sum(&world, |it| it.syncs));
        assert_eq!(after.0, before.0, "{trick}: entries are still exchanged");
        assert!(after.1 > before.1 + 50, "{trick}: {after:?}");
        assert_eq!(world.probes.check.as_ref().unwrap().breach(), None, "{trick}");
    }
}

/// What was told to users of nodes, and what they saw of others.
#[derive(Default)]
struct Seen {
    told: Vec<HostId>,
    /// Joins and leaves that a host showed.
    changes: Vec<(HostId, bool)>,
}

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Seen>>);

impl Tamper for Watch {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        let mut all = self.0.lock().unwrap();
        match &action {
            Action::Notice(Notice::KeyShared) => all.told.push(host),
            Action::RegisterPeer(_) => all.changes.push((host, true)),
            Action::UnregisterPeer { .. } => all.changes.push((host, false)),
            _ => {}
        }
        drop(all);
        seen.push(action);
    }
}

impl Watch {
    fn told(&self) -> Vec<HostId> {
        let mut told = self.0.lock().unwrap().told.clone();
        told.sort_unstable();
        told
    }

    fn changes(&self, host: HostId) -> usize {
        self.0.lock().unwrap().changes.iter().filter(|(at, _)| *at == host).count()
    }
}

/// Three nodes, the last of which has the key of the one before; both dial the first. Or the last one dials the one before.
fn twins(direct: bool) -> (World, Watch) {
    let (mut world, watch) = (World::checked(33), Watch::default());
    world.probes.tamper = Some(Box::new(watch.clone()));
    world.add_node(Limits::default(), []);
    world.add_node(Limits::default(), [0]);
    world.add_node(Limits::default(), [HostId::from(direct)]);
    world.host_mut(1).set_secret([21; 32]);
    world.host_mut(2).set_secret([21; 32]);
    (0..3).for_each(|host| world.start(host, true));
    (world, watch)
}

#[test]
fn two_nodes_with_one_key_are_both_told_once_and_a_third_one_sees_no_stream_of_joins_and_leaves() {
    let (mut world, watch) = twins(false);
    world.run_for(Duration::from_secs(110));
    assert_eq!(watch.told(), [0; 0]);
    for n in 0..180 {
        for host in [1, 2] {
            let _ = world.say(host, &format!("{n} of {host}"));
        }
        world.run_for(Duration::from_secs(10));
    }
    assert_eq!(watch.told(), [1, 2], "the third node tells where the other one is");
    // The first node saw one of them come. The second one of the two comes to it every ten minutes, for three seconds.
    assert_eq!(watch.changes(0), 1);
    assert!((4..=14).contains(&watch.changes(2)), "{}", watch.changes(2));
}

#[test]
fn two_nodes_with_one_key_that_dial_each_other_are_both_told_once_without_a_word() {
    let (mut world, watch) = twins(true);
    world.run_for(Duration::from_secs(590));
    assert_eq!(watch.told(), [0; 0]);
    world.run_for(Duration::from_secs(1_900));
    assert_eq!(watch.told(), [1, 2]);
    assert_eq!((watch.changes(0), watch.changes(2)), (1, 0));
}

#[test]
fn a_node_that_is_started_again_after_a_crash_is_told_of_nobody() {
    let (mut world, watch) = (World::checked(34), Watch::default());
    world.probes.tamper = Some(Box::new(watch.clone()));
    world.add_node(Limits::default(), []);
    world.add_node(Limits::default(), [0]);
    (0..2).for_each(|host| world.start(host, true));
    for n in 0..40 {
        let _ = world.say(1, &format!("words {n}"));
        world.run_for(Duration::from_secs(10));
        if n % 15 == 14 {
            // Without a word: its old connection stays open at the other node.
            world.stop(1, false);
            world.run_for(Duration::from_secs(1));
            world.start(1, true);
        }
    }
    world.run_for(Duration::from_secs(300));
    assert_eq!(watch.told(), [0; 0]);
    assert_eq!(world.probes.check.as_ref().unwrap().breach(), None);
}
