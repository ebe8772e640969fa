//! Keys and networks: the ids that follow from them, and how a key is proven.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use proto_core::wire::{Hello, Token};
use proto_core::{ConnId, Identity, NetworkId, NodeId, PublicKey, Violation};
use serde::Deserialize;

use super::listener::Listener;
use super::{Failure, NOW_MS, hex, same, secret, to_hex};

const CONN: ConnId = ConnId(1);

/// The signature of these bytes, as it is written.
pub(super) fn sign(secret: &[u8; 32], signed: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(secret).sign(signed).to_bytes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Id {
    secret: String,
    key: PublicKey,
    node_id: NodeId,
}

pub(super) fn check_id(vector: &Id) -> Result<(), Failure> {
    let identity = Identity::from_secret(&secret(&vector.secret)?);
    same("key", &vector.key, &identity.key())?;
    same("id of the key", &vector.node_id, &vector.key.node_id())?;
    same("id of the secret", &vector.node_id, &identity.node_id())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    /// The network's name.
    network: String,
    id: NetworkId,
}

pub(super) fn check_network(vector: &Network) -> Result<(), Failure> {
    same("id of the name", &vector.id, &NetworkId::named(&vector.network))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    /// The network of both, where that is not the open one.
    #[serde(default)]
    network: String,
    prover: String,
    prover_nonce: String,
    verifier: String,
    verifier_nonce: String,
    /// What is signed, piece by piece.
    covers: Vec<Piece>,
    signed: String,
    signature: String,
    holds: bool,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece {
    Domain(String),
    Network(String),
    Length(Side),
    Nonce(Side),
    Key(Side),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Prover,
    Verifier,
}

/// What the two sides of a connection have said.
struct Said<'a> {
    nonces: [&'a str; 2],
    keys: [PublicKey; 2],
}

impl Said<'_> {
    fn bytes(&self, covers: &[Piece]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in covers {
            match piece {
                Piece::Domain(domain) => bytes.extend([domain.as_bytes(), b"\0"].concat()),
                Piece::Network(name) => bytes.extend(NetworkId::named(name).as_bytes()),
                Piece::Length(side) => bytes.push(self.nonces[*side as usize].len() as u8),
                Piece::Nonce(side) => bytes.extend(self.nonces[*side as usize].as_bytes()),
                Piece::Key(side) => bytes.extend(self.keys[*side as usize].as_bytes()),
            }
        }
        bytes
    }
}

pub(super) fn check_proof(vector: &Proof) -> Result<(), Failure> {
    let secrets = [secret(&vector.prover)?, secret(&vector.verifier)?];
    let keys = secrets.map(|secret| Identity::from_secret(&secret).key());
    let nonces = [vector.prover_nonce.as_str(), vector.verifier_nonce.as_str()];
    for nonce in nonces {
        Token::new(nonce).ok_or_else(|| format!("no token: {nonce}"))?;
    }
    let signed = Said { nonces, keys }.bytes(&vector.covers);
    same("signed", &vector.signed, &to_hex(&signed))?;
    same("signed", &hex(&vector.signed)?, &signed)?;
    same("signature", &vector.signature, &sign(&secrets[0], &signed))?;
    verified(vector, secrets, keys)?;
    if vector.holds { proven(vector, secrets, keys) } else { Ok(()) }
}

/// A node is the verifier: it says a nonce of its own in the place of the vector's.
fn verified(vector: &Proof, secrets: [[u8; 32]; 2], keys: [PublicKey; 2]) -> Result<(), Failure> {
    let mut node = Listener::of_network(NetworkId::named(&vector.network), &secrets[1], NOW_MS);
    let (Hello { nonce, .. }, _) = node.introduce(CONN, &secrets[0], &vector.prover_nonce)?;
    let said = Said { nonces: [&vector.prover_nonce, nonce.as_str()], keys };
    let proof = sign(&secrets[0], &said.bytes(&vector.covers));
    let done = node.hear(CONN, format!("PROOF|{proof}\n"));
    let expected = if vector.holds { vec![] } else { vec![Violation::FalseProof] };
    same("reports", &expected, &done.reports)?;
    same("peers that are here", &usize::from(vector.holds), &node.node.peers().count())?;
    let bye: &[&str] = if vector.holds { &[] } else { &["BYE|refused|"] };
    same("says", &bye.to_vec(), &done.lines(CONN, &["BYE"]))
}

/// A node is the prover.
fn proven(vector: &Proof, secrets: [[u8; 32]; 2], keys: [PublicKey; 2]) -> Result<(), Failure> {
    let mut node = Listener::of_network(NetworkId::named(&vector.network), &secrets[0], NOW_MS);
    let (Hello { nonce, .. }, done) = node.introduce(CONN, &secrets[1], &vector.verifier_nonce)?;
    let said = Said { nonces: [nonce.as_str(), &vector.verifier_nonce], keys };
    let proof = format!("PROOF|{}", sign(&secrets[0], &said.bytes(&vector.covers)));
    same("a node's own proof", &vec![proof.as_str()], &done.lines(CONN, &["PROOF"]))
}
