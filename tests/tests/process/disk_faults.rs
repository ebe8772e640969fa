//! Disks that report errors, at each kind of call: the chat goes on, the user is told, and nothing is lost.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;
use tests::faults::Call::{Lock, Map, Open, OpenToWrite, Read, Rename, Sync, Truncate, Unlink, Write};
use tests::faults::{Call, Disk, Errno, Rule};
use tests::http;
use tests::journal::{SOON, eventually};
use tests::kept::{Answer, Fault, Line, Spoken, judge, read_all, say};
use tests::process::{Driver, Launch, Process};

/// How many run at once. Most of the time they wait for the node to try again.
const AT_ONCE: usize = 8;

/// What goes wrong with a disk.
struct Case {
    name: &'static str,
    when: When,
    rules: &'static [Rule],
    /// What the user may be told in `/status`. Nothing: nothing is to be noticed.
    problems: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// While the node runs.
    Running,
    /// From before its start.
    Start,
}
use When::{Running, Start};

const ALWAYS: u32 = u32::MAX;

/// All calls of this kind fail, for files with this end.
const fn all(calls: &'static [Call], end: &'static str, errno: Errno) -> Rule {
    Rule { calls, end, errno, times: ALWAYS }
}

/// One call fails.
const fn one(calls: &'static [Call], end: &'static str, errno: Errno) -> Rule {
    Rule { calls, end, errno, times: 1 }
}

const CHANGES: &[Call] = &[OpenToWrite, Write, Truncate, Rename, Unlink];
const EVERYTHING: &[Call] = &[Open, Read, Write, Sync, Truncate, Rename, Unlink, Map];

const fn case(
    name: &'static str,
    when: When,
    rules: &'static [Rule],
    problems: &'static [&'static str],
) -> Case {
    Case { name, when, rules, problems }
}

const CASES: &[Case] = &[
    // While it runs.
    case("the disk is full", Running, &[all(&[Write], "", Errno::NoSpace)], &["no_space"]),
    case("the log has no room", Running, &[all(&[Write], "-wal", Errno::NoSpace)], &["no_space"]),
    case("the user has used it up", Running, &[all(&[Write], "", Errno::Quota)], &["no_space"]),
    case("half of a write", Running, &[all(&[Write], "-wal", Errno::Short)], &["no_space"]),
    case("writes fail", Running, &[all(&[Write], "-wal", Errno::Io)], &["io"]),
    case("it can only be read", Running, &[all(CHANGES, "", Errno::ReadOnly)], &["read_only"]),
    case("syncs fail", Running, &[all(&[Sync], "-wal", Errno::Io)], &["io"]),
    case("a sync finds no room", Running, &[all(&[Sync], "", Errno::NoSpace)], &["no_space"]),
    case("one sync fails", Running, &[one(&[Sync], "-wal", Errno::Io)], &["io"]),
    case("the disk is gone", Running, &[all(EVERYTHING, "", Errno::Io)], &["io", "cannot_open"]),
    case("locks fail", Running, &[all(&[Lock], "", Errno::Locks)], &["io", "locked"]),
    case(
        "it cannot be opened again",
        Running,
        &[one(&[Write], "-wal", Errno::Io), all(&[Open], "history.db", Errno::Access)],
        &["io", "read_only", "cannot_open"],
    ),
    case(
        "too many files are open",
        Running,
        &[one(&[Write], "-wal", Errno::Io), all(&[Open], "history.db", Errno::Files)],
        &["io", "cannot_open"],
    ),
    case(
        "what tells copies apart cannot be renamed",
        Running,
        &[one(&[Write], "-wal", Errno::NoSpace), all(&[Rename], "history.id", Errno::ReadOnly)],
        &["no_space", "read_only"],
    ),
    case(
        "what tells copies apart cannot be synced",
        Running,
        &[one(&[Write], "-wal", Errno::Io), all(&[Sync], "history.new", Errno::Io)],
        &["io"],
    ),
    // While it runs, and all is kept nevertheless.
    case("the log cannot be copied", Running, &[all(&[Write], "history.db", Errno::NoSpace)], &[]),
    case("the copy cannot be synced", Running, &[all(&[Sync], "history.db", Errno::Io)], &[]),
    case("it cannot be counted", Running, &[all(&[Write], "history.count", Errno::Io)], &[]),
    // From the start on.
    case("a full disk at the start", Start, &[all(&[Write], "", Errno::NoSpace)], &["no_space"]),
    case("syncs fail at the start", Start, &[all(&[Sync], "-wal", Errno::Io)], &["io"]),
    case("no access", Start, &[all(&[Open], "history.db", Errno::Access)], &["read_only", "cannot_open"]),
    case("reads fail at the start", Start, &[all(&[Read], "history.db", Errno::Io)], &["io"]),
    case("no map at the start", Start, &[all(&[Map], "-shm", Errno::Memory)], &["io", "other"]),
];

