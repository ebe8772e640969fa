//! Ten thousand bad frames a second from fifty addresses of another machine: those who talk notice nothing.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto_core::wire::Frame;
use proto_core::{ChatText, Draft, Entry};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tests::cable::{Cable, ENDS};
use tests::fuzz::peers::line;
use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};
use tests::raw::join_line;
use tests::sim::hostile::{Keys, position};
use tests::version1::random_uuid;

/// Addresses from which bad frames come.
const LINKS: u8 = 50;
/// Frames that each of them offers in a second.
const RATE: u32 = 200;
/// For how long they do.
const TIME: Duration = Duration::from_secs(5);
/// How much more memory the victim may take meanwhile, in KiB: what its log of entries may hold, and as much again for
/// queues and buffers.
const MEMORY: u64 = 64 * 1024;

/// What a bad peer sends again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// Frames that cannot be read.
    Junk,
    /// Entries whose signature does not hold.
    Forged,
    /// One good entry.
    Replayed,
    /// A line that does not end.
    Oversized,
}

impl Bad {
    const ALL: [Self; 4] = [Self::Junk, Self::Forged, Self::Replayed, Self::Oversized];

    fn frame(self, number: u32) -> Vec<u8> {
        let name = "Mallory".parse().expect("a name");
        let signed = || -> Entry {
            let texts = [ChatText::new("again and again").expect("a text")];
            let keys = Keys::new([9; 32]);
            keys.sign_entry(&Draft::new(1, position(0), 1, &name, &texts, [7; 16]))
        };
        match self {
            Self::Junk => format!("PEERS|{{{number}]\n").into_bytes(),
            Self::Forged => {
                let mut frame = line(&Frame::Chat(signed().sealed()));
                // Within the signature.
                let at = "CHAT|".len() + usize::try_from(number % 40).expect("a few");
                frame[at] = if frame[at] == b'A' { b'B' } else { b'A' };
                frame
            }
            Self::Replayed => line(&Frame::Chat(signed().sealed())),
            Self::Oversized => vec![b'x'; 70_000],
        }
    }
}

/// Connects from this address, and joins: with a key if entries are to be taken from it, which then is proven.
fn join(bad: Bad, from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), SOON)?;
    let mut stream = TcpStream::from(socket);
    if matches!(bad, Bad::Junk | Bad::Oversized) {
        stream.write_all(join_line(&random_uuid(), "Mallory").as_bytes())?;
    } else {
        prove(&mut stream)?;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Joins with a new key. An error: the node takes nobody in.
fn prove(stream: &mut TcpStream) -> std::io::Result<()> {
    let [nonce, more] = [(); 2].map(|()| random_uuid().replace('-', ""));
    let keys = Keys::new(format!("{nonce}{more}").as_bytes()[..32].try_into().expect("32 bytes"));
    let join = json!({
        "node_id": keys.node_id(), "uname": "Mallory", "v": 2, "nonce": nonce, "links": 0, "key": keys.key(),
    });
    stream.write_all(format!("JOIN|{join}\n").as_bytes())?;
    stream.set_read_timeout(Some(SOON))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(theirs) = line.strip_prefix("JOIN|") {
            let theirs: Value = serde_json::from_str(theirs)?;
            let text = |key: &str| theirs[key].as_str().expect("a node with a key");
            stream.write_all(
                format!("PROOF|{}\n", keys.proof(&nonce, text("nonce"), text("key"))).as_bytes(),
            )?;
        } else if line.starts_with("PROOF|") {
            return Ok(());
        }
    }
    Err(ErrorKind::ConnectionRefused.into())
}

/// Sends bad frames until it is told to stop, and joins again whenever it is cut. Returns how often it was.
fn misbehave(bad: Bad, from: Ipv4Addr, to: SocketAddr, offered: &AtomicUsize, stop: &AtomicBool) -> usize {
    let (mut cut, mut link, began) = (0, None, Instant::now());
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if link.is_none() {
            link = join(bad, from, to).ok();
        }
        offered.fetch_add(1, Ordering::Relaxed);
        if let Some(mut stream) = link.take() {
            // What the node does not take now is lost.
            let sent = stream.write(&bad.frame(number));
            let heard = stream.read(&mut [0; 64 * 1024]);
            let goes_on = |result: std::io::Result<usize>, ends_at_0: bool| match result {
                Ok(count) => count > 0 || !ends_at_0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if goes_on(sent, false) && goes_on(heard, true) {
                link = Some(stream);
            } else {
                cut += 1;
            }
        }
        // The offered rate is what the test is about: no event says when the next frame is due.
        let due = began + Duration::from_secs(1) * (number + 1) / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    cut
}

/// All peers misbehave, each from an address of its own. Returns how often each was cut.
fn flood(
    addrs: &[Ipv4Addr],
    victim: SocketAddr,
    offered: &AtomicUsize,
    stop: &AtomicBool,
) -> Vec<(Bad, usize)> {
    std::thread::scope(|scope| {
        let peers = addrs.iter().zip(Bad::ALL.into_iter().cycle());
        let peers: Vec<_> = peers
            .map(|(from, bad)| (bad, scope.spawn(move || misbehave(bad, *from, victim, offered, stop))))
            .collect();
        peers.into_iter().map(|(bad, peer)| (bad, peer.join().expect("a number"))).collect()
    })
}

/// Each says a line, and the other hears it. That is less often than an author may speak.
fn talk(alice: &mut Process, bob: &mut Process, turn: usize) {
    let next = Instant::now() + Duration::from_millis(250);
    let line = format!("turn {turn}");
    alice.say(&line);
    bob.say(&line);
    bob.expect_out(&format!("Alice: {line}"), SOON);
    alice.expect_out(&format!("Bob: {line}"), SOON);
    std::thread::sleep(next.saturating_duration_since(Instant::now()));
}

#[test]
fn ten_thousand_bad_frames_a_second_harm_nobody_who_talks() {
    for driver in Driver::ALL {
        let Some(cable) = Cable::lay() else { return };
        let addrs = cable.add_addresses(LINKS);
        cable.at(0, || {
            let bind = ENDS[0].to_string();
            let launch = |uname| Launch::new(driver, uname).args(["--bind", &bind, "--plaintext", "allow"]);
            let alice = launch("Alice");
            let victim = SocketAddr::from((ENDS[0], alice.addr().port()));
            let mut alice = alice.start();
            let mut bob = launch("Bob").peer(victim).start();
            alice.expect_peers(&["Bob"], SOON);
            let before = alice.peak_memory();
            let (offered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
            let cuts = std::thread::scope(|scope| {
                let flood = || cable.at(1, || flood(&addrs, victim, &offered, &stop));
                let flood = scope.spawn(flood);
                let frames = usize::from(LINKS) * RATE as usize * TIME.as_secs() as usize;
                let mut turn = 0;
                while offered.load(Ordering::Relaxed) < frames {
                    talk(&mut alice, &mut bob, turn);
                    turn += 1;
                }
                stop.store(true, Ordering::Relaxed);
                flood.join().expect("what was cut")
            });
            for bad in Bad::ALL {
                let cuts: Vec<_> = cuts.iter().filter(|(of, _)| *of == bad).map(|(_, cut)| *cut).collect();
                // Whoever says the same again is only slowed down.
                assert!(bad == Bad::Replayed || cuts.iter().sum::<usize>() > 0, "{bad:?}: {cuts:?}");
            }
            let grown = alice.peak_memory() - before;
            assert!(grown < MEMORY, "{grown} KiB");
        });
    }
}
