//! A whole node on blocking sockets and threads: the standard library and nothing else.
//!
//! `cargo run -p proto-core --example blocking -- 8080 Alice`, and in another terminal
//! `cargo run -p proto-core --example blocking -- 8081 Bob 127.0.0.1:8080`. What is typed is said; the end of input
//! (Ctrl-D) ends the node.
//!
//! One thread owns the [`Node`]. Each connection has a thread that reads and one that writes, each dial and each name
//! to resolve has one, and all of them speak to the first through one bounded channel.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "clocks, sockets and threads belong in drivers, and this is one"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use proto_core::{
    Action, ChatText, ChatTextError, Command, CommandError, Config, ConnId, DialError, DialId, Identity,
    Input, Instant, Node,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(port), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: blocking PORT NAME [PEER]...".into());
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?))?;
    let config = Config::new(name.parse()?).with_listen_addr(listener.local_addr()?);
    let mut driver = Driver::new(config)?;
    for peer in args {
        driver.node.command(driver.now(), Command::Connect(peer.parse()?))?;
    }
    driver.spawn_acceptor(listener);
    driver.run();
    Ok(())
}

/// What the other threads tell the one that owns the node.
enum Event {
    Accepted(TcpStream, SocketAddr),
    Resolved(DialId, io::Result<Vec<SocketAddr>>),
    Dialed(DialId, io::Result<TcpStream>),
    Received(ConnId, Vec<u8>),
    Flushed(ConnId),
    Closed(ConnId),
    /// A line was typed; its thread waits until it is said.
    Typed(String),
    /// The input ended.
    Ended,
}

struct Driver {
    node: Node,
    origin: Clock,
    connections: BTreeMap<ConnId, Connection>,
    opened: u64,
    /// What was typed while the node was busy.
    unsaid: Option<Vec<ChatText>>,
    /// Lets the next line be typed.
    said: SyncSender<()>,
    sender: SyncSender<Event>,
    events: Receiver<Event>,
}

/// One connection, as the owner of the node sees it.
struct Connection {
    stream: Arc<TcpStream>,
    /// To the thread that writes; none once the connection is being closed.
    chunks: Option<SyncSender<Vec<u8>>>,
    gate: Arc<Gate>,
}

/// Holds up the thread that reads.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(shut, |shut| *shut));
    }
}

