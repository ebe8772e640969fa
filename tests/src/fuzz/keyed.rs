//! What peers with keys say to a node, and what its clock says.

use std::sync::Arc;

use proto_core::wire::{Frame, Hello, Join, MAX_GRAFT, PeerRecord, RangeEnd, RangeQuery, Token};
use proto_core::{
    Action, Capacity, Entry, EntryId, Input, Instant, LinkState, MAX_NUMBER, NodeId, Sealed, Signature,
};

use super::node::{SECRET, World, address, name};
use super::peers::{self, PEERS, Recipe, keys, line};
use super::script::Script;
use crate::sim::hostile::{Keys, PERIOD_MS, SEQUENCE_MS, of_body};

/// Ids that nearly fill a line.
const MANY: usize = 170;

/// Wall-clock time where the script does not say which, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What was said in entries, by peers and by the node.
#[derive(Default)]
pub(super) struct Said {
    entries: Vec<Arc<Entry>>,
    /// What the node was told of wall-clock time last, and when.
    unix_ms: u64,
    set_at: Instant,
}

impl World {
    /// Whether the letter means something. Peers with keys are counted as connections are; of entries the last is the
    /// first, and what is counted on from the oldest are ids of none.
    pub(super) fn step_with_keys(&mut self, letter: u8, script: &mut Script<'_>) -> bool {
        match letter {
            // L<address><peer>: a connection is accepted from a peer that greets and proves its key
            b'L' => self.link(script.digit(), script.digit()),
            // J<conn><peer><flags><conn>: JOIN with a key
            b'J' => self.join_with_key(script),
            // P<conn><flaw>: PROOF
            b'P' => self.prove(script.digit(), script.digit()),
            // W<entry>: an entry is signed; see `recipe`
            b'W' => _ = self.recipe(script),
            // E<conn><entry>: the same, and it comes as CHAT
            b'E' => {
                let index = script.digit();
                let entry = self.recipe(script);
                self.say_frame(index, &Frame::Chat(entry.sealed()));
            }
            // C<conn><entry>: an entry comes as CHAT
            b'C' => self.chat(script.digit(), script.digit()),
            // K<conn><first><count>: so many entries come as CHAT, in one piece
            b'K' => self.chat_together(script.digit(), script.digit(), script.digit()),
            // g<conn><entry>: the same as C without its body
            b'g' => self.without_body(script.digit(), script.digit()),
            // F<conn><entry><digit><digit>: the same as C with a bit flipped
            b'F' => self.flipped(script),
            // S<conn><peer><header>|<body>\n: what a peer signed in an entry's place. In the header, @ is its key, and % are
            // the members that name the body, whose kind stands between two of them.
            b'S' => self.signed_line(script.digit(), script.digit(), script.line()),
            // H<conn><first><count>: IHAVE
            b'H' => {
                let (index, ids) = (script.digit(), self.ids(script.digit(), script.digit()));
                self.say_frame(index, &Frame::Ihave(ids));
            }
            // G<conn><first><count>: GRAFT
            b'G' => {
                let (index, mut ids) = (script.digit(), self.ids(script.digit(), script.digit()));
                ids.truncate(MAX_GRAFT);
                self.say_frame(index, &Frame::Graft(ids));
            }
            // M<conn><first><count>: LACK
            b'M' => {
                let (index, mut ids) = (script.digit(), self.ids(script.digit(), script.digit()));
                ids.truncate(MAX_GRAFT);
                self.say_frame(index, &Frame::Lack(ids));
            }
            // Q<conn><entry><first><count><tag>: RANGE of that entry's run
            b'Q' => {
                let (index, entry, first) = (script.digit(), script.digit(), script.digit() as u64);
                let (last, tag) = (first + script.digit() as u64, script.digit() as u64);
                let run = self.entry(entry).map(|entry| entry.run().clone());
                if let Some(query) = run.and_then(|run| RangeQuery::new(run, first, last, tag)) {
                    self.say_frame(index, &Frame::Range(query));
                }
            }
            // h<conn><tag><next>: HELD
            b'h' => {
                let (index, tag, next) = (script.digit(), script.digit() as u64, script.digit() as u64);
                self.say_frame(index, &Frame::Held(RangeEnd::new(tag, next).expect("small numbers")));
            }
            // R<conn><root><period><sequence><distance><parent>: TREE
            b'R' => self.tree(script),
            // A<conn><conn><distance><parent>: the last TREE on the second, told otherwise
            b'A' => self.retell(script),
            // N<conn><peers><others>: LINKS
            b'N' => {
                let (index, ids) = (script.digit(), self.circle(script.digit(), script.digit()));
                self.say_frame(index, &Frame::Links(ids));
            }
            // V<conn><peers><others>: PEERS that names them
            b'V' => self.name_circle(script.digit(), script.digit(), script.digit()),
            // Y<conn><tag><since><first><count>: SYNC, the first message of who holds these entries
            b'Y' => self.sync(script),
            // y<conn><first><count>: SYNC, the answer to the last by who holds these
            b'y' => self.answer_sync(script.digit(), script.digit(), script.digit()),
            // B<conn><tag><since><bytes>\n: SYNC of any bytes
            b'B' => {
                let (index, tag, since) = (script.digit(), script.digit(), self.when(script.digit()));
                let bytes = peers::sync_message(tag as u8, since, script.line());
                self.say_frame(index, &Frame::Sync(bytes));
            }
            // U<time>: what time it is
            b'U' => self.set_clock(script.digit()),
            _ => return false,
        }
        true
    }

