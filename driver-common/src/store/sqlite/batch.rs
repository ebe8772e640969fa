//! One transaction: what is stored together.

use std::collections::BTreeMap;

use proto_core::{Entry, EntryId, Marks, NodeId, Record, RunId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::error::is_of_the_data;
use super::shares::{self, Share};
use super::{origin, ranges, rows};

/// Runs whose numbers in the database are remembered. With more, all are looked up anew.
const RUNS: usize = 4_096;

/// The numbers that the database gave to runs.
#[derive(Debug, Default)]
pub(super) struct RunNumbers(BTreeMap<RunId, i64>);

/// What a transaction did to a run.
#[derive(Debug, Default)]
struct Touched {
    /// Ranges of numbers that were stored, in the order in which they came.
    stored: Vec<(i64, i64)>,
    tip: i64,
    latest: i64,
    share: Share,
}

/// What is committed together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    pub(super) records: &'a [Record],
    /// What the node knows of others, as JSON.
    pub(super) memory: Option<&'a str>,
    /// The nodes of which the user wants to see nothing, or no longer so.
    pub(super) mutes: &'a [(NodeId, bool)],
    /// What was unusual about entries when they were shown.
    pub(super) marks: &'a [(EntryId, Marks)],
    /// The time: Unix time in milliseconds.
    pub(super) now: u64,
}

/// What a commit came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// How many commits with own entries there were so far, if it had own entries.
    pub(super) count: Option<i64>,
    /// Marks of entries that are not in the store.
    pub(super) early: Vec<(EntryId, Marks)>,
}

/// Commits a batch.
pub(super) fn commit(
    conn: &mut Connection,
    runs: &mut RunNumbers,
    batch: &Batch<'_>,
) -> rusqlite::Result<Committed> {
    let written = Transaction::new(conn, TransactionBehavior::Immediate).and_then(|tx| {
        let counted = write(&tx, runs, batch)?;
        tx.commit().map(|()| counted)
    });
    if written.is_err() {
        // It may know runs that were rolled back.
        runs.0.clear();
    }
    written
}

/// The same. An entry of another node that the database refuses is left out, so that it does not keep all others from being
/// stored for ever. The node takes it for stored, and asks for it again when it starts the next time.
pub(super) fn commit_what_can_be(
    conn: &mut Connection,
    runs: &mut RunNumbers,
    batch: &Batch<'_>,
) -> rusqlite::Result<Committed> {
    let error = match commit(conn, runs, batch) {
        Err(error) if is_of_the_data(&error) => error,
        done => return done,
    };
    match batch.records {
        [] => Err(error),
        [Record::Entry(entry)] if batch.memory.is_none() && batch.mutes.is_empty() => {
            tracing::error!(%error, id = %entry.id(), "an entry cannot be stored");
            commit(conn, runs, &Batch { records: &[], ..*batch })
        }
        [record] if !matches!(record, Record::Entry(_)) => Err(error),
        records => {
            let (first, second) = records.split_at(records.len() / 2);
            // Marks come last: they are those of entries in either half.
            let rest = Batch { memory: None, mutes: &[], ..*batch };
            let first = commit_what_can_be(conn, runs, &Batch { records: first, marks: &[], ..*batch })?;
            let second = commit_what_can_be(conn, runs, &Batch { records: second, ..rest })?;
            Ok(Committed { count: second.count.or(first.count), early: second.early })
        }
    }
}

fn write(conn: &Connection, runs: &mut RunNumbers, batch: &Batch<'_>) -> rusqlite::Result<Committed> {
    let mut touched = BTreeMap::<i64, Touched>::new();
    let mut own = Vec::new();
    for record in batch.records {
        match record {
            Record::Entry(entry) => insert(conn, runs, &mut touched, entry, batch.now)?,
            Record::Own(entry) => {
                insert(conn, runs, &mut touched, entry, batch.now)?;
                own.push(entry);
            }
            Record::Withdrawn(id, _) => {
                settle(conn, &mut touched)?;
                delete(conn, *id)?;
            }
            // The contract may grow.
            other => tracing::error!(?other, "the store does not know this record"),
        }
    }
    settle(conn, &mut touched)?;
    for entry in &own {
        set_own(conn, entry)?;
    }
    if let Some(memory) = batch.memory {
        origin::set_fact(conn, MEMORY, &memory)?;
    }
    for (node, muted) in batch.mutes {
        let sql = match muted {
            true => "INSERT INTO mutes (node) VALUES (?1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM mutes WHERE node = ?1",
        };
        conn.prepare_cached(sql)?.execute([&node.as_bytes()[..]])?;
    }
    let mut committed = Committed::default();
    let mut mark = conn.prepare_cached("UPDATE entries SET marks = ?2 WHERE id = ?1")?;
    for (entry, marks) in batch.marks {
        if mark.execute((&entry.as_bytes()[..], rows::mark_bits(*marks)))? == 0 {
            committed.early.push((*entry, *marks));
        }
    }
    if !own.is_empty() {
        committed.count = Some(origin::count_commit(conn)?);
    }
    Ok(committed)
}

/// The fact that has what the node knows of others.
pub(super) const MEMORY: &str = "memory";

