//! Each route, each answer.

use std::io::Write;
use std::net::TcpStream;

use proto_core::ChatText;
use serde_json::{Value, json};
use tests::journal::{SOON, eventually};
use tests::process::Driver;
use tests::raw::join_line;
use tests::version1::random_uuid;

use crate::node::{Node, block_on, expect_error, header, pair};

const PEER_KEYS: [&str; 8] =
    ["key", "listen_addr", "node_id", "remote_addr", "sealed", "state", "uname", "version"];

#[test]
fn the_peers_are_an_array_of_objects_with_these_keys() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let response = alice.get("/peers");
        assert_eq!((response.status, header(&response, "content-type")), (200, Some("application/json")));
        let peers = response.json();
        let peer = peers[0].as_object().unwrap();
        assert_eq!(peers.as_array().unwrap().len(), 1);
        assert_eq!(peer.keys().collect::<Vec<_>>(), PEER_KEYS);
        assert_eq!(peer["key"], bob.get("/me").json()["key"]);
        assert_eq!((&peer["version"], &peer["state"]), (&json!(2), &json!("linked")));
        assert_eq!(peer["uname"], "Bob");
        assert_eq!(peer["listen_addr"], bob.addr.to_string());
        assert_eq!(peer["node_id"], bob.get("/me").json()["node_id"]);
        assert!(peer["remote_addr"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(alice.get("/peers").body, response.body, "nothing in it changes by itself");
    }
}

#[test]
fn what_is_sent_is_heard_and_each_line_is_a_message() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut heard = bob.socket();
        let response = alice.send("hello");
        assert_eq!((response.status, &response.body[..]), (200, "sent"));
        assert!(header(&response, "content-type").unwrap().starts_with("text/plain"));
        alice.send("one\r\ntwo\n\nPEERS|{}\rMSG|three\n");
        for text in ["hello", "one", "two", "PEERS|{}", "MSG|three"] {
            let (message, _) = heard.expect("MessageReceived");
            assert_eq!(message, json!({"from": "Alice", "content": text}));
        }
        // A browser's form and curl name other types; JSON it is all the same.
        let typed = alice.request("POST", "/send", &[("Content-Type", "text/plain")], r#"{"msg":"x"}"#);
        assert_eq!(typed.status, 200);
    }
}

#[test]
fn what_cannot_be_said_is_refused_with_the_right_status() {
    let node = Node::start(Driver::Tokio, "Alice");
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in [
        "",
        "hello",
        "{",
        "{}",
        "[]",
        "null",
        r#"{"msg":1}"#,
        r#"{"msg":null}"#,
        r#"{"msg":["x"]}"#,
        r#"{"message":"x"}"#,
        r#"{"msg":"x"} y"#,
        r#"{"msg":"x","msg":"y"}"#,
        r#"{"msg":"\ud800"}"#,
        r#"{"msg":""}"#,
        r#"{"msg":"\n\r\n"}"#,
        r#"{"msg":" \t\n\u00a0"}"#,
        r#"{"msg":"x","y":[1]}"#,
        &nested,
    ] {
        expect_error(&node.post(body), 400);
    }
    let mut connection = node.open();
    connection.write(format!("POST /send HTTP/1.1\r\nHost: {}\r\nContent-Length: 13\r\n\r\n", node.api));
    connection.write(b"{\"msg\":\"\xff\xfe\"}");
    connection.write(b"x");
    expect_error(&connection.answer(), 400);
    assert_eq!(node.get("/messages").json(), json!([]));
}

