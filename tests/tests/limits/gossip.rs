//! What is announced, asked for and reconciled.

use proto_core::Limits;
use proto_core::wire::Frame;

use crate::solo::{EPOCH_MS, SECOND, Solo, around, entry, ids, keys, solo, up_to};

/// A node with so many neighbours, which have taken all that it said so far.
fn linked(limits: Limits, neighbours: usize) -> Solo {
    let mut solo = solo(limits).with_clock();
    (0..neighbours).for_each(|conn| solo.link(conn));
    (0..neighbours).for_each(|conn| solo.read(conn));
    solo.actions.clear();
    solo
}

#[test]
fn announcements_that_wait() {
    let limits = Limits::default().with(|limits| limits.chat.announced = 5);
    for count in around(limits.chat.announced) {
        let mut solo = linked(limits.clone(), 2);
        // By now it has taken the root's place, and has a tree.
        solo.pass(limits.chat.root_wait, 2);
        solo.actions.clear();
        (0..count).for_each(|seq| solo.chat(0, &entry(0, seq, EPOCH_MS + 3_000)));
        assert_eq!(solo.ids_sent(1, "IHAVE"), 0);
        assert_eq!(solo.stats().announcements_dropped as usize, count.saturating_sub(5));
        solo.pass(limits.chat.announce_after + limits.chat.announce_tiebreak, 2);
        assert_eq!(solo.ids_sent(1, "IHAVE"), count.min(5));
    }
}

#[test]
fn entries_that_are_missing() {
    let limits = Limits::default().with(|limits| {
        limits.chat.announced_missing = 5;
        limits.chat.announced_missing_per_link = 4;
    });
    for count in around(limits.chat.announced_missing) {
        let mut solo = linked(limits.clone(), 2);
        solo.frame(0, &Frame::Ihave(ids(0..3)));
        solo.frame(1, &Frame::Ihave(ids(10..10 + count - 3)));
        assert_eq!(solo.stats().requests_dropped as usize, count.saturating_sub(5));
        assert_eq!(solo.node.status().entries.awaited, count.min(5));
        solo.pass(limits.chat.ask_after_alone, 2);
        assert_eq!(solo.ids_sent(0, "GRAFT") + solo.ids_sent(1, "GRAFT"), count.min(5));
    }
}

#[test]
fn entries_that_are_missing_and_announced_by_one_neighbour() {
    let limits = Limits::default().with(|limits| limits.chat.announced_missing_per_link = 5);
    for count in around(limits.chat.announced_missing_per_link) {
        let mut solo = solo(limits.clone());
        solo.link(0);
        solo.reconcile(0, &[]);
        let syncs = solo.stats().syncs;
        solo.frame(0, &Frame::Ihave(ids(0..count)));
        let start = solo.now.since_origin();
        for (at, asked) in up_to(limits.chat.ask_after_alone) {
            solo.at(start + at);
            solo.read(0);
            assert_eq!(solo.ids_sent(0, "GRAFT"), if asked { count.min(5) } else { 0 });
        }
        assert_eq!(solo.stats().requests_dropped, 0, "a reconciliation shows the rest");
        solo.pass(limits.chat.reconcile_again, 1);
        assert_eq!(solo.stats().syncs - syncs, u64::from(count > 5), "the rest is late, not lost");
    }
}

#[test]
fn links_are_told_once_a_second() {
    let limits = Limits::default();
    let mut solo = linked(limits.clone(), 1);
    solo.pass(SECOND, 1);
    solo.link(1);
    solo.actions.clear();
    solo.link(2);
    for (time, told) in up_to(limits.chat.links_every) {
        solo.at(SECOND + time);
        solo.read(0);
        assert_eq!(solo.sent(0).matches("LINKS|").count(), usize::from(told));
    }
}

#[test]
fn messages_of_reconciliations_that_are_answered() {
    let limits = Limits::default().with(|limits| limits.chat.sync_burst = 5);
    for count in around(limits.chat.sync_burst as usize) {
        let mut solo = linked(limits.clone(), 1);
        // An opening of who holds nothing.
        let opening = tests::fuzz::peers::sync(0, 0, &[]);
        (0..count).for_each(|_| solo.frame(0, &Frame::Sync(opening.clone())));
        solo.read(0);
        assert_eq!(solo.stats().syncs_refused as usize, count.saturating_sub(5));
        assert_eq!(solo.sent(0).matches("SYNC|Ag").count(), count.min(5));
    }
}

#[test]
fn the_lower_of_two_ids_announces_first() {
    let limits = Limits::default();
    let mut solo = linked(limits.clone(), 9);
    solo.pass(limits.chat.root_wait, 9);
    solo.actions.clear();
    let start = solo.now.since_origin();
    solo.chat(0, &entry(0, 0, EPOCH_MS + 3_000));
    let (lower, higher): (Vec<_>, Vec<_>) = (1..9).partition(|conn| keys(*conn).node_id() < solo.node.id());
    assert!(!lower.is_empty() && !higher.is_empty());
    let later = limits.chat.announce_after + limits.chat.announce_tiebreak;
    for (conns, after) in [(higher, limits.chat.announce_after), (lower, later)] {
        for (at, told) in up_to(after) {
            solo.at(start + at);
            conns.iter().for_each(|conn| solo.read(*conn));
            assert!(conns.iter().all(|conn| solo.ids_sent(*conn, "IHAVE") == usize::from(told)), "{at:?}");
        }
    }
}
