use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::testing::{EPOCH, TestAuthor, TestLog, shown};
use super::*;
use crate::model::{ChatText, Draft, Identity, Kept, KeptRun, NodeId, Room, RunPosition, Via};

const ALMOST: Duration = Duration::from_millis(2_999);
const A_MOMENT: Duration = Duration::from_millis(1);

#[test]
fn entries_in_order_are_shown_at_once_and_once() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    for seq in 0..3 {
        assert_eq!(log.take(&anna.entry(seq)), Taken::New);
        assert_eq!(log.take(&anna.entry(seq)), Taken::Known);
        assert_eq!(log.shown(), [seq.to_string()]);
    }
    assert_eq!(log.deadline(), None);
}

#[test]
fn an_early_entry_waits_for_those_before_it() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(3));
    assert_eq!(log.missing(), [(1, 2)]);
    log.take(&anna.entry(2));
    log.take(&anna.entry(4));
    assert_eq!(log.missing(), [(1, 1)]);
    log.pass(ALMOST);
    assert_eq!(log.shown(), [""; 0]);
    log.take(&anna.entry(1));
    assert_eq!(log.shown(), ["1", "2", "3", "4"]);
    assert_eq!(log.deadline(), None);
}

#[test]
fn a_gap_is_reported_after_three_seconds_and_filled_late() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(3));
    log.pass(Duration::from_secs(1));
    log.take(&anna.entry(6));
    assert_eq!(log.missing(), [(1, 2), (4, 5)]);
    assert_eq!(log.deadline(), Some(Duration::from_secs(2)));
    log.pass(ALMOST - Duration::from_secs(1));
    assert_eq!(log.shown(), [""; 0]);
    log.pass(A_MOMENT);
    assert_eq!(log.shown(), ["-2", "3"]);
    log.pass(Duration::from_secs(1));
    assert_eq!(log.shown(), ["-2", "6"]);
    let gap =
        |from, to| Gap { run: anna.entry(0).run().clone(), uname: Name::cut("Anna").unwrap(), from, to };
    assert_eq!(log.inner.gaps().collect::<Vec<_>>(), [gap(1, 3), gap(4, 6)]);
    assert_eq!((log.take(&anna.entry(2)), log.take(&anna.entry(2))), (Taken::New, Taken::Known));
    log.take(&anna.entry(5));
    assert_eq!(log.shown(), ["2~", "5~"]);
    assert_eq!(log.inner.gaps().collect::<Vec<_>>(), [gap(1, 2), gap(4, 5)]);
    log.take(&anna.entry(1));
    log.take(&anna.entry(4));
    assert_eq!(log.shown(), ["1~", "4~"]);
    assert_eq!(log.inner.gaps().count(), 0);
}

#[test]
fn a_joined_epoch_starts_with_the_lowest_entry_within_three_seconds() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(7));
    assert_eq!(log.missing(), [(0, 6)]);
    log.pass(Duration::from_secs(2));
    log.take(&anna.entry(5));
    log.take(&anna.entry(6));
    log.pass(Duration::from_secs(1));
    assert_eq!(log.shown(), ["5", "6", "7"]);
    log.take(&anna.entry(2));
    assert_eq!(log.shown(), ["2~"]);
    assert_eq!(log.inner.gaps().count(), 0);
    // Another epoch of the author starts anew.
    log.take(&anna.entry_at(EPOCH + 1, 0, 2_000_000, "back"));
    assert_eq!(log.shown(), ["0"]);
}

#[test]
fn an_entry_dated_no_later_than_the_one_before_is_backdated() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    for (seq, at) in [(0, 1_000), (1, 1_000), (2, 1_001), (3, 5)] {
        log.take(&anna.entry_at(EPOCH, seq, at, "x"));
    }
    assert_eq!(log.shown(), ["0", "1<", "2", "3<"]);
}

