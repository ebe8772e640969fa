//! The wire format: bytes to lines, lines to frames, and frames to lines (SPEC sections 1 to 3 and 11).
//!
//! [`LineReader`] cuts the bytes of a connection into lines, [`parse`] reads a line as a [`Frame`], and
//! [`Frame::encode`] writes one. Values that come out of here are valid, apart from signatures, which are not verified
//! here.
//!
//! ```
//! use proto_core::wire::{Chunk, Frame, LineReader, LineTooLong, MAX_LINE, Parsed, parse};
//!
//! let mut reader = LineReader::new();
//! let mut messages = Vec::new();
//! // The bytes of a connection come in chunks of any size.
//! for bytes in [&b"MSG|hel"[..], b"lo\r\nLATER|x\nMSG|you\n"] {
//!     let mut chunk = Chunk::new(bytes);
//!     while let Some(line) = reader.next_line(&mut chunk, MAX_LINE) {
//!         match parse(line?, 64) {
//!             Ok(Parsed::Frame(Frame::Msg(text))) => messages.push(text.to_owned()),
//!             Ok(other) => println!("not a message: {other:?}"),
//!             Err(error) => println!("malformed: {error}"),
//!         }
//!     }
//! }
//! assert_eq!(messages, ["hello", "you"]);
//! # Ok::<(), LineTooLong>(())
//! ```

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
pub use message::{ByeCode, Frame, Hello, Join, PeerRecord, RangeEnd, RangeQuery, Token, TreeClaim};

/// The longest `listen_addr` or `remote_addr`, in bytes. A longer one counts as absent.
const MAX_ADDRESS: usize = 261;

/// The longest text of `BYE`, in bytes. A longer one is cut when it is read or written (SPEC 3.4).
const MAX_BYE_TEXT: usize = 200;

/// The most ids in `LINKS`. More are malformed; a sender with more links names the first ones.
pub const MAX_LINKS: usize = 256;

/// The most ids in `IHAVE`. More are malformed.
pub const MAX_IHAVE: usize = 512;

/// The most ids in `GRAFT` and in `LACK`. More are malformed.
pub const MAX_GRAFT: usize = 64;

/// The most bytes that a sender puts into `SYNC`, so that their base64 fits a line.
pub const MAX_SYNC: usize = 48_000;

/// Why a line is malformed (SPEC 1.4).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum FrameError {
    /// The line is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// There is no `|`, or nothing behind it in a frame that needs a payload.
    #[error("its payload is missing")]
    NoPayload,
    /// The JSON does not parse, or does not have the members of the frame (SPEC section 12).
    #[error("its JSON is wrong")]
    Json,
    /// The id of a node is not a UUID.
    #[error("its node id is not a UUID")]
    NodeId,
    /// A token or nonce is empty, too long, or has an illegal character in it, or a `JOIN` of version 2 has no nonce.
    #[error("its token is wrong")]
    Token,
    /// The key is not a public key.
    #[error("its key is wrong")]
    Key,
    /// The id of the network is not 22 characters of base64url.
    #[error("its network is wrong")]
    Network,
    /// The id of an entry, a signature or the bytes of `SYNC` are not base64url of the right length.
    #[error("its base64 is wrong")]
    Base64,
    /// The frame names more ids than it may.
    #[error("it names too many ids")]
    TooMany,
    /// A field of `TREE` is missing or wrong.
    #[error("a field of its claim is wrong")]
    Tree,
    /// A field of `RANGE` or `HELD` is missing or wrong.
    #[error("a field of its range is wrong")]
    Range,
}
