//! A network under load whose nodes are killed at random moments.

use std::hint;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http;
use crate::journal::{SOON, eventually};
use crate::kept::{Answer, Fault, Line, Spoken, judge, read_all, say};
use crate::process::{Driver, Launch, Process};

/// The nodes of the network, and the speakers at each.
const NODES: usize = 4;
const SPEAKERS: usize = 2;

/// What each speaker says between two kills.
const PER_ROUND: usize = 15;

/// A campaign.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// How often a node is killed.
    pub kills: usize,
    /// What the random numbers follow from.
    pub seed: u64,
}

/// What happened.
#[derive(Debug)]
pub struct Outcome {
    /// What was said.
    pub spoken: Vec<Spoken>,
    /// What each node has at the end.
    pub held: Vec<Vec<Line>>,
    /// The time from each start after a kill to the first answer.
    pub starts: Vec<Duration>,
}

impl Outcome {
    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        judge(&self.spoken, &self.held).into_iter().collect()
    }
}

/// What speakers and the one who kills share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    spoken: Vec<Spoken>,
    /// How much each speaker may have said by now.
    allowed: usize,
    /// How much each speaker of a node has said, answered or not.
    said: [[usize; SPEAKERS]; NODES],
    /// How often each node was started. None: it is down.
    up: [bool; NODES],
    over: bool,
}

impl Campaign {
    /// Runs it, with the nodes' data in a folder of its own.
    ///
    /// # Panics
    /// When a node does not start again, or the nodes never agree.
    pub fn run(self) -> Outcome {
        let data = TempDir::new().expect("a folder");
        let launches = launches(data.path());
        let mut nodes: Vec<Process> = launches.iter().map(Launch::start).collect();
        let shared = Shared { state: Mutex::default(), changed: Condvar::new() };
        shared.lock().up = [true; NODES];
        let mut starts = Vec::new();
        std::thread::scope(|scope| {
            let shared = &shared;
            for (node, process) in nodes.iter().enumerate() {
                let api = process.api();
                for speaker in 0..SPEAKERS {
                    scope.spawn(move || shared.speak(node, speaker, || say_to(api, node, speaker, shared)));
                }
            }
            let mut random = Random(self.seed);
            for _ in 0..self.kills {
                let victim = random.below(NODES);
                shared.await_some(victim, random.below(PER_ROUND));
                random.pause();
                shared.lock().up[victim] = false;
                nodes[victim].kill();
                let began = Instant::now();
                nodes[victim] = launches[victim].spawn();
                nodes[victim].expect_start();
                let api = nodes[victim].api();
                eventually("the node answers", SOON, || http::get(api, "/me").is_ok());
                starts.push(began.elapsed());
                shared.lock().up[victim] = true;
                shared.changed.notify_all();
            }
            shared.finish();
        });
        let spoken = std::mem::take(&mut shared.lock().spoken);
        let held = agree(&nodes, &spoken);
        Outcome { spoken, held, starts }
    }
}

/// Nodes of both drivers. Each dials all others.
fn launches(data: &Path) -> Vec<Launch> {
    let data = data.to_str().expect("a path of text");
    let launches: Vec<_> = (0..NODES)
        .map(|node| Launch::new(Driver::ALL[node % 2], &format!("n{node}")).args(["--data-dir", data]))
        .collect();
    let addrs: Vec<_> = launches.iter().map(Launch::addr).collect();
    let with_peers = |(node, launch): (usize, Launch)| {
        let others = addrs.iter().enumerate().filter(|(other, _)| *other != node);
        others.fold(launch, |launch, (_, addr)| launch.peer(addr))
    };
    launches.into_iter().enumerate().map(with_peers).collect()
}

/// Waits until all nodes have what was acknowledged, and reads all of it.
fn agree(nodes: &[Process], spoken: &[Spoken]) -> Vec<Vec<Line>> {
    let mut held = Vec::new();
    let complete = || {
        held = nodes.iter().map(|node| read_all(node.api())).collect();
        !judge(spoken, &held).iter().any(|fault| matches!(fault, Fault::Missing(..)))
    };
    // What is still missing is a fault then.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("all nodes have everything", 6 * SOON, complete);
    }));
    held
}

/// Says the next text. Returns false if the node is down.
fn say_to(api: std::net::SocketAddr, node: usize, speaker: usize, shared: &Shared) -> bool {
    let text = format!("{node}.{speaker}.{}", shared.lock().said[node][speaker]);
    let Ok(answer) = say(api, &text) else { return false };
    let Some(answer) = answer else {
        // The node is busy.
        std::thread::yield_now();
        return true;
    };
    let down = answer == Answer::None;
    let mut state = shared.lock();
    state.said[node][speaker] += 1;
    state.spoken.push(Spoken { node, speaker, text, answer });
    drop(state);
    shared.changed.notify_all();
    !down
}

impl Shared {
    /// Says what is allowed, until the end.
    fn speak(&self, node: usize, speaker: usize, mut next: impl FnMut() -> bool) {
        loop {
            let mut state = self.lock();
            while !(state.over || state.up[node] && state.said[node][speaker] < state.allowed) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.said[node][speaker] >= state.allowed {
                return;
            }
            drop(state);
            if !next() {
                // The one who kills says when the node is up again.
                std::thread::yield_now();
            }
        }
    }

    /// Allows more to be said, and waits until a node was told so much of it.
    fn await_some(&self, node: usize, some: usize) {
        let mut state = self.lock();
        let before: usize = state.said[node].iter().sum();
        state.allowed += PER_ROUND;
        self.changed.notify_all();
        let end = Instant::now() + 6 * SOON;
        while state.said[node].iter().sum::<usize>() < before + some {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "node {node} takes nothing any more");
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn finish(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Less than three milliseconds: an answer is on its way at some of these moments, a commit at others.
    fn pause(&mut self) {
        let end = Instant::now() + Duration::from_micros(self.next() % 3_000);
        while Instant::now() < end {
            hint::spin_loop();
        }
    }
}
