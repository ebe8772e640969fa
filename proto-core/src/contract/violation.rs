//! The rules that a peer can break.

use serde::{Deserialize, Serialize};

use crate::model::EntryError;
use crate::wire::FrameError;

/// The rule that a peer broke, and how the node reacts: it skips the frame, refuses the peer, or cuts the link.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum Violation {
    /// A frame cannot be read. It is skipped and counted (SPEC 1.4).
    #[error("malformed frame: {0}")]
    Malformed(FrameError),
    /// There were too many malformed frames in a short time. The peer is cut (SPEC 1.4).
    #[error("too many malformed frames")]
    TooManyMalformed,
    /// A line is too long. The peer is cut (SPEC 1.2).
    #[error("a line is too long")]
    LineTooLong,
    /// Another frame came before `JOIN`. It is skipped (SPEC 2.2).
    #[error("a frame came before JOIN")]
    BeforeJoin,
    /// No byte, or no `JOIN`, came in time. The peer is cut (SPEC section 6).
    #[error("no JOIN came in time")]
    NoGreeting,
    /// No `JOIN` came in time, but a malformed line, which may have been one. The peer is cut (SPEC section 6).
    #[error("no readable JOIN came in time: {0}")]
    UnreadableGreeting(FrameError),
    /// A `JOIN` came while the peer is banned for an earlier violation. It is refused (SPEC 9.9).
    #[error("it is banned for an earlier violation")]
    Banned,
    /// A `JOIN` claims this node's id. The peer is refused (SPEC 4.1).
    #[error("a JOIN claims this node's id")]
    ClaimsOurId,
    /// A `JOIN` claims the id of a linked peer. The newcomer is refused (SPEC 2.10, 4.3).
    #[error("a JOIN claims the id of a linked peer")]
    ClaimsPeersId,
    /// The id in a `JOIN` does not follow from its key, or is that of a key in a `JOIN` without one. The peer is refused
    /// (SPEC 3.6).
    #[error("a JOIN claims an id that is not its key's")]
    NotItsKeysId,
    /// A `PROOF` does not hold. The peer is refused (SPEC 3.8).
    #[error("the PROOF of a key does not hold")]
    FalseProof,
    /// Another frame came before `PROOF`. It is skipped (SPEC 3.8).
    #[error("a frame came before PROOF")]
    BeforeProof,
    /// An entry is malformed. It is skipped and counted as a malformed frame (SPEC 7.2).
    #[error("malformed entry: {0}")]
    Entry(EntryError),
    /// The signature or the distance in a `TREE` is wrong. It is skipped and counted as a malformed frame (SPEC 7.2, 8.4).
    #[error("a tree advert does not hold")]
    FalseTree,
    /// A `SYNC` cannot be read. It is skipped and counted as a malformed frame (SPEC 7.2).
    #[error("a SYNC cannot be read")]
    Sync,
    /// The peer ignored several reconciliations in a row. It is cut (SPEC 9.8).
    #[error("reconciliations were ignored")]
    SyncsIgnored,
    /// Another `JOIN` has another id. The peer is cut (SPEC 3.5).
    #[error("a second JOIN claims another id")]
    SecondId,
    /// A connection is in clear, and may not be. It is dropped without an answer (SPEC 3.14.4).
    #[error("it is not sealed, and --plaintext does not admit that")]
    InClear,
    /// On a sealed connection, a `JOIN` has another key than the connection, or none. The peer is refused (SPEC 3.14.16).
    #[error("a JOIN has another key than its connection")]
    NotTheConnectionsKey,
}

impl Violation {
    /// Whether the peer is refused or cut for it. If not, the frame is skipped, and the connection goes on.
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::BeforeJoin
            | Self::BeforeProof
            | Self::Entry(_)
            | Self::FalseTree
            | Self::Sync => false,
            Self::TooManyMalformed
            | Self::LineTooLong
            | Self::NoGreeting
            | Self::UnreadableGreeting(_)
            | Self::Banned
            | Self::ClaimsOurId
            | Self::ClaimsPeersId
            | Self::NotItsKeysId
            | Self::FalseProof
            | Self::SyncsIgnored
            | Self::SecondId
            | Self::InClear
            | Self::NotTheConnectionsKey => true,
        }
    }
}
