//! Three nodes find each other and hear each other: everything, once, in the order spoken.

use std::time::Duration;

use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};

const NAMES: [&str; 3] = ["Alice", "Bob", "Carol"];

/// Bob knows Alice, Carol knows Bob.
fn three(drivers: [Driver; 3]) -> [Process; 3] {
    let alice = Launch::new(drivers[0], NAMES[0]).start();
    let bob = Launch::new(drivers[1], NAMES[1]).peer(alice.addr()).start();
    let carol = Launch::new(drivers[2], NAMES[2]).peer(bob.addr()).start();
    let nodes = [alice, bob, carol];
    for (node, name) in nodes.iter().zip(NAMES) {
        let others: Vec<_> = NAMES.into_iter().filter(|other| *other != name).collect();
        node.expect_peers(&others, SOON);
    }
    nodes
}

/// All three say so many lines at once; each must print the others' and nothing else.
fn talk(nodes: &mut [Process; 3], lines: usize, timeout: Duration) {
    std::thread::scope(|scope| {
        for (node, name) in nodes.iter_mut().zip(NAMES) {
            let text: String = (0..lines).map(|n| format!("line {n} of {name}\n")).collect();
            scope.spawn(move || node.type_bytes(text.as_bytes()));
        }
    });
    for (node, name) in nodes.iter().zip(NAMES) {
        node.out()
            .expect(&format!("all lines at {name}"), timeout, |all| (all.len() >= 2 * lines).then_some(()));
    }
    // What is heard twice comes before what is said now.
    nodes.iter_mut().for_each(|node| node.say("end"));
    for (node, name) in nodes.iter().zip(NAMES) {
        for other in NAMES.into_iter().filter(|other| *other != name) {
            node.expect_out(&format!("{other}: end"), timeout);
            let start = format!("{other}: ");
            let heard: Vec<_> = node.out().look(|all| {
                all.iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
            });
            let said = (0..lines).map(|n| format!("line {n} of {other}")).chain(["end".to_owned()]);
            assert!(heard.iter().cloned().eq(said), "{name} heard {} lines of {other}", heard.len());
        }
        assert_eq!(node.out().len(), 2 * (lines + 1), "{name} printed more than what was said");
    }
}

#[test]
fn three_on_tokio() {
    talk(&mut three([Driver::Tokio; 3]), 10_000, 6 * SOON);
}

#[test]
fn three_on_smol() {
    talk(&mut three([Driver::Smol; 3]), 10_000, 6 * SOON);
}

#[test]
fn three_mixed() {
    talk(&mut three([Driver::Tokio, Driver::Smol, Driver::Tokio]), 10_000, 6 * SOON);
    talk(&mut three([Driver::Smol, Driver::Tokio, Driver::Smol]), 100, SOON);
}

#[test]
fn eight_that_all_dial_the_first_become_a_full_mesh() {
    let first = Launch::new(Driver::Tokio, "node 0").start();
    let mut nodes = vec![first];
    for n in 1..8 {
        let launch = Launch::new(Driver::ALL[n % 2], &format!("node {n}")).peer(nodes[0].addr());
        nodes.push(launch.spawn());
    }
    let names: Vec<_> = (0..8).map(|n| format!("node {n}")).collect();
    for (n, node) in nodes.iter().enumerate() {
        node.expect_start();
        let others: Vec<_> = names.iter().map(String::as_str).filter(|name| *name != names[n]).collect();
        node.expect_peers(&others, 2 * SOON);
    }
    nodes[7].say("hello");
    nodes[..7].iter().for_each(|node| node.expect_out("node 7: hello", SOON));
}

#[test]
fn nodes_of_different_networks_tell_both_users() {
    Driver::each_pair(|[one, other]| {
        let club = Launch::new(one, "Anna").args(["--network", "club"]).start();
        let open = Launch::new(other, "Ben").peer(club.addr()).start();
        open.expect_err(&[&club.addr().to_string(), "belongs to another network"], SOON);
        club.expect_err(&["127.0.0.1", "belongs to another network"], SOON);
        let member = Launch::new(other, "Cleo").args(["--network", "club"]).peer(club.addr()).start();
        member.expect_peers(&["Anna"], SOON);
        assert_eq!(open.peers().len(), 0);
    });
}
