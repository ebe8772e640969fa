use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

use proptest::prelude::*;

use super::super::Taken;
use super::super::tests::{Author, EPOCH, TestLog};
use super::*;
use crate::model::Entry;

const LINK: ConnId = ConnId(1);
const NOW: Instant = Instant::ORIGIN;

/// The token of the `PING` behind an opening.
fn ping() -> Token {
    Token::from_bits(1)
}

fn log_with(entries: &[Arc<Entry>]) -> TestLog {
    log_of(entries, usize::MAX)
}

fn log_of(entries: &[Arc<Entry>], log_entries: usize) -> TestLog {
    let mut node = TestLog::new(|limits| limits.chat.log_entries = log_entries);
    for entry in entries {
        node.log.take_own(NOW, entry.clone(), &node.limits);
    }
    node
}

fn ids(entries: &[Arc<Entry>]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id()).collect()
}

/// What `one` finds out: what it has and what it needs, and in how many rounds.
fn reconcile(one: &TestLog, other: &TestLog) -> (Vec<EntryId>, Vec<EntryId>, usize) {
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let (mut have, mut need, mut rounds) = (Vec::new(), Vec::new(), 0);
    let mut next = ours.begin(NOW, LINK, ping(), &one.log, &one.limits);
    while let Some(message) = next {
        rounds += 1;
        assert!(message.len() <= crate::wire::MAX_SYNC && ours.sessions.contains_key(&LINK));
        let step = theirs.message(NOW, LINK, &message, &other.log, &other.limits).unwrap();
        let reply = step.reply.unwrap();
        assert!(reply.len() <= crate::wire::MAX_SYNC && step.have.is_empty() && step.need.is_empty());
        let step = ours.message(NOW, LINK, &reply, &one.log, &one.limits).unwrap();
        have.extend(step.have);
        need.extend(step.need);
        next = step.reply;
    }
    assert!(!ours.sessions.contains_key(&LINK));
    (have, need, rounds)
}

fn said(count: u64) -> Vec<Arc<Entry>> {
    let anna = Author::new(1);
    (0..count).map(|seq| anna.says(seq)).collect()
}

#[test]
fn each_difference_is_found_oldest_first() {
    let all = said(600);
    let one = log_with(&all[..400]);
    let other = log_with(&[&all[..100], &all[150..350], &all[380..]].concat());
    let (have, need, rounds) = reconcile(&one, &other);
    assert_eq!(have, ids(&[&all[100..150], &all[350..380]].concat()));
    assert_eq!(need, ids(&all[400..]));
    assert!(rounds <= 3, "{rounds}");
    assert_eq!(reconcile(&one, &one), (vec![], vec![], 1));
}

#[test]
fn sets_of_thousands_that_share_nothing_are_told_in_the_order_of_time() {
    let all = said(4_000);
    let (odd, even): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|entry| entry.seq() % 2 == 1);
    let (have, need, _) = reconcile(&log_with(&odd), &log_with(&even));
    assert_eq!(have, ids(&odd));
    assert_eq!(need, ids(&even));
    // Who comes new learns of everything in order, in frames that fit.
    let (have, need, rounds) = reconcile(&log_with(&[]), &log_with(&all));
    assert_eq!((have, need), (vec![], ids(&all)));
    assert_eq!(rounds, 3);
}

#[test]
fn only_what_both_sides_could_hold_is_compared() {
    let all = said(100);
    let (small, large) = (log_of(&all, 30), log_with(&all[..90]));
    let missing = ids(&all[90..]);
    assert_eq!(reconcile(&small, &large), (missing.clone(), vec![], 1));
    // The other way round it takes one round more.
    let (have, need, rounds) = reconcile(&large, &small);
    assert_eq!((have, need, rounds), (vec![], missing, 2));
}