#[test]
fn wrong_methods_and_paths_are_told_so() {
    let node = Node::start(Driver::Smol, "Alice");
    let reading = [
        "/",
        "/peers",
        "/me",
        "/mutes",
        "/messages",
        "/metrics",
        "/openapi.json",
        "/status",
        "/page/main.js",
        "/page/style.css",
    ];
    let routes = reading.iter().map(|path| (*path, "GET, HEAD")).chain(
        ["/send", "/nick", "/mute", "/unmute", "/connect", "/disconnect"]
            .map(|path| (path, "POST"))
            .into_iter()
            .chain([("/ws", "GET")]),
    );
    for (path, allowed) in routes {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if allowed.contains(method) {
                continue;
            }
            let response = node.request(method, path, &[], "");
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(header(&response, "allow"), Some(allowed), "{method} {path}");
            if method != "HEAD" {
                expect_error(&response, 405);
            }
        }
    }
    for path in
        ["/peer", "/peers/", "//peers", "/page/", "/page/..", "/page/../style.css", "/%70eers", "/index.html"]
    {
        expect_error(&node.get(path), 404);
    }
    for path in [
        "/peers?x=1",
        "/me?x",
        "/members?x",
        "/mutes?id=1",
        "/status?v=2",
        "/metrics?format=text",
        "/messages?&y=",
        "/messages?limit",
        "/messages?limit=",
        "/messages?limit=+5",
        "/messages?limit=5&limit=5",
        "/peers?=1",
        "/me?%78=1",
        "/ws?v=2&v=2",
        "/openapi.json?v=1",
        "/ws?w=2",
        "/ws?v=3",
        "/ws?v=2&x",
    ] {
        expect_error(&node.get(path), 400);
    }
    expect_error(&node.request("POST", "/send?x=1", &[], r#"{"msg":"x"}"#), 400);
    assert_eq!(node.get("/?from=a-link").status, 200);
    assert_eq!(node.get("/messages").body, "[]");
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let node = Node::start(Driver::Tokio, "Alice");
    for path in ["/", "/peers", "/page/icon.svg"] {
        let get = node.get(path);
        let head = node.request("HEAD", path, &[], "");
        assert_eq!((head.status, &head.body[..]), (200, ""));
        assert_eq!(header(&head, "content-length"), Some(&get.body.len().to_string()[..]), "{path}");
        assert_eq!(header(&head, "content-type"), header(&get, "content-type"));
    }
}

#[test]
fn the_page_is_whole_and_locked_up() {
    let node = Node::start(Driver::Smol, "Alice");
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let response = node.get(path);
        assert_eq!((response.status, header(&response, "content-type")), (200, Some(content_type)));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&response, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(&response, "cache-control"), Some("no-cache"));
        let policy = header(&response, "content-security-policy").unwrap();
        let directives: Vec<_> = policy.split("; ").collect();
        for directive in
            ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
        {
            assert!(directives.contains(&directive), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn the_node_tells_who_it_is_and_what_was_said() {
    let [alice, bob] = pair(Driver::Tokio);
    let me = alice.get("/me").json();
    assert_eq!((&me["uname"], &me["listen_addr"]), (&json!("Alice"), &json!(alice.addr.to_string())));
    assert_eq!(me["node_id"], bob.expect_peers(1)[0]["node_id"]);
    alice.send("question\nmore");
    // Who has read the question dates the answer after it, so the order is the same for both.
    eventually("the question", SOON, || bob.get("/messages").json().as_array().unwrap().len() == 2);
    bob.say("answer");
    eventually("three messages", SOON, || alice.get("/messages").json().as_array().unwrap().len() == 3);
    let messages = alice.get("/messages").json();
    let messages = messages.as_array().unwrap();
    let bob_id = &bob.get("/me").json()["node_id"];
    let find = |text: &str| messages.iter().find(|message| message["content"] == text).unwrap();
    for text in ["question", "more"] {
        let Value::Object(message) = find(text) else { panic!() };
        assert_eq!(
            (&message["from"], &message["own"], &message["node_id"]),
            (&json!("Alice"), &json!(true), &json!(null))
        );
        assert!(message.len() >= 7, "{message:?}");
    }
    let answer = find("answer");
    assert_eq!((&answer["from"], &answer["own"], &answer["node_id"]), (&json!("Bob"), &json!(false), bob_id));
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one + 1 == *next), "{ids:?}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!(now - answer["at"].as_u64().unwrap() < 60_000);
}

#[test]
fn a_connection_carries_one_request_after_the_other() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let host = node.api.to_string();
        let mut connection = node.open();
        for _ in 0..3 {
            assert_eq!(connection.ask("GET", "/peers", &[("Host", &host)], "").body, "[]");
            assert_eq!(connection.ask("POST", "/send", &[("Host", &host)], r#"{"msg":"x"}"#).body, "sent");
            expect_error(&connection.ask("POST", "/send", &[("Host", &host)], "x"), 400);
        }
        let get = format!("GET /peers HTTP/1.1\r\nHost: {host}\r\n\r\n");
        connection.write(get.repeat(5));
        for _ in 0..5 {
            assert_eq!(connection.answer().body, "[]");
        }
    }
}

#[test]
fn a_sender_that_waits_for_leave_gets_it() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let mut connection = node.open();
        let body = r#"{"msg":"hello"}"#;
        let head = |length| {
            format!(
                "POST /send HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
                node.api
            )
        };
        connection.write(head(body.len()));
        assert_eq!(connection.head().status, 100);
        connection.write(body);
        assert_eq!(connection.answer().body, "sent");

        connection.write(head(1_000_000));
        expect_error(&connection.answer(), 413);
    }
}

