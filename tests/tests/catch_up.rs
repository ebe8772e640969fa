//! What a catch-up costs, and who is served how much (SPEC 9.7, 9.18).

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::wire::{Frame, RangeQuery};
use proto_core::{Entry, Instant, Limits};
use tests::bench::catch_up::{Cost, catch_up};
use tests::bench::meeting::{Author, Meeting};

#[test]
fn a_catch_up_costs_little_but_the_entries() {
    // The same number of authors as in the bench, and a hundredth of the entries.
    let Cost { control, entries } = catch_up(10_000, 1_000, 50);
    assert!((1_000..=1_050).contains(&entries), "each comes once, and tips once more: {entries}");
    assert!(control <= 16 * 1024, "{control} bytes");
    let Cost { control, entries } = catch_up(10_000, 1, 50);
    assert_eq!(entries, 1);
    assert!(control <= 2 * 1024, "{control} bytes");
}

/// So many long entries of one author.
fn said(count: u64) -> Vec<Entry> {
    let mut author = Author::new(50, 1);
    (0..count).map(|n| author.says(&"x".repeat(2_000), 600 + count - n)).collect()
}

/// Nodes at other addresses than this machine's. The first holds these entries, and is linked to the others.
fn around(entries: &[Entry], newcomers: usize, limits: &Limits) -> Meeting {
    let mut meeting = Meeting::at([192, 0, 2], &vec![limits.clone(); newcomers + 1]);
    meeting.give(0, entries);
    (1..=newcomers).for_each(|index| meeting.link(index, 0));
    meeting
}

/// Some windows of these entries.
fn windows(entries: &[Entry], windows: usize) -> Limits {
    Limits::default()
        .with(|limits| limits.chat.log_bytes = windows * entries.iter().map(Entry::charge).sum::<usize>())
}

#[test]
fn what_is_asked_for_again_and_again_is_served_within_a_budget() {
    let said = said(100);
    let limits = windows(&said, 1);
    let mut meeting = around(&said, 1, &limits);
    meeting.run_for(Duration::from_secs(20));
    assert_eq!(meeting.held(1), 100);
    let range = RangeQuery::new(said[0].run().clone(), 0, 99, 1).unwrap();
    for frame in [Frame::Range(range), Frame::Graft(vec![said[7].id(); 64])] {
        for _ in 0..300 {
            meeting.inject(1, 0, &frame);
            meeting.run_for(Duration::from_millis(20));
        }
    }
    // A window and a quarter, and what half a minute brings.
    let budget = limits.chat.log_bytes as u64 * 5 / 4;
    let served = meeting.served(1);
    assert!(served <= budget + budget / 15, "{served} bytes of {budget}");
    assert!(served >= budget / 2, "it is served until then: {served} bytes of {budget}");
    assert!(meeting.node(0).stats().served_over_budget > 100);
    // The other one's words come as ever.
    assert_eq!(meeting.node(1).peers().count(), 1);
}

#[test]
fn one_id_named_64_times_is_served_once() {
    let said = said(3);
    let mut meeting = around(&said, 1, &Limits::default());
    meeting.run_for(Duration::from_secs(20));
    meeting.take_sent();
    meeting.inject(1, 0, &Frame::Graft(vec![said[1].id(); 64]));
    meeting.run_for(Duration::from_secs(1));
    assert_eq!(meeting.take_sent()["CHAT"].0, 1);
}

/// How long the first newcomer takes to catch up, while others ask for all that there is again and again.
fn time_to_catch_up(greedy: usize) -> Duration {
    let said = said(3_000);
    let limits = windows(&said, 2);
    let mut meeting = Meeting::at([192, 0, 2], &vec![limits.clone(); 2 + greedy]);
    meeting.give(0, &said);
    (2..2 + greedy).for_each(|index| meeting.link(index, 0));
    meeting.run_for(Duration::from_secs(5));
    meeting.link(1, 0);
    let begin = meeting.now;
    let range = RangeQuery::new(said[0].run().clone(), 0, 2_999, 1).unwrap();
    loop {
        for index in 2..2 + greedy {
            (0..20).for_each(|_| meeting.inject(index, 0, &Frame::Range(range.clone())));
        }
        let end = meeting.now + Duration::from_millis(100);
        if meeting.run_until(end, |meeting| meeting.held(1) == 3_000) {
            let budget = limits.chat.log_bytes as u64 * 5 / 4;
            assert!((2..2 + greedy).all(|index| meeting.served(index) <= budget + budget / 15));
            return meeting.now.since(begin);
        }
        meeting.now = end;
        assert!(meeting.now < Instant::ORIGIN + Duration::from_secs(120), "{} held", meeting.held(1));
    }
}

#[test]
fn a_greedy_neighbour_does_not_hold_up_another_ones_catch_up() {
    let (alone, beside) = (time_to_catch_up(0), time_to_catch_up(1));
    assert!(beside <= alone + alone / 2, "{alone:?} alone, {beside:?} beside a greedy one");
}

#[test]
fn the_users_words_do_not_wait_behind_what_is_served() {
    let said = said(2_000);
    let mut meeting = around(&said, 1, &windows(&said, 2));
    let mut most = BTreeMap::new();
    let limits = Limits::default();
    for _ in 0..2_000 {
        meeting.run_for(Duration::from_millis(1));
        for link in meeting.node(0).status().links {
            let queued = most.entry(0).or_insert(0);
            *queued = link.queued.max(*queued);
        }
    }
    assert_eq!(meeting.held(1), 2_000);
    let most = most.get(&0).copied().unwrap_or(0);
    assert!(most <= limits.chat.served_queue + limits.wire.line, "{most} bytes were queued");
}
