//! Tips in order, and which of them others showed, too.

use alloc::collections::BTreeSet;

use crate::model::{EntryId, Fifo, Instant};

/// Tips of one neighbour in order, each with a time.
#[derive(Debug, Default)]
pub(super) struct Tips {
    all: Fifo<EntryId, Instant>,
    /// Those that another neighbour showed, too, by their time. An index of `all`.
    shared: BTreeSet<(Instant, EntryId)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    pub(super) id: EntryId,
    pub(super) at: Instant,
    /// Another neighbour showed it, too.
    pub(super) shared: bool,
}

impl Tips {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.all.contains(id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &EntryId> {
        self.all.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Tip> {
        self.all.iter().map(|(id, at)| self.tip(*id, *at))
    }

    pub(super) fn first(&self) -> Option<Tip> {
        self.all.first().map(|(id, at)| self.tip(*id, *at))
    }

    /// The earliest time of one that another neighbour showed, too.
    pub(super) fn first_shared(&self) -> Option<Instant> {
        self.shared.first().map(|(at, _)| *at)
    }

    fn tip(&self, id: EntryId, at: Instant) -> Tip {
        Tip { id, at, shared: self.shared.contains(&(at, id)) }
    }

    /// Appends a tip that is not there.
    pub(super) fn insert(&mut self, id: EntryId, at: Instant, shared: bool) {
        debug_assert!(!self.contains(&id));
        self.all.insert(id, at);
        self.set_shared(&id, shared);
    }

    /// Whether another neighbour showed this tip changes, if it is there.
    pub(super) fn set_shared(&mut self, id: &EntryId, shared: bool) {
        let Some(at) = self.all.get(id) else { return };
        if shared {
            self.shared.insert((*at, *id));
        } else {
            self.shared.remove(&(*at, *id));
        }
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, id: &EntryId) -> bool {
        self.set_shared(id, false);
        self.all.remove(id).is_some()
    }

    pub(super) fn pop_first(&mut self) -> Option<Tip> {
        let first = self.first()?;
        self.remove(&first.id);
        Some(first)
    }

    pub(super) fn pop_last(&mut self) -> Option<EntryId> {
        let (id, at) = self.all.pop_last()?;
        self.shared.remove(&(at, id));
        Some(id)
    }

    pub(super) fn is_consistent(&self, is_shared: impl Fn(&EntryId) -> bool) -> bool {
        let shared = self.all.iter().filter(|(id, _)| is_shared(id));
        self.all.is_consistent() && self.shared == shared.map(|(id, at)| (*at, *id)).collect()
    }
}
