//! The node: routes each input to the machine that it concerns, and the events of each machine to the others.
//!
//! It decides nothing. `mesh::dialing` decides dials, `mesh::admission` who is admitted, `conns::duplicates` which of two
//! connections with a node stays, `chat::log` what is shown when, `v1` what peers without a key are sent.

mod convert;
mod speech;
#[cfg(test)]
mod tests;
mod views;

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::chat::{self, Chat, Lookahead};
use crate::conns::{self, Conns, Incoming};
use crate::contract::{Action, Command, CommandError, Input, Message, Outcome, Stats, Status, TimerKind};
use crate::mesh::{self, Mesh, Verdict};
use crate::model::{
    Capacity, Census as _, Config, ConnId, Cx, Entry, Identity, Instant, Kept, Marks, Member, Memory, Name,
    NodeId, PeerInfo, PublicKey, Stage, canonical,
};
use crate::v1::{self, V1};
use crate::wire::Chunk;

/// One node of the network, as a state machine.
///
/// [`handle_input`](Self::handle_input) takes what happens, [`command`](Self::command) what the application wants.
/// [`poll_action`](Self::poll_action) returns what is to be done, in order, and [`poll_timeout`](Self::poll_timeout) the
/// next deadline. The other methods are views.
///
/// An earlier `now` than before counts as the latest one. Equal config, seed, inputs and commands give equal actions.
#[derive(Debug)]
pub struct Node {
    cx: Cx,
    conns: Conns,
    mesh: Mesh,
    chat: Chat,
    v1: V1,
    actions: VecDeque<Action>,
    /// What was kept from an earlier start, until the wall clock tells how old it is.
    memory: Option<Memory>,
}

impl Node {
    /// A node without connections, which knows nothing. The seed is for the random number generator (ChaCha8), and never
    /// becomes a key.
    pub fn new(config: Config, identity: Identity, seed: [u8; 32], now: Instant) -> Self {
        Self::restore(config, identity, seed, now, Kept::default())
    }

    /// A node without connections, which goes on from what its store has.
    pub fn restore(config: Config, identity: Identity, seed: [u8; 32], now: Instant, kept: Kept) -> Self {
        let mut cx = Cx::new(config, identity, seed, now);
        Self {
            conns: Conns::default(),
            chat: Chat::restore(&mut cx, &kept),
            mesh: Mesh::new(&mut cx),
            v1: V1::new(cx.identity.node_id()),
            cx,
            actions: VecDeque::new(),
            memory: Some(kept.memory).filter(|memory| *memory != Memory::default()),
        }
    }

