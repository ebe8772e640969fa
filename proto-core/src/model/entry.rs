//! Entries: what is said, signed once by who said it and relayed as it is.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{
    ChatText, Identity, Name, NodeId, PublicKey, Purpose, Signature, write_display, write_string,
};

/// What an entry is called: the SHA-256 of its JSON as sent. Written in unpadded base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 32]);

impl EntryId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id with this text, if it is one.
    pub fn new(text: &str) -> Option<Self> {
        crate::model::identity::decode(text).map(Self)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The place of an entry in the conversation: by time, then key, epoch and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The author's key.
    pub key: PublicKey,
    /// The author's run.
    pub epoch: u64,
    /// The number in that run.
    pub seq: u64,
}

/// Who said to a version 1 node's peers what an entry brings into the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Via {
    /// The version 1 node.
    pub node_id: NodeId,
    /// Its name.
    #[serde(deserialize_with = "name")]
    pub uname: Name,
}

impl Via {
    /// The version 1 node with this id and name.
    pub fn new(node_id: NodeId, uname: Name) -> Self {
        Self { node_id, uname }
    }
}

/// The largest number in an entry: what every JSON reader reads exactly (RFC 8259 section 6).
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The most version 1 ids that an entry names as told.
pub const MAX_TO: usize = 64;

/// What an author says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft<'a> {
    /// The author's run: a random number of 53 bits.
    pub epoch: u64,
    /// The number in that run, from 0, without gaps.
    pub seq: u64,
    /// Hybrid logical clock (Kulkarni et al., OPODIS 2014) in milliseconds since the Unix epoch: grows with each `seq`.
    pub at: u64,
    /// The author's name.
    pub uname: &'a Name,
    /// What was said in one burst, at least one line.
    pub texts: &'a [ChatText],
    /// The version 1 peers that the author told itself, at most [`MAX_TO`].
    pub to: &'a [NodeId],
    /// The version 1 peer whose words these are.
    pub via: Option<&'a Via>,
}

impl<'a> Draft<'a> {
    /// A draft for all peers, of its author's own words.
    pub fn new(epoch: u64, seq: u64, at: u64, uname: &'a Name, texts: &'a [ChatText]) -> Self {
        Self { epoch, seq, at, uname, texts, to: &[], via: None }
    }
}

impl Draft<'_> {
    /// The most bytes of a `CHAT` line without its texts.
    pub const OVERHEAD: usize = 4_096;

    /// How many of these texts, each at most [`ChatText::MAX`] as JSON, fit one entry: at least one.
    pub fn fitting(texts: &[ChatText]) -> usize {
        let mut room = crate::model::MAX_LINE - Self::OVERHEAD;
        let fit = texts.iter().take_while(|text| {
            let bytes = text.json_len() + 1;
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        fit.count().max(1)
    }

    /// The most bytes of `CHAT` lines that these texts take.
    pub(crate) fn most_bytes(texts: &[ChatText]) -> usize {
        texts.iter().map(|text| text.json_len() + 1).sum::<usize>() + Self::OVERHEAD
    }

    fn to_json(&self, key: PublicKey) -> String {
        let mut out = Vec::new();
        let Self { epoch, seq, at, uname, texts, to, via } = self;
        write_display(
            &mut out,
            format_args!("{{\"key\":\"{key}\",\"epoch\":{epoch},\"seq\":{seq},\"at\":{at},"),
        );
        out.extend_from_slice(b"\"uname\":");
        write_string(&mut out, uname.as_str());
        for (index, text) in texts.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"texts\":[" } else { b"," });
            write_string(&mut out, text.as_str());
        }
        out.push(b']');
        for (index, node_id) in to.iter().take(MAX_TO).enumerate() {
            out.extend_from_slice(if index == 0 { b",\"to\":[" } else { b"," });
            write_display(&mut out, format_args!("\"{node_id}\""));
        }
        if !to.is_empty() {
            out.push(b']');
        }
        if let Some(Via { node_id, uname }) = via {
            write_display(&mut out, format_args!(",\"via\":{{\"node_id\":\"{node_id}\",\"uname\":"));
            write_string(&mut out, uname.as_str());
            out.push(b'}');
        }
        out.push(b'}');
        // All that was written is UTF-8.
        String::from_utf8(out).unwrap_or_default()
    }
}

/// A signed entry whose signature holds. Its bytes are those that its author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    id: EntryId,
    signature: Signature,
    json: String,
    content: Content,
    author: NodeId,
}

/// The keys of an entry's JSON that are known here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Content {
    key: PublicKey,
    epoch: u64,
    seq: u64,
    at: u64,
    #[serde(deserialize_with = "name")]
    uname: Name,
    texts: Vec<ChatText>,
    #[serde(default)]
    to: Vec<NodeId>,
    #[serde(default, deserialize_with = "via")]
    via: Option<Via>,
}

