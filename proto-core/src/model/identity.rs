//! Key pairs, public keys, signatures, and the node ids that follow from keys.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::hint;
use core::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::verify::is_strict;
use super::{Equation, KeyPoint, NetworkId};

/// The id of a node: a UUID (RFC 9562).
///
/// The id of a node with a key has version 8 and follows from the key ([`PublicKey::node_id`]), so that nobody else can
/// use it. Other ids are only claimed: most are random, and one that stands for another text has version 5. Ids compare as numbers of 128 bits; the protocol breaks ties by this order (SPEC
/// 4.4).
///
/// As text it is the hyphenated form in lower case. Parsing also accepts upper case, no hyphens, braces and
/// `urn:uuid:`.
///
/// ```
/// use proto_core::{Identity, NodeId};
///
/// let id: NodeId = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse()?;
/// assert_eq!(id.to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
/// assert_eq!(id.short().to_string(), "67e5504410b1426f");
/// assert!(!id.is_of_key());
///
/// assert!(Identity::from_secret(&[42; 32]).node_id().is_of_key());
/// # Ok::<(), proto_core::NodeIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Uuid);

/// The namespace of the ids that stand for texts (SPEC 2.3.6).
const TEXT_IDS: Uuid = Uuid::from_u128(0x3b1f6e0c_52a7_4d0e_9c85_6a1e7d94f2b3);

impl NodeId {
    /// The id with these 128 bits, big-endian.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 128 bits, big-endian.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id that a peer names by this text: the UUID that it is, or else one of version 5 that stands for it (RFC
    /// 9562 section 5.5). None: the text is empty. The id stands for one text alone, but anybody can choose that text.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Some(text.parse().unwrap_or_else(|_| {
            let hash = Sha1::new().chain_update(TEXT_IDS.as_bytes()).chain_update(text).finalize();
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&hash[..16]);
            Self(uuid::Builder::from_sha1_bytes(bytes).into_uuid())
        }))
    }

    /// A random id (UUID version 4, RFC 9562 section 5.4).
    pub(crate) fn random(random: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Whether the id has the form of one that follows from a key: UUID version 8. No other node can have such an id
    /// (SPEC 3.6.4).
    pub fn is_of_key(&self) -> bool {
        self.0.get_version() == Some(uuid::Version::Custom)
    }

    /// The first 16 hexadecimal digits, for display. They tell apart two peers with one name. To find a key whose id
    /// begins with the same digits takes about 2^60 tries, since one of them is the version (SPEC 3.6.7).
    pub fn short(&self) -> impl fmt::Display + use<> {
        let start = self.0.as_u64_pair().0;
        fmt::from_fn(move |f| write!(f, "{start:016x}"))
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

/// The text is not a UUID: the error of parsing a [`NodeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id is a UUID, as 67e55044-10b1-426f-9247-bb680e5fe0c8")]
pub struct NodeIdError;

impl FromStr for NodeId {
    type Err = NodeIdError;

    /// Parses a UUID.
    ///
    /// # Errors
    /// [`NodeIdError`], if the text is not a UUID in one of the accepted forms.
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| NodeIdError)
    }
}

/// A node's Ed25519 key pair (RFC 8032) and the id that follows from it (SPEC 3.6).
///
/// Whoever has the secret is the node: keep it private, and keep it for as long as the node should have this id. The
/// secret is wiped from memory when the last clone is dropped, and `Debug` does not show it.
///
/// ```
/// use proto_core::Identity;
///
/// // 32 bytes from a secure random source. The node has the same id whenever it starts with the same secret.
/// let secret = [42; 32];
/// let identity = Identity::from_secret(&secret);
/// assert_eq!(identity.node_id(), identity.key().node_id());
/// assert_eq!(identity.node_id(), Identity::from_secret(&secret).node_id());
/// ```
#[derive(Clone)]
pub struct Identity {
    /// In a place that all clones share. Each copy, and each move of the value, would leave the secret somewhere else.
    #[expect(
        clippy::redundant_allocation,
        reason = "an `Arc` is built on the stack, and moved with what is in it"
    )]
    secret: Arc<Box<SigningKey>>,
    key: PublicKey,
    node_id: NodeId,
}

