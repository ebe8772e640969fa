mod holes;

use core::cell::Cell;
use core::time::Duration;

use super::*;
use crate::chat::log::testing::TestAuthor;
use crate::chat::testing::{at, entry_id as id, peer};
use crate::model::Limits;
use crate::wire::RangeEnd;

/// Ranges, with what the log holds.
struct Fixture {
    ranges: Ranges,
    limits: Limits,
    held: BTreeSet<(RunId, u64)>,
    /// When neighbours may be asked.
    free_at: u64,
    /// The only neighbour that is not asked before. None: no neighbour is.
    late: Option<u8>,
    /// How often it was looked up what is missing of a run, or when a neighbour may be asked.
    looks: Cell<usize>,
}

impl Fixture {
    fn new() -> Self {
        let (ranges, limits) = (Ranges::default(), Limits::default());
        Self { ranges, limits, held: BTreeSet::new(), free_at: 0, late: None, looks: Cell::new(0) }
    }

    /// This neighbour showed that these numbers are missing.
    fn want(&mut self, from: u8, run: &RunId, first: u64, last: u64, tip: u16) {
        let missing = Missing { run: run.clone(), first, last, at: last, tip: Some(id(tip)) };
        self.ranges.want((peer(from), true), missing, (at(0), at(0)), &self.limits);
        self.check();
    }

    /// The queries that are sent now: to whom, the numbers, and the tag.
    fn queries(&mut self, now: u64) -> Vec<(u8, u64, u64, u64)> {
        let mut queries = Vec::new();
        let (held, looks) = (&self.held, &self.looks);
        let missing = |run: &RunId, numbers| {
            looks.set(looks.get() + 1);
            missing(held, run, numbers)
        };
        let free_at = |of| {
            looks.set(looks.get() + 1);
            at(if self.late.is_none_or(|late| peer(late) == of) { self.free_at } else { 0 })
        };
        while let Some((to, query)) = self.ranges.next_query(at(now), &self.limits, missing, free_at) {
            queries.push((to.as_bytes()[0], query.first, query.last, query.tag));
        }
        self.check();
        queries
    }

    fn comes(&mut self, now: u64, from: u8, run: &RunId, seqs: core::ops::RangeInclusive<u64>) {
        for seq in seqs {
            assert!(self.ranges.is_asked(peer(from), run, seq), "{seq}");
            self.ranges.came(at(now), peer(from), (run, seq), 400);
            self.ranges.taken(at(now), peer(from), run, id(seq as u16));
            self.held.insert((run.clone(), seq));
            let held = &self.held;
            self.ranges.arrived(run, seq, |first, last| {
                (first..=last).find(|seq| !held.contains(&(run.clone(), *seq))).map(|first| (first, last))
            });
            self.check();
        }
    }

    fn ends(&mut self, now: u64, from: u8, tag: u64, next: u64) {
        self.ranges.ended(at(now), peer(from), RangeEnd::new(tag, next).unwrap(), &self.limits);
        self.check();
    }

    /// This neighbour holds an entry. Whether that is a tip that is to come by a range.
    fn show_tip(&mut self, from: u8, tip: u16) -> bool {
        let held = &self.held;
        let missing = |run: &RunId, numbers| missing(held, run, numbers);
        let shows = self.ranges.show_tip(at(0), peer(from), &id(tip), &self.limits, missing);
        self.check();
        shows
    }

    /// This neighbour was compared with, and these runs have holes.
    fn compare(&mut self, now: u64, with: u8, runs: &[RunId]) {
        self.ranges.compared(at(now), peer(with), &self.limits);
        let holes = runs.iter().map(|run| (run.clone(), 0, 9)).collect();
        self.ranges.note_holes(at(now), peer(with), holes, &self.limits);
        self.check();
    }

    /// Whoever is asked for anything has nothing of it. Returns how often anybody was asked.
    fn deny(&mut self, now: u64) -> usize {
        let mut times = 0;
        loop {
            let queries = self.queries(now);
            if queries.is_empty() {
                return times;
            }
            times += queries.len();
            queries.into_iter().for_each(|(to, _, last, tag)| self.ends(now, to, tag, last + 1));
        }
    }

