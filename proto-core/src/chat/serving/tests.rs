use super::*;
use crate::chat::log::testing::TestAuthor;
use crate::chat::testing::{at, peer};
use crate::model::{Kept, KeptRun};

const HERE: Option<IpAddr> = Some(IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1)));
const THERE: Option<IpAddr> = Some(IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 9)));

/// A log that holds these numbers, and limits with a budget of so many entries.
fn fixture(seqs: &[u64], entries: usize) -> (Log, Limits, usize) {
    let anna = TestAuthor::new(1);
    let len = anna.entry(1).sealed().line_len();
    let mut log = Log::default();
    for seq in seqs {
        log.take_own(at(0), None, anna.entry(*seq), &Limits::default());
    }
    let limits = Limits::default().with(|limits| limits.chat.log_bytes = entries * len * 4 / 5 + 4);
    (log, limits, len)
}

fn query(first: u64, last: u64, tag: u64) -> RangeQuery {
    RangeQuery::new(TestAuthor::new(1).entry(0).run().clone(), first, last, tag).unwrap()
}

/// What is served now: the numbers, and the ends of answers as tag and next.
fn served(serving: &mut Serving, now: u64, log: &Log, limits: &Limits) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut seqs, mut ends) = (Vec::new(), Vec::new());
    while let Some((_, served)) = serving.next(at(now), log, |_| Some(usize::MAX), limits) {
        match served {
            Served::Entry(entry) => seqs.push(entry.seq()),
            Served::End(end) => ends.push((end.tag, end.next)),
            other => panic!("there is no store: {other:?}"),
        }
        assert!(serving.is_consistent());
    }
    (seqs, ends)
}

#[test]
fn a_range_is_answered_in_order_with_what_is_held_and_ends() {
    let (log, limits, _) = fixture(&[1, 2, 5, 9], 1_000);
    let mut serving = Serving::default();
    assert_eq!(serving.ask_range(peer(1), HERE, query(0, 8, 7), &limits), None);
    assert_eq!(serving.ask_range(peer(1), HERE, query(20, 30, 8), &limits), None);
    assert_eq!(served(&mut serving, 0, &log, &limits), (vec![1, 2, 5], vec![(7, 9), (8, 31)]));
}

#[test]
fn both_versions_of_a_fork_are_served() {
    let anna = TestAuthor::new(1);
    let (mut log, limits, _) = fixture(&[0, 2], 1_000);
    for text in ["a", "b"] {
        log.take_own(at(0), None, anna.entry_at(77, 1, 1_001_000, text), &limits);
    }
    let mut serving = Serving::default();
    serving.ask_range(peer(1), HERE, query(0, 2, 7), &limits);
    assert_eq!(served(&mut serving, 0, &log, &limits), (vec![0, 1, 1], vec![(7, 3)]));
}

#[test]
fn an_id_is_served_once_however_often_it_is_named() {
    let (log, limits, _) = fixture(&[0, 1], 1_000);
    let id = TestAuthor::new(1).entry(1).id();
    let mut serving = Serving::default();
    serving.ask(peer(1), HERE, &[id; 64], &limits);
    assert_eq!(served(&mut serving, 0, &log, &limits).0, [1]);
}

