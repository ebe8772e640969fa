//! A whole node and whatever can happen to it.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::wire::{ByeCode, Frame, Hello, Join, PeerRecord, Token};
use proto_core::{
    ChatText, Command, CommandError, Config, ConnId, DialError, DialId, Identity, Input, Instant, Limits,
    Node, NodeId, Outcome,
};

use super::keyed::Said;
use super::ledger::{Counts, Goal, Ledger};
use super::peers::{id_without_key, line};
use super::script::Script;

/// The node's secret.
pub(super) const SECRET: [u8; 32] = [7; 32];

/// Plays a script of what happens to a node, one letter and its operands after the other (see `World::step` and
/// `World::step_with_keys`), and checks all that the node wants done, as it comes and after it was told to stop. How
/// often it did what.
pub fn node(data: &[u8]) -> Counts {
    let mut world = World::new();
    let mut script = Script::new(data);
    while let Some(letter) = script.byte() {
        world.step(letter, &mut script);
    }
    world.stop();
    world.counts()
}

/// A driver whose every move is somebody else's.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) now: Instant,
    pub(super) ledger: Ledger,
    next_conn: u64,
    /// The next step's actions are left for later.
    defer: bool,
    /// What was said in entries, and when.
    pub(super) said: Said,
}

impl World {
    fn new() -> Self {
        let config = Config::builder("node".parse().expect("a name"))
            .listen_addr(address(0))
            .presence(true)
            .limits(|own| *own = limits())
            .build()
            .expect("legal limits");
        let node = Node::new(config, Identity::from_secret(&SECRET), [7; 32], Instant::ORIGIN);
        let ledger = Ledger::new(&node);
        Self { node, now: Instant::ORIGIN, ledger, next_conn: 0, defer: false, said: Said::default() }
    }

