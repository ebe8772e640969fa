use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use super::super::testing::{EPOCH, TestAuthor, TestLog, shown};
use super::super::{LogEvent, Taken};
use super::*;
use crate::model::RunPosition;

/// The versions of a number, the lowest id first.
fn versions(author: &TestAuthor, seq: u64, count: usize) -> Vec<Arc<Entry>> {
    author.entry(seq);
    let mut versions: Vec<_> =
        (0..count).map(|n| author.entry_at(EPOCH, seq, 1_000_000 + seq, &n.to_string())).collect();
    versions.sort_by_key(|entry| entry.id());
    versions
}

fn held(log: &TestLog) -> Vec<EntryId> {
    log.inner.iter().map(|entry| entry.id()).collect()
}

#[test]
fn of_a_forked_number_the_two_lowest_ids_are_held_and_two_versions_are_shown() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    let of = versions;
    let versions = of(&anna, 1, 5);
    assert_eq!(log.take(&versions[4]), Taken::New);
    assert_eq!(log.take(&versions[3]), Taken::New);
    assert_eq!(log.shown(), ["0", "1", "1!"]);
    for lower in [2, 1, 0] {
        assert_eq!(log.take(&versions[lower]), Taken::New);
        let withdrawn = LogEvent::Withdrawn { id: versions[lower + 2].id(), run: versions[0].run().clone() };
        assert_eq!(log.events(), [withdrawn], "it is relayed, and no third one is shown");
    }
    for higher in [2, 3, 4] {
        assert_eq!(log.take(&versions[higher]), Taken::Dropped);
    }
    assert_eq!(log.inner.iter().map(|entry| entry.seq()).collect::<BTreeSet<_>>(), [0, 1].into());
    assert!(held(&log).contains(&versions[0].id()) && held(&log).contains(&versions[1].id()));
    assert_eq!(log.inner.sizes().held, 3);
    // The same holds for versions that are held back.
    let (bob, mut log) = (TestAuthor::new(2), TestLog::new(|_| ()));
    let versions = of(&bob, 2, 4);
    log.take(&bob.entry(0));
    [3, 2, 0].iter().for_each(|n| assert_eq!(log.take(&versions[*n]), Taken::New));
    assert_eq!((log.shown(), log.take(&versions[3])), (vec!["0".to_string()], Taken::Dropped));
    log.take(&bob.entry(1));
    assert_eq!(log.shown(), ["1", "2<", "2!<"]);
    assert_eq!(log.take(&versions[1]), Taken::New);
    assert_eq!(log.shown(), [""; 0]);
}

#[test]
fn above_a_fork_nothing_is_held_or_shown_and_what_was_shown_stays() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    for seq in [0, 1, 2, 3, 5] {
        log.take(&anna.entry(seq));
    }
    assert_eq!(log.shown(), ["0", "1", "2", "3"]);
    let other = anna.entry_at(EPOCH, 1, 1_001_001, "other");
    assert_eq!(log.take(&other), Taken::New);
    let events = log.events();
    let gone: Vec<_> = [2, 3, 5]
        .map(|seq| anna.entry(seq))
        .map(|gone| LogEvent::Withdrawn { id: gone.id(), run: gone.run().clone() })
        .into();
    assert!(gone.iter().all(|event| events.contains(event)), "{events:?}");
    assert!(events.contains(&LogEvent::Forked { run: other.run().clone() }));
    assert_eq!(shown(events), ["1~!"]);
    assert_eq!(held(&log), [anna.entry(0).id(), anna.entry(1).id(), other.id()]);
    for seq in [2, 3, 4, 5, 6] {
        assert_eq!(log.take(&anna.entry(seq)), Taken::Dropped);
    }
    log.pass(Duration::from_secs(3));
    assert_eq!((log.shown(), log.inner.gaps().count(), log.inner.sizes().early), (vec![], 0, 0));
    // A lower fork wins, another run goes on.
    let lowest = anna.entry_at(EPOCH, 0, 1_000_001, "other");
    log.take(&lowest);
    assert_eq!(log.shown(), ["0~!"]);
    assert_eq!(held(&log), [anna.entry(0).id(), lowest.id()]);
    log.take(&anna.entry_at(EPOCH + 1, 0, 2_000_000, "anew"));
    assert_eq!(log.shown(), ["0"]);
}