#[test]
fn what_is_served_has_a_budget_for_each_key_and_each_host() {
    let (log, limits, _) = fixture(&[0, 1, 2, 3], 10);
    let mut serving = Serving::default();
    let ask = |serving: &mut Serving, now, from, host, tag| {
        serving.ask_range(peer(from), host, query(0, 3, tag), &limits);
        served(serving, now, &log, &limits)
    };
    assert_eq!(ask(&mut serving, 0, 1, HERE, 1), (vec![0, 1, 2, 3], vec![(1, 4)]));
    assert_eq!(ask(&mut serving, 0, 1, HERE, 2), (vec![0, 1, 2, 3], vec![(2, 4)]));
    assert_eq!(ask(&mut serving, 0, 1, HERE, 3), (vec![0, 1], vec![(3, 2)]), "the rest later");
    assert_eq!(ask(&mut serving, 0, 1, HERE, 4), (vec![], vec![(4, 0)]));
    assert_eq!(
        ask(&mut serving, 0, 2, HERE, 5),
        (vec![0, 1, 2, 3], vec![(5, 4)]),
        "another key at the address"
    );
    assert_eq!(ask(&mut serving, 0, 2, HERE, 6), (vec![0, 1, 2, 3], vec![(6, 4)]));
    assert_eq!(ask(&mut serving, 0, 2, HERE, 7), (vec![0, 1], vec![(7, 2)]));
    // The number 0 is shorter than the others.
    assert_eq!(ask(&mut serving, 0, 4, HERE, 8), (vec![0], vec![(8, 1)]), "a third key has what those left");
    assert_eq!(serving.over_budget(), 4);
    assert_eq!(ask(&mut serving, 0, 3, THERE, 6).0, [0, 1, 2, 3], "another address");
    assert_eq!(ask(&mut serving, 0, 1, None, 7).0, [0, 1, 2, 3], "on this machine");
    // A tenth of the time brings a tenth of the budget.
    assert_eq!(ask(&mut serving, 61_000, 1, HERE, 8), (vec![0], vec![(8, 1)]));
    let id = TestAuthor::new(1).entry(1).id();
    serving.ask(peer(1), HERE, &[id], &limits);
    assert_eq!(served(&mut serving, 61_000, &log, &limits), (vec![], vec![]));
}

#[test]
fn who_has_used_up_a_budget_has_brief_answers_to_reconciliations() {
    let (_, limits, len) = fixture(&[], 10);
    let mut serving = Serving::default();
    let of = Some(PeerAtHost { peer: peer(1), host: HERE.unwrap() });
    assert_eq!(serving.answer_room(at(0), of, &limits), AnswerRoom::Whole);
    serving.answered(at(0), of, 20 * len, &limits);
    assert_eq!(serving.answer_room(at(0), of, &limits), AnswerRoom::Least);
    assert_eq!(serving.answer_room(at(0), None, &limits), AnswerRoom::Whole, "on this machine");
    assert_eq!(serving.over_budget(), 1);
}

#[test]
fn room_is_looked_for_before_anything_is_served() {
    let (log, limits, len) = fixture(&[0, 1], 3);
    let mut serving = Serving::default();
    serving.ask_range(peer(1), HERE, query(0, 1, 1), &limits);
    serving.ask_range(peer(2), THERE, query(0, 1, 2), &limits);
    let room = |n: usize| move |to| Some(if to == peer(1) { n } else { 0 });
    assert!(serving.next(at(0), &log, room(len / 2), &limits).is_none());
    assert_eq!(serving.over_budget(), 0);
    for _ in 0..2 {
        assert!(matches!(serving.next(at(0), &log, room(len * 2), &limits), Some((_, Served::Entry(_)))));
    }
    assert_eq!(served(&mut serving, 0, &log, &limits), (vec![0, 1], vec![(1, 2), (2, 2)]));
}

