//! A version 1 peer as they are in the field, faults and all: built from the facts in section 4.1 of the
//! specification on plain sockets and threads, and sharing no code with the node that is tested against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::journal::{Journal, SOON, eventually};

/// What may be asked of a version 1 peer beyond what all of them do.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// On so many connections, counted from the first, the other side's `JOIN` comes sooner than its own, which then
    /// never comes.
    pub silent: usize,
    /// On a connection that it accepted, it speaks so long after it opened, and never if the other side spoke by then.
    pub speaks_after: Duration,
    /// It loses a `MSG` that is the first line after `JOIN`, or that comes with `JOIN` in one read.
    pub lossy: bool,
    /// So long after a connection opened it reads for the first time: what comes sooner comes in one read.
    pub start: Duration,
}

impl Default for Habits {
    /// What was observed of most.
    fn default() -> Self {
        Self { silent: 0, speaks_after: Duration::ZERO, lossy: true, start: Duration::from_millis(20) }
    }
}

/// What a version 1 peer saw and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection is open, dialed or accepted.
    Opened {
        /// Its number.
        conn: usize,
        /// Whether this side dialed.
        dialed: bool,
    },
    /// A `JOIN` came: the peer is attached to this connection now.
    Joined {
        /// On this connection.
        conn: usize,
        /// The peer's id.
        id: String,
        /// The peer's name.
        uname: String,
    },
    /// It printed a line, `uname: text`.
    Printed(String),
    /// It lost a message.
    Lost(String),
    /// It could not read a piece of a frame.
    Unreadable(String),
    /// A line came that is no version 1 frame.
    Strange(String),
    /// It reads no more on this connection and leaves it open.
    Deaf(usize),
    /// A connection ended.
    Closed(usize),
    /// It forgot a peer, one of whose connections ended.
    Forgot(String),
}

/// A running version 1 peer; it ends when dropped.
pub struct Version1 {
    peer: Arc<Peer>,
    acceptor: Option<JoinHandle<()>>,
}

struct Peer {
    id: String,
    uname: String,
    addr: SocketAddr,
    habits: Habits,
    state: Mutex<State>,
    events: Journal<Event>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    opened: usize,
    connections: BTreeMap<usize, Connection>,
    peers: BTreeMap<String, Known>,
    dialed: BTreeSet<String>,
}

struct Connection {
    stream: Arc<TcpStream>,
    dialed: Option<String>,
    joined: Option<String>,
}

struct Known {
    conn: usize,
    uname: String,
    listen_addr: Option<String>,
    remote_addr: String,
}

impl Version1 {
    /// Starts one on a port that the system picks.
    pub fn start(uname: &str) -> Self {
        Self::start_at(uname, (Ipv4Addr::LOCALHOST, 0).into(), Habits::default())
    }

    /// Starts one at this address, under an id made just now.
    pub fn start_at(uname: &str, addr: SocketAddr, habits: Habits) -> Self {
        let listener = listen(addr);
        let peer = Arc::new(Peer {
            id: random_uuid(),
            uname: uname.to_owned(),
            addr: listener.local_addr().expect("the listener's address"),
            habits,
            state: Mutex::default(),
            events: Journal::default(),
            stopping: AtomicBool::new(false),
        });
        let acceptor = Arc::clone(&peer);
        let acceptor = std::thread::spawn(move || acceptor.accept(&listener));
        Self { peer, acceptor: Some(acceptor) }
    }

    /// Its id, another at each start.
    pub fn id(&self) -> &str {
        &self.peer.id
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.peer.addr
    }

    /// What it saw and did.
    pub fn events(&self) -> &Journal<Event> {
        &self.peer.events
    }

    /// Dials, once.
    pub fn dial(&self, addr: SocketAddr) {
        self.peer.dial(addr.to_string());
    }

    /// Says a line to every peer that it knows.
    pub fn say(&self, text: &str) {
        self.peer.broadcast(&format!("MSG|{text}\n"));
    }

    /// The ids of the peers that it knows.
    pub fn peers(&self) -> Vec<String> {
        self.peer.lock().peers.keys().cloned().collect()
    }

    /// The lines that it printed.
    pub fn printed(&self) -> Vec<String> {
        self.events().look(|events| {
            let printed = events.iter().filter_map(|event| match event {
                Event::Printed(line) => Some(line.clone()),
                _ => None,
            });
            printed.collect()
        })
    }

    /// Waits for a peer of this name.
    #[track_caller]
    pub fn expect_peer(&self, uname: &str, timeout: Duration) {
        let what = format!("{uname} to join {}", self.peer.uname);
        eventually(&what, timeout, || self.peer.lock().peers.values().any(|peer| peer.uname == uname));
    }