#[test]
fn an_entry_dated_ahead_is_parked_until_it_is_due() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.set_wall(Some(1_000_000));
    let at = |seq, ahead: u64| anna.entry_at(EPOCH, seq, 1_000_000 + ahead, "x");
    assert_eq!(log.take(&at(0, 9_999)), Taken::New);
    assert_eq!(log.take(&at(1, 10_000)), Taken::New);
    assert_eq!(log.take(&at(2, 10_001)), Taken::Parked);
    assert_eq!(log.take(&at(2, 10_001)), Taken::Known);
    assert_eq!(log.take(&at(3, 20_000)), Taken::Parked);
    assert_eq!(log.shown(), ["0", "1"]);
    assert_eq!((log.inner.iter().count(), log.inner.sizes().parked), (2, 2));
    assert_eq!(log.inner.get(&at(2, 10_001).id()), None, "it is not served");
    assert_eq!(log.deadline(), Some(A_MOMENT));
    log.pass(A_MOMENT);
    let events = log.events();
    let from = NodeId::from_bytes([1; 16]);
    assert!(events.contains(&LogEvent::Due { entry: at(2, 10_001), from }), "now it is relayed");
    assert_eq!(shown(events), ["2"]);
    assert!(log.inner.get(&at(2, 10_001).id()).is_some());
    // The wall clock is set.
    log.set_wall(Some(1_010_000));
    log.pass(Duration::ZERO);
    assert_eq!(log.shown(), ["3"]);
}

#[test]
fn an_entry_dated_more_than_an_hour_ahead_is_dropped() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.set_wall(Some(1_000_000));
    let at = |ahead: u64| anna.entry_at(EPOCH, 0, 1_000_000 + ahead, "x");
    assert_eq!(log.take(&at(3_600_001)), Taken::Full);
    assert_eq!(log.take(&at(3_600_000)), Taken::Parked);
    assert_eq!(log.inner.sizes().parked, 1);
}

#[test]
fn without_a_wall_clock_nothing_is_parked() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    assert_eq!(log.take(&anna.entry_at(EPOCH, 0, MAX_NUMBER, "x")), Taken::New);
    assert_eq!(log.take(&anna.entry_at(EPOCH, MAX_NUMBER, MAX_NUMBER, "x")), Taken::New);
    log.pass(ALMOST + A_MOMENT);
    assert_eq!(log.shown(), ["0".into(), format!("-{}", MAX_NUMBER - 1), MAX_NUMBER.to_string()]);
}

#[test]
fn the_parked_entry_furthest_ahead_makes_room() {
    let anna = TestAuthor::new(1);
    let ahead = |ahead: u64| anna.entry_at(EPOCH, ahead, 1_000_000 + ahead, "x");
    let charge = ahead(10).charge();
    let mut log = TestLog::new(|limits| limits.chat.parked_bytes = 2 * charge);
    log.set_wall(Some(0));
    assert_eq!(log.take(&ahead(5)), Taken::Parked);
    assert_eq!(log.take(&ahead(9)), Taken::Parked);
    assert_eq!(log.take(&ahead(10)), Taken::Full);
    assert_eq!(log.take(&ahead(3)), Taken::Parked);
    assert_eq!(log.deferred(), [ahead(9).id()]);
    assert_eq!(log.inner.sizes().parked, 2);
}

