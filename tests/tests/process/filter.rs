//! A node without a terminal is a filter: what its standard streams do, when it ends, and what it logs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, read_lines};
use tests::raw::RawPeer;
use tests::{binary, http};

#[test]
fn a_node_that_is_done_ends_when_a_peer_holds_all() {
    Driver::each_pair(|[one, other]| {
        let bob = Launch::new(other, "Bob");
        // She has to wait for him.
        let mut alice = Launch::new(one, "Alice").peer(bob.addr()).args(["--exit-when-done"]).start();
        let lines: Vec<_> = (0..2_000).map(|n| format!("{n} {}", "x".repeat(500))).collect();
        alice.type_bytes((lines.join("\n") + "\nthe last").as_bytes());
        alice.end_input();
        alice.expect_err(&["connected to nobody"], SOON);
        let bob = bob.start();
        assert_eq!(alice.wait(5 * SOON).code(), Some(0));
        bob.expect_out("Alice: the last", SOON);
        let heard = bob.out().look(|all| all.iter().filter(|line| line.starts_with("Alice: ")).count());
        assert_eq!(heard, lines.len() + 1);
    });
}

#[test]
fn where_peers_confirm_nothing_a_node_that_is_done_ends_when_all_is_sent() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").args(["--exit-when-done"]).start();
        let (raw, _) = RawPeer::join(alice.addr(), "Raw");
        alice.expect_peers(&["Raw"], SOON);
        alice.say("last words");
        alice.end_input();
        raw.expect("MSG|last words", SOON);
        raw.expect("BYE|", SOON);
        assert_eq!(alice.wait(SOON).code(), Some(0));
    });
}

#[test]
fn with_json_each_line_of_the_output_is_an_event() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").args(["--output", "json"]).start();
        let mut bob = Launch::new(driver, "Alice: I quit").peer(alice.addr()).start();
        alice.expect_peers(&["Alice: I quit"], SOON);
        bob.say("hello");
        bob.say("\u{202e}two");
        alice.say("own");
        let parsed = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_default();
        let events = alice.out().expect("both", SOON, |all| {
            let events: Vec<_> = all.iter().map(parsed).collect();
            (events.iter().filter(|event| event.get("Message").is_some()).count() == 3).then_some(events)
        });
        assert!(
            events.iter().all(|event| event.as_object().is_some_and(|event| event.len() == 1)),
            "{events:?}"
        );
        let messages: Vec<_> = events.iter().filter_map(|event| event.get("Message")).collect();
        let heard: Vec<_> = messages.iter().filter(|message| message["own"] == false).collect();
        assert_eq!((&heard[0]["from"], &heard[0]["content"]), (&"Alice: I quit".into(), &"hello".into()));
        assert_eq!(heard[1]["content"], "\u{202e}two");
        assert_eq!(heard[0]["node_id"], bob.node_id());
        assert!(heard[0]["id"].as_u64() < heard[1]["id"].as_u64() && heard[0]["at"].is_u64());
        assert!(messages.iter().any(|message| message["own"] == true && message["content"] == "own"));
        assert!(events.iter().any(|event| event["PeerJoined"]["peer"]["uname"] == "Alice: I quit"));
    });
}

#[test]
fn a_fifo_stays_open_for_the_next_writer() {
    Driver::each(|driver| {
        let bob = Launch::new(driver, "Bob").start();
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let write = |text: &str| {
            let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        };
        let launch = Launch::new(driver, "Alice").peer(bob.addr()).input(&fifo);
        // Whoever opens it for reading waits for a writer.
        let alice = std::thread::scope(|scope| {
            scope.spawn(|| write("\u{feff}one\n"));
            launch.start()
        });
        bob.expect_out("Alice: one", SOON);
        for (text, said) in [("two\nthree", "three"), ("\u{feff}four\n", "four"), ("five", "five")] {
            write(text);
            bob.expect_out(&format!("Alice: {said}"), SOON);
        }
        assert_eq!(
            bob.out().all(),
            ["one", "two", "three", "four", "five"].map(|line| format!("Alice: {line}"))
        );
        drop(alice);
    });
}

