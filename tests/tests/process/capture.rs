//! What a packet capture shows of two nodes that seal.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto_core::Identity;
use tempfile::TempDir;
use tests::cable::{Cable, ENDS, dissect};
use tests::journal::SOON;
use tests::process::{Driver, Launch};

/// The number of X25519MLKEM768 among the groups of key exchanges.
const HYBRID: &str = "4588";
/// The content type that sealed records show.
const APPLICATION_DATA: &str = "23";

/// A name that the last one to connect asks for.
const LAST: &str = "the-last-one.invalid";

/// The identity in a data directory, in which one node has run.
fn identity(data: &Path, port: u16) -> Identity {
    let pem = fs::read_to_string(data.join(port.to_string()).join("key.pem")).expect("a key");
    let der = STANDARD.decode(pem.lines().nth(1).expect("a line")).expect("Base64");
    Identity::from_secret(der[der.len() - 32..].try_into().expect("a secret"))
}

#[test]
fn a_packet_capture_of_sealed_nodes_has_no_text_name_or_id() {
    for [one, other] in [[Driver::Tokio, Driver::Smol], [Driver::Smol, Driver::Tokio]] {
        let Some(cable) = Cable::lay() else { return };
        let data = TempDir::new().expect("a folder");
        let folder = data.path().to_str().expect("text");
        let launch = |driver, uname: &str, end: usize| {
            let bind = ENDS[end].to_string();
            Launch::new(driver, uname).args(["--bind", &bind, "--plaintext", "off", "--data-dir", folder])
        };
        let mut capture = cable.capture();
        let alice = launch(one, "Alice-in-Wonderland", 0);
        let port = alice.addr().port();
        let mut alice = cable.at(0, || alice.start());
        let bob = launch(other, "Bob-the-Builder", 1);
        let identities = [port, bob.addr().port()];
        let bob = bob.peer(format!("{}:{port}", ENDS[0]));
        let mut bob = cable.at(1, || bob.start());
        bob.expect_err(&["Alice-in-Wonderland", "joined"], SOON);
        alice.say("the rabbit is late");
        bob.expect_out("Alice-in-Wonderland: the rabbit is late", SOON);
        bob.say("then let us build a clock");
        alice.expect_out("Bob-the-Builder: then let us build a clock", SOON);

        // Who has no key that the node takes is sent an alert, and nothing that says who is there.
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &format!("{}:{port}", ENDS[0]), "-alpn", "p2p-chat/2"]);
        client.args(["-servername", LAST]);
        let client = cable.at(1, || client.stdin(Stdio::null()).output()).expect("openssl starts");
        let told = [client.stdout, client.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("alert") && !client.status.success(), "{told}");
        assert!(!told.contains("Alice") && !told.contains("JOIN"), "{told}");

        let (file, bytes) = capture.end(LAST);
        let contains = |words: &[u8]| memchr::memmem::find(&bytes, words).is_some();
        for words in
            ["rabbit", "clock", "Alice", "Wonderland", "Builder", "JOIN|", "PEERS|", "CHAT|", "uname"]
        {
            assert!(!contains(words.as_bytes()), "{words:?} is in clear");
        }
        for identity in identities.map(|port| identity(data.path(), port)) {
            let (id, key) = (identity.node_id(), identity.key());
            for text in [id.to_string(), id.to_string().replace('-', ""), key.to_string()] {
                assert!(!contains(text.as_bytes()), "{text} is in clear");
            }
            assert!(!contains(id.as_bytes()) && !contains(key.as_bytes()), "an id or a key is in clear");
        }
        let hello = "tls.handshake.type == 1 && tls.handshake.extensions_key_share_group == 4588";
        let group = "tls.handshake.extensions_key_share_group";
        let offered = dissect(file, port, hello, group);
        assert!(!offered.is_empty() && offered.iter().all(|groups| groups == HYBRID), "{offered:?}");
        let protocols = dissect(file, port, hello, "tls.handshake.extensions_alpn_str");
        assert!(protocols.iter().all(|protocol| protocol == "p2p-chat/2"), "{protocols:?}");
        let records = dissect(file, port, "tls.record.opaque_type == 23", "tls.record.opaque_type");
        let sealed = |line: &String| line.split(',').any(|kind| kind == APPLICATION_DATA);
        assert!(records.len() >= 4 && records.iter().all(sealed), "{records:?}");
    }
}
