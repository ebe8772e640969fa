//! From one say to the last of seven who hear it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driver_common::{Event, Origin};
use driver_smol::ChatText;
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer, SigningKey, Verifier};

use crate::child::{self, Role};
use crate::library::{linked, on, wait_for_bench};
use crate::{Kind, LINE, RECEIVERS, ROUNDS, in_turns, text};

/// Messages, the first of which only warm up: a node that has just been linked may still catch up.
const MESSAGES: usize = 250;
const WARM_UP: usize = 50;

/// Milliseconds from one message to the next, once all are warm. After the longer time all are idle again. In the shorter one two
/// cores cannot verify what seven receive.
const GAPS: [&str; 2] = ["20", "1"];

pub(crate) fn print() {
    println!("                                     median us   99th us   to bare   sealing adds, to bare");
    for gap in GAPS {
        let bare = least((0..ROUNDS).map(|_| measure_bare(gap, Bare::Lines)).collect());
        let row = |name: &str, [median, late]: [f64; 2], adds: &str| {
            let name = format!("{name}, each {gap} ms");
            println!("{name:<36} {median:>9.0} {late:>9.0} {:>9.2} {adds:>23}", median / bare[0]);
        };
        row("bare sockets", bare, "");
        let signed = least((0..ROUNDS).map(|_| measure_bare(gap, Bare::Signed)).collect());
        row("bare sockets, signed", signed, "");
        let kinds: Vec<_> = Kind::all().collect();
        let times = in_turns(&kinds, |kind| measure(kind, gap)).map(least);
        let times: Vec<_> = kinds.iter().zip(times).collect();
        for (kind, time) in &times {
            let clear = times.iter().find(|(other, _)| other.driver == kind.driver && !other.sealed);
            let adds = clear.filter(|_| kind.sealed).map(|(_, clear)| (time[0] - clear[0]) / bare[0]);
            row(&format!("{kind}, library"), *time, &adds.map_or(String::new(), |adds| format!("{adds:.2}")));
        }
    }
}

/// The times of the run with the least median.
fn least(mut runs: Vec<[f64; 2]>) -> [f64; 2] {
    runs.sort_by(|one, other| one[0].total_cmp(&other[0]));
    runs[0]
}

/// The gap behind a message, from its argument.
fn gap(millis: &str, number: usize) -> Duration {
    let millis = if number < WARM_UP { GAPS[0] } else { millis };
    Duration::from_millis(millis.parse().unwrap())
}

/// What goes over bare sockets.
#[derive(Clone, Copy)]
pub(crate) enum Bare {
    /// Lines, and nothing else.
    Lines,
    /// Lines behind a signature, which each receiver verifies: the least that a node must do.
    Signed,
}

impl Bare {
    const fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Signed => "signed",
        }
    }

    pub(crate) fn named(text: &str) -> Self {
        [Self::Lines, Self::Signed].into_iter().find(|bare| bare.name() == text).expect("the bench names it")
    }

    const fn size(self) -> usize {
        match self {
            Self::Lines => LINE,
            Self::Signed => LINE + SIGNATURE_LENGTH,
        }
    }
}

/// Whose signature it is.
fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn measure_bare(gap: &str, bare: Bare) -> [f64; 2] {
    let hearer = || Role::start("bare-hearer", [bare.name().to_owned()]);
    let mut hearers: Vec<_> = (0..RECEIVERS).map(|_| hearer()).collect();
    let addrs: Vec<_> = hearers.iter_mut().map(Role::hear).collect();
    let mut caller =
        Role::start("bare-caller", [gap.to_owned(), bare.name().to_owned()].into_iter().chain(addrs));
    assert_eq!(caller.hear(), "linked");
    compare(&mut caller, &mut hearers)
}

