//! Dials, and the addresses that peers tell.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{Action, Command, ConnId, DialError, Input, Instant, Limits, MeshLimits, Outcome};

use crate::solo::{ELSEWHERE, SECOND, Solo, around, join_line, records, solo, solo_of, up_to};

#[test]
fn entries_of_peers_that_are_read_and_new_addresses_of_one_link() {
    let limit = Limits::default().wire.peers_read;
    for count in around(limit) {
        let mut solo = solo(Limits::default().with(|limits| {
            limits.mesh.learn_burst = 200;
            limits.mesh.book_per_source = 200;
        }));
        solo.join(0);
        solo.receive(0, &records(count));
        // The rest is not even looked at.
        assert_eq!(
            (solo.stats().learned as usize, solo.stats().addresses_ignored),
            (count.min(limit), 0),
            "{count}"
        );
    }
    let burst = Limits::default().mesh.learn_burst as usize;
    for count in around(burst) {
        let mut solo = solo(Limits::default().with(|limits| {
            limits.wire.peers_read = 200;
            limits.mesh.book_per_source = 200;
        }));
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.node.stats().learned as usize, count.min(burst), "{count}");
        assert_eq!(solo.node.stats().addresses_ignored as usize, count.saturating_sub(burst), "{count}");
        solo.now = solo.now + Limits::default().mesh.learn_every;
        solo.receive(0, &records(200));
        assert_eq!(solo.node.stats().learned as usize, burst + 1, "one more: {count}");
    }
}

#[test]
fn entries_of_peers_that_are_sent_and_peers_told_of_a_newcomer() {
    let limit = Limits::default().conns.peers_sent;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        for conn in 0..count {
            solo.join(conn);
            let again = format!(
                "JOIN|{{\"node_id\":\"00000000-0000-4000-8000-{conn:012}\",\"listen_addr\":\"127.0.0.1:90{conn:02}\"}}\n"
            );
            solo.receive(conn, &again);
        }
        // All read what they were told of each other.
        (0..count).for_each(|conn| solo.read(conn));
        solo.actions.clear();
        let newcomer = format!(
            "JOIN|{{\"node_id\":\"00000000-0000-4000-8000-{:012}\",\"listen_addr\":\"127.0.0.1:8000\",\"v\":2,\"nonce\":\"n\"}}\n",
            999
        );
        solo.accept_from(999, [127, 0, 0, 1]);
        solo.receive(999, &newcomer);
        solo.read(999);
        let peers = |conn: ConnId, bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.lines()
                .filter(|line| line.starts_with("PEERS|"))
                .map(|line| (conn, line.matches("node_id").count()))
                .collect::<Vec<_>>()
        };
        let sent = solo.actions.iter().filter_map(|action| match action {
            Action::SendFrame { conn, bytes } => Some(peers(*conn, bytes)),
            _ => None,
        });
        let sent: Vec<_> = sent.flatten().collect();
        let told = sent.iter().filter(|(conn, _)| conn.0 != 999).count();
        assert_eq!(told, count.min(limit));
        assert!(sent.contains(&(ConnId(999), count.min(limit))), "{sent:?}");
    }
}

#[test]
fn dials_at_once_burst_and_rate() {
    let MeshLimits { dials, dial_burst, dial_every, .. } = MeshLimits::default();
    for count in around(dials) {
        let mut solo = solo(Limits::default());
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.dials(), count.min(dials));
    }
    for count in around(dial_burst as usize) {
        let mut solo = solo(Limits::default().with(|limits| limits.mesh.dials = 100));
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.dials(), count.min(dial_burst as usize));
        solo.now = solo.now + (dial_every - Duration::from_nanos(1));
        solo.input(Input::Timeout);
        assert_eq!(solo.dials(), count.min(dial_burst as usize));
        solo.now = solo.now + Duration::from_nanos(1);
        solo.input(Input::Timeout);
        assert_eq!(solo.dials(), count.min(dial_burst as usize + 1));
    }
}

#[test]
fn a_dial_has_five_seconds() {
    let mut solo = solo(Limits::default());
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9".parse().unwrap())).unwrap();
    solo.input(Input::Timeout);
    for (at, cancelled) in [(5 * SECOND - Duration::from_nanos(1), 0), (5 * SECOND, 1)] {
        solo.now = Instant::ORIGIN + at;
        solo.input(Input::Timeout);
        assert_eq!(solo.count(|action| matches!(action, Action::CancelDial { .. })), cancelled);
    }
    assert_eq!(solo.node.stats().dials_failed, 1);
}

#[test]
fn a_connection_that_comes_after_its_dial_was_given_up_is_dropped() {
    let mut solo = solo(Limits::default());
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9".parse().unwrap())).unwrap();
    solo.input(Input::Timeout);
    let Some(Action::Dial { dial, .. }) = solo.actions.last().cloned() else { panic!("no dial") };
    solo.input(Input::dial_failed(dial, DialError::Refused));
    solo.input(Input::connected(dial, ConnId(7)));
    assert_eq!(solo.actions.last(), Some(&Action::Abort { conn: ConnId(7) }));
    assert_eq!(solo.node.connections(), 0);
}

#[test]
fn addresses_of_the_user() {
    let limit = Limits::default().mesh.targets;
    let mut solo = solo(Limits::default());
    for port in 1..=limit + 1 {
        let added = solo
            .node
            .command(solo.now, Command::Connect(SocketAddr::from(([127, 0, 0, 1], port as u16)).into()));
        assert_eq!(added.is_ok(), port <= limit, "{port}");
    }
    let again = solo.node.command(solo.now, Command::Connect("127.0.0.1:1".parse().unwrap()));
    assert_eq!(again, Ok(Outcome::Done), "one that is there takes no place");
}

