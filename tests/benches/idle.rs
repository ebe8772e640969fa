//! What an idle link costs a node in memory: everything that its process holds more after a thousand peers came, in clear
//! or sealed. The latter have a key, as there are no others, so they are neighbours, too. And what a handshake costs that its
//! dialer does not complete.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use driver_common::{Event, Started, new_identity};
use driver_smol::{Config, Identity, Smol};
use proto_core::Plaintext;
use proto_core::seal::{Sealer, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::process::Driver;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [role, driver, links, peers] = &args[..]
        && role == "node"
    {
        return node(driver, links != CLEAR, peers.parse().unwrap());
    }
    let peers = if args.iter().any(|arg| arg == "--bench") { 1000 } else { 50 };
    allow_descriptors(peers);
    println!("                     bytes an idle link, of {peers}");
    for (links, link) in [(CLEAR, link as Dial), (SEALED, sealed_link), (HALF_OPEN, half_open_link)] {
        for driver in Driver::ALL {
            let name = format!("{driver:?}, {links}");
            println!("{name:<20} {:>8}", measure(driver, peers, links, link));
        }
    }
}

const CLEAR: &str = "clear";
const SEALED: &str = "sealed";
const HALF_OPEN: &str = "half open";

/// How a peer with this number links.
type Dial = fn(SocketAddr, usize) -> Peer;

/// What keeps a link.
type Peer = (TcpStream, Option<Session>);

fn measure(driver: Driver, peers: usize, links: &str, link: Dial) -> usize {
    let mut node = Node(
        Command::new(env::current_exe().unwrap())
            .args(["node", driver.name(), links, &peers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(node.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let addr: SocketAddr = said.next().unwrap().parse().unwrap();
    // What the first peer brings about is not another link's cost.
    let first = if links == CLEAR { link } else { sealed_link };
    let mut kept = vec![first(addr, 0)];
    assert_eq!(said.next().unwrap(), "one");
    let before = memory(node.0.id());
    // Not all at once: the memory that a rush takes for a moment is not a link's.
    let numbers: Vec<_> = (1..=peers).collect();
    for numbers in numbers.chunks(25) {
        let mut newcomers: Vec<_> = numbers.iter().map(|number| link(addr, *number)).collect();
        if links != HALF_OPEN {
            newcomers.iter_mut().for_each(greeted);
        }
        kept.extend(newcomers);
    }
    if links != HALF_OPEN {
        assert_eq!(said.next().unwrap(), "all");
    }
    (memory(node.0.id()) - before) / peers
}

/// A version 1 peer. What it is sent later waits in the kernel, which has room for it.
fn link(addr: SocketAddr, number: usize) -> Peer {
    let mut stream = TcpStream::connect(addr).unwrap();
    writeln!(stream, "JOIN|{{\"uname\":\"Peer {number}\"}}").unwrap();
    (stream, None)
}

/// A peer that seals.
fn sealed_link(addr: SocketAddr, number: usize) -> Peer {
    let identity = identity(number);
    let mut stream = TcpStream::connect(addr).unwrap();
    let mut session = Sealer::new(&identity).dial(None).unwrap();
    while session.peer().is_none() {
        write(&mut stream, &mut session);
        receive(&mut stream, &mut session);
    }
    write(&mut stream, &mut session);
    let join = format!(
        "JOIN|{{\"node_id\":\"{}\",\"uname\":\"Peer {number}\",\"v\":2,\"nonce\":\"{number:032x}\",\"links\":9,\"key\":\"{}\"}}\n",
        identity.node_id(),
        identity.key(),
    );
    assert_eq!(session.seal(join.as_bytes()), join.len());
    write(&mut stream, &mut session);
    (stream, Some(session))
}

/// A peer that opens a handshake, and says nothing when the node has said its part.
fn half_open_link(addr: SocketAddr, number: usize) -> Peer {
    let mut stream = TcpStream::connect(addr).unwrap();
    let mut session = Sealer::new(&identity(number)).dial(None).unwrap();
    write(&mut stream, &mut session);
    stream.peek(&mut [0]).unwrap();
    (stream, Some(session))
}

fn identity(number: usize) -> Identity {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Identity::from_secret(&secret)
}

fn write(stream: &mut TcpStream, session: &mut Session) {
    while session.has_output() {
        session.write_to(stream).unwrap();
    }
}

/// What comes, and is there to be read.
fn receive(stream: &mut TcpStream, session: &mut Session) -> Vec<u8> {
    let (mut bytes, mut plain) = ([0; 16 * 1024], Vec::new());
    let count = stream.read(&mut bytes).unwrap();
    assert!(count > 0, "the node ends the connection");
    session.receive(&bytes[..count], &mut plain).unwrap();
    plain
}

/// Waits until the node has said everything that it says to a newcomer.
fn greeted((stream, session): &mut Peer) {
    let Some(session) = session else {
        let mut lines = BufReader::new(&*stream).lines();
        return assert!(lines.any(|line| line.unwrap().starts_with("PEERS|")));
    };
    let mut heard = Vec::new();
    while memchr::memmem::find(&heard, b"PEERS|").is_none() {
        heard.extend(receive(stream, session));
    }
}

/// The memory that a process has of its own.
fn memory(pid: u32) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let own = rollup.lines().filter(|line| line.starts_with("Private_"));
    own.map(|line| line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024).sum()
}

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn node(driver: &str, sealed: bool, peers: usize) {
    allow_descriptors(peers);
    let config = Config::builder("Node".parse().unwrap())
        .plaintext(if sealed { Plaintext::Off } else { Plaintext::Loopback })
        .limits(|limits| {
            (limits.conns.slots, limits.conns.pending) = (4 * peers, 2 * peers);
            limits.mesh.degree_high = 2 * peers;
            limits.conns.buffers *= 10;
        })
        .build()
        .unwrap();
    let (bind, identity) = ("127.0.0.1:0".parse().unwrap(), new_identity().unwrap());
    if driver == Driver::Tokio.name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            count(driver_tokio::start(bind, identity, config, vec![]).unwrap(), peers).await;
        });
    } else {
        let executor = Arc::new(smol::Executor::new());
        smol::block_on(executor.run(async {
            let smol = Smol::on(Arc::clone(&executor));
            count(driver_smol::start(&smol, bind, identity, config, vec![]).unwrap(), peers).await;
        }));
    }
}

async fn count(node: Started, peers: usize) {
    println!("{}", node.local_addr);
    let mut here = 0;
    while here <= peers {
        let events = node.events.recv().await.unwrap();
        let first = here == 0;
        here += events.iter().filter(|event| matches!(event, Event::Joined(_))).count();
        if first && here > 0 {
            println!("one");
        }
    }
    println!("all");
    // The bench ends it.
    smol::unblock(|| stdin().read_line(&mut String::new())).await.unwrap();
}

fn allow_descriptors(peers: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = peers as u64 + 100;
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    }
}
