//! Forks: what is held of a run that has two continuations (SPEC 9.3).
//!
//! The ids known of a number are those of its entries and what the entries behind it name as `prev`. A number with two
//! ids is a fork. The run is frozen at its lowest fork. What a node holds of it depends on what it was given, and not on
//! the order in which that came: all below the fork, and of the rest two entries that prove it.

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::window::Window;
use crate::model::{Entry, EntryId, RunId};

/// Where a run is frozen. Nothing above that number is taken, but what proves the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    /// The forked number.
    pub(super) seq: u64,
    /// The entries that prove it, the only ones held at `seq` and above. They are the two lowest ids of that number, or
    /// one id of it and the lowest behind it that names another `prev`, or two behind it that name different ones.
    pub(super) proof: [EntryId; 2],
}

/// What follows for a run from a new entry that is taken.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Where the run is frozen then.
    pub(super) fork: Option<u64>,
    /// One version of that number is known by its id alone.
    pub(super) missing: bool,
    /// What leaves the window for that, in order.
    pub(super) withdrawn: Vec<Arc<Entry>>,
}

impl Window {
    /// Where this run is frozen, as far as its entries in the window prove it.
    pub(super) fn fork(&self, run: &RunId) -> Option<Fork> {
        // The proof is at the end of the run: nothing above it is held.
        let mut from_the_end = self.of_run(run, 0..=u64::MAX).rev();
        let (last, before) = (from_the_end.next()?, from_the_end.next()?);
        let seq = match last.seq() - before.seq() {
            0 if last.prev() == before.prev() => last.seq(),
            0 => last.seq().saturating_sub(1),
            1 if last.prev() != Some(before.id()) => before.seq(),
            _ => return None,
        };
        Some(Fork { seq, proof: [before.id(), last.id()] })
    }

    /// Where this run is frozen, also if the proof was evicted.
    pub(super) fn frozen_at(&self, run: &RunId) -> Option<u64> {
        let proven = self.fork(run).map(|fork| fork.seq);
        proven.into_iter().chain(self.frozen_before(run)).min()
    }

    /// Of which number of this run two versions are held.
    pub(super) fn held_twice(&self, run: &RunId) -> Option<u64> {
        let fork = self.fork(run)?;
        (self.of_run(run, fork.seq..=fork.seq).count() > 1).then_some(fork.seq)
    }

    /// The entry behind this one that proves with it that their run is forked.
    pub(super) fn proof_behind(&self, entry: &Entry) -> Option<&Arc<Entry>> {
        let fork = self.fork(entry.run()).filter(|fork| fork.proof.contains(&entry.id()))?;
        let proof = fork.proof.iter().filter_map(|id| self.get(id));
        proof
            .max_by_key(|proof| proof.seq())
            .filter(|proof| proof.seq() > fork.seq && proof.id() != entry.id())
    }

    /// Whether this entry, which is new, shows with those that are held that its run is forked.
    pub(super) fn shows_fork(&self, entry: &Arc<Entry>) -> bool {
        let before = entry.seq().checked_sub(1);
        [before, Some(entry.seq())].into_iter().flatten().any(|number| self.is_forked(entry, number))
    }

    /// What follows for its run if this entry is taken, which is new. None: it is not taken, since the run is frozen.
    pub(super) fn effect_of(&self, entry: &Arc<Entry>) -> Option<Effect> {
        let (run, seq) = (entry.run(), entry.seq());
        if self.frozen_before(run).is_some_and(|frozen| seq >= frozen) {
            return None;
        }
        let before = self.frozen_at(run);
        let lower = seq.checked_sub(1).filter(|number| self.is_forked(entry, *number));
        let here = || Some(seq).filter(|number| self.is_forked(entry, *number));
        let Some(fork) = lower.or_else(here).into_iter().chain(before).min() else {
            return Some(Effect::default());
        };
        let (versions, behind) = (self.with(entry, fork), self.with(entry, fork + 1));
        let proof = proof(&versions, &behind)?;
        if seq >= fork && !proof.contains(&entry.id()) {
            return None;
        }
        let above = self.of_run(run, fork..=u64::MAX).filter(|entry| !proof.contains(&entry.id()));
        let withdrawn = above.cloned().collect();
        let missing = before.is_none_or(|before| fork < before) && versions.len() < 2;
        Some(Effect { fork: Some(fork), missing, withdrawn })
    }

    /// The entries with this number in the run of an entry that is new, and that entry if it has the number. By id.
    fn with<'a>(&'a self, entry: &'a Arc<Entry>, seq: u64) -> Vec<&'a Arc<Entry>> {
        let mut versions: Vec<_> = self.of_run(entry.run(), seq..=seq).collect();
        versions.extend(Some(entry).filter(|entry| entry.seq() == seq));
        versions.sort_unstable_by_key(|version| version.id());
        versions
    }

    /// Whether several ids of this number are known, with an entry that is new.
    fn is_forked(&self, entry: &Arc<Entry>, seq: u64) -> bool {
        let (versions, behind) = (self.with(entry, seq), self.with(entry, seq + 1));
        let mut ids =
            versions.iter().map(|version| version.id()).chain(behind.iter().filter_map(|it| it.prev()));
        let first = ids.next();
        ids.any(|id| Some(id) != first)
    }
}

/// Of the versions of a forked number and the entries behind it, each by id, the two that prove the fork.
fn proof(versions: &[&Arc<Entry>], behind: &[&Arc<Entry>]) -> Option<[EntryId; 2]> {
    let unlike = |prev: Option<EntryId>| behind.iter().find(|it| it.prev() != prev).map(|it| it.id());
    Some(match versions {
        [one, other, ..] => [one.id(), other.id()],
        [one] => [one.id(), unlike(Some(one.id()))?],
        [] => {
            let first = behind.first()?;
            [first.id(), unlike(first.prev())?]
        }
    })
}
