//! The checkers find what is wrong with the lines of version 1 nodes, and with forks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_core::{Action, Command, ConnId, Limits, Message, NodeId, PeerInfo};
use tests::sim::check::{Breach, Checker, Rule};
use tests::sim::version1::Version1;
use tests::sim::{Actor, Dice, Happening, HostId, Latency, Nanos, NetConfig, Tamper, Todo, World, address};

/// The host whose node is tampered with.
const BAD: HostId = 1;

/// Two nodes, and two version 1 nodes that are linked to both of them; all talk.
fn talk(tamper: impl FnMut(Action, &mut Vec<Action>) + Send + 'static, twice: bool) -> Option<Breach> {
    let mut world = World::checked(1);
    world.probes.tamper = Some(Box::new(Deliveries(tamper)));
    for host in 0..2 {
        world.add_node(Limits::default(), 0..host);
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
    breach.assert_is(rule, text);
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
    let lines = Arc::new(Mutex::new(0));
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

/// A version 1 node that says no `JOIN` where it is dialed.
struct NeverGreets {
    actor: Version1,
    accepted: BTreeSet<ConnId>,
}

impl Actor for NeverGreets {
    fn happen(&mut self, now: Nanos, what: Happening<'_>, todo: &mut Vec<Todo>) {
        if let Happening::Accepted(conn) = what {
            self.accepted.insert(conn);
        }
        self.actor.happen(now, what, todo);
        let greets = |todo: &Todo| match todo {
            Todo::Send(conn, bytes) => self.accepted.contains(conn) && bytes.starts_with(b"JOIN|"),
            _ => false,
        };
        todo.retain(|todo| !greets(todo));
    }

    fn knows(&self, node_id: NodeId) -> bool {
        self.actor.knows(node_id)
    }

    fn printed(&mut self) -> Vec<String> {
        self.actor.printed()
    }
}

/// What a version 1 node prints, each line twice while `twice` says so.
#[derive(Clone, Default)]
struct Printed {
    lines: Arc<Mutex<Vec<String>>>,
    twice: Arc<AtomicBool>,
}

impl Printed {
    fn times(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.ends_with(text)).count()
    }
}

impl Tamper for Printed {
    fn printed(&mut self, _: HostId, lines: &mut Vec<String>) {
        if self.twice.load(Ordering::Relaxed) {
            lines.extend(lines.clone());
        }
        self.lines.lock().unwrap().extend(lines.iter().cloned());
    }
}

/// A version 1 node says on a connection on which its `JOIN` never comes that another node tells it what others say. The
/// node that did so until then learns that only when it is met again.
#[test]
fn who_could_not_know_that_another_tells_a_line_is_excused_for_that_line_alone() {
    const SPEAKER: HostId = 2;
    const OLD: HostId = 3;
    let ms = Duration::from_millis;
    for planted in [false, true] {
        let latency = Latency::Constant(ms(50));
        let mut world = World::new(NetConfig { latency, ..NetConfig::default() }, Dice::new(1));
        world.probes.check = Some(Checker::default());
        let printed = Printed::default();
        world.probes.tamper = Some(Box::new(printed.clone()));
        (0..4).for_each(|_| _ = world.add_host(Limits::default()));
        let [before, after] =
            if world.host(0).key().node_id() > world.host(1).key().node_id() { [0, 1] } else { [1, 0] };
        world.host_mut(SPEAKER).unplugged = true;
        world.host_mut(SPEAKER).targets = vec![address(after)];
        world.host_mut(after).targets = vec![address(before)];

        // The node dials it just after it was dialed, and is met there last.
        world.start(before, true);
        let actor = Version1::new("old", address(OLD), vec![address(before)], Dice::new(1));
        world.probes.check.as_mut().unwrap().speaks_version_1(OLD, actor.id());
        world.start_actor(OLD, Box::new(NeverGreets { actor, accepted: BTreeSet::new() }));
        world.run_for(ms(100));
        let connect = Command::Connect(address(OLD).to_string().parse().unwrap());
        assert!(world.command(before, connect).is_ok());
        world.run_for(ms(900));
        assert_eq!(world.host(before).conns.len(), 2, "its dial and ours");
        world.host_mut(OLD).unplugged = true;
        world.start(after, true);
        world.run_for(ms(2_000));
        // The speaker is linked to the other node alone.
        world.host_mut(before).unplugged = true;
        world.start(SPEAKER, true);
        world.run_for(ms(2_000));
        assert!(world.say(SPEAKER, "told at once").is_ok());
        world.run_for(ms(2_000));
        assert_eq!(printed.times("told at once"), 2);

        // What reaches the node only after it has learned better.
        let conns = world.host(before).conns.clone();
        let slow = conns.into_iter().find(|conn| world.net().peer(*conn) == Some(after)).unwrap();
        world.net_mut().0.throttle(slow, Some(20));
        assert!(world.say(SPEAKER, "told late").is_ok());
        world.run_for(ms(300));
        world.net_mut().0.throttle(slow, None);
        world.run_for(ms(6_000));
        assert_eq!(printed.times("told late"), 1);
        world.run_for(ms(20_000));
        assert_eq!(printed.times("told late"), 2);
        assert_eq!(world.probes.check.as_ref().unwrap().breach(), None);

        printed.twice.store(planted, Ordering::Relaxed);
        assert!(world.say(SPEAKER, "told then").is_ok());
        world.run_for(ms(5_000));
        assert_eq!(printed.times("told then"), if planted { 2 } else { 1 });
        let breach = world.probes.check.as_ref().unwrap().breach().cloned();
        if planted {
            expect(breach, Rule::ShownOnce, "told then");
        } else {
            assert_eq!(breach, None);
        }
    }
}