    /// Its author has signed this.
    pub(super) fn sign(&mut self, entry: &Arc<Entry>) {
        self.ledger.conversation.signed(&entry.sealed());
        self.said.entries.push(entry.clone());
    }

    /// Something comes in that may be from who may not say it: then it has no consequences.
    pub(super) fn receive_from_maybe_mute(&mut self, index: usize, bytes: &[u8], speaks_entries: bool) {
        let Some(conn) = self.conn(index) else { return };
        if !self.ledger.is_mute(conn, bytes.len(), speaks_entries) {
            return self.receive(index, bytes);
        }
        // What time brings is not what the line brings.
        self.input(Input::Timeout);
        self.drain();
        let before = self.all_but_counters();
        self.receive(index, bytes);
        while let Some(action) = self.node.poll_action() {
            let harmless = match action {
                Action::Report { conn: of, .. } | Action::PauseReading { conn: of } => of == conn,
                Action::ResumeReading { conn: of } => of == conn,
                _ => false,
            };
            assert!(harmless, "{action:?} for a line of who may not say it");
            self.ledger.take(&action);
        }
        assert_eq!(self.all_but_counters(), before, "a line of who may not say it changed something");
    }

    fn all_but_counters(&self) -> (String, Vec<EntryId>, usize) {
        let mut status = self.node.status();
        status.stats = Default::default();
        // What is malformed is held against it.
        status.capacities.retain(|fill| fill.capacity != Capacity::Malformed);
        // It has said something.
        status.links.iter_mut().for_each(|link| link.state = LinkState::Linked);
        let entries = self.node.entries().map(|entry| entry.id()).collect();
        (format!("{status:?}"), entries, self.node.buffered())
    }

    fn say_frame(&mut self, index: usize, frame: &Frame<'_>) {
        self.receive_from_maybe_mute(index, &line(frame), true);
    }

    fn link(&mut self, from: usize, peer: usize) {
        self.accept(address(from));
        let index = self.ledger.conns().count() - 1;
        let Some(conn) = self.conn(index) else { return };
        self.greet(index, peer, Token::from_bits(conn.0.into()), None, false);
        self.drain();
        if self.conn(index) == Some(conn) {
            self.flush(index);
            self.prove(index, 0);
        }
    }

