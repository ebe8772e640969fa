//! Who a node is: its key pair, and the id that follows from it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A node's id: a UUID, written in its hyphenated form.
///
/// That of a node with a key is of version 8 and follows from the key ([`PublicKey::node_id`]), so that nobody else can
/// claim it. Ids order as their 128 bits do; of two simultaneous dials the one from the lower id stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Uuid);

impl NodeId {
    /// The id with these 128 bits.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 128 bits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// A random id (UUID version 4, RFC 9562 section 5.4).
    pub(crate) fn random(random: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Whether it follows from a key: version 1 nodes name themselves by random ids (version 4).
    pub fn is_of_key(&self) -> bool {
        self.0.get_version() == Some(uuid::Version::Custom)
    }

    /// The first eight hexadecimal digits, to tell two peers of one name apart.
    pub fn short(&self) -> impl fmt::Display + use<> {
        let start = self.0.as_fields().0;
        fmt::from_fn(move |f| write!(f, "{start:08x}"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id is a UUID, as 67e55044-10b1-426f-9247-bb680e5fe0c8")]
pub struct NodeIdError;

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| NodeIdError)
    }
}

/// An Ed25519 key pair (RFC 8032) and the id that follows from it.
#[derive(Clone)]
pub struct Identity {
    secret: SigningKey,
    key: PublicKey,
    node_id: NodeId,
}

impl Identity {
    /// The key pair of this secret, which has to be random (RFC 8032 section 5.1.5) and to be kept.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(secret);
        let key = PublicKey(secret.verifying_key().to_bytes());
        Self { secret, node_id: key.node_id(), key }
    }

    /// The public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The id.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Signs for one purpose; see [`PublicKey::verify`].
    pub(crate) fn sign(&self, purpose: Purpose, message: &[u8]) -> Signature {
        Signature(self.secret.sign(&purpose.covered(message)).to_bytes())
    }
}

/// Without the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.node_id).finish()
    }
}

/// What a signature is for: no signature for one purpose holds for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Proof,
    Entry,
    Tree,
}

impl Purpose {
    /// What is signed: a domain string that no other begins with, and the message.
    fn covered(self, message: &[u8]) -> Vec<u8> {
        let domain: &[u8] = match self {
            Self::Proof => b"p2p-chat/2 proof\0",
            Self::Entry => b"p2p-chat/2 entry\0",
            Self::Tree => b"p2p-chat/2 tree\0",
        };
        [domain, message].concat()
    }
}

/// An Ed25519 public key, written in unpadded base64url: the canonical encoding of a point that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes, if it is one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError)?;
        // A second encoding of one point would be a second identity of one node; for a point of small order anybody
        // can sign (RFC 8032 section 8.9 and "Taming the many EdDSAs", SSR 2020).
        if is_canonical(bytes) && !key.is_weak() { Ok(Self(*bytes)) } else { Err(PublicKeyError) }
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the node with this key: a UUID of version 8 (RFC 9562 section 5.8) from the SHA-256 of a domain
    /// string and the key.
    pub fn node_id(&self) -> NodeId {
        let hash = Sha256::new().chain_update(b"p2p-chat/2 node id\0").chain_update(self.0).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        NodeId(Uuid::new_v8(bytes))
    }

    /// Whether the signature is this key's, for this purpose, over this message; strictly.
    pub(crate) fn verify(&self, purpose: Purpose, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(&purpose.covered(message), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text or the bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is the 43 characters of base64url of an Ed25519 public key")]
pub struct PublicKeyError;

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(&decode(text).ok_or(PublicKeyError)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// An Ed25519 signature, written in unpadded base64url. What it is worth only its verification says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature with this text, if it is one.
    pub fn new(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// The signature with these bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether the y coordinate is below 2^255 - 19. The other second encoding, a sign for x = 0, is that of points of small
/// order.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Exactly `N` bytes from unpadded base64url (RFC 4648 section 5), whose last bits must be zero.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_the_key() {
        let one = Identity::from_secret(&[1; 32]);
        let other = Identity::from_secret(&[2; 32]);
        assert_eq!(one.node_id(), one.key().node_id());
        assert_ne!(one.node_id(), other.node_id());
        assert!(one.node_id().is_of_key());
        assert!(!NodeId::from_bytes([7; 16]).is_of_key());
        assert_eq!(one.key().to_string().parse(), Ok(one.key()));
        assert_eq!(one.key().to_string().len(), 43);
    }

    #[test]
    fn a_signature_holds_for_its_purpose_key_and_message_alone() {
        let identity = Identity::from_secret(&[1; 32]);
        let signature = identity.sign(Purpose::Entry, b"hello");
        assert!(identity.key().verify(Purpose::Entry, b"hello", &signature));
        assert!(!identity.key().verify(Purpose::Proof, b"hello", &signature));
        assert!(!identity.key().verify(Purpose::Entry, b"hallo", &signature));
        assert!(!Identity::from_secret(&[2; 32]).key().verify(Purpose::Entry, b"hello", &signature));
    }

    #[test]
    fn weak_keys_and_second_encodings_are_no_keys() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        // The encodings of points of small order, and one that names y = 2^255 - 1, which is y = 18.
        for bytes in [[0; 32], identity_point, [0xff; 32]] {
            assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError), "{bytes:?}");
        }
    }

    #[test]
    fn an_encoding_is_canonical_if_it_is_what_its_point_is_written_as() {
        for low in 0..=u8::MAX {
            for high in [0x7f, 0xff, 0x7e, 0x00, 0x80] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, high);
                let Ok(key) = VerifyingKey::from_bytes(&bytes) else { continue };
                let canonical = key.to_edwards().compress().to_bytes() == bytes;
                assert_eq!(is_canonical(&bytes) && !key.is_weak(), canonical && !key.is_weak(), "{bytes:?}");
            }
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!alloc::format!("{:?}", Identity::from_secret(&[0x5a; 32])).contains("90"));
    }
}
