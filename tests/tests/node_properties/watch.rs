//! A driver under which a node is watched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::wire::{Frame, Line, Parsed, Token, parse};
use proto_core::{
    Action, ChatText, Command, Config, ConnId, DialError, EntryId, Identity, Input, Instant, Limits, Message,
    Node, NodeId, PeerAddr, PeerInfo, Seal,
};
use tests::bounds;
use tests::fuzz::peers;

use super::said::{EPOCH_MS, Said, join_with_key};

/// One step of a run. Connections are picked from those that are open, so that most steps mean something.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Accept {
        host: u8,
    },
    /// A connection is accepted from a peer that greets and proves its key.
    Link {
        host: u8,
        peer: usize,
    },
    Answer {
        pick: usize,
        success: bool,
    },
    Receive {
        pick: usize,
        said: Vec<Said>,
    },
    Flush {
        pick: usize,
    },
    Close {
        pick: usize,
    },
    Timeout {
        millis: u64,
    },
    WallClock {
        unix_ms: u64,
    },
    /// To exactly when the node wants to be woken.
    Wake,
    Say(String),
    Connect(u16),
    Rename(String),
    Drain,
}

/// A driver that keeps its side of the contract and watches that the node keeps its own.
pub(crate) struct Watch {
    pub(crate) node: Node,
    now: Instant,
    conns: BTreeSet<ConnId>,
    /// The nonces that the node said.
    nonces: BTreeMap<ConnId, Token>,
    /// The peers that said that they have a key.
    with_keys: BTreeMap<ConnId, usize>,
    shown: BTreeSet<EntryId>,
    in_flight: BTreeSet<ConnId>,
    paused: BTreeSet<ConnId>,
    /// Addresses of names, each of which is found out only by dialing it.
    resolved: BTreeSet<SocketAddr>,
    dials: Vec<(proto_core::DialId, Option<SocketAddr>)>,
    pub(crate) next: u64,
    peers: BTreeMap<NodeId, Arc<PeerInfo>>,
    /// The inputs, and where the actions were drained (`None`).
    pub(crate) record: Vec<Option<(Instant, Input<'static>)>>,
    pub(crate) actions: Vec<Action>,
    limits: Limits,
}

impl Watch {
    pub(crate) fn new() -> Self {
        let limits = Limits::default().with(|limits| {
            limits.conns.slots = 10;
            limits.conns.slots_reserved = 2;
            limits.mesh.degree_low = 1;
            limits.mesh.degree_target = 2;
            limits.mesh.degree_high = 4;
            limits.mesh.degree_outbound = 2;
            limits.conns.pending = 5;
            limits.mesh.targets = 4;
            limits.conns.queue = 256 * 1024;
            limits.chat.log_entries = 12;
            limits.chat.evicted = 8;
            limits.chat.floors = 5;
            limits.chat.early_per_author = 3;
            limits.chat.early = 5;
            limits.chat.authors = 4;
            limits.chat.lanes_per_author = 2;
            limits.chat.epochs_per_author = 2;
            limits.chat.bodiless = 2;
            limits.chat.spared = 3;
            limits.chat.parked_bytes = 5_000;
            limits.chat.announced_missing = 8;
            limits.chat.announced_missing_per_link = 4;
            limits.chat.requested = 4;
            limits.chat.fetching = 6;
            limits.chat.tips_bytes = 12 * 512;
            limits.chat.tips_per_author = 3;
            limits.chat.wanted = 4;
            limits.chat.ranges = 2;
            limits.chat.serving = 4;
            (limits.chat.range_first, limits.chat.range_most) = (2, 6);
            limits.chat.seen = 24;
        });
        let listen_addr: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let config = Config::builder("Me".parse().unwrap()).listen_addr(listen_addr);
        let config = config.limits(|own| own.clone_from(&limits)).build().unwrap();
        let mut watch = Self {
            node: Node::new(config, Identity::from_secret(&[1; 32]), [1; 32], Instant::ORIGIN),
            now: Instant::ORIGIN,
            conns: BTreeSet::new(),
            nonces: BTreeMap::new(),
            with_keys: BTreeMap::new(),
            shown: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            paused: BTreeSet::new(),
            resolved: BTreeSet::new(),
            dials: Vec::new(),
            next: 0,
            peers: BTreeMap::new(),
            record: Vec::new(),
            actions: Vec::new(),
            limits,
        };
        watch.input(&Input::wall_clock(EPOCH_MS));
        watch
    }

