//! How long it takes to fill an empty store from a neighbour's: on the core alone, with stores in memory, and in processes, with
//! stores on the disk.

#[path = "common/stored.rs"]
#[allow(dead_code, reason = "another bench uses the rest")]
mod stored;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tests::bench::backfill::backfill;
use tests::bench::table::Table;
use tests::bench::{entries, is_asked, is_smoke};
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Process};

/// More than it takes.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    if is_asked("core") {
        core_alone();
    }
    if is_asked("processes") {
        processes();
    }
}

fn core_alone() {
    let all = if is_smoke() { 3_000 } else { 100_000 };
    let mut table = Table::new(["entries", "authors", "virtual s", "s"]);
    for authors in [1, 50] {
        let begin = Instant::now();
        let time = backfill(all, authors);
        table.row([
            all.to_string(),
            authors.to_string(),
            format!("{:.1}", time.as_secs_f64()),
            format!("{:.0}", begin.elapsed().as_secs_f64()),
        ]);
    }
    table.print("An empty store is filled from a neighbour's; with the time to sign them");
}

/// Bob comes to Alice, who has a long conversation. While he is behind, she says something every second.
fn processes() {
    let all = entries(100_000, 500);
    let mut table = Table::new([
        "driver",
        "entries",
        "authors",
        "linked to complete, s",
        "times told how far",
        "say to heard, ms: median",
        "longest",
    ]);
    let cases =
        Driver::ALL.into_iter().flat_map(|driver| [1, stored::AUTHORS].map(|authors| (driver, authors)));
    for (driver, authors) in cases {
        let folders = [(); 2].map(|()| TempDir::new().unwrap());
        let launch = |uname: &str, folder: &TempDir| {
            Launch::new(driver, uname).args(["--data-dir", folder.path().to_str().unwrap()])
        };
        let alice = launch("Alice", &folders[0]);
        stored::fill(&alice, folders[0].path(), all, authors);
        let alice = alice.start();
        let bob = launch("Bob", &folders[1]).peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        let begin = Instant::now();
        let mut said = Vec::new();
        eventually("Bob has all", PATIENCE, || {
            if (begin.elapsed().as_secs() as usize) < said.len() {
                return false;
            }
            let (text, at) = (format!("news {}", said.len()), Instant::now());
            alice.send(&text);
            bob.expect_out(&format!("Alice: {text}"), PATIENCE);
            said.push(at.elapsed());
            stored(&bob, folders[1].path()) >= all + said.len()
        });
        let time = begin.elapsed();
        said.sort_unstable();
        let told = bob.err().look(|lines| lines.iter().filter(|line| line.contains("being filled")).count());
        table.row([
            driver.name().to_owned(),
            all.to_string(),
            authors.to_string(),
            format!("{:.1}", time.as_secs_f64()),
            told.to_string(),
            format!("{:.1}", said[said.len() / 2].as_secs_f64() * 1e3),
            format!("{:.1}", said[said.len() - 1].as_secs_f64() * 1e3),
        ]);
    }
    table.print("An empty folder is filled from a neighbour's on loopback; what is new comes meanwhile");
}

/// How many entries are in the store of a node with this data folder.
fn stored(node: &Process, folder: &Path) -> usize {
    let database = folder.join(node.addr().port().to_string()).join("history.db");
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, u32>(0)).unwrap() as usize
}
