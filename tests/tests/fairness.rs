//! Whose entries stay where somebody says more than fits: nobody loses words because others say too much.
//!
//! All is scaled 1:16 but the entries themselves: the windows, the time in which an author is new, how long it takes, and
//! how much or how many are said. So twenty honest authors say 200 bytes in 20 s each, for a sixteenth of an hour. With
//! `CHAT_SCALE=1` it is the whole hour, with the limits that nodes have.

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use proto_core::{ChatText, ConnId, Draft, Entry, EntryId, Limits, RunPosition};
use tests::sim::harness::Harness;
use tests::sim::hostile::{Keys, behind};
use tests::sim::{HostId, NetConfig};

const STEP: Duration = Duration::from_millis(250);
const NODES: usize = 4;
const HONEST: usize = 20;
const HONEST_BYTES: usize = 200;

/// By how much all is smaller.
fn scale() -> u32 {
    env::var("CHAT_SCALE").map_or(16, |scale| scale.parse().expect("a number"))
}

fn limits() -> Limits {
    Limits::default().with(|limits| {
        limits.chat.log_bytes /= scale() as usize;
        limits.chat.log_entries /= scale() as usize;
        limits.chat.author_new /= scale();
    })
}

fn keys(kind: u8, n: usize) -> Keys {
    let mut secret = [kind; 32];
    secret[..8].copy_from_slice(&n.to_be_bytes());
    Keys::new(secret)
}

/// An author, and where its next entry stands.
struct Author {
    keys: Keys,
    next: RunPosition,
}

impl Author {
    fn new(kind: u8, n: usize) -> Self {
        Self { keys: keys(kind, n), next: RunPosition::FIRST }
    }

    fn says(&mut self, at: u64, bytes: usize) -> Entry {
        let uname = "somebody".parse().unwrap();
        let texts = [ChatText::new("x".repeat(bytes)).unwrap()];
        let entry = self.keys.sign_entry(&Draft::new(1, self.next, at, &uname, &texts, [7; 16]));
        self.next = behind(Some(&entry));
        entry
    }
}

/// In how many steps an hour passes.
fn steps() -> usize {
    (Duration::from_secs(3_600).as_millis() / STEP.as_millis()) as usize / scale() as usize
}

/// A neighbour of a node that brings in entries, and answers what it has to.
struct Mouth {
    peer: HostId,
    conn: ConnId,
    /// How much of what the node said was read.
    read: usize,
}

impl Mouth {
    fn new(net: &mut Harness, node: HostId, n: usize) -> Self {
        let (keys, nonce) = (keys(0xbb, n), format!("n{n}"));
        let peer = net.add_raw_peer();
        let conn = net.connect(peer, node);
        let (id, key) = (keys.node_id(), keys.key());
        let join = format!(r#"{{"node_id":"{id}","v":2,"nonce":"{nonce}","links":9,"key":"{key}"}}"#);
        net.send(conn, format!("JOIN|{join}\n"));
        net.run_for(STEP);
        let said = net.received(peer, conn);
        let theirs = said.split_once("\"nonce\":\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        let proof = keys.proof(&nonce, &theirs, &net.node(node).key().to_string());
        net.send(conn, format!("PROOF|{proof}\n"));
        Self { peer, conn, read: 0 }
    }

    fn brings(&self, net: &mut Harness, entry: &Entry) {
        net.send(self.conn, tests::fuzz::peers::line(&proto_core::wire::Frame::Chat(entry.sealed())));
    }

    /// Answers pings, and reconciliations as one that holds the same.
    fn answer(&mut self, net: &mut Harness) {
        let said = net.received(self.peer, self.conn)[self.read..].to_owned();
        for line in said.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            self.read += line.len();
            if let Some(token) = line.strip_prefix("PING|") {
                net.send(self.conn, format!("PONG|{token}"));
            } else if let Some(sync) = line.trim_end().strip_prefix("SYNC|") {
                net.send(self.conn, format!("SYNC|{}\n", agreeing(sync)));
            }
        }
    }
}

/// The answer to a message of a reconciliation by one that holds the same: all ranges are skipped.
fn agreeing(sync: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let opening = URL_SAFE_NO_PAD.decode(sync).unwrap();
    let mut answer = vec![2];
    answer.extend_from_slice(&opening[1..9]);
    answer.push(0x61);
    URL_SAFE_NO_PAD.encode(answer)
}

/// Whether the nodes hold their neighbours to rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rates {
    /// All are on loopback. What stays is a matter of eviction alone.
    Off,
    /// All are in the internet.
    On,
}

impl Rates {
    const BOTH: [Self; 2] = [Self::Off, Self::On];
}

/// Nodes that hear twenty honest authors, each of which says something each 20 s.
struct Conversation {
    net: Harness,
    limits: Limits,
    nodes: Vec<HostId>,
    mouths: Vec<Mouth>,
    honest: Vec<Author>,
    said: Vec<EntryId>,
}

impl Conversation {
    fn new(rates: Rates, limits: Limits) -> Self {
        let mut net = match rates {
            Rates::Off => Harness::with_config(1, NetConfig::default()),
            Rates::On => Harness::in_the_internet(1, NetConfig::default()),
        };
        let mut nodes: Vec<HostId> = Vec::new();
        for n in 0..NODES {
            let before: Vec<_> = nodes.last().map(|index| net.addr(*index)).into_iter().collect();
            nodes.push(net.add_node_with(&format!("n{n}"), &before, limits.clone()));
        }
        net.run_for(Duration::from_secs(5));
        let mouths = nodes.iter().map(|node| Mouth::new(&mut net, *node, *node as usize)).collect();
        let honest = (0..HONEST).map(|n| Author::new(0xaa, n)).collect();
        Self { net, limits, nodes, mouths, honest, said: Vec::new() }
    }

