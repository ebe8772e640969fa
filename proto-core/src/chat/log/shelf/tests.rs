use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::model::{Class, Identity};

fn run(n: u8) -> RunId {
    RunId::new(Identity::from_secret(&[n; 32]).key(), None, Class::Kept, 1)
}

fn with(held: &[(u64, u64)], floor: u64) -> Shelf {
    let mut shelf = Shelf::default();
    let mut kept = KeptRun::new(run(1), 99, Vec::new(), held.to_vec());
    kept.floor = floor;
    shelf.restore(&kept, &Limits::default());
    assert!(shelf.is_consistent());
    shelf
}

#[test]
fn spans_that_touch_become_one() {
    let (mut shelf, limits) = (Shelf::default(), Limits::default());
    for (seq, spans) in [(5, 1), (7, 2), (6, 1), (5, 1), (0, 2), (1, 2), (4, 2), (3, 2), (2, 1)] {
        shelf.put(&run(1), (seq, 0), &limits);
        assert!(shelf.holds(&run(1), seq) && shelf.is_consistent());
        assert_eq!(shelf.spans(), spans, "{seq}");
    }
    assert_eq!(shelf.last_number(&run(1)), Some(7));
    assert!(!shelf.holds(&run(1), 8) && !shelf.holds(&run(2), 0));
    shelf.take_back(&run(1), 4, &limits);
    assert!(!shelf.holds(&run(1), 4) && shelf.holds(&run(1), 5) && shelf.spans() == 2);
}

#[test]
fn what_is_neither_held_nor_expired_is_missing() {
    let shelf = with(&[(10, 19), (30, 39)], 3);
    let gaps = |first, last| shelf.first_gap(&run(1), first, last);
    assert_eq!(gaps(0, 99), Some((3, 9)));
    assert_eq!(gaps(10, 99), Some((20, 29)));
    assert_eq!(gaps(25, 99), Some((25, 29)));
    assert_eq!(gaps(31, 99), Some((40, 99)));
    assert_eq!((gaps(31, 39), gaps(0, 2)), (None, None));
    let below = |number| shelf.last_gap(&run(1), number);
    assert_eq!(below(50), Some((40, 49)));
    assert_eq!(below(40), Some((20, 29)));
    assert_eq!(below(25), Some((20, 24)));
    assert_eq!(below(20), Some((3, 9)));
    assert_eq!((below(3), below(0)), (None, None));
    assert_eq!(shelf.missing(&run(1), 50), 10 + 10 + 7);
    let missing = |number| shelf.missing(&run(1), number);
    let follows = |number| (3..number).filter(|seq| !shelf.holds(&run(1), *seq)).count() as u64;
    assert!((0..60).all(|number| missing(number) == follows(number)));
    assert_eq!(shelf.missing(&run(2), 7), 7);
    assert_eq!(shelf.last_gap(&run(2), 7), Some((0, 6)), "of another run it has nothing");
    let held = |first, last| shelf.first_held(&run(1), first, last);
    assert_eq!(held(0, 99), Some((10, 19)));
    assert_eq!(held(15, 17), Some((15, 17)));
    assert_eq!((held(20, 29), held(20, 30)), (None, Some((30, 30))));
}

#[test]
fn what_the_store_lost_is_missing_and_what_expired_is_not() {
    let mut shelf = with(&[(10, 19), (30, 39)], 3);
    shelf.lose(&run(1), (15, 34), &Limits::default());
    let gaps = |shelf: &Shelf| (shelf.first_gap(&run(1), 0, 39), shelf.missing(&run(1), 40), shelf.spans());
    assert_eq!(gaps(&shelf), (Some((3, 9)), 7 + 20, 2));
    shelf.lose(&run(1), (0, 12), &Limits::default());
    shelf.lose(&run(1), (17, 18), &Limits::default());
    shelf.lose(&run(2), (0, 9), &Limits::default());
    assert_eq!((shelf.holds(&run(1), 13), gaps(&shelf)), (true, (Some((3, 12)), 10 + 20, 2)));
    assert!(shelf.is_consistent());
    shelf.expire(&run(1), 14);
    shelf.expire(&run(1), 5);
    assert_eq!((shelf.holds(&run(1), 13), gaps(&shelf)), (false, (Some((15, 34)), 20, 2)));
    shelf.empty();
    assert_eq!(gaps(&shelf), (Some((14, 39)), 26, 1), "its floor is remembered");
    assert!(shelf.is_consistent());
    shelf.put(&run(1), (20, 0), &Limits::default());
    assert_eq!(gaps(&shelf), (Some((14, 19)), 25, 1));
    assert!(shelf.is_consistent());
}

#[test]
fn whoever_leaves_out_every_other_number_loses_its_own() {
    let limits = Limits::default().with(|limits| limits.chat.spans = 8);
    let mut shelf = with(&[(0, 9), (20, 29)], 0);
    for n in 0..1_000 {
        shelf.put(&run(2), (n * 2, 0), &limits);
        assert!(shelf.spans() <= 8 && shelf.is_consistent());
    }
    assert_eq!(shelf.last_gap(&run(1), 20), Some((10, 19)), "another run lost nothing");
    assert!(shelf.holds(&run(2), 1) && !shelf.holds(&run(2), 1_997));
    assert!(shelf.joined() > 900);
    // So do many runs.
    for n in 0..100 {
        shelf.put(&run(n), (0, 0), &limits);
        assert!(shelf.spans() <= 8 && shelf.is_consistent());
    }
}

