//! Networks under every fault, from seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_core::Capacity;
use serde_json::Value;
use tests::sim::campaign::each;
use tests::sim::campaign::seeds::Campaign;
use tests::sim::faults::Fault;
use tests::sim::hostile::Trick;
use tests::sim::run::{Attached, Options, Outcome, run};
use tests::sim::trace::{Recorder, ReplayError, replay};

/// Runs that are short enough for many of them.
fn small() -> Options {
    Options { nodes: 3..=9, chaos: (Duration::from_secs(20), Duration::from_secs(40)), ..Options::default() }
}

/// Links of a hostile peer in a network of nine.
const MOST_LINKS: u64 = 16;

/// What the runs of many seeds came to together.
#[derive(Default)]
struct Together {
    broken: Vec<String>,
    faults: BTreeMap<Fault, u64>,
    tally: BTreeMap<String, u64>,
    fills: BTreeMap<Capacity, u64>,
}

impl Together {
    fn run(seeds: impl IntoIterator<Item = u64>, options: Options, arguments: &str) -> Self {
        let seeds: Vec<_> = seeds.into_iter().collect();
        let campaign = Campaign { seeds: 0..0, options, arguments: arguments.to_owned(), jobs: 2, log: None };
        let mut all = Self::default();
        each(
            campaign.jobs,
            &seeds,
            |seed| run(*seed, &campaign.options, Attached::default()),
            |seed, outcome| all.add(outcome, &campaign.command(*seed)),
        );
        assert!(all.broken.is_empty(), "{}", all.broken.join("\n"));
        all
    }

    fn add(&mut self, outcome: Outcome, command: &str) {
        self.broken.extend(outcome.breach.map(|breach| format!("{breach}\n  {command}")));
        outcome.faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_insert(0) += count);
        outcome.tally.into_iter().for_each(|(what, count)| *self.tally.entry(what).or_insert(0) += count);
        for (capacity, fill) in outcome.fills {
            let fullest = self.fills.entry(capacity).or_insert(0);
            *fullest = fill.max(*fullest);
        }
    }
}

#[test]
fn a_hundred_networks_under_every_fault_become_one_conversation() {
    // Three more have the hostile kinds that are in none of the first.
    let seeds = (0..160).chain([168, 233, 238]);
    let Together { faults, tally, .. } = Together::run(seeds, small(), "--nodes 3..9 --chaos 20..40");
    // What was to go wrong did.
    for fault in Fault::ALL {
        assert!(faults.get(&fault).is_some_and(|count| *count >= 3), "{fault}: {faults:?}");
    }
    assert!(tally["split"] > 1_000 && tally["version 1"] > 10, "{tally:?}");
    let idle: Vec<_> = tally.iter().filter(|(what, acts)| what.ends_with(", acts") && **acts == 0).collect();
    assert!(idle.is_empty(), "hostile peers that did nothing: {idle:?}");
    // What is looked at in the end was there to be looked at.
    assert!(
        tally["version 1 heard"] > 10 && tally["little room"] > 10 && tally["fell silent"] > 10,
        "{tally:?}"
    );
    assert!(tally["members listed"] > 20, "{tally:?}");
    let absent = Trick::ALL.into_iter().filter(|trick| !tally.contains_key(&format!("hostile {trick}")));
    assert_eq!(absent.collect::<Vec<_>>(), [], "hostile peers that were not there");
}

#[test]
fn larger_networks_that_were_broken_once_are_not_any_more() {
    let chaos = (Duration::from_secs(10), Duration::from_secs(20));
    let options = Options { nodes: 3..=50, chaos, acts: Some(100), ..Options::default() };
    Together::run([2093, 4721, 8568, 10_184], options, "--nodes 3..50 --chaos 10..20 --acts 100");
}

#[test]
fn nodes_with_stores_are_back_as_who_they_were_and_show_nothing_twice() {
    let options = Options { stores: Some(true), ..small() };
    let Together { tally, .. } = Together::run(0..60, options, "--nodes 3..9 --chaos 20..40 --stores");
    for what in [
        "starts with its store",
        "starts without its store",
        "starts with an older copy",
        "takes an older copy for its latest",
        "store fails",
    ] {
        assert!(tally.get(what).is_some_and(|count| *count > 0), "{what}: {tally:?}");
    }
}

