//! Keys of those who mean harm, and what they sign with them, by the specification.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use proto_core::{
    ChatText, Draft, Entry, EntryId, Identity, Name, NetworkId, NodeId, PublicKey, RunPosition,
};
use sha2::{Digest, Sha256};

use crate::sim::Dice;

/// The length of a period of the eager tree, in milliseconds.
pub const PERIOD_MS: u64 = 3_600_000;

/// How often a root signs another number, in milliseconds.
pub const SEQUENCE_MS: u64 = 10_000;

/// A key pair.
pub struct Keys {
    signing: SigningKey,
    identity: Identity,
    network: NetworkId,
}

impl Keys {
    /// The pair of this secret, in the open network.
    pub fn new(secret: [u8; 32]) -> Self {
        Self::in_network(secret, NetworkId::OPEN)
    }

    /// The pair of this secret, which signs for this network.
    pub fn in_network(secret: [u8; 32], network: NetworkId) -> Self {
        let (signing, identity) = (SigningKey::from_bytes(&secret), Identity::from_secret(&secret));
        Self { signing, identity, network }
    }

    /// Of so many pairs, the secret of the one that ranks first in the period of this time.
    pub fn secret_of_low_rank(unix_ms: u64, tries: u32, dice: &mut Dice) -> [u8; 32] {
        let period = unix_ms / PERIOD_MS;
        let secrets = (0..tries.max(1)).map(|_| dice.secret());
        let ranked = secrets.map(|secret| (rank(period, &Identity::from_secret(&secret).key()), secret));
        ranked.min().map_or([0; 32], |(_, secret)| secret)
    }

    /// Of so many pairs, those that rank first in the period of this time, the first one last.
    pub(super) fn of_low_ranks(unix_ms: u64, tries: u32, count: usize, dice: &mut Dice) -> Vec<Self> {
        let period = unix_ms / PERIOD_MS;
        let pairs = (0..tries).map(|_| Self::new(dice.secret()));
        let mut ranked: Vec<_> = pairs.map(|keys| (rank(period, &keys.key()), keys)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().take(count).rev().map(|(_, keys)| keys).collect()
    }

    /// The public key.
    pub fn key(&self) -> PublicKey {
        self.identity.key()
    }

    /// The id that follows from it.
    pub fn node_id(&self) -> NodeId {
        self.identity.node_id()
    }

    /// Its secret.
    pub(super) fn secret(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }

    fn sign(&self, domain: &[u8], message: &[u8]) -> String {
        URL_SAFE_NO_PAD
            .encode(self.signing.sign(&[domain, self.network.as_bytes(), message].concat()).to_bytes())
    }

    /// The payload of `PROOF` for a peer that says this nonce and key.
    pub fn proof(&self, nonce: &str, theirs: &str, their_key: &str) -> String {
        let mut message = Vec::new();
        for nonce in [nonce, theirs] {
            message.push(nonce.len() as u8);
            message.extend_from_slice(nonce.as_bytes());
        }
        message.extend_from_slice(self.key().as_bytes());
        message.extend(URL_SAFE_NO_PAD.decode(their_key).unwrap_or_default());
        self.sign(b"p2p-chat/2 proof\0", &message)
    }

    /// The payload of `TREE` of a root, or of who is so far from it.
    pub fn tree(&self, period: u64, sequence: u64, distance: u16, parent: Option<NodeId>) -> String {
        let mut message = self.key().as_bytes().to_vec();
        message.extend(period.to_be_bytes());
        message.extend(sequence.to_be_bytes());
        let signature = self.sign(b"p2p-chat/2 tree\0", &message);
        let parent = parent.map(|parent| parent.to_string()).unwrap_or_default();
        format!("{};{period};{sequence};{signature};{distance};{parent}", self.key())
    }

    /// An entry of its own.
    pub fn sign_entry(&self, draft: &Draft<'_>) -> Entry {
        Entry::sign(&self.identity, draft)
    }

    /// An entry in the lobby, in this position of an epoch.
    pub(super) fn entry(&self, epoch: u64, position: RunPosition, at: u64, text: &str) -> Entry {
        self.entry_of(epoch, position, at, &[text])
    }

    /// The same with these texts.
    pub(super) fn entry_of(&self, epoch: u64, position: RunPosition, at: u64, texts: &[&str]) -> Entry {
        let uname = Name::cut("mallory").expect("a name");
        let texts: Vec<_> = texts.iter().map(|text| ChatText::new(*text).expect("a text")).collect();
        let mut draft = Draft::new(epoch, position, at, &uname, &texts, [7; 16]);
        draft.network = self.network;
        self.sign_entry(&draft)
    }

    /// So many entries of an epoch that is named after their date.
    pub(super) fn run_of(&self, at: u64, text: &str, count: usize) -> Vec<Entry> {
        let mut entries = Vec::<Entry>::new();
        for _ in 0..count {
            entries.push(self.entry(at, behind(entries.last()), at, text));
        }
        entries
    }

    /// The line of whatever stands where an entry's header and body should.
    pub fn signed_line(&self, header: &str, body: &str) -> Vec<u8> {
        let id = hash_of(self.network, header);
        format!("CHAT|{}|{header}|{body}\n", self.sign(b"p2p-chat/2 entry\0", &id)).into_bytes()
    }
}

/// The line of an entry.
pub(super) fn chat(entry: &Entry) -> Vec<u8> {
    format!("CHAT|{}\n", entry.sealed()).into_bytes()
}

/// The id of the entry with this header, as text.
pub(super) fn entry_id(network: NetworkId, header: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash_of(network, header))
}

fn hash_of(network: NetworkId, header: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"p2p-chat/2 entry id\0").chain_update(network.as_bytes());
    hash.chain_update(header).finalize().into()
}

/// The line of an entry.
pub(super) fn line_of(entry: &Entry) -> Vec<u8> {
    format!("CHAT|{}\n", entry.sealed()).into_bytes()
}

/// The position behind this entry, or the first one.
pub fn behind(entry: Option<&Entry>) -> RunPosition {
    entry.and_then(RunPosition::after).unwrap_or(RunPosition::FIRST)
}

/// The position with this number, behind an entry that does not exist.
pub fn position(seq: u64) -> RunPosition {
    let mut prev = [0xee; 32];
    prev[..8].copy_from_slice(&seq.to_be_bytes());
    RunPosition::new(seq, EntryId::from_bytes(prev)).unwrap_or(RunPosition::FIRST)
}

/// The members of a header that name this body.
pub fn of_body(kind: &str, body: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    format!(r#""kind":"{kind}","size":{},"hash":"{hash}""#, body.len())
}

/// The rank of a key in a period: who has the lowest is the root.
pub fn rank(period: u64, key: &PublicKey) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"p2p-chat/2 tree rank\0").chain_update(period.to_be_bytes());
    hash.chain_update(key.as_bytes()).finalize().into()
}
