//! Entries of several classes and kinds, in rooms, and without their bodies, at a whole node.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::*;
use crate::model::{Class, EntryId, Purpose, Sealed};

const WALL: u64 = 1_700_000_000_000;
const TEXT: &str = r#"{"uname":"Eve","texts":["hello"],"salt":"AAAAAAAAAAAAAAAAAAAAAA"}"#;

/// An entry as it is sent, and its id.
struct Signed {
    head: String,
    body: &'static str,
    id: EntryId,
}

impl Signed {
    /// An entry of this author with these members in its header, a body and its kind.
    fn new(author: &Identity, members: &str, kind: &str, body: &'static str) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
        let header = alloc::format!(
            r#"{{"key":"{}","epoch":1,{members},"kind":"{kind}","size":{},"hash":"{hash}"}}"#,
            author.key(),
            body.len()
        );
        let network = NetworkId::OPEN;
        let unsigned = Sealed { signature: author.sign(Purpose::Proof, network, b""), header: &header, body };
        let id = unsigned.id(network);
        let signature = author.sign(Purpose::Entry, network, id.as_bytes());
        Self { head: alloc::format!("CHAT|{signature}|{header}"), body, id }
    }

    fn whole(&self) -> String {
        alloc::format!("{}|{}\n", self.head, self.body)
    }

    fn gone(&self) -> String {
        alloc::format!("{}|\n", self.head)
    }
}

fn stranger() -> Identity {
    Identity::from_secret(&[20; 32])
}

/// A node with a clock and two neighbours, on the connections 1 and 2, that have read all it said.
fn with_neighbours() -> Solo {
    let mut solo = solo();
    solo.input(Input::wall_clock(WALL));
    for (conn, secret) in [(1, 8), (2, 9)] {
        keyed_as(&mut solo, conn, Identity::from_secret(&[secret; 32]));
    }
    settle(&mut solo);
    solo
}

/// What the node says on each of the two connections until it has nothing more to say now.
fn settle(solo: &mut Solo) -> [String; 2] {
    [1, 2].map(|conn| sent(&solo.settle(conn)))
}

/// What the node says on the two connections within this time. The neighbours answer what has to be answered.
fn said_within(solo: &mut Solo, time: Duration) -> [String; 2] {
    let end = solo.now + time;
    let mut said = [String::new(), String::new()];
    let mut actions = Vec::new();
    loop {
        for (conn, all) in (1..).zip(&mut said) {
            actions.extend(solo.settle(conn));
            let here = |it: &&Action| matches!(it, Action::SendFrame { conn: ConnId(on), .. } if *on == conn);
            let lines = sent(&actions.extract_if(.., |it| here(&&*it)).collect::<Vec<_>>());
            if !lines.is_empty() {
                actions.extend(solo.receive(conn, &(answers(&lines) + "\n")));
                all.push_str(&lines);
            }
        }
        if actions.iter().any(|it| matches!(it, Action::SendFrame { .. })) {
            continue;
        }
        let Some((at, _)) = solo.node.poll_timeout().filter(|(at, _)| *at <= end) else { break };
        solo.now = at.max(solo.now);
        actions.extend(solo.input(Input::Timeout));
    }
    solo.now = end;
    said
}

fn delivered(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Deliver(_))).count()
}

fn reported(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Report { .. })).count()
}

/// What the node says on connection 2 at once, when this comes on connection 1.
fn relayed(solo: &mut Solo, line: &str) -> String {
    let actions = solo.receive(1, line);
    assert_eq!((delivered(&actions), reported(&actions)), (0, 0), "{line}");
    let to_other = actions.iter().filter(|it| matches!(it, Action::SendFrame { conn: ConnId(2), .. }));
    sent(&to_other.cloned().collect::<Vec<_>>()) + &settle(solo)[1]
}