    pub(crate) fn input(&mut self, input: &Input<'_>) {
        self.record.push(Some((self.now, input.clone().into_owned())));
        self.node.handle_input(self.now, input.clone());
        self.check();
    }

    fn pick(&self, pick: usize) -> Option<ConnId> {
        self.conns.iter().nth(pick % self.conns.len().max(1)).copied()
    }

    /// What is said there, as bytes. Nothing proves a key before the node's nonce is known.
    pub(crate) fn bytes(&mut self, conn: ConnId, said: &[Said]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for said in said {
            match said {
                Said::Bytes(said) => bytes.extend(said),
                Said::JoinWithKey(peer) => {
                    self.with_keys.entry(conn).or_insert(*peer);
                    bytes.extend(join_with_key(*peer, nonce(conn)));
                }
                Said::Proof => {
                    let (Some(peer), Some(theirs)) = (self.with_keys.get(&conn), self.nonces.get(&conn))
                    else {
                        continue;
                    };
                    let proof = peers::proof(peers::keys(*peer), &nonce(conn), theirs, self.node.key());
                    bytes.extend(peers::line(&Frame::Proof(proof)));
                }
            }
        }
        bytes
    }

    pub(crate) fn accept(&mut self, host: u8) -> ConnId {
        let conn = self.fresh();
        let remote = SocketAddr::from(([if host.is_multiple_of(2) { 127 } else { 9 }, 0, 0, host], 40_000));
        self.input(&Input::accepted(conn, remote));
        conn
    }

    /// The node is told who a peer says it is, and says its nonce.
    pub(crate) fn greet(&mut self, conn: ConnId, peer: usize) {
        let join = self.bytes(conn, &[Said::JoinWithKey(peer)]);
        self.input(&Input::received(conn, &join));
        self.drain();
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Accept { host } => _ = self.accept(*host),
            Step::Link { host, peer } => {
                let conn = self.accept(*host);
                self.greet(conn, *peer);
                let proof = self.bytes(conn, &[Said::Proof]);
                self.input(&Input::received(conn, &proof));
            }
            Step::Answer { pick, success } if !self.dials.is_empty() => {
                let (dial, addr) = self.dials.swap_remove(pick % self.dials.len());
                match (success, addr) {
                    (true, Some(_)) => {
                        let conn = self.fresh();
                        self.input(&Input::connected(dial, conn));
                    }
                    (true, None) => {
                        let addrs = vec!["127.0.0.1:9000".parse().unwrap(), "[::1]:9000".parse().unwrap()];
                        self.resolved.extend(&addrs);
                        self.input(&Input::resolved(dial, addrs));
                    }
                    (false, _) => self.input(&Input::dial_failed(dial, DialError::Refused)),
                }
            }
            Step::Receive { pick, said } => {
                // A driver may have read this much before it learned that it should pause.
                if let Some(conn) = self.pick(*pick) {
                    let bytes = self.bytes(conn, said);
                    self.input(&Input::received(conn, &bytes));
                }
            }
            Step::Flush { pick } => {
                if let Some(conn) = self.pick(*pick).filter(|conn| self.in_flight.remove(conn)) {
                    self.input(&Input::flushed(conn));
                }
            }
            Step::Close { pick } => {
                if let Some(conn) = self.pick(*pick) {
                    self.conns.remove(&conn);
                    self.in_flight.remove(&conn);
                    self.input(&Input::closed(conn));
                }
            }
            Step::Timeout { millis } => {
                self.now = self.now + Duration::from_millis(*millis);
                self.input(&Input::Timeout);
            }
            Step::WallClock { unix_ms } => self.input(&Input::wall_clock(*unix_ms)),
            Step::Wake => {
                if let Some((at, _)) = self.node.poll_timeout() {
                    self.now = self.now.max(at);
                    self.input(&Input::Timeout);
                    self.drain();
                    let next = self.node.poll_timeout();
                    assert!(next.is_none_or(|(next, _)| next > self.now), "it does not sleep: {next:?}");
                }
            }
            Step::Say(text) => {
                if let Ok(texts) = ChatText::lines(text) {
                    let _ = self.node.command(self.now, Command::Say(texts));
                }
            }
            Step::Connect(port) => {
                let addr: PeerAddr = match port % 3 {
                    0 => format!("example.org:{}", port.max(&1)).parse().unwrap(),
                    _ => SocketAddr::from(([127, 0, 0, 1], *port.max(&1))).into(),
                };
                let _ = self.node.command(self.now, Command::Connect(addr.into()));
            }
            Step::Rename(name) => {
                if let Ok(name) = name.parse() {
                    let _ = self.node.command(self.now, Command::Rename(name));
                }
            }
            Step::Drain => self.drain(),
            Step::Answer { .. } => {}
        }
        self.check();
    }

