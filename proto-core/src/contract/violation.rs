//! Every way in which a peer can break a rule.

use serde::{Deserialize, Serialize};

use crate::model::EntryError;
use crate::wire::FrameError;

/// What a peer did. Each says what it costs the peer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum Violation {
    /// A frame that cannot be read: counted and skipped (SPEC 1.4).
    #[error("malformed frame: {0}")]
    Malformed(FrameError),
    /// Too many of them in too short a time: cut (SPEC 1.4).
    #[error("too many malformed frames")]
    TooManyMalformed,
    /// A line that is too long: cut (SPEC 1.2).
    #[error("a line is too long")]
    LineTooLong,
    /// A frame other than `JOIN` before `JOIN`: skipped (SPEC 2.2).
    #[error("a frame came before JOIN")]
    BeforeJoin,
    /// No first byte, or no `JOIN`, in time: cut (SPEC section 6).
    #[error("no JOIN came in time")]
    NoGreeting,
    /// A `JOIN` with our own id that is not our own connection: refused (SPEC 4.1).
    #[error("a JOIN claims our own id")]
    ClaimsOurId,
    /// A `JOIN` with the id of a peer that is here: refused (SPEC 2.10, 4.3).
    #[error("a JOIN claims the id of a peer that is here")]
    ClaimsPeersId,
    /// A `JOIN` whose id does not follow from its key, or that claims an id of a key without one: refused (SPEC 3.6).
    #[error("a JOIN claims an id that is not its key's")]
    NotItsKeysId,
    /// A `PROOF` that does not hold: refused (SPEC 3.8).
    #[error("the PROOF of a key does not hold")]
    FalseProof,
    /// A frame other than `PROOF` after a `JOIN` with a key: skipped (SPEC 3.8).
    #[error("a frame came before PROOF")]
    BeforeProof,
    /// A `CHAT` that is no entry: skipped, and counted as malformed (SPEC 7.2).
    #[error("an entry is not one: {0}")]
    Entry(EntryError),
    /// A `TREE` whose signature does not hold, or that puts another than the root at no distance from it, or the root at
    /// one: skipped, and counted as malformed (SPEC 7.2, 8.4).
    #[error("a claim about the tree does not hold")]
    FalseTree,
    /// A `SYNC` that is no message of a reconciliation: skipped, and counted as malformed (SPEC 7.2).
    #[error("a SYNC cannot be read")]
    Sync,
    /// One reconciliation after the other was passed over: cut (SPEC 9.8).
    #[error("SYNC after SYNC was passed over")]
    SyncsIgnored,
    /// A second `JOIN` with another id: cut (SPEC 3.5).
    #[error("a second JOIN claims another id")]
    SecondId,
}
