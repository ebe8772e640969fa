use alloc::collections::BTreeSet;
use core::time::Duration;

use proptest::prelude::*;

use super::super::properties::{exchange, held, tangle};
use super::super::testing::{EPOCH, TestAuthor, TestLog};
use super::super::{LogEvent, Taken};
use super::*;
use crate::model::{Identity, NodeId};

/// What a log asks its store to keep, in order.
#[derive(Clone, Debug)]
enum Keep {
    Entry(Arc<Entry>),
    Withdrawn(EntryId),
}

impl Keep {
    fn entry(&self) -> Option<&Arc<Entry>> {
        if let Self::Entry(entry) = self { Some(entry) } else { None }
    }
}

/// A log and its store.
struct Stored {
    log: TestLog,
    records: Vec<Keep>,
    shown: Vec<EntryId>,
}

impl Stored {
    /// What a log has that starts with these records.
    fn start(records: &[Keep], window: usize, change: impl FnOnce(&mut Limits)) -> Self {
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for record in records {
            match record {
                Keep::Entry(entry) if entries.contains(entry) => {}
                Keep::Entry(entry) => entries.push(entry.clone()),
                Keep::Withdrawn(id) => entries.retain(|entry| entry.id() != *id),
            }
        }
        let runs: BTreeSet<_> = entries.iter().map(|entry| entry.run().clone()).collect();
        let mut kept =
            Kept { runs: runs.iter().map(|run| kept_run(run, &entries)).collect(), ..Kept::default() };
        entries.sort_by_key(|entry| (entry.place(), entry.id()));
        kept.entries = entries.split_off(entries.len().saturating_sub(window));
        let mut log = TestLog::new(change);
        log.inner = Log::restore(Identity::from_secret(&[99; 32]).key(), true, &kept, &log.limits);
        assert!(log.inner.is_consistent());
        let mut stored = Self { log, records: records.to_vec(), shown: Vec::new() };
        stored.follow();
        stored
    }

    fn take(&mut self, entry: &Arc<Entry>) -> Taken {
        let taken = self.log.take(entry);
        if taken == Taken::New {
            self.log.inner.shelve(entry, &self.log.limits);
            self.records.push(Keep::Entry(entry.clone()));
        }
        self.follow();
        taken
    }

    fn follow(&mut self) {
        for event in self.log.events() {
            match event {
                LogEvent::Show { entry, .. } => self.shown.push(entry.id()),
                LogEvent::Withdrawn { id, .. } => self.records.push(Keep::Withdrawn(id)),
                _ => {}
            }
        }
    }
}

fn kept_run(run: &RunId, entries: &[Arc<Entry>]) -> KeptRun {
    let of_run = || entries.iter().filter(|entry| entry.run() == run);
    let tip = of_run().map(|entry| entry.seq()).max().unwrap();
    let versions = of_run().filter(|entry| entry.seq() == tip).map(|entry| (entry.at(), entry.id()));
    let numbers: BTreeSet<_> = of_run().map(|entry| entry.seq()).collect();
    KeptRun::new(run.clone(), tip, versions.collect(), numbers.into_iter().map(|seq| (seq, seq)).collect())
}

/// So many at most, and as many often.
fn some(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(most), 1 => 0..most]
}

#[test]
fn a_node_that_starts_again_ends_with_what_others_hold_of_a_forked_run() {
    let given = proptest::sample::subsequence(tangle(), 1..14).prop_flat_map(|given| {
        let orders = (Just(given.clone()).prop_shuffle(), Just(given).prop_shuffle());
        (orders, some(14), some(14), some(40))
    });
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(((one, other), first, second, committed) in given)| {
        let mut stored = Stored::start(&[], usize::MAX, |_| ());
        one.iter().take(first).for_each(|entry| _ = stored.take(entry));
        // What was not committed when it crashed is lost.
        let before = &stored.records[..committed.min(stored.records.len())];
        let mut again = Stored::start(before, usize::MAX, |_| ());
        let was_kept: BTreeSet<_> = before.iter().filter_map(Keep::entry).map(|entry| entry.id()).collect();
        let mut peer = TestLog::new(|_| ());
        other.iter().take(second).for_each(|entry| _ = peer.take(entry));
        peer.events();
        exchange(&mut again.log, &mut peer);
        again.log.pass(Duration::from_secs(3));
        again.follow();
        prop_assert!(again.shown.iter().all(|id| !was_kept.contains(id)), "shown again");
        // Where neither can fill a hole, each has a version of its own below it, and nothing tells.
        let given = before.iter().filter_map(Keep::entry).chain(other.iter().take(second));
        let numbers: BTreeSet<_> = given.map(|entry| entry.seq()).collect();
        if numbers.iter().copied().eq(0..numbers.len() as u64) {
            prop_assert_eq!(held(&again.log), held(&peer));
        }
    });
}

