//! Many nodes of both drivers are one conversation: each hears each, once, however they are linked and whoever dies.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

use tests::process::{Driver, Launch, Process};

/// Within so long each hears each; five times as long is waited.
const PROMISED: Duration = Duration::from_secs(20);

/// A node that is not waited for.
fn spawn(name: impl Display, peers: &[&Process], args: &[&str]) -> Process {
    let name = name.to_string();
    let mixed = name.bytes().map(usize::from).sum::<usize>();
    let driver = Driver::ALL[mixed % Driver::ALL.len()];
    let launch = Launch::new(driver, &name).args(args.iter().copied());
    peers.iter().fold(launch, |launch, peer| launch.peer(peer.addr())).spawn()
}

/// So many nodes, each of which knows the one before it.
fn chain(count: usize, args: &[&str]) -> Vec<Process> {
    let mut nodes: Vec<Process> = Vec::new();
    for number in 0..count {
        let before: Vec<_> = nodes.last().into_iter().collect();
        let node = spawn(format_args!("node {number}"), &before, args);
        nodes.push(node);
    }
    nodes
}

/// Each says this, and the others hear it in time, counted from then.
#[track_caller]
fn each_hears_each(nodes: &mut [Process], text: &str, since: Instant) {
    nodes.iter_mut().for_each(|node| node.say(text));
    expect_heard(nodes, text, since);
}

/// What each said is heard by all others in time, counted from then.
#[track_caller]
fn expect_heard(nodes: &[Process], text: &str, since: Instant) {
    for node in nodes {
        for other in nodes.iter().filter(|other| other.uname() != node.uname()) {
            let line = format!("{}: {text}", other.uname());
            let left = (5 * PROMISED).saturating_sub(since.elapsed());
            let heard = node.out().until(left, |lines| lines.contains(&line).then_some(()));
            assert!(
                heard.is_some(),
                "{} has not heard {line:?} after {:.1?}, promised within {PROMISED:?}; so far:\n{:?}",
                node.uname(),
                since.elapsed(),
                node.out()
            );
        }
    }
    let count = nodes.len();
    println!("{count} nodes heard {text:?} after {:.1?}, promised within {PROMISED:?}", since.elapsed());
}

/// All of what was heard was heard once, and of each author in the order said: after a text that comes behind all of it.
#[track_caller]
fn expect_once(nodes: &mut [Process], order: &[&str]) {
    each_hears_each(nodes, "the end", Instant::now());
    for node in nodes.iter() {
        let lines = node.out().all();
        let different: BTreeSet<_> = lines.iter().collect();
        assert_eq!(lines.len(), different.len(), "{} heard something twice: {lines:#?}", node.uname());
        for other in nodes.iter().filter(|other| other.uname() != node.uname()) {
            let start = format!("{}: ", other.uname());
            let heard = lines.iter().filter_map(|line| line.strip_prefix(&start));
            let expected = order.iter().copied().chain(["the end"]);
            assert!(heard.eq(expected), "{} heard {} otherwise: {lines:#?}", node.uname(), other.uname());
        }
    }
}

/// Kills so many, spread over the whole.
fn kill(nodes: &mut Vec<Process>, count: usize) {
    let every = nodes.len() / count;
    for number in (0..count).rev() {
        nodes.remove(number * every).kill();
    }
}

#[test]
fn twelve_in_a_chain_hear_each_other_and_four_that_are_killed_change_nothing() {
    let started = Instant::now();
    let mut nodes = chain(12, &[]);
    nodes.iter().for_each(Process::expect_start);
    each_hears_each(&mut nodes, "hello", started);
    let killed = Instant::now();
    kill(&mut nodes, 4);
    each_hears_each(&mut nodes, "still here", killed);
    expect_once(&mut nodes, &["hello", "still here"]);
}

#[test]
fn what_is_said_before_anybody_is_linked_is_heard_by_those_that_come() {
    let started = Instant::now();
    let mut nodes = chain(12, &[]);
    each_hears_each(&mut nodes, "is anybody there?", started);
    expect_once(&mut nodes, &["is anybody there?"]);
}

#[test]
fn two_islands_that_one_peer_joins_are_one_conversation() {
    let started = Instant::now();
    let [mut here, mut there] = [("east", 6), ("west", 5)].map(|(name, count)| {
        let mut island = vec![spawn(format_args!("{name} 0"), &[], &[])];
        for number in 1..count {
            let node = spawn(format_args!("{name} {number}"), &[&island[0]], &[]);
            island.push(node);
        }
        island
    });
    for island in [&mut here, &mut there] {
        each_hears_each(island, "an island", started);
    }
    let apart = |island: &[Process], other: &str| {
        island.iter().all(|node| node.out().look(|all| !all.iter().any(|line| line.starts_with(other))))
    };
    assert!(apart(&here, "west") && apart(&there, "east"));

    let joined = Instant::now();
    let mut bridge = spawn("west 5", &[&there[0], &here[0]], &[]);
    bridge.say("an island");
    let mut all = here;
    all.extend(there);
    all.push(bridge);
    expect_heard(&all, "an island", joined);
    expect_once(&mut all, &["an island"]);
}

#[test]
fn thirty_of_degree_six_at_most_hear_each_other_and_four_that_are_killed_change_nothing() {
    // Five at most, and the one that each was told to dial.
    let started = Instant::now();
    let mut nodes = chain(30, &["--degree", "3"]);
    nodes.iter().for_each(Process::expect_start);
    each_hears_each(&mut nodes, "hello", started);
    let killed = Instant::now();
    kill(&mut nodes, 4);
    each_hears_each(&mut nodes, "still here", killed);
    expect_once(&mut nodes, &["hello", "still here"]);
    for node in &nodes {
        let links = node.peers().len();
        assert!((1..=6).contains(&links), "{} has {links} links", node.uname());
    }
}
