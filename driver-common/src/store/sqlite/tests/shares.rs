//! Nobody takes the history of others by having much.

use proto_core::{Draft, Name, PublicKey, RunPosition};

use super::super::retention::Terms;
use super::*;

const NOW: u64 = 1_000_000_000;

/// A database without threads.
struct Disk {
    conn: Connection,
    runs: batch::RunNumbers,
}

impl Disk {
    fn new() -> Self {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        schema::migrate(&mut conn).unwrap();
        Self { conn, runs: batch::RunNumbers::default() }
    }

    fn put(&mut self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let records: Vec<_> = entries.into_iter().map(Record::Entry).collect();
        let batch = batch::Batch { records: &records, memory: None, mutes: &[], marks: &[], now: NOW };
        batch::commit(&mut self.conn, &mut self.runs, &batch).unwrap();
    }

    /// Drops until nothing more is to be dropped.
    fn retain(&mut self, retention: Retention) {
        self.retain_only(retention);
        self.check();
    }

    fn retain_only(&mut self, retention: Retention) {
        let terms = Terms { retention: &retention, own: &options().key, most: retention.bytes, now: NOW };
        let mut steps = 0;
        while retention::step(&mut self.conn, &mut self.runs, &terms).unwrap().more {
            steps += 1;
            assert!(steps < 5_000, "it does not end");
        }
    }

    fn count(&self, what: &str) -> i64 {
        self.conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
    }

    fn count_of(&self, author: u8, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM entries JOIN runs USING (run) WHERE key = ?1 AND {what}");
        self.conn.query_row(&sql, [&key(author).as_bytes()[..]], |row| row.get(0)).unwrap()
    }

    /// The database says of each run what it has.
    fn check(&self) {
        let wrong = self.count(
            "runs WHERE (bodies, bytes) <>
                 (SELECT count(*), coalesce(sum(octet_length(body) + 1024), 0) FROM entries
                  WHERE entries.run = runs.run AND body IS NOT NULL)",
        );
        assert_eq!(wrong, 0, "runs with wrong sums");
        for table in ["entries", "ranges"] {
            assert_eq!(self.count(&format!("{table} WHERE run NOT IN (SELECT run FROM runs)")), 0, "{table}");
        }
    }

    /// So many runs, each with one entry of a key of its own, which are older than all others.
    fn crowd(&self, runs: i64) {
        let sql = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
                   INSERT INTO runs (key, room, class, epoch, tip, latest, bodies)
                   SELECT randomblob(32), '', '', n, 0, 0, 1 FROM number";
        self.conn.execute(sql, [runs]).unwrap();
    }
}

fn key(author: u8) -> PublicKey {
    Identity::from_secret(&[author; 32]).key()
}

/// An entry of another epoch than the first.
fn in_epoch(author: u8, epoch: u64, at: u64, text: &str) -> Arc<Entry> {
    let texts = [proto_core::ChatText::new(text).unwrap()];
    let name = Name::cut("Mallory").unwrap();
    let draft = Draft::new(epoch, RunPosition::FIRST, at, &name, &texts, [7; 16]);
    Arc::new(Entry::sign(&Identity::from_secret(&[author; 32]), &draft))
}

