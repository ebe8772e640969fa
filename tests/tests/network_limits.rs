//! Limits of links, dials, addresses and queues at one below, at and one above them, with what they count. Those of entries
//! are in `network_limits_entries.rs`; those of lines and names in `wire_properties.rs` and beside the decoder; what is remembered
//! of epochs, gaps, evicted and asked entries, backoffs and shunned peers beside the code that keeps it, in `proto-core`.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    Action, ChatText, Command, CommandError, Config, ConfigError, ConnId, DialError, Identity, Input,
    Instant, LeaveReason, Limits, Name, Node, Outcome,
};

const SECOND: Duration = Duration::from_secs(1);

/// A node, spoken to directly.
struct Solo {
    node: Node,
    now: Instant,
    actions: Vec<Action>,
}

fn solo(limits: Limits) -> Solo {
    let mut config = Config::new("Me".parse().unwrap());
    config.limits = limits;
    let node = Node::new(config, Identity::from_secret(&[3; 32]), [3; 32], Instant::ORIGIN).unwrap();
    Solo { node, now: Instant::ORIGIN, actions: Vec::new() }
}

/// Around a limit.
fn around(limit: usize) -> [usize; 3] {
    [limit - 1, limit, limit + 1]
}

impl Solo {
    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        self.actions.extend(std::iter::from_fn(|| self.node.poll_action()));
    }

    fn accept_from(&mut self, conn: usize, host: [u8; 4]) {
        self.input(Input::Accepted { conn: ConnId(conn as u64), remote: SocketAddr::from((host, 40_000)) });
    }

    fn receive(&mut self, conn: usize, text: &str) {
        self.input(Input::Received { conn: ConnId(conn as u64), bytes: text.as_bytes() });
    }

    /// A peer on this machine that joins under an id made of its connection's number.
    fn join(&mut self, conn: usize) {
        self.join_from(conn, [127, 0, 0, 1]);
    }

    fn join_from(&mut self, conn: usize, host: [u8; 4]) {
        self.accept_from(conn, host);
        let id = format!("00000000-0000-4000-8000-{conn:012}");
        self.receive(conn, &format!("JOIN|{{\"node_id\":\"{id}\",\"v\":2,\"nonce\":\"n\",\"links\":0}}\n"));
    }

    /// Takes what is sent on a connection until nothing is left.
    fn read(&mut self, conn: usize) {
        loop {
            let before = self.actions.len();
            self.input(Input::Flushed { conn: ConnId(conn as u64) });
            if self.actions.len() == before {
                return;
            }
        }
    }

    fn say(&mut self, len: usize) -> Result<(), CommandError> {
        let result =
            self.node.command(self.now, Command::Say(vec![ChatText::new("x".repeat(len - 5)).unwrap()]));
        self.actions.extend(std::iter::from_fn(|| self.node.poll_action()));
        result.map(drop)
    }

    fn peers(&self) -> usize {
        self.node.peers().count()
    }

    fn count(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|action| wanted(action)).count()
    }

    fn dials(&self) -> usize {
        self.count(|action| matches!(action, Action::Dial { .. }))
    }
}

fn records(count: usize) -> String {
    let records: Vec<_> =
        (0..count).map(|n| format!("{{\"listen_addr\":\"127.0.{}.{}:9000\"}}", n / 250, n % 250)).collect();
    format!("PEERS|{}\n", records.join(";"))
}

#[test]
fn pending_connections() {
    let limit = Limits::default().pending;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        (0..count).for_each(|conn| solo.accept_from(conn, [127, 0, 0, 1]));
        assert_eq!(solo.node.connections(), count.min(limit));
        assert_eq!(solo.node.stats().evicted as usize, count.saturating_sub(limit));
    }
}

