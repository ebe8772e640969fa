//! Pages of messages, out of the store and out of memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{EntryId, Marks, Message, NodeId, PublicKey};

use super::history::{BYTES, FirstIds, HistoryLine, LINES};
use super::line;
use crate::Event;
use crate::store::{Cursor, Shown, StoreView};

/// The most lines of a page that a client may ask for.
const MOST: usize = 1_000;

/// A line of a peer without a key comes as such, and soon after in an entry: within this time, in milliseconds.
const SOON: u64 = 60_000;

/// Which messages a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// Those before this line. None: the newest.
    before: Option<Cursor>,
    /// So many lines at most.
    limit: usize,
}

impl PageQuery {
    /// The parameters that a URL may have.
    pub(crate) const PARAMETERS: &[&str] = &["before", "limit"];

    /// Reads the query of a URL: `limit`, and `before`, which is the id of an entry and the index of a line in it, as in
    /// `before=ID.0`.
    pub(crate) fn read(query: &str) -> Result<Self, &'static str> {
        let mut read = Self { before: None, limit: LINES };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "before" => read.before = Some(cursor(value).ok_or("before is not ENTRY-ID.PART")?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    read.limit = limit.ok_or("limit is not a number from 1 to 1000")?;
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

fn cursor(text: &str) -> Option<Cursor> {
    let (id, part) = text.split_once('.').unwrap_or((text, "0"));
    Some(Cursor { id: EntryId::new(id)?, part: part.parse().ok()? })
}

/// The messages in a store.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    store: StoreView,
    key: PublicKey,
}

/// The answer of a store.
pub(super) struct Stored {
    /// The newest first.
    shown: Vec<Shown>,
    own: PublicKey,
    /// The cursor names an entry of the store.
    found: bool,
}

impl Pages {
    pub(super) fn new(store: StoreView, key: PublicKey) -> Self {
        Self { store, key }
    }

    pub(super) async fn read(&self, query: PageQuery) -> Option<Stored> {
        // Each entry has a line, and the one of the cursor may have none on the page.
        let shown = self.store.page(query.before, query.limit + 1).await;
        let (shown, found) = match (shown, query.before) {
            (Some(shown), _) => (shown, true),
            (None, Some(_)) => (Vec::new(), false),
            (None, None) => return None,
        };
        Some(Stored { shown, own: self.key, found })
    }
}

/// The page: lines in the order of the conversation. `recent` are those in memory. None: the cursor names no message.
pub(super) fn merge(
    query: PageQuery,
    recent: Vec<Arc<HistoryLine>>,
    stored: Option<Stored>,
    first_ids: Option<&Arc<FirstIds>>,
) -> Option<Vec<Arc<HistoryLine>>> {
    let is_cursor = |line: &HistoryLine, cursor: Cursor| {
        line.entry_info.as_ref().is_some_and(|entry_info| entry_info.id() == cursor.id)
            && line.part >= cursor.part
    };
    let in_memory = query.before.and_then(|cursor| recent.iter().position(|line| is_cursor(line, cursor)));
    let in_store = stored.as_ref().is_some_and(|stored| stored.found);
    let mut page = match query.before {
        None => recent,
        Some(_) if in_store => match in_memory {
            Some(end) => recent[..end].to_vec(),
            // What is in memory is newer, or is in the store, too.
            None => Vec::new(),
        },
        Some(_) => recent[..in_memory?].to_vec(),
    };
    if let Some(stored) = stored {
        add_stored(&mut page, query, &stored, first_ids);
    }
    let (mut lines, mut bytes) = (0, 0);
    let fits = page.iter().rev().take_while(|line| {
        (lines, bytes) = (lines + 1, bytes + line.content.len());
        lines <= query.limit && (bytes <= BYTES || lines == 1)
    });
    let fits = fits.count();
    Some(page.split_off(page.len() - fits))
}

fn add_stored(
    page: &mut Vec<Arc<HistoryLine>>,
    query: PageQuery,
    stored: &Stored,
    first_ids: Option<&Arc<FirstIds>>,
) {
    let known: BTreeSet<_> =
        page.iter().filter_map(|line| Some((line.entry_info.as_ref()?.id(), line.part))).collect();
    let before =
        |id: EntryId, part: usize| query.before.is_none_or(|cursor| cursor.id != id || part < cursor.part);
    let mut lines = Vec::new();
    for shown in &stored.shown {
        let id = shown.entry.id();
        let first_id = first_ids.and_then(|ids| ids.get(&id).copied()).unwrap_or(shown.number * 512);
        let event = event_of(shown, stored.own);
        for line in line::lines(&event).filter(|line| before(id, line.part)) {
            if !known.contains(&(id, line.part)) {
                let number = first_id + line.part as u64;
                lines.push(Arc::new(HistoryLine::new(number, shown.heard, line)));
            }
        }
    }
    page.retain(|line| line.entry_info.is_some() || !take_signed(&mut lines, line));
    page.append(&mut lines);
    page.sort_by_key(|line| line.place());
}

/// Whether an entry has brought the line of a peer without a key. It keeps the number of the line.
fn take_signed(lines: &mut [Arc<HistoryLine>], line: &HistoryLine) -> bool {
    let signed = lines.iter_mut().find(|signed| {
        let by_relay = signed.entry_info.as_ref().is_some_and(|entry_info| !entry_info.is_signed());
        let near = signed.at.abs_diff(line.at) <= SOON;
        by_relay && near && signed.node_id == line.node_id && signed.content == line.content
    });
    signed.is_some_and(|signed| {
        Arc::make_mut(signed).id = line.id;
        true
    })
}

fn event_of(shown: &Shown, own: PublicKey) -> Event {
    let mut marks = Marks::default();
    marks.forked = shown.forked;
    let message = Message::Entry { entry: shown.entry.clone(), marks };
    let own: NodeId = own.node_id();
    if message.is_signed() && message.node_id() == own {
        Event::Recalled(message)
    } else {
        Event::Message(message)
    }
}
