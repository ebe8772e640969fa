//! Stores that are filled from others: what is below the windows (SPEC section 23).

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Entry, Limits, Notice, StoreChange};
use tests::bench::meeting::{Author, Meeting};
use tests::store::MemoryStore;

/// Entries of authors who take turns, the oldest first: each in a run of its own.
fn said(all: usize, authors: usize) -> Vec<Arc<Entry>> {
    let mut runs: Vec<_> = (0..authors).map(|author| Author::new(author as u8 + 100, 1)).collect();
    let ago = |n: usize| (60 + (all - n) / 10) as u64;
    (0..all).map(|n| Arc::new(runs[n % authors].says("what people say", ago(n)))).collect()
}

/// A window of so many entries.
fn window(entries: usize) -> Limits {
    Limits::default().with(|limits| limits.chat.log_entries = entries)
}

/// A node that has everything in its store, and one that has these of them. They meet on one machine, or at addresses of
/// different ones.
fn meeting(host: [u8; 3], said: &[Arc<Entry>], has: &[Arc<Entry>], limits: &Limits) -> Meeting {
    let stores =
        vec![Some(MemoryStore::with(said.iter().cloned())), Some(MemoryStore::with(has.iter().cloned()))];
    let mut meeting = Meeting::stored(host, &[limits.clone(), limits.clone()], stores);
    meeting.link(1, 0);
    meeting
}

fn has(meeting: &Meeting, index: usize) -> usize {
    meeting.store(index).unwrap().len()
}

/// What a node was told of how far it is, and whether it is over.
fn progress(meeting: &Meeting) -> Vec<(u64, u64, bool)> {
    let progress = |notice: &Notice| match notice {
        Notice::Backfill { came, missing, over } => Some((*came, *missing, *over)),
        _ => None,
    };
    meeting.notices(1).filter_map(progress).collect()
}

#[test]
fn a_store_is_filled_with_what_is_below_the_window() {
    let said = said(3_000, 7);
    for has_already in [0, 1_000] {
        let mut meeting = meeting([127, 0, 0], &said, &said[..has_already], &window(300));
        let end = meeting.now + Duration::from_secs(60);
        let full = meeting.run_until(end, |meeting| has(meeting, 1) == said.len());
        assert!(full, "it has {} of {}", has(&meeting, 1), said.len());
        meeting.run_for(Duration::from_secs(1));
        let told = progress(&meeting);
        // Of the newest, nothing is to be told: they came into the window.
        let expected: &[_] = if has_already == 0 { &[(900, 0, true)] } else { &[] };
        assert_eq!(told, expected);
        assert!(meeting.held(1) <= 300 && meeting.held(1) > 250);
        // Then both are silent.
        meeting.take_sent();
        meeting.run_for(Duration::from_secs(300));
        let sent = meeting.take_sent();
        assert!(!sent.contains_key("CHAT") && !sent.contains_key("RANGE"), "{sent:?}");
    }
}

/// Waits until the second node has so many entries, and is not told of another node with its key.
fn fills(meeting: &mut Meeting, all: usize) {
    let end = meeting.now + Duration::from_secs(60);
    let full = meeting.run_until(end, |meeting| has(meeting, 1) == all);
    assert!(full, "it has {} of {all}: {:?}", has(meeting, 1), progress(meeting));
    meeting.run_for(Duration::from_secs(30));
    assert_eq!(has(meeting, 1), all);
    assert!(!meeting.notices(1).any(|notice| *notice == Notice::KeyShared), "nobody else has its key");
}

#[test]
fn a_store_that_was_damaged_as_a_whole_is_filled_while_the_node_runs() {
    let said = said(3_000, 7);
    let mut meeting = meeting([127, 0, 0], &said, &[], &window(300));
    // What it said itself comes back, too.
    (0..400).for_each(|n| meeting.say(1, &format!("own {n}")));
    let all = said.len() + 400;
    fills(&mut meeting, all);
    for _ in 0..2 {
        meeting.empty_store(1);
        assert!(has(&meeting, 1) < 300, "it has what is in the window");
        meeting.say(1, "another one");
        let more = has(&meeting, 0) + 1;
        fills(&mut meeting, more);
    }
}

#[test]
fn what_was_damaged_in_a_store_is_asked_for_while_the_node_runs() {
    let said = said(3_000, 2);
    let mut meeting = meeting([127, 0, 0], &said, &[], &window(300));
    (0..400).for_each(|n| meeting.say(1, &format!("own {n}")));
    let all = said.len() + 400;
    fills(&mut meeting, all);
    let own = meeting.node(1).entries().find(|entry| entry.texts().eq(["own 399"]));
    let own = own.expect("it is in the window").run().clone();
    for (run, first, last) in [(said[0].run(), 100, 104), (said[1].run(), 1_499, 1_499), (&own, 10, 20)] {
        meeting.change_store(1, StoreChange::Lost { run: run.clone(), first, last });
        fills(&mut meeting, all);
    }
    meeting.say(1, "the numbers go on elsewhere");
    fills(&mut meeting, all + 1);
}

#[test]
fn what_expires_while_the_node_runs_is_not_asked_for() {
    let said = said(3_000, 2);
    let mut meeting = meeting([127, 0, 0], &said, &said[2_000..], &window(300));
    for run in [said[0].run(), said[1].run()] {
        meeting.change_store(1, StoreChange::Expired { run: run.clone(), floor: 700 });
    }
    fills(&mut meeting, said.len() - 2 * 700);
}

