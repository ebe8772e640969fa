//! Connections: handshake, keep-alive, duplicates, back-pressure and closing, and the roster of linked peers
//! (SPEC sections 1 to 4 and 6).
//!
//! [`Conns`] owns every connection, what waits to be sent on it, and the set of linked peers. A connection becomes a
//! *link* when its peer is admitted.
//!
//! **Ways in.** The driver's inputs are [`Conns::accepted`], [`Conns::connected`], [`Conns::sealing`],
//! [`Conns::sealed`], [`Conns::flushed`], [`Conns::closed`], and for bytes [`Conns::read`], which returns one line at a time. Lines that concern connections
//! go back in by [`Conns::handle`]. The decisions of the mesh come in by [`Conns::admit`], [`Conns::turn_away`],
//! [`Conns::claim`] and the like. Frames go out by [`Conns::send`] and [`Conns::push_entry`].
//!
//! **Ways out.** What follows from each call is in [`Conns::next_event`], in order. Chunks to write are in
//! [`Conns::next_output`].
//!
//! **Deadline.** [`Conns::deadline`] is the earliest of all connections and of the handshakes that wait for their turn, for
//! [`Conns::timeout`], and of the full queues that block the user, for [`Conns::notify_ready`].
//!
//! **Capacities**: connections, pending ones, connection slots, peers with a key, bytes in buffers and queues, the
//! longest unfinished line, malformed frames, queued `PING`s ([`Conns::capacities`]; the limits are `limits.conns` and
//! `limits.wire`).

mod backpressure;
mod census;
mod closing;
mod duplicates;
mod event;
mod foreign;
mod handshake;
mod link;
mod roster;
mod sealing;
mod table;
mod views;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use closing::Ending;
use foreign::Foreign;
use link::{Channel, Link, LinkEvent, Timer};
use roster::Roster;
use sealing::{Handshakes, channel_of};
use table::Table;

use crate::model::{
    ConnId, Cx, Dialed, Instant, LeaveReason, NodeId, PeersSource, PublicKey, Sender, Version, host_of,
};
use crate::wire::{ByeCode, ChatFrame, Chunk, Frame, PeerRecord, Token};

pub(crate) use backpressure::Output;
pub(crate) use event::{Breach, Counts, DialOutcome, Event, Health, LostLink, Refusal, Registration};
#[cfg(test)]
pub(crate) use handshake::sign_proof;
pub(crate) use link::{ConnFrame, Timer as LinkTimer};

/// All connections, and the linked peers.
#[derive(Debug, Default)]
pub(crate) struct Conns {
    table: Table,
    roster: Roster,
    /// Something was refused as busy, and [`Event::Ready`] has not followed yet.
    busy: bool,
    /// The user was notified that no peer is linked.
    alone_notified: bool,
    foreign: Foreign,
    handshakes: Handshakes,
    /// The links to drop because their queues are above their bounds.
    overfull: VecDeque<ConnId>,
    events: VecDeque<Event>,
    counts: Counts,
}

/// One line that came in on a connection.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// A line for this machine, to be passed to [`Conns::handle`].
    Conn(ConnFrame),
    /// A frame of the conversation.
    Chat(Sender, ChatFrame<'a>),
}

impl Conns {
    /// What follows from the calls so far, in order.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes out the events that are left, so that what follows from the last one is routed before them.
    pub(crate) fn set_aside(&mut self) -> VecDeque<Event> {
        if self.events.is_empty() { VecDeque::new() } else { core::mem::take(&mut self.events) }
    }

    /// Puts these events back, when all that came before them was routed.
    pub(crate) fn put_back(&mut self, later: VecDeque<Event>) {
        if !later.is_empty() {
            debug_assert!(self.events.is_empty(), "an event was not routed");
            self.events = later;
        }
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, conn: ConnId) -> bool {
        self.table.contains(conn)
    }

