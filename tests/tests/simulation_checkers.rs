//! Each checker of the simulator finds the fault that it is for.

use std::time::Duration;

use proto_core::{Action, Draft, Entry, Identity, Limits, Message, Outcome, Violation};
use tests::sim::check::{Breach, Rule};
use tests::sim::run::{Attached, Options, run};
use tests::sim::{HostId, Nanos, Partition, Tamper, World};

/// The host whose node is tampered with.
const BAD: HostId = 1;

/// Three nodes that talk for a while.
fn talk(tamper: impl Tamper + 'static) -> World {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(tamper));
    for host in 0..3 {
        world.add_node(Limits::default(), 0..host);
    }
    world.run_for(Duration::from_secs(5));
    for line in 0..6 {
        for host in 0..3 {
            assert!(matches!(world.say(host, &format!("{line} of {host}")), Ok(Outcome::Said(_))));
        }
        world.run_for(Duration::from_secs(2));
    }
    world.run_for(Duration::from_secs(20));
    world
}

fn breach(world: &World) -> Option<Breach> {
    let check = world.probes.check.as_ref().unwrap();
    check.breach().cloned().or_else(|| check.end(world).err())
}

#[track_caller]
fn expect(world: &World, rule: Rule, text: &str) {
    let breach = breach(world).expect("the planted fault is found");
    breach.assert_is(rule, text);
}

/// Changes what the bad host seems to deliver: each entry of the first host, with its number from 0.
struct Deliveries<F>(u64, F);

impl<F: FnMut(u64, Action, &mut Vec<Action>) + Send> Tamper for Deliveries<F> {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        match &action {
            Action::Deliver(Message::Entry { entry, .. })
                if host == BAD && entry.uname().as_str() == "host0" =>
            {
                (self.1)(self.0, action, seen);
                self.0 += 1;
            }
            _ => seen.push(action),
        }
    }
}

struct Nothing;

impl Tamper for Nothing {}

#[test]
fn without_a_fault_nothing_is_found() {
    let world = talk(Nothing);
    assert_eq!(breach(&world), None);
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!([0, 1, 2].map(|host| check.shows(host)), [18; 3]);
    assert_eq!(check.shown, 36);
}

/// The bad host reports whom it sends something, for no reason.
struct Blame;

impl Tamper for Blame {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        if let (BAD, Action::SendFrame { conn, .. }) = (host, &action) {
            let remote = tests::sim::address(0);
            seen.push(Action::Report { conn: *conn, remote, violation: Violation::SyncsIgnored });
        }
        seen.push(action);
    }
}

#[test]
fn an_honest_node_that_is_blamed() {
    expect(&talk(Blame), Rule::JustlyBlamed, "host 1 says of host 0");
}

#[test]
fn an_entry_that_is_dropped() {
    let world = talk(Deliveries(0, |number, action, seen: &mut Vec<Action>| {
        if number != 2 {
            seen.push(action);
        }
    }));
    expect(&world, Rule::SameView, "host 1 shows 17 of 18 entries");
}

#[test]
fn an_entry_that_is_doubled() {
    let world = talk(Deliveries(0, |_, action: Action, seen: &mut Vec<Action>| {
        seen.extend([action.clone(), action]);
    }));
    expect(&world, Rule::ShownOnce, "again");
}

#[test]
fn entries_that_change_places() {
    let mut held = None;
    let world = talk(Deliveries(0, move |number, action: Action, seen: &mut Vec<Action>| {
        if number == 2 {
            held = Some(action);
        } else {
            seen.push(action);
            seen.extend(held.take());
        }
    }));
    expect(&world, Rule::InOrder, "after 3, not as late");
}

#[test]
fn an_entry_that_nobody_said() {
    // The key of the first host, as its dice have it.
    let probe = talk(Nothing);
    let identity: Identity = probe.host(0).identity();
    let world = talk(Deliveries(0, move |number, mut action, seen: &mut Vec<Action>| {
        if let (2, Action::Deliver(Message::Entry { entry, .. })) = (number, &mut action) {
            let texts = ["something else".to_owned().try_into().unwrap()];
            let draft = Draft::new(entry.epoch(), entry.seq(), entry.at(), entry.uname(), &texts);
            *entry = Entry::sign(&identity, &draft).into();
        }
        seen.push(action);
    }));
    expect(&world, Rule::NotForged, "which was not said");
}

/// The bad host wants to be woken at once, for ever.
struct Restless;

impl Tamper for Restless {
    fn deadline(&mut self, host: HostId, now: Nanos, deadline: Option<Nanos>) -> Option<Nanos> {
        if host == BAD { Some(now) } else { deadline }
    }
}

#[test]
fn a_node_that_does_not_sleep() {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(Restless));
    for _ in 0..2 {
        world.add_node(Limits::default(), []);
    }
    assert!(!world.run_for(Duration::from_secs(1)));
    expect(&world, Rule::Sleeps, "host 1 is woken again and again");
}

/// One action of the bad host seems to be very many.
struct Busy;

impl Tamper for Busy {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        let times = if host == BAD { 10_000 } else { 1 };
        seen.extend(std::iter::repeat_n(action, times));
    }
}

#[test]
fn a_node_that_does_not_stop_acting() {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(Busy));
    for _ in 0..2 {
        world.add_node(Limits::default(), [0]);
    }
    assert!(!world.run_for(Duration::from_secs(1)));
    expect(&world, Rule::Sleeps, "host 1 does not stop acting");
}

#[test]
fn a_bound_that_is_passed() {
    let mut world = talk(Nothing);
    world.probes.check.as_mut().unwrap().limits_mut(2).unwrap().chat.log_entries = 3;
    world.run_for(Duration::from_secs(60));
    expect(&world, Rule::Bounded, "host 2: LogEntries holds 18, above 3");
}

#[test]
fn a_node_that_nobody_reaches() {
    let mut world = talk(Nothing);
    world.net_mut().0.partitions.push(Partition { side: vec![0, 1, 0], one_way: false });
    world.run_for(Duration::from_secs(90));
    expect(&world, Rule::OneNetwork, "[[0, 2], [1]]");
}

/// Panics once.
struct Panics;

impl Tamper for Panics {
    fn action(&mut self, _: HostId, action: Action, seen: &mut Vec<Action>) {
        assert!(!matches!(action, Action::Deliver(_)), "a planted panic");
        seen.push(action);
    }
}

#[test]
fn a_panic() {
    let attached = Attached { tamper: Some(Box::new(Panics)), ..Attached::default() };
    let outcome = run(1, &Options { nodes: 3..=3, ..Options::default() }, attached);
    let breach = outcome.breach.expect("the planted panic is found");
    assert_eq!(breach.rule, Rule::NoPanic);
    assert!(
        breach.what.contains("a planted panic") && breach.what.contains("simulation_checkers.rs"),
        "{breach}"
    );
}
