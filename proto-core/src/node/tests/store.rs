//! A node with a store: what is committed before it is sent, and what goes on without (SPEC section 23).

mod restarts;
mod serving;

use alloc::collections::BTreeSet;

use super::*;
use crate::contract::Outcome;
use crate::model::{
    Class, Draft, EntryId, KeptRun, LoadId, Loaded, Opened, OwnPosition, Record, RunId, RunPosition, SayId,
    Sealed, StoreChange, StoreId, Wanted,
};

const WALL: u64 = 1_700_000_000_000;

pub(super) fn storing() -> Solo {
    storing_with(Kept::default(), |_| {})
}

fn storing_with(kept: Kept, change: impl FnOnce(&mut Limits)) -> Solo {
    started(kept, change).0
}

/// The same, and what it does at once.
fn started(kept: Kept, change: impl FnOnce(&mut Limits)) -> (Solo, Vec<Action>) {
    let config = Config::builder("Me".parse().unwrap())
        .listen_addr(SocketAddr::from(([127, 0, 0, 1], 8080)))
        .limits(change)
        .store(true)
        .build()
        .unwrap();
    let node = Node::restore(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN, kept);
    let mut solo = Solo { node, now: Instant::ORIGIN };
    let actions = solo.input(Input::wall_clock(WALL));
    (solo, actions)
}

pub(super) fn texts(text: &str) -> Vec<ChatText> {
    ChatText::lines(text).unwrap()
}

/// Says something. The number of the say, and what follows.
fn say(solo: &mut Solo, text: &str) -> (SayId, Vec<Action>) {
    let outcome = solo.node.command(solo.now, Command::Say(texts(text)));
    let Ok(Outcome::Saying(id)) = outcome else { panic!("{outcome:?}") };
    (id, solo.drain())
}

/// What the store is to keep.
fn records(actions: &[Action]) -> Vec<(StoreId, Record)> {
    let record = |action: &Action| match action {
        Action::Store { id, record } => Some((*id, record.clone())),
        _ => None,
    };
    actions.iter().filter_map(record).collect()
}

/// The one own entry that the store is to keep.
fn own(actions: &[Action]) -> (StoreId, Arc<Entry>) {
    let own = records(actions).into_iter().filter_map(|(id, record)| match record {
        Record::Own(entry) => Some((id, entry)),
        _ => None,
    });
    let own: Vec<_> = own.collect();
    let [own] = &own[..] else { panic!("{own:?}") };
    own.clone()
}

fn said(actions: &[Action]) -> Vec<(SayId, Vec<Arc<Entry>>, bool)> {
    let said = actions.iter().filter_map(|action| match action {
        Action::Said { id, entries, stored } => Some((*id, entries.clone(), *stored)),
        _ => None,
    });
    said.collect()
}

/// Everything that an input leads to, what is queued for the peers 1 and 2 included.
fn all_of(solo: &mut Solo, input: Input<'_>) -> Vec<Action> {
    let mut actions = solo.input(input);
    actions.extend([1, 2].into_iter().flat_map(|conn| solo.settle(conn)));
    actions
}

#[test]
fn what_the_user_says_is_sent_when_it_is_committed() {
    let mut solo = storing();
    keyed(&mut solo);
    solo.settle(1);
    solo.peer(2, ALICE, None);
    // A peer without a key may have to be greeted first.
    solo.pass(Duration::from_secs(5));
    all_of(&mut solo, Input::Timeout);
    let (say_id, actions) = say(&mut solo, "hello");
    let (id, entry) = own(&actions);
    assert_eq!((sent(&actions), said(&actions)), (String::new(), Vec::new()));
    assert_eq!(solo.node.entries().count(), 0, "nobody can ask for it");
    // It is later than it was signed.
    solo.now = solo.now + Duration::from_secs(1);
    assert_eq!(solo.input(Input::stored(StoreId(id.0 - 1))), []);
    assert_eq!(solo.input(Input::stored(StoreId(id.0 + 1))), [], "that was never asked for");
    let actions = all_of(&mut solo, Input::stored(id));
    assert_eq!(said(&actions), [(say_id, Vec::from([entry.clone()]), true)]);
    assert_eq!(solo.node.entries().count(), 1);
    let lines = sent(&actions);
    assert!(lines.contains("CHAT|") && lines.contains("MSG|hello"), "{lines}");
    assert_eq!(said(&solo.input(Input::stored(id))), [], "once");
}

