use alloc::string::String;
use core::time::Duration;

use super::*;
use crate::model::{Draft, Entry, RunPosition};
use crate::wire::Frame;

/// Lets time pass. The peer reads all that it is sent, and answers each line by `answer`.
fn live(solo: &mut Solo, time: Duration, answer: impl Fn(&str) -> Option<String>) -> Vec<Action> {
    let end = solo.now + time;
    let mut all = Vec::new();
    loop {
        let mut actions = solo.settle(1);
        while !actions.is_empty() {
            let answers: String = sent(&actions).lines().filter_map(&answer).collect();
            all.append(&mut actions);
            actions = if answers.is_empty() { Vec::new() } else { solo.receive(1, &answers) };
            actions.extend(solo.settle(1));
        }
        match solo.node.poll_timeout().filter(|(at, _)| *at <= end) {
            Some((at, _)) => solo.now = at.max(solo.now),
            None => {
                solo.now = end;
                return all;
            }
        }
        let due = solo.input(Input::Timeout);
        let answers: String = sent(&due).lines().filter_map(&answer).collect();
        all.extend(due);
        all.extend(solo.receive(1, &(answers + "\n")));
    }
}

fn pong(line: &str) -> Option<String> {
    line.strip_prefix("PING|").map(|token| alloc::format!("PONG|{token}\n"))
}

fn has_reported(actions: &[Action], rule: Violation) -> bool {
    actions.iter().any(|action| matches!(action, Action::Report { violation, .. } if *violation == rule))
}

#[test]
fn a_peer_that_answers_pings_but_no_sync_is_disconnected_and_banned() {
    let mut solo = solo();
    keyed(&mut solo);
    let limits = Limits::default();
    let actions = live(&mut solo, limits.chat.reconcile_again * 3, pong);
    assert!(has_reported(&actions, Violation::SyncsIgnored), "{actions:?}");
    assert!(
        sent(&actions).matches("SYNC|").count() == limits.chat.syncs_ignored
            && solo.node.peers().count() == 0
    );
    solo.input(Input::closed(ConnId(1)));
    keyed_on(&mut solo, 2);
    assert_eq!((solo.node.stats().banned, solo.node.peers().count()), (1, 0));
    solo.input(Input::closed(ConnId(2)));
    solo.now = solo.now + limits.mesh.ban;
    keyed_on(&mut solo, 3);
    assert_eq!((solo.node.stats().banned, solo.node.peers().count()), (1, 1));
}

#[test]
fn a_peer_that_answers_nothing_is_dropped_after_three_minutes_and_not_banned() {
    let mut solo = solo();
    keyed(&mut solo);
    let actions = live(&mut solo, Limits::default().conns.ping_answer - Duration::from_secs(1), |_| None);
    assert!(sent(&actions).matches("SYNC|").count() >= 3, "{}", sent(&actions));
    assert_eq!(solo.node.peers().count(), 1);
    live(&mut solo, Duration::from_secs(2), |_| None);
    assert_eq!((solo.node.peers().count(), solo.node.stats().silent), (0, 1));
    solo.input(Input::closed(ConnId(1)));
    keyed_on(&mut solo, 2);
    assert_eq!(solo.node.peers().count(), 1, "it broke no rule");
}

#[test]
fn a_peer_that_answers_every_other_sync_stays_linked() {
    let mut solo = solo();
    keyed(&mut solo);
    let count = core::cell::Cell::new(0);
    let answer = |line: &str| {
        count.set(count.get() + usize::from(line.starts_with("SYNC|")));
        let ignores = line.starts_with("SYNC|") && count.get() % 2 == 1;
        (!ignores).then(|| answers(line))
    };
    live(&mut solo, Limits::default().chat.reconcile_every * 6, answer);
    assert!(count.get() >= 6, "{}", count.get());
    assert_eq!(solo.node.peers().count(), 1);
}

#[test]
fn a_late_sync_answer_counts_as_an_answer() {
    let mut solo = solo_with(|limits| {
        limits.chat.sync_timeout = Duration::from_millis(100);
        limits.chat.sync_patience = Duration::from_millis(100);
    });
    keyed(&mut solo);
    for _ in 0..4 {
        // The peer answers all in order, long after the timeout.
        let actions = live(&mut solo, Limits::default().chat.reconcile_every * 3 / 2, |_| None);
        solo.receive(1, &answers(&sent(&actions)));
    }
    assert_eq!(solo.node.peers().count(), 1);
    assert!(solo.node.stats().syncs >= 4);
}

