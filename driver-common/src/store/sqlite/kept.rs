//! What a node is given when it starts again.

use proto_core::{Class, Entry, EntryId, Kept, KeptRun, Loaded, NetworkId, NodeId, OwnPosition};
use rusqlite::{Connection, Row};

use super::batch::MEMORY;
use super::origin;
use super::rows::{self, COLUMNS, Damaged, Read};

/// The most runs that are read at the start: those with the newest entries, but first so many of each key. Of others, the node
/// does not know that it has them. It shows nothing that is as old as they are and of no run that it knows.
const RUNS: i64 = 8_192;
const RUNS_OF_KEY: i64 = 64;

/// The most ranges that are read of one run: the last ones.
const RANGES: i64 = 256;

/// The most entries of the window.
const ENTRIES: i64 = 8_192;

/// Reads it all, except the entries.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<Kept> {
    let mut kept = Kept::default();
    kept.runs = runs(conn)?;
    kept.left_out = left_out(conn)?;
    kept.own = own(conn)?;
    let memory: Option<String> = origin::fact(conn, MEMORY)?;
    // What cannot be read is forgotten: the node learns it again.
    kept.memory = memory.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    Ok(kept)
}

fn runs(conn: &Connection) -> rusqlite::Result<Vec<KeptRun>> {
    let mut rows = conn.prepare(
        "SELECT run, key, room, class, epoch, tip, floor FROM
             (SELECT *, row_number() OVER (PARTITION BY key ORDER BY latest DESC) AS nth FROM runs WHERE tip >= 0)
         ORDER BY nth > ?1, latest DESC LIMIT ?2",
    )?;
    let mut rows = rows.query([RUNS_OF_KEY, RUNS])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.extend(run(conn, row)?);
    }
    Ok(runs)
}

/// The date of the newest entry in other runs.
fn left_out(conn: &Connection) -> rusqlite::Result<u64> {
    let mut latest =
        conn.prepare("SELECT latest FROM runs WHERE tip >= 0 ORDER BY latest DESC LIMIT 1 OFFSET ?1")?;
    let mut latest = latest.query([RUNS])?;
    let latest: Option<i64> = latest.next()?.map(|row| row.get(0)).transpose()?;
    Ok(latest.and_then(|latest| u64::try_from(latest).ok()).unwrap_or(0))
}

fn run(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<Option<KeptRun>> {
    let number: i64 = row.get(0)?;
    let (key, room, class): (Vec<u8>, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (epoch, tip, floor): (i64, i64, i64) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let Some(id) = rows::run(&key, &room, class, epoch) else { return Ok(None) };
    let mut versions =
        conn.prepare_cached("SELECT at, id FROM entries WHERE run = ?1 AND seq = ?2 LIMIT 2")?;
    let versions = versions.query_map((number, tip), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let versions: Vec<(u64, EntryId)> = versions
        .filter_map(|version: rusqlite::Result<(i64, Vec<u8>)>| {
            version.map(|(at, id)| Some((u64::try_from(at).ok()?, rows::id(&id)?))).transpose()
        })
        .collect::<rusqlite::Result<_>>()?;
    let mut held =
        conn.prepare_cached("SELECT first, last FROM ranges WHERE run = ?1 ORDER BY first DESC LIMIT ?2")?;
    let held = held.query_map((number, RANGES), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut held: Vec<(u64, u64)> = held
        .filter_map(|range: rusqlite::Result<(i64, i64)>| {
            range.map(|(first, last)| u64::try_from(first).ok().zip(u64::try_from(last).ok())).transpose()
        })
        .collect::<rusqlite::Result<_>>()?;
    held.reverse();
    let Ok(tip) = u64::try_from(tip) else { return Ok(None) };
    if versions.is_empty() || held.is_empty() {
        return Ok(None);
    }
    let mut kept = KeptRun::new(id, tip, versions, held);
    kept.floor = u64::try_from(floor).unwrap_or(0);
    Ok(Some(kept))
}

/// Reads the newest entries, the oldest of them first: at most `window` bytes, as entries are charged. Rows that are damaged
/// are listed.
pub(super) fn entries(
    conn: &Connection,
    network: NetworkId,
    window: usize,
    damaged: &mut Vec<Damaged>,
) -> rusqlite::Result<Vec<std::sync::Arc<Entry>>> {
    let mut rows = conn.prepare(&format!(
        "SELECT {COLUMNS} FROM entries WHERE body IS NOT NULL ORDER BY at DESC LIMIT ?1"
    ))?;
    let mut rows = rows.query([ENTRIES])?;
    let (mut entries, mut left) = (Vec::new(), window);
    while let Some(row) = rows.next()? {
        match rows::read(row, network)? {
            Read::Whole(stored) => {
                let Loaded::Entry(entry) = stored.loaded else { continue };
                match left.checked_sub(entry.charge()) {
                    Some(less) => left = less,
                    None => break,
                }
                entries.push(entry);
            }
            Read::Damaged(row) => damaged.push(row),
        }
    }
    entries.sort_by_key(|entry| (entry.place(), entry.id()));
    Ok(entries)
}

fn own(conn: &Connection) -> rusqlite::Result<Vec<OwnPosition>> {
    let mut rows = conn.prepare("SELECT class, epoch, seq, id, at FROM own")?;
    let mut rows = rows.query([])?;
    let mut own = Vec::new();
    while let Some(row) = rows.next()? {
        let (class, id): (String, Vec<u8>) = (row.get(0)?, row.get(3)?);
        let number = |column| row.get(column).map(|number: i64| u64::try_from(number).unwrap_or_default());
        let (epoch, seq, at) = (number(1)?, number(2)?, number(4)?);
        let (Ok(class), Some(id)) = (Class::try_from(class), rows::id(&id)) else { continue };
        own.extend(OwnPosition::behind(class, epoch, (seq, id), at));
    }
    Ok(own)
}

/// The nodes of which the user wants to see nothing.
pub(super) fn mutes(conn: &Connection) -> rusqlite::Result<Vec<NodeId>> {
    let mut rows = conn.prepare("SELECT node FROM mutes")?;
    let rows = rows.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    rows.filter_map(|node| node.map(|node| Some(NodeId::from_bytes(node.try_into().ok()?))).transpose())
        .collect()
}
