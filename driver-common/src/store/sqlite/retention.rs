//! Drops what is too old, or too much. Bodies go first, then headers. Of each run the newest header stays, and the number
//! below which the run is expired: that is not missing. Runs are forgotten as a whole where there are too many, or where
//! their newest headers alone are too large.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::PublicKey;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use super::batch::{RunNumbers, number};
use super::ranges;
use super::shares::{self, HEADER, Share};

/// What is kept. The default keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Nothing that was said longer ago. The header of an entry stays as long again.
    pub age: Option<Duration>,
    /// So many entries. As many headers stay.
    pub entries: Option<u64>,
    /// So many bytes of the database. Headers without bodies go first, except the newest of each run.
    pub bytes: Option<u64>,
}

/// The most rows that one step changes: some milliseconds of work.
const STEP: i64 = 512;

/// The most runs of one key. The key of this node may have more.
const RUNS_OF_KEY: i64 = 1_024;

/// The most runs. Of more, a key keeps [`CROWDED`], and then those with the fewest entries are forgotten: it takes as many
/// entries to displace a run as it has.
const RUNS: i64 = 65_536;
const CROWDED: i64 = 64;

/// The most runs that one step forgets.
const RUNS_STEP: i64 = 32;

/// The part of the database that the newest headers of runs without bodies may be: a quarter.
const LAST_HEADERS: u64 = 4;

/// The pages that one step gives back to the file system.
const PAGES: i64 = 256;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Entries that lost their bodies.
    pub(super) expired: u64,
    /// There may be more to do.
    pub(super) more: bool,
}

impl Retention {
    /// Whether something is ever dropped.
    fn drops(&self) -> bool {
        self.age.is_some() || self.entries.is_some() || self.bytes.is_some()
    }
}

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) retention: &'a Retention,
    /// The key of this node.
    pub(super) own: &'a PublicKey,
    /// Unix time in milliseconds.
    pub(super) now: u64,
}

/// Drops a bounded part of what is not to be kept. The numbers of runs that it forgets are those of no run then.
pub(super) fn step(
    conn: &mut Connection,
    runs: &mut RunNumbers,
    terms: &Terms<'_>,
) -> rusqlite::Result<Step> {
    let Terms { retention, own, now } = *terms;
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    let mut step = Step::default();
    let mut changed = forget_runs(&tx, own)?;
    if retention.drops() {
        let excess = Excess::of(&tx, retention, now)?;
        let mut bodies = drop_bodies(&tx, &excess)?;
        changed |= drop_headers(&tx, &excess)?;
        if let Some(most) = retention.bytes {
            let (dropped, shrunk) = shrink(&tx, own, most)?;
            bodies += dropped;
            changed |= shrunk;
        }
        step.expired = u64::try_from(bodies).unwrap_or(0);
        changed |= bodies > 0;
    }
    if changed {
        tx.commit()?;
        runs.forget();
    } else {
        tx.rollback()?;
    }
    step.more = changed;
    Ok(Step { more: give_back(conn)? || step.more, ..step })
}

/// What there is too much of.
#[derive(Debug, Default)]
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
        if let Some(most) = retention.entries {
            excess.bodies = number(count(conn, "NOT NULL")?.saturating_sub(most));
            excess.headers = number(count(conn, "NULL")?.saturating_sub(most));
        }
        Ok(excess)
    }
}

/// How many entries have no body, or have one.
fn count(conn: &Connection, what: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM entries WHERE body IS {what}");
    conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|count| u64::try_from(count).unwrap_or(0))
}

/// Drops a bounded part, if the database holds more bytes than this. How much that gives back is seen after it. Returns how
/// many bodies went, and whether anything did.
fn shrink(conn: &Connection, own: &PublicKey, most: u64) -> rusqlite::Result<(usize, bool)> {
    if used(conn)? <= most {
        return Ok((0, false));
    }
    // A page is free when all of it is: bodies alone give little back.
    if drop_headers(conn, &Excess { headers: STEP, ..Excess::default() })? {
        return Ok((0, true));
    }
    // Those that are left are the newest of their runs.
    if count(conn, "NULL")? * HEADER.unsigned_abs() > most / LAST_HEADERS && forget_empty(conn, own)? {
        return Ok((0, true));
    }
    let bodies = drop_bodies(conn, &Excess { bodies: STEP / 4, ..Excess::default() })?;
    Ok((bodies, bodies > 0 || forget_empty(conn, own)?))
}

/// The size of what the database holds, in bytes.
pub(super) fn used(conn: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(u64::try_from(pages * pragma("page_size")?).unwrap_or(0))
}

