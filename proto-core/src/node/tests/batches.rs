use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::model::EntryError;

const AT: u64 = 1_700_000_000_000;

/// The signatures that were verified together with others, and those that were verified by themselves.
fn verified(solo: &Solo) -> (u64, u64) {
    let stats = solo.node.stats();
    (stats.verified_together, stats.verified_alone)
}

/// The first entries of so many authors.
fn by(authors: core::ops::Range<u8>) -> Vec<String> {
    authors.map(|author| chat(&Identity::from_secret(&[100 + author; 32]), 0, AT, None)).collect()
}

/// The line with a signature that is well formed and of another entry.
fn forged(line: &str, other: &str) -> String {
    let signature = |line: &str| line.split('|').nth(1).map(String::from).unwrap();
    line.replace(&signature(line), &signature(other))
}

fn reports(actions: &[Action]) -> usize {
    let violation = Violation::Entry(EntryError::Signature);
    actions
        .iter()
        .filter(|action| matches!(action, Action::Report { violation: v, .. } if *v == violation))
        .count()
}

fn shown(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Deliver(_))).count()
}

#[test]
fn the_entries_of_one_input_are_verified_together() {
    let mut solo = solo();
    keyed(&mut solo);
    let actions = solo.receive(1, &by(0..5).concat());
    assert_eq!((shown(&actions), reports(&actions), verified(&solo)), (5, 0, (5, 0)));
    let actions = solo.receive(1, &by(5..6).concat());
    assert_eq!((shown(&actions), reports(&actions), verified(&solo)), (1, 0, (5, 1)));
}

#[test]
fn an_entry_that_does_not_hold_costs_no_other() {
    let mut solo = solo();
    keyed(&mut solo);
    let mut lines = by(0..5);
    lines[3] = forged(&lines[3], &lines[2]);
    let actions = solo.receive(1, &lines.concat());
    assert_eq!((shown(&actions), reports(&actions), verified(&solo)), (4, 1, (0, 5)));
}

#[test]
fn what_is_known_is_not_verified_and_what_comes_twice_is_verified_once() {
    let mut solo = solo();
    keyed(&mut solo);
    let lines = by(0..4);
    solo.receive(1, &lines[0]);
    let twice = [&lines[..], &lines[..]].concat().concat();
    let actions = solo.receive(1, &twice);
    assert_eq!((shown(&actions), verified(&solo)), (3, (3, 1)));
    assert_eq!(solo.node.stats().entries_known, 5);
    // The first of two with one id does not hold, so that the second is new.
    let lines = by(4..6);
    let wrong = [&forged(&lines[0], &lines[1]), &lines[0], &lines[1]].map(String::as_str).concat();
    let actions = solo.receive(1, &wrong);
    assert_eq!((shown(&actions), reports(&actions)), (2, 1));
    assert_eq!(verified(&solo), (3, 1 + 3));
}

#[test]
fn lines_between_entries_do_not_matter() {
    let mut solo = solo();
    keyed(&mut solo);
    let mut lines = by(0..3);
    lines.insert(1, String::from("PING|t\nCHAT|x\n\nUNKNOWN|x\n"));
    lines.insert(3, lines[0].replace("hello", "\\ud800").replace("epoch", "epoc"));
    lines.push(by(3..4)[0].trim_end().into());
    let actions = solo.receive(1, &lines.concat());
    assert_eq!((shown(&actions), verified(&solo)), (3, (3, 0)));
    // The end of the last line, and more lines.
    let actions = solo.receive(1, &["\n", &by(4..6).concat()].concat());
    assert_eq!((shown(&actions), verified(&solo)), (3, (6, 0)));
}

#[test]
fn nothing_is_verified_behind_the_end_of_a_link_or_for_a_peer_without_a_key() {
    let mut solo = solo();
    keyed(&mut solo);
    let lines = by(0..3);
    solo.receive(1, &["BYE|shutdown|\n", &lines.concat()].concat());
    solo.accept(2);
    solo.receive(2, &["JOIN|{\"uname\":\"Bob\",\"v\":2,\"nonce\":\"n\"}\n", &lines.concat()].concat());
    assert_eq!(verified(&solo), (0, 0));
}

/// A node that takes so many new authors at once, and is linked with a peer on another machine.
fn solo_that_takes(new_authors: u32) -> Solo {
    let mut solo = solo_with(|limits| limits.chat.new_authors_burst = new_authors);
    entries::link_from_afar(&mut solo, 1);
    solo
}

#[test]
fn what_would_be_over_a_rate_behind_others_is_not_verified_with_them() {
    let mut solo = solo_that_takes(4);
    // A batch of which one does not hold is verified one by one.
    let mut lines = by(0..20);
    for index in 4..20 {
        lines[index] = forged(&lines[index], &lines[0]);
    }
    let actions = solo.receive(1, &lines.concat());
    assert_eq!((shown(&actions), reports(&actions), verified(&solo)), (4, 0, (4, 0)));
    assert_eq!(solo.node.stats().entries_of_new_authors, 16);
}

#[test]
fn what_is_in_no_run_is_not_verified_with_others_that_leave_it_no_room() {
    let mut solo = solo_with(|limits| limits.chat.live_burst = 8);
    solo.input(Input::wall_clock(AT));
    entries::link_from_afar(&mut solo, 1);
    // A quarter is for those who are familiar.
    let mut lines: Vec<_> = (0..20).map(|author| presence::line(author, AT, AT, Some(30))).collect();
    for index in 6..20 {
        lines[index] = forged(&lines[index], &lines[0]);
    }
    let actions = solo.receive(1, &lines.concat());
    assert_eq!((reports(&actions), verified(&solo)), (0, (6, 0)));
    assert_eq!((solo.node.stats().live, solo.node.stats().live_over_rate), (6, 14));
}
