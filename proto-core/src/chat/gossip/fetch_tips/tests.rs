use core::time::Duration;

use rand_core::Rng;

use super::*;
use crate::chat::testing::{at, entry_id as id, generator, peer};

#[test]
fn a_bounded_number_is_requested_at_a_time_in_order() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..400).map(id), &limits);
    let mut frames = Vec::new();
    assert!(fetch.next_graft(at(149), &limits).is_none(), "it may come by itself");
    while let Some((_, ids)) = fetch.next_graft(at(150), &limits) {
        frames.push(ids);
    }
    let asked = frames.concat();
    assert_eq!((asked.len(), frames.len()), (limits.chat.requested, limits.chat.requested / MAX_GRAFT));
    assert!(asked.iter().copied().eq((0..256).map(id)));
    for n in 0..64 {
        assert!(fetch.next_graft(at(151), &limits).is_none());
        assert!(fetch.is_requested(peer(1), &id(n)) && fetch.complete(at(151), Some(peer(1)), &id(n)).0);
    }
    let (_, next) = fetch.next_graft(at(151), &limits).unwrap();
    assert!(next.iter().copied().eq((256..320).map(id)));
    assert!(!fetch.complete(at(151), Some(peer(1)), &id(399)).0, "it came before it was requested");
    assert!(!fetch.complete(at(151), Some(peer(1)), &id(0)).0, "it is no longer missing");
    assert!(fetch.is_consistent());
}

#[test]
fn entries_that_do_not_come_are_left_to_another_reconciliation() {
    let limits = Limits::default().with(|limits| limits.chat.requested = 2);
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..6).map(id), &limits);
    fetch.add(at(0), peer(2), (3..8).map(id), &limits);
    let ids = |range: core::ops::Range<u16>| range.map(id).collect::<Vec<_>>();
    assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), ids(0..2))));
    assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(2), ids(6..8))));
    assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for));
    assert!(fetch.unlinked(at(150), peer(2)) && !fetch.unlinked(at(150), peer(2)));
    assert!(fetch.complete(at(151), Some(peer(1)), &id(0)).0);
    let over = at(151) + limits.chat.asked_for;
    assert_eq!(fetch.deadline(&limits), Some(over), "an entry that comes extends the time for the others");
    assert!(fetch.expire(over, &limits), "one of two requests");
    assert_eq!(fetch.next_graft(over, &limits), Some((peer(1), ids(2..4))));
    assert!(fetch.is_consistent());
    let over = over + limits.chat.asked_for;
    assert!(fetch.expire(over, &limits), "nothing came since, so all the rest expires");
    assert!(fetch.queues.is_empty() && fetch.source.is_empty());
    assert!(fetch.deadline(&limits).is_none() && !fetch.expire(over, &limits));
}

#[test]
fn a_slow_neighbour_is_waited_for_while_entries_come_but_not_without_end() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..128).map(id), &limits);
    while fetch.next_graft(at(150), &limits).is_some() {}
    let pause = limits.chat.asked_for - Duration::from_millis(1);
    let end = at(150) + limits.chat.asked_for * MAX_WAIT_ANSWERING;
    let mut now = at(150);
    for n in 1..128 {
        now = now + pause;
        if now >= end {
            break;
        }
        assert!(!fetch.expire(now, &limits), "entry {n}");
        assert!(fetch.complete(now, Some(peer(1)), &id(n)).0);
        assert_eq!(fetch.deadline(&limits), Some((now + limits.chat.asked_for).min(end)));
    }
    assert!(fetch.expire(end, &limits), "the neighbour withholds entry 0");
    assert!(!fetch.is_requested(peer(1), &id(0)));
}

#[test]
fn what_others_send_does_not_extend_the_time() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..2).map(id), &limits);
    while fetch.next_graft(at(150), &limits).is_some() {}
    assert!(fetch.complete(at(5000), Some(peer(2)), &id(0)).0);
    fetch.heard(at(6000), peer(2));
    assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for));
}

