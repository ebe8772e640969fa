//! What the node's task and the threads of a store share.
#![cfg_attr(not(feature = "store"), allow(dead_code))]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use proto_core::{
    Entry, EntryId, LoadId, Loaded, Marks, Memory, NodeId, Record, StoreChange, StoreId, Wanted,
};

use super::{StoreProblem, StoreStatus};

/// The most records that wait, in bytes as entries are charged. With more, the node stops reading from its peers.
const WAITING: usize = 16 * 1024 * 1024;

/// What a record without an entry is charged.
const WITHDRAWN: usize = 256;

/// The most records of others that are committed at once, and the most of this node.
const BATCH: usize = 4_096;
const OWN_BATCH: usize = 64;

/// The most pages that wait to be read.
const PAGES: usize = 64;

/// The most marks that wait to be stored: more than a first catch-up shows. The oldest give way.
const MARKS: usize = 16_384;

/// The most that are stored at once, and the most that wait for their entries.
const MARKS_BATCH: usize = 1_024;

/// The most damaged rows that are remembered. Others are found again.
const DAMAGED: usize = 4_096;

/// The node's end. The store closes when it is dropped.
#[derive(Debug)]
pub struct StoreClient {
    shared: Arc<Shared>,
}

/// What can be read of a store while its node runs. Clones belong to the same store.
#[derive(Clone, Debug)]
pub struct StoreView {
    shared: Arc<Shared>,
}

/// An answer to the node's task.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Everything up to this number is on the disk.
    Stored(StoreId),
    /// Nothing is kept until [`Works`](Self::Works).
    Failed(StoreProblem),
    /// The store can write again.
    Works,
    /// What was to be read.
    Loaded(LoadId, Vec<Loaded>),
    /// The database was damaged, and has another name now.
    SetAside(PathBuf),
    /// The store does not have any more what it had.
    Changed(Vec<StoreChange>),
    /// So many entries were damaged, and were deleted.
    Damaged(usize),
}

/// A row that is not what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DamagedRow {
    pub(crate) entry: i64,
    pub(crate) run: i64,
    pub(crate) seq: i64,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The cursor names no entry.
    NoSuchEntry,
    /// The store cannot read now: it failed, or it closes, or too many pages are wanted at once.
    Unavailable,
}

/// Where a page ends: before this line of this entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The entry.
    pub id: EntryId,
    /// The index of the line in it.
    pub part: usize,
}

/// An entry to be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its number in the store. Entries that were stored later have higher ones.
    pub number: u64,
    /// When this node first had it: Unix time in milliseconds.
    pub heard: u64,
    /// The entry.
    pub entry: Arc<Entry>,
    /// What was unusual about it when it was shown first. It is [`forked`](Marks::forked) if the store has another version
    /// of it.
    pub marks: Marks,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Batch),
    /// The database is damaged.
    Rebuild,
    /// The time has come.
    Idle,
    Close,
}

/// What is committed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) through: StoreId,
    pub(super) records: Vec<Record>,
    pub(super) memory: Option<Box<Memory>>,
    pub(super) mutes: Vec<(NodeId, bool)>,
    pub(super) damaged: Vec<DamagedRow>,
    /// What was unusual about entries when they were shown.
    pub(super) marks: Vec<(EntryId, Marks)>,
}

/// What the reader does next.
#[derive(Debug)]
pub(super) enum Reading {
    Load { id: LoadId, wanted: Wanted, most_bytes: usize },
    Page { before: Option<Cursor>, entries: usize, reply: Sender<Result<Vec<Shown>, PageError>> },
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    writes: Mutex<Writes>,
    to_write: Condvar,
    reads: Mutex<Reads>,
    to_read: Condvar,
    answers: Mutex<Answers>,
    status: Mutex<StoreStatus>,
}

#[derive(Debug, Default)]
struct Writes {
    records: VecDeque<(StoreId, Record)>,
    /// What the records are charged.
    bytes: usize,
    memory: Option<Box<Memory>>,
    mutes: Vec<(NodeId, bool)>,
    damaged: Vec<DamagedRow>,
    marks: VecDeque<(EntryId, Marks)>,
    /// Those of entries that are not stored. They are tried again with the next entries.
    early_marks: VecDeque<(EntryId, Marks)>,
    /// The number of a database that is damaged.
    rebuild: Option<u64>,
    failed: Option<Failed>,
    closed: bool,
}

/// The store cannot write. Records are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// The node may still ask to keep what it asked before it heard of it.
    Unheard,
    /// The node knows.
    Heard,
}

#[derive(Debug, Default)]
struct Reads {
    waiting: VecDeque<Reading>,
    pages: usize,
    /// Each database has a number.
    database: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Answers {
    waiting: VecDeque<Answer>,
    task: Option<Waker>,
}

impl StoreClient {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What can be read of it.
    pub fn view(&self) -> StoreView {
        StoreView { shared: self.shared.clone() }
    }

    /// From now on, this wakes the task when there is an answer.
    pub fn attach(&self, task: Waker) {
        let mut answers = lock(&self.shared.answers);
        if !answers.waiting.is_empty() {
            task.wake_by_ref();
        }
        answers.task = Some(task);
    }

