//! One connection: its phase, the peer's handshake, keep-alive, output queue and the rules for what comes in.
//!
//! ```text
//!   opened ─> Greeting ─admitted─> Linked ─replaced by a duplicate─> Leaving ─its BYE─> Closing ─> gone
//!                 │                  ^ │                                                   ^
//!       JOIN with the id         this one stays                                            │
//!       of a linked peer             │ │                                                   │
//!                 └──> Claiming ─────┘ └─ BYE                                              │
//!                 any phase ───────────────── refused, turned away, disconnected, shutdown ┘
//! ```

mod channel;
mod queue;
mod receive;
mod timers;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

use super::Breach;
use super::table::Indexed;
use crate::model::{
    ClockReading, ConnId, Dialed, Instant, Limits, Name, NodeId, PeerInfo, PublicKey, Reach, TokenBucket,
    Version,
};
use crate::wire::{ByeCode, FrameError, Join, LineReader, Token};

pub(super) use channel::Channel;
pub(super) use queue::OutputQueue;
pub(crate) use receive::{ConnFrame, LinkEvent};
pub(crate) use timers::Timer;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: SocketAddr,
    /// Which addresses the peer can reach.
    pub(super) reach: Reach,
    /// This node's dial. None: the peer dialed.
    pub(super) dialed: Option<Dialed>,
    pub(super) phase: Phase,
    /// How it is secured.
    pub(super) channel: Channel,
    /// The peer's handshake. None: its `JOIN` has not come.
    pub(super) peer: Option<Box<PeerHandshake>>,
    /// The nonce of this node's `JOIN` on this connection.
    pub(super) nonce: Token,
    /// When this node sent its `JOIN`.
    pub(super) join_sent: Option<Instant>,
    /// This node has sent its `PROOF`, or needs none, since the connection is sealed.
    pub(super) proof_sent: bool,
    pub(super) queue: OutputQueue,
    /// Another connection to the same node, as a `PING` with the nonce of one of them on the other one has proven.
    pub(super) duplicate: Option<ConnId>,
    /// The reorder buffer, while lines wait for the end of the link that this one replaces.
    pub(super) held_back: Option<HoldBack>,
    /// When it became a link.
    pub(super) linked_since: Option<Instant>,
    /// A line other than `JOIN` came before the peer's `JOIN`.
    pub(super) said_other: bool,
    /// The code of the peer's `BYE`.
    pub(super) bye: Option<ByeCode>,
    /// The peer sent `BYE|duplicate|`, and its other connection is not proven yet. It is waited for until then.
    pub(super) farewell: Option<Instant>,
    /// How many links the peer says that it has.
    pub(super) advertised_degree: usize,
    /// `PEERS` has come.
    pub(super) peers_heard: bool,
    /// From the last `PING` to its `PONG`.
    pub(super) round_trip: Option<Duration>,
    /// When the last awaited `PONG` came.
    pub(super) answered: Option<Instant>,
    /// What the indexes of the table contain about it.
    pub(super) indexed: Indexed,

    reader: LineReader,
    opened: Instant,
    /// When the last bytes came.
    received: Option<Instant>,
    /// When the last frames were queued.
    sent: Instant,
    /// The unanswered `PING`.
    ping: Option<Ping>,
    /// Tokens of the next `PING`s.
    probes: VecDeque<Token>,
    pub(super) malformed: Malformed,
    /// Why the first malformed line before the peer's `JOIN` cannot be read.
    unread: Option<FrameError>,
    /// None: the peer is on this machine, and no rates apply.
    rates: Option<Rates>,
    paused: Pause,
    /// It is a neighbour that does not answer.
    doubted: bool,
}

/// The phase of a connection (SPEC section 13). Each deadline is absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is under way.
    Greeting,
    /// The peer claims the id of a linked peer. The claim is decided at `until`.
    Claiming { since: Instant, until: Instant, check: Check },
    /// It is a link. A version 1 peer may have two.
    Linked,
    /// `BYE|duplicate|` was sent. Frames are read up to the peer's own `BYE`.
    Leaving { until: Instant },
    /// Nothing is read any more. The connection is dropped at `until`.
    Closing { until: Instant, close_sent: bool },
}