#[test]
fn while_the_peers_are_slow_it_is_told_when_to_try_again() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        // It joins and reads nothing.
        let mut peer = TcpStream::connect(node.addr).unwrap();
        peer.write_all(join_line(&random_uuid(), "Bob").as_bytes()).unwrap();
        node.expect_peers(1);
        let text = "x".repeat(60_000);
        let refused = (0..1_000).map(|_| node.send(&text)).find(|response| response.status != 200);
        let refused = refused.expect("a queue that fills");
        expect_error(&refused, 503);
        assert!(header(&refused, "retry-after").unwrap().parse::<u32>().is_ok_and(|seconds| seconds > 0));
        // It clears up by itself: the peer is cut.
        eventually("room again", SOON * 2, || node.send("again").status == 200);
    }
}

#[test]
fn a_node_that_has_stopped_says_so() {
    let (node, broadcast) = Node::start_stopped();
    for path in ["/peers", "/me", "/metrics", "/status"] {
        expect_error(&node.get(path), 503);
    }
    expect_error(&node.send("x"), 503);
    assert_eq!(node.get("/").status, 200);
    drop(broadcast);
    block_on(node.feed.ended());
}

#[test]
fn a_body_that_holds_more_than_a_text_may_is_refused_and_the_longest_text_sent_whole() {
    let [alice, bob] = pair(Driver::Smol);
    let mut heard = bob.socket();
    let longest = "x".repeat(ChatText::MAX);
    expect_error(&alice.send(&(longest.clone() + "x")), 413);
    assert_eq!(alice.send(&longest).status, 200);
    assert_eq!(heard.expect("MessageReceived").0["content"], longest);
}

#[test]
fn who_accepts_json_gets_the_entries_ids() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut heard = bob.socket();
        let body = json!({"msg": "one\ntwo\nthree"}).to_string();
        let sent = alice.request("POST", "/send", &[("Accept", "application/json")], &body);
        assert_eq!((sent.status, header(&sent, "content-type")), (200, Some("application/json")));
        let sent = sent.json();
        assert_eq!(sent["texts"], 3);
        let ids = sent["ids"].as_array().unwrap();
        let mut heard_in: Vec<_> =
            (0..3).map(|_| heard.expect("MessageReceived").1["entry"]["id"].clone()).collect();
        heard_in.dedup();
        assert_eq!(heard_in, *ids);
        assert_eq!(alice.send("plain").body, "sent");
    }
}

#[test]
fn figures_are_there_to_be_scraped() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut heard = bob.socket();
        alice.send("one");
        heard.expect("MessageReceived");
        let plain = alice.get("/metrics");
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!((plain.status, header(&plain, "content-type")), (200, Some(kind)));
        assert!(plain.body.contains("# TYPE chat_said_total counter\n"), "{}", plain.body);
        // As Prometheus asks.
        let accept =
            [("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")];
        let scraped = alice.request("GET", "/metrics", &accept, "");
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!((scraped.status, header(&scraped, "content-type")), (200, Some(kind)));
        for line in ["chat_peers 1", "chat_said_total 1"] {
            assert!(scraped.body.lines().any(|found| found == line), "{line:?} is not in\n{}", scraped.body);
        }
        assert!(scraped.body.ends_with("# EOF\n"));
    }
}

