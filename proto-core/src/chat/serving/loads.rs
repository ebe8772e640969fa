//! Reading from the store what neighbours asked for and the window does not hold: for each neighbour one piece at a time,
//! and few pieces in all (SPEC section 23).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Served, Serving};
use crate::chat::log::Log;
use crate::model::{EntryId, Instant, Limits, LoadId, Loaded, NodeId, Wanted};

/// The most ids that the store is asked for at once.
const IDS: usize = 64;

/// What the store is asked for.
#[derive(Debug, Default)]
pub(super) struct Loads {
    under_way: BTreeMap<LoadId, NodeId>,
    last: LoadId,
    /// How often it was asked.
    count: u64,
}

/// What the store is asked for, for a neighbour.
#[derive(Debug)]
pub(super) struct Loading {
    id: LoadId,
    wanted: Wanted,
}

impl Loads {
    pub(super) fn is_consistent(&self) -> bool {
        self.under_way.keys().all(|id| *id <= self.last)
    }
}

impl Loaded {
    fn line_len(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.sealed().line_len(),
            Self::Gone(gone) => gone.sealed().line_len(),
        }
    }

    fn id(&self) -> EntryId {
        match self {
            Self::Entry(entry) => entry.id(),
            Self::Gone(gone) => gone.header().id(),
        }
    }

    fn seq(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.seq(),
            Self::Gone(gone) => gone.position().seq(),
        }
    }

    fn is_wanted(&self, wanted: &Wanted) -> bool {
        let run = match self {
            Self::Entry(entry) => entry.run(),
            Self::Gone(gone) => gone.header().run(),
        };
        match wanted {
            Wanted::Range { run: of, first, last } => run == of && (*first..=*last).contains(&self.seq()),
            Wanted::Ids(ids) => ids.contains(&self.id()),
        }
    }
}

impl Serving {
    /// How many answers of the store are awaited.
    pub(in crate::chat) fn loads(&self) -> usize {
        self.loads.under_way.len()
    }

    /// How often the store was asked.
    pub(in crate::chat) fn load_count(&self) -> u64 {
        self.loads.count
    }

    /// The most bytes that were read for a neighbour and are not sent.
    pub(in crate::chat) fn most_loaded(&self) -> usize {
        let bytes = |loaded: &VecDeque<Loaded>| loaded.iter().map(Loaded::line_len).sum();
        self.queues.values().map(|queue| bytes(&queue.loaded)).max().unwrap_or(0)
    }

    /// The store is to be read for a neighbour. None: it has enough to do.
    pub(super) fn load(&mut self, peer: NodeId, wanted: Wanted, limits: &Limits) -> Option<Served> {
        if self.loads.under_way.len() >= limits.chat.loads.max(1) {
            return None;
        }
        let queue = self.queues.get_mut(&peer)?;
        self.loads.last.0 += 1;
        self.loads.count += 1;
        let id = self.loads.last;
        self.loads.under_way.insert(id, peer);
        queue.loading = Some(Loading { id, wanted: wanted.clone() });
        Some(Served::Load(id, wanted))
    }

    /// The same for the next ids that the window does not hold.
    pub(super) fn load_ids(&mut self, peer: NodeId, log: &Log, limits: &Limits) -> Option<Served> {
        let ids = self.queues.get(&peer)?.ids.iter();
        let ids = ids.take_while(|id| log.get(id).is_none()).take(IDS).copied().collect();
        self.load(peer, Wanted::Ids(ids), limits)
    }

    /// The store answered. What it read counts as served: whoever asked for it has what it costs.
    pub(in crate::chat) fn loaded(&mut self, now: Instant, id: LoadId, loaded: Vec<Loaded>, limits: &Limits) {
        let Some(peer) = self.loads.under_way.remove(&id) else { return };
        let Some(queue) = self.queues.get_mut(&peer) else { return };
        let Some(Loading { wanted, .. }) = queue.loading.take_if(|loading| loading.id == id) else { return };
        let mut bytes = 0;
        let fits = |loaded: &Loaded| {
            bytes += loaded.line_len();
            bytes <= limits.chat.load_bytes || bytes == loaded.line_len()
        };
        let loaded: VecDeque<_> =
            loaded.into_iter().filter(|loaded| loaded.is_wanted(&wanted)).take_while(fits).collect();
        queue.loaded_ids = matches!(wanted, Wanted::Ids(_));
        // Where the store gave a part, the rest is read later.
        match wanted {
            Wanted::Range { last, .. } if loaded.is_empty() => {
                if let Some(query) = queue.ranges.front_mut() {
                    (query.first, queue.versions) = (last.saturating_add(1), 0);
                }
            }
            Wanted::Ids(ids) if loaded.is_empty() => {
                ids.iter().for_each(|id| queue.forget(id));
                queue.lacking.extend(ids);
            }
            _ => {}
        }
        let read = loaded.iter().map(Loaded::line_len).sum();
        queue.loaded = loaded;
        if let Some(of) = self.budget_of(peer) {
            self.charge(now, of, read, limits);
        }
    }

    /// The next of what the store gave for a neighbour. None: there is no room, or it has not answered.
    pub(super) fn serve_loaded(&mut self, peer: NodeId, room: usize) -> Option<Served> {
        let queue = self.queues.get_mut(&peer)?;
        let loaded = queue.loaded.pop_front_if(|loaded| loaded.line_len() <= room)?;
        if queue.loaded_ids {
            queue.forget(&loaded.id());
        } else if let Some(query) = queue.ranges.front_mut() {
            (query.first, queue.versions) = (loaded.seq().saturating_add(1), 0);
        }
        Some(match loaded {
            Loaded::Entry(entry) => Served::Entry(entry),
            Loaded::Gone(gone) => Served::Gone(gone),
        })
    }
}
