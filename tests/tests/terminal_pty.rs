//! A node on a terminal: what the user sees, types and finds afterwards.

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
fn who_came_and_went_is_told_and_two_of_one_name_apart() {
    for driver in Driver::ALL {
        let (bob, mut alice) = bob_and_alice(driver);
        let mut other = visitor(driver, "Alice", bob.addr());
        let other_id = short(&other.node_id());
        bob.expect_line(&format!("* Alice ({other_id}) joined"));
        alice.say("it is me");
        bob.expect_line(&said_by(&alice, "it is me"));
        other.say("no, me");
        bob.expect_line(&format!("Alice ({other_id}, name taken): no, me"));
        other.signal(Signal::TERM);
        bob.expect_line(&format!("* Alice ({other_id}) left (it left)"));
        alice.say("alone at last");
        bob.expect_line(&said_by(&alice, "alone at last"));
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
fn tab_completes_commands_and_names() {
    for driver in Driver::ALL {
        let (mut bob, alice) = bob_and_alice(driver);
        let alicia = visitor(driver, "Alicia", bob.addr());
        bob.expect_line("* Alicia joined");
        bob.keys("/st\t");
        bob.expect_prompt("/status");
        bob.keys("\x03al\t");
        bob.expect_prompt("alic");
        bob.keys("\t");
        bob.expect_line("* Alice  Alicia");
        bob.keys("e\t");
        bob.expect_prompt("alice: ");
        bob.keys("hello Alici\t\r");
        alice.expect_out("Bob: alice: hello Alicia ", SOON);
        drop(alicia);
    }
}

#[test]
fn who_is_named_sees_and_hears_it() {
    for driver in Driver::ALL {
        let (bob, mut alice) = bob_and_alice(driver);
        alice.say("bobby");
        bob.expect_line(&said_by(&alice, "bobby"));
        alice.say("are you there, bob?");
        bob.expect_line(&said_by(&alice, "are you there, bob?"));
        let sent = bob.sent();
        assert!(sent.contains("are you there, \x1b[1;7mbob\x1b[0m?\x07"), "{sent:?}");
        assert_eq!(sent.matches('\x07').count(), 1, "{sent:?}");
    }
}

#[test]
fn what_somebody_does_is_told_apart_from_what_they_say() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        bob.keys("/me waves\r");
        alice.expect_out("Bob: /me waves", SOON);
        alice.say("/me smiles");
        bob.expect_line(&format!("Alice ({}) *smiles*", short(&alice.node_id())));
    }
}

#[test]
fn who_is_muted_is_not_shown_until_that_is_undone() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        let mut carol = visitor(driver, "Carol", bob.addr());
        bob.expect_line("* Carol joined");
        let id = short(&alice.node_id());
        bob.keys("/mute Alice\r");
        bob.expect_line(&format!("* Alice ({id}) is muted; /unmute Alice undoes it"));
        alice.say("hidden");
        carol.expect_out("Alice: hidden", SOON);
        carol.say("seen");
        bob.expect_line(&said_by(&carol, "seen"));
        bob.keys("/mute\r");
        bob.expect_line(&format!("*   {id}  Alice"));
        bob.keys(&format!("/unmute {id}\r"));
        bob.expect_line(&format!("* Alice ({id}) is no longer muted"));
        alice.say("back");
        bob.expect_line(&said_by(&alice, "back"));
        assert!(!bob.sent().contains("hidden"));
        bob.keys("/mute Zoe\r");
        bob.expect_line("* /mute: nobody is called Zoe here");
    }
}

#[test]
fn who_is_muted_stays_so_over_a_restart() {
    for driver in Driver::ALL {
        let data = tempfile::TempDir::new().unwrap();
        let alice = Launch::new(driver, "Alice").start();
        let id = short(&alice.node_id());
        let start = || {
            let bob = OnTerminal::new(driver, "Bob").peer(alice.addr());
            let bob = bob.args(["--data-dir", data.path().to_str().unwrap()]).start();
            bob.expect_line("* Alice joined");
            bob.expect_prompt("");
            bob
        };
        let mut bob = start();
        bob.keys("/mute Alice\r");
        bob.expect_line(&format!("* Alice ({id}) is muted; /unmute Alice undoes it"));
        bob.keys("/quit\r");
        assert!(bob.expect_end().success());
        let mut bob = start();
        bob.keys("/mute\r");
        bob.expect("who is muted", |screen| {
            screen.lines.iter().any(|line| line.starts_with(&format!("*   {id}"))).then_some(())
        });
        bob.keys(&format!("/unmute {id}\r"));
        bob.expect("the end of that", |screen| {
            screen.lines.iter().any(|line| line.ends_with("is no longer muted")).then_some(())
        });
        alice.send("back");
        bob.expect_line(&said_by(&alice, "back"));
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
fn whom_the_page_mutes_the_terminal_mutes_and_the_other_way_round() {
    for driver in Driver::ALL {
        let mut bob = OnTerminal::new(driver, "Bob").with_api().start();
        let api = bob.expect("where its API is", |screen| {
            let (_, url) = screen.lines.iter().find_map(|line| line.split_once("http://"))?;
            url.parse().ok()
        });
        let mut alice = visitor(driver, "Alice", bob.addr());
        bob.expect_line("* Alice joined");
        let (id, at) = (alice.node_id(), short(&alice.node_id()));
        let muted = || tests::http::get(api, "/mutes").unwrap().json();
        let post = |path| tests::http::post(api, path, &serde_json::json!({ "id": id })).unwrap().status;

        assert_eq!(post("/mute"), 200);
        bob.expect_line("* Alice is muted, as somebody said on the page or by the API");
        assert_eq!(muted(), serde_json::json!([{ "id": id, "name": "Alice" }]));
        alice.say("not heard");
        tests::journal::eventually("Bob's node has it", SOON, || {
            tests::http::get(api, "/messages").unwrap().body.contains("not heard")
        });
        // What comes after it is shown after it.
        tests::http::post(api, "/send", &serde_json::json!({ "msg": "and then" })).unwrap();
        bob.expect("what came then", |screen| {
            screen.lines.iter().any(|line| line.ends_with("and then")).then_some(())
        });
        bob.keys("/unmute Alice\r");
        bob.expect_line(&format!("* Alice ({at}) is no longer muted"));
        alice.say("heard");
        bob.expect_line(&said_by(&alice, "heard"));
        assert_eq!((muted(), post("/unmute")), (serde_json::json!([]), 409));
        bob.keys(&format!("/mute {at}\r"));
        bob.expect_line(&format!("* Alice ({at}) is muted; /unmute Alice undoes it"));
        assert_eq!(muted(), serde_json::json!([{ "id": id, "name": "Alice" }]));
        assert!(bob.shown().lines.iter().all(|line| !line.ends_with("not heard")));
    }
}
