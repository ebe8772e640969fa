//! What a node keeps on its disk, and what it does when it cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::http::{self, Response};
use tests::journal::{SOON, eventually};
use tests::kept::{Line, read_all};
use tests::process::{Driver, Launch, Process, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn kept_in(driver: Driver, data: &Path) -> Launch {
    Launch::new(driver, "Alice").args(["--data-dir", text(data)])
}

fn folder(launch: &Launch, data: &Path) -> PathBuf {
    data.join(launch.addr().port().to_string())
}

fn send(node: &Process, text: &str, header: &str) -> Response {
    let body = serde_json::json!({ "msg": text }).to_string();
    let response = http::request_with(node.api(), "POST", "/send", header, &body).unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    response
}

const JSON: &str = "Accept: application/json\r\n";

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_the_numbers_go_on() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        let mut said = Vec::new();
        for run in 0..3 {
            let mut alice = launch.start();
            assert_eq!(texts(&read_all(alice.api())), said, "run {run}");
            for n in 0..20 {
                let line = format!("{run}.{n}");
                let answer = send(&alice, &line, JSON).json();
                assert_eq!(answer["stored"], true);
                said.push(line);
            }
            alice.kill();
        }
        let lines = read_all(launch.start().api());
        assert_eq!(texts(&lines), said);
        assert!(lines.iter().all(|line| line.own && line.epoch == lines[0].epoch));
        assert!(lines.iter().map(|line| line.seq).eq(0..60));
    });
}

#[test]
fn an_answer_says_whether_the_message_is_kept() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let alice = kept_in(driver, data.path()).start();
        let kept = send(&alice, "kept", "");
        assert_eq!((kept.body.as_str(), kept.field("chat-stored")), ("sent", None));
        let folder = TempDir::new().unwrap();
        let launch = kept_in(driver, folder.path()).args(["--no-history"]);
        let bob = launch.start();
        let unkept = send(&bob, "not kept", "");
        assert_eq!((unkept.body.as_str(), unkept.field("chat-stored")), ("sent", Some("no")));
        assert_eq!(send(&bob, "not kept", JSON).json()["stored"], false);
        let files = fs::read_dir(self::folder(&launch, folder.path())).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["key.pem", "lock"]);
        let status = http::get(bob.api(), "/status").unwrap().json();
        assert_eq!(status["store"], Value::Null);
    });
}

#[test]
fn the_conversation_is_read_back_page_by_page() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        let mut alice = launch.start();
        let lines: Vec<String> = (0..450).map(|n| format!("line {n}")).collect();
        lines.chunks(150).for_each(|lines| drop(send(&alice, &lines.join("\n"), "")));
        let check = |alice: &Process| {
            let newest = http::get(alice.api(), "/messages").unwrap().json();
            let newest = newest.as_array().unwrap();
            let contents = newest.iter().map(|line| line["content"].as_str().unwrap());
            assert!(contents.eq(lines[250..].iter()));
            // Pages end within an entry.
            let first = &newest[0]["entry"];
            let path = format!(
                "/messages?limit=3&before={}.{}",
                first["id"].as_str().unwrap(),
                first["part"].as_u64().unwrap()
            );
            let before = http::get(alice.api(), &path).unwrap().json();
            let before: Vec<_> = before.as_array().unwrap().iter().map(|line| &line["content"]).collect();
            assert_eq!(before, ["line 247", "line 248", "line 249"]);
            assert_eq!(texts(&read_all(alice.api())), lines);
        };
        check(&alice);
        for (query, status) in [
            ("before=x", 400),
            ("limit=0", 400),
            ("limit=1001", 400),
            (&*format!("before={}.0", "A".repeat(43)), 404),
        ] {
            let path = format!("/messages?{query}");
            assert_eq!(http::get(alice.api(), &path).unwrap().status, status, "{query}");
        }
        alice.kill();
        check(&launch.start());
    });
}

#[test]
fn a_copy_of_the_folder_does_not_go_on_where_the_original_does() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        let mut alice = launch.start();
        send(&alice, "before", "");
        alice.kill();
        let folder = folder(&launch, data.path());
        let backup = data.path().join("backup");
        let copy = |from: &Path, to: &Path| {
            let status = Command::new("cp").args(["-aT", text(from), text(to)]).status().unwrap();
            assert!(status.success());
        };
        copy(&folder, &backup);
        let mut alice = launch.start();
        send(&alice, "after", "");
        alice.kill();
        // Put back while the node is down: what it said last is forgotten here, and may be known elsewhere.
        copy(&backup, &folder);
        let alice = launch.start();
        send(&alice, "again", "");
        let lines = read_all(alice.api());
        assert_eq!(texts(&lines), ["before", "again"]);
        assert!(lines[0].epoch != lines[1].epoch && lines[1].seq == 0, "{lines:?}");
    });
}