/// How far it is known that the linked peer whose id is claimed lives (SPEC 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It was sent a `PING` with this token, by which it knows of the claim.
    Asked(Token),
    /// It has answered, and was sent another `PING`, with this token. Its proof, if it made the claim itself, comes before
    /// the answer.
    AskedAgain(Token),
    /// It has answered that one, too.
    Lives,
}

/// What the peer's handshake has established so far.
#[derive(Clone, Debug)]
pub(super) struct PeerHandshake {
    pub(super) node_id: NodeId,
    /// Its `JOIN` named that id.
    pub(super) named: bool,
    pub(super) uname: Name,
    /// As its `JOIN` claims. An unspecified IP address is replaced by the remote one.
    pub(super) listen_addr: Option<SocketAddr>,
    /// The nonce. None: the peer has version 1.
    pub(super) nonce: Option<Token>,
    /// The key that its `JOIN` claims.
    pub(super) key: Option<PublicKey>,
    /// It has proven its key, or has none.
    pub(super) proven: bool,
    /// The time that its first `JOIN` said.
    pub(super) clock: Option<ClockReading>,
}

/// Lines that came in before their turn.
#[derive(Debug)]
pub(super) struct HoldBack {
    until: Instant,
    texts: VecDeque<String>,
    /// The memory that `texts` takes.
    bytes: usize,
}

impl HoldBack {
    pub(super) fn push(&mut self, text: String) {
        self.bytes += text.len() + size_of::<String>();
        self.texts.push_back(text);
    }

    pub(super) fn into_texts(self) -> VecDeque<String> {
        self.texts
    }
}

#[derive(Debug)]
struct Rates {
    frames: TokenBucket,
    bytes: TokenBucket,
}

/// A `PING` whose `PONG` is awaited.
#[derive(Clone, Copy, Debug)]
struct Ping {
    token: Token,
    /// When it was queued.
    queued: Instant,
    /// The place of its last byte in all that was ever pushed to the queue.
    end: u64,
    /// When the operating system took its last byte: the peer cannot answer sooner.
    left: Option<Instant>,
}

/// Whether reading is paused.
#[derive(Debug, Default)]
struct Pause {
    /// A rate is exceeded until then.
    until: Option<Instant>,
    /// The driver was asked to pause.
    notified: bool,
}

/// When the latest malformed frames came.
#[derive(Debug, Default)]
pub(super) struct Malformed(VecDeque<Instant>);

impl Malformed {
    /// Records one more. Whether there are too many now.
    pub(super) fn record(&mut self, now: Instant, limits: &Limits) -> bool {
        while self.0.front().is_some_and(|at| now.since(*at) >= limits.conns.malformed_window) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() >= limits.conns.malformed
    }

    /// How many came lately.
    pub(super) fn lately(&self, now: Instant, limits: &Limits) -> usize {
        self.0.iter().filter(|at| now.since(**at) < limits.conns.malformed_window).count()
    }
}

impl Link {
    /// A connection that has just opened.
    pub(super) fn new(
        now: Instant,
        (remote, reach): (SocketAddr, Reach),
        channel: Channel,
        dialed: Option<Dialed>,
        nonce: Token,
        limits: &Limits,
    ) -> Self {
        let rates = (reach != Reach::ThisMachine).then(|| Rates {
            frames: TokenBucket::per_second(limits.conns.frames_per_second, limits.conns.frames_burst),
            bytes: TokenBucket::per_second(limits.conns.bytes_per_second, limits.conns.bytes_burst),
        });
        Self {
            remote,
            reach,
            dialed,
            phase: Phase::Greeting,
            channel,
            peer: None,
            nonce,
            join_sent: None,
            proof_sent: channel.is_sealed(),
            queue: OutputQueue::default(),
            duplicate: None,
            held_back: None,
            linked_since: None,
            said_other: false,
            bye: None,
            farewell: None,
            advertised_degree: 0,
            peers_heard: false,
            round_trip: None,
            answered: None,
            indexed: Indexed::default(),
            reader: LineReader::new(),
            opened: now,
            received: None,
            sent: now,
            ping: None,
            probes: VecDeque::new(),
            malformed: Malformed::default(),
            unread: None,
            rates,
            paused: Pause::default(),
            doubted: false,
        }
    }

    /// Whether it counts against the limit for pending connections.
    pub(super) fn is_pending(&self) -> bool {
        self.phase != Phase::Linked
    }

