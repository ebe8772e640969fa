//! Clocks, the first catch-up and history, as a whole node shows them.

use super::*;
use crate::conns::sign_proof;
use crate::model::{Draft, Entry, Marks, RunPosition, Sealed};
use crate::wire::Frame;

/// The wall clock when the node began.
const WALL: u64 = 1_700_000_000_000;

fn with_clock() -> Solo {
    let mut solo = solo();
    solo.input(Input::wall_clock(WALL));
    solo
}

/// The `CHAT` line of the first entry of this author in an epoch.
fn chat(author: &Identity, epoch: u64, at: u64, text: &str) -> String {
    let (uname, texts) = ("Eve".parse().unwrap(), [ChatText::new(text).unwrap()]);
    let draft = Draft::new(epoch, RunPosition::FIRST, at, &uname, &texts, [9; 16]);
    let entry = Entry::sign(author, &draft);
    let mut line = Vec::new();
    Frame::Chat(entry.sealed()).encode(&mut line);
    String::from_utf8(line).unwrap()
}

fn shown(actions: &[Action]) -> Vec<(String, Marks)> {
    let shown = actions.iter().filter_map(|action| match action {
        Action::Deliver(Message::Entry { entry, marks }) => {
            Some((entry.texts().next().unwrap_or_default().into(), *marks))
        }
        _ => None,
    });
    shown.collect()
}

fn clock_off(actions: &[Action]) -> Option<(i64, usize)> {
    actions.iter().find_map(|action| match action {
        Action::Notice(Notice::ClockOff { ahead_ms, clocks }) => Some((*ahead_ms, *clocks)),
        _ => None,
    })
}

/// Links a peer with a key, from this address, whose clock shows this.
fn link_with_clock(solo: &mut Solo, n: u8, ip: [u8; 4], now: u64) -> Vec<Action> {
    let identity = Identity::from_secret(&[n; 32]);
    let (key, id, conn) = (identity.key(), identity.node_id(), u64::from(n));
    solo.input(Input::accepted(ConnId(conn), SocketAddr::from((ip, 4_000))));
    solo.receive(
        conn,
        &alloc::format!(
            "JOIN|{{\"node_id\":\"{id}\",\"v\":2,\"nonce\":\"n\",\"key\":\"{key}\",\"now\":{now}}}\n"
        ),
    );
    let ours = solo.node.conns.nonce(ConnId(conn)).unwrap();
    let signature = sign_proof(&identity, NetworkId::OPEN, &Token::new("n").unwrap(), &ours, solo.node.key());
    solo.receive(conn, &alloc::format!("PROOF|{signature}\n"))
}

#[test]
fn who_is_off_hears_so_from_the_first_join_though_nobody_talks() {
    let mut solo = with_clock();
    let actions = link_with_clock(&mut solo, 20, [10, 0, 0, 1], WALL - 180_000);
    assert_eq!(clock_off(&actions), Some((180_000, 1)));
    let status = solo.node.status();
    assert_eq!((status.clock_ahead_ms, status.clocks), (Some(180_000), 1));
}

#[test]
fn nine_keys_of_one_address_do_not_accuse_who_is_right() {
    let mut solo = with_clock();
    for n in [20, 21] {
        assert_eq!(clock_off(&link_with_clock(&mut solo, n, [10, 0, 0, n], WALL)), None);
    }
    for n in 30..39 {
        assert_eq!(clock_off(&link_with_clock(&mut solo, n, [10, 0, 0, 3], WALL - 180_000)), None);
    }
    assert_eq!(solo.node.peers().count(), 11);
    assert_eq!(solo.node.status().clock_ahead_ms, None);
}

#[test]
fn a_clock_that_is_set_back_begins_another_epoch() {
    let mut solo = with_clock();
    let say = |solo: &mut Solo| match solo
        .node
        .command(solo.now, Command::Say([ChatText::new("x").unwrap()].into()))
    {
        Ok(Outcome::Said(entries)) => (entries[0].epoch(), entries[0].seq(), entries[0].at()),
        other => panic!("{other:?}"),
    };
    let ahead = say(&mut solo);
    assert_eq!(ahead.2, WALL);
    // The next one is dated a millisecond after the last one: 5,000 ms ahead at first, and then 5,001.
    for (wall, same) in [(WALL - 4_999, true), (WALL - 4_999, false), (WALL - 3_600_000, false)] {
        solo.input(Input::wall_clock(wall));
        let (epoch, seq, at) = say(&mut solo);
        assert_eq!((epoch == ahead.0, seq == 1), (same, same));
        assert_eq!(at, if same { WALL + 1 } else { wall });
    }
}

