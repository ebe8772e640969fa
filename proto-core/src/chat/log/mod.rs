//! What is said in the network, held here: the order of each author's entries, and what is missing in it.

mod authors;
mod ignored;
mod parked;
#[cfg(test)]
mod properties;
mod reconcile;
mod sequence;
#[cfg(test)]
mod tests;
mod window;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use authors::Authors;
pub(crate) use authors::Gap;
use parked::Parked;
pub(crate) use reconcile::Reconciler;
use sequence::{EvictedState, SequenceEvent};
use window::Window;

use crate::model::Capacity;
use crate::model::{Entry, EntryId, Instant, Limits, Marks, Name, NodeId, PublicKey};

/// The entries held. Each is shown at most once, an author's in their order unless marked late.
///
/// It tells an entry that is new from one that was here by its window alone, which remembers more than it holds; what
/// it knows of authors may be lost at any time.
#[derive(Debug, Default)]
pub(crate) struct Log {
    window: Window,
    authors: Authors,
    parked: Parked,
    events: VecDeque<LogEvent>,
    lost: LogLost,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is held, and shown or held back: remember it as seen, and relay it.
    New,
    /// It is dated too far ahead and waits until it is due: remember it as seen, and relay it.
    Parked,
    /// It is here already.
    Known,
    /// It is of no use, now or later: remember it as seen, and do not relay it.
    Dropped,
    /// There is no room for it now: do not remember it, so that it can come again, and do not relay it.
    Full,
}

/// What follows from entries taken and time passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEvent {
    /// To be shown.
    Show { entry: Arc<Entry>, marks: Marks },
    /// Entries of an author are not waited for any longer.
    Gap { node_id: NodeId, uname: Name, missing: u64 },
    /// Entries of this author are missing since just now, or had to make room and have it now: whoever sent the entry
    /// taken may have them, or anybody.
    Reconcile { key: PublicKey },
    /// An entry taken earlier had to make room. It can be taken again: forget that it was seen.
    Deferred { id: EntryId },
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogSizes {
    /// Entries in the window.
    pub(crate) held: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Of them, held back.
    pub(crate) early: usize,
    /// Entries that are not due yet; they are not in the window.
    pub(crate) parked: usize,
    /// Authors of whom it is known what was shown.
    pub(crate) authors: usize,
}

/// What was lost so far, for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogLost {
    /// Entries evicted from the window.
    pub(crate) evicted: u64,
    /// Of them, those that are remembered no longer.
    pub(crate) ids: u64,
    pub(crate) authors: u64,
    pub(crate) epochs: u64,
    pub(crate) gaps: u64,
}

