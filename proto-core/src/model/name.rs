//! Display names.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// A display name: 1 to [`MAX`](Self::MAX) bytes of UTF-8 without line breaks (SPEC 2.4).
///
/// Names are not unique: what tells two nodes apart is their [`NodeId`](crate::NodeId). A name from a peer may have
/// control characters in it, and an application has to escape them before it shows the name. The user's own name is
/// parsed, which is stricter. Cloning is cheap.
///
/// ```
/// use proto_core::{Name, NameError};
///
/// // The user's name: trimmed, and refused if it is too long.
/// let name: Name = " Alice ".parse()?;
/// assert_eq!(name.as_str(), "Alice");
/// assert_eq!("x".repeat(65).parse::<Name>(), Err(NameError::TooLong { len: 65 }));
///
/// // A peer's name: cut if it is too long.
/// assert_eq!(Name::cut(&"x".repeat(65)).unwrap().as_str().len(), Name::MAX);
/// assert_eq!(Name::cut(""), None);
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The length of the longest name, in bytes of UTF-8.
    pub const MAX: usize = 64;

    /// The name that a peer sent, cut before its first line break and to at most [`MAX`](Self::MAX) bytes, at the end
    /// of a character. None: nothing is left.
    pub fn cut(text: &str) -> Option<Self> {
        let text = text.split(['\n', '\r']).next().unwrap_or_default();
        let end = text.floor_char_boundary(Self::MAX);
        (end > 0).then(|| Self(text[..end].into()))
    }

    /// What stands for the name of a node that says none: the first 16 hexadecimal digits of its id.
    pub(crate) fn of_id(node_id: NodeId) -> Self {
        Self(alloc::format!("{}", node_id.short()).into())
    }

    /// Whether something of the name can be seen. A peer's name may be made of invisible characters alone.
    pub fn is_visible(&self) -> bool {
        !self.0.chars().all(is_invisible)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character shows nothing by itself: white space, fillers, joiners, selectors, tags, formats, and marks that
/// combine with the character before them.
fn is_invisible(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            // Combining marks.
            | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        )
}

/// Why a text cannot be the user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty, or white space only.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`Name::MAX`].
    #[error("a name is at most {max} bytes long, this one is {len}", max = Name::MAX)]
    TooLong {
        /// The text's length, in bytes of UTF-8.
        len: usize,
    },
    /// Nothing of the text can be seen: it is made of joiners, marks or blanks.
    #[error("nothing of that name can be seen")]
    Invisible,
    /// The text has a line break or another control character in it.
    #[error("a name has no control characters in it")]
    Control,
}

impl FromStr for Name {
    type Err = NameError;

    /// Parses the user's name, without the white space around it.
    ///
    /// # Errors
    /// [`NameError`], if the name is empty, longer than [`Name::MAX`], or has a control character in it.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        match text.len() {
            0 => Err(NameError::Empty),
            len if len > Self::MAX => Err(NameError::TooLong { len }),
            _ if text.contains(char::is_control) => Err(NameError::Control),
            _ if text.chars().all(is_invisible) => Err(NameError::Invisible),
            _ => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::cut(&text).filter(|name| name.as_str() == text).ok_or(NameError::Empty)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_refused_from_the_user_and_cut_from_a_peer() {
        for len in [Name::MAX - 1, Name::MAX] {
            assert!("x".repeat(len).parse::<Name>().is_ok());
        }
        let long = "é".repeat(40);
        assert_eq!(long.parse::<Name>(), Err(NameError::TooLong { len: 80 }));
        assert_eq!(Name::cut(&long).unwrap().as_str(), "é".repeat(32));
        assert_eq!(Name::cut(&("x".to_owned() + &long)).unwrap().as_str().len(), 63);
        assert_eq!(Name::cut(""), None);
    }

    #[test]
    fn a_name_of_which_nothing_can_be_seen_is_refused_from_the_user_and_told_of_a_peer() {
        for name in ["\u{200d}", "\u{200b}\u{feff}", "\u{301}", "\u{2800}", "\u{3164}", "a\u{fe0f}"] {
            let visible = name.starts_with('a');
            let parsed = name.parse::<Name>();
            assert_eq!(parsed.is_ok(), visible, "{name:?}");
            assert!(visible || parsed == Err(NameError::Invisible), "{name:?}");
            assert_eq!(Name::cut(name).unwrap().is_visible(), visible, "{name:?}");
        }
        for name in ["é", "日本", "👩‍👩‍👧", "नमस्ते", ".", "_"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
    }
}