impl Identity {
    /// The key pair of a secret of 32 bytes (RFC 8032 section 5.1.5). The bytes have to come from a secure random
    /// source.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let secret = wiping_the_stack(|| Arc::new(Box::new(SigningKey::from_bytes(secret))));
        let key = PublicKey(secret.verifying_key().to_bytes());
        Self { secret, node_id: key.node_id(), key }
    }

    /// The public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The id that follows from the public key.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Signs a message for one purpose in one network. [`PublicKey::verify`] checks it.
    pub(crate) fn sign(&self, purpose: Purpose, network: NetworkId, message: &[u8]) -> Signature {
        Signature(self.sign_bytes(&purpose.signed_bytes(&network, message).concat()))
    }

    /// Signs what TLS 1.3 has an end sign (RFC 8446 section 4.4.3). It begins with 64 spaces, as nothing does that is signed
    /// for a [`Purpose`].
    #[cfg(feature = "seal")]
    pub(crate) fn sign_handshake(&self, message: &[u8]) -> [u8; 64] {
        self.sign_bytes(message)
    }

    fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        wiping_the_stack(|| self.secret.sign(message).to_bytes())
    }
}

/// Calls `f`, and then overwrites the part of the stack that it used: what it moved there is not wiped when it is dropped.
#[inline(never)]
fn wiping_the_stack<R>(f: impl FnOnce() -> R) -> R {
    /// More than the arithmetic of a signature uses, in a build without optimization, too.
    const USED: usize = 16 * 1024;
    #[inline(never)]
    fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(never)]
    fn wipe() {
        hint::black_box(&mut [0_u8; USED]);
    }
    let result = call(f);
    wipe();
    result
}

/// Shows the id, not the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.node_id).finish()
    }
}

/// The purpose of a signature (SPEC 3.12.1). A signature for one purpose does not hold for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A node proves its key to a peer.
    Proof,
    /// An author signs an entry.
    Entry,
    /// A root signs a sequence number.
    Tree,
}

impl Purpose {
    /// The bytes that are signed: the domain string of the purpose, a zero byte, the network's id, and the message. No
    /// domain string is a prefix of another.
    pub(super) fn signed_bytes<'a>(self, network: &'a NetworkId, message: &'a [u8]) -> [&'a [u8]; 3] {
        let domain: &[u8] = match self {
            Self::Proof => b"p2p-chat/2 proof\0",
            Self::Entry => b"p2p-chat/2 entry\0",
            Self::Tree => b"p2p-chat/2 tree\0",
        };
        [domain, network.as_bytes(), message]
    }
}

