//! Bytes to frames to messages, and back. Nothing past here sees unchecked bytes.

mod decode;
mod encode;
mod json;
mod line;
mod message;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use crate::model::MAX_LINE;
pub use decode::{Parsed, parse};
pub use line::{Chunk, Line, LineReader, LineTooLong};
pub(crate) use message::ChatFrame;
pub use message::{ByeCode, Frame, Hello, Join, PeerRecord, Token, TreeClaim};

/// The longest address, in bytes (SPEC section 6).
const MAX_ADDRESS: usize = 261;

/// The longest text of `BYE`, in bytes; what is longer is cut, read or written.
const MAX_BYE_TEXT: usize = 200;

/// The most ids in `LINKS`; who has more links names the first of them.
pub const MAX_LINKS: usize = 256;

/// The most ids in `IHAVE`.
pub const MAX_IHAVE: usize = 512;

/// The most ids in `GRAFT`.
pub const MAX_GRAFT: usize = 64;

/// The most bytes in `SYNC`: their base64 fits a line.
pub const MAX_SYNC: usize = 48_000;

/// Why a line cannot be read as a frame.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum FrameError {
    /// The line is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// There is no `|`, or nothing behind it where something must be.
    #[error("its payload is missing")]
    NoPayload,
    /// The JSON does not parse, or is not of the frame's shape.
    #[error("its JSON is wrong")]
    Json,
    /// An id is not a UUID.
    #[error("its node id is not a UUID")]
    NodeId,
    /// A token or nonce is empty, too long or has illegal characters in it, or version 2 says no nonce.
    #[error("its token is wrong")]
    Token,
    /// A key is not a public key.
    #[error("its key is wrong")]
    Key,
    /// An id of an entry, a signature or bytes are not base64url of the right length.
    #[error("its base64 is wrong")]
    Base64,
    /// More ids than a frame may have.
    #[error("it names too many ids")]
    TooMany,
    /// A field of `TREE` is wrong.
    #[error("a field of its claim is wrong")]
    Tree,
}
