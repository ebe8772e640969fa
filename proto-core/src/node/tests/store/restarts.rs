//! What a node that starts again makes of its store.

use super::*;

/// A version of the entry of a run behind the one before it.
fn behind(author: &Identity, before: &Entry, text: &str) -> Entry {
    let (uname, texts) = ("Eve".parse().unwrap(), texts(text));
    let position = RunPosition::after(before).unwrap();
    let draft = Draft::new(before.epoch(), position, before.at() + 500, &uname, &texts, [9; 16]);
    Entry::sign(author, &draft)
}

/// What is in a store, and what it says where the node goes on: behind this entry.
fn kept(entries: &[&Arc<Entry>], last: &Entry) -> Kept {
    let store = Store { entries: entries.iter().map(|entry| (*entry).clone()).collect() };
    Kept { own: Vec::from([OwnPosition::after(last).unwrap()]), ..store.kept(entries.len()) }
}

/// The epoch and the number of what a node says next that starts with this.
fn next(kept: Kept) -> (u64, u64) {
    let (_, actions) = say(&mut storing_with(kept, |_| {}), "next");
    let (_, entry) = own(&actions);
    (entry.epoch(), entry.seq())
}

#[test]
fn a_number_that_the_store_has_or_that_is_behind_a_fork_is_not_said_again() {
    let mut solo = storing();
    let said: Vec<_> = ["one", "two", "three"].map(|text| own(&say(&mut solo, text).1).1).into();
    let epoch = said[0].epoch();
    let [one, two, three] = &said[..] else { panic!("{said:?}") };
    assert_eq!(next(kept(&[one, two], two)), (epoch, 2));
    // An older copy to which others gave back what it lacked.
    for others in [&[one, two][..], &[one, three]] {
        let (another, seq) = next(kept(others, one));
        assert!(another != epoch && seq == 0, "{seq}");
    }
    // Others hold another version.
    let other = Arc::new(behind(&Identity::from_secret(&[7; 32]), one, "other"));
    for entries in [&[one, two, &other][..], &[one, &other, three]] {
        let (another, seq) = next(kept(entries, entries[entries.len() - 1]));
        assert!(another != epoch && seq == 0, "{seq}");
    }
}

#[test]
fn what_a_fork_leaves_no_place_for_is_neither_served_nor_kept() {
    let mut store = heard(0..5);
    let other = behind(&eve(), &store.entries[0], "other");
    // The node ended before the store was told what to withdraw.
    store.entries.push(Arc::new(other.clone()));
    for window in [6, 5] {
        let (mut solo, actions) = started(store.kept(window), |_| {});
        let withdrawn: Vec<_> = records(&actions).into_iter().map(|(_, record)| record).collect();
        let expected = [2, 3, 4].map(|n: usize| {
            let gone = &store.entries[n];
            Record::Withdrawn(gone.id(), gone.run().clone())
        });
        assert_eq!(withdrawn, expected);
        keyed(&mut solo);
        solo.settle(1);
        let actions = solo.receive(1, &range(0, 4, 7));
        let mut served = served(&store.carry_out(&mut solo, actions));
        served.sort_unstable();
        assert_eq!(served, [0, 1, 1], "{window}");
        let mut lower = (0..).map(|n: u32| behind(&eve(), &store.entries[0], &alloc::format!("{n}")));
        let lowest = other.id().min(store.entries[1].id());
        let lower = lower.find(|entry| entry.id() < lowest).unwrap();
        solo.receive(1, &alloc::format!("CHAT|{}\n", lower.sealed()));
        assert!(solo.node.entries().any(|entry| entry.id() == lower.id()), "as others hold it");
    }
}

#[test]
fn of_a_run_that_a_node_cannot_know_it_has_nothing_old_is_shown() {
    let store = heard(0..4);
    let latest = store.entries[3].at();
    let kept = |left_out: bool| {
        let mut kept = store.kept(0);
        if left_out {
            (kept.runs, kept.left_out) = (Vec::new(), latest);
        } else {
            // A newer run takes its place.
            let newer = RunId::new(eve().key(), None, Class::Kept, 2);
            let tip = Vec::from([(latest + 10_000, EntryId::from_bytes([7; 32]))]);
            kept.runs.push(KeptRun::new(newer, 0, tip, Vec::from([(0, 0)])));
        }
        kept
    };
    for left_out in [true, false] {
        let mut solo = storing_with(kept(left_out), |limits| limits.chat.spans = 1);
        keyed(&mut solo);
        solo.receive(1, &frames_of(4..5));
        let passed = solo.pass(Limits::default().chat.hold_back_most);
        let passed: Vec<_> = passed.into_iter().map(|(_, action)| action).collect();
        assert_eq!(delivered(&passed), [4], "{left_out}: it is new");
        assert!(delivered(&solo.receive(1, &frames_of(0..4))).is_empty(), "{left_out}");
    }
}

#[test]
fn a_node_that_ended_with_a_hole_begins_to_compare_on_a_new_link_whoever_else_does() {
    let me = storing().node.cx.identity.node_id();
    let mut lower = (10..).map(|n| Identity::from_secret(&[n; 32])).filter(|peer| peer.node_id() < me);
    let lower = lower.next().unwrap();
    for missing in [None, Some(0), Some(2)] {
        let mut store = heard(0..4);
        store.entries.retain(|entry| Some(entry.seq()) != missing);
        let mut solo = storing_with(store.kept(4), |_| {});
        solo.accept(1);
        solo.receive(1, &join_keyed(&lower, 1, r#""uname":"Eve","links":0"#));
        let mut actions = solo.prove_key(&lower, 1);
        actions.extend(solo.settle(1));
        assert_eq!(sent(&actions).contains("SYNC|"), missing.is_some(), "{missing:?}");
    }
}
