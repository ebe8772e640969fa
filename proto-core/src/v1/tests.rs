mod batches;
mod long_lines;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Draft, Identity, Name, RunPosition};

/// How often parts of the machine ran for an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) relay: usize,
    pub(crate) duplicate_check: usize,
}

const START: Instant = Instant::from_origin(Duration::from_secs(100));
const HOST: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(9, 9, 9, 9));
const A_STEP: Duration = Duration::from_millis(1_200);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Identities in the order of their ids.
fn identities(count: u8) -> Vec<Identity> {
    let mut all: Vec<_> = (1..=count).map(|n| Identity::from_secret(&[n; 32])).collect();
    all.sort_by_key(Identity::node_id);
    all
}

fn old(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn victor() -> Via {
    Via { node_id: old(7), uname: Name::cut("Victor").unwrap() }
}

fn text(text: &str) -> ChatText {
    ChatText::new(text).unwrap()
}

fn entry(author: &Identity, at: u64, via: Option<&Via>, texts: &[&str], to: &[NodeId]) -> Entry {
    let texts: Vec<_> = texts.iter().copied().map(text).collect();
    let uname = &Name::cut("Anna").unwrap();
    let draft = Draft::new(1, RunPosition::unlinked(at), at, uname, &texts, [9; 16]);
    Entry::sign(author, &Draft { to, via, ..draft })
}

/// Whether the machine shows all texts of an entry, or none.
fn shows_all(v1: &mut V1, now: Instant, entry: &Entry) -> bool {
    let repeated = v1.note_entry_at(now, entry, &Limits::default());
    assert!(repeated.is_empty() || repeated.len() == entry.texts().len());
    repeated.is_empty()
}

/// The machine of the node `of`. Victor is linked to it, and his `PEERS` name `linked`.
fn relay_node(of: &Identity, linked: &[&Identity]) -> V1 {
    let mut v1 = V1::new(of.node_id());
    v1.keyless_linked(victor().node_id, true, 0);
    let linked = linked.iter().map(|identity| identity.node_id());
    v1.links_named(victor().node_id, linked, true, 0, &Limits::default());
    v1
}

fn due(v1: &mut V1, now: Instant) -> Vec<ChatText> {
    let texts =
        core::iter::from_fn(|| v1.utterances.next_due(now, &Limits::default())).flat_map(|(via, texts)| {
            assert_eq!(via, victor());
            texts
        });
    let texts = texts.collect();
    assert!(v1.is_consistent());
    texts
}

#[test]
fn the_lowest_id_brings_a_line_in_at_once_and_each_higher_id_one_second_later() {
    let all = identities(3);
    let limits = Limits::default();
    for (rank, of) in all.iter().enumerate() {
        // Ids of nodes without a key do not count, however low they are.
        let mut v1 = relay_node(of, &[&all[0], &all[1], &all[2]]);
        v1.links_named(victor().node_id, [old(0)], false, 0, &limits);
        assert!(v1.note_line_at((START, 0), HOST, victor(), "hi", &limits));
        let at = START + millis(1_000 * rank as u64);
        assert_eq!(v1.next_at(&Limits::default()), Some(at));
        assert_eq!(
            due(&mut v1, START + millis((1_000 * rank as u64).saturating_sub(1))).is_empty(),
            rank > 0
        );
        assert_eq!(due(&mut v1, at).is_empty(), rank == 0);
        assert_eq!(v1.next_at(&Limits::default()), None);
    }
}

#[test]
fn lines_due_at_one_time_are_brought_in_together_and_in_order() {
    let all = identities(1);
    let mut v1 = relay_node(&all[0], &[]);
    for (n, line) in ["one", "two", "two", "three"].into_iter().enumerate() {
        assert!(v1.note_line_at((START + millis(1 + n as u64), 0), HOST, victor(), line, &Limits::default()));
    }
    assert_eq!(v1.next_at(&Limits::default()), Some(START + millis(200)));
    let together = v1.utterances.next_due(START + millis(200), &Limits::default()).unwrap();
    assert_eq!(together, (victor(), vec![text("one"), text("two"), text("two"), text("three")]));
    assert_eq!(v1.utterances.next_due(START + millis(200), &Limits::default()), None);
}

#[test]
fn a_line_that_another_node_brought_in_is_neither_brought_in_nor_shown_again() {
    let all = identities(3);
    let limits = Limits::default();
    let mut v1 = relay_node(&all[1], &[&all[0]]);
    // The line comes first, then the entry, as often as he says it. Then the other way round.
    for at in [0, 100] {
        assert!(v1.note_line_at((START, at), HOST, victor(), "hi", &limits));
        assert!(!shows_all(&mut v1, START, &entry(&all[0], at + 50, Some(&victor()), &["hi"], &[])));
    }
    for at in [200, 300] {
        assert!(shows_all(&mut v1, START, &entry(&all[0], at + 50, Some(&victor()), &["hi"], &[])));
        assert!(!v1.note_line_at((START, at), HOST, victor(), "hi", &limits));
    }
    assert_eq!(due(&mut v1, START + A_STEP), []);
    // A third source of one of these.
    assert!(!shows_all(&mut v1, START, &entry(&all[2], 60, Some(&victor()), &["hi"], &[])));
    // Another text, another author and another speaker.
    assert!(v1.note_line_at((START, 400), HOST, victor(), "ho", &limits));
    assert!(shows_all(&mut v1, START, &entry(&all[0], 400, None, &["ho"], &[])));
    let other = Via { node_id: old(8), ..victor() };
    assert!(shows_all(&mut v1, START, &entry(&all[0], 400, Some(&other), &["ho"], &[])));
    assert_eq!(due(&mut v1, START + A_STEP), [text("ho")]);
}

#[test]
fn words_match_if_said_or_received_at_most_a_minute_apart() {
    let all = identities(2);
    let limits = Limits::default();
    let apart =
        [(59_999, 60_001, false), (60_000, 60_001, false), (60_001, 60_001, true), (600_000, 60_000, false)];
    for (apart, later, shown) in apart {
        for (line, by_entry) in [(100_000, 100_000 + apart), (100_000 + apart, 100_000)] {
            let mut v1 = relay_node(&all[1], &[&all[0]]);
            assert!(v1.note_line_at((START, line), HOST, victor(), "hi", &limits));
            let by_entry = entry(&all[0], by_entry, Some(&victor()), &["hi"], &[]);
            assert_eq!(shows_all(&mut v1, START + millis(later), &by_entry), shown, "{apart}");
            assert_eq!(due(&mut v1, START + A_STEP).is_empty(), !shown);
        }
    }
}

#[test]
fn the_node_with_the_lowest_id_is_the_designated_relay() {
    let all = identities(4);
    let limits = Limits::default();
    let by_another = |to: &[NodeId], via: Option<&Via>| entry(&all[3], 2_000, via, &["hello", "you"], to);
    let targets = |v1: &V1, entry: &Entry| v1.relay_targets(entry).collect::<Vec<_>>();
    let he = victor().node_id;

    let (first, mut second) = (relay_node(&all[0], &[&all[1]]), relay_node(&all[1], &[&all[0], &all[2]]));
    assert_eq!(targets(&first, &by_another(&[], None)), [he]);
    assert_eq!(targets(&second, &by_another(&[], None)), []);
    second.left_network(all[0].node_id(), 2_000);
    assert_eq!(targets(&second, &by_another(&[], None)), [he]);
    // The author sent it to him; he said it himself; he is linked to the speaker.
    assert_eq!(targets(&first, &by_another(&[he], None)), []);
    assert_eq!(targets(&first, &by_another(&[], Some(&victor()))), []);
    let wanda = Via { node_id: old(8), uname: Name::cut("Wanda").unwrap() };
    assert_eq!(targets(&first, &by_another(&[], Some(&wanda))), [he]);
    second.links_named(he, [wanda.node_id], false, 0, &limits);
    assert_eq!(targets(&second, &by_another(&[], Some(&wanda))), []);
    assert_eq!(lines(&by_another(&[], Some(&wanda))).collect::<Vec<_>>(), ["Wanda: hello", "Wanda: you"]);
    assert_eq!(lines(&by_another(&[], None)).next().unwrap(), "Anna: hello");
}

#[test]
fn a_peer_is_sent_nothing_from_before_it_was_linked_and_nothing_before_its_peers_frame() {
    let all = identities(2);
    let mut v1 = V1::new(all[0].node_id());
    v1.keyless_linked(old(7), true, 1_000);
    let targets = |v1: &V1, at| v1.relay_targets(&entry(&all[1], at, None, &["x"], &[])).count();
    assert_eq!(targets(&v1, 1_000), 0);
    v1.links_named(old(7), [], true, 1_000, &Limits::default());
    assert_eq!((targets(&v1, 999), targets(&v1, 1_000)), (0, 1));
    v1.peers.remove(&old(7));
    assert_eq!(targets(&v1, 1_000), 0);
}

#[test]
fn the_time_of_an_entry_decides_which_node_relays_it_when_the_relay_changes() {
    let all = identities(3);
    let limits = Limits::default();
    let both = [all[0].node_id(), all[1].node_id()];
    let relays = |v1: &V1, at| v1.relay_targets(&entry(&all[2], at, None, &["x"], &[])).count() == 1;

    let mut before = relay_node(&all[1], &[&all[1]]);
    before.links_named(victor().node_id, both, true, 5_000, &limits);
    assert!(relays(&before, 4_999) && !relays(&before, 5_000), "no matter when it arrives");

    let mut after = V1::new(all[0].node_id());
    after.keyless_linked(victor().node_id, true, 4_990);
    // The other node relays until it reads the same `PEERS`, which may be later.
    after.links_named(victor().node_id, both, true, 5_010, &limits);
    assert!(!relays(&after, 6_009) && relays(&after, 6_010));

    before.left_network(all[0].node_id(), 9_000);
    assert!(!relays(&before, 8_999) && relays(&before, 9_000));
    before.links_named(victor().node_id, both, true, 9_500, &limits);
    before.links_named(victor().node_id, [all[1].node_id()], true, 9_700, &limits);
    assert!(!relays(&before, 9_600) && relays(&before, 9_700));
}

#[test]
fn lines_of_a_peer_that_names_no_id_are_not_brought_in() {
    let all = identities(1);
    let mut v1 = V1::new(all[0].node_id());
    v1.keyless_linked(victor().node_id, false, 0);
    assert!(v1.note_line_at((START, 0), HOST, victor(), "hi", &Limits::default()));
    assert_eq!(v1.next_at(&Limits::default()), None);
}

#[test]
fn the_peers_of_a_version_1_peer_replace_the_last_ones_and_are_bounded() {
    let all = identities(3);
    let limits = Limits::default().with(|limits| limits.v1.linked = 2);
    let he = victor().node_id;
    let mut v1 = relay_node(&all[2], &[&all[0]]);
    let rank = |v1: &V1| v1.peers[&he].rank(all[2].node_id());
    assert_eq!(rank(&v1), 1);
    let ids = [all[1].node_id(), all[0].node_id(), old(1)];
    for count in 1..=3 {
        v1.links_named(he, ids.into_iter().take(count), true, 0, &limits);
        assert_eq!(v1.peers[&he].links.as_ref().unwrap().len(), count.min(2));
    }
    assert_eq!(rank(&v1), 2);
    v1.links_named(he, [], true, 0, &limits);
    assert_eq!(rank(&v1), 0);
}

#[test]
fn waiting_lines_are_bounded_and_the_one_due_last_is_dropped() {
    let all = identities(2);
    let size = utterances::size(&text("1"));
    let few = Limits::default().with(|limits| limits.v1.waiting = 2);
    let small = Limits::default().with(|limits| limits.v1.waiting_bytes = 2 * size);
    let smaller = Limits::default().with(|limits| limits.v1.waiting_bytes = 2 * size - 1);
    for (limits, most) in [(few, 2), (small, 2), (smaller, 1)] {
        for count in 1..=3 {
            let mut v1 = relay_node(&all[1], &[&all[0]]);
            let lines = &["1", "2", "3"][..count];
            for (n, line) in lines.iter().enumerate() {
                assert!(v1.note_line_at((START + millis(n as u64 * 300), 0), HOST, victor(), line, &limits));
                assert!(v1.is_consistent());
            }
            let kept: Vec<_> = lines.iter().take(most).map(|line| text(line)).collect();
            assert_eq!(due(&mut v1, START + A_STEP * 2), kept);
            assert_eq!(v1.counts().dropped, count.saturating_sub(most) as u64);
        }
    }
}

#[test]
fn the_oldest_line_is_forgotten_first() {
    let all = identities(2);
    let limits = Limits::default().with(|limits| limits.v1.lines = 2);
    let shows = |v1: &mut V1, line: &str| {
        v1.note_entry_at(START, &entry(&all[0], 0, Some(&victor()), &[line], &[]), &limits).is_empty()
    };
    for count in 1..=3 {
        let mut v1 = relay_node(&all[1], &[&all[0]]);
        let lines = &["1", "2", "3"][..count];
        for line in lines {
            assert!(v1.note_line_at((START, 0), HOST, victor(), line, &limits));
        }
        assert_eq!(v1.counts().forgotten, count.saturating_sub(2) as u64);
        for line in lines.iter().rev().take(2) {
            assert!(!shows(&mut v1, line), "{line} of {count}");
        }
        assert!(count <= 2 || shows(&mut v1, "1"));
        assert!(v1.is_consistent());
    }
}

/// A node of the network. Victor is linked to it, or not.
struct TestNode {
    identity: Identity,
    v1: V1,
    shown: Vec<ChatText>,
}

/// Something on its way to a node.
#[derive(Clone)]
enum Packet {
    Line(ChatText),
    Entry(Arc<Entry>),
}

/// Simulates a network in which Victor sends lines to the first `linked` nodes. Lines and entries are delayed by
/// `delays`, in turn. `lost`: lines that do not arrive, by node and number. Returns what each node shows.
fn converse(
    said: &[(u64, ChatText)],
    linked: usize,
    delays: &[u64],
    lost: &[(usize, usize)],
) -> Vec<Vec<ChatText>> {
    let limits = Limits::default();
    let all = identities(4);
    let on_link: Vec<_> = all[..linked].iter().collect();
    let mut nodes: Vec<TestNode> = all
        .iter()
        .enumerate()
        .map(|(n, identity)| {
            let v1 = if n < linked { relay_node(identity, &on_link) } else { V1::new(identity.node_id()) };
            TestNode { identity: identity.clone(), v1, shown: Vec::new() }
        })
        .collect();
    let mut delays = delays.iter().copied().cycle();
    let mut delay = || delays.next().unwrap_or(0);
    let mut post: BTreeMap<(u64, usize), (usize, Packet)> = BTreeMap::new();
    let mut last = vec![0; linked];
    for (number, (at, text)) in said.iter().enumerate() {
        for node in (0..linked).filter(|node| !lost.contains(&(*node, number))) {
            // A connection keeps the order.
            last[node] = last[node].max(at + delay());
            post.insert((last[node], post.len()), (node, Packet::Line(text.clone())));
        }
    }
    let mut packets = post.len();
    loop {
        let next_due = nodes.iter().filter_map(|node| node.v1.next_at(&Limits::default())).min();
        let next_due = next_due.map(|due| u64::try_from(due.since(START).as_millis()).unwrap());
        let next_post = post.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = next_due.into_iter().chain(next_post).min() else { break };
        let now = START + millis(at);
        for from in 0..nodes.len() {
            while let Some((via, texts)) = nodes[from].v1.utterances.next_due(now, &Limits::default()) {
                let texts: Vec<_> = texts.iter().map(ChatText::as_str).collect();
                let entry = Arc::new(entry(&nodes[from].identity, at, Some(&via), &texts, &[]));
                for to in (0..nodes.len()).filter(|to| *to != from) {
                    packets += 1;
                    post.insert((at + delay(), packets), (to, Packet::Entry(entry.clone())));
                }
            }
        }
        while let Some(arrival) = post.first_entry().filter(|packet| packet.key().0 <= at) {
            let (to, packet) = arrival.remove();
            let TestNode { v1, shown, .. } = &mut nodes[to];
            match packet {
                Packet::Line(text) if v1.note_line_at((now, at), HOST, victor(), text.as_str(), &limits) => {
                    shown.push(text);
                }
                Packet::Line(_) => {}
                Packet::Entry(entry) => {
                    let repeated = v1.note_entry_at(now, &entry, &limits);
                    shown.extend(repeated.others(entry.texts()).map(text));
                }
            }
            assert!(v1.is_consistent());
        }
    }
    nodes.into_iter().map(|node| node.shown).collect()
}

fn count(texts: &[ChatText]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text.as_str()).or_default() += 1;
    }
    counts
}