impl RunNumbers {
    /// The number of a run. It is entered if it is new.
    fn number(&mut self, conn: &Connection, run: &RunId) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(run) {
            return Ok(*number);
        }
        let number = match find_run(conn, run)? {
            Some(number) => number,
            None => {
                let (room, class) = labels(run);
                conn.prepare_cached(
                    "INSERT INTO runs (key, room, class, epoch, tip, latest) VALUES (?1, ?2, ?3, ?4, -1, 0)",
                )?
                .execute((&run.key.as_bytes()[..], room, class, number(run.epoch)))?;
                conn.last_insert_rowid()
            }
        };
        if self.0.len() >= RUNS {
            self.0.clear();
        }
        self.0.insert(run.clone(), number);
        Ok(number)
    }

    /// Looks all up anew.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The number of a run. None: nothing of it was stored.
pub(super) fn find_run(conn: &Connection, run: &RunId) -> rusqlite::Result<Option<i64>> {
    let (room, class) = labels(run);
    conn.prepare_cached("SELECT run FROM runs WHERE key = ?1 AND room = ?2 AND class = ?3 AND epoch = ?4")?
        .query_row((&run.key.as_bytes()[..], room, class, number(run.epoch)), |row| row.get(0))
        .optional()
}

/// Room and class as they are stored.
fn labels(run: &RunId) -> (&str, &str) {
    (run.room.as_ref().map_or("", |room| room.as_str()), run.class.word().unwrap_or(""))
}

/// A number of an entry. It is at most 2^53 - 1.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Where the entries of one moment that belong to a run stand in the conversation.
fn place(run: &RunId) -> Vec<u8> {
    [&run.key.as_bytes()[..], &run.epoch.to_be_bytes()].concat()
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

fn insert(
    conn: &Connection,
    runs: &mut RunNumbers,
    touched: &mut BTreeMap<i64, Touched>,
    entry: &Entry,
    now: u64,
) -> rusqlite::Result<()> {
    let run = runs.number(conn, entry.run())?;
    let (seq, at) = (number(entry.seq()), number(entry.at()));
    let sealed = entry.sealed();
    let mut statement = conn.prepare_cached(
        "INSERT INTO entries (id, run, seq, at, heard, signature, mark, header, body, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING",
    )?;
    let signature = sealed.signature.to_string();
    let inserted = statement.execute((
        &entry.id().as_bytes()[..],
        run,
        seq,
        at,
        number(now),
        &signature,
        rows::mark(&signature),
        sealed.header,
        sealed.body,
        place(entry.run()),
    ))?;
    let touched = touched.entry(run).or_insert_with(|| Touched { tip: -1, ..Touched::default() });
    if inserted > 0 {
        touched.share.add(length(sealed.body));
    }
    (touched.tip, touched.latest) = (touched.tip.max(seq), touched.latest.max(at));
    match touched.stored.last_mut() {
        Some((_, last)) if *last + 1 == seq => *last = seq,
        _ => touched.stored.push((seq, seq)),
    }
    Ok(())
}

/// Brings the runs up to date with what was stored.
fn settle(conn: &Connection, touched: &mut BTreeMap<i64, Touched>) -> rusqlite::Result<()> {
    for (run, Touched { stored, tip, latest, share }) in std::mem::take(touched) {
        for (first, last) in stored {
            ranges::add(conn, run, first, last)?;
        }
        conn.prepare_cached("UPDATE runs SET tip = max(tip, ?2), latest = max(latest, ?3) WHERE run = ?1")?
            .execute((run, tip, latest))?;
        shares::add(conn, run, share)?;
    }
    Ok(())
}

/// Takes an entry out. Another version with its number may stay.
pub(super) fn delete(conn: &Connection, id: EntryId) -> rusqlite::Result<()> {
    let mut statement =
        conn.prepare_cached("DELETE FROM entries WHERE id = ?1 RETURNING run, seq, octet_length(body)")?;
    let found = statement
        .query_row([&id.as_bytes()[..]], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?)))
        .optional()?;
    drop(statement);
    let Some((run, seq, body)) = found else { return Ok(()) };
    let mut share = Share::default();
    body.into_iter().for_each(|body| share.add(body));
    shares::take(conn, run, share)?;
    close_hole(conn, run, seq)
}

/// Brings ranges and tip up to date after an entry of this number was taken out.
pub(super) fn close_hole(conn: &Connection, run: i64, seq: i64) -> rusqlite::Result<()> {
    let others: i64 = conn
        .prepare_cached("SELECT count(*) FROM entries WHERE run = ?1 AND seq = ?2")?
        .query_row((run, seq), |row| row.get(0))?;
    if others > 0 {
        return Ok(());
    }
    ranges::remove(conn, run, seq)?;
    conn.prepare_cached(
        "UPDATE runs SET tip = coalesce((SELECT max(seq) FROM entries WHERE run = ?1), -1) WHERE run = ?1",
    )?
    .execute([run])
    .map(drop)
}

/// This is the last entry of this node in its class.
fn set_own(conn: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let class = entry.class().word().unwrap_or("");
    conn.prepare_cached(
        "INSERT INTO own (class, epoch, seq, id, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (class) DO UPDATE SET epoch = ?2, seq = ?3, id = ?4, at = ?5",
    )?
    .execute((
        class,
        number(entry.epoch()),
        number(entry.seq()),
        &entry.id().as_bytes()[..],
        number(entry.at()),
    ))
    .map(drop)
}
