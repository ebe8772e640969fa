//! The checkers find what is wrong in the end of a run: with who shows what, and with who hears the last words.

use std::time::Duration;

use proto_core::{Action, Limits, Message, Outcome};
use tests::sim::check::{Breach, Rule};
use tests::sim::run::{self, Attached, Options, run};
use tests::sim::{HostId, Tamper, World};

/// All hosts seem not to deliver what has this text.
struct Hushed(&'static str);

impl Tamper for Hushed {
    fn action(&mut self, _: HostId, action: Action, seen: &mut Vec<Action>) {
        let hushed = match &action {
            Action::Deliver(Message::Entry { entry, .. }) => entry.texts().any(|text| text.contains(self.0)),
            Action::Deliver(Message::Line { text, .. }) => text.contains(self.0),
            _ => false,
        };
        if !hushed {
            seen.push(action);
        }
    }
}

/// Version 1 nodes seem not to print what has this text.
struct Unprinted(&'static str);

impl Tamper for Unprinted {
    fn printed(&mut self, _: HostId, lines: &mut Vec<String>) {
        lines.retain(|line| !line.contains(self.0));
    }
}

/// Three nodes, of which the first says something and then may be `changed`.
fn talk(limits: &Limits, tamper: impl Tamper + 'static, change: impl Fn(&mut World)) -> Result<(), Breach> {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(tamper));
    for host in 0..3 {
        world.add_node(limits.clone(), 0..host);
    }
    world.run_for(Duration::from_secs(5));
    change(&mut world);
    for line in ["one", "two", "three"] {
        assert!(matches!(world.say(0, line), Ok(Outcome::Said(_))));
    }
    world.run_for(Duration::from_secs(5));
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!(check.breach(), None);
    check.end(&world)
}

#[test]
fn a_network_in_which_something_is_said_is_not_silent() {
    let mut world = World::checked(1);
    for host in 0..3 {
        world.add_node(Limits::default(), 0..host);
    }
    world.run_for(Duration::from_secs(120));
    assert_eq!(run::is_silent(&mut world), Ok(()));
    assert!(matches!(world.say(0, "one"), Ok(Outcome::Said(_))));
    run::is_silent(&mut world).unwrap_err().assert_is(Rule::Silent, "CHAT");
}

#[test]
fn a_node_that_is_gone_and_one_that_says_nothing_of_itself_are_no_members() {
    let mut world = World::checked(1);
    world.announce_members();
    for host in 0..3 {
        world.add_node(Limits::default(), 0..host);
    }
    let quiet = world.add_host(Limits::default());
    // Whoever was linked before the tree was there is heard by all with the next interval.
    world.run_for(Duration::from_secs(45));
    let members = |world: &World| world.probes.check.as_ref().unwrap().members(world);
    assert_eq!(members(&world), Ok(()));
    assert_eq!(run::is_silent(&mut world), Ok(()), "saying so again and again is no talk");
    world.host_mut(2).dark = true;
    world.stop(2, false);
    members(&world).unwrap_err().assert_is(Rule::Members, "a node of host 2 as here, which is gone");
    world.run_for(Duration::from_secs(100));
    assert_eq!(members(&world), Ok(()), "three intervals later it is not heard any more");
    world.host_mut(quiet).targets = vec![world.host(0).addr];
    world.host_mut(quiet).presence = false;
    world.start(quiet, true);
    world.run_for(Duration::from_secs(5));
    members(&world).unwrap_err().assert_is(Rule::Members, "does not list host 3");
}

/// In the middle of what the first says it starts again, without its key.
fn reborn(tamper: impl Tamper + 'static) -> Result<(), Breach> {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(tamper));
    for host in 0..3 {
        world.add_node(Limits::default(), (0..3).filter(|other| *other != host));
    }
    world.run_for(Duration::from_secs(5));
    assert!(world.say(0, "two").is_ok());
    world.run_for(Duration::from_secs(5));
    world.stop(0, true);
    world.start(0, false);
    world.run_for(Duration::from_secs(60));
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!(check.breach(), None);
    check.end(&world)
}

#[track_caller]
fn expect(result: Result<(), Breach>, rule: Rule, text: &str) {
    let breach = result.expect_err("the planted fault is found");
    breach.assert_is(rule, text);
}

#[test]
fn what_nobody_shows_whose_clock_is_right() {
    // A little wrong, so that its own view does not count, and what it says is shown at once.
    let wrong = |world: &mut World| world.set_clock(0, -5_000);
    assert_eq!(talk(&Limits::default(), Hushed("nothing that was said"), wrong), Ok(()));
    let result = talk(&Limits::default(), Hushed("two"), wrong);
    expect(result, Rule::SameView, "nobody whose clock is right shows host 0's");
}

#[test]
fn what_is_held_and_was_never_shown() {
    assert_eq!(reborn(Hushed("nothing that was said")), Ok(()));
    expect(reborn(Hushed("two")), Rule::SameView, "and has not shown it");
}

#[test]
fn what_was_shown_and_is_not_held() {
    let small = Limits::default().with(|limits| {
        limits.chat.log_entries = 2;
        limits.chat.early = 2;
        limits.chat.early_per_author = 2;
    });
    expect(talk(&small, Hushed("nothing that was said"), |_| {}), Rule::SameView, "which it has shown");
}

/// The breach of the first of some small networks in which nothing goes wrong but what is planted.
fn first_breach(version1: bool, tamper: impl Fn() -> Option<Box<dyn Tamper>>) -> Option<Breach> {
    let options = Options {
        nodes: 3..=4,
        chaos: (Duration::from_secs(3), Duration::from_secs(4)),
        faults: false,
        hostile: false,
        version1,
        ..Options::default()
    };
    let runs = (0..12).map(|seed| run(seed, &options, Attached { tamper: tamper(), ..Attached::default() }));
    let outcomes: Vec<run::Outcome> = runs.collect();
    if version1 {
        assert!(outcomes.iter().any(|outcome| outcome.tally["version 1"] > 0));
    }
    outcomes.into_iter().find_map(|outcome| outcome.breach)
}

#[test]
fn last_words_that_somebody_does_not_show() {
    assert_eq!(first_breach(false, || None), None);
    let breach = first_breach(false, || Some(Box::new(Hushed("the last words"))));
    expect(breach.map_or(Ok(()), Err), Rule::SameView, "do not show the last words of host");
}

#[test]
fn a_version_1_node_that_is_not_heard() {
    assert_eq!(first_breach(true, || None), None);
    let breach = first_breach(true, || Some(Box::new(Hushed("the last line"))));
    expect(breach.map_or(Ok(()), Err), Rule::Version1, "the last words of version 1 host");
}

#[test]
fn a_version_1_node_that_hears_nothing() {
    let breach = first_breach(true, || Some(Box::new(Unprinted("the last words"))));
    expect(breach.map_or(Ok(()), Err), Rule::Version1, "does not print the last words");
}
