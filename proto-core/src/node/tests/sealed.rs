//! Sealed connections: how they open, and whose they are (SPEC 3.14).

use super::*;
use crate::model::{DialId, Expected, Plaintext, Seal};

const FAR: &str = "9.9.9.9:50000";

/// A node whose driver can seal.
pub(super) fn sealing(plaintext: Plaintext) -> Solo {
    let config = Config::builder("Me".parse().unwrap())
        .listen_addr(SocketAddr::from(([9, 9, 9, 1], 8080)))
        .plaintext(plaintext)
        .build()
        .unwrap();
    Solo {
        node: Node::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN),
        now: Instant::ORIGIN,
    }
}

pub(super) fn key(n: u8) -> PublicKey {
    Identity::from_secret(&[n; 32]).key()
}

pub(super) fn join_of(n: u8) -> String {
    let (key, id) = (key(n), key(n).node_id());
    let hello = alloc::format!(r#""v":2,"nonce":"n{n}","links":0,"key":"{key}""#);
    alloc::format!("JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Alice\",{hello}}}\n")
}

fn violation(actions: &[Action]) -> Option<Violation> {
    actions.iter().find_map(|action| match action {
        Action::Report { violation, .. } => Some(*violation),
        _ => None,
    })
}

impl Solo {
    /// A peer with this key opens a sealed connection, up to the end of the handshake.
    fn seal(&mut self, conn: u64, n: u8) -> Vec<Action> {
        let conn = ConnId(conn);
        assert_eq!(self.input(Input::accepted(conn, FAR.parse().unwrap())), []);
        assert_eq!(self.input(Input::sealing(conn)), [Action::AcceptSeal { conn }]);
        self.input(Input::sealed(conn, key(n)))
    }
}

#[test]
fn a_peer_on_a_sealed_connection_is_linked_upon_its_join() {
    let mut solo = sealing(Plaintext::Loopback);
    let mut actions = solo.seal(1, 1);
    actions.extend(solo.receive(1, &join_of(1)));
    actions.extend(solo.settle(1));
    let linked = actions.iter().find_map(|action| match action {
        Action::RegisterPeer(peer) => Some(peer.clone()),
        _ => None,
    });
    let linked = linked.expect("it is linked");
    assert!(linked.sealed && linked.key == Some(key(1)));
    assert!(sent(&actions).starts_with("JOIN|") && !sent(&actions).contains("PROOF|"));
}

#[test]
fn on_a_sealed_connection_a_join_has_the_key_of_the_connection() {
    for join in [join_of(2), join("00000000-0000-4000-8000-000000000001", Some("n")), join("", None)] {
        let mut solo = sealing(Plaintext::Allow);
        solo.seal(1, 1);
        let actions = solo.receive(1, &join);
        assert_eq!(violation(&actions), Some(Violation::NotTheConnectionsKey), "{join}");
        assert_eq!(solo.node.peers().count(), 0);
    }
}

#[test]
fn a_handshake_has_its_turn_before_anything_else_comes() {
    let conn = ConnId(1);
    for first in [Input::received(conn, b"J"), Input::sealed(conn, key(1))] {
        let mut solo = sealing(Plaintext::Off);
        solo.input(Input::accepted(conn, remote()));
        let actions = solo.input(first);
        assert!(actions.contains(&Action::Abort { conn }) && sent(&actions).is_empty(), "{actions:?}");
    }
    // A driver that cannot seal has nothing to seal.
    let mut solo = solo();
    solo.accept(1);
    assert!(solo.input(Input::sealing(conn)).contains(&Action::Abort { conn }));
    let expected = alloc::format!("{}@9.9.9.9:9000", key(1)).parse().unwrap();
    assert_eq!(solo.node.command(solo.now, Command::Connect(expected)), Err(CommandError::CannotSeal));
}

/// What a node does about the first bytes of a peer from there: `J`, or nothing for a while.
fn greets(plaintext: Plaintext, remote: &str, first: &str) -> String {
    let mut solo = sealing(plaintext);
    assert_eq!(solo.input(Input::accepted(ConnId(1), remote.parse().unwrap())), []);
    let mut actions = if first.is_empty() { Vec::new() } else { solo.receive(1, first) };
    actions.extend(solo.pass(Duration::from_secs(1)).into_iter().map(|(_, action)| action));
    let refused = violation(&actions) == Some(Violation::InClear);
    assert_eq!(refused, actions.contains(&Action::Abort { conn: ConnId(1) }), "{actions:?}");
    assert_eq!(refused, solo.node.stats().refused_clear == 1);
    if refused { "refused".into() } else { sent(&actions).chars().take(4).collect() }
}

#[test]
fn in_clear_a_peer_is_heard_and_greeted_where_policy_admits_it_alone() {
    const HERE: &str = "127.0.0.1:50000";
    for (plaintext, remote, silent, speaks) in [
        (Plaintext::Off, HERE, "", "refused"),
        (Plaintext::Off, FAR, "", "refused"),
        (Plaintext::Loopback, HERE, "JOIN", "JOIN"),
        (Plaintext::Loopback, "[::1]:50000", "JOIN", "JOIN"),
        (Plaintext::Loopback, "192.168.0.9:50000", "", "refused"),
        (Plaintext::Loopback, FAR, "", "refused"),
        (Plaintext::Allow, HERE, "JOIN", "JOIN"),
        (Plaintext::Allow, FAR, "JOIN", "JOIN"),
    ] {
        assert_eq!(greets(plaintext, remote, ""), silent, "{plaintext:?} {remote}");
        assert_eq!(greets(plaintext, remote, "J"), speaks, "{plaintext:?} {remote}");
    }
}

#[test]
fn whoever_says_nothing_sealed_is_dropped_in_time_without_a_byte() {
    let mut solo = sealing(Plaintext::Off);
    let conn = ConnId(1);
    solo.input(Input::accepted(conn, FAR.parse().unwrap()));
    let aborted = |actions: Vec<(Instant, Action)>| {
        assert!(!actions.iter().any(|(_, action)| matches!(action, Action::SendFrame { .. })));
        actions.iter().find(|(_, action)| *action == Action::Abort { conn }).map(|(at, _)| *at)
    };
    let first_byte = Limits::default().conns.first_byte;
    assert_eq!(aborted(solo.pass(Duration::from_secs(60))), Some(Instant::from_origin(first_byte)));
    // A handshake that is not completed has as long.
    let began = solo.now;
    solo.input(Input::accepted(conn, FAR.parse().unwrap()));
    let half_open = solo.input(Input::sealing(conn));
    assert_eq!(half_open, [Action::AcceptSeal { conn }]);
    assert!(solo.node.buffered() >= 16 * 1024, "it is charged");
    assert_eq!(aborted(solo.pass(Duration::from_secs(60))), Some(began + first_byte));
    assert_eq!(solo.node.buffered(), 0);
}

impl Solo {
    pub(super) fn connect(&mut self, target: &str) -> Vec<Action> {
        self.node.command(self.now, Command::Connect(target.parse().unwrap())).unwrap();
        self.drain()
    }

    /// How the node dials an address that the user gives.
    fn seal_of(&mut self, target: &str) -> Seal {
        let actions = self.connect(target);
        dialed(&actions).unwrap_or_else(|| panic!("{target}: {actions:?}")).1
    }
}

pub(super) fn dialed(actions: &[Action]) -> Option<(DialId, Seal)> {
    actions.iter().find_map(|action| match action {
        Action::Dial { dial, seal, .. } => Some((*dial, *seal)),
        _ => None,
    })
}

#[test]
fn a_dial_is_in_clear_on_loopback_without_an_expected_node_alone() {
    const ANYBODY: Seal = Seal::Sealed { expected: None };
    for plaintext in [Plaintext::Off, Plaintext::Loopback, Plaintext::Allow] {
        let here = if plaintext == Plaintext::Off { ANYBODY } else { Seal::Clear };
        let mut solo = sealing(plaintext);
        for (addr, seal) in [
            ("127.0.0.1:9000", here),
            ("[::1]:9000", here),
            ("192.168.0.9:9000", ANYBODY),
            ("9.9.9.9:9000", ANYBODY),
        ] {
            assert_eq!(solo.seal_of(addr), seal, "{plaintext:?} {addr}");
        }
        for (n, addr) in [(1, "127.0.0.1:9001"), (2, "9.9.9.9:9001")] {
            let expected = Some(Expected::Id(key(n).node_id()));
            assert_eq!(
                solo.seal_of(&alloc::format!("{}@{addr}", key(n).node_id())),
                Seal::Sealed { expected }
            );
            let (expected, addr) = (Some(Expected::Key(key(n))), addr.replace(":9001", ":9002"));
            assert_eq!(solo.seal_of(&alloc::format!("{}@{addr}", key(n))), Seal::Sealed { expected });
        }
    }
    assert_eq!(solo().seal_of("9.9.9.9:9000"), Seal::Clear, "the driver cannot seal");
}

/// The dial that follows from the end of one.
fn after(plaintext: Plaintext, target: &str, reason: DialError) -> Option<Seal> {
    let mut solo = sealing(plaintext);
    let actions = solo.connect(target);
    let (dial, _) = dialed(&actions).unwrap();
    dialed(&solo.input(Input::dial_failed(dial, reason))).map(|(_, seal)| seal)
}

#[test]
fn an_address_that_cannot_be_reached_sealed_is_tried_once_in_clear_where_that_is_allowed() {
    use DialError::{NoResources, NotSealed, Other, Refused, TimedOut, Unreachable};
    let found = key(9).node_id();
    for reason in [NotSealed, TimedOut, Other] {
        assert_eq!(after(Plaintext::Allow, "9.9.9.9:9000", reason), Some(Seal::Clear), "{reason}");
        assert_eq!(after(Plaintext::Loopback, "9.9.9.9:9000", reason), None);
        assert_eq!(after(Plaintext::Off, "127.0.0.1:9000", reason), None);
        let named = alloc::format!("{}@9.9.9.9:9000", key(1));
        assert_eq!(after(Plaintext::Allow, &named, reason), None, "a node is expected");
    }
    for reason in [Refused, Unreachable, NoResources, DialError::WrongKey { found }] {
        assert_eq!(after(Plaintext::Allow, "9.9.9.9:9000", reason), None, "{reason}");
    }
    // It is one attempt: what the user is told is how the second dial ended.
    let mut solo = sealing(Plaintext::Allow);
    let actions = solo.connect("9.9.9.9:9000");
    let actions = solo.input(Input::dial_failed(dialed(&actions).unwrap().0, NotSealed));
    let actions = solo.input(Input::dial_failed(dialed(&actions).unwrap().0, Refused));
    let told =
        |action: &Action| matches!(action, Action::Notice(Notice::Unreachable { reason: Refused, .. }));
    assert!(matches!(&actions[..], [only] if told(only)), "{actions:?}");
}

impl Solo {
    /// A sealed dial reaches the node with this key, which is linked. Then the link ends.
    pub(super) fn reach(&mut self, dial: DialId, conn: u64, n: u8) -> Vec<Action> {
        let mut actions = self.input(Input::connected(dial, ConnId(conn)).sealed_by(key(n)));
        actions.extend(self.receive(conn, &join_of(n)));
        let linked = |action: &Action| matches!(action, Action::RegisterPeer(peer) if peer.sealed);
        assert!(actions.iter().any(linked), "{actions:?}");
        assert!(sent(&actions).starts_with("JOIN|"), "whoever dials speaks first");
        self.input(Input::closed(ConnId(conn)))
    }

    /// The next dial. All timers fire until it is due.
    pub(super) fn next_dial(&mut self) -> (DialId, Seal) {
        for _ in 0..100 {
            let (at, _) = self.node.poll_timeout().expect("the address is dialed again");
            self.now = at.max(self.now);
            if let Some(dial) = dialed(&self.input(Input::Timeout)) {
                return dial;
            }
        }
        panic!("the address is dialed again");
    }
}

pub(super) fn wrong_keys(actions: &[Action]) -> Vec<(NodeId, NodeId, bool)> {
    let wrong = actions.iter().filter_map(|action| match action {
        Action::Notice(Notice::WrongKey { expected, found, given, .. }) => Some((*expected, *found, *given)),
        Action::Notice(other) => panic!("{other:?}"),
        _ => None,
    });
    wrong.collect()
}

#[test]
fn whoever_was_reached_sealed_is_expected_there_and_another_one_is_told_of_once() {
    let mut solo = sealing(Plaintext::Allow);
    let actions = solo.connect("9.9.9.9:9000");
    solo.reach(dialed(&actions).unwrap().0, 1, 1);
    let expected = Some(Expected::Id(key(1).node_id()));
    let (dial, seal) = solo.next_dial();
    assert_eq!(seal, Seal::Sealed { expected });
    // Another node: it is told once, and never dialed in clear or without the expectation.
    let found = key(2).node_id();
    let actions = solo.input(Input::dial_failed(dial, DialError::WrongKey { found }));
    assert_eq!(wrong_keys(&actions), [(key(1).node_id(), found, false)]);
    let (dial, seal) = solo.next_dial();
    assert_eq!(seal, Seal::Sealed { expected });
    assert_eq!(wrong_keys(&solo.input(Input::dial_failed(dial, DialError::WrongKey { found }))), []);
    let (dial, _) = solo.next_dial();
    let actions = solo.input(Input::dial_failed(dial, DialError::NotSealed));
    assert_eq!(dialed(&actions), None, "it was reached sealed before");
    assert_eq!(solo.node.stats().wrong_keys, 2);
    // The user takes whoever is there.
    solo.pass(Duration::from_millis(1));
    let (dial, seal) = dialed(&solo.connect("9.9.9.9:9000")).unwrap();
    assert_eq!(seal, Seal::Sealed { expected: None });
    solo.reach(dial, 2, 2);
    assert_eq!(solo.next_dial().1, Seal::Sealed { expected: Some(Expected::Id(found)) });
}

#[test]
fn a_node_that_the_user_named_is_the_only_one_for_ever() {
    let mut solo = sealing(Plaintext::Allow);
    let target = alloc::format!("{}@127.0.0.1:9000", key(1));
    let (dial, seal) = dialed(&solo.connect(&target)).unwrap();
    assert_eq!(seal, Seal::Sealed { expected: Some(Expected::Key(key(1))) });
    // The driver has to check it, and the node checks it again.
    let actions = solo.input(Input::connected(dial, ConnId(1)).sealed_by(key(2)));
    assert!(actions.contains(&Action::Abort { conn: ConnId(1) }) && sent(&actions).is_empty());
    assert_eq!(wrong_keys(&actions), [(key(1).node_id(), key(2).node_id(), true)]);
    let (dial, again) = solo.next_dial();
    assert_eq!(again, seal);
    let actions = solo.input(Input::connected(dial, ConnId(2)));
    assert!(actions.contains(&Action::Abort { conn: ConnId(2) }), "it is in clear");
    let (dial, _) = solo.next_dial();
    let found = key(2).node_id();
    assert_eq!(wrong_keys(&solo.input(Input::dial_failed(dial, DialError::WrongKey { found }))), []);
    let (dial, _) = solo.next_dial();
    solo.reach(dial, 3, 1);
    let (dial, again) = solo.next_dial();
    assert_eq!(again, seal);
    let told = wrong_keys(&solo.input(Input::dial_failed(dial, DialError::WrongKey { found })));
    assert_eq!(told, [(key(1).node_id(), found, true)], "the right one was there in between");
}

#[test]
fn a_full_node_turns_a_sealed_newcomer_away_before_it_says_who_it_is() {
    let mut solo = sealing(Plaintext::Loopback);
    let high = Limits::default().mesh.degree_high as u8;
    for n in 10..10 + high {
        solo.seal(n.into(), n);
        solo.receive(n.into(), &join_of(n));
        solo.settle(n.into());
    }
    assert_eq!(solo.node.peers().count(), usize::from(high));
    assert_eq!(solo.seal(50, 50), [], "the listener does not speak first");
    let mut actions = solo.receive(50, &join_of(50).replace("\"links\":0", "\"links\":9"));
    actions.extend(solo.settle(50));
    let said = sent(&actions);
    assert!(said.starts_with("PEERS|") && said.ends_with("BYE|full|\n"), "{said}");

    // The dialer is linked to nobody, and learns who else is there.
    let mut dialer = sealing(Plaintext::Loopback);
    let (dial, _) = dialed(&dialer.connect("9.9.9.9:9000")).unwrap();
    dialer.input(Input::connected(dial, ConnId(1)).sealed_by(key(9)));
    let others: Vec<_> = (10..49)
        .map(|n| {
            alloc::format!(
                r#"{{"node_id":"{}","listen_addr":"8.8.{n}.8:9000","uname":"{n:0>60}"}}"#,
                key(n).node_id()
            )
        })
        .collect();
    let peers = alloc::format!("PEERS|{}\nBYE|full|\n", others.join(";"));
    assert!(peers.len() > Limits::default().wire.line_before_join);
    let actions = dialer.receive(1, &peers);
    assert_eq!(violation(&actions), None);
    assert_eq!(dialer.node.stats().learned, 39);
    let turned_away = |action: &Action| {
        matches!(action, Action::Notice(Notice::TurnedAway { code: crate::wire::ByeCode::Full, .. }))
    };
    assert!(actions.iter().any(turned_away), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::RegisterPeer(_))));
}