#[test]
fn what_nobody_has_is_told_once() {
    let said = said(2_000, 2);
    // Nobody has the numbers 100 to 299 of either run.
    let left: Vec<_> = said.iter().filter(|entry| !(100..300).contains(&entry.seq())).cloned().collect();
    let mut meeting = meeting([127, 0, 0], &left, &[], &window(300));
    meeting.run_for(Duration::from_secs(1_000));
    assert_eq!(has(&meeting, 1), left.len());
    let told = progress(&meeting);
    assert!(matches!(told[..], [(_, 400, true)]), "{told:?}");
}

#[test]
fn what_is_said_now_comes_first() {
    let said = said(20_000, 3);
    let mut meeting = meeting([127, 0, 0], &said, &[], &window(1_000));
    let end = meeting.now + Duration::from_secs(60);
    assert!(meeting.run_until(end, |meeting| has(meeting, 1) > 5_000));
    let before = has(&meeting, 1);
    meeting.say(0, "now");
    let is_heard = |meeting: &Meeting| meeting.node(1).entries().any(|entry| entry.texts().eq(["now"]));
    assert!(meeting.run_until(end, is_heard));
    let between = has(&meeting, 1) - before;
    assert!(between < 5_000, "{between} entries came before it");
    let full = meeting.run_until(end, |meeting| has(meeting, 1) == said.len() + 1);
    assert!(full, "it has {} of {}: {:?}", has(&meeting, 1), said.len() + 1, progress(&meeting));
}

#[test]
fn what_left_the_window_before_a_slow_store_could_take_it_is_asked_for_again() {
    let said = said(3_000, 7);
    let limits = window(300).with(|limits| limits.chat.uncommitted = 64 * 1024);
    let mut meeting = meeting([127, 0, 0], &said, &[], &limits);
    meeting.slow_down(1, Duration::from_millis(50));
    // Each commit takes some forty entries. Rounds are ten seconds apart.
    let end = meeting.now + Duration::from_secs(30);
    let full = meeting.run_until(end, |meeting| has(meeting, 1) == said.len());
    assert!(full, "it has {} of {}: {:?}", has(&meeting, 1), said.len(), progress(&meeting));
    let not_kept = meeting.node(1).status().stats.entries_not_kept;
    assert!(not_kept > 300, "the store was not slow: {not_kept}");
    let lacking = progress(&meeting).into_iter().find(|(_, missing, over)| *over && *missing > 0);
    assert_eq!(lacking, None, "its neighbour has them");
}

#[test]
fn how_far_it_is_is_told_of_what_the_window_wants_too() {
    let said = said(5_000, 7);
    // All of it fits the window, and comes in some twenty seconds.
    let mut meeting = meeting([127, 0, 0], &said, &[], &Limits::default());
    meeting.narrow(1, 100_000);
    let end = meeting.now + Duration::from_secs(60);
    let full = meeting.run_until(end, |meeting| has(meeting, 1) == said.len());
    assert!(full, "it has {} of {}: {:?}", has(&meeting, 1), said.len(), progress(&meeting));
    meeting.run_for(Duration::from_secs(30));
    let told = progress(&meeting);
    let Some(((5_000, 0, true), before)) = told.split_last() else { panic!("{told:?}") };
    assert!(before.len() > 1 && before.is_sorted(), "{told:?}");
    assert!(before.iter().all(|(came, missing, over)| came + missing <= 5_000 && !over), "{told:?}");
}

#[test]
fn a_neighbour_that_has_nothing_holds_nothing_up() {
    let said = said(3_000, 3);
    let limits = window(300);
    let store = MemoryStore::with(said.iter().cloned());
    let stores = vec![Some(store), Some(MemoryStore::default()), None];
    let mut meeting = Meeting::stored([127, 0, 0], &vec![limits; 3], stores);
    meeting.link(2, 0);
    meeting.link(1, 2);
    meeting.link(1, 0);
    let end = meeting.now + Duration::from_secs(60);
    let full = meeting.run_until(end, |meeting| has(meeting, 1) == said.len());
    assert!(full, "it has {} of {}", has(&meeting, 1), said.len());
}

#[test]
fn few_requests_find_what_little_there_is_below_a_high_number() {
    let mut author = Author::new(100, 1);
    let mut said = vec![author.says("first", 90)];
    author.skip_to(1 << 40);
    said.push(author.says("between", 80));
    author.skip_to((1 << 53) - 2);
    said.push(author.says("last", 70));
    let said: Vec<_> = said.into_iter().map(Arc::new).collect();
    let mut meeting = meeting([127, 0, 0], &said, &[], &window(300));
    meeting.run_for(Duration::from_secs(300));
    assert_eq!(has(&meeting, 1), 3);
    let asked = meeting.take_sent().get("RANGE").map_or(0, |(count, _)| *count);
    // Some thirty for each of the two gaps, twice as many where a neighbour ends its answers.
    assert!(asked < 120, "{asked} requests");
    meeting.run_for(Duration::from_secs(100));
    let sent = meeting.take_sent();
    assert!(!sent.contains_key("RANGE"), "it ends: {sent:?}");
}
