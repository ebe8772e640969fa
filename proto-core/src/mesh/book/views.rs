//! How full the book is, and whether its indexes are right.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;

use super::AddressBook;
use super::entry::State;
use crate::model::{Crowd, Instant, KnownAddress};

impl AddressBook {
    /// The number of addresses.
    pub(in crate::mesh) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of addresses of the source that has most.
    pub(in crate::mesh) fn most_per_source(&self) -> usize {
        let mut sources = BTreeMap::<_, usize>::new();
        for source in self.entries.values().filter_map(|entry| entry.source) {
            *sources.entry(source).or_default() += 1;
        }
        sources.into_values().max().unwrap_or(0)
    }

    /// The number of addresses whose node is linked.
    pub(in crate::mesh) fn linked(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.state, State::Linked(_))).count()
    }

    /// What is to be kept of it, at this wall-clock time.
    pub(in crate::mesh) fn remember(&self, now: Instant, wall: u64) -> impl Iterator<Item = KnownAddress> {
        let kept = self.entries.iter().filter(|(_, entry)| entry.state != State::Own);
        kept.map(move |(addr, entry)| KnownAddress {
            addr: *addr,
            node_id: entry.node_id,
            linked: matches!(entry.state, State::Linked(_)),
            found_ms: entry.found_at.map(|past| past.unix_ms(now, wall)),
        })
    }

    /// Whether the indexes agree with what they index.
    pub(in crate::mesh) fn is_consistent(&self) -> bool {
        let waiting = self.entries.iter().filter_map(|(addr, entry)| entry.due(*addr));
        waiting.collect::<BTreeSet<_>>() == self.due
            && self.entries.values().filter(|entry| entry.is_fresh()).count() == self.fresh
            && Crowd::of(self.entries.keys().map(SocketAddr::ip)) == self.crowd
    }
}