#[test]
fn what_is_wrong_with_the_file_is_said_in_words() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        drop(launch.start());
        let database = folder(&launch, data.path()).join("history.db");
        let port = launch.addr().port().to_string();
        let refused = |says: &str| {
            let ended = run(driver, &["--port", &port, "--no-api", "--data-dir", text(data.path())]);
            assert!(ended.code == Some(1) && ended.err.lines().count() == 1, "{ended:?}");
            assert!(ended.err.contains(says) && ended.err.contains(text(&database)), "{ended:?}");
        };
        let set = |pragma: &str, value: i32| {
            let conn = rusqlite::Connection::open(&database).unwrap();
            conn.pragma_update(None, pragma, value).unwrap();
        };
        set("user_version", 99);
        refused("was written by a newer version of this program (schema 99");
        set("application_id", 99);
        refused("is the database of another program");
        fs::write(&database, "nonsense".repeat(1_000)).unwrap();
        let alice = launch.start();
        alice.expect_err(&["the history was damaged: it is now ", "history.damaged-"], SOON);
        assert_eq!(send(&alice, "kept", JSON).json()["stored"], true);
    });
}

#[test]
fn a_node_that_restarts_finds_its_network_by_itself() {
    Driver::each_pair(|[one, other]| {
        let data = TempDir::new().unwrap();
        let bob = Launch::new(other, "Bob").start();
        let launch = kept_in(one, data.path());
        let mut alice = launch.clone().peer(bob.addr()).start();
        alice.expect_peers(&["Bob"], SOON);
        // Nobody says anything: what is committed is whom Alice knows.
        eventually("Alice keeps whom she knows", SOON, || {
            let status = http::get(alice.api(), "/status").unwrap().json();
            status["store"]["commits"].as_u64().is_some_and(|commits| commits > 0)
        });
        alice.kill();
        drop(alice);
        bob.expect_peers(&[], SOON);
        launch.start().expect_peers(&["Bob"], SOON);
    });
}

#[test]
fn what_was_shown_before_a_restart_is_not_shown_again() {
    Driver::each_pair(|[one, other]| {
        let data = TempDir::new().unwrap();
        let mut bob = Launch::new(other, "Bob").start();
        let launch = kept_in(one, data.path()).peer(bob.addr());
        let mut alice = launch.start();
        alice.expect_peers(&["Bob"], SOON);
        bob.say("first");
        alice.expect_out("Bob: first", SOON);
        eventually("Alice has it", SOON, || texts(&read_all(alice.api())) == ["first"]);
        let stored = || {
            let status = http::get(alice.api(), "/status").unwrap().json();
            status["store"]["stored"] == 1
        };
        eventually("it is on the disk", SOON, stored);
        alice.kill();
        drop(alice);
        bob.say("meanwhile");
        let alice = launch.start();
        alice.expect_out("Bob: meanwhile", SOON);
        bob.say("last");
        alice.expect_out("Bob: last", SOON);
        let printed = alice.out().look(<[String]>::to_vec);
        assert_eq!(printed, ["Bob: meanwhile", "Bob: last"]);
        assert_eq!(texts(&read_all(alice.api())), ["first", "meanwhile", "last"]);
    });
}

#[test]
fn what_was_unusual_about_a_message_is_known_after_a_restart() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        let mut alice = launch.start();
        for text in ["it is me", "no, me"] {
            // Each has a key of its own.
            let mut bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
            bob.say(text);
            alice.expect_out(&format!("Bob: {text}"), SOON);
        }
        let entries = |alice: &Process| -> Vec<Value> {
            let lines = http::get(alice.api(), "/messages").unwrap().json();
            let mut entries: Vec<_> =
                lines.as_array().unwrap().iter().map(|line| line["entry"].clone()).collect();
            // That it is being shown is over.
            entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("catch_up")));
            entries
        };
        let before = entries(&alice);
        assert!(before.len() == 2 && before[1]["name_taken"] == true, "{before:?}");
        alice.signal(Signal::TERM);
        assert!(alice.wait(SOON).success());
        assert_eq!(entries(&launch.start()), before);
    });
}

#[test]
fn a_database_that_is_found_damaged_is_filled_wholly_while_the_node_runs() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let bob = Launch::new(driver, "Bob").start();
        let launch = kept_in(driver, data.path()).peer(bob.addr());
        let mut alice = launch.start();
        alice.expect_peers(&["Bob"], SOON);
        // More than a node takes into memory when it starts.
        let line = |n: usize| format!("{n} {}", "x".repeat(3_000));
        let said: Vec<String> = (0..3_600).map(line).collect();
        said.chunks(20).for_each(|lines| alice.send(&lines.join("\n")));
        eventually("Bob has all", 6 * SOON, || read_all(bob.api()).len() == said.len());
        alice.signal(Signal::TERM);
        assert!(alice.wait(SOON).success());
        drop(alice);
        // A page of one of the oldest messages, which the start does not read.
        let database = folder(&launch, data.path()).join("history.db");
        let mut bytes = fs::read(&database).unwrap();
        bytes[40 * 4_096..][..64].fill(0xff);
        fs::write(&database, bytes).unwrap();
        let alice = launch.start();
        alice.expect_err(&["the history was damaged: it is now ", "history.damaged-"], SOON);
        alice.expect_err(&["messages are being kept again"], SOON);
        alice.expect_err(&["the history is filled: ", " older messages came"], 6 * SOON);
        eventually("all is there again", 6 * SOON, || read_all(alice.api()).len() == said.len());
        assert_eq!(texts(&read_all(alice.api())), said);
    });
}