    /// Lets the time come until when nobody may have had something.
    fn give_up(&mut self, now: u64) {
        let held = &self.held;
        let missing = |run: &RunId, numbers| missing(held, run, numbers);
        self.ranges.expire_alone(at(now), &self.limits, missing);
        self.check();
    }

    fn check(&self) {
        assert!(self.ranges.is_consistent(|_| true));
    }
}

/// The first of these numbers of a run that are not held.
fn missing(held: &BTreeSet<(RunId, u64)>, run: &RunId, (first, last): (u64, u64)) -> Option<(u64, u64)> {
    let is_held = |seq: &u64| held.contains(&(run.clone(), *seq));
    let first = (first..=last).find(|seq| !is_held(seq))?;
    Some((first, (first..=last).find(is_held).map_or(last, |next| next - 1)))
}

fn run(n: u8) -> RunId {
    TestAuthor::new(n).entry(0).run().clone()
}

#[test]
fn few_are_asked_for_first_and_more_while_answers_are_whole_and_fast() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9_999, 1);
    let mut next = 0;
    let mut sizes = Vec::new();
    while let [(1, first, last, tag)] = fixture.queries(0)[..] {
        assert_eq!(first, next, "ascending, without a pause");
        sizes.push(last + 1 - first);
        fixture.comes(0, 1, &run, first..=last);
        next = last + 1;
        // The third answer is slow.
        fixture.ends(if sizes.len() == 3 { 2_001 } else { 0 }, 1, tag, next);
    }
    assert_eq!(sizes, [256, 512, 1_024, 256, 512, 1_024, 2_048, 4_096, 272]);
    assert_eq!((fixture.ranges.len(), fixture.ranges.pending()), (0, 0));
    assert_eq!(fixture.ranges.next_finished(), Some((id(9_999), peer(1))), "the newest is announced");
    assert!(fixture.ranges.tips.is_empty() && fixture.ranges.shown_by.is_empty());
}

#[test]
fn the_newest_tip_comes_first_and_each_neighbour_has_so_many_ranges() {
    let mut fixture = Fixture::new();
    for n in 1..=6 {
        fixture.want(1, &run(n), 0, u64::from(n) * 10, u16::from(n));
    }
    let asked: Vec<_> = fixture.queries(0).iter().map(|(_, _, last, _)| *last).collect();
    assert_eq!(asked, [60, 50, 40, 30]);
    assert_eq!((fixture.ranges.most_asked(), fixture.ranges.pending()), (4, 6));
}

#[test]
fn what_a_neighbour_does_not_hold_it_is_not_asked_for_again_but_another_is() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    let [(1, 0, 9, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.comes(0, 1, &run, 5..=9);
    fixture.ends(0, 1, tag, 10);
    assert_eq!(fixture.queries(0), []);
    assert_eq!((fixture.ranges.len(), fixture.ranges.pending()), (1, 0), "it is wanted, and not awaited");
    // It announces an entry of the run, and then shows another one: it may hold them now. It does not.
    for now in [1_000, 2_000, 29_999] {
        fixture.ranges.announced(at(now), peer(1), &run, &fixture.limits);
        let queries = fixture.queries(now);
        assert_eq!(queries.len(), usize::from(now == 1_000), "once in a while");
        queries.iter().for_each(|(_, _, last, tag)| fixture.ends(now, 1, *tag, last + 1));
    }
    fixture.want(1, &run, 0, 9, 1);
    let [(1, 0, 4, tag)] = fixture.queries(60_000)[..] else { panic!() };
    fixture.ends(60_000, 1, tag, 5);
    assert_eq!(fixture.queries(60_000), []);
    // Another one is compared with.
    fixture.ranges.compared(at(60_000), peer(2), &fixture.limits);
    let [(2, 0, 4, tag)] = fixture.queries(60_000)[..] else { panic!() };
    fixture.ends(60_000, 2, tag, 10);
    fixture.ranges.compared(at(60_000), peer(2), &fixture.limits);
    assert_eq!(fixture.queries(90_000), []);
    assert_eq!(fixture.ranges.deadline(&fixture.limits), Some(at(390_000)), "it is given up then");
}

#[test]
fn a_neighbour_that_brings_nothing_loses_its_range_to_another() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    assert_eq!(fixture.queries(0).len(), 1);
    assert!(fixture.show_tip(2, 1));
    fixture.comes(1_000, 1, &run, 0..=0);
    let expire = |fixture: &mut Fixture, now, heard| {
        let alone = fixture.ranges.expire(at(now), &fixture.limits, |_| Some(at(heard)));
        (alone, fixture.queries(now))
    };
    assert_eq!(expire(&mut fixture, 2_999, 0), (false, vec![]));
    // Bytes of its link come: the answer may be behind them.
    assert_eq!(expire(&mut fixture, 3_000, 2_500), (false, vec![]));
    assert_eq!(fixture.ranges.deadline(&fixture.limits), Some(at(4_500)));
    let [(2, first, 9, _)] = expire(&mut fixture, 4_500, 2_500).1[..] else { panic!() };
    assert_eq!(first, 1);
    // What still comes from the first one counts as asked for.
    fixture.comes(5_000, 1, &run, 1..=3);
    assert_eq!(fixture.ranges.most_asked(), 1);
}

