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
    /// Of authors with a floor or entries in the window: what a fork took out of the window.
    withdrawn: BTreeMap<PublicKey, Withdrawn>,
    /// The authors without entries in the window, the lowest of their newest evicted or withdrawn entries first. An index of
    /// `floors` and `withdrawn`.
    idle: BTreeSet<(OrderKey, PublicKey)>,
    /// The shared floor: the latest date of a forgotten floor.
    forgotten_until: Option<u64>,
    /// How many floors were forgotten.
    forgotten: u64,
}

/// What forks took out of the window of one author.
#[derive(Debug)]
struct Withdrawn {
    /// The newest entry of that.
    newest: OrderKey,
    /// The newest one at the time when a run was last forgotten to be frozen. It is a floor, too: its run keeps nothing out any
    /// more. The author may have entries below it in the window.
    floor: Option<OrderKey>,
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

    /// Whether this entry is at or below its author's floor, or at or below the shared floor if it has none; or at or below
    /// what was withdrawn from a run that is not known to be frozen any more.
    pub(super) fn covers(&self, entry: &OrderKey) -> bool {
        let key = &entry.0.key;
        let withdrawn = self.withdrawn.get(key).and_then(|withdrawn| withdrawn.floor);
        let is_evicted = match self.floors.get(key) {
            Some(floor) => entry <= floor,
            None => self.forgotten_until.is_some_and(|until| entry.0.at <= until),
        };
        is_evicted || Some(*entry) <= withdrawn
    }

    /// The newest entry of an author with a floor that was evicted or withdrawn.
    fn newest(&self, key: &PublicKey) -> Option<OrderKey> {
        let floor = self.floors.get(key).copied()?;
        self.withdrawn.get(key).map(|withdrawn| withdrawn.newest.max(floor)).or(Some(floor))
    }

    fn index_idle(&mut self, key: PublicKey) {
        self.idle.extend(self.newest(&key).map(|newest| (newest, key)));
    }

    /// A fork takes this entry out of the window. Its author has others there, which prove the fork.
    pub(super) fn withdrawn(&mut self, entry: OrderKey) {
        let of_author = self.withdrawn.entry(entry.0.key);
        let withdrawn = of_author.or_insert(Withdrawn { newest: entry, floor: None });
        withdrawn.newest = entry.max(withdrawn.newest);
    }

    /// A run of this author is not known to be frozen any more.
    pub(super) fn thawed(&mut self, key: &PublicKey) {
        if let Some(withdrawn) = self.withdrawn.get_mut(key) {
            withdrawn.floor = Some(withdrawn.newest);
        }
    }

    /// An entry was evicted. `more`: its author has others in the window.
    pub(super) fn evicted(&mut self, entry: OrderKey, more: bool) {
        let key = entry.0.key;
        let floor = self.floors.entry(key).or_insert(entry);
        *floor = entry.max(*floor);
        if !more {
            self.index_idle(key);
        }
    }

    /// The last entry of this author left the window without being evicted.
    pub(super) fn left(&mut self, key: PublicKey) {
        if let Some(withdrawn) = self.withdrawn.get(&key) {
            self.floors.entry(key).or_insert(withdrawn.newest);
        }
        self.index_idle(key);
    }

    /// The author has entries in the window.
    pub(super) fn entered(&mut self, key: PublicKey) {
        if let Some(newest) = self.newest(&key) {
            self.idle.remove(&(newest, key));
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
        self.withdrawn.remove(&key);
        self.forgotten_until = self.forgotten_until.max(Some(floor.0.at));
        self.forgotten += 1;
        true
    }

    /// `holds` says whether an author has entries in the window.
    pub(super) fn is_consistent(&self, holds: impl Fn(&PublicKey) -> bool) -> bool {
        let idle = self.floors.keys().filter(|key| !holds(key));
        let idle = idle.filter_map(|key| Some((self.newest(key)?, *key)));
        self.idle == idle.collect()
            && self.withdrawn.keys().all(|key| holds(key) || self.floors.contains_key(key))
    }
}
