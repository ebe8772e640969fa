//! The connections as the mesh sees them.

use super::Conns;
use super::link::Link;
use crate::model::{Census, ConnId, LinkView, NodeId};

impl Census for Conns {
    fn links(&self) -> impl Iterator<Item = LinkView> {
        self.table.iter().map(|(conn, link)| view(conn, link))
    }

    fn neighbours(&self) -> impl Iterator<Item = LinkView> {
        let keyed = self.roster.iter().filter(|peer| peer.info.key.is_some());
        keyed.filter_map(|peer| Some(view(peer.active, self.table.get(peer.active)?)))
    }

    fn link(&self, conn: ConnId) -> Option<LinkView> {
        self.table.get(conn).map(|link| view(conn, link))
    }

    fn is_linked(&self, node_id: NodeId) -> bool {
        self.roster.contains(node_id)
    }

    fn degree(&self) -> usize {
        self.roster.degree()
    }

    fn slots_taken(&self) -> usize {
        self.roster.slots_taken()
    }
}

fn view(conn: ConnId, link: &Link) -> LinkView {
    LinkView {
        conn,
        ip: link.remote.ip(),
        reach: link.reach,
        dialed: link.dialed,
        node_id: link.node_id(),
        claims_key: link.peer.as_ref().is_some_and(|peer| peer.key.is_some()),
        keyed: link.key().is_some(),
        greeting: link.is_greeting(),
        linked: !link.is_pending(),
        linked_since: link.linked_since,
        advertised_degree: link.advertised_degree,
    }
}
