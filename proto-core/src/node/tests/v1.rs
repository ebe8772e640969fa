//! Which code of version 1 runs for an entry.

use alloc::string::String;
use alloc::vec::Vec;

use super::admission::SECOND;
use super::keyed::{chat_in, chat_of};
use super::{ALICE, Solo, chat, keyed, sent, solo};
use crate::contract::{Action, Input, Message};
use crate::model::{ConnId, Identity, NodeId, Via};
use crate::v1::Ran;

fn speaker(n: u8) -> Via {
    Via { node_id: NodeId::from_bytes([n; 16]), uname: "Victor".parse().unwrap() }
}

/// How many entries are shown.
fn shown(actions: &[Action]) -> usize {
    let is_entry = |action: &&Action| matches!(action, Action::Deliver(Message::Entry { .. }));
    actions.iter().filter(is_entry).count()
}

/// Receives one entry. What ran for it, and how many entries are shown.
fn receive(solo: &mut Solo, line: &str) -> (Ran, usize) {
    let before = solo.node.v1.ran();
    let actions = solo.receive(1, line);
    let Ran { relay, duplicate_check } = solo.node.v1.ran();
    let ran = Ran { relay: relay - before.relay, duplicate_check: duplicate_check - before.duplicate_check };
    (ran, shown(&actions))
}

#[test]
fn without_a_linked_peer_without_a_key_an_entry_runs_the_duplicate_check_at_most() {
    let mut solo = solo();
    let author = keyed(&mut solo);
    assert_eq!(receive(&mut solo, &chat(&author, 0, 1, None)), (Ran::default(), 1));
    let duplicate_check = Ran { relay: 0, duplicate_check: 1 };
    assert_eq!(receive(&mut solo, &chat(&author, 0, 2, Some(&speaker(7)))), (duplicate_check, 1));
    // Another node has brought in the same line.
    let other = Identity::from_secret(&[9; 32]);
    assert_eq!(receive(&mut solo, &chat(&other, 0, 3, Some(&speaker(7)))), (duplicate_check, 0));
    assert_eq!(receive(&mut solo, &chat_in(&author, 2, 0, 4, None)), (Ran::default(), 1));
}

#[test]
fn with_a_linked_peer_without_a_key_each_entry_is_considered_for_relay() {
    let mut solo = solo();
    let author = keyed(&mut solo);
    solo.peer(2, ALICE, None);
    // Its `PEERS` names nobody, so this node is its designated relay.
    solo.receive(2, "PEERS|\n");
    solo.now = solo.now + SECOND;
    solo.input(Input::Timeout);
    solo.settle(2);
    assert_eq!(receive(&mut solo, &chat(&author, 0, 10, None)), (Ran { relay: 1, duplicate_check: 0 }, 1));
    let both = Ran { relay: 1, duplicate_check: 1 };
    assert_eq!(receive(&mut solo, &chat(&author, 0, 20, Some(&speaker(7)))), (both, 1));
    let lines: Vec<_> = sent(&solo.settle(2)).lines().map(String::from).collect();
    assert_eq!(lines, ["MSG|Victor: hello"]);
    solo.input(Input::closed(ConnId(2)));
    assert_eq!(receive(&mut solo, &chat_in(&author, 2, 0, 30, None)), (Ran::default(), 1));
}

#[test]
fn of_a_partly_known_entry_only_the_new_texts_are_shown_and_counted() {
    let mut solo = solo();
    let (author, other) = (keyed(&mut solo), Identity::from_secret(&[9; 32]));
    let mut show = |line: String| {
        let actions = solo.receive(1, &line);
        let messages = actions.iter().filter_map(|action| match action {
            Action::Deliver(message) => Some(message.texts().collect::<Vec<_>>().join(" ")),
            _ => None,
        });
        (messages.collect::<Vec<_>>(), solo.node.stats().delivered)
    };
    let via = Some(&speaker(7));
    assert_eq!(show(chat_of(&author, (1, 0), 1, via, &["a", "b"])), (["a b".into()].into(), 2));
    assert_eq!(show(chat_of(&other, (1, 0), 2, via, &["b", "c", "a", "d"])), (["c d".into()].into(), 4));
    assert_eq!(show(chat_of(&author, (1, 1), 3, via, &["c", "d"])), ([].into(), 4));
}
