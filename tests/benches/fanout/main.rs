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
    let messages = if args.iter().any(|arg| arg == "--bench") { 1_000_000 } else { 20_000 };
    // It is soon over: more of it, for a figure that holds.
    let bare = bare::measure(4 * messages);
    println!("{messages} messages of {LINE} bytes to {RECEIVERS} receivers");
    println!("                              deliveries/s   CPU us/delivery   to bare   lost   reordered");
    print("bare sockets", &bare, &bare);
    // As elsewhere, a word says which rows are wanted.
    let wanted = args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str);
    let rows = [
        Row { name: "library", measure: library::measure },
        Row { name: "stdin to stdout", measure: binaries::measure },
    ];
    for row in rows {
        for kind in Kind::all() {
            let name = format!("{kind}, {}", row.name);
            if name.contains(wanted) {
                print(&name, &(row.measure)(kind, messages), &bare);
            }
        }
    }
    if "latency".contains(wanted) {
        latency::print();
    }
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
}

fn print(name: &str, run: &Run, bare: &Run) {
    println!(
        "{name:<29} {:>12.0} {:>17.3} {:>9.2} {:>6} {:>11}",
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