#[test]
fn a_fork_with_what_the_window_holds_is_taken_also_below_what_it_asks_for() {
    let anna = TestAuthor::new(1);
    let (one, other) = (anna.entry(1), anna.entry_at(EPOCH, 1, 1_001_001, "other"));
    for window in [2, 1] {
        let mut stored = Stored::start(&[], usize::MAX, |_| ());
        for entry in [&one, &anna.entry(5_000)] {
            assert_eq!(stored.take(entry), Taken::New);
        }
        let mut again = Stored::start(&stored.records, window, |_| ());
        again.log.inner.raise_base(one.run(), 4_000);
        let is_held = window == 2;
        assert_eq!(again.take(&other), if is_held { Taken::New } else { Taken::Known });
        assert_eq!(held(&again.log).contains(&other.id()), is_held);
        assert!(!again.log.inner.wants(&other.id()), "it is not asked for again");
        assert_eq!(again.shown, [], "it may have been shown before");
    }
}

#[test]
fn what_came_before_a_start_is_not_shown_again_as_a_version_of_a_forked_run() {
    let anna = TestAuthor::new(1);
    let versions = ["one", "other"].map(|text| anna.entry_at(EPOCH, 1, 1_001_001, text));
    for first in [0, 1] {
        let mut stored = Stored::start(&[], usize::MAX, |_| ());
        for entry in [&versions[first], &anna.entry(5_000)] {
            assert_eq!(stored.take(entry), Taken::New);
        }
        // The window has neither of them any more, and the other one shows that the run is forked.
        let mut again = Stored::start(&stored.records, 1, |_| ());
        again.log.inner.raise_base(versions[0].run(), 4_000);
        for entry in [&versions[1 - first], &versions[first], &versions[1 - first]] {
            again.take(entry);
        }
        assert_eq!(again.shown, [], "{first}");
        let mut again = Stored::start(&stored.records, usize::MAX, |_| ());
        let new = anna.entry_at(EPOCH, 1, 9_000_000, "said since");
        assert_eq!(again.take(&new), Taken::New);
        assert_eq!(again.shown, [new.id()], "{first}");
    }
}

#[test]
fn a_version_of_what_came_since_the_start_and_left_the_window_is_shown_as_a_fork() {
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, |_| ()));
    (0..=8).for_each(|seq| _ = stored.take(&anna.entry(seq)));
    (0..=7).for_each(|seq| stored.log.inner.window.remove(&anna.entry(seq), &stored.log.limits));
    let run = anna.entry(0).run().clone();
    stored.log.inner.raise_base(&run, 8);
    let other = anna.entry_at(EPOCH, 7, 1_007_001, "other");
    assert_eq!(stored.take(&other), Taken::New);
    assert_eq!(stored.shown.last(), Some(&other.id()));
}

#[test]
fn what_expired_is_no_hole_after_a_start() {
    let anna = TestAuthor::new(1);
    let entries: Vec<_> = (50..53).map(|seq| anna.entry(seq)).collect();
    let tip = Vec::from([(entries[2].at(), entries[2].id())]);
    for floor in [0, 50] {
        let mut run = KeptRun::new(entries[0].run().clone(), 52, tip.clone(), Vec::from([(50, 52)]));
        run.floor = floor;
        let kept = Kept { runs: Vec::from([run]), entries: entries.clone(), ..Kept::default() };
        let limits = Limits::default();
        let log = Log::restore(Identity::from_secret(&[99; 32]).key(), true, &kept, &limits);
        assert_eq!(log.holes(None, &limits).len(), usize::from(floor == 0), "{floor}");
    }
}