#[test]
fn the_status_tells_how_the_node_is_doing() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut heard = bob.socket();
        alice.send("one\ntwo");
        heard.expect("MessageReceived");
        let me = alice.get("/me").json();
        // The first round trip is measured as soon as the two are linked.
        let round_trip = || alice.get("/status").json()["links"][0]["round_trip_ms"].as_f64();
        eventually("a round trip", SOON, || round_trip().is_some_and(|time| time > 0.0 && time < 10_000.0));
        let status = alice.get("/status");
        assert_eq!((status.status, header(&status, "content-type")), (200, Some("application/json")));
        let status = status.json();
        for key in ["node_id", "uname", "key", "listen_addr"] {
            assert_eq!(status[key], me[key], "{key}");
        }
        let (link, other) = (&status["links"][0], bob.get("/me").json());
        for key in ["node_id", "uname", "key"] {
            assert_eq!(link[key], other[key], "{key}");
        }
        assert_eq!((&link["version"], &link["dialed"]), (&json!(2), &json!(false)));
        assert!(["parent", "child", "announce"].map(Value::from).contains(&link["role"]), "{link}");
        assert_eq!((&status["entries"]["held"], &status["stats"]["signed"]), (&json!(1), &json!(1)));
        assert_eq!((&status["gaps"], &status["clock_ahead_ms"]), (&json!([]), &json!(null)));
        let held = json!({"capacity": "slots", "holds": 1, "bound": 125});
        assert!(status["capacities"].as_array().unwrap().contains(&held), "{status}");
        assert_eq!(status["notices"], json!([]));
        drop(bob);
        alice.expect_peers(0);
        let alone = "you are connected to nobody: no one sees your messages until a peer connects";
        assert_eq!(alice.get("/status").json()["notices"], json!([alone]));
        assert!(status["book"]["known"].is_u64() && status["tree"].is_object(), "{status}");
    }
}

#[test]
fn the_description_names_every_route_with_its_methods() {
    use std::collections::{BTreeMap, BTreeSet};
    let node = Node::start(Driver::Tokio, "Alice");
    let document = node.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeMap<_, BTreeSet<_>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| {
            (path.as_str(), item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect())
        })
        .collect();
    let mut served: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    // The page's files are no part of the API.
    let routes = driver_common::api::routes().filter(|(_, path)| *path != "/" && !path.starts_with("/page/"));
    for (method, path) in routes.filter(|(method, _)| *method != "HEAD") {
        served.entry(path).or_default().insert(method.to_owned());
    }
    assert_eq!(described, served);

    let readme = include_str!("../../../README.md");
    for (path, methods) in &served {
        for method in methods {
            assert!(readme.contains(&format!("`{method} {path}`")), "README has no row for {method} {path}");
        }
    }
}

#[test]
fn what_is_answered_has_the_keys_that_the_description_demands() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut heard = bob.socket();
        alice.send("hello");
        heard.expect("MessageReceived");
        let nobody = format!("127.0.0.1:{}", tests::ports::reserve());
        block_on(alice.handle.connect(nobody.parse().unwrap())).unwrap();
        let document = alice.get("/openapi.json").json();
        let schema = |name: &str| document["components"]["schemas"][name].clone();
        let demands = |name: &str, answer: &Value| {
            for key in schema(name)["required"].as_array().unwrap() {
                let key = key.as_str().unwrap();
                assert!(answer.get(key).is_some(), "{name} has no {key}: {answer}");
            }
            for key in answer.as_object().unwrap().keys() {
                let known = schema(name)["properties"].get(key).is_some();
                assert!(known || name == "Peer" || name == "Entry", "{name} says nothing of {key}");
            }
        };
        demands("Peer", &alice.get("/peers").json()[0]);
        demands("Me", &alice.get("/me").json());
        demands("Message", &alice.get("/messages").json()[0]);
        demands("Entry", &alice.get("/messages").json()[0]["entry"]);
        let status = alice.get("/status").json();
        demands("Status", &Value::Object(status.as_object().unwrap().clone()));
        demands("Peer", &status["links"][0]);
        assert_eq!(status["targets"][0]["addr"], nobody);
        demands("Target", &status["targets"][0]);
        demands("Error", &alice.get("/nowhere").json());
    }
}

