//! Connections: what comes in on them and goes out, their greetings, duplicates and ends, and the peers linked by them.
//!
//! [`Conns`] owns every connection. What follows from what happens to one comes out of [`Conns::next_event`], in order.

mod census;
mod closing;
mod duplicates;
mod event;
mod handshake;
mod link;
mod pressure;
mod roster;
mod table;
mod views;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use closing::Ending;
use link::{Link, LinkEvent, Timer};
use roster::Roster;
use table::Table;

use crate::model::{ConnId, Cx, Dialed, Instant, LeaveReason, NodeId, PublicKey, Sender, Teller, Version};
use crate::wire::{ByeCode, ChatFrame, Chunk, Frame, PeerRecord, Token};

pub(crate) use event::{Breach, Counts, Event, Health, Lost, Outcome, Refusal};
#[cfg(test)]
pub(crate) use handshake::sign_proof;
pub(crate) use link::{Own, Timer as LinkTimer};
pub(crate) use pressure::Output;

/// All connections, and the peers linked by them.
#[derive(Debug, Default)]
pub(crate) struct Conns {
    table: Table,
    roster: Roster,
    /// Something was refused as busy, and no [`Event::Ready`] has followed yet.
    busy: bool,
    /// The user was told that nobody hears what is said.
    alone_notified: bool,
    /// Links that are to be cut, since their queues have outgrown their bounds.
    outgrown: VecDeque<ConnId>,
    events: VecDeque<Event>,
    counts: Counts,
}

/// What came in on a connection.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// Something for the connections themselves, to be given to [`Conns::take`].
    Own(Own),
    /// A frame of the conversation.
    Chat(Sender, ChatFrame<'a>),
}

impl Conns {
    /// What follows, in order, until there is nothing.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sets aside what is to be done later than what follows from the last event.
    pub(crate) fn set_aside(&mut self) -> VecDeque<Event> {
        if self.events.is_empty() { VecDeque::new() } else { core::mem::take(&mut self.events) }
    }

    /// Puts it back, once all of that is done.
    pub(crate) fn put_back(&mut self, later: VecDeque<Event>) {
        if !later.is_empty() {
            debug_assert!(self.events.is_empty(), "all that follows comes first");
            self.events = later;
        }
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, conn: ConnId) -> bool {
        self.table.contains(conn)
    }

    /// The listener accepted a connection; `key`: it is sealed, and the peer has proven that.
    pub(crate) fn accepted(&mut self, cx: &mut Cx, conn: ConnId, remote: SocketAddr, key: Option<PublicKey>) {
        self.counts.accepted += 1;
        if cx.stopping || key.is_some() {
            return self.events.push_back(Event::Abort(conn));
        }
        self.make_room_for_pending(cx);
        self.events.push_back(Event::Room { conn, remote });
    }

    /// There is room for a connection that was accepted.
    pub(crate) fn take_in(&mut self, cx: &mut Cx, conn: ConnId, remote: SocketAddr) {
        self.open(cx, conn, remote, None);
    }

    /// A dial is connected; `dialed`: where to, if the node waits for it.
    pub(crate) fn connected(
        &mut self,
        cx: &mut Cx,
        conn: ConnId,
        dialed: Option<Dialed>,
        key: Option<PublicKey>,
    ) {
        let Some(dialed) = dialed.filter(|_| !self.table.contains(conn)) else {
            return self.events.push_back(Event::Abort(conn));
        };
        if key.is_some() {
            self.events.push_back(Event::Abort(conn));
            let outcome = Outcome::Failed;
            return self.events.push_back(Event::NotLinked { dialed, outcome, again: cx.now });
        }
        self.open(cx, conn, dialed.addr, Some(dialed));
        self.greet(cx, conn);
    }

    fn open(&mut self, cx: &mut Cx, conn: ConnId, remote: SocketAddr, dialed: Option<Dialed>) {
        if self.table.contains(conn) {
            return;
        }
        let nonce = Token::from_bits(cx.random_bits());
        self.table.insert(conn, Link::new(cx.now, remote, dialed, nonce, cx.limits()));
    }