#[test]
fn a_version_of_what_was_missing_at_the_start_is_shown_as_a_fork() {
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, |_| ()));
    [0, 1, 2, 5, 6, 7].iter().for_each(|seq| _ = stored.take(&anna.entry(*seq)));
    let mut again = Stored::start(&stored.records, usize::MAX, |_| ());
    let versions = [anna.entry(3), anna.entry_at(EPOCH, 3, 1_003_001, "other")];
    versions.iter().for_each(|version| _ = again.take(version));
    assert_eq!(again.shown, versions.map(|version| version.id()));
}

#[test]
fn what_was_held_back_and_made_room_is_shown_when_it_comes_again() {
    let few = |limits: &mut Limits| limits.chat.early_per_author = 1;
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, few));
    stored.take(&anna.entry(0));
    assert_eq!([3, 2].map(|seq| stored.take(&anna.entry(seq))), [Taken::New; 2]);
    assert_eq!([3, 2].map(|seq| stored.log.inner.shelf.holds(anna.entry(0).run(), seq)), [false, true]);
    [1, 3].iter().for_each(|seq| _ = stored.take(&anna.entry(*seq)));
    assert_eq!(stored.shown, [0, 1, 2, 3].map(|seq| anna.entry(seq).id()));
}

#[test]
fn what_the_store_had_at_the_start_is_not_shown_when_the_window_has_lost_it() {
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, |_| ()));
    (0..3).for_each(|seq| _ = stored.take(&anna.entry(seq)));
    let mut again = Stored::start(&stored.records, usize::MAX, |_| ());
    for seq in 0..3 {
        again.log.inner.window.remove(&anna.entry(seq), &again.log.limits);
    }
    for seq in [2, 0, 3, 1] {
        again.take(&anna.entry(seq));
    }
    assert_eq!(again.shown, [anna.entry(3).id()]);
}

#[test]
fn a_fork_far_below_the_window_freezes_the_run_when_both_versions_came() {
    let anna = TestAuthor::new(1);
    let (one, far) = (anna.entry(1), anna.entry(5_000));
    let other = anna.entry_at(EPOCH, 1, 1_001_001, "other");
    let third = anna.entry_at(EPOCH, 2, 1_001_002, "third");
    let far_too = anna.entry_at(EPOCH, 5_000, 6_000_001, "far, too");
    let pairs = [[&one, &other], [&other, &one], [&other, &third], [&third, &other]];
    let cases = pairs.iter().flat_map(|pair| [false, true].map(|forks_above| (pair, forks_above)));
    let cases = cases.flat_map(|(pair, forks_above)| [false, true].map(|ranged| (pair, forks_above, ranged)));
    for ([first, second], forks_above, ranged) in cases {
        let mut stored = Stored::start(&[], usize::MAX, |_| ());
        assert_eq!(stored.take(&far), Taken::New);
        if forks_above {
            assert_eq!(stored.take(&far_too), Taken::New);
        }
        stored.log.inner.raise_base(one.run(), 4_000);
        // One alone shows nothing.
        if ranged {
            assert_eq!(stored.log.inner.archives(first), Some(Taken::Archived));
            assert_eq!(stored.log.inner.archives(second), None);
        } else {
            assert_eq!(stored.take(first), Taken::Dropped);
            assert!(!stored.log.inner.wants(&first.id()));
        }
        assert_eq!(stored.take(second), Taken::New);
        assert!(stored.log.inner.wants(&first.id()), "what proves the fork with it");
        assert_eq!(stored.take(first), Taken::New);
        assert_eq!(held(&stored.log), BTreeSet::from([first.id(), second.id()]));
        assert!(stored.log.inner.window.frozen_at(one.run()).is_some());
    }
}

