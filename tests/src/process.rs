//! The real binaries of both drivers, started, spoken to and ended.

pub mod limit;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::Value;
use tempfile::TempDir;

use self::limit::Limit;
use crate::binary;
use crate::http;
use crate::journal::{Journal, SOON, eventually};
use crate::ports;
use crate::raw::RawPeer;

/// Whose binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `chat-tokio`.
    Tokio,
    /// `chat-smol`.
    Smol,
}

impl Driver {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Tokio, Self::Smol];
    /// Pairs alone and mixed, either one first.
    pub const PAIRS: [[Self; 2]; 4] = [
        [Self::Tokio, Self::Tokio],
        [Self::Smol, Self::Smol],
        [Self::Tokio, Self::Smol],
        [Self::Smol, Self::Tokio],
    ];

    /// Runs a test on each of them, at once.
    pub fn each(test: impl Fn(Self) + Sync) {
        let test = &test;
        std::thread::scope(|scope| Self::ALL.map(|driver| scope.spawn(move || test(driver))).map(drop));
    }

    /// Runs a test on each of the [`PAIRS`](Self::PAIRS), at once.
    pub fn each_pair(test: impl Fn([Self; 2]) + Sync) {
        let test = &test;
        std::thread::scope(|scope| Self::PAIRS.map(|pair| scope.spawn(move || test(pair))).map(drop));
    }

    /// The binary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokio => "chat-tokio",
            Self::Smol => "chat-smol",
        }
    }
}

/// What becomes of a node's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is read at once.
    Read,
    /// It is a pipe that nobody reads until [`Process::read_output`].
    Unread,
    /// It is a pipe whose reading end is closed.
    Closed,
}

/// A node to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    driver: Driver,
    uname: String,
    port: u16,
    args: Vec<String>,
    env: Vec<(String, String)>,
    output: Output,
    input: Option<PathBuf>,
    limit: Option<Limit>,
}

impl Launch {
    /// A node of this name on a port of its own.
    pub fn new(driver: Driver, uname: &str) -> Self {
        let port = ports::reserve();
        Self {
            driver,
            uname: uname.to_owned(),
            port,
            args: Vec::new(),
            env: Vec::new(),
            output: Output::Read,
            input: None,
            limit: None,
        }
    }

    /// Where it will listen.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// With `--peer`.
    pub fn peer(self, addr: impl std::fmt::Display) -> Self {
        self.args(["--peer", &format!("{addr}")])
    }

    /// With these arguments too.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// With this environment variable too.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this done to its standard output.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// With this file as its standard input.
    pub fn input(mut self, path: &Path) -> Self {
        self.input = Some(path.to_owned());
        self
    }

    /// Under this limit.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Starts it and waits until it serves its API.
    #[track_caller]
    pub fn start(&self) -> Process {
        let process = self.spawn();
        process.expect_start();
        process
    }

    /// Starts it and does not wait.
    pub fn spawn(&self) -> Process {
        let home = TempDir::new().expect("a home folder");
        let mut command = command(self.driver, &home, self.limit);
        command.args(["--port", &self.port.to_string(), "--uname", &self.uname]).args(&self.args);
        command.envs(self.env.iter().cloned());
        if let Some(path) = &self.input {
            command.stdin(fs::File::open(path).expect("the input"));
        }
        let mut child = command.spawn().expect("the binary starts");
        let err = read_lines(child.stderr.take().expect("a pipe"));
        let stdin = child.stdin.take();
        let mut process = Process { launch: self.clone(), child, stdin, out: Journal::default(), err, home };
        match self.output {
            Output::Read => process.read_output(),
            Output::Unread => {}
            Output::Closed => drop(process.child.stdout.take()),
        }
        process
    }
}

/// A running node; it is killed when dropped.
pub struct Process {
    launch: Launch,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Journal<String>,
    err: Journal<String>,
    home: TempDir,
}

impl Process {
    /// Its name.
    pub fn uname(&self) -> &str {
        &self.launch.uname
    }