#[test]
fn what_came_meanwhile_is_not_needed() {
    let all = said(10);
    let (mut one, other) = (log_with(&all[..5]), log_with(&all));
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let message = ours.begin(NOW, LINK, ping(), &one.log, &one.limits).unwrap();
    let step = theirs.message(NOW, LINK, &message, &other.log, &other.limits).unwrap();
    assert_eq!(one.take(&all[5]), Taken::New);
    let step = ours.message(NOW, LINK, &step.reply.unwrap(), &one.log, &one.limits).unwrap();
    assert_eq!(step.need, ids(&all[6..]));
}

#[test]
fn so_many_begin_at_once_and_one_on_a_link() {
    let node = log_with(&said(3));
    let mut ours = Reconciler::default();
    let begin = |ours: &mut Reconciler, link| {
        ours.begin(NOW, ConnId(link), ping(), &node.log, &node.limits).is_some()
    };
    assert!(begin(&mut ours, 1));
    assert!(!begin(&mut ours, 1));
    assert_eq!([2, 3, 4, 5].map(|link| begin(&mut ours, link)), [true, true, true, false]);
    ours.ended(ConnId(2));
    assert!(begin(&mut ours, 5));
    assert_eq!(ours.deadline(), Some(NOW + node.limits.chat.sync_timeout));
    ours.timeout(NOW + Duration::from_millis(9_999));
    assert!(ours.sessions.contains_key(&LINK));
    ours.timeout(NOW + node.limits.chat.sync_timeout);
    assert!(!ours.sessions.contains_key(&LINK));
    assert_eq!(ours.given_up(), 4, "all that were under way");
    // Its answer, which comes after that, has no consequences.
    let reply = write(Tag::Answer, 0, &[0x61]);
    assert_eq!(ours.message(NOW, LINK, &reply, &node.log, &node.limits), Ok(Step::default()));
}

#[test]
fn a_peer_that_makes_it_last_is_given_up() {
    let node = log_with(&said(100));
    for (rounds, more) in [(31, true), (32, false)] {
        let mut ours = Reconciler::default();
        ours.begin(NOW, LINK, ping(), &node.log, &node.limits).unwrap();
        for round in 0..rounds {
            assert!(ours.sessions.contains_key(&LINK), "{round}");
            // A fingerprint of everything that is always wrong: version, no upper bound, mode, fingerprint.
            let wrong = [&[0x61, 0, 0, 1][..], &[round; 16]].concat();
            let reply = write(Tag::Answer, 0, &wrong);
            ours.message(NOW, LINK, &reply, &node.log, &node.limits).unwrap();
        }
        assert_eq!((ours.sessions.contains_key(&LINK), ours.given_up()), (more, u64::from(!more)));
    }
}

#[test]
fn one_that_asks_too_often_is_not_answered() {
    let node = log_with(&said(3));
    let mut ours = Reconciler::default();
    let message = Reconciler::default().begin(NOW, LINK, ping(), &node.log, &node.limits).unwrap();
    let mut answered =
        |now| ours.message(now, LINK, &message, &node.log, &node.limits).unwrap().reply.is_some();
    for _ in 0..node.limits.chat.sync_burst {
        assert!(answered(NOW));
    }
    assert!(!answered(NOW));
    assert!(!answered(NOW + (node.limits.chat.sync_every - Duration::from_nanos(1))));
    assert!(answered(NOW + node.limits.chat.sync_every));
    assert_eq!(ours.refused(), 2);
}

#[test]
fn what_is_no_message_is_refused() {
    let node = log_with(&said(50));
    let good = Reconciler::default().begin(NOW, LINK, ping(), &node.log, &node.limits).unwrap();
    let mut bad = vec![vec![], vec![0], good[..8].to_vec(), [&[4], &good[1..]].concat(), good[..9].to_vec()];
    // A count of ids that are not there, and an unknown mode.
    bad.push(write(Tag::Begin, 0, &[0x61, 0, 0, 2, 0xc0, 0x80, 0x80, 0]));
    bad.push(write(Tag::Answer, 0, &[0x61, 0, 0, 9]));
    for message in bad {
        let mut ours = Reconciler::default();
        ours.begin(NOW, LINK, ping(), &node.log, &node.limits).unwrap();
        let step = ours.message(NOW, LINK, &message, &node.log, &node.limits);
        assert_eq!(step, Err(SyncError), "{message:?}");
    }
}