    /// Takes an input. It never fails or panics, whatever a peer or a driver does.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if now > self.cx.now {
            self.cx.now = now;
            // Run time-driven work first, so that chunking cannot change the result.
            self.dial_and_maintain();
        }
        match input {
            Input::WallClock { unix_ms } => {
                self.cx.set_wall(unix_ms);
                if let Some(memory) = self.memory.take() {
                    self.mesh.recall(&self.cx, unix_ms, &memory);
                    self.chat.recall(&self.cx, &memory.names);
                }
                self.chat_timeout();
            }
            Input::Accepted { conn, remote, key } => {
                self.conns.accepted(&mut self.cx, conn, canonical(remote), key);
            }
            Input::Sealing { conn } => {
                let expected = self.conns.remote_ip(conn).is_some_and(|ip| self.mesh.expects(ip));
                self.conns.sealing(&mut self.cx, conn, expected);
            }
            Input::Sealed { conn, key } => self.conns.sealed(&mut self.cx, conn, key),
            Input::Resolved { dial, addrs } => self.mesh.resolved(&mut self.cx, dial, &addrs, &self.conns),
            Input::Connected { dial, conn, key } => {
                let dialed = self.mesh.connected(&mut self.cx, dial, key, &self.conns);
                self.conns.connected(&mut self.cx, conn, dialed, key);
            }
            Input::DialFailed { dial, reason } => self.mesh.failed(&mut self.cx, dial, reason, &self.conns),
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Written { conn, bytes } => self.conns.written(&self.cx, conn, bytes),
            Input::Flushed { conn } => self.conns.flushed(&self.cx, conn),
            Input::Closed { conn } => self.conns.closed(&mut self.cx, conn),
            Input::Stored { through } => self.chat.stored(&mut self.cx, through),
            Input::StoreFailed => self.chat.store_failed(&mut self.cx),
            Input::StoreWorks => self.chat.store_works(&mut self.cx),
            Input::StoreChanged { change } => self.chat.store_changed(&mut self.cx, change),
            Input::Loaded { id, entries } => self.chat.loaded(&self.cx, id, entries),
            Input::Timeout => self.timeout(),
        }
        self.settle();
    }

    /// Carries out a command. Errors: [`CommandError`], if it is refused; then the state of the node has not changed.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<Outcome, CommandError> {
        self.cx.now = self.cx.now.max(now);
        if self.cx.stopping {
            return Err(CommandError::ShuttingDown);
        }
        let mut outcome = Outcome::Done;
        match command {
            Command::Say(texts) => outcome = speech::say(self, &texts)?,
            Command::Connect(target) => self.mesh.add_target(&self.cx, target)?,
            Command::Disconnect(addr) if self.mesh.give_up_target(&addr) => {}
            Command::Disconnect(_) => return Err(CommandError::NoSuchTarget),
            Command::Confirm => self.chat.confirm(),
            Command::Rename(name) => {
                self.conns.rename(&mut self.cx, name);
                self.chat.renamed(&self.cx);
            }
            Command::Advertise(addr) => self.conns.advertise(&mut self.cx, canonical(addr)),
            Command::Shutdown => self.shut_down(),
        }
        self.settle();
        Ok(outcome)
    }

    /// The next action, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.conns.next_output(&self.cx).map(Action::from))
    }

    /// When [`Input::Timeout`] is due, and what for. The latter is for logs and tests only.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let conns = self.conns.deadline(&self.cx).map(convert::due);
        let mesh = self.mesh.deadline(&self.cx, &self.conns).map(convert::due);
        let chat = self.chat.deadline(&self.cx).map(convert::due);
        let v1 = self.v1.deadline(&self.cx).filter(|_| self.chat.may_sign(&self.cx));
        let v1 = v1.map(|at| (at, TimerKind::Lines));
        [conns, mesh, chat, v1].into_iter().flatten().min()
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.cx.identity.node_id()
    }

    /// The node's public key.
    pub fn key(&self) -> PublicKey {
        self.cx.identity.key()
    }

    /// The user's name.
    pub fn uname(&self) -> &Name {
        self.cx.config.uname()
    }

    /// The settings, with the current name.
    pub fn config(&self) -> &Config {
        &self.cx.config
    }

    /// The linked peers, in the order of their ids.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<PeerInfo>> {
        self.conns.peers()
    }

    /// The number of connections, including those that are being closed. It is 0 when a shutdown is over.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Bytes in all buffers.
    pub fn buffered(&self) -> usize {
        self.conns.buffered()
    }

    /// The entries in the window, in the order of the conversation.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.chat.entries()
    }

    /// Whom the node knows, to be kept for [`restore`](Self::restore).
    pub fn memory(&self) -> Memory {
        views::memory(self)
    }

    /// A number that grows when [`memory`](Self::memory) has changed. What it tells was written within seconds of a change
    /// is there after a crash.
    pub fn memory_changes(&self) -> u64 {
        views::memory_changes(self)
    }

    /// The members of the network, linked or not, in the order of their ids, as far as they say that they are here. This node is
    /// not among them. There are none unless the [`Config`](crate::Config) asks for presence.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.chat.members()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        views::stats(self)
    }

    /// How full each bounded collection is. Each is within its [bound](Capacity::bound) once all actions are polled.
    pub fn capacities(&self) -> impl Iterator<Item = (Capacity, usize)> {
        views::capacities(self)
    }

    /// The state of the node, for people and monitors.
    pub fn status(&self) -> Status {
        views::status(self)
    }

    /// Handles what follows from an input or a command.
    fn settle(&mut self) {
        self.follow_up();
        debug_assert!(views::is_consistent(self), "an index differs from what it is an index of");
    }

    /// Lets each machine act on the new state of the others.
    fn follow_up(&mut self) {
        self.route();
        while let Some(chat::Output { conn, line, ping }) =
            self.chat.next_output(&mut self.cx, |peer| convert::outlet(&self.conns, peer))
        {
            self.conns.send_with(&self.cx, conn, &line, ping);
        }
        if self.chat.awaits_confirmation() && self.conns.only_lines_and_all_written() {
            self.chat.confirmed();
        }
        self.conns.note_overfull(&self.cx);
        while self.conns.enforce_bounds(&mut self.cx) {
            self.route();
        }
        self.dial_and_maintain();
        self.conns.notify_ready(&self.cx);
        self.route();
        self.conns.refresh(&self.cx);
    }

    /// Begins the dials and the maintenance tasks that are due.
    fn dial_and_maintain(&mut self) {
        self.mesh.dial(&mut self.cx, &self.conns);
        self.route();
        while self.mesh.maintain(&mut self.cx, &self.conns, |peer| self.chat.has_mutual_neighbour(peer)) {
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
        speech::bring_in_lines(self);
        for peer in self.v1.due_greetings(&mut self.cx) {
            self.conns.greet_again(&mut self.cx, peer);
        }
        self.chat.spread_timeout(&mut self.cx);
    }

    fn shut_down(&mut self) {
        self.chat.leave(&mut self.cx);
        self.route();
        self.cx.stopping = true;
        self.mesh.cancel(None);
        for conn in self.conns.all() {
            self.conns.shut_down(&mut self.cx, conn);
            self.route();
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        self.conns.bytes_came(&mut self.cx, conn, bytes);
        let (mut chunk, mut ahead) = (Chunk::new(bytes), Lookahead::new());
        while let Some(incoming) = self.conns.read(&self.cx, conn, &mut chunk) {
            let local = matches!(&incoming, Incoming::Conn(frame) if frame.is_local());
            match incoming {
                Incoming::Conn(frame) => self.conns.handle(&mut self.cx, conn, frame),
                Incoming::Chat(from, frame) => self.chat.received(&self.cx, from, frame, ahead.behind(chunk)),
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

    /// Routes the events of the machines, depth first: what follows from an event comes before the next event.
    fn route(&mut self) {
        while let Some(event) = self.chat.next_event() {
            self.on_chat(event);
        }
        while let Some(event) = self.mesh.next_event() {
            match event {
                mesh::Event::Trim(conn) => self.conns.trim(&mut self.cx, conn),
                mesh::Event::SendPeers(to, n, found) => self.conns.send_peers(&mut self.cx, to, n, found),
                // `Dial`, `Resolve`, `Cancel`, and notices about addresses that the user gave.
                other => self.actions.extend(convert::request(other)),
            }
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
            chat::Event::Show { entry, marks } => self.deliver_unless_known(entry, marks),
            chat::Event::Push { peers, id, line } => {
                let (sent, full) = self.conns.push_entry(&self.cx, peers, &line);
                self.chat.pushed(&self.cx, id, sent, full);
            }
            chat::Event::Uttered { entry, recipients } => speech::uttered(self, &entry, &recipients),
            chat::Event::Reply { conn, frame } => self.conns.send(&self.cx, conn, &frame),
            chat::Event::Asked { conn, bytes } => self.conns.refund(&self.cx, conn, bytes),
            chat::Event::Faulty { conn, fault } => {
                let remote = self.conns.count_violation(conn);
                self.actions.extend(remote.map(|remote| convert::report(conn, remote, fault)));
                self.conns.penalize(&mut self.cx, conn, fault.is_severe());
            }
            // What concerns the store, and notices.
            other => self.actions.extend(convert::said(other)),
        }
    }

    /// Delivers an entry, unless all that it brings was shown before. Relays it to peers without a key.
    fn deliver_unless_known(&mut self, entry: Arc<Entry>, marks: Marks) {
        let v1::Reception { lines, repeated } = self.v1.note_entry(&self.cx, &entry);
        speech::send_lines(self, lines);
        let message = repeated.map(|repeated| Message::Entry { entry, marks: Marks { repeated, ..marks } });
        self.actions.extend(message.map(Action::Deliver));
    }

    fn on_conns(&mut self, event: conns::Event) {
        use conns::Event;
        match event {
            Event::Decide { conn, stage } => self.decide(conn, stage),
            Event::Room { conn, remote, key } => self.conns.open_accepted(&mut self.cx, conn, remote, key),
            Event::Linked { peer, dialed } => self.mesh.linked(&self.cx, &peer, dialed, &self.conns),
            Event::Readdressed(peer) => self.mesh.claim(&self.cx, &peer),
            Event::Registered(conns::Registration { peer, named, dialed, clock }) => {
                self.chat.linked(&self.cx, &peer, dialed, clock);
                self.v1.linked(&mut self.cx, &peer, named);
                self.actions.push_back(Action::RegisterPeer(peer));
            }
            Event::Reached { dialed, node_id } => {
                self.mesh.reached(&self.cx, dialed, node_id, &self.conns);
            }
            Event::OwnAddress(dialed) => self.mesh.reached_ourselves(dialed),
            Event::OwnKeyProven => self.chat.own_key_proven(&self.cx),
            Event::Line { peer, text } => {
                if self.v1.note_line(&self.cx, &peer, &text) {
                    self.actions.push_back(Action::Deliver(Message::Line { peer, text }));
                }
            }
            Event::PeersReceived { source, records } => {
                if let Some(peer) = self.conns.peer(source.node_id) {
                    self.v1.peers_received(&mut self.cx, peer, &records);
                }
                self.mesh.peers_received(&mut self.cx, &source, &records, &self.conns);
            }
            Event::Answered { conn, peer, token, round_trip } => {
                self.chat.pong_received(&self.cx, (conn, peer), token, round_trip);
            }
            Event::Moved { peer, before, after } => self.chat.moved(&self.cx, peer, before, after),
            Event::Doubt { peer, doubted } => self.chat.doubt(peer, doubted),
            Event::MayForget(peer) => self.v1.may_forget(&mut self.cx, peer),
            Event::DialedInVain(addr) => self.v1.dialed_in_vain(&self.cx, addr),
            Event::GreetAgain(peer) => self.conns.greet_again(&mut self.cx, peer),
            Event::GreetLater { peer, until } => self.v1.postpone_greeting(peer, until),
            Event::Ended(conn) => {
                self.chat.ended(&self.cx, conn);
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

    fn decide(&mut self, conn: ConnId, stage: Stage) {
        let newcomer = self.conns.link(conn).and_then(|link| link.node_id);
        let closed = newcomer.is_some_and(|node_id| self.chat.is_closed_to(node_id));
        match self.mesh.decide(&mut self.cx, (conn, stage), &self.conns, closed) {
            Verdict::Banned => self.conns.refuse_banned(&mut self.cx, conn),
            Verdict::Prove => self.conns.prove(&self.cx, conn),
            Verdict::AwaitProof => {}
            Verdict::Claim => self.conns.claim(&mut self.cx, conn),
            Verdict::Welcome(found, other) => self.conns.admit(&mut self.cx, conn, found, other),
            Verdict::TurnAway(found) => self.conns.turn_away(&mut self.cx, conn, found),
        }
    }

    /// A peer lost its link. A newcomer that claims its id takes its place, or the peer is gone.
    fn lost(&mut self, lost: &conns::LostLink) {
        let (node_id, gone, cx) = (lost.node_id, lost.into(), &mut self.cx);
        let successor = self.conns.successor(cx, lost);
        if let Some(conn) = self.mesh.lost(cx, &gone, successor, &self.conns) {
            return self.conns.take_over(cx, node_id, conn);
        }
        if let Some(peer) = self.conns.unregister(node_id) {
            self.chat.unlinked(cx, node_id, lost.reason);
            self.v1.unlinked(cx, node_id, lost.is_shutdown());
            self.actions.push_back(Action::UnregisterPeer { peer, reason: lost.reason });
        }
        self.mesh.unlinked(cx, &gone, &self.conns);
        // Until one of them is linked: the first ones may be banned, or turned away.
        while self.conns.active(node_id).is_none()
            && let Some(conn) = self.conns.first_claimant(&self.cx, node_id)
        {
            match self.mesh.is_banned(&self.cx, conn, &self.conns) {
                true => self.conns.refuse_banned(&mut self.cx, conn),
                false => self.decide(conn, Stage::Unclaimed),
            }
            self.route();
        }
    }
}
