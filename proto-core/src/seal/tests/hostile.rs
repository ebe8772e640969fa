//! Ends that are not of this protocol.

use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ServerConfig, SignatureScheme};

use super::{feed, identity, output, sealer};
use crate::seal::{ALPN, SealError, Session, config, keys};

/// The sessions of an end whose TLS was changed.
fn dialed(change: impl FnOnce(&mut ClientConfig)) -> Session {
    let mut config = config::client(&identity(1), &config::provider(), None);
    change(&mut config);
    Session::dialed(Arc::new(config)).unwrap()
}

fn accepted(change: impl FnOnce(&mut ServerConfig)) -> Session {
    let mut config = config::server(&identity(2), &config::provider());
    change(&mut config);
    Session::accepted(Arc::new(config)).unwrap()
}

/// The ends and errors of a handshake between two sessions.
fn meet(mut dialed: Session, mut accepted: Session) -> [Result<(), SealError>; 2] {
    let mut results = [Ok(()), Ok(())];
    for _ in 0..4 {
        let wire = output(&mut dialed);
        results[1] = results[1].and(feed(&mut accepted, &wire).map(drop));
        let wire = output(&mut accepted);
        results[0] = results[0].and(feed(&mut dialed, &wire).map(drop));
    }
    results
}

/// What becomes of a session that a dialer meets who offers these protocols and checks nothing.
fn dial_offering(offer: &[Vec<u8>], accepted: &mut Session) -> Result<Vec<u8>, SealError> {
    let mut config = config::client(&identity(1), &config::provider(), None);
    config.alpn_protocols = offer.to_vec();
    let name = "somebody.invalid".try_into().unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut result = Ok(Vec::new());
    for _ in 0..2 {
        let mut wire = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut wire).unwrap();
        }
        result = result.and(feed(accepted, &wire));
        tls.read_tls(&mut &output(accepted)[..]).unwrap();
        let _ = tls.process_new_packets();
    }
    result
}

#[test]
fn both_check_the_application_protocol() {
    let offers: [&[&[u8]]; 4] = [&[], &[b"http/1.1"], &[b"p2p-chat/1"], &[b"p2p-chat/22"]];
    for offer in offers {
        let offer: Vec<Vec<u8>> = offer.iter().map(|name| name.to_vec()).collect();
        let mut ours = sealer(2).accept().unwrap();
        assert_eq!(dial_offering(&offer, &mut ours), Err(SealError::NotOurs), "{offer:?} dials");
        assert_eq!((ours.peer(), ours.seal(b"JOIN|{}\n")), (None, 0));
        let result =
            meet(sealer(1).dial(None).unwrap(), accepted(|config| config.alpn_protocols = offer.clone()));
        assert!(result[0].is_err(), "{offer:?} accepts");
    }
    // One that is ours among others is ours.
    let result = meet(
        dialed(|config| config.alpn_protocols = Vec::from([b"h2".to_vec(), ALPN.to_vec()])),
        sealer(2).accept().unwrap(),
    );
    assert_eq!(result, [Ok(()), Ok(())]);
}

#[test]
fn what_comes_with_the_end_of_a_handshake_counts_if_that_is_one_of_ours() {
    for (names, ours) in [(Vec::new(), false), (Vec::from([ALPN.to_vec()]), true)] {
        let mut config = config::client(&identity(1), &config::provider(), None);
        config.alpn_protocols = names;
        let name = "somebody.invalid".try_into().unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut accepted = sealer(2).accept().unwrap();
        let mut plain = Vec::new();
        for _ in 0..2 {
            let mut wire = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut wire).unwrap();
            }
            let result = accepted.receive(&wire, &mut plain);
            tls.read_tls(&mut &output(&mut accepted)[..]).unwrap();
            tls.process_new_packets().unwrap();
            if !tls.is_handshaking() && plain.is_empty() && accepted.peer().is_none() && result.is_ok() {
                std::io::Write::write_all(&mut tls.writer(), b"JOIN|{}\n").unwrap();
            }
        }
        assert_eq!((accepted.peer().is_some(), plain.is_empty()), (ours, !ours));
    }
}

#[test]
fn a_dialer_shows_its_key_to_nobody_without_our_application_protocol() {
    // Whatever comes at once with the answer.
    let [alert, record] = [&[21, 3, 3, 0, 2, 2, 40][..], &[23, 3, 3, 0, 17]].map(<[u8]>::to_vec);
    for more in [Vec::new(), alert, [record, Vec::from([7; 17])].concat()] {
        let mut dialed = sealer(1).dial(None).unwrap();
        let mut accepted = accepted(|config| config.alpn_protocols.clear());
        feed(&mut accepted, &output(&mut dialed)).unwrap();
        let answer = [output(&mut accepted), more].concat();
        assert!(feed(&mut dialed, &answer).is_err());
        assert!(output(&mut dialed).is_empty());
        assert_eq!((dialed.peer(), dialed.seal(b"JOIN|{}\n")), (None, 0));
    }
}

/// Algorithms of an end that wants this key exchange.
fn provider(groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    let ours = config::provider();
    Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..(*ours).clone() })
}

