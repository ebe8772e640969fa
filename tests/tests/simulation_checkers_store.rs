//! Breaches of what a store promises, planted and found.

use std::time::Duration;

use proto_core::{Action, ChatText, Draft, Entry, Identity, Limits, Outcome, Record, SayId};
use tests::sim::check::{Breach, Rule};
use tests::sim::{Dice, HostId, Tamper, World};

/// Two nodes with stores, linked.
fn world(seed: u64) -> World {
    let mut world = World::checked(seed);
    world.give_stores(Dice::new(seed));
    world.calm_stores();
    for host in 0..2 {
        world.add_node(Limits::default(), 0..host);
    }
    world.run_for(Duration::from_secs(15));
    world
}

fn breach(world: &World) -> Option<Breach> {
    world.probes.check.as_ref().and_then(|check| check.breach().cloned())
}

/// Says something in the store of the first host, which loses power at once or later, and starts again.
fn say_and_crash(world: &mut World, later: Duration) {
    assert!(matches!(world.say(0, "hello"), Ok(Outcome::Saying(_))));
    world.run_for(later);
    world.stop(0, false);
    world.run_for(Duration::from_secs(1));
    world.host_mut(0).dark = false;
    world.start(0, true);
    world.run_for(Duration::from_secs(30));
}

/// Acknowledges what is not committed.
struct Hasty;

impl Tamper for Hasty {
    fn action(&mut self, _: HostId, action: Action, seen: &mut Vec<Action>) {
        if let Action::Store { record: Record::Own(entry), .. } = &action {
            seen.push(Action::Said { id: SayId(1_000), entries: vec![entry.clone()], stored: true });
        }
        seen.push(action);
    }
}

#[test]
fn an_answer_before_the_commit_is_found() {
    // Some of these start without their store, which promises nothing.
    let found = (0..8).filter_map(|seed| {
        let mut world = world(seed);
        world.probes.tamper = Some(Box::new(Hasty));
        say_and_crash(&mut world, Duration::ZERO);
        breach(&world)
    });
    let found: Vec<_> = found.collect();
    assert!(found.len() > 3, "{found:?}");
    found.iter().for_each(|breach| breach.assert_is(Rule::Durable, "host 0 lost"));
}

#[test]
fn without_a_breach_nothing_is_found_and_all_is_said() {
    for seed in 0..8 {
        for later in [Duration::ZERO, Duration::from_secs(2)] {
            let mut world = world(seed);
            say_and_crash(&mut world, later);
            assert_eq!(breach(&world), None);
            let heard = world.host(1).node().unwrap().entries().any(|entry| entry.texts().eq(["hello"]));
            assert_eq!(heard, !later.is_zero(), "what is not committed is not sent");
            assert!(matches!(world.say(0, "again"), Ok(Outcome::Saying(_))));
            world.run_for(Duration::from_secs(10));
            assert_eq!(breach(&world), None);
        }
    }
}

/// Says each number twice.
struct Stutter(Identity);

impl Tamper for Stutter {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        if let Action::Said { id, entries, stored } = &action
            && let ([entry], 0) = (&entries[..], host)
        {
            let texts = [ChatText::new("another").unwrap()];
            let (epoch, at) = (entry.epoch(), entry.at());
            let draft = Draft::new(epoch, entry.position(), at, entry.uname(), &texts, [1; 16]);
            let another = Entry::sign(&self.0, &draft);
            seen.push(Action::Said { id: *id, entries: vec![another.into()], stored: *stored });
        }
        seen.push(action);
    }
}

#[test]
fn a_number_that_is_used_twice_is_found() {
    let mut world = world(1);
    let identity = world.host(0).identity();
    world.probes.tamper = Some(Box::new(Stutter(identity)));
    assert!(world.say(0, "hello").is_ok());
    world.run_for(Duration::from_secs(1));
    breach(&world).expect("a breach").assert_is(Rule::NumberedOnce, "host 0 said");
}
