//! Where utterances came from, so that whoever brings many forgets its own.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use crate::model::PublicKey;

/// Where the first report of an utterance came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::v1) enum Origin {
    /// A speaker at this host.
    Host(IpAddr),
    /// An entry of this author.
    Author(PublicKey),
}

/// The utterances of each origin, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Origins {
    numbers: BTreeMap<Origin, BTreeSet<u64>>,
    /// The origins by how many they have: an index of `numbers`.
    by_count: BTreeSet<(usize, Origin)>,
}

impl Origins {
    pub(super) fn insert(&mut self, origin: Origin, number: u64) {
        let numbers = self.numbers.entry(origin).or_default();
        self.by_count.remove(&(numbers.len(), origin));
        numbers.insert(number);
        self.by_count.insert((numbers.len(), origin));
    }

    pub(super) fn remove(&mut self, origin: Origin, number: u64) {
        let Some(numbers) = self.numbers.get_mut(&origin) else { return };
        self.by_count.remove(&(numbers.len(), origin));
        numbers.remove(&number);
        if numbers.is_empty() {
            self.numbers.remove(&origin);
        } else {
            self.by_count.insert((numbers.len(), origin));
        }
    }

    /// The oldest one of the origin that has most.
    pub(super) fn oldest_of_most(&self) -> Option<u64> {
        let (_, origin) = self.by_count.last()?;
        self.numbers.get(origin)?.first().copied()
    }

    /// Compares the index with what it is an index of, and the numbers with these.
    pub(super) fn is_consistent(&self, of: impl Iterator<Item = (Origin, u64)>) -> bool {
        let all =
            self.numbers.iter().flat_map(|(origin, numbers)| numbers.iter().map(|number| (*origin, *number)));
        all.collect::<BTreeSet<_>>() == of.collect::<BTreeSet<_>>()
            && self.numbers.iter().map(|(origin, numbers)| (numbers.len(), *origin)).collect::<BTreeSet<_>>()
                == self.by_count
    }
}