#[test]
fn a_hangup_ends_a_node_unless_it_was_to_be_ignored() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.signal(Signal::HUP);
        assert_eq!(alice.wait(SOON).code(), Some(0));
        bob.expect_peers(&[], SOON);

        // As with nohup.
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(binary::path(driver.name()));
        command.args(["--port", "0", "--no-api", "--uname", "Carol", "--peer", &bob.addr().to_string()]);
        command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut carol = command.spawn().unwrap();
        let err = read_lines(carol.stderr.take().unwrap());
        bob.expect_peers(&["Carol"], SOON);
        let pid = rustix::process::Pid::from_child(&carol);
        rustix::process::kill_process(pid, Signal::HUP).unwrap();
        bob.send("still there?");
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        assert!(err.ended(SOON));
        assert_eq!(carol.wait().unwrap().code(), Some(0), "the hangup did not end it");
    });
}

/// Two that are linked. Returns the lines on the first one's standard error.
fn log_of(driver: Driver, args: &[&str]) -> Vec<String> {
    let mut alice = Launch::new(driver, "Alice").args(args.iter().copied()).spawn();
    eventually("Alice serves her API", SOON, || http::get(alice.api(), "/me").is_ok());
    let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
    alice.expect_peers(&["Bob"], SOON);
    drop(bob);
    alice.expect_peers(&[], SOON);
    alice.type_bytes(&[b"x".repeat(70_000), b"\n".to_vec()].concat());
    alice.send("done");
    alice.signal(Signal::TERM);
    alice.wait(SOON);
    alice.err().all()
}

#[test]
fn the_log_has_times_and_levels_and_as_much_as_is_asked_for() {
    Driver::each(|driver| {
        let usual = log_of(driver, &[]);
        for part in [" INFO chat: Bob joined", " WARN chat: line 1 was not sent: "] {
            assert!(usual.iter().any(|line| line.contains(part)), "{part:?} is not in {usual:#?}");
        }
        assert!(usual.iter().all(|line| line.starts_with("20") && line.contains("Z ")), "{usual:#?}");

        let more = log_of(driver, &["-v"]);
        assert!(
            more.iter().any(|line| line.contains(" INFO driver_common::node: the node started")),
            "{more:#?}"
        );
        let less = log_of(driver, &["-q"]);
        assert!(!less.is_empty() && less.iter().all(|line| line.contains(" WARN chat: ")), "{less:#?}");
        assert_eq!(log_of(driver, &["-qq"]), [""; 0]);

        let json = log_of(driver, &["--log-format", "json"]);
        let parsed: Vec<Value> = json.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_joined = |line: &Value| line["message"] == "Bob joined" && line["level"] == "INFO";
        assert!(parsed.iter().any(is_joined), "{json:#?}");
        assert!(parsed.iter().all(|line| line["timestamp"].is_string()), "{json:#?}");
    });
}

#[test]
fn a_file_configures_a_node() {
    Driver::each(|driver| {
        let bob = Launch::new(driver, "Bob").start();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.toml");
        std::fs::write(&path, format!("peer = [\"{}\"]\noutput = \"json\"\n", bob.addr())).unwrap();
        let alice = Launch::new(driver, "Alice").args(["--config", path.to_str().unwrap()]).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.out().expect_one("an event", SOON, |line| line.starts_with(r#"{"PeerJoined":"#));
    });
}

#[test]
fn a_shell_reads_what_completes_the_flags() {
    Driver::each(|driver| {
        let script = tests::process::run(driver, &["--completions", "bash"]);
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("completion");
        std::fs::write(&path, &script.out).unwrap();
        if Path::new("/bin/bash").exists() {
            let read = Command::new("/bin/bash").arg("-n").arg(&path).status().unwrap();
            assert!(read.success());
        }
        let man = tests::process::run(driver, &["--man-page"]);
        assert!(man.code == Some(0) && man.out.contains(".SH OPTIONS"), "{man:?}");
    });
}
