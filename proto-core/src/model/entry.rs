//! Entries: what is said in the conversation, signed by its author and relayed as signed bytes (SPEC section 7).
//!
//! An entry is a signed [`header`] and a [`body`] that the header names by its hash. [`draft`] is what an entry is to say,
//! [`sealed`] what comes in, [`live`] what is verified and not held. [`run`] says where an entry stands, [`labels`] how it is
//! labelled, [`charge`] what it costs to keep.

mod body;
mod charge;
mod draft;
mod header;
mod id;
mod labels;
mod live;
mod presence;
mod read;
mod run;
mod sealed;
#[cfg(test)]
mod tests;
mod texts;

use alloc::boxed::Box;
use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::model::{Identity, Name, NetworkId, NodeId, PublicKey, Purpose};

use body::{Content, TextContent};
pub use draft::Draft;
pub use header::{Header, MAX_HEADER};
pub use id::EntryId;
pub use labels::{Class, Kind, Room, RoomError, Word};
pub use live::{Gone, Live};
pub use presence::Presence;
pub use run::{Place, RunId, RunPosition};
pub(crate) use sealed::Unverified;
pub use sealed::{EntryError, Opened, Sealed};
pub use texts::Texts;

/// The largest number in an entry: 2^53 - 1, the largest that every JSON reader reads exactly (RFC 8259 section 6).
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The most texts of an entry. More are malformed.
pub const MAX_TEXTS: usize = 512;

/// The most ids in [`Draft::to`]. More are malformed.
pub const MAX_TO: usize = 64;

/// The node without a key that said what an entry brings into the conversation (SPEC 10.4). The author of the entry
/// says so; nothing proves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Via {
    /// The id of the node without a key. An entry that names an id of a key is malformed.
    pub node_id: NodeId,
    /// The name of that node.
    #[serde(deserialize_with = "read::text")]
    pub uname: Name,
}

impl Via {
    /// The version 1 node with this id and name.
    pub fn new(node_id: NodeId, uname: Name) -> Self {
        Self { node_id, uname }
    }
}

/// A signed entry of a run, with its body, whose signature holds. It keeps the bytes that its author signed.
///
/// [`Entry::sign`] makes one; [`Sealed::open`] reads and verifies one. Serde uses the text
/// `NETWORK|SIGNATURE|HEADER|BODY`, and verifies the signature on reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    header: Header,
    position: RunPosition,
    body: Box<str>,
    content: Content,
    /// The author's name, or what stands for it.
    uname: Name,
    via: Option<Via>,
}

impl Entry {
    /// Signs what was said. The caller keeps to what each field of [`Draft`] says: an entry that breaks it is malformed
    /// to others.
    ///
    /// ```
    /// use proto_core::{ChatText, Draft, Entry, Identity, RunPosition};
    ///
    /// let identity = Identity::from_secret(&[42; 32]);
    /// let uname = "Alice".parse().unwrap();
    /// let texts = [ChatText::new("hello").unwrap()];
    /// // The epoch and the salt are random.
    /// let draft = Draft::new(17, RunPosition::FIRST, 1_700_000_000_000, &uname, &texts, [9; 16]);
    /// let entry = Entry::sign(&identity, &draft);
    /// assert_eq!(entry.author(), identity.node_id());
    /// // The next one of the run.
    /// assert_eq!(RunPosition::after(&entry).unwrap().prev(), Some(entry.id()));
    ///
    /// // Others read the signed bytes and verify them.
    /// let opened = entry.sealed().open(entry.network()).unwrap().entry().unwrap();
    /// assert_eq!(opened, entry);
    /// assert!(opened.texts().eq(["hello"]));
    /// ```
    pub fn sign(identity: &Identity, draft: &Draft<'_>) -> Self {
        let content = TextContent::of(draft);
        let body = content.write(&draft.salt);
        let fields = draft.fields(identity.key(), &body);
        let (network, json) = (draft.network, fields.write(Some(draft.position)));
        let id = EntryId::of(network, &json);
        let signature = identity.sign(Purpose::Entry, network, id.as_bytes());
        let author = identity.node_id();
        let header = Header { network, id, signature, json: json.into(), fields, author };
        Self::new(header, draft.position, body.into(), Content::Text(content))
    }