#[test]
fn whatever_a_disk_reports_nothing_is_lost() {
    let cases = CASES.iter().flat_map(|case| Driver::ALL.map(|driver| (case, driver)));
    let waiting = Mutex::new(cases.collect::<VecDeque<_>>());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || waiting.lock().expect("nobody panics with it").pop_front();
                while let Some((case, driver)) = next() {
                    Meeting::of(case, driver).run();
                }
            });
        }
    });
}

/// Alice, whose disk reports errors, and Bob, who hears her.
struct Meeting<'a> {
    case: &'a Case,
    disk: Disk,
    launch: Launch,
    bob: Process,
    spoken: Vec<Spoken>,
    _folders: [TempDir; 2],
}

impl<'a> Meeting<'a> {
    fn of(case: &'a Case, driver: Driver) -> Self {
        let folders = [(); 2].map(|()| TempDir::new().unwrap());
        let [alices, bobs] = folders.each_ref().map(|folder| folder.path().to_str().unwrap());
        let bob = Launch::new(driver, "Bob").args(["--data-dir", bobs]).start();
        let launch = Launch::new(driver, "Alice").args(["--data-dir", alices]).peer(bob.addr());
        let disk = Disk::below(Path::new(alices));
        Self { case, disk, launch, bob, spoken: Vec::new(), _folders: folders }
    }

    fn run(mut self) {
        eprintln!("{} begins", self.name());
        let mut alice = self.disk.under(self.launch.clone()).start();
        alice.expect_peers(&["Bob"], SOON);
        assert!(matches!(self.say(&alice, ""), Answer::Kept(_)), "{}", self.name());
        if self.case.when == Start {
            alice.kill();
            self.disk.fail(self.case.rules);
            alice = self.disk.under(self.launch.clone()).start();
            alice.expect_peers(&["Bob"], SOON);
        } else {
            self.disk.fail(self.case.rules);
        }
        if self.case.problems.is_empty() {
            self.goes_on(&alice);
        } else {
            self.fails(&alice);
            self.comes_back(&alice);
        }
        alice.kill();
        drop(alice);
        self.disk.work();
        let alice = self.launch.start();
        self.judge(&alice);
        let again = self.say(&alice, "");
        assert!(matches!(again, Answer::Kept(_)), "{}: {again:?}", self.name());
        self.judge(&alice);
    }

