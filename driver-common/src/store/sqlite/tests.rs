mod damage;
mod put_back;
mod shares;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::time::Duration;

use proto_core::{
    Entry, EntryId, Identity, LoadId, Loaded, Marks, Memory, NetworkId, NodeId, OwnPosition, Record, RunId,
    StoreChange, StoreId, Via, Wanted,
};
use rusqlite::Connection;

use super::*;
use crate::store::channel::Answer;
use crate::store::{Cursor, PageError, StoreNotice, StoreProblem, StoreStatus};
use crate::testing;

/// Long enough for any disk.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const OWN: u8 = 1;
pub(super) const BOB: u8 = 2;

pub(super) fn entry(author: u8, seq: u64, at: u64, text: &str) -> Arc<Entry> {
    testing::entry(author, [seq, at], "Alice", &[text], None)
}

pub(super) fn options() -> StoreOptions {
    StoreOptions::new(Identity::from_secret(&[OWN; 32]).key(), NetworkId::named(""))
}

/// A data folder, and the store in it as a task sees it.
pub(super) struct Node {
    store: Option<Store>,
    woken: mpsc::Receiver<()>,
    next: u64,
}

struct Bell(mpsc::SyncSender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It is full if it rang already.
        let _ = self.0.try_send(());
    }
}

impl Node {
    pub(super) fn open(folder: &Path) -> Self {
        Self::open_with(folder, &options())
    }

    fn open_with(folder: &Path, options: &StoreOptions) -> Self {
        let data = DataDir::open(Some(folder), 1).unwrap();
        let store = Store::open(&data, options).unwrap();
        let (bell, woken) = mpsc::sync_channel(1);
        store.client.attach(Waker::from(Arc::new(Bell(bell))));
        Self { store: Some(store), woken, next: 1 }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.store().kept
    }

    pub(super) fn answer(&self) -> Answer {
        loop {
            if let Some(answer) = self.store().client.next_answer() {
                return answer;
            }
            self.woken.recv_timeout(PATIENCE).expect("the store answers");
        }
    }

    pub(super) fn put(&mut self, record: Record) -> StoreId {
        let id = StoreId(self.next);
        self.next += 1;
        self.store().client.store(id, record);
        id
    }

