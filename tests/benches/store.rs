//! What it costs to keep the conversation, beside bare SQLite and beside a node that keeps nothing.

#[path = "common/stored.rs"]
mod stored;

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use driver_common::DataDir;
use proto_core::{Identity, Record};
use rusqlite::Connection;
use stored::{AUTHORS, Author, Open, fill};
use tempfile::TempDir;
use tests::bench::table::Table;
use tests::bench::{entries, is_asked, is_smoke};
use tests::http;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Process};

/// The most entries in one commit, as the store has it.
const BURST: usize = 4_096;

fn main() {
    let parts: [(&str, fn()); 3] = [("rates", rates), ("latency", latency), ("long", long_conversation)];
    parts.into_iter().filter(|(name, _)| is_asked(name)).for_each(|(_, part)| part());
}

fn rates() {
    let (single, many) = if is_smoke() { (50, 500) } else { (5_000, 200_000) };
    let mut table = Table::new(["entries a second", "the store", "bare SQLite", "part"]);
    let mut row = |what: &str, store: f64, bare: f64| {
        table.row([
            what.to_owned(),
            format!("{store:.0}"),
            format!("{bare:.0}"),
            format!("{:.2}", store / bare),
        ]);
    };
    row("one a commit", single_rate(single), bare_rate(single, 1));
    row(&format!("in bursts, {BURST} a commit at most"), burst_rate(many), bare_rate(many, BURST));
    table.print("Entries of 54 bytes of text, on the disk");
}

