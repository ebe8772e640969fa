//! Entries in the window, and what a node knows of entries, authors and runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{
    Capacity, ChatText, Draft, Entry, EntryId, Limits, MAX_TEXTS, MAX_TO, Name, NodeId, Room, RunPosition,
    Via,
};
use tests::sim::hostile::{behind, position};

use crate::node::{Node, Report, few_tips, full};
use crate::solo::{EPOCH_MS, id, keys};

/// Neighbours that send entries and announcements.
const NEIGHBOURS: usize = 8;

fn limits() -> Limits {
    Limits::default().with(|limits| {
        limits.chat.log_bytes = 4 << 20;
        limits.chat.log_entries = 1_500;
        limits.chat.hold_back_most = limits.chat.hold_back;
        limits.chat.evicted = 1_000;
        limits.chat.floors = 3_000;
        limits.chat.parked_bytes = 1 << 20;
        limits.chat.authors_bytes = 512 << 10;
        limits.chat.authors = 400;
        limits.chat.seen = 1_500;
        limits.chat.announced_missing = 1_600;
        limits.chat.announced_missing_per_link = 200;
        limits.chat.fetching = 2_000;
        limits.chat.tips_bytes = 1 << 20;
        limits.chat.announcers = NEIGHBOURS;
        limits.chat.forks = 150;
        limits.chat.announced = 500;
        limits.chat.wanted = 300;
        limits.chat.early = 300;
        limits.chat.serving = 400;
        limits.chat.served_queue = 1;
        limits.chat.syncs_ignored = 1_000;
        limits.chat.sync_timeout = Duration::from_secs(3_600);
    })
}

/// An entry in the lobby.
pub(crate) fn draft_of(author: usize, seq: usize, at: u64, texts: &[ChatText], to: &[NodeId]) -> Entry {
    signed(author, seq, at, texts, |draft| draft.to = to)
}

thread_local! {
    /// Where the next entry of a run stands: of an author, in a room or not, and brought in or not.
    static LAST: RefCell<BTreeMap<(usize, bool, bool), RunPosition>> = const { RefCell::new(BTreeMap::new()) };
}

/// An entry with what `more` adds to it, behind the last one of its run, if that has the number before.
pub(crate) fn signed<'a>(
    author: usize,
    seq: usize,
    at: u64,
    texts: &'a [ChatText],
    more: impl FnOnce(&mut Draft<'a>),
) -> Entry {
    let mut draft = Draft::new(1, position(seq as u64), at, long_name(), texts, [7; 16]);
    more(&mut draft);
    LAST.with_borrow_mut(|all| {
        let run = (author, draft.room.is_some(), draft.via.is_some());
        if let Some(next) = all.get(&run).filter(|next| next.seq() == draft.position.seq()) {
            draft.position = *next;
        }
        let entry = keys(100 + author).sign_entry(&draft);
        all.insert(run, behind(Some(&entry)));
        entry
    })
}

fn long_name() -> &'static Name {
    static NAME: LazyLock<Name> = LazyLock::new(|| "n".repeat(64).parse().unwrap());
    &NAME
}

pub(crate) fn text(len: usize) -> ChatText {
    ChatText::new("x".repeat(len)).unwrap()
}

/// So many entries fill any window here.
const MANY: usize = 1_800;

/// Fills the window with entries of this form, and compares its share of the memory with its charge.
fn window_of(report: &mut Report, what: &str, count: usize, entry: impl Fn(usize) -> Entry) -> Node {
    let entries: Vec<_> = (0..count).map(entry).collect();
    let mut node = Node::new(limits(), NEIGHBOURS);
    let (empty, (_, others)) = (node.heap(), node.charges());
    entries.iter().for_each(|entry| node.take(0, entry));
    node.check(what, report);
    assert!(node.solo.stats().entries_evicted > 0, "{what}: the window is not full");
    let (charge, others) = (node.charge(Capacity::LogBytes), node.charges().1 - others);
    let heap = node.heap() - empty;
    assert!(
        heap <= charge + charge / 10 + 2 * others,
        "{what}: {heap} bytes in use, {charge} charged, and {others}"
    );
    assert!(charge <= heap * 2, "{what}: {heap} bytes in use, {charge} charged, which is far too much");
    node
}

