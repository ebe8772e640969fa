//! What an idle link costs a node in memory: everything that its process holds more after a thousand peers came.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use driver_common::{Event, Started, new_identity};
use driver_smol::{Config, Smol};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::process::Driver;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [role, driver, peers] = &args[..]
        && role == "node"
    {
        return node(driver, peers.parse().unwrap());
    }
    let peers = if args.iter().any(|arg| arg == "--bench") { 1000 } else { 50 };
    allow_descriptors(peers);
    println!("                 bytes an idle link, of {peers}");
    for driver in Driver::ALL {
        println!("{driver:<16?} {:>8}", measure(driver, peers));
    }
}

fn measure(driver: Driver, peers: usize) -> usize {
    let mut node = Node(
        Command::new(env::current_exe().unwrap())
            .args(["node", driver.name(), &peers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(node.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let addr: SocketAddr = said.next().unwrap().parse().unwrap();
    // What the first peer brings about is not another link's cost.
    let mut links = vec![link(addr, 0)];
    assert_eq!(said.next().unwrap(), "one");
    let before = memory(node.0.id());
    // Not all at once: the memory that a rush takes for a moment is not a link's.
    let numbers: Vec<_> = (1..=peers).collect();
    for numbers in numbers.chunks(25) {
        let newcomers: Vec<_> = numbers.iter().map(|number| link(addr, *number)).collect();
        newcomers.iter().for_each(greeted);
        links.extend(newcomers);
    }
    assert_eq!(said.next().unwrap(), "all");
    (memory(node.0.id()) - before) / peers
}

/// A version 1 peer. What it is sent later waits in the kernel, which has room for it.
fn link(addr: SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    writeln!(stream, "JOIN|{{\"uname\":\"Peer {number}\"}}").unwrap();
    stream
}

/// Waits until the node has said everything that it says to a newcomer.
fn greeted(stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("PEERS|")));
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

fn node(driver: &str, peers: usize) {
    allow_descriptors(peers);
    let config = Config::builder("Node".parse().unwrap())
        .limits(|limits| (limits.conns.slots, limits.conns.pending) = (2 * peers, 2 * peers))
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