#[test]
fn nodes_with_next_to_no_room_keep_every_bound_and_all_rules_that_ask_for_no_memory() {
    let options = Options { cramped: true, ..small() };
    let Together { fills, .. } = Together::run(0..90, options, "--nodes 3..9 --chaos 20..40 --cramped");
    // A bound that nothing comes near is none that was kept. Where there is no room for long entries, too few bytes are read from
    // stores to count. Networks of 3 to 50 nodes fill that one (`sim run`).
    let is_empty =
        |capacity: &&Capacity| **capacity != Capacity::LoadedBytes && !fills.contains_key(capacity);
    let empty: Vec<_> = Capacity::ALL.iter().filter(is_empty).collect();
    let full = fills.values().filter(|fill| **fill == 100).count();
    assert!(empty.is_empty() && full >= 25, "{empty:?} {fills:?}");
}

#[test]
fn authors_keep_their_share_of_a_log_that_others_fill() {
    let options = Options { crowded: true, ..small() };
    let Together { fills, .. } = Together::run(0..40, options, "--nodes 3..9 --chaos 20..40 --crowded");
    assert_eq!(fills[&Capacity::LogBytes], 100, "nothing had to give way: {fills:?}");
}

#[test]
fn hostile_peers_do_no_more_than_they_are_told() {
    let most = 20;
    // Those whose bad thing is how they open a connection are not bounded by it, and one act is on all links at once.
    let unbounded = ["silent", "half", "deaf"];
    let options =
        Options { acts: Some(most), chaos: (Duration::from_secs(5), Duration::from_secs(8)), ..small() };
    let Together { tally, .. } = Together::run(0..24, options, "--nodes 3..9 --chaos 5..8 --acts 20");
    let mut bounded = 0;
    for (trick, acts) in tally.iter().filter_map(|(what, acts)| Some((what.strip_suffix(", acts")?, *acts))) {
        println!("{trick}: {acts} acts of {}", tally[trick]);
        if !unbounded.iter().any(|word| trick.to_lowercase().contains(word)) {
            assert!(acts <= tally[trick] * (most + MOST_LINKS), "{trick}: {acts}");
            bounded += u64::from(acts >= tally[trick] * most);
        }
    }
    assert!(bounded >= 3, "{bounded} kinds of them did all that they may");
}

#[test]
fn half_of_all_networks_are_sealed_and_each_does_as_it_is_told() {
    let dials = |seed, sealed| {
        let chaos = (Duration::from_secs(1), Duration::from_secs(2));
        let options = Options { nodes: 3..=3, chaos, faults: false, hostile: false, sealed, ..small() };
        let outcome = run(seed, &options, Attached::default());
        assert!(outcome.breach.is_none(), "{outcome:?}");
        outcome.tally["sealed dials"]
    };
    let sealed = (0..20).filter(|seed| dials(*seed, None) > 0).count();
    assert!((4..=16).contains(&sealed), "{sealed} of 20 networks are sealed");
    assert!((0..4).all(|seed| dials(seed, Some(true)) > 0 && dials(seed, Some(false)) == 0));
}

#[test]
fn half_of_all_networks_have_stores_and_each_does_as_it_is_told() {
    let starts = |seed, stores| {
        let chaos = (Duration::from_secs(1), Duration::from_secs(2));
        let options = Options { nodes: 3..=3, chaos, faults: false, hostile: false, stores, ..small() };
        let outcome = run(seed, &options, Attached::default());
        assert!(outcome.breach.is_none(), "{outcome:?}");
        outcome.tally.get("starts with an empty store").copied().unwrap_or(0)
    };
    let stores = (0..20).filter(|seed| starts(*seed, None) > 0).count();
    assert!((4..=16).contains(&stores), "{stores} of 20 networks have stores");
    assert!((0..4).all(|seed| starts(seed, Some(true)) > 0 && starts(seed, Some(false)) == 0));
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..6 {
        let options =
            Options { digest: true, sealed: Some(seed % 2 == 0), stores: Some(seed % 3 == 0), ..small() };
        let [first, second] = [(); 2].map(|()| run(seed, &options, Attached::default()));
        assert!(first.digest.is_some());
        assert_eq!(first.digest, second.digest);
        assert_eq!((first.events, first.shown, first.lasted), (second.events, second.shown, second.lasted));
        assert!(first.events > 100, "{first:?}");
        assert_ne!(first.digest, run(seed + 100, &options, Attached::default()).digest);
    }
}