impl Driver {
    fn new(config: Config) -> Result<Self, Box<dyn Error>> {
        let (sender, events) = sync_channel(64);
        // A new identity at each start; a node to keep would keep its secret.
        let mut random = File::open("/dev/urandom")?;
        let (mut secret, mut seed) = ([0; 32], [0; 32]);
        random.read_exact(&mut secret)?;
        random.read_exact(&mut seed)?;
        let mut node = Node::new(config, Identity::from_secret(&secret), seed, Instant::ORIGIN);
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
        node.handle_input(Instant::ORIGIN, Input::wall_clock(unix_ms));
        Ok(Self {
            node,
            origin: Clock::now(),
            connections: BTreeMap::new(),
            opened: 0,
            unsaid: None,
            said: spawn_typist(sender.clone()),
            sender,
            events,
        })
    }

    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    /// Drain the actions, wait for an event or the deadline, hand it in, repeat.
    fn run(&mut self) {
        let mut stopping = false;
        loop {
            while let Some(action) = self.node.poll_action() {
                self.carry_out(action);
            }
            if stopping && self.node.connections() == 0 {
                return;
            }
            let now = self.now();
            let deadline = self.node.poll_timeout().map_or(Instant::FAR_FUTURE, |(at, _)| at);
            if deadline <= now {
                self.node.handle_input(now, Input::Timeout);
            }
            match self.events.recv_timeout(deadline.since(now).min(Duration::from_secs(60))) {
                Ok(Event::Ended) => {
                    stopping = true;
                    // Only a second shutdown is refused, and there is none.
                    let _ = self.node.command(self.now(), Command::Shutdown);
                }
                Ok(event) => self.hand_in(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn hand_in(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Accepted(stream, remote) => {
                let conn = self.open(stream);
                self.node.handle_input(now, Input::accepted(conn, remote));
            }
            Event::Dialed(dial, Ok(stream)) => {
                let conn = self.open(stream);
                self.node.handle_input(now, Input::connected(dial, conn));
            }
            Event::Resolved(dial, Ok(addrs)) => self.node.handle_input(now, Input::resolved(dial, addrs)),
            Event::Resolved(dial, Err(_)) => {
                self.node.handle_input(now, Input::dial_failed(dial, DialError::NotResolved));
            }
            Event::Dialed(dial, Err(error)) => {
                self.node.handle_input(now, Input::dial_failed(dial, reason(&error)));
            }
            Event::Received(conn, bytes) => {
                self.node.handle_input(now, Input::received(conn, &bytes));
            }
            Event::Flushed(conn) => self.node.handle_input(now, Input::flushed(conn)),
            Event::Closed(conn) => {
                self.connections.remove(&conn);
                self.node.handle_input(now, Input::closed(conn));
            }
            Event::Typed(line) => match ChatText::lines(&line) {
                Ok(texts) => self.say(texts),
                Err(error) => {
                    if error != ChatTextError::Empty {
                        eprintln!("{error}");
                    }
                    let _ = self.said.send(());
                }
            },
            Event::Ended => {}
        }
    }

    fn say(&mut self, texts: Vec<ChatText>) {
        match self.node.command(self.now(), Command::Say(texts.clone())) {
            Err(CommandError::Busy) => self.unsaid = Some(texts),
            Err(error) => eprintln!("{error}"),
            Ok(_) => drop(self.said.send(())),
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Resolve { dial, host, port } => self.spawn(move |sender| {
                let addrs = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                let _ = sender.send(Event::Resolved(dial, addrs));
            }),
            Action::Dial { dial, addr, .. } => self.spawn(move |sender| {
                let _ = sender.send(Event::Dialed(dial, TcpStream::connect(addr)));
            }),
            // The thread cannot be interrupted, and its answer does no harm.
            Action::CancelDial { .. } => {}
            Action::SendFrame { conn, bytes } => {
                if let Some(chunks) = self.connections.get(&conn).and_then(|it| it.chunks.as_ref()) {
                    // Never waits: at most one is out, and the channel has room for it.
                    let _ = chunks.send(bytes);
                }
            }
            Action::PauseReading { conn } => self.set_gate(conn, true),
            Action::ResumeReading { conn } => self.set_gate(conn, false),
            Action::Close { conn } => {
                self.set_gate(conn, false);
                // The thread that writes ends the sending side; the one that reads goes on to the peer's end.
                self.connections.get_mut(&conn).into_iter().for_each(|it| it.chunks = None);
            }
            Action::Abort { conn } => {
                self.set_gate(conn, false);
                self.connections
                    .get(&conn)
                    .into_iter()
                    .for_each(|it| drop(it.stream.shutdown(Shutdown::Both)));
            }
            Action::Ready => {
                if let Some(texts) = self.unsaid.take() {
                    self.say(texts);
                }
            }
            Action::Deliver(message) => {
                message.texts().for_each(|text| println!("{}: {text}", message.uname()));
            }
            Action::RegisterPeer(peer) => eprintln!("* {} joined", peer.uname),
            Action::UnregisterPeer { peer, reason } => eprintln!("* {} left: {reason}", peer.uname),
            Action::UpdatePeer(_) | Action::Report { .. } => {}
            Action::Notice(notice) => eprintln!("* {notice:?}"),
            // Only a `Config` that asks for more brings others.
            action => eprintln!("* not carried out: {action:?}"),
        }
    }

    fn set_gate(&self, conn: ConnId, shut: bool) {
        self.connections.get(&conn).into_iter().for_each(|it| it.gate.set(shut));
    }

    /// Gives a connection its number and its two threads.
    fn open(&mut self, stream: TcpStream) -> ConnId {
        let conn = ConnId(self.opened);
        self.opened += 1;
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let gate = Arc::new(Gate::default());
        let (chunks, from) = sync_channel(1);
        let writer = Arc::clone(&stream);
        self.spawn(move |sender| write(conn, &writer, &from, &sender));
        let (reader, passage) = (Arc::clone(&stream), Arc::clone(&gate));
        self.spawn(move |sender| read(conn, &reader, &passage, &sender));
        self.connections.insert(conn, Connection { stream, chunks: Some(chunks), gate });
        conn
    }

    fn spawn_acceptor(&self, listener: TcpListener) {
        self.spawn(move |sender| {
            loop {
                let Ok((stream, remote)) = listener.accept() else {
                    // No descriptor is free, perhaps: one may be soon.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if sender.send(Event::Accepted(stream, remote)).is_err() {
                    return;
                }
            }
        });
    }

    fn spawn(&self, task: impl FnOnce(SyncSender<Event>) + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || task(sender));
    }
}

/// Reads to the end, which it reports; so a connection is reported closed once.
fn read(conn: ConnId, mut stream: &TcpStream, gate: &Gate, sender: &SyncSender<Event>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        if sender.send(Event::Received(conn, buffer[..len].to_vec())).is_err() {
            return;
        }
        gate.pass();
    }
    let _ = stream.shutdown(Shutdown::Both);
    let _ = sender.send(Event::Closed(conn));
}

/// Writes until there is nothing more to come, then ends the sending side.
fn write(conn: ConnId, mut stream: &TcpStream, chunks: &Receiver<Vec<u8>>, sender: &SyncSender<Event>) {
    for bytes in chunks {
        if stream.write_all(&bytes).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        if sender.send(Event::Flushed(conn)).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Reads standard input a line at a time, each when the last is said.
fn spawn_typist(sender: SyncSender<Event>) -> SyncSender<()> {
    let (said, wait) = sync_channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send(Event::Typed(line)).is_err() || wait.recv().is_err() {
                return;
            }
        }
        let _ = sender.send(Event::Ended);
    });
    said
}

fn reason(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => DialError::Unreachable,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        _ => DialError::Other,
    }
}
