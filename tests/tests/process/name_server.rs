//! A name server that takes questions and never answers holds up nothing.

use std::time::Instant;

use rustix::process::Signal;
use tests::http;
use tests::journal::SOON;
use tests::process::{Driver, Launch};
use tests::silent_dns::SilentDns;

/// The resolver knows nothing of these names by itself.
const ADVERTISED: &str = "advertised.chat-test-net:4444";
const PEER: &str = "a-friend.chat-test-net:5555";
const LABELS: [&str; 2] = ["advertised", "a-friend"];

#[test]
fn a_node_works_and_ends_while_the_resolver_hangs() {
    for driver in Driver::ALL {
        SilentDns::with(|server| {
            let alice = Launch::new(driver, "Alice").args(["--advertise", ADVERTISED]).peer(PEER);
            let mut alice = alice.start();
            alice.expect_err(&["Alice listens on", &alice.addr().to_string()], SOON);
            server.expect_questions(&LABELS, SOON);
            let status = http::get(alice.api(), "/status").expect("an answer");
            assert_eq!(status.status, 200, "{status:?}");

            let mut bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
            alice.expect_peers(&["Bob"], SOON);
            bob.expect_peers(&["Alice"], SOON);
            alice.say("no name is known here");
            bob.expect_out("Alice: no name is known here", SOON);
            bob.say("your number is enough");
            alice.expect_out("Bob: your number is enough", SOON);

            let asked = Instant::now();
            alice.signal(Signal::TERM);
            assert_eq!(alice.wait(SOON).code(), Some(0));
            assert!(asked.elapsed() < SOON);
            bob.expect_peers(&[], SOON);
            // Otherwise the resolver has returned.
            let hung = |lines: &[String]| lines.iter().all(|line| !line.contains("cannot be resolved"));
            assert!(alice.err().look(hung), "{:?}", alice.err());
        });
    }
}
