//! The JSON of `GET /status`.

use std::net::SocketAddr;

use proto_core::{
    BookStatus, CapacityStatus, ConnId, EntriesStatus, GapStatus, LinkRole, LinkStatus, Name, NodeId,
    PublicKey, Stats, Status, TreeStatus,
};
use serde::Serialize;

use crate::broadcast::json::{Peer, to_json};
use crate::messages;

#[derive(Serialize)]
struct Shown<'a> {
    node_id: NodeId,
    key: PublicKey,
    uname: &'a Name,
    listen_addr: Option<SocketAddr>,
    /// How far this clock is ahead of the others. `None` if it is right.
    clock_ahead_ms: Option<i64>,
    links: Vec<Link<'a>>,
    pending: usize,
    book: BookStatus,
    tree: &'a TreeStatus,
    entries: EntriesStatus,
    gaps: &'a [GapStatus],
    capacities: &'a [CapacityStatus],
    stats: &'a Stats,
    /// The current problems, as text.
    notices: Vec<String>,
}

#[derive(Serialize)]
struct Link<'a> {
    conn: ConnId,
    /// As in `GET /peers`.
    #[serde(flatten)]
    peer: Peer<'a>,
    dialed: bool,
    round_trip_ms: Option<f64>,
    queued: usize,
    role: LinkRole,
}

pub(super) fn render(status: &Status) -> String {
    to_json(&Shown {
        node_id: status.node_id,
        key: status.key,
        uname: &status.uname,
        listen_addr: status.listen_addr,
        clock_ahead_ms: status.clock_ahead_ms,
        links: status.links.iter().map(Link::new).collect(),
        pending: status.pending,
        book: status.book,
        tree: &status.tree,
        entries: status.entries,
        gaps: &status.gaps,
        capacities: &status.capacities,
        stats: &status.stats,
        notices: messages::problems(status),
    })
}

impl<'a> Link<'a> {
    fn new(link: &'a LinkStatus) -> Self {
        Self {
            conn: link.conn,
            peer: Peer::of(link),
            dialed: link.dialed,
            round_trip_ms: link.round_trip.map(|time| time.as_micros() as f64 / 1e3),
            queued: link.queued,
            role: link.role,
        }
    }
}
