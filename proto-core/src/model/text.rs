//! A line that can be said.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Draft, MAX_LINE, json_len};

/// A line that can be said: not empty, without line breaks, and its entry fits a line of
/// [`MAX_LINE`](crate::wire::MAX_LINE) bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatText(String);

impl ChatText {
    /// The longest text, in bytes of UTF-8 as in a JSON string: `"` and `\` take two, `;` and control characters six.
    pub const MAX: usize = MAX_LINE - Draft::OVERHEAD - "\"\",".len();

    /// One line.
    pub fn new(text: impl Into<String>) -> Result<Self, ChatTextError> {
        let text = text.into();
        match json_len(&text) - 2 {
            _ if text.is_empty() => Err(ChatTextError::Empty),
            len if len > Self::MAX => Err(ChatTextError::TooLong { len }),
            _ if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() => Err(ChatTextError::LineBreak),
            _ => Ok(Self(text)),
        }
    }

    /// The lines of a text, each its own message; empty ones are left out. Fails as a whole.
    pub fn lines(text: &str) -> Result<Vec<Self>, ChatTextError> {
        let lines = text.split(['\n', '\r']).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(Self::new).collect::<Result<_, _>>()?;
        if lines.is_empty() { Err(ChatTextError::Empty) } else { Ok(lines) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length as a JSON string, quotes included.
    pub fn json_len(&self) -> usize {
        json_len(&self.0)
    }
}

impl TryFrom<String> for ChatText {
    type Error = ChatTextError;

    fn try_from(text: String) -> Result<Self, ChatTextError> {
        Self::new(text)
    }
}

impl From<ChatText> for String {
    fn from(text: ChatText) -> Self {
        text.0
    }
}

/// A text that cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTextError {
    /// There is nothing in it.
    #[error("a message must not be empty")]
    Empty,
    /// Its frame does not fit a line. It is never cut or split.
    #[error("a message is at most {max} bytes long as JSON, this one is {len}", max = ChatText::MAX)]
    TooLong {
        /// Its length in bytes as in a JSON string.
        len: usize,
    },
    /// It is more than one line.
    #[error("a message is one line")]
    LineBreak,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_and_one_more_byte_does_not() {
        for len in [ChatText::MAX - 1, ChatText::MAX] {
            assert!(ChatText::new("x".repeat(len)).is_ok());
        }
        let len = ChatText::MAX + 1;
        assert_eq!(ChatText::new("x".repeat(len)), Err(ChatTextError::TooLong { len }));
    }

    #[test]
    fn line_breaks_of_every_kind_part_messages() {
        let lines = ChatText::lines("\none\r\ntwo\rthree\n\n").unwrap();
        assert_eq!(lines.iter().map(ChatText::as_str).collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(ChatText::lines("\r\n"), Err(ChatTextError::Empty));
    }
}
