//! A node on a terminal: what the user sees, types and finds afterwards.

mod people;
mod terminal;

use std::net::SocketAddr;

use rustix::process::Signal;
use tests::journal::SOON;
use tests::process::{Driver, Launch, Process, node_id, short};
use tests::pty::{OnTerminal, Shown, Terminal};

/// Bob on a terminal, and Alice, who is linked to him.
fn bob_and_alice(driver: Driver) -> (Terminal, Process) {
    let bob = OnTerminal::new(driver, "Bob").start();
    let alice = visitor(driver, "Alice", bob.addr());
    bob.expect_line("* Alice joined");
    bob.expect_prompt("");
    (bob, alice)
}

/// A node that is linked to Bob.
fn visitor(driver: Driver, uname: &str, addr: SocketAddr) -> Process {
    let visitor = Launch::new(driver, uname).peer(addr).start();
    visitor.expect_err(&["Bob joined"], SOON);
    visitor
}

/// What Bob's screen shows of a text that this node's user said.
fn said_by(node: &Process, text: &str) -> String {
    format!("{} ({}): {text}", node.uname(), short(&node.node_id()))
}

#[test]
fn what_is_typed_is_said_and_what_comes_leaves_it_whole() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        bob.keys("hello wor");
        bob.expect_prompt("hello wor");
        let [one, two] = ["one", "two"].map(|text| {
            alice.say(text);
            let line = said_by(&alice, text);
            bob.expect_line(&line);
            line
        });
        bob.expect_prompt("hello wor");
        bob.keys("ld\r");
        alice.expect_out("Bob: hello world", SOON);
        bob.expect_prompt("");
        let shown = bob.shown().lines;
        assert_eq!(shown[shown.len() - 4..], [&one, &two, "> hello world", ">"]);
    }
}

#[test]
fn a_half_typed_line_longer_than_the_screen_is_wide_stays_whole_too() {
    let (mut bob, mut alice) = bob_and_alice(Driver::Tokio);
    let long = "0123456789".repeat(25);
    bob.keys(&long);
    let whole = |lines: &[String]| lines.concat().ends_with(&format!("> {long}"));
    bob.expect("the long line", |screen| whole(&screen.lines).then_some(()));
    alice.say("one");
    let one = said_by(&alice, "one");
    bob.expect("the message, and the long line", |screen| {
        (screen.lines.contains(&one) && whole(&screen.lines)).then_some(())
    });
    bob.keys("\r");
    alice.expect_out(&format!("Bob: {long}"), SOON);
}

#[test]
fn a_flood_is_folded_and_comes_whole_whatever_is_typed_meanwhile() {
    const LINES: usize = 1500;
    const TYPED: usize = 100;
    let mut bob = OnTerminal::new(Driver::Tokio, "Bob").without_echo().start();
    let mut alice = visitor(Driver::Tokio, "Alice", bob.addr());
    let mut carol = visitor(Driver::Tokio, "Carol", bob.addr());
    bob.expect_line("* Carol joined");
    let flood: String = (0..LINES).map(|number| format!("flood {number}\n")).collect();
    let writer = std::thread::spawn(move || {
        alice.type_bytes(flood.as_bytes());
        alice
    });
    bob.expect("its start", |screen| screen.lines.iter().any(|line| line.contains("flood")).then_some(()));
    (0..TYPED).for_each(|number| bob.keys(&format!("typed {number}\r")));
    let mut alice = writer.join().unwrap();
    alice.expect_out(&format!("Bob: typed {}", TYPED - 1), SOON);
    carol.say("meanwhile");
    bob.expect_line(&said_by(&carol, "meanwhile"));
    bob.expect("how many are folded", |screen| {
        screen.lines.iter().any(|line| line.ends_with(" more lines from Alice: /show")).then_some(())
    });
    tests::journal::eventually("Bob has got everything", SOON, || {
        bob.keys("/show\r");
        bob.sent().contains(&format!("flood {}\r", LINES - 1))
    });
    carol.say("the end");
    bob.expect_line(&said_by(&carol, "the end"));
    let sent = bob.sent();
    let numbers = sent.split(" flood ").skip(1);
    let mut numbers: Vec<usize> = numbers.filter_map(|rest| rest.split('\r').next()?.parse().ok()).collect();
    assert!(numbers.starts_with(&[0, 1, 2, 3]), "{numbers:?}");
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..LINES), "not once each: {} of them", numbers.len());
    alice.say("alone again");
}

