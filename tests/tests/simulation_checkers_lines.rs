//! The checkers find what is wrong with the lines of version 1 nodes, and with forks.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Action, Limits, Message, PeerInfo};
use tests::sim::check::{Breach, Checker, Rule};
use tests::sim::version1::Version1;
use tests::sim::{Actor, Dice, Happening, HostId, Nanos, NetConfig, Tamper, Todo, World, address};

/// The host whose node is tampered with.
const BAD: HostId = 1;

/// Two nodes, and two version 1 nodes that are linked to both of them; all talk.
fn talk(tamper: impl FnMut(Action, &mut Vec<Action>) + Send + 'static, twice: bool) -> Option<Breach> {
    let mut world = World::new(NetConfig::default(), Dice::new(1));
    world.probes.check = Some(Checker::default());
    world.probes.tamper = Some(Box::new(Deliveries(tamper)));
    for host in 0..2 {
        world.add_host(Limits::default());
        world.host_mut(host).targets = (0..host).map(address).collect();
        world.start(host, true);
    }
    for host in 2..4 {
        world.add_host(Limits::default());
        let actor = Version1::new(
            &format!("host{host}"),
            address(host),
            vec![address(0), address(BAD)],
            Dice::new(host.into()),
        );
        world.probes.check.as_mut().unwrap().speaks_version_1(host, actor.id());
        world.start_actor(host, Box::new(Prints { actor, twice }));
    }
    world.run_for(Duration::from_secs(15));
    for line in 0..4 {
        for host in 0..4 {
            let _ = world.say(host, &format!("{line} of {host}"));
            world.run_for(Duration::from_millis(400));
        }
    }
    world.run_for(Duration::from_secs(20));
    world.probes.check.as_ref().unwrap().breach().cloned()
}

#[track_caller]
fn expect(breach: Option<Breach>, rule: Rule, text: &str) {
    let breach = breach.expect("the planted fault is found");
    assert_eq!(breach.rule, rule, "{breach}");
    assert!(breach.what.contains(text), "{breach}");
}

/// Changes what the bad host seems to deliver.
struct Deliveries<F>(F);

impl<F: FnMut(Action, &mut Vec<Action>) + Send> Tamper for Deliveries<F> {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        match &action {
            Action::Deliver(_) if host == BAD => (self.0)(action, seen),
            _ => seen.push(action),
        }
    }
}

/// A version 1 node that may print each line twice.
struct Prints {
    actor: Version1,
    twice: bool,
}

impl Actor for Prints {
    fn happen(&mut self, now: Nanos, what: Happening<'_>, todo: &mut Vec<Todo>) {
        self.actor.happen(now, what, todo);
    }

    fn printed(&mut self) -> Vec<String> {
        let lines = self.actor.printed();
        let times = if self.twice { 2 } else { 1 };
        lines.into_iter().flat_map(|line| std::iter::repeat_n(line, times)).collect()
    }
}

#[test]
fn without_a_fault_nothing_is_found_and_lines_are_shown() {
    let lines = Arc::new(std::sync::Mutex::new(0));
    let counted = Arc::clone(&lines);
    let breach = talk(
        move |action, seen| {
            *counted.lock().unwrap() += u32::from(matches!(action, Action::Deliver(Message::Line { .. })));
            seen.push(action);
        },
        false,
    );
    assert_eq!(breach, None);
    assert!(*lines.lock().unwrap() >= 4, "{lines:?}");
}

#[test]
fn a_line_that_is_shown_twice() {
    let breach = talk(
        |action, seen| match action {
            Action::Deliver(Message::Line { .. }) => seen.extend([action.clone(), action]),
            _ => seen.push(action),
        },
        false,
    );
    expect(breach, Rule::ShownOnce, "host 1 shows");
}

#[test]
fn a_line_that_is_printed_twice() {
    expect(talk(|action, seen| seen.push(action), true), Rule::ShownOnce, "version 1 host");
}

#[test]
fn a_line_that_nobody_said() {
    let breach = talk(
        |mut action, seen| {
            if let Action::Deliver(Message::Line { text, .. }) = &mut action {
                text.push('!');
            }
            seen.push(action);
        },
        false,
    );
    expect(breach, Rule::NotForged, "which nobody said");
}

#[test]
fn a_line_under_the_name_of_another() {
    let mut other: Option<Arc<PeerInfo>> = None;
    let breach = talk(
        move |mut action, seen| {
            if let Action::Deliver(Message::Line { peer, .. }) = &mut action {
                let named = other.get_or_insert_with(|| Arc::clone(peer));
                *peer = Arc::clone(named);
            }
            seen.push(action);
        },
        false,
    );
    expect(breach, Rule::NotForged, "as another's");
}

#[test]
fn a_fork_of_an_honest_author() {
    let breach = talk(
        |mut action, seen| {
            if let Action::Deliver(Message::Entry { marks, .. }) = &mut action {
                marks.forked = true;
            }
            seen.push(action);
        },
        false,
    );
    expect(breach, Rule::NotForged, "a fork");
}