    /// The same under a driver that wakes the node whenever it wants to be woken; `early`: and at other times, too.
    pub(crate) fn live(&mut self, step: &Step, early: bool) {
        let mut end = self.now;
        match step {
            Step::Timeout { millis } => end = end + Duration::from_millis(*millis),
            Step::Wake => end = self.node.poll_timeout().map_or(end, |(at, _)| at.max(end)),
            _ => self.step(step),
        }
        self.drain();
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= end) {
            if early {
                self.wake(self.now + at.since(self.now) / 2);
            }
            self.wake(self.now.max(at));
        }
        self.now = end;
        if early {
            self.wake(end);
        }
    }

    fn wake(&mut self, at: Instant) {
        self.now = at;
        self.input(&Input::Timeout);
        self.drain();
    }

    fn fresh(&mut self) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        self.conns.insert(conn);
        conn
    }

    pub(crate) fn drain(&mut self) {
        self.record.push(None);
        while let Some(action) = self.node.poll_action() {
            self.carry_out(&action);
            self.actions.push(action);
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Resolve { dial, .. } => self.dials.push((*dial, None)),
            Action::Dial { dial, addr, seal: Seal::Clear } => {
                // The other end of a connection that we dialed is what we dialed.
                let held = self.peers.values().find(|peer| peer.remote_addr == *addr);
                assert!(held.is_none() || self.resolved.contains(addr), "{held:?} is dialed again");
                self.dials.push((*dial, Some(*addr)));
            }
            Action::CancelDial { dial } => self.dials.retain(|(other, _)| other != dial),
            Action::SendFrame { conn, bytes } => {
                assert!(
                    !bytes.is_empty() && bytes.len() <= self.limits.conns.chunk.max(self.limits.wire.line)
                );
                if let Some(nonce) = nonce_in(bytes) {
                    self.nonces.entry(*conn).or_insert(nonce);
                }
                if self.conns.contains(conn) {
                    assert!(self.in_flight.insert(*conn), "two chunks are out on {conn:?}");
                }
            }
            Action::PauseReading { conn } => assert!(self.paused.insert(*conn), "paused twice"),
            Action::ResumeReading { conn } => assert!(self.paused.remove(conn), "resumed twice"),
            Action::Close { .. } => {}
            Action::Abort { conn } => {
                self.conns.remove(conn);
                self.in_flight.remove(conn);
            }
            Action::RegisterPeer(peer) => {
                let before = self.peers.insert(peer.node_id, peer.clone());
                assert_eq!(before, None, "registered twice");
            }
            Action::UpdatePeer(peer) => {
                let before = self.peers.insert(peer.node_id, peer.clone());
                assert!(before.is_some(), "updated, but not here");
            }
            Action::UnregisterPeer { peer, .. } => {
                assert!(self.peers.remove(&peer.node_id).is_some(), "gone, but not here");
            }
            Action::Deliver(message) => {
                match message {
                    Message::Line { peer, .. } => {
                        assert!(self.peers.contains_key(&peer.node_id), "somebody who is not here spoke");
                    }
                    Message::Entry { entry, .. } => {
                        assert_ne!(entry.key(), self.node.key(), "its own words are shown");
                        assert!(self.shown.insert(entry.id()), "shown twice");
                    }
                    other => panic!("unknown message: {other:?}"),
                }
                assert!(message.texts().all(|text| !text.is_empty() && !text.contains('\n')));
            }
            Action::Ready | Action::Report { .. } | Action::Notice(_) => {}
            other => panic!("unknown action: {other:?}"),
        }
    }

    fn check(&self) {
        let limits = &self.limits;
        assert!(self.node.peers().count() <= limits.conns.slots);
        let ids: BTreeSet<_> = self.node.peers().map(|peer| peer.node_id).collect();
        assert_eq!(ids.len(), self.node.peers().count());
        assert!(!ids.contains(&self.node.id()));
        assert!(self.node.buffered() <= limits.conns.buffers);
        bounds::check(&self.node);
    }
}

/// The nonce of the peer's own on a connection.
fn nonce(conn: ConnId) -> Token {
    Token::from_bits(conn.0.into())
}

/// The nonce in what a node says first.
fn nonce_in(bytes: &[u8]) -> Option<Token> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    match parse(Line::new(line), 0) {
        Ok(Parsed::Frame(Frame::Join(join))) => Some(join.hello?.nonce),
        _ => None,
    }
}
