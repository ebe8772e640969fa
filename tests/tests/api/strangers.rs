//! Whose connection the system does not tell needs the token, whatever he asks for.

use std::net::Ipv4Addr;

use driver_common::api::Access;
use tests::cable::{Cable, ENDS};
use tests::journal::{SOON, eventually};
use tests::process::Driver;

use crate::apart::Apart;
use crate::guard::{expect_page_alone, expect_refused, expect_served, expect_silence};
use crate::node::{Node, token};

#[test]
fn who_is_in_another_network_namespace_is_refused_on_every_route() {
    for driver in Driver::ALL {
        let Some(cable) = Cable::lay() else { return };
        let node = cable.at(0, || Apart::start(driver, ENDS[0], Access::user_alone()));
        cable.at(1, || {
            expect_refused(&node, &[], 403);
            let text = node.get("/peers").json()["error"].as_str().unwrap().to_owned();
            assert!(text.contains("does not tell") && text.contains("--api-token-file"), "{text}");
        });
        // The same user, in the node's namespace.
        cable.at(0, || {
            expect_silence(&node);
            expect_served(&node, &[]);
        });
    }
}

#[test]
fn who_is_in_another_network_namespace_has_access_with_the_token() {
    for driver in Driver::ALL {
        let Some(cable) = Cable::lay() else { return };
        let (right, access) = token(&[]);
        let node = cable.at(0, || Apart::start(driver, ENDS[0], access));
        cable.at(1, || {
            expect_page_alone(&node, 401);
            expect_refused(&node, &[("Authorization", "Bearer x")], 401);
            expect_refused(&node, &[("Host", "localhost"), ("Origin", "null")], 403);
        });
        cable.at(0, || expect_silence(&node));
        cable.at(1, || expect_served(&node, &[("Authorization", &format!("Bearer {right}"))]));
    }
}

/// Asks the node to say this, and is gone before the node has accepted the connection.
fn ask_and_go(node: &Node, text: &str, token: &str) {
    let body = format!(r#"{{"msg":"{text}"}}"#);
    let (host, length) = (node.api, body.len());
    node.open().write(format!(
        "POST /send HTTP/1.1\r\nHost: {host}\r\n{token}Content-Length: {length}\r\n\r\n{body}"
    ));
}

/// Of a socket without an owner the system says that it is root's.
#[test]
fn who_has_gone_needs_the_token() {
    for driver in Driver::ALL {
        let (right, access) = token(&[]);
        let node = Apart::start(driver, Ipv4Addr::LOCALHOST, access);
        node.meanwhile(|| {
            ask_and_go(&node, "from nobody", "");
            ask_and_go(&node, "with the token", &format!("Authorization: Bearer {right}\r\n"));
        });
        eventually("the words with the token", SOON, || {
            node.get("/messages").body.contains("with the token")
        });
        node.send("the last ones");
        let said = node.get("/messages").body;
        assert!(said.contains("the last ones") && !said.contains("from nobody"), "{said}");
    }
}
