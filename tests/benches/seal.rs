//! What a sealed connection costs, beside the same sockets without a seal: connections and bytes, both ends in one thread.
//! What is counted is CPU time, so that other programs do not matter.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use proto_core::seal::{Sealer, Session};
use proto_core::{Identity, Limits};
use rustix::time::{ClockId, clock_gettime};
use tests::bench::table::Table;

/// Bytes of a write, as a node has them in one frame at most.
const WRITE: usize = 64 * 1024;

fn main() {
    let full = env::args().any(|arg| arg == "--bench");
    let (connections, writes) = if full { (5_000, 20_000) } else { (20, 50) };
    let mut table = Table::new(["both ends in one thread", "bare sockets", "sealed", "sealed to bare"]);
    let bare = opened(connections, |_| Duration::ZERO);
    let identities = [1, 2].map(|n| Identity::from_secret(&[n; 32]));
    let [dialer, listener] = identities.each_ref().map(Sealer::new);
    let sealed = opened(connections, |pair| handshake(pair, &dialer, &listener).1);
    let row = |name: &str, unit: fn(f64) -> String, bare: f64, sealed: f64| {
        [name.to_owned(), unit(bare), unit(sealed), format!("{:.3}", sealed / bare)]
    };
    let [each_bare, each_sealed] = [&bare, &sealed].map(|run| connections as f64 / run.all.as_secs_f64());
    table.row(row("connections a second of CPU", |number| format!("{number:.0}"), each_bare, each_sealed));
    for size in [200, 1_000, 16_000, WRITE] {
        let count = (writes * WRITE / size).min(20 * writes);
        let mut pair = Pair::new();
        let bare = throughput(count, size, |bytes, heard| {
            pair.near.write_all(bytes).unwrap();
            pair.far.read_exact(&mut heard[..bytes.len()]).unwrap();
        });
        let (mut sessions, _) = handshake(&mut pair, &dialer, &listener);
        let mut plain = Vec::new();
        let sealed = throughput(count, size, |bytes, heard| {
            plain.clear();
            let mut rest = bytes;
            while plain.len() < bytes.len() {
                rest = &rest[sessions[0].seal(rest)..];
                let came = carry(&mut pair.near, &mut pair.far, &mut sessions[0], heard);
                sessions[1].receive(&heard[..came], &mut plain).unwrap();
            }
        });
        let unit = |number: f64| format!("{:.2} GB/s", number / 1e9);
        table.row(row(&format!("writes of {size} bytes"), unit, bare, sealed));
    }
    table.print("A handshake is X25519MLKEM768 with two Ed25519 keys; records are AES-256-GCM");
    let each = sealed.listener / u32::try_from(connections).unwrap();
    let most = Limits::default().conns.handshakes_per_second;
    println!(
        "A handshake takes the listener {each:?} besides its socket: {most} a second are {:?}",
        each * most
    );
}

/// Two ends of a connection.
struct Pair {
    near: TcpStream,
    far: TcpStream,
}

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::to(&listener)
    }

    fn to(listener: &TcpListener) -> Self {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        [&near, &far].into_iter().for_each(|stream| stream.set_nodelay(true).unwrap());
        Self { near, far }
    }
}

/// The CPU time of both ends, and that of the listener's session.
struct Opened {
    all: Duration,
    listener: Duration,
}

/// Opens so many connections, says one byte on each, and does `then` on it.
fn opened(connections: usize, then: impl Fn(&mut Pair) -> Duration) -> Opened {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (started, mut listener) = (cpu(), Duration::ZERO);
    for _ in 0..connections {
        let mut pair = Pair::to(&server);
        pair.near.write_all(b"J").unwrap();
        pair.far.read_exact(&mut [0]).unwrap();
        listener += then(&mut pair);
    }
    Opened { all: cpu() - started, listener }
}

/// A handshake, and the CPU time of the listener's session.
fn handshake(pair: &mut Pair, dialer: &Sealer, listener: &Sealer) -> ([Session; 2], Duration) {
    let mut near = dialer.dial(None).unwrap();
    let started = cpu();
    let mut far = listener.accept().unwrap();
    let mut spent = cpu() - started;
    let (mut bytes, mut plain) = (vec![0; WRITE], Vec::new());
    while near.peer().is_none() || far.peer().is_none() {
        let came = carry(&mut pair.near, &mut pair.far, &mut near, &mut bytes);
        let started = cpu();
        far.receive(&bytes[..came], &mut plain).unwrap();
        spent += cpu() - started;
        let came = carry(&mut pair.far, &mut pair.near, &mut far, &mut bytes);
        near.receive(&bytes[..came], &mut plain).unwrap();
    }
    ([near, far], spent)
}

/// The CPU time that this process has had.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

/// Writes what a session has to say, and reads it at the other end. Returns how many bytes came.
fn carry(from: &mut TcpStream, to: &mut TcpStream, session: &mut Session, bytes: &mut [u8]) -> usize {
    let mut written = 0;
    while session.has_output() {
        written += session.write_to(from).unwrap();
    }
    to.read_exact(&mut bytes[..written]).unwrap();
    written
}

/// Bytes a second of CPU time, in writes of this size.
fn throughput(count: usize, size: usize, mut write: impl FnMut(&[u8], &mut [u8])) -> f64 {
    let (bytes, mut heard) = (vec![7; size], vec![0; 2 * WRITE]);
    let started = cpu();
    for _ in 0..count {
        write(&bytes, &mut heard);
    }
    (count * size) as f64 / (cpu() - started).as_secs_f64()
}
