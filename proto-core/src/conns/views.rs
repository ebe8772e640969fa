//! Views of the connections, for status, statistics and tests.

use alloc::sync::Arc;
use core::time::Duration;

use super::link::Link;
use super::{Conns, Counts, Health};
use crate::model::{Capacity, ConnId, Cx, NodeId, PeerInfo};

/// One peer's link.
#[derive(Clone, Debug)]
pub(crate) struct LinkSummary {
    pub(crate) conn: ConnId,
    pub(crate) peer: Arc<PeerInfo>,
    pub(crate) health: Health,
    /// Whether this node dialed it.
    pub(crate) dialed: bool,
    pub(crate) round_trip: Option<Duration>,
    /// Bytes that wait to be written, including those in flight.
    pub(crate) queued: usize,
}

impl Conns {
    /// The peers that are linked, in the order of their ids.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Arc<PeerInfo>> {
        self.roster.iter().map(|peer| &peer.info)
    }

    /// A peer that is linked.
    pub(crate) fn peer(&self, node_id: NodeId) -> Option<&Arc<PeerInfo>> {
        self.roster.get(node_id).map(|peer| &peer.info)
    }

    /// Whether the peers that are linked have no key, and one of them was sent all that waited. Such a peer confirms nothing.
    pub(crate) fn only_lines_and_all_written(&self) -> bool {
        let written = |peer: ConnId| self.table.get(peer).is_some_and(|link: &Link| link.queue.bytes() == 0);
        self.roster.iter().all(|peer| peer.info.key.is_none())
            && self.roster.iter().any(|peer| written(peer.active))
    }

    /// How many connections there are, including those that are being closed.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many connections are not linked.
    pub(crate) fn pending(&self) -> usize {
        self.table.links().filter(|link| link.is_pending()).count()
    }

    /// Bytes in all buffers.
    pub(crate) fn buffered(&self) -> usize {
        self.table.buffered()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn summaries(&self, cx: &Cx) -> impl Iterator<Item = LinkSummary> {
        self.roster.iter().filter_map(|peer| {
            let link: &Link = self.table.get(peer.active)?;
            Some(LinkSummary {
                conn: peer.active,
                peer: peer.info.clone(),
                health: link.health(cx.now, cx.limits()),
                dialed: link.is_outbound(),
                round_trip: link.round_trip,
                queued: link.queue.bytes(),
            })
        })
    }

    /// How full each bounded thing is.
    pub(crate) fn capacities(&self, cx: &Cx) -> [(Capacity, usize); 9] {
        let accepted = self.table.links().filter(|link| !link.is_outbound() && link.is_greeting());
        let malformed = self.table.links().map(|link| link.malformed.lately(cx.now, cx.limits()));
        let most = |of: fn(&Link) -> usize| self.table.links().map(of).max().unwrap_or(0);
        [
            (Capacity::Connections, self.table.len()),
            (Capacity::Pending, accepted.count()),
            (Capacity::Slots, self.roster.slots_taken()),
            (Capacity::PeersWithKey, self.roster.degree()),
            (Capacity::Buffers, self.table.buffered()),
            (Capacity::QueueHard, most(|link| link.queue.bytes())),
            (Capacity::Line, most(Link::unfinished)),
            (Capacity::Malformed, malformed.max().unwrap_or(0)),
            (Capacity::Probes, most(Link::probes)),
        ]
    }

    /// The nonce of this node's `JOIN` on a connection.
    #[cfg(test)]
    pub(crate) fn nonce(&self, conn: ConnId) -> Option<crate::wire::Token> {
        self.table.get(conn).map(|link| link.nonce)
    }

    /// Marks a connection as an own dial to a learned address.
    #[cfg(test)]
    pub(crate) fn take_for_own_dial(&mut self, conn: ConnId, addr: core::net::SocketAddr) {
        if let Some(link) = self.table.get_mut(conn) {
            link.dialed =
                Some(crate::model::Dialed { addr, target: None, took: Duration::ZERO, sealed: false });
        }
    }

    /// Compares the indexes with what they are indexes of.
    pub(crate) fn is_consistent(&self, cx: &Cx) -> bool {
        self.roster.is_consistent() && self.table.is_consistent(cx.limits())
    }
}
