//! What an entry is labelled with: its room, its class, and the kind of its body.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::read::FromText;

/// The name of a room: 1 to [`MAX`](Self::MAX) bytes of UTF-8 without control characters (SPEC 7.7.1). Names are
/// compared byte by byte. What is said in no room is said in the lobby.
///
/// ```
/// use proto_core::Room;
///
/// let room: Room = "Garden".parse().unwrap();
/// assert_eq!(room.as_str(), "Garden");
/// assert!("".parse::<Room>().is_err() && "a\nb".parse::<Room>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Room(Arc<str>);

impl Room {
    /// The length of the longest name, in bytes of UTF-8.
    pub const MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not the name of a room: the error of parsing a [`Room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a room is 1 to {max} bytes long, without control characters", max = Room::MAX)]
pub struct RoomError;

impl FromStr for Room {
    type Err = RoomError;

    /// Parses a name.
    ///
    /// # Errors
    /// [`RoomError`], if the name is empty, longer than [`Room::MAX`], or has a control character in it.
    fn from_str(text: &str) -> Result<Self, RoomError> {
        let legal = (1..=Self::MAX).contains(&text.len()) && !text.contains(char::is_control);
        legal.then(|| Self(text.into())).ok_or(RoomError)
    }
}

impl FromText for Room {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl TryFrom<String> for Room {
    type Error = RoomError;

    fn try_from(text: String) -> Result<Self, RoomError> {
        text.parse()
    }
}

impl From<Room> for String {
    fn from(room: Room) -> Self {
        room.as_str().into()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word of the protocol that this version does not know: 1 to 32 of the characters `a` to `z`, `0` to `9`, `-`, `.` and
/// `_` (SPEC 7.7.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Arc<str>);

impl Word {
    const MAX: usize = 32;

    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Word {
    fn from_text(text: &str) -> Option<Self> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        let is_word = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(legal);
        is_word.then(|| Self(text.into()))
    }
}

/// How nodes treat an entry (SPEC 7.8).
///
/// Serde uses the word on the wire, and an empty text for the absent class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Class {
    /// It is kept: held, served and reconciled. On the wire it is the absent class.
    Kept,
    /// The same, for what a peer without a key said. It has bounds of its own.
    Line,
    /// It is relayed once, and never held.
    Live,
    /// A class that this version does not know. An entry with a number is treated as [`Kept`](Self::Kept), one without
    /// as [`Live`](Self::Live).
    Other(Word),
}

impl Class {
    /// The class with this word on the wire. None: the word is not legal.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::from_text(word)
    }

    /// Its word on the wire. None: it is the absent class.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Kept => None,
            Self::Line => Some("line"),
            Self::Live => Some("live"),
            Self::Other(word) => Some(word.as_str()),
        }
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.word().unwrap_or_default().into()
    }
}

impl TryFrom<String> for Class {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        if word.is_empty() { Ok(Self::Kept) } else { Self::from_text(&word).ok_or("no class") }
    }
}

impl FromText for Class {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "line" => Some(Self::Line),
            "live" => Some(Self::Live),
            _ => Word::from_text(text).map(Self::Other),
        }
    }
}

/// What the body of an entry is (SPEC 7.9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Lines of text.
    Text,
    /// That its author is here, or leaves (SPEC 12.3).
    Presence,
    /// A kind that this version does not know. Such an entry is not shown.
    Other(Word),
}

impl Kind {
    /// Its word on the wire.
    pub fn word(&self) -> &str {
        match self {
            Self::Text => "text",
            Self::Presence => "presence",
            Self::Other(word) => word.as_str(),
        }
    }
}

impl FromText for Kind {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "presence" => Some(Self::Presence),
            _ => Word::from_text(text).map(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_room_has_a_short_name_without_control_characters() {
        for name in ["x", "Zoë|;\"", &"x".repeat(Room::MAX)] {
            assert_eq!(name.parse::<Room>().map(|room| room.to_string()), Ok(name.to_string()));
        }
        for name in ["", "a\nb", "a\u{7f}", "a\u{85}", &"x".repeat(Room::MAX + 1)] {
            assert_eq!(name.parse::<Room>(), Err(RoomError), "{name:?}");
        }
    }

    #[test]
    fn a_word_has_few_characters() {
        assert!(Word::from_text(&"a".repeat(32)).is_some() && Word::from_text("org.example_v-2").is_some());
        for text in ["", &"a".repeat(33), "A", "a b", "a|b", "a;b", "é"] {
            assert_eq!(Word::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_known_word_is_never_an_unknown_class_or_kind() {
        let class = |text: &str| Class::from_text(text).unwrap();
        assert_eq!([class("line"), class("live")], [Class::Line, Class::Live]);
        assert_eq!(class("kept").word(), Some("kept"), "the class of what is kept has no word");
        let kind = |text: &str| Kind::from_text(text).unwrap();
        assert_eq!((kind("text"), kind("vote").word()), (Kind::Text, "vote"));
    }
}