fn measure(kind: Kind, gap: &str) -> [f64; 2] {
    let (mut hearers, mut addrs) = (Vec::new(), vec![kind.to_string()]);
    for _ in 0..RECEIVERS {
        let mut hearer = Role::start("hearer", addrs.iter().cloned());
        addrs.push(hearer.hear());
        hearers.push(hearer);
    }
    let mut caller = Role::start("caller", [gap.to_owned()].into_iter().chain(addrs));
    for node in hearers.iter_mut().chain([&mut caller]) {
        assert_eq!(node.hear(), "linked");
    }
    compare(&mut caller, &mut hearers)
}

/// The median and the 99th percentile of how much later the last one heard, in microseconds.
fn compare(caller: &mut Role, hearers: &mut [Role]) -> [f64; 2] {
    caller.tell("go");
    let times = |role: &mut Role| -> Vec<u64> {
        role.hear().split(' ').map(|nanos| nanos.parse().unwrap()).collect()
    };
    let said = times(caller);
    let heard: Vec<_> = hearers.iter_mut().map(times).collect();
    let last = |number: usize| heard.iter().map(|times| times[number]).max().unwrap();
    let mut delays: Vec<_> = (WARM_UP..MESSAGES).map(|number| last(number) - said[number]).collect();
    delays.sort_unstable();
    [delays[delays.len() / 2], delays[delays.len() * 99 / 100]].map(|nanos| nanos as f64 / 1000.0)
}

pub(crate) fn hear_bare(bare: Bare) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    child::say(&listener.local_addr().unwrap().to_string());
    let (mut stream, _) = listener.accept().unwrap();
    let key = signing_key().verifying_key();
    let mut message = vec![0; bare.size()];
    let mut times = Vec::new();
    for _ in 0..MESSAGES {
        stream.read_exact(&mut message).unwrap();
        if matches!(bare, Bare::Signed) {
            let (signature, line) = message.split_first_chunk().unwrap();
            key.verify(line, &Signature::from_bytes(signature)).unwrap();
        }
        times.push(now());
    }
    report(&times);
    child::wait();
}

pub(crate) fn call_bare(millis: &str, bare: Bare, addrs: &[&str]) {
    let key = signing_key();
    let mut streams: Vec<_> = addrs.iter().map(|addr| TcpStream::connect(addr).unwrap()).collect();
    streams.iter().for_each(|stream| stream.set_nodelay(true).unwrap());
    child::say("linked");
    child::wait();
    let mut times = Vec::new();
    for number in 0..MESSAGES {
        let line = format!("MSG|{}\n", text(number));
        times.push(now());
        let mut message = line.into_bytes();
        if matches!(bare, Bare::Signed) {
            message = [&key.sign(&message).to_bytes(), message.as_slice()].concat();
        }
        streams.iter_mut().for_each(|stream| stream.write_all(&message).unwrap());
        thread::sleep(gap(millis, number));
    }
    report(&times);
    child::wait();
}

pub(crate) fn hear(kind: Kind, addrs: &[&str]) {
    on(kind, "Receiver", addrs, async move |node| {
        linked(&node).await;
        let mut times = Vec::new();
        while times.len() < MESSAGES {
            for event in node.events.recv().await.unwrap() {
                if matches!(event, Event::Message(_)) {
                    times.push(now());
                }
            }
        }
        report(&times);
        wait_for_bench().await;
    });
}

pub(crate) fn call(millis: &str, kind: Kind, addrs: &[&str]) {
    on(kind, "Speaker", addrs, async move |node| {
        linked(&node).await;
        wait_for_bench().await;
        let mut times = Vec::new();
        for number in 0..MESSAGES {
            let texts = vec![ChatText::new(text(number)).unwrap()];
            times.push(now());
            node.handle.say(texts, Origin::TERMINAL).await.unwrap();
            while node.events.try_recv().is_ok() {}
            smol::Timer::after(gap(millis, number)).await;
        }
        report(&times);
        wait_for_bench().await;
    });
}

/// Nanoseconds on the clock that the processes share.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn report(times: &[u64]) {
    let times: Vec<_> = times.iter().map(u64::to_string).collect();
    child::say(&times.join(" "));
}