#[test]
fn what_is_live_is_relayed_once_and_not_held() {
    let mut solo = with_neighbours();
    let live = |members: &str| Signed::new(&stranger(), members, "typing", "here");
    let [one, other] = [
        live(&alloc::format!(r#""class":"live","at":{WALL}"#)),
        live(&alloc::format!(r#""class":"later","at":{}"#, WALL + 1)),
    ];
    for entry in [&one, &other] {
        assert_eq!(relayed(&mut solo, &entry.whole()), entry.whole());
        assert_eq!(relayed(&mut solo, &entry.whole()), "");
        assert!(!sent(&solo.receive(2, &alloc::format!("GRAFT|{}\n", entry.id))).contains("CHAT|"));
    }
    assert_eq!((solo.node.entries().count(), solo.node.stats().live), (0, 2));
    let said = said_within(&mut solo, Duration::from_secs(60)).concat();
    assert!(!said.contains("IHAVE|") && !said.contains("GRAFT|") && !said.contains("CHAT|"), "{said}");
}

#[test]
fn what_is_live_and_not_of_now_is_dropped() {
    let most = Limits::default().chat.live_age.as_millis() as u64;
    for (at, timely) in
        [(WALL - most - 1, false), (WALL - most, true), (WALL + most, true), (WALL + most + 1, false)]
    {
        let mut solo = with_neighbours();
        let live = Signed::new(&stranger(), &alloc::format!(r#""class":"live","at":{at}"#), "typing", "here");
        assert_eq!(relayed(&mut solo, &live.whole()), if timely { live.whole() } else { String::new() });
        assert_eq!(solo.node.stats().live_untimely, u64::from(!timely));
    }
}

#[test]
fn a_node_whose_clock_is_wrong_relays_what_is_live_by_the_clocks_of_its_neighbours() {
    let most = Limits::default().chat.live_age.as_millis() as u64;
    let mut solo = with_neighbours();
    let theirs = WALL + 3_600_000;
    let live = |author: &Identity, at: u64| {
        Signed::new(author, &alloc::format!(r#""class":"live","at":{at}"#), "typing", "here").whole()
    };
    assert_eq!(relayed(&mut solo, &live(&stranger(), theirs)), "", "nothing says that this clock is wrong");
    // The neighbour on connection 1 says that it is here, and relays the words of another.
    solo.receive(1, &live(&Identity::from_secret(&[8; 32]), theirs));
    solo.receive(2, &live(&Identity::from_secret(&[9; 32]), theirs));
    for (at, timely) in [(theirs + most + 1, false), (theirs - most, true), (WALL + 1, true)] {
        let line = live(&stranger(), at);
        assert_eq!(relayed(&mut solo, &line), if timely { line.clone() } else { String::new() }, "{at}");
    }
    assert!(solo.node.status().clock_ahead_ms.is_none(), "what is live accuses nobody");
}

#[test]
fn an_id_is_remembered_for_as_long_as_what_is_live_is_timely() {
    let limits = Limits::default();
    assert!(limits.chat.seen_for > 2 * limits.chat.live_age);
}

#[test]
fn unknown_kinds_and_rooms_are_held_and_relayed_and_not_shown() {
    let mut solo = with_neighbours();
    let place = alloc::format!(r#""seq":0,"at":{WALL}"#);
    let entries = [
        Signed::new(&stranger(), &place, "vote", "yes"),
        Signed::new(&stranger(), &alloc::format!(r#"{place},"room":"Garden""#), "text", TEXT),
        Signed::new(&stranger(), &alloc::format!(r#"{place},"class":"later""#), "vote", ""),
    ];
    for entry in &entries {
        // Without a tree it is announced.
        let said = relayed(&mut solo, &entry.whole()) + &said_within(&mut solo, Duration::from_secs(1))[1];
        assert!(said.contains(&alloc::format!("IHAVE|{}", entry.id)), "{said}");
        assert!(sent(&solo.receive(2, &alloc::format!("GRAFT|{}\n", entry.id))).contains(&entry.whole()));
    }
    assert_eq!((solo.node.entries().count(), solo.node.stats().entries_not_shown), (3, 3));
    let text = Signed::new(&stranger(), &alloc::format!(r#"{place},"class":"new""#), "text", TEXT);
    let actions = solo.receive(1, &text.whole());
    assert_eq!((delivered(&actions), reported(&actions)), (1, 0), "an unknown class is kept, and shown");
}

#[test]
fn a_gap_in_a_room_is_not_reported() {
    let mut solo = with_neighbours();
    for room in ["", r#","room":"Garden""#] {
        for (seq, prev) in [(0, ""), (2, r#","prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#)] {
            let members = alloc::format!(r#""seq":{seq}{prev},"at":{}{room}"#, WALL + seq);
            solo.receive(1, &Signed::new(&stranger(), &members, "text", TEXT).whole());
        }
    }
    let actions = solo.pass(Limits::default().chat.hold_back_most);
    let gaps = actions.iter().filter(|(_, it)| matches!(it, Action::Notice(Notice::Gap { .. })));
    assert_eq!((gaps.count(), solo.node.status().gaps.len()), (1, 1));
    assert_eq!(solo.node.entries().count(), 4);
}

#[test]
fn an_entry_without_its_body_is_ignored_if_nobody_asked_for_it() {
    let mut solo = with_neighbours();
    let entry = Signed::new(&stranger(), &alloc::format!(r#""seq":0,"at":{WALL}"#), "text", TEXT);
    let forged = Signed::new(&Identity::from_secret(&[21; 32]), r#""seq":0,"at":1"#, "text", TEXT).gone();
    let forged = forged.replace(r#""at":1,"#, r#""at":2,"#);
    for line in [entry.gone(), forged] {
        assert_eq!(relayed(&mut solo, &line), "");
    }
    let said = said_within(&mut solo, Duration::from_secs(60)).concat();
    assert!(!said.contains("IHAVE|") && !said.contains("CHAT|"), "{said}");
    assert_eq!((solo.node.entries().count(), solo.node.stats().bodies_gone), (0, 2));
    assert_eq!(delivered(&solo.receive(1, &entry.whole())), 1, "the whole one is new");
    relayed(&mut solo, &entry.gone());
    assert!(sent(&solo.receive(2, &alloc::format!("GRAFT|{}\n", entry.id))).contains(&entry.whole()));
}

#[test]
fn where_a_body_is_gone_another_neighbour_is_asked_and_that_one_not_again() {
    let mut solo = with_neighbours();
    let entry = Signed::new(&stranger(), &alloc::format!(r#""seq":0,"at":{WALL}"#), "text", TEXT);
    let (announces, asks) = (alloc::format!("IHAVE|{}\n", entry.id), alloc::format!("GRAFT|{}\n", entry.id));
    for conn in [1, 2] {
        solo.receive(conn, &announces);
    }
    let said = said_within(&mut solo, Duration::from_millis(200));
    assert_eq!(said.clone().map(|lines| lines.contains(&asks)), [true, false], "{said:?}");
    let actions = solo.receive(1, &entry.gone());
    assert_eq!((delivered(&actions), reported(&actions)), (0, 0));
    let said = said_within(&mut solo, Duration::ZERO);
    assert_eq!(said.clone().map(|lines| lines.contains(&asks)), [false, true], "at once: {said:?}");
    solo.receive(1, &announces);
    let said = said_within(&mut solo, Duration::from_secs(200));
    assert!(!said[0].contains("GRAFT|"), "{}", said[0]);
    assert_eq!(delivered(&solo.receive(2, &entry.whole())), 1);
    assert_eq!(solo.node.entries().count(), 1);
}

/// The entries that a command made the node sign.
fn say(solo: &mut Solo, texts: &[&str]) -> Vec<Arc<Entry>> {
    let texts = texts.iter().map(|text| ChatText::new(*text).unwrap()).collect();
    match solo.node.command(solo.now, Command::Say(texts)).unwrap() {
        Outcome::Said(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_signs_one_run_of_its_users_words_and_one_of_lines() {
    let mut solo = with_neighbours();
    let first = say(&mut solo, &["one"]);
    solo.peer(3, ALICE, None);
    solo.receive(3, "PEERS|\nMSG|hi\n");
    solo.pass(Duration::from_secs(3));
    let others = say(&mut solo, &["x"; 600]);
    let words = [first, others].concat();
    assert_eq!(words.iter().map(|entry| entry.texts().len()).collect::<Vec<_>>(), [1, 512, 88]);
    let (mut lines, held): (Vec<_>, Vec<_>) = solo.node.entries().cloned().partition(|it| it.via().is_some());
    assert_eq!(held, words);
    let line = lines.pop().expect("it is brought in");
    assert!(lines.is_empty() && line.texts().eq(["hi"]));
    assert_eq!((line.seq(), line.prev(), line.class()), (0, None, &Class::Line));
    assert_ne!(line.epoch(), words[0].epoch(), "no two entries have one place");
    let places: Vec<_> = words.iter().map(|entry| (entry.seq(), entry.prev())).collect();
    assert_eq!(places, [(0, None), (1, Some(words[0].id())), (2, Some(words[1].id()))]);
    let again = say(&mut solo, &["one"]);
    assert_ne!(again[0].body(), words[0].body(), "each body has a salt of its own");
}
