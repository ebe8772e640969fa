//! The JSON of `GET /status`.

use std::net::SocketAddr;

use proto_core::{
    BookStatus, CapacityStatus, ConnId, EntriesStatus, GapStatus, LinkRole, LinkStatus, Name, NodeId,
    PeerAddr, PublicKey, Stats, Status, TargetState, TargetStatus, TreeStatus,
};
use serde::Serialize;

use crate::broadcast::json::{Peer, to_json};
use crate::messages;
use crate::store::{StoreProblem, StoreStatus};

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
    targets: Vec<Target<'a>>,
    book: BookStatus,
    tree: &'a TreeStatus,
    entries: EntriesStatus,
    gaps: &'a [GapStatus],
    capacities: &'a [CapacityStatus],
    stats: &'a Stats,
    /// What is kept on the disk. `None`: the node keeps nothing.
    store: Option<Kept>,
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

/// The state of the store.
#[derive(Serialize)]
struct Kept {
    /// Why it cannot write, in one word. `None`: it works.
    problem: Option<&'static str>,
    waiting: usize,
    bytes: u64,
    stored: u64,
    commits: u64,
    failures: u64,
    expired: u64,
}

impl From<StoreStatus> for Kept {
    fn from(status: StoreStatus) -> Self {
        let StoreStatus { problem, waiting, bytes, stored, commits, failures, expired } = status;
        Self { problem: problem.map(StoreProblem::word), waiting, bytes, stored, commits, failures, expired }
    }
}

pub(super) fn render(status: &Status, store: Option<StoreStatus>) -> String {
    let mut notices = messages::problems(status);
    notices.extend(store.and_then(|store| store.problem).map(messages::not_kept));
    to_json(&Shown {
        node_id: status.node_id,
        key: status.key,
        uname: &status.uname,
        listen_addr: status.listen_addr,
        clock_ahead_ms: status.clock_ahead_ms,
        links: status.links.iter().map(Link::new).collect(),
        pending: status.pending,
        targets: status.targets.iter().map(Target::new).collect(),
        book: status.book,
        tree: &status.tree,
        entries: status.entries,
        gaps: &status.gaps,
        capacities: &status.capacities,
        stats: &status.stats,
        store: store.map(Kept::from),
        notices,
    })
}

/// An address that the user gave.
#[derive(Serialize)]
struct Target<'a> {
    addr: &'a PeerAddr,
    state: &'static str,
    /// The node that is linked there.
    node_id: Option<NodeId>,
    /// When it is dialed next.
    dial_in_ms: Option<u64>,
    /// Why the last attempt failed.
    error: Option<String>,
}

impl<'a> Target<'a> {
    fn new(target: &'a TargetStatus) -> Self {
        let (state, wait) = match target.state {
            TargetState::Waiting(wait) => ("waiting", Some(wait)),
            TargetState::Dialing => ("dialing", None),
            TargetState::Linked(_) => ("linked", None),
            TargetState::Own => ("own", None),
            _ => ("unknown", None),
        };
        Self {
            addr: &target.addr,
            state,
            node_id: target.linked(),
            dial_in_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            error: target.failure.map(messages::failure),
        }
    }
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