    /// Keeps this. [`Answer::Stored`] follows, unless the store fails.
    pub fn store(&self, id: StoreId, record: Record) {
        let mut writes = lock(&self.shared.writes);
        if writes.failed.is_some() {
            return;
        }
        writes.bytes += charge(&record);
        writes.records.push_back((id, record));
        self.shared.to_write.notify_one();
    }

    /// Keeps what was unusual about an entry when it was shown. The entry is in the store, or will be.
    pub fn mark(&self, entry: EntryId, marks: Marks) {
        let mut writes = lock(&self.shared.writes);
        writes.marks.push_back((entry, marks));
        if writes.marks.len() > MARKS {
            writes.marks.pop_front();
        }
        self.shared.to_write.notify_one();
    }

    /// Whether so much waits that the node is to take no more from its peers.
    pub fn is_behind(&self) -> bool {
        lock(&self.shared.writes).bytes > WAITING
    }

    /// Keeps what the node knows of others. What was to be kept before is replaced.
    pub fn save(&self, memory: Memory) {
        lock(&self.shared.writes).memory = Some(Box::new(memory));
        self.shared.to_write.notify_one();
    }

    /// Reads this. [`Answer::Loaded`] follows.
    pub fn load(&self, id: LoadId, wanted: Wanted, most_bytes: usize) {
        let mut reads = lock(&self.shared.reads);
        reads.waiting.push_back(Reading::Load { id, wanted, most_bytes });
        self.shared.to_read.notify_one();
    }

    /// The node knows of the failure, and asks for nothing more until it is told that the store works.
    pub fn heard_failure(&self) {
        let mut writes = lock(&self.shared.writes);
        writes.failed = writes.failed.map(|_| Failed::Heard);
        self.shared.to_write.notify_one();
    }

    /// The next answer, if there is one.
    pub fn next_answer(&self) -> Option<Answer> {
        lock(&self.shared.answers).waiting.pop_front()
    }
}

impl Drop for StoreClient {
    fn drop(&mut self) {
        lock(&self.shared.writes).closed = true;
        lock(&self.shared.reads).closed = true;
        self.shared.to_write.notify_all();
        self.shared.to_read.notify_all();
    }
}

impl StoreView {
    /// Its state.
    pub fn status(&self) -> StoreStatus {
        let waiting = lock(&self.shared.writes).records.len();
        StoreStatus { waiting, ..*lock(&self.shared.status) }
    }

    /// The last entries before a place in the conversation, the newest of them first: as many, or fewer if there are no
    /// more.
    pub async fn page(&self, before: Option<Cursor>, entries: usize) -> Result<Vec<Shown>, PageError> {
        let (reply, answer) = async_channel::bounded(1);
        self.ask_page(before, entries, reply)?;
        answer.recv().await.unwrap_or(Err(PageError::Unavailable))
    }

    /// The same, for whoever is no task.
    pub fn page_blocking(&self, before: Option<Cursor>, entries: usize) -> Result<Vec<Shown>, PageError> {
        let (reply, answer): (_, Receiver<_>) = async_channel::bounded(1);
        self.ask_page(before, entries, reply)?;
        answer.recv_blocking().unwrap_or(Err(PageError::Unavailable))
    }

    fn ask_page(
        &self,
        before: Option<Cursor>,
        entries: usize,
        reply: Sender<Result<Vec<Shown>, PageError>>,
    ) -> Result<(), PageError> {
        let mut reads = lock(&self.shared.reads);
        if reads.closed || reads.pages >= PAGES {
            return Err(PageError::Unavailable);
        }
        reads.pages += 1;
        reads.waiting.push_back(Reading::Page { before, entries, reply });
        self.shared.to_read.notify_one();
        Ok(())
    }

