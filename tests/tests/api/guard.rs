//! Pages of other sites and names of other machines have no access.

use tests::process::Driver;

use crate::node::{Node, expect_error};

const ROUTES: [(&str, &str); 9] = [
    ("GET", "/"),
    ("GET", "/page/main.js"),
    ("GET", "/peers"),
    ("GET", "/me"),
    ("GET", "/messages"),
    ("POST", "/send"),
    ("GET", "/ws"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/send"),
];

const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn ask(node: &Node, (method, path): (&str, &str), extra: &[(&str, &str)]) -> tests::http::Response {
    let mut headers = extra.to_vec();
    if path == "/ws" {
        headers.extend(UPGRADE);
    }
    let body = if method == "POST" { r#"{"msg":"hello"}"# } else { "" };
    if path == "/ws" {
        // An answer that opens a WebSocket has no end to read to.
        let mut connection = node.open();
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = if extra.iter().any(|(name, _)| *name == "Host") {
            String::new()
        } else {
            format!("Host: {}\r\n", node.api)
        };
        connection.write(format!("GET /ws HTTP/1.1\r\n{host}{lines}\r\n"));
        let head = connection.head();
        return if head.status == 101 { head } else { node.request(method, path, &headers, body) };
    }
    node.request(method, path, &headers, body)
}

#[test]
fn a_foreign_host_or_origin_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let port = node.api.port();
        let foreign = [
            ("Host", "example.org".to_owned()),
            ("Host", format!("example.org:{port}")),
            ("Host", "localhost:1".to_owned()),
            ("Origin", "null".to_owned()),
            ("Origin", "http://example.org".to_owned()),
            ("Origin", format!("http://example.org:{port}")),
            ("Origin", format!("https://localhost:{port}")),
            ("Origin", "http://localhost:1".to_owned()),
        ];
        for route in ROUTES {
            for (name, value) in &foreign {
                expect_error(&ask(&node, route, &[(name, value)]), 403);
            }
        }
        assert_eq!(node.get("/messages").body, "[]", "nothing of it was said");
    }
}

#[test]
fn the_nodes_own_page_and_programs_without_an_origin_have_access() {
    let node = Node::start(Driver::Smol, "Alice");
    let port = node.api.port();
    let own = [
        vec![],
        vec![("Host", "localhost".to_owned())],
        vec![("Host", format!("[::1]:{port}"))],
        vec![("Origin", format!("http://127.0.0.1:{port}"))],
        vec![("Host", format!("localhost:{port}")), ("Origin", format!("http://localhost:{port}"))],
    ];
    for headers in &own {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &value[..])).collect();
        let statuses = ROUTES.map(|route| ask(&node, route, &headers).status);
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 101, 404, 405], "{headers:?}");
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