#[test]
fn the_pending_connection_that_makes_room_is_the_oldest_silent_one_else_the_oldest() {
    let mut solo = solo(Limits { pending: 2, ..Limits::default() });
    solo.accept_from(0, [127, 0, 0, 1]);
    solo.accept_from(1, [127, 0, 0, 1]);
    solo.now = solo.now + 2 * SECOND;
    solo.receive(0, "J");
    solo.accept_from(2, [127, 0, 0, 1]);
    solo.accept_from(3, [127, 0, 0, 1]);
    let aborted = solo.actions.iter().filter_map(|action| match action {
        Action::Abort { conn } => Some(conn.0),
        _ => None,
    });
    assert_eq!(aborted.collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn held_connections_and_those_kept_for_own_dials() {
    let Limits { held, reserved_outbound, .. } = Limits::default();
    for count in around(held - reserved_outbound) {
        let mut solo = solo(Limits::default());
        (0..count).for_each(|conn| solo.join(conn));
        let turned_away = count.saturating_sub(held - reserved_outbound);
        assert_eq!(solo.peers(), count - turned_away);
        assert_eq!(solo.node.stats().turned_away as usize, turned_away);
    }
}

#[test]
fn first_byte_and_greeting() {
    let limits = Limits::default();
    for (time, speaks) in [(limits.first_byte, false), (limits.greeting, true)] {
        let mut solo = solo(limits.clone());
        solo.accept_from(0, [127, 0, 0, 1]);
        if speaks {
            solo.receive(0, "J");
        }
        for (at, gone) in [(time - Duration::from_nanos(1), false), (time, true)] {
            solo.now = Instant::ORIGIN + at;
            solo.input(Input::Timeout);
            assert_eq!(solo.count(|action| matches!(action, Action::Close { .. })) == 1, gone, "{at:?}");
        }
        assert_eq!(solo.node.stats().violations, 1);
    }
}

#[test]
fn entries_of_peers_that_are_read_and_new_addresses_of_one_link() {
    let limit = Limits::default().peers_read;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.node.stats().learned as usize, count.min(limit), "{count}");
    }
    let burst = Limits::default().learn_burst as usize;
    for count in around(burst) {
        let mut solo = solo(Limits { peers_read: 200, book_per_source: 200, ..Limits::default() });
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.node.stats().learned as usize, count.min(burst), "{count}");
        assert_eq!(solo.node.stats().passed_over as usize, count.saturating_sub(burst), "{count}");
        solo.now = solo.now + Limits::default().learn_every;
        solo.receive(0, &records(200));
        assert_eq!(solo.node.stats().learned as usize, burst + 1, "one more: {count}");
    }
}