#[test]
fn pasted_lines_are_one_paste_and_each_a_message() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        bob.paste("first\n\n/quit\nthird");
        bob.expect("the paste", |screen| (screen.lines.last()? == "third").then_some(()));
        // Whatever was said before this is there when it is.
        alice.say("ping");
        bob.expect_line(&said_by(&alice, "ping"));
        assert!(alice.out().is_empty(), "{:?}", alice.out());
        bob.keys("\r");
        alice.expect_out("Bob: third", SOON);
        assert_eq!(alice.out().all(), ["Bob: first", "Bob: /quit", "Bob: third"]);
    }
}

#[test]
fn lines_typed_ahead_are_not_lost() {
    let (mut bob, alice) = bob_and_alice(Driver::Tokio);
    let lines: String = (0..50).map(|number| format!("line {number}\r")).collect();
    bob.keys(&lines);
    alice.expect_out("Bob: line 49", SOON);
    let expected: Vec<_> = (0..50).map(|number| format!("Bob: line {number}")).collect();
    assert_eq!(alice.out().all(), expected);
}

#[test]
fn commands_do_what_help_says() {
    for driver in Driver::ALL {
        let (mut bob, alice) = bob_and_alice(driver);
        bob.keys("/help\r");
        for command in
            ["/peers", "/connect", "/disconnect", "/nick", "/me", "/mute", "/unmute", "/show", "/quit", "//"]
        {
            bob.expect(command, |screen| {
                screen.lines.iter().any(|line| line.contains(command)).then_some(())
            });
        }
        bob.keys(" /peers\r");
        bob.expect_line("* 1 peer is connected:");
        let id = short(&alice.node_id());
        bob.expect_line(&format!("*   {id}  {}  Alice", alice.addr()));

        bob.keys("/status\r");
        bob.expect("the link", |screen| {
            let (start, addr) = (format!("*   {id}  "), alice.addr().ip().to_string());
            let link =
                screen.lines.iter().find(|line| line.starts_with(&start) && line.contains(" Alice: "))?;
            link.contains(&addr).then_some(())
        });
        bob.expect_line("* 0 entries from 0 authors stored, 1 address known");

        bob.keys("/nick Zoë\r");
        bob.expect_line("* you are now Zoë");
        alice.expect_peers(&["Zoë"], SOON);
        bob.keys("//quit\r");
        alice.expect_out("Zoë: /quit", SOON);

        let carol = Launch::new(driver, "Carol").start();
        bob.keys(&format!("/connect {}\r", carol.addr()));
        bob.expect_line("* Carol joined");
        bob.keys("/wave at all\r");
        bob.expect_line("* unknown command /wave: see /help, or start with // to send it as text");
        bob.keys("/connect nowhere\r");
        bob.expect("the mistake", |screen| {
            screen.lines.iter().any(|line| line.starts_with("* /connect HOST:PORT: ")).then_some(())
        });
        assert_eq!(alice.out().len(), 1, "{:?}", alice.out());
    }
}

#[test]
fn what_is_said_through_the_api_is_shown() {
    let bob = OnTerminal::new(Driver::Tokio, "Bob").with_api().start();
    let api = bob.expect("where its API is", |screen| {
        let (_, url) = screen.lines.iter().find_map(|line| line.split_once("http://"))?;
        url.parse().ok()
    });
    let response = tests::http::post(api, "/send", &serde_json::json!({ "msg": "from elsewhere" })).unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    bob.expect_line(&format!("Bob ({}, you): from elsewhere", short(&node_id(bob.addr()))));
    bob.expect_prompt("");
}

#[test]
fn nothing_from_a_peer_is_obeyed() {
    for driver in Driver::ALL {
        let (bob, mut alice) = bob_and_alice(driver);
        alice.say("\x1b]0;title\x07\x1b[2J\x1b[31mred \u{9b}1m \u{202e}\u{2066}x\u{2069} \u{2028}\x08\tend");
        bob.expect_line(&said_by(
            &alice,
            "␛]0;title␇␛[2J␛[31mred \\u{9b}1m \\u{202e}\\u{2066}x\\u{2069} \\u{2028}␈␉end",
        ));
        let eve = visitor(driver, "Eve\u{202e}\u{200b}", bob.addr());
        bob.expect_line("* Eve\\u{202e}\\u{200b} joined");
        drop(eve);
        let sent = bob.sent();
        for harmful in
            ["\x1b]0;", "\x1b[2J", "\x1b[31mred", "\u{9b}", "\u{202e}", "\u{2066}", "\u{2028}", "\x07"]
        {
            assert!(!sent.contains(harmful), "{harmful:?} was sent to the terminal");
        }
    }
}

