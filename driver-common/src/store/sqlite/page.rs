//! Reads the conversation backwards, a page at a time.

use proto_core::{Loaded, NetworkId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::{self, COLUMNS, Damaged, Read};
use super::unix_ms;
use crate::store::{Cursor, Shown};

/// How far ahead of this clock an entry may be dated to be shown, in milliseconds. The node parks others (SPEC 9.4.1).
const AHEAD_MS: u64 = 10_000;

/// The most entries of a page.
const ENTRIES: usize = 1_024;

/// The last entries before a place in the conversation, the newest of them first. With a cursor within an entry, that entry
/// is the first. None: the cursor names no entry.
pub(super) fn read(
    conn: &Connection,
    network: NetworkId,
    before: Option<Cursor>,
    entries: usize,
    damaged: &mut Vec<Damaged>,
) -> rusqlite::Result<Option<Vec<Shown>>> {
    let entries = i64::try_from(entries.min(ENTRIES)).unwrap_or(i64::MAX);
    let mut shown = Shows { network, shown: Vec::new(), damaged };
    let Some(cursor) = before else {
        let mut rows = conn.prepare_cached(&select("at <= ?2"))?;
        let most = super::batch::number(unix_ms().saturating_add(AHEAD_MS));
        let mut rows = rows.query((entries, most))?;
        while let Some(row) = rows.next()? {
            shown.take(row)?;
        }
        return Ok(Some(shown.shown));
    };
    let Some((at, run, seq)) = place(conn, cursor)? else { return Ok(None) };
    let id = &cursor.id.as_bytes()[..];
    let mut rows = conn.prepare_cached(&select(if cursor.part > 0 { TO_CURSOR } else { BEFORE_CURSOR }))?;
    let mut rows = rows.query((entries, at, run, seq, id))?;
    while let Some(row) = rows.next()? {
        shown.take(row)?;
    }
    Ok(Some(shown.shown))
}

/// What comes before the cursor. The entry itself is on the page if lines of it do.
pub(super) const BEFORE_CURSOR: &str = "(at, place, seq, id) < (?2, ?3, ?4, ?5)";
const TO_CURSOR: &str = "(at, place, seq, id) <= (?2, ?3, ?4, ?5)";

/// The order is that of SPEC 7.3, and of the index: a page costs what it shows, however many entries are of one moment.
pub(super) fn select(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM entries AS other WHERE other.run = entries.run
             AND other.seq = entries.seq AND other.entry <> entries.entry), entries.marks
         FROM entries INDEXED BY bodies_by_place CROSS JOIN runs ON runs.run = entries.run
         WHERE body IS NOT NULL AND runs.room = '' AND {condition}
         ORDER BY at DESC, place DESC, seq DESC, id DESC LIMIT ?1"
    )
}

type Place = (i64, Vec<u8>, i64);

fn place(conn: &Connection, cursor: Cursor) -> rusqlite::Result<Option<Place>> {
    let mut row = conn.prepare_cached("SELECT at, place, seq FROM entries WHERE id = ?1")?;
    row.query_row([&cursor.id.as_bytes()[..]], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}

struct Shows<'a> {
    network: NetworkId,
    shown: Vec<Shown>,
    damaged: &'a mut Vec<Damaged>,
}

impl Shows<'_> {
    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut marks = rows::marks_of(row.get(10)?);
        marks.forked = row.get(9)?;
        match rows::read(row, self.network)? {
            Read::Whole(stored) => {
                let number = u64::try_from(stored.entry).unwrap_or(0);
                if let Loaded::Entry(entry) = stored.loaded {
                    self.shown.push(Shown { number, heard: stored.heard, entry, marks });
                }
            }
            Read::Damaged(row) => self.damaged.push(row),
        }
        Ok(())
    }
}
