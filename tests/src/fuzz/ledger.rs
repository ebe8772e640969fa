//! What a node may want done: the books of a strict driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto_core::wire::{Chunk, Frame, Hello, Join, LineReader, MAX_LINE, Parsed, Token, TreeClaim, parse};
use proto_core::{
    Action, ConnId, DialId, Limits, MAX_CHUNK, MAX_RESOLVED, Member, MemberChange, MemberState, Message,
    Node, NodeId, PeerInfo, PublicKey, Seal, Signature,
};

use super::conversation::Conversation;
use super::peers;

/// Checks each action against all that came before it.
pub(super) struct Ledger {
    id: NodeId,
    key: PublicKey,
    limits: Limits,
    conns: BTreeMap<ConnId, Conn>,
    dials: BTreeMap<DialId, Goal>,
    cancelled: Vec<DialId>,
    here: BTreeMap<NodeId, Arc<PeerInfo>>,
    /// What was told of each member last.
    members: BTreeMap<NodeId, Arc<Member>>,
    /// Keys that were proven on some connection.
    proven: BTreeSet<PublicKey>,
    pub(super) conversation: Conversation,
    /// How often what was done.
    pub(super) counts: Counts,
    /// Something said has to wait.
    pub(super) busy: bool,
    /// The user waits until a peer holds everything.
    pub(super) awaits_confirmation: bool,
    /// The node was told to stop.
    pub(super) stopping: bool,
}

/// How often a node did what.
pub type Counts = BTreeMap<&'static str, u64>;

/// A connection that the driver has.
#[derive(Default)]
pub(super) struct Conn {
    end: Option<End>,
    in_flight: bool,
    paused: bool,
    /// What the node says on it.
    out: LineReader,
    /// The nonce of the node's first `JOIN`.
    pub(super) nonce: Option<Token>,
    /// The last `PING`.
    pub(super) ping: Option<Token>,
    /// The last `TREE`.
    pub(super) tree: Option<TreeClaim>,
    /// The last `SYNC`.
    pub(super) sync: Option<Vec<u8>>,
    bye: bool,
    /// What the peer says on it.
    heard: LineReader,
    /// The peer's first `JOIN`.
    joined: Option<Join>,
    /// The peer has proven the key in it.
    proven: bool,
    /// The peer said a line that is too long.
    lost: bool,
}

/// How the node wants a connection to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Abort,
}

/// What a dial is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Resolve,
    Connect,
}

