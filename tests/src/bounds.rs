//! The bounds of a node (SPEC section 6), and what it tells of itself.

use proto_core::{Capacity, Limits, LinkRole, LinkStatus, Node, Status};

/// Checks what the node tells of itself against its limits, and against itself. What it tells.
pub fn check(node: &Node) -> Status {
    let status = node.status();
    let limits = node.config().limits();
    let broken = over(node.capacities(), limits).or_else(|| at_odds(node, &status));
    assert_eq!(broken, None);
    status
}

/// The first capacity that holds more than its bound.
pub fn over(capacities: impl IntoIterator<Item = (Capacity, usize)>, limits: &Limits) -> Option<String> {
    let (capacity, holds) =
        capacities.into_iter().find(|(capacity, holds)| *holds > capacity.bound(limits))?;
    Some(format!("{capacity:?} holds {holds}, above {}", capacity.bound(limits)))
}

/// What the node tells that cannot all be true.
pub fn at_odds(node: &Node, status: &Status) -> Option<String> {
    let entries = status.entries;
    let places = || node.entries().map(|entry| (entry.place(), entry.id()));
    let linked =
        |node_id| status.links.iter().any(|link| link.peer.key.is_some() && link.peer.node_id == node_id);
    let is_root = status.tree.root == Some(status.node_id);
    let queued: usize = status.links.iter().map(|link| link.queued).sum();
    let facts = [
        ("capacities", node.capacities().map(|(capacity, _)| capacity).eq(Capacity::ALL)),
        ("queues", queued <= node.buffered()),
        ("early entries", entries.early <= entries.held),
        ("number of gaps", status.gaps.len() <= Status::MAX_GAPS),
        ("entries", node.entries().count() == entries.held),
        ("bytes", node.entries().map(|entry| entry.charge()).sum::<usize>() == entries.bytes),
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
