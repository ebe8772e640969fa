//! What can run on a host instead of a node, and what can stand between a node and the network.

use std::any::Any;
use std::net::SocketAddr;

use proto_core::{ConnId, NodeId};

use super::Nanos;

/// Something that speaks on raw bytes.
pub trait Actor: Any + Send {
    /// Something happened; what is to be done goes into `todo`.
    fn happen(&mut self, now: Nanos, what: Happening<'_>, todo: &mut Vec<Todo>);

    /// Whether it has this node as a peer, where it is one that has peers.
    fn knows(&self, node_id: NodeId) -> bool {
        let _ = node_id;
        false
    }

    /// How often it has done what it is for, where that is worth counting.
    fn acts(&self) -> u64 {
        0
    }

    /// What it printed since it was asked last, where it is one that prints.
    fn printed(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What an actor learns.
#[derive(Debug)]
pub enum Happening<'a> {
    /// It was started.
    Started,
    /// It was dialed.
    Accepted(ConnId),
    /// Its dial to this address is a connection now.
    Connected(ConnId, SocketAddr),
    /// Nobody answers at this address.
    Refused(SocketAddr),
    /// Bytes came.
    Received(ConnId, &'a [u8]),
    /// The connection is over.
    Closed(ConnId),
    /// The time that it asked for has come.
    Woken,
    /// Its user says this.
    Say(&'a str),
}

/// What an actor does.
#[derive(Debug)]
pub enum Todo {
    /// Dials an address.
    Dial(SocketAddr),
    /// Sends bytes.
    Send(ConnId, Vec<u8>),
    /// Reads no further, or again.
    Pause(ConnId, bool),
    /// Ends a connection.
    Close(ConnId),
    /// Asks to be woken then.
    WakeAt(Nanos),
}

/// Changes what a node sends, line by line.
pub trait Filter: Send {
    /// A line with its end, about to be sent; what is appended to `out` is sent in its place.
    fn outgoing(&mut self, now: Nanos, line: &[u8], out: &mut Vec<u8>);
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Calls back for each whole line with its end.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end + 1);
            if self.partial.is_empty() {
                each(line);
            } else {
                self.partial.extend_from_slice(line);
                each(&self.partial);
                self.partial.clear();
            }
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }
}
