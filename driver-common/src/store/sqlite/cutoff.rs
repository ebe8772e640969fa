//! The time by which entries are too old.
//!
//! A clock that jumps ahead would delete everything. So this time follows the wall clock at a bounded speed, and the database
//! knows how far it came.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::batch::number;
use super::{origin, unix_ms};

/// How far it may jump at a start.
const JUMP: Duration = Duration::from_hours(24);

/// How much faster than time passes it may run behind the wall clock: a day in an hour.
const SPEED: u32 = 24;

/// The fact that says how far it came: Unix time in milliseconds.
const CUTOFF: &str = "retention time";

/// How far it may go on before the database is told.
const TOLD: u64 = 3_600_000;

/// Times are Unix times in milliseconds.
#[derive(Debug)]
pub(super) struct Cutoff {
    at: u64,
    /// When it was there.
    since: Instant,
    /// What the database knows.
    told: u64,
}

impl Cutoff {
    /// What time it is for what is too old.
    pub(super) fn now(cutoff: &mut Option<Self>, conn: &Connection) -> rusqlite::Result<u64> {
        let (wall, now) = (unix_ms(), Instant::now());
        let cutoff = match cutoff {
            Some(cutoff) => cutoff,
            None => cutoff.insert(Self::open(conn, wall, now)?),
        };
        cutoff.advance(conn, wall, now)
    }

    /// Goes on where the node ended that used the database last.
    fn open(conn: &Connection, wall: u64, now: Instant) -> rusqlite::Result<Self> {
        let told = match origin::fact::<i64>(conn, CUTOFF)? {
            Some(told) => Some(told),
            // The clock when the last entry was stored.
            None => {
                let mut heard = conn.prepare("SELECT heard FROM entries ORDER BY entry DESC LIMIT 1")?;
                let mut heard = heard.query([])?;
                heard.next()?.map(|row| row.get(0)).transpose()?
            }
        };
        let told = told.and_then(|told| u64::try_from(told).ok()).unwrap_or(wall);
        Ok(Self { at: told.saturating_add(millis(JUMP)).min(wall), since: now, told })
    }

    /// How far it is now. A wall clock that goes back takes it along. The database is told from time to time.
    fn advance(&mut self, conn: &Connection, wall: u64, now: Instant) -> rusqlite::Result<u64> {
        let passed = now.saturating_duration_since(self.since);
        self.at = self.at.saturating_add(millis(passed * SPEED)).min(wall);
        self.since = now;
        if self.at.abs_diff(self.told) >= TOLD {
            origin::set_fact(conn, CUTOFF, &number(self.at))?;
            self.told = self.at;
        }
        Ok(self.at)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    #[test]
    fn a_clock_that_jumps_ahead_deletes_little() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        let start = Instant::now();
        let after = |hours: u32| start + Duration::from_hours(1) * hours;
        let mut cutoff = Cutoff::open(&conn, 100 * DAY, start).unwrap();
        let mut at = |wall, now| cutoff.advance(&conn, wall, now).unwrap();
        assert_eq!(at(100 * DAY, start), 100 * DAY);
        assert_eq!(at(100 * DAY + HOUR, after(1)), 100 * DAY + HOUR, "it follows the clock");
        // The clock jumps by years, and is put right after two hours.
        assert_eq!(at(9_000 * DAY, after(1)), 100 * DAY + HOUR);
        assert_eq!(at(9_000 * DAY, after(3)), 102 * DAY + HOUR);
        assert_eq!(at(100 * DAY + 3 * HOUR, after(3)), 100 * DAY + 3 * HOUR);
        // It jumps while the node is off.
        let mut cutoff = Cutoff::open(&conn, 9_000 * DAY, start).unwrap();
        assert_eq!(cutoff.advance(&conn, 9_000 * DAY, start).unwrap(), 101 * DAY + 3 * HOUR);
        // The node was off for ten days.
        let mut cutoff = Cutoff::open(&conn, 112 * DAY, start).unwrap();
        assert!(cutoff.advance(&conn, 112 * DAY, after(8)).unwrap() < 112 * DAY);
        assert_eq!(cutoff.advance(&conn, 112 * DAY, after(10)).unwrap(), 112 * DAY, "it catches up");
    }

    #[test]
    fn an_older_database_knows_the_time_by_its_last_entry() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        conn.execute(
            "INSERT INTO entries (id, run, seq, at, heard, signature, mark, header)
             VALUES (x'01', 1, 0, 5, ?1, '', 0, '')",
            [number(100 * DAY)],
        )
        .unwrap();
        let mut cutoff = Cutoff::open(&conn, 9_000 * DAY, Instant::now()).unwrap();
        assert!(cutoff.advance(&conn, 9_000 * DAY, Instant::now()).unwrap() < 102 * DAY);
    }
}
