//! Nodes in a row, each linked to the next, on connections without latency.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    Action, ChatText, Command, Config, ConnId, DialError, DialId, Identity, Input, Instant, Limits, Node,
    Seal,
};

/// A node's end of a connection.
type End = (usize, ConnId);

/// Nodes in a row: the first speaks, the last but one passes on.
pub struct Chain {
    nodes: Vec<Node>,
    now: Instant,
    /// The other end of each.
    ends: BTreeMap<End, End>,
    next_conn: u64,
    waiting: VecDeque<(usize, Event)>,
}

enum Event {
    Accepted(ConnId, SocketAddr),
    Connected(DialId, ConnId),
    Refused(DialId),
    Received(ConnId, Vec<u8>),
    Flushed(ConnId),
    Closed(ConnId),
}

/// What came of bytes that a node received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Messages shown.
    pub delivered: usize,
    /// Bytes sent on.
    pub sent: usize,
}

/// The wall-clock time at the beginning, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// The bytes of one input.
const CHUNK: usize = 16 * 1024;

/// Until everybody knows their place in the eager tree.
const SETTLED: Duration = Duration::from_secs(60);

impl Chain {
    /// So many nodes, linked and settled.
    pub fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    /// The same, with other limits.
    ///
    /// # Panics
    /// When they do not link.
    pub fn with(count: usize, change: fn(&mut Limits)) -> Self {
        let nodes = (0..count).map(|index| node(index, change)).collect();
        let mut chain = Self {
            nodes,
            now: Instant::ORIGIN,
            ends: BTreeMap::new(),
            next_conn: 0,
            waiting: VecDeque::new(),
        };
        for index in 0..count {
            chain.input(index, Input::wall_clock(EPOCH_MS));
            if index > 0 {
                let before = Command::Connect(addr(index - 1).into());
                chain.nodes[index].command(chain.now, before).expect("there is room");
            }
        }
        chain.run_until(Instant::from_origin(SETTLED));
        let links: Vec<_> = chain.nodes.iter().map(|node| node.peers().count()).collect();
        assert!(
            links.iter().enumerate().all(|(n, links)| *links == 2 - usize::from(n == 0 || n == count - 1))
        );
        chain
    }

    /// The first says these lines, a second after it spoke last: the bytes that it sends.
    ///
    /// # Panics
    /// When it has to wait.
    pub fn say(&mut self, texts: Vec<ChatText>) -> Vec<u8> {
        self.now = self.now + Duration::from_secs(1);
        self.nodes[0].command(self.now, Command::Say(texts)).expect("it is not busy");
        let mut bytes = Vec::new();
        while let Some(action) = self.nodes[0].poll_action() {
            if let Action::SendFrame { conn, bytes: chunk } = action {
                bytes.extend_from_slice(&chunk);
                self.nodes[0].handle_input(self.now, Input::flushed(conn));
            }
        }
        bytes
    }