#[test]
fn addresses_of_one_source() {
    let limit = Limits::default().mesh.book_per_source;
    for count in around(limit) {
        let mut solo = solo(Limits::default().with(|limits| {
            limits.wire.peers_read = 200;
            limits.mesh.learn_burst = 200;
        }));
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(
            (solo.stats().learned as usize, solo.stats().addresses_ignored as usize),
            (count.min(limit), count.saturating_sub(limit))
        );
    }
}

/// Addresses, each in a network of its own.
fn in_networks(numbers: std::ops::Range<usize>) -> String {
    let records: Vec<_> = numbers.map(|n| format!("{{\"listen_addr\":\"127.1.{n}.1:9000\"}}")).collect();
    format!("PEERS|{}\n", records.join(";"))
}

#[test]
fn addresses_in_the_book() {
    let limits = Limits::default().with(|limits| {
        limits.mesh.book = 70;
        limits.mesh.learn_burst = 200;
    });
    for count in around(limits.mesh.book) {
        let mut solo = solo(limits.clone());
        (0..2).for_each(|conn| solo.join(conn));
        // No network has so many that it makes room (SPEC 5.12.4).
        solo.receive(0, &in_networks(0..40));
        solo.receive(1, &in_networks(40..count));
        assert_eq!(solo.node.status().book.known, count.min(70));
        assert_eq!(solo.stats().addresses_ignored as usize, count.saturating_sub(70));
    }
}

#[test]
fn a_link_that_lasted_so_long_takes_the_backoff_back_to_the_start() {
    let limits = Limits::default();
    for (lasted, reset) in up_to(limits.mesh.backoff_reset) {
        // Delays are drawn from nothing to the bound.
        let longest = (0..20).map(|seed| redialed_after(seed, lasted)).max().unwrap();
        assert_eq!(longest <= limits.mesh.backoff_min, reset, "{lasted:?}: {longest:?}");
    }
}

/// How long a node waits that dialed in vain six times, then had a link for this time, and lost it.
fn redialed_after(seed: u8, lasted: Duration) -> Duration {
    let mut solo = solo_of(seed, Limits::default());
    solo.connect("127.0.0.1:9000");
    for _ in 0..6 {
        let Some(Action::Dial { dial, .. }) = solo.actions.pop() else { panic!("no dial") };
        solo.input(Input::dial_failed(dial, DialError::Refused));
        while solo.dials() == 0 {
            solo.at(solo.node.poll_timeout().unwrap().0.since_origin());
        }
    }
    solo.dialed(0);
    solo.receive(0, &join_line(0));
    solo.read(0);
    let start = solo.now.since_origin();
    for time in (0..lasted.as_secs()).step_by(10).map(Duration::from_secs).chain([lasted]) {
        solo.at(start + time);
        solo.receive(0, "\n");
        solo.read(0);
    }
    solo.actions.clear();
    solo.close(0);
    while solo.dials() == 0 {
        solo.at(solo.node.poll_timeout().unwrap().0.since_origin());
    }
    solo.now.since_origin() - start - lasted
}

/// Fails all dials that begin: which addresses were dialed.
fn fail_dials(solo: &mut Solo) -> Vec<SocketAddr> {
    let mut dialed = Vec::new();
    while let Some(at) = solo.actions.iter().position(|action| matches!(action, Action::Dial { .. })) {
        if let Action::Dial { dial, addr, .. } = solo.actions.swap_remove(at) {
            dialed.push(addr);
            solo.input(Input::dial_failed(dial, DialError::Refused));
        }
    }
    dialed
}

#[test]
fn dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller() {
    let limits = Limits::default().with(|limits| {
        limits.wire.peers_read = 200;
        limits.mesh.learn_burst = 200;
        limits.mesh.book_per_source = 200;
        limits.mesh.dial_burst = 1_000;
        limits.mesh.dial_every = Duration::ZERO;
    });
    let MeshLimits { host_dials, host_dial_every, net_dials, net_dial_every, .. } = limits.mesh;
    let MeshLimits { teller_dials, teller_dial_every, .. } = limits.mesh;
    type Addr = fn(u8) -> ([u8; 4], u16);
    let cases: [(Addr, u32, Duration); 3] = [
        (|n| ([8, 8, 8, 8], 9_000 + u16::from(n)), host_dials, host_dial_every),
        (|n| ([8, 8, 8, n], 9_000), net_dials, net_dial_every),
        (|n| ([8, n, 8, 8], 9_000), teller_dials, teller_dial_every),
    ];
    for (addr, burst, every) in cases {
        let mut solo = solo(limits.clone());
        solo.join_from(0, ELSEWHERE);
        let record = |n| format!("{{\"listen_addr\":\"{}\"}}", SocketAddr::from(addr(n)));
        let records: Vec<_> = (0..100).map(record).collect();
        solo.receive(0, &format!("PEERS|{}\n", records.join(";")));
        let mut dialed = fail_dials(&mut solo);
        assert_eq!(dialed.len(), burst as usize);
        for (time, more) in up_to(every) {
            let (end, mut wakes) = (Instant::from_origin(time), 0);
            while let Some((at, _)) = solo.node.poll_timeout().filter(|(at, _)| *at <= end) {
                solo.now = solo.now.max(at);
                solo.input(Input::Timeout);
                dialed.extend(fail_dials(&mut solo));
                wakes += 1;
                assert!(wakes < 2_000, "it is woken again and again");
            }
            assert_eq!(dialed.len(), burst as usize + usize::from(more), "{time:?}");
        }
        assert!(solo.stats().dials_postponed > 0);
        assert_eq!(solo.stats().dials, u64::from(burst) + 1);
    }
}
