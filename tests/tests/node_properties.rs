//! What holds of a node whatever happens to it, in whatever order, cut and timed however.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proto_core::{
    Action, ChatText, Command, Config, ConnId, DialError, Identity, Input, Instant, Limits, Message, Node,
    NodeId, OwnedInput, PeerAddr, PeerInfo,
};

/// One step of a run. Connections are picked from those that are open, so that most steps mean something.
#[derive(Clone, Debug)]
enum Step {
    Accept {
        host: u8,
    },
    Answer {
        pick: usize,
        success: bool,
    },
    Receive {
        pick: usize,
        bytes: Vec<u8>,
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
    /// To exactly when the node wants to be woken.
    Wake,
    Say(String),
    Connect(u16),
    Rename(String),
    Drain,
}

/// A driver that keeps its side of the contract and watches that the node keeps its own.
struct Watch {
    node: Node,
    now: Instant,
    conns: BTreeSet<ConnId>,
    in_flight: BTreeSet<ConnId>,
    paused: BTreeSet<ConnId>,
    /// Addresses of names, each of which is found out only by dialing it.
    resolved: BTreeSet<SocketAddr>,
    dials: Vec<(proto_core::DialId, Option<SocketAddr>)>,
    next: u64,
    peers: BTreeMap<NodeId, Arc<PeerInfo>>,
    /// The inputs, and where the actions were drained (`None`).
    record: Vec<Option<(Instant, OwnedInput)>>,
    actions: Vec<Action>,
    limits: Limits,
}

impl Watch {
    fn new() -> Self {
        let limits = Limits {
            held: 6,
            reserved_outbound: 2,
            degree_low: 1,
            degree_target: 2,
            degree_high: 4,
            degree_outbound: 2,
            pending: 5,
            targets: 4,
            queue: 256 * 1024,
            ..Limits::default()
        };
        let mut config = Config::new("Me".parse().unwrap());
        config.listen_addr = Some("127.0.0.1:8080".parse().unwrap());
        config.limits = limits.clone();
        Self {
            node: Node::new(config, Identity::from_secret(&[1; 32]), [1; 32], Instant::ORIGIN).unwrap(),
            now: Instant::ORIGIN,
            conns: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            paused: BTreeSet::new(),
            resolved: BTreeSet::new(),
            dials: Vec::new(),
            next: 0,
            peers: BTreeMap::new(),
            record: Vec::new(),
            actions: Vec::new(),
            limits,
        }
    }

    fn input(&mut self, input: &Input<'_>) {
        self.record.push(Some((self.now, OwnedInput::from(input))));
        self.node.handle_input(self.now, input.clone());
        self.check();
    }

    fn pick(&self, pick: usize) -> Option<ConnId> {
        self.conns.iter().nth(pick % self.conns.len().max(1)).copied()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Accept { host } => {
                let conn = self.fresh();
                let remote = SocketAddr::from(([if host % 2 == 0 { 127 } else { 9 }, 0, 0, *host], 40_000));
                self.input(&Input::Accepted { conn, remote });
            }
            Step::Answer { pick, success } if !self.dials.is_empty() => {
                let (dial, addr) = self.dials.swap_remove(pick % self.dials.len());
                match (success, addr) {
                    (true, Some(_)) => {
                        let conn = self.fresh();
                        self.input(&Input::Connected { dial, conn });
                    }
                    (true, None) => {
                        let addrs = vec!["127.0.0.1:9000".parse().unwrap(), "[::1]:9000".parse().unwrap()];
                        self.resolved.extend(&addrs);
                        self.input(&Input::Resolved { dial, addrs });
                    }
                    (false, _) => self.input(&Input::DialFailed { dial, reason: DialError::Refused }),
                }
            }
            Step::Receive { pick, bytes } => {
                // A driver may have read this much before it learned that it should pause.
                if let Some(conn) = self.pick(*pick) {
                    self.input(&Input::Received { conn, bytes });
                }
            }
            Step::Flush { pick } => {
                if let Some(conn) = self.pick(*pick).filter(|conn| self.in_flight.remove(conn)) {
                    self.input(&Input::Flushed { conn });
                }
            }
            Step::Close { pick } => {
                if let Some(conn) = self.pick(*pick) {
                    self.conns.remove(&conn);
                    self.in_flight.remove(&conn);
                    self.input(&Input::Closed { conn });
                }
            }
            Step::Timeout { millis } => {
                self.now = self.now + Duration::from_millis(*millis);
                self.input(&Input::Timeout);
            }
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
                let _ = self.node.command(self.now, Command::Connect(addr));
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

    fn fresh(&mut self) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        self.conns.insert(conn);
        conn
    }