    /// Where it listens for peers.
    pub fn addr(&self) -> SocketAddr {
        self.launch.addr()
    }

    /// Where its API is.
    pub fn api(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.launch.port + ports::API).into()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it serves its API.
    #[track_caller]
    pub fn expect_start(&self) {
        let line = format!("http://{}", self.api());
        let up = |lines: &[String]| lines.iter().any(|found| found.contains(&line)).then_some(());
        if self.err.until(SOON, up).is_none() {
            let sockets = ports::users(self.launch.port);
            panic!("{} does not start:\n{:?}{sockets}", self.launch.uname, self.err);
        }
    }

    /// The lines on its standard output.
    pub fn out(&self) -> &Journal<String> {
        &self.out
    }

    /// The lines on its standard error.
    pub fn err(&self) -> &Journal<String> {
        &self.err
    }

    /// Its standard output as a pipe, where nobody reads that yet.
    #[track_caller]
    pub fn take_output(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output is not read yet")
    }

    /// Starts to read its standard output.
    pub fn read_output(&mut self) {
        if let Some(stdout) = self.child.stdout.take() {
            self.out = read_lines(stdout);
        }
    }

    /// Types a line.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    /// Types bytes; waits while the node takes none.
    #[track_caller]
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).expect("the node reads what is typed");
    }

    /// Its standard input, for another thread to type into.
    #[track_caller]
    pub fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is open")
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line on its standard output that is exactly this.
    #[track_caller]
    pub fn expect_out(&self, line: &str, timeout: Duration) {
        let what = format!("{line:?} from {}", self.launch.uname);
        self.out.expect_one(&what, timeout, |printed| printed == line);
    }

    /// Waits for a line on its standard error that contains all of these.
    #[track_caller]
    pub fn expect_err(&self, parts: &[&str], timeout: Duration) -> String {
        let what = format!("{parts:?} from {}", self.launch.uname);
        self.err.expect_one(&what, timeout, |line| parts.iter().all(|part| line.contains(part)))
    }

    /// What `GET /peers` lists.
    #[track_caller]
    pub fn peers(&self) -> Vec<Value> {
        let response = http::get(self.api(), "/peers").expect("an answer");
        assert_eq!(response.status, 200, "{response:?}");
        match response.json() {
            Value::Array(peers) => peers,
            other => panic!("a list of peers is {other}"),
        }
    }

    /// How many messages of others its node has delivered, as `GET /status` says.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn delivered(&self) -> u64 {
        self.counted("delivered")
    }

    /// What a counter of its node says, in `GET /status`.
    ///
    /// # Panics
    /// When it does not answer, or has no such counter.
    #[track_caller]
    pub fn counted(&self, what: &str) -> u64 {
        let status = http::get(self.api(), "/status").expect("an answer").json();
        status["stats"][what].as_u64().expect("a number")
    }

    /// The names in `GET /peers`, in order.
    #[track_caller]
    pub fn peer_names(&self) -> Vec<String> {
        let peers = self.peers();
        let mut names: Vec<_> =
            peers.iter().map(|peer| peer["uname"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    }

    /// Waits until exactly these are listed.
    #[track_caller]
    pub fn expect_peers(&self, names: &[&str], timeout: Duration) {
        let mut names = names.to_vec();
        names.sort_unstable();
        let mut listed = Vec::new();
        let what = format!("{} lists {names:?}", self.launch.uname);
        let same = || {
            listed = self.peer_names();
            listed == names
        };
        eventually(&what, timeout, same);
    }

    /// Says something by `POST /send`, again while the node is busy.
    #[track_caller]
    pub fn send(&self, text: &str) {
        let body = serde_json::json!({ "msg": text });
        eventually("the node takes a message", SOON, || {
            let response = http::post(self.api(), "/send", &body).expect("an answer");
            assert!(matches!(response.status, 200 | 503), "{response:?}");
            response.status == 200
        });
    }

    /// The id that the node goes by, as its `JOIN` says.
    #[track_caller]
    pub fn node_id(&self) -> String {
        node_id(self.addr())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Kills it without a word and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("its end");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        assert!(self.err.ended(timeout), "{} still runs:\n{:?}", self.launch.uname, self.err);
        self.child.wait().expect("its end")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// How many file descriptors it has open.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the process is there").count()
    }

    /// How many file descriptors it may have open from now on.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(&self, most: usize) {
        let limit = Rlimit { current: Some(most as u64), maximum: Some(most as u64) };
        rustix::process::prlimit(Some(self.pid()), Resource::Nofile, limit).expect("a lower limit");
    }

    /// The most memory that it ever held, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let fields: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
        let peak = fields["VmHWM"].split_whitespace().next().and_then(|kib| kib.parse().ok());
        peak.expect("a number of KiB")
    }

    /// The processor time that it used so far, in steps of some milliseconds.
    #[cfg(target_os = "linux")]
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its state");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        // User and system time are fields 14 and 15; the name was the second.
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let failing = std::thread::panicking();
        if failing {
            eprintln!(
                "{} {} {}:\n{:?}",
                self.launch.uname,
                self.addr(),
                self.home.path().display(),
                self.err
            );
        }
        let panicked = self.err.look(|lines| lines.iter().any(|line| line.contains("panicked at")));
        assert!(failing || !panicked, "{} panicked:\n{:?}", self.launch.uname, self.err);
    }
}

