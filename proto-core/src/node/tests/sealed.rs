//! Sealed connections: how they open, and whose they are (SPEC section 19).

use super::*;
use crate::model::Plaintext;

const FAR: &str = "9.9.9.9:50000";

/// A node whose driver can seal.
fn sealing(plaintext: Plaintext) -> Solo {
    let config = Config::builder("Me".parse().unwrap())
        .listen_addr(SocketAddr::from(([9, 9, 9, 1], 8080)))
        .plaintext(plaintext)
        .build()
        .unwrap();
    Solo {
        node: Node::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN),
        now: Instant::ORIGIN,
    }
}

fn key(n: u8) -> PublicKey {
    Identity::from_secret(&[n; 32]).key()
}

fn join_of(n: u8) -> String {
    let (key, id) = (key(n), key(n).node_id());
    let hello = alloc::format!(r#""v":2,"nonce":"n{n}","links":0,"key":"{key}""#);
    alloc::format!("JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Alice\",{hello}}}\n")
}

fn violation(actions: &[Action]) -> Option<Violation> {
    actions.iter().find_map(|action| match action {
        Action::Report { violation, .. } => Some(*violation),
        _ => None,
    })
}

impl Solo {
    /// A peer with this key opens a sealed connection, up to the end of the handshake.
    fn seal(&mut self, conn: u64, n: u8) -> Vec<Action> {
        let conn = ConnId(conn);
        assert_eq!(self.input(Input::accepted(conn, FAR.parse().unwrap())), []);
        assert_eq!(self.input(Input::sealing(conn)), [Action::AcceptSeal { conn }]);
        self.input(Input::sealed(conn, key(n)))
    }
}

#[test]
fn a_peer_on_a_sealed_connection_is_linked_upon_its_join() {
    let mut solo = sealing(Plaintext::Loopback);
    let mut actions = solo.seal(1, 1);
    actions.extend(solo.receive(1, &join_of(1)));
    actions.extend(solo.settle(1));
    let linked = actions.iter().find_map(|action| match action {
        Action::RegisterPeer(peer) => Some(peer.clone()),
        _ => None,
    });
    let linked = linked.expect("it is linked");
    assert!(linked.sealed && linked.key == Some(key(1)));
    assert!(sent(&actions).starts_with("JOIN|") && !sent(&actions).contains("PROOF|"));
}

#[test]
fn on_a_sealed_connection_a_join_has_the_key_of_the_connection() {
    for join in [join_of(2), join("00000000-0000-4000-8000-000000000001", Some("n")), join("", None)] {
        let mut solo = sealing(Plaintext::Allow);
        solo.seal(1, 1);
        let actions = solo.receive(1, &join);
        assert_eq!(violation(&actions), Some(Violation::NotTheConnectionsKey), "{join}");
        assert_eq!(solo.node.peers().count(), 0);
    }
}

#[test]
fn a_handshake_has_its_turn_before_anything_else_comes() {
    let conn = ConnId(1);
    for first in [Input::received(conn, b"J"), Input::sealed(conn, key(1))] {
        let mut solo = sealing(Plaintext::Off);
        solo.input(Input::accepted(conn, remote()));
        let actions = solo.input(first);
        assert!(actions.contains(&Action::Abort { conn }) && sent(&actions).is_empty(), "{actions:?}");
    }
    // A driver that cannot seal has nothing to seal.
    let mut solo = solo();
    solo.accept(1);
    assert!(solo.input(Input::sealing(conn)).contains(&Action::Abort { conn }));
    let expected = alloc::format!("{}@9.9.9.9:9000", key(1)).parse().unwrap();
    assert_eq!(solo.node.command(solo.now, Command::Connect(expected)), Err(CommandError::CannotSeal));
}
