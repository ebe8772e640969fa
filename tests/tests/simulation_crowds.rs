//! Many connections from one address, which cost whoever opens them next to nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::{Limits, Outcome};
use tests::sim::check::Checker;
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::version1::Version1;
use tests::sim::{Dice, HostId, Latency, NetConfig, Transcript, World, address};

const HONEST: HostId = 3;
const SECOND: Duration = Duration::from_secs(1);

/// Three honest nodes, and such a crowd around the first of them.
fn besieged(limits: &Limits, trick: Trick, connections: usize, every: Duration) -> World {
    let config = NetConfig { latency: Latency::Constant(Duration::from_millis(100)), ..NetConfig::default() };
    let mut world = World::new(config, Dice::new(7));
    world.probes.check = Some(Checker::default());
    world.probes.transcripts = Some(BTreeMap::new());
    for host in 0..HONEST {
        world.add_host(limits.clone());
        world.host_mut(host).targets = (0..host).map(address).collect();
        world.start(host, true);
    }
    world.run_for(5 * SECOND);
    let host = world.add_host(limits.clone());
    world.host_mut(host).honest = false;
    let crowd = Hostile::new(trick, address(host), vec![address(0)], world.epoch_ms(), Dice::new(8));
    world.start_actor(host, Box::new(crowd.with_crowd(connections, every)));
    world.run_for(45 * SECOND);
    world
}

fn transcript(world: &World, host: HostId) -> &Transcript {
    &world.probes.transcripts.as_ref().unwrap()[&host]
}

fn shows(world: &World, host: HostId, text: &str) -> bool {
    transcript(world, host).heard.iter().any(|(_, heard)| heard == text)
}

fn links_of_first(world: &World) -> usize {
    world.host(0).node().unwrap().peers().count()
}

/// The first node's user says a word a second. The longest time until the others show one, and how many entries the first
/// one signs a minute for the crowd.
fn words_among_noise(world: &mut World) -> (Duration, u64) {
    let stats = |world: &World| world.host(0).node().unwrap().stats();
    let (before, start, mut longest) = (stats(world), world.now(), Duration::ZERO);
    for second in 0..10 {
        let text = format!("word {second}");
        assert!(matches!(world.say(0, &text), Ok(Outcome::Said(_))));
        let said = world.now();
        while !(1..HONEST).all(|host| shows(world, host, &text)) && world.now() - said < 60_000_000_000 {
            world.run_for(Duration::from_millis(100));
        }
        longest = longest.max(Duration::from_nanos(world.now() - said));
        world.run_for(SECOND);
    }
    let after = stats(world);
    let signed = (after.signed - before.signed) - (after.said - before.said);
    (longest, signed * 60_000_000_000 / (world.now() - start))
}

#[test]
fn a_crowd_without_a_key_delays_no_word_of_the_user_and_has_few_entries_signed() {
    let limits = Limits::default();
    let mut world = besieged(&limits, Trick::Crowd, 150, 2 * SECOND);
    assert!(links_of_first(&world) > 100, "{}", links_of_first(&world));
    let (longest, signed) = words_among_noise(&mut world);
    assert!(longest <= SECOND / 2, "{longest:?}");
    let most = u64::from(60 * limits.v1.entries_per_second + limits.v1.entries_burst);
    assert!((60..=most).contains(&signed), "{signed} entries a minute");
    assert!(world.host(0).node().unwrap().stats().lines_dropped > 0);
    assert_eq!(world.probes.check.as_ref().unwrap().breach(), None);
}

#[test]
fn a_peer_without_a_key_from_elsewhere_gets_in_beside_a_crowd_and_is_heard() {
    let mut world = besieged(&Limits::default(), Trick::Crowd, 150, 2 * SECOND);
    let host = world.add_host(Limits::default());
    let old = Version1::new("Old", address(host), vec![address(0)], Dice::new(9));
    let id = old.id();
    old.start(&mut world, host);
    world.run_for(5 * SECOND);
    assert!(world.host(0).node().unwrap().peers().any(|peer| peer.node_id == id));
    assert!(world.host(0).node().unwrap().stats().displaced > 0);
    world.say(host, "hello from elsewhere").ok();
    world.run_for(5 * SECOND);
    assert!((0..HONEST).all(|node| shows(&world, node, "hello from elsewhere")));
}

#[test]
fn silent_connections_without_end_keep_no_newcomer_out() {
    // 8 connections each 13 ms.
    let mut world = besieged(&Limits::default(), Trick::Knock, 1_000, Duration::from_millis(13));
    let pending = Limits::default().conns.pending;
    assert!(world.host(0).node().unwrap().connections() >= pending);
    let host = world.add_host(Limits::default());
    world.host_mut(host).targets = vec![address(0)];
    world.start(host, true);
    world.run_for(3 * SECOND);
    let newcomer = world.host(host).node().unwrap();
    assert_eq!(newcomer.peers().count(), HONEST as usize, "{:?}", transcript(&world, host));
    assert!(world.host(0).node().unwrap().stats().evicted > 1_000);
    assert_eq!(world.probes.check.as_ref().unwrap().breach(), None);
}
