//! Floors: what was evicted of an author, and is not taken again.

use alloc::collections::{BTreeMap, BTreeSet};

use super::window::OrderKey;
use crate::model::{Limits, PublicKey};

/// The floor of each author: its newest evicted entry. Nothing of the author at or below it is taken.
///
/// An author's dates move its own floor alone. The floors of authors without entries in the window can be
/// forgotten. One shared floor takes their place: the latest of their dates.
#[derive(Debug, Default)]
pub(super) struct Floors {
    floors: BTreeMap<PublicKey, OrderKey>,
    /// The authors without entries in the window, the lowest floor first. An index of `floors`.
    idle: BTreeSet<(OrderKey, PublicKey)>,
    /// The shared floor: the latest date of a forgotten floor.
    forgotten_until: Option<u64>,
    /// How many floors were forgotten.
    forgotten: u64,
}

impl Floors {
    /// The number of authors without entries in the window.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many floors were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn contains(&self, key: &PublicKey) -> bool {
        self.floors.contains_key(key)
    }

    /// The floor of an author. Its entries in the window are above it; they may be dated before the shared floor.
    pub(super) fn of(&self, key: &PublicKey) -> Option<OrderKey> {
        self.floors.get(key).copied()
    }

    /// Whether this entry is at or below its author's floor, or at or below the shared floor if it has none.
    pub(super) fn covers(&self, entry: &OrderKey) -> bool {
        match self.floors.get(&entry.0.key) {
            Some(floor) => entry <= floor,
            None => self.forgotten_until.is_some_and(|until| entry.0.at <= until),
        }
    }

    /// An entry was evicted. `more`: its author has others in the window.
    pub(super) fn evicted(&mut self, entry: OrderKey, more: bool) {
        let key = entry.0.key;
        let floor = self.floors.entry(key).or_insert(entry);
        *floor = entry.max(*floor);
        if !more {
            self.idle.insert((*floor, key));
        }
    }

    /// The last entry of this author left the window without being evicted.
    pub(super) fn left(&mut self, key: PublicKey) {
        if let Some(floor) = self.floors.get(&key) {
            self.idle.insert((*floor, key));
        }
    }

    /// The author has entries in the window.
    pub(super) fn entered(&mut self, key: PublicKey) {
        if let Some(floor) = self.floors.get(&key) {
            self.idle.remove(&(*floor, key));
        }
    }

    /// Forgets the lowest floor of an author without entries in the window. False: that is not long enough ago,
    /// or there is none. Without wall-clock time nothing is.
    pub(super) fn forget_one(&mut self, wall: Option<u64>, limits: &Limits) -> bool {
        let kept = u64::try_from(limits.chat.floors_for.as_millis()).unwrap_or(u64::MAX);
        let latest = wall.and_then(|wall| wall.checked_sub(kept));
        let lowest = self.idle.first().copied();
        let Some((floor, key)) = lowest.filter(|(floor, _)| Some(floor.0.at) <= latest) else { return false };
        self.idle.pop_first();
        self.floors.remove(&key);
        self.forgotten_until = self.forgotten_until.max(Some(floor.0.at));
        self.forgotten += 1;
        true
    }

    /// `holds` says whether an author has entries in the window.
    pub(super) fn is_consistent(&self, holds: impl Fn(&PublicKey) -> bool) -> bool {
        let idle = self.floors.iter().filter(|(key, _)| !holds(key)).map(|(key, floor)| (*floor, *key));
        self.idle == idle.collect()
    }
}
