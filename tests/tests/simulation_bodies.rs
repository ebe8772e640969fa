//! Hostile relays and authors around bodies, kinds, classes and rooms: nobody is censored, and nobody is cut for what it
//! does not know.

use std::time::Duration;

use proto_core::{Class, Command, NodeId};
use tests::sim::harness::Harness;
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::{Dice, HostId};

const LINES: usize = 60;

/// Three nodes, two of them linked and the third not yet here, and somebody hostile who dials those that are here.
fn with_hostile(trick: Trick) -> (Harness, [HostId; 3], HostId) {
    let mut net = Harness::new(7);
    let alice = net.add_node("Alice", &[]);
    let bob = net.add_node("Bob", &[net.addr(alice)]);
    let carol = net.add_host();
    let hostile = net.add_host();
    let targets = [alice, bob].map(|host| net.addr(host)).to_vec();
    let actor = Hostile::new(trick, net.addr(hostile), targets, net.world.epoch_ms(), Dice::new(9));
    net.world.start_actor(hostile, Box::new(actor));
    net.run_for(Duration::from_secs(5));
    (net, [alice, bob, carol], hostile)
}

/// Whether a neighbour of this node goes by such a name.
fn is_linked_to(net: &Harness, host: HostId, name: &str) -> bool {
    net.peer_names(host).iter().any(|peer| peer.starts_with(name))
}

#[test]
fn a_relay_that_leaves_bodies_out_censors_nobody() {
    let (mut net, [alice, bob, carol], hostile) = with_hostile(Trick::Strip);
    for n in 0..LINES {
        net.say(if n % 2 == 0 { alice } else { bob }, &format!("line {n}"));
        net.run_for(Duration::from_millis(250));
    }
    // The newcomer knows nobody else at first.
    net.start(carol, "Carol", &[net.addr(hostile)]);
    net.run_for(Duration::from_secs(10));
    assert_eq!((net.heard(carol).len(), net.node(carol).entries().count()), (0, 0));
    let asked_in_vain = net.node(carol).stats().bodies_gone;
    assert!(asked_in_vain > LINES as u64 / 2, "{asked_in_vain}");
    net.command(carol, Command::Connect(net.addr(alice).into())).expect("it runs");
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.heard(carol).len(), LINES);
    for host in [alice, bob] {
        assert_eq!(net.heard(host).len(), LINES / 2);
    }
    for host in [alice, bob, carol] {
        assert!(is_linked_to(&net, host, "mallory"), "it broke no rule that costs a link");
    }
}

#[test]
fn whoever_says_what_nobody_knows_is_relayed_and_pushes_out_nobody() {
    let (mut net, [alice, bob, _], _) = with_hostile(Trick::Novel);
    for n in 0..LINES {
        net.say(alice, &format!("line {n}"));
        net.run_for(Duration::from_millis(500));
    }
    let novel = |host: HostId, net: &Harness| {
        let honest: Vec<NodeId> = [alice, bob].map(|host| net.id(host)).to_vec();
        net.node(host).entries().filter(|entry| !honest.contains(&entry.author())).count()
    };
    assert_eq!(net.heard(bob).iter().filter(|text| text.contains(": line ")).count(), LINES);
    for host in [alice, bob] {
        let node = net.node(host);
        assert!(novel(host, &net) > 20, "{}", novel(host, &net));
        assert!(node.entries().any(|entry| matches!(entry.class(), Class::Other(_))), "unknown classes");
        assert!(node.entries().any(|entry| entry.room().is_some()), "rooms");
        assert!(node.stats().live > 0 && node.stats().entries_not_shown > 0);
        assert_eq!((node.stats().malformed, node.stats().violations), (0, 0));
        assert!(is_linked_to(&net, host, "mallory"));
    }
}
