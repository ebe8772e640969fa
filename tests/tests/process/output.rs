//! A node whose standard output is slow or never read is a node like any other to the network. One whose output is closed ends.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Output, Process};

const FILLER: usize = 1_000;

/// Alice, Bob with such an output, and Carol, all linked.
fn three(driver: Driver, output: Output) -> [Process; 3] {
    let alice = Launch::new(driver, "Alice").start();
    let bob = Launch::new(driver, "Bob").peer(alice.addr()).output(output).start();
    let carol = Launch::new(driver, "Carol").peer(alice.addr()).start();
    alice.expect_peers(&["Bob", "Carol"], SOON);
    bob.expect_peers(&["Alice", "Carol"], SOON);
    carol.expect_peers(&["Alice", "Bob"], SOON);
    [alice, bob, carol]
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|n| format!("{n} {}\n", "x".repeat(FILLER))).collect()
}

/// Carol hears so many numbered lines of Alice, all of them, and then Bob.
#[track_caller]
fn expect_undisturbed(bob: &mut Process, carol: &Process, lines: usize) {
    carol.out().expect("everything", 6 * SOON, |all| (all.len() >= lines).then_some(()));
    let heard = carol.out().look(|all| {
        let numbers = all.iter().map(|line| line.split(' ').nth(1).and_then(|n| n.parse().ok()));
        numbers.eq((0..lines).map(Some))
    });
    assert!(heard, "Carol missed something");
    bob.say("I am well");
    carol.expect_out("Bob: I am well", SOON);
    carol.expect_peers(&["Alice", "Bob"], SOON);
    assert!(bob.runs());
}

#[test]
fn who_closes_the_output_ends_the_node() {
    Driver::each(|driver| {
        let [mut alice, mut bob, carol] = three(driver, Output::Unread);
        let mut output = BufReader::new(bob.take_output()).lines();
        alice.say("one");
        assert_eq!(output.next().unwrap().unwrap(), "Alice: one");
        drop(output);
        assert_eq!(bob.wait(SOON).code(), Some(0), "as with head -1");
        alice.expect_peers(&["Carol"], SOON);
        alice.say("two");
        carol.expect_out("Alice: two", SOON);
    });
}

#[test]
fn an_output_that_nobody_reads_loses_lines_and_counts_them() {
    Driver::each(|driver| {
        const LINES: usize = 10_000;
        let [mut alice, mut bob, carol] = three(driver, Output::Unread);
        alice.type_bytes(numbered(LINES).as_bytes());
        expect_undisturbed(&mut bob, &carol, LINES);
        // Then he has lost most of it: there is room for a few MiB.
        eventually("Bob has got everything", 6 * SOON, || bob.delivered() >= LINES as u64);
        bob.read_output();
        bob.expect_err(&[" lines not shown"], SOON);
        alice.say("end");
        bob.expect_out("Alice: end", SOON);
        let shown = bob.out().all();
        assert!(shown.iter().all(|line| line.starts_with("Alice: ")), "nothing else is on standard output");
        let counts = |line: &String| {
            let (_, count) = line.strip_suffix(" lines not shown")?.split_once(" WARN chat: … ")?;
            count.parse::<usize>().ok()
        };
        let dropped: usize = bob.err().all().iter().filter_map(counts).sum();
        assert!(dropped > 0);
        assert_eq!(shown.len() + dropped, LINES + 1);
    });
}

#[test]
fn an_output_that_is_read_slowly_loses_nothing() {
    Driver::each(|driver| {
        const LINES: usize = 4_000;
        let [mut alice, mut bob, carol] = three(driver, Output::Unread);
        let output = bob.take_output();
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::with_capacity(16 * 1024, output).lines();
            let numbers = (0..LINES).map(|n| {
                if n % 16 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                let line = lines.next().and_then(Result::ok).unwrap_or_default();
                (n, line.split(' ').nth(1).and_then(|n| n.parse().ok()))
            });
            numbers.filter(|(n, read)| Some(*n) != *read).count()
        });
        alice.type_bytes(numbered(LINES).as_bytes());
        expect_undisturbed(&mut bob, &carol, LINES);
        assert_eq!(reader.join().unwrap(), 0, "lines are missing or out of order");
    });
}