fn drop_bodies(conn: &Connection, excess: &Excess) -> rusqlite::Result<usize> {
    let drop = |condition: &str, bound: i64, most: i64| {
        let mut oldest = conn.prepare_cached(&format!(
            "SELECT entry, run, octet_length(body) FROM entries WHERE body IS NOT NULL AND {condition}
             ORDER BY at LIMIT ?2"
        ))?;
        let oldest = oldest.query_map((bound, most.min(STEP)), Body::of)?;
        drop_all(conn, &oldest.collect::<rusqlite::Result<Vec<_>>>()?)
    };
    let old = drop("at < ?1", excess.bodies_before, STEP)?;
    let many = drop("at >= ?1", 0, excess.bodies)?;
    Ok(old + many)
}

/// A body that is to be dropped.
#[derive(Clone, Copy, Debug)]
struct Body {
    entry: i64,
    run: i64,
    bytes: i64,
}

impl Body {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { entry: row.get(0)?, run: row.get(1)?, bytes: row.get(2)? })
    }
}

fn drop_all(conn: &Connection, bodies: &[Body]) -> rusqlite::Result<usize> {
    let mut taken = BTreeMap::<i64, Share>::new();
    for body in bodies {
        conn.prepare_cached("UPDATE entries SET body = NULL WHERE entry = ?1")?.execute([body.entry])?;
        taken.entry(body.run).or_default().add(body.bytes);
    }
    for (run, share) in taken {
        shares::take(conn, run, share)?;
    }
    Ok(bodies.len())
}

fn drop_headers(conn: &Connection, excess: &Excess) -> rusqlite::Result<bool> {
    let mut select = conn.prepare_cached(
        "SELECT entries.run, seq FROM entries JOIN runs ON runs.run = entries.run
         WHERE body IS NULL AND seq < runs.tip AND at < ?1 ORDER BY at LIMIT ?2",
    )?;
    let mut floors = BTreeMap::<i64, i64>::new();
    for (before, most) in [(excess.headers_before, STEP), (i64::MAX, excess.headers.min(STEP))] {
        let rows = select.query_map((before, most), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            let (run, seq) = row?;
            let floor = floors.entry(run).or_insert(0);
            *floor = (*floor).max(seq + 1);
        }
    }
    for (run, floor) in &floors {
        shares::take(conn, *run, shares::below(conn, *run, *floor)?)?;
        conn.prepare_cached("DELETE FROM entries WHERE run = ?1 AND seq < ?2")?.execute((run, floor))?;
        conn.prepare_cached("UPDATE runs SET floor = max(floor, ?2) WHERE run = ?1")?
            .execute((run, floor))?;
        ranges::cut_below(conn, *run, *floor)?;
    }
    Ok(!floors.is_empty())
}

/// Forgets runs, if there are too many. Those of this node stay.
fn forget_runs(conn: &Connection, own: &PublicKey) -> rusqlite::Result<bool> {
    let own = &own.as_bytes()[..];
    let runs: i64 = conn.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    let share = if runs > RUNS { CROWDED } else { RUNS_OF_KEY };
    let most: Option<(Vec<u8>, i64)> = conn
        .prepare_cached(
            "SELECT key, count(*) - ?2 AS excess FROM runs WHERE key <> ?1 GROUP BY key HAVING excess > 0
             ORDER BY excess DESC LIMIT 1",
        )?
        .query_row((own, share), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (sql, key, excess) = match &most {
        Some((key, excess)) => {
            ("SELECT run FROM runs WHERE key = ?1 ORDER BY latest LIMIT ?2", &key[..], *excess)
        }
        None => ("SELECT run FROM runs WHERE key <> ?1 ORDER BY bodies, latest LIMIT ?2", own, runs - RUNS),
    };
    let mut forgotten = conn.prepare_cached(sql)?;
    let forgotten = forgotten.query_map((key, excess.clamp(0, RUNS_STEP)), |row| row.get(0))?;
    let forgotten: Vec<i64> = forgotten.collect::<rusqlite::Result<_>>()?;
    for run in &forgotten {
        forget(conn, *run)?;
    }
    Ok(!forgotten.is_empty())
}

/// Forgets runs of others of which there are no bodies, those with the oldest entries first.
fn forget_empty(conn: &Connection, own: &PublicKey) -> rusqlite::Result<bool> {
    let mut empty =
        conn.prepare_cached("SELECT run FROM runs WHERE bodies = 0 AND key <> ?1 ORDER BY latest LIMIT ?2")?;
    let empty = empty.query_map((&own.as_bytes()[..], RUNS_STEP), |row| row.get(0))?;
    let empty: Vec<i64> = empty.collect::<rusqlite::Result<_>>()?;
    empty.iter().try_for_each(|run| forget(conn, *run))?;
    Ok(!empty.is_empty())
}

fn forget(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    for table in ["entries", "ranges", "runs"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
    }
    Ok(())
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