#[test]
fn what_answers_an_opening_before_is_no_answer_to_this_one() {
    let all = said(50);
    let (one, other) = (log_with(&all), log_of(&all, 20));
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let mut exchange = |ours: &mut Reconciler, message: &[u8]| {
        let answer = theirs.message(NOW, LINK, message, &other.log, &other.limits).unwrap().reply.unwrap();
        (answer.clone(), ours.message(NOW, LINK, &answer, &one.log, &one.limits))
    };
    let opening = ours.begin(NOW, LINK, ping(), &one.log, &one.limits).unwrap();
    let (later, step) = exchange(&mut ours, &opening);
    assert_eq!(later[0], Tag::Later as u8);
    let next = step.unwrap().reply.unwrap();
    // The answer to the same opening, said once more after the first was given up.
    assert_eq!(ours.message(NOW, LINK, &later, &one.log, &one.limits), Ok(Step::default()));
    let before = write(Tag::Answer, 0, &[0x61, 0, 0, 9]);
    assert_eq!(ours.message(NOW, LINK, &before, &one.log, &one.limits), Ok(Step::default()));
    // Whoever says nothing else passes over what it is asked.
    assert_eq!(ours.pong_received(LINK, ping()), None, "the first answer was one");
    let (_, step) = exchange(&mut ours, &next);
    assert_eq!(step, Ok(Step { have: vec![], ..Step::default() }));
    let opening = ours.begin(NOW, LINK, ping(), &one.log, &one.limits);
    assert!(opening.is_some());
    let no_later = write(Tag::Later, 0, &[]);
    assert_eq!(ours.message(NOW, LINK, &no_later, &one.log, &one.limits), Ok(Step::default()));
    assert_eq!(ours.pong_received(LINK, ping()), Some(1));
}

#[test]
fn a_fork_is_a_difference_like_any_other() {
    let anna = Author::new(1);
    let fork = |text| anna.says_at(EPOCH, 0, 5, text);
    let (one, other) = (log_with(&[fork("a")]), log_with(&[fork("b")]));
    let (have, need, _) = reconcile(&one, &other);
    assert_eq!((have, need), (vec![fork("a").id()], vec![fork("b").id()]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, nothing panics, frames fit, and what is there to be needed is not here.
    #[test]
    fn any_message_is_answered_or_refused(
        tag in 0_u8..5,
        since in prop_oneof![Just(0), 1_000_000_u64..1_100_000, any::<u64>()],
        noise in proptest::collection::vec(any::<u8>(), 0..80),
        flips in proptest::collection::vec((0_usize..2_000, any::<u8>()), 0..6),
        genuine: bool,
    ) {
        let all = said(100);
        let (one, other) = (log_of(&all[..80], 60), log_with(&all[40..]));
        let mut ours = Reconciler::default();
        let begun = ours.begin(NOW, LINK, ping(), &one.log, &one.limits).unwrap();
        let mut message = write(Tag::Begin, since, &noise);
        if genuine {
            let reply = Reconciler::default().message(NOW, LINK, &begun, &other.log, &other.limits).unwrap();
            message = reply.reply.unwrap();
            for (index, byte) in flips {
                let index = index % message.len();
                message[index] ^= byte;
            }
        }
        message[0] = if genuine { message[0] } else { tag };
        if let Ok(step) = ours.message(NOW, LINK, &message, &one.log, &one.limits) {
            prop_assert!(step.reply.is_none_or(|reply| reply.len() <= crate::wire::MAX_SYNC));
            prop_assert!(step.have.iter().all(|id| one.log.contains(id)));
            prop_assert!(!step.need.iter().any(|id| one.log.contains(id)));
        }
    }
}
