//! The thread that writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use proto_core::{EntryId, PublicKey, Record, StoreChange};

use super::batch::{self, RunNumbers};
use super::cutoff::Cutoff;
use super::error::{OpenError, io_problem, problem};
use super::files::{self, Files};
use super::origin::{self, Counter};
use super::retention::{self, Retention, Terms};
use super::space::Space;
use super::{StoreOptions, connection, rows, unix_ms};
use crate::store::StoreProblem;
use crate::store::channel::{Answer, Batch, Shared, Work};

/// How long the writer waits until it tries again, at first and at most.
pub(super) const RETRY: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// How often it looks for what is to be dropped.
const RETAIN: Duration = Duration::from_secs(60);

/// The one that writes.
pub(super) struct Writer {
    shared: Arc<Shared>,
    files: Files,
    key: PublicKey,
    retention: Retention,
    conn: Option<Connection>,
    counter: Option<Counter>,
    runs: RunNumbers,
    /// The time by which something is too old.
    cutoff: Option<Cutoff>,
    /// When to look for what is to be dropped.
    retain_at: Instant,
    pace: Pace,
    failing: Option<Failing>,
}

/// How long the writer waits until it tries again. A database that can be opened, but not written, is tried ever less often,
/// too.
#[derive(Debug)]
struct Pace(Duration);

impl Pace {
    const START: Self = Self(RETRY);

    /// What was tried had no success, or none that shows that the next batch has.
    fn slow_down(&mut self) {
        self.0 = (self.0 * 2).min(RETRY_MOST);
    }
}