/// An Ed25519 public key (RFC 8032): the canonical encoding of a point that is not of small order (SPEC 3.6.5, 3.6.6).
///
/// As text it is 43 characters of base64url without padding (RFC 4648 section 5). Serde uses that text, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with this encoding.
    ///
    /// # Errors
    /// [`PublicKeyError`], if the bytes are not a point of the curve, not its canonical encoding, or of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        // A second encoding of one point would be a second identity of one node. For a point of small order, anybody
        // can sign.
        let key = Self::of_encoding(bytes)?;
        key.point().map(|_| key).ok_or(PublicKeyError)
    }

    /// The key with this encoding, of which [`point`](Self::point) has to tell yet whether it is that of a point.
    pub(crate) fn of_encoding(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        if is_strict(bytes) { Ok(Self(*bytes)) } else { Err(PublicKeyError) }
    }

    /// The same, of its text.
    pub(super) fn of_encoded_text(text: &str) -> Result<Self, PublicKeyError> {
        Self::of_encoding(&decode(text).ok_or(PublicKeyError)?)
    }

    /// The point of the curve. There is none only for some of what [`of_encoding`](Self::of_encoding) made.
    pub(crate) fn point(&self) -> Option<KeyPoint> {
        KeyPoint::decompress(&self.0)
    }

    /// The 32 bytes of its encoding.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the node with this key: a UUID of version 8 (RFC 9562 section 5.8) from the SHA-256 of a domain
    /// string and the key (SPEC 3.6.2).
    pub fn node_id(&self) -> NodeId {
        let hash = Sha256::new().chain_update(b"p2p-chat/2 node id\0").chain_update(self.0).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        NodeId(Uuid::new_v8(bytes))
    }

    /// Whether the signature for this purpose over this message in this network holds for this key (SPEC 3.12).
    pub(crate) fn verify(
        &self,
        purpose: Purpose,
        network: NetworkId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        let equation =
            self.point().and_then(|point| self.equation(point, purpose, network, message, signature));
        equation.is_some_and(|equation| equation.holds())
    }

    /// Whether the signature over what TLS 1.3 has an end sign (RFC 8446 section 4.4.3) holds for this key.
    #[cfg(feature = "seal")]
    pub(crate) fn verify_handshake(&self, message: &[u8], signature: &Signature) -> bool {
        let equation = self.point().and_then(|point| Equation::new(*self, point, &[message], signature));
        equation.is_some_and(|equation| equation.holds())
    }

    /// The equation that shows whether the signature holds, of this key with this point. None: it does not hold.
    pub(crate) fn equation(
        &self,
        point: KeyPoint,
        purpose: Purpose,
        network: NetworkId,
        message: &[u8],
        signature: &Signature,
    ) -> Option<Equation> {
        Equation::new(*self, point, &purpose.signed_bytes(&network, message), signature)
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

/// The text or the bytes are not a [`PublicKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is the 43 characters of base64url of an Ed25519 public key")]
pub struct PublicKeyError;

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    /// Parses a key.
    ///
    /// # Errors
    /// [`PublicKeyError`], if the text is not 43 characters of base64url, or its bytes are not a public key.
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

/// An Ed25519 signature (RFC 8032) that may not have been verified: any 64 bytes.
///
/// As text it is 86 characters of base64url without padding (RFC 4648 section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The length of its text, in characters.
    pub(crate) const TEXT: usize = 86;

    /// The signature with this text. None: the text is not 86 characters of base64url.
    pub fn new(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// The signature with these 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
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

/// Decodes exactly `N` bytes from base64url without padding (RFC 4648 section 5). None: the length is wrong, a
/// character is illegal, or the unused last bits are not zero (SPEC 3.11.2).
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
    fn a_node_id_follows_from_the_key() {
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
    fn an_id_stands_for_each_text_that_is_no_uuid() {
        // Computed by Python's `uuid.uuid5`.
        for (text, id) in [
            ("abc123", "1cb6041b-28ae-5e76-9533-16d4b2f7ef00"),
            ("x", "6556db16-9232-504d-bd5b-e4f1d8351b2e"),
            ("Ångström", "f6ac7aeb-daad-5e66-a163-a91583640fcb"),
            ("67e55044-10b1-426f-9247-bb680e5fe0c8 ", "b23f6138-300b-5fac-b362-e2d515089a94"),
            ("67E5504410B1426F9247BB680E5FE0C8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        ] {
            let of_text = NodeId::of_text(text).unwrap();
            assert_eq!((of_text.to_string().as_str(), of_text.is_of_key()), (id, false), "{text:?}");
        }
        assert_eq!(NodeId::of_text(""), None);
    }

    #[test]
    fn a_signature_holds_only_for_its_purpose_network_key_and_message() {
        let identity = Identity::from_secret(&[1; 32]);
        let open = NetworkId::OPEN;
        let signature = identity.sign(Purpose::Entry, open, b"hello");
        assert!(identity.key().verify(Purpose::Entry, open, b"hello", &signature));
        assert!(!identity.key().verify(Purpose::Proof, open, b"hello", &signature));
        assert!(!identity.key().verify(Purpose::Entry, NetworkId::named("club"), b"hello", &signature));
        assert!(!identity.key().verify(Purpose::Entry, open, b"hallo", &signature));
        assert!(!Identity::from_secret(&[2; 32]).key().verify(Purpose::Entry, open, b"hello", &signature));
    }

    #[test]
    fn points_of_small_order_and_non_canonical_encodings_are_refused() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        // Encodings of points of small order, and one of y = 2^255 - 1, whose canonical form is y = 18.
        for bytes in [[0; 32], identity_point, [0xff; 32]] {
            assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError), "{bytes:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert!(!alloc::format!("{:?}", Identity::from_secret(&[0x5a; 32])).contains("90"));
    }
}