    fn name(&self) -> &'static str {
        self.case.name
    }

    /// Says something that was not said before.
    fn say(&mut self, alice: &Process, more: &str) -> Answer {
        let text = format!("{} {more}", self.spoken.len());
        let mut answer = None;
        eventually("the node takes it", SOON, || {
            answer = say(alice.api(), text.trim_end()).expect("the node is there");
            answer.is_some()
        });
        let answer = answer.expect("an answer");
        let text = text.trim_end().to_owned();
        self.spoken.push(Spoken { node: 0, speaker: 0, text, answer: answer.clone() });
        answer
    }

    /// Nothing of it is to be noticed.
    fn goes_on(&mut self, alice: &Process) {
        let long = "x".repeat(5_000);
        eventually("the disk reports errors", 6 * SOON, || {
            let answer = self.say(alice, &long);
            assert!(matches!(answer, Answer::Kept(_)), "{}: {answer:?}", self.name());
            self.disk.hits(self.case.rules)[0] > 0
        });
        let answer = self.say(alice, "");
        assert!(matches!(answer, Answer::Kept(_)), "{}: {answer:?}", self.name());
        assert_eq!(problem(alice), Value::Null, "{}", self.name());
    }

    /// The chat goes on, and the user is told.
    fn fails(&mut self, alice: &Process) {
        let is_brief = self.case.rules.iter().all(|rule| rule.times == 1);
        let answer = self.say(alice, "");
        assert_eq!(answer, Answer::Unkept, "{}", self.name());
        alice.expect_err(&["messages are not being kept: ", "the chat goes on"], SOON);
        let text = self.spoken.last().expect("it was said").text.clone();
        self.bob.expect_out(&format!("Alice: {text}"), SOON);
        if is_brief {
            return;
        }
        let is_told = || self.case.problems.iter().any(|told| problem(alice) == *told);
        eventually(&format!("it is told: {}", self.name()), SOON, is_told);
        let status = http::get(alice.api(), "/status").unwrap().json();
        let notices: Vec<_> =
            status["notices"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(notices.iter().any(|notice| notice.starts_with("messages are not being kept: ")), "{status}");
        let metrics = http::get(alice.api(), "/metrics").unwrap().body;
        assert!(metrics.contains("\nchat_store_works 0\n"), "{metrics}");
        let body = serde_json::json!({ "msg": format!("{} plain", self.spoken.len()) });
        let plain = http::post(alice.api(), "/send", &body).unwrap();
        assert_eq!((plain.status, plain.field("chat-stored")), (200, Some("no")), "{}", self.name());
        let text = body["msg"].as_str().unwrap().to_owned();
        self.spoken.push(Spoken { node: 0, speaker: 0, text, answer: Answer::Unkept });
    }

    /// It is over, and all is kept again.
    fn comes_back(&mut self, alice: &Process) {
        let is_met = || self.disk.hits(self.case.rules).iter().all(|hits| *hits > 0);
        eventually(&format!("every call fails: {}", self.name()), 3 * SOON, is_met);
        self.disk.work();
        alice.expect_err(&["messages are being kept again"], 3 * SOON);
        assert_eq!(problem(alice), Value::Null, "{}", self.name());
        let answer = self.say(alice, "");
        assert!(matches!(answer, Answer::Kept(_)), "{}: {answer:?}", self.name());
    }

    /// Both have all that Alice acknowledged, once, in order, and no number is used twice.
    fn judge(&self, alice: &Process) {
        let mut faults = Vec::new();
        eventually(&format!("both have all: {}", self.name()), 3 * SOON, || {
            let held: [Vec<Line>; 2] = [alice, &self.bob].map(|node| read_all(node.api()));
            let found = judge(&self.spoken, &held);
            // After a failure a node goes on in other epochs.
            faults = found.into_iter().filter(|fault| !matches!(fault, Fault::Epochs(..))).collect();
            !faults.iter().any(|fault| matches!(fault, Fault::Missing(..)))
        });
        assert_eq!(faults, [], "{}", self.name());
    }
}

/// What `/status` says of the store.
fn problem(node: &Process) -> Value {
    http::get(node.api(), "/status").unwrap().json()["store"]["problem"].take()
}

#[test]
fn what_a_failed_sync_leaves_is_not_told_twice_after_a_kill() {
    const SYNCS: &[Rule] = &[all(&[Sync], "-wal", Errno::Io)];
    let case = case("a kill while syncs fail", Running, SYNCS, &["io"]);
    Driver::each(|driver| {
        let mut meeting = Meeting::of(&case, driver);
        let mut alice = meeting.disk.under(meeting.launch.clone()).start();
        alice.expect_peers(&["Bob"], SOON);
        meeting.say(&alice, "");
        meeting.disk.fail(SYNCS);
        meeting.fails(&alice);
        alice.kill();
        drop(alice);
        let alice = meeting.launch.start();
        alice.expect_peers(&["Bob"], SOON);
        let again = meeting.say(&alice, "");
        assert!(matches!(again, Answer::Kept(_)), "{again:?}");
        let text = meeting.spoken.last().unwrap().text.clone();
        meeting.bob.expect_out(&format!("Alice: {text}"), SOON);
        meeting.judge(&alice);
    });
}
