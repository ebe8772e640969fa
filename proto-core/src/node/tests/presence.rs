//! A node says that it is here, and lists who else is.

use super::*;
use crate::model::{Live, MemberChange, MemberState, Opened, Presence};
use crate::wire::{Frame, Line, Parsed, parse};

const WALL: u64 = 1_700_000_000_000;

fn present() -> Solo {
    let config = Config::builder("Me".parse().unwrap()).presence(true).build().unwrap();
    let node = Node::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN);
    let mut solo = Solo { node, now: Instant::ORIGIN };
    solo.input(Input::wall_clock(WALL));
    solo
}

/// What the node says of itself in these bytes.
fn said(text: &str) -> Vec<Presence> {
    let opened = text.lines().filter_map(|line| match parse(Line::Text(line), 0) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => Some(sealed.open(NetworkId::OPEN).unwrap()),
        _ => None,
    });
    let presence = |opened| match opened {
        Opened::Live(live) => live.presence().unwrap().clone(),
        other => panic!("{other:?}"),
    };
    opened.map(presence).collect()
}

/// All that the node sends on a connection for so long, while everything is flushed.
fn sent_for(solo: &mut Solo, conn: u64, time: Duration) -> Vec<Presence> {
    let mut actions = solo.settle(conn);
    let end = solo.now + time;
    while solo.now < end {
        actions.extend(solo.pass(Duration::from_secs(1)).into_iter().map(|(_, action)| action));
        actions.extend(solo.settle(conn));
    }
    said(&sent(&actions))
}

pub(super) fn line(author: u8, at: u64, since: u64, every: Option<u32>) -> String {
    let presence = Presence { uname: "Zoe".parse().unwrap(), since, every };
    let live = Live::sign(&Identity::from_secret(&[author; 32]), NetworkId::OPEN, (1, at), presence);
    alloc::format!("CHAT|{}\n", live.sealed())
}

#[test]
fn a_node_says_that_it_is_here_when_it_comes_and_again_and_that_it_leaves() {
    let mut solo = present();
    assert!(solo.pass(Duration::from_secs(100)).is_empty(), "there is nobody to tell");
    keyed(&mut solo);
    let at_once = sent_for(&mut solo, 1, Duration::from_secs(1));
    let [presence] = &at_once[..] else { panic!("{at_once:?}") };
    assert_eq!((presence.uname.as_str(), presence.every, presence.since), ("Me", Some(30), WALL));
    assert!(sent_for(&mut solo, 1, Duration::from_secs(24)).is_empty());
    assert_eq!(sent_for(&mut solo, 1, Duration::from_secs(6)).len(), 1, "between 26 and 30 s later");
    solo.node.command(solo.now, Command::Rename("Myself".parse().unwrap())).unwrap();
    solo.drain();
    assert_eq!(sent_for(&mut solo, 1, Duration::from_secs(1))[0].uname.as_str(), "Myself");
    solo.node.command(solo.now, Command::Shutdown).unwrap();
    let mut last = solo.drain();
    last.extend(solo.settle(1));
    let text = sent(&last);
    assert_eq!(said(&text).iter().map(|presence| presence.every).collect::<Vec<_>>(), [None]);
    assert!(text.find("CHAT|") < text.find("BYE|"), "{text}");
}

#[test]
fn a_clock_that_was_wrong_and_is_set_right_makes_no_member_silent() {
    let mut solo = present();
    keyed(&mut solo);
    sent_for(&mut solo, 1, Duration::from_secs(1));
    let dates = |actions: &[Action]| {
        let text = sent(actions);
        let live = text.lines().filter_map(|line| match parse(Line::Text(line), 0) {
            Ok(Parsed::Frame(Frame::Chat(sealed))) => sealed.open(NetworkId::OPEN).ok(),
            _ => None,
        });
        let at = |opened| if let Opened::Live(live) = opened { Some(live.header().at()) } else { None };
        live.filter_map(at).collect::<Vec<_>>()
    };
    let mut presence_at = |wall: u64, uname: &str| {
        solo.input(Input::wall_clock(wall));
        solo.node.command(solo.now, Command::Rename(uname.parse().unwrap())).unwrap();
        let mut actions: Vec<_> = solo.pass(Duration::ZERO).into_iter().map(|(_, action)| action).collect();
        actions.extend(solo.settle(1));
        // The dates of what is said go on from the wrong ones, until something else is said.
        solo.node.command(solo.now, Command::Say(alloc::vec![ChatText::new("hello").unwrap()])).unwrap();
        solo.drain();
        solo.settle(1);
        dates(&actions)
    };
    let ahead = WALL + 3_600_000;
    assert_eq!(presence_at(ahead, "Early"), [ahead]);
    assert_eq!(presence_at(WALL + 50_000, "In time"), [WALL + 50_000]);
    assert_eq!(presence_at(WALL + 49_000, "Again"), [WALL + 50_001], "never before what it said last");
}

