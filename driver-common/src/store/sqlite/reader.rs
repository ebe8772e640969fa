//! The thread that reads.

use proto_core::NetworkId;
use rusqlite::Connection;

use super::files::Files;
use super::{connection, page, rows};
use crate::store::channel::{Answer, PageError, Reading, Shared};

/// Reads until the store closes.
pub(super) fn run(shared: &Shared, files: &Files, network: NetworkId) {
    let mut open: Option<(Connection, u64)> = None;
    while let Some((reading, database)) = shared.next_reading() {
        if open.as_ref().is_none_or(|(_, opened)| *opened != database) {
            open = connection::open_to_read(files).map(|conn| (conn, database)).ok();
        }
        let read = match &open {
            Some((conn, _)) => answer(shared, conn, network, reading),
            None => {
                refuse(shared, reading);
                Ok(())
            }
        };
        if let Err(error) = read {
            tracing::warn!(%error, "the store cannot be read");
            if super::problem(&error) == crate::store::StoreProblem::Damaged {
                shared.rebuild(database);
            }
            open = None;
        }
    }
}

fn answer(
    shared: &Shared,
    conn: &Connection,
    network: NetworkId,
    reading: Reading,
) -> Result<(), rusqlite::Error> {
    let mut damaged = Vec::new();
    let result = match reading {
        Reading::Load { id, wanted, most_bytes } => {
            let loaded = rows::load(conn, network, &wanted, most_bytes, &mut damaged);
            let (loaded, result) = split(loaded);
            shared.answer(Answer::Loaded(id, loaded.unwrap_or_default()));
            result
        }
        Reading::Page { before, entries, reply } => {
            let (read, result) = split(page::read(conn, network, before, entries, &mut damaged));
            // It fails if the caller has gone.
            let read = read.ok_or(PageError::Unavailable);
            let _ = reply.try_send(read.and_then(|page| page.ok_or(PageError::NoSuchEntry)));
            result
        }
    };
    if !damaged.is_empty() {
        shared.report_damaged(&damaged);
    }
    result
}

fn split<T>(result: rusqlite::Result<T>) -> (Option<T>, rusqlite::Result<()>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// There is no database.
fn refuse(shared: &Shared, reading: Reading) {
    match reading {
        Reading::Load { id, .. } => shared.answer(Answer::Loaded(id, Vec::new())),
        Reading::Page { reply, .. } => {
            let _ = reply.try_send(Err(PageError::Unavailable));
        }
    }
}