    fn drain(&mut self) {
        self.record.push(None);
        while let Some(action) = self.node.poll_action() {
            self.carry_out(&action);
            self.actions.push(action);
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Resolve { dial, .. } => self.dials.push((*dial, None)),
            Action::Dial { dial, addr } => {
                // The other end of a connection that we dialed is what we dialed.
                let held = self.peers.values().find(|peer| peer.remote_addr == *addr);
                assert!(held.is_none() || self.resolved.contains(addr), "{held:?} is dialed again");
                self.dials.push((*dial, Some(*addr)));
            }
            Action::CancelDial { dial } => self.dials.retain(|(other, _)| other != dial),
            Action::SendFrame { conn, bytes } => {
                assert!(!bytes.is_empty() && bytes.len() <= self.limits.chunk.max(self.limits.line));
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
                if let Message::Line { peer, .. } = message {
                    assert!(self.peers.contains_key(&peer.node_id), "somebody who is not here spoke");
                }
                assert!(message.texts().all(|text| !text.is_empty() && !text.contains('\n')));
            }
            Action::Ready | Action::Report { .. } | Action::Notice(_) => {}
        }
    }

    fn check(&self) {
        let limits = &self.limits;
        assert!(self.node.peers().count() <= limits.held);
        let ids: BTreeSet<_> = self.node.peers().map(|peer| peer.node_id).collect();
        assert_eq!(ids.len(), self.node.peers().count());
        assert!(!ids.contains(&self.node.id()));
        assert!(self.node.buffered() <= limits.buffers);
    }
}

/// Things that peers say, most of them well formed.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let id = (0u8..5).prop_map(|n| format!("00000000-0000-4000-8000-00000000000{n}"));
    let join = (id.clone(), 0u8..3, 0u16..3).prop_map(|(id, version, port)| {
        let hello = if version > 0 {
            format!(",\"v\":2,\"nonce\":\"n{version}\",\"links\":{version}")
        } else {
            String::new()
        };
        format!(
            "JOIN|{{\"node_id\":\"{id}\",\"uname\":\"P\",\"listen_addr\":\"127.0.0.1:900{port}\"{hello}}}\n"
        )
    });
    let peers = (id, 0u16..9).prop_map(|(id, port)| {
        format!("PEERS|{{\"node_id\":\"{id}\",\"listen_addr\":\"127.0.0.1:900{port}\"}};{{\"listen_addr\":\"9.9.9.9:900{port}\"}}\n")
    });
    prop_oneof![
        4 => join.prop_map(String::into_bytes),
        2 => peers.prop_map(String::into_bytes),
        4 => "[a-z]{1,20}".prop_map(|text| format!("MSG|{text}\n").into_bytes()),
        1 => Just(b"PING|t\n".to_vec()),
        1 => Just(b"PONG|t\n".to_vec()),
        1 => prop_oneof!["duplicate", "shutdown", "full", "self"].prop_map(|code| format!("BYE|{code}|\n").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(vec![b'x'; 5000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<usize>();
    prop_oneof![
        3 => any::<u8>().prop_map(|host| Step::Accept { host }),
        3 => (pick, any::<bool>()).prop_map(|(pick, success)| Step::Answer { pick, success }),
        12 => (pick, proptest::collection::vec(said(), 1..4)).prop_map(|(pick, said)| Step::Receive { pick, bytes: said.concat() }),
        6 => pick.prop_map(|pick| Step::Flush { pick }),
        1 => pick.prop_map(|pick| Step::Close { pick }),
        2 => (0u64..60_000).prop_map(|millis| Step::Timeout { millis }),
        4 => Just(Step::Wake),
        2 => "[a-z\n]{0,40}".prop_map(Step::Say),
        1 => (0usize..120_000).prop_map(|len| Step::Say("x".repeat(len))),
        1 => (1u16..20).prop_map(Step::Connect),
        1 => "[a-z]{0,9}".prop_map(Step::Rename),
        6 => Just(Step::Drain),
    ]
}

/// Bytes per connection and everything else in order: what is left when it is forgotten how chunks were cut.
fn joined(actions: &[Action]) -> (Vec<&Action>, BTreeMap<ConnId, Vec<u8>>) {
    let mut rest = Vec::new();
    let mut bytes: BTreeMap<ConnId, Vec<u8>> = BTreeMap::new();
    for action in actions {
        match action {
            Action::SendFrame { conn, bytes: chunk } => bytes.entry(*conn).or_default().extend(chunk),
            other => rest.push(other),
        }
    }
    (rest, bytes)
}

fn run(steps: &[Step]) -> Watch {
    let mut watch = Watch::new();
    for step in steps {
        watch.step(step);
    }
    watch.drain();
    watch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// No panic, no broken bound, one registration a peer, one chunk a connection, no busy timer: whatever happens,
    /// whenever the actions are drained.
    #[test]
    fn any_interleaving_keeps_the_invariants(steps in proptest::collection::vec(step(), 0..150)) {
        run(&steps);
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(steps in proptest::collection::vec(step(), 0..150)) {
        prop_assert_eq!(run(&steps).actions, run(&steps).actions);
    }

    /// What comes in may be cut anywhere, down to single bytes.
    #[test]
    fn any_chunking_gives_the_same_actions(
        streams in proptest::collection::vec((any::<bool>(), proptest::collection::vec(said(), 1..12)), 1..5),
        cuts in proptest::collection::vec(1usize..50, 1..200),
    ) {
        let mut whole = Watch::new();
        let mut cut = Watch::new();
        let mut sizes = cuts.iter().copied().cycle();
        for (local, stream) in &streams {
            let bytes = stream.concat();
            let host = if *local { 2 } else { 1 };
            for watch in [&mut whole, &mut cut] {
                watch.step(&Step::Accept { host });
            }
            let conn = ConnId(whole.next - 1);
            whole.input(&Input::Received { conn, bytes: &bytes });
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                cut.input(&Input::Received { conn, bytes: head });
                rest = tail;
            }
            whole.drain();
            cut.drain();
        }
        prop_assert_eq!(joined(&whole.actions), joined(&cut.actions));
    }

    /// When the actions are drained changes nothing but how bytes are gathered.
    #[test]
    fn draining_later_changes_only_how_bytes_are_gathered(
        steps in proptest::collection::vec(said(), 1..30),
    ) {
        let runs = [true, false].map(|each| {
            let mut watch = Watch::new();
            watch.step(&Step::Accept { host: 2 });
            for bytes in &steps {
                watch.step(&Step::Receive { pick: 0, bytes: bytes.clone() });
                if each {
                    watch.drain();
                }
            }
            for _ in 0..50 {
                watch.drain();
                watch.step(&Step::Flush { pick: 0 });
            }
            watch
        });
        prop_assert_eq!(joined(&runs[0].actions), joined(&runs[1].actions));
    }

    /// A recorded run gives the same actions when it is played again.
    #[test]
    fn a_recording_replays(steps in proptest::collection::vec(
        step().prop_filter("inputs alone are recorded", |step| !matches!(step, Step::Say(_) | Step::Connect(_) | Step::Rename(_))),
        0..100,
    )) {
        let watch = run(&steps);
        let text = serde_json::to_string(&watch.record).unwrap();
        let record: Vec<Option<(Instant, OwnedInput)>> = serde_json::from_str(&text).unwrap();
        let mut node = Watch::new().node;
        let mut actions = Vec::new();
        for entry in &record {
            match entry {
                Some((at, input)) => node.handle_input(*at, input.as_input()),
                None => actions.extend(std::iter::from_fn(|| node.poll_action())),
            }
        }
        prop_assert_eq!(watch.actions, actions);
    }
}
