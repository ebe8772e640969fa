//! Connections to the database.

use std::time::Duration;

use proto_core::PublicKey;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::{OpenError, problem};
use super::files::Files;
use super::{origin, schema};
use crate::store::StoreProblem;
use crate::store::channel::Shared;

/// How long to wait for another program that has locked the database, such as one that copies it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The fact that says whether the last node that used the database closed it.
const CLEAN: &str = "clean";

/// Opens the database, or makes it. Its schema is up to date then.
pub(super) fn open_to_write(files: &Files) -> Result<Connection, OpenError> {
    files.make()?;
    let mut conn = open(files, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::check(&conn)?;
    // It takes effect before the first table is made.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        tracing::warn!(mode, "the database cannot have a write-ahead log");
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    conn.pragma_update(None, "cache_size", -8 * 1024)?;
    schema::migrate(&mut conn)?;
    Ok(conn)
}

/// Opens the database to read.
pub(super) fn open_to_read(files: &Files) -> Result<Connection, OpenError> {
    let conn = open(files, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema::check(&conn)?;
    Ok(conn)
}

fn open(files: &Files, access: OpenFlags) -> Result<Connection, OpenError> {
    let conn = Connection::open_with_flags(files.database(), access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(PATIENCE)?;
    conn.set_prepared_statement_cache_capacity(64);
    // What is in the file cannot make SQLite do more than read and write tables.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// The first commit of a run. If the database may be `behind`, the node begins other runs of its own.
pub(super) fn begin(
    conn: &mut Connection,
    files: &Files,
    key: PublicKey,
    behind: bool,
) -> rusqlite::Result<()> {
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    if behind {
        tx.execute("DELETE FROM own", [])?;
    }
    origin::begin(&tx, files, key)?;
    if origin::fact::<i64>(&tx, CLEAN)? == Some(0) {
        tracing::info!("the store was not closed when the node ran last");
    }
    origin::set_fact(&tx, CLEAN, &0)?;
    tx.commit()
}

/// The last commit of a run.
pub(super) fn end(conn: &mut Connection, files: &Files, key: PublicKey) -> rusqlite::Result<()> {
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    origin::begin(&tx, files, key)?;
    origin::set_fact(&tx, CLEAN, &1)?;
    tx.commit()?;
    // This is optional: the next node that opens the database does it.
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// Looks for damage in the whole database, while the node runs.
pub(super) fn check(shared: &Shared, files: &Files) {
    let database = shared.database();
    let checked = open_to_read(files).and_then(|conn| {
        let mut rows = conn.prepare("PRAGMA quick_check(1)")?;
        Ok(rows.query_row([], |row| row.get::<_, String>(0))?)
    });
    match checked {
        Ok(found) if found == "ok" => tracing::debug!("the database is sound"),
        Ok(found) => {
            tracing::info!(found, file = %files.database().display(), "the database is damaged");
            shared.rebuild(database);
        }
        Err(OpenError::Sqlite(error)) if problem(&error) == StoreProblem::Damaged => {
            tracing::info!(%error, file = %files.database().display(), "the database is damaged");
            shared.rebuild(database);
        }
        Err(error) => tracing::debug!(?error, "the database cannot be checked"),
    }
}
