//! The log: the entries that this node holds, in which order it shows them, and what is missing.
//!
//! - [`window`]: the newest entries by their place in the conversation, and the eviction of the oldest;
//! - [`parked`]: entries dated too far ahead;
//! - [`authors`] and [`sequence`]: the order of each author sequence, holding back, and gaps;
//! - [`reconcile`]: the exchange by which two neighbours find out what either lacks. When it takes place is
//!   up to [`gossip`](crate::chat::gossip);
//! - [`ignored`]: who ignores reconciliations.

mod authors;
mod ignored;
mod parked;
#[cfg(test)]
mod properties;
mod reconcile;
mod sequence;
#[cfg(test)]
pub(super) mod testing;
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

use crate::model::{Capacity, Entry, EntryId, Instant, Limits, Marks, Name, NodeId, PublicKey};

/// The log. It shows each entry at most once, and those of an author sequence in order, unless they are
/// marked as late.
///
/// The window alone tells new entries from known ones: it remembers more ids than it holds entries. State of
/// authors may be evicted at any time.
#[derive(Debug, Default)]
pub(crate) struct Log {
    window: Window,
    authors: Authors,
    parked: Parked,
    events: VecDeque<LogEvent>,
    lost: LogLost,
}

/// What the log did with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the window, shown or held back. Record it as seen, and relay it.
    New,
    /// It is dated too far ahead, and waits until it is due. Record it as seen, and relay it.
    Parked,
    /// It is known.
    Known,
    /// It is of no use, now or later. Record it as seen, and do not relay it.
    Dropped,
    /// There is no room for it now. Do not record it, so that it can be received again, and do not relay it.
    Full,
}

/// What follows from new entries and from time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEvent {
    /// Show this entry.
    Show { entry: Arc<Entry>, marks: Marks },
    /// Entries of this author are missing, and are no longer waited for.
    Gap { node_id: NodeId, uname: Name, missing: u64 },
    /// Entries of this author turned out to be missing, or had to make room and have it now. Reconcile with
    /// the sender of the last entry, or with any neighbour.
    Reconcile { key: PublicKey },
    /// An entry in the window or parked had to make room. It can be received again, so it is no longer
    /// recorded as seen.
    Deferred { id: EntryId },
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogSizes {
    /// Entries in the window.
    pub(crate) held: usize,
    /// The bytes of these entries.
    pub(crate) bytes: usize,
    /// Entries in the window that are held back.
    pub(crate) early: usize,
    /// Entries dated too far ahead. They are outside the window.
    pub(crate) parked: usize,
    /// Authors whose sequences are known.
    pub(crate) authors: usize,
}

/// What was lost so far for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogLost {
    /// Entries evicted from the window.
    pub(crate) evicted: u64,
    /// Ids of evicted entries that are no longer remembered.
    pub(crate) ids: u64,
    /// Authors whose sequences are no longer known.
    pub(crate) authors: u64,
    /// Author sequences that are no longer known.
    pub(crate) epochs: u64,
    /// Gaps that are no longer known.
    pub(crate) gaps: u64,
}

