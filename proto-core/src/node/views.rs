//! Views of a node: status, statistics, capacities.

use super::Node;
use crate::chat::Standing;
use crate::contract::{
    BookStatus, CapacityStatus, EntriesStatus, GapStatus, LinkRole, LinkStatus, Stats, Status, TargetFailure,
    TargetState, TargetStatus, TreeStatus,
};
use crate::mesh::{LinkFailure, Stage};
use crate::model::{Capacity, Memory};

pub(super) fn stats(node: &Node) -> Stats {
    let (conns, mesh, chat, v1) =
        (node.conns.counts(), node.mesh.counts(), node.chat.counts(), node.v1.counts());
    let (log, gossip) = node.chat.lost();
    Stats {
        delivered: chat.shown - v1.again + v1.shown,
        said: chat.said,
        signed: chat.signed,
        entries: chat.entries,
        entries_known: chat.entries_known,
        entries_dropped: chat.entries_dropped,
        entries_archived: chat.entries_archived,
        entries_not_kept: node.chat.entries_not_kept(),
        spans_given_up: log.spans,
        loads: node.chat.loads(),
        entries_displaced: chat.entries_displaced,
        entries_evicted: log.evicted,
        ids_forgotten: log.ids + gossip.ids,
        authors_forgotten: log.authors,
        epochs_forgotten: log.epochs,
        gaps_forgotten: log.gaps,
        entries_not_shown: chat.entries_not_shown,
        bodies_gone: chat.bodies_gone,
        live: chat.live,
        live_over_rate: chat.live_over_rate,
        live_untimely: chat.live_untimely,
        names_taken: chat.names_taken,
        names_forgotten: node.chat.names_forgotten(),
        members_forgotten: node.chat.members_forgotten(),
        forks: chat.forks,
        entries_withdrawn: chat.entries_withdrawn,
        forks_forgotten: log.forks,
        floors_forgotten: log.floors,
        tips_forgotten: log.tips,
        verified_together: chat.verified_together,
        verified_alone: chat.verified_alone,
        entries_over_rate: chat.entries_over_rate,
        entries_of_new_authors: chat.entries_of_new_authors,
        entries_sent: chat.entries_sent,
        entries_not_pushed: chat.entries_not_pushed,
        announcements_dropped: gossip.announcements,
        requests_dropped: gossip.asks + node.chat.requests_dropped(),
        served_over_budget: node.chat.served_over_budget(),
        lines_relayed: v1.relayed,
        lines_signed: v1.lines_signed,
        lines_dropped: v1.dropped,
        lines_forgotten: v1.forgotten,
        gaps: chat.gaps,
        syncs: chat.syncs,
        syncs_given_up: node.chat.syncs_given_up(),
        syncs_refused: node.chat.syncs_refused(),
        roots_ignored: gossip.roots,
        busy: conns.busy,
        unknown_frames: conns.unknown_frames,
        violations: conns.violations,
        malformed: conns.malformed,
        accepted: conns.accepted,
        dials: mesh.dials,
        dials_failed: mesh.dials_failed,
        evicted: conns.evicted,
        turned_away: mesh.turned_away,
        banned: conns.banned,
        foreign: conns.foreign,
        displaced: mesh.displaced,
        trimmed: mesh.trimmed,
        explored: mesh.explored,
        slow: conns.slow,
        silent: conns.silent,
        duplicates: conns.duplicates,
        learned: mesh.learned,
        addresses_ignored: mesh.addresses_ignored,
        dials_postponed: mesh.dials_postponed,
        peers_withheld: conns.withheld,
        pauses: conns.pauses,
        handshakes: conns.handshakes,
        handshakes_delayed: conns.handshakes_delayed,
        refused_clear: conns.refused_clear,
        wrong_keys: mesh.wrong_keys,
    }
}

/// Whom the node knows.
pub(super) fn memory(node: &Node) -> Memory {
    // What is not taken yet is kept as it was.
    let Some(memory) = &node.memory else {
        let mut memory = Memory { names: node.chat.remember(), ..Memory::default() };
        node.mesh.remember(&node.cx, &mut memory);
        return memory;
    };
    memory.clone()
}

