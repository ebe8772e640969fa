//! Authors and a log for the unit tests.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use super::{Coming, Log, LogEvent, Taken};
use crate::model::{
    ChatText, Class, Draft, Entry, EntryId, Identity, Instant, Limits, Marks, Name, NodeId, PublicKey, Room,
    RunId, RunPosition, Via,
};

pub(super) const EPOCH: u64 = 77;

/// An author. Its entries are dated one second apart, from 1,000 s on.
pub(in crate::chat) struct TestAuthor {
    identity: Identity,
    /// The first entry made with each number of each run.
    made: RefCell<BTreeMap<(RunId, u64), EntryId>>,
}

/// The most entries that are made for the sake of the `prev` of a later one. Where more are missing, it names none of
/// them.
const MADE_BEFORE: u64 = 64;

impl TestAuthor {
    pub(in crate::chat) fn new(n: u8) -> Self {
        Self { identity: Identity::from_secret(&[n; 32]), made: RefCell::default() }
    }

    pub(in crate::chat) fn key(&self) -> PublicKey {
        self.identity.key()
    }

    pub(in crate::chat) fn entry(&self, seq: u64) -> Arc<Entry> {
        self.entry_at(EPOCH, seq, 1_000_000 + seq * 1_000, "hello")
    }

    pub(in crate::chat) fn entry_at(&self, epoch: u64, seq: u64, at: u64, text: &str) -> Arc<Entry> {
        self.entry_in(None, None, (epoch, seq, at), text)
    }

    /// The entry with this epoch, number and date in a room, or of what a peer without a key said. It is behind the first
    /// one that was made with the number before, or else behind one like [`entry`](Self::entry).
    pub(in crate::chat) fn entry_in(
        &self,
        room: Option<&Room>,
        via: Option<&Via>,
        (epoch, seq, at): (u64, u64, u64),
        text: &str,
    ) -> Arc<Entry> {
        let class = if via.is_some() { Class::Line } else { Class::Kept };
        let run = RunId { key: self.key(), room: room.cloned(), class, epoch };
        let before = |made: &BTreeMap<(RunId, u64), EntryId>| {
            made.range((run.clone(), 0)..(run.clone(), seq)).next_back().map(|((_, before), _)| before + 1)
        };
        let first = before(&self.made.borrow()).unwrap_or(0);
        if seq - first <= MADE_BEFORE {
            for seq in first..seq {
                self.sign(room, via, (epoch, seq, 1_000_000 + seq * 1_000), "hello");
            }
        }
        self.sign(room, via, (epoch, seq, at), text)
    }

    fn sign(
        &self,
        room: Option<&Room>,
        via: Option<&Via>,
        (epoch, seq, at): (u64, u64, u64),
        text: &str,
    ) -> Arc<Entry> {
        let class = if via.is_some() { Class::Line } else { Class::Kept };
        let run = RunId { key: self.key(), room: room.cloned(), class, epoch };
        let prev = seq.checked_sub(1).and_then(|seq| self.made.borrow().get(&(run.clone(), seq)).copied());
        let position = prev.and_then(|prev| RunPosition::new(seq, prev));
        let entry =
            self.sign_at(room, via, position.unwrap_or(RunPosition::unlinked(seq)), (epoch, at), text);
        self.made.borrow_mut().entry((run, seq)).or_insert(entry.id());
        entry
    }

    /// The entry of an epoch in this position.
    pub(super) fn sign_at(
        &self,
        room: Option<&Room>,
        via: Option<&Via>,
        position: RunPosition,
        (epoch, at): (u64, u64),
        text: &str,
    ) -> Arc<Entry> {
        let (uname, texts) = (Name::cut("Anna").unwrap(), [ChatText::new(text).unwrap()]);
        let draft = Draft::new(epoch, position, at, &uname, &texts, [9; 16]);
        let draft = Draft { room, via, ..draft };
        Arc::new(Entry::sign(&self.identity, &draft))
    }
}

