//! A node with a store: what is committed before it is sent, and what goes on without (SPEC section 11).

use super::*;
use crate::contract::Outcome;
use crate::model::{Class, LoadId, Loaded, OwnPosition, Record, SayId, StoreId};

const WALL: u64 = 1_700_000_000_000;

fn storing() -> Solo {
    storing_with(Kept::default(), |_| {})
}

fn storing_with(kept: Kept, change: impl FnOnce(&mut Limits)) -> Solo {
    let config = Config::builder("Me".parse().unwrap())
        .listen_addr(SocketAddr::from(([127, 0, 0, 1], 8080)))
        .limits(change)
        .store(true)
        .build()
        .unwrap();
    let node = Node::restore(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN, kept);
    let mut solo = Solo { node, now: Instant::ORIGIN };
    solo.input(Input::wall_clock(WALL));
    solo
}

fn texts(text: &str) -> Vec<ChatText> {
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
    let mut solo = storing_with(Kept::default(), |limits| limits.chat.uncommitted_own = 40_000);
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
    for mut solo in [storing(), solo()] {
        for input in [
            Input::stored(StoreId(u64::MAX)),
            Input::StoreWorks,
            Input::StoreFailed,
            Input::StoreFailed,
            Input::stored(StoreId(1)),
            Input::StoreWorks,
            Input::loaded(LoadId(7), Vec::<Loaded>::new()),
        ] {
            assert_eq!(solo.input(input), []);
        }
    }
}
