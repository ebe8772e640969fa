//! A peer that says what the test writes, byte for byte, and keeps what it gets.

use std::collections::BTreeMap;

use proto_core::ConnId;

use super::{Actor, Happening, Nanos, Todo};

/// Accepts connections and says nothing of its own.
#[derive(Debug, Default)]
pub struct RawPeer {
    conns: Vec<ConnId>,
    received: BTreeMap<ConnId, Vec<u8>>,
}

impl RawPeer {
    /// All connections that it has had, the newest last.
    pub fn conns(&self) -> &[ConnId] {
        &self.conns
    }

    /// What came on a connection.
    pub fn received(&self, conn: ConnId) -> &[u8] {
        self.received.get(&conn).map_or(&[], Vec::as_slice)
    }
}

impl Actor for RawPeer {
    fn happen(&mut self, _: Nanos, what: Happening<'_>, _: &mut Vec<Todo>) {
        match what {
            Happening::Accepted(conn) | Happening::Connected(conn, _) => self.conns.push(conn),
            Happening::Received(conn, bytes) => self.received.entry(conn).or_default().extend(bytes),
            _ => {}
        }
    }
}
