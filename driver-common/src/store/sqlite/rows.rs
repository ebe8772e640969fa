//! Reads entries from their rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{
    Class, EntryId, Loaded, Marks, NetworkId, Opened, PublicKey, RunId, Sealed, Signature, StoreChange,
    Wanted,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::batch::{find_run, number};
use super::{ranges, shares};
pub(super) use crate::store::channel::DamagedRow as Damaged;

/// The columns that [`read`] takes.
pub(super) const COLUMNS: &str =
    "entries.entry, entries.id, entries.run, entries.seq, entries.heard, signature, mark, header, body";

/// An entry as it was stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) entry: i64,
    /// When this node first had it: Unix time in milliseconds.
    pub(super) heard: u64,
    /// The length of header and body.
    pub(super) bytes: usize,
    pub(super) loaded: Loaded,
}

/// A row of `entries`.
#[derive(Debug)]
pub(super) enum Read {
    Whole(Stored),
    /// It is not what was stored.
    Damaged(Damaged),
}

/// What a signature is marked with, to find damage.
pub(super) fn mark(signature: &str) -> i64 {
    let hash = Sha256::digest(signature);
    i64::from_le_bytes(hash[..8].try_into().unwrap_or_default())
}

/// Marks that are kept, and the bit of each. What a bit means is never changed.
type Field = fn(&mut Marks) -> &mut bool;
const MARKS: [(i64, Field); 5] = [
    (1, |marks| &mut marks.late),
    (2, |marks| &mut marks.backdated),
    (4, |marks| &mut marks.behind),
    (8, |marks| &mut marks.history),
    (16, |marks| &mut marks.name_taken),
];

/// Marks as they are stored.
pub(super) fn mark_bits(mut marks: Marks) -> i64 {
    MARKS.iter().filter(|(_, field)| *field(&mut marks)).map(|(bit, _)| bit).sum()
}

/// Marks as they were stored.
pub(super) fn marks_of(bits: i64) -> Marks {
    let mut marks = Marks::default();
    MARKS.iter().filter(|(bit, _)| bits & bit != 0).for_each(|(_, field)| *field(&mut marks) = true);
    marks
}

/// Reads a row with these [`COLUMNS`].
pub(super) fn read(row: &Row<'_>, network: NetworkId) -> rusqlite::Result<Read> {
    let (entry, run, seq) = (row.get(0)?, row.get(2)?, row.get(3)?);
    let damaged = Damaged { entry, run, seq };
    Ok(open(row, network, damaged).map_or(Read::Damaged(damaged), Read::Whole))
}

/// None: it is damaged.
fn open(row: &Row<'_>, network: NetworkId, place: Damaged) -> Option<Stored> {
    let id = row.get_ref(1).ok()?.as_blob().ok()?;
    let text = |column| row.get_ref(column).ok()?.as_str().ok();
    let (signature, header) = (text(5)?, text(7)?);
    let body = row.get_ref(8).ok()?.as_str_or_null().ok()?;
    if row.get::<_, i64>(6).ok()? != mark(signature) {
        return None;
    }
    let sealed = Sealed { signature: Signature::new(signature)?, header, body: body.unwrap_or("") };
    if sealed.id(network).as_bytes() != id {
        return None;
    }
    let (loaded, seq) = match sealed.reopen(network).ok()? {
        Opened::Entry(entry) => {
            let seq = entry.seq();
            (Loaded::Entry(Arc::new(entry)), seq)
        }
        Opened::Gone(gone) if body.is_none() => {
            let seq = gone.position().seq();
            (Loaded::Gone(Arc::new(gone)), seq)
        }
        _ => return None,
    };
    let heard = u64::try_from(row.get::<_, i64>(4).ok()?).ok()?;
    let bytes = header.len() + body.map_or(0, str::len);
    (number(seq) == place.seq).then_some(Stored { entry: place.entry, heard, bytes, loaded })
}

