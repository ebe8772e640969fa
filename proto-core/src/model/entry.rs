//! Entries: what is said in the conversation, signed by its author and relayed as signed bytes (SPEC section 7).

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
    ChatText, Equation, Identity, KeyPoint, Name, NetworkId, NodeId, PublicKey, Purpose, Signature,
    write_display, write_string,
};

/// The id of an entry: the SHA-256 of a domain string, the network's id and the entry's JSON as sent (SPEC 7.1.2).
///
/// As text it is 43 characters of base64url without padding (RFC 4648 section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 32]);

impl EntryId {
    /// The id with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id with this text. None: the text is not 43 characters of base64url.
    pub fn new(text: &str) -> Option<Self> {
        crate::model::identity::decode(text).map(Self)
    }

    /// The 32 bytes.
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

/// The position of an entry in the conversation (SPEC 7.3). All nodes order entries by it: by time, then by key, epoch
/// and sequence number. Two entries have the same position only if their author signed both with one sequence number (a
/// fork).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it was said, in milliseconds since the Unix epoch, by its author's clock.
    pub at: u64,
    /// The author's key.
    pub key: PublicKey,
    /// The author's epoch.
    pub epoch: u64,
    /// The sequence number in that epoch.
    pub seq: u64,
}

/// The node without a key that said what an entry brings into the conversation (SPEC 10.4). The author of the entry
/// says so; nothing proves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Via {
    /// The id of the node without a key. An entry that names an id of a key is malformed.
    pub node_id: NodeId,
    /// The name of that node.
    #[serde(deserialize_with = "name")]
    pub uname: Name,
}

impl Via {
    /// The version 1 node with this id and name.
    pub fn new(node_id: NodeId, uname: Name) -> Self {
        Self { node_id, uname }
    }
}

/// The largest number in an entry: 2^53 - 1, the largest that every JSON reader reads exactly (RFC 8259 section 6).
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The most ids in [`Draft::to`]. More are malformed.
pub const MAX_TO: usize = 64;

/// The most texts of an entry. More are malformed.
pub const MAX_TEXTS: usize = 512;

/// What an entry says, before it is signed by [`Entry::sign`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft<'a> {
    /// The network in which it is said.
    pub network: NetworkId,
    /// The author's epoch: a random number of at most [`MAX_NUMBER`]. A new one is drawn whenever it is uncertain which
    /// `seq` was the last.
    pub epoch: u64,
    /// The sequence number in that epoch: 0 for the first entry, and one more for each next one.
    pub seq: u64,
    /// When it was said, in milliseconds since the Unix epoch, by a hybrid logical clock (Kulkarni et al., OPODIS
    /// 2014). It grows with each `seq`.
    pub at: u64,
    /// The author's name.
    pub uname: &'a Name,
    /// The lines that were said together: at least one, and at most what [`fitting`](Self::fitting) says.
    pub texts: &'a [ChatText],
    /// The peers without a key to which the author sent the texts itself. Further ones than [`MAX_TO`] are left out.
    pub to: &'a [NodeId],
    /// The peer without a key that said this. None: the author said it.
    pub via: Option<&'a Via>,
}

impl<'a> Draft<'a> {
    /// A draft for all peers in the open network, of its author's own words.
    pub fn new(epoch: u64, seq: u64, at: u64, uname: &'a Name, texts: &'a [ChatText]) -> Self {
        Self { network: NetworkId::OPEN, epoch, seq, at, uname, texts, to: &[], via: None }
    }
}

impl Draft<'_> {
    /// The room in a `CHAT` line that is kept for all but the texts, in bytes.
    pub const OVERHEAD: usize = 4_096;

    /// How many of these texts, from the first on, fit one entry: [`MAX_TEXTS`] at most. At least one, even if there are
    /// none.
    pub fn fitting(texts: &[ChatText]) -> usize {
        let mut room = crate::model::MAX_LINE - Self::OVERHEAD;
        let fit = texts.iter().take(MAX_TEXTS).take_while(|text| {
            let bytes = text.json_len() + 1;
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        fit.count().max(1)
    }

    /// An upper bound of the bytes of the `CHAT` lines for these texts.
    pub(crate) fn most_bytes(texts: &[ChatText]) -> usize {
        // All entries but the last are full: of texts, or so far that the next text does not fit.
        let (mut entries, mut rest) = (1, texts);
        while let Some((_, after)) = rest.split_at_checked(Self::fitting(rest))
            && !after.is_empty()
        {
            (entries, rest) = (entries + 1, after);
        }
        texts.iter().map(|text| text.json_len() + 1).sum::<usize>() + Self::OVERHEAD * entries
    }

    fn to_json(&self, key: PublicKey) -> String {
        let mut out = Vec::new();
        let Self { network: _, epoch, seq, at, uname, texts, to, via } = self;
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
        // Only UTF-8 was written.
        String::from_utf8(out).unwrap_or_default()
    }
}

/// The bytes of a `CHAT` line beside the JSON: its type, a signature of 86 characters, and its end.
const CHAT_OVERHEAD: usize = "CHAT||\n".len() + 86;

/// What an entry is charged for its fields, and for its places in the indexes of the log (SPEC 9.13).
const ENTRY_CHARGE: usize = 1_152;

/// What each text is charged in addition to its bytes (SPEC 9.13).
const TEXT_CHARGE: usize = 48;

/// What each id in `to` is charged (SPEC 9.13).
const TO_CHARGE: usize = 16;

/// A signed entry whose signature holds. It keeps the bytes that its author signed.
///
/// [`Entry::sign`] makes one; [`Sealed::open`] reads and verifies one. Serde uses the text `NETWORK|SIGNATURE|JSON`, and
/// verifies the signature on reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    network: NetworkId,
    id: EntryId,
    signature: Signature,
    json: String,
    content: Content,
    author: NodeId,
}