#[test]
fn whoever_brings_an_entry_now_and_then_loses_the_range_to_another() {
    for every in [1_900, 9_000, 59_000] {
        let (mut fixture, run) = (Fixture::new(), run(1));
        fixture.want(1, &run, 0, 255, 1);
        assert_eq!(fixture.queries(0).len(), 1);
        assert!(fixture.show_tip(2, 1));
        let (mut now, mut came) = (0, 0);
        // Bytes of its link come all the time.
        let to = loop {
            now += 100;
            if now / every > came {
                fixture.comes(now, 1, &run, came..=came);
                came += 1;
            }
            fixture.ranges.expire(at(now), &fixture.limits, |_| Some(at(now)));
            if let [(to, ..)] = fixture.queries(now)[..] {
                break to;
            }
        };
        assert_eq!(to, 2);
        assert!(now <= 180_000, "an entry each {every} ms: {now} ms");
    }
}

#[test]
fn whoever_is_alone_is_waited_for_longer_and_then_nobody_is() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    assert_eq!(fixture.queries(0).len(), 1);
    let mut heard = 0;
    let mut now = 2_000;
    // Something else comes all the time.
    let end = loop {
        if fixture.ranges.expire(at(now), &fixture.limits, |_| Some(at(heard))) {
            break now;
        }
        (heard, now) = (now, now + 1_000);
    };
    assert_eq!(end, 300_000, "the longest time");
    assert_eq!((fixture.ranges.pending(), fixture.queries(end)), (0, vec![]));
    // It answers after all.
    fixture.comes(end, 1, &run, 0..=3);
    fixture.ends(end, 1, 2, 4);
    assert_eq!(fixture.queries(end).len(), 1);
    // Now and then something comes.
    let alone = |fixture: &mut Fixture, now| {
        fixture.ranges.expire(at(end + now), &fixture.limits, |_| Some(at(end + now / 5_000 * 5_000)))
    };
    assert_eq!([2_000, 9_999, 10_000, 11_999].map(|now| alone(&mut fixture, now)), [false; 4]);
    assert!(alone(&mut fixture, 12_000), "which is not the answer, nor ahead of it");
}

#[test]
fn a_neighbour_that_says_later_is_asked_later() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    let mut now = 0;
    for pause in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
        let [(1, 0, 9, tag)] = fixture.queries(now)[..] else { panic!("{pause}") };
        fixture.ends(now, 1, tag, 0);
        assert_eq!(fixture.queries(now), []);
        assert_eq!(fixture.ranges.deadline(&fixture.limits), Some(at(now + pause)));
        now += pause;
    }
}

