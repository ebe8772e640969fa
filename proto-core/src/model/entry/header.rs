//! Headers: what is signed of an entry.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::read::{FromText, object, present_number, present_text, text};
use super::{Class, EntryError, EntryId, Kind, MAX_NUMBER, Room, RunId, RunPosition, Sealed};
use crate::model::identity::decode;
use crate::model::{MAX_LINE, NetworkId, NodeId, PublicKey, Signature, write_display, write_string};

/// The length of the longest header, in bytes.
pub const MAX_HEADER: usize = 2_048;

/// The signed part of an entry, whose signature holds. It keeps the bytes that its author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(super) network: NetworkId,
    pub(super) id: EntryId,
    pub(super) signature: Signature,
    pub(super) json: Box<str>,
    pub(super) fields: Fields,
    pub(super) author: NodeId,
}

impl Header {
    /// The network in which it was said.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The id.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The author's key.
    pub fn key(&self) -> PublicKey {
        self.fields.run.key
    }

    /// The author's id.
    pub fn author(&self) -> NodeId {
        self.author
    }

    /// The run that it is of, if it has a number.
    pub fn run(&self) -> &RunId {
        &self.fields.run
    }

    /// The room. None: the lobby.
    pub fn room(&self) -> Option<&Room> {
        self.fields.run.room.as_ref()
    }

    /// The `CHAT` frame of the entry with this header and body.
    pub(super) fn sealed<'a>(&'a self, body: &'a str) -> Sealed<'a> {
        Sealed { signature: self.signature, header: &self.json, body }
    }

    /// How nodes treat it.
    pub fn class(&self) -> &Class {
        &self.fields.run.class
    }

    /// The author's epoch, at most [`MAX_NUMBER`].
    pub fn epoch(&self) -> u64 {
        self.fields.run.epoch
    }

    /// When it was said, in milliseconds since the Unix epoch, by its author's hybrid logical clock. At most
    /// [`MAX_NUMBER`].
    pub fn at(&self) -> u64 {
        self.fields.at
    }

    /// What the body is.
    pub fn kind(&self) -> &Kind {
        &self.fields.kind
    }

    /// The length of the body, in bytes.
    pub fn body_size(&self) -> usize {
        self.fields.size
    }

    /// The peer without a key that said it. There is one exactly in the class [`Line`](Class::Line).
    pub fn speaker(&self) -> Option<NodeId> {
        self.fields.via
    }
}

/// What a header says, as far as this version knows its members (SPEC 12.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) run: RunId,
    pub(super) at: u64,
    pub(super) kind: Kind,
    pub(super) size: usize,
    pub(super) hash: BodyHash,
    /// There is one exactly in the class [`Line`](Class::Line).
    pub(super) via: Option<NodeId>,
}

/// The members of a header's JSON that this version knows.
#[derive(Deserialize)]
struct Members {
    #[serde(default, deserialize_with = "present_text")]
    room: Option<Room>,
    #[serde(default, deserialize_with = "present_text")]
    class: Option<Class>,
    #[serde(deserialize_with = "text")]
    key: PublicKey,
    epoch: u64,
    #[serde(default, deserialize_with = "present_number")]
    seq: Option<u64>,
    #[serde(default, deserialize_with = "present_text")]
    prev: Option<EntryId>,
    at: u64,
    #[serde(deserialize_with = "text")]
    kind: Kind,
    size: u64,
    #[serde(deserialize_with = "text")]
    hash: BodyHash,
    #[serde(default, deserialize_with = "present_text")]
    via: Option<NodeId>,
}

impl Fields {
    /// Reads a header, and where its entry stands in its run: nowhere, if it has no number.
    pub(super) fn read(json: &str) -> Result<(Self, Option<RunPosition>), EntryError> {
        if json.len() > MAX_HEADER {
            return Err(EntryError::Content);
        }
        let members: Members = object(json)?;
        let Members { room, class, key, epoch, seq, prev, at, kind, size, hash, via } = members;
        let class = class.unwrap_or(Class::Kept);
        let position = RunPosition::read(seq, prev).ok_or(EntryError::Content)?;
        let numbered = match class {
            Class::Kept | Class::Line => position.is_some(),
            Class::Live => position.is_none(),
            Class::Other(_) => true,
        };
        let brought = match class {
            Class::Line => via.is_some_and(|speaker| !speaker.is_of_key()),
            Class::Kept | Class::Live => via.is_none(),
            Class::Other(_) => true,
        };
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_LINE);
        let (Some(size), true) = (size, numbered && brought && epoch <= MAX_NUMBER && at <= MAX_NUMBER)
        else {
            return Err(EntryError::Content);
        };
        let via = via.filter(|_| class == Class::Line);
        let run = RunId { key, room, class, epoch };
        Ok((Self { run, at, kind, size, hash, via }, position))
    }

    /// The header's JSON. Without a position, the entry is in no run.
    pub(super) fn write(&self, position: Option<RunPosition>) -> String {
        let Self { run: RunId { key, room, class, epoch }, at, kind, size, hash, via } = self;
        let mut out = Vec::with_capacity(384);
        out.push(b'{');
        if let Some(room) = room {
            out.extend_from_slice(b"\"room\":");
            write_without_bars(&mut out, room.as_str());
            out.push(b',');
        }
        if let Some(word) = class.word() {
            write_display(&mut out, format_args!("\"class\":\"{word}\","));
        }
        write_display(&mut out, format_args!("\"key\":\"{key}\",\"epoch\":{epoch},"));
        if let Some(position) = position {
            write_display(&mut out, format_args!("\"seq\":{},", position.seq()));
        }
        if let Some(prev) = position.and_then(|position| position.prev()) {
            write_display(&mut out, format_args!("\"prev\":\"{prev}\","));
        }
        let kind = kind.word();
        write_display(
            &mut out,
            format_args!("\"at\":{at},\"kind\":\"{kind}\",\"size\":{size},\"hash\":\"{hash}\""),
        );
        if let Some(speaker) = via {
            write_display(&mut out, format_args!(",\"via\":\"{speaker}\""));
        }
        out.push(b'}');
        // Only UTF-8 was written.
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Appends `text` as a JSON string without a `|`, which would end the header.
fn write_without_bars(out: &mut Vec<u8>, text: &str) {
    let mut string = Vec::with_capacity(text.len() + 2);
    write_string(&mut string, text);
    for byte in string {
        out.extend_from_slice(if byte == b'|' { b"\\u007c" } else { core::slice::from_ref(&byte) });
    }
}

/// The SHA-256 of a body as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyHash([u8; 32]);

impl BodyHash {
    pub(super) fn of(body: &str) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl FromText for BodyHash {
    fn from_text(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
    }
}
