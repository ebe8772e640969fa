//! The memory that a node takes, measured, with each store at its bound.
//!
//! What a store is charged is the same on all machines, so it cannot be what the allocator says. Here the two are compared: the
//! heap is at most 1.1 times the charge of entries, and 2 times that of all else.
//!
//! One node cannot have all at its bound at once, since some stores fill only where others are empty or where time passes.
//! So there are groups: the window, the conversation, a full mesh, authors, the first catch-up, the store, rates, members, whom
//! a node knows, connections, and peers without a key. In each, one node has all stores of the group at their bounds at once.
//! What each step adds is compared, too, so that no store hides behind another that is charged too much. What no group fills
//! stands in [`NOT_FILLED`], with the reason.

mod authors;
mod conns;
mod entries;
mod keeping;
mod mesh;
mod node;
mod people;
#[path = "../limits/solo.rs"]
#[allow(dead_code)]
mod solo;
mod v1;

use std::collections::BTreeSet;

use proto_core::Capacity;
use tests::heap::Counting;

use node::Report;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Capacities that no group fills: what they count is part of what others count, or is small.
const NOT_FILLED: &[(Capacity, &str)] = &[(
    Capacity::PeersWithKey,
    "part of the slots: its bound counts addresses of host names, of which few are linked at once",
)];

/// One test, since no other may allocate meanwhile.
#[test]
fn the_heap_is_at_most_as_large_as_what_is_charged_allows() {
    let mut report = Report::default();
    entries::windows(&mut report);
    entries::conversation(&mut report);
    entries::full_mesh(&mut report);
    authors::runs(&mut report);
    keeping::catch_up(&mut report);
    keeping::store(&mut report);
    people::rates(&mut report);
    people::members(&mut report);
    mesh::addresses(&mut report);
    conns::links(&mut report);
    v1::short_lines(&mut report);
    v1::long_lines(&mut report);
    assert!(report.problems.is_empty(), "{:#?}", report.problems);
    let listed: BTreeSet<_> = NOT_FILLED.iter().map(|(capacity, _)| *capacity).collect();
    let twice: Vec<_> = report.filled.intersection(&listed).collect();
    assert!(twice.is_empty(), "filled, and listed as not filled: {twice:?}");
    let missing: Vec<_> =
        Capacity::ALL.iter().filter(|it| !report.filled.contains(it) && !listed.contains(it)).collect();
    assert!(missing.is_empty(), "no group fills these, and no reason is given: {missing:?}");
}
