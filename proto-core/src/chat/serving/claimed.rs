//! What is asked for on connections that claim the ids of neighbours (SPEC 4.3, 8.9.14).
//!
//! It waits until the claim is decided: what goes out on the neighbour's link, which may be silent, might not reach the asker. If
//! the link stays, that one is alive, and gets it there.

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

    /// This connection asks for these entries. Returns how many of them there is no room for.
    pub(super) fn ask(
        &mut self,
        claimant: (NodeId, ConnId),
        host: Option<IpAddr>,
        ids: &[EntryId],
        limits: &Limits,
    ) -> usize {
        let requests = self.requests(claimant, host);
        let room = limits.chat.serving.saturating_sub(requests.len());
        requests.ids.extend(ids.iter().take(room));
        ids.len().saturating_sub(room)
    }

    /// It asks for a range. False: there is no room for it.
    pub(super) fn ask_range(
        &mut self,
        claimant: (NodeId, ConnId),
        host: Option<IpAddr>,
        query: &RangeQuery,
        limits: &Limits,
    ) -> bool {
        let requests = self.requests(claimant, host);
        let has_room = requests.len() < limits.chat.serving && requests.ranges.len() < limits.chat.ranges;
        requests.ranges.extend(has_room.then(|| query.clone()));
        has_room
    }

    fn requests(&mut self, (peer, conn): (NodeId, ConnId), host: Option<IpAddr>) -> &mut Requests {
        let requests = self.peers.entry(peer).or_insert_with(|| Requests::new(conn, host));
        if requests.conn != conn {
            *requests = Requests::new(conn, host);
        }
        requests
    }

    /// The requests of a connection that ended.
    pub(super) fn ended(&mut self, conn: ConnId) -> Option<(NodeId, Requests)> {
        self.next_of(|_, requests| requests.conn == conn)
    }

    /// The requests of a connection that is the link of its neighbour now. `link` tells which one is.
    pub(super) fn next_decided(
        &mut self,
        link: impl Fn(NodeId) -> Option<ConnId>,
    ) -> Option<(NodeId, Requests)> {
        self.next_of(|peer, requests| link(peer) == Some(requests.conn))
    }

    fn next_of(&mut self, is_wanted: impl Fn(NodeId, &Requests) -> bool) -> Option<(NodeId, Requests)> {
        let mut wanted = self.peers.iter().filter(|(peer, requests)| is_wanted(**peer, requests));
        let peer = wanted.next().map(|(peer, _)| *peer)?;
        self.peers.remove_entry(&peer)
    }
}
