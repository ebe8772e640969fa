//! Requests that are framed wrongly, or in two ways at once, never smuggle in a second one.

use serde_json::json;
use tests::journal::{SOON, eventually};
use tests::process::Driver;

use crate::guard::UPGRADE;
use crate::node::{Node, expect_error};

/// What the request that is smuggled in says.
const SMUGGLED: &str = "smuggled";

/// A whole request to say something, as an attacker would hide it in another one.
fn hidden(host: &str) -> String {
    let body = format!(r#"{{"msg":"{SMUGGLED}"}}"#);
    format!("POST /send HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Each payload is one request, malformed or not, with another request in it or behind it.
fn payloads(host: &str) -> Vec<Vec<u8>> {
    let hidden = hidden(host);
    [
        two_lengths(host, &hidden),
        odd_lengths(host, &hidden),
        odd_codings(host, &hidden),
        odd_chunks(host, &hidden),
        odd_headers(host, &hidden),
        odd_request_lines(host, &hidden),
        other_protocols(host, &hidden),
        last_requests(host, &hidden),
        too_large(host, &hidden),
    ]
    .concat()
}

/// `POST /send` with these header lines, and this after them.
fn post(host: &str, lines: &str, rest: &str) -> Vec<u8> {
    format!("POST /send HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n\r\n{rest}").into_bytes()
}

/// `Content-Length` beside `Transfer-Encoding`: each ends the body elsewhere (RFC 9112, 6.3).
fn two_lengths(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let rest = format!("0\r\n\r\n{hidden}");
    let (all, chunked) = (rest.len(), "Transfer-Encoding: chunked");
    [
        format!("Content-Length: {all}\r\n{chunked}"),
        format!("{chunked}\r\nContent-Length: {all}"),
        format!("Content-Length: 5\r\n{chunked}"),
        format!("{chunked}\r\nContent-Length: 5"),
        format!("{chunked}\r\nContent-Length: x"),
        format!("Content-Length: {all}\r\n{chunked}\r\nContent-Length: 5"),
        format!("content-length: {all}\r\nTRANSFER-ENCODING: CHUNKED"),
        format!("{chunked}\r\nContent-Length: 0\r\nConnection: keep-alive"),
    ]
    .iter()
    .map(|lines| post(host, lines, &rest))
    .collect()
}

/// Lengths that some read in one way, and some in another.
fn odd_lengths(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let all = hidden.len();
    [
        format!("Content-Length: 0\r\nContent-Length: {all}"),
        format!("Content-Length: {all}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {all}"),
        format!("Content-Length: +{all}"),
        "Content-Length: -1".to_owned(),
        format!("Content-Length: 0x{all:x}"),
        format!("Content-Length: 0 {all}"),
        format!("Content-Length: {all}.0"),
        "Content-Length: 1e1".to_owned(),
        "Content-Length:".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        format!("Content-Length: \"{all}\""),
        format!("Content-Length : {all}"),
        format!("Content-Length\t: {all}"),
        format!("Content-Length: 0\r\n {all}"),
    ]
    .iter()
    .map(|lines| post(host, lines, hidden))
    .collect()
}

/// Codings that some take for `chunked`, and some do not. The length covers the rest for those who do not.
fn odd_codings(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let rest = format!("0\r\n\r\n{hidden}");
    let all = rest.len();
    [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n : chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "Transfer-Encoding: ch\0unked",
    ]
    .iter()
    .map(|line| post(host, &format!("Content-Length: {all}\r\n{line}"), &rest))
    .collect()
}

/// Chunks whose sizes some read in one way, and some in another (RFC 9112, 7.1).
fn odd_chunks(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let size = hidden.len();
    [
        format!("g\r\n{hidden}\r\n0\r\n\r\n"),
        format!("-1\r\n{hidden}\r\n0\r\n\r\n"),
        format!("+0\r\n\r\n{hidden}"),
        format!("0x0\r\n\r\n{hidden}"),
        format!("\r\n0\r\n\r\n{hidden}"),
        format!("ffffffffffffffff\r\n{hidden}"),
        format!("10000000000000000\r\n\r\n{hidden}"),
        format!("{size:x}\r{hidden}\r\n0\r\n\r\n"),
        format!("1\r\nab\r\n0\r\n\r\n{hidden}"),
        format!("1\r\na0\r\n\r\n{hidden}"),
        format!("1\r\na\n0\r\n\r\n{hidden}"),
        format!("0;a=\n\r\n\r\n{hidden}"),
        format!("0\rx\r\n\r\n{hidden}"),
        format!("0\r\nTransfer-Encoding chunked\0\r\n{hidden}"),
        format!("1;{}\r\na\r\n0\r\n\r\n{hidden}", "x".repeat(100_000)),
    ]
    .iter()
    .map(|rest| post(host, "Transfer-Encoding: chunked", rest))
    .collect()
}

/// Header lines that are none. The length covers the rest.
fn odd_headers(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let all = hidden.len();
    [
        "X: \0",
        "X\0: y",
        "X",
        ": y",
        "X y: z",
        "X(: z",
        "X: \u{1}",
        "X: \u{7f}",
        "X: y\r\r",
        "\r: y",
        "Host: example.org",
    ]
    .iter()
    .map(|line| post(host, &format!("{line}\r\nContent-Length: {all}"), hidden))
    .chain([
        // The first line is indented.
        format!("GET /me HTTP/1.1\r\n X: y\r\nHost: {host}\r\nContent-Length: {all}\r\n\r\n{hidden}").into(),
        // Lines that end with CR alone.
        format!("GET /me HTTP/1.1\rHost: {host}\rContent-Length: {all}\r\r{hidden}").into(),
        // No host at all.
        format!("GET /me HTTP/1.1\r\nContent-Length: {all}\r\n\r\n{hidden}").into(),
    ])
    .collect()
}

/// Request lines that are none, or that name another host. The length covers the rest.
fn odd_request_lines(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let all = hidden.len();
    [
        "GET /me",
        "GET /me ",
        "GET  /me HTTP/1.1",
        "GET\t/me\tHTTP/1.1",
        "GET /me HTTP/1.1 x",
        "GET /me HTTP/2.0",
        "GET /me HTTP/0.9",
        "GET /me HTTP/1.10",
        "GET /me HTTP/01.1",
        "GET /me http/1.1",
        "GET /me\0 HTTP/1.1",
        "\0GET /me HTTP/1.1",
        "GET /m e HTTP/1.1",
        "GET http://example.org/me HTTP/1.1",
        "GET http://example.org@127.0.0.1/me HTTP/1.1",
        "GET //example.org/me HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "G(T /me HTTP/1.1",
    ]
    .iter()
    .map(|line| format!("{line}\r\nHost: {host}\r\nContent-Length: {all}\r\n\r\n{hidden}").into_bytes())
    .collect()
}

/// What follows is meant for a tunnel or for another protocol.
fn other_protocols(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let all = hidden.len();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    [
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n{hidden}"),
        format!("CONNECT /send HTTP/1.1\r\nHost: {host}\r\n\r\n{hidden}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"),
        format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n{hidden}"),
        format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\nContent-Length: {all}\r\n\r\n{hidden}"),
        format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{hidden}"),
        format!("GET /me HTTP/1.1\r\nHost: {host}\r\n{h2c}\r\nContent-Length: {all}\r\n\r\n{hidden}"),
        format!("\u{16}\u{3}\u{1}{hidden}"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// The first request says that it is the last one, or its body is the second one.
fn last_requests(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let all = hidden.len();
    [
        format!("GET /me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n{hidden}"),
        format!(
            "GET /me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n{hidden}"
        ),
        format!("GET /me HTTP/1.0\r\nHost: {host}\r\n\r\n{hidden}"),
        format!("POST /send HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("GET /me HTTP/1.1\r\nHost: {host}\r\nContent-Length: {all}\r\n\r\n{hidden}"),
        format!(
            "HEAD /me HTTP/1.1\r\nHost: {host}\r\nContent-Length: {all}\r\nConnection: close\r\n\r\n{hidden}"
        ),
        format!("DELETE /me HTTP/1.1\r\nHost: {host}\r\nContent-Length: {all}\r\n\r\n{hidden}"),
        format!("POST /nowhere HTTP/1.1\r\nHost: {host}\r\nContent-Length: {all}\r\n\r\n{hidden}"),
        format!(
            "POST /send HTTP/1.1\r\nHost: {host}\r\nOrigin: null\r\nContent-Length: {all}\r\n\r\n{hidden}"
        ),
        format!("POST /send HTTP/1.1\r\nHost: {host}\r\nExpect: x\r\nContent-Length: {all}\r\n\r\n{hidden}"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What is more than the API takes.
fn too_large(host: &str, hidden: &str) -> Vec<Vec<u8>> {
    let filler = "x".repeat(2 * 1024 * 1024);
    let many: String = (0..200).map(|n| format!("X{n}: y\r\n")).collect();
    [
        format!("GET /me HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n{hidden}", &filler[..20_000]),
        format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n{hidden}", &filler[..70_000]),
        format!("GET /me HTTP/1.1\r\nHost: {host}\r\n{many}\r\n{hidden}"),
        format!("POST /send HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4000000\r\n\r\n{filler}{hidden}"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// How many answers come to these bytes.
fn answers(node: &Node, payload: &[u8]) -> Vec<u16> {
    let mut connection = node.open();
    // The node may have seen enough before the end.
    let _ = connection.try_write(payload);
    connection.answers().iter().map(|answer| answer.status).collect()
}

#[test]
fn no_payload_yields_a_second_request() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let payloads = payloads(&node.api.to_string());
        assert!(payloads.len() >= 60, "{}", payloads.len());
        for payload in &payloads {
            let statuses = answers(&node, payload);
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(300)]);
            assert!(statuses.len() <= 1, "{driver:?} {statuses:?} to {shown:?}");
        }
        // What was said before it would stand before it.
        assert_eq!(node.send("the last").status, 200);
        let said = || node.get("/messages").json();
        eventually("the last message", SOON, || said() != json!([]));
        assert_eq!(said().as_array().map(Vec::len), Some(1), "{driver:?} {}", said());
    }
}

#[test]
fn what_is_looked_for_can_be_seen() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let host = node.api.to_string();
        // Two requests that are two, however they are read.
        let two = format!("GET /me HTTP/1.1\r\nHost: {host}\r\n\r\n{}", hidden(&host));
        assert_eq!(answers(&node, two.as_bytes()), [200, 200]);
        eventually("what was smuggled in", SOON, || node.get("/messages").body.contains(SMUGGLED));
    }
}

#[test]
fn a_request_for_a_web_socket_has_no_body() {
    for driver in Driver::ALL {
        let node = Node::start(driver, "Alice");
        let upgrade: String = UPGRADE.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        for (lines, body) in
            [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
        {
            let mut connection = node.open();
            connection
                .write(format!("GET /ws HTTP/1.1\r\nHost: {}\r\n{upgrade}{lines}\r\n\r\n{body}", node.api));
            expect_error(&connection.answer(), 400);
        }
    }
}