fn single_rate(count: usize) -> f64 {
    let folder = TempDir::new().unwrap();
    let data = DataDir::open(Some(folder.path()), 1).unwrap();
    let mut author = Author::new(1);
    let entries: Vec<_> = (0..count).map(|_| author.say()).collect();
    let mut open = Open::new(&data, author.identity.key());
    let begin = Instant::now();
    for entry in entries {
        open.put(Record::Own(entry));
        open.wait();
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    open.close();
    rate
}

fn burst_rate(count: usize) -> f64 {
    let folder = TempDir::new().unwrap();
    let data = DataDir::open(Some(folder.path()), 1).unwrap();
    let mut author = Author::new(2);
    let entries: Vec<_> = (0..count).map(|_| author.say()).collect();
    let mut open = Open::new(&data, Identity::from_secret(&[1; 32]).key());
    let begin = Instant::now();
    for entry in entries {
        open.put(Record::Entry(entry));
        open.make_room();
    }
    open.wait();
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    open.close();
    rate
}

/// The same rows in the same table with the same indexes.
fn bare_rate(count: usize, in_commit: usize) -> f64 {
    let folder = TempDir::new().unwrap();
    let data = DataDir::open(Some(folder.path()), 1).unwrap();
    Open::new(&data, Identity::from_secret(&[1; 32]).key()).close();
    let mut author = Author::new(2);
    let entries: Vec<_> = (0..count).map(|_| author.say()).collect();
    let mut conn = Connection::open(folder.path().join("1/history.db")).unwrap();
    conn.pragma_update(None, "synchronous", "FULL").unwrap();
    let begin = Instant::now();
    for entries in entries.chunks(in_commit) {
        let tx = conn.transaction().unwrap();
        for entry in entries {
            let sealed = entry.sealed();
            let mut insert = tx
                .prepare_cached(
                    "INSERT INTO entries (id, run, seq, at, heard, signature, mark, header, body, place)
                     VALUES (?1, 1, ?2, ?3, ?3, ?4, 7, ?5, ?6, ?7)",
                )
                .unwrap();
            let (seq, at) = (i64::try_from(entry.seq()).unwrap(), i64::try_from(entry.at()).unwrap());
            let signature = sealed.signature.to_string();
            let id = entry.id();
            let place = [&entry.run().key.as_bytes()[..], &entry.epoch().to_be_bytes()].concat();
            insert
                .execute((&id.as_bytes()[..], seq, at, signature, sealed.header, sealed.body, place))
                .unwrap();
        }
        tx.commit().unwrap();
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

/// A node starts with a long conversation on its disk.
fn long_conversation() {
    let count = entries(1_000_000, 2_000);
    let folder = TempDir::new().unwrap();
    let launch = Launch::new(Driver::Tokio, "Alice").args(["--data-dir", folder.path().to_str().unwrap()]);
    fill(&launch, folder.path(), count, AUTHORS);
    let database = folder.path().join(launch.addr().port().to_string()).join("history.db");
    let size = fs::metadata(database).unwrap().len();
    let begin = Instant::now();
    let alice = launch.start();
    let answered = |path: &str| {
        let begin = Instant::now();
        assert_eq!(http::get(alice.api(), path).unwrap().status, 200);
        begin.elapsed()
    };
    answered("/me");
    let start = begin.elapsed();
    let messages = (0..20).map(|_| answered("/messages")).min().unwrap();
    let mut table =
        Table::new(["entries", "database, MiB", "start, ms", "/messages, ms", "memory at most, MiB"]);
    table.row([
        count.to_string(),
        format!("{}", size >> 20),
        format!("{:.0}", start.as_secs_f64() * 1e3),
        format!("{:.1}", messages.as_secs_f64() * 1e3),
        format!("{}", alice.peak_memory() >> 10),
    ]);
    table.print("A node with a long conversation on its disk");
}

/// The time from a `POST /send` to the last of seven others.
fn latency() {
    let rounds = if is_smoke() { 3 } else { 200 };
    let mut table = Table::new(["", "median, ms", "longest of nine in ten, ms"]);
    let mut row = |what: &str, mut times: Vec<Duration>| {
        times.sort_unstable();
        let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
        table.row([what.to_owned(), ms(times[times.len() / 2]), ms(times[times.len() * 9 / 10])]);
    };
    row("with a store", heard_by_seven(rounds, &[], true));
    row("with a store, while the eight still write what was said before", heard_by_seven(rounds, &[], false));
    row("without", heard_by_seven(rounds, &["--no-history"], false));
    row("4 KiB and one sync", syncs(rounds));
    table.print("From POST /send to the last of seven others");
}

/// `rests`: before each round, all of the last one is on the disk.
fn heard_by_seven(rounds: usize, args: &[&str], rests: bool) -> Vec<Duration> {
    let folder = TempDir::new().unwrap();
    let args = [&["--data-dir", folder.path().to_str().unwrap()], args].concat();
    let alice = Launch::new(Driver::Tokio, "Alice").args(args.iter().copied()).start();
    let others: Vec<Process> = (0..7)
        .map(|_| Launch::new(Driver::Tokio, "Bob").args(args.iter().copied()).peer(alice.addr()).start())
        .collect();
    alice.expect_peers(&["Bob"; 7], SOON);
    let heard = |round: usize| {
        let text = format!("round {round}");
        if rests {
            others.iter().chain([&alice]).for_each(|node| expect_stored(node, round));
        }
        let begin = Instant::now();
        alice.send(&text);
        others.iter().for_each(|other| other.expect_out(&format!("Alice: {text}"), SOON));
        begin.elapsed()
    };
    (0..rounds).map(heard).collect()
}

/// Waits until a node has stored so many entries.
fn expect_stored(node: &Process, entries: usize) {
    eventually("they are on the disk", SOON, || {
        let status = http::get(node.api(), "/status").unwrap().json();
        status["store"]["stored"].as_u64() >= Some(entries as u64)
    });
}

fn syncs(rounds: usize) -> Vec<Duration> {
    let folder = TempDir::new().unwrap();
    let mut file = File::create(folder.path().join("file")).unwrap();
    let once = |_| {
        let begin = Instant::now();
        file.write_all(&[1; 4_096]).unwrap();
        file.sync_data().unwrap();
        begin.elapsed()
    };
    (0..rounds).map(once).collect()
}
