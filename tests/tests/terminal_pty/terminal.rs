//! What the terminal itself does: signals, jobs, sizes, colours, and terminals that can do little.

use super::*;

#[test]
fn the_terminal_is_given_back_however_the_node_ends() {
    type End = fn(&mut Terminal);
    let ends: [(&str, End); 6] = [
        ("/quit", |bob| bob.keys("/quit\r")),
        ("^D", |bob| bob.keys("\x04")),
        ("^C", |bob| bob.keys("\x03")),
        ("SIGTERM", |bob| bob.signal(Signal::TERM)),
        ("SIGINT", |bob| bob.signal(Signal::INT)),
        ("SIGTERM in a half-typed line", |bob| {
            bob.keys("half");
            bob.expect_prompt("half");
            bob.signal(Signal::TERM);
        }),
    ];
    for driver in Driver::ALL {
        for (what, end) in ends {
            let (mut bob, alice) = bob_and_alice(driver);
            assert!(bob.is_raw(), "{what}");
            end(&mut bob);
            let status = bob.expect_end();
            assert_eq!(status.code(), Some(0), "{what}");
            bob.expect_given_back();
            alice.expect_peers(&[], SOON);
        }
    }
}

#[test]
fn a_job_of_a_shell_is_stopped_runs_in_the_background_and_comes_back() {
    for driver in Driver::ALL {
        let mut bob = OnTerminal::shell(driver, "Bob").start();
        // The function is a job with a name that fits into a line.
        bob.keys("node\r");
        let mut alice = visitor(driver, "Alice", bob.addr());
        bob.expect_line("* Alice joined");
        bob.keys("half a li");
        bob.expect_prompt("half a li");
        bob.keys("\x1a");
        bob.expect("that it is stopped", |screen| {
            screen.lines.iter().any(|line| line.contains("Stopped")).then_some(())
        });
        bob.keys("bg\r");
        alice.say("into the background");
        let line = said_by(&alice, "into the background");
        // The shell's prompt may stand before it.
        bob.expect(&line, |screen| screen.lines.iter().any(|shown| shown.ends_with(&line)).then_some(()));
        bob.keys("fg\r");
        bob.expect_prompt("half a li");
        bob.keys("ne\r");
        alice.expect_out("Bob: half a line", SOON);
        bob.keys("/quit\r");
        alice.expect_peers(&[], SOON);
        bob.keys("exit\r");
        assert!(bob.expect_end().success());
    }
}

#[test]
fn no_job_outlives_the_test_that_started_it() {
    let mut bob = OnTerminal::shell(Driver::Tokio, "Bob").start();
    bob.keys("sleep 1000 & echo job=$!\r");
    let job = bob.expect("the job", |screen| {
        screen.lines.iter().find_map(|line| line.strip_prefix("job=")?.parse::<u32>().ok())
    });
    let runs = || std::path::Path::new(&format!("/proc/{job}/stat")).exists();
    assert!(runs());
    drop(bob);
    tests::journal::eventually("the job has ended", SOON, || !runs());
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    for driver in Driver::ALL {
        let mut alice = Launch::new(driver, "Alice").start();
        let carol = Launch::new(driver, "Carol").peer(alice.addr()).start();
        let mut bob = OnTerminal::new(driver, "Bob").peer(alice.addr()).unread().start();
        alice.expect_peers(&["Bob", "Carol"], SOON);
        let flood: String = (0..4000).map(|number| format!("{number} {}\n", "x".repeat(1000))).collect();
        alice.type_bytes(flood.as_bytes());
        carol.expect_out(&format!("Alice: 3999 {}", "x".repeat(1000)), 6 * SOON);
        alice.expect_peers(&["Bob", "Carol"], SOON);
        bob.signal(Signal::TERM);
        assert_eq!(bob.expect_end().code(), Some(0));
        alice.expect_peers(&["Carol"], SOON);
    }
}

#[test]
fn a_new_width_of_the_window_erases_no_messages() {
    let (mut bob, mut alice) = bob_and_alice(Driver::Tokio);
    let texts: Vec<_> = (0..12).map(|number| format!("message {number}")).collect();
    alice.type_bytes((texts.join("\n") + "\n").as_bytes());
    // They are lines of one message.
    let further = texts.iter().skip(1).map(|text| format!("  │ {text}"));
    let lines: Vec<_> = [said_by(&alice, &texts[0])].into_iter().chain(further).collect();
    bob.expect_line(&lines[11]);
    let long = "0123456789".repeat(20);
    bob.keys(&long);
    let is_whole = |screen: &Shown| {
        let typed = screen.lines.concat().ends_with(&format!("> {long}"));
        (typed && lines.iter().all(|line| screen.lines.contains(line))).then_some(())
    };
    bob.expect("everything", is_whole);
    for (times, columns) in (1..).zip([60, 90, 100]) {
        bob.resize(columns.try_into().unwrap());
        tests::journal::eventually("all is drawn again", SOON, || {
            bob.sent().matches("\x1b[H\x1b[J").count() == times
        });
        bob.expect(&format!("everything at {columns} columns"), is_whole);
    }
    bob.keys("\r");
    alice.expect_out(&format!("Bob: {long}"), SOON);
}

#[test]
fn colours_are_for_those_who_want_them() {
    for (name, value, styled) in [("LANG", "C", true), ("NO_COLOR", "", true), ("NO_COLOR", "1", false)] {
        let bob = OnTerminal::new(Driver::Tokio, "Bob").env(name, value).start();
        let mut alice = visitor(Driver::Tokio, "Alice", bob.addr());
        alice.say("hello");
        bob.expect_line(&said_by(&alice, "hello"));
        assert_eq!(bob.shown().styled, styled, "{name}={value}");
    }
}

#[test]
fn a_terminal_without_line_editing_does_all_the_same() {
    let mut bob = OnTerminal::new(Driver::Tokio, "Bob").env("TERM", "dumb").start();
    let mut alice = visitor(Driver::Tokio, "Alice", bob.addr());
    bob.expect_line("* Alice joined");
    alice.say("hello");
    bob.expect_line(&said_by(&alice, "hello"));
    bob.keys("hello too\n");
    alice.expect_out("Bob: hello too", SOON);
    assert!(!bob.shown().styled && !bob.is_raw());
    bob.signal(Signal::TERM);
    assert_eq!(bob.expect_end().code(), Some(0));
}