#[test]
fn what_is_old_when_it_comes_is_history() {
    let mut solo = with_clock();
    let eve = keyed(&mut solo);
    let history = |solo: &mut Solo, epoch, at| {
        let actions = solo.receive(1, &chat(&eve, epoch, at, "x"));
        let shown = shown(&actions);
        assert_eq!(shown.len(), 1, "{actions:?}");
        shown[0].1.history
    };
    assert!(history(&mut solo, 0, WALL - 1), "from before the node began");
    assert!(!history(&mut solo, 1, WALL));
    solo.pass(Duration::from_secs(700));
    // The peer was silent for too long. Another one brings what it said.
    let eve = keyed_on(&mut solo, 2);
    let mut at = |epoch, at| {
        let actions = solo.receive(2, &chat(&eve, epoch, at, "x"));
        shown(&actions)[0].1.history
    };
    assert!(at(2, WALL + 99_999), "from more than ten minutes ago");
    assert!(!at(3, WALL + 100_000));
}

#[test]
fn what_waited_for_its_date_for_more_than_a_minute_is_history() {
    let mut solo = with_clock();
    let eve = keyed(&mut solo);
    solo.pass(Duration::from_secs(5));
    let in_seconds = |seconds: u64| WALL + 5_000 + seconds * 1_000;
    let entries = [chat(&eve, 1, in_seconds(60), "soon"), chat(&eve, 2, in_seconds(80), "late")];
    assert!(shown(&solo.receive(1, &entries.concat())).is_empty(), "they wait");
    // Something before this one is missing: it is held back before it is shown.
    solo.receive(1, &keyed::chat_in(&eve, 3, 5, in_seconds(81), None));
    let passed = solo.pass(Duration::from_secs(80));
    let actions: Vec<_> = passed.into_iter().map(|(_, action)| action).collect();
    let history: Vec<_> = shown(&actions).iter().map(|(text, marks)| (text.clone(), marks.history)).collect();
    let expected =
        [("soon", false), ("late", true), ("hello", true)].map(|(text, history)| (text.into(), history));
    assert_eq!(history, expected);
}

#[test]
fn a_first_catch_up_is_shown_in_order_and_its_end_is_told() {
    let mut solo = with_clock();
    let eve = Identity::from_secret(&[8; 32]);
    let (early, late) = (Identity::from_secret(&[9; 32]), Identity::from_secret(&[10; 32]));
    keyed(&mut solo);
    let said = [
        chat(&late, 0, WALL - 1_000, "third"),
        chat(&early, 0, WALL - 3_000, "first"),
        chat(&late, 1, WALL - 500, "fourth"),
        chat(&early, 1, WALL - 2_000, "second"),
    ];
    let mut actions = solo.receive(1, &answer_with(&said));
    actions.extend(solo.pass(Duration::from_millis(500)).into_iter().map(|(_, action)| action));
    assert!(shown(&actions).is_empty() && !is_caught_up(&actions, 4), "{actions:?}");
    let mut actions = Vec::new();
    for line in &said[..3] {
        actions.extend(solo.receive(1, line));
    }
    // What is live waits, too.
    actions.extend(solo.receive(1, &chat(&eve, 0, WALL + 400, "live")));
    assert!(shown(&actions).is_empty(), "{actions:?}");
    let actions = solo.receive(1, &said[3]);
    let texts: Vec<_> = shown(&actions).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["first", "second", "third", "fourth", "live"]);
    assert!(is_caught_up(&actions, 5), "{actions:?}");
}

#[test]
fn a_neighbour_that_withholds_delays_the_first_catch_up_by_ten_seconds() {
    let mut solo = with_clock();
    keyed(&mut solo);
    let said = [0, 1].map(|epoch| chat(&Identity::from_secret(&[9; 32]), epoch, WALL - 1_000 + epoch, "x"));
    solo.receive(1, &answer_with(&said));
    solo.pass(Duration::from_millis(500));
    assert!(shown(&solo.receive(1, &said[0])).is_empty());
    let later = solo.pass(Duration::from_secs(10));
    let (at, _) = later.iter().find(|(_, action)| matches!(action, Action::Deliver(_))).unwrap();
    assert_eq!(*at, Instant::ORIGIN + Duration::from_secs(10));
    assert!(later.iter().any(|(_, action)| is_caught_up(core::slice::from_ref(action), 1)));
}

