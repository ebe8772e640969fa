//! A node whose memory is compared with what it is charged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{Capacity, Config, Entry, Identity, Input, Instant, Kept, Limits, Node as Core};
use tests::heap::in_use;

use crate::solo::{Solo, solo};

/// What the groups found.
#[derive(Default)]
pub(crate) struct Report {
    /// The capacities that some group had at their bounds.
    pub(crate) filled: BTreeSet<Capacity>,
    /// What was wrong.
    pub(crate) problems: Vec<String>,
}

/// A store that a step fills.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    capacity: Capacity,
    /// How many there are like the fullest one, which the capacity counts.
    alike: usize,
    /// What it holds then, at least. None: three quarters of its bound.
    least: Option<usize>,
}

/// A store that is at its bound.
pub(crate) fn full(capacity: Capacity) -> Store {
    Store { capacity, alike: 1, least: None }
}

/// A store whose bound is higher than what can be there at once.
pub(crate) fn some(capacity: Capacity, least: usize) -> Store {
    Store { capacity, alike: 1, least: Some(least) }
}

impl Store {
    /// So many neighbours have one each.
    pub(crate) fn of_each(self, alike: usize) -> Self {
        Self { alike, ..self }
    }
}

/// Bytes that are in use, and what is charged for entries and for all else.
#[derive(Clone, Copy)]
struct Size {
    heap: isize,
    entries: isize,
    others: isize,
}

pub(crate) struct Node {
    pub(crate) solo: Solo,
    /// Bytes in use before there was a node.
    before: usize,
    /// What was filled. It stays so.
    full: BTreeMap<Capacity, Store>,
    /// Its neighbours have these connections, from zero on.
    neighbours: usize,
}

impl Node {
    /// A node with so many neighbours.
    pub(crate) fn new(limits: Limits, neighbours: usize) -> Self {
        Self::start(neighbours, || solo(limits))
    }

    /// The same of a node that begins so. `make` allocates nothing that it does not give to the node.
    pub(crate) fn start(neighbours: usize, make: impl FnOnce() -> Solo) -> Self {
        let before = in_use();
        let solo = make().with_clock();
        let mut node = Self { solo, before, full: BTreeMap::new(), neighbours };
        (0..neighbours).for_each(|conn| node.solo.link(conn));
        node.settle();
        node
    }

    /// Lets everything be sent that the node wants to send, and forgets what it said.
    pub(crate) fn settle(&mut self) {
        (0..self.neighbours).for_each(|conn| self.solo.read(conn));
        self.forget();
    }

    /// Forgets what the node said.
    pub(crate) fn forget(&mut self) {
        self.solo.actions = Vec::new();
    }

    pub(crate) fn take(&mut self, from: usize, entry: &Entry) {
        self.solo.chat(from, entry);
        self.settle();
    }

    pub(crate) fn frame(&mut self, from: usize, frame: &Frame<'_>) {
        self.solo.frame(from, frame);
        self.settle();
    }

    /// Time passes at once.
    pub(crate) fn skip(&mut self, time: Duration) {
        self.solo.now = self.solo.now + time;
        self.solo.input(Input::Timeout);
        self.settle();
    }

    pub(crate) fn heap(&self) -> usize {
        in_use() - self.before
    }

    pub(crate) fn holds(&self, wanted: Capacity) -> usize {
        let found = self.solo.node.capacities().find(|(capacity, _)| *capacity == wanted);
        found.map_or(0, |(_, holds)| holds)
    }

    pub(crate) fn charge(&self, capacity: Capacity) -> usize {
        let alike = self.full.get(&capacity).map_or(1, |store| store.alike);
        self.holds(capacity) * alike * capacity.charge(self.solo.node.config().limits())
    }

    /// What entries and all else are charged.
    pub(crate) fn charges(&self) -> (usize, usize) {
        let all = self.solo.node.capacities().map(|(capacity, _)| self.charge(capacity));
        let entries = self.charge(Capacity::LogBytes) + self.charge(Capacity::Parked);
        (entries, all.sum::<usize>() - entries)
    }

    fn size(&self) -> Size {
        let (entries, others) = self.charges();
        Size { heap: self.heap() as isize, entries: entries as isize, others: others as isize }
    }

    /// Compares all that is in use with all that is charged. What was filled is at its bound still.
    pub(crate) fn check(&self, what: &str, report: &mut Report) {
        self.full.values().for_each(|store| self.see(what, store, report));
        report.compare(what, self.size());
    }

    /// Fills stores. By how much more is in use is compared with how much more is charged.
    pub(crate) fn fill(
        &mut self,
        what: &str,
        stores: &[Store],
        report: &mut Report,
        work: impl FnOnce(&mut Self),
    ) {
        self.full.extend(stores.iter().map(|store| (store.capacity, *store)));
        let before = self.size();
        work(self);
        self.forget();
        let after = self.size();
        let grown = Size {
            heap: after.heap - before.heap,
            entries: after.entries - before.entries,
            others: after.others - before.others,
        };
        report.compare(what, grown);
        stores.iter().for_each(|store| self.see(what, store, report));
    }

    /// These stores are at their bounds.
    pub(crate) fn hold(&mut self, stores: &[Store], report: &mut Report) {
        self.full.extend(stores.iter().map(|store| (store.capacity, *store)));
        stores.iter().for_each(|store| self.see("now", store, report));
    }

    fn see(&self, when: &str, Store { capacity, least, .. }: &Store, report: &mut Report) {
        let bound = capacity.bound(self.solo.node.config().limits());
        let (holds, least) = (self.holds(*capacity), least.unwrap_or(bound.div_ceil(4) * 3));
        if holds < least {
            report.problems.push(format!("{when}: {capacity:?} holds {holds} of {bound}, below {least}"));
        }
        report.filled.insert(*capacity);
    }
}

/// What a step may take besides, in bytes: the first blocks of tables, and the room that lists keep of their longest time.
const SCRATCH: isize = 32 << 10;

impl Report {
    /// The heap is at most 1.1 times what entries are charged, and twice what all else is charged.
    fn compare(&mut self, what: &str, size: Size) {
        let Size { heap, entries, others } = size;
        let line =
            format!("{what}: {heap} bytes in use, {entries} charged for entries, {others} for all else");
        println!("{line}: {:.2}", heap as f64 / (entries + others) as f64);
        if heap > entries + entries / 10 + 2 * others + SCRATCH {
            self.problems.push(line);
        }
    }
}

/// The default limits but for tips: what a reconciliation is charged follows from their bound, and would hide all else.
pub(crate) fn few_tips() -> Limits {
    Limits::default().with(|limits| limits.chat.tips_bytes = 1 << 20)
}

/// A node that begins with what it had before, and may have a store and know who is here.
pub(crate) fn kept_solo(limits: Limits, (store, presence): (bool, bool), kept: Kept) -> Solo {
    let config = Config::builder("Me".parse().unwrap()).trust_loopback(true).store(store).presence(presence);
    let config = config.limits(|own| *own = limits).build().unwrap();
    let node = Core::restore(config, Identity::from_secret(&[3; 32]), [3; 32], Instant::ORIGIN, kept);
    Solo { node, now: Instant::ORIGIN, actions: Vec::new() }
}