#[test]
fn other_entries_ahead_of_the_answer_extend_the_time_a_little() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..2).map(id), &limits);
    while fetch.next_graft(at(150), &limits).is_some() {}
    fetch.heard(at(5000), peer(1));
    assert_eq!(fetch.deadline(&limits), Some(at(5000) + limits.chat.asked_for));
    fetch.heard(at(500_000), peer(1));
    assert_eq!(fetch.deadline(&limits), Some(at(150) + limits.chat.asked_for * MAX_WAIT_BUSY));
}

#[test]
fn a_tip_that_does_not_come_is_requested_from_another_that_showed_it() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    // The first one is shown by the one alone, who sends something all the time.
    fetch.add(at(0), peer(1), (0..3).map(id), &limits);
    fetch.add(at(0), peer(2), [id(1), id(2)], &limits);
    assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), (0..3).map(id).collect())));
    fetch.heard(at(9_000), peer(1));
    assert_eq!(fetch.deadline(&limits), Some(at(10_150)));
    assert!(!fetch.expire(at(10_149), &limits));
    // What it brings extends the time for a while.
    assert!(fetch.complete(at(10_149), Some(peer(1)), &id(1)).0);
    fetch.heard(at(20_000), peer(1));
    assert_eq!(fetch.deadline(&limits), Some(at(20_149)), "but not what else it sends");
    assert!(!fetch.expire(at(20_149), &limits), "another one showed it");
    assert_eq!(fetch.next_graft(at(20_149), &limits), Some((peer(2), vec![id(2)])));
    assert!(fetch.is_requested(peer(1), &id(0)) && fetch.is_consistent());
    assert!(fetch.unlinked(at(20_149), peer(2)), "nobody else showed it");
    assert!(!fetch.is_queued(peer(2), &id(2)) && fetch.is_consistent());
}

#[test]
fn a_tip_that_a_neighbour_denies_is_requested_from_another() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    for n in 1..4 {
        fetch.add(at(0), peer(n), [id(1)], &limits);
    }
    assert_eq!(fetch.next_graft(at(150), &limits), Some((peer(1), vec![id(1)])));
    fetch.asked_in_vain(at(200), peer(2), &id(1));
    fetch.asked_in_vain(at(200), peer(1), &id(1));
    assert_eq!(fetch.next_graft(at(200), &limits), Some((peer(3), vec![id(1)])));
    fetch.asked_in_vain(at(300), peer(3), &id(1));
    assert!(fetch.source.is_empty() && fetch.queues.is_empty());
}

#[test]
fn what_a_neighbour_that_is_gone_was_to_send_is_requested_from_others() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    for n in 1..4 {
        fetch.add(at(0), peer(n), (0..3).map(id), &limits);
    }
    assert!(!fetch.unlinked(at(10), peer(2)) && !fetch.unlinked(at(10), peer(1)));
    assert_eq!(fetch.next_graft(at(10), &limits), Some((peer(3), (0..3).map(id).collect())));
    assert!(fetch.is_consistent());
    assert!(fetch.unlinked(at(10), peer(3)));
}

#[test]
fn who_else_showed_a_tip_is_known_when_it_comes() {
    let limits = Limits::default();
    let mut fetch = TipFetch::default();
    for n in [1, 2, 1, 3, 2] {
        fetch.add(at(0), peer(n), [id(1)], &limits);
    }
    assert!(fetch.is_queued(peer(1), &id(1)) && !fetch.is_queued(peer(2), &id(1)));
    assert_eq!(fetch.complete(at(1), Some(peer(1)), &id(1)), (false, [peer(2), peer(3)].into()));
    assert_eq!(fetch.complete(at(1), Some(peer(1)), &id(1)), (false, vec![]));
}