#[test]
fn what_is_missing_may_come_while_a_neighbour_may_bring_it_and_for_some_time_after_nobody_is_left() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    let coming =
        |fixture: &Fixture, now| fixture.ranges.coming(at(now), &run).map(|coming| (coming.from, coming.at));
    assert_eq!(coming(&fixture, 0), None);
    fixture.want(1, &run, 4, 9, 1);
    assert_eq!(coming(&fixture, 100), Some((4, at(100))), "a neighbour is to be asked");
    let [(1, 4, 9, tag)] = fixture.queries(200)[..] else { panic!() };
    assert_eq!(coming(&fixture, 300), Some((4, at(12_200))));
    fixture.comes(2_000, 1, &run, 4..=6);
    assert_eq!(coming(&fixture, 2_000), Some((7, at(14_000))));
    fixture.ends(2_500, 1, tag, 7);
    let [(1, 7, 9, tag)] = fixture.queries(2_500)[..] else { panic!() };
    fixture.ends(3_000, 1, tag, 7);
    assert_eq!(fixture.queries(3_000), [], "it said: later");
    assert_eq!(coming(&fixture, 3_100), Some((7, at(3_100))));
    fixture.want(2, &run, 7, 9, 1);
    let [(2, 7, 9, tag)] = fixture.queries(3_200)[..] else { panic!() };
    fixture.ranges.unlinked(at(3_300), peer(1), |_, _| true);
    assert_eq!(coming(&fixture, 3_300), Some((7, at(15_200))));
    fixture.ends(4_000, 2, tag, 10);
    fixture.queries(4_000);
    assert_eq!(coming(&fixture, 5_000), Some((7, at(9_000))), "whoever is linked next may hold it");
}

#[test]
fn a_number_may_come_after_a_few_higher_ones() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 20, 1);
    let [(1, 0, 20, _)] = fixture.queries(0)[..] else { panic!() };
    let from = |fixture: &Fixture| fixture.ranges.coming(at(0), &run).map(|coming| coming.from);
    fixture.comes(0, 1, &run, 0..=1);
    fixture.comes(0, 1, &run, 20..=20);
    assert_eq!(from(&fixture), Some(2), "it was said just now");
    fixture.comes(0, 1, &run, 4..=5);
    assert_eq!(from(&fixture), Some(2));
    fixture.comes(0, 1, &run, 6..=6);
    assert_eq!(from(&fixture), Some(7), "it does not hold 2 and 3");
    fixture.comes(0, 1, &run, 7..=8);
    assert_eq!(from(&fixture), Some(9));
    fixture.want(2, &run, 2, 20, 1);
    assert_eq!(from(&fixture), Some(2), "another one is asked for 2 and 3 then");
}

#[test]
fn an_entry_without_room_is_asked_for_again_after_a_while() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    let [(1, 0, 9, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.comes(0, 1, &run, 0..=3);
    for seq in [6, 5] {
        fixture.ranges.refused(peer(1), &run, seq);
    }
    fixture.ends(0, 1, tag, 10);
    let hold_back = fixture.limits.chat.hold_back.as_millis() as u64;
    assert_eq!(fixture.queries(hold_back - 1), []);
    let [(1, 5, 9, _)] = fixture.queries(hold_back)[..] else { panic!() };
}

#[test]
fn what_has_no_room_again_and_again_is_asked_for_ever_more_seldom() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9_999, 1);
    let mut now = 0;
    for pause in [3, 6, 12, 24, 48, 96, 192, 300, 300] {
        let [(1, 0, 255, tag)] = fixture.queries(now)[..] else { panic!("{pause}: no more than at first") };
        fixture.ranges.came(at(now), peer(1), (&run, 0), 400);
        fixture.ranges.untimely(peer(1), &run, 0);
        fixture.ends(now, 1, tag, 256);
        now += pause * 1_000;
        assert_eq!(fixture.queries(now - 1), []);
    }
    let [(1, 0, 255, tag)] = fixture.queries(now)[..] else { panic!() };
    fixture.comes(now, 1, &run, 0..=0);
    fixture.ranges.untimely(peer(1), &run, 1);
    fixture.ends(now, 1, tag, 256);
    assert_eq!(fixture.queries(now + 3_000).len(), 1, "some of it had room");
}

