//! Pages of messages, out of the store and out of memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{EntryId, Message, NodeId, PublicKey};

use super::history::{BYTES, FirstIds, HistoryLine, LINES};
use super::line;
use crate::Event;
use crate::repeats::{Repeats, SOON};
use crate::store::{Cursor, PageError, Shown, StoreView};

/// The most lines of a page that a client may ask for.
const MOST: usize = 1_000;

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

    /// Whether older messages than a known one are wanted.
    pub(super) fn is_older(&self) -> bool {
        self.before.is_some()
    }

    /// Reads the query of a URL: `limit`, and `before`, which is the id of an entry and the index of a line in it, as in
    /// `before=ID.0`.
    pub(crate) fn read(query: &str) -> Result<Self, &'static str> {
        let mut read = Self { before: None, limit: LINES };
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            match name {
                "before" => read.before = Some(cursor(value).ok_or("before is not ENTRY-ID.PART")?),
                "limit" => {
                    let limit = number(value).filter(|limit| (1..=MOST).contains(limit));
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
    Some(Cursor { id: EntryId::new(id)?, part: number(part)? })
}

/// Digits alone: a `+` would be a space in a URL.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
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

    /// None: the store cannot be read now.
    pub(super) async fn read(&self, query: PageQuery) -> Option<Stored> {
        // Each entry has a line, and the one of the cursor may have none on the page.
        let (shown, found) = match self.store.page(query.before, query.limit + 1).await {
            Ok(shown) => (shown, true),
            Err(PageError::NoSuchEntry) => (Vec::new(), false),
            Err(PageError::Unavailable) => return None,
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
    let mut repeats = Repeats::default();
    page.iter().for_each(|line| _ = is_repeated(&mut repeats, line));
    let mut lines = Vec::new();
    for shown in stored.shown.iter().rev() {
        let id = shown.entry.id();
        let first_id = first_ids.and_then(|ids| ids.get(&id).copied()).unwrap_or(shown.number * 512);
        let event = event_of(shown, stored.own);
        for line in line::lines(&event).filter(|line| before(id, line.part)) {
            if !known.contains(&(id, line.part)) {
                let line = HistoryLine::new(first_id + line.part as u64, shown.heard, line);
                if !is_repeated(&mut repeats, &line) {
                    lines.push(Arc::new(line));
                }
            }
        }
    }
    page.retain(|line| line.entry_info.is_some() || !take_signed(&mut lines, line));
    page.append(&mut lines);
    page.sort_by_key(|line| line.place());
}

/// Whether another node has brought in this line of a peer without a key, too, and it is on the page.
fn is_repeated(repeats: &mut Repeats, line: &HistoryLine) -> bool {
    let entry_info = line.entry_info.as_ref();
    let brought = entry_info.and_then(|entry_info| Some((entry_info.brought_by()?, entry_info.said_at())));
    line.node_id
        .zip(brought)
        .is_some_and(|(speaker, (by, at))| repeats.is_repeated((speaker, &line.content), by, at))
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
    let message = Message::Entry { entry: shown.entry.clone(), marks: shown.marks };
    let own: NodeId = own.node_id();
    if message.is_signed() && message.node_id() == own {
        Event::Recalled(message)
    } else {
        Event::Message(message)
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use proto_core::{Entry, Identity, Marks, NetworkId, PeerInfo, Via};

    use super::super::history::History;
    use super::*;
    use crate::store::{Store, StoreOptions};
    use crate::{DataDir, testing};

    const NEWEST: PageQuery = PageQuery { before: None, limit: LINES };

    fn entry(author: u8, at: u64, texts: &[&str], via: Option<&Via>) -> Arc<Entry> {
        testing::entry(author, [at, at], "Alice", texts, via)
    }

    fn stored<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> Stored {
        let shown = |(number, entry): (u64, &Arc<Entry>)| Shown {
            number,
            heard: entry.at() + 1,
            entry: entry.clone(),
            marks: Marks::default(),
        };
        let mut shown: Vec<_> = (1..).zip(entries).map(shown).collect();
        shown.reverse();
        Stored { shown, own: Identity::from_secret(&[1; 32]).key(), found: true }
    }

    fn heard(entry: &Arc<Entry>) -> Event {
        Event::Message(Message::Entry { entry: entry.clone(), marks: Marks::default() })
    }

    fn lines(page: &[Arc<HistoryLine>]) -> Vec<(u64, &str)> {
        page.iter().map(|line| (line.id, &*line.content)).collect()
    }

    #[test]
    fn a_query_names_a_line_and_a_number_of_lines() {
        let id = EntryId::from_bytes([7; 32]);
        let before = |part| Some(Cursor { id, part });
        assert_eq!(PageQuery::read(""), Ok(NEWEST));
        assert_eq!(
            PageQuery::read(&format!("before={id}.3&limit=7")),
            Ok(PageQuery { before: before(3), limit: 7 })
        );
        assert_eq!(PageQuery::read(&format!("before={id}")).unwrap().before, before(0));
        for wrong in ["before=", "before=x.0", &format!("before={id}.x"), "limit=0", "limit=1001", "limit=x"]
        {
            assert!(PageQuery::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_in_memory_and_in_the_store_is_listed_once() {
        let entries: Vec<_> = (0..5).map(|at| entry(2, at, &[&format!("{at} a"), "b"], None)).collect();
        let mut history = History::new(1_000_000);
        // The last one is not in the store yet.
        history.record(&[heard(&entries[2]), heard(&entries[3]), heard(&entries[4])], 9);
        let page = merge(NEWEST, history.recent(), Some(stored(&entries[..4])), Some(&history.first_ids()));
        let page = page.unwrap();
        let expected = [
            (512, "0 a"),
            (513, "b"),
            (1_024, "1 a"),
            (1_025, "b"),
            (1_000_000, "2 a"),
            (1_000_001, "b"),
            (1_000_002, "3 a"),
            (1_000_003, "b"),
            (1_000_004, "4 a"),
            (1_000_005, "b"),
        ];
        assert_eq!(lines(&page), expected);
        assert_eq!((page[0].at, page[4].at), (1, 9), "when this node had it");
        // A page ends within an entry.
        let query = PageQuery { before: Some(Cursor { id: entries[2].id(), part: 1 }), limit: 2 };
        let page = merge(query, history.recent(), Some(stored(&entries[..3])), None).unwrap();
        assert_eq!(lines(&page), [(1_025, "b"), (1_000_000, "2 a")]);
    }

    #[test]
    fn without_a_store_pages_come_from_memory_alone() {
        let entries: Vec<_> = (0..5).map(|at| entry(2, at, &["text"], None)).collect();
        let mut history = History::new(0);
        history.record(&entries.iter().map(heard).collect::<Vec<_>>(), 9);
        let before = |id| PageQuery { before: Some(Cursor { id, part: 0 }), limit: 2 };
        let page = merge(before(entries[3].id()), history.recent(), None, None).unwrap();
        assert_eq!(lines(&page), [(1, "text"), (2, "text")]);
        assert!(merge(before(EntryId::from_bytes([7; 32])), history.recent(), None, None).is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(folder.path()), 1).unwrap();
        let key = Identity::from_secret(&[1; 32]).key();
        let mut store = Store::open(&data, &StoreOptions::new(key, NetworkId::named(""))).unwrap();
        let (broadcast, feed) = super::super::channel();
        let feed = feed.with_store(store.client.view(), key);
        let entries: Vec<_> = (0..2).map(|at| entry(2, at, &["text"], None)).collect();
        broadcast.shared.state().history.record(&entries.iter().map(heard).collect::<Vec<_>>(), 9);
        let read = |before: Option<EntryId>| {
            let before = before.map(|id| Cursor { id, part: 0 });
            let page = block_on(feed.messages(PageQuery { before, limit: 2 }))?;
            Ok(serde_json::from_str::<Vec<serde_json::Value>>(&page).unwrap().len())
        };
        let unknown = Some(EntryId::from_bytes([7; 32]));
        assert_eq!(read(unknown), Err(PageError::NoSuchEntry));
        assert_eq!(read(Some(entries[0].id())), Ok(0), "there is none before it");

        let threads = store.take_threads();
        drop(store);
        threads.wait();
        assert_eq!(read(unknown), Err(PageError::Unavailable));
        assert_eq!(read(Some(entries[0].id())), Err(PageError::Unavailable));
        assert_eq!(read(Some(entries[1].id())), Ok(1), "what is in memory");
        assert_eq!(read(None), Ok(2));
    }

    #[test]
    fn a_line_that_came_in_an_entry_too_is_listed_once() {
        let addr = "127.0.0.1:9".parse().unwrap();
        let via = Via::new(NodeId::from_bytes([7; 16]), "Old".parse().unwrap());
        let peer = Arc::new(PeerInfo::new(via.node_id, via.uname.clone(), addr));
        let line = |text: &str| Event::Message(Message::Line { peer: peer.clone(), text: text.to_owned() });
        let mut history = History::new(1_000_000);
        history.record(&[line("hi"), line("not signed yet")], 50);
        let brought = entry(2, 40, &["hi"], Some(&via));
        let page = merge(NEWEST, history.recent(), Some(stored([&brought])), None).unwrap();
        assert_eq!(lines(&page), [(1_000_000, "hi"), (1_000_001, "not signed yet")]);
        assert!(page[0].entry_info.is_some() && page[1].entry_info.is_none());
    }

    #[test]
    fn a_line_that_two_nodes_brought_in_is_listed_once() {
        let via = Via::new(NodeId::from_bytes([7; 16]), "Old".parse().unwrap());
        let [first, second] = [(2, 40, &["hi"][..]), (3, 41, &["hi", "there"])]
            .map(|(author, at, texts)| entry(author, at, texts, Some(&via)));
        let listed = |history: &History| {
            let stored = stored([&first, &second]);
            let page = merge(NEWEST, history.recent(), Some(stored), Some(&history.first_ids())).unwrap();
            page.iter().map(|line| line.content.to_string()).collect::<Vec<_>>()
        };
        let mut history = History::new(1_000_000);
        assert_eq!(listed(&history), ["hi", "there"], "out of the store alone");
        // The second one came first, and of the first one nothing was new.
        history.record(&[heard(&second)], 50);
        assert_eq!(listed(&history), ["hi", "there"]);
        let mut both = [first.clone(), second.clone()].map(|entry| Shown {
            number: 1,
            heard: 1,
            entry,
            marks: Marks::default(),
        });
        both.reverse();
        crate::repeats::mark(&mut both);
        let left = both.map(|shown| Message::Entry { entry: shown.entry, marks: shown.marks });
        let left: Vec<_> = left.iter().flat_map(Message::texts).collect();
        assert_eq!(left, ["there", "hi"], "the newest first");
    }

    #[test]
    fn what_the_node_said_itself_is_its_own() {
        let [own, other] = [1, 2].map(|author| entry(author, 5, &["text"], None));
        let page = merge(NEWEST, Vec::new(), Some(stored([&own, &other])), None).unwrap();
        let own = page.iter().filter(|line| line.node_id.is_none()).count();
        assert_eq!((page.len(), own), (2, 1));
    }
}