#[test]
fn the_longest_queue_makes_room() {
    let limits = Limits::default().with(|limits| limits.chat.fetching = 8);
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..20).map(id), &limits);
    assert_eq!((fetch.source.len(), fetch.dropped()), (8, 12));
    fetch.add(at(0), peer(2), (20..40).map(id), &limits);
    assert_eq!(fetch.dropped(), 12 + 20, "four of the one and all but four of the other");
    assert_eq!(fetch.queues.values().map(|queue| queue.queued.len()).collect::<Vec<_>>(), [4, 4]);
    assert!(fetch.queues[&peer(1)].queued.keys().copied().eq((0..4).map(id)), "the first entries stay");
    assert!(fetch.is_consistent());
}

/// Two neighbours showed the first `shared` tips, and the first one alone showed ten more. It was asked at 150 ms.
fn shown_by_two(shared: u16, limits: &Limits) -> TipFetch {
    let mut fetch = TipFetch::default();
    fetch.add(at(0), peer(1), (0..shared).map(id), limits);
    fetch.add(at(0), peer(1), (5000..5010).map(id), limits);
    fetch.add(at(0), peer(2), (0..shared).map(id), limits);
    while fetch.next_graft(at(150), limits).is_some() {}
    assert!(fetch.is_consistent());
    fetch
}

fn queue_of(fetch: &TipFetch, n: u8) -> Vec<EntryId> {
    let queue = fetch.queues.get(&peer(n));
    queue.map_or(vec![], |queue| queue.requested.keys().chain(queue.queued.keys()).copied().collect())
}

#[test]
fn who_brings_one_tip_at_a_time_holds_up_what_others_showed_for_a_minute() {
    let limits = Limits::default();
    let mut fetch = shown_by_two(2000, &limits);
    for n in 1..=6 {
        assert!(!fetch.expire(at(n * 9_000), &limits));
        assert!(fetch.complete(at(n * 9_000), Some(peer(1)), &id(n as u16)).0);
    }
    assert!(!fetch.expire(at(60_149), &limits));
    assert_eq!(fetch.deadline(&limits), Some(at(60_150)));
    assert!(!fetch.expire(at(60_150), &limits));
    let left: Vec<_> = [0].into_iter().chain(7..2000).map(id).collect();
    assert!(queue_of(&fetch, 2) == left, "in the same order");
    assert!(queue_of(&fetch, 1).into_iter().eq((5000..5010).map(id)));
    assert!(fetch.is_consistent());
}

#[test]
fn once_a_shared_tip_expires_another_is_asked_for_the_queue_too() {
    let limits = Limits::default();
    let mut fetch = shown_by_two(400, &limits);
    assert!(fetch.complete(at(1_000), Some(peer(1)), &id(0)).0);
    assert!(!fetch.expire(at(11_000), &limits), "what nobody else showed stays, since something came");
    assert!(queue_of(&fetch, 2).into_iter().eq((1..400).map(id)));
    assert!(queue_of(&fetch, 1).into_iter().eq((5000..5010).map(id)));
    // The first one was not asked for all of it, so it is still asked when the second one is late.
    while fetch.next_graft(at(11_000), &limits).is_some() {}
    assert!(fetch.complete(at(11_001), Some(peer(2)), &id(1)).0);
    assert!(fetch.expire(at(21_001), &limits), "nobody else is left for what both did not bring");
    assert!(queue_of(&fetch, 1).into_iter().eq((257..400).map(id)), "the others expired, too");
    assert!(fetch.is_consistent());
}