#[test]
fn whoever_shows_one_hole_is_asked_for_those_below_it_too() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    let [(1, 0, 9, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.ends(0, 1, tag, 10);
    fixture.want(2, &run, 15, 20, 2);
    let [(1, 10, 20, tag)] = fixture.queries(0)[..] else { panic!("it may hold what it was not asked for") };
    fixture.ends(0, 1, tag, 21);
    let [(2, 0, 20, _)] = fixture.queries(0)[..] else { panic!() };
}

#[test]
fn nobody_is_asked_whose_entries_would_count_against_rates() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.free_at = 700;
    fixture.want(1, &run, 0, 9, 1);
    assert_eq!((fixture.queries(699), fixture.ranges.deadline(&fixture.limits)), (vec![], Some(at(700))));
    assert_eq!(fixture.queries(700).len(), 1);
}

#[test]
fn a_link_that_ends_or_moves_loses_its_ranges() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    let [(1, 0, 9, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.ranges.interrupted(at(0), peer(1));
    fixture.check();
    fixture.ends(0, 1, tag, 10);
    assert_eq!(fixture.queries(0).len(), 1, "asked for again on the other connection");
    fixture.ranges.unlinked(at(0), peer(1), |_, _| false);
    fixture.check();
    assert_eq!((fixture.queries(0), fixture.ranges.pending()), (vec![], 0));
    // Nobody else showed it: it is shown again.
    assert!(!fixture.ranges.contains(&run) && !fixture.show_tip(2, 1));
    fixture.want(2, &run, 0, 9, 1);
    assert_eq!(fixture.queries(0).len(), 1);
}

#[test]
fn what_an_entry_of_the_log_shows_is_asked_of_those_that_come_when_all_are_gone() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    let missing = Missing { run: run.clone(), first: 0, last: 0, at: 1, tip: None };
    fixture.ranges.want((peer(1), true), missing, (at(0), at(0)), &fixture.limits);
    fixture.ranges.unlinked(at(0), peer(1), |_, first| first < 1);
    fixture.check();
    assert_eq!(fixture.queries(0), []);
    fixture.ranges.compared(at(0), peer(2), &fixture.limits);
    let [(2, 0, 0, _)] = fixture.queries(0)[..] else { panic!("nobody is asked") };
}

#[test]
fn what_another_neighbour_showed_too_is_asked_of_it_when_the_first_one_is_gone() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9, 1);
    assert_eq!(fixture.queries(0).len(), 1);
    assert!(fixture.show_tip(2, 1));
    fixture.ranges.unlinked(at(0), peer(1), |_, _| false);
    let [(2, 0, 9, _)] = fixture.queries(0)[..] else { panic!("nobody is asked") };
}

#[test]
fn a_lost_range_takes_up_a_place_for_some_time() {
    let mut fixture = Fixture::new();
    for n in 1..=5 {
        fixture.want(1, &run(n), 0, u64::from(n), u16::from(n));
    }
    assert_eq!(fixture.queries(0).len(), 4);
    assert!(fixture.ranges.expire(at(10_000), &fixture.limits, |_| None), "nobody else holds them");
    assert_eq!(fixture.queries(10_000), [], "it answers nothing, so it is asked for nothing");
    let free = Duration::from_secs(310).as_millis() as u64;
    assert!(!fixture.ranges.expire(at(free), &fixture.limits, |_| None));
    fixture.ranges.idle_until = Some(at(0));
    assert_eq!(fixture.queries(free).len(), 1);
}

#[test]
fn a_tip_whose_number_came_in_another_version_is_asked_for_by_its_id() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 3, 4, 1);
    let [(1, 3, 4, tag)] = fixture.queries(0)[..] else { panic!("nobody is asked") };
    assert!(fixture.show_tip(2, 1));
    // The neighbour holds nothing with number 3.
    fixture.comes(0, 1, &run, 4..=4);
    fixture.ends(0, 1, tag, 5);
    assert!(!fixture.show_tip(2, 1));
    assert!(fixture.ranges.contains(&run), "number 3 is still wanted");
}

