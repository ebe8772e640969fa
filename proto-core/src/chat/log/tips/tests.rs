use alloc::vec::Vec;

use super::*;
use crate::chat::log::testing::{EPOCH, TestAuthor, TestLog};
use crate::chat::log::{Log, Taken};
use crate::model::{Capacity, Instant};

fn tips(log: &TestLog) -> Vec<EntryId> {
    log.inner.window.tips().dated_since(0).map(|((_, id), _)| id).collect()
}

#[test]
fn the_tip_of_a_run_stays_when_it_is_evicted_or_below_a_floor() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| limits.chat.log_entries = 2);
    for seq in 0..3 {
        log.take(&anna.entry(seq));
    }
    assert_eq!(tips(&log), [anna.entry(2).id()]);
    for seq in 10..14 {
        log.take(&bob.entry(seq));
    }
    let other = anna.entry_at(EPOCH + 1, 7, 1_000_000, "below the floor");
    assert_eq!(log.take(&other), Taken::Dropped);
    assert!(log.inner.iter().all(|entry| entry.key() == bob.key()));
    assert_eq!(tips(&log), [other.id(), anna.entry(2).id(), bob.entry(13).id()]);
    let run = anna.entry(0).run().clone();
    assert_eq!(
        log.inner.first_missing(&run, (0, 4), &log.limits),
        Some((3, 4)),
        "none below what was evicted"
    );
}

#[test]
fn of_a_fork_the_tip_is_its_two_lowest_ids_in_whatever_order_they_come() {
    let anna = TestAuthor::new(1);
    let versions = ["a", "b", "c", "d"].map(|text| anna.entry_at(EPOCH, 5, 1_000_000, text));
    let mut lowest: Vec<_> = versions.iter().map(|entry| entry.id()).collect();
    lowest.sort_unstable();
    lowest.truncate(2);
    for start in 0..4 {
        let mut log = TestLog::new(|_| ());
        for n in 0..4 {
            log.take(&versions[(start + n) % 4]);
        }
        assert_eq!(tips(&log), lowest, "{start}");
    }
}

#[test]
fn an_entry_that_makes_room_and_can_come_again_is_no_tip() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.early_per_author = 2));
    for seq in [0, 5, 7] {
        assert_eq!(log.take(&anna.entry(seq)), Taken::New);
    }
    assert_eq!(log.take(&anna.entry(9)), Taken::Full);
    assert_eq!(tips(&log), [anna.entry(7).id()]);
    assert!(log.inner.wants(&anna.entry(9).id()));
}

#[test]
fn the_oldest_tip_of_which_nothing_is_held_is_forgotten_and_the_rest_is_compared() {
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.tips_bytes) = (2, 4 * CHARGE);
    });
    let said: Vec<_> = (0..8).map(|n| TestAuthor::new(n).entry(u64::from(n))).collect();
    for (n, entry) in said.iter().enumerate() {
        log.take(entry);
        assert_eq!(log.inner.window.tips().compared_since(), if n < 4 { 0 } else { said[n - 4].at() + 1 });
    }
    assert_eq!(tips(&log), said[4..].iter().map(|entry| entry.id()).collect::<Vec<_>>());
    assert_eq!(log.inner.lost().tips, 4);
}

#[test]
fn a_tip_that_was_forgotten_is_known_again_when_anything_of_its_run_comes() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| limits.chat.tips_bytes = CHARGE);
    log.take(&anna.entry(5));
    log.take(&bob.entry(9));
    assert_eq!(tips(&log), [bob.entry(9).id()], "all that there is room for");
    log.limits.chat.tips_bytes = 2 * CHARGE;
    log.take(&anna.entry(3));
    assert_eq!(tips(&log), [anna.entry(5).id(), bob.entry(9).id()]);
}

#[test]
fn a_key_with_many_runs_displaces_its_own_tips_alone_and_moves_no_date() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.tips_per_author) = (1, 3);
        limits.chat.tips_bytes = 6 * CHARGE;
    });
    log.take(&bob.entry(0));
    let runs: Vec<_> = (0..10).map(|n| anna.entry_at(EPOCH + n, 0, 2_000_000 + n, "x")).collect();
    runs.iter().for_each(|entry| _ = log.take(entry));
    assert_eq!(log.inner.window.tips().compared_since(), 0);
    let left: Vec<_> = [bob.entry(0)].iter().chain(&runs[6..]).map(|entry| entry.id()).collect();
    assert_eq!(tips(&log), left);
    assert!(
        runs.iter().all(|entry| !log.inner.wants(&entry.id())),
        "those that are forgotten are not asked for"
    );
    let most = log.inner.capacities().into_iter().find(|(it, _)| *it == Capacity::TipsPerAuthor);
    assert_eq!(most.map(|(_, most)| most), Some(3));
}

#[test]
fn what_is_missing_before_an_entry_is_what_the_window_can_hold_above_what_is_held() {
    let (anna, limits) = (TestAuthor::new(1), Limits::default());
    let mut log = Log::default();
    let missing = |log: &Log, seq| log.missing_before(&anna.entry(seq), &limits);
    assert_eq!((missing(&log, 0), missing(&log, 3)), (None, Some((0, 2))));
    assert_eq!(missing(&log, 15_000), Some((5_000, 14_999)));
    for seq in [0, 1, 5] {
        log.take_own(Instant::ORIGIN, None, anna.entry(seq), &limits);
    }
    assert_eq!([2, 4, 6, 9].map(|seq| missing(&log, seq)), [None, Some((2, 3)), None, Some((6, 8))]);
    let run = &anna.entry(0).run().clone();
    let first = |first, last| log.first_missing(run, (first, last), &limits);
    assert_eq!(
        [first(0, 9), first(3, 9), first(5, 9), first(5, 5)],
        [Some((2, 4)), Some((3, 4)), Some((6, 9)), None]
    );
}