#[test]
fn several_entries_of_one_say_are_told_together_and_in_order() {
    let mut solo = storing();
    let long = "x".repeat(3_000);
    let (say_id, actions) = say(&mut solo, &Vec::from([&long[..]; 30]).join("\n"));
    let all: Vec<_> = records(&actions).into_iter().map(|(id, _)| id).collect();
    assert!(all.len() > 1 && all.windows(2).all(|two| two[1].0 == two[0].0 + 1), "{all:?}");
    let (other, _) = say(&mut solo, "next");
    assert_eq!(said(&solo.input(Input::stored(all[0]))), []);
    let actions = solo.input(Input::stored(StoreId(all.len() as u64 + 1)));
    let told = said(&actions);
    assert_eq!(
        told.iter().map(|(id, entries, _)| (*id, entries.len())).collect::<Vec<_>>(),
        [(say_id, all.len()), (other, 1)]
    );
    let seqs: Vec<_> = told.iter().flat_map(|(_, entries, _)| entries).map(|entry| entry.seq()).collect();
    assert!(seqs.iter().copied().eq(0..seqs.len() as u64), "{seqs:?}");
}

#[test]
fn nothing_is_said_by_an_empty_say_and_the_user_is_told() {
    let mut solo = storing();
    let outcome = solo.node.command(solo.now, Command::Say(Vec::new()));
    assert_eq!(outcome, Ok(Outcome::Saying(SayId(1))));
    assert_eq!(said(&solo.drain()), [(SayId(1), Vec::new(), true)]);
}

#[test]
fn without_a_working_store_nothing_waits_and_no_number_is_used_twice() {
    let mut solo = storing();
    keyed(&mut solo);
    solo.settle(1);
    let (first, actions) = say(&mut solo, "one");
    let (id, one) = own(&actions);
    all_of(&mut solo, Input::stored(id));
    let (second, actions) = say(&mut solo, "two");
    let (_, two) = own(&actions);
    let failed = all_of(&mut solo, Input::StoreFailed);
    let told = said(&failed);
    let [(of, entries, false)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*of, second), (second, SayId(first.0 + 1)));
    let anew = &entries[0];
    assert!(anew.texts().eq(["two"]) && anew.epoch() != two.epoch() && anew.seq() == 0, "{anew:?}");
    assert!(sent(&failed).contains("CHAT|") && solo.node.entries().all(|entry| entry.id() != two.id()));
    assert_eq!(solo.input(Input::StoreFailed), [], "once");
    // While it fails, everything is said at once.
    let (third, actions) = say(&mut solo, "three");
    let told = said(&actions);
    let [(of, entries, false)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*of, entries[0].epoch(), entries[0].seq()), (third, anew.epoch(), 1));
    assert_eq!(records(&actions), [], "it is not asked for in vain");
    // It works again: other epochs, of which the store knows all.
    solo.input(Input::StoreWorks);
    let (_, actions) = say(&mut solo, "four");
    let (id, four) = own(&actions);
    assert!(four.seq() == 0 && four.epoch() != anew.epoch() && four.epoch() != one.epoch());
    assert_eq!(said(&solo.input(Input::stored(id))).len(), 1);
}

#[test]
fn a_node_goes_on_where_its_store_says() {
    let mut solo = storing();
    let (_, actions) = say(&mut solo, "one");
    let (_, one) = own(&actions);
    let kept = Kept { own: Vec::from([OwnPosition::after(&one).unwrap()]), ..Kept::default() };
    let mut again = storing_with(kept, |_| {});
    let (_, actions) = say(&mut again, "two");
    let (_, two) = own(&actions);
    assert_eq!((two.epoch(), two.seq(), two.prev()), (one.epoch(), 1, Some(one.id())));
    assert!(two.at() > one.at(), "the clock goes on, too");
    // The same from what a database knows of it.
    let position = OwnPosition::behind(Class::Kept, one.epoch(), (one.seq(), one.id()), one.at());
    assert_eq!(position, OwnPosition::after(&one));
}

#[test]
fn the_users_words_are_refused_while_too_much_waits_for_the_store() {
    let mut solo = storing_with(Kept::default(), |limits| limits.chat.uncommitted_own = 60_000);
    let long = "x".repeat(3_000);
    let (_, actions) = say(&mut solo, &long);
    let (first, _) = own(&actions);
    let (_, actions) = say(&mut solo, &long);
    let (second, _) = own(&actions);
    let mut say_more = || solo.node.command(solo.now, Command::Say(texts(&long)));
    while say_more().is_ok() {}
    assert_eq!(say_more(), Err(CommandError::Busy));
    let waiting = records(&solo.drain());
    assert!(!solo.input(Input::stored(first)).contains(&Action::Ready), "still more than half");
    let last = waiting.last().map_or(second, |(id, _)| *id);
    assert!(solo.input(Input::stored(last)).contains(&Action::Ready));
    say(&mut solo, &long);
}