    /// Bytes came: a listener that has not greeted does so upon the first.
    pub(crate) fn heard(&mut self, cx: &Cx, conn: ConnId, bytes: &[u8]) {
        if !bytes.is_empty() && self.table.get(conn).is_some_and(|link| !link.greeted) {
            self.greet(cx, conn);
        }
    }

    /// The next line of what came in on a connection.
    pub(crate) fn read<'a, 'b: 'a>(
        &'a mut self,
        cx: &Cx,
        conn: ConnId,
        chunk: &mut Chunk<'b>,
    ) -> Option<Incoming<'a>> {
        let link = self.table.get_mut(conn)?;
        let (peer, rated) = (link.node_id(), link.is_rated());
        Some(match link.next_event(cx.now, chunk, cx.limits())? {
            LinkEvent::Own(own) => Incoming::Own(own),
            LinkEvent::Chat(frame) => Incoming::Chat(Sender { conn, peer: peer?, rated }, frame),
        })
    }

    /// Takes what [`read`](Self::read) gave for the connections themselves.
    pub(crate) fn take(&mut self, cx: &mut Cx, conn: ConnId, own: Own) {
        match own {
            Own::Skipped { unknown } => self.counts.unknown_frames += u64::from(unknown),
            Own::Joined(join) => self.joined(cx, conn, &join),
            Own::Rejoined(join) => self.rejoined(conn, &join),
            Own::Said(text) => self.said(conn, text),
            Own::Pinged(token) => self.pinged(cx, conn, token),
            Own::Ponged(token) => self.ponged(cx, conn, token),
            Own::Bye(code) => self.bye(cx, conn, code),
            Own::Proof(signature) => self.proven(cx, conn, &signature),
            Own::Peers(records) => self.peers_told(cx, conn, records),
            Own::Broke(breach) => {
                self.counts.malformed += u64::from(matches!(breach, Breach::Malformed(_)));
                self.report(conn, breach);
            }
            Own::Cut(breach) => {
                self.report(conn, breach);
                self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
            }
        }
    }

    /// A frame of the conversation broke a rule. Where the connection comes from or leads to.
    pub(crate) fn count_fault(&mut self, conn: ConnId) -> Option<SocketAddr> {
        self.counts.violations += 1;
        self.table.get(conn).map(|link| link.remote)
    }

    /// What a frame that broke a rule costs: the link where that is `severe`; else it counts as malformed, for nobody relays such a
    /// thing unseen.
    pub(crate) fn punish(&mut self, cx: &mut Cx, conn: ConnId, severe: bool) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if !severe {
            if !link.malformed.is_one_too_many(cx.now, cx.limits()) {
                return;
            }
            self.report(conn, Breach::TooManyMalformed);
        }
        self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
    }

    /// What just came was asked for: it does not count against the rates.
    pub(crate) fn excuse(&mut self, cx: &Cx, conn: ConnId, bytes: usize) {
        if let Some(link) = self.table.get_mut(conn) {
            link.excuse(cx.now, bytes);
        }
    }

    /// `PEERS` came.
    fn peers_told(&mut self, cx: &mut Cx, conn: ConnId, records: Vec<PeerRecord>) {
        let teller = self.teller(cx, conn);
        self.events.extend(teller.map(|teller| Event::PeersTold { teller, records }));
    }

    /// Who sent `PEERS`, if its word counts.
    fn teller(&mut self, cx: &mut Cx, conn: ConnId) -> Option<Teller> {
        let link = self.table.get_mut(conn)?;
        let first = !core::mem::replace(&mut link.peers_heard, true);
        let node_id = match (link.phase, link.node_id()) {
            (link::Phase::Linked, Some(node_id)) => node_id,
            (link::Phase::Greeting, Some(_)) if link.is_outbound() => NodeId::random(&mut cx.random),
            _ => return None,
        };
        let ip = link.remote.ip().to_canonical();
        Some(Teller { conn, node_id, ip, dialed: link.is_outbound(), first })
    }

    /// Says a `PING` with this token: at once, or after the `PONG` that is awaited.
    fn ping(&mut self, cx: &Cx, conn: ConnId, token: Token) {
        if let Some(link) = self.table.get_mut(conn) {
            link.probe(token, cx.limits());
        }
        self.send_ping(cx, conn);
    }

    /// Queues a frame on a connection, and a `PING` with this token right behind it.
    pub(crate) fn send_with(&mut self, cx: &Cx, conn: ConnId, frame: &Frame<'_>, ping: Option<Token>) {
        self.send(cx, conn, frame);
        if let Some(token) = ping {
            self.ping(cx, conn, token);
        }
    }

    /// Queues a frame on a connection.
    pub(crate) fn send(&mut self, cx: &Cx, conn: ConnId, frame: &Frame<'_>) {
        self.push(cx, conn, &encode(frame));
    }

    /// Queues whole frames for each of these peers, where it is written to.
    pub(crate) fn send_to_peers(&mut self, cx: &Cx, peers: &[NodeId], frames: &[u8]) {
        let conns: Vec<_> = peers.iter().filter_map(|peer| self.active(*peer)).collect();
        self.send_to_all(cx, &conns, frames);
    }

    /// Queues the line of an entry for these peers. To how many it goes, and whose links are full.
    pub(crate) fn push_entry(&mut self, cx: &Cx, peers: Vec<NodeId>, line: &[u8]) -> (u64, Vec<NodeId>) {
        let (mut pushed, mut full) = (0, Vec::new());
        for peer in peers {
            match self.push_entry_to(cx, peer, line) {
                Some(true) => pushed += 1,
                Some(false) => full.push(peer),
                None => {}
            }
        }
        (pushed, full)
    }

    /// Whether the entry was queued for the peer: not if its link is full. None: there is no such peer.
    fn push_entry_to(&mut self, cx: &Cx, peer: NodeId, frame: &[u8]) -> Option<bool> {
        let conn = self.active(peer)?;
        let full = |link: &Link| link.queue.bytes() + frame.len() > cx.limits().conns.queue;
        let room = self.table.get(conn).is_some_and(|link| !full(link));
        if room {
            self.push(cx, conn, frame);
        }
        Some(room)
    }

    /// The connection on which a peer is written to.
    pub(crate) fn active(&self, peer: NodeId) -> Option<ConnId> {
        self.roster.get(peer).map(|peer| peer.active)
    }

    /// The driver has written some bytes of the chunk that it has.
    pub(crate) fn written(&mut self, cx: &Cx, conn: ConnId, bytes: usize) {
        if let Some(link) = self.table.get_mut(conn) {
            link.queue.written(cx.now, bytes, cx.limits());
            link.note_ping_left(cx.now);
        }
    }

    /// The driver has written the chunk that it had.
    pub(crate) fn flushed(&mut self, cx: &Cx, conn: ConnId) {
        if let Some(link) = self.table.get_mut(conn) {
            link.queue.flushed(cx.now, cx.limits());
            link.note_ping_left(cx.now);
        }
    }

    /// The driver says that a connection is gone.
    pub(crate) fn closed(&mut self, cx: &mut Cx, conn: ConnId) {
        self.end(cx, conn, Ending::Gone, LeaveReason::Closed);
    }

    /// Brings the indexes up to date: after each change from outside.
    pub(crate) fn refresh(&mut self, cx: &Cx) {
        self.table.refresh(cx.limits());
    }

    /// When [`timeout`](Self::timeout) or [`say_ready`](Self::say_ready) is due, and what for.
    pub(crate) fn deadline(&self, cx: &Cx) -> Option<(Instant, Option<LinkTimer>)> {
        let link = self.table.first_deadline(cx.limits()).map(|(at, _, timer)| (at, Some(timer)));
        link.into_iter().chain(self.pace_deadline(cx).map(|at| (at, None))).min()
    }

    /// Does what is due first; whether anything was. Called until nothing is.
    pub(crate) fn timeout(&mut self, cx: &mut Cx) -> bool {
        self.refresh(cx);
        let due = self.table.first_deadline(cx.limits()).filter(|(at, ..)| *at <= cx.now);
        let Some((_, conn, timer)) = due else { return false };
        self.fire(cx, conn, timer);
        self.regulate(cx, conn);
        true
    }

    /// Each of these changes the link so that it wants something else, or nothing, from now on.
    fn fire(&mut self, cx: &mut Cx, conn: ConnId, timer: Timer) {
        match timer {
            Timer::Greet => self.greet(cx, conn),
            Timer::FirstByte | Timer::Greeting => {
                if self.table.get(conn).is_some_and(|link| !link.is_outbound()) {
                    self.report(conn, Breach::NoGreeting);
                }
                self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Silent);
            }
            Timer::Settle => {
                if let Some(link) = self.table.get_mut(conn) {
                    link.queue.open_gate();
                }
            }
            Timer::Idle => self.keep_alive(cx, conn),
            Timer::Dead => {
                self.counts.silent += 1;
                self.end(cx, conn, Ending::Abort, LeaveReason::Silent);
            }
            Timer::Claim => self.claim_is_due(cx, conn),
            Timer::Handover => self.release(cx, conn),
            Timer::Farewell => self.end(cx, conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye),
            Timer::Linger => self.end(cx, conn, Ending::Abort, LeaveReason::Closed),
            Timer::Stalled => self.cut_slow(cx, conn, LeaveReason::Slow),
            // The caller regulates the link.
            Timer::Resume => {}
        }
    }

    fn keep_alive(&mut self, cx: &mut Cx, conn: ConnId) {
        let token = Token::from_bits(cx.random_bits());
        if self.table.get(conn).and_then(Link::version) == Some(Version::V2) {
            self.ping(cx, conn, token);
        } else {
            self.push(cx, conn, b"\n");
        }
    }

    fn said(&mut self, conn: ConnId, text: String) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if let Some(hold) = &mut link.hold {
            hold.push(text);
        } else if let Some(from) = link.node_id() {
            self.deliver_all(from, [text].into());
        }
    }

    fn pinged(&mut self, cx: &mut Cx, conn: ConnId, token: Token) {
        self.send(cx, conn, &Frame::Pong(token));
        if let Some(other) = self.table.of_nonce(&token).filter(|other| *other != conn) {
            self.confirm(cx, conn, other);
        }
    }

    fn ponged(&mut self, cx: &Cx, conn: ConnId, token: Token) {
        let Some(link) = self.table.get_mut(conn) else { return };
        let peer = link.node_id().filter(|_| link.pong(cx.now, token));
        if let Some(peer) = peer {
            self.send_ping(cx, conn);
            self.events.push_back(Event::Answered { conn, peer, token });
        }
    }

    /// Says the next `PING` that waits on a link, if none is out.
    fn send_ping(&mut self, cx: &Cx, conn: ConnId) {
        if let Some(token) = self.table.get_mut(conn).and_then(Link::next_ping) {
            self.send(cx, conn, &Frame::Ping(token));
            if let Some(link) = self.table.get_mut(conn) {
                link.ping_queued(cx.now, token);
            }
        }
    }

    fn push(&mut self, cx: &Cx, conn: ConnId, frames: &[u8]) {
        if let Some(link) = self.table.get_mut(conn) {
            link.push(cx.now, frames, cx.limits());
        }
    }

    fn report(&mut self, conn: ConnId, breach: Breach) {
        self.counts.violations += 1;
        if let Some(link) = self.table.get(conn) {
            self.events.push_back(Event::Broke { conn, remote: link.remote, breach });
        }
    }
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
