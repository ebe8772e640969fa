//! Several nodes with one key (SPEC 4.8), and runs of this node that somebody else forks (SPEC 9.3).

use super::keyed::chat_in;
use super::*;
use crate::conns::sign_proof;
use crate::wire::ByeCode;

/// The wall clock when the node began.
const WALL: u64 = 1_700_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);

fn own() -> Identity {
    Identity::from_secret(&[7; 32])
}

fn with_clock() -> Solo {
    let mut solo = solo();
    solo.input(Input::wall_clock(WALL));
    solo
}

fn notices<'a>(actions: impl IntoIterator<Item = &'a Action>) -> Vec<&'a Notice> {
    let notice = |action: &'a Action| if let Action::Notice(notice) = action { Some(notice) } else { None };
    actions
        .into_iter()
        .filter_map(notice)
        .filter(|notice| !matches!(notice, Notice::CaughtUp { .. }))
        .collect()
}

fn sent(actions: &[Action]) -> String {
    let sent = actions.iter().filter_map(|action| match action {
        Action::SendFrame { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    sent.collect()
}

/// An entry of another node with this key: the first one of an epoch, dated so many seconds after this node began.
fn theirs(solo: &mut Solo, conn: u64, epoch: u64, seconds: i64) -> usize {
    let at = WALL.saturating_add_signed(seconds * 1_000);
    let actions = solo.receive(conn, &chat_in(&own(), epoch, 0, at, None));
    let told = notices(&actions);
    assert!(told.iter().all(|notice| **notice == Notice::KeyShared), "{told:?}");
    told.len()
}

/// The same where they are numbers of one epoch.
fn in_run(solo: &mut Solo, conn: u64, seq: u64, seconds: u64) -> usize {
    notices(&solo.receive(conn, &chat_in(&own(), 5, 2 * seq, WALL + seconds * 1_000, None))).len()
}

#[test]
fn who_is_started_again_after_a_crash_hears_nothing_of_its_key() {
    let mut solo = with_clock();
    keyed(&mut solo);
    // What it said before, for hours, and with a clock that was a little ahead.
    for seconds in [-9_000, -300, -100, -1, 9] {
        assert_eq!(theirs(&mut solo, 1, 5, seconds), 0);
    }
    // With a clock that was far ahead. It comes when it is due.
    assert_eq!(theirs(&mut solo, 1, 6, 200), 0);
    solo.pass(5 * MINUTE);
    keyed_on(&mut solo, 2);
    assert_eq!(theirs(&mut solo, 2, 7, 15), 0);
    assert_eq!(theirs(&mut solo, 2, 8, 299), 0, "its author need not have lived for longer");
}

#[test]
fn another_node_with_the_key_is_told_of_once_when_both_have_lived_for_two_minutes() {
    let mut solo = with_clock();
    keyed(&mut solo);
    assert_eq!(in_run(&mut solo, 1, 0, 0), 0);
    solo.pass(Duration::from_secs(119));
    keyed_on(&mut solo, 2);
    assert_eq!(in_run(&mut solo, 2, 1, 119), 0);
    solo.pass(Duration::from_secs(1));
    assert_eq!(in_run(&mut solo, 2, 2, 120), 1);
    assert_eq!(in_run(&mut solo, 2, 3, 121), 0, "once");
    // One that began later than this node.
    let mut solo = with_clock();
    solo.pass(10 * MINUTE);
    keyed(&mut solo);
    assert_eq!(in_run(&mut solo, 1, 0, 600), 0);
    solo.pass(Duration::from_secs(119));
    keyed_on(&mut solo, 2);
    assert_eq!(in_run(&mut solo, 2, 1, 719), 0);
    solo.pass(Duration::from_secs(1));
    assert_eq!(in_run(&mut solo, 2, 2, 720), 1);
}

/// The epoch and the number of what the user says.
fn say(solo: &mut Solo) -> (u64, u64) {
    let said = solo.node.command(solo.now, Command::Say(vec![ChatText::new("hi").unwrap()])).unwrap();
    solo.drain();
    let Outcome::Said(entries) = said else { panic!("{said:?}") };
    (entries[0].epoch(), entries[0].seq())
}

#[test]
fn who_sees_its_own_run_forked_goes_on_in_another_one_and_is_told() {
    let mut solo = with_clock();
    keyed(&mut solo);
    let (epoch, seq) = say(&mut solo);
    assert_eq!((say(&mut solo), seq), ((epoch, 1), 0));
    let actions = solo.receive(1, &chat_in(&own(), epoch, 0, WALL + 1, None));
    assert_eq!(notices(&actions), [&Notice::KeyShared], "nobody else can sign in it");
    assert_eq!(solo.node.stats().forks, 1);
    let (anew, seq) = say(&mut solo);
    assert!(anew != epoch && seq == 0);
    // What this node itself signed in its former run tells nothing, nor does more of the fork.
    let actions = solo.receive(1, &chat_in(&own(), epoch, 1, WALL + 2, None));
    assert!(notices(&actions).is_empty());
    assert_eq!(say(&mut solo), (anew, 1));
}

/// A node with this node's key greets it on a connection, and proves the key or not.
fn meet(solo: &mut Solo, conn: u64, proves: bool) -> Vec<Action> {
    solo.accept(conn);
    let mut actions = solo.receive(conn, &join_keyed(&own(), conn, r#""uname":"Me","links":0"#));
    let prover = if proves { own() } else { Identity::from_secret(&[8; 32]) };
    let ours = solo.node.conns.nonce(ConnId(conn)).unwrap();
    let theirs = Token::new(&alloc::format!("n{conn}")).unwrap();
    let signature = sign_proof(&prover, NetworkId::OPEN, &theirs, &ours, own().key());
    actions.extend(solo.receive(conn, &alloc::format!("PROOF|{signature}\n")));
    actions.extend(solo.settle(conn));
    solo.input(Input::closed(ConnId(conn)));
    actions
}

#[test]
fn nodes_with_one_key_that_meet_prove_it_to_each_other_and_are_told_when_both_have_lived_for_two_minutes() {
    let mut solo = with_clock();
    let actions = meet(&mut solo, 1, true);
    assert!(sent(&actions).contains("PROOF|") && sent(&actions).contains("BYE|taken|"), "{}", sent(&actions));
    assert_eq!(notices(&actions), [] as [&Notice; 0], "it may be about to end");
    solo.pass(2 * MINUTE - Duration::from_nanos(1));
    assert_eq!(notices(&meet(&mut solo, 2, true)).len(), 0);
    solo.pass(Duration::from_nanos(1));
    let refused = meet(&mut solo, 3, false);
    assert!(sent(&refused).contains("BYE|refused|") && notices(&refused).is_empty(), "anybody can claim it");
    assert_eq!(notices(&meet(&mut solo, 4, true)), [&Notice::KeyShared]);
    assert_eq!(notices(&meet(&mut solo, 5, true)).len(), 0, "once");
    assert_eq!(solo.node.peers().count(), 0);
}

#[test]
fn a_second_node_with_one_key_tries_again_every_ten_minutes() {
    let mut solo = with_clock();
    let target = "127.0.0.1:9000".parse().unwrap();
    solo.node.command(solo.now, Command::Connect(target)).unwrap();
    let mut actions = solo.drain();
    for conn in 1..4 {
        let dial = actions.iter().find_map(|action| match action {
            Action::Dial { dial, .. } => Some(*dial),
            _ => None,
        });
        solo.input(Input::connected(dial.expect("a dial"), ConnId(conn)));
        let eve = Identity::from_secret(&[8; 32]);
        solo.receive(conn, &join_keyed(&eve, conn, r#""uname":"Eve","links":0"#));
        solo.prove_key(&eve, conn);
        assert_eq!(solo.node.peers().count(), 1);
        // The peer finds out that another node with this key lives.
        solo.now = solo.now + Duration::from_secs(3);
        let refused = solo.receive(conn, "BYE|taken|\n");
        let told = Notice::TurnedAway { target: "127.0.0.1:9000".parse().unwrap(), code: ByeCode::Taken };
        assert_eq!(notices(&refused), if conn == 1 { vec![&told] } else { vec![] }, "{conn}");
        solo.settle(conn);
        solo.input(Input::closed(ConnId(conn)));
        let early = solo.pass(10 * MINUTE - Duration::from_secs(1));
        assert!(!early.iter().any(|(_, action)| matches!(action, Action::Dial { .. })));
        actions.clear();
        for _ in 0..60 {
            if actions.is_empty() {
                let dial = |(_, action)| matches!(action, Action::Dial { .. }).then_some(action);
                actions.extend(solo.pass(Duration::from_secs(1)).into_iter().filter_map(dial));
            }
        }
    }
}

#[test]
fn who_is_taken_for_another_node_by_a_peer_to_which_it_is_linked_stays_linked() {
    let mut solo = with_clock();
    let eve = keyed(&mut solo);
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9000".parse().unwrap())).unwrap();
    let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
    solo.input(Input::connected(dial, ConnId(2)));
    let mut actions = solo.receive(2, &join_keyed(&eve, 2, r#""uname":"Eve","links":0"#));
    actions.extend(solo.prove_key(&eve, 2));
    actions.extend(solo.receive(2, "BYE|taken|\n"));
    actions.extend(solo.settle(2));
    assert_eq!((notices(&actions), solo.node.peers().count()), (vec![], 1), "the address leads to that peer");
}

#[test]
fn of_two_nodes_with_one_key_the_one_that_is_linked_stays_and_no_other_peer_sees_the_second() {
    let mut solo = with_clock();
    let twin = Identity::from_secret(&[8; 32]);
    let joins = |solo: &mut Solo, conn| {
        let mut actions = solo.accept(conn);
        actions.extend(solo.receive(conn, &join_keyed(&twin, conn, r#""uname":"Eve","links":0"#)));
        actions.extend(solo.prove_key(&twin, conn));
        actions
    };
    // The first one answers what it is sent.
    let answer = |solo: &mut Solo, actions: &mut Vec<Action>| {
        let mut unanswered = sent(actions);
        for _ in 0..6 {
            let more: Vec<_> =
                [solo.receive(1, &answers(&unanswered)), solo.settle(1)].into_iter().flatten().collect();
            unanswered = sent(&more);
            actions.extend(more);
        }
    };
    let mut actions = joins(&mut solo, 1);
    answer(&mut solo, &mut actions);
    for conn in 2..5 {
        let mut actions = joins(&mut solo, conn);
        answer(&mut solo, &mut actions);
        actions.extend(solo.settle(conn));
        for _ in 0..4 {
            let mut passed: Vec<_> =
                solo.pass(Duration::from_secs(1)).into_iter().map(|(_, action)| action).collect();
            answer(&mut solo, &mut passed);
            actions.extend(passed);
        }
        actions.extend(solo.settle(conn));
        assert!(sent(&actions).contains("BYE|taken|"), "{}", sent(&actions));
        let seen = |action: &&Action| {
            matches!(action, Action::RegisterPeer(_) | Action::UnregisterPeer { .. } | Action::UpdatePeer(_))
        };
        assert_eq!(actions.iter().find(seen), None);
        solo.input(Input::closed(ConnId(conn)));
    }
    assert_eq!(solo.node.peers().count(), 1);
}
