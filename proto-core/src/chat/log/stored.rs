//! The log and the store: what is restored, what is to be kept, and what is of use to the store alone (SPEC section 23).

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::window::Window;
use super::{Log, LogEvent, Taken};
use crate::model::{Entry, EntryId, Kept, KeptRun, Limits, PublicKey, RunId};

/// The part of a run that only the store is to have: what is below the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Below {
    pub(in crate::chat) run: RunId,
    /// The date of its tip.
    pub(in crate::chat) at: u64,
    /// The lowest number that the window is to have.
    pub(in crate::chat) end: u64,
    /// How many numbers below that are neither held nor expired.
    pub(in crate::chat) missing: u64,
}

impl Log {
    /// The log of the node with this key, with what its store has. Nothing of that is shown.
    pub(crate) fn restore(own: PublicKey, stores: bool, kept: &Kept, limits: &Limits) -> Self {
        let mut log = Self { stores, ..Self::default() };
        log.window.set_own(own);
        if !stores {
            return log;
        }
        if kept.left_out > 0 {
            log.shelf.forget_until(kept.left_out);
        }
        kept.runs.iter().for_each(|run| log.shelf.restore(run, limits));
        let tips = kept.runs.iter().flat_map(|run| &run.versions).map(|(at, _)| *at);
        let latest = tips.chain(kept.entries.iter().map(|entry| entry.at())).max();
        log.shelf.begin_with(latest.unwrap_or(0));
        kept.entries.iter().for_each(|entry| log.enter(entry, own, limits));
        let mut runs: Vec<_> = kept.runs.iter().collect();
        // Where there are too many, the newest tips stay.
        runs.sort_by_key(|run| run.versions.iter().map(|(at, _)| *at).max());
        for run in runs {
            if log.window.fork(&run.run).is_some() {
                log.end_shelf_with_proof(&run.run);
            }
            let base = log.first_above_shelved(&run.run).max(run.floor);
            log.window.restore_tip(run, base, limits);
        }
        while let Some(entry) = log.window.over_limit(limits).cloned() {
            log.lost.forks += log.window.evict(&entry, limits);
            log.lost.evicted += 1;
        }
        log
    }

    /// The lowest number of a run from which on the window has all that the store has.
    fn first_above_shelved(&self, run: &RunId) -> u64 {
        let mut held = self.shelf.last_number(run);
        for (first, last) in self.window.spans(run).collect::<Vec<_>>().into_iter().rev() {
            while let Some(seq) = held.filter(|seq| (first..=last).contains(seq)) {
                held = self.shelf.last_below(run, seq, first);
            }
        }
        held.map_or(0, |held| held.saturating_add(1))
    }

    /// Takes an entry of the store into the window. What a fork leaves no place for was not withdrawn before the node ended.
    fn enter(&mut self, entry: &Arc<Entry>, own: PublicKey, limits: &Limits) {
        if self.window.contains(&entry.id()) {
            return;
        }
        // It is what the store has, whatever that says of the run.
        self.shelve(entry, limits);
        let Some(effect) = self.window.effect_of(entry) else { return self.withdraw(entry, limits) };
        effect.withdrawn.iter().for_each(|gone| self.withdraw(gone, limits));
        self.window.insert(entry.clone(), None, limits);
        if effect.fork.is_some() {
            self.window.end_with_proof(entry.run(), limits);
        }
        if entry.key() != own {
            self.shown_until = self.shown_until.max(entry.at());
        }
    }

    /// Whether the store knows of an entry with this number of a run or a later one, or of a fork below it.
    pub(crate) fn goes_beyond(&self, run: &RunId, seq: u64) -> bool {
        let last = self.shelf.last_number(run).max(self.window.tips().last_number(run));
        last >= Some(seq) || self.window.frozen_at(run).is_some_and(|frozen| frozen < seq)
    }