    /// Waits for a printed line.
    #[track_caller]
    pub fn expect_printed(&self, line: &str, timeout: Duration) {
        let printed = Event::Printed(line.to_owned());
        self.events().expect_one(line, timeout, |event| *event == printed);
    }

    /// Fails the test if anything came that a version 1 peer cannot read.
    #[track_caller]
    pub fn expect_only_version_1(&self) {
        let foreign =
            |event: &&Event| matches!(event, Event::Strange(_) | Event::Unreadable(_) | Event::Deaf(_));
        let found = self.events().look(|events| events.iter().find(foreign).cloned());
        assert_eq!(found, None, "{}", self.peer.uname);
    }

    /// Ends every connection and frees the address.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.peer.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.peer.addr));
        let _ = acceptor.join();
        for connection in self.peer.lock().connections.values() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        self.peer.events.end();
    }
}

impl Drop for Version1 {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Peer {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            if let Ok(stream) = stream {
                self.open(stream, None);
            }
        }
    }

    /// Dials unless it does so already or once did and still has that connection.
    fn dial(self: &Arc<Self>, addr: String) {
        let Ok(target) = addr.parse::<SocketAddr>() else { return };
        if !self.lock().dialed.insert(addr.clone()) {
            return;
        }
        let peer = Arc::clone(self);
        std::thread::spawn(move || match TcpStream::connect_timeout(&target, Duration::from_secs(5)) {
            Ok(stream) => peer.open(stream, Some(addr)),
            Err(_) => drop(peer.lock().dialed.remove(&addr)),
        });
    }

    /// Speaks first, whoever dialed, and reads on in a thread.
    fn open(self: &Arc<Self>, stream: TcpStream, dialed: Option<String>) {
        let stream = Arc::new(stream);
        let _ = stream.set_nodelay(true);
        let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
        let overtaken = dialed.is_none() && self.is_overtaken(&stream);
        let mut state = self.lock();
        if self.stopping.load(Ordering::SeqCst) {
            return;
        }
        let conn = state.opened;
        state.opened += 1;
        if conn >= self.habits.silent && !overtaken {
            let own = json!({"listen_addr": self.addr, "node_id": self.id, "uname": self.uname, "remote_addr": null});
            let _ = (&*stream).write_all(format!("JOIN|{own}\n\n").as_bytes());
        }
        self.events.push(Event::Opened { conn, dialed: dialed.is_some() });
        state.connections.insert(conn, Connection { stream: Arc::clone(&stream), dialed, joined: None });
        drop(state);
        let peer = Arc::clone(self);
        std::thread::spawn(move || {
            if peer.read(conn, &stream) {
                peer.close(conn, &stream);
            }
        });
    }

    /// Whether the other side speaks before its own `JOIN` is due.
    fn is_overtaken(&self, stream: &TcpStream) -> bool {
        if self.habits.speaks_after.is_zero() {
            return false;
        }
        let _ = stream.set_read_timeout(Some(self.habits.speaks_after));
        let spoken = stream.peek(&mut [0]).is_ok();
        let _ = stream.set_read_timeout(None);
        spoken
    }

    /// Reads to the end; `false` when it went deaf before.
    fn read(self: &Arc<Self>, conn: usize, mut stream: &TcpStream) -> bool {
        let mut reader = LineReader::default();
        let mut chunk = [0; 16 * 1024];
        std::thread::sleep(self.habits.start);
        loop {
            let len = match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return true,
                Ok(len) => len,
            };
            for line in reader.feed(&chunk[..len]) {
                let Ok(line) = String::from_utf8(line) else {
                    self.events.push(Event::Deaf(conn));
                    return false;
                };
                match line.split_once('|') {
                    Some(("MSG", text)) if self.habits.lossy && reader.loses_msg() => {
                        self.events.push(Event::Lost(text.to_owned()));
                    }
                    Some((kind, payload)) => {
                        self.handle(conn, stream, kind, payload);
                        reader.note(kind);
                    }
                    None => self.events.push(Event::Strange(line)),
                }
            }
            reader.same_read = false;
        }
    }

    fn handle(self: &Arc<Self>, conn: usize, stream: &TcpStream, kind: &str, payload: &str) {
        match kind {
            "JOIN" => match serde_json::from_str(payload) {
                Ok(join) => self.join(conn, stream, &join),
                Err(_) => self.events.push(Event::Unreadable(payload.to_owned())),
            },
            // At every `;`, also inside of a JSON string.
            "PEERS" => payload.split(';').filter(|piece| !piece.trim().is_empty()).for_each(|piece| {
                match serde_json::from_str(piece) {
                    Ok(entry) => self.learn(&entry),
                    Err(_) => self.events.push(Event::Unreadable(piece.to_owned())),
                }
            }),
            "MSG" => self.print(conn, payload),
            _ => self.events.push(Event::Strange(format!("{kind}|{payload}"))),
        }
    }

    /// Attaches the peer to this connection, its most recent one, and tells everybody of everybody.
    fn join(&self, conn: usize, stream: &TcpStream, join: &Value) {
        let text = |key: &str| join[key].as_str().map(str::to_owned);
        let id = text("node_id").unwrap_or_else(random_uuid);
        let uname = text("uname").unwrap_or_else(|| id.clone());
        let remote_addr = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        let known = Known { conn, uname: uname.clone(), listen_addr: text("listen_addr"), remote_addr };
        let peers = {
            let mut state = self.lock();
            let Some(connection) = state.connections.get_mut(&conn) else { return };
            connection.joined = Some(id.clone());
            state.peers.insert(id.clone(), known);
            let entries = state.peers.iter().map(|(id, peer)| {
                json!({"listen_addr": peer.listen_addr, "node_id": id, "uname": peer.uname,
                       "remote_addr": peer.remote_addr})
                .to_string()
            });
            entries.collect::<Vec<_>>().join(";")
        };
        self.events.push(Event::Joined { conn, id, uname });
        self.broadcast(&format!("PEERS|{peers}\n"));
    }

    /// Dials a peer that it does not know.
    fn learn(self: &Arc<Self>, entry: &Value) {
        let Some(addr) = entry["listen_addr"].as_str() else { return };
        let id = entry["node_id"].as_str().unwrap_or_default();
        let known = |state: &State| {
            let at_addr = |peer: &Known| peer.listen_addr.as_deref() == Some(addr);
            state.peers.contains_key(id) || state.peers.values().any(at_addr)
        };
        if id != self.id && addr != self.addr.to_string() && !known(&self.lock()) {
            self.dial(addr.to_owned());
        }
    }

    /// Prints what a peer said whom it has not forgotten.
    fn print(&self, conn: usize, text: &str) {
        let state = self.lock();
        let joined = state.connections.get(&conn).and_then(|connection| connection.joined.as_ref());
        let event = match joined.and_then(|id| state.peers.get(id)) {
            Some(peer) => Event::Printed(format!("{}: {text}", peer.uname)),
            None => Event::Lost(text.to_owned()),
        };
        self.events.push(event);
    }

    /// Writes to every peer, on the connection that it is attached to.
    fn broadcast(&self, line: &str) {
        let streams: Vec<_> = {
            let state = self.lock();
            let of = |peer: &Known| state.connections.get(&peer.conn).map(|it| Arc::clone(&it.stream));
            state.peers.values().filter_map(of).collect()
        };
        for stream in streams {
            if (&*stream).write_all(line.as_bytes()).is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Forgets the peer, whichever of its connections this was.
    fn close(&self, conn: usize, stream: &TcpStream) {
        let mut state = self.lock();
        let Some(connection) = state.connections.remove(&conn) else { return };
        if let Some(addr) = connection.dialed {
            state.dialed.remove(&addr);
        }
        let forgot = connection.joined.filter(|id| state.peers.remove(id).is_some());
        drop(state);
        let _ = stream.shutdown(Shutdown::Both);
        self.events.push(Event::Closed(conn));
        forgot.into_iter().for_each(|id| self.events.push(Event::Forgot(id)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where one listened before, a process that was being started meanwhile may have a copy of the old listener until it
/// runs its own program.
fn listen(addr: SocketAddr) -> TcpListener {
    let mut listener = TcpListener::bind(addr).ok();
    eventually("an address to listen at", SOON, || {
        listener = listener.take().or_else(|| TcpListener::bind(addr).ok());
        listener.is_some()
    });
    listener.expect("it was waited for")
}

/// Cuts a stream into lines and knows what stands between `JOIN` and a `MSG`.
#[derive(Default)]
struct LineReader {
    partial: Vec<u8>,
    /// `JOIN` came in the bytes that were read last.
    same_read: bool,
    /// `JOIN` was the last line.
    after_join: bool,
}

impl LineReader {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        let lines = whole.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    }

    fn note(&mut self, kind: &str) {
        self.after_join = kind == "JOIN";
        self.same_read |= self.after_join;
    }

    /// Called once for each `MSG`.
    fn loses_msg(&mut self) -> bool {
        std::mem::take(&mut self.after_join) || self.same_read
    }
}

/// A random UUID of version 4.
pub fn random_uuid() -> String {
    let mut bytes = [0; 16];
    let mut source = File::open("/dev/urandom").expect("a source of random bytes");
    source.read_exact(&mut bytes).expect("random bytes");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
