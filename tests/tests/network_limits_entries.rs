//! Each limit of what peers with a key say, at one below, at and one above it, with what it counts.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{
    Action, ChatText, Config, ConnId, Draft, EntriesStatus, Entry, Identity, Input, Instant, Limits, Name,
    Node,
};
use serde_json::{Value, json};
use tests::fuzz::peers::line;
use tests::sim::hostile::Keys;

const SECOND: Duration = Duration::from_secs(1);

/// When the node's clock is set, in milliseconds since the Unix epoch.
const UNIX_MS: u64 = 1_800_000_000_000;

/// A node to which peers with keys are linked from beyond this machine, each on the connection of its number.
struct Solo {
    node: Node,
    now: Instant,
    actions: Vec<Action>,
}

fn keys(number: u8) -> Keys {
    Keys::new([number; 32])
}

fn solo(limits: Limits, peers: u8) -> Solo {
    let mut config = Config::new("Me".parse().unwrap());
    config.limits = limits;
    let node = Node::new(config, Identity::from_secret(&[200; 32]), [3; 32], Instant::ORIGIN).unwrap();
    let mut solo = Solo { node, now: Instant::ORIGIN, actions: Vec::new() };
    solo.input(Input::WallClock { unix_ms: UNIX_MS });
    (0..peers).for_each(|peer| solo.join(peer));
    assert_eq!(solo.node.peers().filter(|peer| peer.key.is_some()).count(), usize::from(peers));
    solo
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

    fn receive(&mut self, peer: u8, bytes: &[u8]) {
        self.input(Input::Received { conn: ConnId(peer.into()), bytes });
    }

    fn join(&mut self, peer: u8) {
        let (conn, keys) = (ConnId(peer.into()), keys(peer));
        self.input(Input::Accepted { conn, remote: SocketAddr::from(([10, 0, 0, peer], 40_000)) });
        let join = json!({"node_id": keys.node_id(), "uname": "Eve", "v": 2, "nonce": "n", "links": 0, "key": keys.key()});
        self.receive(peer, format!("JOIN|{join}\n").as_bytes());
        let sent: Vec<u8> =
            self.actions.iter().flat_map(|action| self.bytes_to(conn, action)).copied().collect();
        let sent = String::from_utf8(sent).unwrap();
        let theirs = sent.lines().find_map(|line| line.strip_prefix("JOIN|")).unwrap();
        let theirs: Value = serde_json::from_str(theirs).unwrap();
        let text = |key: &str| theirs[key].as_str().unwrap();
        let proof = keys.proof("n", text("nonce"), text("key"));
        self.receive(peer, format!("PROOF|{proof}\nPEERS|\n").as_bytes());
        self.flush(peer);
    }

    fn bytes_to<'a>(&self, to: ConnId, action: &'a Action) -> &'a [u8] {
        match action {
            Action::SendFrame { conn, bytes } if *conn == to => bytes,
            _ => &[],
        }
    }

    /// Takes what is sent on a connection until nothing is left.
    fn flush(&mut self, peer: u8) {
        loop {
            let before = self.actions.len();
            self.input(Input::Flushed { conn: ConnId(peer.into()) });
            if self.actions.len() == before {
                return;
            }
        }
    }

    /// The first peer brings an entry of this author.
    fn hear(&mut self, author: u8, seq: u64, at: u64) {
        self.receive(0, &line(&Frame::Chat(entry(author, seq, at).sealed())));
    }

    fn entries(&self) -> EntriesStatus {
        self.node.status().entries
    }
}

fn entry(author: u8, seq: u64, at: u64) -> Entry {
    let uname: Name = "Eve".parse().unwrap();
    let texts = [ChatText::new(format!("{seq:04} of {author:03}")).unwrap()];
    let draft = Draft { epoch: 1, seq, at, uname: &uname, texts: &texts, to: &[], via: None };
    keys(author).sign_entry(&draft)
}

