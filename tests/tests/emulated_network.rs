//! Twelve real nodes of both drivers in a bad network: packets are lost and late, the network is cut in two for a while,
//! and one node is behind a slow line. Nothing is lost, nothing comes twice, and what an author says comes in order; at the node
//! behind the slow line, unless it says that something is missing.
#![cfg(target_os = "linux")]

use std::env;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tests::emulator::{Emulator, Path};
use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};

const NAMES: [&str; 12] =
    ["Ann", "Ben", "Cat", "Dan", "Eve", "Fay", "Gus", "Hal", "Ivy", "Jon", "Kim", "Lea"];
/// One packet in twenty is lost, and an answer takes 200 ms at least.
const BAD: Path = Path { loss: 0.05, delay: Duration::from_millis(100), rate: None, cut: false };
/// The node behind a slow line, and the bytes a second of that: 24 kbit/s.
const SLOW: (usize, u32) = (11, 3_000);
/// The hosts of one side while the network is cut.
const SIDE: std::ops::Range<usize> = 3..9;
/// Somebody says something at this interval, one after the other.
const PACE: Duration = Duration::from_millis(400);
/// What was said is heard by all within this time. Five times as long is waited.
const PROMISED: Duration = Duration::from_secs(60);

/// For how long the network is cut: by default for longer than it takes to find a link silent.
fn partition() -> Duration {
    let seconds = env::var("CHAT_PARTITION").map(|seconds| seconds.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(30))
}

/// The nodes, and how much each has said.
struct Talk {
    nodes: Vec<Process>,
    said: Vec<usize>,
    next: usize,
}

impl Talk {
    /// Starts them. Each knows the first one and the one before it.
    fn start(network: &Emulator) -> Self {
        let mut addrs: Vec<String> = Vec::new();
        let mut nodes = Vec::new();
        for (host, name) in NAMES.iter().enumerate() {
            let bind = Emulator::addr(host).to_string();
            let launch = Launch::new(Driver::ALL[host % 2], name);
            let addr = format!("{bind}:{}", launch.addr().port());
            let launch = launch.args(["--bind", &bind, "--advertise", &addr]);
            let known = addrs.first().into_iter().chain(addrs.last());
            let launch = known.fold(launch, Launch::peer);
            nodes.push(network.at(host, || launch.start()));
            addrs.push(addr);
        }
        Self { nodes, said: vec![0; NAMES.len()], next: 0 }
    }

    /// One after the other says a line, for so long.
    fn go_on(&mut self, time: Duration) {
        let began = Instant::now();
        for line in 1.. {
            if began.elapsed() >= time {
                break;
            }
            let host = self.next;
            self.nodes[host].say(&format!("line {:02}", self.said[host]));
            self.said[host] += 1;
            self.next = (host + 1) % self.nodes.len();
            // The pace is what the test is about.
            thread::sleep((began + PACE * line).saturating_duration_since(Instant::now()));
        }
    }

    /// What this node has heard of that one.
    fn heard(&self, host: usize, author: usize) -> Vec<String> {
        let start = format!("{}: ", NAMES[author]);
        self.nodes[host].out().look(|lines| {
            lines.iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
        })
    }

    /// Whether this node said that messages of that author are missing.
    fn told_gap(&self, host: usize, author: &str) -> bool {
        let [one, more] = ["is", "are"].map(|verb| format!("from {author} {verb} missing"));
        self.nodes[host].err().all().iter().any(|line| line.contains(&one) || line.contains(&more))
    }

    /// Waits until each has heard as much as the others have said, and compares.
    #[track_caller]
    fn expect_all_heard(&self) {
        let since = Instant::now();
        let all: usize = self.said.iter().sum();
        for (host, node) in self.nodes.iter().enumerate() {
            let expected = all - self.said[host];
            let left = (5 * PROMISED).saturating_sub(since.elapsed());
            // The end of a node would be shown below.
            let _ = node.out().until(left, |lines| (lines.len() >= expected).then_some(()));
        }
        println!("what was said was heard {:.1?} later, promised within {PROMISED:?}", since.elapsed());
        for (host, name) in NAMES.iter().enumerate() {
            for (author, other) in NAMES.iter().enumerate().filter(|(author, _)| *author != host) {
                let said: Vec<_> = (0..self.said[author]).map(|line| format!("line {line:02}")).collect();
                let mut heard = self.heard(host, author);
                if host == SLOW.0 && self.told_gap(host, other) {
                    // On such a line, what is missing may take longer than it is waited for.
                    heard.sort_unstable();
                }
                assert_eq!(heard, said, "{name} of {other}");
            }
        }
    }
}

/// What no node may say of an honest one.
const FALSE_NOTICES: [&str; 5] = ["is no chat node", "claimed twice", "violation", "same key", "clock"];

#[test]
fn in_a_bad_network_that_is_cut_in_two_nothing_is_lost_or_doubled_or_out_of_order() {
    let Some(network) = Emulator::start(12, BAD) else { return };
    network.change_paths_of(SLOW.0, |path| path.rate = Some(SLOW.1));
    let mut talk = Talk::start(&network);
    talk.go_on(Duration::from_secs(20));
    network.cut(&SIDE, true);
    let said_before = talk.said[0];
    talk.go_on(partition());
    assert!(talk.said[0] > said_before && talk.heard(SIDE.start, 0).len() <= said_before, "it was not cut");
    network.cut(&SIDE, false);
    talk.go_on(Duration::from_secs(20));
    talk.expect_all_heard();
    for node in &talk.nodes {
        let notices = node.err().all();
        let wrong = notices.iter().find(|line| FALSE_NOTICES.iter().any(|part| line.contains(part)));
        assert_eq!(wrong, None, "{}", node.uname());
    }
}

#[test]
fn packets_take_as_long_as_the_path_says_and_none_passes_where_it_is_cut() {
    let path = Path { delay: Duration::from_millis(50), ..Path::default() };
    let Some(network) = Emulator::start(2, path) else { return };
    let listener = network.at(0, || TcpListener::bind((Emulator::addr(0), 0))).expect("a listener");
    let to: SocketAddr = listener.local_addr().expect("its address");
    let connect = |timeout| {
        let began = Instant::now();
        let stream = network.at(1, || TcpStream::connect_timeout(&to, timeout));
        (stream, began.elapsed())
    };
    let (stream, took) = connect(SOON);
    assert!(stream.is_ok() && took >= 2 * path.delay, "{stream:?} {took:?}");
    network.cut(&(0..1), true);
    let (stream, _) = connect(10 * path.delay);
    assert!(stream.is_err(), "{stream:?}");
    network.cut(&(0..1), false);
    network.change_paths_of(1, |path| path.loss = 1.0);
    let (stream, _) = connect(10 * path.delay);
    assert!(stream.is_err(), "{stream:?}");
    // A packet of a connection has 40 bytes at least.
    network.change_paths_of(1, |path| *path = Path { rate: Some(80), ..Path::default() });
    let (stream, took) = connect(SOON);
    assert!(stream.is_ok() && took >= Duration::from_secs(1), "{stream:?} {took:?}");
}