    pub(super) fn put_all(&mut self, records: impl IntoIterator<Item = Record>) {
        let last = records.into_iter().map(|record| self.put(record)).last().unwrap();
        loop {
            match self.answer() {
                Answer::Stored(through) if through == last => break,
                Answer::Stored(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn load(&self, wanted: Wanted, most_bytes: usize) -> Vec<Loaded> {
        self.store().client.load(LoadId(1), wanted, most_bytes);
        match self.answer() {
            Answer::Loaded(LoadId(1), loaded) => loaded,
            other => panic!("{other:?}"),
        }
    }

    fn page(&self, before: Option<Cursor>, entries: usize) -> Result<Vec<Arc<Entry>>, PageError> {
        let shown = self.store().view().page_blocking(before, entries)?;
        Ok(shown.into_iter().map(|shown| shown.entry).collect())
    }

    pub(super) fn close(mut self) {
        let mut store = self.store.take().unwrap();
        let threads = store.take_threads();
        drop(store);
        threads.wait();
    }
}

pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("1/history.db")
}

fn ids(entries: &[Arc<Entry>]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id()).collect()
}

fn whole(loaded: &[Loaded]) -> Vec<EntryId> {
    let id = |loaded: &Loaded| match loaded {
        Loaded::Entry(entry) => entry.id(),
        other => panic!("{other:?}"),
    };
    loaded.iter().map(id).collect()
}

#[test]
fn what_was_stored_is_there_when_the_node_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    assert_eq!(*node.kept(), Kept::default());
    let own: Vec<_> = (0..3).map(|seq| entry(OWN, seq, 100 + seq, "mine")).collect();
    let bobs: Vec<_> = [0, 1, 4, 5].map(|seq| entry(BOB, seq, 50 + seq, "his")).into();
    node.put_all(own.iter().cloned().map(Record::Own));
    node.put_all(bobs.iter().cloned().map(Record::Entry));
    // Once more, as after a failure.
    node.put_all(bobs.iter().cloned().map(Record::Entry));
    let mut memory = Memory::default();
    memory.addresses = serde_json::from_str(r#"[{"addr":"192.0.2.1:8080"}]"#).unwrap();
    node.store().client.save(memory.clone());
    node.close();

    let node = Node::open(folder.path());
    let kept = node.kept();
    assert_eq!(kept.memory, memory);
    assert_eq!(kept.own, [OwnPosition::after(&own[2]).unwrap()]);
    assert_eq!(ids(&kept.entries), ids(&[&bobs[..], &own[..]].concat()));
    let runs: BTreeMap<RunId, _> = kept.runs.iter().map(|run| (run.run.clone(), run)).collect();
    let bobs_run = runs[bobs[0].run()];
    assert_eq!((bobs_run.tip, &bobs_run.held[..], bobs_run.floor), (5, &[(0, 1), (4, 5)][..], 0));
    assert_eq!(bobs_run.versions, [(55, bobs[3].id())]);
    assert_eq!(runs[own[0].run()].held, [(0, 2)]);
    assert_eq!(runs.len(), 2);
}

#[test]
fn entries_are_read_by_number_and_by_id_within_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let bobs: Vec<_> = (0..20).map(|seq| entry(BOB, seq, seq, "his")).collect();
    node.put_all(bobs.iter().cloned().map(Record::Entry));
    let range = |first, last| Wanted::Range { run: bobs[0].run().clone(), first, last };
    assert_eq!(whole(&node.load(range(3, 6), 1 << 20)), ids(&bobs[3..7]));
    let size = bobs[3].sealed().header.len() + bobs[3].body().len();
    assert_eq!(whole(&node.load(range(3, 6), 2 * size)), ids(&bobs[3..5]));
    assert_eq!(whole(&node.load(range(3, 6), 0)), ids(&bobs[3..4]), "one is always read");
    assert!(node.load(range(30, 60), 1 << 20).is_empty());
    let unknown = Wanted::Range { run: entry(3, 0, 0, "hers").run().clone(), first: 0, last: 9 };
    assert!(node.load(unknown, 1 << 20).is_empty());
    let wanted = Wanted::Ids(vec![bobs[9].id(), EntryId::from_bytes([0; 32]), bobs[2].id()]);
    assert_eq!(whole(&node.load(wanted, 1 << 20)), [bobs[9].id(), bobs[2].id()]);
}

#[test]
fn a_withdrawn_entry_is_not_held_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let bobs: Vec<_> = (0..3).map(|seq| entry(BOB, seq, seq, "his")).collect();
    let other = entry(BOB, 2, 2, "another");
    let withdrawn = |entry: &Entry| Record::Withdrawn(entry.id(), entry.run().clone());
    node.put_all(bobs.iter().cloned().map(Record::Entry).chain([
        Record::Entry(other.clone()),
        withdrawn(&other),
        withdrawn(&other),
    ]));
    node.put_all([withdrawn(&bobs[2])]);
    node.close();
    let node = Node::open(folder.path());
    let run = &node.kept().runs[0];
    assert_eq!((run.tip, &run.held[..], &run.versions[..]), (1, &[(0, 1)][..], &[(1, bobs[1].id())][..]));
}

#[test]
fn both_versions_of_a_fork_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let versions = [entry(BOB, 0, 5, "one"), entry(BOB, 0, 6, "two")];
    node.put_all(versions.iter().cloned().map(Record::Entry));
    let shown = node.store().view().page_blocking(None, 10).unwrap();
    assert!(shown.len() == 2 && shown.iter().all(|shown| shown.marks.forked));
    node.close();
    let node = Node::open(folder.path());
    let mut tip = node.kept().runs[0].versions.clone();
    tip.sort();
    assert_eq!(tip, [(5, versions[0].id()), (6, versions[1].id())]);
}

#[test]
fn what_an_entry_was_shown_with_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let bobs: Vec<_> = (0..4).map(|seq| entry(BOB, seq, seq, "his")).collect();
    let mut all = Marks::default();
    (all.late, all.backdated, all.behind, all.history, all.name_taken) = (true, true, true, true, true);
    let mut late = Marks::default();
    late.late = true;
    node.put_all([Record::Entry(bobs[0].clone())]);
    // One is stored, one will be, and one never is.
    node.store().client.mark(bobs[0].id(), all);
    node.store().client.mark(bobs[2].id(), late);
    node.store().client.mark(EntryId::from_bytes([9; 32]), late);
    bobs[1..].iter().for_each(|entry| node.put_all([Record::Entry(entry.clone())]));
    node.close();
    let node = Node::open(folder.path());
    let shown = node.store().view().page_blocking(None, 9).unwrap();
    let marks: Vec<_> = shown.iter().rev().map(|shown| shown.marks).collect();
    assert_eq!(marks, [all, Marks::default(), late, Marks::default()]);
}

