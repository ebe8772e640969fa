//! How much each run takes on the disk: bodies, and the bytes of these entries.

use rusqlite::Connection;

/// What an entry takes besides its body, with its places in the indexes, in bytes.
pub(super) const HEADER: i64 = 1_024;

/// What came or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) bodies: i64,
    pub(super) bytes: i64,
}

impl Share {
    /// Another entry, whose body has so many bytes.
    pub(super) fn add(&mut self, body: i64) {
        self.bodies += 1;
        self.bytes += body + HEADER;
    }
}

/// A run has more.
pub(super) fn add(conn: &Connection, run: i64, share: Share) -> rusqlite::Result<()> {
    change(conn, run, share.bodies, share.bytes)
}

/// A run has less.
pub(super) fn take(conn: &Connection, run: i64, share: Share) -> rusqlite::Result<()> {
    change(conn, run, -share.bodies, -share.bytes)
}

fn change(conn: &Connection, run: i64, bodies: i64, bytes: i64) -> rusqlite::Result<()> {
    // Damage may make a sum wrong: what it is about is in the database, and not what it should be.
    conn.prepare_cached(
        "UPDATE runs SET bodies = max(0, bodies + ?2), bytes = max(0, bytes + ?3) WHERE run = ?1",
    )?
    .execute((run, bodies, bytes))
    .map(drop)
}

/// Counts what a run has anew.
pub(super) fn count_again(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    let share = below(conn, run, i64::MAX)?;
    conn.prepare_cached("UPDATE runs SET bodies = ?2, bytes = ?3 WHERE run = ?1")?
        .execute((run, share.bodies, share.bytes))
        .map(drop)
}

/// What a run has below this number.
pub(super) fn below(conn: &Connection, run: i64, seq: i64) -> rusqlite::Result<Share> {
    let mut bodies = conn.prepare_cached(
        "SELECT octet_length(body) FROM entries WHERE run = ?1 AND seq < ?2 AND body IS NOT NULL",
    )?;
    let mut rows = bodies.query((run, seq))?;
    let mut share = Share::default();
    while let Some(row) = rows.next()? {
        share.add(row.get(0)?);
    }
    Ok(share)
}