    /// Whether nothing is read or sent any more.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether it may become a link.
    pub(super) fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Claiming { .. })
    }

    /// Whether nothing came in for `limits.conns.pending_silent`. A silent pending connection makes room first.
    pub(super) fn is_silent(&self, now: Instant, limits: &Limits) -> bool {
        now.since(self.received.unwrap_or(self.opened)) >= limits.conns.pending_silent
    }

    /// Bytes came.
    pub(super) fn note_bytes(&mut self, now: Instant) {
        self.received = Some(now);
    }

    /// When the last byte came.
    pub(super) fn received(&self) -> Option<Instant> {
        self.received
    }

    /// What is wrong with a peer whose handshake takes too long. None: a dialed one that said nothing.
    pub(super) fn without_greeting(&self) -> Option<Breach> {
        let unread = self.unread.filter(|_| self.peer.is_none()).map(Breach::UnreadableGreeting);
        unread.or_else(|| (!self.is_outbound()).then_some(Breach::NoGreeting))
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// The version of the peer's `JOIN`.
    pub(super) fn version(&self) -> Option<Version> {
        let nonce = self.peer.as_ref()?.nonce;
        Some(if nonce.is_some() { Version::V2 } else { Version::V1 })
    }

    /// The peer's proven key.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.peer.as_ref().filter(|peer| peer.proven)?.key
    }

    pub(super) fn node_id(&self) -> Option<NodeId> {
        self.peer.as_ref().map(|peer| peer.node_id)
    }

    /// Whether this node dialed it.
    pub(super) fn is_outbound(&self) -> bool {
        self.dialed.is_some()
    }

    /// Records what the peer's `JOIN` says. `fallback_id` is its id if it names none.
    pub(super) fn read_join(&mut self, join: &Join, fallback_id: NodeId) {
        let node_id = join.node_id.unwrap_or(fallback_id);
        let uname = join.uname.clone().or_else(|| Name::cut(&alloc::format!("{}", node_id.short())));
        let Some(uname) = uname else { return };
        let remote = self.remote.ip();
        let seen = |addr: SocketAddr| {
            if addr.ip().is_unspecified() { SocketAddr::new(remote, addr.port()) } else { addr }
        };
        let key = join.hello.as_ref().and_then(|hello| hello.key);
        self.advertised_degree =
            join.hello.as_ref().map_or(self.advertised_degree, |hello| hello.links.into());
        self.peer = Some(Box::new(PeerHandshake {
            node_id,
            named: join.node_id.is_some(),
            uname,
            listen_addr: join.listen_addr.filter(|addr| addr.port() != 0).map(seen),
            nonce: join.hello.as_ref().map(|hello| hello.nonce),
            key,
            proven: key.is_none() || key == self.channel.key(),
            clock: None,
        }));
    }

    /// Queues whole frames.
    pub(super) fn push(&mut self, now: Instant, frames: &[u8], limits: &Limits) {
        if !matches!(self.phase, Phase::Leaving { .. } | Phase::Closing { .. }) {
            self.sent = now;
            self.queue.push(frames, limits.conns.chunk);
        }
    }

    /// Queues a `PING` with this token. There are at most as many as there can be newcomers whose claims need one; the
    /// oldest is dropped.
    pub(super) fn probe(&mut self, token: Token, limits: &Limits) {
        if self.probes.contains(&token) {
            return;
        }
        if self.probes.len() >= limits.conns.pending {
            self.probes.pop_front();
        }
        self.probes.push_back(token);
    }

    /// The next `PING` to send, if none is out.
    pub(super) fn next_ping(&mut self) -> Option<Token> {
        if self.ping.is_some() { None } else { self.probes.pop_front() }
    }

    /// A `PING` was queued just now.
    pub(super) fn ping_queued(&mut self, now: Instant, token: Token) {
        self.ping = Some(Ping { token, queued: now, end: self.queue.pushed(), left: None });
    }

    /// Bytes left: the `PING` that is out may be among them.
    pub(super) fn note_ping_left(&mut self, now: Instant) {
        let left = self.queue.left();
        if let Some(ping) = self.ping.as_mut().filter(|ping| ping.left.is_none() && ping.end <= left) {
            ping.left = Some(now);
        }
    }

    /// A `PONG` came. The round trip, if it answers the unanswered `PING`.
    pub(super) fn pong(&mut self, now: Instant, token: Token) -> Option<Duration> {
        let ping = self.ping.filter(|ping| ping.token == token)?;
        let round_trip = now.since(ping.queued);
        self.round_trip = Some(round_trip);
        self.ping = None;
        self.answered = Some(now);
        Some(round_trip)
    }

    /// The last round trip that `PONG` showed, else how long the peer took to answer this node's `JOIN`. The latter is 0 on a
    /// sealed connection that the peer dialed, where nothing answers `JOIN`, and too much where the peer was made to wait.
    pub(super) fn known_round_trip(&self) -> Option<Duration> {
        let handshake = || Some(self.linked_since?.since(self.join_sent?));
        self.round_trip.or_else(handshake)
    }

    /// Refunds the rates for a frame of that size.
    pub(super) fn refund(&mut self, now: Instant, bytes: usize) {
        if let Some(rates) = &mut self.rates {
            rates.frames.refund(1);
            rates.bytes.refund(u32::try_from(bytes).unwrap_or(u32::MAX));
            let free = rates.frames.next_at(now).max(rates.bytes.next_at(now));
            self.paused.until = (free > now).then_some(free);
        }
    }

    /// Whether the peer is on another machine, so that rates apply.
    pub(super) fn is_rate_limited(&self) -> bool {
        self.rates.is_some()
    }

    /// Holds lines back until the end of the link that this one replaces, and at most until that time.
    pub(super) fn hold_back_until(&mut self, until: Instant) {
        match &mut self.held_back {
            Some(hold) => hold.until = until,
            None => self.held_back = Some(HoldBack { until, texts: VecDeque::new(), bytes: 0 }),
        }
    }

    /// Bytes in its buffers, and what a handshake under way is charged.
    pub(super) fn buffered(&self) -> usize {
        self.channel.charge()
            + self.queue.bytes()
            + self.reader.buffered()
            + self.held_back.as_ref().map_or(0, |hold| hold.bytes)
    }

    /// Bytes of a line that has no end yet.
    pub(super) fn unfinished(&self) -> usize {
        self.reader.buffered()
    }

    /// How many `PING`s are queued.
    pub(super) fn probes(&self) -> usize {
        self.probes.len()
    }

    /// Brings the pause up to date. Whether the driver is to pause (`true`) or to resume (`false`) reading now.
    pub(super) fn update_pause(&mut self, now: Instant, limits: &Limits) -> Option<bool> {
        let held = self.held_back.as_ref().is_some_and(|hold| hold.bytes >= limits.wire.line);
        if self.paused.until.is_some_and(|until| until <= now) {
            self.paused.until = None;
        }
        let closing = matches!(self.phase, Phase::Closing { .. });
        let pause = !closing && (held || self.paused.until.is_some());
        if pause == self.paused.notified {
            return None;
        }
        self.paused.notified = pause;
        if !pause {
            // Nothing came because nothing was read.
            self.received = self.received.map(|_| now);
        }
        Some(pause)
    }

    /// How long its peer may take to answer: four round trips, within bounds. A handshake takes one at least.
    pub(super) fn patience(&self, limits: &Limits) -> Duration {
        self.round_trips(4, limits)
    }

    /// How long something may take that its peer has sent on another connection, where packets are lost and sent again.
    pub(super) fn patience_elsewhere(&self, limits: &Limits) -> Duration {
        self.round_trips(16, limits)
    }

    fn round_trips(&self, number: u32, limits: &Limits) -> Duration {
        let handshake = self.linked_since.map(|since| since.since(self.opened));
        let round_trip = self.round_trip.or(handshake).unwrap_or_default();
        round_trip.saturating_mul(number).min(limits.conns.greeting).max(limits.conns.probe)
    }

    /// What is known of the peer. None: its `JOIN` has not come.
    pub(super) fn info(&self) -> Option<PeerInfo> {
        let peer = self.peer.as_ref()?;
        Some(PeerInfo {
            node_id: peer.node_id,
            uname: peer.uname.clone(),
            listen_addr: peer.listen_addr,
            remote_addr: self.remote,
            version: self.version()?,
            key: peer.key,
            sealed: self.channel.is_sealed(),
        })
    }
}
