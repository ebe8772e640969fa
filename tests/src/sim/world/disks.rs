//! The stores of hosts: commits take a while, writes fail for some time, and a node that starts again finds what was committed,
//! an older copy, or nothing. In half of the cases nobody notices that a copy is older: the node goes on where that says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proto_core::{Action, Input, Kept, LoadId, Wanted};

use super::World;
use crate::sim::random::Dice;
use crate::sim::{Event, HostId, Nanos, nanos};
use crate::store::MemoryStore;

/// How long a commit, or reading, takes at most.
const SLOW: Duration = Duration::from_millis(50);

/// How long a store fails at most.
const FAILS: Duration = Duration::from_secs(20);

/// The most records that are committed at once.
const BATCH: u64 = 64;

const OLDER: &str = "starts with an older copy";

/// The stores of all hosts.
pub(super) struct Disks {
    dice: Dice,
    disks: BTreeMap<HostId, Disk>,
    /// Nothing fails any more.
    calm: bool,
    counts: BTreeMap<&'static str, u64>,
}

/// The store of one host.
#[derive(Default)]
struct Disk {
    store: MemoryStore,
    older: Option<MemoryStore>,
    loads: VecDeque<(LoadId, Wanted, usize)>,
    /// A commit is under way.
    commits: bool,
    fails: bool,
    /// How often what the node remembers had changed when it was written last.
    written: Option<u64>,
}

impl Disks {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn store(&self, host: HostId) -> Option<&MemoryStore> {
        self.disks.get(&host).map(|disk| &disk.store)
    }

    fn soon(&mut self, now: Nanos) -> Nanos {
        now + nanos(self.dice.between(Duration::from_micros(100), SLOW))
    }

    /// What a node finds that starts on a host, and whether its store is what was committed last. If it is an older copy and
    /// nobody notices, it says where the node goes on. `again`: it is who it was.
    pub(super) fn boot(&mut self, host: HostId, window: usize, again: bool) -> (Kept, bool) {
        let (drawn, unnoticed) = (self.dice.below(10), self.dice.chance(0.5));
        let disk = self.disks.entry(host).or_default();
        disk.fails = false;
        let before = std::mem::take(&mut disk.store);
        disk.older.take_if(|_| !again);
        let (what, mut store, whole) = match drawn {
            _ if !again => ("starts with an empty store", MemoryStore::default(), false),
            0 => ("starts without its store", MemoryStore::default(), false),
            1 | 2 if let Some(older) = disk.older.take() => (OLDER, older, false),
            _ => ("starts with its store", before, true),
        };
        let unnoticed = unnoticed && what == OLDER;
        if !whole && !unnoticed {
            store.forget_own();
        }
        let kept = store.kept(window);
        disk.store = store;
        self.count(what);
        if unnoticed {
            self.count("takes an older copy for its latest");
        }
        (kept, whole)
    }
}

impl World {
    /// All nodes that start from now on have a store.
    pub fn give_stores(&mut self, dice: Dice) {
        self.disks = Some(Disks { dice, disks: BTreeMap::new(), calm: false, counts: BTreeMap::new() });
    }

    /// Whether nodes have stores.
    pub fn has_stores(&self) -> bool {
        self.disks.is_some()
    }

    /// The store of a host.
    pub fn store(&self, host: HostId) -> Option<&MemoryStore> {
        self.disks.as_ref()?.store(host)
    }

    /// No store fails from now on.
    pub fn calm_stores(&mut self) {
        self.disks.iter_mut().for_each(|disks| disks.calm = true);
    }

    /// What happened to stores, by name.
    pub fn store_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.disks.iter().flat_map(|disks| disks.counts.iter().map(|(what, count)| (*what, *count)))
    }

    /// The node of a host has ended: what was not committed is lost.
    pub(super) fn lose_uncommitted(&mut self, host: HostId) {
        if let Some(disk) = self.disks.as_mut().and_then(|disks| disks.disks.get_mut(&host)) {
            disk.store.lose_queued();
            disk.loads.clear();
            (disk.commits, disk.written) = (false, None);
        }
    }

    /// Does what a node asks of its store.
    pub(super) fn use_store(&mut self, host: HostId, action: Action) {
        let (now, run) = (self.now, self.hosts[host as usize].runs);
        let Some(disks) = &mut self.disks else { panic!("host {host} has no store: {action:?}") };
        let at = disks.soon(now);
        let disk = disks.disks.entry(host).or_default();
        match action {
            Action::Store { id, record } if !disk.fails => {
                disk.store.queue(id, record);
                if !std::mem::replace(&mut disk.commits, true) {
                    self.queue.push(at, Event::Commit { host, run });
                }
            }
            Action::Load { id, wanted, most_bytes } => {
                disk.loads.push_back((id, wanted, most_bytes));
                self.queue.push(at, Event::Read { host, run });
            }
            _ => {}
        }
    }

    /// A commit is over, or fails.
    pub(super) fn commit(&mut self, host: HostId, run: u32) {
        let now = self.now;
        let Some(disks) = self.disks.as_mut().filter(|_| self.hosts[host as usize].runs == run) else {
            return;
        };
        let (next, most) = (disks.soon(now), disks.dice.below(BATCH) as usize + 1);
        let (fails, copied) = (!disks.calm && disks.dice.chance(0.005), disks.dice.chance(0.02));
        let mended = now + nanos(disks.dice.between(Duration::from_millis(100), FAILS));
        let Some(disk) = disks.disks.get_mut(&host).filter(|disk| disk.commits) else { return };
        disk.commits = false;
        if fails {
            disk.fails = true;
            disk.store.lose_queued();
            disks.count("store fails");
            self.queue.push(mended, Event::Mend { host, run });
            return self.input(host, Input::StoreFailed);
        }
        let through = disk.store.commit(most);
        if copied {
            disk.older = Some(disk.store.clone());
            disk.older.iter_mut().for_each(MemoryStore::lose_queued);
        }
        if disk.store.is_queued() {
            disk.commits = true;
            self.queue.push(next, Event::Commit { host, run });
        }
        if let Some(node) = self.hosts[host as usize].node()
            && disk.written != Some(node.memory_changes())
        {
            disk.written = Some(node.memory_changes());
            disk.store.remember(node.memory());
        }
        if let Some(through) = through {
            self.input(host, Input::stored(through));
        }
    }

    /// A store can write again.
    pub(super) fn mend(&mut self, host: HostId, run: u32) {
        let Some(disks) = self.disks.as_mut().filter(|_| self.hosts[host as usize].runs == run) else {
            return;
        };
        if let Some(disk) = disks.disks.get_mut(&host).filter(|disk| disk.fails) {
            disk.fails = false;
            self.input(host, Input::StoreWorks);
        }
    }

    /// What was asked for was read.
    pub(super) fn read(&mut self, host: HostId, run: u32) {
        let Some(disks) = self.disks.as_mut().filter(|_| self.hosts[host as usize].runs == run) else {
            return;
        };
        let Some(disk) = disks.disks.get_mut(&host) else { return };
        if let Some((id, wanted, most_bytes)) = disk.loads.pop_front() {
            let loaded = disk.store.load(&wanted, most_bytes);
            disks.count("read for a neighbour");
            self.input(host, Input::loaded(id, loaded));
        }
    }
}