/// A file in memory.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_trace_is_replayed_up_to_the_first_action_that_differs() {
    let file = Shared::default();
    let recorder = Recorder::new(Box::new(file.clone()));
    let attached = Attached { recorder: Some((1, recorder)), ..Attached::default() };
    let outcome = run(11, &small(), attached);
    assert_eq!(outcome.breach, None);
    let trace = file.0.lock().unwrap().clone();
    let replayed = replay(Cursor::new(&trace)).unwrap();
    assert!(replayed.nodes >= 1 && replayed.inputs > 100 && replayed.actions > 100, "{replayed:?}");

    // An action that the node does not do, and one that it does and the trace does not have.
    let lines: Vec<_> = trace.split_inclusive(|byte| *byte == b'\n').collect();
    let is_delivery = |line: &&[u8]| line.windows(9).any(|bytes| bytes == b"\"Deliver\"");
    let index = lines.iter().position(is_delivery).unwrap();
    let doubled: Vec<u8> = [&lines[..=index], &lines[index..]].concat().concat();
    let without: Vec<u8> = [&lines[..index], &lines[index + 1..]].concat().concat();
    for (trace, expected) in [(doubled, index + 2), (without, index + 1)] {
        match replay(Cursor::new(trace)) {
            Err(ReplayError::Differs { line, .. }) => assert_eq!(line, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_comes_on_a_connection_before_its_node_has_it() {
    let file = Shared::default();
    let attached =
        Attached { recorder: Some((0, Recorder::new(Box::new(file.clone())))), ..Attached::default() };
    run(28, &small(), attached);
    let (mut had, mut received) = (BTreeSet::new(), 0);
    for line in file.0.lock().unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_slice(line).unwrap();
        let input = &record["input"]["input"];
        for opened in ["Accepted", "Connected"] {
            had.extend(input[opened]["conn"].as_u64());
        }
        if let Some(conn) = input["Received"]["conn"].as_u64() {
            assert!(had.contains(&conn), "{record}");
            received += 1;
        }
    }
    assert!(received > 100, "{received}");
}

#[test]
fn a_campaign_goes_on_where_its_log_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let campaign = |seeds, arguments: &str| Campaign {
        seeds,
        options: Options { nodes: 3..=3, chaos: (Duration::from_secs(1), Duration::from_secs(2)), ..small() },
        arguments: arguments.to_owned(),
        jobs: 2,
        log: Some(log.clone()),
    };
    let run = |campaign: Campaign| {
        let mut told = Vec::new();
        let summary = campaign.run(|line| told.push(line.to_owned())).unwrap();
        assert_eq!(summary.broken, [] as [u64; 0], "{}", summary.text);
        told.join("\n")
    };
    run(campaign(0..4, "a"));
    // Killed in the middle of a line.
    let mut text = std::fs::read_to_string(&log).unwrap();
    text.truncate(text.len() - 10);
    std::fs::write(&log, text).unwrap();
    assert!(run(campaign(0..6, "a")).contains("3 seeds are in the log already"));
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 4 + 3);
    assert!(!run(campaign(0..2, "b")).contains("in the log already"));
    // What another program left there.
    let text = std::fs::read_to_string(&log).unwrap().replace("{\"build\":", "{\"build\":0,\"was\":");
    std::fs::write(&log, text).unwrap();
    assert!(!run(campaign(0..2, "a")).contains("in the log already"));
}