    /// Keeps whether the user wants to see nothing of a node.
    pub fn set_muted(&self, node: NodeId, muted: bool) {
        let mut writes = lock(&self.shared.writes);
        writes.mutes.retain(|(other, _)| *other != node);
        writes.mutes.push((node, muted));
        self.shared.to_write.notify_one();
    }
}

/// The side of the threads.
impl Shared {
    /// Waits for work, until `idle`.
    pub(super) fn next_work(&self, idle: Option<Instant>) -> Work {
        let mut writes = lock(&self.writes);
        loop {
            // There may be another one by now.
            if writes.rebuild.take().is_some_and(|database| database == self.database()) {
                return Work::Rebuild;
            }
            if writes.failed.is_none() && writes.has_work() {
                return Work::Batch(writes.take());
            }
            if writes.closed {
                return Work::Close;
            }
            writes = match idle.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.to_write.wait(writes).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Work::Idle,
                Some(time) => {
                    self.to_write.wait_timeout(writes, time).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(super) fn answer(&self, answer: Answer) {
        let mut answers = lock(&self.answers);
        match (&answer, answers.waiting.back_mut()) {
            (Answer::Stored(through), Some(Answer::Stored(last))) => *last = *through,
            _ => answers.waiting.push_back(answer),
        }
        let task = answers.task.clone();
        drop(answers);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Drops what waits, and what comes until [`works`](Self::works).
    pub(super) fn fail(&self, problem: StoreProblem) {
        let mut writes = lock(&self.writes);
        let first = writes.failed.is_none();
        writes.failed = Some(writes.failed.unwrap_or(Failed::Unheard));
        writes.records.clear();
        writes.bytes = 0;
        drop(writes);
        self.with_status(|status| {
            status.problem = Some(problem);
            status.failures += u64::from(first);
        });
        if first {
            self.answer(Answer::Failed(problem));
        }
    }

    /// Whether the node knows of the failure.
    pub(super) fn failure_is_heard(&self) -> bool {
        lock(&self.writes).failed == Some(Failed::Heard)
    }

    pub(super) fn works(&self) {
        lock(&self.writes).failed = None;
        self.with_status(|status| status.problem = None);
        self.answer(Answer::Works);
    }

    /// What could not be written of this is written again.
    pub(super) fn put_back(&self, mut batch: Batch) {
        self.put_back_marks(std::mem::take(&mut batch.marks));
        let mut writes = lock(&self.writes);
        let newer = writes.memory.take();
        writes.memory = newer.or(batch.memory);
        let newer = std::mem::replace(&mut writes.mutes, batch.mutes);
        for (node, muted) in newer {
            writes.mutes.retain(|(other, _)| *other != node);
            writes.mutes.push((node, muted));
        }
    }

    /// The store does not have the entries of these yet.
    pub(super) fn put_back_marks(&self, early: Vec<(EntryId, Marks)>) {
        let mut writes = lock(&self.writes);
        writes.early_marks.extend(early);
        while writes.early_marks.len() > MARKS_BATCH {
            writes.early_marks.pop_front();
        }
    }

    pub(super) fn with_status(&self, change: impl FnOnce(&mut StoreStatus)) {
        change(&mut lock(&self.status));
    }

    /// The database of this number is damaged as a whole.
    pub(super) fn rebuild(&self, database: u64) {
        let mut writes = lock(&self.writes);
        writes.rebuild = writes.rebuild.max(Some(database));
        drop(writes);
        self.to_write.notify_one();
    }

    /// These rows are damaged.
    pub(super) fn report_damaged(&self, rows: &[DamagedRow]) {
        let mut writes = lock(&self.writes);
        for row in rows {
            if writes.damaged.len() < DAMAGED && !writes.damaged.contains(row) {
                writes.damaged.push(*row);
            }
        }
        self.to_write.notify_one();
    }

    /// The number of the database.
    pub(super) fn database(&self) -> u64 {
        lock(&self.reads).database
    }

    /// The reader has to open the database again.
    pub(super) fn replaced(&self) {
        lock(&self.reads).database += 1;
    }

    /// Waits for something to read, and says in which database. None: the store closes.
    pub(super) fn next_reading(&self) -> Option<(Reading, u64)> {
        let mut reads = lock(&self.reads);
        loop {
            if reads.closed {
                reads.waiting.clear();
                return None;
            }
            if let Some(reading) = reads.waiting.pop_front() {
                if matches!(reading, Reading::Page { .. }) {
                    reads.pages -= 1;
                }
                return Some((reading, reads.database));
            }
            reads = self.to_read.wait(reads).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Writes {
    fn has_work(&self) -> bool {
        !self.records.is_empty()
            || self.memory.is_some()
            || !self.mutes.is_empty()
            || !self.damaged.is_empty()
            || !self.marks.is_empty()
    }

    /// The next batch: what waits, in order. It ends after so many entries of this node, so one that was just said is in
    /// the next commit together with all that came before it.
    fn take(&mut self) -> Batch {
        let mut batch = Batch {
            memory: self.memory.take(),
            mutes: std::mem::take(&mut self.mutes),
            damaged: std::mem::take(&mut self.damaged),
            marks: self.marks.drain(..MARKS_BATCH.min(self.marks.len())).collect(),
            ..Batch::default()
        };
        if !self.records.is_empty() {
            batch.marks.extend(self.early_marks.drain(..));
        }
        let mut own = 0;
        while batch.records.len() < BATCH && own < OWN_BATCH {
            let Some((id, record)) = self.records.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(charge(&record));
            own += usize::from(matches!(record, Record::Own(_)));
            batch.through = id;
            batch.records.push(record);
        }
        batch
    }
}

fn charge(record: &Record) -> usize {
    match record {
        Record::Entry(entry) | Record::Own(entry) => entry.charge(),
        _ => WITHDRAWN,
    }
}

/// No code panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_about_a_database_that_was_replaced_says_nothing_about_the_next() {
        let shared = Shared::default();
        let work = || shared.next_work(Some(Instant::now()));
        let checked = shared.database();
        shared.replaced();
        shared.rebuild(checked);
        assert!(matches!(work(), Work::Idle));
        shared.rebuild(shared.database());
        shared.rebuild(checked);
        assert!(matches!(work(), Work::Rebuild));
        assert!(matches!(work(), Work::Idle), "once");
    }
}