    fn unix_ms(&self) -> u64 {
        self.net.world.unix_ms()
    }

    /// An hour against those who come by these links: `attack` says what they bring in a step, and by which link.
    fn hour(&mut self, links: usize, mut attack: impl FnMut(usize, u64) -> Vec<(usize, Entry)>) {
        let mut hostile: Vec<_> =
            (0..links).map(|n| Mouth::new(&mut self.net, self.nodes[n], 100 + n)).collect();
        let steps = steps();
        let turn = (Duration::from_secs(20).as_millis() / STEP.as_millis()) as usize / HONEST;
        for step in 0..steps {
            let at = self.unix_ms();
            if step % turn == 0 {
                let n = step / turn % HONEST;
                let entry = self.honest[n].says(at, HONEST_BYTES);
                self.said.push(entry.id());
                self.mouths[n % NODES].brings(&mut self.net, &entry);
            }
            for (link, entry) in attack(step, at) {
                hostile[link].brings(&mut self.net, &entry);
            }
            if step == steps * 5 / 6 {
                let addr = self.net.addr(self.nodes[NODES - 1]);
                self.nodes.push(self.net.add_node_with("late", &[addr], self.limits.clone()));
            }
            self.pass(&mut hostile);
        }
        (0..40).for_each(|_| self.pass(&mut hostile));
        let open = |mouth: &Mouth| self.net.conns(mouth.peer).contains(&mouth.conn);
        assert!(hostile.iter().all(open), "who keeps within the rules was cut");
    }

    fn pass(&mut self, hostile: &mut [Mouth]) {
        self.net.run_for(STEP);
        self.mouths.iter_mut().chain(hostile).for_each(|mouth| mouth.answer(&mut self.net));
    }

    /// Of a hundred entries of the honest, how many the node that holds fewest holds.
    fn held_everywhere(&self) -> usize {
        let held_by = |node: &HostId| {
            let held: BTreeSet<_> = self.net.node(*node).entries().map(|entry| entry.id()).collect();
            self.said.iter().filter(|id| held.contains(id)).count() * 100 / self.said.len()
        };
        assert_eq!(self.nodes.len(), NODES + 1, "one joined late");
        self.nodes.iter().map(held_by).min().unwrap()
    }

    /// The fewest entries of the honest that a node has shown, of those that were there all the time.
    fn shown_everywhere(&self) -> usize {
        let shown_by = |node: &HostId| {
            let heard = &self.net.transcript(*node).heard;
            heard.iter().filter(|(_, text)| text.len() == HONEST_BYTES).count()
        };
        self.nodes[..NODES].iter().map(shown_by).min().unwrap()
    }

    /// How often a node had to evict.
    fn evicted(&self) -> u64 {
        self.nodes[..NODES].iter().map(|node| self.net.node(*node).stats().entries_evicted).min().unwrap()
    }
}

/// An hour of this, with and without rates.
fn expect_fair<A: FnMut(usize, u64) -> Vec<(usize, Entry)>>(links: usize, attack: impl Fn() -> A) {
    for rates in Rates::BOTH {
        let mut talk = Conversation::new(rates, limits());
        talk.hour(links, attack());
        let (evicted, held) = (talk.evicted(), talk.held_everywhere());
        println!("rates {rates:?}: {evicted} evicted, {held} of 100 held");
        let least = if rates == Rates::Off { 500 } else { 50 };
        assert!(evicted > least, "rates {rates:?}: {evicted}");
        assert!(held >= 90, "rates {rates:?}: {held} of 100");
    }
}

#[test]
fn one_key_that_says_as_much_as_it_can_loses_its_own_words() {
    expect_fair(1, || {
        let mut mallory = Author::new(0xcc, 0);
        move |_, at| vec![(0, mallory.says(at, 61_000))]
    });
}

#[test]
fn two_hundred_keys_over_three_links_lose_their_own_words() {
    expect_fair(3, || {
        let mut many: Vec<_> = (0..200).map(|n| Author::new(0xcc, n)).collect();
        move |step: usize, at| {
            let mut says = |link: usize| many[(3 * step + link) % 200].says(at, 61_000);
            (0..3).map(|link| (link, says(link))).collect()
        }
    });
}

#[test]
fn twenty_thousand_keys_displace_each_other() {
    let (keys, steps) = (20_000 / scale() as usize, steps());
    expect_fair(1, || {
        |step: usize, at: u64| {
            let new = step * keys / steps..(step + 1) * keys / steps;
            new.map(|n| (0, Author::new(0xcc, n).says(at, 10))).collect()
        }
    });
}

#[test]
fn dates_ahead_mute_nobody() {
    // Whatever comes evicts something.
    let limits = limits().with(|limits| limits.chat.log_entries = 40);
    for (ahead_ms, rates) in
        [9_000, 118_000].into_iter().flat_map(|ahead| Rates::BOTH.map(|rates| (ahead, rates)))
    {
        let mut talk = Conversation::new(rates, limits.clone());
        let mut mallory = Author::new(0xcc, 0);
        talk.hour(1, |_, at| vec![(0, mallory.says(at + ahead_ms, 10))]);
        assert!(talk.evicted() > 100, "{}", talk.evicted());
        assert_eq!(talk.shown_everywhere(), talk.said.len(), "{ahead_ms} ms ahead, rates {rates:?}");
    }
}