#[test]
fn entries_of_an_author_at_once_and_a_second() {
    let limit = Limits::default().entries_burst as usize;
    let every = SECOND / Limits::default().entries_per_second;
    for count in around(limit) {
        let mut solo = solo(Limits::default(), 1);
        (0..count as u64).for_each(|seq| solo.hear(100, seq, UNIX_MS + seq));
        let over = count.saturating_sub(limit);
        assert_eq!((solo.entries().held, solo.node.stats().entries_over_rate as usize), (count - over, over));
        // Another author's have a rate of their own.
        solo.hear(101, 0, UNIX_MS);
        assert_eq!(solo.entries().held, count - over + 1);
    }
    let mut solo = solo(Limits::default(), 1);
    (0..limit as u64).for_each(|seq| solo.hear(100, seq, UNIX_MS + seq));
    for (wait, held) in [(every - Duration::from_nanos(1), limit), (Duration::from_nanos(1), limit + 1)] {
        solo.now = solo.now + wait;
        solo.hear(100, limit as u64, UNIX_MS + limit as u64);
        assert_eq!(solo.entries().held, held, "what was over the rate may come again");
    }
}

#[test]
fn entries_that_wait_for_others_of_all_authors() {
    let limits = Limits { early: 6, early_per_author: 3, ..Limits::default() };
    for count in around(limits.early) {
        let mut solo = solo(limits.clone(), 1);
        // Each author's first is here, so that those behind its second wait for that.
        for author in 100..103 {
            solo.hear(author, 0, UNIX_MS);
        }
        (0..count as u64).for_each(|n| solo.hear(100 + (n % 3) as u8, 2 + n / 3, UNIX_MS + n));
        assert_eq!(solo.entries().early, count.min(limits.early));
        assert_eq!(solo.node.stats().entries_dropped as usize, count.saturating_sub(limits.early));
    }
}

#[test]
fn entries_of_one_author_that_wait_for_others() {
    let limits = Limits { early: 20, early_per_author: 5, ..Limits::default() };
    for count in around(limits.early_per_author) {
        let mut solo = solo(limits.clone(), 1);
        solo.hear(100, 0, UNIX_MS);
        (0..count as u64).for_each(|n| solo.hear(100, 2 + n, UNIX_MS + n));
        assert_eq!(solo.entries().early, count.min(limits.early_per_author));
        assert_eq!(solo.node.stats().entries_dropped as usize, count.saturating_sub(limits.early_per_author));
    }
}

#[test]
fn entries_dated_too_far_ahead() {
    let limits = Limits { parked: 5, ..Limits::default() };
    let tolerance = limits.clock_tolerance.as_millis() as u64;
    for count in around(limits.parked) {
        let mut solo = solo(limits.clone(), 1);
        (0..count as u64).for_each(|n| solo.hear(100 + n as u8, 0, UNIX_MS + tolerance + 60_000 + n));
        assert_eq!(solo.entries().parked, count.min(limits.parked));
        assert_eq!(solo.node.stats().entries_dropped as usize, count.saturating_sub(limits.parked));
    }
    for (ahead, parked) in [(tolerance - 1, 0), (tolerance, 0), (tolerance + 1, 1)] {
        let mut solo = solo(limits.clone(), 1);
        solo.hear(100, 0, UNIX_MS + ahead);
        assert_eq!(solo.entries().parked, parked, "{ahead} ms ahead");
    }
}

#[test]
fn entries_held_and_their_bytes() {
    let limits = Limits { log_entries: 5, early: 5, early_per_author: 5, ..Limits::default() };
    for count in around(limits.log_entries) {
        let mut solo = solo(limits.clone(), 1);
        (0..count as u64).for_each(|seq| solo.hear(100, seq, UNIX_MS + seq));
        assert_eq!(solo.entries().held, count.min(limits.log_entries));
        let oldest = solo.node.entries().next().unwrap().seq() as usize;
        assert_eq!(oldest, count.saturating_sub(limits.log_entries), "the oldest goes");
    }
    // The bytes have to be enough for a line.
    let line = Limits::default().line_before_join;
    let size = entry(100, 100, UNIX_MS).size();
    let most = line / size + 1;
    for (log_bytes, held) in [(most * size - 1, most - 1), (most * size, most), (most * size + 1, most)] {
        let mut solo = solo(Limits { line, log_bytes, ..Limits::default() }, 1);
        (0..=most as u64).for_each(|n| solo.hear(100, 100 + n, UNIX_MS + n));
        assert_eq!((solo.entries().held, solo.entries().bytes), (held, held * size));
    }
}

