//! The name a user goes by.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A display name: 1 to 64 bytes of UTF-8 without line breaks. Nothing makes it unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes of UTF-8.
    pub const MAX: usize = 64;

    /// What a peer calls itself: cut at a character where it is too long, none where nothing is left.
    pub fn cut(text: &str) -> Option<Self> {
        let text = text.split(['\n', '\r']).next().unwrap_or_default();
        let end = text.floor_char_boundary(Self::MAX);
        (end > 0).then(|| Self(text[..end].into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that the user cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing in it but white space.
    #[error("a name must not be empty")]
    Empty,
    /// It is too long.
    #[error("a name is at most {max} bytes long, this one is {len}", max = Name::MAX)]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It has a line break or another control character in it.
    #[error("a name has no control characters in it")]
    Control,
}

impl FromStr for Name {
    type Err = NameError;

    /// A name as the user gives it; white space around it does not count.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        match text.len() {
            0 => Err(NameError::Empty),
            len if len > Self::MAX => Err(NameError::TooLong { len }),
            _ if text.contains(char::is_control) => Err(NameError::Control),
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
    fn a_long_name_is_refused_to_the_user_and_cut_for_a_peer() {
        for len in [Name::MAX - 1, Name::MAX] {
            assert!("x".repeat(len).parse::<Name>().is_ok());
        }
        let long = "é".repeat(40);
        assert_eq!(long.parse::<Name>(), Err(NameError::TooLong { len: 80 }));
        assert_eq!(Name::cut(&long).unwrap().as_str(), "é".repeat(32));
        assert_eq!(Name::cut(&("x".to_owned() + &long)).unwrap().as_str().len(), 63);
        assert_eq!(Name::cut(""), None);
    }
}