/// The members of an entry's JSON that this version knows (SPEC 12.3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Content {
    #[serde(deserialize_with = "encoded_key")]
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

/// Reads a name, cut if it is too long. The signed bytes stay as they are.
fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
    Name::cut(&text).ok_or_else(|| serde::de::Error::custom("a name is not empty"))
}

/// Reads the encoding of a key. To decompress its point takes longer than all the rest, and it may be known.
fn encoded_key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
    PublicKey::of_encoded_text(&text).map_err(serde::de::Error::custom)
}

/// Reads a member that is absent or an object. `null` is an error (SPEC 7.2.4).
fn via<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Via>, D::Error> {
    object(deserializer).map(Some)
}

/// Reads an object. A derived `Deserialize` would also read an array of the values, which other implementations refuse.
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
    /// Signs what was said. The caller keeps to what each field of [`Draft`] says: an entry that breaks it is malformed
    /// to others.
    ///
    /// ```
    /// use proto_core::{ChatText, Draft, Entry, Identity};
    ///
    /// let identity = Identity::from_secret(&[42; 32]);
    /// let uname = "Alice".parse().unwrap();
    /// let texts = [ChatText::new("hello").unwrap()];
    /// let at = 1_700_000_000_000;
    /// let draft = Draft::new(17, 0, at, &uname, &texts);
    /// let entry = Entry::sign(&identity, &draft);
    /// assert_eq!(entry.author(), identity.node_id());
    ///
    /// // Others read the signed bytes and verify them.
    /// let opened = entry.sealed().open(entry.network()).unwrap();
    /// assert_eq!(opened, entry);
    /// assert_eq!(opened.texts(), texts);
    /// ```
    pub fn sign(identity: &Identity, draft: &Draft<'_>) -> Self {
        let json = draft.to_json(identity.key());
        let network = draft.network;
        let id = id_of(network, &json);
        let signature = identity.sign(Purpose::Entry, network, id.as_bytes());
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
        Self { network, id, signature, json, content, author: identity.node_id() }
    }

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
        self.content.key
    }

    /// The author's id.
    pub fn author(&self) -> NodeId {
        self.author
    }

    /// The author's epoch, at most [`MAX_NUMBER`].
    pub fn epoch(&self) -> u64 {
        self.content.epoch
    }

    /// The sequence number in that epoch, at most [`MAX_NUMBER`].
    pub fn seq(&self) -> u64 {
        self.content.seq
    }

    /// When it was said, in milliseconds since the Unix epoch, by its author's hybrid logical clock. At most
    /// [`MAX_NUMBER`].
    pub fn at(&self) -> u64 {
        self.content.at
    }

    /// The author's name.
    pub fn uname(&self) -> &Name {
        &self.content.uname
    }

    /// The lines that were said: at least one, and at most [`MAX_TEXTS`].
    pub fn texts(&self) -> &[ChatText] {
        &self.content.texts
    }

    /// The peers without a key to which the author sent the texts itself: at most [`MAX_TO`].
    pub fn to(&self) -> &[NodeId] {
        &self.content.to
    }

    /// The node without a key that said this, by the author's word. None: the author said it.
    pub fn via(&self) -> Option<&Via> {
        self.content.via.as_ref()
    }

    /// The position in the conversation.
    pub fn place(&self) -> Place {
        let Content { at, key, epoch, seq, .. } = self.content;
        Place { at, key, epoch, seq }
    }

    /// What it is charged where it is kept, in bytes: its `CHAT` line, its texts once more, and fixed amounts for itself,
    /// each text and each id in [`to`](Self::to). It is an upper bound of the memory that it takes, and the same on all
    /// machines.
    pub fn charge(&self) -> usize {
        let texts = self.content.texts.iter().map(|text| text.as_str().len() + TEXT_CHARGE);
        let line = CHAT_OVERHEAD + self.json.len();
        line + texts.sum::<usize>() + self.content.to.len() * TO_CHARGE + ENTRY_CHARGE
    }

    /// The signature and the signed bytes, for the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        Sealed { signature: self.signature, json: &self.json }
    }
}

