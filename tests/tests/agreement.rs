//! Two nodes that agree exchange nothing but reconciliations, whatever they hold and lack (SPEC 9.6, 9.17).

#[path = "limits/solo.rs"]
#[allow(dead_code)]
mod solo;

use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{Entry, EntryId, Limits, Sealed};
use tests::bench::meeting::{Author, Meeting};

use solo::{EPOCH_MS, entry_of, solo};

/// Until two nodes that met agree.
const SETTLED: Duration = Duration::from_secs(120);
/// Then nothing more happens for so long.
const IDLE: Duration = Duration::from_secs(600);

/// What is sent of entries.
const WORDS: [&str; 6] = ["CHAT", "IHAVE", "GRAFT", "LACK", "RANGE", "HELD"];

/// Two nodes that are given these entries meet, and then agree: they send no entries, and ask for none.
fn meet(one: (Limits, &[Entry]), other: (Limits, &[Entry])) -> Meeting {
    let mut meeting = Meeting::new(&[one.0, other.0]);
    meeting.give(0, one.1);
    meeting.give(1, other.1);
    meeting.link(0, 1);
    meeting.run_for(SETTLED);
    assert_eq!(meeting.node(0).peers().count(), 1);
    meeting.take_sent();
    meeting.run_for(IDLE);
    let sent = meeting.take_sent();
    let reconciled = sent.get("SYNC").map_or(0, |(lines, _)| *lines);
    assert!(reconciled >= 2 * IDLE.as_secs() / 90, "they reconcile: {sent:?}");
    for word in WORDS {
        assert!(!sent.contains_key(word), "{sent:?}");
    }
    meeting
}

/// So many entries of one run, the last one a minute ago.
fn run(author: u8, epoch: u64, count: u64) -> Vec<Entry> {
    let mut author = Author::new(author, epoch);
    (0..count).map(|n| author.says(&format!("{epoch} {n}"), 60 + count - n)).collect()
}

fn without(entries: &[Entry], holes: &[std::ops::Range<u64>]) -> Vec<Entry> {
    let is_held = |entry: &&Entry| !holes.iter().any(|hole| hole.contains(&entry.seq()));
    entries.iter().filter(is_held).cloned().collect()
}

fn small(entries: usize) -> Limits {
    Limits::default().with(|limits| limits.chat.log_entries = entries)
}

#[test]
fn with_different_windows() {
    let said = run(1, 1, 300);
    let meeting = meet((Limits::default(), &said), (small(50), &said));
    assert_eq!((meeting.held(0), meeting.held(1)), (300, 50));
    // One that lacks what the other has evicted.
    let meeting = meet((Limits::default(), &said[..100]), (small(50), &said));
    assert_eq!((meeting.held(0), meeting.held(1)), (150, 50));
    let meeting = meet((small(50), &said), (Limits::default(), &said[..100]));
    assert_eq!((meeting.held(0), meeting.held(1)), (50, 150));
}

#[test]
fn with_holes() {
    let said = run(1, 1, 80);
    let (one, other) = (without(&said, &[10..20, 30..40]), without(&said, &[15..25, 50..60]));
    let meeting = meet((Limits::default(), &one), (Limits::default(), &other));
    assert_eq!((meeting.held(0), meeting.held(1)), (75, 75), "both lack what nobody has");
    assert_eq!(meeting.ids(0), meeting.ids(1));
}

#[test]
fn with_forks() {
    let mut anna = Author::new(1, 1);
    let first = anna.says("first", 90);
    let versions: Vec<_> = (0..3).map(|n| anna.version(&format!("version {n}"), 80)).collect();
    let with = |two: [usize; 2]| vec![first.clone(), versions[two[0]].clone(), versions[two[1]].clone()];
    for two in [[0, 1], [1, 2], [2, 0]] {
        meet((Limits::default(), &with([0, 1])), (Limits::default(), &with(two)));
    }
    // A fork below the tip.
    let after = anna.says("version 0", 80);
    let rest: Vec<_> = (0..5).map(|n| anna.says(&format!("more {n}"), 70 - n)).collect();
    let with = |other: Entry| [&[first.clone(), other], &rest[..]].concat();
    meet((Limits::default(), &with(after)), (Limits::default(), &with(versions[1].clone())));
}

#[test]
fn with_several_epochs() {
    let epochs: Vec<_> = (0..12).map(|epoch| run(1, epoch, 20)).collect();
    let one: Vec<_> = epochs[..8].concat();
    let other: Vec<_> = epochs[4..].iter().flat_map(|epoch| without(epoch, &[15..18, 18..20])).collect();
    let meeting = meet((Limits::default(), &one), (Limits::default(), &other));
    assert_eq!(meeting.ids(0), meeting.ids(1));
    assert_eq!(meeting.held(0), 8 * 20 + 4 * 15);
    meet((Limits::default(), &one), (small(30), &other));
}

