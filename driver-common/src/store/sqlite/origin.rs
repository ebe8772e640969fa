//! Whether a database is the latest that this node wrote. If it may be a copy or an older state, the node may have
//! signed entries that the database lacks, so it must not go on where the database ends.
//!
//! Two small files beside the database tell. `history.id` has a random number that the database has, too, together with
//! the machine, with the file's change time, and with the inodes of all three files. Each start and each end of a node writes
//! another number. A copy of the folder, or one of which any part was put back, differs there: nobody can set a change time.
//! `history.count` counts the commits with entries of this node. It is behind a database by one commit at most if the process
//! was killed, and by more after a loss of power. It is ahead of a database that was replaced by an older one.
//!
//! Where the whole file system goes back to an older state, as by a snapshot, nothing here can tell.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use proto_core::PublicKey;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::files::Files;
use crate::data::secret;

/// The fact that names the origin.
const ORIGIN: &str = "origin";
/// The fact that says for whom the database was written.
const KEY: &str = "key";
/// The fact that counts commits with own entries.
const COUNT: &str = "own commits";
/// The fact that counts commits that failed.
const FAILURES: &str = "failed commits";

/// Whether the database may be behind what the node of this key signed.
pub(super) fn may_be_behind(conn: &Connection, files: &Files, key: PublicKey) -> rusqlite::Result<bool> {
    let stored: Option<String> = fact(conn, ORIGIN)?;
    let found = origin(files).ok();
    let same_node = fact::<Vec<u8>>(conn, KEY)?.is_some_and(|stored| stored == key.as_bytes());
    let counted = read_count(files).is_some_and(|counted| counted <= count(conn).unwrap_or(0));
    Ok(stored.is_none() || stored != found || !same_node || !counted)
}

/// Whether no node used the database before.
pub(super) fn is_new(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(fact::<String>(conn, ORIGIN)?.is_none())
}

/// Makes this database the latest of this node, from now on.
pub(super) fn begin(conn: &Connection, files: &Files, key: PublicKey) -> rusqlite::Result<()> {
    let count = count(conn)?.max(read_count(files).unwrap_or(0));
    let origin = write(files, count).map_err(|error| cannot_write(&error))?;
    set_fact(conn, ORIGIN, &origin)?;
    set_fact(conn, KEY, &&key.as_bytes()[..])?;
    set_fact(conn, COUNT, &count)
}

/// The file that counts.
#[derive(Debug)]
pub(super) struct Counter(File);

impl Counter {
    pub(super) fn open(files: &Files) -> io::Result<Self> {
        OpenOptions::new().write(true).open(files.count()).map(Self)
    }

    /// Call this after the commit.
    pub(super) fn set(&self, count: i64) {
        // If it cannot be written, the node begins another epoch when it starts again, at worst.
        let _ = self.0.write_all_at(&count.to_le_bytes(), 0);
    }

    /// Makes sure that the disk has it.
    pub(super) fn sync(&self) {
        let _ = self.0.sync_data();
    }
}

/// Counts a commit with own entries, inside of it.
pub(super) fn count_commit(conn: &Connection) -> rusqlite::Result<i64> {
    add_one(conn, COUNT)
}

/// Counts a commit that failed.
pub(super) fn count_failure(conn: &Connection) -> rusqlite::Result<i64> {
    add_one(conn, FAILURES)
}

fn add_one(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO facts (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
         RETURNING value",
    )?;
    statement.query_row([name], |row| row.get(0))
}

fn count(conn: &Connection) -> rusqlite::Result<i64> {
    Ok(fact(conn, COUNT)?.unwrap_or(0))
}

/// A fact of the database.
pub(super) fn fact<T: rusqlite::types::FromSql>(
    conn: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    conn.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Sets a fact of the database.
pub(super) fn set_fact(
    conn: &Connection,
    name: &str,
    value: &impl rusqlite::types::ToSql,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
    )?;
    statement.execute((name, value)).map(drop)
}

fn write(files: &Files, count: i64) -> io::Result<String> {
    let nonce = secret::random()?;
    let nonce: String = nonce[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    for (file, content) in [(files.count(), &count.to_le_bytes()[..]), (files.origin(), nonce.as_bytes())] {
        let draft = file.with_extension("new");
        secret::write_draft(&draft, content)?;
        fs::rename(draft, file)?;
    }
    secret::sync_folder(files.folder())?;
    origin(files)
}

/// Random number, machine and identities of the files, as one text.
fn origin(files: &Files) -> io::Result<String> {
    let nonce = fs::read_to_string(files.origin())?;
    let changed = fs::symlink_metadata(files.origin())?;
    let mut origin = format!("{nonce} {} {}.{}", machine(), changed.ctime(), changed.ctime_nsec());
    for file in [files.origin(), files.count(), files.database()] {
        let found = fs::symlink_metadata(file)?;
        origin.push_str(&format!(" {} {}", found.dev(), found.ino()));
    }
    Ok(origin)
}

fn read_count(files: &Files) -> Option<i64> {
    fs::read(files.count()).ok()?.try_into().ok().map(i64::from_le_bytes)
}

/// What tells this machine from others. Empty where the system has no such number. It is hashed, as machine-id(5) asks.
fn machine() -> String {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|file| fs::read(file).ok());
    let Some(id) = id else { return String::new() };
    let hash = Sha256::new().chain_update(b"p2p-chat machine\0").chain_update(id).finalize();
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As SQLite would report it.
fn cannot_write(error: &io::Error) -> rusqlite::Error {
    use rusqlite::ffi;
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ffi::SQLITE_FULL,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => ffi::SQLITE_READONLY,
        _ => ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
}
