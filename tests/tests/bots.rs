//! Bots of twenty lines outlive a restart of their node, and answer nothing twice and nothing old.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};

/// Ended when dropped, with what it started.
struct Bot(Child);

impl Bot {
    fn start(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        command.stdin(Stdio::null()).process_group(0);
        Self(command.spawn().expect("the bot starts"))
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bots").join(name)
}

/// Whether a command ends well. If not, the test says that it did not run.
fn has(what: &str, command: &mut Command) -> bool {
    let found = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        let required = std::env::var_os("CHAT_REQUIRE_BOTS").is_some_and(|value| !value.is_empty());
        assert!(!required, "CHAT_REQUIRE_BOTS is set, and {what} is missing");
        // Past the test harness, which keeps what a passed test prints to itself.
        let note = format!("a test of a bot did not run: {what} is missing\n");
        let _ = io::stderr().write_all(note.as_bytes());
    }
    found
}

/// Runs a bot at Alice's node, which is restarted. Bob asks.
fn answers_once(driver: Driver, bot: impl Fn(&str, &Path) -> Command) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let launch = Launch::new(driver, "Alice").args(["--data-dir", data.to_str().unwrap()]);
    let mut alice = launch.start();
    let mut bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
    bob.expect_peers(&["Alice"], SOON);
    bob.say("!echo 0");
    alice.expect_out("Bob: !echo 0", SOON);
    // A shell's clock counts in seconds: the bot begins in a later one.
    std::thread::sleep(Duration::from_millis(1100));
    let bot = Bot::start(&mut bot(&alice.api().to_string(), &folder.path().join("answered")));
    let mut next = ask_until_answered(&mut bob, 1);

    alice.signal(Signal::TERM);
    alice.wait(SOON);
    drop(alice);
    let alice = launch.start();
    bob.expect_peers(&["Alice"], 5 * Duration::from_secs(15));
    alice.expect_peers(&["Bob"], SOON);
    next = ask_until_answered(&mut bob, next);
    // Whatever was answered too much was answered before this.
    ask_until_answered(&mut bob, next);
    let mut answers = bob.out().all();
    assert!(!answers.contains(&"Alice: 0".to_owned()), "it is older than the bot: {answers:?}");
    answers.sort();
    let asked = answers.len();
    answers.dedup();
    assert_eq!(answers.len(), asked, "something was answered twice: {answers:?}");
    drop(bot);
}

/// Asks from this number on, until the bot, which may not listen yet, has answered. Returns the next number.
#[track_caller]
fn ask_until_answered(bob: &mut Process, first: usize) -> usize {
    for number in first..first + 30 {
        bob.say(&format!("!echo {number}"));
        let answers: Vec<_> = (first..=number).map(|number| format!("Alice: {number}")).collect();
        let is_one = |line: &String| answers.contains(line);
        if bob.out().until(Duration::from_secs(2), |all| all.iter().any(is_one).then_some(())).is_some() {
            return number + 1;
        }
    }
    panic!("the bot does not answer: {:?}", bob.out());
}

#[test]
fn a_bot_in_a_shell_answers_nothing_twice_and_nothing_old() {
    if has("jq", Command::new("jq").arg("--version")) && has("curl", Command::new("curl").arg("--version")) {
        Driver::each(|driver| {
            answers_once(driver, |api, answered| {
                let mut command = Command::new("sh");
                command.arg(script("echo.sh")).arg(api).arg(answered);
                command
            });
        });
    }
}

#[test]
fn a_bot_in_python_answers_nothing_twice_and_nothing_old() {
    let python = std::env::var("CHAT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if has("Python's websockets", Command::new(&python).args(["-c", "import websockets.sync.client"])) {
        Driver::each(|driver| {
            answers_once(driver, |api, _| {
                let mut command = Command::new(&python);
                command.arg(script("echo.py")).arg(api);
                command
            });
        });
    }
}
