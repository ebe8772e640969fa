//! Every bound of the API: just within it, and just past it.

use std::time::{Duration, Instant};

use driver_common::api::ApiLimits;
use tests::http::Response;
use tests::journal::{SOON, eventually};
use tests::process::Driver;

use crate::node::{Connection, Node, expect_error, limits};

const SHORT: Duration = Duration::from_millis(300);

fn alice(driver: Driver, limits: ApiLimits) -> Node {
    Node::with(driver, "Alice", &[], limits)
}

/// A header that goes on.
fn half_a_header(node: &Node) -> Connection {
    let mut connection = node.open();
    connection.write(format!("GET /peers HTTP/1.1\r\nHost: {}\r\n", node.api));
    connection
}

/// A body that goes on.
fn half_a_body(node: &Node) -> Connection {
    let mut connection = node.open();
    connection.write(format!("POST /send HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\n{{", node.api));
    connection
}

#[test]
fn three_hundred_requests_that_are_half_sent_hold_up_nobody() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let mut half: Vec<_> =
            (0..300).map(|n| if n % 2 == 0 { half_a_header(&node) } else { half_a_body(&node) }).collect();
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(node.get("/peers").body, "[]");
            assert_eq!(node.send("hello").body, "sent");
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        }
        let limit = ApiLimits::default().connections;
        eventually("all but a few closed", SOON, || {
            half.iter_mut().map(Connection::is_open).filter(|open| *open).count() <= limit
        });
    }
}

#[test]
fn one_connection_too_many_takes_the_place_of_the_oldest_without_a_request() {
    let node = alice(Driver::Tokio, limits(|limits| limits.connections = 3));
    let mut oldest = node.open();
    oldest.write("G");
    let mut others = [half_a_header(&node), half_a_body(&node)];
    let host = node.api.to_string();
    assert!(oldest.is_open());
    // An answer makes a connection the youngest again.
    oldest.write(format!("ET /peers HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(oldest.answer().status, 200);

    let mut newcomer = node.open();
    assert!(others[0].ends_within(SOON));
    assert!(others[1].is_open() && oldest.is_open());
    assert_eq!(newcomer.ask("GET", "/peers", &[("Host", &host)], "").status, 200);
}

#[test]
fn answers_that_nobody_reads_make_room_in_the_end() {
    for driver in Driver::ALL {
        let node = alice(
            driver,
            limits(|limits| {
                limits.connections = 2;
                limits.answer_time = SHORT;
            }),
        );
        node.say(&vec!["x".repeat(1000); 150].join("\n"));
        eventually("what was said", SOON, || node.get("/messages").body.len() > 150_000);
        let request = format!("GET /messages HTTP/1.1\r\nHost: {}\r\n\r\n", node.api);
        // More answers than the system's buffers hold.
        let mut deaf: Vec<_> = (0..2).map(|_| node.open()).collect();
        deaf.iter_mut().for_each(|deaf| deaf.write(request.repeat(80)));
        assert_eq!(node.get("/peers").status, 200);
        assert!(deaf.iter_mut().any(|deaf| deaf.ends_within(SOON)));
    }
}

#[test]
fn a_header_is_bounded_in_bytes() {
    let limits = ApiLimits::default();
    for driver in Driver::ALL {
        let node = alice(driver, limits.clone());
        let fixed = format!("GET /peers HTTP/1.1\r\nHost: {}\r\nX: \r\n\r\n", node.api).len();
        let statuses = [-1, 0, 1].map(|more| {
            let filler = "x".repeat(limits.header.checked_add_signed(more).unwrap() - fixed);
            node.request("GET", "/peers", &[("X", &filler)], "").status
        });
        assert_eq!(statuses, [200, 200, 431]);
    }
}

#[test]
fn a_header_is_bounded_in_time_however_it_trickles() {
    for driver in Driver::ALL {
        let node = alice(driver, limits(|limits| limits.header_time = SHORT));
        let opened = Instant::now();
        let mut silent = node.open();
        let mut trickling = half_a_header(&node);
        let trickled = (0..500).find(|_| {
            trickling.try_write("X: y\r\n").is_err() || trickling.ends_within(Duration::from_millis(20))
        });
        assert!(trickled.is_some());
        assert!(silent.ends_within(SOON));
        assert!(opened.elapsed() >= SHORT);

        // It bounds the wait for the next request as well.
        let mut idle = node.open();
        let host = node.api.to_string();
        assert_eq!(idle.ask("GET", "/peers", &[("Host", &host)], "").status, 200);
        assert!(idle.ends_within(SOON));
    }
}

#[test]
fn a_body_is_bounded_in_bytes() {
    let limits = ApiLimits::default();
    for driver in Driver::ALL {
        let node = alice(driver, limits.clone());
        let send = |length: usize| node.post(&body(length));
        assert_eq!(send(limits.body - 1).status, 200);
        assert_eq!(send(limits.body).status, 200);
        expect_error(&send(limits.body + 1), 413);
        // Without a length, and more than is read of what is too much.
        expect_error(&chunked(&node, limits.body + 1), 413);
        assert_eq!(chunked(&node, limits.body).status, 200);
        expect_error(&send(800_000), 413);
    }
}

/// A body of this length: two lines, since one may not be as long.
fn body(length: usize) -> String {
    let first = "x".repeat(30_000);
    let second = "x".repeat(length - first.len() - r#"{"msg":"\n"}"#.len());
    format!(r#"{{"msg":"{first}\n{second}"}}"#)
}

/// A message whose body of this length tells no length.
fn chunked(node: &Node, length: usize) -> Response {
    let body = body(length);
    let mut connection = node.open();
    connection
        .write(format!("POST /send HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", node.api));
    for chunk in body.as_bytes().chunks(10_000) {
        connection.write(format!("{:x}\r\n", chunk.len()));
        connection.write(chunk);
        connection.write("\r\n");
    }
    connection.write("0\r\n\r\n");
    connection.answer()
}

#[test]
fn a_text_too_long_for_a_line_is_too_long_for_the_api() {
    let node = alice(Driver::Smol, limits(|limits| limits.body = 200_000));
    let longest = proto_core::ChatText::MAX;
    assert_eq!(node.send(&"x".repeat(longest - 1)).status, 200);
    assert_eq!(node.send(&"x".repeat(longest)).status, 200);
    expect_error(&node.send(&"x".repeat(longest + 1)), 413);
    expect_error(&node.send(&format!("one\n{}", "x".repeat(longest + 1))), 413);
    let said = node.get("/messages").json();
    assert!(said.as_array().unwrap().iter().all(|message| message["content"] != "one"), "all or nothing");
}

#[test]
fn a_body_is_bounded_in_time() {
    for driver in Driver::ALL {
        let node = alice(driver, limits(|limits| limits.body_time = SHORT));
        let asked = Instant::now();
        let mut connection = half_a_body(&node);
        connection.write("\"");
        expect_error(&connection.answer(), 408);
        assert!(asked.elapsed() >= SHORT);
        assert!(connection.ends_within(SOON));
    }
}