#[test]
fn a_tip_that_is_shown_again_costs_no_look_at_other_runs() {
    let mut fixture = Fixture::new();
    for n in 1..=100 {
        fixture.want(1, &run(n), 0, u64::from(n), u16::from(n));
    }
    assert_eq!(fixture.queries(0).len(), 4, "and none is answered");
    fixture.looks.set(0);
    for n in 1..=50 {
        assert!(fixture.show_tip(1, n));
        assert_eq!(fixture.queries(0), []);
    }
    assert_eq!(fixture.looks.get(), 0);
    // What another neighbour shows is asked of that one, and nothing else is looked at.
    for n in 1..=4 {
        assert!(fixture.show_tip(2, n));
        let [(2, 0, last, _)] = fixture.queries(0)[..] else { panic!("it is not asked") };
        assert_eq!(last, u64::from(n));
    }
    assert!(fixture.looks.get() <= 12, "{} looks", fixture.looks.get());
    // Nor where nobody may be asked for now.
    (fixture.free_at, fixture.limits.chat.ranges) = (700, 100);
    fixture.ranges.idle_until = Some(at(0));
    assert_eq!(fixture.queries(0), []);
    fixture.looks.set(0);
    for n in 5..=8 {
        assert!(fixture.show_tip(2, n));
        assert_eq!(fixture.queries(0), []);
    }
    assert!(fixture.looks.get() <= 8, "{} looks", fixture.looks.get());
}

#[test]
fn an_answer_costs_few_looks_however_many_runs_wait() {
    let mut fixture = Fixture::new();
    (fixture.free_at, fixture.late) = (700, Some(1));
    // The newest ones are those of a neighbour that is not asked for now.
    for n in 1..=100 {
        fixture.want(1, &run(n), 0, 9_000 + u64::from(n), u16::from(n));
        fixture.want(2, &run(100 + n), 0, 8_000 + u64::from(n), 100 + u16::from(n));
    }
    let mut query = fixture.queries(0)[0];
    fixture.looks.set(0);
    for seq in 0..50 {
        let (2, first, _, tag) = query else { panic!("another one is asked") };
        assert_eq!(first, seq);
        // One entry comes, and the answer ends.
        fixture.comes(0, 2, &run(200), seq..=seq);
        fixture.ends(0, 2, tag, seq + 1);
        let [next] = fixture.queries(0)[..] else { panic!("one place is free") };
        query = next;
    }
    assert!(fixture.looks.get() <= 50 * 8, "{} looks", fixture.looks.get());
}

#[test]
fn whoever_brings_nothing_and_denies_little_is_asked_later() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    fixture.want(1, &run, 0, 9_999, 1);
    let [(1, 0, 255, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.ends(0, 1, tag, 1);
    assert_eq!(fixture.queries(0), []);
    let [(1, 1, 256, tag)] = fixture.queries(500)[..] else { panic!("it goes on from there") };
    fixture.comes(500, 1, &run, 1..=1);
    fixture.ends(500, 1, tag, 2);
    assert_eq!(fixture.queries(500).len(), 1, "it brought something");
}

#[test]
fn what_only_the_store_wants_is_asked_for_at_once_of_whoever_has_nothing() {
    let (mut fixture, run) = (Fixture::new(), run(1));
    let last = 100_000;
    assert!(fixture.ranges.want_low(
        at(0),
        &run,
        (0, last),
        9,
        [peer(1), peer(2)].into_iter(),
        &fixture.limits
    ));
    let [(1, 0, 255, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.ends(0, 1, tag, 256);
    let [(1, 256, end, tag)] = fixture.queries(0)[..] else { panic!() };
    assert_eq!(end, last, "it had nothing");
    fixture.ends(0, 1, tag, last + 1);
    // Another one may have all of it.
    let [(2, 0, 255, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.comes(0, 2, &run, 0..=255);
    fixture.ends(0, 2, tag, 256);
    let [(2, 256, 767, tag)] = fixture.queries(0)[..] else { panic!() };
    fixture.ends(0, 2, tag, 768);
    let [(2, 768, end, tag)] = fixture.queries(0)[..] else { panic!() };
    assert_eq!(end, last);
    fixture.ends(0, 2, tag, last + 1);
    assert_eq!((fixture.queries(0), fixture.ranges.low(&run)), (vec![], Low::Exhausted));
}