/// The payload of `CHAT`: an entry that has not been read or verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The signature, which may not hold.
    pub signature: Signature,
    /// The signed JSON, which may be malformed.
    pub json: &'a str,
}

impl<'a> Sealed<'a> {
    /// The id in this network. This hashes the JSON and does not read it.
    pub fn id(&self, network: NetworkId) -> EntryId {
        id_of(network, self.json)
    }

    /// Reads and verifies the entry as one of this network (SPEC 7.2).
    ///
    /// # Errors
    /// [`EntryError`], if the JSON is not that of an entry or the signature does not hold in this network.
    pub fn open(&self, network: NetworkId) -> Result<Entry, EntryError> {
        self.read(network, self.id(network))?.verify()
    }

    /// Reads the entry as one of this network, in which it has this id.
    pub(crate) fn read(&self, network: NetworkId, id: EntryId) -> Result<Unverified<'a>, EntryError> {
        let mut content = read(self.json).map_err(|_| EntryError::Content)?;
        let numbers = [content.epoch, content.seq, content.at];
        // In the name of an id that belongs to a key, the key alone can speak.
        let in_a_keys_name = content.via.as_ref().is_some_and(|via| via.node_id.is_of_key());
        let lengths = (1..=MAX_TEXTS).contains(&content.texts.len()) && content.to.len() <= MAX_TO;
        if !lengths || numbers.iter().any(|n| *n > MAX_NUMBER) || in_a_keys_name {
            return Err(EntryError::Content);
        }
        // The charge allows for no spare room.
        content.texts.shrink_to_fit();
        content.to.shrink_to_fit();
        Ok(Unverified { sealed: *self, network, id, content })
    }
}

/// An entry that was read and whose signature may not hold.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    sealed: Sealed<'a>,
    network: NetworkId,
    id: EntryId,
    /// The encoding of the key is strict, and may be that of no point.
    content: Content,
}

impl Unverified<'_> {
    /// The id.
    pub(crate) fn id(&self) -> EntryId {
        self.id
    }

    /// The author's key. [`PublicKey::point`] has to tell yet whether it is one.
    pub(crate) fn key(&self) -> PublicKey {
        self.content.key
    }

    /// The equation that shows whether the signature holds. None: it does not.
    pub(crate) fn equation(&self, point: KeyPoint) -> Option<Equation> {
        let Self { sealed, network, id, content } = self;
        content.key.equation(point, Purpose::Entry, *network, id.as_bytes(), &sealed.signature)
    }

    /// Verifies the signature.
    pub(crate) fn verify(self) -> Result<Entry, EntryError> {
        let point = self.key().point().ok_or(EntryError::Content)?;
        let holds = self.equation(point).is_some_and(|equation| equation.holds());
        if holds { Ok(self.into_verified()) } else { Err(EntryError::Signature) }
    }

    /// The entry, after its [equation](Self::equation) was found to hold.
    pub(crate) fn into_verified(self) -> Entry {
        let Self { sealed, network, id, content } = self;
        let author = content.key.node_id();
        Entry { network, id, signature: sealed.signature, json: sealed.json.into(), content, author }
    }
}

/// Why an entry is malformed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum EntryError {
    /// The JSON is not that of an entry, or a value is outside its range (SPEC 7.2.3 to 7.2.7, 7.2.10).
    #[error("its content is wrong")]
    Content,
    /// The signature does not hold for the author's key (SPEC 7.2.8).
    #[error("its signature does not hold")]
    Signature,
}

fn read(json: &str) -> Result<Content, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let content = object(&mut reader)?;
    reader.end().map(|()| content)
}

fn id_of(network: NetworkId, json: &str) -> EntryId {
    let hash = Sha256::new().chain_update(b"p2p-chat/2 entry id\0").chain_update(network.as_bytes());
    EntryId(hash.chain_update(json).finalize().into())
}

/// Writes the text `NETWORK|SIGNATURE|JSON`: what follows the network stands in `CHAT`.
impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}|{}|{}", self.network, self.signature, self.json))
    }
}

/// Reads the text `NETWORK|SIGNATURE|JSON`, and fails if the entry is malformed.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
        let (network, sealed) = text.split_once('|').ok_or_else(|| D::Error::custom("no network"))?;
        let (signature, json) = sealed.split_once('|').ok_or_else(|| D::Error::custom("no signature"))?;
        let network = network.parse().map_err(D::Error::custom)?;
        let signature = Signature::new(signature).ok_or_else(|| D::Error::custom("no signature"))?;
        Sealed { signature, json }.open(network).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
