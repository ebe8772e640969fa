//! What a node may show of what was said to it.

use std::collections::{BTreeMap, BTreeSet};

use proto_core::wire::Frame;
use proto_core::{EntryId, Message, NetworkId, PublicKey, Sealed, Signature};

/// Checks that what is shown was said, by who is said to have said it, and is shown once.
pub(super) struct Conversation {
    us: PublicKey,
    /// What the owners of keys have signed, with its body.
    signed: BTreeMap<EntryId, (Signature, String)>,
    /// Of these, what came as it was signed, by who may pass it on.
    came: BTreeSet<EntryId>,
    shown: BTreeSet<EntryId>,
    /// Lines that came from peers without a key, and how often more than they were shown.
    lines: BTreeMap<String, usize>,
    /// How often such an entry came.
    pub(super) arrivals: u64,
    /// How many texts were shown.
    pub(super) texts: u64,
}

impl Conversation {
    pub(super) fn new(us: PublicKey) -> Self {
        Self {
            us,
            signed: BTreeMap::new(),
            came: BTreeSet::new(),
            shown: BTreeSet::new(),
            lines: BTreeMap::new(),
            arrivals: 0,
            texts: 0,
        }
    }

    /// The key that this names has signed it.
    pub(super) fn signed(&mut self, sealed: &Sealed<'_>) {
        self.signed.insert(sealed.id(NetworkId::OPEN), (sealed.signature, sealed.body.to_owned()));
    }

    /// A peer said this that may say it.
    pub(super) fn heard(&mut self, frame: &Frame<'_>) {
        match frame {
            Frame::Chat(sealed) => {
                let id = sealed.id(NetworkId::OPEN);
                let signed = self.signed.get(&id).is_some_and(|(signature, body)| {
                    (*signature, body.as_str()) == (sealed.signature, sealed.body)
                });
                if signed {
                    self.came.insert(id);
                    self.arrivals += 1;
                }
            }
            Frame::Msg(text) => *self.lines.entry((*text).to_owned()).or_default() += 1,
            _ => {}
        }
    }

    pub(super) fn show(&mut self, message: &Message) {
        match message {
            Message::Line { text, .. } => {
                let left = self.lines.get_mut(text).filter(|left| **left > 0);
                *left.expect("a line that is shown came from a peer without a key") -= 1;
            }
            Message::Entry { entry, .. } => {
                assert_ne!(entry.key(), self.us, "what is said here is not shown here");
                assert!(self.came.contains(&entry.id()), "an entry that is shown came and was signed");
                assert!(self.shown.insert(entry.id()), "an entry is shown once");
            }
            other => panic!("unknown message: {other:?}"),
        }
        assert!(message.texts().all(|text| !text.is_empty() && !text.contains('\n')), "a message is lines");
        self.texts += message.texts().count() as u64;
    }
}