fn words() -> impl Strategy<Value = Vec<(u64, ChatText)>> {
    proptest::collection::vec((0_u64..20_000, "[ab]"), 1..20).prop_map(|mut said| {
        said.sort_by_key(|(at, _)| *at);
        said.into_iter().map(|(at, word)| (at, text(&word))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_word_is_shown_once_at_every_node(
        said in words(), linked in 1_usize..5, delays in proptest::collection::vec(0_u64..300, 1..30),
    ) {
        let texts: Vec<_> = said.iter().map(|(_, text)| text.clone()).collect();
        for shown in converse(&said, linked, &delays, &[]) {
            prop_assert_eq!(count(&shown), count(&texts));
        }
    }

    #[test]
    fn no_word_is_shown_more_often_than_it_was_said(
        said in words(), linked in 1_usize..5, delays in proptest::collection::vec(0_u64..3_000, 1..30),
        lost in proptest::collection::vec((0_usize..4, 0_usize..20), 0..20),
    ) {
        let texts: Vec<_> = said.iter().map(|(_, text)| text.clone()).collect();
        let times_said = count(&texts);
        for shown in converse(&said, linked, &delays, &lost) {
            for (text, often) in count(&shown) {
                prop_assert!(often <= times_said[text]);
            }
        }
    }
}

/// The machine of a node that brings everything in at once, with so many peers at each of these hosts.
fn bridge(hosts: &[(IpAddr, u8)]) -> (V1, Vec<(IpAddr, Via)>) {
    let of = &identities(1)[0];
    let mut v1 = V1::new(of.node_id());
    let peers = hosts.iter().flat_map(|(host, count)| core::iter::repeat_n(*host, usize::from(*count)));
    let speakers: Vec<_> = peers
        .zip(1..)
        .map(|(host, n)| (host, Via { node_id: old(n), uname: Name::cut("Victor").unwrap() }))
        .collect();
    for (_, who) in &speakers {
        v1.keyless_linked(who.node_id, true, 0);
        v1.links_named(who.node_id, [], true, 0, &Limits::default());
    }
    (v1, speakers)
}

const CROWD: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(8, 8, 8, 8));

/// What is brought in within this time, with the moment of each entry.
fn brought_in(v1: &mut V1, from: Instant, time: Duration) -> Vec<(Instant, NodeId, usize)> {
    let (limits, mut now, mut all) = (Limits::default(), from, Vec::new());
    while let Some(at) = v1.utterances.deadline(&limits).filter(|at| *at <= from + time) {
        now = at.max(now);
        while let Some((who, texts)) = v1.utterances.next_due(now, &limits) {
            all.push((now, who.node_id, texts.len()));
        }
        assert!(v1.is_consistent());
        assert!(v1.utterances.deadline(&limits).is_none_or(|at| at > now), "it is busy without end");
    }
    all
}

#[test]
fn all_peers_together_have_one_budget_of_entries() {
    let (mut v1, speakers) = bridge(&[(CROWD, 100)]);
    let limits = Limits::default();
    for second in 0..60 {
        let now = START + Duration::from_secs(second);
        for (n, (host, who)) in speakers.iter().enumerate() {
            v1.note_line_at((now, 0), *host, who.clone(), &alloc::format!("{second} {n}"), &limits);
        }
        let entries = brought_in(&mut v1, now, Duration::from_millis(999)).len();
        let most = limits.v1.entries_per_second + if second == 0 { limits.v1.entries_burst } else { 0 };
        assert!((1..=most as usize).contains(&entries), "{entries} in second {second}");
    }
}

#[test]
fn a_long_entry_counts_as_many() {
    let (mut v1, speakers) = bridge(&[(CROWD, 20)]);
    let (limits, long) = (Limits::default(), "x".repeat(40_000));
    for (n, (host, who)) in speakers.iter().enumerate() {
        v1.note_line_at((START, 0), *host, who.clone(), &alloc::format!("{n} {long}"), &limits);
    }
    let entries = brought_in(&mut v1, START, Duration::from_secs(29)).len();
    let most = limits.v1.entries_burst + 29 * limits.v1.entries_per_second;
    assert_eq!(entries, (most as usize).div_ceil(long.len().div_ceil(4_096) + 1), "of 4 KiB each");
    let slow = brought_in(&mut v1, START, Duration::from_secs(1)).len();
    assert_eq!(slow, 0);
}

#[test]
fn who_speaks_from_another_address_waits_for_one_turn_of_a_crowd_and_its_line_is_kept() {
    let (mut v1, speakers) = bridge(&[(CROWD, 100), (HOST, 1)]);
    let limits = Limits::default();
    let (crowd, one) = speakers.split_at(100);
    for n in 0..50 {
        for (host, who) in crowd {
            v1.note_line_at((START, 0), *host, who.clone(), &alloc::format!("noise {n}"), &limits);
        }
    }
    // The budget is used up.
    brought_in(&mut v1, START, Duration::from_secs(2));
    let now = START + Duration::from_secs(2);
    v1.note_line_at((now, 2_000), one[0].0, one[0].1.clone(), "one word", &limits);
    for n in 50..100 {
        for (host, who) in crowd {
            v1.note_line_at((now, 2_000), *host, who.clone(), &alloc::format!("noise {n}"), &limits);
        }
    }
    assert!(v1.counts().dropped > 0 && v1.counts().forgotten > 0, "too much of the crowd's waits");
    let entries = brought_in(&mut v1, now, Duration::from_secs(1));
    let at = entries.iter().find(|(_, who, _)| *who == one[0].1.node_id).map(|(at, ..)| at.since(now));
    assert!(at.is_some_and(|at| at <= millis(400)), "{at:?}");
}

#[test]
fn at_one_address_one_peer_does_not_silence_the_others() {
    let (mut v1, speakers) = bridge(&[(CROWD, 2)]);
    let limits = Limits::default();
    for n in 0..2_000 {
        let (host, who) = &speakers[usize::from(n == 1_500)];
        v1.note_line_at(
            (START, 0),
            *host,
            who.clone(),
            &alloc::format!("{n} {}", "x".repeat(1_000)),
            &limits,
        );
    }
    let entries = brought_in(&mut v1, START, Duration::from_secs(1));
    let turn = entries.iter().position(|(_, who, _)| *who == speakers[1].1.node_id);
    assert!(turn.is_some_and(|turn| turn <= 1), "{entries:?}");
}

#[test]
fn what_waited_for_half_a_minute_is_not_brought_in_any_more() {
    let (mut v1, speakers) = bridge(&[(CROWD, 1)]);
    let (limits, long) = (Limits::default(), "x".repeat(60_000));
    for n in 0..15 {
        let (host, who) = &speakers[0];
        v1.note_line_at((START, 0), *host, who.clone(), &alloc::format!("{n} {long}"), &limits);
    }
    let slow = limits.clone().with(|limits| {
        (limits.v1.bytes_per_second, limits.v1.entries_per_second, limits.v1.entries_burst) = (1, 100, 100);
    });
    while v1.utterances.next_due(START, &slow).is_some() {}
    let before = v1.counts().dropped;
    let late = START + limits.v1.match_window / 2;
    assert_eq!((v1.utterances.next_due(late, &slow), v1.counts().dropped), (None, before));
    assert_eq!(v1.utterances.deadline(&slow), Some(late + Duration::from_nanos(1)));
    assert_eq!(v1.utterances.next_due(late + millis(1), &slow), None);
    assert_eq!(v1.counts().dropped, 10, "five are brought in, which the burst allows");
    assert!(v1.is_consistent());
}
