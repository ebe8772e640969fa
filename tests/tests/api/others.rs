//! Other users of the machine do not take the places of the user who runs the node.

use driver_common::api::ApiLimits;
use tests::journal::{SOON, eventually};
use tests::other_user::{OTHERS, run_as};
use tests::process::Driver;

use crate::node::{Connection, Node, limits, token};

/// A request that goes on.
fn half_a_request(node: &Node) -> Connection {
    let mut connection = node.open();
    connection.write(format!("GET /peers HTTP/1.1\r\nHost: {}\r\n", node.api));
    connection
}

#[test]
fn another_users_connections_take_no_place_of_the_user() {
    for driver in Driver::ALL {
        let node = Node::with(driver, "Alice", &[], limits(|limits| limits.connections = 3));
        let mut users: Vec<_> = (0..3).map(|_| half_a_request(&node)).collect();
        let most = run_as(OTHERS[0], || {
            let mut others: Vec<_> = (0..100).map(|_| half_a_request(&node)).collect();
            eventually("all but three closed", SOON, || {
                others.iter_mut().map(Connection::is_open).filter(|open| *open).count() == 3
            });
            // Its own newest ones stay.
            assert!(others.iter_mut().rev().take(3).all(Connection::is_open));
            others
        });
        let Some(_others) = most else { return };
        assert!(users.iter_mut().all(Connection::is_open), "the user's are as they were");
        let mut first = users.remove(0);
        first.write("\r\n");
        assert_eq!(first.answer().body, "[]");
    }
}

#[test]
fn among_others_the_one_who_holds_most_makes_room() {
    for driver in Driver::ALL {
        let (right, access) = token(&[]);
        let limits = ApiLimits::default();
        let most = limits.connections;
        let node = Node::serving(driver, access, limits);
        let Some(mut crowd) =
            run_as(OTHERS[0], || (0..most).map(|_| half_a_request(&node)).collect::<Vec<_>>())
        else {
            return;
        };
        let bearer = format!("Bearer {right}");
        let mut guest = run_as(OTHERS[1], || node.open()).unwrap();
        let _more: Vec<_> = run_as(OTHERS[0], || (0..most).map(|_| half_a_request(&node)).collect()).unwrap();
        assert!(crowd.iter_mut().all(|one| one.ends_within(SOON)), "they made room for their own");
        let host = node.api.to_string();
        let answer = guest.ask("GET", "/peers", &[("Host", &host), ("Authorization", &bearer)], "");
        assert_eq!(answer.body, "[]", "the guest waited longest, and is one");
    }
}