#[test]
fn parked_entries_make_room_for_those_of_whoever_has_less_parked() {
    let [anna, bob, carol] = [1, 2, 3].map(TestAuthor::new);
    let ahead = |author: &TestAuthor, n: u64| author.entry_at(EPOCH, n, 1_000_000 + n, "x");
    let charge = ahead(&anna, 10).charge();
    let mut log = TestLog::new(|limits| limits.chat.parked_bytes = 6 * charge);
    log.set_wall(Some(0));
    // One neighbour sends three of Anna's, the nearest first, and one of Bob's, the furthest ahead.
    (10..13).for_each(|n| assert_eq!(log.take_from(1, &ahead(&anna, n)), Taken::Parked));
    assert_eq!(log.take_from(1, &ahead(&bob, 99)), Taken::Parked);
    // Another one sends entries that are further ahead than Anna's.
    (50..52).for_each(|n| assert_eq!(log.take_from(2, &ahead(&carol, n)), Taken::Parked));
    assert_eq!(log.take_from(2, &ahead(&carol, 52)), Taken::Parked);
    assert_eq!(log.deferred(), [ahead(&anna, 12).id()], "the neighbour and the author with most");
    // Now both neighbours have three: whoever sends one more has most.
    assert_eq!(log.take_from(2, &ahead(&carol, 53)), Taken::Full);
    assert_eq!(log.take_from(1, &ahead(&anna, 9)), Taken::Parked);
    assert_eq!(log.deferred(), [ahead(&anna, 11).id()]);
}

#[test]
fn the_least_recently_heard_author_is_forgotten_when_all_are_charged_too_much() {
    let authors = [1, 2, 3].map(TestAuthor::new);
    let mut log = TestLog::new(|limits| limits.chat.authors_bytes = 3 * (384 + 384));
    authors.iter().for_each(|author| _ = log.take(&author.entry(0)));
    assert_eq!((log.inner.sizes().authors, log.inner.lost().authors), (3, 0));
    // A gap is reported, and is charged.
    log.take(&authors[0].entry(2));
    assert_eq!(log.inner.sizes().authors, 3);
    log.pass(Duration::from_secs(3));
    assert_eq!((log.inner.sizes().authors, log.inner.lost().authors), (2, 1));
    assert_eq!(log.inner.gaps().count(), 1, "the one that was not heard since is forgotten");
}

#[test]
fn the_oldest_entry_is_evicted_and_not_taken_again() {
    let anna = TestAuthor::new(1);
    let mut log = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.evicted) = (3, 2));
    for seq in 0..6 {
        log.take(&anna.entry(seq));
        assert_eq!(log.inner.sizes().held, 3.min(seq as usize + 1));
    }
    assert_eq!(log.shown(), ["0", "1", "2", "3", "4", "5"]);
    for seq in 0..3 {
        assert_eq!(log.take(&anna.entry(seq)), Taken::Dropped);
    }
    assert_eq!(log.inner.iter().map(|entry| entry.seq()).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn a_floor_is_of_its_author_alone() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| limits.chat.log_entries = 4);
    for seq in 0..6 {
        log.take(&anna.entry(seq));
    }
    assert_eq!(log.shown(), ["0", "1", "2", "3", "4", "5"]);
    // Anna's first two are gone. Bob's are older than all that is held, and are held nevertheless.
    let says = |seq, at| bob.entry_at(EPOCH, seq, at, "x");
    assert_eq!(log.take(&says(0, 5_000)), Taken::New);
    assert_eq!(log.take(&says(1, 5_001)), Taken::New);
    assert_eq!(log.shown(), ["0^", "1^"]);
    let held: Vec<_> = log.inner.iter().map(|entry| (entry.key() == bob.key(), entry.seq())).collect();
    assert_eq!(held, [(true, 0), (true, 1), (false, 4), (false, 5)], "who holds most gives way");
    for seq in 0..4 {
        assert_eq!(log.take(&anna.entry(seq)), Taken::Dropped);
    }
}

