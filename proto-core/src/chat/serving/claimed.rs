//! What is asked for on connections that claim the ids of neighbours (SPEC 4.3, 8.9.14).
//!
//! It waits until the claim is decided: what goes out on the neighbour's link, which may be silent, might not reach the asker.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::model::{ConnId, EntryId, Limits, NodeId};
use crate::wire::RangeQuery;

/// The requests on such connections, of one for each neighbour: the one that asked last.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    peers: BTreeMap<NodeId, Requests>,
}

/// What one connection asks for.
#[derive(Debug)]
pub(super) struct Requests {
    conn: ConnId,
    pub(super) host: Option<IpAddr>,
    pub(super) ids: Vec<EntryId>,
    pub(super) ranges: Vec<RangeQuery>,
}

impl Requests {
    fn new(conn: ConnId, host: Option<IpAddr>) -> Self {
        Self { conn, host, ids: Vec::new(), ranges: Vec::new() }
    }

    fn len(&self) -> usize {
        self.ids.len() + self.ranges.len()
    }
}

impl Claimed {
    /// The most requests of one neighbour.
    pub(super) fn most(&self) -> usize {
        self.peers.values().map(Requests::len).max().unwrap_or(0)
    }

    /// This connection asks for these entries and ranges. Returns how many there was no room for.
    pub(super) fn ask(
        &mut self,
        (peer, conn): (NodeId, ConnId),
        host: Option<IpAddr>,
        (ids, ranges): (&[EntryId], Option<RangeQuery>),
        limits: &Limits,
    ) -> usize {
        let requests = self.peers.entry(peer).or_insert_with(|| Requests::new(conn, host));
        if requests.conn != conn {
            *requests = Requests::new(conn, host);
        }
        let asked = ids.len() + usize::from(ranges.is_some());
        let taken = ids.iter().take(limits.chat.serving.saturating_sub(requests.len()));
        let mut taken_of = taken.len();
        requests.ids.extend(taken);
        let has_room = requests.len() < limits.chat.serving && requests.ranges.len() < limits.chat.ranges;
        if let Some(query) = ranges.filter(|_| has_room) {
            requests.ranges.push(query);
            taken_of += 1;
        }
        asked - taken_of
    }

    /// A connection ended.
    pub(super) fn ended(&mut self, conn: ConnId) {
        self.peers.retain(|_, requests| requests.conn != conn);
    }

    /// The requests of a connection that is the link of its neighbour now. `link` tells which one is.
    pub(super) fn next_decided(
        &mut self,
        link: impl Fn(NodeId) -> Option<ConnId>,
    ) -> Option<(NodeId, Requests)> {
        let mut decided = self.peers.iter().filter(|(peer, requests)| link(**peer) == Some(requests.conn));
        let peer = decided.next().map(|(peer, _)| *peer)?;
        self.peers.remove_entry(&peer)
    }
}
