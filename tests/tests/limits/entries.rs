//! Entries held, held back, parked and remembered.

use std::time::Duration;

use proto_core::{Action, Capacity, Input, Instant, Limits, Notice};

use crate::solo::{EPOCH_MS, NANO, SECOND, Solo, around, entry, entry_of, solo, up_to};

/// A node with a neighbour that relays entries.
fn linked(limits: Limits) -> Solo {
    let mut solo = solo(limits).with_clock();
    solo.link(0);
    solo
}

fn excess(count: usize, limit: usize) -> u64 {
    count.saturating_sub(limit) as u64
}

#[test]
fn early_ones_of_an_author() {
    let limit = Limits::default().chat.early_per_author;
    for count in around(limit) {
        let mut solo = linked(Limits::default());
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        (2..count + 2).for_each(|seq| solo.chat(0, &entry(7, seq, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.early, count.min(limit));
        assert_eq!(solo.stats().entries_dropped, excess(count, limit));
        assert_eq!(solo.stats().entries_displaced, 0);
    }
    // A lower number makes a higher one wait for its turn.
    for count in around(limit) {
        let mut solo = linked(Limits::default());
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        (2..count + 2).rev().for_each(|seq| solo.chat(0, &entry(7, seq, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.early, count.min(limit));
        assert_eq!((solo.stats().entries_displaced, solo.stats().entries_dropped), (excess(count, limit), 0));
    }
}

#[test]
fn early_ones_in_all() {
    let limits = Limits::default().with(|limits| {
        limits.chat.early = 10;
        limits.chat.early_per_author = 6;
    });
    for count in around(limits.chat.early) {
        let mut solo = linked(limits.clone());
        [7, 8].iter().for_each(|author| solo.chat(0, &entry(*author, 0, EPOCH_MS)));
        (2..8).for_each(|seq| solo.chat(0, &entry(7, seq, EPOCH_MS)));
        (2..count - 4).for_each(|seq| solo.chat(0, &entry(8, seq, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.early, count.min(limits.chat.early));
        // Who holds most loses: not the author whose entry came last.
        assert_eq!((solo.stats().entries_displaced, solo.stats().entries_dropped), (excess(count, 10), 0));
    }
    // Of equals, the one whose entry comes holds most by then.
    for count in around(limits.chat.early) {
        let mut solo = linked(limits.clone());
        [7, 8].iter().for_each(|author| solo.chat(0, &entry(*author, 0, EPOCH_MS)));
        (0..count).for_each(|n| solo.chat(0, &entry(7 + n % 2, 2 + n / 2, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.early, count.min(limits.chat.early));
        assert_eq!((solo.stats().entries_displaced, solo.stats().entries_dropped), (0, excess(count, 10)));
    }
}

/// Nothing is held back for longer than this, whatever may still come.
fn held_back_for(time: Duration) -> Limits {
    Limits::default().with(|limits| limits.chat.hold_back_most = time)
}

#[test]
fn an_early_one_waits_so_long() {
    let hold_back = Limits::default().chat.hold_back;
    let mut solo = linked(held_back_for(hold_back));
    solo.chat(0, &entry(7, 0, EPOCH_MS));
    solo.chat(0, &entry(7, 2, EPOCH_MS));
    for (at, over) in up_to(hold_back) {
        solo.at(at);
        assert_eq!((solo.stats().gaps, solo.stats().delivered), if over { (1, 2) } else { (0, 1) });
        assert_eq!(solo.count(|action| matches!(action, Action::Notice(Notice::Gap { .. }))) == 1, over);
    }
}

#[test]
fn an_early_one_waits_longer_while_its_range_may_come() {
    // As many as are asked for by the first range take less time than the default.
    let limits = held_back_for(SECOND * 30);
    // Nothing more comes, and another one may hold it; or some of it comes all the time.
    let given_up = limits.chat.asked_for + SECOND * 5 + limits.chat.hold_back;
    for (count, end) in [(4, SECOND * 8 + given_up), (14, limits.chat.hold_back_most)] {
        let mut solo = linked(limits.clone());
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        solo.chat(0, &entry(7, 50, EPOCH_MS));
        for n in 1..=count {
            solo.at(SECOND * n * 2);
            solo.chat(0, &entry(7, n as usize, EPOCH_MS));
        }
        (count * 2 + 1..end.as_secs() as u32).for_each(|second| solo.at(SECOND * second));
        for (at, over) in up_to(end) {
            solo.at(at);
            let shown = u64::from(count) + 1;
            assert_eq!(
                (solo.stats().gaps, solo.stats().delivered),
                if over { (1, shown + 1) } else { (0, shown) }
            );
        }
    }
}

#[test]
fn authors() {
    let limits = Limits::default().with(|limits| limits.chat.authors = 5);
    for count in around(limits.chat.authors) {
        let mut solo = linked(limits.clone());
        (0..count).for_each(|author| solo.chat(0, &entry(10 + author, 0, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.authors, count.min(limits.chat.authors));
        let stats = solo.stats();
        let gone = excess(count, limits.chat.authors);
        assert_eq!(
            (stats.authors_forgotten, stats.epochs_forgotten, stats.entries),
            (gone, gone, count as u64)
        );
    }
}

#[test]
fn epochs_of_an_author() {
    let limit = Limits::default().chat.epochs_per_author;
    for count in around(limit) {
        let mut solo = linked(Limits::default());
        // Each waits for its beginning: that of one that is forgotten is waited for no longer.
        (0..count).for_each(|epoch| solo.chat(0, &entry_of(7, epoch as u64, 5, EPOCH_MS, "x")));
        let gone = excess(count, limit);
        assert_eq!((solo.stats().epochs_forgotten, solo.stats().authors_forgotten), (gone, 0));
        assert_eq!(solo.stats().delivered, gone);
        assert_eq!(solo.node.status().entries.early, count.min(limit));
    }
}

#[test]
fn gaps_of_an_epoch() {
    let limit = Limits::default().chat.gaps_per_epoch;
    for count in around(limit) {
        let hold_back = Limits::default().chat.hold_back;
        let limits = held_back_for(hold_back).with(|limits| limits.conns.ping_answer = 3_600 * SECOND);
        let mut solo = linked(limits);
        for n in 0..=count {
            solo.chat(0, &entry(7, 2 * n, EPOCH_MS));
            solo.now = solo.now + hold_back;
            solo.input(Input::Timeout);
            solo.read(0);
            solo.receive(0, "\n");
        }
        assert_eq!((solo.stats().gaps as usize, solo.stats().gaps_forgotten), (count, excess(count, limit)));
        assert_eq!(solo.node.status().gaps.len(), count.min(limit));
    }
}

#[test]
fn entries_that_are_verified_together() {
    let batch = 5;
    for count in around(batch).into_iter().chain(around(2 * batch)) {
        let mut solo = linked(Limits::default().with(|limits| limits.chat.batch = batch));
        solo.chats(0, &(0..count).map(|seq| entry(7, seq, EPOCH_MS)).collect::<Vec<_>>());
        // One that is left over is verified by itself.
        let alone = u64::from(count % batch == 1);
        let stats = solo.stats();
        assert_eq!((stats.verified_together, stats.verified_alone), (count as u64 - alone, alone), "{count}");
        assert_eq!(stats.delivered as usize, count);
    }
    // The lines behind the first one have the length of the longest line.
    let text = "x".repeat(Limits::default().wire.line / 3);
    let long: Vec<_> = (0..4).map(|seq| entry_of(7, 1, seq, EPOCH_MS, &text)).collect();
    let mut solo = linked(Limits::default());
    solo.chats(0, &long);
    assert_eq!((solo.stats().verified_together, solo.stats().verified_alone), (3, 1));
}

#[test]
fn entries_in_the_log_and_evicted_ones_that_are_remembered() {
    let limits = Limits::default().with(|limits| {
        limits.chat.log_entries = 5;
        limits.chat.evicted = 3;
    });
    for count in around(5).into_iter().chain(around(8)) {
        let mut solo = linked(limits.clone());
        (0..count).for_each(|seq| solo.chat(0, &entry(7, seq, EPOCH_MS + seq as u64)));
        assert_eq!(solo.node.status().entries.held, count.min(5));
        assert_eq!(
            (solo.stats().entries_evicted, solo.stats().ids_forgotten),
            (excess(count, 5), excess(count, 8))
        );
        assert_eq!(solo.stats().delivered as usize, count);
        let oldest = solo.node.entries().next().unwrap().seq();
        assert_eq!(oldest, excess(count, 5), "the oldest goes");
    }
}

#[test]
fn bytes_in_the_log() {
    let says = |solo: &mut Solo| {
        let text = "x".repeat(1_000);
        (0..10).for_each(|seq| solo.chat(0, &entry_of(7, 1, seq, EPOCH_MS + seq as u64, &text)));
    };
    let mut free = linked(Limits::default());
    says(&mut free);
    let bytes = free.node.status().entries.bytes;
    for (more, evicted) in [(0, 1), (1, 0), (2, 0)] {
        let log_bytes = bytes - 1 + more;
        let mut solo = linked(Limits::default().with(|limits| {
            limits.wire.line = 4_096;
            limits.chat.log_bytes = log_bytes;
        }));
        says(&mut solo);
        assert_eq!(
            (solo.node.status().entries.held, solo.stats().entries_evicted),
            (10 - evicted as usize, evicted)
        );
        assert!(solo.node.status().entries.bytes <= log_bytes);
    }
}

#[test]
fn how_far_ahead_an_entry_may_be_dated() {
    let limits = Limits::default();
    let latest = EPOCH_MS + limits.chat.ahead.as_millis() as u64;
    for (at, parked) in [(latest - 1, 0), (latest, 0), (latest + 1, 1)] {
        let mut solo = linked(limits.clone());
        solo.link(1);
        solo.actions.clear();
        solo.chat(0, &entry(7, 0, at));
        let relayed = |solo: &Solo| solo.ids_sent(1, "CHAT|") + solo.ids_sent(1, "IHAVE|");
        solo.pass(Duration::from_nanos(999_999), 2);
        assert_eq!((solo.node.status().entries.parked, solo.stats().delivered), (parked, 1 - parked as u64));
        assert_eq!(relayed(&solo), 1 - parked, "it waits here");
        solo.at(Duration::from_millis(1));
        assert_eq!((solo.node.status().entries.parked, solo.stats().delivered), (0, 1));
        solo.pass(SECOND, 2);
        assert_eq!(relayed(&solo), 1);
    }
}

#[test]
fn how_far_ahead_an_entry_that_waits_may_be_dated() {
    let limits = Limits::default();
    let latest = EPOCH_MS + limits.chat.ahead_most.as_millis() as u64;
    for (at, parked) in [(latest - 1, 1), (latest, 1), (latest + 1, 0)] {
        let mut solo = linked(limits.clone());
        solo.chat(0, &entry(7, 0, at));
        assert_eq!((solo.node.status().entries.parked, solo.stats().delivered), (parked, 0));
        assert_eq!(solo.stats().entries_dropped, 1 - parked as u64);
        assert_eq!((solo.peers(), solo.stats().violations), (1, 0), "it costs the sender nothing");
    }
}

#[test]
fn authors_that_are_new() {
    let limits = Limits::default().with(|limits| limits.chat.log_entries = 8);
    let long_ago = EPOCH_MS - 2 * limits.chat.author_new.as_millis() as u64;
    let span = limits.chat.author_new.as_millis() as u64;
    for (span, new) in [(span - 1, true), (span, false), (span + 1, false)] {
        let mut solo = linked(limits.clone());
        solo.chat(0, &entry(7, 0, long_ago));
        (1..8).for_each(|seq| {
            solo.chat(0, &entry(7, seq, long_ago + span - 8 + seq as u64 + u64::from(seq == 7)));
        });
        assert_eq!(solo.node.status().entries.new_bytes == 0, !new);
        // Whoever is not new gives way to newcomers down to three quarters.
        (0..6).for_each(|n| solo.chat(0, &entry(20 + n, 0, EPOCH_MS + n as u64)));
        let left = solo.node.entries().filter(|held| held.key() == entry(7, 0, 0).key()).count();
        assert_eq!(left, if new { 2 } else { 6 });
        assert_eq!(solo.stats().entries_evicted, 6);
    }
}

#[test]
fn frozen_runs_that_are_remembered() {
    let limits = Limits::default().with(|limits| (limits.chat.log_entries, limits.chat.forks) = (4, 3));
    for count in around(limits.chat.forks) {
        let mut solo = linked(limits.clone());
        for author in 10..10 + count {
            ["x", "y"].iter().for_each(|text| solo.chat(0, &entry_of(author, 1, 0, EPOCH_MS, text)));
        }
        assert_eq!((solo.stats().forks, solo.stats().forks_forgotten), (count as u64, 0));
        // Others take the place of what proves the forks.
        (0..8).for_each(|n| solo.chat(0, &entry(30 + n, 0, EPOCH_MS + n as u64)));
        assert_eq!(solo.stats().forks_forgotten, excess(count, 3));
        // The first one goes on if it is forgotten, and no other.
        let goes_on = |solo: &mut Solo, author| {
            let dropped = solo.stats().entries_dropped;
            solo.chat(0, &entry_of(author, 1, 7, EPOCH_MS + 1_000, "on"));
            solo.stats().entries_dropped == dropped
        };
        let last = 10 + count - 1;
        assert_eq!((goes_on(&mut solo, 10), goes_on(&mut solo, last)), (count > 3, false));
    }
}

#[test]
fn floors_and_how_long_they_are_kept() {
    let limits = Limits::default().with(|limits| (limits.chat.log_entries, limits.chat.floors) = (1, 5));
    let kept = limits.chat.floors_for.as_millis() as u64;
    for count in around(limits.chat.floors) {
        // The first one's floor is long enough ago to be forgotten, or not.
        for (first, forgotten) in [(EPOCH_MS - kept, excess(count, 5)), (EPOCH_MS - kept + 1, 0)] {
            let mut solo = linked(limits.clone());
            (0..count).for_each(|n| {
                solo.chat(0, &entry(10 + n, 0, if n == 0 { first } else { EPOCH_MS - 9 + n as u64 }));
            });
            assert_eq!(solo.stats().floors_forgotten, forgotten);
            assert_eq!(solo.stats().entries_dropped, excess(count, 5) - forgotten);
            // What is forgotten is not shown again.
            let delivered = solo.stats().delivered;
            solo.now = solo.now + limits.chat.seen_for + NANO;
            solo.chat(0, &entry(10, 0, first));
            assert_eq!(solo.stats().delivered, delivered);
        }
    }
}

#[test]
fn a_new_author_is_heard_while_keys_without_end_speak_once_each() {
    // More keys in ten minutes than there are floors, and fewer in half a minute.
    let limits = Limits::default().with(|limits| (limits.chat.log_entries, limits.chat.floors) = (1, 350));
    let mut solo = linked(limits);
    let keys = 1_000;
    (0..keys).for_each(|n| {
        solo.now = solo.now + Duration::from_millis(100);
        solo.chat(0, &entry(10 + n, 0, EPOCH_MS + 100 * n as u64));
    });
    assert_eq!((solo.stats().delivered, solo.stats().entries_dropped), (keys as u64, 0));
}

#[test]
fn bytes_of_parked_entries() {
    let ahead = |n: usize| entry(7, 10 + n, EPOCH_MS + 1_000_000 + n as u64);
    let room = 5 * ahead(0).charge();
    for (parked_bytes, fit) in [(room - 1, 4), (room, 5), (room + 1, 5)] {
        let limits = Limits::default().with(|limits| limits.chat.parked_bytes = parked_bytes);
        for count in around(5) {
            let mut solo = linked(limits.clone());
            (0..count).for_each(|n| solo.chat(0, &ahead(n)));
            assert_eq!(solo.node.status().entries.parked, count.min(fit));
            assert_eq!(
                (solo.stats().entries_dropped, solo.stats().entries_displaced),
                (excess(count, fit), 0)
            );
            // What is due sooner takes the place of what is furthest ahead.
            let mut solo = linked(limits.clone());
            (0..count).rev().for_each(|n| solo.chat(0, &ahead(n)));
            assert_eq!(solo.node.status().entries.parked, count.min(fit));
            assert_eq!(
                (solo.stats().entries_dropped, solo.stats().entries_displaced),
                (0, excess(count, fit))
            );
        }
    }
}

#[test]
fn bytes_of_authors() {
    let known = |solo: &Solo| {
        let capacities = solo.node.status().capacities;
        capacities.iter().find(|status| status.capacity == Capacity::AuthorsBytes).unwrap().holds
    };
    let says = |solo: &mut Solo| (0..5).for_each(|author| solo.chat(0, &entry(10 + author, 0, EPOCH_MS)));
    let mut free = linked(Limits::default());
    says(&mut free);
    let bytes = known(&free);
    for (more, forgotten) in [(0, 1), (1, 0), (2, 0)] {
        let authors_bytes = bytes - 1 + more;
        let mut solo = linked(Limits::default().with(|limits| limits.chat.authors_bytes = authors_bytes));
        says(&mut solo);
        assert_eq!(solo.stats().authors_forgotten, forgotten);
        assert_eq!(solo.node.status().entries.authors as u64, 5 - forgotten);
        assert!(known(&solo) <= authors_bytes);
    }
}

#[test]
fn ids_of_entries_that_came() {
    let limits = Limits::default().with(|limits| limits.chat.seen = 5);
    for count in around(limits.chat.seen) {
        let mut solo = linked(limits.clone());
        (0..count).for_each(|seq| solo.chat(0, &entry(7, seq, EPOCH_MS)));
        assert_eq!(solo.node.status().entries.seen, count.min(limits.chat.seen));
        assert_eq!(solo.stats().ids_forgotten, excess(count, limits.chat.seen));
        // It is held all the same.
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        assert_eq!((solo.stats().entries as usize, solo.stats().entries_known), (count, 1));
    }
    // For so long, where there is room.
    for (time, more) in [(limits.chat.seen_for, 1), (limits.chat.seen_for + NANO, 0)] {
        let mut solo = linked(limits.clone());
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        solo.now = Instant::from_origin(time);
        solo.chat(0, &entry(7, 1, EPOCH_MS));
        assert_eq!((solo.node.status().entries.seen, solo.stats().ids_forgotten), (1 + more, 0));
    }
}