#[test]
fn a_forgotten_authors_entries_are_not_shown_again_and_recent_floors_are_kept() {
    const WALL: u64 = 10_000_000;
    let authors: Vec<_> = (1..6).map(TestAuthor::new).collect();
    let mut log = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.floors) = (1, 3));
    log.set_wall(Some(WALL));
    // Each entry evicts the one before.
    let said: Vec<_> =
        (0..5).map(|n| authors[n].entry_at(EPOCH, 0, WALL - 31_000 + 1_000 * n as u64, "x")).collect();
    assert_eq!(said[..3].iter().map(|entry| log.take(entry)).collect::<Vec<_>>(), [Taken::New; 3]);
    assert_eq!(log.inner.window.authors(), 3);
    // The first two floors are half a minute ago: they can be forgotten, one by one.
    assert_eq!((log.take(&said[3]), log.inner.lost().floors), (Taken::New, 1));
    assert_eq!((log.take(&said[4]), log.inner.lost().floors), (Taken::New, 2));
    assert_eq!(log.shown().len(), 5);
    for entry in &said[..4] {
        assert_eq!(log.take(entry), Taken::Dropped);
    }
    // A newcomer is not older than what is forgotten, but the lowest floor is too recent to be forgotten.
    let newcomer = TestAuthor::new(9).entry_at(EPOCH, 0, WALL, "x");
    assert_eq!(log.take(&newcomer), Taken::Full);
    log.pass(Duration::from_secs(1));
    assert_eq!(log.take(&newcomer), Taken::New);
    // All that is dated before the shared floor may be of an author that is forgotten.
    let late = |at| TestAuthor::new(8).entry_at(EPOCH, 0, at, "x");
    assert_eq!(log.take(&late(WALL - 29_000)), Taken::Dropped);
    assert_eq!(log.take(&late(WALL - 28_999)), Taken::Full);
}

#[test]
fn new_authors_give_way_to_each_other_where_they_hold_more_than_a_quarter() {
    let anna = TestAuthor::new(1);
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.author_new) = (8, Duration::from_secs(5));
    });
    // Anna has spoken for eleven seconds.
    for seq in 0..12 {
        log.take(&anna.entry(seq));
    }
    let of_anna = |log: &TestLog| log.inner.iter().filter(|entry| entry.key() == anna.key()).count();
    assert_eq!(of_anna(&log), 8);
    for n in 0..20 {
        let newcomer = TestAuthor::new(100 + n).entry_at(EPOCH, 0, 1_011_000 + u64::from(n), "x");
        assert_eq!(log.take(&newcomer), Taken::New);
        assert_eq!(of_anna(&log), 8 - usize::from(n + 1).min(2), "after {n}");
    }
    let newest: Vec<_> = log.inner.iter().rev().take(2).map(|entry| entry.at()).collect();
    assert_eq!(newest, [1_011_019, 1_011_018], "the oldest of them gives way");
}

#[test]
fn own_entries_go_last_within_their_share() {
    let [me, anna] = [1, 2].map(TestAuthor::new);
    let author_new = Duration::from_secs(1);
    let mut log = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.author_new) = (8, author_new));
    log.inner = Log::restore(me.key(), false, &Kept::default(), &log.limits);
    let of_me = |log: &TestLog| log.inner.iter().filter(|entry| entry.key() == me.key()).count();
    for seq in 0..6 {
        log.inner.take_own(Instant::ORIGIN, None, me.entry(seq), &log.limits);
    }
    for n in 0..20 {
        log.take(&TestAuthor::new(50 + n).entry(200));
    }
    assert_eq!(of_me(&log), 6, "new authors have a quarter");
    for seq in 0..20 {
        log.take(&anna.entry(seq + 300));
    }
    assert_eq!(of_me(&log), 2, "a quarter of the window is this node's own");
}

#[test]
fn the_window_is_bounded_in_bytes_and_shows_what_is_held_back_before_eviction() {
    let anna = TestAuthor::new(1);
    let size = anna.entry(1).charge();
    let mut log = TestLog::new(|limits| limits.chat.log_bytes = 3 * size);
    for seq in [0, 3, 4, 5] {
        log.take(&anna.entry(seq));
    }
    assert_eq!((log.inner.sizes().held, log.inner.sizes().bytes), (3, 3 * size));
    assert_eq!(log.shown(), ["0"]);
    log.take(&anna.entry(6));
    assert_eq!(log.shown(), ["-2", "3", "4", "5", "6"]);
}

