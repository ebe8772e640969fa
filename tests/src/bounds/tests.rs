use std::sync::Arc;
use std::time::Duration;

use proto_core::{GapStatus, NodeId};

use super::*;
use crate::sim::{Dice, NetConfig, World};

/// Two nodes, linked, of which one has said something.
fn world() -> World {
    let mut world = World::new(NetConfig::default(), Dice::new(1));
    for host in 0..2 {
        world.add_node(Limits::default(), 0..host);
    }
    world.run_for(Duration::from_secs(15));
    assert!(world.say(0, "hi").is_ok());
    world.run_for(Duration::from_secs(5));
    world
}

#[test]
fn what_is_at_its_bound_is_within_it_and_one_more_is_not() {
    let limits = Limits::default();
    for capacity in Capacity::ALL {
        let bound = capacity.bound(&limits);
        let with = |holds| {
            over(Capacity::ALL.map(|other| (other, if other == capacity { holds } else { 0 })), &limits)
        };
        assert_eq!(with(bound), None);
        assert_eq!(with(bound + 1), Some(format!("{capacity:?} holds {}, above {bound}", bound + 1)));
    }
}

#[test]
fn every_capacity_follows_the_limits_that_bound_it() {
    let limits = Limits::default();
    let raised = |name: &str| -> Limits {
        let mut value = serde_json::to_value(&limits).unwrap();
        let limit = value.pointer_mut(&format!("/{}", name.replace('.', "/"))).unwrap();
        *limit = (limit.as_u64().unwrap() + 7).into();
        serde_json::from_value(value).unwrap()
    };
    let declared = Limits::ALL.iter().filter_map(|limit| Some((limit.capacity?, limit.name)));
    let computed = [
        (Capacity::Connections, "conns.pending"),
        (Capacity::PeersWithKey, "mesh.degree_high"),
        (Capacity::QueueHard, "conns.queue_hard"),
        (Capacity::Line, "wire.line"),
        (Capacity::Probes, "conns.pending"),
        (Capacity::Rates, "chat.authors"),
        (Capacity::NewAuthors, "conns.slots"),
        (Capacity::UncommittedOwn, "chat.uncommitted_own"),
        (Capacity::Uncommitted, "chat.uncommitted"),
        (Capacity::LoadedBytes, "chat.load_bytes"),
        (Capacity::Seen, "chat.seen"),
        (Capacity::Announcers, "chat.announcers"),
        (Capacity::ServingBudgets, "conns.slots"),
        (Capacity::V1Lost, "conns.slots"),
    ];
    let mut all: Vec<_> = declared.chain(computed).collect();
    for (capacity, name) in &all {
        let (before, after) = (capacity.bound(&limits), capacity.bound(&raised(name)));
        assert_eq!(after, before + 7, "{capacity:?} follows {name}");
    }
    all.sort_unstable();
    assert!(all.into_iter().map(|(capacity, _)| capacity).eq(Capacity::ALL), "each is bounded once");
}

#[test]
fn a_node_is_held_to_its_bounds() {
    let world = world();
    let node = world.host(0).node().unwrap();
    assert_eq!(over(node.capacities(), &Limits::default()), None);
    type Lower = fn(&mut Limits);
    let lowered: [(&str, Lower); 7] = [
        ("Connections holds 1, above 0", |l| {
            (l.conns.slots, l.conns.pending, l.mesh.targets, l.mesh.dials, l.mesh.dial_burst) =
                (0, 0, 0, 0, 0);
            (l.conns.greeting, l.conns.linger) = (Duration::ZERO, Duration::ZERO);
        }),
        ("Slots holds 1, above 0", |l| l.conns.slots = 0),
        ("DegreeHigh holds 1, above 0", |l| l.mesh.degree_high = 0),
        ("LogEntries holds 1, above 0", |l| l.chat.log_entries = 0),
        ("Authors holds 1, above 0", |l| l.chat.authors = 0),
        ("EpochsPerAuthor holds 1, above 0", |l| l.chat.epochs_per_author = 0),
        ("Book holds 1, above 0", |l| l.mesh.book = 0),
    ];
    for (expected, lower) in lowered {
        let mut limits = Limits::default();
        lower(&mut limits);
        assert_eq!(over(node.capacities(), &limits).as_deref(), Some(expected));
    }
}

fn gap() -> GapStatus {
    let node_id = NodeId::from_bytes([1; 16]);
    GapStatus::new(node_id, "Alice".parse().unwrap(), 0, 1, 2)
}

#[test]
fn what_cannot_all_be_true_is_found() {
    let world = world();
    let node = world.host(0).node().unwrap();
    let status = node.status();
    assert_eq!(at_odds(node, &status), None);
    type Lie = fn(&mut Status);
    let lies: [(&str, Lie); 11] = [
        ("queues", |status| status.links[0].queued += 1 << 20),
        ("early entries", |status| status.entries.early = status.entries.held + 1),
        ("number of gaps", |status| status.gaps = vec![gap(); Status::MAX_GAPS + 1]),
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
