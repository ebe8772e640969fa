//! Nodes of both drivers in one process, on real sockets: what their libraries promise to who embeds them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use driver_common::{Event, Handle, Origin, RequestError, SayError, StartError, Started, new_identity};
use driver_smol::Smol;
use proto_core::{ChatText, CommandError, Config, LeaveReason, Limits, PeerAddr};
use smol::future;
use tests::journal::{Journal, SOON};
use tests::process::Driver;
use tokio::runtime::Runtime;

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
                assert_eq!(node.say(&texts.join("\n")), Ok(texts.len()));
            }
            for (other, _) in others(name) {
                other.hears(name, "message 9999");
                assert_eq!(other.heard(name), spoken, "{name}");
            }
        }
        alice.shut_down();
        for node in [&bob, &carol] {
            assert_eq!(node.leaves("Alice"), LeaveReason::Bye);
        }
    }
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let too_many = Limits::default().mesh.targets + 1;
    let peers: Vec<_> = (0..too_many).map(|n| SocketAddr::from(([10, 0, 0, 1], n as u16 + 1))).collect();
    for driver in Driver::ALL {
        let failed = try_start(driver, ANY, named("Bob"), peers.iter().copied());
        assert!(matches!(failed, Err(StartError::Peers(CommandError::TooManyTargets))));
        let with_a_store = Config::builder("Bob".parse().unwrap()).store(true).build().unwrap();
        let failed = try_start(driver, ANY, with_a_store, []);
        assert!(matches!(failed, Err(StartError::Store)));
        let taken = TcpListener::bind(ANY).unwrap();
        let bind = taken.local_addr().unwrap();
        let failed = try_start(driver, bind, named("Bob"), []);
        assert!(matches!(failed, Err(StartError::Io(error)) if error.kind() == ErrorKind::AddrInUse));
    }
    let elsewhere = driver_tokio::start(ANY, new_identity().unwrap(), named("Bob"), Vec::new());
    assert!(matches!(elsewhere, Err(StartError::Runtime(_))));
}

#[test]
fn a_node_that_restarts_is_dialed_again() {
    for [alice, bob] in Driver::PAIRS {
        let first = Node::start(alice, "Alice", &[]);
        let bob = Node::start(bob, "Bob", &[&first]);
        bob.knows("Alice");
        first.shut_down();
        bob.leaves("Alice");
        // The port is free again at once, though its connections are not forgotten by the kernel.
        let again = Node::at(alice, first.addr, "Alice again", []);
        again.events.expect_one("Bob", Duration::from_secs(15), |event| is_here(event, "Bob"));
        bob.knows("Alice again");
    }
}

#[test]
fn a_shutdown_waits_for_nobody() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice", &[]);
        let mut deaf = TcpStream::connect(node.addr).unwrap();
        deaf.write_all(b"JOIN|{\"uname\":\"Deaf\"}\n").unwrap();
        node.knows("Deaf");
        let started = Instant::now();
        node.shut_down();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert!(node.events.ended(SOON));
        assert_eq!(node.say("to nobody"), Err(SayError::Stopped));
        assert_eq!(block_on(node.handle.peers()), Err(RequestError::Stopped));
        // It had its say before the end: what was left is read, then the end.
        let mut rest = String::new();
        deaf.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("JOIN|"), "{rest}");
    }
}

#[test]
fn a_node_that_ends_answers_who_waits_and_its_user_gets_the_rest() {
    for driver in Driver::ALL {
        let Started { handle, events, .. } = start(driver, ANY, "Alice", []);
        let texts = vec![ChatText::new("x".repeat(30_000)).unwrap()];
        // Nobody takes its events, so it takes no more to say in the end.
        let said = say_until_refused(&handle, |_| texts.clone());
        let mut waiting = pin!(handle.say(texts, Origin::TERMINAL));
        assert!(block_on(future::poll_once(waiting.as_mut())).is_none());
        block_on(handle.shutdown());
        let late = async {
            smol::Timer::after(SOON).await;
            None
        };
        let answer = block_on(future::or(async { Some(waiting.await) }, late));
        assert_eq!(answer, Some(Err(SayError::Stopped)));
        let batches = std::iter::from_fn(|| events.recv_blocking().ok());
        let taken = batches.flatten().filter(|event| matches!(event, Event::Said { .. })).count();
        assert_eq!(taken, said);
    }
}

#[test]
fn the_last_handle_takes_the_node_with_it() {
    for driver in Driver::ALL {
        let Node { handle, events, addr } = Node::start(driver, "Alice", &[]);
        let other = handle.clone();
        drop(handle);
        assert!(block_on(other.me()).is_ok());
        drop(other);
        assert!(events.ended(SOON));
        assert!(TcpStream::connect(addr).is_err());
    }
}