#[test]
fn a_ban_also_closes_the_second_connection_of_the_banned_peer() {
    let mut solo = solo();
    keyed(&mut solo);
    // Its second connection claims the id, and is not decided yet.
    keyed_on(&mut solo, 2);
    assert!(solo.node.conns.contains(ConnId(2)));
    let forged = chat(&Identity::from_secret(&[8; 32]), 0, 1, None).replace("\"at\":1,", "\"at\":2,");
    solo.receive(1, &forged.repeat(Limits::default().conns.malformed));
    assert_eq!((solo.node.peers().count(), solo.node.stats().banned), (0, 1));
}

#[test]
fn what_is_missing_before_a_parked_entry_is_asked_for_when_it_falls_due() {
    const NOW: u64 = 1_700_000_000_000;
    let mut solo = solo_with(|limits| {
        limits.chat.reconcile_every = Duration::from_secs(3600);
        // The peer here answers nothing.
        (limits.chat.sync_timeout, limits.chat.sync_patience) =
            (Duration::from_secs(1), Duration::from_secs(1));
    });
    solo.input(Input::wall_clock(NOW));
    let identity = keyed(&mut solo);
    live(&mut solo, Duration::from_secs(5), |_| None);
    let ahead = Limits::default().chat.ahead + Duration::from_secs(60);
    let at = NOW + ahead.as_millis() as u64;
    solo.receive(1, &chat(&identity, 0, NOW, None));
    solo.receive(1, &chat(&identity, 2, at, None));
    let actions = live(&mut solo, Duration::from_secs(50), |_| None);
    assert!(!sent(&actions).contains("RANGE|"), "the entry is not due: {}", sent(&actions));
    let actions = live(&mut solo, Duration::from_secs(10), |_| None);
    assert!(sent(&actions).contains(";1-1;"), "{}", sent(&actions));
}

#[test]
fn what_is_missing_before_a_parked_entry_of_another_author_is_asked_of_whoever_sent_it() {
    const NOW: u64 = 1_700_000_000_000;
    let mut solo = solo();
    solo.input(Input::wall_clock(NOW));
    keyed(&mut solo);
    live(&mut solo, Duration::from_secs(5), |_| None);
    let author = Identity::from_secret(&[9; 32]);
    let at = NOW + (Limits::default().chat.ahead + Duration::from_secs(20)).as_millis() as u64;
    solo.receive(1, &chat(&author, 1, at, None));
    let actions = live(&mut solo, Duration::from_secs(30), |_| None);
    let asked = sent(&actions).lines().filter(|line| line.starts_with("RANGE|")).count();
    assert_eq!(asked, 1, "{}", sent(&actions));
}

#[test]
fn entries_with_false_signatures_count_as_malformed_frames() {
    let mut solo = solo();
    let identity = keyed(&mut solo);
    assert_eq!(solo.node.peers().count(), 1);
    let line = chat(&identity, 0, 1, None);
    let forged = line.replace("\"at\":1,", "\"at\":2,");
    let most = Limits::default().conns.malformed - 1;
    let actions = solo.receive(1, &forged.repeat(most));
    let reports = actions.iter().filter(|action| matches!(action, Action::Report { .. })).count();
    assert_eq!((reports, solo.node.peers().count()), (most, 1));
    let actions = solo.receive(1, &line);
    assert!(matches!(&actions[..], [.., Action::Deliver(Message::Entry { .. })]), "{actions:?}");
    solo.receive(1, &forged);
    assert_eq!(solo.node.peers().count(), 0, "one too many");
}

#[test]
fn a_line_from_a_peer_with_a_key_is_not_shown() {
    let mut solo = solo();
    keyed(&mut solo);
    assert_eq!(solo.receive(1, "MSG|hello\n"), []);
    assert_eq!(solo.node.peers().count(), 1);
}

#[test]
fn what_no_range_brings_is_taken_although_numbers_before_it_are_missing() {
    // Another version of a number that is held, and a number far below one that is held.
    for (held, number) in [(2, 2), (1_000, 5)] {
        let mut solo = solo_with(|limits| limits.chat.log_entries = 10);
        let identity = keyed(&mut solo);
        solo.receive(1, &chat(&identity, 0, 1, None));
        solo.receive(1, &chat(&identity, held, 2, None));
        // The peer announces it, and sends it when it is asked. It holds nothing of the numbers before it.
        let (uname, texts) = ("Eve".parse().unwrap(), [ChatText::new("hello").unwrap()]);
        let draft = Draft::new(1, RunPosition::unlinked(number), 3, &uname, &texts, [9; 16]);
        let mut ihave = Vec::new();
        Frame::Ihave([Entry::sign(&identity, &draft).id()].into()).encode(&mut ihave);
        solo.receive(1, &String::from_utf8(ihave).unwrap());
        let answer = |line: &str| line.starts_with("GRAFT|").then(|| chat(&identity, number, 3, None));
        live(&mut solo, Duration::from_secs(1), answer);
        let entries: Vec<_> = solo.node.entries().map(|entry| (entry.seq(), entry.at())).collect();
        assert_eq!(entries, [(0, 1), (held, 2), (number, 3)]);
    }
}

