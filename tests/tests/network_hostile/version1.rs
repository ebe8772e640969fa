//! Version 1 peers whose connections come, go and overlap.

use proto_core::{ConnId, Violation};
use tests::sim::HostId;
use tests::sim::harness::Harness;

use crate::{EVE, SECOND, join_as_eve, join_v1, pair};

/// A version 1 peer connects to a host and joins.
fn join_as_old(net: &mut Harness, old: HostId, host: HostId) -> ConnId {
    let conn = net.connect(old, host);
    net.send(conn, join_v1(EVE, net.addr(old)));
    net.run_for(SECOND);
    conn
}

#[test]
fn a_version_1_peer_may_have_its_own_link_and_ours_and_no_third() {
    let (mut net, alice, _, old) = pair(13);
    let addr = net.addr(old);
    let inbound = join_as_old(&mut net, old, alice);
    net.command(alice, proto_core::Command::Connect(addr.into())).unwrap();
    net.run_for(SECOND);
    let ours = *net.raw_peer(old).conns().last().unwrap();
    assert_ne!(ours, inbound);
    net.send(ours, join_v1(EVE, addr));
    net.run_for(SECOND);
    let third = net.connect(old, alice);
    net.send(third, join_v1(EVE, addr));
    net.send(inbound, "MSG|on mine\n");
    net.send(ours, "MSG|on yours\n");
    net.run_for(SECOND);
    let mut heard = net.heard(alice);
    heard.sort();
    assert_eq!(heard, ["Old: on mine", "Old: on yours"]);
    net.say(alice, "to the later");
    net.run_for(SECOND);
    assert!(net.received(old, ours).ends_with("MSG|to the later\n"));
    assert!(!net.received(old, inbound).contains("MSG|"));
    assert_eq!(net.transcript(alice).violations, [Violation::ClaimsPeersId]);
    // With any connection it forgets us: it is greeted again on the one that is written to.
    let greetings = |net: &Harness, conn| net.received(old, conn).matches("JOIN|").count();
    assert!(net.run_until(4 * SECOND, |net| greetings(net, ours) == 2), "it was hung up on with the third");
    net.close(ours);
    assert!(net.run_until(8 * SECOND, |net| greetings(net, inbound) == 2));
    net.run_for(SECOND);
    assert_eq!(net.peer_names(alice).len(), 2);
    assert!(!net.received(old, inbound).contains("PING|") && !net.received(old, inbound).contains("BYE|"));
    net.say(alice, "to the other");
    net.run_for(SECOND);
    assert!(net.received(old, inbound).ends_with("MSG|to the other\n"));
}

#[test]
fn a_version_1_peer_that_says_nothing_is_greeted_every_five_to_fifteen_minutes() {
    let (mut net, alice, _, old) = pair(17);
    let conn = join_as_old(&mut net, old, alice);
    let greetings = |net: &Harness| net.received(old, conn).matches("JOIN|").count();
    for (count, says_peers) in [(1, false), (2, true), (3, false)] {
        assert_eq!(greetings(&net), count);
        net.run_for(295 * SECOND);
        assert_eq!(greetings(&net), count);
        if says_peers {
            // It is linked to us still.
            for _ in 0..4 {
                net.send(conn, "PEERS|\n");
                net.run_for(295 * SECOND);
                assert_eq!(greetings(&net), count);
            }
        }
        assert!(net.run_until(620 * SECOND, |net| greetings(net) > count));
    }
}

#[test]
fn a_version_1_peer_that_names_who_has_left_is_asked_in_time_and_again() {
    let (mut net, alice, bob, old) = pair(20);
    let (teller, other) = if net.id(alice) < net.id(bob) { (alice, bob) } else { (bob, alice) };
    let links = [teller, other].map(|node| {
        let conn = net.connect(old, node);
        net.send(conn, join_v1(EVE, net.addr(old)));
        conn
    });
    net.run_for(SECOND);
    let record = |id: proto_core::NodeId| format!("{{\"node_id\":\"{id}\"}}");
    let named = [teller, other].map(|node| record(net.id(node))).join(";");
    links.iter().for_each(|conn| net.send(*conn, format!("PEERS|{named}\n")));
    net.run_for(10 * SECOND);
    let greetings = |net: &Harness| net.received(old, links[1]).matches("JOIN|").count();
    assert_eq!(greetings(&net), 1);
    net.command(teller, proto_core::Command::Shutdown).unwrap();
    net.run_for(SECOND / 5);
    // It has not seen that end yet, and will not until it speaks to it.
    net.send(links[1], format!("PEERS|{named}\n"));
    for (count, most) in [(2, 4), (3, 8), (4, 16)] {
        assert!(net.run_until(most * SECOND, |net| greetings(net) == count), "{count}");
        net.send(links[1], format!("PEERS|{named}\n"));
    }
}

