//! Drops what is too old, or too much. Bodies go first, then headers. Of each run the newest header stays, and the number
//! below which the run is expired: that is not missing.

use std::time::Duration;

use proto_core::StoreChange;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::batch::number;
use super::{ranges, rows};

/// What is kept. The default keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Nothing that was said longer ago. The header of an entry stays as long again.
    pub age: Option<Duration>,
    /// So many entries. As many headers stay.
    pub entries: Option<u64>,
    /// So many bytes of the database. A quarter of it may be headers.
    pub bytes: Option<u64>,
}

/// The most rows that one step changes: some milliseconds of work.
const STEP: i64 = 512;

/// The most runs. Of more, those with the oldest entries are forgotten.
const RUNS: i64 = 65_536;

/// The most runs that one step forgets.
const RUNS_STEP: i64 = 32;

/// What a header takes on the disk, with its places in the indexes, in bytes.
const HEADER: u64 = 1_024;

/// The pages that one step gives back to the file system.
const PAGES: i64 = 256;

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Entries that lost their bodies.
    pub(super) expired: u64,
    /// There may be more to do.
    pub(super) more: bool,
    /// The numbers below which runs are expired now.
    pub(super) floors: Vec<StoreChange>,
}

impl Retention {
    /// Whether something is ever dropped.
    fn drops(&self) -> bool {
        self.age.is_some() || self.entries.is_some() || self.bytes.is_some()
    }
}

/// Drops a bounded part of what is not to be kept at this time, Unix time in milliseconds.
pub(super) fn step(conn: &mut Connection, retention: &Retention, now: u64) -> rusqlite::Result<Step> {
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    let mut step = Step::default();
    let mut changed = forget_runs(&tx, &mut step.floors)?;
    if retention.drops() {
        let excess = Excess::of(&tx, retention, now)?;
        let bodies = drop_bodies(&tx, &excess)?;
        step.expired = u64::try_from(bodies).unwrap_or(0);
        changed |= bodies > 0;
        changed |= drop_headers(&tx, &excess, &mut step.floors)?;
    }
    if changed {
        tx.commit()?;
    } else {
        tx.rollback()?;
    }
    step.more = changed;
    Ok(Step { more: give_back(conn)? || step.more, ..step })
}

/// What there is too much of.
#[derive(Debug)]
struct Excess {
    /// Bodies of entries dated before this are to go, and as many of the oldest.
    bodies_before: i64,
    bodies: i64,
    /// The same for headers without bodies.
    headers_before: i64,
    headers: i64,
}

impl Excess {
    fn of(conn: &Connection, retention: &Retention, now: u64) -> rusqlite::Result<Self> {
        let before = |times: u32| {
            let age = retention
                .age
                .map(|age| u64::try_from(age.saturating_mul(times).as_millis()).unwrap_or(u64::MAX));
            age.map_or(0, |age| number(now.saturating_sub(age)))
        };
        let mut excess = Self { bodies_before: before(1), bodies: 0, headers_before: before(2), headers: 0 };
        let count = |what: &str| -> rusqlite::Result<u64> {
            let sql = format!("SELECT count(*) FROM entries WHERE body IS {what}");
            conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
                .map(|count| u64::try_from(count).unwrap_or(0))
        };
        if let Some(most) = retention.entries {
            excess.bodies = number(count("NOT NULL")?.saturating_sub(most));
            excess.headers = number(count("NULL")?.saturating_sub(most));
        }
        if let Some(most) = retention.bytes
            && used(conn)? > most
        {
            // A part of the step at a time: how much it gives back is seen after it.
            if count("NULL")? * HEADER > most / 4 {
                excess.headers = excess.headers.max(STEP);
            } else {
                excess.bodies = excess.bodies.max(STEP / 4);
            }
        }
        Ok(excess)
    }
}

/// The size of what the database holds, in bytes.
pub(super) fn used(conn: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(u64::try_from(pages * pragma("page_size")?).unwrap_or(0))
}

fn drop_bodies(conn: &Connection, excess: &Excess) -> rusqlite::Result<usize> {
    let drop = |condition: &str, bound: i64, most: i64| {
        conn.prepare_cached(&format!(
            "UPDATE entries SET body = NULL WHERE entry IN
                 (SELECT entry FROM entries WHERE body IS NOT NULL AND {condition} ORDER BY at LIMIT ?2)"
        ))?
        .execute((bound, most.min(STEP)))
    };
    let old = drop("at < ?1", excess.bodies_before, STEP)?;
    let many = drop("at >= ?1", 0, excess.bodies)?;
    Ok(old + many)
}

fn drop_headers(conn: &Connection, excess: &Excess, raised: &mut Vec<StoreChange>) -> rusqlite::Result<bool> {
    let mut select = conn.prepare_cached(
        "SELECT entries.run, seq FROM entries JOIN runs ON runs.run = entries.run
         WHERE body IS NULL AND seq < runs.tip AND at < ?1 ORDER BY at LIMIT ?2",
    )?;
    let mut floors = std::collections::BTreeMap::<i64, i64>::new();
    for (before, most) in [(excess.headers_before, STEP), (i64::MAX, excess.headers.min(STEP))] {
        let rows = select.query_map((before, most), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            let (run, seq) = row?;
            let floor = floors.entry(run).or_insert(0);
            *floor = (*floor).max(seq + 1);
        }
    }
    for (run, floor) in &floors {
        conn.prepare_cached("DELETE FROM entries WHERE run = ?1 AND seq < ?2")?.execute((run, floor))?;
        conn.prepare_cached("UPDATE runs SET floor = max(floor, ?2) WHERE run = ?1")?
            .execute((run, floor))?;
        ranges::cut_below(conn, *run, *floor)?;
        raised.extend(expired(conn, *run, *floor)?);
    }
    Ok(!floors.is_empty())
}

/// Forgets runs whose newest entries are the oldest, if there are too many runs.
fn forget_runs(conn: &Connection, raised: &mut Vec<StoreChange>) -> rusqlite::Result<bool> {
    let runs: i64 = conn.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    let most = (runs - RUNS).clamp(0, RUNS_STEP);
    let mut oldest = conn.prepare_cached("SELECT run, tip FROM runs ORDER BY latest LIMIT ?1")?;
    let oldest = oldest.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let oldest: Vec<(i64, i64)> = oldest.collect::<rusqlite::Result<_>>()?;
    for (run, tip) in &oldest {
        raised.extend(expired(conn, *run, tip + 1)?);
        for table in ["entries", "ranges", "runs"] {
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
        }
    }
    Ok(!oldest.is_empty())
}

/// What is below this number of a run is expired.
fn expired(conn: &Connection, run: i64, floor: i64) -> rusqlite::Result<Option<StoreChange>> {
    let run = rows::run_of(conn, run)?;
    Ok(run.zip(u64::try_from(floor).ok()).map(|(run, floor)| StoreChange::Expired { run, floor }))
}

/// Gives free pages back to the file system. Returns whether there are more.
fn give_back(conn: &Connection) -> rusqlite::Result<bool> {
    let free: i64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    // Some stay, for what comes next.
    if free <= PAGES {
        return Ok(false);
    }
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(free > 2 * PAGES)
}