impl Ledger {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            id: node.id(),
            key: node.key(),
            limits: node.config().limits().clone(),
            conns: BTreeMap::new(),
            dials: BTreeMap::new(),
            cancelled: Vec::new(),
            here: BTreeMap::new(),
            members: BTreeMap::new(),
            proven: BTreeSet::new(),
            conversation: Conversation::new(node.key()),
            counts: Counts::new(),
            busy: false,
            awaits_confirmation: false,
            stopping: false,
        }
    }

    /// Connections that were opened and not reported as closed.
    pub(super) fn conns(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns.iter().map(|(conn, state)| (*conn, state))
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(&conn)
    }

    pub(super) fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// Dials that were neither answered nor cancelled.
    pub(super) fn dials(&self) -> impl Iterator<Item = (DialId, Goal)> {
        self.dials.iter().map(|(dial, goal)| (*dial, *goal))
    }

    /// A dial that was cancelled, to be answered all the same.
    pub(super) fn cancelled(&self) -> Option<DialId> {
        self.cancelled.last().copied()
    }

    pub(super) fn answered(&mut self, dial: DialId) {
        self.dials.remove(&dial);
    }

    pub(super) fn opened(&mut self, conn: ConnId) {
        assert!(self.conns.insert(conn, Conn::default()).is_none(), "the driver never uses a number twice");
    }

    /// The peer said this.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Self { conns, limits, key, proven, conversation, .. } = self;
        let Some(state) = conns.get_mut(&conn).filter(|state| !state.lost) else { return };
        let mut heard = core::mem::take(&mut state.heard);
        let mut chunk = Chunk::new(bytes);
        loop {
            let limit = if state.joined.is_some() { limits.wire.line } else { limits.wire.line_before_join };
            let Some(line) = heard.next_line(&mut chunk, limit) else { break };
            let Ok(line) = line else {
                state.lost = true;
                return;
            };
            if let Ok(Parsed::Frame(frame)) = parse(line, limits.wire.peers_read) {
                state.hears(&frame, *key, conversation);
            }
        }
        proven.extend(state.key().filter(|_| state.proven));
        state.heard = heard;
    }

    /// Whether a line of so many bytes may have no consequences but those of coming at all: who has a key and has not
    /// proven it says nothing, and who has none speaks no entries.
    pub(super) fn is_mute(&self, conn: ConnId, len: usize, speaks_entries: bool) -> bool {
        let Some(state) = self.conns.get(&conn) else { return false };
        let whole = !state.lost && state.heard.buffered() == 0 && len <= self.limits.wire.line;
        let mute = if state.key().is_some() { !state.proven } else { speaks_entries };
        whole && state.joined.is_some() && mute
    }

    /// Whether the driver has something of this connection's to write.
    pub(super) fn flushed(&mut self, conn: ConnId) -> bool {
        self.conns.get_mut(&conn).is_some_and(|state| core::mem::take(&mut state.in_flight))
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// The node wants this done.
    pub(super) fn take(&mut self, action: &Action) {
        match action {
            Action::Resolve { dial, .. } => self.dial(*dial, Goal::Resolve),
            Action::Dial { dial, seal: Seal::Clear, .. } => self.dial(*dial, Goal::Connect),
            Action::CancelDial { dial } => {
                self.dials.remove(dial);
                self.cancelled.push(*dial);
            }
            Action::SendFrame { conn, bytes } => self.send(*conn, bytes),
            Action::PauseReading { conn } => self.pause(*conn, true),
            Action::ResumeReading { conn } => self.pause(*conn, false),
            Action::Close { conn } => self.end(*conn, End::Close),
            Action::Abort { conn } => self.end(*conn, End::Abort),
            Action::RegisterPeer(peer) => {
                assert!(!self.stopping, "a node that stops takes nobody in");
                assert_ne!(peer.node_id, self.id, "a node is not its own peer");
                assert!(peer.key.is_none_or(|key| self.proven.contains(&key)), "a key is proven first");
                assert!(peer.key.is_none_or(|key| key.node_id() == peer.node_id));
                let before = self.here.insert(peer.node_id, peer.clone());
                assert!(before.is_none(), "a peer is here once");
                assert!(self.here.len() <= self.limits.conns.slots);
            }
            Action::UpdatePeer(peer) => {
                let before = self.here.insert(peer.node_id, peer.clone());
                assert!(before.is_some_and(|before| before != *peer), "a peer that is here changed");
            }
            Action::UnregisterPeer { peer, .. } => {
                assert_eq!(self.here.remove(&peer.node_id).as_ref(), Some(peer), "a peer that is here left");
            }
            Action::Deliver(message) => {
                if let Message::Line { peer, .. } = message {
                    assert_eq!(self.here.get(&peer.node_id), Some(peer), "who says something is here");
                }
                self.conversation.show(message);
                if let Message::Entry { marks, .. } = message {
                    let odd = [
                        ("late", marks.late),
                        ("forked", marks.forked),
                        ("backdated", marks.backdated),
                        ("history", marks.history),
                        ("behind", marks.behind),
                    ];
                    odd.iter().for_each(|(what, is)| self.count(what, u64::from(*is)));
                }
            }
            Action::Ready => assert!(core::mem::take(&mut self.busy), "somebody waits for it"),
            Action::Confirmed => {
                assert!(core::mem::take(&mut self.awaits_confirmation), "somebody waits for it");
            }
            Action::Member { member, change } => self.member(member, *change),
            Action::Report { .. } | Action::Notice(_) => {}
            other => panic!("unknown action: {other:?}"),
        }
    }

    /// Something is new about a member.
    fn member(&mut self, member: &Arc<Member>, change: MemberChange) {
        use MemberChange::{Back, Joined, Left, Listed, Renamed, Silent};
        assert_ne!(member.node_id, self.id, "a node is not its own member");
        assert_eq!(member.key.node_id(), member.node_id);
        let before = self.members.insert(member.node_id, member.clone());
        let before = before.map(|before| before.state);
        let state = match change {
            Listed | Joined => MemberState::Here,
            Renamed => {
                assert_eq!(before, Some(MemberState::Here), "who is renamed is here");
                MemberState::Here
            }
            Back => {
                assert_eq!(before, Some(MemberState::Silent), "who is back was silent");
                MemberState::Here
            }
            Silent => {
                assert_eq!(before, Some(MemberState::Here), "who falls silent was here");
                MemberState::Silent
            }
            Left => {
                assert_ne!(before, Some(MemberState::Left), "nobody leaves twice");
                MemberState::Left
            }
            other => panic!("unknown change: {other:?}"),
        };
        assert_eq!(member.state, state, "{change:?}");
        let word = match change {
            Listed | Joined => "members come",
            Renamed => "members are renamed",
            Back => "members are back",
            Silent => "members fall silent",
            _ => "members leave",
        };
        self.count(word, 1);
    }

    /// All that was to be done is done.
    pub(super) fn drained(&self, node: &Node) {
        for member in node.members() {
            let told = self.members.get(&member.node_id).map(|told| (told.state, &told.uname, told.since));
            let name = if member.state == MemberState::Left {
                told.map(|(_, name, _)| name)
            } else {
                Some(&member.uname)
            };
            assert_eq!(
                told.map(|(state, name, _)| (state, Some(name))),
                Some((member.state, name)),
                "{member:?}"
            );
        }

        assert!(node.peers().eq(self.here.values()), "the actions tell who is here");
        let alive = self.conns.values().filter(|state| state.end != Some(End::Abort)).count();
        assert_eq!(node.connections(), alive, "node and driver have the same connections");
        assert_eq!(node.stats().delivered, self.conversation.texts, "what is delivered is counted");
        assert!(node.stats().entries <= self.conversation.arrivals, "what is taken came");
        assert!(self.dials.len() <= self.limits.mesh.dials + self.limits.mesh.targets * MAX_RESOLVED);
        assert!(node.buffered() <= self.limits.conns.buffers);
        for state in self.conns.values().filter(|state| state.end.is_none()) {
            assert!(
                state.out.buffered() == 0 || state.in_flight,
                "a chunk ends with a frame, or more follows"
            );
        }
    }

    fn dial(&mut self, dial: DialId, goal: Goal) {
        assert!(!self.stopping, "a node that stops dials nobody");
        assert!(self.dials.insert(dial, goal).is_none(), "dials have numbers of their own");
    }

    fn pause(&mut self, conn: ConnId, paused: bool) {
        // It may have been closed before the action was polled.
        let Some(state) = self.conns.get_mut(&conn) else { return };
        assert_ne!(core::mem::replace(&mut state.paused, paused), paused, "pauses and resumptions alternate");
    }

    fn end(&mut self, conn: ConnId, end: End) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let before = state.end.replace(end);
        assert!(
            before.is_none() || (before, end) == (Some(End::Close), End::Abort),
            "a connection ends once"
        );
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let state = self.conns.get_mut(&conn).expect("only what is open is written to");
        assert!(state.end.is_none(), "nothing is written after the end");
        assert!(!core::mem::replace(&mut state.in_flight, true), "one chunk is out");
        assert!(!bytes.is_empty() && bytes.len() <= MAX_CHUNK, "{} bytes in a chunk", bytes.len());
        let mut chunk = Chunk::new(bytes);
        let mut out = core::mem::take(&mut state.out);
        while let Some(line) = out.next_line(&mut chunk, MAX_LINE) {
            let frame = parse(line.expect("lines fit"), usize::MAX).expect("frames are well formed");
            *self.counts.entry(word(&frame)).or_default() += 1;
            state.said(frame, &self.limits);
        }
        state.out = out;
    }
}

