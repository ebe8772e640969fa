//! WebSockets: what they tell, what they take, and what ends them.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use driver_common::api::ApiLimits;
use proto_core::ChatText;
use serde_json::{Value, json};
use tests::journal::{SOON, eventually};
use tests::process::Driver;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use crate::node::{Node, Socket, block_on, expect_error, header, limits, pair};

#[test]
fn events_are_as_clients_in_the_field_compare_them() {
    for driver in Driver::ALL {
        let alice = Node::start(driver, "Alice");
        let mut socket = alice.socket();
        let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
        let bob_id = bob.get("/me").json()["node_id"].clone();

        let (peer, _) = socket.expect("PeerJoined");
        assert_eq!(peer, alice.get("/peers").json()[0]);
        assert_eq!((&peer["uname"], &peer["node_id"]), (&json!("Bob"), &bob_id));

        bob.expect_peers(1);
        bob.say("hi, \"Alice\" ☀");
        let (message, event) = socket.expect("MessageReceived");
        assert_eq!(message, json!({"from": "Bob", "content": "hi, \"Alice\" ☀"}));
        assert_eq!(event["node_id"], bob_id);

        alice.say("hello");
        assert_eq!(socket.expect("MessageSent").0, json!({"from": "Alice", "content": "hello"}));

        block_on(bob.handle.rename("Robert".parse().unwrap())).unwrap();
        let (peer, _) = socket.expect("PeerUpdated");
        assert_eq!((&peer["uname"], &peer["node_id"]), (&json!("Robert"), &bob_id));

        drop(bob);
        let (left, event) = socket.expect("PeerDisconnected");
        assert_eq!((&left, &event["uname"]), (&bob_id, &json!("Robert")));
    }
}

#[test]
fn what_a_socket_says_goes_to_the_peers_and_to_the_other_sockets() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let [mut speaker, mut other, mut heard] = [alice.socket(), alice.socket(), bob.socket()];
        let texts = ["one", "two\nthree\r\n\n", "", "/nick Mallory", "four"];
        texts.into_iter().for_each(|text| speaker.write(text));
        for text in ["one", "two", "three", "/nick Mallory", "four"] {
            assert_eq!(heard.expect("MessageReceived").0["content"], text);
            assert_eq!(other.expect("MessageSent").0["content"], text);
        }
        other.write("five");
        assert_eq!(speaker.next()["MessageSent"]["content"], "five", "its own texts did not come back to it");
    }
}

#[test]
fn a_text_asks_for_the_list_that_a_request_gives() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let [mut socket, mut heard] = [alice.socket(), bob.socket()];
        socket.write("/peers");
        let list = std::iter::repeat_with(|| socket.next()).find(Value::is_array).unwrap();
        assert_eq!(list, alice.get("/peers").json());
        socket.write("/peers ");
        assert_eq!(heard.expect("MessageReceived").0["content"], "/peers ");
    }
}

#[test]
fn a_text_that_cannot_be_said_is_an_error_and_no_end() {
    let [alice, bob] = pair(Driver::Smol);
    let [mut socket, mut heard] = [alice.socket(), bob.socket()];
    socket.write("x".repeat(ChatText::MAX + 1));
    assert!(socket.next()["Error"].as_str().unwrap().contains("at most"));
    socket.write("x".repeat(ChatText::MAX));
    assert_eq!(heard.expect("MessageReceived").0["content"].as_str().unwrap().len(), ChatText::MAX);
}

#[test]
fn what_the_user_should_know_sockets_are_told_too() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let mut socket = node.socket();
        let nobody = format!("127.0.0.1:{}", tests::ports::reserve());
        block_on(node.handle.connect(nobody.parse().unwrap())).unwrap();
        let (notice, event) = socket.expect("Notice");
        assert_eq!(notice["Unreachable"]["reason"], "Refused");
        assert!(event["text"].as_str().unwrap().starts_with(&format!("cannot reach {nobody} (")));
    }
}

