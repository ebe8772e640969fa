//! What makes room among what is wanted, and what nobody has.

use super::*;

#[test]
fn the_neighbour_that_showed_most_runs_makes_room() {
    let mut fixture = Fixture::new();
    fixture.limits.chat.wanted = 4;
    fixture.want(2, &run(9), 0, 9, 9);
    for n in 1..=6 {
        fixture.want(1, &run(n), 0, 9, u16::from(n));
    }
    assert_eq!((fixture.ranges.len(), fixture.ranges.dropped()), (4, 3));
    assert!(fixture.ranges.contains(&run(9)) && fixture.ranges.contains(&run(6)));
    assert!(!fixture.ranges.contains(&run(3)));
}

#[test]
fn nothing_that_somebody_may_hold_makes_room_for_holes() {
    let mut fixture = Fixture::new();
    fixture.limits.chat.wanted = 4;
    for n in 1..=3 {
        fixture.want(1, &run(n), 0, 9, u16::from(n));
    }
    fixture.compare(0, 2, &[4, 5, 6].map(run));
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(|n| fixture.ranges.contains(&run(n))),
        [true, true, true, true, false, false]
    );
    assert_eq!((fixture.ranges.dropped(), fixture.ranges.next_hole()), (0, Some(&run(5))));
    fixture.deny(0);
    // A neighbour that came since may hold all of it.
    fixture.compare(0, 3, &[5, 6].map(run));
    assert_eq!((fixture.ranges.dropped(), fixture.ranges.pending()), (0, 4));
    fixture.deny(0);
    fixture.compare(0, 3, &[5, 6].map(run));
    assert_eq!((fixture.ranges.dropped(), fixture.ranges.next_hole()), (1, Some(&run(6))));
    assert!(fixture.ranges.contains(&run(5)));
}

#[test]
fn holes_that_nobody_fills_take_turns() {
    let mut fixture = Fixture::new();
    fixture.limits.chat.wanted = 32;
    let mut runs: Vec<_> = (1..=40).map(run).collect();
    runs.sort();
    let mut asked = BTreeMap::<_, usize>::new();
    for comparison in 0..=20 {
        // As the log lists them.
        let next = fixture.ranges.next_hole().map_or(0, |next| runs.binary_search(next).unwrap());
        let (before, after) = runs.split_at(next);
        let wanted: BTreeSet<_> = fixture.ranges.wants.keys().cloned().collect();
        fixture.compare(comparison, 1, &[after, before].concat());
        let new: Vec<_> = fixture.ranges.wants.keys().filter(|run| !wanted.contains(*run)).collect();
        assert_eq!(new.len(), if comparison == 0 { 32 } else { 2 });
        new.into_iter().for_each(|run| *asked.entry(run.clone()).or_default() += 1);
        if comparison == 4 {
            assert_eq!(asked.len(), 40, "each is asked for before any is asked for again");
        }
        assert_eq!(fixture.deny(comparison), if comparison == 0 { 32 } else { 2 });
    }
    assert_eq!(asked.values().sum::<usize>(), 32 + 20 * 2);
    assert!(asked.values().all(|times| (1..=2).contains(times)), "{asked:?}");
}

#[test]
fn all_holes_that_there_is_room_for_are_wanted_and_the_next_time_the_first_one_is_first() {
    let mut fixture = Fixture::new();
    fixture.compare(0, 1, &[3, 1, 2].map(run));
    assert_eq!((fixture.ranges.len(), fixture.ranges.next_hole()), (3, None));
    let order: Vec<_> = fixture.ranges.shown_by[&peer(1)].iter().map(|(_, run)| run.clone()).collect();
    assert_eq!(order, [3, 1, 2].map(run));
    // One is wider than it was, and comes when all places are taken.
    fixture.limits.chat.wanted = 3;
    fixture.ranges.note_holes(at(0), peer(1), vec![(run(4), 0, 9), (run(2), 0, 20)], &fixture.limits);
    assert_eq!(fixture.ranges.last(&run(2)), Some(20));
    assert_eq!(fixture.ranges.next_hole(), Some(&run(4)));
}

#[test]
fn what_nobody_may_hold_makes_room_first() {
    let mut fixture = Fixture::new();
    fixture.limits.chat.wanted = 8;
    // Many keys showed one run each. What the only other one that may hold it had was nothing.
    for n in 1..=6 {
        fixture.want(n, &run(n), 0, 9, u16::from(n));
        let [(_, 0, 9, tag)] = fixture.queries(0)[..] else { panic!("nobody is asked") };
        fixture.ends(0, n, tag, 10);
    }
    for n in 11..=18 {
        fixture.want(100, &run(n), 0, 9, u16::from(n));
        assert!(fixture.ranges.contains(&run(11)), "{n} took its place");
    }
    assert_eq!((fixture.ranges.pending(), fixture.ranges.dropped()), (8, 6));
}

#[test]
fn what_nobody_has_is_given_up_unless_the_log_shows_that_it_is_missing() {
    let mut fixture = Fixture::new();
    fixture.want(1, &run(1), 0, 9, 1);
    let hole = Missing { run: run(2), first: 0, last: 9, at: 9, tip: None };
    fixture.ranges.want((peer(1), true), hole.clone(), (at(0), at(0)), &fixture.limits);
    let came = Missing { run: run(3), ..hole };
    fixture.ranges.want((peer(1), true), came, (at(0), at(0)), &fixture.limits);
    fixture.want(1, &run(4), 0, 9, 4);
    for (_, _, last, tag) in fixture.queries(0) {
        fixture.ends(5_000, 1, tag, last + 1);
    }
    fixture.held.extend((0..=9).map(|seq| (run(3), seq)));
    // The tip came, and nothing before it.
    fixture.held.insert((run(4), 9));
    assert_eq!(fixture.ranges.deadline(&fixture.limits), Some(at(305_000)));
    fixture.give_up(304_999);
    assert_eq!(fixture.ranges.len(), 4);
    fixture.give_up(305_000);
    assert_eq!([1, 2, 3, 4].map(|n| fixture.ranges.contains(&run(n))), [false, true, false, true]);
    assert_eq!(fixture.ranges.deadline(&fixture.limits), Some(at(605_000)));
}