#[test]
fn at_an_authors_bound_the_highest_number_makes_room() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.early_per_author = 3));
    log.take(&anna.entry(0));
    for seq in [5, 7, 9] {
        assert_eq!(log.take(&anna.entry(seq)), Taken::New);
    }
    assert_eq!(log.take(&anna.entry(11)), Taken::Full);
    assert_eq!(log.deferred(), []);
    assert_eq!(log.take(&anna.entry(3)), Taken::New);
    assert_eq!(log.deferred(), [anna.entry(9).id()]);
    assert_eq!((log.inner.sizes().early, log.inner.sizes().held), (3, 4));
    log.pass(Duration::from_secs(3));
    let events = log.events();
    assert_eq!(events.last(), Some(&LogEvent::Reconcile { key: anna.key() }));
    assert_eq!(shown(events), ["-2", "3", "-1", "5", "-1", "7"]);
    // A deferred entry can be received again.
    assert_eq!(log.take(&anna.entry(9)), Taken::New);
}

#[test]
fn a_sequence_with_an_unknown_start_starts_at_the_bound() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.early_per_author = 3));
    for seq in 10..13 {
        log.take(&anna.entry(seq));
    }
    assert_eq!(log.shown(), [""; 0]);
    assert_eq!(log.take(&anna.entry(13)), Taken::New);
    assert_eq!(log.shown(), ["10", "11", "12", "13"]);
}

#[test]
fn at_the_bound_of_all_authors_the_one_with_most_held_back_makes_room() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| limits.chat.early = 5);
    for author in [&anna, &bob] {
        log.take(&author.entry(0));
    }
    for seq in [2, 3, 4] {
        log.take(&anna.entry(seq));
    }
    log.take(&bob.entry(2));
    assert_eq!(log.take(&bob.entry(3)), Taken::New);
    assert_eq!(log.inner.sizes().early, 5);
    assert_eq!(log.events().len(), 4);
    assert_eq!(log.take(&bob.entry(4)), Taken::New);
    // Both have three entries held back. The author with the higher key makes room.
    let last = if anna.key() > bob.key() { anna.entry(4) } else { bob.entry(4) };
    assert_eq!(log.inner.get(&last.id()), None);
    assert_eq!(log.inner.sizes().early, 5);
}

#[test]
fn entries_of_an_evicted_author_are_not_shown_twice_or_out_of_order() {
    let (anna, bob) = (TestAuthor::new(1), TestAuthor::new(2));
    let mut log = TestLog::new(|limits| limits.chat.authors = 1);
    log.take(&anna.entry(3));
    log.take(&anna.entry(5));
    assert_eq!(log.shown(), [""; 0]);
    log.take(&bob.entry(0));
    // What is held back of an author is shown before the author is evicted.
    assert_eq!(log.shown(), ["3", "-1", "5", "0"]);
    assert_eq!(log.inner.sizes().authors, 1);
    assert_eq!(log.take(&anna.entry(5)), Taken::Known);
    log.take(&anna.entry(4));
    log.take(&anna.entry(6));
    assert_eq!(log.shown(), ["4~", "6"]);
}

#[test]
fn the_least_recently_heard_epoch_is_evicted() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.epochs_per_author = 2));
    let says = |epoch, seq| anna.entry_at(epoch, seq, 1_000_000 + epoch * 1_000 + seq, "x");
    for (epoch, seq) in [(1, 0), (2, 0), (1, 2)] {
        log.take(&says(epoch, seq));
    }
    log.pass(Duration::from_secs(3));
    assert_eq!(log.shown(), ["0", "0", "-1", "2"]);
    assert_eq!(log.inner.gaps().count(), 1);
    log.take(&says(3, 0));
    assert_eq!(log.inner.gaps().count(), 1);
    log.take(&says(4, 0));
    assert_eq!(log.inner.gaps().count(), 0);
    assert_eq!(log.shown(), ["0", "0"]);
}