/// The window at its bound, filled with entries of each form.
pub(crate) fn windows(report: &mut Report) {
    let at = |n: usize| EPOCH_MS - 60_000 + n as u64;
    let short = [text(1)];
    let many = vec![text(1); MAX_TEXTS];
    let long = [text(60_000)];
    let to = vec![NodeId::from_bytes([9; 16]); MAX_TO];
    let room = "r".repeat(Room::MAX).parse().unwrap();
    let via = Via::new(NodeId::from_bytes([9; 16]), "v".repeat(64).parse().unwrap());
    window_of(report, "one author, short", MANY, |n| draft_of(1, n, at(n), &short, &[]));
    window_of(report, "many authors, short", MANY, |n| draft_of(n, 0, at(n), &short, &[]));
    window_of(report, "falling dates", MANY, |n| draft_of(n % 7, MANY - n, at(MANY - n), &short, &[]));
    window_of(report, "as many texts as there may be", 800, |n| draft_of(n % 7, n / 7, at(n), &many, &[]));
    window_of(report, "long", 60, |n| draft_of(1, n, at(n), &long, &[]));
    let mut members = window_of(report, "all members", MANY, |n| {
        signed(n % 7, n / 7, at(n), &short, |draft| (draft.to, draft.room) = (&to, Some(&room)))
    });
    members.hold(&[full(Capacity::LogBytes)], report);
    drop(members);
    window_of(report, "many rooms", MANY, |n| {
        let room = format!("{n:064}").parse().unwrap();
        signed(n % 7, n, at(n), &short, |draft| draft.room = Some(&room))
    });
    window_of(report, "said by others", MANY, |n| {
        signed(n % 7, n / 7, at(n), &short, |draft| draft.via = Some(&via))
    });
}

/// The answer of a reconciliation, by which a neighbour has so many tips that nobody knows.
pub(crate) fn answer(first: usize) -> Vec<u8> {
    const TIPS: usize = 1_024;
    let ids = (0..TIPS).map(|n| *id(first * TIPS + n).as_bytes());
    // It answers about all of time. In version 1 of the negentropy protocol, one list of ids up to infinity, and their
    // number in base 128.
    let head = [&[2][..], &[0; 8], &[0x61, 0, 0, 2, 0x88, 0]].concat();
    head.into_iter().chain(ids.flatten()).collect()
}

/// What is said in the conversation of all stores at their bounds.
struct Said {
    /// Both versions of each number: they freeze their runs.
    forks: Vec<Entry>,
    window: Vec<Entry>,
    /// Each gap is two entries: their authors are those heard last.
    gaps: Vec<Entry>,
    ahead: Vec<Entry>,
    /// Entries of runs with the longest names, of which the ones before are missing.
    early: Vec<Entry>,
    /// Entries that are announced.
    late: Vec<Entry>,
}

impl Said {
    fn new(at: impl Fn(usize) -> u64) -> Self {
        let short = [text(1)];
        let room = "r".repeat(Room::MAX).parse().unwrap();
        let ahead = |n: usize| draft_of(n, 1, EPOCH_MS + 600_000 + n as u64, &short, &[]);
        let early = |n| signed(3_000 + n, 5, at(MANY + n), &short, |draft| draft.room = Some(&room));
        Self {
            forks: (0..300)
                .map(|n| draft_of(5_000 + n / 2, 0, at(0) - 1_000 + n as u64, &[text(1 + n % 2)], &[]))
                .collect(),
            window: (0..3_000).map(|n| draft_of(n, 0, at(n), &short, &[])).collect(),
            gaps: (0..2_500).map(|n| draft_of(n % 50, 2 * (n / 50), at(n), &short, &[])).collect(),
            ahead: (0..1_200).map(ahead).collect(),
            early: (0..400).map(early).collect(),
            late: (0..700).map(|n| draft_of(4_000 + n % 10, n / 10, at(MANY * 2 + n), &short, &[])).collect(),
        }
    }
}

