//! What frames mean: values that are always legal.

use alloc::vec::Vec;
use core::net::SocketAddr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::model::{EntryId, Name, NodeId, PublicKey, Sealed, Signature};

/// One frame, read or to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// Who I am.
    Join(Join),
    /// Peers that I know.
    Peers(Vec<PeerRecord>),
    /// A chat message: one line, not empty, its last character not a `\r`.
    Msg(&'a str),
    /// Are you there?
    Ping(Token),
    /// I am: the token of the `PING`.
    Pong(Token),
    /// My last frame here, and why.
    Bye(ByeCode, &'a str),
    /// The key in my `JOIN` is mine.
    Proof(Signature),
    /// Whom I am linked to now.
    Links(Vec<NodeId>),
    /// An entry, as its author signed it.
    Chat(Sealed<'a>),
    /// I hold these entries.
    Ihave(Vec<EntryId>),
    /// Send these entries.
    Graft(Vec<EntryId>),
    /// Where I stand in the eager tree.
    Tree(TreeClaim),
    /// One message of a set reconciliation.
    Sync(Vec<u8>),
}

/// A frame of the conversation: peers that have proven their keys alone send these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChatFrame<'a> {
    Chat(Sealed<'a>),
    Links(Vec<NodeId>),
    Ihave(Vec<EntryId>),
    Graft(Vec<EntryId>),
    Tree(TreeClaim),
    Sync(Vec<u8>),
}

/// The payload of `JOIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Join {
    /// The sender's id.
    pub node_id: Option<NodeId>,
    /// The sender's name.
    pub uname: Option<Name>,
    /// Where the sender listens; none where it says none, or none that is an IP address.
    pub listen_addr: Option<SocketAddr>,
    /// The receiver's address as the sender sees it, or its own; nobody relies on it.
    pub remote_addr: Option<SocketAddr>,
    /// What only version 2 says.
    pub hello: Option<Hello>,
}

/// What `JOIN` says from version 2 on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// `v`: 2 or more.
    pub version: u32,
    /// Fresh for each connection, so that a node recognises its own and two ends can tell which connections they share.
    pub nonce: Token,
    /// How many links the sender has; clamped to 65,535.
    pub links: u16,
    /// The sender's key, which `PROOF` proves.
    pub key: Option<PublicKey>,
}

impl Hello {
    /// That of a version 2 node without links and without a key. Set the fields for any other.
    pub fn new(nonce: Token) -> Self {
        Self { version: 2, nonce, links: 0, key: None }
    }
}

/// The payload of `TREE`: where the sender stands in the eager tree, by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeClaim {
    /// The root's key.
    pub root: PublicKey,
    /// The period that it is the root of.
    pub period: u64,
    /// The root's sequence number.
    pub sequence: u64,
    /// The root's signature over the three before.
    pub signature: Signature,
    /// Links from the root to the sender.
    pub distance: u16,
    /// The sender's parent; none where the sender is the root, or has lost its parent.
    pub parent: Option<NodeId>,
}

/// One entry of `PEERS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerRecord {
    /// The peer's id.
    pub node_id: Option<NodeId>,
    /// The peer's name.
    pub uname: Option<Name>,
    /// Where it listens.
    pub listen_addr: Option<SocketAddr>,
    /// The other end of the teller's connection to it.
    pub remote_addr: Option<SocketAddr>,
}

/// A token of 1 to 32 bytes of printable ASCII without space, `|` and `;`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(ArrayString<{ Token::MAX }>);

impl Token {
    /// The longest token, in bytes.
    pub const MAX: usize = 32;

    /// The token with this text, if it is one.
    pub fn new(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'|' | b';');
        let legal = !text.is_empty() && text.bytes().all(legal);
        ArrayString::from(text).ok().filter(|_| legal).map(Self)
    }

    /// The token that writes `bits` as 32 hexadecimal digits.
    pub fn from_bits(bits: u128) -> Self {
        use core::fmt::Write;
        let mut text = ArrayString::new();
        // 128 bits are 32 digits, which fit.
        let _ = write!(text, "{bits:032x}");
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a node says `BYE`. On the wire a word; an unknown one reads as [`Other`](Self::Other).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ByeCode {
    /// `shutdown`: the node is stopping.
    Shutdown,
    /// `duplicate`: another connection between the two stays.
    Duplicate,
    /// `full`: no room; the `PEERS` before it name others.
    Full,
    /// `self`: both ends are one node.
    SelfLink,
    /// `refused`: the id in `JOIN` is another's.
    Refused,
    /// `violation`: a rule was broken.
    Violation,
    /// Any other word.
    Other,
}

impl ByeCode {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Duplicate => "duplicate",
            Self::Full => "full",
            Self::SelfLink => "self",
            Self::Refused => "refused",
            Self::Violation => "violation",
            Self::Other => "other",
        }
    }

    /// The code of a word.
    pub fn from_word(word: &str) -> Self {
        let known =
            [Self::Shutdown, Self::Duplicate, Self::Full, Self::SelfLink, Self::Refused, Self::Violation];
        known.into_iter().find(|code| code.word() == word).unwrap_or(Self::Other)
    }
}
