//! What a node with a store asks for below its window, of neighbours that bring nothing (SPEC 23.5).

use super::store::{Store, eve, storing};
use super::*;
use crate::model::{Draft, MAX_NUMBER, Record, RunPosition};

/// A node with a store, and neighbours that answer: on connection 1, and on connection 2 one that has nothing.
struct Filling {
    solo: Solo,
    store: Store,
    conns: core::ops::RangeInclusive<u64>,
    /// The ranges that were asked for: the epoch, the first and the last number.
    asked: Vec<(u64, u64, u64)>,
}

impl Filling {
    fn new(neighbours: u64) -> Self {
        let mut solo = storing();
        let conns = 1..=neighbours;
        for conn in conns.clone() {
            keyed_as(&mut solo, conn, Identity::from_secret(&[conn as u8 + 20; 32]));
        }
        Self { solo, store: Store::default(), conns, asked: Vec::new() }
    }

    /// The first neighbour says these lines, and then all answer for so long. `held` tells the next number of a range that the
    /// first one ends.
    fn run(&mut self, lines: &str, time: Duration, held: impl Fn(u64, u64) -> u64) {
        let end = self.solo.now + time;
        let mut actions = self.solo.receive(1, lines);
        while self.solo.now < end {
            actions = self.store.carry_out(&mut self.solo, actions);
            actions.extend(self.conns.clone().flat_map(|conn| self.solo.settle(conn)));
            if sent(&actions).is_empty() {
                let passed = self.solo.pass(Duration::from_secs(1));
                actions.extend(passed.into_iter().map(|(_, action)| action));
            }
            let mut next = Vec::new();
            for conn in self.conns.clone() {
                let answers = self.answers(conn, &sent_to(&actions, conn), &held);
                next.extend(self.solo.receive(conn, &answers));
            }
            actions.retain(|action| matches!(action, Action::Store { .. } | Action::Load { .. }));
            actions.append(&mut next);
            assert!(self.asked.len() < 5_000, "it asks without end: {:?}", self.asked.last());
        }
    }

    fn answers(&mut self, conn: u64, sent: &str, held: impl Fn(u64, u64) -> u64) -> String {
        let mut lines = answers(sent);
        for query in sent.lines().filter_map(|line| line.strip_prefix("RANGE|")) {
            let mut fields = query.split(';').skip(3);
            let epoch = fields.next().unwrap().parse().unwrap();
            let (first, last) = fields.next().unwrap().split_once('-').unwrap();
            let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
            self.asked.push((epoch, first, last));
            let next = if conn == 1 { held(first, last) } else { last + 1 };
            lines.push_str(&alloc::format!("HELD|{};{next}\n", fields.next().unwrap()));
        }
        lines
    }
}

/// What goes to one connection.
fn sent_to(actions: &[Action], to: u64) -> String {
    let frames =
        actions.iter().filter(|action| matches!(action, Action::SendFrame { conn, .. } if conn.0 == to));
    sent(&frames.cloned().collect::<Vec<_>>())
}

/// An entry of each of these epochs, with the highest number that there is.
fn last_ones(epochs: core::ops::Range<u64>) -> String {
    epochs.map(|epoch| keyed::chat_in(&eve(), epoch, MAX_NUMBER, 1_699_999_000_000 + epoch, None)).collect()
}

#[test]
fn a_high_number_below_which_there_is_nothing_is_asked_about_a_few_times() {
    let mut filling = Filling::new(1);
    filling.run(&last_ones(1..20), Duration::from_secs(60), |_, last| last + 1);
    let asked = filling.asked.len();
    assert!(filling.asked.iter().any(|(_, first, _)| *first == 0), "all was asked for: {:?}", filling.asked);
    assert!(asked <= 19 * 40, "{asked} times");
    filling.run("", Duration::from_secs(300), |_, last| last + 1);
    assert_eq!(filling.asked.len(), asked, "it is over");
}

#[test]
fn a_neighbour_that_denies_one_number_after_the_other_does_not_hold_up_other_runs() {
    let mut filling = Filling::new(2);
    // The first ones have the newest tips.
    let entries = last_ones(101..141) + &keyed::chat_in(&eve(), 1, 50_000, 1_699_998_000_000, None);
    // What the window wants comes first.
    let is_denied = |first: u64| (50_001..MAX_NUMBER - 10_500).contains(&first);
    let held = |first, last| if is_denied(first) { first + 1 } else { last + 1 };
    filling.run(&entries, Duration::from_secs(120), held);
    let is_looked_at =
        |filling: &Filling, epoch| filling.asked.iter().any(|(of, first, _)| *of == epoch && *first < 40_000);
    assert!(is_looked_at(&filling, 1), "it has its turn");
    // So has a run that comes later.
    let later = keyed::chat_in(&eve(), 2, 50_000, 1_699_998_000_000, None);
    filling.run(&later, Duration::from_secs(180), held);
    assert!(is_looked_at(&filling, 2));
}

#[test]
fn a_fork_far_below_the_window_is_proven_with_what_came_before_and_was_of_no_use() {
    let mut filling = Filling::new(1);
    filling.run(&last_ones(1..2), Duration::from_secs(60), |_, last| last + 1);
    let version = |at| {
        let (texts, uname) = (store::texts("hello"), "Eve".parse().unwrap());
        let draft = Draft::new(1, RunPosition::unlinked(70), at, &uname, &texts, [9; 16]);
        Entry::sign(&eve(), &draft)
    };
    let [first, second] = [version(0), version(1_699_999_000_000)];
    let [line, other] = [&first, &second].map(|entry| alloc::format!("CHAT|{}\n", entry.sealed()));
    let Filling { solo, store, .. } = &mut filling;
    let kept = |actions: &[Action], entry: &Entry| {
        let is_it = |action: &Action| matches!(action, Action::Store { record: Record::Entry(kept), .. } if kept.id() == entry.id());
        actions.iter().any(is_it)
    };
    let mut pass = |solo: &mut Solo, lines: &str| {
        let mut actions = solo.receive(1, lines);
        actions = store.carry_out(solo, actions);
        actions.extend(solo.pass(Duration::from_secs(2)).into_iter().map(|(_, action)| action));
        actions
    };
    assert!(!kept(&pass(solo, &line), &first), "one of them shows nothing");
    let actions = pass(solo, &other);
    assert!(kept(&actions, &second));
    assert!(sent(&actions).contains(&alloc::format!("GRAFT|{}", first.id())), "{}", sent(&actions));
    assert!(kept(&pass(solo, &line), &first), "it is taken now");
    assert_eq!(solo.node.stats().forks, 1);
}
