//! Bad frames or handshakes without end from fifty addresses of another machine, at a node that talks with another one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proto_core::seal::Sealer;
use proto_core::wire::Frame;
use proto_core::{ChatText, Draft, Entry, Identity};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::cable::{Cable, ENDS};
use crate::fuzz::peers::line;
use crate::journal::SOON;
use crate::process::{Driver, Launch, Process};
use crate::raw::join_line;
use crate::sim::hostile::{Keys, position};
use crate::version1::random_uuid;

/// Addresses from which bad frames come.
pub const LINKS: u8 = 50;
/// Frames or handshakes that each of them offers in a second.
pub const RATE: u32 = 200;

/// What a flood did.
#[derive(Clone, Debug)]
pub struct Flood {
    /// The frames or handshakes that were offered.
    pub offered: usize,
    /// The handshakes that the victim began.
    pub handshakes: u64,
    /// How long it took.
    pub time: Duration,
    /// How often each bad peer was cut, or its handshakes answered.
    pub cuts: Vec<(Bad, usize)>,
    /// The CPU time of the victim meanwhile.
    pub cpu: Duration,
    /// By how much the victim's memory grew at most, in KiB.
    pub grown: u64,
    /// From when a line was said to when it was heard, of the two who talk, in order.
    pub delays: Vec<Duration>,
}

/// Floods a node with this for so long, while it talks with another one. With nothing, the two talk in peace. `None` if this
/// process cannot make network namespaces.
///
/// # Panics
/// When a line of those who talk is lost or late, or a newcomer does not get in.
#[track_caller]
pub fn flood(driver: Driver, with: &[Bad], time: Duration) -> Option<Flood> {
    let cable = Cable::lay()?;
    let links = if with.is_empty() { 0 } else { LINKS };
    let addrs = cable.add_addresses(links);
    Some(cable.at(0, || {
        let bind = ENDS[0].to_string();
        let launch = |uname| Launch::new(driver, uname).args(["--bind", &bind, "--plaintext", "allow"]);
        let alice = launch("Alice");
        let victim = SocketAddr::from((ENDS[0], alice.addr().port()));
        let mut alice = alice.start();
        let mut bob = launch("Bob").peer(victim).start();
        alice.expect_peers(&["Bob"], SOON);
        let (memory, cpu, started) = (alice.peak_memory(), alice.cpu(), Instant::now());
        let handshakes = alice.counted("handshakes");
        let (progress, mut delays) = (Progress::default(), Vec::new());
        let cuts = thread::scope(|scope| {
            let all = scope.spawn(|| cable.at(1, || misbehave_all(with, &addrs, victim, &progress)));
            let wanted = f64::from(links) * f64::from(RATE) * time.as_secs_f64();
            // Whoever waits for an answer to its handshake offers fewer.
            let wanted = if with == Bad::HANDSHAKES { 0 } else { wanted as usize };
            let is_over = |elapsed| {
                // On a busy machine, it takes longer until the node has read enough of each.
                elapsed >= time
                    && progress.offered.load(Ordering::Relaxed) >= wanted
                    && (elapsed >= 5 * time || progress.all_were_cut(with))
            };
            while !is_over(started.elapsed()) {
                delays.push(talk(&mut alice, &mut bob, delays.len()));
            }
            let carol = launch("Carol").peer(victim).start();
            carol.expect_err(&["Alice", "joined"], SOON);
            progress.stop.store(true, Ordering::Relaxed);
            all.join().expect("what was cut")
        });
        let (time, cpu) = (started.elapsed(), alice.cpu().saturating_sub(cpu));
        let (offered, grown) = (progress.offered.into_inner(), alice.peak_memory() - memory);
        let handshakes = alice.counted("handshakes") - handshakes;
        delays.sort_unstable();
        Flood { offered, handshakes, time, cuts, cpu, grown, delays }
    }))
}

/// How far a flood is.
#[derive(Debug, Default)]
struct Progress {
    offered: AtomicUsize,
    /// Of what a peer was cut for at least once.
    cut: Mutex<Vec<Bad>>,
    stop: AtomicBool,
}

impl Progress {
    fn cut(&self, bad: Bad) {
        let mut cut = self.cut.lock().expect("no peer panics");
        if !cut.contains(&bad) {
            cut.push(bad);
        }
    }

    /// Whether each of these was cut that is not only slowed down, or waited for.
    fn all_were_cut(&self, with: &[Bad]) -> bool {
        let cut = self.cut.lock().expect("no peer panics");
        with.iter().all(|bad| matches!(bad, Bad::Replayed | Bad::HalfOpen) || cut.contains(bad))
    }
}