#[test]
fn gaps_beyond_the_bound_are_evicted_and_can_still_be_filled() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.gaps_per_epoch = 2));
    for seq in [0, 2, 4] {
        log.take(&anna.entry(seq));
    }
    log.pass(Duration::from_secs(3));
    assert_eq!(log.inner.gaps().count(), 2);
    log.take(&anna.entry(6));
    log.pass(Duration::from_secs(3));
    assert_eq!(log.inner.gaps().map(|gap| gap.from).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(log.shown(), ["0", "-1", "2", "-1", "4", "-1", "6"]);
    log.take(&anna.entry(1));
    assert_eq!(log.shown(), ["1~"]);
    assert_eq!(log.take(&anna.entry(1)), Taken::Known);
}

#[test]
fn own_entries_are_held_and_not_shown() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    for entry in [anna.entry(0), anna.entry(1)] {
        assert_eq!(log.inner.take_own(Instant::ORIGIN, None, entry.clone(), &log.limits), Taken::New);
        assert_eq!(log.take(&entry), Taken::Known);
    }
    // An epoch whose start is not in the log.
    let later = anna.entry_at(EPOCH + 1, 9, 3_000_000, "x");
    assert_eq!(log.inner.take_own(Instant::ORIGIN, None, later, &log.limits), Taken::New);
    assert_eq!((log.shown(), log.deadline()), (vec![], None));
    assert_eq!(log.inner.sizes().held, 3);
}

#[test]
fn runs_of_one_epoch_in_several_rooms_and_classes_are_apart() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    let (garden, via) =
        ("Garden".parse().unwrap(), Via::new(NodeId::from_bytes([7; 16]), Name::cut("Old").unwrap()));
    let words = |seq| anna.entry(seq);
    let said = |seq| anna.entry_in(Some(&garden), None, (EPOCH, seq, 1_000_000 + seq), "x");
    let line = |seq| anna.entry_in(None, Some(&via), (EPOCH, seq, 1_000_000 + seq), "y");
    for entry in [words(0), words(2), said(0), line(0), line(1)] {
        assert_eq!(log.take(&entry), Taken::New);
    }
    assert_eq!(log.shown(), ["0", "0", "0", "1"], "number 2 waits, and nothing is a fork");
    log.pass(Duration::from_secs(3));
    assert_eq!(log.shown(), ["-1", "2"]);
    assert_eq!(log.inner.gaps().map(|gap| gap.run).collect::<Vec<_>>(), [words(0).run().clone()]);
    log.take(&words(1));
    assert_eq!(log.shown(), ["1~"]);
}

#[test]
fn restarts_rooms_and_lines_do_not_push_each_other_out() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|limits| limits.chat.epochs_per_author = 2));
    let rooms = ["One", "Two", "Three"].map(|name| name.parse().unwrap());
    let via = Via::new(NodeId::from_bytes([7; 16]), Name::cut("Old").unwrap());
    for number in [0, 2] {
        log.take(&anna.entry(number));
    }
    log.pass(Duration::from_secs(3));
    for (at, room) in (2_000_000..).zip(rooms.iter().cycle().take(9)) {
        log.take(&anna.entry_in(Some(room), None, (at, 0, at), "x"));
    }
    for at in 3_000_000..3_000_005 {
        log.take(&anna.entry_in(None, Some(&via), (at, 0, at), "x"));
    }
    assert_eq!(log.inner.gaps().count(), 1, "the first run is still known");
    assert_eq!(log.inner.lost().epochs, 3 + 3);
    let capacity = |capacity| log.inner.capacities().into_iter().find(|(it, _)| *it == capacity).unwrap().1;
    assert_eq!((capacity(Capacity::EpochsPerAuthor), capacity(Capacity::LanesPerAuthor)), (2, 5));
}

