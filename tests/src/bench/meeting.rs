//! Nodes that were each given entries of their own, and then meet: on connections without latency, in virtual time.
//!
//! What goes over these connections is counted by the type of its line.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::wire::{Chunk, Frame, Line, LineReader, MAX_LINE};
use proto_core::{
    Action, ChatText, Command, Config, ConnId, DialError, DialId, Draft, Entry, EntryId, Identity, Input,
    Instant, Limits, LoadId, Loaded, Name, Node, Notice, RunPosition, Seal, StoreChange, StoreId,
};

use crate::sim::hostile::Keys;
use crate::store::MemoryStore;

/// A node's end of a connection.
type End = (usize, ConnId);

/// The wall-clock time when the nodes begin, in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// The bytes of one input.
const CHUNK: usize = 16 * 1024;

/// Nodes that meet.
pub struct Meeting {
    nodes: Vec<Node>,
    host: [u8; 3],
    /// The time.
    pub now: Instant,
    /// The other end of each.
    ends: BTreeMap<End, End>,
    readers: BTreeMap<End, LineReader>,
    next_conn: u64,
    waiting: VecDeque<(usize, Event)>,
    /// Lines and bytes that were sent between nodes, by the type of the line.
    sent: BTreeMap<String, (u64, u64)>,
    /// What each node was sent of entries, in bytes.
    served: BTreeMap<usize, u64>,
    stores: Vec<Option<MemoryStore>>,
    /// How long the commits of a store take that are not done at once, and when the next one is done.
    commits: BTreeMap<usize, (Duration, Option<Instant>)>,
    /// What comes to nodes at a limited rate.
    links: BTreeMap<usize, Narrow>,
    notices: Vec<(usize, Notice)>,
}

/// So many bytes a second come to a node.
struct Narrow {
    rate: u32,
    /// What is on its way: when it happens, and where.
    on_way: VecDeque<(Instant, usize, Event)>,
}

enum Event {
    Accepted(ConnId, SocketAddr),
    Connected(DialId, ConnId),
    Refused(DialId),
    Received(ConnId, Vec<u8>),
    Flushed(ConnId),
    Closed(ConnId),
    Stored(StoreId),
    Loaded(LoadId, Vec<Loaded>),
}

impl Meeting {
    /// Nodes with these limits, on this machine. They are not linked.
    pub fn new(limits: &[Limits]) -> Self {
        Self::at([127, 0, 0], limits)
    }

    /// The same, each at another address of this network.
    ///
    /// # Panics
    /// When the limits do not go together.
    pub fn at(host: [u8; 3], limits: &[Limits]) -> Self {
        Self::stored(host, limits, limits.iter().map(|_| None).collect())
    }

    /// The same, where some have a store.
    ///
    /// # Panics
    /// When the limits do not go together.
    pub fn stored(host: [u8; 3], limits: &[Limits], stores: Vec<Option<MemoryStore>>) -> Self {
        let node = |(index, limits): (usize, &Limits)| {
            let seed = [index as u8 + 1; 32];
            let store = stores[index].as_ref();
            let config = Config::builder("bench".parse().expect("a name")).store(store.is_some());
            let config = config.listen_addr(addr(host, index)).trust_loopback(true);
            let config = config.limits(|own| own.clone_from(limits)).build();
            let kept = store.map(|store| store.kept(limits.chat.log_entries)).unwrap_or_default();
            let config = config.expect("limits that work");
            Node::restore(config, Identity::from_secret(&seed), seed, Instant::ORIGIN, kept)
        };
        let mut meeting = Self {
            nodes: limits.iter().enumerate().map(node).collect(),
            stores,
            commits: BTreeMap::new(),
            links: BTreeMap::new(),
            notices: Vec::new(),
            host,
            now: Instant::ORIGIN,
            ends: BTreeMap::new(),
            readers: BTreeMap::new(),
            next_conn: 0,
            waiting: VecDeque::new(),
            sent: BTreeMap::new(),
            served: BTreeMap::new(),
        };
        (0..limits.len()).for_each(|index| meeting.input(index, Input::wall_clock(EPOCH_MS)));
        meeting
    }

