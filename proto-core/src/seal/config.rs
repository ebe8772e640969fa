//! What both ends of a session insist on.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::UnixTime;
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::ALPN;
use super::keys::{KeyCheck, certified};
use crate::model::{Expected, Identity};

/// The algorithms. There is one key exchange, so that no peer can bring about a weaker one, and so that the dialer's first
/// flight always has the right share.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: Vec::from([
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ]),
        kx_groups: Vec::from([kx_group::X25519MLKEM768]),
        ..default_provider()
    })
}

pub(super) fn client(
    identity: &Identity,
    provider: &Arc<CryptoProvider>,
    expected: Option<Expected>,
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), Arc::new(NoTime))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has a suite of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(KeyCheck { expected }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(identity))));
    config.alpn_protocols = Vec::from([ALPN.to_vec()]);
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

pub(super) fn server(identity: &Identity, provider: &Arc<CryptoProvider>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::new(NoTime))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has a suite of TLS 1.3")
        .with_client_cert_verifier(Arc::new(KeyCheck { expected: None }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(identity))));
    config.alpn_protocols = Vec::from([ALPN.to_vec()]);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

/// Nothing here depends on the time: raw keys do not expire, and there are no tickets.
#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::ZERO))
    }
}
