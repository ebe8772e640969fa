//! Reading the JSON objects of entries.

use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::EntryError;
use crate::model::{Name, NodeId, PublicKey};

/// Reads one object, and nothing behind it. A derived `Deserialize` would also read an array of the values, which other
/// implementations refuse.
pub(super) fn object<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, EntryError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let object = reader.deserialize_map(ObjectVisitor(PhantomData)).map_err(|_| EntryError::Content)?;
    reader.end().map(|()| object).map_err(|_| EntryError::Content)
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// What a member of an object is written as: a text.
pub(super) trait FromText: Sized {
    /// The value with this text. None: there is none.
    fn from_text(text: &str) -> Option<Self>;
}

/// A name, cut if it is too long. The signed bytes stay as they are.
impl FromText for Name {
    fn from_text(text: &str) -> Option<Self> {
        Self::cut(text)
    }
}

impl FromText for NodeId {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The encoding of a key. To decompress its point takes longer than all the rest, and it may be known.
impl FromText for PublicKey {
    fn from_text(text: &str) -> Option<Self> {
        Self::of_encoded_text(text).ok()
    }
}

/// Reads a member that is a text, without a copy of it.
pub(super) fn text<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

/// The same for a member that may be absent. `null` is an error (SPEC 7.2.4).
pub(super) fn present_text<'de, D: Deserializer<'de>, T: FromText>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    text(deserializer).map(Some)
}

/// Reads a number that may be absent. `null` is an error.
pub(super) fn present_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::custom("the text is illegal"))
    }
}
