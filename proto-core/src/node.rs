//! The node: takes an input to the machine that it concerns, and what follows from it to the others.

mod convert;
#[cfg(test)]
mod tests;
mod views;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::chat::{self, Chat};
use crate::conns::{self, Conns, Incoming};
use crate::contract::{
    Action, Command, CommandError, Input, Message, Notice, Outcome, Stats, Status, TimerKind,
};
use crate::mesh::{self, Mesh, Screening, Verdict};
use crate::model::{
    Capacity, ChatText, Config, ConfigError, ConnId, Cx, Draft, Entry, Identity, Instant, MAX_TO, Name,
    NodeId, PeerInfo, PublicKey,
};
use crate::v1::{self, V1};
use crate::wire::{Chunk, PeerRecord};

/// One node of the network, as a state machine.
///
/// Its methods are of four kinds:
/// - **what happens** goes in by [`handle_input`](Self::handle_input), which never fails: a bad peer becomes an action;
/// - **what the application wants** by [`command`](Self::command), which is carried out whole or not at all;
/// - **what is to be done** comes out of [`poll_action`](Self::poll_action), in order, and of
///   [`poll_timeout`](Self::poll_timeout), the one deadline;
/// - the rest are **views**.
///
/// `now` never goes back; one that does counts as the latest seen. Any number of inputs and commands between two
/// drains of the actions is legal, and so are timeouts that nobody asked for. Polling means nothing to the protocol.
/// Two nodes with the same config, seed, inputs and commands give the same actions, byte for byte.
#[derive(Debug)]
pub struct Node {
    cx: Cx,
    conns: Conns,
    mesh: Mesh,
    chat: Chat,
    v1: V1,
    actions: VecDeque<Action>,
    /// Messages of others that were delivered.
    delivered: u64,
}

impl Node {
    /// A node without connections. The seed feeds one generator (ChaCha8); it is never key material.
    pub fn new(
        config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.limits.check()?;
        let mut cx = Cx::new(config, identity, seed, now);
        Ok(Self {
            conns: Conns::default(),
            chat: Chat::new(&mut cx),
            mesh: Mesh::new(&mut cx),
            v1: V1::new(cx.identity.node_id()),
            cx,
            actions: VecDeque::new(),
            delivered: 0,
        })
    }