/// A name that is too long is cut: the bytes stay as they were signed.
fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
    Name::cut(&text).ok_or_else(|| serde::de::Error::custom("a name is not empty"))
}

/// It is absent or an object: null is neither.
fn via<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Via>, D::Error> {
    object(deserializer).map(Some)
}

/// What is derived for a struct reads an array of its values, too, which other readers of JSON do not.
fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
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

    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

impl Entry {
    /// Signs what was said.
    pub fn sign(identity: &Identity, draft: &Draft<'_>) -> Self {
        let json = draft.to_json(identity.key());
        let signature = identity.sign(Purpose::Entry, json.as_bytes());
        let content = Content {
            key: identity.key(),
            epoch: draft.epoch,
            seq: draft.seq,
            at: draft.at,
            uname: draft.uname.clone(),
            texts: draft.texts.to_vec(),
            to: draft.to.iter().copied().take(MAX_TO).collect(),
            via: draft.via.cloned(),
        };
        Self { id: id_of(&json), signature, json, content, author: identity.node_id() }
    }

    /// Its id.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Its author's key.
    pub fn key(&self) -> PublicKey {
        self.content.key
    }

    /// Its author's id.
    pub fn author(&self) -> NodeId {
        self.author
    }

    /// The author's run that it belongs to.
    pub fn epoch(&self) -> u64 {
        self.content.epoch
    }

    /// Its number in that run.
    pub fn seq(&self) -> u64 {
        self.content.seq
    }

    /// When it was said, by its author's hybrid logical clock: milliseconds since the Unix epoch.
    pub fn at(&self) -> u64 {
        self.content.at
    }

    /// Its author's name.
    pub fn uname(&self) -> &Name {
        &self.content.uname
    }

    /// What was said: at least one line.
    pub fn texts(&self) -> &[ChatText] {
        &self.content.texts
    }

    /// The version 1 peers that its author told itself.
    pub fn to(&self) -> &[NodeId] {
        &self.content.to
    }

    /// The version 1 node whose words these are, by its author's word.
    pub fn via(&self) -> Option<&Via> {
        self.content.via.as_ref()
    }

    /// Its place in the conversation.
    pub fn place(&self) -> Place {
        let Content { at, key, epoch, seq, .. } = self.content;
        Place { at, key, epoch, seq }
    }

    /// The bytes that it takes here, about.
    pub fn size(&self) -> usize {
        let texts = self.content.texts.iter().map(|text| text.as_str().len() + size_of::<ChatText>());
        size_of::<Self>()
            + self.json.len()
            + texts.sum::<usize>()
            + self.content.to.len() * size_of::<NodeId>()
    }

    /// It as it was signed, for the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        Sealed { signature: self.signature, json: &self.json }
    }
}

/// The payload of `CHAT` as it came: nobody has looked into it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// By its word, its author's.
    pub signature: Signature,
    /// What was signed.
    pub json: &'a str,
}

impl Sealed<'_> {
    /// Its id, which costs a hash only.
    pub fn id(&self) -> EntryId {
        id_of(self.json)
    }

    /// Reads and verifies it, strictly.
    pub fn open(&self) -> Result<Entry, EntryError> {
        self.open_as(self.id())
    }

    /// The same where its id is known already.
    pub(crate) fn open_as(&self, id: EntryId) -> Result<Entry, EntryError> {
        let content = read(self.json).map_err(|_| EntryError::Content)?;
        let numbers = [content.epoch, content.seq, content.at];
        if content.texts.is_empty() || content.to.len() > MAX_TO || numbers.iter().any(|n| *n > MAX_NUMBER) {
            return Err(EntryError::Content);
        }
        if !content.key.verify(Purpose::Entry, self.json.as_bytes(), &self.signature) {
            return Err(EntryError::Signature);
        }
        let author = content.key.node_id();
        Ok(Entry { id, signature: self.signature, json: self.json.into(), content, author })
    }
}

/// Why what came as an entry is none.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum EntryError {
    /// Its JSON is not that of an entry, or has a value in it that no entry can have.
    #[error("its content is wrong")]
    Content,
    /// Its signature is not its author's.
    #[error("its signature does not hold")]
    Signature,
}

fn read(json: &str) -> Result<Content, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let content = object(&mut reader)?;
    reader.end().map(|()| content)
}

fn id_of(json: &str) -> EntryId {
    EntryId(Sha256::digest(json.as_bytes()).into())
}

/// An entry is recorded as it is sent, and read back only if its signature holds.
impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}|{}", self.signature, self.json))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
        let (signature, json) = text.split_once('|').ok_or_else(|| D::Error::custom("no signature"))?;
        let signature = Signature::new(signature).ok_or_else(|| D::Error::custom("no signature"))?;
        Sealed { signature, json }.open().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