/// The connections whose handshakes begin, in order.
fn accepted(actions: &[(Instant, Action)]) -> Vec<u64> {
    let conns = actions.iter().filter_map(|(_, action)| match action {
        Action::AcceptSeal { conn } => Some(conn.0),
        _ => None,
    });
    conns.collect()
}

#[test]
fn handshakes_have_a_rate_and_whoever_is_expected_or_alone_goes_first() {
    let mut solo = sealing(Plaintext::Loopback);
    solo.connect("7.7.7.7:9000");
    let limits = Limits::default().conns;
    let burst = u64::from(limits.handshakes_burst);
    let open = |solo: &mut Solo, conn: u64, remote: &str| {
        solo.input(Input::accepted(ConnId(conn), remote.parse().unwrap()));
        solo.input(Input::sealing(ConnId(conn))).len()
    };
    for n in 0..burst {
        assert_eq!(open(&mut solo, n, "6.6.6.6:1"), 1, "{n}");
    }
    for (conn, remote) in [(100, "6.6.6.6:1"), (101, "6.6.6.7:1"), (102, "8.8.8.8:1"), (103, "7.7.7.7:1")] {
        assert_eq!(open(&mut solo, conn, remote), 0, "{conn}");
    }
    assert_eq!(solo.node.poll_timeout().unwrap().1, TimerKind::Seal);
    let every = Duration::from_secs(1) / limits.handshakes_per_second;
    let actions = solo.pass(every * 4);
    assert_eq!(accepted(&actions), [103, 102, 101, 100]);
    let times: Vec<_> = actions.iter().map(|(at, _)| at.since_origin()).collect();
    assert_eq!(times, [every, every * 2, every * 3, every * 4]);
    let stats = solo.node.stats();
    assert_eq!((stats.handshakes, stats.handshakes_delayed), (burst + 4, 4));
    // One that is gone does not wait, and own dials are not put off.
    assert_eq!(open(&mut solo, 200, "8.8.8.8:1"), 0);
    solo.input(Input::closed(ConnId(200)));
    assert_eq!(accepted(&solo.pass(every * 3)), [0; 0]);
    let (dial, _) = dialed(&solo.connect("9.9.9.9:9000")).unwrap();
    let actions = solo.input(Input::connected(dial, ConnId(300)).sealed_by(key(9)));
    assert!(sent(&actions).starts_with("JOIN|"));
}

