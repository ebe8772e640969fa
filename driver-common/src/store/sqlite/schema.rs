//! The schema of the database, and how an older one is brought up to date.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::OpenError;

/// Marks the file as a database of this program: "p2pc".
pub(super) const APPLICATION: i32 = 0x7032_7063;

/// The version of the schema that this program writes: the number of migrations.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Each brings the schema to the next version. What stands here is never changed: add another one.
const MIGRATIONS: [&str; 3] = [
    // Numbers are at most 2^53 - 1, so all are legal integers here. The empty text is the lobby, or the class of what is
    // kept. `floor` is the number below which a run is expired. `ranges` says which numbers of a run are held.
    //
    // Entries are numbered in the order in which this node stored them. `body` is null when it is gone. `mark` is a hash of
    // the signature: the id is one of the header, which has one of the body.
    //
    // `own` is the last entry of this node in each class.
    "CREATE TABLE runs (
        run INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        room TEXT NOT NULL,
        class TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        tip INTEGER NOT NULL,
        latest INTEGER NOT NULL,
        floor INTEGER NOT NULL DEFAULT 0,
        UNIQUE (key, room, class, epoch)
    ) STRICT;
    CREATE INDEX runs_by_time ON runs (latest);
    CREATE TABLE entries (
        entry INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE,
        run INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        heard INTEGER NOT NULL,
        signature TEXT NOT NULL,
        mark INTEGER NOT NULL,
        header TEXT NOT NULL,
        body TEXT
    ) STRICT;
    CREATE INDEX entries_by_number ON entries (run, seq);
    CREATE INDEX bodies_by_time ON entries (at) WHERE body IS NOT NULL;
    CREATE INDEX gone_by_time ON entries (at) WHERE body IS NULL;
    CREATE TABLE ranges (
        run INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (run, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE own (
        class TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        id BLOB NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE mutes (
        node BLOB PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE facts (
        name TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // What was unusual about an entry when it was shown, as bits (see `rows`).
    "ALTER TABLE entries ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;",
    SHARES,
];

/// `bodies` and `bytes` are what a run takes ([`super::shares`]). The number of a run that was forgotten is never given again.
/// `place` is the key and the epoch, 8 bytes with the highest first: with `at` before, `seq` and `id` behind, it orders the
/// conversation.
const SHARES: &str = "
    DELETE FROM entries WHERE run NOT IN (SELECT run FROM runs);
    DELETE FROM ranges WHERE run NOT IN (SELECT run FROM runs);
    CREATE TABLE new_runs (
        run INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL,
        room TEXT NOT NULL,
        class TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        tip INTEGER NOT NULL,
        latest INTEGER NOT NULL,
        floor INTEGER NOT NULL DEFAULT 0,
        bodies INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        UNIQUE (key, room, class, epoch)
    ) STRICT;
    INSERT INTO new_runs SELECT run, key, room, class, epoch, tip, latest, floor,
        (SELECT count(*) FROM entries WHERE entries.run = runs.run AND body IS NOT NULL),
        (SELECT coalesce(sum(octet_length(body) + 1024), 0) FROM entries
            WHERE entries.run = runs.run AND body IS NOT NULL)
        FROM runs;
    DROP TABLE runs;
    ALTER TABLE new_runs RENAME TO runs;
    CREATE INDEX runs_by_time ON runs (latest);
    ALTER TABLE entries ADD COLUMN place BLOB NOT NULL DEFAULT x'';
    UPDATE entries SET place =
        (SELECT unhex(hex(key) || printf('%016x', epoch)) FROM runs WHERE runs.run = entries.run);
    DROP INDEX bodies_by_time;
    CREATE INDEX bodies_by_place ON entries (at, place, seq, id) WHERE body IS NOT NULL;
    CREATE INDEX bodies_by_run ON entries (run, at) WHERE body IS NOT NULL;";

/// Makes the tables of a new database, or brings those of an older one up to date.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let found = check(conn)?;
    if found == VERSION {
        return Ok(());
    }
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let found: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}

/// The version of the schema in the file: 0 if the file is new.
pub(super) fn check(conn: &Connection) -> Result<i32, OpenError> {
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = application == 0 && version == 0 && tables == 0;
    match version {
        _ if application != APPLICATION && !is_new => Err(OpenError::OtherProgram),
        newer if newer > VERSION => Err(OpenError::Newer { found: newer, known: VERSION }),
        _ => Ok(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_made_once_and_others_are_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        assert_eq!(check(&conn).unwrap(), 0);
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(check(&conn).unwrap(), VERSION);
        conn.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(migrate(&mut conn), Err(OpenError::Newer { found, .. }) if found == VERSION + 1));
        conn.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(migrate(&mut conn), Err(OpenError::OtherProgram)));
        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE notes (note TEXT)").unwrap();
        assert!(matches!(migrate(&mut other), Err(OpenError::OtherProgram)));
    }

    #[test]
    fn a_database_of_an_older_version_is_brought_up_to_date_with_all_that_is_in_it() {
        for version in 1..VERSION {
            let mut conn = Connection::open_in_memory().unwrap();
            for migration in MIGRATIONS.iter().take(usize::try_from(version).unwrap()) {
                conn.execute_batch(migration).unwrap();
            }
            conn.pragma_update(None, "application_id", APPLICATION).unwrap();
            conn.pragma_update(None, "user_version", version).unwrap();
            let run = "INSERT INTO runs (run, key, room, class, epoch, tip, latest)
                 VALUES (1, x'00', '', '', 1, 2, 3)";
            conn.execute(run, []).unwrap();
            let insert = "INSERT INTO entries (id, run, seq, at, heard, signature, mark, header, body)
                 VALUES (x'00', 1, 2, 3, 4, 'signature', 5, 'header', 'body')";
            conn.execute(insert, []).unwrap();
            migrate(&mut conn).unwrap();
            assert_eq!(check(&conn).unwrap(), VERSION);
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: (String, i64) = conn.query_row("SELECT body, marks FROM entries", [], read).unwrap();
            assert_eq!(found, ("body".to_owned(), 0));
        }
    }

    #[test]
    fn an_older_database_gets_what_a_new_one_has() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(MIGRATIONS[0]).unwrap();
        conn.pragma_update(None, "application_id", APPLICATION).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute(
            "INSERT INTO runs (run, key, room, class, epoch, tip, latest) VALUES (2, x'00ff', '', '', 258, 1, 6)",
            [],
        )
        .unwrap();
        // Run 9 was forgotten before an entry of it was stored.
        for (id, run, seq) in [(0_u8, 2, 0), (1, 2, 1), (2, 9, 0)] {
            conn.execute(
                "INSERT INTO entries (id, run, seq, at, heard, signature, mark, header, body)
                 VALUES (?1, ?2, ?3, 5, 0, '', 0, 'header', 'é')",
                (&[id][..], run, seq),
            )
            .unwrap();
        }
        migrate(&mut conn).unwrap();
        let runs: (i64, i64) = conn
            .query_row("SELECT bodies, bytes FROM runs", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(runs, (2, 2 * (2 + super::super::shares::HEADER)));
        let places: Vec<Vec<u8>> = {
            let mut rows = conn.prepare("SELECT place FROM entries").unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(places, [[0, 255, 0, 0, 0, 0, 0, 0, 1, 2]; 2]);
        // Its number is not given again.
        conn.execute("DELETE FROM runs", []).unwrap();
        conn.execute(
            "INSERT INTO runs (key, room, class, epoch, tip, latest) VALUES (x'01', '', '', 1, 1, 6)",
            [],
        )
        .unwrap();
        assert_eq!(conn.last_insert_rowid(), 3);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        assert!(conn.execute("INSERT INTO ranges VALUES (1, 'one', 2)", []).is_err());
    }
}
