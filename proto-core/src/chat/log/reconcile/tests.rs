use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

use proptest::prelude::*;

use super::super::Taken;
use super::super::testing::{EPOCH, TestAuthor, TestLog};
use super::*;
use crate::chat::testing::peer;
use crate::model::Entry;

const CONN: ConnId = ConnId(1);
const NOW: Instant = Instant::ORIGIN;

fn asker() -> Asker {
    Asker { conn: CONN, peer: peer(1), room: AnswerRoom::Whole }
}

/// The token of the `PING` behind an opening.
fn ping() -> Token {
    Token::from_bits(1)
}

fn log_with(entries: &[Arc<Entry>]) -> TestLog {
    log_of(entries, usize::MAX)
}

/// A log with room for so many of these entries, and for as many tips.
fn log_of(entries: &[Arc<Entry>], most: usize) -> TestLog {
    let mut log = TestLog::new(|limits| {
        (limits.chat.log_entries, limits.chat.tips_bytes) = (most, most.saturating_mul(512));
    });
    for entry in entries {
        log.inner.take_own(NOW, None, entry.clone(), &log.limits);
    }
    log
}

fn ids(entries: &[Arc<Entry>]) -> BTreeSet<EntryId> {
    entries.iter().map(|entry| entry.id()).collect()
}

/// Reconciles, with `one` as the initiator. Returns what the other lacks, what `one` lacks, and the number of
/// rounds.
fn reconcile(one: &TestLog, other: &TestLog) -> (BTreeSet<EntryId>, BTreeSet<EntryId>, usize) {
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let (mut have, mut need, mut rounds) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut next = ours.begin(NOW, CONN, ping(), &one.inner, &one.limits);
    while let Some(message) = next {
        rounds += 1;
        assert!(message.len() <= crate::wire::MAX_SYNC && ours.sessions.contains_key(&CONN));
        let step = theirs.message(NOW, asker(), &message, &other.inner, &other.limits).unwrap();
        let reply = step.reply.unwrap();
        assert!(reply.len() <= crate::wire::MAX_SYNC && step.have.is_empty() && step.need.is_empty());
        let step = ours.message(NOW, asker(), &reply, &one.inner, &one.limits).unwrap();
        have.extend(step.have);
        need.extend(step.need);
        next = step.reply;
    }
    assert!(!ours.sessions.contains_key(&CONN));
    (have, need, rounds)
}

/// So many entries, each the only one of its run, the oldest first.
fn entries(count: u64) -> Vec<Arc<Entry>> {
    let anna = TestAuthor::new(1);
    (0..count).map(|n| anna.entry_at(EPOCH + n, 0, 1_000_000 + n * 1_000, "hello")).collect()
}

#[test]
fn each_difference_is_found() {
    let all = entries(600);
    let one = log_with(&all[..400]);
    let other = log_with(&[&all[..100], &all[150..350], &all[380..]].concat());
    let (have, need, rounds) = reconcile(&one, &other);
    assert_eq!(have, ids(&[&all[100..150], &all[350..380]].concat()));
    assert_eq!(need, ids(&all[400..]));
    assert!(rounds <= 3, "{rounds}");
    assert_eq!(reconcile(&one, &one), (BTreeSet::new(), BTreeSet::new(), 1));
}

#[test]
fn disjoint_sets_of_thousands_are_found() {
    let all = entries(4_000);
    let (odd, even): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|entry| entry.seq() % 2 == 1);
    let (have, need, _) = reconcile(&log_with(&odd), &log_with(&even));
    assert_eq!(have, ids(&odd));
    assert_eq!(need, ids(&even));
    // An empty log learns of everything, in frames that fit.
    let (have, need, rounds) = reconcile(&log_with(&[]), &log_with(&all));
    assert_eq!((have, need), (BTreeSet::new(), ids(&all)));
    assert_eq!(rounds, 3);
}

#[test]
fn only_what_both_have_not_forgotten_is_compared() {
    let all = entries(100);
    let (small, large) = (log_of(&all, 30), log_with(&all[..90]));
    let missing = ids(&all[90..]);
    assert_eq!(reconcile(&small, &large), (missing.clone(), BTreeSet::new(), 1));
    // With the roles swapped it takes one more round.
    let (have, need, rounds) = reconcile(&large, &small);
    assert_eq!((have, need, rounds), (BTreeSet::new(), missing, 2));
}

#[test]
fn an_entry_that_came_meanwhile_is_not_needed() {
    let all = entries(10);
    let (mut one, other) = (log_with(&all[..5]), log_with(&all));
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let message = ours.begin(NOW, CONN, ping(), &one.inner, &one.limits).unwrap();
    let step = theirs.message(NOW, asker(), &message, &other.inner, &other.limits).unwrap();
    assert_eq!(one.take(&all[5]), Taken::New);
    let step = ours.message(NOW, asker(), &step.reply.unwrap(), &one.inner, &one.limits).unwrap();
    assert_eq!(BTreeSet::from_iter(step.need), ids(&all[6..]));
}

