//! Drops what is too old, or too much. Bodies go first, then headers. Of each run the newest header stays, and the number
//! below which the run is expired: that is not missing. Runs are forgotten as a whole where there are too many, or where
//! their newest headers alone are too large.
//!
//! What is too old goes, whoever said it. Of what is too much, the oldest goes of whoever has most, so that nobody displaces
//! what others said by saying more.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::{PublicKey, StoreChange};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::batch::{RunNumbers, number};
use super::ranges;
use super::rows;
use super::shares::{self, HEADER, Share};

/// What is kept. The default keeps everything that the disk has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Nothing that was said longer ago. The header of an entry stays as long again.
    pub age: Option<Duration>,
    /// So many entries. As many headers stay.
    pub entries: Option<u64>,
    /// So many bytes of the database. Headers without bodies go first, except the newest of each run. None: as many as the disk has room for.
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

/// The part of what may be kept that this node's own words have for themselves: a quarter.
const OWN: u64 = 4;

/// The most bodies that one step drops of those that have too much: how much that gives back is seen after it.
const AT_ONCE: usize = 128;

/// How many keys lose something in one step.
const LARGEST: i64 = 64;

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

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) retention: &'a Retention,
    /// The key of this node.
    pub(super) own: &'a PublicKey,
    /// How many bytes the database may hold.
    pub(super) most: Option<u64>,
    /// Unix time in milliseconds.
    pub(super) now: u64,
}

/// Drops a bounded part of what is not to be kept. The numbers of runs that it forgets are those of no run then.
pub(super) fn step(
    conn: &mut Connection,
    runs: &mut RunNumbers,
    terms: &Terms<'_>,
) -> rusqlite::Result<Step> {
    let Terms { retention, own, most, now } = *terms;
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    let mut step = Step::default();
    let mut changed = forget_runs(&tx, own, &mut step.floors)?;
    let excess = Excess::of(&tx, retention, now)?;
    let mut bodies = drop_old(&tx, excess.bodies_before)?;
    if excess.bodies > 0 {
        let goal =
            Goal { what: Measure::Bodies, spared: retention.entries.unwrap_or(0) / OWN, goal: excess.bodies };
        bodies += drop_of_largest(&tx, own, goal)?;
    }
    changed |= drop_headers(&tx, &excess, &mut step.floors)?;
    if let Some(most) = most {
        let (dropped, shrunk) = shrink(&tx, own, most, &mut step.floors)?;
        bodies += dropped;
        changed |= shrunk;
    }
    step.expired = u64::try_from(bodies).unwrap_or(0);
    changed |= bodies > 0;
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
    /// Bodies of entries dated before this are to go, and as many of whoever has most.
    bodies_before: i64,
    bodies: i64,
    /// Headers without bodies: those dated before this, and as many of the oldest.
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
fn shrink(
    conn: &Connection,
    own: &PublicKey,
    most: u64,
    raised: &mut Vec<StoreChange>,
) -> rusqlite::Result<(usize, bool)> {
    let used = used(conn)?;
    if used <= most {
        return Ok((0, false));
    }
    // A page is free when all of it is: bodies alone give little back.
    if drop_headers(conn, &Excess { headers: STEP, ..Excess::default() }, raised)? {
        return Ok((0, true));
    }
    // Those that are left are the newest of their runs.
    if count(conn, "NULL")? * HEADER.unsigned_abs() > most / LAST_HEADERS && forget_empty(conn, own, raised)?
    {
        return Ok((0, true));
    }
    let goal = Goal { what: Measure::Bytes, spared: most / OWN, goal: number(used - most) };
    let bodies = drop_of_largest(conn, own, goal)?;
    Ok((bodies, bodies > 0 || forget_empty(conn, own, raised)?))
}

/// The size of what the database holds, in bytes.
pub(super) fn used(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(size(conn, "page_count")?.saturating_sub(unused(conn)?))
}

/// The size of what the database does not use and has not given back yet, in bytes.
pub(super) fn unused(conn: &Connection) -> rusqlite::Result<u64> {
    size(conn, "freelist_count")
}

fn size(conn: &Connection, pages: &str) -> rusqlite::Result<u64> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(u64::try_from(pragma(pages)? * pragma("page_size")?).unwrap_or(0))
}

