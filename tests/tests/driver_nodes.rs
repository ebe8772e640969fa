//! Nodes of both drivers in one process, on real sockets: what their libraries promise to who embeds them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use driver_common::{Event, Handle, Origin, SayError};
use driver_smol::Smol;
use proto_core::{ChatText, Config, LeaveReason, PeerAddr};
use tests::journal::{Journal, SOON, eventually};
use tests::process::Driver;

/// A running node, whose events are received all the time unless it is started otherwise.
struct Node {
    handle: Handle,
    events: Journal<Event>,
    addr: SocketAddr,
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Node {
    fn start(driver: Driver, uname: &str, peers: &[&Node]) -> Self {
        Self::at(driver, ANY, uname, peers.iter().map(|peer| peer.addr))
    }

    fn at(
        driver: Driver,
        bind: SocketAddr,
        uname: &str,
        peers: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let started = start(driver, bind, uname, peers);
        let events = Journal::default();
        let journal = events.clone();
        thread::spawn(move || {
            while let Ok(batch) = started.events.recv_blocking() {
                batch.into_iter().for_each(|event| journal.push(event));
            }
            journal.end();
        });
        Self { handle: started.handle, events, addr: started.local_addr }
    }

    fn knows(&self, uname: &str) {
        self.events.expect_one(&format!("{uname} to join"), SOON, |event| match event {
            Event::Joined(peer) => peer.uname.as_str() == uname,
            _ => false,
        });
    }

    fn say(&self, text: &str) -> Result<usize, SayError> {
        block_on(self.handle.say(ChatText::lines(text).unwrap(), Origin::TERMINAL))
    }

    /// What it heard from a peer, in order.
    fn heard(&self, from: &str) -> Vec<String> {
        self.events.look(|events| {
            let texts = events.iter().filter_map(|event| match event {
                Event::Message { peer, text } if peer.uname.as_str() == from => Some(text.clone()),
                _ => None,
            });
            texts.collect()
        })
    }

    fn hears(&self, from: &str, text: &str) {
        self.events.expect_one(&format!("{text:?} from {from}"), SOON, |event| match event {
            Event::Message { peer, text: heard } => peer.uname.as_str() == from && heard == text,
            _ => false,
        });
    }

    fn leaves(&self, uname: &str) -> LeaveReason {
        let left = self.events.expect_one(&format!("{uname} to leave"), SOON, |event| match event {
            Event::Left { peer, .. } => peer.uname.as_str() == uname,
            _ => false,
        });
        let Event::Left { reason, .. } = left else { unreachable!() };
        reason
    }

    fn shut_down(&self) {
        block_on(self.handle.shutdown());
    }
}

fn start(
    driver: Driver,
    bind: SocketAddr,
    uname: &str,
    peers: impl IntoIterator<Item = SocketAddr>,
) -> driver_common::Started {
    let config = Config::new(uname.parse().unwrap());
    let peers = peers.into_iter().map(PeerAddr::Ip).collect();
    match driver {
        Driver::Tokio => {
            let (started, receiver) = std::sync::mpsc::channel();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let node = driver_tokio::start(bind, config, peers).unwrap();
                    let events = node.events.clone();
                    started.send(node).unwrap();
                    // It ends with the node.
                    while !events.is_closed() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
            });
            receiver.recv().unwrap()
        }
        Driver::Smol => driver_smol::start(&Smol::global(), bind, config, peers).unwrap(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn three_nodes_find_each_other_and_hear_each_other_in_order() {
    for [alice, bob, carol] in
        [[Driver::Tokio, Driver::Smol, Driver::Tokio], [Driver::Smol, Driver::Tokio, Driver::Smol]]
    {
        let alice = Node::start(alice, "Alice", &[]);
        let bob = Node::start(bob, "Bob", &[&alice]);
        let carol = Node::start(carol, "Carol", &[&bob]);
        let nodes = [(&alice, "Alice"), (&bob, "Bob"), (&carol, "Carol")];
        let others = |name| nodes.into_iter().filter(move |(_, other)| *other != name);
        for (node, name) in nodes {
            others(name).for_each(|(_, other)| node.knows(other));
        }
        let spoken: Vec<_> = (0..10_000).map(|n| format!("message {n}")).collect();
        for (node, name) in nodes {
            for texts in spoken.chunks(1000) {
                assert_eq!(node.say(&texts.join("\n")), Ok(2));
            }
            for (other, _) in others(name) {
                other.hears(name, "message 9999");
                assert_eq!(other.heard(name), spoken, "{name}");
            }
        }
        for (node, name) in nodes {
            node.shut_down();
            for (other, _) in others(name) {
                if !other.events.ended(Duration::ZERO) {
                    other.leaves(name);
                }
            }
        }
    }
}
