//! Frames and the values in them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::model::{EntryId, MAX_NUMBER, Name, NetworkId, NodeId, PublicKey, RunId, Sealed, Signature};

/// One frame: read by [`parse`](super::parse), written by [`Frame::encode`]. Texts and entries are borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// `JOIN`: who the sender is.
    Join(Box<Join>),
    /// `PEERS`: nodes that the sender knows.
    Peers(Vec<PeerRecord>),
    /// `MSG`: a message of one line, for or from a peer without a key. It is not empty and does not end with `\r`.
    Msg(&'a str),
    /// `PING`: asks for a `PONG` with the same token.
    Ping(Token),
    /// `PONG`: answers a `PING`, with its token.
    Pong(Token),
    /// `BYE`: the sender's last frame on the connection, why, and a text for people of at most 200 bytes.
    Bye(ByeCode, &'a str),
    /// `PROOF`: the sender has the key in its `JOIN`.
    Proof(Signature),
    /// `LINKS`: the sender's neighbours, at most [`MAX_LINKS`](super::MAX_LINKS).
    Links(Vec<NodeId>),
    /// `CHAT`: an entry, as its author signed it.
    Chat(Sealed<'a>),
    /// `IHAVE`: the sender holds these entries, at most [`MAX_IHAVE`](super::MAX_IHAVE).
    Ihave(Vec<EntryId>),
    /// `GRAFT`: the sender asks for these entries, at most [`MAX_GRAFT`](super::MAX_GRAFT).
    Graft(Vec<EntryId>),
    /// `LACK`: the sender was asked for these entries by `GRAFT` and does not hold them, at most
    /// [`MAX_GRAFT`](super::MAX_GRAFT).
    Lack(Vec<EntryId>),
    /// `RANGE`: the sender asks for entries of a run by their numbers.
    Range(RangeQuery),
    /// `HELD`: the end of the answer to a `RANGE`.
    Held(RangeEnd),
    /// `TREE`: the sender's position in the tree of a period.
    Tree(TreeClaim),
    /// `SYNC`: one message of a set reconciliation, at most [`MAX_SYNC`](super::MAX_SYNC) bytes if this node sends it.
    Sync(Vec<u8>),
}

/// A frame of the conversation. Only neighbours send these: peers that have proven their keys (SPEC 3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChatFrame<'a> {
    Chat(Sealed<'a>),
    Links(Vec<NodeId>),
    Ihave(Vec<EntryId>),
    Graft(Vec<EntryId>),
    Lack(Vec<EntryId>),
    Range(RangeQuery),
    Held(RangeEnd),
    Tree(TreeClaim),
    Sync(Vec<u8>),
}

/// The payload of `JOIN` (SPEC 12.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Join {
    /// The sender's id.
    pub node_id: Option<NodeId>,
    /// The sender's name.
    pub uname: Option<Name>,
    /// Where the sender listens. None: it does not say so, or does not say an IP address and a port.
    pub listen_addr: Option<SocketAddr>,
    /// An address of the connection. Implementations differ in what they put here, and nobody relies on it.
    pub remote_addr: Option<SocketAddr>,
    /// What only version 2 says. None: the sender speaks version 1.
    pub hello: Option<Hello>,
}

/// What `JOIN` says from version 2 on (SPEC section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// `v`: the version, 2 or more.
    pub version: u32,
    /// `nonce`: a token that is fresh for each connection. It shows a node that it dialed itself, and two nodes that
    /// they have two connections.
    pub nonce: Token,
    /// `links`: the number of the sender's neighbours. A larger number reads as 65,535.
    pub links: u16,
    /// `key`: the sender's key, which its `PROOF` then proves. None: the sender has no key.
    pub key: Option<PublicKey>,
    /// `net`: the network that the sender belongs to, if it has a key. Absent: the open one.
    pub network: NetworkId,
    /// `now`: the sender's wall-clock time in milliseconds since the Unix epoch, at most 2^53 - 1. None: it is unknown.
    pub now: Option<u64>,
}

impl Hello {
    /// That of a version 2 node of the open network, without links, key or clock. Set the fields for any other.
    pub fn new(nonce: Token) -> Self {
        Self { version: 2, nonce, links: 0, key: None, network: NetworkId::OPEN, now: None }
    }
}