#[test]
fn answers_that_nobody_asked_for_do_no_harm() {
    let run = run_of(&eve(), 1)[0].run().clone();
    for mut solo in [storing(), solo()] {
        for input in [
            Input::stored(StoreId(u64::MAX)),
            Input::StoreWorks,
            Input::StoreFailed,
            Input::StoreFailed,
            Input::stored(StoreId(1)),
            Input::StoreWorks,
            Input::loaded(LoadId(7), Vec::<Loaded>::new()),
            Input::store_changed(StoreChange::Lost { run: run.clone(), first: 7, last: u64::MAX }),
            Input::store_changed(StoreChange::Expired { run: run.clone(), floor: u64::MAX }),
            Input::store_changed(StoreChange::Emptied),
        ] {
            assert_eq!(solo.input(input), []);
        }
    }
}

/// A store that commits at once.
#[derive(Default)]
pub(super) struct Store {
    entries: Vec<Arc<Entry>>,
}

impl Store {
    /// Carries out what these actions ask for. What follows from that.
    pub(super) fn carry_out(&mut self, solo: &mut Solo, actions: Vec<Action>) -> Vec<Action> {
        let mut all = Vec::new();
        let mut next = actions;
        while !next.is_empty() {
            let mut answers = Vec::new();
            for action in &next {
                match action {
                    Action::Store { id, record } => {
                        self.keep(record);
                        answers.push(Input::stored(*id));
                    }
                    Action::Load { id, wanted, most_bytes } => {
                        answers.push(Input::loaded(*id, self.read(wanted, *most_bytes)));
                    }
                    _ => {}
                }
            }
            all.append(&mut next);
            next = answers.into_iter().flat_map(|answer| solo.input(answer)).collect();
            next.extend(solo.settle(1));
        }
        all
    }

    fn keep(&mut self, record: &Record) {
        match record {
            Record::Entry(entry) | Record::Own(entry) => {
                if !self.entries.contains(entry) {
                    self.entries.push(entry.clone());
                }
            }
            Record::Withdrawn(id, _) => self.entries.retain(|entry| entry.id() != *id),
        }
    }

    fn read(&self, wanted: &Wanted, most_bytes: usize) -> Vec<Loaded> {
        let mut entries: Vec<_> = self.entries.iter().filter(|entry| is_wanted(entry, wanted)).collect();
        entries.sort_by_key(|entry| (entry.seq(), entry.id()));
        let mut bytes = 0;
        let fits = |entry: &&&Arc<Entry>| {
            bytes += entry.sealed().line_len();
            bytes <= most_bytes || bytes == entry.sealed().line_len()
        };
        entries.iter().take_while(fits).map(|entry| Loaded::Entry((*entry).clone())).collect()
    }

    /// What a node that starts again gets, with a window of so many entries.
    fn kept(&self, window: usize) -> Kept {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| (entry.place(), entry.id()));
        let runs: BTreeSet<_> = entries.iter().map(|entry| entry.run().clone()).collect();
        let kept_run = |run: RunId| {
            let of_run: Vec<_> = entries.iter().filter(|entry| *entry.run() == run).collect();
            let tip = of_run.iter().map(|entry| entry.seq()).max().unwrap();
            let versions = of_run.iter().filter(|entry| entry.seq() == tip);
            let versions = versions.map(|entry| (entry.at(), entry.id())).collect();
            let held = of_run.iter().map(|entry| (entry.seq(), entry.seq())).collect();
            KeptRun::new(run, tip, versions, held)
        };
        let mut kept = Kept { runs: runs.into_iter().map(kept_run).collect(), ..Kept::default() };
        kept.entries = entries.split_off(entries.len().saturating_sub(window));
        kept
    }
}

fn is_wanted(entry: &Entry, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Range { run, first, last } => entry.run() == run && (*first..=*last).contains(&entry.seq()),
        Wanted::Ids(ids) => ids.contains(&entry.id()),
    }
}

pub(super) fn eve() -> Identity {
    Identity::from_secret(&[9; 32])
}

fn delivered(actions: &[Action]) -> Vec<u64> {
    let seq = |action: &Action| match action {
        Action::Deliver(Message::Entry { entry, .. }) => Some(entry.seq()),
        _ => None,
    };
    actions.iter().filter_map(seq).collect()
}