#[test]
fn reconciliations_are_bounded_and_there_is_one_per_connection() {
    let log = log_with(&entries(3));
    let mut ours = Reconciler::default();
    let begin = |ours: &mut Reconciler, link| {
        ours.begin(NOW, ConnId(link), ping(), &log.inner, &log.limits).is_some()
    };
    assert!(begin(&mut ours, 1));
    assert!(!begin(&mut ours, 1));
    assert_eq!([2, 3, 4, 5].map(|link| begin(&mut ours, link)), [true, true, true, false]);
    ours.ended(ConnId(2));
    assert!(begin(&mut ours, 5));
    assert_eq!(ours.deadline(), Some(NOW + log.limits.chat.sync_timeout));
    ours.timeout(NOW + Duration::from_millis(9_999));
    assert!(ours.sessions.contains_key(&CONN));
    ours.timeout(NOW + log.limits.chat.sync_timeout);
    assert!(!ours.sessions.contains_key(&CONN));
    assert_eq!(ours.given_up(), 4, "all that were under way");
    // An answer after that is ignored.
    let reply = encode(Tag::Answer, 0, &[0x61]);
    assert_eq!(ours.message(NOW, asker(), &reply, &log.inner, &log.limits), Ok(Step::default()));
}

#[test]
fn a_reconciliation_that_waits_long_makes_room_for_another() {
    let log = log_with(&entries(3));
    let mut ours = Reconciler::default();
    let mut begin = |at, link| ours.begin(at, ConnId(link), ping(), &log.inner, &log.limits).is_some();
    assert_eq!([1, 2, 3, 4].map(|link| begin(NOW, link)), [true; 4]);
    let patience = NOW + log.limits.chat.sync_patience;
    assert!(!begin(NOW + Duration::from_millis(9_999), 5));
    assert!(begin(patience, 5));
    assert_eq!((ours.sessions.len(), ours.given_up()), (4, 1));
}

#[test]
fn a_reconciliation_with_too_many_rounds_is_given_up() {
    let log = log_with(&entries(100));
    for (rounds, more) in [(31, true), (32, false)] {
        let mut ours = Reconciler::default();
        ours.begin(NOW, CONN, ping(), &log.inner, &log.limits).unwrap();
        for round in 0..rounds {
            assert!(ours.sessions.contains_key(&CONN), "{round}");
            // A wrong fingerprint of everything: version, no upper bound, mode, fingerprint.
            let wrong = [&[0x61, 0, 0, 1][..], &[round; 16]].concat();
            let reply = encode(Tag::Answer, 0, &wrong);
            ours.message(NOW, asker(), &reply, &log.inner, &log.limits).unwrap();
        }
        assert_eq!((ours.sessions.contains_key(&CONN), ours.given_up()), (more, u64::from(!more)));
    }
}

#[test]
fn messages_over_the_rate_are_not_answered() {
    let log = log_with(&entries(3));
    let mut ours = Reconciler::default();
    let message = Reconciler::default().begin(NOW, CONN, ping(), &log.inner, &log.limits).unwrap();
    let mut answered =
        |now| ours.message(now, asker(), &message, &log.inner, &log.limits).unwrap().reply.is_some();
    for _ in 0..log.limits.chat.sync_burst {
        assert!(answered(NOW));
    }
    assert!(!answered(NOW));
    assert!(!answered(NOW + (log.limits.chat.sync_every - Duration::from_nanos(1))));
    assert!(answered(NOW + log.limits.chat.sync_every));
    assert_eq!(ours.refused(), 2);
}

#[test]
fn another_connection_brings_no_other_rate() {
    let log = log_with(&entries(3));
    let mut ours = Reconciler::default();
    let message = Reconciler::default().begin(NOW, CONN, ping(), &log.inner, &log.limits).unwrap();
    let mut answered = |peer, conn| {
        ours.ended(ConnId(conn - 1));
        let from = Asker { conn: ConnId(conn), peer, ..asker() };
        ours.message(NOW, from, &message, &log.inner, &log.limits).unwrap().reply.is_some()
    };
    let burst = u64::from(log.limits.chat.sync_burst);
    assert_eq!((1..=2 * burst).filter(|conn| answered(peer(1), *conn)).count() as u64, burst);
    assert!(answered(peer(2), 1_000));
}