/// The id that the node at this address goes by, as its `JOIN` says.
#[track_caller]
pub fn node_id(addr: SocketAddr) -> String {
    let peer = RawPeer::connect(addr);
    peer.send("\n");
    let join = peer.expect("JOIN|", SOON);
    let join: Value = serde_json::from_str(&join["JOIN|".len()..]).expect("JSON");
    join["node_id"].as_str().expect("an id").to_owned()
}

/// The start of a node's id, as it is shown.
pub fn short(node_id: &str) -> String {
    node_id.replace('-', "").chars().take(16).collect()
}

/// What a node that ended by itself left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if it was not killed.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a binary that is to end by itself, with exactly these arguments.
#[track_caller]
pub fn run(driver: Driver, args: &[&str]) -> Ended {
    let home = TempDir::new().expect("a home folder");
    ended(command(driver, &home, None).args(args))
}

/// Like [`run`], under a limit.
#[track_caller]
pub fn run_under(limit: Limit, driver: Driver, args: &[&str]) -> Ended {
    let home = TempDir::new().expect("a home folder");
    ended(command(driver, &home, Some(limit)).args(args))
}

#[track_caller]
fn ended(command: &mut Command) -> Ended {
    let mut child = command.spawn().expect("the binary starts");
    let out = read_lines(child.stdout.take().expect("a pipe"));
    let err = read_lines(child.stderr.take().expect("a pipe"));
    if !err.ended(SOON) || !out.ended(SOON) {
        let _ = child.kill();
        panic!("it does not end by itself: {err:#?}");
    }
    let status = child.wait().expect("its end");
    let text = |lines: &Journal<String>| lines.look(|lines| lines.join("\n"));
    Ended { code: status.code(), out: text(&out), err: text(&err) }
}

/// A command with pipes and nothing of this process's environment that a node looks at.
fn command(driver: Driver, home: &TempDir, limit: Option<Limit>) -> Command {
    let mut command = match limit {
        None => Command::new(binary::path(driver.name())),
        Some(limit) => limit.command(driver, home.path()),
    };
    command.env_clear().env("HOME", home.path()).env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads lines in a thread, to the end.
pub fn read_lines(stream: impl Read + Send + 'static) -> Journal<String> {
    let lines = Journal::default();
    let journal = lines.clone();
    std::thread::spawn(move || {
        let mut stream = BufReader::with_capacity(64 * 1024, stream);
        while let Ok(Some(line)) = read_line(&mut stream) {
            journal.push(line);
        }
        journal.end();
    });
    lines
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok((!line.is_empty()).then(|| String::from_utf8_lossy(text).into_owned()))
}