    fn greet(&mut self, index: usize, peer: usize, nonce: Token, claimed: Option<NodeId>, listens: bool) {
        let keys = keys(peer);
        let mut hello = Hello::new(nonce);
        (hello.links, hello.key) = (peer as u16, Some(keys.key()));
        let mut join = Join::default();
        join.node_id = Some(claimed.unwrap_or(keys.node_id()));
        join.uname = Some(name(peer));
        join.listen_addr = listens.then(|| address(peer));
        join.hello = Some(hello);
        self.receive_frame(index, &Frame::Join(join.into()));
    }

    /// Flags: 1 its id is that of the next peer, 2 it listens where its number does, 4 its id is the node's, 8 its nonce
    /// is the node's on another connection.
    fn join_with_key(&mut self, script: &mut Script<'_>) {
        let (index, peer, flags, other) = (script.digit(), script.digit(), script.digit(), script.digit());
        let claimed = match flags & 5 {
            1 => Some(keys(peer + 1).node_id()),
            4 | 5 => Some(self.node.id()),
            _ => None,
        };
        let own = if flags & 8 != 0 { self.nonce(other) } else { None };
        let nonce = own.unwrap_or_else(|| Token::from_bits(self.conn(index).map_or(0, |conn| conn.0.into())));
        self.greet(index, peer, nonce, claimed, flags & 2 != 0);
    }

    /// Flaws: 1 one bit, 2 another peer's key, 3 for the node's nonce on another connection, 4 for the nonces exchanged;
    /// any other number is none.
    fn prove(&mut self, index: usize, flaw: usize) {
        let us = self.node.key();
        let Some(state) = self.conn(index).and_then(|conn| self.ledger.get(conn)) else { return };
        let (Some(hello), Some(theirs)) = (state.hello().cloned(), state.nonce) else { return };
        let Some(owner) = hello.key.and_then(peers::with_key) else { return };
        let other = self.nonce(index + 1).unwrap_or(theirs);
        let stranger = keys(usize::from(owner.key() == keys(0).key()));
        let proof = match flaw {
            2 => peers::proof(stranger, &hello.nonce, &theirs, us),
            3 => peers::proof(owner, &hello.nonce, &other, us),
            4 => peers::proof(owner, &theirs, &hello.nonce, us),
            _ => peers::proof(owner, &hello.nonce, &theirs, us),
        };
        let mut bytes = line(&Frame::Proof(proof));
        if flaw == 1 {
            change(&mut bytes[20]);
        }
        self.receive(index, &bytes);
    }