#[test]
fn a_user_who_listens_no_more_holds_nothing_up() {
    for [alice, bob] in Driver::PAIRS {
        let Started { handle, events, local_addr, .. } = start(alice, ANY, "Alice", []);
        drop(events);
        let bob = Node::at(bob, ANY, "Bob", [local_addr]);
        bob.knows("Alice");
        let texts: Vec<_> = (0..10_000).map(|n| format!("{n} {}", "x".repeat(500))).collect();
        for texts in texts.chunks(500) {
            assert_eq!(bob.say(&texts.join("\n")), Ok(texts.len()));
        }
        let text = ChatText::new("still here").unwrap();
        block_on(handle.say(vec![text], Origin::TERMINAL)).unwrap();
        bob.hears("Alice", "still here");
    }
}

#[test]
fn a_user_who_is_behind_slows_its_peers_down_and_loses_nothing() {
    for [alice, bob] in Driver::PAIRS {
        let behind = start(alice, ANY, "Alice", []);
        let bob = Node::at(bob, ANY, "Bob", [behind.local_addr]);
        bob.knows("Alice");
        let texts = |n: usize| vec![ChatText::new(format!("{n} {}", "x".repeat(4000))).unwrap(); 10];
        // Nobody takes Alice's events, so the network fills up back to Bob, until nothing moves any more.
        let said = say_until_refused(&bob.handle, texts);
        assert!(block_on(behind.handle.me()).is_ok());
        let listener = thread::spawn(move || {
            let mut heard = Vec::new();
            while heard.last().is_none_or(|text| text != "the end") {
                for event in behind.events.recv_blocking().unwrap() {
                    match event {
                        Event::Message(message) => {
                            let start = |text: &str| text.split(" x").next().unwrap().to_owned();
                            heard.extend(message.texts().map(start));
                        }
                        Event::Left { reason, .. } => panic!("{reason:?} after {}", heard.len()),
                        _ => {}
                    }
                }
            }
            heard
        });
        for n in said..said + 100 {
            block_on(bob.handle.say(texts(n), Origin::TERMINAL)).unwrap();
        }
        assert_eq!(bob.say("the end"), Ok(1));
        let heard = listener.join().unwrap();
        let expected: Vec<_> = (0..said + 100).flat_map(|n| vec![n.to_string(); 10]).collect();
        assert_eq!(heard[..heard.len() - 1], expected);
    }
}

#[test]
fn names_are_resolved_and_all_their_addresses_tried() {
    for [alice, bob] in Driver::PAIRS {
        let alice = Node::start(alice, "Alice", &[]);
        let bob = Node::start(bob, "Bob", &[]);
        // The name may stand for ::1 too, where nobody listens.
        let name = PeerAddr::Host { host: "localhost".to_owned(), port: alice.addr.port() };
        block_on(bob.handle.connect(name.into())).unwrap();
        bob.knows("Alice");
        let nowhere = PeerAddr::Host { host: "nowhere.invalid".to_owned(), port: 1 };
        block_on(bob.handle.connect(nowhere.clone().into())).unwrap();
        bob.events.expect_one("a notice", SOON, |event| match event {
            Event::Notice(proto_core::Notice::Unreachable { target, .. }) => *target == nowhere,
            _ => false,
        });
    }
}

#[test]
fn an_ipv6_node_is_dialed_and_knows_ipv4_peers_by_their_own_address() {
    for [alice, bob] in Driver::PAIRS {
        let any: SocketAddr = "[::]:0".parse().unwrap();
        if TcpListener::bind(any).is_err() {
            eprintln!("not run: this machine has no IPv6");
            return;
        }
        let alice = Node::at(alice, any, "Alice", []);
        let port = alice.addr.port();
        let bob4 = Node::at(bob, ANY, "Bob4", [(Ipv4Addr::LOCALHOST, port).into()]);
        let bob6 = Node::at(bob, ANY, "Bob6", [format!("[::1]:{port}").parse().unwrap()]);
        bob4.knows("Alice");
        bob6.knows("Alice");
        alice.knows("Bob4");
        let peers = block_on(alice.handle.peers()).unwrap();
        let bob = peers.iter().find(|peer| peer.uname.as_str() == "Bob4").unwrap();
        assert!(bob.remote_addr.is_ipv4(), "{bob:?}");
    }
}

#[test]
fn a_free_port_of_this_machine_is_never_dialed_into_itself() {
    // Most dials to a port of the ephemeral range are refused; now and then one gets that port as its own.
    let free = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    for driver in Driver::ALL {
        let node = Node::at(driver, ANY, "Alice", [free]);
        node.events.expect_one("a notice", SOON, |event| matches!(event, Event::Notice(_)));
        assert_eq!(block_on(node.handle.peers()).unwrap(), []);
    }
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice", &[]);
        let silent: Vec<_> = (0..300).map(|_| TcpStream::connect(node.addr).unwrap()).collect();
        let bob = Node::start(driver, "Bob", &[&node]);
        bob.knows("Alice");
        node.knows("Bob");
        drop(silent);
        bob.shut_down();
        node.leaves("Bob");
    }
}

