//! A network without faults that has had time to settle.

use std::time::Duration;

use proto_core::Limits;

use crate::sim::measure::Meter;
use crate::sim::{Dice, HostId, NetConfig, World};

/// How a steady network is made.
#[derive(Clone, Debug)]
pub struct Steady {
    /// How many nodes.
    pub nodes: u32,
    /// How many of them come each second.
    pub joins: u32,
    /// How many of those before it each is told to dial.
    pub contacts: u32,
    /// How long they have to settle after the last one came.
    pub settle: Duration,
    /// Of the nodes.
    pub limits: Limits,
    /// Between them.
    pub net: NetConfig,
}

impl Steady {
    /// So many nodes, 10 to 50 ms apart.
    pub fn new(nodes: u32, limits: &Limits) -> Self {
        let mut limits = limits.clone();
        if nodes > 2_000 {
            // Ten thousand full books do not fit the memory of a small machine.
            (limits.mesh.book, limits.mesh.book_per_source) = (128, 32);
        }
        Self {
            nodes,
            joins: (nodes / 50).max(10),
            contacts: 3,
            settle: Duration::from_secs(60),
            limits,
            net: NetConfig::default(),
        }
    }

    /// Makes it.
    pub fn build(&self, seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let mut world = World::new(self.net.clone(), dice.fork());
        for _ in 0..self.nodes {
            self.join(&mut world, &mut dice);
            world.run_for(Duration::from_secs(1) / self.joins);
        }
        world.run_for(self.settle);
        world.probes.meter = Some(Meter::default());
        world
    }

    /// One more node comes.
    pub fn join(&self, world: &mut World, dice: &mut Dice) -> HostId {
        let before: Vec<_> = (0..world.hosts().len() as HostId).collect();
        self.join_by(world, dice, &before)
    }

    /// The same; whom it dials is among these.
    pub fn join_by(&self, world: &mut World, dice: &mut Dice, known: &[HostId]) -> HostId {
        let host = world.add_host(self.limits.clone());
        let contacts = (0..self.contacts).filter_map(|_| dice.pick(known).copied());
        let mut targets: Vec<_> = contacts.map(|contact| world.host(contact).addr).collect();
        targets.sort_unstable();
        targets.dedup();
        world.host_mut(host).targets = targets;
        world.start(host, true);
        host
    }
}

/// How many peers the live nodes have, in the mean.
pub fn mean_degree(world: &World) -> f64 {
    let live = world.live();
    let peers = live.iter().filter_map(|host| world.host(*host).node()).map(|node| node.peers().count());
    peers.sum::<usize>() as f64 / live.len().max(1) as f64
}