#[test]
fn an_entry_that_names_another_one_before_it_proves_a_fork() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    let first = anna.entry(0);
    let other = anna.entry_at(EPOCH, 0, 1_000_001, "other");
    let behind = |before: &Entry, text: &str| {
        anna.sign_at(None, None, RunPosition::after(before).unwrap(), (EPOCH, 1_001_000), text)
    };
    log.take(&first);
    assert_eq!(log.shown(), ["0"]);
    // The other one is known by its id alone: the proof is held, and not shown, and the other one is looked for.
    let proof = behind(&other, "x");
    assert_eq!(log.take(&proof), Taken::New);
    assert_eq!(log.reconciles(), 1);
    assert_eq!(held(&log), [first.id(), proof.id()]);
    assert_eq!(log.take(&behind(&first, "y")), Taken::Dropped);
    log.pass(Duration::from_secs(3));
    assert_eq!(log.shown(), [""; 0]);
    // Of several that prove it, the one with the lowest id is held.
    let mut proofs: Vec<_> = (0..5).map(|n| behind(&other, &n.to_string())).chain([proof]).collect();
    proofs.iter().for_each(|proof| _ = log.take(proof));
    proofs.sort_by_key(|proof| proof.id());
    assert_eq!(held(&log), [first.id(), proofs[0].id()]);
    log.events();
    // Now the other one comes.
    assert_eq!(log.take(&other), Taken::New);
    assert_eq!(log.shown(), ["0!"]);
    assert_eq!(held(&log).len(), 2);
    assert!(held(&log).contains(&first.id()) && held(&log).contains(&other.id()));
    assert!(proofs.iter().all(|proof| log.take(proof) == Taken::Dropped));
}

#[test]
fn a_run_stays_frozen_when_what_proves_it_is_evicted() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.log_entries = 4));
    let other = anna.entry_at(EPOCH, 1, 1_001_001, "other");
    for entry in [&anna.entry(0), &anna.entry(1), &other] {
        log.take(entry);
    }
    let anew = |seq| anna.entry_at(EPOCH + 1, seq, 1_500_000 + seq, "anew");
    (0..4).for_each(|seq| _ = log.take(&anew(seq)));
    assert_eq!(held(&log), [0, 1, 2, 3].map(|seq| anew(seq).id()));
    let later = |seq| anna.entry_at(EPOCH, seq, 1_600_000 + seq, "later");
    assert_eq!([1, 2, 3].map(|seq| log.take(&later(seq))), [Taken::Dropped; 3]);
    assert_eq!(log.inner.lost().forks, 0);
    // With no room to remember it, the run goes on.
    let mut log = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.forks) = (4, 0));
    for entry in [&anna.entry(0), &anna.entry(1), &other] {
        log.take(entry);
    }
    (0..4).for_each(|seq| _ = log.take(&anew(seq)));
    assert_eq!((log.take(&later(2)), log.inner.lost().forks), (Taken::New, 1));
}

#[test]
fn what_a_fork_withdrew_is_not_shown_again_when_the_fork_is_forgotten() {
    let anna = TestAuthor::new(1);
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.forks, limits.chat.epochs_per_author) = (8, 0, 1);
    });
    (0..4).for_each(|seq| _ = log.take(&anna.entry(seq)));
    log.take(&anna.entry_at(EPOCH, 1, 1_001_001, "other"));
    assert_eq!(log.shown(), ["0", "1", "2", "3", "1~!"]);
    // Others displace what proves the fork, and what is known of the order of the run.
    let anew = |seq| anna.entry_at(EPOCH + 1, seq, if seq < 7 { 1_002_500 + seq } else { 1_010_000 }, "anew");
    (0..8).for_each(|seq| _ = log.take(&anew(seq)));
    assert_eq!((log.inner.lost().forks, log.shown().len()), (1, 8));
    assert_eq!([3, 2].map(|seq| log.take(&anna.entry(seq))), [Taken::Dropped; 2]);
    log.pass(Duration::from_secs(3));
    assert_eq!(log.shown(), [""; 0]);
    // What is newer is taken, and what is held and older stays.
    assert_eq!(log.take(&anna.entry(4)), Taken::New);
    assert_eq!((log.take(&anew(6)), log.inner.sizes().held), (Taken::Known, 8));
}

#[test]
fn what_a_fork_withdrew_is_not_shown_again_when_its_author_is_forgotten() {
    let (anna, bob, eve) = (TestAuthor::new(1), TestAuthor::new(2), TestAuthor::new(3));
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.forks) = (2, 1);
        (limits.chat.floors, limits.chat.authors) = (2, 1);
    });
    let forked = |author: &TestAuthor, log: &mut TestLog, at: u64| {
        let entries = [0, 1].map(|seq| author.entry_at(EPOCH, seq, at + seq * 20_000, "one"));
        let other = author.entry_at(EPOCH, 0, at + 1, "other");
        entries.iter().chain([&other]).for_each(|entry| _ = log.take(entry));
        entries
    };
    log.set_wall(Some(1_040_000));
    let [_, gone] = forked(&anna, &mut log, 1_000_000);
    assert_eq!(log.shown(), ["0", "1", "0~!^"]);
    // Bob and then Eve take the place of Anna, who is forgotten, as late as what was withdrawn allows.
    forked(&bob, &mut log, 1_030_000);
    assert_eq!(log.take(&eve.entry_at(EPOCH, 0, 1_039_000, "too soon")), Taken::Full);
    log.set_wall(Some(1_060_000));
    for seq in 0..3 {
        log.take(&eve.entry_at(EPOCH, seq, 1_059_000 + seq, "now"));
    }
    log.events();
    assert_eq!((log.inner.lost().floors, log.inner.lost().forks), (1, 1));
    assert_eq!(log.take(&gone), Taken::Dropped);
    log.pass(Duration::from_secs(3));
    assert_eq!(log.shown(), [""; 0]);
}