#[test]
fn a_peer_that_proves_no_key_is_told_of_nobody() {
    let mut solo = sealing(Plaintext::Allow);
    keyed_on(&mut solo, 1);
    let high = Limits::default().mesh.degree_high as u8;
    for n in 10..10 + high {
        solo.seal(n.into(), n);
        solo.receive(n.into(), &join_of(n));
    }
    let stranger = Identity::from_secret(&[99; 32]);
    // Nobody makes room for one more from there.
    solo.input(Input::accepted(ConnId(2), FAR.parse().unwrap()));
    let said = sent(&solo.receive(2, &join_keyed(&stranger, 2, r#""uname":"Eve","links":9"#)));
    assert!(said.starts_with("JOIN|") && !said.contains("PEERS|") && !said.contains("PROOF|"), "{said}");
    let actions = solo.settle(2);
    assert_eq!(actions, []);
    let mut actions = solo.prove_key(&stranger, 2);
    actions.extend(solo.settle(2));
    let said = sent(&actions);
    assert!(
        said.starts_with("PEERS|") && said.ends_with("BYE|full|\n") && !said.contains("PROOF|"),
        "{said}"
    );
    assert!(!said.contains("50000"), "nor from where others connect: {said}");
}

/// Two nodes, and what is on its way between them.
struct Pair {
    nodes: [Node; 2],
    now: Instant,
    conns: u64,
    /// To whom, on which connection, and what: the end, where it is nothing.
    on_the_way: VecDeque<(usize, ConnId, Vec<u8>)>,
    seen: [Vec<Action>; 2],
}

impl Pair {
    fn new(keys: [u8; 2]) -> Self {
        let node = |n: usize| {
            let config = Config::builder("Me".parse().unwrap())
                .listen_addr(Self::addr(n))
                .plaintext(Plaintext::Off)
                .build()
                .unwrap();
            Node::new(config, Identity::from_secret(&[keys[n]; 32]), [n as u8; 32], Instant::ORIGIN)
        };
        let nodes = [node(0), node(1)];
        Self {
            nodes,
            now: Instant::ORIGIN,
            conns: 0,
            on_the_way: Default::default(),
            seen: Default::default(),
        }
    }

    fn addr(n: usize) -> SocketAddr {
        SocketAddr::from(([9, 9, 9, 1 + n as u8], 8080))
    }

    fn connect(&mut self, from: usize) {
        let target = Command::Connect(Self::addr(1 - from).into());
        self.nodes[from].command(self.now, target).unwrap();
    }

    /// What the drivers do. Frames arrive when there is nothing else to do.
    fn run(&mut self) {
        loop {
            let action = [0, 1].into_iter().find_map(|n| Some((n, self.nodes[n].poll_action()?)));
            if let Some((from, action)) = action {
                self.carry_out(from, action);
            } else if let Some((to, conn, bytes)) = self.on_the_way.pop_front() {
                let input =
                    if bytes.is_empty() { Input::closed(conn) } else { Input::received(conn, &bytes) };
                self.nodes[to].handle_input(self.now, input);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, from: usize, action: Action) {
        let (now, to) = (self.now, 1 - from);
        let keys = [self.nodes[0].key(), self.nodes[1].key()];
        match action {
            Action::Dial { dial, seal, .. } => {
                assert_eq!(seal, Seal::Sealed { expected: None });
                self.conns += 1;
                let (conn, remote) = (ConnId(self.conns), SocketAddr::new(Self::addr(from).ip(), 50_000));
                let accepted =
                    [Input::accepted(conn, remote), Input::sealing(conn), Input::sealed(conn, keys[from])];
                accepted.into_iter().for_each(|input| self.nodes[to].handle_input(now, input));
                self.nodes[from].handle_input(now, Input::connected(dial, conn).sealed_by(keys[to]));
            }
            Action::SendFrame { conn, bytes } => {
                self.nodes[from].handle_input(now, Input::flushed(conn));
                self.on_the_way.push_back((to, conn, bytes));
            }
            Action::Close { conn } | Action::Abort { conn } => {
                self.nodes[from].handle_input(now, Input::closed(conn));
                self.on_the_way.push_back((to, conn, Vec::new()));
            }
            other => self.seen[from].push(other),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, n)) = [0, 1]
            .into_iter()
            .filter_map(|n| Some((self.nodes[n].poll_timeout()?.0, n)))
            .min()
            .filter(|due| due.0 <= end)
        {
            self.now = at.max(self.now);
            self.nodes[n].handle_input(self.now, Input::Timeout);
            self.run();
        }
        self.now = end;
    }

    /// How often a node said that the other one came, and that it went.
    fn came_and_went(&self, n: usize) -> (usize, usize) {
        let count = |is: fn(&Action) -> bool| self.seen[n].iter().filter(|action| is(action)).count();
        let came = count(|action| matches!(action, Action::RegisterPeer(_)));
        (came, count(|action| matches!(action, Action::UnregisterPeer { .. })))
    }
}

#[test]
fn two_nodes_that_dial_each_other_sealed_at_once_keep_one_link() {
    for keys in [[1, 2], [2, 1]] {
        let mut pair = Pair::new(keys);
        [0, 1].into_iter().for_each(|n| pair.connect(n));
        pair.run();
        pair.pass(Duration::from_secs(20));
        for n in [0, 1] {
            assert_eq!(pair.came_and_went(n), (1, 0), "{n}: {:?}", pair.seen[n]);
            assert_eq!(pair.nodes[n].connections(), 1);
            assert_eq!(violation(&pair.seen[n]), None);
        }
        // The loser may dial once more, before it knows that its target is linked.
        let dials = pair.conns;
        pair.pass(Duration::from_secs(60));
        assert_eq!((pair.conns, pair.came_and_went(0), pair.came_and_went(1)), (dials, (1, 0), (1, 0)));
    }
}

#[test]
fn two_nodes_with_one_key_that_meet_sealed_tell_each_other() {
    let mut pair = Pair::new([1, 1]);
    pair.connect(0);
    pair.run();
    pair.pass(Duration::from_secs(5));
    for n in [0, 1] {
        assert_eq!(pair.came_and_went(n), (0, 0));
    }
    let taken = |action: &Action| {
        matches!(action, Action::Notice(Notice::TurnedAway { code: crate::wire::ByeCode::Taken, .. }))
    };
    assert!(pair.seen[0].iter().any(taken), "{:?}", pair.seen[0]);
    assert_eq!(violation(&pair.seen[1]), Some(Violation::ClaimsOurId));
}
