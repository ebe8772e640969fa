//! Texts of messages.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Draft, MAX_LINE, json_len};

/// One line of a message: not empty, without line breaks, and short enough for an entry (SPEC 7.2.6, 7.2.7).
///
/// It may have any other Unicode character in it, control characters included. An application has to make them harmless
/// before it shows the text.
///
/// ```
/// use proto_core::{ChatText, ChatTextError};
///
/// let text = ChatText::new("hello")?;
/// assert_eq!(text.as_str(), "hello");
///
/// let lines = ChatText::lines("one\r\n\ntwo")?;
/// assert_eq!(lines, [ChatText::new("one")?, ChatText::new("two")?]);
///
/// assert_eq!(ChatText::new("one\ntwo"), Err(ChatTextError::LineBreak));
/// # Ok::<(), ChatTextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatText {
    text: String,
    /// The length of the text as a JSON string.
    json_len: usize,
}

impl ChatText {
    /// The length of the longest text: 61,437 bytes of UTF-8, counted as in a JSON string without its quotes. There `"`
    /// and `\` take two bytes, `;` and control characters below U+0020 take six. The longest text just fits a `CHAT`
    /// line of [`MAX_LINE`](crate::wire::MAX_LINE) bytes.
    pub const MAX: usize = MAX_LINE - Draft::OVERHEAD - "\"\",".len();

    /// A text of one line.
    ///
    /// # Errors
    /// [`ChatTextError`], if the text is empty, longer than [`MAX`](Self::MAX), or has a line break in it.
    pub fn new(text: impl Into<String>) -> Result<Self, ChatTextError> {
        let text = text.into();
        Self::check(&text).map(|()| Self { json_len: json_len(&text), text })
    }

    /// Whether a text is legal.
    pub(crate) fn check(text: &str) -> Result<(), ChatTextError> {
        // A byte takes six at most, so that most texts need not be counted.
        let len = if text.len() > Self::MAX / 6 { json_len(text) - 2 } else { text.len() };
        match len {
            _ if text.is_empty() => Err(ChatTextError::Empty),
            len if len > Self::MAX => Err(ChatTextError::TooLong { len }),
            _ if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() => Err(ChatTextError::LineBreak),
            _ => Ok(()),
        }
    }

    /// The lines of a text, without the empty ones. A line ends at each `\n` and each `\r`.
    ///
    /// # Errors
    /// [`ChatTextError::Empty`], if all lines are empty. [`ChatTextError::TooLong`], if any line is too long.
    pub fn lines(text: &str) -> Result<Vec<Self>, ChatTextError> {
        let lines = text.split(['\n', '\r']).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(Self::new).collect::<Result<_, _>>()?;
        if lines.is_empty() { Err(ChatTextError::Empty) } else { Ok(lines) }
    }

    /// The text as a string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The length of the text as a JSON string, in bytes, its two quotes included.
    pub fn json_len(&self) -> usize {
        self.json_len
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
        text.text
    }
}

/// Why a text cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTextError {
    /// The text is empty, or has empty lines only.
    #[error("a message must not be empty")]
    Empty,
    /// The text, or one of its lines, is longer than [`ChatText::MAX`]. It is never cut or split.
    #[error("a message is at most {max} bytes long as JSON, this one is {len}", max = ChatText::MAX)]
    TooLong {
        /// The length, in bytes as in a JSON string without its quotes.
        len: usize,
    },
    /// The text has a line break in it.
    #[error("a message is one line")]
    LineBreak,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_is_accepted_and_one_more_byte_is_not() {
        for len in [ChatText::MAX - 1, ChatText::MAX] {
            assert!(ChatText::new("x".repeat(len)).is_ok());
        }
        let len = ChatText::MAX + 1;
        assert_eq!(ChatText::new("x".repeat(len)), Err(ChatTextError::TooLong { len }));
    }

    #[test]
    fn a_text_is_split_at_every_kind_of_line_break() {
        let lines = ChatText::lines("\none\r\ntwo\rthree\n\n").unwrap();
        assert_eq!(lines.iter().map(ChatText::as_str).collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(ChatText::lines("\r\n"), Err(ChatTextError::Empty));
    }
}