/// A peer with a key that begins the reconciliation, since its id is the lower one.
fn beginner(solo: &Solo) -> Identity {
    let mut identities = (20..).map(|n| Identity::from_secret(&[n; 32]));
    identities.find(|identity| identity.node_id() < solo.node.id()).unwrap()
}

/// The answers to each `PING`.
fn pongs(actions: &[Action]) -> String {
    answers(&sent(actions)).split_inclusive('\n').filter(|line| line.starts_with("PONG|")).collect()
}

/// The first and a later message of a reconciliation, of a peer without entries.
fn compares() -> [String; 2] {
    ["SYNC|AA", "SYNC|AQ"].map(|tag| answer_with(&[]).replacen("SYNC|Ag", tag, 1))
}

/// When the first catch-up ends, if nothing comes for ten seconds.
fn caught_up_at(solo: &mut Solo) -> Option<Instant> {
    let later = solo.pass(Duration::from_secs(10));
    later.iter().find(|(_, action)| is_caught_up(core::slice::from_ref(action), 0)).map(|(at, _)| *at)
}

/// Shorter than the time after which the node begins a reconciliation itself.
const ROUND_TRIP: Duration = Duration::from_millis(1_500);

#[test]
fn the_first_catch_up_does_not_end_between_two_messages_over_a_far_link() {
    let mut solo = solo();
    let [first, second] = compares();
    let peer = beginner(&solo);
    solo.accept(1);
    solo.receive(1, &join_keyed(&peer, 1, r#""uname":"Eve","links":0"#));
    solo.settle(1);
    solo.pass(ROUND_TRIP);
    let mut actions = solo.prove_key(&peer, 1);
    actions.extend(solo.receive(1, &first));
    actions.extend(solo.settle(1));
    let passed = solo.pass(ROUND_TRIP).into_iter().map(|(_, action)| action);
    assert!(!is_caught_up(&passed.collect::<Vec<_>>(), 0), "the handshake took a round trip");
    let actions = solo.receive(1, &(pongs(&actions) + &second));
    assert!(!is_caught_up(&actions, 0));
    assert_eq!(caught_up_at(&mut solo), Some(Instant::ORIGIN + 4 * ROUND_TRIP));
}

#[test]
fn a_pong_behind_the_first_message_of_a_reconciliation_tells_how_long_to_wait_for_the_next() {
    for pong in [true, false] {
        let mut solo = solo();
        let [first, _] = compares();
        let peer = beginner(&solo);
        solo.input(Input::Accepted { conn: ConnId(1), remote: remote(), key: Some(peer.key()) });
        let mut actions = solo.receive(1, &join_keyed(&peer, 1, r#""uname":"Eve","links":0"#));
        actions.extend(solo.settle(1));
        solo.pass(ROUND_TRIP);
        let pong = if pong { pongs(&actions) } else { String::new() };
        let wait = if pong.is_empty() { Duration::from_millis(500) } else { 2 * ROUND_TRIP };
        assert!(!is_caught_up(&solo.receive(1, &(first + &pong)), 0));
        assert_eq!(caught_up_at(&mut solo), Some(Instant::ORIGIN + ROUND_TRIP + wait));
    }
}

fn is_caught_up(actions: &[Action], count: usize) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Notice(Notice::CaughtUp { entries }) if *entries == count))
}

/// The answer to the first message of a reconciliation, of a peer that holds these entries.
fn answer_with(lines: &[String]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut held: Vec<_> = lines
        .iter()
        .map(|line| {
            let sealed = Sealed::split(line.trim_end().strip_prefix("CHAT|").unwrap()).unwrap();
            (at_of(sealed.header), sealed.id(NetworkId::OPEN))
        })
        .collect();
    held.sort_unstable();
    // Answer (2), from the beginning of time, version 1 of the protocol, one range up to infinity: a list of ids.
    let mut bytes = [&[2; 1][..], &[0; 8], &[0x61, 0, 0, 2, lines.len() as u8]].concat();
    held.iter().for_each(|(_, id)| bytes.extend_from_slice(id.as_bytes()));
    alloc::format!("SYNC|{}\n", URL_SAFE_NO_PAD.encode(bytes))
}

fn at_of(json: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["at"].as_u64().unwrap()
}
