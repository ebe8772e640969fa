//! Files that are damaged, cannot be written, or are none of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proto_core::{Record, StoreChange, Wanted};
use rusqlite::Connection;

use super::*;

#[test]
fn a_damaged_database_is_set_aside_and_another_one_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all((0..200).map(|seq| Record::Entry(entry(BOB, seq, seq, &"x".repeat(500)))));
    node.close();
    let mut bytes = fs::read(database(folder.path())).unwrap();
    bytes[..100].fill(0x55);
    fs::write(database(folder.path()), &bytes).unwrap();
    let mut node = Node::open(folder.path());
    let [StoreNotice::SetAside { file }] = node.store().notices() else {
        panic!("{:?}", node.store().notices())
    };
    assert_eq!(fs::read(file).unwrap(), bytes);
    assert!(node.kept().entries.is_empty());
    node.put_all([Record::Entry(entry(BOB, 0, 0, "new"))]);
}

#[test]
fn damage_that_the_start_does_not_see_is_found_while_the_node_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all((0..400).map(|seq| Record::Entry(entry(BOB, seq, seq, &"x".repeat(500)))));
    node.close();
    let mut bytes = fs::read(database(folder.path())).unwrap();
    // A page in the middle: the start reads the newest entries alone.
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    fs::write(database(folder.path()), &bytes).unwrap();
    let mut options = options();
    options.window = 20_000;
    let mut node = Node::open_with(folder.path(), &options);
    let mut answers = Vec::new();
    loop {
        match node.answer() {
            Answer::Failed(StoreProblem::Damaged) => {
                answers.push("failed");
                node.store().client.heard_failure();
            }
            Answer::SetAside(file) => {
                answers.push("set aside");
                assert!(file.exists());
            }
            Answer::Changed(changes) => {
                assert_eq!(changes, [StoreChange::Emptied]);
                answers.push("emptied");
            }
            Answer::Works => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, ["failed", "set aside", "emptied"]);
    node.put_all([Record::Entry(entry(BOB, 0, 0, "again"))]);
    assert_eq!(node.page(None, 9).unwrap().len(), 1);
}

#[test]
fn a_database_that_was_taken_away_is_begun_anew_when_it_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all([Record::Entry(entry(BOB, 0, 0, "gone"))]);
    // Nothing can be written to what nobody can find again.
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("ALTER TABLE ranges RENAME TO elsewhere").unwrap();
    drop(conn);
    for end in ["db", "db-wal", "db-shm"] {
        fs::remove_file(database(folder.path()).with_extension(end)).unwrap();
    }
    node.put(Record::Own(entry(OWN, 0, 1, "unkept")));
    assert!(matches!(node.answer(), Answer::Failed(_)));
    node.store().client.heard_failure();
    assert!(matches!(node.answer(), Answer::Changed(changes) if changes == [StoreChange::Emptied]));
    assert!(matches!(node.answer(), Answer::Works));
    node.put_all([Record::Own(entry(OWN, 0, 2, "kept"))]);
    assert_eq!(node.page(None, 9).unwrap().len(), 1);
}

#[test]
fn a_row_that_is_not_what_was_stored_is_deleted_and_wanted_again() {
    let folder = tempfile::tempdir().unwrap();
    let bobs: Vec<_> = (0..5).map(|seq| entry(BOB, seq, seq, "a text to damage")).collect();
    for (column, change) in [
        ("body", "replace(body, 'damage', 'damagE')"),
        ("header", "replace(header, 'text', 'tezt')"),
        ("signature", "replace(signature, substr(signature, 9, 1), 'Q')"),
        ("seq", "9"),
    ] {
        let path = folder.path().join(column);
        let mut node = Node::open(&path);
        node.put_all(bobs.iter().cloned().map(Record::Entry));
        node.close();
        let conn = Connection::open(database(&path)).unwrap();
        conn.execute(&format!("UPDATE entries SET {column} = {change} WHERE seq = 2"), []).unwrap();
        drop(conn);
        let node = Node::open(&path);
        assert_eq!(node.store().notices(), [StoreNotice::Damaged { entries: 1 }], "{column}");
        assert_eq!(node.kept().entries.len(), 4, "{column}");
        assert_eq!(node.kept().runs[0].held, [(0, 1), (3, 4)], "{column}");
    }
}

#[test]
fn a_node_does_not_go_on_in_a_run_of_which_it_lost_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    for (author, goes_on) in [(BOB, 1), (OWN, 0)] {
        let mut node = Node::open(folder.path());
        node.put_all([Record::Entry(entry(BOB, 0, 0, "his")), Record::Own(entry(OWN, 0, 0, "mine"))]);
        node.close();
        let conn = Connection::open(database(folder.path())).unwrap();
        let author = Identity::from_secret(&[author; 32]).key();
        let changed = conn.execute(
            "UPDATE entries SET body = 'x' WHERE run IN (SELECT run FROM runs WHERE key = ?1)",
            [&author.as_bytes()[..]],
        );
        assert_eq!(changed, Ok(1));
        drop(conn);
        let node = Node::open(folder.path());
        assert_eq!(node.kept().own.len(), goes_on);
        node.close();
    }
}