/// Links a peer on another machine, which nobody else is on.
pub(super) fn link_from_afar(solo: &mut Solo, conn: u64) {
    link_from_host(solo, conn, conn as u8);
}

/// Links a peer on another machine, of this number.
fn link_from_host(solo: &mut Solo, conn: u64, host: u8) {
    let peer = Identity::from_secret(&[conn as u8 + 100; 32]);
    solo.input(Input::accepted(ConnId(conn), SocketAddr::from(([9, 9, 9, host], 4_000))));
    solo.receive(conn, &join_keyed(&peer, conn, r#""uname":"Eve","links":0"#));
    solo.prove_key(&peer, conn);
}

/// A node that soon forgets what was said.
fn solo_of_few_words() -> Solo {
    solo_with(|limits| (limits.chat.log_entries, limits.chat.seen) = (5, 8))
}

/// The lines of what Anna says, each dated so.
fn anna() -> impl FnMut(u64) -> Vec<u8> {
    let (anna, uname) = (Identity::from_secret(&[9; 32]), "Anna".parse().unwrap());
    let mut next = RunPosition::FIRST;
    move |at| {
        let texts = [ChatText::new("hi").unwrap()];
        let entry = Entry::sign(&anna, &Draft::new(1, next, at, &uname, &texts, [9; 16]));
        next = RunPosition::after(&entry).unwrap();
        let mut line = Vec::new();
        Frame::Chat(entry.sealed()).encode(&mut line);
        line
    }
}

/// Somebody says 50 things, within her rate, on connection 1. Returns their lines.
fn long_ago(solo: &mut Solo, mut says: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    link_from_afar(solo, 1);
    let lines: Vec<_> = (0..50).map(|n| says(1_000 + n)).collect();
    for line in &lines {
        solo.now = solo.now + Duration::from_millis(250);
        solo.input(Input::received(ConnId(1), line));
    }
    lines
}

#[test]
fn old_words_that_somebody_sends_again_use_up_no_rate_of_their_author() {
    let (mut solo, mut says) = (solo_of_few_words(), anna());
    let lines = long_ago(&mut solo, &mut says);
    link_from_afar(&mut solo, 2);
    assert_eq!(solo.node.stats().entries_over_rate, 0);
    solo.now = solo.now + Duration::from_secs(60);
    let replayed = |solo: &mut Solo| {
        lines[..45].iter().for_each(|line| _ = solo.input(Input::received(ConnId(2), line)));
    };
    replayed(&mut solo);
    let actions = solo.input(Input::received(ConnId(1), &says(2_000)));
    assert!(actions.iter().any(|action| matches!(action, Action::Deliver(_))), "{actions:?}");
    // Who sends them has a rate, too.
    let over = solo.node.stats().entries_over_rate;
    assert_eq!(over, 15, "all but a burst of 30");
}

#[test]
fn who_sends_old_words_again_under_one_key_after_the_other_has_twice_the_rate_of_a_key() {
    let mut solo = solo_of_few_words();
    let lines = long_ago(&mut solo, anna());
    let mut over_of = |conn: u64, host: u8| {
        link_from_host(&mut solo, conn, host);
        let before = solo.node.stats().entries_over_rate;
        lines[..40].iter().for_each(|line| _ = solo.input(Input::received(ConnId(conn), line)));
        solo.input(Input::closed(ConnId(conn)));
        solo.node.stats().entries_over_rate - before
    };
    // The last eight that were taken are known.
    assert_eq!([2, 3, 4].map(|conn| over_of(conn, 2)), [10, 10, 40 - 8]);
    assert_eq!(over_of(5, 3), 10, "another host");
}

#[test]
fn a_long_entry_counts_as_many_against_the_rates() {
    let mut solo = solo();
    link_from_afar(&mut solo, 1);
    let (uname, texts) = ("Eve".parse().unwrap(), [ChatText::new("x".repeat(60_000)).unwrap()]);
    let mut says = |author: &Identity, at: u64, next: RunPosition| {
        let entry = Entry::sign(author, &Draft::new(1, next, at, &uname, &texts, [9; 16]));
        let mut line = Vec::new();
        Frame::Chat(entry.sealed()).encode(&mut line);
        solo.input(Input::received(ConnId(1), &line));
        let stats = solo.node.stats();
        (RunPosition::after(&entry).unwrap(), stats.entries_over_rate, stats.entries_of_new_authors)
    };
    // One counts as fifteen: two are a burst.
    let (anna, mut next) = (Identity::from_secret(&[1; 32]), RunPosition::FIRST);
    let over = [1, 2, 3].map(|at| {
        let (behind, over, _) = says(&anna, at, next);
        next = behind;
        over
    });
    assert_eq!(over, [0, 0, 1]);
    // Of 256 entries of new authors, the first of these was the first.
    let dropped = (30..48).map(|n| says(&Identity::from_secret(&[n; 32]), 1, RunPosition::FIRST).2);
    assert_eq!(dropped.last(), Some(19 - 256 / 15));
}

/// A peer on another machine, which brings a run of each of so many authors.
fn solo_with_tips(tips: u8) -> Solo {
    let mut solo = solo_with(|limits| {
        (limits.chat.log_bytes, limits.chat.sync_burst) = (256 * 1024, 100);
    });
    link_from_afar(&mut solo, 1);
    let (uname, texts) = ("Eve".parse().unwrap(), [ChatText::new("hi").unwrap()]);
    for n in 0..tips {
        let draft = Draft::new(1, RunPosition::FIRST, 1_000, &uname, &texts, [9; 16]);
        let mut line = Vec::new();
        Frame::Chat(Entry::sign(&Identity::from_secret(&[n; 32]), &draft).sealed()).encode(&mut line);
        solo.input(Input::received(ConnId(1), &line));
    }
    assert_eq!(solo.node.entries().count(), usize::from(tips));
    solo
}

#[test]
fn who_asks_for_all_tips_again_and_again_is_soon_told_few_at_a_time() {
    let mut solo = solo_with_tips(160);
    // A list of ids from the first to the last, and there is none in it: the answer is a list of all.
    let all = Frame::Sync([&[0; 9][..], &[0x61, 0, 0, 2, 0]].concat());
    let mut line = Vec::new();
    all.encode(&mut line);
    let mut ask = || {
        let mut actions = solo.input(Input::received(ConnId(1), &line));
        actions.extend(solo.settle(1));
        sent(&actions).lines().filter(|line| line.starts_with("SYNC|Ag")).map(str::len).sum::<usize>()
    };
    let answers: Vec<_> = (0..100).map(|_| ask()).collect();
    assert!(answers[0] > 6_000, "{answers:?}");
    let (whole, least): (Vec<_>, Vec<_>) = answers.into_iter().partition(|len| *len > 6_000);
    // The budget is a window and a quarter: bytes before Base64.
    assert!((300_000..340_000).contains(&(whole.iter().sum::<usize>() * 3 / 4)), "{whole:?}");
    assert!(least.len() > 5 && least.iter().all(|len| (1..5_700).contains(len)), "{least:?}");
}

/// On which connection each of these kinds of frames goes out.
fn answered(actions: &[Action]) -> Vec<(u64, String)> {
    let frames = actions.iter().filter_map(|action| match action {
        Action::SendFrame { conn, bytes } => Some((conn.0, String::from_utf8(bytes.clone()).unwrap())),
        _ => None,
    });
    let of_lines = |(conn, text): (u64, String)| {
        let kinds = text.lines().filter_map(|line| Some(String::from(line.split_once('|')?.0)));
        kinds.map(|kind| (conn, kind)).collect::<Vec<_>>()
    };
    frames.flat_map(of_lines).filter(|(_, kind)| ["CHAT", "LACK", "HELD"].contains(&&**kind)).collect()
}

#[test]
fn what_is_asked_for_on_a_connection_that_claims_a_linked_id_goes_out_when_it_is_the_link() {
    for is_silent in [true, false] {
        let mut solo = solo();
        let peer = keyed(&mut solo);
        solo.receive(1, &chat(&Identity::from_secret(&[9; 32]), 0, 1_000, None));
        solo.settle(1);
        let (id, run) = solo.node.entries().map(|entry| (entry.id(), entry.run().clone())).next().unwrap();
        // The peer takes its link for lost, and this node does not know yet.
        keyed_as(&mut solo, 2, peer);
        let mut lines = Vec::new();
        Frame::Graft(Vec::from([id])).encode(&mut lines);
        Frame::Range(crate::wire::RangeQuery::new(run, 0, 0, 7).unwrap()).encode(&mut lines);
        let mut actions = solo.receive(2, &String::from_utf8(lines).unwrap());
        actions.extend(solo.settle(2));
        assert_eq!(answered(&actions), []);
        // The link is silent, or the other connection ends.
        let link = if is_silent { 2 } else { 1 };
        let mut later = if is_silent { Vec::new() } else { solo.input(Input::closed(ConnId(2))) };
        later.extend(solo.settle(1));
        later.extend(solo.pass(Duration::from_secs(4)).into_iter().map(|(_, action)| action));
        let expected = ["CHAT", "CHAT", "HELD"].map(|kind| (link, String::from(kind)));
        assert_eq!(answered(&later), expected);
    }
}
