//! Pages of other sites, names of other machines, other users and wrong tokens have no access, whatever they ask for.

use driver_common::api::{self, ApiLimits};
use tests::http::Response;
use tests::other_user::{OTHERS, run_as};
use tests::process::Driver;

use crate::node::{Node, expect_error, header, token};

/// What may be asked for: each method of each path, and what is not there.
fn routes() -> Vec<(&'static str, &'static str)> {
    let routes: Vec<_> =
        api::routes().chain([("GET", "/nowhere"), ("OPTIONS", "/send"), ("POST", "/")]).collect();
    assert!(routes.len() > 30, "{routes:?}");
    routes
}

pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Asks for it. What opens a WebSocket is a request to open one.
fn ask(node: &Node, (method, path): (&str, &str), extra: &[(&str, &str)]) -> Response {
    let host = node.api.to_string();
    let mut headers = extra.to_vec();
    if !extra.iter().any(|(name, _)| *name == "Host") {
        headers.push(("Host", &host));
    }
    if path == "/ws" && method == "GET" && !extra.iter().any(|(name, _)| *name == "Upgrade") {
        headers.extend(UPGRADE);
    }
    let body = match path {
        _ if method != "POST" => "",
        "/nick" => r#"{"uname":"Alice"}"#,
        "/connect" | "/disconnect" => r#"{"addr":"127.0.0.1:9"}"#,
        "/mute" | "/unmute" => r#"{"id":"00000000-0000-8000-8000-000000000000"}"#,
        _ => r#"{"msg":"hello"}"#,
    };
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut connection = node.open();
    connection
        .write(format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()));
    // The answer that opens a WebSocket, or to HEAD, has no body to read.
    let head = method == "HEAD" || path == "/ws";
    if head { connection.head() } else { connection.answer() }
}

/// An error with this status. An answer without a body says no more.
#[track_caller]
fn expect_status(route: (&str, &str), extra: &[(&str, &str)], response: &Response, status: u16) {
    assert_eq!(response.status, status, "{route:?} {extra:?} {response:?}");
    if !response.body.is_empty() {
        expect_error(response, status);
    }
}

/// Asks for every route and expects this error of each.
#[track_caller]
pub(crate) fn expect_refused(node: &Node, extra: &[(&str, &str)], status: u16) {
    for route in routes() {
        expect_status(route, extra, &ask(node, route, extra), status);
    }
}

#[track_caller]
pub(crate) fn expect_silence(node: &Node) {
    assert_eq!(node.get("/messages").body, "[]", "nothing of it was said");
}

#[test]
fn a_foreign_host_or_origin_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let port = node.api.port();
        for (name, value) in [
            ("Host", "example.org".to_owned()),
            ("Host", format!("example.org:{port}")),
            ("Host", "localhost:1".to_owned()),
            ("Origin", "null".to_owned()),
            ("Origin", "http://example.org".to_owned()),
            ("Origin", format!("http://example.org:{port}")),
            ("Origin", format!("https://localhost:{port}")),
            ("Origin", "http://localhost:1".to_owned()),
        ] {
            expect_refused(&node, &[(name, &value)], 403);
        }
        expect_silence(&node);
    }
}

#[test]
fn what_a_browser_says_of_another_sites_page_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        for site in ["cross-site", "same-site", "nonsense"] {
            expect_refused(&node, &[("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors")], 403);
        }
        expect_refused(&node, &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")], 403);
        // The one says so, the other does not.
        let own = format!("http://{}", node.api);
        expect_refused(&node, &[("Origin", &own), ("Sec-Fetch-Site", "cross-site")], 403);
        expect_refused(&node, &[("Origin", "null"), ("Sec-Fetch-Site", "same-origin")], 403);
        expect_silence(&node);
    }
}

#[test]
fn a_form_or_plain_text_from_a_page_is_refused_on_every_route() {
    const KINDS: [&str; 3] =
        ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"];
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let own = format!("http://{}", node.api);
        for kind in KINDS {
            expect_refused(&node, &[("Content-Type", kind), ("Origin", "http://example.org")], 403);
            expect_refused(&node, &[("Content-Type", kind), ("Sec-Fetch-Site", "cross-site")], 403);
            // The node's own page has no form.
            for from in [("Origin", &own[..]), ("Sec-Fetch-Site", "same-origin")] {
                let extra = [("Content-Type", kind), from];
                let takes_posts: Vec<_> =
                    api::routes().filter(|(method, _)| *method == "POST").map(|(_, path)| path).collect();
                for (_, path) in routes() {
                    let status = match path {
                        "/nowhere" => 404,
                        path if takes_posts.contains(&path) => 415,
                        _ => 405,
                    };
                    for headers in [&extra[..], &[from]] {
                        expect_status(("POST", path), headers, &ask(&node, ("POST", path), headers), status);
                    }
                }
            }
        }
        expect_silence(&node);
        // A program names whatever type it likes.
        assert_eq!(ask(&node, ("POST", "/send"), &[("Content-Type", KINDS[0])]).body, "sent");
    }
}

#[test]
fn a_web_socket_from_elsewhere_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        for from in [("Origin", "http://example.org"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
            expect_refused(&node, &[&UPGRADE[..], &[from]].concat(), 403);
        }
    }
}

