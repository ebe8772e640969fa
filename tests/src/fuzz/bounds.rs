//! The bounds of a node, as far as it tells how much it holds.

use proto_core::{LinkRole, LinkStatus, Node, Status};

/// Checks what the node tells of itself against its limits, and against itself. What it tells.
pub fn check(node: &Node) -> Status {
    let status = node.status();
    entries(node, &status);
    links(node, &status);
    tree(&status);
    status
}

fn entries(node: &Node, status: &Status) {
    let limits = &node.config().limits;
    let sizes = status.entries;
    assert!(sizes.held <= limits.log_entries && sizes.bytes <= limits.log_bytes, "{sizes:?}");
    assert!(sizes.early <= limits.early.min(sizes.held), "{sizes:?}");
    assert!(sizes.parked <= limits.parked && sizes.authors <= limits.authors, "{sizes:?}");
    assert_eq!(node.entries().count(), sizes.held);
    assert_eq!(node.entries().map(|entry| entry.size()).sum::<usize>(), sizes.bytes);
    let spots = || node.entries().map(|entry| (entry.place(), entry.id()));
    assert!(spots().zip(spots().skip(1)).all(|(one, next)| one < next), "each stands at its place");
    let gaps = limits.authors * limits.epochs_per_author * limits.gaps_per_epoch;
    assert!(status.gaps.len() <= gaps.min(Status::MAX_GAPS));
    assert!(status.gaps.iter().all(|gap| gap.from < gap.to));
}

fn links(node: &Node, status: &Status) {
    let limits = &node.config().limits;
    assert!(status.links.len() <= limits.held && status.links.len() <= node.connections());
    assert!(status.links.iter().all(|link| link.queued <= limits.queue_hard));
    let keyed = |link: &&LinkStatus| link.key.is_some();
    assert!(
        status.links.iter().filter(keyed).all(|link| link.key.map(|key| key.node_id()) == Some(link.node_id))
    );
    // What the user wants dialed is linked whatever the degree.
    let accepted = status.links.iter().filter(keyed).filter(|link| !link.dialed).count();
    assert!(accepted <= limits.degree_high, "{accepted} accepted links to peers with a key");
    assert!(status.book.known <= limits.book && status.book.linked <= status.book.known);
}

fn tree(status: &Status) {
    for link in &status.links {
        let is_child = status.tree.children.contains(&link.node_id);
        let role = match link.key {
            None => LinkRole::Lines,
            Some(_) if status.tree.parent == Some(link.node_id) => LinkRole::Parent,
            Some(_) if is_child => LinkRole::Child,
            Some(_) => LinkRole::Announce,
        };
        assert_eq!(link.role, role);
    }
    let linked = |node_id| status.links.iter().any(|link| link.key.is_some() && link.node_id == node_id);
    assert!(status.tree.parent.is_none_or(linked), "the parent is a neighbour");
    assert!(status.tree.children.iter().all(|child| linked(*child)), "children are neighbours");
    let is_root = status.tree.root == Some(status.node_id);
    assert!(!is_root || status.tree.distance == Some(0) && status.tree.parent.is_none());
}
