//! Peers that mean harm: they have real keys and greet as the protocol says, and then do one bad thing over and over.
//!
//! They share no code with the node but the signing of entries; the rest is built by the specification.

mod crowd;
mod forks;
mod keys;
mod lure;
mod ranges;
mod strip;
mod tricks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{ConnId, NetworkId, RunPosition};
use serde_json::{Value, json};

use super::{Actor, Dice, Happening, Lines, Nanos, Todo, nanos};

pub use keys::{Keys, PERIOD_MS, SEQUENCE_MS, behind, of_body, position, rank};
pub use tricks::Trick;

use forks::Forks;
use lure::Lures;
use strip::Stripped;

/// How many lines of others it keeps to play with.
const HEARD: usize = 64;

/// How many connections it dials.
const DIALED: usize = 24;

/// A hostile peer.
pub struct Hostile {
    keys: Keys,
    addr: SocketAddr,
    trick: Trick,
    every: Duration,
    dice: Dice,
    /// Wall-clock time at the beginning of the run.
    epoch_ms: u64,
    /// Addresses that it dials.
    targets: Vec<SocketAddr>,
    talks: BTreeMap<ConnId, Talk>,
    /// Entries and other lines that it heard.
    heard: Vec<Vec<u8>>,
    /// Entries that it heard, without their bodies.
    stripped: Stripped,
    /// What it announced of its own.
    lures: Lures,
    /// Keys under which it claims to be the root, the one with the lowest rank last.
    roots: Vec<Keys>,
    /// Ids of others that it heard of.
    ids: Vec<String>,
    /// What it said under its own key, beside the run of `next`.
    said: u64,
    /// Where its next entry stands.
    next: RunPosition,
    /// What it said of runs that it forks.
    forks: Forks,
    /// How often it did the bad thing.
    acts: u64,
    /// How often it does that at most.
    most_acts: u64,
    /// How many connections it has at once, where it is many.
    connections: usize,
}

/// A connection of it.
#[derive(Default)]
struct Talk {
    lines: Lines,
    keys: Option<Keys>,
    nonce: String,
    /// The peer's `JOIN` was answered.
    greeted: bool,
    dialed: Option<SocketAddr>,
}

impl Hostile {
    /// One that knows these addresses.
    pub fn new(
        trick: Trick,
        addr: SocketAddr,
        targets: Vec<SocketAddr>,
        epoch_ms: u64,
        mut dice: Dice,
    ) -> Self {
        let keys = match trick {
            Trick::TakeRoot => Keys::new(Keys::secret_of_low_rank(epoch_ms, 2_000, &mut dice)),
            _ => Keys::new(dice.secret()),
        };
        let every = dice.between(Duration::from_millis(50), Duration::from_secs(2));
        Self {
            keys,
            addr,
            trick,
            every,
            dice,
            epoch_ms,
            targets,
            talks: BTreeMap::new(),
            heard: Vec::new(),
            stripped: Stripped::default(),
            lures: Lures::default(),
            roots: Vec::new(),
            ids: Vec::new(),
            said: 0,
            next: RunPosition::FIRST,
            forks: Forks::default(),
            acts: 0,
            most_acts: u64::MAX,
            connections: crowd::CONNECTIONS,
        }
    }

    /// One that does the bad thing so often at most of its own accord. After that it keeps its links, and answers as before.
    pub fn at_most(self, most_acts: u64) -> Self {
        Self { most_acts, ..self }
    }

    fn open(&mut self, conn: ConnId, dialed: Option<SocketAddr>, todo: &mut Vec<Todo>) {
        if self.trick.is_many() {
            return self.open_as_one_of_many(conn, todo);
        }
        // Each connection of a sybil is somebody else's.
        let own =
            matches!(self.trick, Trick::Sybils | Trick::Newcomers).then(|| Keys::new(self.dice.secret()));
        let keys = own.as_ref().unwrap_or(&self.keys);
        let nonce = format!("{:016x}", self.dice.roll());
        let join = json!({
            "listen_addr": self.addr, "node_id": keys.node_id(), "uname": format!("mallory-{}", self.trick),
            "remote_addr": null, "v": 2, "nonce": nonce, "links": 0, "key": keys.key(), "net": self.network(),
        });
        match self.trick {
            Trick::Silent => {}
            Trick::HalfJoin => todo.push(Todo::Send(conn, b"JOIN|{\"uname\":".to_vec())),
            _ => todo.push(Todo::Send(conn, format!("JOIN|{join}\n").into_bytes())),
        }
        if matches!(self.trick, Trick::Deaf) {
            todo.push(Todo::Pause(conn, true));
        }
        // These do nothing more than this.
        self.acts += u64::from(matches!(self.trick, Trick::Silent | Trick::HalfJoin | Trick::Deaf));
        self.talks.insert(conn, Talk { keys: own, nonce, dialed, ..Talk::default() });
    }