#[test]
fn a_tip_that_others_showed_waits_a_minute_for_one_that_brings_all_that_is_requested() {
    let limits = Limits::default();
    let mut fetch = shown_by_two(2000, &limits);
    for n in 0..150 {
        assert!(fetch.complete(at(1_000 + u64::from(n) * 390), Some(peer(1)), &id(n)).0);
    }
    while fetch.next_graft(at(59_200), &limits).is_some() {}
    let requested = fetch.queues[&peer(1)].requested.len();
    assert_eq!(requested, 256 - 150 + 128);
    // What came makes room for two more frames. What was requested first is late, and what waits has waited as long.
    assert!(!fetch.expire(at(60_149), &limits));
    (150..256).for_each(|n| assert!(fetch.complete(at(60_149), Some(peer(1)), &id(n)).0));
    assert_eq!(fetch.deadline(&limits), Some(at(150)), "two more frames are due");
    assert!(!fetch.expire(at(60_150), &limits));
    assert!(queue_of(&fetch, 2).into_iter().eq((384..2000).map(id)));
    let left: Vec<_> = (256..384).chain(5000..5010).map(id).collect();
    assert_eq!(queue_of(&fetch, 1), left, "requests that are not late stay");
    assert!(fetch.is_consistent());
}

#[test]
fn tips_of_two_that_are_late_at_once_change_places() {
    let limits = Limits::default().with(|limits| limits.chat.requested = 2);
    let mut fetch = TipFetch::default();
    for (first, second, ids) in [(1, 2, 0..5), (2, 1, 5..10)] {
        fetch.add(at(0), peer(first), ids.clone().map(id), &limits);
        fetch.add(at(0), peer(second), ids.map(id), &limits);
    }
    while fetch.next_graft(at(150), &limits).is_some() {}
    for n in [0, 5] {
        let from = if n == 0 { peer(1) } else { peer(2) };
        assert!(fetch.complete(at(151), Some(from), &id(n)).0);
    }
    assert!(!fetch.expire(at(10_151), &limits));
    assert_eq!(queue_of(&fetch, 1), [6, 7, 8, 9].map(id));
    assert_eq!(queue_of(&fetch, 2), [1, 2, 3, 4].map(id));
    assert!(fetch.is_consistent());
}

/// The deadline of everything that is requested or waits, each looked at alone.
fn slow_deadline(fetch: &TipFetch, limits: &Limits) -> Option<Instant> {
    let is_shared = |id: &EntryId| !fetch.source[id].others.is_empty();
    let of = |queue: &PeerQueue| {
        let requested =
            queue.requested.iter().map(|tip| queue.expires_at(tip.at, is_shared(&tip.id), limits));
        let queued =
            queue.queued.iter().filter(|tip| is_shared(&tip.id)).map(|tip| wait_ends(tip.at, limits));
        requested.chain(queued).chain(queue.ready_at(limits)).min()
    };
    fetch.queues.values().filter_map(of).min()
}

#[test]
fn the_indexes_follow_whatever_happens() {
    let limits = Limits::default().with(|limits| {
        (limits.chat.requested, limits.chat.fetching, limits.chat.announcers) = (8, 60, 3);
    });
    let mut random = generator();
    let mut fetch = TipFetch::default();
    let mut now = at(0);
    let (mut shared, mut alone) = (0, 0);
    for _ in 0..20_000 {
        let mut below = |most: u32| random.next_u32() % most;
        now = now + Duration::from_millis(below(3_000).into());
        let (from, tip) = (peer(1 + below(5) as u8), id(below(100) as u16));
        match below(12) {
            0..3 => {
                let first = below(80) as u16;
                fetch.add(now, from, (first..first + 20).map(id), &limits);
            }
            3 => fetch.heard(now, from),
            4..7 => drop(fetch.complete(now, Some(from), &tip)),
            7 => fetch.asked_in_vain(now, from, &tip),
            8 if below(5) == 0 => drop(fetch.unlinked(now, from)),
            9 => alone += u32::from(fetch.expire(now, &limits)),
            _ => while fetch.next_graft(now, &limits).is_some() {},
        }
        assert!(fetch.is_consistent());
        assert_eq!(fetch.deadline(&limits), slow_deadline(&fetch, &limits));
        shared += fetch.source.values().filter(|source| !source.others.is_empty()).count();
    }
    assert!(shared > 20_000 && alone > 10, "{shared} {alone}");
}