#[test]
fn an_address_that_cannot_be_reached_is_seen_with_the_reason() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let nobody = format!("127.0.0.1:{}", tests::ports::reserve());
        block_on(node.handle.connect(nobody.parse().unwrap())).unwrap();
        eventually("the reason", SOON, || node.get("/status").json()["targets"][0]["error"].is_string());
        let target = node.get("/status").json()["targets"][0].clone();
        assert!(target["error"].as_str().unwrap().contains("refused"), "{target}");
        assert!(target["node_id"].is_null());
        block_on(node.handle.disconnect(nobody.parse().unwrap())).unwrap();
        assert_eq!(node.get("/status").json()["targets"], json!([]));
    }
}

#[test]
fn name_and_addresses_are_changed_as_by_commands() {
    for driver in Driver::ALL {
        let alice = Node::start(driver, "Alice");
        let bob = Node::start(driver, "Bob");
        let post = |path, body: &Value| alice.request("POST", path, &[], &body.to_string());
        assert_eq!(post("/connect", &json!({"addr": bob.addr.to_string()})).body, "{}");
        alice.expect_peers(1);
        assert_eq!(post("/nick", &json!({"uname": "Zoë"})).body, "{}");
        assert_eq!(alice.get("/me").json()["uname"], "Zoë");
        eventually("the new name", SOON, || bob.get("/peers").json()[0]["uname"] == "Zoë");
        assert_eq!(post("/disconnect", &json!({"addr": bob.addr.to_string()})).body, "{}");
        expect_error(&post("/disconnect", &json!({"addr": bob.addr.to_string()})), 409);
        for (path, body) in [
            ("/nick", json!({"uname": ""})),
            ("/nick", json!({"uname": "\u{200d}"})),
            ("/nick", json!({"name": "x"})),
            ("/connect", json!({"addr": "nowhere"})),
            ("/disconnect", json!({"addr": "nowhere", "x": 1})),
        ] {
            expect_error(&post(path, &body), 400);
        }
    }
}

#[test]
fn who_is_muted_is_one_list_and_every_socket_is_told() {
    for driver in Driver::ALL {
        let [alice, bob] = pair(driver);
        let mut socket = alice.socket_at("/ws?v=2");
        let mut old = alice.socket();
        let post = |path, body: &Value| alice.request("POST", path, &[], &body.to_string());
        let (me, id) = (&alice.get("/me").json()["node_id"], &bob.get("/me").json()["node_id"]);
        assert_eq!(alice.get("/mutes").body, "[]");
        assert_eq!(post("/mute", &json!({ "id": id })).body, "{}");
        let told = socket.expect("Mute").0;
        assert_eq!([&told["node_id"], &told["uname"], &told["muted"]], [id, &json!("Bob"), &json!(true)]);
        assert_eq!(alice.get("/mutes").json(), json!([{ "id": id, "name": "Bob" }]));
        let far = "01234567-89ab-8def-8123-456789abcdef";
        assert_eq!(post("/mute", &json!({ "id": far })).body, "{}");
        assert_eq!(socket.expect("Mute").0["uname"], "0123456789ab8def", "nobody knows its name");
        assert_eq!(post("/mute", &json!({ "id": far, "name": "Far" })).body, "{}");
        assert_eq!(socket.expect("Mute").0["uname"], "Far");
        for muted in [id, &json!(far)] {
            assert_eq!(post("/unmute", &json!({ "id": muted })).body, "{}");
            let told = socket.expect("Mute").0;
            assert_eq!([&told["node_id"], &told["muted"]], [muted, &json!(false)]);
        }
        assert_eq!(alice.get("/mutes").body, "[]");
        expect_error(&post("/unmute", &json!({ "id": id })), 409);
        expect_error(&post("/mute", &json!({ "id": me })), 409);
        for body in
            [json!({}), json!({"id": "x"}), json!({"id": id, "x": 1}), json!({"id": id, "name": "\u{200d}"})]
        {
            expect_error(&post("/mute", &body), 400);
        }
        // Sockets without a version get what they always got.
        bob.say("hello");
        assert!(old.next().get("MessageReceived").is_some());
    }
}
