//! What was said lately, for a page that is opened or loaded anew.

use std::collections::VecDeque;
use std::sync::Arc;

use proto_core::{Name, NodeId};

use crate::Event;

/// The most messages kept.
const MESSAGES: usize = 200;
/// The most bytes of text kept.
const BYTES: usize = 256 * 1024;

/// One thing that was said.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Unix time in milliseconds.
    pub(crate) at: u64,
    /// None: it was said here.
    pub(crate) node_id: Option<NodeId>,
    pub(crate) from: Name,
    pub(crate) content: Box<str>,
}

#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    next_id: u64,
}

impl History {
    /// Messages are numbered from `first_id`. With a clock's time here, numbers grow over restarts too.
    pub(super) fn new(first_id: u64) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, next_id: first_id }
    }

    /// Numbers the batch's messages, keeps the latest, and tells the first one's number.
    pub(super) fn record(&mut self, batch: &[Event], at: u64) -> u64 {
        let first_id = self.next_id;
        let count: usize = batch.iter().map(messages_in).sum();
        self.next_id += count as u64;
        // Of a large batch only the end is copied.
        let mut skip = count.saturating_sub(MESSAGES);
        let mut id = first_id;
        for event in batch {
            let messages = messages_in(event);
            let skipped = skip.min(messages);
            skip -= skipped;
            match event {
                Event::Message { peer, text } if skipped == 0 => {
                    self.push(id, at, Some(peer.node_id), &peer.uname, text);
                }
                Event::Said { texts, uname, .. } => {
                    for (id, text) in (id..).zip(texts).skip(skipped) {
                        self.push(id, at, None, uname, text.as_str());
                    }
                }
                _ => {}
            }
            id += messages as u64;
        }
        first_id
    }

    /// Oldest first.
    pub(super) fn recent(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().cloned().collect()
    }

    fn push(&mut self, id: u64, at: u64, node_id: Option<NodeId>, from: &Name, content: &str) {
        self.bytes += content.len();
        self.entries.push_back(Arc::new(Entry {
            id,
            at,
            node_id,
            from: from.clone(),
            content: content.into(),
        }));
        while self.entries.len() > MESSAGES || self.bytes > BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.content.len();
        }
    }
}

fn messages_in(event: &Event) -> usize {
    match event {
        Event::Message { .. } => 1,
        Event::Said { texts, .. } => texts.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proto_core::ChatText;

    use super::*;
    use crate::Origin;

    fn said(texts: impl IntoIterator<Item = String>) -> Event {
        let texts = texts.into_iter().map(|text| ChatText::new(text).unwrap()).collect();
        Event::Said { texts, uname: "Alice".parse().unwrap(), origin: Origin::TERMINAL }
    }

    fn contents(history: &History) -> Vec<(u64, String)> {
        history.recent().iter().map(|entry| (entry.id, entry.content.to_string())).collect()
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

        // A batch far above the bound.
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
}
