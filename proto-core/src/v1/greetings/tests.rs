use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

const PEER: NodeId = NodeId::from_bytes([7; 16]);
const NOW: Instant = Instant::from_origin(Duration::from_secs(100));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn random() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([1; 32])
}

/// Greets the peer when it is due. When that was.
fn greet(greetings: &mut Greetings, random: &mut ChaCha8Rng, limits: &Limits) -> Instant {
    let at = greetings.deadline().unwrap();
    assert_eq!(greetings.next_due(at, random, limits), Some(PEER));
    assert_eq!(greetings.next_due(at, random, limits), None);
    at
}

#[test]
fn a_peer_that_may_have_forgotten_us_is_greeted_at_doubling_intervals_up_to_the_usual_one() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, (PEER, None), random, &limits);
    assert!(greetings.deadline().unwrap() >= NOW + seconds(300), "no series has begun");
    greetings.may_forget(NOW, PEER, random, &limits);
    let mut before = NOW;
    for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let at = greet(&mut greetings, random, &limits);
        let most = if pause == 300 { 900 } else { 2 * pause };
        assert!(at >= before + seconds(pause) && at <= before + seconds(most), "{pause}");
        before = at;
    }
}

#[test]
fn a_peers_frame_counts_as_a_greeting_from_the_lower_bound_of_the_pause_on() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, (PEER, None), random, &limits);
    greetings.may_forget(NOW, PEER, random, &limits);
    let first = greetings.deadline();
    greetings.peers_received(NOW + seconds(1), PEER, random, &limits);
    assert_eq!(greetings.deadline(), first, "the peer may not have seen the end yet");
    greetings.peers_received(NOW + seconds(2), PEER, random, &limits);
    let second = greetings.deadline().unwrap();
    assert!(second >= NOW + seconds(6) && second <= NOW + seconds(10));
}

#[test]
fn a_peer_that_may_name_a_node_that_left_is_greeted_soon_and_again() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, (PEER, None), random, &limits);
    // Further nodes that leave do not delay the greeting, nor do `PEERS` that come too early.
    for fifth in 0..4 {
        let now = NOW + Duration::from_millis(200 * fifth);
        greetings.ask_soon(now, PEER, random, &limits);
        greetings.peers_received(now + seconds(1), PEER, random, &limits);
    }
    let at = greet(&mut greetings, random, &limits);
    assert!(at >= NOW + seconds(2) && at <= NOW + seconds(5), "{:?}", at.since(NOW));
    // It may still name the node that left: it may find out only when it sends to it.
    let next = greet(&mut greetings, random, &limits);
    assert!(next >= at + seconds(4) && next <= at + seconds(8), "{:?}", next.since(at));
}

#[test]
fn each_node_that_leaves_causes_greetings_in_time_however_many_left_before() {
    let (limits, random) = (Limits::default(), &mut random());
    for millis in (0..40_000).step_by(250) {
        let mut greetings = Greetings::default();
        greetings.peer_linked(NOW, (PEER, None), random, &limits);
        greetings.ask_soon(NOW, PEER, random, &limits);
        let gone = NOW + Duration::from_millis(millis);
        while greetings.deadline().unwrap() <= gone {
            greet(&mut greetings, random, &limits);
        }
        greetings.ask_soon(gone, PEER, random, &limits);
        let mut asked = [(); 3].map(|()| greet(&mut greetings, random, &limits));
        // A greeting that was due soon comes at its time.
        let early = asked[0] < gone + seconds(2);
        asked.rotate_left(usize::from(early));
        let most = if early { 6 } else { 4 };
        assert!(asked[0] >= gone + seconds(2) && asked[0] <= gone + seconds(most), "{millis}: {asked:?}");
        assert!(asked[1] <= asked[0] + seconds(8), "{millis}: {asked:?}");
    }
}

#[test]
fn a_postponed_greeting_comes_in_any_case_and_changes_no_other() {
    let (limits, random) = (Limits::default(), &mut random());
    let until = NOW + Duration::from_millis(100);
    for forgets in [false, true] {
        let mut greetings = Greetings::default();
        greetings.postpone(PEER, until);
        assert_eq!(greetings.deadline(), None, "it is not linked");
        greetings.peer_linked(NOW, (PEER, None), random, &limits);
        if forgets {
            greetings.may_forget(NOW, PEER, random, &limits);
        }
        let planned = greetings.deadline();
        greetings.postpone(PEER, until);
        if forgets {
            greetings.may_forget(NOW, PEER, random, &limits);
            greetings.peers_received(NOW, PEER, random, &limits);
        }
        assert!(greetings.is_consistent());
        assert_eq!(greet(&mut greetings, random, &limits), until);
        assert_eq!(greetings.deadline(), planned);
        greetings.postpone(PEER, until);
        greetings.peers_received(until, PEER, random, &limits);
        assert_eq!(greet(&mut greetings, random, &limits), until, "`PEERS` do not replace it");
        greetings.postpone(PEER, until);
        greetings.peer_unlinked(PEER, &limits);
        assert_eq!(greetings.deadline(), None);
    }
}

