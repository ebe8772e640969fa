use std::sync::Arc;
use std::time::Duration;

use proto_core::PeerInfo;

use super::*;
use crate::sim::{Dice, NetConfig, World, address};

/// Two nodes, linked, of which one has said something.
fn world() -> World {
    let mut world = World::new(NetConfig::default(), Dice::new(1));
    for host in 0..2 {
        world.add_host(Limits::default());
        world.host_mut(host).targets = (0..host).map(address).collect();
        world.start(host, true);
    }
    world.run_for(Duration::from_secs(15));
    assert!(world.say(0, "hi").is_ok());
    world.run_for(Duration::from_secs(5));
    world
}

#[test]
fn what_is_at_its_bound_is_within_it_and_one_more_is_not() {
    type Field = fn(&mut Status) -> &mut usize;
    let limits = Limits::default();
    let bounds: [(&str, Field, usize); 9] = [
        ("addresses being dialed", |status| &mut status.book.dialing, limits.dials),
        ("addresses known", |status| &mut status.book.known, limits.book),
        ("entries held", |status| &mut status.entries.held, limits.log_entries),
        ("bytes of entries held", |status| &mut status.entries.bytes, limits.log_bytes),
        ("entries parked", |status| &mut status.entries.parked, limits.parked),
        ("authors", |status| &mut status.entries.authors, limits.authors),
        ("ids seen", |status| &mut status.entries.seen, limits.seen),
        ("entries awaited", |status| &mut status.entries.awaited, limits.missing + limits.wanted),
        ("bytes queued on a link", |status| &mut status.links[0].queued, limits.queue_hard + limits.chunk),
    ];
    let status = check(world().host(0).node().unwrap());
    for (what, field, most) in bounds {
        let mut status = status.clone();
        *field(&mut status) = most;
        assert_eq!(over(&status, &limits), None);
        *field(&mut status) = most + 1;
        assert_eq!(over(&status, &limits), Some(format!("{what} is {}, above {most}", most + 1)));
    }
}

#[test]
fn links_are_counted_by_what_they_are() {
    let status = check(world().host(0).node().unwrap());
    let link = &status.links[0];
    assert!(link.peer.key.is_some() && !link.dialed);
    let with = |links: usize, dialed: bool, keyed: bool| {
        let key = link.peer.key.filter(|_| keyed);
        let peer = Arc::new(PeerInfo { key, ..(*link.peer).clone() });
        let link = LinkStatus { dialed, peer, ..link.clone() };
        over(&Status { links: vec![link; links], ..status.clone() }, &Limits::default())
    };
    let limits = Limits::default();
    for (most, dialed, keyed, what) in [
        (limits.held, true, false, "peers is 126"),
        (limits.degree_high, false, true, "accepted links to peers with a key is 13"),
        (limits.degree_high + limits.targets, true, true, "links to peers with a key is"),
    ] {
        assert_eq!(with(most, dialed, keyed), None);
        assert!(with(most + 1, dialed, keyed).unwrap().starts_with(what));
    }
}

#[test]
fn early_entries_are_among_those_held_and_all_queues_share_a_bound() {
    let status = check(world().host(0).node().unwrap());
    let limits = Limits { early: 10, buffers: 100, ..Limits::default() };
    for (held, early, is_over) in [(5, 5, false), (5, 6, true), (20, 10, false), (20, 11, true)] {
        let mut status = status.clone();
        (status.entries.held, status.entries.early) = (held, early);
        assert_eq!(over(&status, &limits).is_some(), is_over);
    }
    for (queued, is_over) in [(50, false), (51, true)] {
        let link = LinkStatus { queued, dialed: true, ..status.links[0].clone() };
        let status = Status { links: vec![link; 2], ..status.clone() };
        assert_eq!(over(&status, &limits).is_some(), is_over);
    }
}

#[test]
fn what_a_node_tells_without_counting_is_held_to_its_bound() {
    let world = world();
    let node = world.host(0).node().unwrap();
    assert_eq!(node.connections(), 1);
    for (held, is_over) in [(1, false), (0, true)] {
        let limits = Limits { held, pending: 0, targets: 0, dials: 0, ..Limits::default() };
        assert_eq!(over_at_once(node, &limits).is_some(), is_over);
    }
}

#[test]
fn what_cannot_all_be_true_is_found() {
    let world = world();
    let node = world.host(0).node().unwrap();
    let status = node.status();
    assert_eq!(at_odds(node, &status), None);
    type Lie = fn(&mut Status);
    let lies: [(&str, Lie); 8] = [
        ("entries", |status| status.entries.held += 1),
        ("bytes", |status| status.entries.bytes += 1),
        ("connections", |status| status.pending += 1),
        ("addresses", |status| status.book.linked = status.book.known + 1),
        ("keys", |status| Arc::make_mut(&mut status.links[0].peer).node_id = status.node_id),
        ("roles", |status| status.links[0].role = LinkRole::Lines),
        ("children", |status| status.tree.children.push(status.node_id)),
        ("root", |status| {
            (status.tree.root, status.tree.distance) = (Some(status.node_id), Some(1));
        }),
    ];
    for (what, lie) in lies {
        let mut status = status.clone();
        lie(&mut status);
        let found = at_odds(node, &status).expect(what);
        assert!(found.starts_with(&format!("its {what} are not")), "{what}: {found}");
    }
}