    /// Digits are read by [`Script::digit`]; connections and dials are counted from zero and start again at the end.
    fn step(&mut self, letter: u8, script: &mut Script<'_>) {
        match letter {
            // a<address>: a connection from there is accepted
            b'a' => _ = self.accept(address(script.digit())),
            // c<dial>: a dial succeeds, a resolution finds three addresses
            b'c' => self.succeed(script.digit()),
            // f<dial><reason>: either fails
            b'f' => self.fail(script.digit(), script.digit()),
            // j<conn><id><flags><conn>: JOIN
            b'j' => self.join(script),
            // p<conn><first><count>: PEERS
            b'p' => self.peers(script),
            // m<conn><text>\n: MSG
            b'm' => self.receive_line(script.digit(), b"MSG|", script.line()),
            // i<conn><conn>: PING with the node's own nonce on the second
            b'i' => self.ping(script.digit(), script.digit()),
            // o<conn>: PONG with the token of the last PING
            b'o' => self.pong(script.digit()),
            // b<conn><code>: BYE
            b'b' => self.bye(script.digit(), script.digit()),
            // r<conn><bytes>\n: a line of any bytes
            b'r' => self.receive_line(script.digit(), b"", script.line()),
            // u<conn><bytes>\n: any bytes, without an end
            b'u' => self.receive(script.digit(), script.line()),
            // x<conn><n>: n thousand bytes without an end
            b'x' => self.receive(script.digit(), &vec![b'x'; script.digit() * 1000]),
            // k<conn>: what is out on it is written
            b'k' => self.flush(script.digit()),
            // e<conn>: it is closed
            b'e' => self.close(script.digit()),
            // w<step>: time passes, and nobody tells the node
            b'w' => self.now = self.now + pace(script.digit()),
            // t<step>: time passes
            b't' => self.pass(pace(script.digit())),
            // T: the node's own deadline comes
            b'T' => self.wake(),
            // s<thousands><texts><text>\n: the user says something, made longer and several times
            b's' => self.say(script.digit(), script.digit(), script.line()),
            // d<address>, D<name>\n: the user gives an address
            b'd' => self.command(Command::Connect(address(script.digit()).into())),
            b'D' => self.connect(script.line()),
            // v<address>: the user gives an address up
            b'v' => self.command(Command::Disconnect(address(script.digit()).into())),
            // O: the user wants to know when a peer holds everything
            b'O' => self.command(Command::Confirm),
            // n<name>: the user takes another name
            b'n' => self.command(Command::Rename(name(script.digit()))),
            // q: the user stops the node
            b'q' => self.command(Command::Shutdown),
            // z: news of what is not there, or no more
            b'z' => self.haunt(),
            // ,: what the next step brings is not looked at yet
            b',' => return self.defer = true,
            _ if self.step_with_keys(letter, script) => {}
            _ => return,
        }
        if !core::mem::take(&mut self.defer) {
            self.drain();
        }
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.ledger.take(&action);
        }
        self.ledger.drained(&self.node);
        let status = crate::bounds::check(&self.node);
        let standing = [
            ("has a parent", status.tree.parent.is_some()),
            ("has children", !status.tree.children.is_empty()),
            ("is the root", status.tree.root == Some(status.node_id)),
            ("holds entries back", status.entries.early > 0),
            ("parks entries", status.entries.parked > 0),
        ];
        standing.iter().for_each(|(what, is)| self.ledger.count(what, u64::from(*is)));
    }

    fn fresh_conn(&mut self) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.ledger.opened(conn);
        conn
    }

    pub(super) fn conn(&self, index: usize) -> Option<ConnId> {
        let count = self.ledger.conns().count();
        self.ledger.conns().nth(index.checked_rem(count)?).map(|(conn, _)| conn)
    }

    fn dial(&self, index: usize) -> Option<(DialId, Goal)> {
        let count = self.ledger.dials().count();
        self.ledger.dials().nth(index.checked_rem(count)?)
    }

    pub(super) fn accept(&mut self, remote: SocketAddr) -> ConnId {
        let conn = self.fresh_conn();
        self.input(Input::accepted(conn, remote));
        conn
    }

    fn succeed(&mut self, index: usize) {
        let Some((dial, goal)) = self.dial(index) else { return };
        self.ledger.answered(dial);
        match goal {
            Goal::Resolve => self.input(Input::resolved(dial, (3..6).map(address).collect())),
            Goal::Connect => {
                let conn = self.fresh_conn();
                self.input(Input::connected(dial, conn));
            }
        }
    }

    fn fail(&mut self, index: usize, reason: usize) {
        use DialError::{NoResources, NotResolved, Other, Refused, TimedOut, Unreachable};
        let reasons = [NotResolved, Refused, Unreachable, TimedOut, NoResources, Other];
        let Some((dial, _)) = self.dial(index) else { return };
        self.ledger.answered(dial);
        self.input(Input::dial_failed(dial, reasons[reason % reasons.len()]));
    }

    pub(super) fn receive(&mut self, index: usize, bytes: &[u8]) {
        let Some(conn) = self.conn(index) else { return };
        self.ledger.received(conn, bytes);
        self.input(Input::received(conn, bytes));
    }

    fn receive_line(&mut self, index: usize, head: &[u8], line: &[u8]) {
        self.receive(index, &[head, line, b"\n"].concat());
    }

    pub(super) fn receive_frame(&mut self, index: usize, frame: &Frame<'_>) {
        let bytes = line(frame);
        match frame {
            Frame::Join(_) | Frame::Proof(_) | Frame::Peers(_) | Frame::Bye(..) => {
                self.receive(index, &bytes);
            }
            _ => self.receive_from_maybe_mute(index, &bytes, false),
        }
    }

    /// Flags: 1 version 2, 2 it listens where its id does, 4 it has no id, 8 its nonce is the node's on another
    /// connection.
    fn join(&mut self, script: &mut Script<'_>) {
        let (index, id, flags, other) = (script.digit(), script.digit(), script.digit(), script.digit());
        let own = if flags & 8 != 0 { self.nonce(other) } else { None };
        let nonce = own.unwrap_or_else(|| Token::from_bits(self.conn(index).map_or(0, |conn| conn.0.into())));
        let mut hello = Hello::new(nonce);
        hello.links = id as u16;
        let mut join = Join::default();
        join.node_id = (flags & 4 == 0).then(|| self.node_id(id));
        join.uname = Some(name(id));
        join.listen_addr = (flags & 2 != 0).then(|| address(id));
        join.hello = (flags & 1 != 0).then_some(hello);
        self.receive_frame(index, &Frame::Join(join.into()));
    }

    fn peers(&mut self, script: &mut Script<'_>) {
        let (index, first, count) = (script.digit(), script.digit(), script.digit());
        let record = |id: usize| {
            let mut record = PeerRecord::default();
            record.node_id = (id % 5 != 4).then(|| self.node_id(id));
            record.uname = Some(name(id));
            record.listen_addr = Some(address(id));
            record
        };
        let records = (first..first + count).map(record).collect();
        self.receive_frame(index, &Frame::Peers(records));
    }

    fn ping(&mut self, index: usize, other: usize) {
        let token = self.nonce(other).unwrap_or(Token::from_bits(0));
        self.receive_frame(index, &Frame::Ping(token));
    }

    fn pong(&mut self, index: usize) {
        let ping = self.conn(index).and_then(|conn| self.ledger.get(conn)?.ping);
        self.receive_frame(index, &Frame::Pong(ping.unwrap_or(Token::from_bits(0))));
    }

    fn bye(&mut self, index: usize, code: usize) {
        use ByeCode::{Duplicate, Full, Other, Refused, SelfLink, Shutdown, Taken, Violation};
        let codes = [Shutdown, Duplicate, Full, SelfLink, Refused, Violation, Other, Taken];
        self.receive_frame(index, &Frame::Bye(codes[code % codes.len()], "bye"));
    }

    pub(super) fn flush(&mut self, index: usize) {
        let Some(conn) = self.conn(index) else { return };
        if self.ledger.flushed(conn) {
            self.input(Input::flushed(conn));
        }
    }

    fn close(&mut self, index: usize) {
        let Some(conn) = self.conn(index) else { return };
        self.ledger.closed(conn);
        self.input(Input::closed(conn));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(Input::Timeout);
        let next = self.node.poll_timeout();
        assert!(next.is_none_or(|(at, _)| at > self.now), "{next:?} is still due at {}", self.now);
    }

    fn wake(&mut self) {
        if let Some((at, _)) = self.node.poll_timeout() {
            self.pass(at.since(self.now));
        }
    }

    fn say(&mut self, thousands: usize, texts: usize, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned() + &"x".repeat(thousands * 1000);
        let Ok(text) = ChatText::new(text) else { return };
        self.command(Command::Say(vec![text; texts]));
    }

    fn connect(&mut self, addr: &[u8]) {
        if let Ok(target) = String::from_utf8_lossy(addr).parse() {
            self.command(Command::Connect(target));
        }
    }

    fn command(&mut self, command: Command) {
        let stops = command == Command::Shutdown;
        self.ledger.awaits_confirmation |= command == Command::Confirm;
        let result = self.node.command(self.now, command);
        if let Ok(Outcome::Said(entries)) = &result {
            entries.iter().for_each(|entry| self.sign(entry));
        }
        assert_eq!(result == Err(CommandError::ShuttingDown), self.ledger.stopping);
        if stops {
            // What was wanted before is not held against a node that stops from here on.
            while let Some(action) = self.node.poll_action() {
                self.ledger.take(&action);
            }
        }
        self.ledger.stopping |= stops;
        self.ledger.busy |= result == Err(CommandError::Busy);
    }

    fn haunt(&mut self) {
        let conn = ConnId(u64::MAX);
        self.input(Input::received(conn, b"MSG|boo\n"));
        self.input(Input::flushed(conn));
        self.input(Input::closed(conn));
        if let Some(dial) = self.ledger.cancelled() {
            self.input(Input::resolved(dial, vec![address(1)]));
            self.input(Input::dial_failed(dial, DialError::Refused));
            let conn = self.fresh_conn();
            self.input(Input::connected(dial, conn));
        }
    }

    /// The user stops the node, and its peers do nothing about it.
    fn stop(&mut self) {
        if !self.ledger.stopping {
            self.command(Command::Shutdown);
        }
        self.drain();
        for _ in 0..self.node.connections() {
            self.wake();
            self.drain();
        }
        assert_eq!(self.node.connections(), 0, "a node that stops gives up every connection in time");
        assert_eq!(self.node.peers().count(), 0);
        assert_eq!(self.ledger.dials().count(), 0);
    }

    fn counts(self) -> Counts {
        let stats = self.node.stats();
        let mut counts = self.ledger.counts;
        counts.extend([
            ("entries taken", stats.entries),
            ("entries again", stats.entries_known),
            ("entries dropped", stats.entries_dropped),
            ("entries verified together", stats.verified_together),
            ("entries verified alone", stats.verified_alone),
            ("entries over rate", stats.entries_over_rate),
            ("told in lines", stats.lines_relayed),
            ("brought in", stats.lines_signed),
            ("gaps", stats.gaps),
            ("reconciliations begun", stats.syncs),
        ]);
        counts
    }

    /// The node's own nonce on that connection.
    pub(super) fn nonce(&self, index: usize) -> Option<Token> {
        self.ledger.get(self.conn(index)?)?.nonce
    }

    /// Ids on both sides of the node's; the last is its own.
    fn node_id(&self, index: usize) -> NodeId {
        if index == 15 { self.node.id() } else { id_without_key(index) }
    }
}