/// The store cannot write.
struct Failing {
    retry_at: Instant,
    /// Entries of this node whose commit failed. The node signs others in their place, so that they must never come to
    /// light.
    void: Vec<EntryId>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        files: Files,
        options: &StoreOptions,
        conn: Option<Connection>,
        problem: Option<StoreProblem>,
    ) -> Self {
        let counter = Counter::open(&files).ok();
        let mut writer = Self {
            shared,
            files,
            key: options.key,
            retention: options.retention,
            conn,
            counter,
            runs: RunNumbers::default(),
            cutoff: None,
            retain_at: Instant::now(),
            pace: Pace::START,
            failing: None,
        };
        if let Some(problem) = problem {
            writer.fail(problem, Vec::new());
        }
        writer
    }

    /// Writes until the store closes.
    pub(super) fn run(mut self) {
        loop {
            let idle = self.failing.as_ref().map_or(self.retain_at, |failing| failing.retry_at);
            match self.shared.next_work(Some(idle)) {
                Work::Batch(batch) => self.commit(batch),
                Work::Rebuild => self.rebuild(),
                Work::Idle if self.failing.is_some() => self.retry(),
                Work::Idle => {}
                Work::Close => break,
            }
            if self.failing.is_none() && self.retain_at <= Instant::now() {
                self.retain();
            }
        }
        self.close();
    }

    fn commit(&mut self, mut batch: Batch) {
        match self.write(&batch) {
            Ok(()) => {
                if !batch.records.is_empty() {
                    self.pace = Pace::START;
                }
                self.shared.with_status(|status| {
                    status.commits += 1;
                    status.stored += batch.records.len() as u64;
                });
                if !batch.records.is_empty() {
                    self.shared.answer(Answer::Stored(batch.through));
                }
                if !batch.damaged.is_empty() {
                    self.shared.answer(Answer::Damaged(batch.damaged.len()));
                }
            }
            Err(error) => {
                tracing::info!(%error, "the store cannot write");
                let void = batch.records.iter().filter_map(|record| match record {
                    Record::Own(entry) => Some(entry.id()),
                    _ => None,
                });
                let void: Vec<_> = void.collect();
                self.overwrite(&void);
                batch.records.clear();
                self.shared.put_back(batch);
                if problem(&error) == StoreProblem::Damaged {
                    self.rebuild();
                } else {
                    self.fail(problem(&error), void);
                }
            }
        }
    }

    fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let Some(conn) = &mut self.conn else { return Err(rusqlite::Error::InvalidQuery) };
        // Before the batch: what is committed is never reported as lost.
        if !batch.damaged.is_empty() {
            let lost = rows::delete_damaged(conn, &batch.damaged)?;
            self.shared.answer(Answer::Changed(lost));
        }
        // Such a value has string keys only and cannot fail.
        let memory = batch.memory.as_ref().and_then(|memory| serde_json::to_string(memory).ok());
        let written = batch::Batch {
            records: &batch.records,
            memory: memory.as_deref(),
            mutes: &batch.mutes,
            marks: &batch.marks,
            now: unix_ms(),
        };
        let committed = batch::commit_what_can_be(conn, &mut self.runs, &written)?;
        if let (Some(count), Some(counter)) = (committed.count, &self.counter) {
            counter.set(count);
        }
        self.shared.put_back_marks(committed.early);
        Ok(())
    }

    /// A commit may be whole in the log although its sync failed. It would come to light at the next start, after the node
    /// signed others in the place of its entries. What is written now takes its place in the log, even if that cannot be
    /// synced either.
    fn overwrite(&mut self, void: &[EntryId]) {
        if let Some(conn) = self.conn.as_mut().filter(|_| !void.is_empty())
            && let Err(error) = withdraw(conn, void)
        {
            tracing::debug!(%error, "what the failed commit left may still be there");
        }
    }

    fn fail(&mut self, problem: StoreProblem, void: Vec<EntryId>) {
        let problem = self.files.explain(problem);
        let retry_at = Instant::now() + self.pace.0;
        let failing = self.failing.get_or_insert(Failing { retry_at, void: Vec::new() });
        failing.void.extend(void);
        self.shared.fail(problem);
    }

    /// Opens the database anew, and writes.
    fn retry(&mut self) {
        let Some(failing) = &mut self.failing else { return };
        if !self.shared.failure_is_heard() {
            failing.retry_at = Instant::now() + RETRY;
            return;
        }
        // Its state is unknown after an error.
        self.conn = None;
        self.runs.forget();
        let opened = connection::open_to_write(&self.files).and_then(|mut conn| {
            let void = &failing.void;
            let is_new = origin::is_new(&conn)?;
            connection::begin(&mut conn, &self.files, self.key, true)?;
            withdraw(&mut conn, void)?;
            Ok((conn, is_new))
        });
        match opened {
            Ok((conn, is_new)) => {
                if is_new {
                    // It was set aside, or somebody took it away.
                    self.shared.answer(Answer::Changed(vec![StoreChange::Emptied]));
                }
                self.go_on(conn);
            }
            Err(error) => {
                self.pace.slow_down();
                failing.retry_at = Instant::now() + self.pace.0;
                let why = match &error {
                    OpenError::Sqlite(error) => problem(error),
                    OpenError::Io(error) => io_problem(error),
                    _ => StoreProblem::CannotOpen,
                };
                tracing::debug!(?error, "the store still cannot write");
                if why == StoreProblem::Damaged {
                    self.rebuild();
                } else {
                    self.shared.fail(self.files.explain(why));
                }
            }
        }
    }

    fn go_on(&mut self, conn: Connection) {
        self.conn = Some(conn);
        self.counter = Counter::open(&self.files).ok();
        self.failing = None;
        self.pace.slow_down();
        self.shared.replaced();
        self.shared.works();
    }

    /// Sets the database aside and begins a new one.
    fn rebuild(&mut self) {
        self.conn = None;
        self.runs.forget();
        // What was not committed is asked for again.
        self.fail(StoreProblem::Damaged, Vec::new());
        match self.files.set_aside(&files::date(unix_ms())) {
            Ok(file) => self.shared.answer(Answer::SetAside(file)),
            Err(error) => tracing::warn!(%error, "the damaged database cannot be renamed"),
        }
        self.shared.replaced();
    }

    fn retain(&mut self) {
        let Some(conn) = &mut self.conn else { return };
        let most = self.retention.bytes.or_else(|| {
            Space::of(&self.files).ok()?.bound(retention::used(conn).ok()?, retention::unused(conn).ok()?)
        });
        let now = match self.retention.age {
            Some(_) => Cutoff::now(&mut self.cutoff, conn),
            None => Ok(unix_ms()),
        };
        let step = now.and_then(|now| {
            let terms = Terms { retention: &self.retention, own: &self.key, most, now };
            retention::step(conn, &mut self.runs, &terms)
        });
        let used = retention::used(conn).unwrap_or(0);
        self.shared.with_status(|status| status.bytes = used);
        match step {
            Ok(step) => {
                if !step.floors.is_empty() {
                    self.shared.answer(Answer::Changed(step.floors));
                }
                self.shared.with_status(|status| status.expired += step.expired);
                let wait = if step.more { Duration::ZERO } else { RETAIN };
                self.retain_at = Instant::now() + wait;
            }
            Err(error) => {
                tracing::warn!(%error, "nothing can be dropped from the store");
                self.retain_at = Instant::now() + RETAIN;
                // The next commit finds out whether the store can write.
            }
        }
    }

    fn close(mut self) {
        if let Some(counter) = &self.counter {
            counter.sync();
        }
        if let (Some(conn), None) = (&mut self.conn, &self.failing)
            && let Err(error) = connection::end(conn, &self.files, self.key)
        {
            tracing::debug!(%error, "the store was not closed");
        }
    }
}

/// Takes out what a failed commit may have left.
fn withdraw(conn: &mut Connection, void: &[EntryId]) -> rusqlite::Result<()> {
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    for id in void {
        batch::delete(&tx, *id)?;
    }
    // So that something is written in any case.
    origin::count_failure(&tx)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fails_again_and_again_is_tried_ever_less_often() {
        let mut pace = Pace::START;
        let waits = std::iter::repeat_with(|| {
            let wait = pace.0;
            pace.slow_down();
            wait.as_millis()
        });
        assert_eq!(waits.take(8).collect::<Vec<_>>(), [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }
}