    /// A fork leaves no place for this entry, neither in the window nor in the store.
    pub(super) fn withdraw(&mut self, entry: &Entry, limits: &Limits) {
        self.window.withdraw(entry, limits);
        self.waited.remove(&entry.id());
        self.unshelve_absent(entry, limits);
        self.events.push_back(LogEvent::Withdrawn { id: entry.id(), run: entry.run().clone() });
    }

    /// An entry left the window that the store need not have, or that was not shown: it is kept again if it comes again.
    pub(super) fn unshelve_absent(&mut self, entry: &Entry, limits: &Limits) {
        if self.window.versions(entry.run(), entry.seq()) == 0 {
            self.unshelve(entry, limits);
        }
    }

    /// What proves that a run is forked is in the window: what the store has behind it is neither served nor missing.
    pub(super) fn end_shelf_with_proof(&mut self, run: &RunId) {
        if let Some(last) = self.window.last_number(run) {
            self.shelf.end_at(run, last);
        }
    }

    /// Whether the store may have this entry, though it is not known what it has of its run.
    pub(super) fn is_forgotten(&self, entry: &Entry) -> bool {
        self.stores && self.shelf.has_forgotten(entry.run(), entry.at())
    }

    /// Whether there is a store.
    pub(crate) fn stores(&self) -> bool {
        self.stores
    }

    /// A number that changes whenever tips change.
    pub(crate) fn tips_generation(&self) -> u64 {
        self.window.tips().generation()
    }

    /// Whether the store has this entry, which is not in the window: it was evicted there. Where the window may still want
    /// its number, another version may have it.
    pub(crate) fn is_shelved(&self, entry: &Arc<Entry>) -> bool {
        self.is_archival(entry) && self.shelf.holds(entry.run(), entry.seq())
    }

    /// Whether an entry is of use to the store alone, which has to ask for it: the window wants none with its number any more,
    /// and what it holds of the run does not show with this entry that the run is forked.
    pub(super) fn is_archival(&self, entry: &Arc<Entry>) -> bool {
        self.is_below_window(entry) && !self.window.shows_fork(entry)
    }

    /// Whether there is a store, and the window asks for no entry with this number any more.
    pub(super) fn is_below_window(&self, entry: &Entry) -> bool {
        self.stores && entry.seq() < self.window.tips().base(entry.run())
    }

    /// What becomes of an entry that was asked for and that is of use to the store alone, if it is. None: it is not.
    pub(crate) fn archives(&mut self, entry: &Arc<Entry>) -> Option<Taken> {
        let (run, seq) = (entry.run(), entry.seq());
        let shows_fork = self.window.tips().passed_fork(entry).is_some();
        if self.contains(&entry.id()) || !self.is_archival(entry) || shows_fork {
            return None;
        }
        self.window.passed_by(entry);
        if self.shelf.holds(run, seq) {
            return Some(Taken::Known);
        }
        let is_frozen = self.window.frozen_at(run).is_some_and(|frozen| seq >= frozen);
        let is_wanted = self.shelf.first_gap(run, seq, seq).is_some() && !is_frozen;
        Some(if is_wanted { Taken::Archived } else { Taken::Dropped })
    }

    /// The store is asked to keep an entry.
    pub(crate) fn shelve(&mut self, entry: &Entry, limits: &Limits) {
        if self.stores {
            self.shelf.put(entry.run(), (entry.seq(), entry.at()), limits);
        }
    }

    /// The store does not have it after all.
    pub(crate) fn unshelve(&mut self, entry: &Entry, limits: &Limits) {
        self.shelf.take_back(entry.run(), entry.seq(), limits);
    }

    /// The store has nothing any more.
    pub(crate) fn empty_shelf(&mut self) {
        self.shelf.empty();
    }

    /// The store has none of these numbers of a run any more, both included.
    pub(crate) fn lose(&mut self, run: &RunId, numbers: (u64, u64), limits: &Limits) {
        self.shelf.lose(run, numbers, limits);
    }

    /// What is below this number of a run is expired.
    pub(crate) fn expire(&mut self, run: &RunId, floor: u64) {
        if self.stores {
            self.shelf.expire(run, floor);
        }
    }

