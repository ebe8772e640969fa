//! One line that was said, and what is known of it.

use std::sync::Arc;

use proto_core::{Entry, EntryId, Marks, Message, Name, NodeId, PublicKey, Via};
use serde::Serialize;

use crate::{Event, Origin};

/// A line of an event.
pub(super) struct Line<'a> {
    pub(super) from: &'a Name,
    pub(super) content: &'a str,
    /// None: it was said at this node.
    pub(super) node_id: Option<NodeId>,
    /// Who said it at this node just now.
    pub(super) origin: Option<Origin>,
    /// None: it was in no entry.
    pub(super) facts: Option<Arc<Facts>>,
    /// Which line of its entry it is, from 0.
    pub(super) part: usize,
}

/// What is known of the entry that a line was in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    id: EntryId,
    author: NodeId,
    /// Its author's name.
    uname: Name,
    key: PublicKey,
    epoch: u64,
    seq: u64,
    at: u64,
    /// Whether who said it has signed it: what a node without a key says is signed by who brings it.
    signed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<Via>,
    #[serde(flatten)]
    marks: Marks,
}

/// A line's place in the conversation: by time, key, epoch and number; the time of one in no entry is when it came.
pub(super) type Order = (u64, Option<(PublicKey, u64, u64)>);

impl Line<'_> {
    /// Its place, where it came at that time.
    pub(super) fn order(&self, came: u64) -> Order {
        self.facts
            .as_ref()
            .map_or((came, None), |facts| (facts.at, Some((facts.key, facts.epoch, facts.seq))))
    }
}

impl Facts {
    fn new(entry: &Entry, marks: Marks) -> Arc<Self> {
        Arc::new(Self {
            id: entry.id(),
            author: entry.author(),
            uname: entry.uname().clone(),
            key: entry.key(),
            epoch: entry.epoch(),
            seq: entry.seq(),
            at: entry.at(),
            signed: entry.via().is_none(),
            via: entry.via().cloned(),
            marks,
        })
    }

    fn of(message: &Message) -> Option<Arc<Self>> {
        match message {
            Message::Line { .. } => None,
            Message::Entry { entry, marks } => Some(Self::new(entry, *marks)),
        }
    }

    /// What is known of this entry once the other is here: its author signed both under one number.
    pub(super) fn forked_by(&self, other: &Self) -> Option<Self> {
        let number = |facts: &Self| (facts.key, facts.epoch, facts.seq);
        let fork = other.marks.forked && !self.marks.forked;
        (fork && number(self) == number(other) && self.id != other.id)
            .then(|| Self { marks: Marks { forked: true, ..self.marks }, ..self.clone() })
    }

    #[cfg(test)]
    pub(super) fn is_forked(&self) -> bool {
        self.marks.forked
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signed
    }
}

/// How many lines an event has.
pub(super) fn count(event: &Event) -> usize {
    match event {
        Event::Message(message) | Event::Recalled(message) => message.texts().count(),
        Event::Said { entries, .. } => entries.iter().map(|entry| entry.texts().len()).sum(),
        _ => 0,
    }
}

/// The lines of an event.
pub(super) fn lines(event: &Event) -> impl Iterator<Item = Line<'_>> {
    let message = match event {
        Event::Message(message) => Some((message, Some(message.node_id()))),
        Event::Recalled(message) => Some((message, None)),
        _ => None,
    };
    let heard = message.into_iter().flat_map(|(message, node_id)| {
        let (from, facts) = (message.uname(), Facts::of(message));
        message.texts().enumerate().map(move |(part, content)| Line {
            from,
            content,
            node_id,
            origin: None,
            facts: facts.clone(),
            part,
        })
    });
    let said = match event {
        Event::Said { entries, origin } => Some((entries, *origin)),
        _ => None,
    };
    let said = said.into_iter().flat_map(|(entries, origin)| {
        entries.iter().flat_map(move |entry| {
            let facts = Facts::new(entry, Marks::default());
            entry.texts().iter().enumerate().map(move |(part, text)| Line {
                from: entry.uname(),
                content: text.as_str(),
                node_id: None,
                origin: Some(origin),
                facts: Some(facts.clone()),
                part,
            })
        })
    });
    heard.chain(said)
}
