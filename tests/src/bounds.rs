//! The bounds of a node (DESIGN section 10), as far as it tells how much it holds.

use proto_core::{Limits, LinkRole, LinkStatus, Node, Status};

/// Checks what the node tells of itself against its limits, and against itself. What it tells.
pub fn check(node: &Node) -> Status {
    let status = node.status();
    let limits = &node.config().limits;
    let broken =
        over_at_once(node, limits).or_else(|| over(&status, limits)).or_else(|| at_odds(node, &status));
    assert_eq!(broken, None);
    status
}

/// The bound that the node has passed, of those that it tells without counting.
pub fn over_at_once(node: &Node, limits: &Limits) -> Option<String> {
    let connections = limits.held + limits.pending + limits.targets + limits.dials;
    first_over(&[
        ("buffered", node.buffered(), limits.buffers),
        ("connections", node.connections(), connections),
    ])
}

/// The bound that the node has passed, by its own account.
pub fn over(status: &Status, limits: &Limits) -> Option<String> {
    let entries = status.entries;
    let queued = || status.links.iter().map(|link| link.queued);
    let keyed = || status.links.iter().filter(|link| link.peer.key.is_some());
    let gaps = limits.authors * limits.epochs_per_author * limits.gaps_per_epoch;
    first_over(&[
        ("peers", status.links.len(), limits.held),
        // What the user wants dialed is linked whatever the degree.
        (
            "accepted links to peers with a key",
            keyed().filter(|link| !link.dialed).count(),
            limits.degree_high,
        ),
        ("links to peers with a key", keyed().count(), limits.degree_high + limits.targets),
        ("addresses being dialed", status.book.dialing, limits.dials),
        ("addresses known", status.book.known, limits.book),
        ("entries held", entries.held, limits.log_entries),
        ("bytes of entries held", entries.bytes, limits.log_bytes),
        ("entries that came early", entries.early, limits.early.min(entries.held)),
        ("entries parked", entries.parked, limits.parked),
        ("authors", entries.authors, limits.authors),
        ("ids seen", entries.seen, limits.seen),
        ("entries awaited", entries.awaited, limits.missing + limits.wanted),
        ("gaps", status.gaps.len(), gaps.min(Status::MAX_GAPS)),
        ("bytes queued on a link", queued().max().unwrap_or(0), limits.queue_hard + limits.chunk),
        ("bytes queued on all links", queued().sum(), limits.buffers),
    ])
}

fn first_over(bounds: &[(&str, usize, usize)]) -> Option<String> {
    let over = bounds.iter().find(|(_, is, most)| is > most);
    over.map(|(what, is, most)| format!("{what} is {is}, above {most}"))
}

/// What the node tells that cannot all be true.
pub fn at_odds(node: &Node, status: &Status) -> Option<String> {
    let entries = status.entries;
    let places = || node.entries().map(|entry| (entry.place(), entry.id()));
    let linked =
        |node_id| status.links.iter().any(|link| link.peer.key.is_some() && link.peer.node_id == node_id);
    let is_root = status.tree.root == Some(status.node_id);
    let facts = [
        ("entries", node.entries().count() == entries.held),
        ("bytes", node.entries().map(|entry| entry.size()).sum::<usize>() == entries.bytes),
        ("places", places().zip(places().skip(1)).all(|(one, next)| one < next)),
        ("gaps", status.gaps.iter().all(|gap| gap.from < gap.to)),
        ("connections", status.links.len() + status.pending <= node.connections()),
        ("addresses", status.book.linked + status.book.dialing <= status.book.known),
        (
            "keys",
            status
                .links
                .iter()
                .all(|link| link.peer.key.is_none_or(|key| key.node_id() == link.peer.node_id)),
        ),
        ("roles", status.links.iter().all(|link| link.role == role(link, status))),
        ("parent", status.tree.parent.is_none_or(linked)),
        ("children", status.tree.children.iter().all(|child| linked(*child))),
        ("root", !is_root || status.tree.distance == Some(0) && status.tree.parent.is_none()),
    ];
    facts
        .into_iter()
        .find(|(_, holds)| !holds)
        .map(|(what, _)| format!("its {what} are not as {status:?} says"))
}

fn role(link: &LinkStatus, status: &Status) -> LinkRole {
    let is_child = status.tree.children.contains(&link.peer.node_id);
    match link.peer.key {
        None => LinkRole::Lines,
        Some(_) if status.tree.parent == Some(link.peer.node_id) => LinkRole::Parent,
        Some(_) if is_child => LinkRole::Child,
        Some(_) => LinkRole::Announce,
    }
}

#[cfg(test)]
mod tests;
