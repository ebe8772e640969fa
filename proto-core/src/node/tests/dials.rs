//! Whom a node dials, and whom it tells, by where its peers are (SPEC 5.9, 5.13, 5.14).

use alloc::format;
use core::net::IpAddr;

use super::admission::SECOND;
use super::keyed::join_keyed;
use super::*;
use crate::model::MeshLimits;

/// A node that listens at this address. `trust`: what the user says of loopback.
fn solo_at(addr: &str, trust: Option<bool>) -> Solo {
    let mut config = Config::builder("Me".parse().unwrap()).listen_addr(addr.parse::<SocketAddr>().unwrap());
    if let Some(trust) = trust {
        config = config.trust_loopback(trust);
    }
    let node = Node::new(config.build().unwrap(), Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN);
    Solo { node, now: Instant::ORIGIN }
}

fn uuid(conn: u64) -> String {
    format!("00000000-0000-4000-8000-{conn:012}")
}

fn dialed(actions: &[Action]) -> Vec<String> {
    let dialed = actions.iter().filter_map(|action| match action {
        Action::Dial { addr, .. } => Some(format!("{addr}")),
        _ => None,
    });
    dialed.collect()
}

impl Solo {
    /// A peer without a key joins from this IP address, and says that it listens there.
    fn join_from(&mut self, conn: u64, ip: &str, listens: &str) -> Vec<Action> {
        let remote = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 50_000);
        let mut actions = self.input(Input::accepted(ConnId(conn), remote));
        let id = uuid(conn);
        let join = format!(
            "JOIN|{{\"node_id\":\"{id}\",\"listen_addr\":\"{listens}\",\"v\":2,\"nonce\":\"n{conn}\",\"links\":0}}\n"
        );
        actions.extend(self.receive(conn, &join));
        (0..=conn).for_each(|conn| actions.extend(self.settle(conn)));
        actions
    }

    /// A peer tells these addresses. What the node does then is left to be polled.
    fn tell(&mut self, conn: u64, addrs: impl IntoIterator<Item = String>) {
        let records = addrs.into_iter().map(|addr| format!("{{\"listen_addr\":\"{addr}\"}}"));
        let frame = format!("PEERS|{}\n", records.collect::<Vec<_>>().join(";"));
        self.node.handle_input(self.now, Input::received(ConnId(conn), frame.as_bytes()));
    }

    /// Lets time pass. Dials fail at once. Returns which addresses were dialed, each as often as it was.
    fn dialed_in(&mut self, time: Duration) -> Vec<String> {
        let (end, mut all) = (self.now + time, Vec::new());
        loop {
            for action in self.drain() {
                if let Action::Dial { dial, addr, .. } = action {
                    all.push(format!("{addr}"));
                    self.node.handle_input(self.now, Input::dial_failed(dial, DialError::Refused));
                }
            }
            match self.node.poll_timeout() {
                Some((at, _)) if at <= end => {
                    self.now = at.max(self.now);
                    self.node.handle_input(self.now, Input::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
        all
    }
}

/// What is told to whom: the ids in the `PEERS` that were sent on a connection.
fn told(actions: &[Action], to: u64) -> String {
    let sent = actions.iter().filter_map(|action| match action {
        Action::SendFrame { conn, bytes } if conn.0 == to => Some(bytes.as_slice()),
        _ => None,
    });
    let text = String::from_utf8(sent.collect::<Vec<_>>().concat()).unwrap();
    text.lines().filter(|line| line.starts_with("PEERS|")).collect()
}

#[test]
fn a_proxy_on_loopback_makes_no_node_dial_its_own_machine_unless_loopback_is_trusted() {
    let cases = [
        ("0.0.0.0:8080", None, false),
        ("9.9.9.9:8080", None, false),
        ("0.0.0.0:8080", Some(true), true),
        ("127.0.0.1:8080", None, true),
        ("127.0.0.1:8080", Some(false), false),
    ];
    for (listens, trust, trusted) in cases {
        for from in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let mut solo = solo_at(listens, trust);
            // It asks for a service here twice: by an address that it tells, and by its own that the node is to complete.
            solo.join_from(1, from, "0.0.0.0:6379");
            let near = ["127.0.0.1:6379", "[::1]:5432", "10.0.0.1:6379", "169.254.169.254:8080"];
            let records = near.map(|addr| format!("{{\"listen_addr\":\"{addr}\"}}"));
            let actions = solo
                .receive(1, &format!("PEERS|{};{{\"listen_addr\":\"9.9.9.8:8080\"}}\n", records.join(";")));
            let mut all = dialed(&actions);
            all.extend(dialed(&solo.input(Input::closed(ConnId(1)))));
            all.extend(solo.dialed_in(60 * SECOND));
            assert!(all.contains(&"9.9.9.8:8080".into()), "a global address may be dialed: {all:?}");
            for addr in near {
                assert_eq!(all.contains(&addr.into()), trusted, "{listens} {trust:?} {from} {addr}: {all:?}");
            }
            let own = SocketAddr::new(from.parse::<IpAddr>().unwrap().to_canonical(), 6379);
            assert_eq!(all.contains(&format!("{own}")), trusted, "{listens} {trust:?} {from}: {all:?}");
        }
    }
}

#[test]
fn rates_apply_to_loopback_unless_it_is_trusted() {
    for (trust, paused) in [(None, true), (Some(true), false)] {
        let mut solo = solo_at("0.0.0.0:8080", trust);
        solo.join_from(1, "127.0.0.1", "127.0.0.1:9000");
        let lines = "PONG|x\n".repeat(Limits::default().conns.frames_burst as usize + 1);
        let pause = Action::PauseReading { conn: ConnId(1) };
        assert_eq!(solo.receive(1, &lines).contains(&pause), paused, "{trust:?}");
    }
}

#[test]
fn a_peer_is_told_of_those_alone_that_it_can_reach() {
    let everybody = [
        (1, "127.0.0.1", "127.0.0.1:9001"),
        (2, "10.0.0.2", "10.0.0.2:9002"),
        (3, "169.254.0.3", "169.254.0.3:9003"),
        (4, "9.9.9.4", "9.9.9.4:9004"),
        // These say what cannot be: from outside, nobody names a machine inside.
        (5, "9.9.9.5", "10.0.0.5:9005"),
        (6, "9.9.9.6", "9.9.9.6:22"),
        (7, "9.9.9.7", "[64:ff9b::a00:1]:9007"),
    ];
    for (receiver, trust, of_whom) in [
        ("9.9.9.9", None, &[4][..]),
        ("198.18.0.1", None, &[4]),
        ("10.0.0.9", None, &[2, 4]),
        ("169.254.0.9", None, &[3, 4]),
        ("127.0.0.1", None, &[4]),
        ("127.0.0.1", Some(true), &[1, 2, 3, 4]),
    ] {
        let mut solo = solo_at("0.0.0.0:8080", trust);
        for (conn, ip, listens) in everybody {
            solo.join_from(conn, ip, listens);
        }
        let withheld = solo.node.stats().peers_withheld;
        let text = told(&solo.join_from(8, receiver, "9.9.9.9:9008"), 8);
        let told: Vec<_> =
            everybody.iter().map(|peer| peer.0).filter(|peer| text.contains(&uuid(*peer))).collect();
        assert_eq!(told, of_whom, "{receiver} {trust:?}: {text}");
        assert_eq!(
            solo.node.stats().peers_withheld - withheld,
            7 - of_whom.len() as u64,
            "{receiver} {trust:?}"
        );
    }
}

#[test]
fn a_newcomer_is_told_to_those_alone_that_can_reach_it() {
    let everybody = [(1, "127.0.0.1"), (2, "10.0.0.2"), (3, "169.254.0.3"), (4, "9.9.9.4")];
    for (ip, listens, to_whom) in [
        ("9.9.9.9", "9.9.9.9:9000", &[1, 2, 3, 4][..]),
        ("10.0.0.9", "10.0.0.9:9000", &[2]),
        ("10.0.0.9", "9.9.9.9:9000", &[1, 2, 3, 4]),
        ("127.0.0.1", "127.0.0.1:9000", &[]),
        ("9.9.9.9", "9.9.9.9:22", &[]),
    ] {
        let mut solo = solo_at("0.0.0.0:8080", None);
        for (conn, from) in everybody {
            solo.join_from(conn, from, "9.9.9.9:9001");
        }
        let actions = solo.join_from(5, ip, listens);
        let told_to: Vec<_> = everybody
            .iter()
            .map(|peer| peer.0)
            .filter(|peer| told(&actions, *peer).contains(listens))
            .collect();
        assert_eq!(told_to, to_whom, "{ip} {listens}");
        for (conn, _) in everybody {
            let told = told(&actions, conn);
            assert!(!told.contains("\"remote_addr\":\""), "nobody is told from where it dialed in: {told}");
        }
    }
}

#[test]
fn a_stranger_is_dialed_within_the_budget_however_many_ports_are_told() {
    let mut solo = solo_at("0.0.0.0:8080", None);
    let (mut all, mut port) = (Vec::new(), 1_024);
    for round in 0..60 {
        // Under ever new ids, from ever new addresses.
        let conn = round % 8;
        solo.input(Input::closed(ConnId(conn)));
        solo.join_from(conn, &format!("9.{round}.9.9"), "0.0.0.0:80");
        solo.tell(conn, (0..64).map(|n| format!("8.8.8.8:{}", port + n)));
        port += 64;
        all.extend(solo.dialed_in(10 * SECOND));
    }
    let mesh = Limits::default().mesh;
    let allowed = mesh.host_dials as usize + 600 / mesh.host_dial_every.as_secs() as usize;
    assert!((allowed - 1..=allowed).contains(&all.len()), "{} of {allowed}", all.len());
    assert!(solo.node.stats().dials_postponed > 0);
    // What the user gives is dialed nevertheless.
    solo.node.command(solo.now, Command::Connect("8.8.8.8:9".parse().unwrap())).unwrap();
    let given = solo.dialed_in(600 * SECOND).into_iter().filter(|addr| addr == "8.8.8.8:9").count();
    assert!(given >= 75, "every eight seconds at least: {given}");
}

#[test]
fn a_teller_without_a_budget_keeps_nobody_from_what_others_tell() {
    let mut solo = solo_at("0.0.0.0:8080", None);
    solo.join_from(1, "9.9.9.1", "0.0.0.0:80");
    solo.join_from(2, "9.9.9.2", "0.0.0.0:80");
    solo.tell(1, (0..60).map(|n| format!("8.{n}.8.8:9000")));
    let dialed = solo.dialed_in(20 * SECOND);
    let MeshLimits { teller_dials, teller_dial_every, .. } = Limits::default().mesh;
    let allowed = teller_dials as usize + 20 / teller_dial_every.as_secs() as usize;
    assert_eq!(dialed.len(), allowed);
    let (there, known) = ("9.8.7.6:9000", solo.node.status().book.known);
    for (teller, dialed) in [(1, false), (1, false), (2, true)] {
        solo.tell(teller, [there.into()]);
        assert_eq!(solo.dialed_in(SECOND).contains(&there.into()), dialed, "told by {teller}");
        assert_eq!(solo.node.status().book.known, known + 1);
    }
}

#[test]
fn dials_that_reach_a_node_use_up_no_budget() {
    for answer in ["", "BYE|full|\n"] {
        let mut solo = solo_at("0.0.0.0:8080", None);
        solo.join_from(1, "9.9.9.1", "0.0.0.0:80");
        // Many nodes behind one address.
        solo.tell(1, (0..40).map(|n| format!("8.8.8.8:{}", 9_000 + n)));
        let (mut conn, mut reached) = (1, alloc::collections::BTreeSet::new());
        for _ in 0..240 {
            for action in solo.drain() {
                if let Action::Dial { dial, addr, .. } = action {
                    conn += 1;
                    reached.insert(addr);
                    solo.node.handle_input(solo.now, Input::connected(dial, ConnId(conn)));
                    let said = format!("{}{answer}", join(&uuid(conn), Some(&format!("n{conn}"))));
                    solo.node.handle_input(solo.now, Input::received(ConnId(conn), said.as_bytes()));
                }
            }
            solo.now = solo.now + SECOND / 4;
            solo.node.handle_input(solo.now, Input::Timeout);
        }
        assert_eq!((reached.len(), solo.node.stats().dials_postponed), (40, 0), "{answer:?}");
    }
}

#[test]
fn an_address_that_the_user_gives_up_is_dialed_no_more_until_it_is_given_again() {
    use crate::contract::{TargetFailure, TargetState};
    let mut solo = solo();
    let addr = "192.0.2.1:9";
    let connect = |solo: &mut Solo| solo.node.command(solo.now, Command::Connect(addr.parse().unwrap()));
    let give_up = |solo: &mut Solo| solo.node.command(solo.now, Command::Disconnect(addr.parse().unwrap()));
    assert_eq!(give_up(&mut solo), Err(CommandError::NoSuchTarget));
    connect(&mut solo).unwrap();
    assert_eq!(solo.node.status().targets[0].state, TargetState::Dialing);
    assert!(solo.dialed_in(Duration::from_secs(60)).len() > 3, "it is dialed again and again");
    let target = solo.node.status().targets.remove(0);
    assert_eq!(target.failure, Some(TargetFailure::Unreachable(DialError::Refused)));
    assert!(
        matches!(target.state, TargetState::Waiting(wait) if wait <= Duration::from_secs(8)),
        "{target:?}"
    );

    give_up(&mut solo).unwrap();
    assert_eq!(give_up(&mut solo), Err(CommandError::NoSuchTarget));
    assert_eq!(solo.node.status().targets, []);
    assert_eq!(solo.dialed_in(Duration::from_secs(600)), [""; 0]);

    connect(&mut solo).unwrap();
    assert_eq!(solo.node.status().targets[0].failure, None);
    let dial = solo.drain().iter().find_map(|action| match action {
        Action::Dial { dial, .. } => Some(*dial),
        _ => None,
    });
    give_up(&mut solo).unwrap();
    let cancelled = solo.drain();
    assert!(
        cancelled.iter().any(|action| matches!(action, Action::CancelDial { dial: it } if Some(*it) == dial))
    );
}

#[test]
fn addresses_that_were_given_up_leave_room_for_others() {
    let mut solo = solo_with(|limits| limits.mesh.targets = 2);
    let addr = |n: u16| format!("192.0.2.1:{n}");
    let mut connect = |n| solo.node.command(solo.now, Command::Connect(addr(n).parse().unwrap()));
    assert!(connect(1).is_ok() && connect(2).is_ok());
    assert_eq!(connect(3), Err(CommandError::TooManyTargets));
    solo.node.command(solo.now, Command::Disconnect(addr(1).parse().unwrap())).unwrap();
    let mut connect = |n| solo.node.command(solo.now, Command::Connect(addr(n).parse().unwrap()));
    assert!(connect(3).is_ok());
    assert_eq!(connect(1), Err(CommandError::TooManyTargets), "its place is taken");
}

#[test]
fn the_first_address_that_a_linked_peer_tells_later_is_announced_and_dialed_once_the_link_has_ended() {
    let mut solo = solo_at("9.9.9.1:8080", None);
    solo.join_from(1, "9.9.9.2", "9.9.9.2:8080");
    let peer = Identity::from_secret(&[8; 32]);
    solo.input(Input::accepted(ConnId(2), SocketAddr::from(([9, 9, 9, 3], 50_000))));
    solo.receive(2, &join_keyed(&peer, 2, r#""uname":"Eve","links":0"#));
    let linked = solo.prove_key(&peer, 2);
    assert_eq!((told(&linked, 1), solo.node.status().book.known), (String::new(), 1));

    // Connection 1 is told of each address that is announced.
    let mut join_again = |addr: &str| {
        let fields = format!(r#""uname":"Eve","links":0,"listen_addr":"{addr}""#);
        let mut actions = solo.receive(2, &join_keyed(&peer, 2, &fields));
        actions.extend(solo.settle(1));
        told(&actions, 1)
    };
    let announced = join_again("9.9.9.3:8080");
    assert!(
        announced.contains("9.9.9.3:8080") && announced.contains(&peer.node_id().to_string()),
        "{announced}"
    );
    for n in 0..10 {
        assert_eq!(join_again(&format!("9.9.9.3:{}", 9_000 + n)), "", "only the first one is announced");
    }
    assert_eq!(solo.node.status().book.known, 2, "one address of each peer");

    solo.input(Input::closed(ConnId(2)));
    let dialed = solo.dialed_in(SECOND * 20);
    assert!(!dialed.is_empty() && dialed.iter().all(|addr| addr == "9.9.9.3:8080"), "{dialed:?}");
}