#[test]
fn a_fork_below_the_one_that_the_window_knows_is_found_too() {
    let anna = TestAuthor::new(1);
    let at = |seq, text: &str| anna.entry_at(EPOCH, seq, 1_001_000 + seq, text);
    // Each is behind the first one that was made with the number before.
    let (two, far) = ([at(2, "two"), at(2, "deux")], at(5_000, "far"));
    let (zero, one) = (at(0, "zero"), at(1, "one"));
    for zero_before_fork in [false, true] {
        let mut stored = Stored::start(&[], usize::MAX, |_| ());
        assert_eq!(stored.take(&far), Taken::New);
        stored.log.inner.raise_base(far.run(), 4_000);
        stored.take(&two[0]);
        if zero_before_fork {
            assert_eq!([&zero, &at(40, "another")].map(|entry| stored.take(entry)), [Taken::Dropped; 2]);
        }
        assert_eq!([&two[1], &two[0]].map(|entry| stored.take(entry)), [Taken::New; 2]);
        if !zero_before_fork {
            assert_eq!(stored.take(&zero), Taken::Dropped);
        }
        // It shows a fork with what the window holds, and a lower one with what came before it.
        assert_eq!(stored.take(&one), Taken::New);
        assert!(stored.log.inner.wants(&zero.id()));
        assert_eq!(stored.take(&zero), Taken::New);
        assert_eq!(held(&stored.log), BTreeSet::from([zero.id(), one.id()]), "{zero_before_fork}");
    }
}

#[test]
fn missing_numbers_for_which_the_shelf_has_no_room_are_no_fork() {
    let few = |limits: &mut Limits| (limits.chat.spans, limits.chat.epochs_per_author) = (2, 1);
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, few));
    [0, 2, 4].iter().for_each(|seq| _ = stored.take(&anna.entry(*seq)));
    // What is known of the run makes room for another one, and has to follow from what is held.
    stored.take(&anna.entry_at(EPOCH + 1, 0, 1_004_500, "anew"));
    assert!(stored.log.inner.shelf.holds(anna.entry(0).run(), 1));
    stored.log.take(&anna.entry(1));
    assert_eq!(stored.log.shown(), ["1~"]);
}

#[test]
fn what_the_store_has_behind_a_fork_is_not_served() {
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, |_| ()));
    for seq in [0, 1, 2, 5] {
        stored.take(&anna.entry(seq));
    }
    let run = anna.entry(0).run().clone();
    // The window does not want this one, so the store alone has it.
    stored.log.inner.shelve(&anna.entry(3), &Limits::default());
    assert_eq!(stored.log.inner.first_shelved(&run, 3, 9), Some((3, 3)));
    stored.take(&anna.entry_at(EPOCH, 1, 1_001_001, "other"));
    assert_eq!(stored.log.inner.first_shelved(&run, 2, 9), None);
}

#[test]
fn what_proves_a_fork_is_asked_for_when_the_other_version_is_in_the_window() {
    const DATE: u64 = 20_000_000;
    let (anna, mut stored) = (TestAuthor::new(1), Stored::start(&[], usize::MAX, |_| ()));
    let (first, second) = (anna.entry(1), anna.entry_at(EPOCH, 1, DATE, "other"));
    assert_eq!(stored.take(&anna.entry(5_000)), Taken::New);
    stored.log.inner.raise_base(first.run(), 4_000);
    assert_eq!(stored.take(&first), Taken::Dropped);
    let log = &mut stored.log;
    let proofs = |log: &mut TestLog| -> Vec<_> {
        let proof = |event| match event {
            LogEvent::Proof { id, from } => Some((id, from)),
            _ => None,
        };
        log.events().into_iter().filter_map(proof).collect()
    };
    // It is dated too far ahead, and then so far that it waits.
    for (before, taken) in [(7_200_000, Taken::Full), (60_000, Taken::Parked)] {
        log.set_wall(Some(DATE - before));
        assert_eq!(log.take(&second), taken);
        assert_eq!(proofs(log), []);
    }
    log.pass(Duration::from_secs(60));
    assert_eq!(proofs(log), [(first.id(), Some(NodeId::from_bytes([1; 16])))]);
    assert_eq!(log.take(&first), Taken::New);
    assert_eq!(proofs(log), []);
}