#[test]
fn a_pause_longer_than_the_usual_interval_delays_no_greeting() {
    let limits = Limits::default().with(|limits| limits.v1.greet_soon = seconds(500));
    let random = &mut random();
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, (PEER, None), random, &limits);
    for second in 0..1_000 {
        greetings.may_forget(NOW + seconds(second), PEER, random, &limits);
    }
    assert!(greetings.deadline().unwrap() <= NOW + seconds(1_000));
}

#[test]
fn repeated_claims_to_an_id_cause_a_bounded_number_of_greetings() {
    let (limits, random) = (Limits::default(), &mut random());
    let mut greetings = Greetings::default();
    greetings.peer_linked(NOW, (PEER, None), random, &limits);
    let mut count = 0;
    for tenth in 0..6_000 {
        let now = NOW + Duration::from_millis(100 * tenth);
        greetings.may_forget(now, PEER, random, &limits);
        count += usize::from(greetings.next_due(now, random, &limits).is_some());
    }
    assert!((40..=100).contains(&count), "{count} greetings in ten minutes");
}

#[test]
fn departed_peers_are_remembered_up_to_the_number_of_connection_slots() {
    let limits = Limits::default().with(|limits| limits.conns.slots = 3);
    let random = &mut random();
    let mut greetings = Greetings::default();
    let id = |n| NodeId::from_bytes([n; 16]);
    (1..=3).for_each(|n| greetings.peer_linked(NOW, (id(n), None), random, &limits));
    (1..=3).for_each(|n| greetings.peer_unlinked(id(n), &limits));
    greetings.peer_unlinked(id(9), &limits);
    // It was turned away before it was linked.
    greetings.may_forget(NOW, id(4), random, &limits);
    for (n, was_known) in [(1, false), (2, true), (4, true), (9, false)] {
        greetings.peer_linked(NOW, (id(n), None), random, &limits);
        assert_eq!(greetings.deadline().unwrap() <= NOW + seconds(4), was_known, "{n}");
        assert!(greetings.is_consistent());
        greetings.plans.clear();
    }
}

#[test]
fn a_peer_at_an_address_that_was_dialed_in_vain_is_greeted_soon() {
    let (limits, random) = (Limits::default(), &mut random());
    let addr = SocketAddr::from(([192, 0, 2, 7], 8080));
    let mut greetings = Greetings::default();
    for (dialed, linked, soon) in [(addr, Some(addr), true), (addr, None, false)] {
        greetings.dialed_in_vain(dialed, &limits);
        greetings.peer_linked(NOW, (PEER, linked), random, &limits);
        assert_eq!(greetings.deadline().unwrap() <= NOW + seconds(4), soon);
        greetings.peer_unlinked(PEER, &limits);
        greetings.departed.remove(&Departed::Peer(PEER));
    }
    assert_eq!(greetings.departed(), 1);
    assert!(greetings.is_consistent());
}

#[test]
fn addresses_give_way_to_peers_that_were_here() {
    let limits = Limits::default().with(|limits| limits.conns.slots = 3);
    let mut greetings = Greetings::default();
    let id = |n| NodeId::from_bytes([n; 16]);
    (1..=2).for_each(|n| greetings.may_forget(NOW, id(n), &mut random(), &limits));
    for port in 1..=9 {
        greetings.dialed_in_vain(SocketAddr::from(([192, 0, 2, 7], port)), &limits);
    }
    greetings.may_forget(NOW, id(3), &mut random(), &limits);
    let peers: Vec<_> = (1..=3).map(|n| Departed::Peer(id(n))).collect();
    assert_eq!(greetings.departed.keys().copied().collect::<Vec<_>>(), peers);
    // The newest address stays where there is room for one.
    greetings.departed.remove(&peers[0]);
    [1, 2]
        .into_iter()
        .for_each(|port| greetings.dialed_in_vain(SocketAddr::from(([192, 0, 2, 7], port)), &limits));
    let newest = Departed::At(SocketAddr::from(([192, 0, 2, 7], 2)));
    assert!(greetings.departed.keys().any(|who| *who == newest));
}
