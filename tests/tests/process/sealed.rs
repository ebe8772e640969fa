//! Two nodes whose connections are sealed, and somebody between them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use proto_core::Identity;
use proto_core::seal::{Sealer, Session};
use rustix::process::Signal;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{Connection, ServerConfig, ServerConnection};
use tests::http;
use tests::journal::{Journal, SOON};
use tests::process::{Driver, Launch, Process};
use tests::proxy::{Proxy, Treatment};
use tests::raw::{RawPeer, join_line_v1};

const OFF: [&str; 2] = ["--plaintext", "off"];

/// The id of a node, as its API says.
#[track_caller]
fn id(node: &Process) -> String {
    let status = http::get(node.api(), "/status").expect("an answer").json();
    status["node_id"].as_str().expect("an id").to_owned()
}

/// Whether any of these stands in the bytes, however they were cut.
#[track_caller]
fn expect_none_of(seen: &Journal<Vec<u8>>, words: &[&str]) {
    let bytes = seen.all().concat();
    for word in words {
        let found = bytes.windows(word.len()).position(|part| part == word.as_bytes());
        assert_eq!(found, None, "{word:?} is in clear");
    }
}

#[test]
fn two_nodes_chat_and_say_that_they_are_sealed() {
    Driver::each_pair(|[one, other]| {
        let mut alice = Launch::new(one, "Alice").args(OFF).start();
        let mut bob = Launch::new(other, "Bob").args(OFF).peer(alice.addr()).start();
        alice.expect_peers(&["Bob"], SOON);
        bob.expect_peers(&["Alice"], SOON);
        alice.say("from alice");
        bob.expect_out("Alice: from alice", SOON);
        bob.say("from bob");
        alice.expect_out("Bob: from bob", SOON);
        for node in [&alice, &bob] {
            assert_eq!(node.peers()[0]["sealed"], true);
        }
        bob.kill();
        alice.expect_peers(&[], SOON);
    });
}

#[test]
fn a_long_conversation_arrives_whole() {
    Driver::each_pair(|[one, other]| {
        let mut alice = Launch::new(one, "Alice").args(OFF).start();
        let bob = Launch::new(other, "Bob").args(OFF).peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.expect_peers(&["Bob"], SOON);
        for number in 0..20 {
            alice.say(&format!("{number} {}", "x".repeat(20_000)));
        }
        alice.say("the end");
        bob.expect_out("Alice: the end", 6 * SOON);
        assert!(bob.out().len() >= 21);
    });
}

#[test]
fn who_sees_all_bytes_of_a_chat_sees_no_text_name_or_id() {
    Driver::each_pair(|[one, other]| {
        let mut alice = Launch::new(one, "Alice-in-clear").args(OFF).start();
        let proxy = Proxy::new(Proxy::relay(alice.addr()));
        let mut bob = Launch::new(other, "Bob-in-clear").args(OFF).peer(proxy.addr()).start();
        bob.expect_peers(&["Alice-in-clear"], SOON);
        alice.say("a secret of alice");
        bob.expect_out("Alice-in-clear: a secret of alice", SOON);
        bob.say("a secret of bob");
        alice.expect_out("Bob-in-clear: a secret of bob", SOON);
        let ids = [id(&alice), id(&bob)];
        let keys = [&alice, &bob].map(key);
        bob.signal(Signal::TERM);
        bob.wait(SOON);
        let words = ["JOIN", "CHAT", "PEERS", "PROOF", "uname", "node_id", "secret", "in-clear"];
        let words: Vec<_> = words.into_iter().chain(ids.iter().chain(&keys).map(String::as_str)).collect();
        for seen in [proxy.dialers(), proxy.listeners()] {
            assert!(!seen.is_empty());
            expect_none_of(seen, &words);
        }
    });
}

/// The key of a node, as its API says.
#[track_caller]
fn key(node: &Process) -> String {
    let status = http::get(node.api(), "/status").expect("an answer").json();
    status["key"].as_str().expect("a key").to_owned()
}

/// A node that expects Alice behind a proxy which treats it so: it says nothing in clear, whatever it may say in clear to
/// others, and finds her once the proxy lets it.
fn expect_silence(driver: Driver, plaintext: &str, alice: &Process, treatment: Treatment) {
    let proxy = Proxy::new(treatment);
    let target = format!("{}@{}", id(alice), proxy.addr());
    let launch = Launch::new(driver, "Bob-in-clear").args(["--plaintext", plaintext]);
    let mut bob = launch.peer(&target).start();
    proxy.treated().expect("a treated connection", SOON, |all| all.first().copied());
    bob.say("a secret of bob");
    let (id, key) = (id(&bob), key(&bob));
    expect_none_of(proxy.dialers(), &["JOIN", "uname", "secret", "in-clear", &id, &key]);
    assert_eq!(bob.peer_names(), Vec::<String>::new());
    proxy.treat(Proxy::relay(alice.addr()));
    bob.expect_peers(&["Alice"], 6 * SOON);
    expect_none_of(proxy.dialers(), &["JOIN", "uname", "secret", "in-clear", &id, &key]);
}