#[test]
fn the_room_and_class_least_recently_heard_make_room_for_another() {
    for lanes in [3, 4] {
        let (anna, mut log) =
            (TestAuthor::new(1), TestLog::new(|limits| limits.chat.lanes_per_author = lanes));
        let rooms: [Room; 3] = ["One", "Two", "Three"].map(|name| name.parse().unwrap());
        let says = |room: usize, epoch, seq| {
            let at = 1_000_000 + seq;
            anna.entry_in(rooms.get(room), None, (epoch, seq, at), "x")
        };
        // A gap in each of two epochs of the first room, and one in the lobby.
        for entry in
            [says(0, 1, 0), says(0, 1, 2), says(0, 2, 0), says(0, 2, 2), says(9, 3, 0), says(9, 3, 2)]
        {
            log.take(&entry);
        }
        log.pass(Duration::from_secs(3));
        assert_eq!(log.inner.gaps().count(), 3);
        // The lobby is heard after the room, and the room's newest epoch after its oldest.
        for entry in [says(1, 4, 0), says(2, 5, 0)] {
            log.take(&entry);
        }
        let left: Vec<_> = log.inner.gaps().map(|gap| gap.run.epoch).collect();
        assert_eq!(left, if lanes == 3 { vec![3] } else { vec![3, 1, 2] }, "{lanes}");
    }
}

#[test]
fn what_is_missing_before_the_first_one_of_a_run_is_a_hole_with_a_store_and_without() {
    let author = Identity::from_secret(&[9; 32]);
    let (uname, texts) = ("Eve".parse().unwrap(), [ChatText::new("x").unwrap()]);
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    for seq in 0..5 {
        let position =
            entries.last().and_then(|entry| RunPosition::after(entry)).unwrap_or(RunPosition::FIRST);
        let draft = Draft::new(1, position, 1_000 + seq, &uname, &texts, [9; 16]);
        entries.push(Arc::new(Entry::sign(&author, &draft)));
    }
    let entries = entries.split_off(2);
    let (run, limits) = (entries[0].run().clone(), Limits::default());
    let tip = Vec::from([(entries[2].at(), entries[2].id())]);
    let runs = Vec::from([KeptRun::new(run.clone(), 4, tip, Vec::from([(2, 4)]))]);
    let mut heard = TestLog::new(|_| ());
    entries.iter().for_each(|entry| _ = heard.take(entry));
    let kept = Kept { runs, entries, ..Kept::default() };
    let stored = Log::restore(Identity::from_secret(&[1; 32]).key(), true, &kept, &limits);
    for log in [&stored, &heard.inner] {
        assert_eq!(log.holes(None, &limits), [(run.clone(), 0, 1)]);
    }
}

#[test]
fn holes_begin_with_any_run_and_all_are_listed() {
    let mut log = TestLog::new(|limits| limits.chat.wanted = 1);
    let mut runs = Vec::new();
    for n in 1..=4 {
        let author = TestAuthor::new(n);
        runs.push(author.entry(0).run().clone());
        if n < 4 {
            log.take(&author.entry(2));
            log.take(&author.entry(5));
        }
    }
    let without = runs.pop().unwrap();
    runs.sort();
    let holes = |from| log.inner.holes(from, &log.limits);
    let listed = |runs: &[RunId]| runs.iter().map(|run| (run.clone(), 0, 4)).collect::<Vec<_>>();
    assert_eq!(holes(None), listed(&runs));
    for from in 0..3 {
        let (before, after) = runs.split_at(from);
        assert_eq!(holes(Some(&runs[from])), listed(&[after, before].concat()));
    }
    // A run that is not in the log.
    let (before, after) = runs.split_at(runs.partition_point(|run| *run < without));
    assert_eq!(holes(Some(&without)), listed(&[after, before].concat()));
}
