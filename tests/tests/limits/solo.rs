//! A node, spoken to directly, and peers of all kinds that speak to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_core::wire::Frame;
use proto_core::{
    Action, ChatText, Command, CommandError, Config, ConnId, Draft, Entry, EntryId, Identity, Input, Instant,
    LeaveReason, Limits, Node, RunPosition, Stats,
};
use tests::fuzz::peers::{line, sync_answer};
use tests::sim::hostile::{Keys, behind};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NANO: Duration = Duration::from_nanos(1);
pub(crate) const HERE: [u8; 4] = [127, 0, 0, 1];
pub(crate) const ELSEWHERE: [u8; 4] = [9, 9, 9, 9];

/// What its wall clock says at the start, where it has one: ten minutes into a period.
pub(crate) const EPOCH_MS: u64 = 472_000 * 3_600_000 + 600_000;

/// A node, spoken to directly.
pub(crate) struct Solo {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    pub(crate) actions: Vec<Action>,
}

pub(crate) fn solo(limits: Limits) -> Solo {
    solo_of(3, limits)
}

/// One that draws other numbers for each seed.
pub(crate) fn solo_of(seed: u8, limits: Limits) -> Solo {
    let config = Config::builder("Me".parse().unwrap()).trust_loopback(true).limits(|own| *own = limits);
    let config = config.build().unwrap();
    let node = Node::new(config, Identity::from_secret(&[3; 32]), [seed; 32], Instant::ORIGIN);
    Solo { node, now: Instant::ORIGIN, actions: Vec::new() }
}

/// Around a limit.
pub(crate) fn around(limit: usize) -> [usize; 3] {
    [limit - 1, limit, limit + 1]
}

/// Just before a time, and at it.
pub(crate) fn up_to(time: Duration) -> [(Duration, bool); 2] {
    [(time - NANO, false), (time, true)]
}

/// The keys of the peer that joins as this one.
pub(crate) fn keys(peer: usize) -> Keys {
    let mut secret = [0x77; 32];
    secret[..8].copy_from_slice(&peer.to_be_bytes());
    Keys::new(secret)
}

/// An entry of this peer's first epoch.
pub(crate) fn entry(author: usize, seq: usize, at: u64) -> Entry {
    entry_of(author, 1, seq, at, "hello")
}

/// The same of this epoch. It is behind the last one that was made with the number before, or else behind one like it.
pub(crate) fn entry_of(author: usize, epoch: u64, seq: usize, at: u64, text: &str) -> Entry {
    let uname = "Eve".parse().unwrap();
    let texts = [ChatText::new(text).unwrap()];
    MADE.with_borrow_mut(|made| {
        let last = made.range((author, epoch, 0)..(author, epoch, seq)).next_back();
        let first = last.map_or(0, |((.., last), _)| last + 1);
        let mut position = last.map_or(RunPosition::FIRST, |(_, last)| behind(Some(last)));
        for seq in first..seq {
            let before = keys(author).sign_entry(&Draft::new(epoch, position, at, &uname, &texts, [7; 16]));
            position = behind(Some(&before));
            made.insert((author, epoch, seq), before);
        }
        let entry = keys(author).sign_entry(&Draft::new(epoch, position, at, &uname, &texts, [7; 16]));
        made.insert((author, epoch, seq), entry.clone());
        entry
    })
}

thread_local! {
    /// The last entry that was made of an author, an epoch and a number.
    static MADE: RefCell<BTreeMap<(usize, u64, usize), Entry>> = const { RefCell::new(BTreeMap::new()) };
}