#[test]
fn much_said_at_once_is_refused_whole() {
    let node = Node::start(Driver::Tokio, "Alice", &[]);
    let text = ChatText::new("x".repeat(60_000)).unwrap();
    let said = block_on(node.handle.say(vec![text.clone(); 20], Origin::TERMINAL));
    assert_eq!(said, Err(SayError::TooMuch));
    block_on(node.handle.say(vec![text; 2], Origin::TERMINAL)).unwrap();
    node.events.expect_one("what was said", SOON, |event| matches!(event, Event::Said { .. }));
    node.events.expect_one("that nobody hears it", SOON, |event| matches!(event, Event::Notice(_)));
    assert_eq!(node.events.len(), 2, "no part of what was refused is said");
}

/// A running node, whose events are received all the time.
struct Node {
    handle: Handle,
    events: Journal<Event>,
    addr: SocketAddr,
}

/// Says something again and again, until it is refused for good. Returns how often it was said.
fn say_until_refused(handle: &Handle, texts: impl Fn(usize) -> Vec<ChatText>) -> usize {
    let (mut said, mut refused) = (0, 0);
    // More often than a node answers in one turn, after which there may be room.
    while refused < 1000 {
        match block_on(handle.try_say(texts(said), Origin::TERMINAL)) {
            Ok(_) => (said, refused) = (said + 1, 0),
            Err(error) => {
                assert_eq!(error, SayError::Busy);
                refused += 1;
            }
        }
    }
    said
}

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where the nodes on Tokio run. Those on smol have smol's own threads.
static TOKIO: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn start(
    driver: Driver,
    bind: SocketAddr,
    uname: &str,
    peers: impl IntoIterator<Item = SocketAddr>,
) -> Started {
    try_start(driver, bind, named(uname), peers).unwrap()
}

fn named(uname: &str) -> Config {
    Config::new(uname.parse().unwrap())
}

fn try_start(
    driver: Driver,
    bind: SocketAddr,
    config: Config,
    peers: impl IntoIterator<Item = SocketAddr>,
) -> Result<Started, StartError> {
    let peers = peers.into_iter().map(|addr| PeerAddr::Ip(addr).into()).collect();
    match driver {
        Driver::Tokio => {
            let _entered = TOKIO.enter();
            driver_tokio::start(bind, new_identity().unwrap(), config, peers)
        }
        Driver::Smol => driver_smol::start(&Smol::global(), bind, new_identity().unwrap(), config, peers),
    }
}

impl Node {
    fn start(driver: Driver, uname: &str, peers: &[&Self]) -> Self {
        Self::at(driver, ANY, uname, peers.iter().map(|peer| peer.addr))
    }

    fn at(
        driver: Driver,
        bind: SocketAddr,
        uname: &str,
        peers: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let Started { handle, events: batches, local_addr: addr, .. } = start(driver, bind, uname, peers);
        let events = Journal::default();
        let journal = events.clone();
        thread::spawn(move || {
            while let Ok(batch) = batches.recv_blocking() {
                batch.into_iter().for_each(|event| journal.push(event));
            }
            journal.end();
        });
        Self { handle, events, addr }
    }

    /// Says lines, and tells how many are in the entries that became of them.
    fn say(&self, text: &str) -> Result<usize, SayError> {
        let said = block_on(self.handle.say(ChatText::lines(text).unwrap(), Origin::TERMINAL));
        said.map(|said| said.entries.iter().map(|entry| entry.texts().len()).sum())
    }

    fn shut_down(&self) {
        block_on(self.handle.shutdown());
    }

    #[track_caller]
    fn knows(&self, uname: &str) {
        self.events.expect_one(&format!("{uname} to join"), SOON, |event| is_here(event, uname));
    }

    #[track_caller]
    fn hears(&self, from: &str, text: &str) {
        self.events.expect_one(&format!("{text:?} from {from}"), SOON, |event| match event {
            Event::Message(message) => {
                message.uname().as_str() == from && message.texts().any(|heard| heard == text)
            }
            _ => false,
        });
    }

    /// What it heard from a peer, in order.
    fn heard(&self, from: &str) -> Vec<String> {
        self.events.look(|events| {
            let messages = events.iter().filter_map(|event| match event {
                Event::Message(message) if message.uname().as_str() == from => Some(message),
                _ => None,
            });
            messages.flat_map(|message| message.texts().map(str::to_owned)).collect()
        })
    }

    #[track_caller]
    fn leaves(&self, uname: &str) -> LeaveReason {
        self.events.expect(&format!("{uname} to leave"), SOON, |events| {
            events.iter().find_map(|event| match event {
                Event::Left { peer, reason, .. } if peer.uname.as_str() == uname => Some(*reason),
                _ => None,
            })
        })
    }
}

fn is_here(event: &Event, uname: &str) -> bool {
    matches!(event, Event::Joined(peer) if peer.uname.as_str() == uname)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    TOKIO.block_on(future)
}
