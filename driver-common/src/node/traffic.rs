//! Carries data and actions between the sockets and the node.

use proto_core::{Action, ConnId, DialError, DialId, Input, LeaveReason, Seal, Violation};

use super::NodeTask;
use super::acceptor::{Accepted, Acceptor};
use super::channel::{Channel, Opened};
use super::conn::{Conn, Read, Sent};
use super::dials::{Connected, Outcome, SealedDial, Sealing};
use super::ready::{ReadyHandle, Source};
use crate::Event;
use crate::runtime::Runtime;

/// The maximum number of bytes read from a connection at once. The entries in them are verified together.
const READ: usize = 256 * 1024;

/// The maximum number of sources served, and of bytes read, in a turn: about a millisecond of work.
const SERVED: usize = 64;
const READ_IN_TURN: usize = READ;

/// The maximum number of connections accepted in a row.
const ACCEPTED: usize = 16;

/// The buffer that all connections are read into.
pub(super) fn buffer() -> Box<[u8]> {
    vec![0; READ].into()
}

impl<R: Runtime> NodeTask<R> {
    /// Serves the ready sources in order, within the limits of a turn.
    pub(super) fn serve(&mut self) {
        self.ready_list.take(&mut self.queue);
        let mut read = 0;
        for _ in 0..SERVED {
            let Some(source) = self.queue.pop_front() else { break };
            match source {
                Source::Store => self.serve_store(),
                Source::Acceptor => self.accept(),
                Source::Dial(dial) => self.poll_dial(dial),
                Source::Conn(conn) => read += self.serve_conn(conn),
            }
            self.perform_actions();
            if read >= READ_IN_TURN {
                break;
            }
        }
    }