#[test]
fn neighbours_are_served_in_turn() {
    let (log, limits, _) = fixture(&[0, 1, 2], 1_000);
    let mut serving = Serving::default();
    for n in [1, 2] {
        serving.ask_range(peer(n), HERE, query(0, 2, u64::from(n)), &limits);
    }
    let next = || serving.next(at(0), &log, |_| Some(usize::MAX), &limits).map(|(to, _)| to.as_bytes()[0]);
    assert_eq!(core::iter::from_fn(next).collect::<Vec<_>>(), [1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn one_neighbours_requests_are_bounded() {
    let (log, limits, _) = fixture(&[0, 1, 2], 1_000);
    let limits = limits.with(|limits| (limits.chat.serving, limits.chat.ranges) = (3, 2));
    let mut serving = Serving::default();
    for tag in 0..2 {
        assert_eq!(serving.ask_range(peer(1), HERE, query(1, 2, tag), &limits), None);
    }
    assert_eq!(serving.ask_range(peer(1), HERE, query(1, 2, 9), &limits), RangeEnd::new(9, 1), "later");
    let ids = [0, 1, 2].map(|seq| TestAuthor::new(1).entry(seq).id());
    serving.ask(peer(1), HERE, &ids, &limits);
    assert_eq!((serving.most(), serving.dropped()), (3, 3));
    assert_eq!(served(&mut serving, 0, &log, &limits).0, [0, 1, 2, 1, 2]);
    assert_eq!(serving.most(), 0);
}

/// A log without a window, whose store has the numbers 0 to 9, and limits with a budget of so many entries.
fn shelf(entries: usize) -> (Log, Limits) {
    let (_, limits, _) = fixture(&[], entries);
    let tip = TestAuthor::new(1).entry(9);
    let run = KeptRun::new(tip.run().clone(), 9, Vec::from([(tip.at(), tip.id())]), Vec::from([(0, 9)]));
    let kept = Kept { runs: Vec::from([run]), ..Kept::default() };
    (Log::restore(TestAuthor::new(7).key(), true, &kept, &limits), limits)
}

/// What is served now, where the store gives so many entries at once: how often it was read, the numbers and the ends.
fn read(serving: &mut Serving, log: &Log, at_once: u64, limits: &Limits) -> (usize, Vec<u64>, Vec<u64>) {
    let (mut reads, mut seqs, mut ends) = (0, Vec::new(), Vec::new());
    while let Some((_, served)) = serving.next(at(0), log, |_| Some(usize::MAX), limits) {
        match served {
            Served::Entry(entry) => seqs.push(entry.seq()),
            Served::End(end) => ends.push(end.next),
            Served::Load(id, wanted) => {
                reads += 1;
                let numbers = match wanted {
                    Wanted::Range { first, last, .. } => first..(first + at_once).min(last + 1),
                    Wanted::Ids(_) => 9..10,
                };
                let loaded = numbers.map(|seq| Loaded::Entry(TestAuthor::new(1).entry(seq)));
                serving.loaded(at(0), id, loaded.collect(), limits);
            }
            other => panic!("{other:?}"),
        }
        assert!(serving.is_consistent());
    }
    (reads, seqs, ends)
}

#[test]
fn nothing_is_read_for_a_neighbour_whose_budget_is_used_up() {
    let (log, limits) = shelf(4);
    let mut serving = Serving::default();
    let mut ask = |from, host, first| {
        serving.ask_range(peer(from), host, query(first, 9, 1), &limits);
        read(&mut serving, &log, 3, &limits)
    };
    // The second piece goes beyond the budget, and no third one is read.
    assert_eq!(ask(1, HERE, 0), (2, vec![0, 1, 2, 3, 4, 5], vec![6]));
    assert_eq!(ask(2, HERE, 0), (1, vec![0, 1, 2], vec![3]), "another key has what is left at the address");
    for _ in 0..10 {
        assert_eq!(ask(1, HERE, 6), (0, vec![], vec![6]), "later");
        assert_eq!(ask(3, HERE, 0), (0, vec![], vec![0]), "a third key there");
    }
    assert_eq!(ask(3, THERE, 0).1.len(), 6);
    let id = TestAuthor::new(1).entry(9).id();
    serving.ask(peer(1), HERE, &[id], &limits);
    assert_eq!(read(&mut serving, &log, 3, &limits), (0, vec![], vec![]));
    serving.ask(peer(1), None, &[id], &limits);
    assert_eq!(read(&mut serving, &log, 3, &limits), (1, vec![9], vec![]), "on this machine");
}

#[test]
fn what_is_read_is_charged_whether_or_not_it_is_sent() {
    let (log, limits) = shelf(4);
    let mut serving = Serving::default();
    for _ in 0..10 {
        serving.ask_range(peer(1), HERE, query(0, 9, 1), &limits);
        let next = serving.next(at(0), &log, |_| Some(usize::MAX), &limits);
        let Some((_, Served::Load(id, _))) = next else { break };
        let loaded = (0..3).map(|seq| Loaded::Entry(TestAuthor::new(1).entry(seq)));
        serving.loaded(at(0), id, loaded.collect(), &limits);
        // There is no room, and then the link ends.
        assert!(serving.next(at(0), &log, |_| Some(1), &limits).is_none());
        serving.unlinked(peer(1));
    }
    assert_eq!(serving.load_count(), 2);
}

#[test]
fn what_a_host_is_refused_is_not_charged_to_the_key() {
    let (log, limits, _) = fixture(&[0, 1, 2, 3], 8);
    let mut serving = Serving::default();
    let mut ask = |from, host| {
        serving.ask_range(peer(from), host, query(0, 3, 1), &limits);
        served(&mut serving, 0, &log, &limits).0.len()
    };
    assert_eq!([1, 1, 2, 2].map(|key| ask(key, HERE)), [4; 4]);
    assert_eq!([(); 20].map(|()| ask(3, HERE)), [0; 20]);
    assert_eq!([ask(3, THERE), ask(3, THERE)], [4, 4], "another address");
}

#[test]
fn what_a_claimant_asks_for_is_bounded_and_waits_for_the_decision() {
    let (log, limits, _) = fixture(&[0, 1, 2], 1_000);
    let limits = limits.with(|limits| (limits.chat.serving, limits.chat.ranges) = (3, 2));
    let (link, claimant) = (ConnId(1), ConnId(2));
    let ids = [0, 1, 2].map(|seq| TestAuthor::new(1).entry(seq).id());
    let claimed = || {
        let mut serving = Serving::default();
        let of = (peer(1), claimant);
        for tag in 0..2 {
            assert_eq!(serving.ask_range_by_claim(of, HERE, &query(1, 2, tag), &limits), None);
        }
        let later = serving.ask_range_by_claim(of, HERE, &query(1, 2, 9), &limits);
        assert_eq!(later, RangeEnd::new(9, 1));
        serving.ask_by_claim(of, HERE, &ids, &limits);
        assert_eq!((serving.most(), serving.dropped()), (3, 3));
        assert_eq!(serving.follow_claims(|_| Some(link), &limits), []);
        assert_eq!(served(&mut serving, 0, &log, &limits), (Vec::new(), Vec::new()), "undecided");
        serving
    };
    let all = (Vec::from([0, 1, 2, 1, 2]), Vec::from([(0, 3), (1, 3)]));
    let mut serving = claimed();
    assert_eq!(serving.follow_claims(|_| Some(claimant), &limits), []);
    assert_eq!(served(&mut serving, 0, &log, &limits), all, "it is the link");
    let mut serving = claimed();
    serving.ended(claimant, |_| true, &limits);
    assert_eq!(served(&mut serving, 0, &log, &limits), all, "the link stays");
    let mut serving = claimed();
    serving.ended(claimant, |_| false, &limits);
    assert_eq!(serving.follow_claims(|_| Some(claimant), &limits), []);
    assert_eq!(
        (serving.most(), served(&mut serving, 0, &log, &limits).0),
        (0, Vec::new()),
        "neither is left"
    );
    // What was asked for on the link before leaves no room.
    let mut serving = claimed();
    for tag in 7..9 {
        assert_eq!(serving.ask_range(peer(1), HERE, query(1, 2, tag), &limits), None);
    }
    let later = [0, 1].map(|tag| (peer(1), RangeEnd::new(tag, 1).unwrap()));
    assert_eq!(serving.follow_claims(|_| Some(claimant), &limits), later);
}
