//! Scenarios in whole networks, with latencies of 10 to 50 ms.
//!
//! Each one also checks all the time that paths along parents have no loop, and that no node is due again at
//! once.

use core::time::Duration;

use super::network::{Cost, Network};
use crate::chat::testing::secs;
use crate::model::{EntryId, below};

/// Each second, a random node says something.
fn talk(network: &mut Network, rounds: usize) -> Vec<EntryId> {
    let said = (0..rounds).map(|_| {
        let author = network.random_id();
        let id = network.say(author);
        network.run(secs(1));
        id
    });
    said.collect()
}

fn redundancy(network: &Network, said: &[EntryId]) -> f64 {
    network.mean(said, Cost::redundancy)
}

fn hops(network: &Network, said: &[EntryId]) -> f64 {
    network.mean(said, |cost| f64::from(cost.hops))
}

fn reached_all(network: &Network, said: &[EntryId]) -> bool {
    said.iter().all(|id| network.holders(*id) == network.len())
}

#[test]
fn in_a_full_mesh_an_entry_costs_each_node_one_copy_and_one_hop() {
    let mut network = Network::full_mesh(1, 13);
    network.run(secs(10));
    let said = talk(&mut network, 30);
    assert!(reached_all(&network, &said));
    assert!(said.iter().all(|id| network.costs[id].copies == 12 && network.costs[id].hops == 1));
    assert!(!network.frames.contains_key("GRAFT"));
}

#[test]
fn one_tree_forms_and_spreads_entries_without_duplicates() {
    for (count, rounds, most_hops) in [(2, 5, 1.0), (20, 30, 4.0), (100, 30, 7.0), (1000, 10, 10.0)] {
        let mut network = Network::random_graph(1, count, 8);
        network.run(secs(8));
        assert!(network.is_one_tree(), "{count}");
        let said = talk(&mut network, rounds);
        assert!(reached_all(&network, &said), "{count}");
        let (redundancy, hops) = (redundancy(&network, &said), hops(&network, &said));
        assert!(redundancy <= 0.001 && hops <= most_hops, "{count}: {redundancy}, {hops}");
    }
}

#[test]
fn entries_reach_all_nodes_before_there_is_a_tree() {
    let mut network = Network::random_graph(7, 100, 8);
    network.reconciles = false;
    let said: Vec<_> = (0..20)
        .map(|_| {
            let author = network.random_id();
            let id = network.say(author);
            network.run(Duration::from_millis(150));
            id
        })
        .collect();
    network.run(secs(1));
    assert!(reached_all(&network, &said));
    assert!(redundancy(&network, &said) < 0.5);
}

#[test]
fn announcements_replace_the_tree_while_there_is_no_root() {
    for (count, seed) in [(20, 1), (100, 2), (100, 3)] {
        let mut network = Network::random_graph(seed, count, 8);
        network.reconciles = false;
        network.run(secs(30));
        let any = network.random_id();
        let root = network.standing(any).root.unwrap();
        network.kill(root);
        let meanwhile = talk(&mut network, 35);
        assert!(network.is_one_tree(), "{count}");
        let after = talk(&mut network, 10);
        assert!(reached_all(&network, &meanwhile) && reached_all(&network, &after));
        assert!(redundancy(&network, &meanwhile) < 0.4);
        assert!(redundancy(&network, &after) <= 0.001);
    }
}

#[test]
fn at_the_turn_of_a_period_no_entry_is_lost_or_duplicated() {
    // A sixth of the default times, and clocks nearly as wrong as allowed.
    for skew in [0, 19_000] {
        let mut network = Network::random_graph(1, 50, 8);
        network.reconciles = false;
        network.limits.chat.root_turn = secs(20);
        network.limits.chat.root_overlap = secs(40);
        // Half a minute before the turn.
        network.epoch = 472_000 * 3_600_000 - 30_000;
        for id in network.ids() {
            let random = below(&mut network.random, 2 * skew + 1) as i64;
            network.set_skew(id, random - skew as i64);
        }
        network.run(secs(8));
        let any = network.random_id();
        let before = network.standing(any).root;
        let said = talk(&mut network, 110);
        assert_ne!(network.standing(any).root, before);
        assert!(network.is_one_tree() && reached_all(&network, &said));
        assert!(redundancy(&network, &said) <= 0.001, "{}", redundancy(&network, &said));
    }
}