/// Entries.
impl Log {
    /// Takes an entry from a peer. Without wall-clock time, no date is too far ahead.
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
        if wall.is_some_and(|wall| entry.at() > latest_date(wall, limits)) {
            let id = entry.id();
            return match self.parked.insert(entry, limits) {
                Some(displaced) if displaced == id => Taken::Full,
                displaced => {
                    self.events.extend(displaced.map(|id| LogEvent::Deferred { id }));
                    Taken::Parked
                }
            };
        }
        self.admit(now, entry, true, limits)
    }

    /// Takes an entry of this node, which is not shown.
    pub(crate) fn take_own(&mut self, now: Instant, entry: Arc<Entry>, limits: &Limits) -> Taken {
        if self.contains(&entry.id()) {
            return Taken::Known;
        }
        self.admit(now, entry, false, limits)
    }

    /// The next event, in order.
    pub(crate) fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// Whether the entry is in the window or parked.
    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        self.window.contains(id) || self.parked.contains(id)
    }

    /// The entry, if it is in the window or parked.
    pub(crate) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.window.get(id).or_else(|| self.parked.get(id))
    }

    /// When [`timeout`](Self::timeout) is due. It changes with the wall clock.
    pub(crate) fn deadline(&self, now: Instant, wall: Option<u64>, limits: &Limits) -> Option<Instant> {
        let release = self.authors.waiting_since().map(|since| since + limits.chat.hold_back);
        let due = self
            .parked
            .next_at()
            .zip(wall)
            .map(|(at, wall)| now + Duration::from_millis(at.saturating_sub(latest_date(wall, limits))));
        release.into_iter().chain(due).min()
    }

    /// Shows entries that were held back long enough, and takes parked entries that are due.
    pub(crate) fn timeout(&mut self, now: Instant, wall: Option<u64>, limits: &Limits) {
        let mut events = Vec::new();
        self.authors.release_overdue(now, limits, &mut events);
        self.report(events, None);
        let Some(wall) = wall else { return };
        while let Some(entry) = self.parked.pop_due(latest_date(wall, limits)) {
            let id = entry.id();
            if self.admit(now, entry, true, limits) == Taken::Full {
                self.events.push_back(LogEvent::Deferred { id });
            }
        }
    }

    /// Takes an entry that is due and new.
    fn admit(&mut self, now: Instant, entry: Arc<Entry>, show: bool, limits: &Limits) -> Taken {
        let (key, id) = (entry.key(), entry.id());
        let versions = self.window.versions(key, entry.epoch(), entry.seq());
        if versions >= window::VERSIONS || self.window.may_be_evicted(&entry) {
            return Taken::Dropped;
        }
        let hidden = Some(id).filter(|_| !show);
        let mut events = Vec::new();
        self.authors.take(now, &entry, &self.window, limits, &mut events);
        if !show {
            self.authors.release(&entry, limits, &mut events);
        }
        self.window.insert(entry);
        let mut taken = Taken::New;
        for displaced in self.authors.bound_early(key, limits, &mut events) {
            self.window.remove(&displaced);
            if displaced.id() == id {
                taken = Taken::Full;
            } else {
                self.events.push_back(LogEvent::Deferred { id: displaced.id() });
            }
        }
        while let Some(oldest) = self.window.oldest_over_limit(limits).cloned() {
            self.authors.release(&oldest, limits, &mut events);
            self.report(core::mem::take(&mut events), hidden);
            self.lost.ids += self.window.evict_oldest(limits);
            self.lost.evicted += 1;
        }
        self.report(events, hidden);
        taken
    }

    /// Turns the events of author sequences into events of the log. The entry `hidden` is not shown.
    fn report(&mut self, events: Vec<SequenceEvent>, hidden: Option<EntryId>) {
        for event in events {
            self.events.push_back(match event {
                SequenceEvent::Show { entry, .. } if hidden == Some(entry.id()) => continue,
                SequenceEvent::Show { entry, late, forked } => {
                    let backdated = self.window.is_backdated(&entry);
                    LogEvent::Show { entry, marks: Marks { late, forked, backdated, ..Marks::default() } }
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

/// Views.
impl Log {
    /// The window, in the order of the conversation, including what is held back.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.window.iter()
    }

    /// What was lost so far.
    pub(crate) fn lost(&self) -> LogLost {
        self.lost
    }

    /// How much is stored.
    pub(crate) fn sizes(&self) -> LogSizes {
        LogSizes {
            held: self.window.len(),
            bytes: self.window.bytes(),
            early: self.authors.early(),
            parked: self.parked.len(),
            authors: self.authors.len(),
        }
    }

    /// How full each bounded collection is.
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

    /// The gaps that were reported and are still open.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.authors.gaps()
    }

    /// Whether all indexes match what they index. Slow.
    pub(crate) fn is_consistent(&self) -> bool {
        self.window.is_consistent()
            && self.parked.is_consistent()
            && self.authors.is_consistent(&self.window)
            && self.window.iter().all(|entry| !self.parked.contains(&entry.id()))
    }
}

/// The latest date that an entry may have.
fn latest_date(wall: u64, limits: &Limits) -> u64 {
    wall.saturating_add(u64::try_from(limits.chat.clock_tolerance.as_millis()).unwrap_or(u64::MAX))
}