    /// The network that it says it belongs to.
    fn network(&mut self) -> NetworkId {
        let elsewhere = matches!(self.trick, Trick::Foreign) && self.dice.chance(0.5);
        if elsewhere { NetworkId::named("elsewhere") } else { NetworkId::OPEN }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], todo: &mut Vec<Todo>) {
        let Some(mut talk) = self.talks.remove(&conn) else { return };
        let mut lines = std::mem::take(&mut talk.lines);
        lines.feed(bytes, |line| self.line(conn, &mut talk, line, todo));
        talk.lines = lines;
        self.talks.insert(conn, talk);
    }

    fn line(&mut self, conn: ConnId, talk: &mut Talk, line: &[u8], todo: &mut Vec<Todo>) {
        let text = String::from_utf8_lossy(line);
        let (kind, payload) = text.trim_end().split_once('|').unwrap_or_default();
        if self.trick == Trick::Strip {
            self.stripped.heard(conn, kind, payload, todo);
        }
        self.lures.heard(conn, kind, payload, todo);
        self.answer_falsely(conn, kind, payload, todo);
        let answers = [
            Trick::Strip,
            Trick::Novel,
            Trick::AnnounceFirst,
            Trick::FlapRoot,
            Trick::Fork,
            Trick::ForkLower,
            Trick::ForkBehind,
            Trick::AskRanges,
            Trick::DenyRanges,
        ];
        if answers.contains(&self.trick)
            && let ("SYNC", Some(rest)) = (kind, payload.strip_prefix("AA"))
        {
            // The first message of a reconciliation, echoed as the answer: it holds the same. So it keeps its links.
            todo.push(Todo::Send(conn, format!("SYNC|Ag{rest}\n").into_bytes()));
        }
        match kind {
            "JOIN" => {
                let Ok(join) = serde_json::from_str::<Value>(payload) else { return };
                if let (Some(nonce), Some(key), false) =
                    (join["nonce"].as_str(), join["key"].as_str(), self.trick.is_many())
                {
                    let keys = talk.keys.as_ref().unwrap_or(&self.keys);
                    let proof = keys.proof(&talk.nonce, nonce, key);
                    let answer = format!("PROOF|{proof}\nPEERS|\n");
                    todo.push(Todo::Send(conn, answer.into_bytes()));
                }
                self.learn(&join, todo);
                talk.greeted = true;
            }
            "PEERS" => {
                let payload = payload.replace(';', " ");
                let records = serde_json::Deserializer::from_str(&payload).into_iter::<Value>();
                records.map_while(Result::ok).for_each(|record| self.learn(&record, todo));
            }
            "PING" => todo.push(Todo::Send(conn, format!("PONG|{payload}\n").into_bytes())),
            "CHAT" | "IHAVE" | "TREE" | "SYNC" | "LINKS" => {
                let slot = self.dice.index(HEARD);
                if self.heard.len() < HEARD {
                    self.heard.push(line.to_vec());
                } else {
                    self.heard[slot] = line.to_vec();
                }
            }
            _ => {}
        }
    }

    /// Somebody is told of: one more to harm.
    fn learn(&mut self, record: &Value, todo: &mut Vec<Todo>) {
        // Many keep to whom they know.
        if self.trick.is_many() {
            return;
        }
        if let Some(id) = record["node_id"].as_str()
            && self.ids.len() < HEARD
        {
            self.ids.push(id.to_owned());
        }
        let Some(addr) = record["listen_addr"].as_str().and_then(|addr| addr.parse().ok()) else { return };
        if addr != self.addr && self.targets.len() < DIALED && !self.targets.contains(&addr) {
            self.targets.push(addr);
            todo.push(Todo::Dial(addr));
        }
    }

    fn wake(&mut self, now: Nanos, todo: &mut Vec<Todo>) {
        todo.push(Todo::WakeAt(now + nanos(self.every)));
        if self.acts < self.most_acts {
            self.act(now, todo);
        }
        if !self.trick.is_many() {
            self.dial_again(todo);
        }
    }

    /// The bad thing, on each of its links.
    fn act(&mut self, now: Nanos, todo: &mut Vec<Todo>) {
        if self.trick.is_many() {
            self.gather(todo);
        }
        let greeted: Vec<_> =
            self.talks.iter().filter(|(_, talk)| talk.greeted).map(|(conn, _)| *conn).collect();
        for conn in greeted {
            let mut out = Vec::new();
            self.play(now, conn, &mut out);
            if !out.is_empty() {
                self.acts += 1;
                todo.push(Todo::Send(conn, out));
            }
        }
        if self.trick == Trick::Newcomers {
            // The next one comes in its place.
            let links: Vec<_> = self.talks.iter().filter(|(_, talk)| talk.greeted).collect();
            if let Some((conn, dialed)) = self.dice.pick(&links).map(|(conn, talk)| (**conn, talk.dialed)) {
                self.acts += 1;
                self.talks.remove(&conn);
                todo.push(Todo::Close(conn));
                todo.extend(dialed.map(Todo::Dial));
            }
        }
    }

    /// Whom it lost it dials again, one at a time.
    fn dial_again(&mut self, todo: &mut Vec<Todo>) {
        let linked = |addr: &SocketAddr| self.talks.values().any(|talk| talk.dialed == Some(*addr));
        let lost: Vec<_> = self.targets.iter().copied().filter(|addr| !linked(addr)).collect();
        if let Some(addr) = self.dice.pick(&lost).copied()
            && self.dice.chance(0.3)
        {
            todo.push(Todo::Dial(addr));
        }
    }
}

impl Actor for Hostile {
    fn happen(&mut self, now: Nanos, what: Happening<'_>, todo: &mut Vec<Todo>) {
        match what {
            Happening::Started => {
                todo.extend(self.targets.iter().copied().map(Todo::Dial));
                todo.push(Todo::WakeAt(now + nanos(self.every)));
            }
            Happening::Accepted(conn) => self.open(conn, None, todo),
            Happening::Connected(conn, addr) => self.open(conn, Some(addr), todo),
            Happening::Received(conn, bytes) => self.received(conn, bytes, todo),
            Happening::Closed(conn) => _ = self.talks.remove(&conn),
            Happening::Woken => self.wake(now, todo),
            Happening::Refused(_) | Happening::Say(_) => {}
        }
    }

    fn acts(&self) -> u64 {
        self.acts
    }
}
