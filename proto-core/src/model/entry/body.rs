//! What the body of an entry says.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::read::{FromText, object, present_text, text};
use super::texts::TextBuffer;
use super::{Class, Draft, EntryError, Kind, MAX_TO, Presence};
use crate::model::identity::decode;
use crate::model::{Name, NodeId, write_display, write_string};

/// The length of a salt, in bytes.
pub(super) const SALT: usize = 16;

/// What a body says, as far as this version knows its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(TextContent),
    /// Only what is said in no run.
    Presence(Presence),
    /// A kind that this version does not know.
    Unknown,
}

/// What a body of the kind `text` says (SPEC 12.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextContent {
    pub(super) uname: Name,
    /// The name of the peer without a key that said it: there is one exactly in the class `line`.
    pub(super) speaker: Option<Name>,
    pub(super) texts: TextBuffer,
    pub(super) to: Box<[NodeId]>,
}

/// The members of a body of the kind `text` that this version knows.
#[derive(Deserialize)]
struct Members {
    #[serde(deserialize_with = "text")]
    uname: Name,
    #[serde(default, deserialize_with = "present_text")]
    speaker: Option<Name>,
    texts: TextBuffer,
    #[serde(default)]
    to: Vec<NodeId>,
    #[serde(rename = "salt", deserialize_with = "text")]
    _salt: Salt,
}

/// A legal salt. Its value is of no use to the reader: it makes the hash of the body unguessable.
struct Salt;

impl FromText for Salt {
    fn from_text(text: &str) -> Option<Self> {
        decode::<SALT>(text).map(|_| Self)
    }
}

impl Content {
    /// Reads the body of an entry that is in no run. One that cannot be read says nothing, and is relayed like any other.
    pub(super) fn read_live(class: &Class, kind: &Kind, body: &str) -> Self {
        let is_presence = *class == Class::Live && *kind == Kind::Presence;
        let presence = is_presence.then(|| Presence::read(body).ok()).flatten();
        presence.map_or(Self::Unknown, Self::Presence)
    }

    /// Reads a whole body of an entry of this class and kind.
    pub(super) fn read(class: &Class, kind: &Kind, body: &str) -> Result<Self, EntryError> {
        if *kind != Kind::Text {
            return Ok(Self::Unknown);
        }
        let Members { uname, speaker, texts, to, .. } = object(body)?;
        let is_line = *class == Class::Line;
        if to.len() > MAX_TO || is_line && speaker.is_none() {
            return Err(EntryError::Content);
        }
        Ok(Self::Text(TextContent { uname, speaker: speaker.filter(|_| is_line), texts, to: to.into() }))
    }
}

impl TextContent {
    /// What a draft says.
    pub(super) fn of(draft: &Draft<'_>) -> Self {
        Self {
            uname: draft.uname.clone(),
            speaker: draft.via.map(|via| via.uname.clone()),
            texts: TextBuffer::new(draft.texts),
            to: if draft.via.is_none() { draft.to.iter().copied().take(MAX_TO).collect() } else { [].into() },
        }
    }

    /// The JSON of the body.
    pub(super) fn write(&self, salt: &[u8; SALT]) -> String {
        // Room for texts without escapes.
        let texts = self.texts.bytes() + self.texts.iter().len() * "\"\",".len();
        let mut out = Vec::with_capacity(texts + 256);
        out.extend_from_slice(b"{\"uname\":");
        write_string(&mut out, self.uname.as_str());
        if let Some(speaker) = &self.speaker {
            out.extend_from_slice(b",\"speaker\":");
            write_string(&mut out, speaker.as_str());
        }
        out.extend_from_slice(b",\"texts\":[");
        for (index, text) in self.texts.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            write_string(&mut out, text);
        }
        out.push(b']');
        for (index, node_id) in self.to.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"to\":[" } else { b"," });
            write_display(&mut out, format_args!("\"{node_id}\""));
        }
        if !self.to.is_empty() {
            out.push(b']');
        }
        let salt = Base64Display::new(salt, &URL_SAFE_NO_PAD);
        write_display(&mut out, format_args!(",\"salt\":\"{salt}\"}}"));
        // Only UTF-8 was written.
        String::from_utf8(out).unwrap_or_default()
    }
}