impl Conn {
    /// The node says this on it.
    fn said(&mut self, frame: Parsed<'_>, limits: &Limits) {
        assert!(!self.bye, "BYE is the last frame");
        let Parsed::Frame(frame) = frame else {
            assert_eq!(
                (frame, self.version2()),
                (Parsed::Blank, Some(false)),
                "a blank line keeps version 1 alive"
            );
            return;
        };
        match &frame {
            Frame::Join(join) => {
                let nonce = join.hello.as_ref().expect("it speaks version 2").nonce;
                assert_eq!(*self.nonce.get_or_insert(nonce), nonce, "a connection has one nonce");
                return;
            }
            Frame::Peers(records) => assert!(records.len() <= limits.conns.peers_sent),
            Frame::Msg(_) => {}
            Frame::Ping(token) => self.ping = Some(*token),
            Frame::Pong(_) => {}
            Frame::Bye(..) => self.bye = true,
            Frame::Tree(claim) => self.tree = Some(*claim),
            Frame::Sync(bytes) => self.sync = Some(bytes.clone()),
            Frame::Proof(_) | Frame::Chat(_) | Frame::Links(_) | Frame::Ihave(_) | Frame::Graft(_) => {}
            Frame::Lack(_) | Frame::Range(_) | Frame::Held(_) => {}
            other => panic!("unknown frame: {other:?}"),
        }
        assert!(self.nonce.is_some(), "JOIN comes first");
        let may_be_told = match (&frame, self.version2()) {
            (Frame::Peers(_), version) => version.is_some(),
            (Frame::Proof(_), _) => self.key().is_some(),
            (Frame::Bye(..), version) => version == Some(true),
            _ if self.key().is_some() && !self.proven => false,
            (Frame::Msg(_), version) => version.is_some() && self.key().is_none(),
            (Frame::Ping(_) | Frame::Pong(_), version) => version == Some(true),
            _ => self.proven,
        };
        assert!(may_be_told, "{frame:?} to a peer that said {:?}", self.joined);
    }