    /// A node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// A node is given these entries by a peer on its machine, which leaves then.
    ///
    /// # Panics
    /// When the node does not link to it.
    pub fn give<'a>(&mut self, index: usize, entries: impl IntoIterator<Item = &'a Entry>) {
        let conn = self.conn();
        let keys = Keys::new([0xfe; 32]);
        let node = &mut self.nodes[index];
        let join = format!(
            r#"JOIN|{{"node_id":"{}","v":2,"nonce":"giver","links":9,"key":"{}"}}{}"#,
            keys.node_id(),
            keys.key(),
            "\n"
        );
        node.handle_input(self.now, Input::accepted(conn, SocketAddr::from(([127, 0, 0, 1], 50_000))));
        let greeting = exchange(node, self.now, conn, join.as_bytes());
        let nonce = greeting.split_once("\"nonce\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let (nonce, _) = nonce.expect("it greets");
        let proof = format!("PROOF|{}\n", keys.proof("giver", nonce, &node.key().to_string()));
        exchange(node, self.now, conn, proof.as_bytes());
        let mut lines = Vec::new();
        for entry in entries {
            Frame::Chat(entry.sealed()).encode(&mut lines);
            if lines.len() >= CHUNK {
                exchange(node, self.now, conn, &std::mem::take(&mut lines));
            }
        }
        exchange(node, self.now, conn, &lines);
        node.handle_input(self.now, Input::closed(conn));
        while node.poll_action().is_some() {}
    }

    /// The first dials the second.
    ///
    /// # Panics
    /// When it may not.
    pub fn link(&mut self, from: usize, to: usize) {
        let target = Command::Connect(addr(self.host, to).into());
        self.nodes[from].command(self.now, target).expect("there is room");
    }

    /// The user of a node says something.
    ///
    /// # Panics
    /// When that is refused.
    pub fn say(&mut self, index: usize, text: &str) {
        let texts = ChatText::lines(text).expect("a text");
        self.nodes[index].command(self.now, Command::Say(texts)).expect("it may be said");
    }

    /// What was sent between nodes since the last call: lines and bytes, by the type of the line.
    pub fn take_sent(&mut self) -> BTreeMap<String, (u64, u64)> {
        std::mem::take(&mut self.sent)
    }

    /// How many bytes of entries a node was sent.
    pub fn served(&self, index: usize) -> u64 {
        self.served.get(&index).copied().unwrap_or(0)
    }

    /// The store of a node.
    pub fn store(&self, index: usize) -> Option<&MemoryStore> {
        self.stores[index].as_ref()
    }

    /// The store of a node is damaged as a whole, and begins anew.
    pub fn empty_store(&mut self, index: usize) {
        self.stores[index] = Some(MemoryStore::default());
        self.carry_out(index);
        for input in [Input::StoreFailed, Input::store_changed(StoreChange::Emptied), Input::StoreWorks] {
            self.input(index, input);
        }
    }

    /// The store of a node does not have any more what it had.
    pub fn change_store(&mut self, index: usize, change: StoreChange) {
        if let (Some(store), StoreChange::Lost { run, first, last }) = (&mut self.stores[index], &change) {
            store.lose(run, *first, *last);
        }
        self.input(index, Input::store_changed(change));
    }

    /// So many bytes a second come to this node from now on.
    pub fn narrow(&mut self, index: usize, bytes: u32) {
        self.links.insert(index, Narrow { rate: bytes, on_way: VecDeque::new() });
    }

    /// Each commit of this node's store takes so long from now on.
    pub fn slow_down(&mut self, index: usize, commit: Duration) {
        self.commits.insert(index, (commit, None));
    }

    /// What a node told its user.
    pub fn notices(&self, index: usize) -> impl Iterator<Item = &Notice> {
        self.notices.iter().filter(move |(told, _)| *told == index).map(|(_, notice)| notice)
    }

    /// How many entries a node holds.
    pub fn held(&self, index: usize) -> usize {
        self.nodes[index].status().entries.held
    }

    /// The ids of the entries that a node holds.
    pub fn ids(&self, index: usize) -> Vec<EntryId> {
        self.nodes[index].entries().map(|entry| entry.id()).collect()
    }

    /// A frame comes to a node from another one that it is linked to, which knows nothing of it.
    ///
    /// # Panics
    /// When they are not linked.
    pub fn inject(&mut self, from: usize, to: usize, frame: &Frame<'_>) {
        let end = self.ends.iter().find(|(end, other)| end.0 == to && other.0 == from);
        let (_, conn) = *end.expect("they are linked").0;
        let mut line = Vec::new();
        frame.encode(&mut line);
        self.waiting.push_back((to, Event::Received(conn, line)));
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
        self.now = end;
    }

    /// Lets time pass until this is so: whether it is, within that time.
    pub fn run_until(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) -> bool {
        loop {
            (0..self.nodes.len()).for_each(|index| self.carry_out(index));
            while let Some((index, event)) = self.waiting.pop_front() {
                self.happen(index, event);
                self.carry_out(index);
            }
            if is_done(self) {
                return true;
            }
            let deadlines = self.nodes.iter().filter_map(Node::poll_timeout).map(|(at, _)| at);
            let deadlines = deadlines.chain(self.commits.values().filter_map(|(_, at)| *at));
            let arrivals = self.links.values().filter_map(|link| link.on_way.front());
            let deadlines = deadlines.chain(arrivals.map(|(at, ..)| *at));
            let Some(next) = deadlines.min().filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.commit();
            self.arrive();
            (0..self.nodes.len()).for_each(|index| self.input(index, Input::Timeout));
        }
    }

    /// Ends the commits that are done by now.
    fn commit(&mut self) {
        for (index, (_, done)) in &mut self.commits {
            let Some(store) = self.stores[*index].as_mut().filter(|_| done.is_some_and(|at| at <= self.now))
            else {
                continue;
            };
            *done = None;
            let through = store.commit(usize::MAX);
            self.waiting.extend(through.map(|through| (*index, Event::Stored(through))));
        }
    }

    /// What is on its way and has come by now happens.
    fn arrive(&mut self) {
        for link in self.links.values_mut() {
            while let Some((_, index, event)) = link.on_way.pop_front_if(|(at, ..)| *at <= self.now) {
                self.waiting.push_back((index, event));
            }
        }
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    fn input(&mut self, index: usize, input: Input<'_>) {
        self.nodes[index].handle_input(self.now, input);
    }

    fn happen(&mut self, index: usize, event: Event) {
        match event {
            Event::Accepted(conn, remote) => self.input(index, Input::accepted(conn, remote)),
            Event::Connected(dial, conn) => self.input(index, Input::connected(dial, conn)),
            Event::Refused(dial) => self.input(index, Input::dial_failed(dial, DialError::Refused)),
            Event::Received(conn, bytes) if self.ends.contains_key(&(index, conn)) => {
                self.input(index, Input::received(conn, &bytes));
            }
            Event::Flushed(conn) if self.ends.contains_key(&(index, conn)) => {
                self.input(index, Input::flushed(conn));
            }
            Event::Received(..) | Event::Flushed(_) => {}
            Event::Stored(through) => self.input(index, Input::stored(through)),
            Event::Loaded(id, entries) => self.input(index, Input::loaded(id, entries)),
            Event::Closed(conn) => self.input(index, Input::closed(conn)),
        }
    }

    fn carry_out(&mut self, index: usize) {
        while let Some(action) = self.nodes[index].poll_action() {
            match action {
                Action::Dial { dial, addr, seal: Seal::Clear } => self.dial(index, dial, addr),
                Action::SendFrame { conn, bytes } => self.send((index, conn), bytes),
                Action::Close { conn } | Action::Abort { conn } => {
                    if let Some(end) = self.ends.remove(&(index, conn)) {
                        self.ends.remove(&end);
                        self.waiting.push_back((end.0, Event::Closed(end.1)));
                        self.waiting.push_back((index, Event::Closed(conn)));
                    }
                }
                Action::Notice(notice) => self.notices.push((index, notice)),
                Action::Store { id, record } => {
                    if let Some(store) = &mut self.stores[index] {
                        store.queue(id, record);
                        if let Some((commit, done)) = self.commits.get_mut(&index) {
                            done.get_or_insert(self.now + *commit);
                            continue;
                        }
                        let through = store.commit(1);
                        self.waiting.extend(through.map(|through| (index, Event::Stored(through))));
                    }
                }
                Action::Load { id, wanted, most_bytes } => {
                    if let Some(store) = &self.stores[index] {
                        let loaded = Event::Loaded(id, store.load(&wanted, most_bytes));
                        self.waiting.push_back((index, loaded));
                    }
                }
                Action::Report { violation, .. } => panic!("{violation:?}"),
                _ => {}
            }
        }
    }

    fn send(&mut self, from: End, bytes: Vec<u8>) {
        if let Some((other, conn)) = self.ends.get(&from) {
            let mut chunk = Chunk::new(&bytes);
            let reader = self.readers.entry(from).or_default();
            while let Some(line) = reader.next_line(&mut chunk, MAX_LINE) {
                let Ok(Line::Text(line)) = line else { panic!("{line:?}") };
                let (word, _) = line.split_once('|').unwrap_or((line, ""));
                let (lines, bytes) = self.sent.entry(word.to_owned()).or_default();
                *lines += 1;
                *bytes += line.len() as u64 + 1;
                if word == "CHAT" {
                    *self.served.entry(*other).or_default() += line.len() as u64 + 1;
                }
            }
            if let Some(Narrow { rate, on_way }) = self.links.get_mut(other) {
                let before = on_way.back().map_or(self.now, |(at, ..)| *at);
                let at = before + Duration::from_secs(1) * bytes.len() as u32 / *rate;
                on_way.push_back((at, *other, Event::Received(*conn, bytes)));
                return on_way.push_back((at, from.0, Event::Flushed(from.1)));
            }
            self.waiting.push_back((*other, Event::Received(*conn, bytes)));
        }
        self.waiting.push_back((from.0, Event::Flushed(from.1)));
    }

    fn dial(&mut self, index: usize, dial: DialId, to: SocketAddr) {
        let other = (0..self.nodes.len()).find(|other| addr(self.host, *other) == to);
        let Some(other) = other else { return self.waiting.push_back((index, Event::Refused(dial))) };
        let [here, there] = [self.conn(), self.conn()];
        self.ends.insert((index, here), (other, there));
        self.ends.insert((other, there), (index, here));
        let mut remote = addr(self.host, index);
        remote.set_port(40_000 + self.next_conn as u16 % 10_000);
        self.waiting.push_back((index, Event::Connected(dial, here)));
        self.waiting.push_back((other, Event::Accepted(there, remote)));
    }
}

fn addr([a, b, c]: [u8; 3], index: usize) -> SocketAddr {
    if a == 127 {
        return SocketAddr::from(([a, b, c, 1], 8080 + index as u16));
    }
    SocketAddr::from(([a, b, c, index as u8 + 1], 8080))
}

/// A peer says this, and takes all that the node says to it.
fn exchange(node: &mut Node, now: Instant, conn: ConnId, bytes: &[u8]) -> String {
    node.handle_input(now, Input::received(conn, bytes));
    let mut said = Vec::new();
    while let Some(action) = node.poll_action() {
        if let Action::SendFrame { conn, bytes } = action {
            said.extend_from_slice(&bytes);
            node.handle_input(now, Input::flushed(conn));
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Who speaks somewhere, in one run.
pub struct Author {
    identity: Identity,
    epoch: u64,
    next: RunPosition,
    uname: Name,
}

impl Author {
    /// One of many, in this epoch.
    ///
    /// # Panics
    /// Never: the name is one.
    pub fn new(number: u8, epoch: u64) -> Self {
        let uname = "author".parse().expect("a name");
        Self { identity: Identity::from_secret(&[number; 32]), epoch, next: RunPosition::FIRST, uname }
    }

    /// Its next entry, said at this time before the nodes begin, in seconds.
    ///
    /// # Panics
    /// At the end of its run.
    pub fn says(&mut self, text: &str, ago: u64) -> Entry {
        let entry = self.version(text, ago);
        self.next = RunPosition::after(&entry).expect("not the last number");
        entry
    }

    /// The same, and the next entry will have the same number.
    ///
    /// # Panics
    /// When the text is none.
    pub fn version(&self, text: &str, ago: u64) -> Entry {
        let texts = [ChatText::new(text).expect("a text")];
        let at = EPOCH_MS - ago * 1_000;
        let draft = Draft::new(self.epoch, self.next, at, &self.uname, &texts, [7; 16]);
        Entry::sign(&self.identity, &draft)
    }

    /// Leaves out all numbers before this one.
    ///
    /// # Panics
    /// Where it is no later number.
    pub fn skip_to(&mut self, seq: u64) {
        let prev = self.next.prev().expect("something was said");
        self.next = RunPosition::new(seq, prev).expect("a later number");
    }
}
