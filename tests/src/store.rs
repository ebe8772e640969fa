//! A store in memory, as a driver has one on a disk: what is queued is committed together, and a failure loses it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proto_core::{
    Class, Entry, EntryId, Kept, KeptRun, Loaded, Memory, OwnPosition, Place, Record, RunId, StoreId, Wanted,
};

/// A store in memory. A clone is a copy of its folder.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    runs: BTreeMap<RunId, BTreeMap<(u64, EntryId), Arc<Entry>>>,
    ids: BTreeMap<EntryId, (RunId, u64)>,
    /// All entries, in the order of the conversation.
    order: BTreeMap<(Place, EntryId), Arc<Entry>>,
    /// Where this node goes on, in each class.
    own: BTreeMap<Class, OwnPosition>,
    memory: Memory,
    /// What is not committed.
    queued: VecDeque<(StoreId, Record)>,
}

impl MemoryStore {
    /// A store that has these entries.
    pub fn with(entries: impl IntoIterator<Item = Arc<Entry>>) -> Self {
        let mut store = Self::default();
        entries.into_iter().for_each(|entry| store.insert(entry));
        store
    }

    /// Is to keep this.
    pub fn queue(&mut self, id: StoreId, record: Record) {
        self.queued.push_back((id, record));
    }

    /// Commits what is queued, in order, but no more than so many records. Up to which one.
    pub fn commit(&mut self, most: usize) -> Option<StoreId> {
        let mut through = None;
        for (id, record) in self.queued.drain(..most.min(self.queued.len())).collect::<Vec<_>>() {
            through = Some(id);
            match record {
                Record::Entry(entry) => self.insert(entry),
                Record::Own(entry) => {
                    if let Some(position) = OwnPosition::after(&entry) {
                        self.own.insert(entry.class().clone(), position);
                    }
                    self.insert(entry);
                }
                Record::Withdrawn(id, _) => self.remove(&id),
                other => panic!("unknown record: {other:?}"),
            }
        }
        through
    }

    /// Whether something is not committed.
    pub fn is_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Loses what is not committed: it cannot write, or the node crashed.
    pub fn lose_queued(&mut self) {
        self.queued.clear();
    }

    /// Does not have these numbers of a run any more, both included.
    pub fn lose(&mut self, run: &RunId, first: u64, last: u64) {
        let numbers = (first, EntryId::from_bytes([0; 32]))..=(last, EntryId::from_bytes([0xff; 32]));
        let of_run = self.runs.get(run).into_iter().flat_map(|of_run| of_run.range(numbers.clone()));
        let lost: Vec<_> = of_run.map(|((_, id), _)| *id).collect();
        lost.iter().for_each(|id| self.remove(id));
    }

    /// Something may be newer than it: the node is not to go on where it ends.
    pub fn forget_own(&mut self) {
        self.own.clear();
    }

    /// Whom the node knows.
    pub fn remember(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether it has this entry.
    pub fn contains(&self, id: &EntryId) -> bool {
        self.ids.contains_key(id)
    }

    /// All entries, in the order of the conversation.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order.values()
    }

    /// Reads, and gives as many bytes at most, but at least one entry.
    pub fn load(&self, wanted: &Wanted, most_bytes: usize) -> Vec<Loaded> {
        let found: Vec<_> = match wanted {
            Wanted::Range { run, first, last } => {
                let lowest = EntryId::from_bytes([0; 32]);
                let entries = self.runs.get(run).into_iter().flat_map(|of| of.range((*first, lowest)..));
                let within = entries.take_while(|((seq, _), _)| seq <= last).map(|(_, entry)| entry);
                within.take(4_096).cloned().collect()
            }
            Wanted::Ids(ids) => ids.iter().filter_map(|id| self.get(id)).cloned().collect(),
            other => panic!("unknown: {other:?}"),
        };
        let mut bytes = 0;
        let fits = |entry: &Arc<Entry>| {
            let first = bytes == 0;
            bytes += entry.sealed().header.len() + entry.body().len() + 100;
            first || bytes <= most_bytes
        };
        found.into_iter().take_while(fits).map(Loaded::Entry).collect()
    }

    /// What a node gets that starts with it: the newest entries, so many at most, and where it goes on.
    pub fn kept(&self, window: usize) -> Kept {
        let mut kept = Kept::default();
        kept.runs = self.runs.iter().map(|(run, entries)| kept_run(run, entries)).collect();
        kept.entries = self.order.values().rev().take(window).rev().cloned().collect();
        kept.own = self.own.values().cloned().collect();
        kept.memory = self.memory.clone();
        kept
    }

    fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        let (run, seq) = self.ids.get(id)?;
        self.runs.get(run)?.get(&(*seq, *id))
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        let (run, seq, id) = (entry.run().clone(), entry.seq(), entry.id());
        self.ids.insert(id, (run.clone(), seq));
        self.order.insert((entry.place(), id), entry.clone());
        self.runs.entry(run).or_default().insert((seq, id), entry);
    }

    fn remove(&mut self, id: &EntryId) {
        let Some((run, seq)) = self.ids.remove(id) else { return };
        let Some(of_run) = self.runs.get_mut(&run) else { return };
        if let Some(entry) = of_run.remove(&(seq, *id)) {
            self.order.remove(&(entry.place(), *id));
        }
        if of_run.is_empty() {
            self.runs.remove(&run);
        }
    }
}

fn kept_run(run: &RunId, entries: &BTreeMap<(u64, EntryId), Arc<Entry>>) -> KeptRun {
    let tip = entries.keys().next_back().map_or(0, |(seq, _)| *seq);
    let newest = entries.iter().rev().take_while(|((seq, _), _)| *seq == tip);
    let versions = newest.map(|((_, id), entry)| (entry.at(), *id)).collect();
    let mut held: Vec<(u64, u64)> = Vec::new();
    for (seq, _) in entries.keys() {
        match held.last_mut() {
            Some((_, last)) if *last + 1 >= *seq => *last = *seq,
            _ => held.push((*seq, *seq)),
        }
    }
    KeptRun::new(run.clone(), tip, versions, held)
}
