//! Two bystanders who talk while something bad happens, and must not notice.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::journal::{Journal, SOON};
use crate::process::{Driver, Launch, Process};

/// Runs `act` against a node of each driver, Alice, while that talks with Bob, who is linked to it.
pub fn while_others_talk(act: impl Fn(&Process) + Sync) {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let mut bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        let talk = Talk::between(&mut alice, &mut bob);
        act(&alice);
        talk.end(&alice, &bob);
    });
}

/// A conversation has so many lines, however short what happens during it.
const LEAST: usize = 20;

/// A conversation under way between two nodes that are linked.
pub struct Talk {
    stop: SyncSender<()>,
    typist: JoinHandle<usize>,
    links: [Value; 2],
    names: [String; 2],
}

impl Talk {
    /// Starts it: a line in each direction every few milliseconds.
    ///
    /// # Panics
    /// When the two do not list each other.
    #[track_caller]
    pub fn between(one: &mut Process, other: &mut Process) -> Self {
        let names = [one.uname().to_owned(), other.uname().to_owned()];
        one.expect_peers(&[&names[1]], SOON);
        other.expect_peers(&[&names[0]], SOON);
        let links = [link(one, &names[1]), link(other, &names[0])];
        let mut inputs = [one.take_input(), other.take_input()];
        let (stop, stopped) = sync_channel(1);
        let typist = std::thread::spawn(move || {
            let mut lines = 0;
            let go_on = || stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout);
            while go_on() || lines < LEAST {
                type_line(&mut inputs, lines);
                lines += 1;
            }
            lines
        });
        Self { stop, typist, links, names }
    }

    /// Ends it and fails the test unless both heard everything once and in order, over the link of the start.
    #[track_caller]
    pub fn end(self, one: &Process, other: &Process) {
        drop(self.stop);
        let lines = self.typist.join().expect("both nodes read what is typed");
        let [one_name, other_name] = &self.names;
        expect_heard(other.out(), one_name, lines);
        expect_heard(one.out(), other_name, lines);
        assert_eq!(self.links, [link(one, other_name), link(other, one_name)]);
    }
}

fn type_line(inputs: &mut [ChildStdin; 2], number: usize) {
    for input in inputs {
        input.write_all(format!("talk {number}\n").as_bytes()).expect("a node that reads");
    }
}

#[track_caller]
fn expect_heard(out: &Journal<String>, name: &str, lines: usize) {
    let start = format!("{name}: talk ");
    let last = format!("{start}{}", lines.saturating_sub(1));
    out.expect_one(&last, 2 * SOON, |line| *line == last);
    let heard =
        out.look(|all| all.iter().filter_map(|line| line.strip_prefix(&start)?.parse().ok()).collect());
    let heard: Vec<usize> = heard;
    assert!(heard.iter().copied().eq(0..lines), "{name} was heard so: {heard:?}");
}

/// What a node lists of a peer: it changes with the link.
#[track_caller]
fn link(node: &Process, name: &str) -> Value {
    let peers = node.peers();
    let found = peers.iter().find(|peer| peer["uname"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {peers:?}")).clone()
}