#[test]
fn damage_that_is_read_while_the_node_runs_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let bobs: Vec<_> = (0..5).map(|seq| entry(BOB, seq, seq, "a text to damage")).collect();
    let mut node = Node::open(folder.path());
    node.put_all(bobs.iter().cloned().map(Record::Entry));
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute("UPDATE entries SET body = 'x' WHERE seq = 2", []).unwrap();
    let range = Wanted::Range { run: bobs[0].run().clone(), first: 0, last: 4 };
    assert_eq!(node.load(range, 1 << 20).len(), 4);
    let Answer::Changed(lost) = node.answer() else { panic!("what is missing is told first") };
    assert_eq!(lost, [StoreChange::Lost { run: bobs[0].run().clone(), first: 2, last: 2 }]);
    assert!(matches!(node.answer(), Answer::Damaged(1)));
    node.close();
    let node = Node::open(folder.path());
    assert_eq!(node.kept().runs[0].held, [(0, 1), (3, 4)]);
}

#[test]
fn a_store_that_cannot_write_says_so_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all([Record::Own(entry(OWN, 0, 1, "kept"))]);
    // A trigger stands for a disk that is full.
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("ALTER TABLE ranges RENAME TO elsewhere").unwrap();
    node.put(Record::Own(entry(OWN, 1, 2, "lost")));
    assert!(matches!(node.answer(), Answer::Failed(_)));
    let status: StoreStatus = node.store().view().status();
    assert!(status.problem.is_some() && status.failures == 1);
    // The node has not heard yet: this is dropped as well.
    node.put(Record::Own(entry(OWN, 2, 3, "lost, too")));
    conn.execute_batch("ALTER TABLE elsewhere RENAME TO ranges").unwrap();
    node.store().client.heard_failure();
    assert!(matches!(node.answer(), Answer::Works));
    assert_eq!(node.store().view().status().problem, None);
    node.put_all([Record::Entry(entry(OWN, 0, 1, "kept")), Record::Own(entry(OWN, 7, 4, "after"))]);
    let texts: Vec<_> =
        node.page(None, 9).unwrap().iter().map(|entry| entry.texts().next().unwrap().to_owned()).collect();
    assert_eq!(texts, ["after", "kept"]);
}

#[test]
fn an_entry_that_the_database_refuses_keeps_no_other_from_being_stored() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("CREATE UNIQUE INDEX refusing ON entries (at) WHERE at = 5").unwrap();
    node.put_all(
        [5, 5, 6, 5, 7].into_iter().zip(0..).map(|(at, seq)| Record::Entry(entry(BOB, seq, at, "his"))),
    );
    let at: Vec<_> = node.page(None, 9).unwrap().iter().map(|entry| entry.at()).collect();
    assert_eq!(at, [7, 6, 5]);
    // What this node says is never left out.
    node.put(Record::Own(entry(OWN, 0, 5, "mine")));
    assert!(matches!(node.answer(), Answer::Failed(StoreProblem::Other)));
}

#[test]
fn a_store_that_fails_for_ever_does_not_flap() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("ALTER TABLE ranges RENAME TO elsewhere").unwrap();
    let mut waits = Vec::new();
    for seq in 0..3 {
        let start = std::time::Instant::now();
        node.put(Record::Own(entry(OWN, seq, seq, "mine")));
        assert!(matches!(node.answer(), Answer::Failed(_)));
        node.store().client.heard_failure();
        assert!(matches!(node.answer(), Answer::Works));
        waits.push(start.elapsed());
    }
    assert!(waits[2] >= 4 * writer::RETRY, "{waits:?}");
}

#[test]
fn a_file_that_is_no_database_of_this_program_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    Node::open(folder.path()).close();
    let refused = || {
        let data = DataDir::open(Some(folder.path()), 1).unwrap();
        Store::open(&data, &options()).unwrap_err().to_string()
    };
    let conn = Connection::open(database(folder.path())).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    let error = refused();
    let known = format!("newer version of this program (schema 99, this one knows {})", schema::VERSION);
    assert!(error.contains(&known), "{error}");
    conn.pragma_update(None, "application_id", 99).unwrap();
    let error = refused();
    assert!(error.contains("history.db is the database of another program"), "{error}");
    conn.pragma_update(None, "application_id", schema::APPLICATION).unwrap();
    conn.pragma_update(None, "user_version", schema::VERSION).unwrap();
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let error = refused();
    assert!(error.contains("locked by another program"), "{error}");
    drop(conn);
    fs::set_permissions(database(folder.path()), fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused();
    assert!(error.contains("can be read or written by other users (mode 644)"), "{error}");
}
