//! How fast peers from beyond this machine may send.

use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{Action, ChatText, Draft, Entry, Input, Instant, Limits, NodeId, Via};
use tests::sim::hostile::{behind, of_body};

use crate::solo::{ELSEWHERE, EPOCH_MS, SECOND, Solo, around, entry, entry_of, join_line, keys, solo, up_to};

fn pauses(solo: &Solo) -> usize {
    solo.count(|action| matches!(action, Action::PauseReading { .. }))
}

/// Asserts that reading goes on after this time and not before.
fn resumes_after(solo: &mut Solo, time: Duration) {
    for (at, resumed) in up_to(time) {
        solo.at(at);
        let resumes = solo.count(|action| matches!(action, Action::ResumeReading { .. }));
        assert_eq!(resumes == 1, resumed, "{at:?}");
    }
}

#[test]
fn frames_a_second() {
    let limits = Limits::default();
    let burst = limits.conns.frames_burst as usize;
    for count in around(burst) {
        let mut solo = solo(limits.clone());
        solo.join_from(0, ELSEWHERE);
        // The JOIN was one of them.
        solo.receive(0, &"MSG|x\n".repeat(count - 1));
        assert_eq!(solo.count(|action| matches!(action, Action::Deliver { .. })), count - 1, "none is lost");
        // With the last of them nothing is left for another.
        let over = (count + 1).saturating_sub(burst) as u32;
        assert_eq!((pauses(&solo), solo.stats().pauses), (over.min(1) as usize, over.min(1).into()));
        if over > 0 {
            resumes_after(&mut solo, SECOND / limits.conns.frames_per_second * over);
        }
    }
}

#[test]
fn bytes_a_second() {
    let limits = Limits::default();
    let burst = limits.conns.bytes_burst as usize;
    for total in around(burst) {
        let mut solo = solo(limits.clone());
        solo.join_from(0, ELSEWHERE);
        let mut rest = total - join_line(0).len();
        while rest > 0 {
            let len = if rest > 60_000 { 50_000 } else { rest };
            solo.receive(0, &format!("MSG|{}\n", "x".repeat(len - 5)));
            rest -= len;
        }
        let over = (total + 1).saturating_sub(burst) as u32;
        assert_eq!((pauses(&solo), solo.stats().pauses), (over.min(1) as usize, over.min(1).into()));
        if over > 0 {
            resumes_after(&mut solo, SECOND / limits.conns.bytes_per_second * over);
        }
    }
}

#[test]
fn this_machine_is_trusted_with_more() {
    let mut solo = solo(Limits::default().with(|limits| {
        limits.conns.frames_burst = 3;
        limits.conns.bytes_burst = 300;
        limits.chat.entries_burst = 1;
    }));
    solo.link(0);
    for seq in 0..20 {
        solo.chat(0, &entry(0, seq, EPOCH_MS));
    }
    assert_eq!((pauses(&solo), solo.stats().entries, solo.stats().entries_over_rate), (0, 20, 0));
}

#[test]
fn entries_of_an_author_over_all_links() {
    let limits = Limits::default();
    let (burst, every) = (limits.chat.entries_burst as usize, SECOND / limits.chat.entries_per_second);
    for count in around(burst) {
        let mut solo = solo(limits.clone());
        (0..2).for_each(|conn| solo.link_from(conn, ELSEWHERE));
        for seq in 0..count {
            solo.chat(seq % 2, &entry(7, seq, EPOCH_MS));
        }
        let over = count.saturating_sub(burst);
        assert_eq!(
            (solo.stats().entries as usize, solo.stats().entries_over_rate as usize),
            (count - over, over)
        );
        // What waits is not remembered: it is taken when it comes again.
        for (at, taken) in up_to(every) {
            solo.at(at);
            solo.chat(0, &entry(7, burst, EPOCH_MS));
            if count >= burst {
                assert_eq!(solo.stats().entries as usize == burst + 1, taken, "{count} {at:?}");
            }
        }
        // Another author has a rate of its own.
        let before = solo.stats().entries;
        solo.chat(0, &entry(8, 0, EPOCH_MS));
        assert_eq!(solo.stats().entries, before + 1);
    }
}

