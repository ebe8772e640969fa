//! The memory that a node takes, measured, with each store at its bound at the same time.
//!
//! What a store is charged is the same on all machines, so it cannot be what the allocator says. Here the two are compared.

#[path = "limits/solo.rs"]
#[allow(dead_code)]
mod solo;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use proto_core::wire::Frame;
use proto_core::{
    Capacity, ChatText, Draft, Entry, EntryId, Limits, MAX_TEXTS, MAX_TO, Name, NodeId, Room, RunPosition,
    Via,
};

use solo::{EPOCH_MS, Solo, id, keys, records, solo};
use tests::heap::{Counting, in_use};
use tests::sim::hostile::{behind, position};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Neighbours that send entries and announcements.
const NEIGHBOURS: usize = 8;

fn limits() -> Limits {
    Limits::default().with(|limits| {
        limits.chat.log_bytes = 4 << 20;
        limits.chat.log_entries = 1_500;
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
    })
}

/// An entry in the lobby.
fn draft_of(author: usize, seq: usize, at: u64, texts: &[ChatText], to: &[NodeId]) -> Entry {
    signed(author, seq, at, texts, |draft| draft.to = to)
}

thread_local! {
    /// Where the next entry of a run stands: of an author, in a room or not, and brought in or not.
    static LAST: RefCell<BTreeMap<(usize, bool, bool), RunPosition>> = const { RefCell::new(BTreeMap::new()) };
}

/// An entry with what `more` adds to it, behind the last one of its run, if that has the number before.
fn signed<'a>(
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

fn text(len: usize) -> ChatText {
    ChatText::new("x".repeat(len)).unwrap()
}

struct Node {
    solo: Solo,
    /// Bytes in use before there was a node.
    before: usize,
}

impl Node {
    fn new(limits: Limits) -> Self {
        let before = in_use();
        let mut solo = solo(limits).with_clock();
        (0..NEIGHBOURS).for_each(|conn| solo.link(conn));
        Self { solo, before }
    }

    /// Lets everything be sent that the node wants to send, and forgets what it said.
    fn settle(&mut self) {
        (0..NEIGHBOURS).for_each(|conn| self.solo.read(conn));
        self.solo.actions = Vec::new();
    }

    fn take(&mut self, from: usize, entry: &Entry) {
        self.solo.chat(from, entry);
        self.settle();
    }

    fn frame(&mut self, from: usize, frame: &Frame<'_>) {
        self.solo.frame(from, frame);
        self.settle();
    }

    fn heap(&self) -> usize {
        in_use() - self.before
    }

    fn holds(&self, wanted: Capacity) -> usize {
        let found = self.solo.node.capacities().find(|(capacity, _)| *capacity == wanted);
        found.map_or(0, |(_, holds)| holds)
    }

    fn charge(&self, capacity: Capacity) -> usize {
        self.holds(capacity) * capacity.charge(self.solo.node.config().limits())
    }

    /// What entries and all else are charged.
    fn charges(&self) -> (usize, usize) {
        let all = self.solo.node.capacities().map(|(capacity, _)| self.charge(capacity));
        let entries = self.charge(Capacity::LogBytes) + self.charge(Capacity::Parked);
        (entries, all.sum::<usize>() - entries)
    }

    fn check(&self, what: &str) {
        let (entries, others) = self.charges();
        let most = entries + entries / 10 + 2 * others;
        let heap = self.heap();
        assert!(
            heap <= most,
            "{what}: {heap} bytes in use, {entries} charged for entries, {others} for all else"
        );
    }
}

/// So many entries fill any window here.
const MANY: usize = 1_800;

/// Fills the window with entries of this form, and compares its share of the memory with its charge.
fn window_of(what: &str, count: usize, entry: impl Fn(usize) -> Entry) {
    let entries: Vec<_> = (0..count).map(entry).collect();
    let mut node = Node::new(limits());
    let (empty, (_, others)) = (node.heap(), node.charges());
    entries.iter().for_each(|entry| node.take(0, entry));
    node.check(what);
    assert!(node.solo.stats().entries_evicted > 0, "{what}: the window is not full");
    let (charge, others) = (node.charge(Capacity::LogBytes), node.charges().1 - others);
    let heap = node.heap() - empty;
    assert!(
        heap <= charge + charge / 10 + 2 * others,
        "{what}: {heap} bytes in use, {charge} charged, and {others}"
    );
    assert!(charge <= heap * 2, "{what}: {heap} bytes in use, {charge} charged, which is far too much");
}

