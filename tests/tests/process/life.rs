//! Nodes come up late, restart, are killed and are ended, and the others notice.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};
use tests::raw::RawPeer;

fn linked([one, other]: [Driver; 2]) -> [Process; 2] {
    let alice = Launch::new(one, "Alice").start();
    let bob = Launch::new(other, "Bob").peer(alice.addr()).start();
    alice.expect_peers(&["Bob"], SOON);
    bob.expect_peers(&["Alice"], SOON);
    [alice, bob]
}

fn each_hears([alice, bob]: &mut [Process; 2], text: &str) {
    alice.say(text);
    bob.expect_out(&format!("Alice: {text}"), SOON);
    bob.say(text);
    alice.expect_out(&format!("Bob: {text}"), SOON);
}

#[test]
fn a_peer_that_is_down_is_dialed_until_it_is_up() {
    Driver::each_pair(|[one, other]| {
        let alice = Launch::new(one, "Alice");
        let addr = alice.addr().to_string();
        let bob = Launch::new(other, "Bob").peer(&addr).start();
        bob.expect_err(&[&addr, "refused"], SOON);
        let alice = alice.start();
        // Dialed at least every 8 seconds.
        bob.expect_peers(&["Alice"], 5 * Duration::from_secs(8));
        let told = bob.err().look(|lines| lines.iter().filter(|line| line.contains("refused")).count());
        assert_eq!(told, 1, "the user is told once:\n{:?}", bob.err());
        each_hears(&mut [alice, bob], "hello");
    });
}

#[test]
fn a_peer_that_restarts_is_back() {
    Driver::each_pair(|[one, other]| {
        let launch = Launch::new(one, "Alice");
        let mut alice = launch.start();
        let bob = Launch::new(other, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.kill();
        bob.expect_peers(&[], SOON);
        drop(alice);
        let alice = launch.start();
        bob.expect_peers(&["Alice"], 5 * Duration::from_secs(15));
        alice.expect_peers(&["Bob"], SOON);
        each_hears(&mut [alice, bob], "back");
    });
}

#[test]
fn a_dialer_that_restarts_is_back() {
    Driver::each_pair(|[one, other]| {
        let alice = Launch::new(one, "Alice").start();
        let launch = Launch::new(other, "Bob").peer(alice.addr());
        let mut bob = launch.start();
        alice.expect_peers(&["Bob"], SOON);
        bob.kill();
        alice.expect_peers(&[], SOON);
        drop(bob);
        let bob = launch.start();
        alice.expect_peers(&["Bob"], 5 * Duration::from_secs(15));
        each_hears(&mut [alice, bob], "back");
    });
}

#[test]
fn both_signals_end_a_node_with_code_0_and_its_peers_notice() {
    Driver::each_pair(|pair| {
        for signal in [Signal::INT, Signal::TERM] {
            let [mut alice, bob] = linked(pair);
            let stuck = RawPeer::join(alice.addr(), "Stuck").0;
            alice.expect_peers(&["Bob", "Stuck"], SOON);
            alice.signal(signal);
            bob.expect_peers(&[], SOON);
            stuck.expect("BYE|", SOON);
            assert_eq!(alice.wait(SOON).code(), Some(0), "{signal:?}");
        }
    });
}

#[test]
fn a_peer_that_takes_nothing_does_not_hold_up_the_end() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let deaf = RawPeer::deaf(alice.addr());
        deaf.send(tests::raw::join_line(&tests::version1::random_uuid(), "Deaf"));
        alice.expect_peers(&["Deaf"], SOON);
        let mut input = alice.take_input();
        let typist = std::thread::spawn(move || {
            use std::io::Write;
            let line = "x".repeat(1_000) + "\n";
            (0..20_000).take_while(|_| input.write_all(line.as_bytes()).is_ok()).count()
        });
        tests::journal::eventually("the node is busy", 2 * SOON, || {
            let answer = tests::http::post(alice.api(), "/send", &serde_json::json!({"msg": "x"}));
            answer.is_ok_and(|answer| answer.status == 503)
        });
        let asked = Instant::now();
        alice.signal(Signal::TERM);
        assert_eq!(alice.wait(SOON).code(), Some(0));
        assert!(asked.elapsed() < SOON);
        typist.join().unwrap();
    });
}

#[test]
fn the_end_of_input_leaves_the_node_running() {
    Driver::each_pair(|pair| {
        let [mut alice, mut bob] = linked(pair);
        alice.say("last words");
        alice.end_input();
        bob.expect_out("Alice: last words", SOON);
        bob.say("still there?");
        alice.expect_out("Bob: still there?", SOON);
        alice.send("by the API");
        bob.expect_out("Alice: by the API", SOON);
        assert!(alice.runs());
    });
}

#[test]
fn a_node_that_stands_still_is_gone_within_45_seconds() {
    Driver::each(|driver| {
        let [alice, bob] = linked([driver; 2]);
        bob.signal(Signal::STOP);
        alice.expect_peers(&[], 5 * Duration::from_secs(45));
        bob.signal(Signal::CONT);
        alice.expect_peers(&["Bob"], 5 * Duration::from_secs(15));
        each_hears(&mut [alice, bob], "awake");
    });
}