#[test]
fn an_authors_words_the_lines_it_brings_in_and_what_is_live_have_rates_of_their_own() {
    let limits = Limits::default();
    let burst = limits.chat.entries_burst as usize;
    let mut solo = solo(limits).with_clock();
    solo.link_from(0, ELSEWHERE);
    let (keys, uname, texts) = (keys(7), "Eve".parse().unwrap(), [ChatText::new("x").unwrap()]);
    let via = Via::new(NodeId::from_bytes([3; 16]), "Old".parse().unwrap());
    for seq in 0..burst {
        solo.chat(0, &entry(7, seq, EPOCH_MS));
    }
    let mut last = None;
    for seq in 0..burst as u64 {
        let mut draft = Draft::new(2, behind(last.as_ref()), EPOCH_MS, &uname, &texts, [7; 16]);
        draft.via = Some(&via);
        solo.chat(0, last.insert(keys.sign_entry(&draft)));
        let names = of_body("typing", "here");
        let header =
            format!(r#"{{"class":"live","key":"{}","epoch":1,"at":{},{names}}}"#, keys.key(), EPOCH_MS + seq);
        solo.receive(0, std::str::from_utf8(&keys.signed_line(&header, "here")).unwrap());
    }
    let counts = |solo: &Solo| [solo.stats().entries, solo.stats().live, solo.stats().entries_over_rate];
    assert_eq!(counts(&solo), [2 * burst as u64, burst as u64, 0]);
    solo.chat(0, &entry(7, burst, EPOCH_MS));
    assert_eq!(counts(&solo), [2 * burst as u64, burst as u64, 1]);
}

#[test]
fn versions_of_one_number_count_though_they_were_asked_for() {
    let limits = Limits::default();
    let burst = u64::from(limits.chat.entries_burst);
    let mut solo = solo(limits.clone()).with_clock();
    solo.link_from(0, ELSEWHERE);
    // Each displaces the one before the last one.
    let mut versions: Vec<_> =
        (0..60).map(|n| entry_of(7, 1, 0, EPOCH_MS, &format!("version {n}"))).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.id()));
    solo.frame(0, &Frame::Ihave(versions.iter().map(Entry::id).collect()));
    solo.now = Instant::from_origin(limits.chat.ask_after_alone);
    solo.input(Input::Timeout);
    versions.iter().for_each(|version| solo.chat(0, version));
    let stats = solo.stats();
    assert_eq!((stats.entries, stats.entries_over_rate), (burst, 60 - burst));
    assert_eq!((stats.forks, stats.entries_withdrawn), (1, burst - 2));
    assert_eq!(solo.node.entries().count(), 2);
    // What came too fast is taken later, when a reconciliation brings it.
    solo.now = solo.now + SECOND;
    solo.chat(0, &versions[59]);
    assert_eq!(solo.stats().entries, burst + 1);
}

#[test]
fn entries_of_new_authors_from_one_neighbour() {
    let limits = Limits::default().with(|limits| limits.chat.new_authors_burst = 5);
    let (burst, every) = (5, limits.chat.new_authors_every);
    for count in around(burst) {
        let mut solo = solo(limits.clone());
        solo.link_from(0, ELSEWHERE);
        solo.link_from(1, [9, 9, 9, 8]);
        (0..count).for_each(|n| solo.chat(0, &entry(10 + n, 0, EPOCH_MS)));
        let over = count.saturating_sub(burst) as u64;
        assert_eq!((solo.stats().entries, solo.stats().entries_of_new_authors), (count as u64 - over, over));
        // An author that is known, and another neighbour, have rates of their own.
        solo.chat(0, &entry(10, 1, EPOCH_MS + 1));
        solo.chat(1, &entry(80, 0, EPOCH_MS));
        assert_eq!(solo.stats().entries_of_new_authors, over);
        for (at, taken) in up_to(every) {
            solo.at(at);
            let before = solo.stats().entries;
            solo.chat(0, &entry(10 + burst, 0, EPOCH_MS));
            if count >= burst {
                assert_eq!(solo.stats().entries - before, u64::from(taken), "{count} {at:?}");
            }
        }
    }
    // All at one host have twice as much.
    let mut node = solo(limits.clone());
    for conn in 0..3 {
        node.link_from(conn, ELSEWHERE);
        (0..burst).for_each(|n| node.chat(conn, &entry(10 + conn * burst + n, 0, EPOCH_MS)));
    }
    let stats = node.stats();
    assert_eq!((stats.entries as usize, stats.entries_of_new_authors as usize), (2 * burst, burst));
    // On this machine there is no such rate.
    let mut solo = solo(limits);
    solo.link(0);
    (0..9).for_each(|n| solo.chat(0, &entry(10 + n, 0, EPOCH_MS)));
    assert_eq!(solo.stats().entries, 9);
}