/// Few enough of everything that a short script reaches every bound.
fn limits() -> Limits {
    Limits::default().with(|limits| {
        limits.wire.line = 8_000;
        limits.wire.line_before_join = 1_000;
        limits.conns.malformed = 3;
        limits.conns.slots = 8;
        limits.mesh.degree_low = 1;
        limits.mesh.degree_target = 2;
        limits.mesh.degree_high = 3;
        limits.mesh.degree_outbound = 1;
        limits.conns.slots_reserved = 1;
        limits.conns.pending = 4;
        limits.mesh.dials = 2;
        limits.mesh.dial_burst = 3;
        limits.mesh.targets = 4;
        limits.wire.peers_read = 8;
        limits.conns.peers_sent = 3;
        limits.mesh.learn_burst = 6;
        limits.mesh.book = 8;
        limits.mesh.book_per_source = 5;
        limits.conns.frames_burst = 20;
        limits.conns.bytes_burst = 20_000;
        limits.conns.chunk = 2_000;
        limits.conns.queue = 20_000;
        limits.conns.pace = 2_000;
        limits.conns.queue_hard = 60_000;
        limits.conns.queues = 80_000;
        limits.conns.buffers = 100_000;
        limits.chat.entries_burst = 6;
        limits.chat.log_entries = 12;
        limits.chat.log_bytes = 16_000;
        limits.chat.evicted = 6;
        limits.chat.floors = 5;
        limits.chat.early_per_author = 3;
        limits.chat.early = 5;
        limits.chat.authors = 4;
        limits.chat.lanes_per_author = 2;
        limits.chat.epochs_per_author = 2;
        limits.chat.bodiless = 2;
        limits.chat.spared = 2;
        limits.chat.gaps_per_epoch = 3;
        limits.chat.names = 6;
        limits.chat.names_per_author = 2;
        limits.chat.parked_bytes = 5_000;
        limits.chat.authors_bytes = 16_000;
        limits.chat.syncs = 2;
        limits.chat.sync_rounds = 3;
        limits.chat.sync_burst = 4;
        limits.chat.roots_burst = 3;
        limits.chat.announced = 4;
        limits.chat.ask_tries = 3;
        limits.chat.announcers = 2;
        limits.chat.announced_missing = 6;
        limits.chat.announced_missing_per_link = 3;
        limits.chat.requested = 3;
        limits.chat.fetching = 5;
        limits.chat.tips_bytes = 4 * 512;
        limits.chat.tips_per_author = 3;
        limits.chat.wanted = 4;
        limits.chat.ranges = 2;
        limits.chat.serving = 4;
        (limits.chat.range_first, limits.chat.range_most) = (2, 6);
        limits.chat.seen = 16;
        limits.chat.members = 8;
        limits.chat.live_burst = 6;
        limits.v1.lines = 6;
        limits.v1.waiting = 3;
        limits.v1.waiting_bytes = 3_000;
        limits.v1.linked = 3;
    })
}

/// On this machine, in a local network and elsewhere; 0 is the node's own.
pub(super) fn address(index: usize) -> SocketAddr {
    let ip = [[127, 0, 0, 1], [10, 0, 0, 1], [192, 0, 2, 1]][index % 3];
    SocketAddr::from((ip, 8000 + index as u16 / 3))
}

pub(super) fn name(index: usize) -> proto_core::Name {
    format!("peer {index}").parse().expect("a name")
}

/// From nothing over every promised time to a day.
fn pace(index: usize) -> Duration {
    let millis = [
        0, 1, 50, 99, 100, 249, 250, 1_000, 2_000, 3_000, 5_000, 10_000, 15_000, 45_000, 600_000, 86_400_000,
    ];
    Duration::from_millis(millis[index])
}