    /// An entry of this run waits to be committed: its tip is not offered.
    pub(crate) fn awaits_commit(&mut self, run: &RunId) {
        self.shelf.awaits(run);
    }

    /// It does not any more.
    pub(crate) fn settled(&mut self, run: &RunId) {
        self.shelf.settled(run);
    }

    /// The entries in the window that the store does not have, in the order of the conversation.
    pub(crate) fn unshelved(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.window.iter().filter(|entry| !self.shelf.holds(entry.run(), entry.seq()))
    }

    /// The run of a tip that is not in the window, and its number, if the store has an entry with that number.
    pub(crate) fn shelved_tip(&self, id: &EntryId) -> Option<&RunId> {
        let (run, seq) = self.window.tips().of(id).filter(|_| self.stores)?;
        self.shelf.holds(run, seq).then_some(run)
    }

    /// Whether this node can serve this entry: from the window, or a tip from the store.
    pub(crate) fn serves(&self, id: &EntryId) -> bool {
        self.window.contains(id) || self.shelved_tip(id).is_some()
    }

    /// The lowest numbers of these that the store has and the window has not, both included.
    pub(crate) fn first_shelved(&self, run: &RunId, first: u64, last: u64) -> Option<(u64, u64)> {
        let (from, to) = self.shelf.first_held(run, first, last)?;
        let entry = self.window.of_run(run, from..=to).next();
        match entry.map(|entry| entry.seq()) {
            // The window serves it.
            Some(seq) if seq == from => None,
            Some(seq) => Some((from, seq - 1)),
            None => Some((from, to)),
        }
    }

    /// The runs of which the store lacks entries below the window.
    pub(in crate::chat) fn incomplete(&self, limits: &Limits) -> impl Iterator<Item = Below> {
        let tips = self.window.tips().runs().filter(|_| self.stores);
        tips.filter_map(move |(run, last, at)| {
            let end = self.window.first_of_use(run, last, limits);
            // Nothing from a fork on is taken.
            let end = self.window.frozen_at(run).map_or(end, |frozen| end.min(frozen));
            let missing = self.shelf.missing(run, end);
            (missing > 0).then(|| Below { run: run.clone(), at, end, missing })
        })
    }

    /// What is below this number of a run is for the store alone from now on.
    pub(crate) fn raise_base(&mut self, run: &RunId, base: u64) {
        self.window.raise_base(run, base);
    }

    /// The highest numbers of a run below this one that neither the store nor the window has.
    pub(crate) fn last_gap(&self, run: &RunId, below: u64) -> Option<(u64, u64)> {
        self.shelf.last_gap(run, below)
    }

    /// Whether the store lacks one of these numbers of a run, both included.
    pub(crate) fn lacks(&self, run: &RunId, first: u64, last: u64) -> bool {
        self.shelf.first_gap(run, first, last).is_some()
    }

    /// How many numbers of a run below this one are missing.
    pub(crate) fn missing_below(&self, run: &RunId, below: u64) -> u64 {
        self.shelf.missing(run, below)
    }
}

impl Window {
    /// The store has this of a run, of which the newest may be in the window.
    fn restore_tip(&mut self, kept: &KeptRun, base: u64, limits: &Limits) {
        let run = &kept.run;
        let is_proven = self.fork(run).is_some();
        if kept.versions.len() > 1 && !is_proven {
            // What proves that it is forked is in the store alone.
            let _ = self.remember(run, kept.tip, limits);
        }
        // The tip of a frozen run is what proves that.
        if !is_proven && !kept.versions.is_empty() {
            let mut versions = kept.versions.clone();
            versions.sort_unstable_by_key(|(_, id)| *id);
            self.restore_run(
                run,
                (kept.tip, versions.into_iter().take(super::tips::VERSIONS).collect()),
                base,
            );
        } else {
            self.raise_base(run, base);
        }
        self.bound_tips(&run.key, limits);
    }
}