    /// The entry with this header, whose signature holds, and with the body that it names.
    fn new(header: Header, position: RunPosition, body: Box<str>, content: Content) -> Self {
        let text = if let Content::Text(text) = &content { Some(text) } else { None };
        let uname = text.map_or_else(|| Name::of_id(header.author), |text| text.uname.clone());
        let via = header.speaker().map(|node_id| {
            let uname = text.and_then(|text| text.speaker.clone());
            Via { node_id, uname: uname.unwrap_or_else(|| Name::of_id(node_id)) }
        });
        Self { header, position, body, content, uname, via }
    }

    /// The network in which it was said.
    pub fn network(&self) -> NetworkId {
        self.header.network
    }

    /// The id.
    pub fn id(&self) -> EntryId {
        self.header.id
    }

    /// The author's key.
    pub fn key(&self) -> PublicKey {
        self.header.key()
    }

    /// The author's id.
    pub fn author(&self) -> NodeId {
        self.header.author
    }

    /// The run that it is of.
    pub fn run(&self) -> &RunId {
        &self.header.fields.run
    }

    /// The room in which it was said. None: the lobby.
    pub fn room(&self) -> Option<&Room> {
        self.header.room()
    }

    /// How nodes treat it.
    pub fn class(&self) -> &Class {
        self.header.class()
    }

    /// The author's epoch, at most [`MAX_NUMBER`].
    pub fn epoch(&self) -> u64 {
        self.header.epoch()
    }

    /// The sequence number in its run, at most [`MAX_NUMBER`].
    pub fn seq(&self) -> u64 {
        self.position.seq()
    }

    /// Where it stands in its run.
    pub fn position(&self) -> RunPosition {
        self.position
    }

    /// The id of the entry before it in its run. None: it is the first.
    pub fn prev(&self) -> Option<EntryId> {
        self.position.prev()
    }

    /// When it was said, in milliseconds since the Unix epoch, by its author's hybrid logical clock. At most
    /// [`MAX_NUMBER`].
    pub fn at(&self) -> u64 {
        self.header.at()
    }

    /// What the body is.
    pub fn kind(&self) -> &Kind {
        self.header.kind()
    }

    /// The author's name. For an entry of an unknown kind, the first 16 hexadecimal digits of the author's id.
    pub fn uname(&self) -> &Name {
        &self.uname
    }

    /// The lines that were said: 1 to [`MAX_TEXTS`]. None for an entry of an unknown kind.
    pub fn texts(&self) -> Texts<'_> {
        self.text().map_or(Texts::NONE, |text| text.texts.iter())
    }

    /// The peers without a key to which the author sent the texts itself: at most [`MAX_TO`].
    pub fn to(&self) -> &[NodeId] {
        self.text().map_or(&[], |text| &text.to)
    }

    /// The node without a key that said this, by the author's word. None: the author said it.
    pub fn via(&self) -> Option<&Via> {
        self.via.as_ref()
    }

    /// The position in the conversation.
    pub fn place(&self) -> Place {
        Place { at: self.at(), key: self.key(), epoch: self.epoch(), seq: self.seq() }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body as its author sent it.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The signature, the signed bytes and the body, for the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        self.header.sealed(&self.body)
    }

    fn text(&self) -> Option<&TextContent> {
        if let Content::Text(text) = &self.content { Some(text) } else { None }
    }
}

/// What follows `NETWORK|` in the text of an entry.
impl fmt::Display for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.signature, self.header, self.body)
    }
}

/// Writes the text `NETWORK|SIGNATURE|HEADER|BODY`: what follows the network stands in `CHAT`.
impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}|{}", self.header.network, self.sealed()))
    }
}

/// Writes the text `NETWORK|SIGNATURE|HEADER|`.
impl Serialize for Gone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}|{}", self.header.network, self.sealed()))
    }
}

/// Reads the text `NETWORK|SIGNATURE|HEADER|BODY`, and fails if it is not a whole entry.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        opened(deserializer)?.entry().ok_or_else(|| D::Error::custom("not a whole entry of a run"))
    }
}

/// Reads the text `NETWORK|SIGNATURE|HEADER|`, and fails if it is not an entry of a run whose body is gone.
impl<'de> Deserialize<'de> for Gone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match opened(deserializer)? {
            Opened::Gone(gone) => Ok(gone),
            _ => Err(D::Error::custom("not an entry without its body")),
        }
    }
}

fn opened<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Opened, D::Error> {
    let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
    let (network, sealed) = text.split_once('|').ok_or_else(|| D::Error::custom("no network"))?;
    let network = network.parse().map_err(D::Error::custom)?;
    let sealed = Sealed::split(sealed).ok_or_else(|| D::Error::custom("no signature, header and body"))?;
    sealed.open(network).map_err(D::Error::custom)
}
