//! The recent messages, for a page that is opened or reloaded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proto_core::{EntryId, Name, NodeId};

use super::line::{self, EntryInfo, Line, Order};
use crate::Event;

/// The maximum number of stored lines.
pub(super) const LINES: usize = 200;
/// The maximum number of stored bytes of text.
pub(super) const BYTES: usize = 256 * 1024;
/// Of so many entries the numbers of their lines are remembered.
const NUMBERED: usize = 4_096;

/// A line of a message.
#[derive(Clone, Debug)]
pub(super) struct HistoryLine {
    pub(super) id: u64,
    /// When this node received or sent it: Unix time in milliseconds.
    pub(super) at: u64,
    /// `None` if this node sent it.
    pub(super) node_id: Option<NodeId>,
    pub(super) from: Name,
    pub(super) content: Box<str>,
    pub(super) entry_info: Option<Arc<EntryInfo>>,
    /// The index of the line in its entry.
    pub(super) part: usize,
    pub(super) order: Order,
}

/// The first numbers of the lines of entries.
pub(super) type FirstIds = BTreeMap<EntryId, u64>;

impl HistoryLine {
    pub(super) fn new(id: u64, at: u64, line: Line<'_>) -> Self {
        Self {
            id,
            at,
            node_id: line.node_id,
            from: line.from.clone(),
            content: line.content.into(),
            order: line.order(at),
            entry_info: line.entry_info,
            part: line.part,
        }
    }

    /// The order of lines in the conversation.
    pub(super) fn place(&self) -> (Order, usize, u64) {
        (self.order, self.part, self.id)
    }
}

#[derive(Debug)]
pub(super) struct History {
    lines: VecDeque<Arc<HistoryLine>>,
    bytes: usize,
    next_id: u64,
    /// The first numbers of the last entries, and their ids in the order in which they came.
    first_ids: Arc<FirstIds>,
    numbered: VecDeque<EntryId>,
}