#[test]
fn the_heap_is_at_most_as_large_as_what_is_charged_allows() {
    let at = |n: usize| EPOCH_MS - 60_000 + n as u64;
    let short = [text(1)];
    let many = vec![text(1); MAX_TEXTS];
    let long = [text(60_000)];
    let to = vec![NodeId::from_bytes([9; 16]); MAX_TO];
    let room = "r".repeat(Room::MAX).parse().unwrap();
    let via = Via::new(NodeId::from_bytes([9; 16]), "v".repeat(64).parse().unwrap());
    window_of("one author, short", MANY, |n| draft_of(1, n, at(n), &short, &[]));
    window_of("many authors, short", MANY, |n| draft_of(n, 0, at(n), &short, &[]));
    window_of("falling dates", MANY, |n| draft_of(n % 7, MANY - n, at(MANY - n), &short, &[]));
    window_of("as many texts as there may be", 800, |n| draft_of(n % 7, n / 7, at(n), &many, &[]));
    window_of("long", 60, |n| draft_of(1, n, at(n), &long, &[]));
    window_of("all members", MANY, |n| {
        signed(n % 7, n / 7, at(n), &short, |draft| (draft.to, draft.room) = (&to, Some(&room)))
    });
    window_of("many rooms", MANY, |n| {
        let room = format!("{n:064}").parse().unwrap();
        signed(n % 7, n, at(n), &short, |draft| draft.room = Some(&room))
    });
    window_of("said by others", MANY, |n| {
        signed(n % 7, n / 7, at(n), &short, |draft| draft.via = Some(&via))
    });
    everything_at_once(&short, at);
}

/// The answer of a reconciliation, by which a neighbour has so many tips that nobody knows.
fn answer(first: usize) -> Vec<u8> {
    const TIPS: usize = 1_024;
    let ids = (0..TIPS).map(|n| *id(first * TIPS + n).as_bytes());
    // It answers about all of time. In version 1 of the negentropy protocol, one list of ids up to infinity, and their
    // number in base 128.
    let head = [&[2][..], &[0; 8], &[0x61, 0, 0, 2, 0x88, 0]].concat();
    head.into_iter().chain(ids.flatten()).collect()
}

/// Each store at its bound.
fn everything_at_once(short: &[ChatText], at: impl Fn(usize) -> u64) {
    let limits = limits();
    let window: Vec<_> = (0..3_000).map(|n| draft_of(n, 0, at(n), short, &[])).collect();
    let ahead: Vec<_> =
        (0..1_200).map(|n| draft_of(n, 1, EPOCH_MS + 600_000 + n as u64, short, &[])).collect();
    // Each gap is two entries: their authors are those heard last.
    let gaps: Vec<_> = (0..2_500).map(|n| draft_of(n % 50, 2 * (n / 50), at(n), short, &[])).collect();
    let mut node = Node::new(limits.clone());
    // With whom it began to reconcile.
    window.iter().for_each(|entry| node.take(0, entry));
    gaps.iter().for_each(|entry| node.take(1, entry));
    node.solo.now = node.solo.now + limits.chat.hold_back;
    node.solo.input(proto_core::Input::Timeout);
    node.settle();
    ahead.iter().for_each(|entry| node.take(2, entry));
    let ids = |n: usize| -> Vec<EntryId> { (0..200).map(|m| id(n * 200 + m)).collect() };
    for first in 0..NEIGHBOURS {
        (0..NEIGHBOURS).for_each(|from| node.frame((first + from) % NEIGHBOURS, &Frame::Ihave(ids(first))));
    }
    (0..NEIGHBOURS * 3).for_each(|n| node.frame(n % NEIGHBOURS, &Frame::Ihave(ids(NEIGHBOURS + n))));
    // What the node answers with when it is asked what it lacks.
    node.solo.now = node.solo.now + limits.chat.reconcile_again;
    node.solo.input(proto_core::Input::Timeout);
    node.settle();
    (0..NEIGHBOURS).for_each(|n| node.frame(n, &Frame::Sync(answer(10 + n))));
    let links = |n: u8| {
        (0..=255).map(|m| NodeId::from_bytes([n, m, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])).collect()
    };
    (0..NEIGHBOURS).for_each(|from| node.frame(from, &Frame::Links(links(from as u8))));
    (0..NEIGHBOURS).for_each(|from| node.solo.receive(from, &records(64)));
    (0..NEIGHBOURS).for_each(|from| node.solo.receive(from, &format!("NOISE|{}", "x".repeat(60_000))));
    node.settle();
    for capacity in [
        Capacity::LogEntries,
        Capacity::Evicted,
        Capacity::Floors,
        Capacity::TipsBytes,
        Capacity::Parked,
        Capacity::Seen,
        Capacity::AnnouncedMissing,
        Capacity::Announcers,
        Capacity::Fetching,
        Capacity::Authors,
    ] {
        let (holds, bound) = (node.holds(capacity), capacity.bound(&limits));
        assert!(holds * 4 >= bound * 3, "{capacity:?} holds {holds} of {bound}");
    }
    node.check("everything at once");
    drop((window, ahead, gaps));
}