#[test]
fn the_first_interrupt_clears_a_half_typed_line() {
    for driver in Driver::ALL {
        let (mut bob, alice) = bob_and_alice(driver);
        bob.keys("never said");
        bob.expect_prompt("never said");
        bob.keys("\x03");
        bob.expect_prompt("");
        bob.keys("said\r");
        alice.expect_out("Bob: said", SOON);
        assert_eq!(alice.out().len(), 1);
    }
}

#[test]
fn the_arrow_key_brings_back_what_was_entered() {
    let (mut bob, alice) = bob_and_alice(Driver::Tokio);
    bob.keys("again\r");
    alice.expect_out("Bob: again", SOON);
    bob.keys("\x1b[A");
    bob.expect_prompt("again");
    bob.keys(" and again\r");
    alice.expect_out("Bob: again and again", SOON);
}

#[test]
fn that_nobody_is_linked_is_told_once_until_somebody_comes() {
    let mut bob = OnTerminal::new(Driver::Tokio, "Bob").start();
    bob.expect_prompt("");
    let told = |screen: &Shown| {
        screen.lines.iter().filter(|line| line.starts_with("* you are connected to nobody")).count()
    };
    bob.keys("one\r");
    bob.expect("the notice", |screen| (told(screen) == 1).then_some(()));
    bob.keys("two\r/peers\r");
    bob.expect_line("* no peers are connected");
    assert_eq!(told(&bob.shown()), 1);
    let alice = visitor(Driver::Tokio, "Alice", bob.addr());
    bob.expect_line("* Alice joined");
    drop(alice);
    bob.expect("that Alice left", |screen| {
        screen.lines.iter().any(|line| line.starts_with("* Alice left")).then_some(())
    });
    bob.expect("that nobody is left, and what to do", |screen| {
        let told = |line: &&String| line.starts_with("* nobody is connected now: /connect HOST:PORT");
        (screen.lines.iter().filter(told).count() == 2).then_some(())
    });
    bob.keys("three\r/peers\r");
    bob.expect("the notice again", |screen| (told(screen) == 2).then_some(()));
}

#[test]
fn times_are_shown_as_the_user_wants_them() {
    let bob = OnTerminal::new(Driver::Tokio, "Bob").env("CHAT_TIME_FORMAT", "at %Y").start();
    let mut alice = visitor(Driver::Tokio, "Alice", bob.addr());
    alice.say("hello");
    let (line, notice) = (said_by(&alice, "hello"), "* Alice joined".to_owned());
    for end in [line, notice] {
        bob.expect(&end, |screen| {
            let dated = |line: &String| {
                let year = line.strip_prefix("at ")?.strip_suffix(&format!(" {end}"))?;
                (year.len() == 4).then_some(())
            };
            screen.lines.iter().find_map(dated)
        });
    }
}

#[test]
fn a_wrong_address_is_seen_with_the_reason_and_given_up() {
    for driver in Driver::ALL {
        let (mut bob, _alice) = bob_and_alice(driver);
        let nobody = format!("127.0.0.1:{}", tests::ports::reserve());
        bob.keys(&format!("/connect {nobody}\r"));
        bob.expect("that it fails", |screen| {
            screen
                .lines
                .iter()
                .any(|line| line.starts_with(&format!("* cannot reach {nobody}")))
                .then_some(())
        });
        bob.keys("/peers\r");
        bob.expect("that it is dialed again, and why", |screen| {
            let start = format!("*   {nobody}: ");
            let told = screen.lines.iter().any(|line| line.starts_with(&start) && line.contains("refused"));
            told.then_some(())
        });
        bob.keys(&format!("/disconnect {nobody}\r"));
        bob.expect_line(&format!("* {nobody} is dialed no more"));
        bob.keys(&format!("/disconnect {nobody}\r"));
        bob.expect_line("* that address is not among those that are dialed");
    }
}
