use super::*;
use crate::chat::testing::at;
use crate::model::{Identity, Name};

fn key(n: u16) -> PublicKey {
    let mut secret = [7; 32];
    secret[..2].copy_from_slice(&n.to_be_bytes());
    Identity::from_secret(&secret).key()
}

fn presence(uname: &str, since: u64, every: Option<u32>) -> Presence {
    Presence { uname: uname.parse::<Name>().unwrap(), since, every }
}

/// What is new about member `n`, which says this at `now`, dated by the same clock. This node began at 1,000.
fn hear(members: &mut Members, now: u64, n: u16, said: &Presence, familiar: bool) -> Option<MemberChange> {
    let before = members.dated(key(n).node_id());
    let word = Word { key: key(n), at: now, before, presence: said, familiar, time: now, began: 1_000 };
    let change = members.heard(at(now), word, &limits()).map(|(_, change)| change);
    assert!(members.is_consistent());
    change
}

fn limits() -> Limits {
    Limits::default().with(|limits| limits.chat.members = 16)
}

#[test]
fn a_member_comes_is_renamed_falls_silent_is_back_and_leaves() {
    use MemberChange::{Back, Joined, Left, Listed, Renamed};
    let mut members = Members::new();
    let zoe = presence("Zoe", 2_000, Some(30));
    assert_eq!(hear(&mut members, 2_000, 1, &zoe, false), Some(Joined));
    assert_eq!(hear(&mut members, 2_000, 1, &presence("X", 2_000, None), false), None, "the same date");
    assert_eq!(hear(&mut members, 32_000, 1, &zoe, false), None, "no news");
    assert_eq!(hear(&mut members, 33_000, 1, &presence("Zoë", 2_000, Some(30)), false), Some(Renamed));
    // Three intervals later it is silent.
    assert_eq!(members.deadline(false), Some(at(33_000 + 90_000)));
    assert_eq!(members.next_silent(at(122_999)), None);
    let silent = members.next_silent(at(123_000)).unwrap();
    assert_eq!((silent.state, silent.heard), (MemberState::Silent, 33_000));
    assert_eq!(members.next_silent(at(123_000)), None);
    assert!(members.is_consistent());
    assert_eq!(hear(&mut members, 124_000, 1, &zoe, false), Some(Back));
    let gone = presence("Zoe", 2_000, None);
    assert_eq!(hear(&mut members, 125_000, 1, &gone, false), Some(Left));
    assert_eq!(hear(&mut members, 126_000, 1, &gone, false), None);
    assert_eq!((members.len(), members.deadline(false)), (1, None), "it is listed as away");
    assert_eq!(hear(&mut members, 127_000, 1, &presence("Zoe", 126_500, Some(30)), false), Some(Joined));
    // Whoever was here before is no news for the user, and whoever leaves unheard is none at all.
    assert_eq!(hear(&mut members, 127_000, 2, &presence("Old", 999, Some(60)), false), Some(Listed));
    assert_eq!(hear(&mut members, 127_000, 3, &presence("Who", 999, None), false), None);
    assert_eq!(members.len(), 2);
}

#[test]
fn strangers_have_a_quarter_and_push_out_each_other_alone() {
    let mut members = Members::new();
    let here = presence("Here", 2_000, Some(30));
    for n in 0..12 {
        hear(&mut members, 2_000 + u64::from(n), n, &here, true);
    }
    for n in 100..400 {
        hear(&mut members, 3_000 + u64::from(n), n, &here, false);
        assert!(members.unfamiliar() <= 4);
    }
    assert_eq!((members.len(), members.forgotten()), (16, 296));
    assert!((0..12).all(|n| members.iter().any(|member| member.key == key(n))));
    // A familiar one takes the place of one that is away, then that of a stranger.
    hear(&mut members, 5_000, 3, &presence("Here", 2_000, None), true);
    hear(&mut members, 5_001, 20, &here, true);
    assert!(members.iter().all(|member| member.key != key(3)));
    for n in 21..25 {
        hear(&mut members, 5_002, n, &here, true);
    }
    assert_eq!((members.len(), members.unfamiliar()), (16, 0));
    assert_eq!(hear(&mut members, 5_004, 26, &here, true), None, "there is no room");
}