    /// The listener accepted a connection. `key`: the connection is sealed, and the peer has proven this key.
    pub(crate) fn accepted(&mut self, cx: &mut Cx, conn: ConnId, remote: SocketAddr, key: Option<PublicKey>) {
        self.counts.accepted += 1;
        if cx.stopping {
            return self.events.push_back(Event::Abort(conn));
        }
        self.make_room_for_pending(cx, remote.ip());
        self.events.push_back(Event::Room { conn, remote, key });
    }

    /// Opens an accepted connection for which there is room ([`Event::Room`]).
    pub(crate) fn open_accepted(
        &mut self,
        cx: &mut Cx,
        conn: ConnId,
        remote: SocketAddr,
        key: Option<PublicKey>,
    ) {
        self.open(cx, conn, remote, channel_of(cx, remote, key, true), None);
    }

    /// A dial is connected. `dialed`: its target; none if the node does not wait for it. `key`: the connection is
    /// sealed.
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
            self.note_own_handshake(cx);
        }
        self.open(cx, conn, dialed.addr, channel_of(cx, dialed.addr, key, false), Some(dialed));
    }

    fn open(
        &mut self,
        cx: &mut Cx,
        conn: ConnId,
        remote: SocketAddr,
        channel: Channel,
        dialed: Option<Dialed>,
    ) {
        if self.table.contains(conn) {
            return;
        }
        let nonce = Token::from_bits(cx.random_bits());
        let reach = cx.reach_of(remote.ip());
        self.table.insert(conn, Link::new(cx.now, (remote, reach), channel, dialed, nonce, cx.limits()));
        if channel.is_sealed() && dialed.is_some() {
            self.greet(cx, conn);
        }
    }

    /// The next line of a chunk that came in on a connection.
    pub(crate) fn read<'a, 'b: 'a>(
        &'a mut self,
        cx: &Cx,
        conn: ConnId,
        chunk: &mut Chunk<'b>,
    ) -> Option<Incoming<'a>> {
        let link = self.table.get_mut(conn)?;
        let (peer, host, rated) = (link.node_id(), host_of(link.remote.ip()), link.is_rate_limited());
        let round_trip = link.known_round_trip();
        let claims = matches!(link.phase, link::Phase::Claiming { .. });
        Some(match link.next_event(cx.now, chunk, cx.limits())? {
            LinkEvent::Conn(frame) => Incoming::Conn(frame),
            LinkEvent::Chat(frame) => {
                Incoming::Chat(Sender { conn, peer: peer?, host, rated, round_trip, claims }, frame)
            }
        })
    }

    /// Handles a line for this machine that [`read`](Self::read) has returned.
    pub(crate) fn handle(&mut self, cx: &mut Cx, conn: ConnId, frame: ConnFrame) {
        match frame {
            ConnFrame::Skipped { unknown } => self.counts.unknown_frames += u64::from(unknown),
            ConnFrame::Join(join) => self.joined(cx, conn, &join),
            ConnFrame::Rejoin(join) => self.rejoined(cx, conn, &join),
            ConnFrame::Msg(text) => self.line_received(conn, text),
            ConnFrame::Ping(token) => self.pinged(cx, conn, token),
            ConnFrame::Pong(token) => self.ponged(cx, conn, token),
            ConnFrame::Bye(code) => self.bye(cx, conn, code),
            ConnFrame::Proof(signature) => self.proven(cx, conn, &signature),
            ConnFrame::Peers(records) => self.peers_received(cx, conn, records),
            ConnFrame::Breach(breach) => {
                self.counts.malformed += u64::from(matches!(breach, Breach::Malformed(_)));
                self.report(conn, breach);
            }
            ConnFrame::Disconnect(breach) => {
                self.report(conn, breach);
                self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
            }
        }
    }

    /// Counts a violation in a frame of the conversation. The remote address of that connection.
    pub(crate) fn count_violation(&mut self, conn: ConnId) -> Option<SocketAddr> {
        self.counts.violations += 1;
        self.table.get(conn).map(|link| link.remote)
    }

    /// Penalizes a violation in a frame of the conversation. A `severe` one disconnects the peer. Any other counts as a
    /// malformed frame, since no honest node sends or relays such a frame.
    pub(crate) fn penalize(&mut self, cx: &mut Cx, conn: ConnId, severe: bool) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if !severe {
            if !link.malformed.record(cx.now, cx.limits()) {
                return;
            }
            self.report(conn, Breach::TooManyMalformed);
        }
        self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Violation);
    }

    /// Refunds the rates for a frame of that size that a reconciliation showed.
    pub(crate) fn refund(&mut self, cx: &Cx, conn: ConnId, bytes: usize) {
        if let Some(link) = self.table.get_mut(conn) {
            link.refund(cx.now, bytes);
        }
    }

    /// `PEERS` came.
    fn peers_received(&mut self, cx: &mut Cx, conn: ConnId, records: Vec<PeerRecord>) {
        let source = self.peers_source(cx, conn);
        self.events.extend(source.map(|source| Event::PeersReceived { source, records }));
    }

    /// The node that sent `PEERS`. None: its content is not to be used.
    fn peers_source(&mut self, cx: &mut Cx, conn: ConnId) -> Option<PeersSource> {
        let link = self.table.get_mut(conn)?;
        let first = !core::mem::replace(&mut link.peers_heard, true);
        let known = link.node_id().is_some() || link.channel.is_sealed();
        let node_id = match (link.phase, link.node_id()) {
            (link::Phase::Linked, Some(node_id)) => node_id,
            (link::Phase::Greeting, _) if known && link.is_outbound() => NodeId::random(&mut cx.random),
            _ => return None,
        };
        let ip = link.remote.ip();
        Some(PeersSource { conn, node_id, ip, reach: link.reach, dialed: link.is_outbound(), first })
    }

    /// Sends `PING` with this token: at once, or after the `PONG` that is awaited.
    fn ping(&mut self, cx: &Cx, conn: ConnId, token: Token) {
        if let Some(link) = self.table.get_mut(conn) {
            link.probe(token, cx.limits());
        }
        self.send_ping(cx, conn);
    }

    /// Queues the line of a frame on a connection, and a `PING` with this token right behind it.
    pub(crate) fn send_with(&mut self, cx: &Cx, conn: ConnId, line: &[u8], ping: Option<Token>) {
        self.push(cx, conn, line);
        if let Some(token) = ping {
            self.ping(cx, conn, token);
        }
    }

    /// Queues a frame on a connection.
    pub(crate) fn send(&mut self, cx: &Cx, conn: ConnId, frame: &Frame<'_>) {
        self.push(cx, conn, &encode(frame));
    }

    /// Queues whole frames on the active connections of these peers.
    pub(crate) fn send_to_peers(&mut self, cx: &Cx, peers: &[NodeId], frames: &[u8]) {
        let conns: Vec<_> = peers.iter().filter_map(|peer| self.active(*peer)).collect();
        self.send_to_all(cx, &conns, frames);
    }

    /// Queues the frame of an entry for these peers. For how many it was queued, and whose queues are full.
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

    /// Queues an entry for a peer, unless its queue is full. Whether it was queued. None: the peer is not linked.
    fn push_entry_to(&mut self, cx: &Cx, peer: NodeId, frame: &[u8]) -> Option<bool> {
        let conn = self.active(peer)?;
        let full = |link: &Link| link.queue.bytes() + frame.len() > cx.limits().conns.queue;
        let room = self.table.get(conn).is_some_and(|link| !full(link));
        if room {
            self.push(cx, conn, frame);
        }
        Some(room)
    }

    /// The connection on which a peer is sent its frames.
    pub(crate) fn active(&self, peer: NodeId) -> Option<ConnId> {
        self.roster.get(peer).map(|peer| peer.active)
    }

    /// The bytes in the output queue of a connection, and when the last byte came on it.
    pub(crate) fn traffic(&self, conn: ConnId) -> (usize, Option<Instant>) {
        self.table.get(conn).map_or((0, None), |link| (link.queue.bytes(), link.received()))
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

    /// The driver reports that a connection is gone.
    pub(crate) fn closed(&mut self, cx: &mut Cx, conn: ConnId) {
        self.end(cx, conn, Ending::Gone, LeaveReason::Closed);
    }

    /// Brings the indexes up to date. To be called after each change from outside.
    pub(crate) fn refresh(&mut self, cx: &Cx) {
        self.table.refresh(cx.limits());
    }

    /// When [`timeout`](Self::timeout) is due, and for which timer. None: [`notify_ready`](Self::notify_ready) is due.
    pub(crate) fn deadline(&self, cx: &Cx) -> Option<(Instant, Option<LinkTimer>)> {
        let link = self.table.first_deadline(cx.limits()).map(|(at, _, timer)| (at, Some(timer)));
        let seal = self.handshakes.deadline(cx.now).map(|at| (at, Some(Timer::Seal)));
        link.into_iter().chain(seal).chain(self.pace_deadline(cx).map(|at| (at, None))).min()
    }

    /// Fires the timer that is due first. Whether there was one: call it until there is none.
    pub(crate) fn timeout(&mut self, cx: &mut Cx) -> bool {
        self.accept_seals(cx);
        self.refresh(cx);
        let due = self.table.first_deadline(cx.limits()).filter(|(at, ..)| *at <= cx.now);
        let Some((_, conn, timer)) = due else { return false };
        self.fire(cx, conn, timer);
        self.update_pause(cx, conn);
        true
    }

    /// Each timer changes its link, so that it does not fire again at once.
    fn fire(&mut self, cx: &mut Cx, conn: ConnId, timer: Timer) {
        match timer {
            Timer::Greet => self.greet(cx, conn),
            Timer::FirstByte | Timer::Greeting => {
                if let Some(breach) = self.table.get(conn).and_then(Link::without_greeting) {
                    self.report(conn, breach);
                }
                self.end(cx, conn, Ending::Bye(ByeCode::Violation), LeaveReason::Silent);
            }
            Timer::Settle => {
                if let Some(link) = self.table.get_mut(conn) {
                    link.queue.open_gate();
                }
            }
            Timer::Idle => self.keep_alive(cx, conn),
            // The caller notes it.
            Timer::Silent => {}
            Timer::Dead => {
                self.counts.silent += 1;
                self.end(cx, conn, Ending::Abort, LeaveReason::Silent);
            }
            Timer::Claim => self.claim_expired(cx, conn),
            Timer::Handover => self.release_held_back(cx, conn),
            Timer::Farewell => self.end(cx, conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye),
            Timer::Linger => self.end(cx, conn, Ending::Abort, LeaveReason::Closed),
            Timer::Stalled => self.disconnect_slow(cx, conn, LeaveReason::Slow),
            // The caller resumes reading, and has let the handshakes begin.
            Timer::Resume | Timer::Seal => {}
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

    fn line_received(&mut self, conn: ConnId, text: String) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if let Some(hold) = &mut link.held_back {
            hold.push(text);
        } else if let Some(from) = link.node_id() {
            self.deliver_all(from, [text].into());
        }
    }

    fn pinged(&mut self, cx: &mut Cx, conn: ConnId, token: Token) {
        self.send(cx, conn, &Frame::Pong(token));
        if let Some(other) = self.table.of_nonce(&token).filter(|other| *other != conn) {
            self.duplicate_proven(cx, conn, other);
        }
    }

    fn ponged(&mut self, cx: &mut Cx, conn: ConnId, token: Token) {
        let Some(link) = self.table.get_mut(conn) else { return };
        let answered = link.node_id().and_then(|peer| Some((peer, link.pong(cx.now, token)?)));
        if let Some((peer, round_trip)) = answered {
            self.send_ping(cx, conn);
            self.claim_answered(cx, peer, conn, token);
            self.events.push_back(Event::Answered { conn, peer, token, round_trip });
        }
    }

    /// Sends the next queued `PING` of a link, unless one is unanswered.
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
        self.tell(conn, breach);
    }

    fn tell(&mut self, conn: ConnId, breach: Breach) {
        if let Some(link) = self.table.get(conn) {
            self.events.push_back(Event::Breach { conn, remote: link.remote, breach });
        }
    }
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