/// The entries of one run, dated a second after each other.
fn run_of(author: &Identity, len: u64) -> Vec<Entry> {
    let (uname, texts) = ("Eve".parse().unwrap(), texts("hello"));
    let mut position = RunPosition::FIRST;
    let entry = |seq| {
        let draft = Draft::new(1, position, WALL - 100_000 + seq * 1_000, &uname, &texts, [9; 16]);
        let entry = Entry::sign(author, &draft);
        position = RunPosition::after(&entry).unwrap();
        entry
    };
    (0..len).map(entry).collect()
}

/// The frames of those with these numbers.
fn frames_of(seqs: core::ops::Range<u64>) -> String {
    let entries = run_of(&eve(), seqs.end).into_iter().skip(usize::try_from(seqs.start).unwrap());
    entries.map(|entry| alloc::format!("CHAT|{}\n", entry.sealed())).collect()
}

fn range(first: u64, last: u64, tag: u64) -> String {
    let query = crate::wire::RangeQuery::new(run_of(&eve(), 1)[0].run().clone(), first, last, tag).unwrap();
    let mut line = Vec::new();
    crate::wire::Frame::Range(query).encode(&mut line);
    String::from_utf8(line).unwrap()
}

/// The numbers of the entries in what was sent.
fn served(actions: &[Action]) -> Vec<u64> {
    let lines = sent(actions);
    let seq = |line: &str| line.split_once("\"seq\":")?.1.split_once(',')?.0.parse().ok();
    lines.lines().filter(|line| line.starts_with("CHAT|")).filter_map(seq).collect()
}

/// A node that has heard these numbers, and its store.
fn heard(seqs: core::ops::Range<u64>) -> Store {
    let (mut solo, mut store) = (storing(), Store::default());
    keyed(&mut solo);
    let actions = solo.receive(1, &frames_of(seqs.clone()));
    assert!(delivered(&actions).len() + sent(&actions).len() > 0);
    store.carry_out(&mut solo, actions);
    assert_eq!(store.entries.len() as u64, seqs.end - seqs.start);
    store
}

