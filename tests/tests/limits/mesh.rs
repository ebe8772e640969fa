//! Neighbours, and who is kept out.

use std::time::Duration;

use proto_core::Limits;

use crate::solo::{HERE, SECOND, Solo, around, solo, up_to};

/// So many malformed frames.
fn break_rules(solo: &mut Solo, conn: usize, times: usize) {
    solo.receive(conn, &"PING|\n".repeat(times));
}

#[test]
fn links_to_peers_with_a_key() {
    let limit = Limits::default().mesh.degree_high;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        (0..count).for_each(|conn| solo.link(conn));
        assert_eq!(solo.peers(), count.min(limit));
        assert_eq!(solo.stats().turned_away as usize, count.saturating_sub(limit));
    }
}

#[test]
fn a_newcomer_without_links_takes_anothers_place_so_often() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    (0..limits.mesh.degree_high).for_each(|conn| solo.link(conn));
    solo.link_as(50, HERE, 50, 0);
    assert_eq!((solo.stats().displaced, solo.stats().turned_away), (1, 0));
    for (at, let_in) in up_to(limits.mesh.displace_every) {
        solo.at(at);
        let conn = 60 + usize::from(let_in);
        solo.link_as(conn, HERE, conn, 0);
        assert_eq!((solo.stats().displaced, solo.stats().turned_away), (1 + u64::from(let_in), 1));
    }
    assert_eq!(solo.peers(), limits.mesh.degree_high);
}

#[test]
fn who_has_few_links_takes_the_place_of_who_has_more_than_it_needs() {
    let limits = Limits::default();
    for links in around(limits.mesh.degree_low) {
        for theirs in around(limits.mesh.degree_target) {
            let mut solo = solo(limits.clone());
            (0..limits.mesh.degree_high).for_each(|conn| solo.link_as(conn, HERE, conn, theirs));
            solo.link_as(50, HERE, 50, links);
            let displaced = u64::from(links < limits.mesh.degree_low && theirs > limits.mesh.degree_target);
            assert_eq!((solo.stats().displaced, solo.stats().turned_away), (displaced, 1 - displaced));
        }
    }
}

#[test]
fn malformed_frames_that_cut_a_peer() {
    let limit = Limits::default().conns.malformed;
    for count in around(limit) {
        let mut solo = solo(Limits::default());
        solo.link(0);
        break_rules(&mut solo, 0, count);
        assert_eq!(solo.peers() == 0, count >= limit, "{count}");
        // The last of them is reported as what it is.
        let stats = solo.stats();
        assert_eq!(
            (stats.malformed as usize, stats.violations as usize),
            (count.min(limit - 1), count.min(limit))
        );
    }
}

#[test]
fn malformed_frames_within_some_time() {
    let limits = Limits::default();
    for (at, old) in up_to(limits.conns.malformed_window) {
        let mut solo = solo(limits.clone());
        solo.link(0);
        break_rules(&mut solo, 0, limits.conns.malformed - 1);
        solo.at(at);
        break_rules(&mut solo, 0, 1);
        assert_eq!(
            (solo.peers(), solo.stats().violations),
            (usize::from(old), limits.conns.malformed as u64)
        );
    }
}

#[test]
fn who_was_cut_is_kept_out_so_long() {
    let limits = Limits::default();
    for (time, let_in) in up_to(limits.mesh.ban) {
        let mut solo = solo(limits.clone());
        solo.link(0);
        break_rules(&mut solo, 0, limits.conns.malformed);
        solo.close(0);
        solo.at(time);
        solo.link_as(1, HERE, 0, 9);
        assert_eq!((solo.peers() == 1, solo.stats().banned), (let_in, u64::from(!let_in)));
    }
}

#[test]
fn so_many_are_kept_out() {
    let limits = Limits::default().with(|limits| limits.mesh.banned = 3);
    for count in around(limits.mesh.banned) {
        let mut solo = solo(limits.clone());
        for peer in 0..count {
            solo.link(peer);
            break_rules(&mut solo, peer, limits.conns.malformed);
            solo.close(peer);
            solo.now = solo.now + Duration::from_millis(1);
        }
        for peer in 0..count {
            solo.link_as(50 + peer, HERE, peer, 9);
        }
        assert_eq!((solo.peers(), solo.stats().banned as usize), (count.saturating_sub(3), count.min(3)));
    }
}

#[test]
fn peers_that_a_neighbour_is_told_of_now_and_again() {
    let limits = Limits::default().with(|limits| {
        limits.mesh.refresh_peers = 3;
        limits.conns.ping_answer = 3_600 * SECOND;
    });
    for others in around(limits.mesh.refresh_peers) {
        let mut solo = solo(limits.clone());
        (0..=others).for_each(|conn| solo.link(conn));
        solo.pass(SECOND, others + 1);
        solo.actions.clear();
        for _ in 0..30 {
            solo.pass(10 * SECOND, others + 1);
            (0..=others).for_each(|conn| solo.receive(conn, "\n"));
        }
        let told: Vec<_> = (0..=others).map(|conn| solo.sent(conn)).collect();
        let told = told.iter().flat_map(|said| said.lines()).filter(|line| line.starts_with("PEERS|"));
        let told: Vec<_> = told.map(|line| line.matches("node_id").count()).collect();
        assert!(!told.is_empty() && told.iter().all(|count| *count == others.min(3)), "{told:?}");
    }
}