#[test]
fn one_key_with_many_runs_takes_nothing_from_others() {
    let mut disk = Disk::new();
    // The oldest of all.
    disk.put([entry(OWN, 0, 1, "mine"), entry(BOB, 0, 2, "his")]);
    disk.put((0..1_100).map(|epoch| in_epoch(3, 2 + epoch, 1_000 + epoch, "more")));
    disk.retain(Retention::default());
    assert_eq!([OWN, BOB, 3].map(|author| disk.count_of(author, "true")), [1, 1, 1_024]);
    let oldest: i64 =
        disk.conn.query_row("SELECT min(at) FROM entries WHERE at > 2", [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, 1_000 + 1_100 - 1_024, "it loses its oldest");
}

#[test]
fn a_node_never_forgets_its_own_runs() {
    let mut disk = Disk::new();
    disk.put((0..1_100).map(|epoch| in_epoch(OWN, 2 + epoch, epoch, "mine")));
    disk.retain(Retention::default());
    assert_eq!(disk.count_of(OWN, "true"), 1_100);
}

#[test]
fn where_runs_are_too_many_those_that_hold_least_go() {
    let mut disk = Disk::new();
    disk.put([entry(OWN, 0, 0, "mine")]);
    disk.put((0..2).map(|seq| entry(BOB, seq, 0, "his")));
    disk.put((0..100).map(|epoch| in_epoch(3, 2 + epoch, epoch, "hers")));
    disk.crowd(65_536);
    disk.retain_only(Retention::default());
    assert_eq!(disk.count("runs"), 65_536);
    // First what one key has above 64, then what is oldest of what has least.
    assert_eq!([OWN, BOB, 3].map(|author| disk.count_of(author, "true")), [1, 2, 64]);
}

#[test]
fn an_entry_of_a_run_that_was_forgotten_begins_it_again() {
    let mut disk = Disk::new();
    disk.put((0..1_025).map(|epoch| in_epoch(3, epoch, epoch, "hers")));
    disk.retain(Retention::default());
    assert_eq!(disk.count_of(3, "epoch = 0"), 0);
    disk.put([in_epoch(3, 0, 5_000, "hers"), entry(BOB, 0, 5_001, "his")]);
    disk.check();
    assert_eq!((disk.count_of(3, "epoch = 0"), disk.count_of(BOB, "true")), (1, 1));
}

#[test]
fn a_history_of_runs_with_one_entry_is_bounded_by_its_size() {
    let most = 500_000;
    let retention = Retention { bytes: Some(most), ..Retention::default() };
    let mut disk = Disk::new();
    let mut at = 0;
    for author in 3..43 {
        disk.put((0..25).map(|epoch| in_epoch(author, epoch, at + epoch, &"x".repeat(600))));
        at += 25;
        disk.retain(retention);
        assert!(retention::used(&disk.conn).unwrap() <= most);
    }
    assert!(disk.count("entries WHERE body IS NOT NULL") > 100, "not all is headers");
    assert_eq!(disk.count("runs WHERE latest = 999"), 1, "the newest is there");
}

#[test]
fn whoever_says_most_loses_its_own_oldest_first() {
    for retention in [
        Retention { entries: Some(600), ..Retention::default() },
        Retention { bytes: Some(2_000_000), ..Retention::default() },
    ] {
        let mut disk = Disk::new();
        let text = "x".repeat(700);
        disk.put((0..100).map(|seq| entry(BOB, seq, seq, &text)));
        disk.put((0..50).map(|seq| entry(OWN, seq, seq, &text)));
        // Two talk far more than others, and later.
        disk.put((0..1_500).map(|seq| entry(3, seq, 1_000 + seq, &text)));
        disk.put((0..1_500).map(|seq| entry(4, seq, 1_000 + seq, &text)));
        disk.retain(retention);
        let [own, bob, one, other] = [OWN, BOB, 3, 4].map(|author| disk.count_of(author, "body IS NOT NULL"));
        assert_eq!((own, bob), (50, 100), "{retention:?}");
        assert!(one > 100 && one.abs_diff(other) <= 2, "{retention:?}: {one}, {other}");
        if retention.entries.is_some() {
            assert_eq!(own + bob + one + other, 600);
        }
        let newest = format!("body IS NOT NULL AND at >= {}", 2_500 - one);
        assert_eq!(disk.count_of(3, &newest), one, "the newest stay");
    }
}

#[test]
fn own_words_go_last_while_they_are_a_quarter_at_most() {
    let mut disk = Disk::new();
    disk.put((0..200).map(|seq| entry(OWN, seq, seq, "mine")));
    for other in BOB..BOB + 9 {
        disk.put((0..30).map(|seq| entry(other, seq, 1_000 + seq, "others'")));
    }
    let own = |disk: &Disk| disk.count_of(OWN, "body IS NOT NULL");
    let most = |entries| Retention { entries: Some(entries), ..Retention::default() };
    disk.retain(most(370));
    assert_eq!(own(&disk), 100, "this node says most");
    disk.retain(most(100));
    assert_eq!(own(&disk), 25);
    let others = (BOB..BOB + 9).map(|other| disk.count_of(other, "body IS NOT NULL"));
    assert!(others.clone().all(|others| (8..=9).contains(&others)), "{:?}", others.collect::<Vec<_>>());
}

#[test]
fn a_clock_that_jumped_while_the_node_was_off_deletes_little() {
    let day = 86_400_000;
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.put_all([5, 12].map(|days| Record::Entry(entry(BOB, 20 - days, unix_ms() - days * day, "his"))));
    node.close();
    // The node ended ten days ago.
    let conn = Connection::open(database(folder.path())).unwrap();
    origin::set_fact(&conn, "retention time", &batch::number(unix_ms() - 10 * day)).unwrap();
    drop(conn);
    let mut options = options();
    options.retention.age = Some(Duration::from_secs(2 * 86_400));
    let mut node = Node::open_with(folder.path(), &options);
    // Whatever is too old is gone before the second commit.
    node.put_all([Record::Entry(entry(3, 0, unix_ms(), "hers"))]);
    node.put_all([Record::Entry(entry(3, 1, unix_ms(), "hers"))]);
    assert_eq!(node.page(None, 9).unwrap().len(), 3);
    assert_eq!(node.store().view().status().expired, 1);
}

#[test]
fn keys_with_many_runs_hide_no_others_from_a_node_that_starts() {
    let mut disk = Disk::new();
    disk.put([entry(BOB, 0, 1, "his")]);
    disk.put((0..70).map(|epoch| in_epoch(4, epoch, 2 + epoch, "hers")));
    // Eight with 1,024 runs each, which are newer.
    disk.conn
        .execute_batch(
            "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 8191)
             INSERT INTO runs (key, room, class, epoch, tip, latest)
             SELECT unhex(printf('%064x', n % 8)), '', '', n, 0, 1000 + n FROM number",
        )
        .unwrap();
    let kept = kept::read(&disk.conn).unwrap();
    assert_eq!(kept.runs.iter().filter(|run| run.run.key == key(BOB)).count(), 1);
    assert_eq!(kept.runs.iter().filter(|run| run.run.key == key(4)).count(), 64);
}
