//! A line of a message, with information about its entry.

use std::sync::Arc;

use proto_core::{Entry, EntryId, Marks, Message, Name, NodeId, PublicKey, RunId, Via};
use serde::Serialize;

use crate::{Event, Origin};

/// A line of an event.
pub(super) struct Line<'a> {
    pub(super) from: &'a Name,
    pub(super) content: &'a str,
    /// `None` if this node sent it.
    pub(super) node_id: Option<NodeId>,
    /// Who sent it at this node just now.
    pub(super) origin: Option<Origin>,
    /// `None` if it was not in an entry.
    pub(super) entry_info: Option<Arc<EntryInfo>>,
    /// The index of the line in its entry.
    pub(super) part: usize,
    /// The numbers of the event's lines begin with that of the event. This is how far this one is behind.
    pub(super) offset: usize,
}

/// Information about an entry.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EntryInfo {
    id: EntryId,
    author: NodeId,
    /// Its author's name.
    uname: Name,
    key: PublicKey,
    epoch: u64,
    seq: u64,
    at: u64,
    /// The class, if it is not simply kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Whether the author of the text signed it. Text from a peer without a key is signed by the node that passes it
    /// on.
    signed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<Via>,
    #[serde(flatten)]
    marks: Marks,
    #[serde(skip)]
    run: RunId,
}

/// A line's place in the conversation: time, key, epoch and sequence number. For a line without an entry, the time when
/// it was received.
pub(super) type Order = (u64, Option<(PublicKey, u64, u64)>);

impl Line<'_> {
    /// Its author's id.
    pub(super) fn author(&self) -> Option<NodeId> {
        self.node_id.or_else(|| self.entry_info.as_ref().map(|entry_info| entry_info.author))
    }

    /// The place of a line that was received at this time.
    pub(super) fn order(&self, received_at: u64) -> Order {
        self.entry_info.as_ref().map_or((received_at, None), |entry_info| {
            (entry_info.at, Some((entry_info.key, entry_info.epoch, entry_info.seq)))
        })
    }
}

impl EntryInfo {
    fn new(entry: &Entry, marks: Marks) -> Arc<Self> {
        Arc::new(Self {
            id: entry.id(),
            author: entry.author(),
            uname: entry.uname().clone(),
            key: entry.key(),
            epoch: entry.epoch(),
            seq: entry.seq(),
            at: entry.at(),
            class: entry.class().word().map(str::to_owned),
            signed: entry.via().is_none(),
            via: entry.via().cloned(),
            marks,
            run: entry.run().clone(),
        })
    }

    fn of(message: &Message) -> Option<Arc<Self>> {
        match message {
            Message::Entry { entry, marks } => Some(Self::new(entry, *marks)),
            _ => None,
        }
    }

    /// The entry's id.
    pub(super) fn id(&self) -> EntryId {
        self.id
    }

    /// The updated information if the other entry is a fork of this one: both have the same author and number.
    pub(super) fn forked_by(&self, other: &Self) -> Option<Self> {
        let number = |entry_info: &Self| (entry_info.run.clone(), entry_info.seq);
        let fork = other.marks.forked && !self.marks.forked;
        (fork && number(self) == number(other) && self.id != other.id).then(|| {
            let mut forked = self.clone();
            forked.marks.forked = true;
            forked
        })
    }

    #[cfg(test)]
    pub(super) fn is_forked(&self) -> bool {
        self.marks.forked
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signed
    }

    /// The node that brought it in, if it is of a peer without a key.
    pub(super) fn brought_by(&self) -> Option<NodeId> {
        (!self.signed).then_some(self.author)
    }

    /// When it was said, by its author's clock: Unix time in milliseconds.
    pub(super) fn said_at(&self) -> u64 {
        self.at
    }

    /// It is from before this node came, or came late.
    pub(super) fn is_history(&self) -> bool {
        self.marks.history
    }
}

/// The number of lines of an event.
pub(super) fn count(event: &Event) -> usize {
    match event {
        Event::Message(message) | Event::Recalled(message) => message.texts().count(),
        Event::Said { entries, .. } => entries.iter().map(|entry| entry.texts().len()).sum(),
        _ => 0,
    }
}

/// How many numbers an event takes: one for each line of a message, also for one that was shown before, and one for any
/// other event.
pub(super) fn ids(event: &Event) -> u64 {
    match event {
        Event::Message(Message::Entry { entry, .. }) | Event::Recalled(Message::Entry { entry, .. }) => {
            entry.texts().len() as u64
        }
        Event::Message(_) | Event::Recalled(_) | Event::Said { .. } => count(event) as u64,
        _ => 1,
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
        let (from, entry_info) = (message.uname(), EntryInfo::of(message));
        numbered(message).map(move |(part, content)| Line {
            from,
            content,
            node_id,
            origin: None,
            entry_info: entry_info.clone(),
            part,
            offset: part,
        })
    });
    let said = match event {
        Event::Said { entries, origin } => Some((entries, *origin)),
        _ => None,
    };
    let said = said.into_iter().flat_map(|(entries, origin)| {
        let lines = entries.iter().flat_map(move |entry| {
            let entry_info = EntryInfo::new(entry, Marks::default());
            entry.texts().enumerate().map(move |(part, content)| Line {
                from: entry.uname(),
                content,
                node_id: None,
                origin: Some(origin),
                entry_info: Some(entry_info.clone()),
                part,
                offset: 0,
            })
        });
        lines.enumerate().map(|(offset, line)| Line { offset, ..line })
    });
    heard.chain(said)
}

/// The lines of a message to show, each with its index in the entry.
fn numbered(message: &Message) -> impl Iterator<Item = (usize, &str)> {
    let (of_entry, of_line) = match message {
        Message::Entry { entry, marks } => (Some((entry.texts(), marks.repeated)), None),
        other => (None, Some(other.texts())),
    };
    let of_entry = of_entry
        .into_iter()
        .flat_map(|(texts, repeated)| texts.enumerate().filter(move |(part, _)| !repeated.contains(*part)));
    of_entry.chain(of_line.into_iter().flatten().enumerate())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn lines_that_were_shown_before_are_left_out_and_keep_their_numbers() {
        let mut marks = Marks::default();
        marks.repeated = [1].into_iter().collect();
        let entry = testing::entry(1, [2, 3], "Bob", &["a", "b", "c"], None);
        let event = Event::Message(Message::Entry { entry, marks });
        let shown: Vec<_> = lines(&event).map(|line| (line.content, line.part, line.offset)).collect();
        assert_eq!(shown, [("a", 0, 0), ("c", 2, 2)]);
        assert_eq!((count(&event), ids(&event)), (2, 3));
    }

    #[test]
    fn the_lines_of_all_entries_that_were_said_are_numbered_on() {
        let entries = [(0, ["a", "b"]), (1, ["c", "d"])];
        let entries = entries.map(|(seq, texts)| testing::entry(1, [seq, 3], "Bob", &texts, None));
        let event = Event::Said { entries: entries.to_vec(), origin: Origin::TERMINAL };
        let said: Vec<_> = lines(&event).map(|line| (line.content, line.part, line.offset)).collect();
        assert_eq!(said, [("a", 0, 0), ("b", 1, 1), ("c", 0, 2), ("d", 1, 3)]);
        assert_eq!((count(&event), ids(&event)), (4, 4));
    }
}