/// Reads what the node wants. Rows that are damaged are left out, and listed in `damaged`.
pub(super) fn load(
    conn: &Connection,
    network: NetworkId,
    wanted: &Wanted,
    most_bytes: usize,
    damaged: &mut Vec<Damaged>,
) -> rusqlite::Result<Vec<Loaded>> {
    let mut found = Found { network, left: most_bytes, loaded: Vec::new(), damaged };
    match wanted {
        Wanted::Range { run, first, last } => {
            let Some(run) = find_run(conn, run)? else { return Ok(Vec::new()) };
            let mut rows = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM entries WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq, entry"
            ))?;
            found.take(&mut rows, (run, number(*first), number(*last)))?;
        }
        Wanted::Ids(ids) => {
            let mut rows = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE id = ?1"))?;
            for id in ids {
                if !found.take(&mut rows, [&id.as_bytes()[..]])? {
                    break;
                }
            }
        }
        other => tracing::error!(?other, "the store does not know what is wanted"),
    }
    Ok(found.loaded)
}

/// Deletes rows that are damaged. Returns what is missing then: the node asks its peers for it.
pub(super) fn delete_damaged(conn: &mut Connection, rows: &[Damaged]) -> rusqlite::Result<Vec<StoreChange>> {
    tracing::info!(rows = rows.len(), "entries of the store are damaged");
    let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
    for Damaged { entry, .. } in rows {
        tx.execute("DELETE FROM entries WHERE entry = ?1", [entry])?;
    }
    // The number of a damaged row may be another than it was.
    let runs: BTreeSet<_> = rows.iter().map(|row| row.run).collect();
    let mut lost = Vec::new();
    for number in runs {
        let ranges = ranges::count_again(&tx, number)?;
        shares::count_again(&tx, number)?;
        let Some(run) = run_of(&tx, number)? else { continue };
        lost.extend(ranges.into_iter().filter_map(|(first, last)| {
            let (first, last) = (u64::try_from(first).ok()?, u64::try_from(last).ok()?);
            Some(StoreChange::Lost { run: run.clone(), first, last })
        }));
    }
    tx.commit()?;
    Ok(lost)
}

/// Whether an entry of this author was lost.
pub(super) fn is_lost_of(change: &StoreChange, author: PublicKey) -> bool {
    matches!(change, StoreChange::Lost { run, .. } if run.key == author)
}

/// What was read so far.
struct Found<'a> {
    network: NetworkId,
    left: usize,
    loaded: Vec<Loaded>,
    damaged: &'a mut Vec<Damaged>,
}

impl Found<'_> {
    /// Takes rows while they fit. Returns false when one did not.
    fn take(
        &mut self,
        rows: &mut CachedStatement<'_>,
        params: impl rusqlite::Params,
    ) -> rusqlite::Result<bool> {
        let mut rows = rows.query(params)?;
        while let Some(row) = rows.next()? {
            match read(row, self.network)? {
                Read::Whole(stored) => {
                    if stored.bytes > self.left && !self.loaded.is_empty() {
                        return Ok(false);
                    }
                    self.left = self.left.saturating_sub(stored.bytes);
                    self.loaded.push(stored.loaded);
                }
                Read::Damaged(row) => self.damaged.push(row),
            }
        }
        Ok(true)
    }
}

/// The run of this number. None: it is damaged, or there is none.
pub(super) fn run_of(conn: &Connection, number: i64) -> rusqlite::Result<Option<RunId>> {
    let mut row = conn.prepare_cached("SELECT key, room, class, epoch FROM runs WHERE run = ?1")?;
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(Vec<u8>, String, String, i64)> = row.query_row([number], columns).optional()?;
    Ok(found.and_then(|(key, room, class, epoch)| run(&key, &room, class, epoch)))
}

/// A run from its row. None: it is damaged.
pub(super) fn run(key: &[u8], room: &str, class: String, epoch: i64) -> Option<RunId> {
    let key = PublicKey::from_bytes(key.try_into().ok()?).ok()?;
    let room = if room.is_empty() { None } else { Some(room.parse().ok()?) };
    let epoch = u64::try_from(epoch).ok()?;
    Some(RunId::new(key, room, Class::try_from(class).ok()?, epoch))
}

/// An id from its blob. None: it is damaged.
pub(super) fn id(blob: &[u8]) -> Option<EntryId> {
    Some(EntryId::from_bytes(blob.try_into().ok()?))
}