/// An id of an entry that nobody has seen.
pub(crate) fn id(n: usize) -> EntryId {
    let mut bytes = [0xee; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    EntryId::from_bytes(bytes)
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<EntryId> {
    range.map(id).collect()
}

impl Solo {
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.actions.extend(std::iter::from_fn(|| self.node.poll_action()));
    }

    /// Tells it what time it is.
    pub(crate) fn with_clock(mut self) -> Self {
        self.input(Input::wall_clock(EPOCH_MS));
        self
    }

    /// It is so long after the start now.
    pub(crate) fn at(&mut self, time: Duration) {
        self.now = Instant::from_origin(time);
        self.input(Input::Timeout);
    }

    /// Wakes the node when it asks for it, until `time` from now; all that it sends is taken.
    pub(crate) fn pass(&mut self, time: Duration, conns: usize) {
        let end = self.now + time;
        loop {
            (0..conns).for_each(|conn| self.read(conn));
            match self.node.poll_timeout().filter(|(at, _)| *at <= end) {
                Some((at, _)) => {
                    self.now = self.now.max(at);
                    self.input(Input::Timeout);
                }
                None => break,
            }
        }
        self.now = end;
    }

    pub(crate) fn accept_from(&mut self, conn: usize, host: [u8; 4]) {
        self.input(Input::accepted(ConnId(conn as u64), SocketAddr::from((host, 40_000))));
    }

    /// A connection comes about by our own dial of an address that the user gave.
    pub(crate) fn dialed(&mut self, conn: usize) {
        let Some(Action::Dial { dial, .. }) =
            self.actions.iter().rfind(|action| matches!(action, Action::Dial { .. }))
        else {
            panic!("nothing is dialed")
        };
        let dial = *dial;
        self.input(Input::connected(dial, ConnId(conn as u64)));
    }

    pub(crate) fn connect(&mut self, addr: &str) {
        self.node.command(self.now, Command::Connect(addr.parse().unwrap())).unwrap();
        self.input(Input::Timeout);
    }

    pub(crate) fn receive(&mut self, conn: usize, text: &str) {
        self.input(Input::received(ConnId(conn as u64), text.as_bytes()));
    }

    pub(crate) fn close(&mut self, conn: usize) {
        self.input(Input::closed(ConnId(conn as u64)));
    }

    /// A peer on this machine that joins without a key, under an id made of its connection's number.
    pub(crate) fn join(&mut self, conn: usize) {
        self.join_from(conn, HERE);
    }

    pub(crate) fn join_from(&mut self, conn: usize, host: [u8; 4]) {
        self.accept_from(conn, host);
        self.receive(conn, &join_line(conn));
    }

    /// A peer with a key on this machine that joins under the number of its connection, and has links enough.
    pub(crate) fn link(&mut self, conn: usize) {
        self.link_as(conn, HERE, conn, 9);
    }

    pub(crate) fn link_from(&mut self, conn: usize, host: [u8; 4]) {
        self.link_as(conn, host, conn, 9);
    }

    pub(crate) fn link_as(&mut self, conn: usize, host: [u8; 4], peer: usize, links: usize) {
        let keys = keys(peer);
        let (id, key, nonce) = (keys.node_id(), keys.key(), format!("n{conn}"));
        self.accept_from(conn, host);
        self.receive(
            conn,
            &format!(
                r#"JOIN|{{"node_id":"{id}","v":2,"nonce":"{nonce}","links":{links},"key":"{key}"}}{}"#,
                "\n"
            ),
        );
        let Some(theirs) = self.nonce(conn) else { return };
        let proof = keys.proof(&nonce, &theirs, &self.node.key().to_string());
        self.receive(conn, &format!("PROOF|{proof}\n"));
        self.read(conn);
    }

    /// What its `JOIN` on a connection says.
    pub(crate) fn nonce(&self, conn: usize) -> Option<String> {
        let said = self.sent(conn);
        let (_, nonce) = said.split_once("\"nonce\":\"")?;
        Some(nonce.split_once('"')?.0.to_owned())
    }

    /// `CHAT`.
    pub(crate) fn chat(&mut self, conn: usize, entry: &Entry) {
        self.frame(conn, &Frame::Chat(entry.sealed()));
    }

    /// All of them at once.
    pub(crate) fn chats(&mut self, conn: usize, entries: &[Entry]) {
        let lines = entries.iter().flat_map(|entry| line(&Frame::Chat(entry.sealed()))).collect::<Vec<_>>();
        self.input(Input::received(ConnId(conn as u64), &lines));
    }

    pub(crate) fn frame(&mut self, conn: usize, frame: &Frame<'_>) {
        self.input(Input::received(ConnId(conn as u64), &line(frame)));
    }

    /// The node reconciles with a peer that holds these entries, and asks for them.
    pub(crate) fn reconcile(&mut self, conn: usize, entries: &[Entry]) {
        let limits = self.node.config().limits().chat.clone();
        self.now = self.now + limits.reconcile_again;
        self.input(Input::Timeout);
        self.read(conn);
        let said = self.sent(conn);
        let question = said.lines().rev().find_map(|line| line.strip_prefix("SYNC|")).expect("it began one");
        let held: Vec<_> = entries.iter().map(|entry| (entry.at(), entry.id())).collect();
        let answer = sync_answer(&URL_SAFE_NO_PAD.decode(question).unwrap(), &held);
        self.frame(conn, &Frame::Sync(answer.expect("a question")));
        // The answer to its `PING` ends it. That waits for the answer to the one before.
        for _ in 0..2 {
            let said = self.sent(conn);
            let pings = said.lines().filter_map(|line| line.strip_prefix("PING|"));
            pings.for_each(|token| self.receive(conn, &format!("PONG|{token}\n")));
            self.read(conn);
        }
        self.now = self.now + limits.ask_after;
        self.input(Input::Timeout);
        self.read(conn);
    }

    /// Takes what is sent on a connection until nothing is left.
    pub(crate) fn read(&mut self, conn: usize) {
        loop {
            let before = self.actions.len();
            self.input(Input::flushed(ConnId(conn as u64)));
            if self.actions.len() == before {
                return;
            }
        }
    }

    /// What was sent on a connection, of the actions that are not cleared.
    pub(crate) fn sent(&self, conn: usize) -> String {
        let sent = self.actions.iter().filter_map(|action| match action {
            Action::SendFrame { conn: of, bytes } if of.0 == conn as u64 => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8(sent.collect::<Vec<_>>().concat()).unwrap()
    }

    /// How many ids were sent on a connection in lines of this type.
    pub(crate) fn ids_sent(&self, conn: usize, kind: &str) -> usize {
        let sent = self.sent(conn);
        sent.lines().filter(|line| line.starts_with(kind)).map(|line| line.split(';').count()).sum()
    }

    /// Says a line that takes so many bytes as `MSG`.
    pub(crate) fn say(&mut self, len: usize) -> Result<(), CommandError> {
        let text = ChatText::new("x".repeat(len - "MSG|\n".len())).unwrap();
        let result = self.node.command(self.now, Command::Say(vec![text]));
        self.drain();
        result.map(drop)
    }

    /// Says so many bytes in lines of `MSG`, however long it takes.
    pub(crate) fn say_all(&mut self, bytes: usize) {
        let mut said = 0;
        while said < bytes {
            let len = if bytes - said > 60_000 { 50_000 } else { bytes - said };
            match self.say(len) {
                Ok(()) => said += len,
                Err(CommandError::Busy) => self.now = self.now + 2 * SECOND,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn peers(&self) -> usize {
        self.node.peers().count()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.node.stats()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|action| wanted(action)).count()
    }

    pub(crate) fn dials(&self) -> usize {
        self.count(|action| matches!(action, Action::Dial { .. }))
    }

    pub(crate) fn aborted(&self) -> Vec<u64> {
        let aborted = self.actions.iter().filter_map(|action| match action {
            Action::Abort { conn } => Some(conn.0),
            _ => None,
        });
        aborted.collect()
    }

    /// Why peers left.
    pub(crate) fn left(&self) -> Vec<LeaveReason> {
        let reasons = self.actions.iter().filter_map(|action| match action {
            Action::UnregisterPeer { reason, .. } => Some(*reason),
            _ => None,
        });
        reasons.collect()
    }
}

/// The `JOIN` of the peer without a key on this connection.
pub(crate) fn join_line(conn: usize) -> String {
    format!(
        "JOIN|{{\"node_id\":\"00000000-0000-4000-8000-{conn:012}\",\"v\":2,\"nonce\":\"n{conn}\",\"links\":0}}\n"
    )
}

/// `PEERS` with so many addresses on this machine.
pub(crate) fn records(count: usize) -> String {
    let records: Vec<_> =
        (0..count).map(|n| format!("{{\"listen_addr\":\"127.0.{}.{}:9000\"}}", n / 250, n % 250)).collect();
    format!("PEERS|{}\n", records.join(";"))
}
