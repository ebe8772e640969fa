//! Many connections from one address: peers without a key that say as much as they can, or connections that say nothing.

use std::time::Duration;

use proto_core::{ConnId, NodeId};
use serde_json::json;

use super::tricks::line;
use super::{Hostile, Talk, Todo, Trick};

/// How many connections it has at once, unless told otherwise.
pub(super) const CONNECTIONS: usize = 24;

/// How many it opens at once.
const DIALS: usize = 8;

/// Lines that each says at once.
const LINES: usize = 3;

impl Hostile {
    /// It has so many connections at once, and acts so often.
    #[must_use]
    pub fn with_crowd(mut self, connections: usize, every: Duration) -> Self {
        (self.connections, self.every) = (connections, every);
        self
    }

    /// Greets as somebody without a key, where it does not keep silent.
    pub(super) fn open_as_one_of_many(&mut self, conn: ConnId, todo: &mut Vec<Todo>) {
        if self.trick == Trick::Crowd {
            let mut id = [0; 16];
            id.copy_from_slice(&self.dice.secret()[..16]);
            // A random UUID: version 4, variant 1.
            (id[6], id[8]) = (id[6] & 0x0f | 0x40, id[8] & 0x3f | 0x80);
            let join = json!({
                "listen_addr": null, "node_id": NodeId::from_bytes(id), "uname": "one of many", "remote_addr": null,
            });
            todo.push(Todo::Send(conn, format!("JOIN|{join}\n").into_bytes()));
        } else {
            self.acts += 1;
        }
        self.talks.insert(conn, Talk::default());
    }

    /// Opens more connections, up to as many as it may have. Silent ones come without end: the oldest ends.
    pub(super) fn gather(&mut self, todo: &mut Vec<Todo>) {
        let silent = self.trick == Trick::Knock;
        let room = if silent { DIALS } else { self.connections.saturating_sub(self.talks.len()) };
        for _ in 0..room.min(DIALS) {
            todo.extend(self.dice.pick(&self.targets).copied().map(Todo::Dial));
        }
        let surplus = self.talks.len().saturating_sub(self.connections);
        let oldest: Vec<_> = self.talks.keys().copied().take(surplus).collect();
        for conn in oldest {
            self.talks.remove(&conn);
            todo.push(Todo::Close(conn));
        }
    }

    /// Says some lines.
    pub(super) fn chatter(&mut self, out: &mut Vec<u8>) {
        for _ in 0..LINES {
            self.said += 1;
            line(out, format_args!("MSG|noise {} {}", self.said, self.dice.roll()));
        }
    }
}