/// A log with its limits and its clocks. It checks the indexes after each change.
pub(super) struct TestLog {
    pub(super) inner: Log,
    pub(super) limits: Limits,
    now: Instant,
    wall: Option<u64>,
    /// What is on its way of all runs.
    coming: Option<Coming>,
}

impl TestLog {
    pub(super) fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self { inner: Log::default(), limits, now: Instant::ORIGIN, wall: None, coming: None }
    }

    pub(super) fn take(&mut self, entry: &Arc<Entry>) -> Taken {
        self.take_from(1, entry)
    }

    /// The same from this neighbour.
    pub(super) fn take_from(&mut self, neighbour: u8, entry: &Arc<Entry>) -> Taken {
        let from = NodeId::from_bytes([neighbour; 16]);
        let taken = self.inner.take(self.now, self.wall, from, entry.clone(), &self.limits);
        assert!(self.inner.is_consistent());
        taken
    }

    /// Takes an entry that was asked for by its number. Those behind it may follow.
    pub(super) fn bring(&mut self, entry: &Arc<Entry>) {
        self.take(entry);
        self.coming = Some(Coming { from: entry.seq() + 1, at: self.now });
    }

    /// Whoever was asked for this number and those behind it sends something else.
    pub(super) fn hear_from(&mut self, from: u64) {
        self.coming = Some(Coming { from, at: self.now });
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.wall = self.wall.map(|wall| wall.saturating_add(millis));
        self.inner.timeout(self.now, self.wall, |_| self.coming, &self.limits);
        assert!(self.inner.is_consistent());
    }

    pub(super) fn set_wall(&mut self, wall: Option<u64>) {
        self.wall = wall;
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.inner.deadline(self.now, self.wall, &self.limits).map(|at| at.since(self.now))
    }

    pub(super) fn events(&mut self) -> Vec<LogEvent> {
        core::iter::from_fn(|| self.inner.next_event()).collect()
    }

    /// Its events, in short: see [`shown`].
    pub(super) fn shown(&mut self) -> Vec<String> {
        shown(self.events())
    }

    /// The numbers that its events say are missing, both included.
    pub(super) fn missing(&mut self) -> Vec<(u64, u64)> {
        let numbers = |event: &LogEvent| match event {
            LogEvent::Missing { first, last, .. } => Some((*first, *last)),
            _ => None,
        };
        self.events().iter().filter_map(numbers).collect()
    }

    /// How many of its events request a reconciliation.
    pub(super) fn reconciles(&mut self) -> usize {
        self.events().iter().filter(|event| matches!(event, LogEvent::Reconcile { .. })).count()
    }

    /// The entries that had to make room, of its events.
    pub(super) fn deferred(&mut self) -> Vec<EntryId> {
        self.events().iter().filter_map(deferred).collect()
    }

    /// The entries that a fork took out of the window, without taking the events.
    pub(super) fn peek_withdrawn(&self) -> Vec<EntryId> {
        let withdrawn = |event: &LogEvent| match event {
            LogEvent::Withdrawn { id, .. } => Some(*id),
            _ => None,
        };
        self.inner.events.iter().filter_map(withdrawn).collect()
    }

    /// The entries that had to make room, without taking the events.
    pub(super) fn peek_deferred(&self) -> Vec<EntryId> {
        self.inner.events.iter().filter_map(deferred).collect()
    }
}

fn deferred(event: &LogEvent) -> Option<EntryId> {
    if let LogEvent::Deferred { id } = event { Some(*id) } else { None }
}

/// The sequence numbers shown, with `~` for late, `!` for forked and `<` for backdated and `^` for behind, and gaps as
/// `-missing`.
pub(super) fn shown(events: Vec<LogEvent>) -> Vec<String> {
    let word = |event| match event {
        LogEvent::Show { entry, marks: Marks { late, forked, backdated, behind, .. } } => {
            let marks = [(late, "~"), (forked, "!"), (backdated, "<"), (behind, "^")];
            let marks: String = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
            Some(format!("{}{marks}", entry.seq()))
        }
        LogEvent::Gap { missing, .. } => Some(format!("-{missing}")),
        _ => None,
    };
    events.into_iter().filter_map(word).collect()
}