#[test]
fn with_a_newcomer() {
    let said: Vec<_> = (1..10).flat_map(|author| run(author, 1, 40)).collect();
    for newcomer in [0, 1] {
        let given: [&[Entry]; 2] = if newcomer == 0 { [&[], &said] } else { [&said, &[]] };
        let meeting = meet((Limits::default(), given[0]), (Limits::default(), given[1]));
        assert_eq!((meeting.held(0), meeting.held(1)), (360, 360));
        let gaps = (0..2).map(|index| meeting.node(index).stats().gaps).sum::<u64>();
        assert_eq!(gaps, 0, "nothing was shown out of order");
        meet((small(50), given[0]), (small(100), given[1]));
    }
}

#[test]
fn with_forgotten_authors() {
    // The last ones spoke half an hour ago.
    let said: Vec<_> =
        (1..60).map(|author| Author::new(author, 1).says("hello", 1_800 - u64::from(author))).collect();
    let forgetful = small(5).with(|limits| limits.chat.floors = 8);
    let meeting = meet((Limits::default(), &said), (forgetful.clone(), &said));
    assert!(meeting.node(1).stats().floors_forgotten > 0);
    assert_eq!((meeting.held(0), meeting.held(1)), (59, 5));
    // It never heard the first half.
    meet((Limits::default(), &said), (forgetful, &said[30..]));
}

#[test]
fn with_tips_that_were_evicted() {
    let said: Vec<_> = (1..80).flat_map(|author| run(author, 1, 3)).collect();
    let meeting = meet((small(9), &said), (Limits::default(), &[]));
    assert_eq!((meeting.held(0), meeting.held(1)), (9, 9), "the other ones were asked for once");
    meet((small(9), &said), (small(6), &said[..100]));
}

#[test]
fn with_more_runs_than_are_remembered() {
    let said: Vec<_> =
        (1..80).map(|author| Author::new(author, 1).says("hello", 600 - u64::from(author))).collect();
    let forgetful = small(9).with(|limits| limits.chat.tips_bytes = 20 * 512);
    meet((Limits::default(), &said), (forgetful.clone(), &said));
    meet((forgetful, &said), (Limits::default(), &said[..40]));
    let epochs: Vec<_> = (0..90).flat_map(|epoch| run(1, epoch, 1)).collect();
    meet((Limits::default(), &epochs), (small(9), &epochs));
}

/// The answer of a reconciliation about all of time: its sender knows this tip.
fn answer(tip: EntryId) -> Frame<'static> {
    // In version 1 of the negentropy protocol, one list of ids up to infinity.
    Frame::Sync([&[2][..], &[0; 8], &[0x61, 0, 0, 2, 1], tip.as_bytes()].concat())
}

/// How often a node asks for a tip that its neighbour shows again and again, and to which it answers so.
fn asked(answers: &Frame<'_>, tip: EntryId) -> (usize, u64) {
    let mut solo = solo(Limits::default()).with_clock();
    solo.link(0);
    let mut grafts = 0;
    for _ in 0..800 {
        solo.pass(Duration::from_secs(1), 1);
        let said = solo.sent(0);
        solo.actions.clear();
        for line in said.lines() {
            match line.split_once('|') {
                Some(("SYNC", _)) => solo.frame(0, &answer(tip)),
                Some(("PING", token)) => solo.receive(0, &format!("PONG|{token}\n")),
                Some(("GRAFT", _)) => {
                    grafts += 1;
                    solo.frame(0, answers);
                }
                _ => {}
            }
        }
    }
    (grafts, solo.stats().syncs)
}

#[test]
fn with_bodies_that_are_gone() {
    let entry = entry_of(7, 1, 0, EPOCH_MS - 60_000, "gone");
    let (asked, syncs) = asked(&Frame::Chat(Sealed { body: "", ..entry.sealed() }), entry.id());
    assert!(asked == 1 && syncs >= 10, "{asked} times in {syncs} reconciliations");
}

#[test]
fn with_a_neighbour_that_does_not_hold_its_tip() {
    let entry = entry_of(7, 1, 0, EPOCH_MS - 60_000, "evicted there");
    let (asked, syncs) = asked(&Frame::Lack(vec![entry.id()]), entry.id());
    assert!(asked == 1 && syncs >= 10, "{asked} times in {syncs} reconciliations");
}
