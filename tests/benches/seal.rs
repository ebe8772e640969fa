//! What a sealed connection costs, beside the same sockets without a seal: connections and bytes, both ends on one core.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use proto_core::Identity;
use proto_core::seal::{Sealer, Session};
use tests::bench::table::Table;

/// Bytes of a write, as a node has them in one frame at most.
const WRITE: usize = 64 * 1024;

fn main() {
    let full = env::args().any(|arg| arg == "--bench");
    let (connections, writes) = if full { (5_000, 20_000) } else { (20, 50) };
    let mut table = Table::new(["both ends on one core", "bare sockets", "sealed", "sealed to bare"]);
    let bare = connections as f64 / opened(connections, |_| ()).as_secs_f64();
    let identities = [1, 2].map(|n| Identity::from_secret(&[n; 32]));
    let [dialer, listener] = identities.each_ref().map(Sealer::new);
    let shake = |pair: &mut Pair| drop(handshake(pair, &dialer, &listener));
    let sealed = connections as f64 / opened(connections, shake).as_secs_f64();
    let row = |name: &str, unit: fn(f64) -> String, bare: f64, sealed: f64| {
        [name.to_owned(), unit(bare), unit(sealed), format!("{:.3}", sealed / bare)]
    };
    table.row(row("connections a second", |number| format!("{number:.0}"), bare, sealed));
    for size in [200, 1_000, 16_000, WRITE] {
        let count = (writes * WRITE / size).min(20 * writes);
        let mut pair = Pair::new();
        let bare = throughput(count, size, |bytes, heard| {
            pair.near.write_all(bytes).unwrap();
            pair.far.read_exact(&mut heard[..bytes.len()]).unwrap();
        });
        let mut sessions = handshake(&mut pair, &dialer, &listener);
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

/// How long it takes to open so many connections, to say one byte on each, and to do `then` on it.
fn opened(connections: usize, then: impl Fn(&mut Pair)) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let started = Instant::now();
    for _ in 0..connections {
        let mut pair = Pair::to(&listener);
        pair.near.write_all(b"J").unwrap();
        pair.far.read_exact(&mut [0]).unwrap();
        then(&mut pair);
    }
    started.elapsed()
}

fn handshake(pair: &mut Pair, dialer: &Sealer, listener: &Sealer) -> [Session; 2] {
    let [mut near, mut far] = [dialer.dial(None).unwrap(), listener.accept().unwrap()];
    let (mut bytes, mut plain) = (vec![0; WRITE], Vec::new());
    while near.peer().is_none() || far.peer().is_none() {
        let came = carry(&mut pair.near, &mut pair.far, &mut near, &mut bytes);
        far.receive(&bytes[..came], &mut plain).unwrap();
        let came = carry(&mut pair.far, &mut pair.near, &mut far, &mut bytes);
        near.receive(&bytes[..came], &mut plain).unwrap();
    }
    [near, far]
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

/// Bytes a second, in writes of this size.
fn throughput(count: usize, size: usize, mut write: impl FnMut(&[u8], &mut [u8])) -> f64 {
    let (bytes, mut heard) = (vec![7; size], vec![0; 2 * WRITE]);
    let started = Instant::now();
    for _ in 0..count {
        write(&bytes, &mut heard);
    }
    (count * size) as f64 / started.elapsed().as_secs_f64()
}