/// The peer announces these entries, and is asked for them.
fn announce(solo: &mut Solo, conn: usize, entries: &[Entry]) {
    solo.frame(conn, &Frame::Ihave(entries.iter().map(Entry::id).collect()));
    solo.now = solo.now + Limits::default().chat.ask_after_alone;
    solo.input(Input::Timeout);
    solo.read(conn);
    assert!(solo.ids_sent(conn, "GRAFT") >= entries.len());
}

/// How many entries it verified.
fn verified(solo: &Solo) -> u64 {
    solo.stats().verified_together + solo.stats().verified_alone
}

#[test]
fn what_was_asked_for_because_it_was_announced_counts_as_if_it_was_pushed() {
    let limits = Limits::default();
    let burst = limits.chat.entries_burst as usize;
    let entries: Vec<_> = (0..burst + 9).map(|seq| entry(7, seq, EPOCH_MS)).collect();
    for announced in [true, false] {
        for at_once in [true, false] {
            let mut solo = solo(limits.clone());
            solo.link_from(0, ELSEWHERE);
            if announced {
                announce(&mut solo, 0, &entries);
            }
            match at_once {
                true => solo.chats(0, &entries),
                false => entries.iter().for_each(|entry| solo.chat(0, entry)),
            }
            assert_eq!((solo.stats().entries as usize, solo.stats().entries_over_rate), (burst, 9));
            assert_eq!(verified(&solo), burst as u64, "what is dropped costs no verification");
            // It was answered, and is not asked for without end.
            assert_eq!(solo.node.status().entries.awaited, 0);
        }
    }
}

#[test]
fn what_is_announced_beyond_the_room_for_that_lifts_no_rate() {
    let limits = Limits::default().with(|limits| limits.chat.announced_missing_per_link = 10);
    let burst = limits.chat.entries_burst as usize;
    let mut solo = solo(limits);
    solo.link_from(0, ELSEWHERE);
    let entries: Vec<_> = (0..2 * burst).map(|seq| entry(7, seq, EPOCH_MS)).collect();
    solo.frame(0, &Frame::Ihave(entries.iter().map(Entry::id).collect()));
    solo.at(SECOND);
    solo.read(0);
    entries.iter().for_each(|entry| solo.chat(0, entry));
    assert_eq!((solo.stats().entries as usize, solo.stats().entries_over_rate as usize), (burst, burst));
}

#[test]
fn what_is_over_the_rate_after_an_announcement_is_found_by_a_reconciliation() {
    let limits = Limits::default().with(|limits| limits.chat.entries_burst = 2);
    let mut solo = solo(limits.clone());
    solo.link_from(0, ELSEWHERE);
    solo.reconcile(0, &[]);
    let entries: Vec<_> = (0..5).map(|seq| entry(7, seq, EPOCH_MS)).collect();
    announce(&mut solo, 0, &entries);
    let syncs = solo.stats().syncs;
    entries.iter().for_each(|entry| solo.chat(0, entry));
    assert_eq!((solo.stats().entries, solo.stats().entries_over_rate), (2, 3));
    assert_eq!(solo.stats().syncs, syncs + 1, "it looks for them as soon as it may");
    solo.reconcile(0, &entries);
    entries[2..].iter().for_each(|entry| solo.chat(0, entry));
    assert_eq!((solo.stats().entries, solo.stats().entries_over_rate), (5, 3));
}

#[test]
fn what_a_reconciliation_showed_is_outside_all_rates() {
    let limits = Limits::default().with(|limits| {
        limits.chat.entries_burst = 2;
        limits.chat.new_authors_burst = 1;
    });
    let mut solo = solo(limits.clone());
    solo.link_from(0, ELSEWHERE);
    let entries: Vec<_> = (0..9).map(|seq| entry(7 + seq / 3, seq % 3, EPOCH_MS)).collect();
    solo.reconcile(0, &entries);
    solo.chats(0, &entries);
    let stats = solo.stats();
    assert_eq!((stats.entries, stats.entries_over_rate, stats.entries_of_new_authors), (9, 0, 0));
}