#[test]
fn the_interval_grows_with_the_members_who_are_here() {
    let mut members = Members::new();
    assert_eq!(members.interval(), 30);
    let here = presence("Here", 1, Some(30));
    for n in 0..50 {
        let word =
            Word { key: key(n), at: 1, before: None, presence: &here, familiar: true, time: 1, began: 0 };
        members.heard(at(0), word, &Limits::default());
    }
    assert_eq!(members.interval(), 51);
    while members.next_silent(at(90_000)).is_some() {}
    assert_eq!(members.interval(), 30);
    members.linked(at(1));
    assert!(members.is_due(at(1)));
    members.said(at(1), 3_749);
    assert_eq!(members.deadline(true), Some(at(1 + 30_000 - 3_749)));
    members.linked(at(2));
    assert!(!members.is_due(at(2)), "everybody was told just now");
    members.renamed(at(3));
    assert!(members.is_due(at(3)));
}

#[test]
fn a_neighbour_brings_so_many_at_once_and_a_few_a_second() {
    let limits = Limits::default();
    let [peer, other, author] = [1, 2, 3].map(|n| NodeId::from_bytes([n; 16]));
    for (familiar, most) in [(true, limits.chat.live_burst), (false, limits.chat.live_burst * 3 / 4)] {
        let mut members = Members::new();
        for _ in 0..most {
            assert!(members.has_room(at(0), (peer, author), 0, || familiar, &limits));
            members.take(at(0), (peer, author), &limits);
        }
        assert!(!members.has_room(at(0), (peer, author), 0, || familiar, &limits));
        assert!(members.has_room(at(0), (other, author), 0, || familiar, &limits));
        assert!(members.has_room(at(250), (peer, author), 0, || familiar, &limits));
        // Strangers leave room for others.
        assert_eq!(members.has_room(at(0), (peer, author), 0, || true, &limits), !familiar);
    }
}

#[test]
fn what_a_neighbour_brings_of_others_takes_nothing_from_what_it_says_of_itself() {
    let (mut members, limits) = (Members::new(), Limits::default());
    let (peer, author) = (key(1).node_id(), key(2).node_id());
    let here = presence("Here", 1, Some(30));
    let say = |members: &mut Members, n: u16, now| {
        let word =
            Word { key: key(n), at: now, before: None, presence: &here, familiar: true, time: now, began: 0 };
        members.heard(at(now), word, &limits);
    };
    say(&mut members, 1, 1);
    while members.has_room(at(1), (peer, author), 0, || true, &limits) {
        members.take(at(1), (peer, author), &limits);
    }
    // Four times at once, then once in ten seconds.
    for now in 2..5 {
        assert!(members.has_room(at(now), (peer, peer), 0, || true, &limits));
        members.take(at(now), (peer, peer), &limits);
        say(&mut members, 1, now);
    }
    assert!(!members.has_room(at(5), (peer, peer), 0, || true, &limits));
    assert!(members.has_room(at(10_001), (peer, peer), 0, || true, &limits));
    // Another neighbour has room for what this one says just as often.
    assert!(!members.has_room(at(5), (author, peer), 0, || true, &limits));
}

#[test]
fn a_neighbour_that_is_gone_and_new_is_a_stranger() {
    let mut members = Members::new();
    let here = presence("Here", 2_000, Some(30));
    for n in 0..16 {
        hear(&mut members, 2_000 + u64::from(n), n, &here, true);
    }
    assert_eq!(hear(&mut members, 3_000, 20, &here, true), None, "there is no room");
    for n in 0..16 {
        members.estrange(key(n).node_id(), &limits());
        assert!(members.is_consistent() && members.unfamiliar() <= 4);
    }
    assert_eq!(members.len(), 4);
    assert!(hear(&mut members, 3_000, 20, &here, true).is_some());
}

#[test]
fn a_member_that_says_so_rarely_is_waited_for_as_long_as_the_list_can_be() {
    let mut members = Members::new();
    hear(&mut members, 2_000, 1, &presence("Rare", 1, Some(Presence::MOST)), true);
    assert_eq!(members.deadline(false), Some(at(2_000 + 90_000)), "there are 16 at most");
}