#[test]
fn an_answer_with_the_least_room_is_short_and_the_exchange_goes_on() {
    let all = entries(1_000);
    let (log, nothing) = (log_with(&all), log_with(&[]));
    let (mut theirs, mut ours) = (Reconciler::default(), Reconciler::default());
    let (mut next, mut need, mut longest) =
        (ours.begin(NOW, CONN, ping(), &nothing.inner, &nothing.limits), BTreeSet::new(), 0);
    while let Some(message) = next {
        let least = Asker { room: AnswerRoom::Least, ..asker() };
        let reply = theirs.message(NOW, least, &message, &log.inner, &log.limits).unwrap().reply.unwrap();
        longest = longest.max(reply.len());
        let step = ours.message(NOW, asker(), &reply, &nothing.inner, &nothing.limits).unwrap();
        need.extend(step.need);
        next = step.reply;
    }
    assert!(longest < 4_200, "{longest}");
    assert_eq!(need, ids(&all));
}

#[test]
fn malformed_messages_are_refused() {
    let log = log_with(&entries(50));
    let good = Reconciler::default().begin(NOW, CONN, ping(), &log.inner, &log.limits).unwrap();
    let mut bad = vec![vec![], vec![0], good[..8].to_vec(), [&[4], &good[1..]].concat(), good[..9].to_vec()];
    // A count without its ids, and an unknown mode.
    bad.push(encode(Tag::Begin, 0, &[0x61, 0, 0, 2, 0xc0, 0x80, 0x80, 0]));
    bad.push(encode(Tag::Answer, 0, &[0x61, 0, 0, 9]));
    for message in bad {
        let mut ours = Reconciler::default();
        ours.begin(NOW, CONN, ping(), &log.inner, &log.limits).unwrap();
        let step = ours.message(NOW, asker(), &message, &log.inner, &log.limits);
        assert_eq!(step, Err(SyncError), "{message:?}");
    }
}

#[test]
fn an_answer_to_an_earlier_opening_is_ignored() {
    let all = entries(50);
    let (one, other) = (log_with(&all), log_of(&all, 20));
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let mut exchange = |ours: &mut Reconciler, message: &[u8]| {
        let answer =
            theirs.message(NOW, asker(), message, &other.inner, &other.limits).unwrap().reply.unwrap();
        (answer.clone(), ours.message(NOW, asker(), &answer, &one.inner, &one.limits))
    };
    let opening = ours.begin(NOW, CONN, ping(), &one.inner, &one.limits).unwrap();
    let (later, step) = exchange(&mut ours, &opening);
    assert_eq!(later[0], Tag::Later as u8);
    let next = step.unwrap().reply.unwrap();
    // The same answer once more.
    assert_eq!(ours.message(NOW, asker(), &later, &one.inner, &one.limits), Ok(Step::default()));
    let before = encode(Tag::Answer, 0, &[0x61, 0, 0, 9]);
    assert_eq!(ours.message(NOW, asker(), &before, &one.inner, &one.limits), Ok(Step::default()));
    assert_eq!(ours.pong_received(CONN, ping()), None, "the first answer counts");
    let (_, step) = exchange(&mut ours, &next);
    assert_eq!(step, Ok(Step { is_last: true, ..Step::default() }));
    let opening = ours.begin(NOW, CONN, ping(), &one.inner, &one.limits);
    assert!(opening.is_some());
    let no_later = encode(Tag::Later, 0, &[]);
    assert_eq!(ours.message(NOW, asker(), &no_later, &one.inner, &one.limits), Ok(Step::default()));
    assert_eq!(ours.pong_received(CONN, ping()), Some(1));
}

#[test]
fn a_run_has_one_item_and_what_is_before_its_tip_is_no_difference() {
    let anna = TestAuthor::new(1);
    let run: Vec<_> = (0..10).map(|seq| anna.entry(seq)).collect();
    let nothing = (BTreeSet::new(), BTreeSet::new(), 1);
    // A hole, another window, and both of them.
    for other in [&run[5..], &run[9..], &[&run[..3], &run[9..]].concat()[..]] {
        assert_eq!(reconcile(&log_with(&run), &log_with(other)), nothing);
    }
    assert_eq!(reconcile(&log_with(&run), &log_of(&run, 2)), nothing);
    let (have, need, _) = reconcile(&log_with(&run), &log_with(&run[..5]));
    assert_eq!((have, need), (ids(&run[9..]), BTreeSet::new()));
}

