//! Losses of power, and disks that report errors.
//!
//! A recording of all that the store writes and syncs tells what a disk may have if the power is lost at any moment. From
//! each such image a store is opened, and has to have all that was reported as stored before.

mod images;
mod shim;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use proto_core::{EntryId, Identity, Record, StoreId};
use rusqlite::Connection;

use self::images::{Disk, Random};
use self::shim::{Fail, Log, Op};
use super::tests::{BOB, Node, OWN, database, entry, options};
use super::*;
use crate::store::channel::Answer;

/// One recording at a time: it is of the process.
static TURN: Mutex<()> = Mutex::new(());

/// What was reported as stored when so much of the log had happened.
#[derive(Clone, Debug)]
struct Report {
    position: usize,
    id: EntryId,
    own: bool,
    seq: u64,
}

/// A recording.
struct Recording {
    before: Disk,
    log: Log,
    reports: Vec<Report>,
}

/// What is done wrong on purpose, to see it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// An entry is reported when the store is asked to keep it.
    EarlyAnswer,
    /// A number is used again.
    ReusedNumber,
    /// Some of what is reported never reached the store.
    DroppedBatch,
    /// Every second sync of the write-ahead log is none.
    SyncLeftOut,
}

/// What is wrong with an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    /// It cannot be opened, or was set aside.
    Unusable,
    /// It is damaged inside.
    Unsound,
    /// Something that was reported is not there.
    Lost,
    /// The node would use a number again, or has.
    Reused,
    /// The node's own numbers have a gap.
    Gap,
}

fn private(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Stores own and received entries in many commits, so that the log is copied into the database more than once.
fn record(planted: Planted) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    // The first start makes files. It is over.
    Node::open(folder.path()).close();
    let inside = folder.path().join("1");
    let before = Disk::of(&inside);
    shim::start(&inside, None);
    let mut node = Node::open(folder.path());
    let mut reports = Vec::new();
    let mut next = [0, 0];
    for round in 0..40 {
        let mut waiting = Vec::new();
        for n in 0..12 {
            let own = (round + n) % 3 == 0;
            let mut seq = next[usize::from(own)];
            next[usize::from(own)] += 1;
            if planted == Planted::ReusedNumber && own && seq > 50 {
                seq -= 1;
            }
            let author = if own { OWN } else { BOB };
            let text = format!("{round} {n} {}", "x".repeat(12_000));
            let entry = entry(author, seq, 1_000 + seq, &text);
            let report = Report { position: shim::position(), id: entry.id(), own, seq };
            if planted == Planted::EarlyAnswer {
                reports.push(report.clone());
            }
            if planted == Planted::DroppedBatch && round == 20 {
                reports.push(report);
                continue;
            }
            let record = if own { Record::Own(entry) } else { Record::Entry(entry) };
            waiting.push((node.put(record), report));
        }
        let last = waiting.last().map_or(StoreId(0), |(id, _)| *id);
        let mut stored = StoreId(0);
        while stored < last {
            let Answer::Stored(through) = node.answer() else { panic!("the store works") };
            let position = shim::position();
            let new = waiting.iter().filter(|(id, _)| stored < *id && *id <= through);
            reports.extend(new.map(|(_, report)| Report { position, ..report.clone() }));
            stored = through;
        }
    }
    let log = shim::stop();
    drop(node);
    Recording { before, log, reports }
}

impl Recording {
    /// Looks at so many images.
    fn judge(&self, images: usize, seed: u64) -> BTreeSet<Wrong> {
        let mut random = Random(seed);
        let mut positions: Vec<_> = (0..images).map(|_| random.below(self.log.ops.len() + 1)).collect();
        positions.sort_unstable();
        let mut disk = self.before.clone();
        let mut wrong = BTreeSet::new();
        for position in positions {
            disk.advance(&self.log, position);
            let folder = tempfile::tempdir().unwrap();
            let inside = folder.path().join("1");
            private(&inside);
            disk.image(&mut random, &inside);
            for file in fs::read_dir(&inside).unwrap().map(Result::unwrap) {
                fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
            }
            self.judge_image(folder.path(), position, &mut wrong);
        }
        wrong
    }

    fn judge_image(&self, folder: &Path, position: usize, wrong: &mut BTreeSet<Wrong>) {
        let node = Node::open(folder);
        if !node.store().notices().is_empty() || node.store().view().status().problem.is_some() {
            wrong.insert(Wrong::Unusable);
            return;
        }
        node.close();
        let conn = Connection::open(database(folder)).unwrap();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        if sound != "ok" {
            wrong.insert(Wrong::Unsound);
        }
        let own = Identity::from_secret(&[OWN; 32]).key();
        let mut rows = conn
            .prepare("SELECT id, seq, key = ?1 FROM entries JOIN runs ON runs.run = entries.run ORDER BY seq")
            .unwrap();
        let rows = rows.query_map([&own.as_bytes()[..]], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let rows: Vec<(Vec<u8>, u32, bool)> = rows.unwrap().map(Result::unwrap).collect();
        let there: BTreeSet<_> = rows.iter().map(|(id, ..)| id.clone()).collect();
        let reported = self.reports.iter().filter(|report| report.position <= position);
        for report in reported.clone() {
            if !there.contains(&report.id.as_bytes()[..]) {
                wrong.insert(Wrong::Lost);
            }
        }
        let numbers: Vec<_> = rows.iter().filter(|(.., own)| *own).map(|(_, seq, _)| *seq).collect();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            wrong.insert(Wrong::Reused);
        } else if numbers.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            wrong.insert(Wrong::Gap);
        }
        let last = reported.filter(|report| report.own).map(|report| report.seq).max();
        if last > numbers.last().map(|last| u64::from(*last)) {
            wrong.insert(Wrong::Reused);
        }
    }

    /// Every second sync of the write-ahead log did nothing.
    fn leave_out_syncs(&mut self) {
        let mut syncs = 0;
        self.log.ops.iter_mut().for_each(|(name, op)| {
            if name.ends_with("-wal") && matches!(op, Op::Sync) {
                syncs += 1;
                if syncs % 2 == 0 {
                    *op = Op::Write { offset: 0, bytes: Vec::new() };
                }
            }
        });
    }
}