impl Log {
    /// Takes an entry from a peer. Without wall-clock time nothing is dated too far ahead.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        entry: Arc<Entry>,
        limits: &Limits,
    ) -> Taken {
        if self.contains(&entry.id()) {
            return Taken::Known;
        }
        if self.window.may_be_evicted(&entry) {
            return Taken::Dropped;
        }
        if wall.is_some_and(|wall| entry.at() > latest_allowed(wall, limits)) {
            let id = entry.id();
            return match self.parked.insert(entry, limits) {
                Some(out) if out == id => Taken::Full,
                out => {
                    self.events.extend(out.map(|id| LogEvent::Deferred { id }));
                    Taken::Parked
                }
            };
        }
        self.admit(now, entry, true, limits)
    }

    /// Takes an entry of our own, which is not shown.
    pub(crate) fn take_own(&mut self, now: Instant, entry: Arc<Entry>, limits: &Limits) -> Taken {
        if self.contains(&entry.id()) {
            return Taken::Known;
        }
        self.admit(now, entry, false, limits)
    }

    /// What is to be done, in order, until there is nothing.
    pub(crate) fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// Whether an entry is here, in the window or parked.
    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        self.window.contains(id) || self.parked.contains(id)
    }

    /// An entry that is here, in the window or parked.
    pub(crate) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.window.get(id).or_else(|| self.parked.get(id))
    }

    /// The window, in the order of the conversation. What is held back is in it.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.window.iter()
    }

    pub(crate) fn lost(&self) -> LogLost {
        self.lost
    }

    pub(crate) fn sizes(&self) -> LogSizes {
        LogSizes {
            held: self.window.len(),
            bytes: self.window.bytes(),
            early: self.authors.early(),
            parked: self.parked.len(),
            authors: self.authors.len(),
        }
    }

    /// How much is in each bounded thing.
    pub(crate) fn capacities(&self) -> [(Capacity, usize); 9] {
        let LogSizes { held, bytes, early, parked, authors } = self.sizes();
        [
            (Capacity::LogEntries, held),
            (Capacity::LogBytes, bytes),
            (Capacity::Evicted, self.window.evicted()),
            (Capacity::Early, early),
            (Capacity::EarlyPerAuthor, self.authors.most_early()),
            (Capacity::Parked, parked),
            (Capacity::Authors, authors),
            (Capacity::EpochsPerAuthor, self.authors.most_epochs()),
            (Capacity::GapsPerEpoch, self.authors.most_gaps()),
        ]
    }

    /// What was reported missing and did not come.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.authors.gaps()
    }

    /// When [`timeout`](Self::timeout) is due. A new wall-clock time changes it.
    pub(crate) fn deadline(&self, now: Instant, wall: Option<u64>, limits: &Limits) -> Option<Instant> {
        let hole = self.authors.waiting_since().map(|since| since + limits.chat.hold_back);
        let due =
            self.parked.next_at().zip(wall).map(|(at, wall)| {
                now + Duration::from_millis(at.saturating_sub(latest_allowed(wall, limits)))
            });
        hole.into_iter().chain(due).min()
    }

    /// Time passed, or the wall clock was set.
    pub(crate) fn timeout(&mut self, now: Instant, wall: Option<u64>, limits: &Limits) {
        let mut events = Vec::new();
        self.authors.release_overdue(now, limits, &mut events);
        self.emit(events, None);
        let Some(wall) = wall else { return };
        while let Some(entry) = self.parked.pop_due(latest_allowed(wall, limits)) {
            let id = entry.id();
            if self.admit(now, entry, true, limits) == Taken::Full {
                self.events.push_back(LogEvent::Deferred { id });
            }
        }
    }

    /// Compares every index with what it is an index of: slow.
    pub(crate) fn is_consistent(&self) -> bool {
        self.window.is_consistent()
            && self.parked.is_consistent()
            && self.authors.is_consistent(&self.window)
            && self.window.iter().all(|entry| !self.parked.contains(&entry.id()))
    }

    /// Takes an entry that is due and not here.
    fn admit(&mut self, now: Instant, entry: Arc<Entry>, show: bool, limits: &Limits) -> Taken {
        let (key, id) = (entry.key(), entry.id());
        let versions = self.window.versions(key, entry.epoch(), entry.seq());
        if versions >= window::VERSIONS || self.window.may_be_evicted(&entry) {
            return Taken::Dropped;
        }
        let mut events = Vec::new();
        self.authors.take(now, &entry, &self.window, limits, &mut events);
        if !show {
            self.authors.release(&entry, limits, &mut events);
        }
        self.window.insert(entry);
        let mut taken = Taken::New;
        for dropped in self.authors.bound_early(key, limits, &mut events) {
            self.window.remove(&dropped);
            if dropped.id() == id {
                taken = Taken::Full;
            } else {
                self.events.push_back(LogEvent::Deferred { id: dropped.id() });
            }
        }
        while let Some(oldest) = self.window.oldest_over_limit(limits).cloned() {
            self.authors.release(&oldest, limits, &mut events);
            self.emit(core::mem::take(&mut events), Some(id).filter(|_| !show));
            self.lost.ids += self.window.evict_oldest(limits);
            self.lost.evicted += 1;
        }
        self.emit(events, Some(id).filter(|_| !show));
        taken
    }

    /// Makes events of events; `quiet` is not shown.
    fn emit(&mut self, events: Vec<SequenceEvent>, quiet: Option<EntryId>) {
        for event in events {
            self.events.push_back(match event {
                SequenceEvent::Show { entry, .. } if quiet == Some(entry.id()) => continue,
                SequenceEvent::Show { entry, late, forked } => {
                    let backdated = self.window.is_backdated(&entry);
                    LogEvent::Show { entry, marks: Marks { late, forked, backdated } }
                }
                SequenceEvent::Gap { entry, from, to } => LogEvent::Gap {
                    node_id: entry.author(),
                    uname: entry.uname().clone(),
                    missing: to - from,
                },
                SequenceEvent::Reconcile(key) => LogEvent::Reconcile { key },
                SequenceEvent::Evicted(what) => {
                    *match what {
                        EvictedState::Author => &mut self.lost.authors,
                        EvictedState::Epoch => &mut self.lost.epochs,
                        EvictedState::Gap => &mut self.lost.gaps,
                    } += 1;
                    continue;
                }
            });
        }
    }
}

/// The latest time that an entry may be dated.
fn latest_allowed(wall: u64, limits: &Limits) -> u64 {
    wall.saturating_add(u64::try_from(limits.chat.clock_tolerance.as_millis()).unwrap_or(u64::MAX))
}