#[test]
fn after_a_restart_a_known_name_with_another_key_is_told() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = kept_in(driver, data.path());
        let mut alice = launch.start();
        let mut bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.say("it is me");
        alice.expect_out("Bob: it is me", SOON);
        drop(bob);
        alice.signal(Signal::TERM);
        assert!(alice.wait(SOON).success());
        let alice = launch.start();
        let mut other = Launch::new(driver, "Bob").peer(alice.addr()).start();
        other.say("no, me");
        alice.expect_err(&["goes by the name of Bob", "it may be somebody else"], SOON);
    });
}

/// A small file system in memory. None: this process may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", text(&at)]);
        if !mounted {
            let required = std::env::var_os("CHAT_REQUIRE_OTHER_USER").is_some_and(|value| !value.is_empty());
            assert!(!required, "CHAT_REQUIRE_OTHER_USER is set, and this process cannot mount a file system");
            eprintln!("a test with a full disk did not run: it needs root");
        }
        mounted.then_some(Self(at))
    }

    fn fill(&self) {
        let mut size = 64 * 1024;
        for n in 0.. {
            if fs::write(self.0.join(format!("filler {n}")), vec![1; size]).is_err() {
                size /= 2;
            }
            if size < 512 {
                break;
            }
        }
    }

    fn empty(&self) {
        for file in fs::read_dir(&self.0).unwrap().map(Result::unwrap) {
            if file.file_name().to_str().unwrap().starts_with("filler") {
                fs::remove_file(file.path()).unwrap();
            }
        }
    }

    fn read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        assert!(mount(&["-o", options, text(&self.0)]));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str]) -> bool {
    Command::new("mount")
        .args(args)
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn on_a_full_disk_the_chat_goes_on_and_comes_back_by_itself() {
    Driver::each(|driver| {
        let base = TempDir::new().unwrap();
        let Some(disk) = SmallDisk::mount(base.path().join("disk")) else { return };
        let launch = kept_in(driver, &disk.0);
        let mut alice = launch.start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        send(&alice, "kept", "");
        disk.fill();
        let stored = |text: &str| send(&alice, text, JSON).json()["stored"] == true;
        let mut sent = 0;
        let mut texts = vec!["kept".to_owned()];
        // What is free within its files is used up first.
        eventually("the disk is full", 6 * SOON, || {
            sent += 1;
            let text = format!("{sent} {}", "x".repeat(5_000));
            let stored = stored(&text);
            texts.push(text);
            !stored
        });
        alice.expect_err(&["messages are not being kept: there is no space left on the disk"], SOON);
        assert_eq!(send(&alice, "on its way", "").field("chat-stored"), Some("no"));
        texts.push("on its way".to_owned());
        bob.expect_out("Alice: on its way", SOON);
        let status = http::get(alice.api(), "/status").unwrap().json();
        assert_eq!(status["store"]["problem"], "no_space", "{status}");
        let told = "messages are not being kept: there is no space left on the disk";
        assert!(status["notices"].as_array().unwrap().iter().any(|notice| notice == told), "{status}");
        let metrics = http::get(alice.api(), "/metrics").unwrap().body;
        assert!(metrics.contains("\nchat_store_works 0\n"), "{metrics}");

        disk.empty();
        alice.expect_err(&["messages are being kept again"], 3 * SOON);
        texts.push("kept again".to_owned());
        assert!(stored("kept again"));
        let metrics = http::get(alice.api(), "/metrics").unwrap().body;
        assert!(metrics.contains("\nchat_store_works 1\n"), "{metrics}");
        let status = http::get(alice.api(), "/status").unwrap().json();
        assert_eq!(status["store"]["problem"], Value::Null);
        alice.kill();
        // What was sent meanwhile was kept when there was space again.
        let alice = launch.start();
        let held = read_all(alice.api());
        let first_words = |text: &str| text.trim_end_matches('x').to_owned();
        let held: Vec<_> = held.iter().map(|line| first_words(&line.text)).collect();
        assert_eq!(held, texts.iter().map(|text| first_words(text)).collect::<Vec<_>>());
    });
}

#[test]
fn on_a_disk_that_can_only_be_read_the_chat_goes_on() {
    Driver::each(|driver| {
        let base = TempDir::new().unwrap();
        let Some(disk) = SmallDisk::mount(base.path().join("disk")) else { return };
        let launch = kept_in(driver, &disk.0);
        let mut alice = launch.start();
        send(&alice, "kept", "");
        alice.kill();
        drop(alice);
        disk.read_only(true);
        let ended = run(driver, &["--port", &launch.addr().port().to_string(), "--data-dir", text(&disk.0)]);
        // Without its lock, two nodes could use one key.
        assert!(ended.code == Some(1) && ended.err.contains("Read-only file system"), "{ended:?}");
        disk.read_only(false);
        assert_eq!(texts(&read_all(launch.start().api())), ["kept"]);
    });
}
