//! What the sockets have for the node, and what the node has for them.

use proto_core::{Action, ConnId, DialError, DialId, Input, LeaveReason};

use super::NodeTask;
use super::conn::{Conn, Read, Sent};
use super::dials::Outcome;
use super::door::{Door, Knock};
use super::ready::{Bell, Source};
use crate::runtime::Runtime;
use crate::{Event, net};

/// Bytes read from a connection at once.
const READ: usize = 64 * 1024;

/// Sources served in a turn, and bytes read from all of them: about a millisecond's work.
const SERVED: usize = 64;
const READ_IN_TURN: usize = 4 * READ;

/// Connections accepted one after the other.
const ACCEPTED: usize = 16;

/// Where every connection is read into.
pub(super) fn buffer() -> Box<[u8]> {
    vec![0; READ].into()
}

impl<R: Runtime> NodeTask<R> {
    /// Serves what is ready, within a turn's bounds, in turn.
    pub(super) fn serve(&mut self) {
        self.list.take(&mut self.queue);
        let mut read = 0;
        for _ in 0..SERVED {
            let Some(source) = self.queue.pop_front() else { break };
            match source {
                Source::Door => self.accept(),
                Source::Dial(dial) => self.poll_dial(dial),
                Source::Conn(conn) => read += self.serve_conn(conn),
            }
            self.carry_out();
            if read >= READ_IN_TURN {
                break;
            }
        }
    }

    /// The user is behind no more.
    pub(super) fn read_on(&mut self) {
        for id in self.held_back.drain(..) {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.held_back = false;
                conn.ring();
            }
        }
        self.door.iter().for_each(Door::ring);
    }

    fn accept(&mut self) {
        let Some(door) = &self.door else { return };
        door.heard();
        if self.outbox.is_stuck() {
            return;
        }
        for _ in 0..ACCEPTED {
            let Some(door) = &mut self.door else { return };
            match door.accept(self.now) {
                Knock::Guest(stream, remote) => {
                    let conn = self.add(stream);
                    tracing::debug!(conn = conn.0, %remote, "accepted");
                    self.node.handle_input(self.now, Input::Accepted { conn, remote });
                    self.carry_out();
                }
                Knock::Gone => {}
                Knock::Nobody => return,
            }
        }
        self.door.iter().for_each(Door::ring);
    }

    fn poll_dial(&mut self, dial: DialId) {
        let result = match self.dials.poll(dial) {
            None => return,
            Some(Outcome::Resolved(Ok(addrs))) => {
                return self.node.handle_input(self.now, Input::Resolved { dial, addrs });
            }
            Some(Outcome::Resolved(Err(error))) => Err((DialError::NotResolved, error)),
            Some(Outcome::Connected(Ok(stream))) => Ok(stream),
            Some(Outcome::Connected(Err(error))) => Err((net::dial_error(&error), error)),
        };
        match result {
            Ok(stream) => {
                let conn = self.add(stream);
                tracing::debug!(conn = conn.0, ?dial, "connected");
                self.node.handle_input(self.now, Input::Connected { dial, conn });
            }
            Err((reason, error)) => {
                tracing::debug!(?dial, %error, "a dial failed");
                self.node.handle_input(self.now, Input::DialFailed { dial, reason });
            }
        }
    }

    fn add(&mut self, stream: R::Stream) -> ConnId {
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        let bell = Bell::new(Source::Conn(id), &self.list);
        self.conns.insert(id, Conn::new(stream, bell));
        id
    }

    /// Writes on and reads once; tells how many bytes it read.
    fn serve_conn(&mut self, id: ConnId) -> usize {
        let Some(conn) = self.conns.get_mut(&id) else { return 0 };
        conn.heard();
        if conn.write() == Sent::All {
            self.node.handle_input(self.now, Input::Flushed { conn: id });
        }
        if conn.is_open() && self.outbox.is_stuck() {
            if !conn.held_back {
                conn.held_back = true;
                self.held_back.push(id);
            }
            return 0;
        }
        match conn.read(&mut self.buffer) {
            Read::Bytes(count) => {
                let bytes = &self.buffer[..count];
                self.node.handle_input(self.now, Input::Received { conn: id, bytes });
                count
            }
            Read::Discarded(count) => count,
            Read::Nothing => 0,
            Read::End => {
                self.remove(id);
                0
            }
        }
    }

    fn remove(&mut self, id: ConnId) -> Option<Conn<R::Stream>> {
        let conn = self.conns.remove(&id)?;
        tracing::debug!(conn = id.0, "closed");
        self.node.handle_input(self.now, Input::Closed { conn: id });
        Some(conn)
    }

    /// Carries out all that the node wants done.
    pub(super) fn carry_out(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Resolve { dial, host, port } => self.dials.resolve(dial, host, port, &self.list),
            Action::Dial { dial, addr } => {
                tracing::debug!(?dial, %addr, "dialing");
                self.dials.dial(dial, addr, &self.list);
            }
            Action::CancelDial { dial } => self.dials.cancel(dial),
            Action::SendFrame { conn: id, bytes } => {
                if let Some(conn) = self.conns.get_mut(&id)
                    && conn.send(bytes) == Sent::All
                {
                    self.node.handle_input(self.now, Input::Flushed { conn: id });
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
                    conn.ring();
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
            Action::RegisterPeer(peer) => self.outbox.push(Event::Joined(peer)),
            Action::UpdatePeer(peer) => self.outbox.push(Event::Updated(peer)),
            // It is this node that leaves: its events end, and its user knows why.
            Action::UnregisterPeer { reason: LeaveReason::Stopping, .. } => {}
            Action::UnregisterPeer { peer, reason } => self.outbox.push(Event::Left { peer, reason }),
            // Nobody else can sign in this node's name.
            Action::Deliver(message) if message.is_signed() && message.node_id() == self.node.id() => {
                self.outbox.push(Event::Recalled(message));
            }
            Action::Deliver(message) => self.outbox.push(Event::Message(message)),
            Action::Ready => self.busy = false,
            Action::Report { conn, remote, violation } => {
                tracing::debug!(conn = conn.0, %remote, %violation, "a peer broke a rule");
                self.outbox.push(Event::Report { remote, violation });
            }
            Action::Notice(notice) => self.outbox.push(Event::Notice(notice)),
        }
    }
}