fn lies_are_told(treatment: impl Fn(&Process) -> Treatment + Sync) {
    Driver::each(|driver| {
        let expect_silence = |plaintext| {
            let alice = Launch::new(driver, "Alice").args(OFF).start();
            expect_silence(driver, plaintext, &alice, treatment(&alice));
        };
        thread::scope(|scope| {
            for plaintext in ["off", "loopback", "allow"] {
                scope.spawn(move || expect_silence(plaintext));
            }
        });
    });
}

#[test]
fn who_answers_in_clear_learns_nothing() {
    lies_are_told(|_| Proxy::answer(join_line_v1("6f71922f-1c0b-8d3e-8000-000000000000", "Alice").into()));
}

#[test]
fn who_cuts_the_handshake_learns_nothing() {
    for most in [1, 100, 1_400] {
        lies_are_told(|alice| Proxy::relay_up_to(alice.addr(), most));
    }
}

#[test]
fn who_replays_an_old_handshake_learns_nothing() {
    lies_are_told(|alice| {
        // Somebody else's dial, as it went over the wire.
        let proxy = Proxy::new(Proxy::relay(alice.addr()));
        let mut stream = TcpStream::connect(proxy.addr()).expect("a connection");
        let mut session = Sealer::new(&Identity::from_secret(&[9; 32])).dial(None).expect("a session");
        while session.has_output() {
            session.write_to(&mut stream).expect("a connection that takes bytes");
        }
        let answer = proxy.listeners().expect("an answer", SOON, |all| {
            let answer = all.concat();
            (answer.len() > 1_400).then_some(answer)
        });
        Proxy::answer(answer)
    });
}

#[test]
fn who_has_another_key_learns_nothing() {
    lies_are_told(|_| {
        Arc::new(|proxy, stream| {
            let session = Sealer::new(&Identity::from_secret(&[9; 32])).accept().expect("a session");
            serve(proxy, stream, session);
        })
    });
}

/// Shakes hands as far as the dialer goes along, and hopes for words.
fn serve(proxy: &Proxy, mut stream: TcpStream, mut session: Session) {
    let mut heard = Vec::new();
    while let Some(piece) = proxy.read(&mut stream) {
        let result = session.receive(&piece, &mut heard);
        while session.has_output() && session.write_to(&mut stream).is_ok() {}
        if result.is_err() {
            break;
        }
    }
    assert_eq!((session.peer(), heard), (None, Vec::new()));
}

#[test]
fn who_offers_another_application_protocol_learns_nothing() {
    for alpn in [&[][..], &[b"p2p-chat/1".to_vec()]] {
        lies_are_told(|_| {
            let config = Arc::new(other_protocol(alpn));
            Arc::new(move |proxy, mut stream| {
                let mut tls = Connection::from(ServerConnection::new(Arc::clone(&config)).expect("a server"));
                while let Some(piece) = proxy.read(&mut stream) {
                    let taken = tls.read_tls(&mut &piece[..]).expect("room");
                    assert_eq!(taken, piece.len());
                    let result = tls.process_new_packets();
                    while tls.wants_write() && tls.write_tls(&mut stream).is_ok() {}
                    let Ok(state) = result else { break };
                    assert_eq!(state.plaintext_bytes_to_read(), 0);
                }
            })
        });
    }
}

/// A server that is sealed as this protocol is, but for its application protocol. It asks for no key.
fn other_protocol(alpn: &[Vec<u8>]) -> ServerConfig {
    let identity = Identity::from_secret(&[9; 32]);
    let pkcs8 = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &[9; 32]].concat();
    let private = sign::any_eddsa_type(&pkcs8_key(pkcs8)).expect("a key");
    let spki = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], identity.key().as_bytes()].concat();
    let certified = CertifiedKey::new(vec![CertificateDer::from(spki)], private);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
    config.alpn_protocols = alpn.to_vec();
    config
}

fn pkcs8_key(der: Vec<u8>) -> PrivatePkcs8KeyDer<'static> {
    der.into()
}

#[test]
fn who_offers_tls_1_2_learns_nothing() {
    lies_are_told(|_| {
        let mut hello = b"\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03".to_vec();
        hello.extend([7; 32]);
        hello.extend([0, 0xc0, 0x2f, 0, 0, 0]);
        Proxy::answer(hello)
    });
}

#[test]
fn who_speaks_in_clear_to_a_sealed_node_hears_nothing() {
    Driver::each(|driver| {
        let node = Launch::new(driver, "Alice").args(OFF).start();
        for bytes in ["JOIN|{\"uname\":\"Eve\"}\n", "\n", "GET / HTTP/1.1\r\n\r\n", "\u{7f}"] {
            let peer = RawPeer::connect(node.addr());
            peer.send(bytes);
            peer.expect_end(SOON);
            assert!(peer.lines().is_empty(), "{bytes:?} got {:?}", peer.lines());
        }
    });
}

#[test]
fn who_shakes_hands_without_a_key_gets_no_further() {
    Driver::each(|driver| {
        let node = Launch::new(driver, "Alice").args(OFF).start();
        let mut stream = TcpStream::connect(node.addr()).expect("a connection");
        // A handshake that is none.
        stream.write_all(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00").expect("a connection that takes bytes");
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        // An alert.
        assert!(answer.len() <= 7 && answer.starts_with(b"\x15"), "{answer:?}");
    });
}