#[test]
fn handshakes_that_are_none_are_refused() {
    let node = Node::start(Driver::Tokio, "Alice");
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let without = |name| good.into_iter().filter(|(key, _)| *key != name).collect::<Vec<_>>();
    let with = |name, value| [without(name), vec![(name, value)]].concat();
    let cases = [
        (vec![], 426),
        (without("Upgrade"), 426),
        (with("Upgrade", "h2c"), 426),
        (without("Connection"), 400),
        (with("Connection", "keep-alive"), 400),
        (without("Sec-WebSocket-Version"), 426),
        (with("Sec-WebSocket-Version", "8"), 426),
        (without("Sec-WebSocket-Key"), 400),
        (with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j"), 400),
        (with("Sec-WebSocket-Key", ""), 400),
    ];
    for (headers, status) in cases {
        let response = node.request("GET", "/ws", &headers, "");
        expect_error(&response, status);
        if status == 426 {
            assert_eq!(header(&response, "sec-websocket-version"), Some("13"), "{headers:?}");
            assert_eq!(header(&response, "upgrade"), Some("websocket"), "{headers:?}");
        }
    }
    let mut connection = node.open();
    let lines: String = good.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // The first frame may come right behind the request: a masked text "x".
    connection.write(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
    connection.write([0x81, 0x81, 0, 0, 0, 0, b'x']);
    let opened = connection.head();
    assert_eq!(opened.status, 101);
    assert_eq!(header(&opened, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    eventually("what it said", SOON, || node.get("/messages").json()[0]["content"] == "x");
}

#[test]
fn there_are_so_many_sockets_beside_the_other_connections_and_no_more() {
    for driver in Driver::ALL {
        let limits = limits(|limits| {
            limits.connections = 2;
            limits.sockets = 3;
        });
        let node = Node::with(driver, "Alice", &[], limits);
        let mut sockets: Vec<_> = (0..3).map(|_| node.socket()).collect();
        assert_eq!(node.try_socket().err(), Some(503));
        assert_eq!(node.get("/peers").status, 200);
        sockets.pop().unwrap().close();
        eventually("room for one", SOON, || node.try_socket().map(|socket| sockets.push(socket)).is_ok());
        // None of them had to make room.
        node.say("hello");
        for socket in &mut sockets {
            assert_eq!(socket.expect("MessageSent").0["content"], "hello");
        }
    }
}

#[test]
fn what_a_socket_may_not_send_closes_it_with_the_right_code() {
    for driver in Driver::ALL {
        let limits = ApiLimits::default();
        let node = Node::with(driver, "Alice", &[], limits.clone());
        let code = |message: Message| {
            let mut socket = node.socket();
            socket.write(message);
            socket.close_code()
        };
        assert_eq!(code(Message::binary(vec![1])), Some(CloseCode::Unsupported));
        assert_eq!(code(Message::text("x".repeat(limits.message + 1))), Some(CloseCode::Size));
        let mut socket = node.socket();
        socket.write("x".repeat(limits.message));
        assert!(socket.next()["Error"].is_string(), "it was read");

        // One that goes on sending gets to read the reason all the same.
        let mut socket = node.socket();
        socket.stream().write_all(&[0x81, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
        socket.stream().write_all(&[b'x'; 0xffff]).unwrap();
        socket.stream().write_all(&[0xff; 100_000]).unwrap();
        assert!(socket.next()["Error"].is_string());
        assert_eq!(socket.close_code(), Some(CloseCode::Protocol));
    }
}

#[test]
fn a_socket_that_does_not_read_is_cut_and_slows_nobody() {
    for driver in Driver::ALL {
        let limits = limits(|limits| limits.closing = SOON * 6);
        let alice = Node::with(driver, "Alice", &[], limits);
        let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
        bob.expect_peers(1);
        let mut deaf = alice.socket();
        let mut reader = alice.socket();
        flood(&bob, 16, |n| expect_number(&mut reader, n));

        // What it gets in the end is what the system's buffers and the queue held, and why there is no more.
        let mut bytes = 0;
        let code = loop {
            match deaf.read().unwrap() {
                Message::Text(text) => bytes += text.len(),
                Message::Close(frame) => break frame.unwrap().code,
                _ => {}
            }
        };
        assert_eq!(code, CloseCode::Again);
        assert!(bytes > 1024 * 1024 && bytes < 14 * 1024 * 1024, "{bytes}");
    }
}

#[test]
fn a_socket_that_is_told_to_close_and_does_not_slows_nobody() {
    for driver in Driver::ALL {
        let limits = limits(|limits| limits.closing = SOON * 6);
        let alice = Node::with(driver, "Alice", &[], limits);
        let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
        bob.expect_peers(1);
        let mut binary = alice.socket();
        let mut reader = alice.socket();
        // It sends a binary frame, for which it is closed, and answers nothing.
        binary.stream().write_all(&[0x82, 0x81, 0, 0, 0, 0, b'x']).unwrap();
        flood(&bob, 4, |n| expect_number(&mut reader, n));
    }
}

#[test]
fn a_socket_that_never_reads_again_is_dropped() {
    for driver in Driver::ALL {
        let limits = limits(|limits| {
            limits.sockets = 1;
            limits.closing = Duration::from_millis(300);
        });
        let alice = Node::with(driver, "Alice", &[], limits);
        let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
        bob.expect_peers(1);
        let mut deaf = alice.socket();
        assert_eq!(alice.try_socket().err(), Some(503));
        flood(&bob, 16, |_| {});
        eventually("its place to be free", SOON * 3, || alice.try_socket().is_ok());
        assert!(!matches!(deaf.end(), Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    }
}

/// The next message of a flood, which begins with its number.
#[track_caller]
fn expect_number(reader: &mut Socket, n: u64) {
    let (message, _) = reader.expect("MessageReceived");
    let content = message["content"].as_str().unwrap();
    assert_eq!(content.split(' ').next().unwrap().parse(), Ok(n));
}

/// So many MiB of messages from this node, a few at a time; each is to be read then.
fn flood(node: &Node, mib: u64, mut read: impl FnMut(u64)) {
    const ROUND: u64 = 64;
    let filler = "x".repeat(1000);
    for round in 0..mib * 1024 / ROUND {
        let numbers = round * ROUND..(round + 1) * ROUND;
        let lines: Vec<_> = numbers.clone().map(|n| format!("{n} {filler}")).collect();
        node.say(&lines.join("\n"));
        numbers.for_each(&mut read);
    }
}

#[test]
fn a_burst_reaches_a_socket_whole_and_in_order() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let [mut heard, mut said] = [bob.socket(), alice.socket()];
        let lines: Vec<_> = (0..10_000).map(|n| format!("{n} in a burst of ten thousand messages")).collect();
        lines.chunks(5_000).for_each(|lines| alice.say(&lines.join("\n")));
        for line in &lines {
            assert_eq!(heard.expect("MessageReceived").0["content"], *line);
            assert_eq!(said.expect("MessageSent").0["content"], *line);
        }
    }
}

#[test]
fn a_burst_from_a_socket_is_said_whole_and_in_order() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let [mut speaker, mut heard] = [alice.socket(), bob.socket()];
        (0..10_000).for_each(|n| speaker.write(format!("{n}")));
        for n in 0..10_000 {
            assert_eq!(heard.expect("MessageReceived").0["content"], n.to_string());
        }
    }
}

#[test]
fn a_socket_that_is_silent_is_pinged_and_then_dropped() {
    for driver in Driver::ALL {
        let (ping, dead) = (Duration::from_millis(100), Duration::from_millis(500));
        let node = Node::with(
            driver,
            "Alice",
            &[],
            limits(|limits| {
                limits.ping = ping;
                limits.dead = dead;
            }),
        );
        // The library answers pings while it reads, and so this one lives.
        let mut alive = node.socket();
        let opened = Instant::now();
        while opened.elapsed() < dead * 2 {
            assert!(matches!(alive.read().unwrap(), Message::Ping(_)));
        }
        let mut connection = node.open();
        connection.write(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(connection.head().status, 101);
        let opened = Instant::now();
        assert!(connection.ends_within(SOON));
        assert!(opened.elapsed() >= dead - ping, "{:?}", opened.elapsed());
    }
}

#[test]
fn when_the_node_stops_its_sockets_are_told() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let mut socket = node.socket();
        block_on(node.handle.shutdown());
        assert_eq!(socket.close_code(), Some(CloseCode::Away));
        assert!(matches!(socket.end(), Error::ConnectionClosed));
    }
}

#[test]
fn a_client_that_goes_leaves_its_place_however_it_goes() {
    for driver in Driver::ALL {
        let node = Node::with(driver, "Alice", &[], limits(|limits| limits.sockets = 1));
        let open = || {
            let mut opened = None;
            eventually("a place", SOON, || {
                opened = node.try_socket().ok();
                opened.is_some()
            });
            opened.unwrap()
        };
        open().close();
        open().stream().shutdown(Shutdown::Both).unwrap();
        drop(open());
        let mut socket = open();
        socket.write("/peers");
        assert_eq!(socket.next(), json!([]));
    }
}

#[test]
fn what_came_as_an_event_is_in_the_list_under_the_same_number() {
    let [alice, bob] = pair(Driver::Tokio);
    let mut socket = alice.socket();
    bob.say("one\ntwo");
    alice.say("three");
    let events: Vec<Value> = (0..3).map(|_| socket.next()).collect();
    let listed = alice.get("/messages").json();
    for event in events {
        let (key, _) = event.as_object().unwrap().iter().find(|(key, _)| key.starts_with("Message")).unwrap();
        let same = listed.as_array().unwrap().iter().find(|message| message["id"] == event["id"]).unwrap();
        assert_eq!((&same["content"], &same["at"]), (&event[key]["content"], &event["at"]));
    }
}

#[test]
fn each_message_of_version_2_is_an_object_with_one_key() {
    for driver in Driver::ALL {
        let alice = Node::start(driver, "Alice");
        let mut socket = alice.socket_at("/ws?v=2");
        let mut other = alice.socket();
        let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
        let joined = next_of(&mut socket, "PeerJoined");
        assert_eq!(joined["peer"], alice.get("/peers").json()[0], "{joined}");
        bob.expect_peers(1);
        bob.say("hi");
        let heard = next_of(&mut socket, "Message");
        assert_eq!(
            (&heard["from"], &heard["content"], &heard["own"]),
            (&json!("Bob"), &json!("hi"), &json!(false))
        );
        assert_eq!(heard["history"], false);
        assert!(heard["id"].as_u64() > joined["id"].as_u64());
        assert!(heard["at"].is_u64() && heard["said_at"].is_u64());

        socket.write("/peers");
        assert_eq!(next_of(&mut socket, "Peers"), alice.get("/peers").json());
        socket.write("one");
        socket.write("two\nthree");
        let sent = [(); 2].map(|()| next_of(&mut socket, "Sent"));
        other.expect("MessageReceived");
        for sent in sent {
            let (_, event) = other.expect("MessageSent");
            assert_eq!(sent["id"], event["entry"]["id"]);
        }
        socket.write(" ");
        assert!(next_of(&mut socket, "Error").is_string());
        other.write("from another");
        let own = next_of(&mut socket, "Message");
        assert_eq!((&own["content"], &own["own"]), (&json!("from another"), &json!(true)));
        drop(bob);
        assert_eq!(next_of(&mut socket, "PeerLeft")["peer"]["uname"], "Bob");
    }
}

/// The next message of version 2 with this key: what it says.
#[track_caller]
fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.next();
        assert_eq!(message.as_object().map(serde_json::Map::len), Some(1), "{message}");
        if let Some(said) = message.get(kind) {
            return said.clone();
        }
    }
}