/// Each store at its bound.
pub(crate) fn conversation(report: &mut Report) {
    let limits = limits();
    let said = Said::new(|n| EPOCH_MS - 60_000 + n as u64);
    let mut node = Node::new(limits.clone(), NEIGHBOURS);
    said.forks.iter().for_each(|entry| node.take(0, entry));
    // With whom it began to reconcile.
    said.window.iter().for_each(|entry| node.take(0, entry));
    said.gaps.iter().for_each(|entry| node.take(1, entry));
    node.skip(limits.chat.hold_back);
    said.ahead.iter().for_each(|entry| node.take(2, entry));
    let ids = |n: usize| -> Vec<EntryId> { (0..200).map(|m| id(n * 200 + m)).collect() };
    for first in 0..NEIGHBOURS {
        (0..NEIGHBOURS).for_each(|from| node.frame((first + from) % NEIGHBOURS, &Frame::Ihave(ids(first))));
    }
    (0..NEIGHBOURS * 3).for_each(|n| node.frame(n % NEIGHBOURS, &Frame::Ihave(ids(NEIGHBOURS + n))));
    // What the node answers with when it is asked what it lacks.
    node.skip(limits.chat.reconcile_again);
    (0..NEIGHBOURS).for_each(|n| node.frame(n, &Frame::Sync(answer(10 + n))));
    let links = |n: u8| {
        (0..=255).map(|m| NodeId::from_bytes([n, m, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])).collect()
    };
    (0..NEIGHBOURS).for_each(|from| node.frame(from, &Frame::Links(links(from as u8))));
    node.settle();
    node.check("the conversation", report);
    // It takes the place of the root: whoever is in no tree announces at once.
    node.solo.pass(limits.chat.root_wait, NEIGHBOURS);
    node.forget();
    node.fill("reconciliations", &[full(Capacity::Syncs)], report, |node| {
        // Who is new is compared with first. Nobody answers.
        (NEIGHBOURS..NEIGHBOURS + limits.chat.syncs).for_each(|conn| node.solo.link(conn));
        node.skip(limits.chat.reconcile_again);
    });
    let late = [full(Capacity::Announced).of_each(NEIGHBOURS + limits.chat.syncs - 1)];
    node.fill("announced", &late, report, |node| said.late.iter().for_each(|entry| node.take(3, entry)));
    let early = [
        full(Capacity::Wanted),
        full(Capacity::Early),
        full(Capacity::Ranges),
        full(Capacity::Serving).of_each(NEIGHBOURS),
    ];
    node.fill("wanted and asked for", &early, report, |node| {
        for (n, entry) in said.early.iter().enumerate() {
            node.take(n % NEIGHBOURS, entry);
        }
        ask(node);
    });
    (0..NEIGHBOURS).for_each(|from| node.solo.receive(from, &format!("NOISE|{}", "x".repeat(60_000))));
    node.forget();
    node.hold(&AT_BOUND.map(full), report);
    node.check("everything in the conversation at once", report);
    drop(said);
}

/// What the conversation fills, but for what it fills step by step.
const AT_BOUND: [Capacity; 13] = [
    Capacity::LogEntries,
    Capacity::Evicted,
    Capacity::Floors,
    Capacity::Forks,
    Capacity::TipsBytes,
    Capacity::Parked,
    Capacity::Seen,
    Capacity::AnnouncedMissing,
    Capacity::AnnouncedMissingPerLink,
    Capacity::Announcers,
    Capacity::Fetching,
    Capacity::Requested,
    Capacity::Authors,
];

/// All neighbours ask for entries of the window, and read nothing.
fn ask(node: &mut Node) {
    let ids: Vec<_> = node.solo.node.entries().rev().take(450).map(|entry| entry.id()).collect();
    for from in 0..NEIGHBOURS {
        ids.chunks(64).for_each(|some| node.solo.frame(from, &Frame::Graft(some.to_vec())));
        node.forget();
    }
}

/// Entries that neighbours push in a full mesh.
pub(crate) fn full_mesh(report: &mut Report) {
    const EACH: usize = 120;
    let limits = few_tips().with(|limits| {
        limits.chat.spared = 4 * EACH;
        limits.chat.log_bytes = 1 << 20;
    });
    let short = [text(1)];
    // The neighbours are these authors.
    let said: Vec<Vec<_>> = (0..4)
        .map(|peer| {
            let mut entries = Vec::<Entry>::new();
            for n in 0..EACH {
                let at = EPOCH_MS - 60_000 + n as u64;
                let draft = Draft::new(1, behind(entries.last()), at, long_name(), &short, [7; 16]);
                entries.push(keys(peer).sign_entry(&draft));
            }
            entries
        })
        .collect();
    let early: Vec<_> = (1..=70).map(|n| draft_of(3_500, 2 * n, EPOCH_MS - 9_000, &short, &[])).collect();
    let mut node = Node::new(limits.clone(), 4);
    let ids: Vec<_> = (0..4).map(|peer| keys(peer).node_id()).chain([node.solo.node.id()]).collect();
    for peer in 0..4 {
        let mut others: Vec<_> = ids.iter().copied().filter(|id| *id != keys(peer).node_id()).collect();
        others.sort_unstable();
        node.frame(peer, &Frame::Links(others));
    }
    node.fill("spared announcements", &[full(Capacity::Spared)], report, |node| {
        for (peer, entries) in said.iter().enumerate() {
            entries.iter().for_each(|entry| node.take(peer, entry));
        }
    });
    node.fill("early entries of one author", &[full(Capacity::EarlyPerAuthor)], report, |node| {
        early.iter().for_each(|entry| node.take(0, entry));
    });
    node.check("a full mesh", report);
}