#[test]
fn the_conversation_is_read_backwards_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let mut all: Vec<_> =
        (0..40).map(|n| entry(2 + n % 3, n.into(), (n / 4).into(), &n.to_string())).collect();
    node.put_all(all.iter().cloned().map(Record::Entry));
    all.sort_by_key(|entry| (entry.place(), entry.id()));
    all.reverse();
    let (mut read, mut before) = (Vec::new(), None);
    loop {
        let page = node.page(before, 7).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(Cursor { id: last.id(), part: 0 });
        read.extend(page);
    }
    assert_eq!(ids(&read), ids(&all));
    let within = Cursor { id: all[5].id(), part: 1 };
    assert_eq!(ids(&node.page(Some(within), 2).unwrap()), ids(&all[5..7]));
    let unknown = Cursor { id: EntryId::from_bytes([0; 32]), part: 0 };
    assert_eq!(node.page(Some(unknown), 7), Err(PageError::NoSuchEntry));
}

#[test]
fn what_is_dated_ahead_is_not_shown_yet() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let entries = [entry(BOB, 0, unix_ms() - 1000, "now"), entry(BOB, 1, unix_ms() + 3_600_000, "later")];
    node.put_all(entries.iter().cloned().map(Record::Entry));
    assert_eq!(ids(&node.page(None, 9).unwrap()), [entries[0].id()]);
}

#[test]
fn only_the_latest_database_tells_where_the_node_goes_on() {
    let said = [0, 1, 2].map(|seq| entry(OWN, seq, seq, "mine"));
    let goes_on = |folder: &Path| {
        let node = Node::open(folder);
        let goes_on = node.kept().own.first().map(|own| own.next.seq());
        node.close();
        goes_on
    };
    let say = |folder: &Path, entry: &Arc<Entry>| {
        let mut node = Node::open(folder);
        node.put_all([Record::Own(entry.clone())]);
        node.close();
    };
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
        for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [home, elsewhere, backup, moved] = folders.each_ref().map(tempfile::TempDir::path);
    say(home, &said[0]);
    assert_eq!(goes_on(home), Some(1), "it is the latest");
    // A copy of the folder.
    copy(&home.join("1"), &elsewhere.join("1"));
    assert_eq!(goes_on(elsewhere), None);
    assert_eq!(goes_on(elsewhere), None, "the copy has said nothing yet");
    // A folder that was moved is no copy.
    say(home, &said[1]);
    fs::rename(home.join("1"), moved.join("1")).unwrap();
    assert_eq!(goes_on(moved), Some(2));
    fs::rename(moved.join("1"), home.join("1")).unwrap();
    // The folder put back in its place, file over file.
    copy(&home.join("1"), backup);
    say(home, &said[2]);
    copy(backup, &home.join("1"));
    assert_eq!(goes_on(home), None);
    // The database alone, overwritten, and replaced.
    for replace in [false, true] {
        say(home, &said[0]);
        fs::copy(database(home), backup.join("history.db")).unwrap();
        say(home, &said[1]);
        assert_eq!(goes_on(home), Some(2));
        if replace {
            fs::remove_file(database(home)).unwrap();
        }
        fs::copy(backup.join("history.db"), database(home)).unwrap();
        assert_eq!(goes_on(home), None, "replaced: {replace}");
    }
    // Another key.
    say(home, &said[0]);
    let mut options = options();
    options.key = Identity::from_secret(&[BOB; 32]).key();
    let node = Node::open_with(home, &options);
    assert!(node.kept().own.is_empty());
}

#[test]
fn all_files_are_for_the_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all([Record::Own(entry(OWN, 0, 1, "kept"))]);
    let files = fs::read_dir(folder.path().join("1")).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = files
        .map(|file| {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
            file.file_name().into_string().unwrap()
        })
        .collect();
    names.sort();
    let expected = ["history.count", "history.db", "history.db-shm", "history.db-wal", "history.id", "lock"];
    assert_eq!(names, expected);
    node.close();
}

#[test]
fn networks_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all([Record::Own(entry(OWN, 0, 1, "kept"))]);
    node.close();
    let mut options = options();
    options.network = NetworkId::named("other");
    let node = Node::open_with(folder.path(), &options);
    assert_eq!(*node.kept(), Kept::default());
    node.close();
    assert_eq!(Node::open(folder.path()).kept().entries.len(), 1);
}

#[test]
fn mutes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [bob, carol] = [1, 2].map(|number| NodeId::from_bytes([number; 16]));
    let node = Node::open(folder.path());
    let view = node.store().view();
    for (node, muted) in [(bob, true), (carol, true), (bob, false)] {
        view.set_muted(node, muted);
    }
    node.close();
    let node = Node::open(folder.path());
    assert_eq!(node.store().mutes(), [carol]);
}

