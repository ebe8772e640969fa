//! Reading the JSON objects of entries.

use alloc::borrow::Cow;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::EntryError;
use crate::model::Name;

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

/// Reads a member that is absent or has a value. `null` is an error (SPEC 7.2.4).
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads a name, cut if it is too long. The signed bytes stay as they are.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    Name::cut(&text).ok_or_else(|| D::Error::custom("a name is not empty"))
}

/// The same for a member that may be absent.
pub(super) fn present_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    name(deserializer).map(Some)
}
