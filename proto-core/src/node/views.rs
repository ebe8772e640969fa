//! What can be seen of a node from outside.

use alloc::sync::Arc;

use super::Node;
use super::entries::context;
use crate::gossip::{Context, Role, Standing};
use crate::link::Link;
use crate::{
    EntriesStatus, Entry, GapStatus, LinkRole, LinkStatus, NodeId, Stats, Status, Store, StoreStatus,
    TreeStatus,
};

impl Node {
    /// The entries that it holds, in the order of the conversation.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.log.iter()
    }

    /// Its counters.
    pub fn stats(&self) -> Stats {
        let (of_log, of_gossip) = (self.log.lost(), self.gossip.lost());
        Stats {
            entries_evicted: of_log.evicted,
            ids_forgotten: of_log.ids + of_gossip.ids,
            authors_forgotten: of_log.authors,
            epochs_forgotten: of_log.epochs,
            gaps_forgotten: of_log.gaps,
            announcements_dropped: of_gossip.announcements,
            asks_dropped: of_gossip.asks,
            roots_passed_over: of_gossip.roots,
            syncs_given_up: self.reconciler.given_up(),
            syncs_refused: self.reconciler.refused(),
            lines_dropped: self.bridge.dropped(),
            lines_forgotten: self.bridge.forgotten(),
            ..self.counted.clone()
        }
    }

    /// How much is in each store that others can fill; never more than its [bound](Store::bound) once the actions that follow
    /// from an input are polled.
    pub fn stores(&self) -> impl Iterator<Item = (Store, usize)> {
        self.link_stores()
            .into_iter()
            .chain(self.mesh.stores())
            .chain(self.log.stores())
            .chain(self.gossip.stores())
            .chain(self.bridge.stores())
    }

    fn link_stores(&self) -> [(Store, usize); 12] {
        let pending = self.links.values().filter(|link| !link.is_outbound() && link.is_greeting());
        let limits = &self.config.limits;
        let malformed = self.links.values().map(|link| link.malformed_lately(self.now, limits));
        let most = |of: fn(&Link) -> usize| self.links.values().map(of).max().unwrap_or(0);
        [
            (Store::Connections, self.links.len()),
            (Store::Pending, pending.count()),
            (Store::Held, self.places_taken()),
            (Store::DegreeHigh, self.accepted_degree()),
            (Store::PeersWithKey, self.roster.degree()),
            (Store::Buffers, self.buffered),
            (Store::QueueHard, most(|link| link.queue.bytes())),
            (Store::Line, most(Link::unfinished)),
            (Store::Malformed, malformed.max().unwrap_or(0)),
            (Store::Probes, most(Link::probes)),
            (Store::Rates, self.rates.len()),
            (Store::Syncs, self.reconciler.begun()),
        ]
    }

    /// All that it can tell of itself.
    pub fn status(&self) -> Status {
        let sizes = self.log.sizes();
        let gaps = self.log.gaps().take(Status::MAX_GAPS);
        Status {
            node_id: self.id(),
            key: self.key(),
            uname: self.config.uname.clone(),
            listen_addr: self.config.listen_addr,
            clock_ahead_ms: self.skew.ahead_ms(self.config.limits.clock_tolerance),
            links: self.link_statuses().collect(),
            pending: self.links.values().filter(|link| link.is_pending()).count(),
            book: self.mesh.book_status(),
            tree: self.tree_status(),
            entries: EntriesStatus {
                held: sizes.held,
                bytes: sizes.bytes,
                early: sizes.early,
                parked: sizes.parked,
                authors: sizes.authors,
                seen: self.gossip.seen(),
                awaited: self.gossip.awaited(),
            },
            gaps: gaps
                .map(|gap| GapStatus {
                    node_id: gap.key.node_id(),
                    uname: gap.uname,
                    epoch: gap.epoch,
                    from: gap.from,
                    to: gap.to,
                })
                .collect(),
            stores: self
                .stores()
                .map(|(store, holds)| StoreStatus { store, holds, bound: store.bound(&self.config.limits) })
                .collect(),
            stats: self.stats(),
        }
    }

    fn tree_status(&self) -> TreeStatus {
        let Standing { root, distance, parent, children } = self.gossip.standing(context!(self));
        TreeStatus { root, distance, parent, children }
    }

    fn role(&self, peer: NodeId) -> LinkRole {
        match self.gossip.role(context!(self), peer) {
            Role::Parent => LinkRole::Parent,
            Role::Child => LinkRole::Child,
            Role::Announce => LinkRole::Announce,
        }
    }

    fn link_statuses(&self) -> impl Iterator<Item = LinkStatus> {
        self.roster.iter().filter_map(|peer| {
            let conn = peer.active;
            let link: &Link = self.links.get(&conn)?;
            let info = &peer.info;
            Some(LinkStatus {
                conn,
                peer: info.clone(),
                state: link.state(self.now, &self.config.limits),
                dialed: link.is_outbound(),
                round_trip: link.round_trip,
                queued: link.queue.bytes(),
                role: if info.key.is_some() { self.role(info.node_id) } else { LinkRole::Lines },
            })
        })
    }
}
