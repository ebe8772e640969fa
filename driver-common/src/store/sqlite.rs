//! A store in SQLite.
//!
//! One thread writes, with the only connection that can ([`writer`]). Another reads ([`reader`]). [`schema`] has the tables,
//! [`batch`] a transaction, [`origin`] tells whether the database is the latest that this node wrote, [`kept`] reads what a
//! node is given when it starts, [`retention`] drops what is too old or too much.

mod batch;
mod connection;
mod cutoff;
mod error;
mod files;
mod kept;
mod origin;
mod page;
mod ranges;
mod reader;
mod retention;
mod rows;
mod schema;
mod shares;
mod space;
mod writer;

#[cfg(all(test, feature = "app", target_os = "linux"))]
mod power;
#[cfg(all(test, feature = "app"))]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use proto_core::{Kept, NetworkId, PublicKey};

pub use self::error::StoreError;
use self::error::{OpenError, io_problem, problem};
use self::files::Files;
pub use self::retention::Retention;
use self::writer::Writer;
use super::channel::Shared;
use super::{Store, StoreClient, StoreNotice, StoreProblem, Threads};
use crate::DataDir;
use crate::clock::unix_ms;

/// What a store is opened for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The node's key.
    pub key: PublicKey,
    /// Its network.
    pub network: NetworkId,
    /// The most that the entries which the node is given at the start are charged, in bytes.
    pub window: usize,
    /// What is dropped.
    pub retention: Retention,
}

impl StoreOptions {
    /// For the node with this key in this network. Nothing is ever dropped.
    pub fn new(key: PublicKey, network: NetworkId) -> Self {
        Self { key, network, window: 8 * 1024 * 1024, retention: Retention::default() }
    }
}

impl Store {
    /// Opens the store in a data folder, or makes it. If the disk does not let it, the node runs without writing, and the
    /// store tries again by itself.
    ///
    /// # Errors
    /// [`StoreError`], if the node is not to run with this file.
    pub fn open(data: &DataDir, options: &StoreOptions) -> Result<Self, StoreError> {
        let files = Files::new(data.folder(), options.network);
        let mut notices = Vec::new();
        let opened = match Opened::of(&files, options) {
            Err(OpenError::Sqlite(error)) if problem(&error) == StoreProblem::Damaged => {
                tracing::info!(%error, file = %files.database().display(), "the database is damaged");
                set_aside(&files, &mut notices).and_then(|()| Opened::of(&files, options))
            }
            other => other,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => Opened::without(stop_or_go_on(error, &files)?, &files, options),
        };
        start(opened, files, options, notices)
    }
}

/// A store whose threads do not run yet.
#[derive(Debug, Default)]
struct Opened {
    conn: Option<rusqlite::Connection>,
    kept: Kept,
    /// Entries that were damaged and are deleted.
    damaged: usize,
    problem: Option<StoreProblem>,
    mutes: Vec<proto_core::NodeId>,
}

impl Opened {
    fn of(files: &Files, options: &StoreOptions) -> Result<Self, OpenError> {
        let mut conn = connection::open_to_write(files)?;
        let mut damaged = Vec::new();
        let entries = kept::entries(&conn, options.network, options.window, &mut damaged)?;
        // If nothing can be written, the next start finds them again.
        let lost = if damaged.is_empty() { None } else { rows::delete_damaged(&mut conn, &damaged).ok() };
        let mut kept = kept::read(&conn)?;
        kept.entries = entries;
        let behind = origin::may_be_behind(&conn, files, options.key)?;
        if behind && !kept.own.is_empty() {
            tracing::info!("the store may not be the latest of this node, which begins another epoch");
            kept.own.clear();
        }
        if lost.iter().flatten().any(|lost| rows::is_lost_of(lost, options.key)) {
            kept.own.clear();
        }
        let mutes = kept::mutes(&conn)?;
        let problem = match connection::begin(&mut conn, files, options.key, behind) {
            Ok(()) => None,
            Err(error) if problem(&error) == StoreProblem::Damaged => return Err(error.into()),
            Err(error) => {
                tracing::info!(%error, "the store cannot write");
                kept.own.clear();
                Some(problem(&error))
            }
        };
        let damaged = if lost.is_some() { damaged.len() } else { 0 };
        Ok(Self { conn: Some(conn), kept, damaged, problem, mutes })
    }

    /// What can be read where nothing can be written.
    fn without(why: StoreProblem, files: &Files, options: &StoreOptions) -> Self {
        let mut opened = Self { problem: Some(why), ..Self::default() };
        let Ok(conn) = connection::open_to_read(files) else { return opened };
        let entries = kept::entries(&conn, options.network, options.window, &mut Vec::new());
        if let (Ok(mut kept), Ok(entries)) = (kept::read(&conn), entries) {
            kept.own.clear();
            kept.entries = entries;
            opened.kept = kept;
        }
        opened.mutes = kept::mutes(&conn).unwrap_or_default();
        opened
    }
}

fn set_aside(files: &Files, notices: &mut Vec<StoreNotice>) -> Result<(), OpenError> {
    let file = files.set_aside(&files::date(unix_ms())).map_err(OpenError::Io)?;
    notices.push(StoreNotice::SetAside { file });
    Ok(())
}

/// Whether the node can run without writing, and why it does not write.
fn stop_or_go_on(error: OpenError, files: &Files) -> Result<StoreProblem, StoreError> {
    let file = files.database();
    match error {
        OpenError::Newer { found, known } => Err(StoreError::Newer { file, found, known }),
        OpenError::OtherProgram => Err(StoreError::OtherProgram { file }),
        OpenError::Unsafe(refused) => Err(StoreError::Unsafe(refused)),
        OpenError::Sqlite(error) if problem(&error) == StoreProblem::Locked => {
            Err(StoreError::Locked { file })
        }
        OpenError::Sqlite(error) => {
            tracing::info!(%error, file = %file.display(), "the store cannot be opened");
            Ok(problem(&error))
        }
        OpenError::Io(error) => {
            tracing::info!(%error, file = %file.display(), "the store cannot be opened");
            Ok(io_problem(&error))
        }
    }
}

fn start(
    opened: Opened,
    files: Files,
    options: &StoreOptions,
    mut notices: Vec<StoreNotice>,
) -> Result<Store, StoreError> {
    let shared = Arc::new(Shared::default());
    let client = StoreClient::new(shared.clone());
    let Opened { conn, kept, damaged, problem, mutes } = opened;
    notices.extend((damaged > 0).then_some(StoreNotice::Damaged { entries: damaged }));
    let writer = Writer::new(shared.clone(), files.clone(), options, conn, problem);
    let network = options.network;
    let threads = [
        thread("store", move || writer.run()),
        thread("store-read", {
            let (shared, files) = (shared.clone(), files.clone());
            move || reader::run(&shared, &files, network)
        }),
    ];
    let threads = threads.into_iter().collect::<io::Result<_>>().map_err(StoreError::Thread)?;
    if problem.is_none() {
        // It ends with the process, if that ends first.
        thread("store-check", move || connection::check(&shared, &files)).map_err(StoreError::Thread)?;
    }
    Ok(Store { kept, client, threads: Threads(threads), notices, mutes })
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
