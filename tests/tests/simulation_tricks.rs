//! Each kind of hostile member, alone in a small network: the others hear each other in time, and a counter shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::{Limits, Stats};
use tests::sim::campaign::each;
use tests::sim::check::Checker;
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::{Dice, HostId, NetConfig, World, address};

/// The honest nodes, each of which knows the one before it.
const HONEST: HostId = 4;
/// The members that play a trick.
const MEMBERS: HostId = 3;
/// What an honest node says is heard by the others after this time.
const IN_TIME: Duration = Duration::from_secs(5);
/// Each honest node says so many things.
const SAID: u32 = 6;

/// What each honest node counted, where so many members play this trick.
fn play(trick: Trick, members: HostId) -> Vec<Stats> {
    let (mut world, mut dice) = (World::new(NetConfig::default(), Dice::new(5)), Dice::new(6));
    world.probes.check = Some(Checker::default());
    world.probes.transcripts = Some(BTreeMap::new());
    for host in 0..HONEST {
        world.add_node(Limits::default(), host.checked_sub(1));
    }
    world.run_for(Duration::from_secs(20));
    for _ in 0..members {
        let host = world.add_host(Limits::default());
        let targets = (0..HONEST).map(address).collect();
        let member = Hostile::new(trick, address(host), targets, world.epoch_ms(), dice.fork());
        world.start_actor(host, Box::new(member));
    }
    for turn in 0..SAID * HONEST {
        let (speaker, text) = (turn % HONEST, format!("honest {turn}"));
        world.say(speaker, &text).expect("its node is up");
        world.run_for(IN_TIME);
        for host in (0..HONEST).filter(|host| *host != speaker) {
            let heard = &world.probes.transcripts.as_ref().unwrap()[&host].heard;
            let times = heard.iter().filter(|(_, heard)| *heard == text).count();
            assert_eq!(times, 1, "{trick}: host {host} has heard {text:?}");
        }
    }
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!(check.breach(), None, "{trick}");
    (0..HONEST).map(|host| world.host(host).node().unwrap().stats()).collect()
}

/// What the kinds are counted as that are not just cut.
type Counter = (Trick, &'static str, fn(&Stats) -> u64);

const COUNTERS: [Counter; 22] = [
    (Trick::Garbage, "malformed", |stats| stats.malformed),
    (Trick::Mutate, "malformed", |stats| stats.malformed),
    (Trick::HalfJoin, "violations", |stats| stats.violations),
    (Trick::Replay, "entries_known", |stats| stats.entries_known),
    (Trick::FloodEntries, "entries_over_rate", |stats| stats.entries_over_rate),
    (Trick::BigEntries, "entries_over_rate", |stats| stats.entries_over_rate),
    (Trick::AnnounceFirst, "entries_over_rate", |stats| stats.entries_over_rate),
    (Trick::Novel, "entries_not_shown", |stats| stats.entries_not_shown),
    (Trick::Fork, "forks", |stats| stats.forks),
    (Trick::ForkLower, "entries_over_rate", |stats| stats.entries_over_rate),
    (Trick::ForkBehind, "forks", |stats| stats.forks),
    (Trick::Foreign, "foreign", |stats| stats.foreign),
    (Trick::LiePeers, "dials_postponed", |stats| stats.dials_postponed),
    (Trick::Misdirect, "dials_postponed", |stats| stats.dials_postponed),
    (Trick::Sybils, "addresses_ignored", |stats| stats.addresses_ignored),
    (Trick::Newcomers, "addresses_ignored", |stats| stats.addresses_ignored),
    (Trick::Crowd, "lines_forgotten", |stats| stats.lines_forgotten),
    (Trick::FlapRoot, "roots_ignored", |stats| stats.roots_ignored),
    (Trick::ManyMembers, "live", |stats| stats.live),
    (Trick::Withhold, "banned", |stats| stats.banned),
    (Trick::LieSync, "banned", |stats| stats.banned),
    (Trick::BusyAsking, "banned", |stats| stats.banned),
];

#[test]
fn whatever_three_members_do_the_others_hear_each_other_in_time_and_a_counter_shows_it() {
    let calm = play(Trick::Silent, 0);
    let played = |trick: &Trick| play(*trick, MEMBERS);
    each(2, &Trick::ALL, played, |trick, stats| {
        for (_, name, count) in COUNTERS.iter().filter(|(kind, ..)| kind == trick) {
            let (counted, calm) = (total(&stats, *count), total(&calm, *count));
            assert!(counted > calm + 2, "{trick}: {name} is {counted}, and {calm} where nobody does it");
        }
    });
}

fn total(stats: &[Stats], count: fn(&Stats) -> u64) -> u64 {
    stats.iter().map(count).sum()
}
