//! Bytes to frames to messages, and back. Nothing past here sees unchecked bytes.

mod decode;
mod encode;
mod json;
mod line;
mod message;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use decode::{Parsed, parse};
pub use line::{Chunk, Line, LineReader, LineTooLong};
pub use message::{ByeCode, Frame, Hello, Join, PeerRecord, Token};

/// The longest line, in bytes with its end (SPEC section 6).
pub const MAX_LINE: usize = 65_536;

/// The longest address, in bytes (SPEC section 6).
const MAX_ADDRESS: usize = 261;

/// The longest text of `BYE`, in bytes; what is longer is cut, read or written.
const MAX_BYE_TEXT: usize = 200;

/// Why a line cannot be read as a frame.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
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
}