#[test]
fn another_key_exchange_is_refused() {
    let classic = provider(&[kx_group::X25519]);
    let dialed = Session::dialed(Arc::new(config::client(&identity(1), &classic, None))).unwrap();
    assert_eq!(meet(dialed, sealer(2).accept().unwrap()), [Err(SealError::Refused), Err(SealError::NotOurs)]);
    let accepted = Session::accepted(Arc::new(config::server(&identity(2), &classic))).unwrap();
    assert_eq!(
        meet(sealer(1).dial(None).unwrap(), accepted),
        [Err(SealError::Refused), Err(SealError::NotOurs)]
    );
}

#[test]
fn a_dialer_that_has_to_be_asked_again_is_refused() {
    let asked = provider(&[kx_group::X25519, kx_group::X25519MLKEM768]);
    let mut dialed = Session::dialed(Arc::new(config::client(&identity(1), &asked, None))).unwrap();
    let mut accepted = sealer(2).accept().unwrap();
    feed(&mut accepted, &output(&mut dialed)).unwrap();
    let _ = feed(&mut dialed, &output(&mut accepted));
    let _ = feed(&mut accepted, &output(&mut dialed));
    let _ = feed(&mut dialed, &output(&mut accepted));
    let _ = feed(&mut accepted, &output(&mut dialed));
    assert_eq!(accepted.peer(), None);
}

/// A record with a handshake message of this type.
fn hello(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u16;
    let mut wire = Vec::from([0x16, 3, 1]);
    wire.extend((len + 4).to_be_bytes());
    wire.extend([kind, 0]);
    wire.extend(len.to_be_bytes());
    wire.extend_from_slice(body);
    wire
}

#[test]
fn tls_1_2_is_refused() {
    // A ClientHello with version 1.2, no session, one suite (ECDHE with AES-128-GCM), no extensions.
    let mut body = Vec::from([3, 3]);
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let mut accepted = sealer(2).accept().unwrap();
    assert_eq!(feed(&mut accepted, &hello(1, &body)), Err(SealError::NotOurs));
    assert_eq!(output(&mut accepted).len(), 7);
    // A ServerHello of the same kind.
    let mut body = Vec::from([3, 3]);
    body.extend([7; 32]);
    body.extend([0, 0xc0, 0x2f, 0]);
    let mut dialed = sealer(1).dial(None).unwrap();
    output(&mut dialed);
    assert_eq!(feed(&mut dialed, &hello(2, &body)), Err(SealError::NotOurs));
    assert_eq!(output(&mut dialed).len(), 7);
}

#[test]
fn an_answer_in_clear_gets_an_alert_and_nothing_else() {
    for answer in
        [&b"JOIN|{\"uname\":\"Mallory\"}\n"[..], b"\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0xff; 100]]
    {
        let mut dialed = sealer(1).dial(None).unwrap();
        output(&mut dialed);
        assert_eq!(feed(&mut dialed, answer), Err(SealError::NotOurs));
        assert_eq!(output(&mut dialed), [0x15, 3, 3, 0, 2, 2, 50]);
        assert_eq!(dialed.seal(b"JOIN|{}\n"), 0);
    }
}

#[test]
fn a_dialer_that_shows_no_key_is_refused() {
    #[derive(Debug)]
    struct NoKey;
    impl ResolvesClientCert for NoKey {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn only_raw_public_keys(&self) -> bool {
            true
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let result = meet(
        dialed(|config| config.client_auth_cert_resolver = Arc::new(NoKey)),
        sealer(2).accept().unwrap(),
    );
    assert_eq!(result[1], Err(SealError::NotOurs));
}

#[test]
fn a_key_that_is_not_the_signers_proves_nothing() {
    // The one end shows the key of node 3, and signs with its own.
    let liar = keys::certified(&identity(1));
    let liar = Arc::new(CertifiedKey::new(keys::certified(&identity(3)).cert.clone(), Arc::clone(&liar.key)));
    let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&liar));
    let result = meet(
        dialed(|config| config.client_auth_cert_resolver = Arc::new(resolver)),
        sealer(2).accept().unwrap(),
    );
    assert_eq!(result[1], Err(SealError::NotOurs));
    let resolver = AlwaysResolvesServerRawPublicKeys::new(liar);
    let result =
        meet(sealer(1).dial(None).unwrap(), accepted(|config| config.cert_resolver = Arc::new(resolver)));
    assert_eq!(result[0], Err(SealError::NotOurs));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_bytes_make_a_session_say_more_than_an_alert(
        first in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..3_000), tls in any::<bool>(),
    ) {
        let mut wire = if tls { Vec::from([0x16, 3, 1, 2, 0]) } else { Vec::from([first]) };
        wire.extend(bytes);
        for (session, most) in [(sealer(2).accept(), 7), (sealer(1).dial(None), 7)] {
            let mut session = session.unwrap();
            output(&mut session);
            let _ = feed(&mut session, &wire);
            prop_assert!(session.peer().is_none());
            prop_assert!(output(&mut session).len() <= most);
        }
    }
}