#[test]
fn the_entries_of_a_fork_are_a_difference() {
    let anna = TestAuthor::new(1);
    let fork = |text| anna.entry_at(EPOCH, 0, 5, text);
    let (one, other) = (log_with(&[fork("a")]), log_with(&[fork("b")]));
    let (have, need, _) = reconcile(&one, &other);
    assert_eq!((have, need), ([fork("a").id()].into(), [fork("b").id()].into()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// No message causes a panic, a frame that is too large, or a request for an entry that is held.
    #[test]
    fn any_message_is_answered_or_refused(
        tag in 0_u8..5,
        since in prop_oneof![Just(0), 1_000_000_u64..1_100_000, any::<u64>()],
        noise in proptest::collection::vec(any::<u8>(), 0..80),
        flips in proptest::collection::vec((0_usize..2_000, any::<u8>()), 0..6),
        genuine: bool,
    ) {
        let all = entries(100);
        let (one, other) = (log_of(&all[..80], 60), log_with(&all[40..]));
        let mut ours = Reconciler::default();
        let begun = ours.begin(NOW, CONN, ping(), &one.inner, &one.limits).unwrap();
        let mut message = encode(Tag::Begin, since, &noise);
        if genuine {
            let reply = Reconciler::default().message(NOW, asker(), &begun, &other.inner, &other.limits).unwrap();
            message = reply.reply.unwrap();
            for (index, byte) in flips {
                let index = index % message.len();
                message[index] ^= byte;
            }
        }
        message[0] = if genuine { message[0] } else { tag };
        if let Ok(step) = ours.message(NOW, asker(), &message, &one.inner, &one.limits) {
            prop_assert!(step.reply.is_none_or(|reply| reply.len() <= crate::wire::MAX_SYNC));
            prop_assert!(step.have.iter().all(|id| one.inner.contains(id)));
            prop_assert!(!step.need.iter().any(|id| one.inner.contains(id)));
        }
    }
}

#[test]
fn a_run_is_offered_when_all_of_it_is_committed() {
    let (anna, ben) = (TestAuthor::new(1), TestAuthor::new(2));
    let entries = [anna.entry(0), ben.entry(0)];
    let (mut log, other) = (log_with(&entries), log_with(&[]));
    assert_eq!(reconcile(&log, &other).0, ids(&entries));
    log.inner.awaits_commit(entries[0].run());
    assert_eq!(reconcile(&log, &other).0, ids(&entries[1..]));
    assert_eq!(reconcile(&other, &log).1, ids(&entries[1..]));
    // What is held and not committed is not asked for.
    assert_eq!(reconcile(&log, &log_with(&entries)).1, [].into());
    log.inner.settled(entries[0].run());
    assert_eq!(reconcile(&log, &other).0, ids(&entries));
}

#[test]
fn a_snapshot_of_an_answer_is_taken_anew_when_more_is_committed() {
    let entry = TestAuthor::new(1).entry(0);
    let (mut log, other) = (log_with(core::slice::from_ref(&entry)), log_with(&[]));
    let mut theirs = Reconciler::default();
    let mut ours = Reconciler::default();
    log.inner.awaits_commit(entry.run());
    for found in [0, 1] {
        let opening = ours.begin(NOW, CONN, ping(), &other.inner, &other.limits).unwrap();
        let reply = theirs.message(NOW, asker(), &opening, &log.inner, &log.limits).unwrap().reply.unwrap();
        let step = ours.message(NOW, asker(), &reply, &other.inner, &other.limits).unwrap();
        assert_eq!(step.need.len(), found);
        ours.ended(CONN);
        if found == 0 {
            log.inner.settled(entry.run());
        }
    }
}

#[test]
fn a_peer_that_names_another_date_costs_no_other_snapshot() {
    let all = entries(300);
    let log = log_with(&all);
    let mut theirs = Reconciler::default();
    for (from, shown) in [(0, 300), (120, 180), (299, 1), (300, 0), (7, 293)] {
        let since = all.get(from).map_or(u64::MAX, |entry| entry.at());
        // Nobody has anything, from that date on.
        let nothing = Snapshot::of(&log_with(&[]).inner, 0).unwrap().from(since);
        let mut message = nothing.first_message(Tag::Continue).unwrap();
        let mut need = Vec::new();
        loop {
            let step = theirs.message(NOW, asker(), &message, &log.inner, &log.limits).unwrap();
            let cached = theirs.cached.as_ref().unwrap();
            assert!(cached.is_current(&log.inner) && cached.len() == 300, "it has all tips");
            let reply = step.reply.unwrap();
            let (_, _, answer) = decode(&reply).unwrap();
            let mut step = Step::default();
            nothing.compare(answer, &log_with(&[]).inner, &mut step).unwrap();
            need.extend(step.need);
            let Some(next) = step.reply else { break };
            message = next;
        }
        assert_eq!((need.len(), BTreeSet::from_iter(need)), (shown, ids(&all[from..])));
    }
}

#[test]
fn a_snapshot_holds_until_a_tip_comes() {
    let all = entries(10);
    let mut log = log_with(&all[..9]);
    let snapshot = Snapshot::of(&log.inner, 0).unwrap();
    assert!(snapshot.is_current(&log.inner));
    log.take(&all[9]);
    assert!(!snapshot.is_current(&log.inner));
}
