//! Which numbers of a run are held: ranges that are disjoint and do not touch.

use rusqlite::{Connection, OptionalExtension};

/// Adds the numbers `first` to `last` of a run.
pub(super) fn add(conn: &Connection, run: i64, first: i64, last: i64) -> rusqlite::Result<()> {
    let (mut joined_first, mut joined_last) = (first, last);
    // The ranges that overlap or touch, from the last one down.
    loop {
        let mut below = conn.prepare_cached(
            "SELECT first, last FROM ranges WHERE run = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
        )?;
        let found: Option<(i64, i64)> = below
            .query_row((run, joined_last + 1), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .filter(|(_, last)| *last >= joined_first - 1);
        let Some((below_first, below_last)) = found else { break };
        if below_first <= joined_first && joined_last <= below_last {
            return Ok(());
        }
        if below_first <= joined_first && below_last < joined_last {
            // The common case: the run goes on.
            let mut extend =
                conn.prepare_cached("UPDATE ranges SET last = ?3 WHERE run = ?1 AND first = ?2")?;
            extend.execute((run, below_first, joined_last))?;
            return Ok(());
        }
        joined_first = joined_first.min(below_first);
        joined_last = joined_last.max(below_last);
        remove_range(conn, run, below_first)?;
    }
    insert(conn, run, joined_first, joined_last)
}

/// Takes one number out of the ranges of a run.
pub(super) fn remove(conn: &Connection, run: i64, seq: i64) -> rusqlite::Result<()> {
    let mut around = conn.prepare_cached(
        "SELECT first, last FROM ranges WHERE run = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let found: Option<(i64, i64)> = around
        .query_row((run, seq), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .filter(|(_, last)| *last >= seq);
    let Some((first, last)) = found else { return Ok(()) };
    remove_range(conn, run, first)?;
    if first < seq {
        insert(conn, run, first, seq - 1)?;
    }
    if seq < last {
        insert(conn, run, seq + 1, last)?;
    }
    Ok(())
}

/// Takes all numbers below `floor` out of the ranges of a run.
pub(super) fn cut_below(conn: &Connection, run: i64, floor: i64) -> rusqlite::Result<()> {
    let mut around = conn.prepare_cached(
        "SELECT last FROM ranges WHERE run = ?1 AND first < ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let last: Option<i64> = around.query_row((run, floor), |row| row.get(0)).optional()?;
    conn.prepare_cached("DELETE FROM ranges WHERE run = ?1 AND first < ?2")?.execute((run, floor))?;
    match last {
        Some(last) if last >= floor => insert(conn, run, floor, last),
        _ => Ok(()),
    }
}

/// Brings the ranges and the tip of a run up to date with its entries. Returns the ranges of those that are not held any more.
pub(super) fn count_again(conn: &Connection, run: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    let before = of_run(conn, run)?;
    conn.execute("DELETE FROM ranges WHERE run = ?1", [run])?;
    let mut numbers = conn.prepare("SELECT DISTINCT seq FROM entries WHERE run = ?1 ORDER BY seq")?;
    let mut numbers = numbers.query([run])?;
    let mut range: Option<(i64, i64)> = None;
    while let Some(row) = numbers.next()? {
        let seq: i64 = row.get(0)?;
        range = match range {
            Some((first, last)) if last + 1 == seq => Some((first, seq)),
            before => {
                if let Some((first, last)) = before {
                    insert(conn, run, first, last)?;
                }
                Some((seq, seq))
            }
        };
    }
    if let Some((first, last)) = range {
        insert(conn, run, first, last)?;
    }
    conn.execute("UPDATE runs SET tip = ?2 WHERE run = ?1", (run, range.map_or(-1, |(_, last)| last)))?;
    Ok(without(before, &of_run(conn, run)?))
}

/// The ranges of a run, the lowest first.
fn of_run(conn: &Connection, run: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut rows = conn.prepare_cached("SELECT first, last FROM ranges WHERE run = ?1 ORDER BY first")?;
    rows.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// What some ranges have and others have not. Both ascend.
fn without(ranges: Vec<(i64, i64)>, others: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut left = Vec::new();
    for (mut first, last) in ranges {
        for (from, to) in others.iter().filter(|(from, _)| *from <= last) {
            if first < *from {
                left.push((first, from - 1));
            }
            first = first.max(to + 1);
        }
        if first <= last {
            left.push((first, last));
        }
    }
    left
}

fn insert(conn: &Connection, run: i64, first: i64, last: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO ranges (run, first, last) VALUES (?1, ?2, ?3)")?
        .execute((run, first, last))
        .map(drop)
}

fn remove_range(conn: &Connection, run: i64, first: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM ranges WHERE run = ?1 AND first = ?2")?.execute((run, first)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::schema;
    use super::*;

    fn all(conn: &Connection) -> Vec<(i64, i64)> {
        of_run(conn, 1).unwrap()
    }

    #[test]
    fn what_is_taken_away_is_what_is_left_out() {
        let ranges = vec![(0, 9), (20, 29), (40, 49)];
        assert_eq!(without(ranges.clone(), &ranges), []);
        assert_eq!(without(ranges.clone(), &[]), ranges);
        let others = [(1, 2), (4, 22), (24, 24), (29, 45)];
        assert_eq!(without(ranges, &others), [(0, 0), (3, 3), (23, 23), (25, 28), (46, 49)]);
    }

    /// The ranges of a set, as they have to be.
    fn ranges_of(set: &BTreeSet<i64>) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for &number in set {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges
    }

    #[test]
    fn they_are_those_of_a_set_of_numbers() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        let mut set = BTreeSet::new();
        let mut random = 12_345_u64;
        let mut next = |below: i64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(random >> 33).unwrap() % below
        };
        for _ in 0..3_000 {
            let first = next(60);
            match next(12) {
                0..8 => {
                    let last = first + next(6);
                    add(&conn, 1, first, last).unwrap();
                    set.extend(first..=last);
                }
                8..11 => {
                    remove(&conn, 1, first).unwrap();
                    set.remove(&first);
                }
                _ => {
                    cut_below(&conn, 1, first / 4).unwrap();
                    set.retain(|number| *number >= first / 4);
                }
            }
            assert_eq!(all(&conn), ranges_of(&set));
        }
    }
}