#[test]
fn what_is_too_old_or_too_much_is_dropped_and_space_is_given_back() {
    let now = 1_000_000_000;
    let mut conn = Connection::open_in_memory().unwrap();
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    schema::migrate(&mut conn).unwrap();
    let via = Via::new(NodeId::from_bytes([7; 16]), "Old".parse().unwrap());
    let mut records: Vec<_> = (0..3_000)
        .map(|seq| Record::Entry(entry(BOB, seq, now - 3_000_000 + seq * 1_000, &"x".repeat(900))))
        .collect();
    let line = testing::entry(3, [0, 5], "Relay", &["hi"], Some(&via));
    records.push(Record::Entry(line));
    let mut runs = batch::RunNumbers::default();
    let batch = batch::Batch { records: &records, memory: None, mutes: &[], marks: &[], now };
    batch::commit(&mut conn, &mut runs, &batch).unwrap();
    let count = |conn: &Connection, what: &str| -> i64 {
        conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
    };
    let run = |conn: &mut Connection, retention: Retention| {
        let mut floors = Vec::new();
        let terms =
            retention::Terms { retention: &retention, own: &options().key, most: retention.bytes, now };
        for _ in 0..1_000 {
            let step = retention::step(conn, &mut batch::RunNumbers::default(), &terms).unwrap();
            floors.extend(step.floors);
            if !step.more {
                return floors;
            }
        }
        panic!("it does not end");
    };
    run(&mut conn, Retention::default());
    assert_eq!(count(&conn, "entries WHERE body IS NOT NULL"), 3_001, "nothing is dropped by default");

    // By age: bodies of the last 1,000 s, headers of the last 2,000 s.
    let floors = run(&mut conn, Retention { age: Some(Duration::from_secs(1_000)), ..Retention::default() });
    let bobs = entry(BOB, 0, 0, "x").run().clone();
    assert!(floors.len() > 1, "in steps");
    assert_eq!(floors.last(), Some(&StoreChange::Expired { run: bobs, floor: 1_000 }), "the node is told");
    assert_eq!(count(&conn, "entries WHERE body IS NOT NULL"), 1_000);
    assert_eq!(count(&conn, "entries WHERE body IS NULL AND at >= 5000"), 1_000);
    assert_eq!(count(&conn, "entries WHERE at = 5"), 1, "the last header of a run stays");
    let mut damaged = Vec::new();
    let kept = kept::read(&conn).unwrap();
    let entries = kept::entries(&conn, NetworkId::named(""), 1 << 30, &mut damaged).unwrap();
    let bobs = kept.runs.iter().find(|run| run.tip == 2_999).unwrap();
    assert_eq!((bobs.floor, &bobs.held[..]), (1_000, &[(1_000, 2_999)][..]));
    assert!(damaged.is_empty() && entries.len() == 1_000);
    let gone = Wanted::Range { run: bobs.run.clone(), first: 0, last: 1_000 };
    let gone = rows::load(&conn, NetworkId::named(""), &gone, 1 << 20, &mut damaged).unwrap();
    assert!(matches!(&gone[..], [Loaded::Gone(gone)] if gone.position().seq() == 1_000));

    // By number.
    run(&mut conn, Retention { entries: Some(600), ..Retention::default() });
    assert_eq!(count(&conn, "entries WHERE body IS NOT NULL"), 600);
    assert!(count(&conn, "entries WHERE body IS NULL") <= 602);

    // By size.
    let most = 500_000;
    run(&mut conn, Retention { bytes: Some(most), ..Retention::default() });
    assert!(retention::used(&conn).unwrap() <= most);
    assert!(count(&conn, "entries WHERE body IS NOT NULL") > 100);
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    assert!(pages * 4_096 < 3_000_000, "space is given back: {pages} pages");
}

#[test]
fn a_page_costs_what_it_shows_however_many_entries_are_of_one_moment() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn).unwrap();
    conn.execute_batch(
        "INSERT INTO runs (key, room, class, epoch, tip, latest) VALUES (x'02', '', '', 1, 1, 5);
         WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 20000)
         INSERT INTO entries (id, run, seq, at, heard, signature, mark, header, body, place)
         SELECT randomblob(32), 1, n, 5, 0, '', 0, '', 'x', x'02' FROM number",
    )
    .unwrap();
    for condition in ["at <= ?2", page::BEFORE_CURSOR] {
        let mut page = conn.prepare(&page::select(condition)).unwrap();
        page.raw_bind_parameter(1, 10).unwrap();
        page.raw_bind_parameter(2, 5).unwrap();
        if condition == page::BEFORE_CURSOR {
            page.raw_bind_parameter(3, &[2_u8][..]).unwrap();
            page.raw_bind_parameter(4, 10_000).unwrap();
            page.raw_bind_parameter(5, &[0_u8][..]).unwrap();
        }
        let mut rows = page.raw_query();
        let mut count = 0;
        while rows.next().unwrap().is_some() {
            count += 1;
        }
        drop(rows);
        assert_eq!(count, 10, "{condition}");
        let steps = page.get_status(rusqlite::StatementStatus::VmStep);
        assert!(steps < 2_000, "{condition}: {steps} steps");
    }
}
