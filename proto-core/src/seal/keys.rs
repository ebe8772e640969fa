//! Raw public keys (RFC 7250): how a node shows its key, signs with it, and checks that of the other end.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    PeerMisbehaved, SignatureAlgorithm, SignatureScheme,
};

use super::SealError;
use crate::model::{Expected, Identity, PublicKey, Signature};

/// What precedes the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The SubjectPublicKeyInfo of a key.
fn spki(key: PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], key.as_bytes()].concat()
}

/// The key with this SubjectPublicKeyInfo. None: it is no Ed25519 key, or one that the protocol refuses.
fn key_of(spki: &[u8]) -> Option<PublicKey> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    PublicKey::from_bytes(key.try_into().ok()?).ok()
}

/// The same, of one that [`KeyCheck`] has accepted: that it is a point of the curve is not computed again.
pub(super) fn accepted_key_of(spki: &[u8]) -> Option<PublicKey> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    PublicKey::of_encoding(key.try_into().ok()?).ok()
}

/// The key that a node shows and signs with.
pub(super) fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let shown = CertificateDer::from(spki(identity.key()));
    Arc::new(CertifiedKey::new(Vec::from([shown]), Arc::new(NodeKey(identity.clone()))))
}

/// Signs with the node's own key. The secret stays where it is wiped.
#[derive(Clone, Debug)]
struct NodeKey(Identity);

impl SigningKey for NodeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(self.0.key())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for NodeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign_handshake(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Checks the key of the other end.
#[derive(Debug)]
pub(super) struct KeyCheck {
    pub(super) expected: Option<Expected>,
}

impl KeyCheck {
    /// Whether the key that is shown is one of this protocol, and the one that is expected.
    fn check(&self, shown: &CertificateDer<'_>, further: &[CertificateDer<'_>]) -> Result<(), Error> {
        let Some(key) = key_of(shown).filter(|_| further.is_empty()) else {
            return Err(CertificateError::BadEncoding.into());
        };
        if self.expected.is_none_or(|expected| expected.matches(&key)) {
            return Ok(());
        }
        let wrong = OtherError(Arc::new(SealError::WrongKey { shown: key }));
        Err(CertificateError::Other(wrong).into())
    }

    /// Whether the signature holds by the one rule for all signatures (SPEC 3.12).
    fn check_signature(
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let signature = signed.signature().try_into().map(Signature::from_bytes);
        let holds = signature.is_ok_and(|signature| {
            accepted_key_of(shown).is_some_and(|key| key.verify_handshake(message, &signature))
        });
        if holds {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

/// TLS 1.2 is not compiled in.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
}

impl ServerCertVerifier for KeyCheck {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(shown, further).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::from([SignatureScheme::ED25519])
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for KeyCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(shown, further).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::from([SignatureScheme::ED25519])
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