#[test]
fn what_is_remembered_of_expired_runs_counts_too() {
    let limits = Limits::default().with(|limits| limits.chat.spans = 8);
    let mut shelf = with(&[(0, 9), (20, 29)], 0);
    let epoch = |epoch| RunId::new(Identity::from_secret(&[2; 32]).key(), None, Class::Kept, epoch);
    for n in 1..1_000 {
        shelf.put(&epoch(n), (0, n), &limits);
        shelf.expire(&epoch(n), 1);
        assert!(shelf.spans() <= 8 && shelf.runs.len() <= 8 && shelf.is_consistent());
    }
    assert_eq!(shelf.first_gap(&epoch(999), 0, 1), Some((1, 1)));
    assert_eq!(shelf.first_gap(&epoch(9), 0, 1), Some((0, 1)), "the oldest are forgotten first");
    assert_eq!(shelf.last_gap(&run(1), 20), Some((10, 19)), "another run lost nothing");
    // Those that hold something stay.
    shelf.put(&epoch(0), (0, 0), &limits);
    (2_000..2_100).for_each(|n| shelf.put(&epoch(n), (0, n), &limits));
    assert!(shelf.is_consistent() && shelf.runs.values().all(|shelved| !shelved.held.is_empty()));
}

#[test]
fn what_the_store_had_at_the_start_takes_no_more_room_than_what_it_has() {
    let limits = Limits::default().with(|limits| limits.chat.spans = 64);
    let mut shelf = Shelf::default();
    let epoch = |epoch| RunId::new(Identity::from_secret(&[2; 32]).key(), None, Class::Kept, epoch);
    for n in 0..40 {
        let held = (0..50).map(|span| (span * 10, span * 10 + 4)).collect();
        shelf.restore(&KeptRun::new(epoch(n), 500, Vec::new(), held), &limits);
    }
    shelf.begin_with(1_000);
    assert!(shelf.runs.values().map(|shelved| shelved.had.len()).sum::<usize>() <= 64);
    // What was held counts as had, and for want of room what was missing between does so, too.
    assert!([0, 4, 7, 490, 494].into_iter().all(|seq| shelf.may_have_had(&epoch(1), (seq, 1_000))));
    assert!(!shelf.may_have_had(&epoch(1), (495, 1_000)));
}

#[test]
fn a_run_is_settled_when_all_of_it_is_committed() {
    let mut shelf = Shelf::default();
    let first = shelf.generation();
    shelf.awaits(&run(1));
    shelf.awaits(&run(1));
    let second = shelf.generation();
    assert!(second > first && !shelf.is_settled(&run(1)) && shelf.is_settled(&run(2)));
    shelf.settled(&run(1));
    assert!(shelf.generation() == second && !shelf.is_settled(&run(1)));
    shelf.settled(&run(1));
    assert!(shelf.generation() > second && shelf.is_settled(&run(1)));
}

#[test]
fn numbers_are_walked_downwards_by_spans() {
    let shelf = with(&[(10, 19), (30, 39)], 0);
    let below = |seq, least| shelf.last_below(&run(1), seq, least);
    assert_eq!(below(39, 35), Some(34), "held, and below what is passed over");
    assert_eq!(below(39, 25), Some(30), "the lowest of the span");
    assert_eq!(below(30, 25), Some(19));
    assert_eq!((below(10, 10), below(25, 0)), (None, None));
}

#[test]
fn what_is_taken_out_of_a_span_keeps_the_bound_on_spans() {
    let limits = Limits::default().with(|limits| limits.chat.spans = 2);
    let taken = |change: fn(&mut Shelf, &Limits)| {
        let mut shelf = with(&[(0, 9), (20, 29)], 0);
        change(&mut shelf, &limits);
        assert!(shelf.spans() <= 2 && shelf.is_consistent());
        shelf.joined()
    };
    assert_eq!(taken(|shelf, limits| shelf.take_back(&run(1), 25, limits)), 1);
    assert_eq!(taken(|shelf, limits| shelf.lose(&run(1), (4, 5), limits)), 1);
}

#[test]
fn numbers_that_may_be_missing_and_count_as_held_are_not_sure() {
    let (mut shelf, mut limits) = (with(&[(0, 1), (4, 5), (8, 9), (20, 29)], 0), Limits::default());
    let sure = |shelf: &Shelf| shelf.sure_spans_from(&run(1), 0).collect::<Vec<_>>();
    assert_eq!(sure(&shelf), [(0, 1), (4, 5), (8, 9), (20, 29)]);
    for (spans, expected) in [
        (3, &[(0, 1), (4, 5), (8, 9), (20, 29)][..]),
        (2, &[(0, 1), (8, 9), (20, 29)]),
        (1, &[(0, 1), (20, 29)]),
    ] {
        limits.chat.spans = spans;
        shelf.put(&run(1), (25, 0), &limits);
        assert!(shelf.spans() == spans && shelf.is_consistent());
        assert_eq!(sure(&shelf), expected, "{spans}");
    }
    assert!(shelf.holds(&run(1), 3), "it is not asked for");
    shelf.expire(&run(1), 25);
    shelf.put(&run(1), (40, 0), &limits);
    assert_eq!(sure(&shelf), [(25, 29), (40, 40)], "what expired is in doubt no more");
    let between = |base| {
        let below: Vec<_> = shelf.spans_below(&run(1), base).collect();
        (below, shelf.sure_spans_from(&run(1), base).collect::<Vec<_>>())
    };
    assert_eq!(between(27), (vec![(25, 40)], vec![(25, 29), (40, 40)]));
    assert_eq!(between(41), (vec![(25, 40)], vec![]));
    assert_eq!(shelf.sure_spans_from(&run(2), 0).count(), 0);
}
