//! Eight nodes in processes on loopback, one of which speaks flat out: what a delivery costs, in clear and sealed, beside
//! bare sockets.
//!
//! A message is a line of 128 bytes. The library's rows count messages where a driver hands them to its user, the
//! binaries' rows from standard input to standard output. CPU is that of all eight processes. Then, one message at a time:
//! how long after one says something the last of seven hears it.

mod bare;
mod binaries;
mod child;
mod latency;
mod library;

use std::env;
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use proto_core::Plaintext;
use tests::process::Driver;

/// Who hears what one says.
const RECEIVERS: usize = 7;

/// Bytes of a message on the wire, its line end included.
const LINE: usize = 128;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if child::run(&args) {
        return;
    }
    // `cargo bench` says so; anything else only wants to know that it works.
    let messages = if args.iter().any(|arg| arg == "--bench") { 200_000 } else { 10_000 };
    println!(
        "{messages} messages of {LINE} bytes to {RECEIVERS} receivers, {ROUNDS} times, in turns: the least"
    );
    println!(
        "                              deliveries/s   CPU us/delivery   to bare   to clear   lost   reordered"
    );
    // It is soon over: more of it, for a figure that holds.
    let bare = Run::least((0..ROUNDS).map(|_| bare::measure(4 * messages)).collect());
    print("bare sockets", &bare, &bare, None);
    // As elsewhere, a word says which rows are wanted.
    let wanted = args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str);
    let rows = [
        Row { name: "library", measure: library::measure },
        Row { name: "stdin to stdout", measure: binaries::measure },
    ];
    for row in rows {
        let name = |kind: Kind| format!("{kind}, {}", row.name);
        let kinds: Vec<_> = Kind::all().filter(|kind| name(*kind).contains(wanted)).collect();
        let runs = in_turns(&kinds, |kind| (row.measure)(kind, messages)).map(Run::least);
        let runs: Vec<_> = kinds.iter().zip(runs).collect();
        for (kind, run) in &runs {
            let clear = runs.iter().find(|(other, _)| other.driver == kind.driver && !other.sealed);
            print(&name(**kind), run, &bare, clear.filter(|_| kind.sealed).map(|(_, run)| run));
        }
    }
    if "latency".contains(wanted) {
        latency::print();
    }
}

/// How often each kind is measured. The least of all is what other programs disturbed least.
const ROUNDS: usize = 5;

/// Measures each kind, and all of them again. What each measured.
fn in_turns<T>(kinds: &[Kind], measure: impl Fn(Kind) -> T) -> impl Iterator<Item = Vec<T>> {
    let mut all: Vec<_> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (kind, runs) in kinds.iter().zip(&mut all) {
            runs.push(measure(*kind));
        }
    }
    all.into_iter()
}

struct Row {
    name: &'static str,
    measure: fn(Kind, usize) -> Run,
}

/// A driver, and whether its links are sealed.
#[derive(Clone, Copy)]
struct Kind {
    driver: Driver,
    sealed: bool,
}

impl Kind {
    /// All of them, those in clear before those that are sealed.
    fn all() -> impl Iterator<Item = Self> {
        [false, true].into_iter().flat_map(|sealed| Driver::ALL.map(|driver| Self { driver, sealed }))
    }

    /// The one that is shown so.
    fn named(text: &str) -> Self {
        Self::all().find(|kind| kind.to_string() == text).expect("the bench names it")
    }

    fn plaintext(self) -> Plaintext {
        if self.sealed { Plaintext::Off } else { Plaintext::Loopback }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = if self.sealed { " sealed" } else { "" };
        write!(f, "{:?}{sealed}", self.driver)
    }
}

/// What one run took.
struct Run {
    deliveries: usize,
    wall: Duration,
    cpu: Duration,
    lost: usize,
    reordered: usize,
}

impl Run {
    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    /// The one that took least CPU, with what all of them lost.
    fn least(mut runs: Vec<Self>) -> Self {
        let (lost, reordered) = (sum(&runs, |run| run.lost), sum(&runs, |run| run.reordered));
        runs.sort_by(|one, other| one.cpu_each().total_cmp(&other.cpu_each()));
        Self { lost, reordered, ..runs.swap_remove(0) }
    }
}

fn sum(runs: &[Run], of: fn(&Run) -> usize) -> usize {
    runs.iter().map(of).sum()
}

fn print(name: &str, run: &Run, bare: &Run, clear: Option<&Run>) {
    let to_clear = clear.map_or(String::new(), |clear| format!("{:.2}", run.cpu_each() / clear.cpu_each()));
    println!(
        "{name:<29} {:>12.0} {:>17.3} {:>9.2} {to_clear:>10} {:>6} {:>11}",
        run.deliveries as f64 / run.wall.as_secs_f64(),
        run.cpu_each(),
        run.cpu_each() / bare.cpu_each(),
        run.lost,
        run.reordered,
    );
}

/// Runs `run` and takes the time and the CPU of these processes meanwhile.
fn timed<T>(pids: &[u32], run: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let cpu = || pids.iter().map(|pid| child::cpu(*pid)).sum::<Duration>();
    let (before, started) = (cpu(), Instant::now());
    let result = run();
    (result, started.elapsed(), cpu() - before)
}

/// What a receiver heard, in order.
#[derive(Default)]
struct Tally {
    heard: usize,
    next: usize,
    reordered: usize,
}

impl Tally {
    /// A message came, which begins with its number.
    fn hear(&mut self, text: &[u8]) {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        self.reordered += usize::from(number < self.next);
        self.next = number + 1;
        self.heard += 1;
    }

    /// Whether the last of so many came.
    fn is_over(&self, messages: usize) -> bool {
        self.next == messages
    }
}

/// The text of a message whose frame has the length of a line.
fn text(number: usize) -> String {
    const FILLED: &str = match str::from_utf8(&[b'x'; LINE - "MSG|00000000 \n".len()]) {
        Ok(filled) => filled,
        Err(_) => unreachable!(),
    };
    let mut text = String::with_capacity(LINE);
    write!(text, "{number:08} ").unwrap();
    text + FILLED
}
