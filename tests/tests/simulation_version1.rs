//! Version 1 nodes, as they are in the field, among the others.

use std::time::Duration;

use proto_core::{ConnId, Limits, NodeId};
use tests::sim::version1::Version1;
use tests::sim::{Dice, HostId, World, address};

/// The version 1 node.
const OLD: HostId = 1;

/// A node and a version 1 node that dial each other.
fn two(seed: u64) -> (World, NodeId) {
    let mut world = World::checked(seed);
    for host in 0..2 {
        world.add_host(Limits::default());
        world.host_mut(host).targets = vec![address(1 - host)];
    }
    world.start(0, true);
    let old = Version1::new("old", address(OLD), vec![address(0)], Dice::new(seed));
    let id = old.id();
    old.start(&mut world, OLD);
    world.run_for(Duration::from_secs(15));
    (world, id)
}

/// Whether each hears the other.
fn hear_each_other(world: &mut World, word: &str) -> bool {
    let (ours, theirs) = (format!("{word} of ours"), format!("{word} of theirs"));
    assert!(world.say(0, &ours).is_ok() && world.say(OLD, &theirs).is_ok());
    world.run_for(Duration::from_secs(5));
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!(check.breach(), None);
    check.has_line(OLD, &ours) && check.has_line(0, &theirs)
}

#[test]
fn one_that_forgets_us_with_one_of_two_connections_is_met_again() {
    for seed in 0..8 {
        let (mut world, id) = two(seed);
        let conns: Vec<ConnId> = world.host(0).conns.clone();
        assert_eq!(conns.len(), 2, "its dial and ours");
        assert!(hear_each_other(&mut world, "first"), "seed {seed}");
        world.sever(conns[seed as usize % 2]);
        world.run_for(Duration::from_secs(20));
        let node = world.host(0).node().unwrap();
        assert!(node.peers().any(|peer| peer.node_id == id), "seed {seed}");
        assert!(hear_each_other(&mut world, "second"), "seed {seed}");
    }
}

#[test]
fn when_the_node_that_told_one_is_killed_another_tells_it() {
    const SPEAKER: HostId = 3;
    for seed in 0..4 {
        let mut world = World::checked(seed);
        for _ in 0..4 {
            world.add_host(Limits::default());
        }
        // Linked to each other, as the speaker and the version 1 node are not.
        (world.host_mut(OLD).unplugged, world.host_mut(SPEAKER).unplugged) = (true, true);
        for host in [0, 2, SPEAKER] {
            world.host_mut(host).targets = vec![address(0), address(2)];
            world.start(host, true);
        }
        let old = Version1::new("old", address(OLD), vec![address(0), address(2)], Dice::new(seed));
        old.start(&mut world, OLD);
        world.run_for(Duration::from_secs(15));
        let tellers = [0, 2].map(|host| (world.host(host).node().unwrap().id(), host));
        let (_, teller) = tellers.into_iter().min().unwrap();
        for (number, killed) in [false, true].into_iter().enumerate() {
            if killed {
                world.stop(teller, true);
                world.run_for(Duration::from_secs(10));
            }
            let word = format!("{number} of the speaker");
            assert!(world.say(SPEAKER, &word).is_ok());
            world.run_for(Duration::from_secs(5));
            let check = world.probes.check.as_ref().unwrap();
            assert_eq!(check.breach(), None);
            assert!(check.has_line(OLD, &word), "seed {seed}: {word}");
        }
    }
}