    /// The peer says this on it.
    fn hears(&mut self, frame: &Frame<'_>, us: PublicKey, conversation: &mut Conversation) {
        match frame {
            Frame::Join(join) if self.joined.is_none() => self.joined = Some((**join).clone()),
            Frame::Proof(signature) => self.proven |= self.proof(us) == Some(*signature),
            Frame::Chat(_) if self.proven => conversation.heard(frame),
            Frame::Msg(_) if self.joined.is_some() && self.key().is_none() => conversation.heard(frame),
            _ => {}
        }
    }

    /// Whether the peer's `JOIN` spoke version 2, if it came.
    fn version2(&self) -> Option<bool> {
        self.joined.as_ref().map(|join| join.hello.is_some())
    }

    /// What only version 2 says.
    pub(super) fn hello(&self) -> Option<&Hello> {
        self.joined.as_ref()?.hello.as_ref()
    }

    /// The key that the peer says it has.
    fn key(&self) -> Option<PublicKey> {
        self.hello()?.key
    }

    /// What proves to the node with this key that the peer has its own.
    pub(super) fn proof(&self, us: PublicKey) -> Option<Signature> {
        let Hello { nonce, key, .. } = self.hello()?;
        Some(peers::proof(peers::with_key((*key)?)?, nonce, &self.nonce?, us))
    }
}

fn word(frame: &Parsed<'_>) -> &'static str {
    let Parsed::Frame(frame) = frame else { return "blank" };
    match frame {
        Frame::Join(_) => "JOIN",
        Frame::Peers(_) => "PEERS",
        Frame::Msg(_) => "MSG",
        Frame::Ping(_) => "PING",
        Frame::Pong(_) => "PONG",
        Frame::Bye(..) => "BYE",
        Frame::Proof(_) => "PROOF",
        Frame::Links(_) => "LINKS",
        Frame::Chat(_) => "CHAT",
        Frame::Ihave(_) => "IHAVE",
        Frame::Graft(_) => "GRAFT",
        Frame::Lack(_) => "LACK",
        Frame::Range(_) => "RANGE",
        Frame::Held(_) => "HELD",
        Frame::Tree(_) => "TREE",
        Frame::Sync(bytes) => match bytes.first() {
            Some(0) => "SYNC to begin",
            Some(1) => "SYNC to go on",
            Some(2) => "SYNC to answer",
            _ => "SYNC to begin later",
        },
        other => panic!("unknown frame: {other:?}"),
    }
}