/// The payload of `TREE`, a tree advert: the sender's position in the tree of a period, by its own word (SPEC 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeClaim {
    /// The root's key.
    pub root: PublicKey,
    /// The period, in hours since the Unix epoch by default. At most 2^53 - 1.
    pub period: u64,
    /// The root's newest sequence number that the sender knows. At most 2^53 - 1.
    pub sequence: u64,
    /// The root's signature over its key, the period and the sequence number.
    pub signature: Signature,
    /// The sender's distance from the root, in links. A larger number reads as 65,535.
    pub distance: u16,
    /// The sender's parent. None: the sender is the root, or has lost its parent.
    pub parent: Option<NodeId>,
}

/// The payload of `RANGE`: the numbers of a run whose entries are asked for (SPEC 9.7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeQuery {
    /// The run.
    pub run: RunId,
    /// The first number, at most `last`.
    pub first: u64,
    /// The last number, at most 2^53 - 1.
    pub last: u64,
    /// The number that the answer names, at most 2^53 - 1.
    pub tag: u64,
}

impl RangeQuery {
    /// Asks for these numbers of a run, both included. None: there is no number in between, or one is above 2^53 - 1.
    pub fn new(run: RunId, first: u64, last: u64, tag: u64) -> Option<Self> {
        let legal = first <= last && last.max(tag).max(run.epoch) <= MAX_NUMBER;
        legal.then_some(Self { run, first, last, tag })
    }
}

/// The payload of `HELD`: how far the answer to a `RANGE` goes (SPEC 9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeEnd {
    /// The `tag` of that `RANGE`.
    pub tag: u64,
    /// The sender has sent all that it holds of the range below this number. At most 2^53.
    pub next: u64,
}

impl RangeEnd {
    /// The end of the answer to the `RANGE` with this tag. None: a number is too large.
    pub fn new(tag: u64, next: u64) -> Option<Self> {
        (tag <= MAX_NUMBER && next <= MAX_NUMBER + 1).then_some(Self { tag, next })
    }
}

/// One entry of `PEERS` (SPEC 12.2): a node that the sender knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerRecord {
    /// The node's id.
    pub node_id: Option<NodeId>,
    /// The node's name.
    pub uname: Option<Name>,
    /// Where the node listens.
    pub listen_addr: Option<SocketAddr>,
    /// The other end of the sender's connection with the node.
    pub remote_addr: Option<SocketAddr>,
}

/// A token: 1 to [`MAX`](Self::MAX) bytes of printable ASCII without space, `|` and `;` (SPEC section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(ArrayString<{ Token::MAX }>);

impl Token {
    /// The length of the longest token, in bytes.
    pub const MAX: usize = 32;

    /// The token with this text. None: it is empty, too long, or has an illegal character in it.
    pub fn new(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'|' | b';');
        let legal = !text.is_empty() && text.bytes().all(legal);
        ArrayString::from(text).ok().filter(|_| legal).map(Self)
    }

    /// The token of 128 bits: 32 hexadecimal digits in lower case.
    pub fn from_bits(bits: u128) -> Self {
        use core::fmt::Write;
        let mut text = ArrayString::new();
        // The 32 digits of 128 bits always fit.
        let _ = write!(text, "{bits:032x}");
        Self(text)
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The code of a `BYE`: why a node ends a connection (SPEC 18.2). On the wire it is a word. An unknown word reads as
/// [`Other`](Self::Other).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ByeCode {
    /// `shutdown`: the node is stopping.
    Shutdown,
    /// `duplicate`: the two nodes keep another connection.
    Duplicate,
    /// `full`: no connection slot is free. The `PEERS` before it names other nodes.
    Full,
    /// `self`: both ends are one node.
    SelfLink,
    /// `refused`: the `JOIN` or `PROOF` is not acceptable, or the peer is banned.
    Refused,
    /// `violation`: the peer broke a rule.
    Violation,
    /// `network`: the two nodes belong to different networks.
    Network,
    /// `taken`: another node, which lives, has the same key.
    Taken,
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
            Self::Network => "network",
            Self::Taken => "taken",
            Self::Other => "other",
        }
    }

    /// The code with this word on the wire. Words are compared byte by byte.
    pub fn from_word(word: &str) -> Self {
        let known = [
            Self::Shutdown,
            Self::Duplicate,
            Self::Full,
            Self::SelfLink,
            Self::Refused,
            Self::Violation,
            Self::Network,
            Self::Taken,
        ];
        known.into_iter().find(|code| code.word() == word).unwrap_or(Self::Other)
    }
}
