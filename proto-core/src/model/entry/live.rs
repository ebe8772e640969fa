//! What is verified and not kept as an entry of a run.

use alloc::boxed::Box;

use super::header::{BodyHash, Fields};
use super::{Class, EntryId, Header, Kind, Presence, RunId, RunPosition, Sealed};
use crate::model::{Identity, NetworkId, Purpose};

/// An entry of a run whose body is gone: it was deleted, or a relay left it out. Header and signature still prove that
/// something was said there (SPEC 7.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub(super) header: Header,
    pub(super) position: RunPosition,
}

impl Gone {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the entry stands in its run.
    pub fn position(&self) -> RunPosition {
        self.position
    }

    /// What stands in the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        self.header.sealed("")
    }
}

/// An entry that is in no run: it is relayed once, and never held (SPEC 7.8.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub(super) header: Header,
    pub(super) body: Box<str>,
    pub(super) presence: Option<Presence>,
}

impl Live {
    /// Signs that its author is here, or leaves. `epoch` is one of the author, `at` the date.
    pub(crate) fn sign(
        identity: &Identity,
        network: NetworkId,
        (epoch, at): (u64, u64),
        presence: Presence,
    ) -> Self {
        let (body, key) = (presence.write(), identity.key());
        let run = RunId { key, room: None, class: Class::Live, epoch };
        let (size, hash) = (body.len(), BodyHash::of(&body));
        let fields = Fields { run, at, kind: Kind::Presence, size, hash, via: None };
        let json = fields.write(None);
        let id = EntryId::of(network, &json);
        let signature = identity.sign(Purpose::Entry, network, id.as_bytes());
        let author = identity.node_id();
        let header = Header { network, id, signature, json: json.into(), fields, author };
        Self { header, body: body.into(), presence: Some(presence) }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it says of its author, if that is what it is about.
    pub fn presence(&self) -> Option<&Presence> {
        self.presence.as_ref()
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What stands in the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        self.header.sealed(&self.body)
    }
}
