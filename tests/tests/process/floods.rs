//! Too much of everything: connections, silence, messages, addresses. Two who talk notice nothing.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch};
use tests::raw::{RawPeer, join_line};
use tests::talk::while_others_talk;
use tests::version1::random_uuid;

#[test]
fn five_hundred_connections_that_say_nothing_keep_nobody_out() {
    while_others_talk(|alice| {
        let base = alice.descriptors();
        let silent: Vec<_> = (0..500).map(|_| RawPeer::connect(alice.addr())).collect();
        let (visitor, _) = RawPeer::join(alice.addr(), "Visitor");
        visitor.send("MSG|let me in\n");
        alice.expect_out("Visitor: let me in", SOON);
        // The first byte is due within 15 seconds.
        silent.iter().for_each(|peer| peer.expect_end(5 * Duration::from_secs(15)));
        alice.expect_peers(&["Bob", "Visitor"], SOON);
        drop(visitor);
        eventually("the descriptors are free again", SOON, || alice.descriptors() <= base);
    });
}

/// Connects from this address of the machine.
async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

#[test]
fn connections_without_end_from_one_address_keep_out_nobody_from_another() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let (addr, opened, done) = (alice.addr(), AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let flood = async {
                let mut open = VecDeque::new();
                while !done.load(Ordering::Relaxed) {
                    if let Ok(stream) = connect_from(Ipv4Addr::new(127, 0, 0, 2), addr).await {
                        open.push_back(stream);
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                    if open.len() > 400 {
                        open.pop_front();
                    }
                }
            };
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(flood);
            });
            let comes = |count: usize| {
                let from = opened.load(Ordering::Relaxed);
                eventually("the flood goes on", 6 * SOON, || opened.load(Ordering::Relaxed) >= from + count);
            };
            comes(300);
            let slow = RawPeer::connect(addr);
            // As many as Alice has room for come before it speaks, several times over.
            comes(600);
            let sent = slow.try_send(join_line(&random_uuid(), "Slow"));
            eventually("who speaks late gets in", SOON, || sent.is_ok() && alice.peer_names() == ["Slow"]);
            let bob = Launch::new(driver, "Bob").peer(addr).start();
            bob.expect_peers(&["Alice", "Slow"][..1], SOON);
            alice.expect_peers(&["Bob", "Slow"], SOON);
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn many_that_come_and_go_leave_nothing_behind() {
    while_others_talk(|alice| {
        let base = alice.descriptors();
        for n in 0..1_000 {
            let mut stream = TcpStream::connect(alice.addr()).unwrap();
            let said = match n % 3 {
                0 => String::new(),
                1 => join_line(&random_uuid(), "Passer-by"),
                _ => "JOIN|{\"uname\":".to_owned(),
            };
            // The node may have closed already to make room.
            let _ = io::Write::write_all(&mut stream, said.as_bytes());
        }
        alice.expect_peers(&["Bob"], SOON);
        eventually("the descriptors are free again", 2 * SOON, || alice.descriptors() <= base);
    });
}

#[test]
fn a_node_without_descriptors_left_works_on() {
    while_others_talk(|alice| {
        let base = alice.descriptors();
        alice.limit_descriptors(base + 8);
        let waiting: Vec<_> = (0..50).map(|_| RawPeer::connect(alice.addr())).collect();
        eventually("every descriptor is in use", SOON, || alice.descriptors() >= base + 6);
        let cpu = alice.cpu();
        std::thread::sleep(Duration::from_secs(2));
        let spent = alice.cpu() - cpu;
        assert!(spent < Duration::from_secs(1), "{spent:?} of 2 s while there is nothing to do");
        drop(waiting);
        eventually("a newcomer is let in", SOON, || {
            let visitor = RawPeer::connect(alice.addr());
            visitor.try_send(join_line(&random_uuid(), "Visitor")).is_ok()
                && visitor.lines().until(Duration::from_secs(1), |lines| lines.get(1).map(drop)).is_some()
        });
    });
}

#[test]
fn a_peer_that_never_reads_is_cut_and_holds_up_nobody_for_long() {
    Driver::each(|driver| {
        const LINES: usize = 40_000;
        let mut alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        let deaf = RawPeer::deaf(alice.addr());
        deaf.send(join_line(&random_uuid(), "Deaf"));
        alice.expect_peers(&["Bob", "Deaf"], SOON);
        let before = alice.peak_memory();
        let filler = "x".repeat(1_000);
        let text: String = (0..LINES).map(|n| format!("{n} {filler}\n")).collect();
        alice.type_bytes(text.as_bytes());
        bob.out().expect("everything", 6 * SOON, |all| (all.len() >= LINES).then_some(()));
        let ours = bob.out().look(|all| {
            let numbers = all.iter().map(|line| line.split(' ').nth(1).and_then(|n| n.parse().ok()));
            numbers.eq((0..LINES).map(Some))
        });
        assert!(ours, "Bob missed something");
        alice.expect_peers(&["Bob"], 5 * SOON);
        let grown = alice.peak_memory() - before;
        assert!(grown < 64 * 1024, "{grown} KiB");
    });
}

#[test]
fn hostile_addresses_bring_about_no_more_dials_than_the_limits_allow() {
    while_others_talk(|alice| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let dials = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&dials);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
        });
        let start = Instant::now();
        let peers: Vec<_> = (0..4).map(|n| RawPeer::join(alice.addr(), &format!("Mallory {n}")).0).collect();
        for (n, peer) in (0..).zip(&peers) {
            for chunk in 0..16 {
                let addrs = (0..64).map(|low| format!("127.{}.{chunk}.{}:{port}", n + 1, low + 1));
                peer.send(peers_line(addrs));
            }
            peer.send(peers_line(NOWHERE.map(str::to_owned)));
        }
        eventually("the first dials", SOON, || dials.load(Ordering::Relaxed) >= 8);
        std::thread::sleep(Duration::from_secs(4));
        let (made, allowed) =
            (dials.load(Ordering::Relaxed), 8 + 2 * (start.elapsed().as_secs() as usize + 1));
        assert!(made <= allowed, "{made} dials where {allowed} are allowed");
        assert!(made >= 12, "{made} dials: honest peers would not be found");
    });
}

/// What nobody may make a node dial, and what cannot be dialed.
const NOWHERE: [&str; 10] = [
    "0.0.0.0:8080",
    "255.255.255.255:8080",
    "224.0.0.1:8080",
    "127.0.0.1:22",
    "127.0.0.1:0",
    "10.0.0.1:8080",
    "localhost:8080",
    "example.org:8080",
    "[::]:8080",
    "127.0.0.1:99999",
];

fn peers_line(addrs: impl IntoIterator<Item = String>) -> String {
    let entries = addrs.into_iter().map(|addr| {
        json!({"listen_addr": addr, "node_id": random_uuid(), "uname": "nobody", "remote_addr": addr})
            .to_string()
    });
    format!("PEERS|{}\n", entries.collect::<Vec<_>>().join(";"))
}

#[test]
fn three_hundred_half_sent_requests_hold_up_nobody() {
    while_others_talk(|alice| {
        let half: Vec<_> = (0..300)
            .map(|n| {
                let mut stream = TcpStream::connect(alice.api()).unwrap();
                let sent = if n % 2 == 0 { "GET /peers HTTP/1.1\r\nHost: " } else { "" };
                // The node may have closed already to make room.
                let _ = io::Write::write_all(&mut stream, sent.as_bytes());
                stream
            })
            .collect();
        alice.expect_peers(&["Bob"], SOON);
        drop(half);
    });
}