#[test]
fn authors_whose_order_is_known() {
    let limits = Limits { authors: 4, log_entries: 4, early: 4, early_per_author: 4, ..Limits::default() };
    for count in around(limits.authors) {
        let mut solo = solo(limits.clone(), 1);
        (0..count as u64).for_each(|n| solo.hear(100 + n as u8, 0, UNIX_MS + n));
        assert_eq!(solo.entries().authors, count.min(limits.authors));
    }
}

#[test]
fn ids_that_came_lately() {
    let limits = Limits { seen: 4, ..Limits::default() };
    for count in around(limits.seen) {
        let mut solo = solo(limits.clone(), 1);
        (0..count as u64).for_each(|n| solo.hear(100, n, UNIX_MS + n));
        assert_eq!(solo.entries().seen, count.min(limits.seen));
    }
    // For so long, where there is room.
    let mut solo = solo(Limits::default(), 1);
    solo.hear(100, 0, UNIX_MS);
    for (wait, seen) in [(Limits::default().seen_for, 2), (Duration::from_nanos(1), 2)] {
        solo.now = solo.now + wait;
        let seq = solo.node.stats().entries;
        solo.hear(100, seq, UNIX_MS + seq);
        assert_eq!(solo.entries().seen, seen);
    }
}

#[test]
fn entries_that_peers_announce() {
    let limits = Limits { missing: 8, missing_per_link: 5, wanted: 3, ..Limits::default() };
    let announce = |solo: &mut Solo, peer: u8, count: usize| {
        let ids: Vec<_> = (0..count).map(|n| entry(peer, n as u64, UNIX_MS).id()).collect();
        solo.receive(peer, &line(&Frame::Ihave(ids)));
    };
    // One peer's: what is over its share is asked for in turn, as after a reconciliation.
    for count in around(limits.missing_per_link) {
        let mut solo = solo(limits.clone(), 1);
        announce(&mut solo, 0, count);
        assert_eq!(solo.entries().awaited, count);
    }
    for count in around(limits.missing_per_link + limits.wanted) {
        let mut solo = solo(limits.clone(), 1);
        announce(&mut solo, 0, count);
        assert_eq!(solo.entries().awaited, count.min(limits.missing_per_link + limits.wanted));
    }
    // Of two: who announced most loses the oldest.
    for count in around(limits.missing - limits.missing_per_link) {
        let mut solo = solo(limits.clone(), 2);
        announce(&mut solo, 0, limits.missing_per_link);
        announce(&mut solo, 1, count);
        assert_eq!(solo.entries().awaited, (limits.missing_per_link + count).min(limits.missing));
    }
}

#[test]
fn a_link_that_takes_nothing() {
    let stalled = Limits::default().stalled;
    for (wait, cut) in
        [(stalled - Duration::from_nanos(1), 0), (stalled, 1), (stalled + Duration::from_nanos(1), 1)]
    {
        let mut solo = solo(Limits::default(), 2);
        solo.actions.clear();
        // Passed on to the second, which does not take it.
        solo.hear(100, 0, UNIX_MS);
        let sent =
            |solo: &Solo| solo.actions.iter().any(|action| !solo.bytes_to(ConnId(1), action).is_empty());
        while !sent(&solo) {
            let (at, _) = solo.node.poll_timeout().unwrap();
            solo.now = at;
            solo.input(Input::Timeout);
            solo.flush(0);
        }
        let out = solo.now;
        while let Some((at, _)) = solo.node.poll_timeout().filter(|(at, _)| *at <= out + wait) {
            solo.now = at;
            // The first is alive.
            solo.receive(0, b"PEERS|\n");
            solo.input(Input::Timeout);
            solo.flush(0);
        }
        assert_eq!(solo.node.stats().slow, cut, "after {wait:?}");
    }
}