/// All peers misbehave, each from an address of its own. Returns how often each was cut.
fn misbehave_all(
    with: &[Bad],
    addrs: &[Ipv4Addr],
    victim: SocketAddr,
    progress: &Progress,
) -> Vec<(Bad, usize)> {
    thread::scope(|scope| {
        let peers = addrs.iter().zip(with.iter().copied().cycle());
        let peers: Vec<_> = peers
            .map(|(from, bad)| {
                let misbehave = if bad == Bad::HalfOpen { shake_hands } else { misbehave };
                (bad, scope.spawn(move || misbehave(bad, *from, victim, progress)))
            })
            .collect();
        peers.into_iter().map(|(bad, peer)| (bad, peer.join().expect("a number"))).collect()
    })
}

/// Each says a line, and the other hears it. That is less often than an author may speak. Returns how long it took.
fn talk(alice: &mut Process, bob: &mut Process, turn: usize) -> Duration {
    let started = Instant::now();
    let line = format!("turn {turn}");
    alice.say(&line);
    bob.expect_out(&format!("Alice: {line}"), SOON);
    bob.say(&line);
    alice.expect_out(&format!("Bob: {line}"), SOON);
    let took = started.elapsed();
    thread::sleep(Duration::from_millis(250).saturating_sub(took));
    took / 2
}

/// What a bad peer sends again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Frames that cannot be read.
    Junk,
    /// Entries whose signature does not hold.
    Forged,
    /// One good entry.
    Replayed,
    /// A line that does not end.
    Oversized,
    /// The beginning of a handshake, which is left once it is answered.
    HalfOpen,
}

impl Bad {
    /// Those that send frames.
    pub const FRAMES: [Self; 4] = [Self::Junk, Self::Forged, Self::Replayed, Self::Oversized];
    /// Those that make the victim compute.
    pub const HANDSHAKES: [Self; 1] = [Self::HalfOpen];

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
            Self::HalfOpen => {
                let mut session =
                    Sealer::new(&Identity::from_secret(&[9; 32])).dial(None).expect("a session");
                let mut hello = Vec::new();
                while session.has_output() {
                    session.write_to(&mut hello).expect("a vector takes all");
                }
                hello
            }
        }
    }
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), SOON)?;
    Ok(TcpStream::from(socket))
}

/// Connects from this address, and joins: with a key if entries are to be taken from it, which then is proven.
fn join(bad: Bad, from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(from, to)?;
    if matches!(bad, Bad::Junk | Bad::Oversized) {
        stream.write_all(join_line(&random_uuid(), "Mallory").as_bytes())?;
    } else {
        prove(&mut stream)?;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Joins with a new key. An error: the node takes nobody in.
fn prove(stream: &mut TcpStream) -> io::Result<()> {
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
fn misbehave(bad: Bad, from: Ipv4Addr, to: SocketAddr, progress: &Progress) -> usize {
    let (mut cut, mut link, began) = (0, None, Instant::now());
    for number in 0.. {
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
        if bad == Bad::Replayed && number % 100 == 99 {
            // It makes room for others that want to be linked.
            link = None;
        }
        if link.is_none() {
            link = join(bad, from, to).ok();
        }
        progress.offered.fetch_add(1, Ordering::Relaxed);
        if let Some(mut stream) = link.take() {
            // What the node does not take now is lost.
            let sent = stream.write(&bad.frame(number));
            let heard = stream.read(&mut [0; 64 * 1024]);
            let goes_on = |result: io::Result<usize>, ends_at_0: bool| match result {
                Ok(count) => count > 0 || !ends_at_0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if goes_on(sent, false) && goes_on(heard, true) {
                link = Some(stream);
            } else {
                cut += 1;
                progress.cut(bad);
            }
        }
        // The offered rate is what the test is about: no event says when the next frame is due.
        let due = began + Duration::from_secs(1) * (number + 1) / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    cut
}

/// Begins handshakes until it is told to stop, always with the same bytes, which cost it nothing. It leaves each when it is
/// answered, or when that takes long. Returns how many were.
fn shake_hands(bad: Bad, from: Ipv4Addr, to: SocketAddr, progress: &Progress) -> usize {
    let (mut answered, hello, began) = (0, bad.frame(0), Instant::now());
    for number in 0.. {
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
        progress.offered.fetch_add(1, Ordering::Relaxed);
        let heard = connect(from, to).and_then(|mut stream| {
            stream.write_all(&hello)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.read(&mut [0; 4 * 1024])
        });
        answered += usize::from(heard.is_ok_and(|count| count > 0));
        // The offered rate is what the test is about: no event says when the next one is due.
        let due = began + Duration::from_secs(1) * (number + 1) / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    answered
}