#[test]
fn a_wrong_token_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let (right, access) = token(&["chat.example.org"]);
        let nodes = [Node::serving(driver, access, ApiLimits::default()), Node::start(driver, "Bob")];
        let near = format!("{}{}", &right[..63], if right.ends_with('0') { '1' } else { '0' });
        for node in &nodes {
            for wrong in ["Bearer", "Bearer x", &format!("Bearer {near}"), &format!("Basic {right}")] {
                expect_refused(node, &[("Authorization", wrong)], 401);
            }
            expect_refused(
                node,
                &[("Sec-WebSocket-Protocol", &format!("p2p-chat, p2p-chat.token.{near}"))],
                401,
            );
            expect_silence(node);
        }
        // Where there is none, none is right.
        expect_refused(&nodes[1], &[("Authorization", &format!("Bearer {right}"))], 401);
    }
}

/// What each route answers to those who have access.
pub(crate) fn expect_served(node: &Node, extra: &[(&str, &str)]) {
    for (method, path) in routes() {
        let expected = match (method, path) {
            ("GET", "/nowhere") => 404,
            ("OPTIONS", _) | ("POST", "/") => 405,
            ("GET", "/ws") => 101,
            _ => 200,
        };
        let response = ask(node, (method, path), extra);
        assert_eq!(response.status, expected, "{method} {path} {extra:?} {response:?}");
    }
}

/// Whoever has no token gets the page, and this status for all else.
#[track_caller]
pub(crate) fn expect_page_alone(node: &Node, status: u16) {
    for route @ (_, path) in routes() {
        let page = path == "/" || path.starts_with("/page/");
        let response = ask(node, route, &[]);
        match route {
            ("POST", "/") => expect_status(route, &[], &response, 405),
            _ if page => assert_eq!(response.status, 200, "{route:?}"),
            _ => expect_status(route, &[], &response, status),
        }
    }
}

#[test]
fn the_nodes_own_page_and_programs_of_the_user_have_access() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let port = node.api.port();
        let json = ("Content-Type", "application/json");
        expect_served(&node, &[]);
        expect_served(&node, &[("Host", "localhost")]);
        expect_served(&node, &[("Host", &format!("[::1]:{port}"))]);
        expect_served(&node, &[("Origin", &format!("http://127.0.0.1:{port}")), json]);
        let localhost = format!("localhost:{port}");
        let origin = format!("http://{localhost}");
        expect_served(
            &node,
            &[("Host", &localhost), ("Origin", &origin), ("Sec-Fetch-Site", "same-origin"), json],
        );
        let typed = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")];
        assert_eq!(ask(&node, ("GET", "/"), &typed).status, 200);
    }
}

#[test]
fn another_user_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let asked = run_as(OTHERS[0], || {
            expect_refused(&node, &[], 403);
            let text = node.get("/peers").json()["error"].as_str().unwrap().to_owned();
            assert!(text.contains("another user") && text.contains("--api-token-file"), "{text}");
        });
        if asked.is_some() {
            expect_silence(&node);
        }
    }
}

#[test]
fn another_user_with_the_token_has_access_and_without_it_to_the_page_alone() {
    for driver in Driver::ALL {
        let (right, access) = token(&[]);
        let node = Node::serving(driver, access, ApiLimits::default());
        let _ = run_as(OTHERS[0], || {
            expect_page_alone(&node, 403);
            expect_served(&node, &[("Authorization", &format!("Bearer {right}"))]);
            let offered = [("Sec-WebSocket-Protocol", &format!("p2p-chat, p2p-chat.token.{right}")[..])];
            expect_served(&node, &offered);
            let opened = ask(&node, ("GET", "/ws"), &offered);
            assert_eq!(header(&opened, "sec-websocket-protocol"), Some("p2p-chat"));
        });
        // The user goes on without.
        expect_served(&node, &[]);
    }
}

#[test]
fn a_name_is_admitted_with_the_token_alone() {
    for driver in Driver::ALL {
        let (right, access) = token(&["chat.example.org", "localhost:9000"]);
        let node = Node::serving(driver, access, ApiLimits::default());
        let bearer = ("Authorization", &format!("Bearer {right}")[..]);
        for host in ["chat.example.org", "Chat.Example.org:443", "localhost:9000"] {
            let host = ("Host", host);
            assert_eq!(ask(&node, ("GET", "/"), &[host]).status, 200, "the page brings the token along");
            let refused = ask(&node, ("GET", "/peers"), &[host]);
            expect_error(&refused, 401);
            assert_eq!(header(&refused, "www-authenticate"), Some("Bearer"));
            expect_served(&node, &[host, bearer]);
        }
        let https = [("Host", "chat.example.org"), ("Origin", "https://chat.example.org"), bearer];
        assert_eq!(ask(&node, ("GET", "/me"), &https).status, 200, "a proxy may speak TLS");
        for (host, origin) in [
            ("chat.example.org", "https://example.org"),
            ("chat.example.org", "http://localhost:9000"),
            ("localhost:9000", "http://localhost:9001"),
        ] {
            expect_refused(&node, &[("Host", host), ("Origin", origin), bearer], 403);
        }
        expect_refused(&node, &[("Host", "localhost:9001"), bearer], 403);
    }
}

#[test]
fn a_request_names_one_host() {
    let node = Node::start(Driver::Tokio, "Alice");
    for hosts in ["", "Host: localhost\r\nHost: localhost\r\n"] {
        let mut connection = node.open();
        connection.write(format!("GET /peers HTTP/1.1\r\n{hosts}\r\n"));
        expect_error(&connection.answer(), 400);
    }
    let mut connection = node.open();
    connection.write("GET http://example.org/peers HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_error(&connection.answer(), 403);
}