#[test]
fn entries_of_peers_that_are_sent_and_peers_told_of_a_newcomer() {
    let limit = Limits::default().peers_sent;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        for conn in 0..count {
            solo.join(conn);
            let again = format!(
                "JOIN|{{\"node_id\":\"00000000-0000-4000-8000-{conn:012}\",\"listen_addr\":\"127.0.0.1:90{conn:02}\"}}\n"
            );
            solo.receive(conn, &again);
            solo.read(conn);
        }
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
    let Limits { dials, dial_burst, dial_every, .. } = Limits::default();
    for count in around(dials) {
        let mut solo = solo(Limits::default());
        solo.join(0);
        solo.receive(0, &records(count));
        assert_eq!(solo.dials(), count.min(dials));
    }
    for count in around(dial_burst as usize) {
        let mut solo = solo(Limits { dials: 100, ..Limits::default() });
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
    solo.input(Input::DialFailed { dial, reason: DialError::Refused });
    solo.input(Input::Connected { dial, conn: ConnId(7) });
    assert_eq!(solo.actions.last(), Some(&Action::Abort { conn: ConnId(7) }));
    assert_eq!(solo.node.connections(), 0);
}

#[test]
fn addresses_of_the_user() {
    let limit = Limits::default().targets;
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
fn frames_and_bytes_a_second_from_beyond_this_machine() {
    let limits = Limits::default();
    let pauses = |solo: &Solo| solo.count(|action| matches!(action, Action::PauseReading { .. }));
    for count in around(limits.frames_burst as usize) {
        let mut solo = solo(limits.clone());
        solo.join_from(0, [9, 9, 9, 9]);
        // The JOIN was one of them.
        solo.receive(0, &"MSG|x\n".repeat(count - 1));
        assert_eq!(pauses(&solo) == 1, count >= limits.frames_burst as usize, "{count}");
        assert_eq!(solo.count(|action| matches!(action, Action::Deliver { .. })), count - 1, "none is lost");
        solo.now = solo.now + SECOND / limits.frames_per_second * 2;
        solo.input(Input::Timeout);
        assert_eq!(solo.count(|action| matches!(action, Action::ResumeReading { .. })), pauses(&solo));
    }
    for host in [[127, 0, 0, 1], [9, 9, 9, 9]] {
        let mut solo = solo(limits.clone());
        solo.join_from(0, host);
        (0..17).for_each(|_| solo.receive(0, &format!("MSG|{}\n", "x".repeat(65_000))));
        assert_eq!(pauses(&solo), usize::from(host[0] == 9), "this machine is trusted with more");
    }
}

#[test]
fn an_output_queue_is_full_at_one_mebibyte() {
    let limit = Limits::default().queue;
    for size in around(limit) {
        let mut solo = solo(Limits::default());
        solo.join(0);
        solo.read(0);
        let mut said = 0;
        while size - said > 60_000 {
            solo.say(50_000).unwrap();
            said += 50_000;
        }
        assert_eq!(solo.say(size - said), if size > limit { Err(CommandError::Busy) } else { Ok(()) });
        assert_eq!(solo.node.stats().busy, u64::from(size > limit));
    }
}

#[test]
fn a_queue_that_nobody_waits_for_is_cut_at_eight_mebibytes() {
    let limit = Limits::default().queue_hard;
    for size in around(limit) {
        let mut solo = solo(Limits { stalled: 100 * SECOND, ..Limits::default() });
        solo.join(0);
        solo.read(0);
        let mut said = 0;
        while size - said > 60_000 {
            if solo.say(50_000).is_ok() {
                said += 50_000;
            } else {
                solo.now = solo.now + 2 * SECOND;
            }
        }
        assert_eq!(solo.say(size - said), Ok(()));
        assert_eq!(solo.peers() == 0, size > limit, "{size}");
        assert_eq!(solo.node.stats().slow, u64::from(size > limit));
    }
}

#[test]
fn a_link_over_its_queue_is_cut_when_all_queues_together_are_over_theirs() {
    let mut solo = solo(Limits { stalled: 100 * SECOND, queues: 4 * 1024 * 1024, ..Limits::default() });
    (0..2).for_each(|conn| solo.join(conn));
    solo.read(0);
    let mut said = 0;
    while solo.peers() == 2 {
        match solo.say(50_000) {
            Ok(()) => said += 50_000,
            Err(_) => solo.now = solo.now + 2 * SECOND,
        }
        assert!(said < 5_000_000, "nobody was cut");
    }
    assert!((2 * 1024 * 1024 - 50_000..=2 * 1024 * 1024 + 50_000).contains(&said), "{said}");
}

#[test]
fn the_link_with_the_longest_queue_is_cut_when_all_buffers_are_full() {
    let mut solo = solo(Limits { buffers: 2 * 1024 * 1024, ..Limits::default() });
    (0..4).for_each(|conn| solo.join(conn));
    (0..3).for_each(|conn| solo.read(conn));
    for _ in 0..11 {
        solo.say(50_000).unwrap();
    }
    assert_eq!(solo.peers(), 3);
    let reasons = solo.actions.iter().filter_map(|action| match action {
        Action::UnregisterPeer { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [LeaveReason::NoRoom]);
    assert!(solo.node.buffered() <= 2 * 1024 * 1024);
}

#[test]
fn what_cannot_work_is_no_config() {
    type Change = fn(&mut Limits);
    let cases: [(Change, ConfigError); 10] = [
        (|limits| limits.held = 0, ConfigError::Zero("held")),
        (|limits| limits.chunk = 0, ConfigError::Zero("chunk")),
        (|limits| limits.backoff_min = Duration::ZERO, ConfigError::Zero("backoff_min")),
        (|limits| limits.queue = 1000, ConfigError::Order { low: "line", high: "queue / 2" }),
        (|limits| limits.dead = SECOND, ConfigError::Order { low: "ping_idle", high: "dead" }),
        (|limits| limits.degree_low = 0, ConfigError::Zero("degree_low")),
        (|limits| limits.degree_low = 9, ConfigError::Order { low: "degree_low", high: "degree_target" }),
        (|limits| limits.degree_high = 7, ConfigError::Order { low: "degree_target", high: "degree_high" }),
        (
            |limits| limits.degree_high = 118,
            ConfigError::Order { low: "degree_high", high: "held - reserved_outbound" },
        ),
        (|limits| limits.explore_every = Duration::ZERO, ConfigError::Zero("explore_every")),
    ];
    for (change, error) in cases {
        let mut config = Config::new(Name::cut("x").unwrap());
        change(&mut config.limits);
        assert_eq!(
            Node::new(config, Identity::from_secret(&[0; 32]), [0; 32], Instant::ORIGIN).err(),
            Some(error)
        );
    }
}

#[test]
fn a_node_that_stops_says_goodbye_and_is_done_within_a_second() {
    let mut solo = solo(Limits::default());
    solo.join(0);
    solo.accept_from(1, [127, 0, 0, 1]);
    solo.read(0);
    solo.actions.clear();
    solo.node.command(solo.now, Command::Shutdown).unwrap();
    solo.input(Input::Timeout);
    assert!(solo.actions.contains(&Action::Abort { conn: ConnId(1) }), "nothing is owed to who said nothing");
    assert_eq!(
        solo.count(|action| matches!(action, Action::SendFrame { bytes, .. } if bytes == b"BYE|shutdown|\n")),
        1
    );
    assert!(solo.actions.ends_with(&[Action::Close { conn: ConnId(0) }]));
    let gone =
        |action: &Action| matches!(action, Action::UnregisterPeer { reason: LeaveReason::Stopping, .. });
    assert_eq!(solo.count(gone), 1);
    assert_eq!(solo.say(100), Err(CommandError::ShuttingDown));
    solo.now = solo.now + SECOND;
    solo.input(Input::Timeout);
    assert_eq!(solo.node.connections(), 0);
    assert_eq!(solo.node.poll_timeout(), None);
}