    /// <author><epoch><seq><at><flags><text>. An epoch from 12 on is in a room. Flags: 1 it is the words of a peer without a key, 2 it names one as told, 4
    /// it has three texts, 8 they are long.
    fn recipe(&mut self, script: &mut Script<'_>) -> Arc<Entry> {
        let (author, epoch, seq) = (script.digit(), script.digit() as u64, script.digit());
        let (at, flags, text) = (self.when(script.digit()), script.digit(), script.digit());
        let text = format!("text {text}") + &"x".repeat((flags & 8) * 100);
        let seqs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 70, 5_000, MAX_NUMBER - 1, MAX_NUMBER];
        let recipe = Recipe {
            author,
            room: epoch.checked_sub(12),
            epoch,
            seq: seqs[seq],
            at,
            via: (flags & 1 != 0).then_some(author),
            to: (flags & 2 != 0).then_some(author + 1),
            texts: vec![text; if flags & 4 == 0 { 1 } else { 3 }],
        };
        let entry = Arc::new(recipe.sign(&self.said.entries));
        self.sign(&entry);
        entry
    }

    fn entry(&self, index: usize) -> Option<Arc<Entry>> {
        self.said.entries.iter().rev().nth(index).cloned()
    }

    fn chat(&mut self, index: usize, entry: usize) {
        if let Some(entry) = self.entry(entry) {
            self.say_frame(index, &Frame::Chat(entry.sealed()));
        }
    }

    fn chat_together(&mut self, index: usize, first: usize, count: usize) {
        let entries = (first..first + count).filter_map(|index| self.entry(index));
        let bytes: Vec<_> = entries.flat_map(|entry| line(&Frame::Chat(entry.sealed()))).collect();
        self.receive_from_maybe_mute(index, &bytes, true);
    }

    fn without_body(&mut self, index: usize, entry: usize) {
        if let Some(entry) = self.entry(entry) {
            self.say_frame(index, &Frame::Chat(Sealed { body: "", ..entry.sealed() }));
        }
    }

    fn flipped(&mut self, script: &mut Script<'_>) {
        let (index, entry, bit) = (script.digit(), script.digit(), script.digit() * 16 + script.digit());
        let Some(entry) = self.entry(entry) else { return };
        let mut bytes = line(&Frame::Chat(entry.sealed()));
        let at = (bytes.len() - 1) * bit / 256;
        bytes[at] ^= 1 << (bit % 7);
        self.receive(index, &bytes);
    }

    fn signed_line(&mut self, index: usize, peer: usize, line: &[u8]) {
        let (keys, line) = (keys(peer), String::from_utf8_lossy(line));
        let (header, body) = line.split_once('|').unwrap_or((&line, ""));
        let mut header = header.replace('@', &keys.key().to_string());
        if let [before, kind, after] = header.split('%').collect::<Vec<_>>()[..] {
            header = [before, &of_body(kind, body), after].concat();
        }
        let bytes = keys.signed_line(&header, body);
        let head = "CHAT|".len().."CHAT|".len() + 86;
        let signature = std::str::from_utf8(&bytes[head]).ok().and_then(Signature::new);
        let signature = signature.expect("it was signed");
        self.ledger.conversation.signed(&Sealed { signature, header: &header, body });
        self.receive(index, &bytes);
    }

    fn ids(&self, first: usize, count: usize) -> Vec<EntryId> {
        let count = if count == 15 { MANY } else { count.max(1) };
        let id = |index: usize| {
            self.entry(index).map_or(EntryId::from_bytes([index as u8; 32]), |entry| entry.id())
        };
        (first..first + count).map(id).collect()
    }

    /// Roots: the last is the node before a restart, those from the ninth on have not signed it so.
    fn tree(&mut self, script: &mut Script<'_>) {
        let (index, root, period) = (script.digit(), script.digit(), script.digit());
        let (sequence, distance, parent) = (script.digit(), script.digit(), script.digit());
        let (now, before_restart) = (self.unix_ms(), Keys::new(SECRET));
        let (current, step) = (now / PERIOD_MS, now % PERIOD_MS / SEQUENCE_MS);
        let periods = [current, current.saturating_sub(1), current + 1, current + 2, 0, u64::MAX];
        let sequences =
            [0, step, step + 1, step + 2, step + 15, step + 16, step + 17, step + 40, MAX_NUMBER, u64::MAX];
        let distances = [0, 1, 2, 3, 7, 100, u16::MAX - 1, u16::MAX];
        let flawed = (8..15).contains(&root);
        let root = if root == 15 { &before_restart } else { keys(root) };
        let (sequence, distance) = (sequences[sequence % sequences.len()], distances[distance % 8]);
        let mut bytes =
            peers::tree(root, periods[period % periods.len()], sequence, distance, self.parent(parent));
        if flawed {
            // A character of the signature, which the distance and the parent follow.
            let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b';').map(|(at, _)| at);
            let end = ends.nth(3).expect("a claim has six fields");
            change(&mut bytes[end - 40]);
        }
        self.receive_from_maybe_mute(index, &bytes, true);
    }

    fn retell(&mut self, script: &mut Script<'_>) {
        let (index, other, distance, parent) =
            (script.digit(), script.digit(), script.digit(), script.digit());
        let claim = self.conn(other).and_then(|conn| self.ledger.get(conn)?.tree);
        if let Some(claim) = claim {
            let bytes = peers::retold(claim, distance as u16, self.parent(parent));
            self.receive_from_maybe_mute(index, &bytes, true);
        }
    }

    fn parent(&self, index: usize) -> Option<NodeId> {
        match index {
            0 => None,
            1 => Some(self.node.id()),
            _ => Some(keys(index).node_id()),
        }
    }

    /// Peers: one bit for each of the first four. Others: 1 and 2 the last peers, 4 the node, 8 some without a key.
    fn circle(&self, some: usize, others: usize) -> Vec<NodeId> {
        let bits = some | (others & 3) << 4;
        let mut ids: Vec<_> =
            (0..PEERS).filter(|index| bits >> index & 1 != 0).map(|index| keys(index).node_id()).collect();
        ids.extend((others & 4 != 0).then(|| self.node.id()));
        ids.extend((0..5).filter(|_| others & 8 != 0).map(peers::id_without_key));
        ids
    }

    fn name_circle(&mut self, index: usize, some: usize, others: usize) {
        let record = |id| {
            let mut record = PeerRecord::default();
            record.node_id = Some(id);
            record
        };
        let records = self.circle(some, others).into_iter().map(record).collect();
        self.receive_frame(index, &Frame::Peers(records));
    }

    fn held(&self, first: usize, count: usize) -> Vec<(u64, EntryId)> {
        let entries = (first..first + count).filter_map(|index| self.entry(index));
        entries.map(|entry| (entry.at(), entry.id())).collect()
    }

    fn sync(&mut self, script: &mut Script<'_>) {
        let (index, tag, since) = (script.digit(), script.digit(), script.digit());
        let held = self.held(script.digit(), script.digit());
        let since = if since == 0 { 0 } else { self.when(since) };
        self.say_frame(index, &Frame::Sync(peers::sync(tag as u8, since, &held)));
    }

    fn answer_sync(&mut self, index: usize, first: usize, count: usize) {
        let question = self.conn(index).and_then(|conn| self.ledger.get(conn)?.sync.clone());
        let answer = question.and_then(|question| peers::sync_answer(&question, &self.held(first, count)));
        if let Some(answer) = answer {
            self.say_frame(index, &Frame::Sync(answer));
        }
    }

    /// Wall-clock time as the node has it, or what stands in for it.
    fn unix_ms(&self) -> u64 {
        let (since, set) = (self.said.set_at, self.said.unix_ms);
        set + self.now.since(since).as_millis() as u64
    }

    /// Around now, at the bounds of what is believed, and beyond all of them.
    fn when(&self, index: usize) -> u64 {
        let now = self.unix_ms();
        let times = [
            now,
            now.saturating_sub(1),
            now + 1,
            now + 2,
            now + 3,
            now.saturating_sub(1_000),
            now.saturating_sub(60_000),
            now.saturating_sub(PERIOD_MS),
            now + 1_000,
            now + 29_000,
            now + 31_000,
            now + 119_999,
            now + 121_000,
            now + 600_000,
            0,
            MAX_NUMBER,
        ];
        times[index].min(MAX_NUMBER)
    }

    fn set_clock(&mut self, index: usize) {
        let now = self.unix_ms();
        let times = [
            EPOCH_MS,
            // A second before a period ends.
            (now / PERIOD_MS + 1) * PERIOD_MS - 1_000,
            now + 500,
            now.saturating_sub(1_000),
            now + 31_000,
            now + 121_000,
            now.saturating_sub(121_000),
            now + 240_000,
            now.saturating_sub(240_000),
            now + PERIOD_MS,
            now.saturating_sub(PERIOD_MS),
            now + 24 * PERIOD_MS,
            0,
            1,
            MAX_NUMBER,
            u64::MAX,
        ];
        let unix_ms = times[index];
        (self.said.set_at, self.said.unix_ms) = (self.now, unix_ms.min(MAX_NUMBER));
        self.input(Input::wall_clock(unix_ms));
    }
}

/// Another character of base64.
fn change(character: &mut u8) {
    *character = if *character == b'A' { b'B' } else { b'A' };
}
