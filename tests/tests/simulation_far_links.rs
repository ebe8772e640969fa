//! Links with a round trip of 1.2 to 3 s on which packets get lost: nobody is blamed, and no user is told what is not so.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::wire::ByeCode;
use proto_core::{Limits, Notice, Violation};
use tests::sim::version1::Version1;
use tests::sim::{Dice, HostId, Latency, NetConfig, Transcript, World, address};

const NODES: HostId = 6;
const SECONDS: u64 = 150;

/// Nodes that dial each other all at once, and so many version 1 nodes, at this round trip.
fn run(seed: u64, round_trip: Duration, version1: HostId) -> BTreeMap<HostId, Transcript> {
    let latency = Latency::Constant(round_trip / 2);
    let config =
        NetConfig { latency, loss: 0.05, jitter: Duration::from_millis(100), ..NetConfig::default() };
    let (mut world, mut dice) = (World::new(config, Dice::new(seed)), Dice::new(seed + 1));
    world.probes.transcripts = Some(BTreeMap::new());
    for host in 0..NODES {
        world.add_host(Limits::default());
        world.host_mut(host).targets = (0..NODES + version1).filter(|to| *to != host).map(address).collect();
    }
    for host in NODES..NODES + version1 {
        world.add_host(Limits::default());
        let targets = (0..NODES).map(address).collect();
        Version1::new(&format!("old {host}"), address(host), targets, dice.fork()).start(&mut world, host);
    }
    for host in 0..NODES {
        world.run_for(dice.between(Duration::ZERO, Duration::from_secs(3)));
        world.start(host, true);
    }
    for second in 0..SECONDS {
        world.run_for(Duration::from_secs(1));
        let _ = world.say(dice.below(u64::from(NODES)) as HostId, &format!("{second}"));
    }
    let transcripts = world.probes.transcripts.take().unwrap();
    for host in 0..NODES {
        let peers = world.host(host).node().map_or(0, |node| node.peers().count());
        assert!(peers >= 5, "seed {seed}, {round_trip:?}: host {host} has {peers} peers");
    }
    transcripts
}

/// What was said of others that is not so.
fn untrue(transcript: &Transcript) -> (Vec<&Notice>, Vec<Violation>) {
    let notices = transcript.notices.iter().filter(|notice| {
        match notice {
            Notice::NotAChatNode { .. } | Notice::IsSelf { .. } => true,
            // A connection that broke is told so, too.
            Notice::TurnedAway { code, .. } => *code != ByeCode::Other,
            _ => false,
        }
    });
    // A handshake that takes too long is told to nobody.
    let violations =
        transcript.violations.iter().copied().filter(|violation| *violation != Violation::NoGreeting);
    (notices.collect(), violations.collect())
}

#[test]
fn on_far_links_that_lose_packets_nobody_is_said_to_be_no_node_or_to_claim_an_id() {
    // In the last ones, a proof that was lost and sent again came after the answers on the old link.
    for seed in (0..12).chain([52, 62, 65, 69, 78]) {
        for millis in [1_200, 2_000, 3_000] {
            let round_trip = Duration::from_millis(millis);
            for (host, transcript) in run(seed, round_trip, (seed % 3) as HostId) {
                let untrue = untrue(&transcript);
                assert_eq!(untrue, (vec![], vec![]), "seed {seed}, {round_trip:?}, host {host}");
            }
        }
    }
}