    /// Something happened. Never fails, never panics, whatever a peer or a driver does.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if now > self.cx.now {
            self.cx.now = now;
            // Run time-driven work first, so that chunking cannot change the result.
            self.keep_up();
        }
        match input {
            Input::WallClock { unix_ms } => {
                self.cx.set_wall(unix_ms);
                self.chat_timeout();
            }
            Input::Accepted { conn, remote } => {
                self.conns.count_accepted();
                if self.cx.stopping {
                    self.conns.refuse_connection(conn);
                } else {
                    while self.conns.make_room_for_pending(&mut self.cx) {
                        self.route();
                    }
                    self.conns.accepted(&mut self.cx, conn, remote);
                }
            }
            Input::Resolved { dial, addrs } => self.mesh.resolved(&mut self.cx, dial, &addrs, &self.conns),
            Input::Connected { dial, conn } => {
                match self.mesh.connected(dial).filter(|_| !self.conns.contains(conn)) {
                    Some(dialed) => self.conns.connected(&mut self.cx, conn, dialed),
                    None => self.conns.refuse_connection(conn),
                }
            }
            Input::DialFailed { dial, reason } => {
                self.mesh.dial_failed(&mut self.cx, dial, reason, &self.conns);
            }
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Flushed { conn } => self.conns.flushed(&self.cx, conn),
            Input::Closed { conn } => self.conns.closed(&mut self.cx, conn),
            Input::Timeout => self.timeout(),
        }
        self.settle();
    }

    /// The application wants something. Carried out whole, or refused with the node as it was.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<Outcome, CommandError> {
        self.cx.now = self.cx.now.max(now);
        if self.cx.stopping {
            return Err(CommandError::ShuttingDown);
        }
        let mut outcome = Outcome::Done;
        match command {
            Command::Say(texts) => outcome = Outcome::Said(self.say(&texts)?),
            Command::Connect(addr) => {
                if !self.mesh.add_target(&self.cx, addr) {
                    return Err(CommandError::TooManyTargets);
                }
            }
            Command::Rename(name) => {
                self.cx.config.uname = name;
                self.conns.renamed(&self.cx);
            }
            Command::Shutdown => self.shut_down(),
        }
        self.settle();
        Ok(outcome)
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.conns.next_output(&self.cx).map(Action::from))
    }

    /// When [`Input::Timeout`] is due, and what for; the latter is for logs and tests alone.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let conns = self.conns.deadline(&self.cx).map(|(at, timer)| (at, timer.into()));
        let pace = self.conns.pace_deadline(&self.cx).map(|at| (at, TimerKind::Pace));
        let mesh = self.mesh.deadline(&self.cx, &self.conns).map(|(at, timer)| (at, timer.into()));
        let chat = self.chat.deadline(&self.cx).map(|(at, timer)| (at, timer.into()));
        let v1 = self.v1.deadline().map(|at| (at, TimerKind::Lines));
        let conversation = chat.into_iter().chain(v1).min().filter(|_| !self.cx.stopping);
        [conns, pace, mesh, conversation].into_iter().flatten().min()
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.cx.identity.node_id()
    }

    /// Its public key.
    pub fn key(&self) -> PublicKey {
        self.cx.identity.key()
    }

    /// The name its user goes by.
    pub fn uname(&self) -> &Name {
        &self.cx.config.uname
    }

    /// Its settings, with the name as it is now.
    pub fn config(&self) -> &Config {
        &self.cx.config
    }

    /// The peers that are linked, in the order of their ids.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<PeerInfo>> {
        self.conns.peers()
    }

    /// Connections that the driver holds for it, those that are being closed included. After
    /// [`Command::Shutdown`] the node is done when there are none.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Bytes in its buffers.
    pub fn buffered(&self) -> usize {
        self.conns.buffered()
    }

    /// The entries that it holds, in the order of the conversation.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.chat.entries()
    }

    /// Its counters.
    pub fn stats(&self) -> Stats {
        views::stats(self)
    }

    /// How much is in each bounded thing that others can fill; never more than its [bound](Capacity::bound) once the actions
    /// that follow from an input are polled.
    pub fn capacities(&self) -> impl Iterator<Item = (Capacity, usize)> {
        views::capacities(self)
    }

    /// All that it can tell of itself.
    pub fn status(&self) -> Status {
        views::status(self)
    }

    /// After each input and command.
    fn settle(&mut self) {
        self.follow_up();
        self.conns.refresh(&self.cx);
        debug_assert!(views::is_consistent(self), "an index differs from what it is an index of");
    }

    /// What follows from the new state of the whole.
    fn follow_up(&mut self) {
        self.route();
        while let Some(chat::Output { conn, frame, ping }) =
            self.chat.next_output(&mut self.cx, |peer| self.conns.active(peer))
        {
            self.conns.send(&self.cx, conn, &frame);
            if let Some(token) = ping {
                self.conns.ping(&self.cx, conn, token);
            }
        }
        for conn in self.conns.overfull(&self.cx) {
            self.conns.disconnect_overfull(&mut self.cx, conn);
            self.route();
        }
        while self.conns.make_room_in_buffers(&mut self.cx) {
            self.route();
        }
        self.keep_up();
        self.conns.notify_ready(&self.cx);
        self.route();
    }

    /// What time brings to the mesh.
    fn keep_up(&mut self) {
        self.mesh.dial(&mut self.cx, &self.conns);
        self.route();
        while self.mesh.keep_up(&mut self.cx, &self.conns, |peer| self.chat.is_near_another(peer)) {
            self.route();
        }
    }

    fn timeout(&mut self) {
        self.mesh.timeout(&mut self.cx, &self.conns);
        self.route();
        while self.conns.timeout(&mut self.cx) {
            self.route();
        }
        // Last: a link that took another's place just now brings a neighbour.
        self.chat_timeout();
    }

    fn chat_timeout(&mut self) {
        self.chat.timeout(&self.cx);
        self.route();
        while let Some((via, texts)) = self.v1.next_due(&self.cx) {
            let entries = self.chat.say(&self.cx, &texts, &[], Some(&via));
            self.route();
            entries.iter().for_each(|entry| self.tell_in_lines(entry));
        }
        for peer in self.v1.due_greetings(&mut self.cx) {
            self.greet_again(peer);
        }
        self.chat.spread_timeout(&mut self.cx);
    }

    fn say(&mut self, texts: &[ChatText]) -> Result<Vec<Arc<Entry>>, CommandError> {
        let lines = v1::frames(texts.iter().map(ChatText::as_str));
        self.conns.check_room(&self.cx, lines.len(), Draft::most_bytes(texts))?;
        if self.conns.take_alone_notice() {
            self.actions.push_back(Action::Notice(Notice::Alone));
        }
        let (told, conns): (Vec<_>, Vec<_>) = self.conns.keyless().unzip();
        let entries = self.chat.say(&self.cx, texts, &told[..told.len().min(MAX_TO)], None);
        self.route();
        conns.into_iter().for_each(|conn| self.conns.send_frames(&self.cx, conn, &lines));
        Ok(entries)
    }

    fn shut_down(&mut self) {
        self.cx.stopping = true;
        self.mesh.cancel(None);
        self.route();
        for conn in self.conns.all() {
            self.conns.shut_down(&mut self.cx, conn);
            self.route();
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        self.conns.greet_on_first_byte(&self.cx, conn, bytes);
        let mut chunk = Chunk::new(bytes);
        while let Some(incoming) = self.conns.read(&self.cx, conn, &mut chunk) {
            let local = matches!(&incoming, Incoming::Conn(frame) if frame.is_local());
            match incoming {
                Incoming::Conn(frame) => self.conns.handle(&mut self.cx, conn, frame),
                Incoming::Peers(records) => self.peers_told(conn, &records),
                Incoming::Chat(from, frame) => self.chat.received(&self.cx, from, frame),
            }
            self.route();
            self.conns.update_pause(&self.cx, conn);
            self.route();
            if !local {
                // Here, not once for all that came in, so that chunking cannot change the result.
                self.follow_up();
            }
        }
    }

    fn peers_told(&mut self, conn: ConnId, records: &[PeerRecord]) {
        let Some(teller) = self.conns.teller(&mut self.cx, conn) else { return };
        if let Some(peer) = self.conns.peer(teller.node_id) {
            self.v1.peers_received(&mut self.cx, peer, records);
        }
        self.mesh.peers_told(&mut self.cx, &teller, records, &self.conns);
    }

    /// Takes what the machines say follows to where it goes, depth first: what follows from an event comes before the next.
    fn route(&mut self) {
        while let Some(event) = self.chat.next_event() {
            self.on_chat(event);
        }
        while let Some(event) = self.mesh.next_event() {
            self.on_mesh(event);
        }
        while let Some(event) = self.conns.next_event() {
            let later = self.conns.set_aside();
            self.on_conns(event);
            self.route();
            self.conns.put_back(later);
        }
    }

    fn on_chat(&mut self, event: chat::Event) {
        match event {
            chat::Event::Show { entry, marks } => self.show(entry, marks),
            chat::Event::Push { peers, id, line } => {
                for peer in peers {
                    match self.conns.push_entry(&self.cx, peer, &line) {
                        Some(true) => self.chat.pushed(),
                        Some(false) => self.chat.not_pushed(&self.cx, peer, id),
                        None => {}
                    }
                }
            }
            chat::Event::Reply { conn, frame } => self.conns.send(&self.cx, conn, &frame),
            chat::Event::Asked { conn, bytes } => self.conns.refund(&self.cx, conn, bytes),
            chat::Event::Faulty { conn, fault } => {
                let remote = self.conns.count_violation(conn);
                let violation = fault.into();
                self.actions.extend(remote.map(|remote| Action::Report { conn, remote, violation }));
                match fault {
                    chat::Fault::SyncsIgnored => self.conns.disconnect(&mut self.cx, conn),
                    _ => self.conns.count_malformed(&mut self.cx, conn),
                }
            }
            chat::Event::Gap { .. } | chat::Event::ClockOff { .. } => {
                self.actions.extend(convert::notice(event))
            }
        }
    }

    fn show(&mut self, entry: Arc<Entry>, marks: crate::model::Marks) {
        if self.v1.concerns(&entry) {
            self.tell_in_lines(&entry);
            if !self.v1.note_entry(&self.cx, &entry) {
                return;
            }
        }
        self.deliver(Message::Entry { entry, marks });
    }

    fn deliver(&mut self, message: Message) {
        self.delivered += message.texts().count() as u64;
        self.actions.push_back(Action::Deliver(message));
    }

    /// Tells the version 1 peers whom nobody else tells what an entry says.
    fn tell_in_lines(&mut self, entry: &Entry) {
        let Some((peers, lines)) = self.v1.relay(entry) else { return };
        peers.into_iter().for_each(|peer| self.conns.send_to(&self.cx, peer, &lines));
    }

    fn greet_again(&mut self, peer: NodeId) {
        if let Some(until) = self.conns.greet_again(&mut self.cx, peer) {
            self.v1.postpone_greeting(peer, until);
        }
    }

    fn on_mesh(&mut self, event: mesh::Event) {
        match event {
            mesh::Event::Trim(conn) => self.conns.trim(&mut self.cx, conn),
            mesh::Event::TellPeers { conn, count, found } => {
                self.conns.send_peers(&mut self.cx, conn, count, found);
            }
            other => self.actions.extend(convert::request(other)),
        }
    }

    fn on_conns(&mut self, event: conns::Event) {
        use conns::Event;
        match event {
            Event::KeyClaimed(conn) => {
                match self.mesh.screen(&self.cx, conn, &self.conns, self.chat.is_full_mesh()) {
                    Screening::Banned => self.conns.refuse_banned(&mut self.cx, conn),
                    Screening::Full => self.turn_away(conn),
                    Screening::Passed => self.conns.prove(&self.cx, conn),
                }
            }
            Event::HandshakeDone(conn) => {
                let verdict = self.mesh.receive(&self.cx, conn, &self.conns, self.chat.is_full_mesh());
                self.receive(conn, verdict);
            }
            Event::Uncontested(conn) => self.admit(conn),
            Event::NoSlot(conn) => self.turn_away(conn),
            Event::Linked { peer, dialed } => self.mesh.linked(&self.cx, &peer, dialed),
            Event::Registered { peer, named } => {
                if peer.key.is_some() {
                    self.chat.linked(&self.cx, peer.node_id);
                }
                self.v1.linked(&mut self.cx, &peer, named);
                self.actions.push_back(Action::RegisterPeer(peer));
            }
            Event::Reached { dialed, node_id } => self.mesh.reached(&self.cx, dialed, node_id),
            Event::OwnAddress(dialed) => self.mesh.reached_ourselves(dialed),
            Event::Line { from, text } => {
                let Some(peer) = self.conns.peer(from).cloned() else { return };
                if self.v1.note_line(&self.cx, &peer, &text) {
                    self.deliver(Message::Line { peer, text });
                }
            }
            Event::Answered { conn, token } => {
                let peer = self.conns.claimed_id(conn);
                self.chat.answered(&self.cx, conn, peer, token);
            }
            Event::Moved { peer, before, after } => self.chat.moved(&self.cx, peer, before, after),
            Event::MayForget(peer) => self.v1.may_forget(&mut self.cx, peer),
            Event::GreetAgain(peer) => self.greet_again(peer),
            Event::Ended(conn) => {
                self.chat.ended(conn);
                self.mesh.ended(conn);
            }
            Event::NotLinked { dialed, outcome, again } => {
                self.mesh.not_linked(&mut self.cx, dialed, outcome.into(), again, &self.conns);
            }
            Event::LinkLost(lost) => self.lost(&lost),
            Event::ClaimDecided(conn) => self.conns.claim_decided(&mut self.cx, conn),
            other => self.actions.extend(convert::output(other)),
        }
    }

    fn receive(&mut self, conn: ConnId, verdict: Verdict) {
        match verdict {
            Verdict::Banned => self.conns.refuse_banned(&mut self.cx, conn),
            Verdict::Linked => self.conns.claim(&mut self.cx, conn),
            Verdict::Full => self.turn_away(conn),
            Verdict::Free => self.welcome(conn),
            Verdict::InPlaceOf(other) => {
                self.welcome(conn);
                self.route();
                self.displace(other);
            }
        }
    }

    fn admit(&mut self, conn: ConnId) {
        let verdict = self.mesh.admit(&self.cx, conn, &self.conns, self.chat.is_full_mesh());
        self.receive(conn, verdict);
    }

    fn welcome(&mut self, conn: ConnId) {
        let Some(node_id) = self.conns.claimed_id(conn) else { return };
        let found = self.mesh.sample_for(&mut self.cx, node_id);
        self.conns.admit(&mut self.cx, conn, found);
    }

    fn turn_away(&mut self, conn: ConnId) {
        let Some(node_id) = self.conns.claimed_id(conn) else { return };
        let found = self.mesh.turn_away(&mut self.cx, node_id);
        self.conns.turn_away(&mut self.cx, conn, found);
    }

    fn displace(&mut self, conn: ConnId) {
        let Some(node_id) = self.conns.claimed_id(conn) else { return };
        let found = self.mesh.displace(&mut self.cx, node_id);
        self.conns.turn_away(&mut self.cx, conn, found);
    }

    /// A peer lost its link: a newcomer that claims its id takes its place, or the peer is gone.
    fn lost(&mut self, lost: &conns::LostLink) {
        let (node_id, gone) = (lost.node_id, lost.into());
        self.mesh.ban(&self.cx, &gone);
        let cx = &mut self.cx;
        if let Some(successor) = self.conns.successor(cx, lost)
            && !self.mesh.is_banned(cx, successor, &self.conns)
        {
            return self.conns.take_over(cx, node_id, successor);
        }
        if let Some(peer) = self.conns.unregister(node_id) {
            self.chat.unlinked(cx, node_id);
            self.v1.unlinked(cx, node_id, lost.is_shutdown());
            self.actions.push_back(Action::UnregisterPeer { peer, reason: lost.reason });
        }
        self.mesh.unlinked(cx, &gone, &self.conns);
        while !self.cx.stopping
            && let Some(conn) = self.conns.first_claimant(node_id)
        {
            if !self.mesh.is_banned(&self.cx, conn, &self.conns) {
                return self.admit(conn);
            }
            self.conns.refuse_banned(&mut self.cx, conn);
            self.route();
        }
    }
}