/// How many images. `CHAT_IMAGES` asks for another number: `.ci/run` for 200, a campaign for 10,000.
fn images() -> usize {
    let wanted = std::env::var("CHAT_IMAGES").ok().filter(|wanted| !wanted.is_empty());
    wanted.map_or(50, |wanted| wanted.parse().expect("CHAT_IMAGES is a number"))
}

#[test]
fn what_was_reported_survives_every_loss_of_power() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let recording = record(Planted::Nothing);
    let count = |what: fn(&Op) -> bool| recording.log.ops.iter().filter(|(_, op)| what(op)).count();
    let (writes, syncs) = (count(|op| matches!(op, Op::Write { .. })), count(|op| matches!(op, Op::Sync)));
    assert!(writes > 500 && syncs > 40, "the shim sees {writes} writes and {syncs} syncs");
    let copied = recording.log.ops.iter().any(|(name, op)| name == "history.db" && matches!(op, Op::Sync));
    assert!(copied, "the log is copied into the database");
    assert_eq!(recording.judge(images(), 1), BTreeSet::new());
}

#[test]
fn what_is_planted_is_found() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (planted, found) in [
        (Planted::EarlyAnswer, Wrong::Lost),
        (Planted::ReusedNumber, Wrong::Reused),
        (Planted::DroppedBatch, Wrong::Lost),
        (Planted::SyncLeftOut, Wrong::Lost),
    ] {
        let mut recording = record(planted);
        if planted == Planted::SyncLeftOut {
            recording.leave_out_syncs();
        }
        let wrong = recording.judge(60, 2);
        assert!(wrong.contains(&found), "{planted:?}: {wrong:?}");
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

#[test]
fn an_error_of_the_disk_at_any_call_loses_nothing_that_was_reported() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = [(EIO, 1), (ENOSPC, 3), (EROFS, 1)].into_iter().cycle();
    for (first, (errno, count)) in (0..28).chain([60, 90]).zip(cases) {
        fail_once(Fail { first, count, errno });
    }
}

/// Says things while some calls fail, and starts again.
fn fail_once(fail: Fail) {
    let folder = tempfile::tempdir().unwrap();
    Node::open(folder.path()).close();
    shim::start(&folder.path().join("1"), Some(fail));
    let mut node = Node::open(folder.path());
    let (mut reported, mut failures, mut seq) = (Vec::new(), 0, 0);
    while shim::calls() < fail.first + fail.count + 30 {
        let said = entry(OWN, seq, seq, &"x".repeat(3_000));
        seq += 1;
        node.put(Record::Own(said.clone()));
        loop {
            match node.answer() {
                Answer::Stored(_) => {
                    reported.push(said.id());
                    break;
                }
                Answer::Failed(_) => {
                    failures += 1;
                    node.store().client.heard_failure();
                }
                Answer::Works => break,
                other => panic!("{other:?}"),
            }
        }
    }
    shim::stop();
    node.close();
    let node = Node::open(folder.path());
    assert_eq!(node.store().notices(), [], "{fail:?}");
    let held: BTreeSet<_> = node.kept().entries.iter().map(|entry| entry.id()).collect();
    let lost = reported.iter().filter(|id| !held.contains(id)).count();
    assert_eq!(lost, 0, "{fail:?}, after {failures} failures");
    assert_eq!(held.len(), reported.len(), "nothing else is there: {fail:?}");
}

#[test]
fn flipped_bits_never_change_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let all: Vec<_> =
        (0..60).map(|seq| entry(BOB, seq, seq, &format!("{seq} {}", "x".repeat(400)))).collect();
    node.put_all(all.iter().cloned().map(Record::Entry));
    node.close();
    let original = fs::read(database(folder.path())).unwrap();
    let said: BTreeSet<_> = all.iter().map(|entry| entry.id()).collect();
    let mut random = Random(3);
    for _ in 0..60 {
        let mut bytes = original.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        let folder = tempfile::tempdir().unwrap();
        private(&folder.path().join("1"));
        fs::write(database(folder.path()), bytes).unwrap();
        fs::set_permissions(database(folder.path()), fs::Permissions::from_mode(0o600)).unwrap();
        let data = DataDir::open(Some(folder.path()), 1).unwrap();
        let Ok(mut store) = Store::open(&data, &options()) else { continue };
        for entry in &store.kept.entries {
            let sealed = entry.sealed();
            assert!(said.contains(&entry.id()) && sealed.open(entry.network()).is_ok());
        }
        let threads = store.take_threads();
        drop(store);
        threads.wait();
    }
}