#[test]
fn what_a_node_received_is_kept_in_order_and_is_shown_at_once() {
    let mut solo = storing();
    keyed(&mut solo);
    let actions = solo.receive(1, &frames_of(0..3));
    assert_eq!(delivered(&actions), [0, 1, 2]);
    let kept: Vec<_> = records(&actions)
        .into_iter()
        .map(|(id, record)| match record {
            Record::Entry(entry) => (id.0, entry.seq()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kept, [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(records(&solo.receive(1, &frames_of(0..3))), [], "once");
}

#[test]
fn what_the_store_has_is_never_shown_again_and_is_not_missing() {
    let store = heard(0..10);
    for window in [10, 3, 0] {
        let mut solo = storing_with(store.kept(window), |_| {});
        assert_eq!(solo.node.entries().count(), window);
        keyed(&mut solo);
        let actions = solo.receive(1, &frames_of(0..10));
        assert_eq!((delivered(&actions), records(&actions).len()), (Vec::new(), 0), "{window}");
        let actions = solo.receive(1, &frames_of(10..12));
        assert_eq!(delivered(&actions), [10, 11], "{window}");
        assert_eq!(records(&actions).len(), 2);
    }
}

#[test]
fn what_was_missed_between_is_reported_and_shown_late() {
    let store = heard(0..10);
    let mut solo = storing_with(store.kept(10), |_| {});
    keyed(&mut solo);
    solo.receive(1, &frames_of(12..13));
    let passed: Vec<_> = solo.pass(Duration::from_secs(20)).into_iter().map(|(_, action)| action).collect();
    let gap = |action: &Action| matches!(action, Action::Notice(Notice::Gap { missing: 2, .. }));
    assert!(passed.iter().any(gap), "{passed:?}");
    assert_eq!(delivered(&solo.receive(1, &frames_of(10..12))), [10, 11]);
}

#[test]
fn an_own_entry_that_the_store_lacks_is_recalled_and_begins_another_epoch() {
    let mut solo = storing();
    let (_, actions) = say(&mut solo, "one");
    let (_, one) = own(&actions);
    solo.input(Input::stored(StoreId(1)));
    let mut kept = Store { entries: Vec::from([one.clone()]) }.kept(1);
    kept.own.push(OwnPosition::after(&one).unwrap());
    // It said another one later, which the copy lacks.
    let (_, actions) = say(&mut solo, "two");
    let (_, two) = own(&actions);
    let mut copy = storing_with(kept, |_| {});
    copy.now = copy.now + Duration::from_secs(60);
    copy.input(Input::wall_clock(WALL + 3_600_000));
    keyed(&mut copy);
    let actions = copy.receive(1, &alloc::format!("CHAT|{}\n", two.sealed()));
    assert_eq!(delivered(&actions), [1], "{actions:?}");
    assert!(!actions.contains(&Action::Notice(Notice::KeyShared)), "it was this node");
    let (_, actions) = say(&mut copy, "three");
    let (_, three) = own(&actions);
    assert!(three.epoch() != two.epoch() && three.seq() == 0);
}

#[test]
fn words_that_wait_when_a_fork_is_heard_are_signed_anew() {
    let mut solo = storing();
    let (_, actions) = say(&mut solo, "one");
    let (id, one) = own(&actions);
    solo.input(Input::stored(id));
    let (say_id, actions) = say(&mut solo, "two");
    let (id, two) = own(&actions);
    keyed(&mut solo);
    // Another node with this key says something else there.
    let identity = Identity::from_secret(&[7; 32]);
    let other = keyed::chat_in(&identity, one.epoch(), 1, WALL + 5, None);
    solo.receive(1, &other);
    let actions = solo.input(Input::stored(id));
    assert_eq!(said(&actions), [], "what would be sent is not committed");
    let (anew_id, anew) = own(&actions);
    assert!(anew.texts().eq(["two"]) && anew.epoch() != two.epoch());
    let withdrawn = Record::Withdrawn(two.id(), two.run().clone());
    assert!(records(&actions).iter().any(|(_, record)| *record == withdrawn));
    assert_eq!(said(&solo.input(Input::stored(anew_id))), [(say_id, Vec::from([anew]), true)]);
}

#[test]
fn what_came_while_the_store_failed_is_kept_when_it_works_again() {
    let mut solo = storing();
    keyed(&mut solo);
    let first = records(&solo.receive(1, &frames_of(0..1)));
    assert_eq!(first.len(), 1, "it is not committed");
    solo.input(Input::StoreFailed);
    assert_eq!(records(&solo.receive(1, &frames_of(1..3))), []);
    let kept: Vec<_> = records(&solo.input(Input::StoreWorks))
        .into_iter()
        .map(|(_, record)| if let Record::Entry(entry) = record { entry.seq() } else { panic!("{record:?}") })
        .collect();
    assert_eq!(kept, [0, 1, 2]);
}

#[test]
fn what_the_store_does_not_keep_up_with_waits_in_the_window() {
    let mut solo = storing_with(Kept::default(), |limits| limits.chat.uncommitted = 3_000);
    keyed(&mut solo);
    let mut asked = records(&solo.receive(1, &frames_of(0..6)));
    assert!((1..6).contains(&asked.len()), "{asked:?}");
    while let Some((id, _)) = asked.last().filter(|_| asked.len() < 6) {
        let more = records(&solo.input(Input::stored(*id)));
        assert!(!more.is_empty());
        asked.extend(more);
    }
    let seqs: Vec<_> = asked.into_iter().map(|(id, _)| id.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_node_dials_whom_it_knew_and_knows_their_names() {
    let mut solo = storing();
    let target: PeerAddr = "9.9.9.9:9000".parse().unwrap();
    solo.node.command(solo.now, Command::Connect(target.into())).unwrap();
    let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
    solo.input(Input::connected(dial, ConnId(1)));
    let peer = Identity::from_secret(&[8; 32]);
    let before = solo.node.memory_changes();
    solo.receive(1, &join_keyed(&peer, 1, r#""uname":"Eve","links":0"#));
    solo.prove_key(&peer, 1);
    assert!(solo.node.memory_changes() > before);
    let before = solo.node.memory_changes();
    solo.receive(1, &frames_of(0..1));
    assert!(solo.node.memory_changes() > before);
    let memory = solo.node.memory();
    let read = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
    assert_eq!(memory, read);

    let kept = Kept { memory: memory.clone(), ..Kept::default() };
    let config = solo.node.config().clone();
    let node = Node::restore(config, Identity::from_secret(&[7; 32]), [9; 32], Instant::ORIGIN, kept);
    let mut again = Solo { node, now: Instant::ORIGIN };
    assert_eq!(again.node.memory(), memory, "what is not taken yet is not lost");
    let actions = again.input(Input::wall_clock(WALL + 60_000));
    let addr: SocketAddr = "9.9.9.9:9000".parse().unwrap();
    assert!(actions.iter().any(|action| matches!(action, Action::Dial { addr: at, .. } if *at == addr)));
    assert_eq!(again.node.memory().names, memory.names);
    // Another key goes by a name that was known before.
    keyed_on(&mut again, 2);
    let other = Identity::from_secret(&[10; 32]);
    let actions = again.receive(2, &chat(&other, 0, WALL + 60_000, None));
    assert!(actions.iter().any(|action| matches!(action, Action::Notice(Notice::NameTaken { .. }))));
}