    /// What time it is, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        EPOCH_MS + self.now.since_origin().as_millis() as u64
    }

    /// The second receives these bytes of the first. What it sends on is thrown away.
    ///
    /// # Panics
    /// When they are not linked.
    pub fn receive(&mut self, bytes: &[u8]) -> Passed {
        let from_first = |end: &&End| end.0 == 1 && self.ends[end].0 == 0;
        let (_, conn) = *self.ends.keys().find(from_first).expect("the two are linked");
        let node = &mut self.nodes[1];
        let mut passed = Passed::default();
        for bytes in bytes.chunks(CHUNK) {
            node.handle_input(self.now, Input::received(conn, bytes));
            while let Some(action) = node.poll_action() {
                match action {
                    Action::Deliver(message) => passed.delivered += message.texts().count(),
                    Action::SendFrame { conn: to, bytes } => {
                        passed.sent += if to == conn { 0 } else { bytes.len() };
                        node.handle_input(self.now, Input::flushed(to));
                    }
                    _ => {}
                }
            }
        }
        passed
    }

    fn run_until(&mut self, end: Instant) {
        loop {
            (0..self.nodes.len()).for_each(|index| self.carry_out(index));
            while let Some((index, event)) = self.waiting.pop_front() {
                self.happen(index, event);
                self.carry_out(index);
            }
            let deadlines = self.nodes.iter().filter_map(Node::poll_timeout).map(|(at, _)| at);
            let Some(next) = deadlines.min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            (0..self.nodes.len()).for_each(|index| self.input(index, Input::Timeout));
        }
        self.now = end;
    }

    fn input(&mut self, index: usize, input: Input<'_>) {
        self.nodes[index].handle_input(self.now, input);
    }

    fn happen(&mut self, index: usize, event: Event) {
        match event {
            Event::Accepted(conn, remote) => self.input(index, Input::accepted(conn, remote)),
            Event::Connected(dial, conn) => self.input(index, Input::connected(dial, conn)),
            Event::Refused(dial) => {
                self.input(index, Input::dial_failed(dial, DialError::Refused));
            }
            Event::Received(conn, bytes) if self.ends.contains_key(&(index, conn)) => {
                self.input(index, Input::received(conn, &bytes));
            }
            Event::Flushed(conn) if self.ends.contains_key(&(index, conn)) => {
                self.input(index, Input::flushed(conn));
            }
            Event::Received(..) | Event::Flushed(_) => {}
            Event::Closed(conn) => self.input(index, Input::closed(conn)),
        }
    }

    fn carry_out(&mut self, index: usize) {
        while let Some(action) = self.nodes[index].poll_action() {
            match action {
                Action::Dial { dial, addr, seal: Seal::Clear } => self.dial(index, dial, addr),
                Action::SendFrame { conn, bytes } => {
                    if let Some((other, conn)) = self.ends.get(&(index, conn)) {
                        self.waiting.push_back((*other, Event::Received(*conn, bytes)));
                    }
                    self.waiting.push_back((index, Event::Flushed(conn)));
                }
                Action::Close { conn } | Action::Abort { conn } => {
                    if let Some(end) = self.ends.remove(&(index, conn)) {
                        self.ends.remove(&end);
                        self.waiting.push_back((end.0, Event::Closed(end.1)));
                        self.waiting.push_back((index, Event::Closed(conn)));
                    }
                }
                Action::Resolve { .. }
                | Action::CancelDial { .. }
                | Action::PauseReading { .. }
                | Action::ResumeReading { .. }
                | Action::RegisterPeer(_)
                | Action::UnregisterPeer { .. }
                | Action::Deliver(_)
                | Action::Ready
                | Action::Report { .. }
                | Action::Notice(_) => {}
                other => panic!("unknown action: {other:?}"),
            }
        }
    }

    /// Only neighbours reach each other.
    fn dial(&mut self, index: usize, dial: DialId, to: SocketAddr) {
        let other = (0..self.nodes.len()).find(|other| addr(*other) == to && other.abs_diff(index) == 1);
        let Some(other) = other else { return self.waiting.push_back((index, Event::Refused(dial))) };
        let [here, there] = [self.next_conn, self.next_conn + 1].map(ConnId);
        self.next_conn += 2;
        self.ends.insert((index, here), (other, there));
        self.ends.insert((other, there), (index, here));
        self.waiting.push_back((index, Event::Connected(dial, here)));
        self.waiting.push_back((other, Event::Accepted(there, addr(index))));
    }
}

fn addr(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080 + index as u16))
}

fn node(index: usize, change: fn(&mut Limits)) -> Node {
    let seed = [index as u8 + 1; 32];
    let config = Config::builder("bench".parse().expect("a name")).listen_addr(addr(index)).limits(change);
    let config = config.build().expect("limits that work");
    Node::new(config, Identity::from_secret(&seed), seed, Instant::ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_says_the_second_shows_and_passes_on() {
        for (count, passes_on) in [(2, false), (3, true)] {
            let mut chain = Chain::new(count);
            for _ in 0..2 {
                let bytes = chain.say(vec![ChatText::new("x".repeat(1000)).unwrap(); 5]);
                let passed = chain.receive(&bytes);
                assert_eq!((passed.delivered, passed.sent >= 5000), (5, passes_on), "{passed:?}");
            }
        }
    }
}
