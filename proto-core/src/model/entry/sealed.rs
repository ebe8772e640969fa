//! Entries as they come: not read and not verified yet.

use serde::{Deserialize, Serialize};

use super::body::Content;
use super::header::{BodyHash, Fields};
use super::{Class, Entry, EntryId, Gone, Header, Live, Place, RunId, RunPosition};
use crate::model::{Equation, KeyPoint, NetworkId, NodeId, PublicKey, Purpose, Signature};

/// The payload of `CHAT`: an entry that has not been read or verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The signature, which may not hold.
    pub signature: Signature,
    /// The signed JSON, which may be malformed. It has no `|` in it.
    pub header: &'a str,
    /// The body, which may not be the one that the header names. Empty: it may be gone.
    pub body: &'a str,
}

/// What a [`Sealed`] turned out to be. Its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// An entry of a run.
    Entry(Entry),
    /// An entry of a run whose body is gone.
    Gone(Gone),
    /// An entry that is in no run.
    Live(Live),
}

impl Opened {
    /// The entry, if it is one of a run, and whole.
    pub fn entry(self) -> Option<Entry> {
        if let Self::Entry(entry) = self { Some(entry) } else { None }
    }
}

impl<'a> Sealed<'a> {
    /// Splits the text `SIGNATURE|HEADER|BODY`. None: a part is missing, or the first is no signature.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let (signature, rest) = text.split_once('|')?;
        let (header, body) = rest.split_once('|')?;
        Some(Self { signature: Signature::new(signature)?, header, body })
    }

    /// The id in this network. This hashes the header and does not read it.
    pub fn id(&self, network: NetworkId) -> EntryId {
        EntryId::of(network, self.header)
    }

    /// Reads and verifies the entry as one of this network (SPEC 7.2).
    ///
    /// # Errors
    /// [`EntryError`], if header or body are not those of an entry, or the signature does not hold in this network.
    pub fn open(&self, network: NetworkId) -> Result<Opened, EntryError> {
        self.read(network, self.id(network))?.verify()
    }

    /// Reads an entry that this node has verified before, such as one from its store, and does not verify the signature
    /// again. That is for bytes that nobody else can have changed: the caller has to find damage itself.
    ///
    /// # Errors
    /// [`EntryError`], if header or body are not those of an entry.
    pub fn reopen(&self, network: NetworkId) -> Result<Opened, EntryError> {
        Ok(self.read(network, self.id(network))?.into_verified())
    }

    /// Reads the entry as one of this network, in which it has this id.
    pub(crate) fn read(&self, network: NetworkId, id: EntryId) -> Result<Unverified<'a>, EntryError> {
        let (fields, position) = Fields::read(self.header)?;
        let content = self.read_body(&fields, position)?;
        let author = fields.run.key.node_id();
        Ok(Unverified { sealed: *self, network, id, fields, author, position, content })
    }

    /// Reads the body. None: it is gone.
    fn read_body(
        &self,
        fields: &Fields,
        position: Option<RunPosition>,
    ) -> Result<Option<Content>, EntryError> {
        if self.body.is_empty() && fields.size > 0 && position.is_some() {
            return Ok(None);
        }
        if self.body.len() != fields.size || BodyHash::of(self.body) != fields.hash {
            return Err(EntryError::Body);
        }
        let (class, kind) = (&fields.run.class, &fields.kind);
        match position {
            Some(_) => Content::read(class, kind, self.body).map(Some),
            None => Ok(Some(Content::read_live(class, kind, self.body))),
        }
    }

    /// The bytes of its `CHAT` line, the line's end included.
    pub(crate) fn line_len(&self) -> usize {
        "CHAT|||\n".len() + Signature::TEXT + self.header.len() + self.body.len()
    }
}

/// An entry that was read and whose signature may not hold.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    sealed: Sealed<'a>,
    network: NetworkId,
    id: EntryId,
    /// The encoding of the key is strict, and may be that of no point.
    fields: Fields,
    author: NodeId,
    position: Option<RunPosition>,
    /// None: the body is gone.
    content: Option<Content>,
}

impl Unverified<'_> {
    /// The id.
    pub(crate) fn id(&self) -> EntryId {
        self.id
    }

    /// The author's key. [`PublicKey::point`] has to tell yet whether it is one.
    pub(crate) fn key(&self) -> PublicKey {
        self.fields.run.key
    }

    /// The id of that key.
    pub(crate) fn author(&self) -> NodeId {
        self.author
    }

    /// How nodes treat it.
    pub(crate) fn class(&self) -> &Class {
        &self.fields.run.class
    }

    /// The bytes of its `CHAT` line, the line's end included.
    pub(crate) fn line_len(&self) -> usize {
        self.sealed.line_len()
    }

    /// Whether the body is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.position.is_some() && self.content.is_none()
    }

    /// Its run, and its number there. None: it is in no run.
    pub(crate) fn place_in_run(&self) -> Option<(&RunId, u64)> {
        self.position.map(|position| (&self.fields.run, position.seq()))
    }

    /// Its place in the conversation, if it is in a run.
    pub(crate) fn place(&self) -> Option<Place> {
        let Fields { run, at, .. } = &self.fields;
        self.position.map(|position| Place { at: *at, key: run.key, epoch: run.epoch, seq: position.seq() })
    }

    /// The date, if it is in no run.
    pub(crate) fn live_at(&self) -> Option<u64> {
        self.position.is_none().then_some(self.fields.at)
    }

    /// The equation that shows whether the signature holds. None: it does not.
    pub(crate) fn equation(&self, point: KeyPoint) -> Option<Equation> {
        let Self { sealed: Sealed { signature, .. }, network, id, .. } = self;
        self.key().equation(point, Purpose::Entry, *network, id.as_bytes(), signature)
    }

    /// Verifies the signature.
    pub(crate) fn verify(self) -> Result<Opened, EntryError> {
        let point = self.key().point().ok_or(EntryError::Content)?;
        let holds = self.equation(point).is_some_and(|equation| equation.holds());
        if holds { Ok(self.into_verified()) } else { Err(EntryError::Signature) }
    }

    /// What it is, after its [equation](Self::equation) was found to hold.
    pub(crate) fn into_verified(self) -> Opened {
        let Self {
            sealed: Sealed { signature, header, body },
            network,
            id,
            fields,
            author,
            position,
            content,
        } = self;
        let header = Header { network, id, signature, json: header.into(), fields, author };
        match (position, content) {
            (Some(position), Some(content)) => {
                Opened::Entry(Entry::new(header, position, body.into(), content))
            }
            (Some(position), None) => Opened::Gone(Gone { header, position }),
            (None, content) => {
                let presence = match content {
                    Some(Content::Presence(presence)) => Some(presence),
                    _ => None,
                };
                Opened::Live(Live { header, body: body.into(), presence })
            }
        }
    }
}

/// Why an entry is malformed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[non_exhaustive]
pub enum EntryError {
    /// The header or the body is not that of an entry, or a value is outside its range (SPEC 7.2, 7.7, 7.8).
    #[error("its content is wrong")]
    Content,
    /// The body is not the one that the header names (SPEC 7.2.13).
    #[error("its body is another")]
    Body,
    /// The signature does not hold for the author's key (SPEC 7.2.8).
    #[error("its signature does not hold")]
    Signature,
}