#[test]
fn new_authors_that_a_reconciliation_showed_cost_their_neighbour_a_share_each() {
    let (authors, share) = (20, 4_096);
    let limits = Limits::default().with(|limits| {
        limits.chat.log_bytes = authors * share;
        limits.chat.new_authors_burst = 1;
        limits.chat.new_authors_every = Duration::from_secs(3_600);
    });
    let mut solo = solo(limits);
    solo.link_from(0, ELSEWHERE);
    let entries: Vec<_> = (0..authors + 5).map(|author| entry(7 + author, 0, EPOCH_MS)).collect();
    solo.reconcile(0, &entries);
    solo.chats(0, &entries);
    let stats = solo.stats();
    assert_eq!((stats.entries as usize, stats.entries_of_new_authors), (authors + 1, 4));
    // A second key at the same host brings as many. A third one finds nothing left.
    for (conn, (taken, over)) in [(1, (2 * (authors + 1), 8)), (2, (2 * (authors + 1), 33))] {
        solo.link_from(conn, ELSEWHERE);
        let entries: Vec<_> =
            (0..authors + 5).map(|author| entry(7 + conn * 50 + author, 0, EPOCH_MS)).collect();
        solo.reconcile(conn, &entries);
        solo.chats(conn, &entries);
        let stats = solo.stats();
        assert_eq!((stats.entries as usize, stats.entries_of_new_authors), (taken, over), "{conn}");
    }
}

#[test]
fn forgeries_take_nothing_from_the_rate_of_the_author_whom_they_name() {
    let limits = Limits::default();
    let burst = limits.chat.entries_burst as usize;
    let mut solo = solo(limits);
    solo.link_from(0, ELSEWHERE);
    let entries: Vec<_> = (0..burst + 2).map(|seq| entry(7, seq, EPOCH_MS)).collect();
    let forged = |n: usize| {
        let said = String::from_utf8(tests::fuzz::peers::line(&Frame::Chat(entries[n].sealed()))).unwrap();
        let (_, signed) = said.trim_start_matches("CHAT|").split_once('|').unwrap();
        let other = entry(8, n, EPOCH_MS).sealed().signature.to_string();
        format!("CHAT|{other}|{signed}")
    };
    (0..burst / 2).for_each(|n| solo.receive(0, &forged(n)));
    assert_eq!((solo.stats().violations as usize, solo.stats().entries), (burst / 2, 0));
    entries[..burst].iter().for_each(|entry| solo.chat(0, entry));
    assert_eq!((solo.stats().entries as usize, solo.stats().entries_over_rate), (burst, 0));
    // Over the rate they are not even looked at.
    let before = verified(&solo);
    solo.receive(0, &forged(burst));
    assert_eq!((verified(&solo), solo.stats().entries_over_rate), (before, 1));
}

#[test]
fn what_a_reconciliation_showed_slows_no_link_down() {
    let few_frames = Limits::default().with(|limits| limits.conns.frames_burst = 12);
    let few_bytes = Limits::default().with(|limits| limits.conns.bytes_burst = 4_000);
    let entries: Vec<_> = (0..20).map(|seq| entry(7, seq, EPOCH_MS)).collect();
    for limits in [few_frames, few_bytes] {
        for shown in [true, false] {
            let mut solo = solo(limits.clone());
            solo.link_from(0, ELSEWHERE);
            solo.reconcile(0, if shown { &entries } else { &[] });
            if !shown {
                announce(&mut solo, 0, &entries);
            }
            entries.iter().for_each(|entry| solo.chat(0, entry));
            assert_eq!((pauses(&solo) == 0, solo.stats().entries), (shown, 20));
        }
    }
}

#[test]
fn authors_whose_rates_are_known() {
    let limits = Limits::default().with(|limits| {
        limits.chat.entries_burst = 1;
        limits.chat.authors = 3;
    });
    for others in around(3) {
        let mut solo = solo(limits.clone());
        solo.link_from(0, ELSEWHERE);
        solo.chat(0, &entry(7, 0, EPOCH_MS));
        (0..others).for_each(|other| {
            solo.now = solo.now + Duration::from_millis(1);
            solo.chat(0, &entry(10 + other, 0, EPOCH_MS));
        });
        solo.chat(0, &entry(7, 1, EPOCH_MS));
        assert_eq!(solo.stats().entries_over_rate, u64::from(others < 3), "{others}");
    }
}
