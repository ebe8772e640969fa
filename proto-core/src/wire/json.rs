//! Reading the JSON object of `JOIN` and `PEERS`.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use core::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The object of `JOIN` and `PEERS`, before its values are checked.
///
/// An absent member reads as `null`. Unknown members are ignored. A known member that stands twice is an error (SPEC
/// 1.4.3).
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) listen_addr: Value<'a>,
    pub(super) node_id: Value<'a>,
    pub(super) uname: Value<'a>,
    pub(super) remote_addr: Value<'a>,
    pub(super) v: Value<'a>,
    pub(super) nonce: Value<'a>,
    pub(super) links: Value<'a>,
    pub(super) key: Value<'a>,
    pub(super) net: Value<'a>,
    pub(super) now: Value<'a>,
}

/// A JSON value of a kind that the protocol uses.
#[derive(Debug, Default)]
pub(super) enum Value<'a> {
    #[default]
    Null,
    /// A number that is not negative, without its fraction. A larger one than fits reads as the largest that does.
    Number(u64),
    String(Cow<'a, str>),
    /// Any other value.
    Other,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    ListenAddr,
    NodeId,
    Uname,
    RemoteAddr,
    V,
    Nonce,
    Links,
    Key,
    Net,
    Now,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        let mut seen = 0_u16;
        while let Some(key) = map.next_key::<Field>()? {
            let value = map.next_value()?;
            let slot = match key {
                Field::ListenAddr => &mut object.listen_addr,
                Field::NodeId => &mut object.node_id,
                Field::Uname => &mut object.uname,
                Field::RemoteAddr => &mut object.remote_addr,
                Field::V => &mut object.v,
                Field::Nonce => &mut object.nonce,
                Field::Links => &mut object.links,
                Field::Key => &mut object.key,
                Field::Net => &mut object.net,
                Field::Now => &mut object.now,
                Field::Unknown => continue,
            };
            *slot = value;
            let bit = 1 << key as u8;
            if seen & bit != 0 {
                return Err(de::Error::custom("a key stands there twice"));
            }
            seen |= bit;
        }
        Ok(object)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Visits nested arrays and objects itself. `serde_json` bounds the depth of what is visited, to 128 (SPEC 1.4.6), but
/// not the depth of what `IgnoredAny` skips.
struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(number.try_into().map_or(Value::Other, Value::Number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(if number >= 0.0 { Value::Number(number as u64) } else { Value::Other })
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value<'de>, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<Value<'de>>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<Value<'de>, Value<'de>>()?.is_some() {}
        Ok(Value::Other)
    }
}