fn drop_old(conn: &Connection, before: i64) -> rusqlite::Result<usize> {
    let mut oldest = conn.prepare_cached(
        "SELECT entry, run, octet_length(body) FROM entries WHERE body IS NOT NULL AND at < ?1
         ORDER BY at LIMIT ?2",
    )?;
    let oldest = oldest.query_map((before, STEP), |row| {
        Ok(Body { entry: row.get(0)?, run: row.get(1)?, bytes: row.get(2)? })
    })?;
    drop_all(conn, &oldest.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// By what the largest is found.
#[derive(Clone, Copy, Debug)]
enum Measure {
    Bodies,
    Bytes,
}

/// How much is to go.
#[derive(Clone, Copy, Debug)]
struct Goal {
    what: Measure,
    /// As much of this node's own stays while there are others.
    spared: u64,
    goal: i64,
}

/// Drops bodies of those that have most, the oldest of each first, so that they have as much as each other then.
fn drop_of_largest(conn: &Connection, own: &PublicKey, goal: Goal) -> rusqlite::Result<usize> {
    let own = &own.as_bytes()[..];
    let mut spared = number(goal.spared);
    let mut found = largest(conn, goal.what, own, spared)?;
    if found.is_empty() {
        spared = 0;
        found = largest(conn, goal.what, own, spared)?;
    }
    let shares: Vec<i64> = found.iter().map(|(_, share)| *share).collect();
    let level = level(&shares, goal.goal);
    let mut bodies = Vec::new();
    for (key, share) in &found {
        let level = if key == own { level.max(spared) } else { level };
        bodies.extend(oldest_above(conn, key, goal.what, share - level)?);
        if bodies.len() >= AT_ONCE {
            bodies.truncate(AT_ONCE);
            break;
        }
    }
    drop_all(conn, &bodies)
}

/// Those that have most: their keys, and what they have. This node is one of them if it has more than is spared.
fn largest(
    conn: &Connection,
    what: Measure,
    own: &[u8],
    spared: i64,
) -> rusqlite::Result<Vec<(Vec<u8>, i64)>> {
    let what = match what {
        Measure::Bodies => "bodies",
        Measure::Bytes => "bytes",
    };
    let mut largest = conn.prepare_cached(&format!(
        "SELECT key, sum({what}) AS share FROM runs GROUP BY key
         HAVING share > 0 AND (key <> ?1 OR share > ?2) ORDER BY share DESC LIMIT ?3"
    ))?;
    largest.query_map((own, spared, LARGEST), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// To what shares are lowered so that as much as the goal goes, or less. They descend, and there may be more that are no larger
/// than the last one.
fn level(shares: &[i64], goal: i64) -> i64 {
    let (mut sum, mut level) = (0, 0);
    for (count, share) in (1..).zip(shares) {
        if count > 1 && level >= *share {
            break;
        }
        sum += share;
        level = ((sum - goal) / count).max(0);
    }
    let (Some(first), Some(last)) = (shares.first(), shares.last()) else { return 0 };
    // More that have as much as these may follow.
    if shares.len() < usize::try_from(LARGEST).unwrap_or(usize::MAX) || level >= *last {
        level
    } else if first > last {
        *last
    } else {
        level.max(first - first / 4 - 1)
    }
}

/// The oldest bodies of a key, until so much is reached.
fn oldest_above(conn: &Connection, key: &[u8], what: Measure, goal: i64) -> rusqlite::Result<Vec<Body>> {
    let (mut bodies, mut dropped) = (Vec::new(), Share::default());
    // A body counts as one, or as more bytes than a header.
    let most = match what {
        Measure::Bodies => goal,
        Measure::Bytes => goal / HEADER + 1,
    };
    for (_, entry, run) in oldest(conn, key, most.min(STEP))? {
        let so_far = match what {
            Measure::Bodies => dropped.bodies,
            Measure::Bytes => dropped.bytes,
        };
        if so_far >= goal {
            break;
        }
        let mut length = conn.prepare_cached("SELECT octet_length(body) FROM entries WHERE entry = ?1")?;
        let bytes = length.query_row([entry], |row| row.get(0))?;
        dropped.add(bytes);
        bodies.push(Body { entry, run, bytes });
    }
    Ok(bodies)
}

/// The oldest bodies of a key: date, entry and run.
fn oldest(conn: &Connection, key: &[u8], most: i64) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let mut runs =
        conn.prepare_cached("SELECT run FROM runs WHERE key = ?1 AND bodies > 0 ORDER BY latest LIMIT ?2")?;
    let runs: Vec<i64> =
        runs.query_map((key, CROWDED), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut oldest = Vec::new();
    for run in &runs {
        let mut bodies = conn.prepare_cached(
            "SELECT at, entry, run FROM entries WHERE run = ?1 AND body IS NOT NULL ORDER BY at LIMIT ?2",
        )?;
        let bodies =
            bodies.query_map((run, most.max(1)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let before = oldest.len();
        oldest.extend(bodies.collect::<rusqlite::Result<Vec<_>>>()?);
        if oldest.len() == before {
            // Damage made the sum wrong.
            shares::count_again(conn, *run)?;
        }
    }
    oldest.sort_unstable();
    Ok(oldest)
}

/// A body that is to be dropped.
#[derive(Clone, Copy, Debug)]
struct Body {
    entry: i64,
    run: i64,
    bytes: i64,
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

fn drop_headers(conn: &Connection, excess: &Excess, raised: &mut Vec<StoreChange>) -> rusqlite::Result<bool> {
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
        raised.extend(expired(conn, *run, *floor)?);
    }
    Ok(!floors.is_empty())
}

/// Forgets runs, if there are too many. Those of this node stay.
fn forget_runs(conn: &Connection, own: &PublicKey, raised: &mut Vec<StoreChange>) -> rusqlite::Result<bool> {
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
        forget(conn, *run, raised)?;
    }
    Ok(!forgotten.is_empty())
}

/// Forgets runs of others of which there are no bodies, those with the oldest entries first.
fn forget_empty(conn: &Connection, own: &PublicKey, raised: &mut Vec<StoreChange>) -> rusqlite::Result<bool> {
    let mut empty =
        conn.prepare_cached("SELECT run FROM runs WHERE bodies = 0 AND key <> ?1 ORDER BY latest LIMIT ?2")?;
    let empty = empty.query_map((&own.as_bytes()[..], RUNS_STEP), |row| row.get(0))?;
    let empty: Vec<i64> = empty.collect::<rusqlite::Result<_>>()?;
    empty.iter().try_for_each(|run| forget(conn, *run, raised))?;
    Ok(!empty.is_empty())
}

fn forget(conn: &Connection, run: i64, raised: &mut Vec<StoreChange>) -> rusqlite::Result<()> {
    let tip: Option<i64> = conn
        .prepare_cached("SELECT tip FROM runs WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    if let Some(tip) = tip {
        raised.extend(expired(conn, run, tip + 1)?);
    }
    for table in ["entries", "ranges", "runs"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([run])?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_more_than_others_is_lowered_to_their_level() {
        assert_eq!(level(&[], 5), 0);
        assert_eq!(level(&[9], 5), 4);
        assert_eq!(level(&[9], 50), 0);
        assert_eq!(level(&[100, 20, 10], 70), 30);
        assert_eq!(level(&[100, 20, 10], 90), 15);
        assert_eq!(level(&[100, 20, 10], 106), 8);
        // There may be more of these.
        let mut many = [40; LARGEST as usize];
        assert_eq!(level(&many, 10_000), 29);
        assert_eq!(level(&many, 64), 39);
        many[0] = 100;
        assert_eq!(level(&many, 10_000), 40);
        assert_eq!(level(&many, 50), 50);
    }
}