#[test]
fn a_node_lists_who_says_so_near_or_far_until_nothing_is_heard() {
    let mut solo = present();
    keyed(&mut solo);
    sent_for(&mut solo, 1, Duration::from_secs(1));
    let changes = |actions: Vec<Action>| {
        let change = |action| match action {
            Action::Member { member, change } => Some((member.node_id, change)),
            _ => None,
        };
        actions.into_iter().filter_map(change).collect::<Vec<_>>()
    };
    let id = |n: u8| Identity::from_secret(&[n; 32]).node_id();
    let news = changes(solo.receive(1, &line(20, WALL + 1_000, WALL + 900, Some(40))));
    assert_eq!(news, [(id(20), MemberChange::Joined)]);
    assert_eq!(
        changes(solo.receive(1, &line(21, WALL + 1_000, WALL - 1, Some(30)))),
        [(id(21), MemberChange::Listed)]
    );
    assert!(changes(solo.receive(1, &line(7, WALL + 1_000, WALL, Some(30)))).is_empty(), "its own key");
    assert_eq!(solo.node.members().map(|member| member.state).collect::<Vec<_>>(), [MemberState::Here; 2]);
    let silent: Vec<_> = solo.pass(Duration::from_secs(150)).into_iter().map(|(_, action)| action).collect();
    assert_eq!(changes(silent), [(id(21), MemberChange::Silent), (id(20), MemberChange::Silent)]);
    // The first neighbour is gone: it answered nothing.
    keyed_as(&mut solo, 2, Identity::from_secret(&[9; 32]));
    let wall = WALL + 1_000 + 150_000;
    let back = changes(solo.receive(2, &line(20, wall, WALL + 900, Some(30))));
    assert_eq!(back, [(id(20), MemberChange::Back)]);
    assert_eq!(changes(solo.receive(2, &line(20, wall + 1, WALL, None))), [(id(20), MemberChange::Left)]);
    assert!(changes(solo.receive(2, &line(20, wall - 1, WALL, Some(30)))).is_empty(), "said before that");
}

#[test]
fn a_neighbour_whose_link_ends_without_a_word_is_not_here_until_it_is_heard() {
    let mut solo = present();
    let eve = keyed(&mut solo);
    solo.receive(1, &line(8, WALL + 10, WALL + 5, Some(30)));
    assert_eq!(solo.node.members().next().map(|member| member.state), Some(MemberState::Here));
    let news = solo.input(Input::closed(ConnId(1)));
    let change =
        |change| move |action: &Action| matches!(action, Action::Member { change: of, .. } if *of == change);
    let left = news.iter().position(|action| matches!(action, Action::UnregisterPeer { .. }));
    let silent = news.iter().position(change(MemberChange::Silent));
    assert!(left.is_some() && left < silent, "{news:?}");
    keyed_as(&mut solo, 2, eve);
    let back = solo.receive(2, &line(8, WALL + 20, WALL + 5, Some(30)));
    assert!(back.iter().any(change(MemberChange::Back)), "{back:?}");
}

#[test]
fn without_presence_a_node_says_nothing_and_lists_nobody() {
    let mut solo = solo();
    solo.input(Input::wall_clock(WALL));
    keyed(&mut solo);
    assert!(sent_for(&mut solo, 1, Duration::from_secs(40)).is_empty());
    solo.receive(1, &line(20, WALL + 40_000, WALL, Some(30)));
    assert_eq!((solo.node.members().count(), solo.node.stats().live), (0, 1));
}

#[test]
fn what_was_said_by_a_clock_that_was_ahead_hides_nothing_that_is_said_by_one_that_is_right() {
    const AHEAD: u64 = 600_000;
    let mut solo = present();
    keyed(&mut solo);
    let state = |solo: &Solo| solo.node.members().next().map(|member| member.state);
    // Both clocks are ahead.
    solo.input(Input::wall_clock(WALL + AHEAD));
    solo.receive(1, &line(20, WALL + AHEAD, WALL, Some(30)));
    solo.receive(1, &line(20, WALL + AHEAD + 1, WALL, None));
    solo.receive(1, &line(20, WALL + AHEAD, WALL, Some(30)));
    assert_eq!(state(&solo), Some(MemberState::Left));
    solo.input(Input::wall_clock(WALL));
    solo.receive(1, &line(20, WALL + 1, WALL, Some(30)));
    assert_eq!(state(&solo), Some(MemberState::Here));
}

#[test]
fn a_member_that_left_is_not_brought_back_by_its_old_words_whatever_a_neighbour_says_of_the_time() {
    const AGO: u64 = 3_600_000;
    let mut solo = present();
    keyed(&mut solo);
    solo.receive(1, &line(20, WALL, WALL, None));
    let here = |solo: &Solo| {
        solo.node.members().any(|member| member.key == key(20) && member.state == MemberState::Here)
    };
    solo.receive(1, &line(20, WALL + 1, WALL, Some(30)));
    solo.receive(1, &line(20, WALL + 2, WALL, None));
    assert!(!here(&solo));
    solo.input(Input::wall_clock(WALL + 600_000));
    // The only neighbour has a clock by which an hour ago is now.
    solo.receive(1, &line(8, WALL - AGO, WALL - AGO, Some(30)));
    solo.receive(1, &line(20, WALL - AGO, WALL - AGO, Some(30)));
    assert!(!here(&solo));
}

fn key(author: u8) -> PublicKey {
    Identity::from_secret(&[author; 32]).key()
}
