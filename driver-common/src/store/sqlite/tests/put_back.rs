//! Whether the database is the latest of the node.

use super::*;

#[test]
fn parts_of_the_folder_that_were_put_back_are_recognised() {
    let names = ["history.db", "history.count", "history.id"];
    // The file with the random number may be left as it is, if a backup program takes it for the same. The others may be
    // overwritten, or replaced, also by a backup that was made while the node ran, which may have crashed since.
    for (in_place, put_back, running, crashed) in [
        (false, 2, false, false),
        (true, 2, false, false),
        (false, 3, false, false),
        (true, 3, false, false),
        (false, 2, true, false),
        (true, 2, true, false),
        (false, 2, true, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("1");
        let backup = tempfile::tempdir().unwrap();
        let back_up = || names.map(|name| fs::copy(inside.join(name), backup.path().join(name)).unwrap());
        let mut node = Node::open(folder.path());
        node.put_all([Record::Own(entry(OWN, 0, 1, "old"))]);
        if running {
            // All is in the database.
            let conn = Connection::open(database(folder.path())).unwrap();
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            drop(conn);
            back_up();
        } else {
            node.close();
            back_up();
            node = Node::open(folder.path());
        }
        node.put_all([Record::Own(entry(OWN, 1, 2, "new"))]);
        // What crashed has closed nothing.
        let mut open = Some(node);
        if crashed {
            for end in ["db-wal", "db-shm"] {
                fs::remove_file(database(folder.path()).with_extension(end)).unwrap();
            }
        } else {
            open.take().into_iter().for_each(Node::close);
        }
        for name in &names[..put_back] {
            let copy = inside.join(if in_place { *name } else { "draft" });
            fs::copy(backup.path().join(name), &copy).unwrap();
            fs::rename(copy, inside.join(name)).unwrap();
        }
        let node = Node::open(folder.path());
        let case = (in_place, put_back, running, crashed);
        assert!(node.kept().own.is_empty(), "in place, files, running, crashed: {case:?}");
        node.close();
    }
}