    /// Resumes reading, as user and store are no longer behind.
    pub(super) fn resume_reading(&mut self) {
        for id in self.held_back.drain(..) {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.held_back = false;
                conn.mark_ready();
            }
        }
        self.acceptor.iter().for_each(Acceptor::mark_ready);
    }

    fn accept(&mut self) {
        let Some(acceptor) = &self.acceptor else { return };
        acceptor.clear_ready();
        if self.is_behind() {
            return;
        }
        for _ in 0..ACCEPTED {
            let Some(acceptor) = &mut self.acceptor else { return };
            match acceptor.accept(self.now) {
                Accepted::Connection(stream, remote) => {
                    let channel = if self.sealer.is_some() { Channel::Undecided } else { Channel::Clear };
                    let conn = self.add(stream, channel);
                    tracing::info!(conn = conn.0, %remote, "accepted");
                    self.node.handle_input(self.now, Input::accepted(conn, remote));
                    self.perform_actions();
                }
                Accepted::Failed => {}
                Accepted::Nothing => return,
            }
        }
        self.acceptor.iter().for_each(Acceptor::mark_ready);
    }

    fn poll_dial(&mut self, dial: DialId) {
        let result = match self.dials.poll(dial) {
            None => return,
            Some(Outcome::Resolved(Ok(addrs))) => {
                return self.node.handle_input(self.now, Input::resolved(dial, addrs));
            }
            Some(Outcome::Resolved(Err(error))) => Err((DialError::NotResolved, error.to_string())),
            Some(Outcome::Connected(Ok(connected))) => Ok(connected),
            Some(Outcome::Connected(Err(failure))) => Err(failure),
        };
        match result {
            Ok(connected) => self.connected(dial, connected),
            Err((reason, error)) => {
                tracing::debug!(?dial, error, "a dial failed");
                self.node.handle_input(self.now, Input::dial_failed(dial, reason));
            }
        }
    }

    fn connected(&mut self, dial: DialId, Connected { stream, sealed }: Connected<R::Stream>) {
        let key = sealed.as_ref().and_then(|sealed| sealed.session.peer());
        let (channel, early) = match sealed {
            None => (Channel::Clear, Vec::new()),
            Some(SealedDial { session, early }) => (Channel::of_session(session), early),
        };
        let conn = self.add(stream, channel);
        tracing::debug!(conn = conn.0, ?dial, sealed = key.is_some(), "connected");
        self.conns.entry(conn).and_modify(|conn| conn.dialed = true);
        let input = Input::connected(dial, conn);
        self.node.handle_input(self.now, key.map_or(input.clone(), |key| input.sealed_by(key)));
        if !early.is_empty() {
            self.node.handle_input(self.now, Input::received(conn, &early));
        }
    }

    fn add(&mut self, stream: R::Stream, channel: Channel) -> ConnId {
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        let ready = ReadyHandle::new(Source::Conn(id), &self.ready_list);
        self.conns.insert(id, Conn::new(stream, channel, ready));
        id
    }

    /// Continues to write and reads once. Returns the number of bytes read.
    fn serve_conn(&mut self, id: ConnId) -> usize {
        let Some(conn) = self.conns.get_mut(&id) else { return 0 };
        conn.clear_ready();
        let sent = conn.write(self.now);
        self.report_sent(id, sent);
        let behind = self.is_behind();
        let Some(conn) = self.conns.get_mut(&id) else { return 0 };
        if conn.is_open() && behind {
            if !conn.held_back {
                conn.held_back = true;
                self.held_back.push(id);
            }
            return 0;
        }
        match conn.read(&mut self.buffer, &mut self.plain) {
            Read::Bytes(count) => {
                let bytes = &self.buffer[..count];
                self.node.handle_input(self.now, Input::received(id, bytes));
                count
            }
            Read::Opened(count, opened) => {
                self.take_opened(id, opened);
                count
            }
            Read::Handshake => {
                self.node.handle_input(self.now, Input::sealing(id));
                1
            }
            Read::Discarded(count) => count,
            Read::Nothing => 0,
            Read::End => {
                self.remove(id);
                0
            }
        }
    }

    /// Reports what came out of a seal.
    fn take_opened(&mut self, id: ConnId, opened: Opened) {
        if let Some(key) = opened.proven {
            self.node.handle_input(self.now, Input::sealed(id, key));
        }
        if !self.plain.is_empty() {
            self.node.handle_input(self.now, Input::received(id, &self.plain));
        }
        if opened.over {
            self.remove(id);
        }
    }

    fn sealing_of(&self, seal: Seal) -> Option<Sealing> {
        match (seal, &self.sealer) {
            (Seal::Sealed { expected }, Some(sealer)) => Some(Sealing { sealer: sealer.clone(), expected }),
            // Without a sealer, the node asks for dials in clear alone.
            _ => None,
        }
    }

    fn accept_seal(&mut self, id: ConnId) {
        let (Some(conn), Some(sealer)) = (self.conns.get_mut(&id), &self.sealer) else { return };
        if let Err(error) = conn.begin_handshake(sealer) {
            tracing::debug!(conn = id.0, %error, "a handshake cannot begin");
            self.remove(id);
        }
    }

    fn report_sent(&mut self, id: ConnId, sent: Sent) {
        match sent {
            Sent::All => self.node.handle_input(self.now, Input::flushed(id)),
            Sent::Part(0) | Sent::Nothing => {}
            Sent::Part(bytes) => self.node.handle_input(self.now, Input::written(id, bytes)),
        }
    }

    fn remove(&mut self, id: ConnId) -> Option<Conn<R::Stream>> {
        let conn = self.conns.remove(&id)?;
        tracing::info!(conn = id.0, "closed");
        self.node.handle_input(self.now, Input::closed(id));
        Some(conn)
    }

    /// Performs all pending actions of the node.
    pub(super) fn perform_actions(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Resolve { dial, host, port } => self.dials.resolve(dial, host, port, &self.ready_list),
            Action::Dial { dial, addr, seal } => {
                tracing::info!(?dial, %addr, ?seal, "dialing");
                self.dials.dial(dial, addr, self.sealing_of(seal), &self.ready_list);
            }
            Action::AcceptSeal { conn } => self.accept_seal(conn),
            Action::CancelDial { dial } => self.dials.cancel(dial),
            Action::SendFrame { conn: id, bytes } => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    let sent = conn.send(self.now, bytes);
                    self.report_sent(id, sent);
                }
            }
            Action::PauseReading { conn } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.paused = true;
                }
            }
            Action::ResumeReading { conn } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.paused = false;
                    conn.mark_ready();
                }
            }
            Action::Close { conn } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.close();
                }
            }
            Action::Abort { conn } => {
                if let Some(conn) = self.remove(conn) {
                    conn.abort();
                }
            }
            Action::RegisterPeer(peer) => self.events.push(Event::Joined(peer)),
            Action::UpdatePeer(peer) => self.events.push(Event::Updated(peer)),
            // This node is stopping. Its user knows why its events end.
            Action::UnregisterPeer { reason: LeaveReason::Stopping, .. } => {}
            Action::UnregisterPeer { peer, reason } => self.events.push(Event::Left { peer, reason }),
            Action::Deliver(message) => self.deliver(message),
            Action::Member { member, change } => self.events.push(Event::Member { member, change }),
            Action::Ready => self.busy = false,
            Action::Store { id, record } => {
                if let Some(store) = &self.store {
                    store.client.store(id, record);
                }
            }
            Action::Load { id, wanted, most_bytes } => {
                if let Some(store) = &self.store {
                    store.client.load(id, wanted, most_bytes);
                }
            }
            Action::Said { id, entries, stored } => self.said(id, entries, stored),
            Action::Report { conn, remote, violation } => {
                tracing::debug!(conn = conn.0, %remote, %violation, "a peer broke a rule");
                let dialed = self.conns.get(&conn).is_some_and(|conn| conn.dialed);
                if is_refusal(violation, dialed) {
                    self.refusals.log(self.now, remote, violation);
                }
                self.events.push(Event::Report { remote, violation });
            }
            Action::Notice(notice) => self.events.push(Event::Notice(notice)),
            Action::Confirmed => self.confirms.drain(..).for_each(|waiting| {
                // It fails if the caller has gone.
                let _ = waiting.try_send(());
            }),
            // The node asks only for what its `Config` allows, and this driver knows all of that.
            action => tracing::error!(?action, "the driver does not know this action"),
        }
    }
}

/// Whether a violation is worth a line at the default level. Who says nothing is not refused. Who answers a dial with
/// garbage is no chat node, and the user is told so.
fn is_refusal(violation: Violation, dialed: bool) -> bool {
    match violation {
        Violation::NoGreeting => false,
        Violation::LineTooLong | Violation::TooManyMalformed => !dialed,
        other => other.ends_connection(),
    }
}