#[test]
fn a_version_1_peer_loses_nothing_when_we_take_another_name_and_yet_another() {
    let (mut net, alice, _, old) = pair(18);
    let conn = join_as_old(&mut net, old, alice);
    let greetings = |net: &Harness| net.received(old, conn).matches("JOIN|").count();
    net.command(alice, proto_core::Command::Rename("Alicia".parse().unwrap())).unwrap();
    net.say(alice, "call me Alicia");
    net.command(alice, proto_core::Command::Rename("Alison".parse().unwrap())).unwrap();
    net.say(alice, "or Alison");
    net.run_for(SECOND / 20);
    assert_eq!(greetings(&net), 2);
    assert!(!net.received(old, conn).contains("MSG|"), "it would lose it");
    net.run_for(SECOND);
    let got = net.received(old, conn).to_owned();
    let after: Vec<_> = got.split("JOIN|").collect();
    let [.., alicia, alison] = after[..] else { panic!("{got}") };
    assert!(alicia.contains("Alicia") && alicia.contains("\nPEERS|"), "{alicia}");
    assert!(alicia.ends_with("MSG|call me Alicia\nMSG|or Alison\n"), "{alicia}");
    assert!(alison.contains("Alison") && alison.contains("\nPEERS|"), "{alison}");
}

#[test]
fn a_newcomer_whose_claim_is_not_settled_is_told_our_new_name_too() {
    let (mut net, alice, _, eve) = pair(19);
    let old = net.add_raw_peer();
    let holder = join_as_eve(&mut net, eve, alice);
    let newcomer = join_as_old(&mut net, old, alice);
    net.command(alice, proto_core::Command::Rename("Alicia".parse().unwrap())).unwrap();
    net.run_for(SECOND);
    for (raw_peer, conn) in [(eve, holder), (old, newcomer)] {
        assert!(net.received(raw_peer, conn).contains("Alicia"));
    }
}

#[test]
fn a_stranger_with_the_id_of_a_version_1_peer_does_not_cut_it_by_hanging_up() {
    let (mut net, alice, _, old) = pair(15);
    let stranger = net.add_raw_peer();
    let addr = net.addr(old);
    net.command(alice, proto_core::Command::Connect(addr.into())).unwrap();
    net.run_for(SECOND);
    let ours = *net.raw_peer(old).conns().last().unwrap();
    net.send(ours, join_v1(EVE, addr));
    net.run_for(SECOND);
    let theirs = join_as_old(&mut net, stranger, alice);
    net.close(theirs);
    // Nobody can know that it was a stranger, whose end the peer knows nothing of.
    net.run_for(4 * SECOND);
    assert_eq!(net.received(old, ours).matches("JOIN|").count(), 2);
    net.say(alice, "still here");
    net.run_for(SECOND);
    assert!(net.received(old, ours).ends_with("MSG|still here\n"));
    // However often it comes, the peer is greeted no more often.
    for _ in 0..100 {
        let again = net.connect(stranger, alice);
        net.send(again, join_v1(EVE, addr));
        net.run_for(SECOND / 20);
        net.close(again);
        net.run_for(SECOND / 20);
    }
    net.run_for(10 * SECOND);
    let greetings = net.received(old, ours).matches("JOIN|").count();
    assert!((3..=6).contains(&greetings), "{greetings}");
}

#[test]
fn a_silent_version_1_listener_is_left_after_the_deadline_and_dialed_again() {
    let (mut net, alice, _, old) = pair(14);
    let addr = net.addr(old);
    net.command(alice, proto_core::Command::Connect(addr.into())).unwrap();
    net.run_for(SECOND);
    let first = *net.raw_peer(old).conns().last().unwrap();
    assert!(net.received(old, first).starts_with("JOIN|"));
    net.run_for(20 * SECOND);
    let again = *net.raw_peer(old).conns().last().unwrap();
    assert_ne!(first, again);
    net.send(again, join_v1(EVE, addr));
    net.run_for(SECOND);
    assert_eq!(net.peer_names(alice), ["Bob", "Old"]);
}
