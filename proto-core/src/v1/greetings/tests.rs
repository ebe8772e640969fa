use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

const HE: NodeId = NodeId::from_bytes([7; 16]);
const NOW: Instant = Instant::from_origin(Duration::from_secs(100));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn random() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([1; 32])
}

/// When he is greeted next, and does so.
fn greet(greetings: &mut Greetings, random: &mut ChaCha8Rng, limits: &Limits) -> Instant {
    let at = greetings.deadline().unwrap();
    assert_eq!(greetings.next_due(at, random, limits), Some(HE));
    assert_eq!(greetings.next_due(at, random, limits), None);
    at
}

#[test]
fn who_may_have_forgotten_us_is_greeted_at_longer_and_longer_intervals_and_then_as_ever() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, HE, random, &limits);
    assert!(greetings.deadline().unwrap() >= NOW + seconds(300), "there is no hurry");
    greetings.may_forget(NOW, HE, random, &limits);
    let mut before = NOW;
    for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let at = greet(&mut greetings, random, &limits);
        let most = if pause == 300 { 900 } else { 2 * pause };
        assert!(at >= before + seconds(pause) && at <= before + seconds(most), "{pause}");
        before = at;
    }
}

#[test]
fn peers_that_come_when_a_greeting_is_near_spare_it_and_those_that_answer_it_do_not() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, HE, random, &limits);
    greetings.may_forget(NOW, HE, random, &limits);
    let first = greetings.deadline();
    greetings.peers_received(NOW + seconds(1), HE, random, &limits);
    assert_eq!(greetings.deadline(), first, "he had not seen the end yet");
    greetings.peers_received(NOW + seconds(2), HE, random, &limits);
    let second = greetings.deadline().unwrap();
    assert!(second >= NOW + seconds(6) && second <= NOW + seconds(10));
}

#[test]
fn who_may_not_know_that_another_is_gone_is_asked_soon_and_again() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, HE, random, &limits);
    // One after the other is gone: that does not put the question off, nor do `PEERS` that know nothing of it yet.
    for fifth in 0..4 {
        let now = NOW + Duration::from_millis(200 * fifth);
        greetings.ask_soon(now, HE, random, &limits);
        greetings.peers_received(now + seconds(1), HE, random, &limits);
    }
    let at = greet(&mut greetings, random, &limits);
    assert!(at >= NOW + seconds(2) && at <= NOW + seconds(5), "{:?}", at.since(NOW));
    // It names the one that is gone still: it may have to speak to it to find out.
    let next = greet(&mut greetings, random, &limits);
    assert!(next >= at + seconds(4) && next <= at + seconds(8), "{:?}", next.since(at));
}

#[test]
fn each_that_is_gone_is_asked_after_in_time_and_again_however_many_went_before() {
    let (limits, random) = (Limits::default(), &mut random());
    for millis in (0..40_000).step_by(250) {
        let mut greetings = Greetings::default();
        greetings.peer_linked(NOW, HE, random, &limits);
        greetings.ask_soon(NOW, HE, random, &limits);
        let gone = NOW + Duration::from_millis(millis);
        while greetings.deadline().unwrap() <= gone {
            greet(&mut greetings, random, &limits);
        }
        greetings.ask_soon(gone, HE, random, &limits);
        let mut asked = [(); 3].map(|()| greet(&mut greetings, random, &limits));
        // One that is due just then comes as it would have.
        let early = asked[0] < gone + seconds(2);
        asked.rotate_left(usize::from(early));
        let most = if early { 6 } else { 4 };
        assert!(asked[0] >= gone + seconds(2) && asked[0] <= gone + seconds(most), "{millis}: {asked:?}");
        assert!(asked[1] <= asked[0] + seconds(8), "{millis}: {asked:?}");
    }
}

#[test]
fn a_greeting_that_is_put_off_comes_whatever_else_happens_and_changes_nothing_else() {
    let (limits, random) = (Limits::default(), &mut random());
    let until = NOW + Duration::from_millis(100);
    for forgets in [false, true] {
        let mut greetings = Greetings::default();
        greetings.postpone(HE, until);
        assert_eq!(greetings.deadline(), None, "it is not here");
        greetings.peer_linked(NOW, HE, random, &limits);
        if forgets {
            greetings.may_forget(NOW, HE, random, &limits);
        }
        let planned = greetings.deadline();
        greetings.postpone(HE, until);
        if forgets {
            greetings.may_forget(NOW, HE, random, &limits);
            greetings.peers_received(NOW, HE, random, &limits);
        }
        assert!(greetings.is_consistent());
        assert_eq!(greet(&mut greetings, random, &limits), until);
        assert_eq!(greetings.deadline(), planned);
        greetings.postpone(HE, until);
        greetings.peers_received(until, HE, random, &limits);
        assert_eq!(greet(&mut greetings, random, &limits), until, "`PEERS` do not spare it");
        greetings.postpone(HE, until);
        greetings.peer_unlinked(HE, &limits);
        assert_eq!(greetings.deadline(), None);
    }
}

#[test]
fn a_pause_longer_than_the_usual_one_starves_no_greeting() {
    let limits = Limits::default().with(|limits| limits.v1.greet_soon = seconds(500));
    let random = &mut random();
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, HE, random, &limits);
    for second in 0..1_000 {
        greetings.may_forget(NOW + seconds(second), HE, random, &limits);
    }
    assert!(greetings.deadline().unwrap() <= NOW + seconds(1_000));
}

#[test]
fn nobody_makes_us_greet_without_end_by_taking_his_id() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, HE, random, &limits);
    let mut count = 0;
    for tenth in 0..6_000 {
        let now = NOW + Duration::from_millis(100 * tenth);
        greetings.may_forget(now, HE, random, &limits);
        count += usize::from(greetings.next_due(now, random, &limits).is_some());
    }
    assert!((40..=100).contains(&count), "{count} greetings in ten minutes");
}

#[test]
fn as_many_as_can_be_here_are_known_to_have_been_here() {
    let limits = Limits::default().with(|limits| limits.conns.slots = 3);
    let random = &mut random();
    let mut greetings = Greetings::default();
    let id = |n| NodeId::from_bytes([n; 16]);
    (1..=3).for_each(|n| greetings.peer_linked(NOW, id(n), random, &limits));
    (1..=3).for_each(|n| greetings.peer_unlinked(id(n), &limits));
    greetings.peer_unlinked(id(9), &limits);
    // Turned away before it was here.
    greetings.may_forget(NOW, id(4), random, &limits);
    for (n, was_here) in [(1, false), (2, true), (4, true), (9, false)] {
        greetings.peer_linked(NOW, id(n), random, &limits);
        assert_eq!(greetings.deadline().unwrap() <= NOW + seconds(4), was_here, "{n}");
        assert!(greetings.is_consistent());
        greetings.plans.clear();
    }
}