impl History {
    /// Lines are numbered from `first_id`. If that is the current time, numbers also increase across restarts.
    pub(super) fn new(first_id: u64) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            next_id: first_id,
            first_ids: Arc::default(),
            numbered: VecDeque::new(),
        }
    }

    /// Numbers the batch's lines and other events, stores the latest lines and returns the first number.
    pub(super) fn record(&mut self, batch: &[Event], at: u64) -> u64 {
        let first_id = self.next_id;
        let count: usize = batch.iter().map(line::count).sum();
        self.next_id += batch.iter().map(line::ids).sum::<u64>();
        // Only the end of a large batch is copied.
        let mut skip = count.saturating_sub(LINES);
        let mut id = first_id;
        for event in batch {
            let count = line::count(event);
            let skipped = skip.min(count);
            skip -= skipped;
            if skipped < count {
                for line in line::lines(event).skip(skipped) {
                    self.push(id + line.offset as u64, at, line);
                }
            }
            id += line::ids(event);
        }
        first_id
    }

    /// When the later version of a fork arrives, the earlier version has to be marked, too.
    fn mark_forks(&mut self, later: &EntryInfo) {
        for line in &mut self.lines {
            if let Some(entry_info) =
                line.entry_info.as_ref().and_then(|entry_info| entry_info.forked_by(later))
            {
                Arc::make_mut(line).entry_info = Some(Arc::new(entry_info));
            }
        }
    }

    /// The lines in the order of the conversation.
    pub(super) fn recent(&self) -> Vec<Arc<HistoryLine>> {
        let mut recent: Vec<_> = self.lines.iter().cloned().collect();
        recent.sort_by_key(|line| line.place());
        recent
    }

    /// The first numbers of the lines of the last entries.
    pub(super) fn first_ids(&self) -> Arc<FirstIds> {
        self.first_ids.clone()
    }

    fn number(&mut self, id: u64, line: &Line<'_>) {
        let Some(entry) = line.entry_info.as_ref().map(|entry_info| entry_info.id()) else { return };
        let first_ids = Arc::make_mut(&mut self.first_ids);
        if first_ids.insert(entry, id - line.part as u64).is_none() {
            self.numbered.push_back(entry);
        }
        while self.numbered.len() > NUMBERED {
            self.numbered.pop_front().map(|oldest| first_ids.remove(&oldest));
        }
    }

    fn push(&mut self, id: u64, at: u64, line: Line<'_>) {
        self.bytes += line.content.len();
        if let Some(entry_info) = &line.entry_info {
            self.mark_forks(entry_info);
        }
        self.number(id, &line);
        self.lines.push_back(Arc::new(HistoryLine::new(id, at, line)));
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.content.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proto_core::{Entry, Marks, Message};

    use super::*;
    use crate::{Origin, testing};

    fn entry(author: u8, at: u64, texts: impl IntoIterator<Item = String>) -> Arc<Entry> {
        testing::entry(author, [at, at], "Alice", &Vec::from_iter(texts), None)
    }

    /// Each call uses a later time.
    fn said(texts: impl IntoIterator<Item = String>) -> Event {
        static AT: AtomicU64 = AtomicU64::new(1000);
        let entry = entry(1, AT.fetch_add(1, Ordering::Relaxed), texts);
        Event::Said { entries: vec![entry], origin: Origin::TERMINAL }
    }

    fn contents(history: &History) -> Vec<(u64, String)> {
        history.recent().iter().map(|line| (line.id, line.content.to_string())).collect()
    }

    #[test]
    fn keeps_so_many_messages_and_numbers_all() {
        let mut history = History::new(1000);
        assert_eq!(history.record(&[said((0..199).map(|n| n.to_string()))], 1), 1000);
        assert_eq!(contents(&history).len(), 199);
        assert_eq!(history.record(&[said(["a".into()]), said(["b".into()])], 2), 1199);
        let kept = contents(&history);
        assert_eq!((kept.len(), kept[0].clone()), (200, (1001, "1".into())));
        assert_eq!(kept[199], (1200, "b".into()));

        // A batch far above the limit.
        let batch = [said((0..150).map(|n| format!("x{n}"))), said((0..150).map(|n| format!("y{n}")))];
        assert_eq!(history.record(&batch, 3), 1201);
        let kept = contents(&history);
        assert_eq!((kept[0].clone(), kept[199].clone()), ((1301, "x100".into()), (1500, "y149".into())));
    }

    #[test]
    fn keeps_so_many_bytes() {
        let mut history = History::new(0);
        let half = "x".repeat(BYTES / 8);
        history.record(&[said(vec![half.clone(); 8])], 1);
        assert_eq!((contents(&history).len(), history.bytes), (8, BYTES));
        history.record(&[said(["y".into()])], 1);
        assert_eq!((contents(&history).len(), history.bytes), (8, BYTES - half.len() + 1));
    }

    #[test]
    fn both_versions_of_a_fork_are_marked_and_nothing_else() {
        let heard = |author, at, text: &str, forked| {
            let entry = entry(author, at, [text.to_owned()]);
            let mut marks = Marks::default();
            marks.forked = forked;
            Event::Message(Message::Entry { entry, marks })
        };
        let mut history = History::new(0);
        let before = [heard(2, 7, "one", false), heard(3, 7, "another's", false), heard(2, 8, "two", false)];
        history.record(&before, 1);
        history.record(&[heard(2, 7, "one, as others have it", true)], 1);
        let forked = |line: &Arc<HistoryLine>| {
            line.entry_info.as_ref().is_some_and(|entry_info| entry_info.is_forked())
        };
        let marked: Vec<_> =
            history.recent().iter().map(|line| (line.content.to_string(), forked(line))).collect();
        let expected =
            [("one", true), ("one, as others have it", true), ("another's", false), ("two", false)];
        let mut sorted = marked.clone();
        sorted.sort();
        let mut expected = expected.map(|(text, forked)| (text.to_owned(), forked));
        expected.sort();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn lists_in_the_order_of_the_conversation_whenever_it_was_heard() {
        let heard = |at, texts: &[&str]| {
            let entry = entry(2, at, texts.iter().map(|text| (*text).to_owned()));
            Event::Message(Message::Entry { entry, marks: Marks::default() })
        };
        let mut history = History::new(0);
        history.record(&[heard(300, &["three"]), said(["four".into()])], 5000);
        history.record(&[heard(200, &["one", "two"])], 6000);
        let expected =
            [(2, "one"), (3, "two"), (0, "three"), (1, "four")].map(|(id, text)| (id, text.to_owned()));
        assert_eq!(contents(&history), expected);
    }
}
