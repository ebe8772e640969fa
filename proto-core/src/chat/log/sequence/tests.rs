use core::cell::Cell;
use core::time::Duration;
use std::vec::Vec;

use proptest::prelude::*;

use super::super::Taken;
use super::super::testing::{EPOCH, TestAuthor, TestLog};
use super::{AuthorSequence, BELOW, highest_spans};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_a_range_brings_holds_back_what_is_behind_it_and_nothing_else() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(9));
    log.pass(SECOND * 2);
    // Nobody holds 1 and 2.
    [3, 4].iter().for_each(|seq| log.bring(&anna.entry(*seq)));
    log.pass(SECOND * 2);
    assert_eq!(log.shown(), ["0"], "9 came 4 s ago");
    log.bring(&anna.entry(5));
    log.pass(SECOND);
    assert_eq!(log.shown(), ["-2", "3", "4", "5"], "the range has passed 1 and 2");
    assert_eq!(log.deadline(), Some(SECOND * 2));
    log.pass(SECOND * 2);
    assert_eq!(log.shown(), ["-3", "9"], "nothing came for 3 s");
}

#[test]
fn what_follows_a_range_is_shown_behind_it() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(9));
    for seq in 1..9 {
        log.pass(SECOND * 2);
        log.bring(&anna.entry(seq));
    }
    assert_eq!(log.shown(), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn who_answers_with_other_ranges_first_is_waited_for_as_long_as_a_minute() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(9));
    let mut passed = 0;
    while log.shown() != ["-8", "9"] {
        log.hear_from(1);
        log.pass(SECOND);
        passed += 1;
        assert!(passed <= 60, "it is held back for longer than a minute");
    }
    assert_eq!(passed, 60);
}

#[test]
fn another_version_of_what_was_shown_is_marked_also_when_what_was_shown_is_forgotten() {
    let (anna, ben) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| (limits.chat.authors, limits.chat.log_entries) = (1, 5));
    for seq in 0..4 {
        log.take(&anna.entry(seq));
    }
    // Her sequence is forgotten, and then what was shown at its beginning.
    log.take(&ben.entry(0));
    for seq in 4..7 {
        log.take(&anna.entry(seq));
    }
    log.events();
    assert!(!log.inner.contains(&anna.entry(2).id()));
    let version = |text| anna.entry_at(EPOCH, 2, 2_000_000, text);
    assert_eq!(log.take(&version("another")), Taken::New);
    assert_eq!(log.shown(), ["2~!"]);
    // The gaps of a sequence that are forgotten, too, leave known what was shown between them.
    let mut log = TestLog::new(|limits| (limits.chat.gaps_per_epoch, limits.chat.log_entries) = (1, 3));
    for seq in [0, 2, 4] {
        log.take(&anna.entry(seq));
        log.pass(Duration::from_secs(3));
    }
    for seq in 5..8 {
        log.take(&anna.entry(seq));
    }
    log.events();
    log.take(&version("another"));
    assert!(log.shown().iter().all(|shown| shown == "2~!"), "2 was shown");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_highest_spans_begin_a_sequence_as_all_do(steps in prop::collection::vec((1_u64..9, 1_u64..9), 0..200)) {
        let mut next = 0;
        let spans: Vec<_> = steps.iter().map(|(gap, len)| {
            let first = next + gap + 1;
            next = first + len;
            (first, next)
        }).collect();
        let begin = |spans: Vec<(u64, u64)>| AuthorSequence::starting_at(None, None, spans.into_iter()).below;
        prop_assert_eq!(begin(highest_spans(spans.iter().copied())), begin(spans));
    }
}

#[test]
fn the_highest_spans_are_looked_at_and_the_lowest_one() {
    let looks = Cell::new(0);
    let spans = (0..100_000_u64).map(|n| (n * 4, n * 4 + 1)).inspect(|_| looks.set(looks.get() + 1));
    let highest = highest_spans(spans);
    assert_eq!((highest.len(), highest[0]), (BELOW + 1, (0, (99_999 - BELOW as u64) * 4 + 1)));
    assert_eq!(looks.get(), BELOW + 2);
}