/// How often that has changed.
pub(super) fn memory_changes(node: &Node) -> u64 {
    node.mesh.changes() + node.chat.changes()
}

pub(super) fn capacities(node: &Node) -> impl Iterator<Item = (Capacity, usize)> {
    node.conns
        .capacities(&node.cx)
        .into_iter()
        .chain(node.mesh.capacities(&node.conns))
        .chain(node.chat.capacities())
        .chain(node.v1.capacities())
}

pub(super) fn status(node: &Node) -> Status {
    let sizes = node.chat.sizes();
    let skewed = node.chat.skewed(&node.cx);
    let (known, linked, dialing) = node.mesh.book_sizes();
    let Standing { root, distance, parent, children } = node.chat.standing(&node.cx);
    let capacity = |(capacity, holds): (Capacity, usize)| CapacityStatus {
        capacity,
        holds,
        bound: capacity.bound(node.cx.limits()),
    };
    Status {
        node_id: node.id(),
        key: node.key(),
        uname: node.uname().clone(),
        listen_addr: node.config().listen_addr(),
        clock_ahead_ms: skewed.map(|skewed| skewed.ahead_ms),
        clocks: skewed.map_or(0, |skewed| skewed.clocks),
        links: links(node).collect(),
        pending: node.conns.pending(),
        targets: targets(node).collect(),
        book: BookStatus { known, linked, dialing },
        tree: TreeStatus { root, distance, parent, children },
        entries: EntriesStatus {
            held: sizes.held,
            bytes: sizes.bytes,
            new_bytes: sizes.new_bytes,
            early: sizes.early,
            parked: sizes.parked,
            authors: sizes.authors,
            seen: sizes.seen,
            awaited: sizes.awaited,
        },
        gaps: gaps(node).take(Status::MAX_GAPS).collect(),
        capacities: capacities(node).map(capacity).collect(),
        stats: stats(node),
    }
}

fn links(node: &Node) -> impl Iterator<Item = LinkStatus> {
    node.conns.summaries(&node.cx).map(|link| LinkStatus {
        role: match link.peer.key {
            Some(_) => node.chat.role(&node.cx, link.peer.node_id).into(),
            None => LinkRole::Lines,
        },
        conn: link.conn,
        peer: link.peer,
        state: link.health.into(),
        dialed: link.dialed,
        round_trip: link.round_trip,
        queued: link.queued,
    })
}

fn targets(node: &Node) -> impl Iterator<Item = TargetStatus> {
    node.mesh.targets().map(|target| TargetStatus {
        addr: target.addr.clone(),
        state: match target.stage {
            Stage::Waiting(at) => TargetState::Waiting(at.since(node.cx.now)),
            Stage::Trying => TargetState::Dialing,
            Stage::Linked(node_id) => TargetState::Linked(node_id),
            Stage::Own => TargetState::Own,
        },
        failure: target.failure.map(|failure| match failure {
            LinkFailure::Dial(error) => TargetFailure::Unreachable(error),
            LinkFailure::NotAChatNode => TargetFailure::NotAChatNode,
            LinkFailure::TurnedAway(code) => TargetFailure::TurnedAway(code),
        }),
    })
}

fn gaps(node: &Node) -> impl Iterator<Item = GapStatus> {
    node.chat.gaps().map(|gap| GapStatus {
        node_id: gap.run.key.node_id(),
        uname: gap.uname,
        epoch: gap.run.epoch,
        from: gap.from,
        to: gap.to,
    })
}

/// Compares every index with what it is an index of. Slow comparisons are left out where much is held: unit tests make
/// them.
pub(super) fn is_consistent(node: &Node) -> bool {
    let small = node.chat.sizes().held <= 100;
    node.conns.is_consistent(&node.cx)
        && node.mesh.is_consistent()
        && (!small || (node.chat.is_consistent() && node.v1.is_consistent()))
}
