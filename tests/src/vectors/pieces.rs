//! Bytes as a vector writes them, and lists in which something is there many times.

use serde::Deserialize;
use serde_json::Value;

use super::{Failure, hex};

/// Bytes: a text, or pieces one after the other.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Pieces {
    Text(String),
    Hex { hex: String },
    Times { times: usize, of: Box<Self> },
    All(Vec<Self>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Pieces {
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Hex { hex: text } => hex(text),
            Self::Times { times, of } => Ok(of.bytes()?.repeat(*times)),
            Self::All(pieces) => {
                let pieces: Result<Vec<_>, _> = pieces.iter().map(Self::bytes).collect();
                Ok(pieces?.concat())
            }
        }
    }

    pub(super) fn text(&self) -> Result<String, Failure> {
        String::from_utf8(self.bytes()?).map_err(|error| error.to_string())
    }
}

/// The value with every `{"times": 3, "of": x}` of a list as three `x`.
pub(super) fn expand(value: &Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.iter().flat_map(repeated).collect()),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), expand(value))).collect())
        }
        other => other.clone(),
    }
}

fn repeated(value: &Value) -> Vec<Value> {
    match (value["times"].as_u64(), value.get("of")) {
        (Some(times), Some(of)) => vec![expand(of); usize::try_from(times).unwrap_or(0)],
        _ => vec![expand(value)],
    }
}

/// The text, or its length where it is long.
pub(super) fn brief(text: &str) -> String {
    if text.len() <= 200 { text.to_owned() } else { format!("{} bytes", text.len()) }
}