#[test]
fn churn_leaves_one_tree_and_no_gap() {
    let mut network = Network::random_graph(5, 100, 8);
    network.reconciles = false;
    network.run(secs(10));
    let mut said = Vec::new();
    for round in 0..40 {
        let (a, b, c) = (network.random_id(), network.random_id(), network.random_id());
        if round % 4 == 0 && network.len() > 90 {
            let orphans = network.neighbours(a);
            network.kill(a);
            for pair in orphans.windows(2) {
                network.link(pair[0], pair[1]);
            }
        } else if let [_, _, _, peer, ..] = network.neighbours(b)[..]
            && network.neighbours(peer).len() > 4
        {
            network.unlink(b, peer);
            network.link(b, c);
        }
        said.extend(talk(&mut network, 1));
    }
    network.run(secs(35));
    assert!(network.is_one_tree() && reached_all(&network, &said));
    assert!(redundancy(&network, &said) < 0.2, "{}", redundancy(&network, &said));
    let after = talk(&mut network, 5);
    assert!(reached_all(&network, &after) && redundancy(&network, &after) <= 0.001);
}

#[test]
fn a_partition_heals_by_reconciliation() {
    let mut network = Network::random_graph(3, 40, 12);
    network.run(secs(10));
    let half: Vec<_> = network.ids().take(20).collect();
    let mut crossing = Vec::new();
    for id in &half {
        let others: Vec<_> =
            network.neighbours(*id).into_iter().filter(|peer| !half.contains(peer)).collect();
        crossing.extend(others.into_iter().map(|other| (*id, other)));
    }
    for (a, b) in &crossing {
        network.unlink(*a, *b);
    }
    let apart = talk(&mut network, 60);
    assert!(apart.iter().all(|id| network.holders(*id) < 40));
    let (a, b) = crossing[0];
    network.link(a, b);
    network.run(secs(5));
    assert!(reached_all(&network, &apart), "one link is enough");
    network.run(secs(30));
    let together = talk(&mut network, 5);
    assert!(network.is_one_tree() && reached_all(&network, &together));
}

#[test]
fn a_node_that_was_away_catches_up_within_seconds() {
    let mut network = Network::random_graph(4, 20, 8);
    network.run(secs(10));
    // The node with the lowest id begins all its reconciliations, the one with the highest none.
    for away in [network.ids().next().unwrap(), network.ids().last().unwrap()] {
        let neighbours = network.neighbours(away);
        for neighbour in &neighbours {
            network.unlink(away, *neighbour);
        }
        let author = neighbours[0];
        let missed: Vec<_> = (0..1500)
            .map(|_| {
                network.run(Duration::from_millis(1));
                network.say(author)
            })
            .collect();
        network.run(secs(1));
        for neighbour in &neighbours {
            network.link(away, *neighbour);
        }
        network.run(secs(3));
        assert!(reached_all(&network, &missed));
        assert!(missed.iter().all(|id| network.costs[id].copies <= 25), "one or two neighbours send it");
        network.run(secs(31));
    }
}

/// A share of the nodes, in percent, forwards nothing. If they lie, they also advertise the best positions.
/// Returns the longest time that an entry took to reach all honest nodes, in the first and in the second half
/// of the run.
fn withholding(seed: u64, share: usize, lies: bool) -> (Duration, Duration) {
    let count = 100;
    let mut network = Network::random_graph(seed, count, 10);
    network.reconciles = false;
    network.run(secs(10));
    let root = network.standing(network.ids().next().unwrap()).root.unwrap();
    let honest: Vec<_> = network.ids().filter(|id| *id != root).skip(count * share / 100 - 1).collect();
    for id in network.ids().filter(|id| !honest.contains(id)) {
        network.withhold(id, lies);
    }
    network.run(secs(10));
    let mut times = Vec::new();
    for _ in 0..60 {
        let author = honest[below(&mut network.random, honest.len())];
        let at = network.now;
        let id = network.say(author);
        network.run(secs(1));
        times.push((id, at));
    }
    network.run(secs(5));
    let time = |(id, at): &(EntryId, crate::model::Instant)| {
        assert_eq!(network.honest_holders(*id), honest.len());
        network.costs[id].last.unwrap().since(*at)
    };
    let times: Vec<_> = times.iter().map(time).collect();
    (times[..30].iter().copied().max().unwrap(), times[30..].iter().copied().max().unwrap())
}

#[test]
fn nodes_that_withhold_entries_only_delay_them() {
    for (share, lies) in [(10, false), (10, true), (30, false), (30, true), (50, true)] {
        let (early, late) = withholding(2, share, lies);
        assert!(early < secs(6) && late < secs(6), "{share} {early:?} {late:?}");
    }
}
