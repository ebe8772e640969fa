//! Views of the conversation.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::gossip::{GossipLost, Role, Standing};
use super::log::{Gap, LogLost};
use super::{Chat, Counts, Skewed};
use crate::model::{Capacity, Cx, Entry, KnownName, NodeId};

/// How much is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Entries in the window.
    pub(crate) held: usize,
    /// What these entries are charged, in bytes.
    pub(crate) bytes: usize,
    /// Entries in the window that are held back.
    pub(crate) early: usize,
    /// What entries of new authors are charged, in bytes.
    pub(crate) new_bytes: usize,
    /// Entries dated too far ahead. They are outside the window.
    pub(crate) parked: usize,
    /// Authors whose sequences are known.
    pub(crate) authors: usize,
    /// Ids of recent entries.
    pub(crate) seen: usize,
    /// Entries that neighbours hold and this node lacks.
    pub(crate) awaited: usize,
}

impl Chat {
    /// The entries in the window, in the order of the conversation.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.log.iter()
    }

    /// The counters.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the log and the gossip lost for want of room.
    pub(crate) fn lost(&self) -> (LogLost, GossipLost) {
        (self.log.lost(), self.gossip.lost())
    }

    /// Reconciliations that this node began and gave up.
    pub(crate) fn syncs_given_up(&self) -> u64 {
        self.reconciler.given_up()
    }

    /// Reconciliation messages that came too fast and were not answered.
    pub(crate) fn syncs_refused(&self) -> u64 {
        self.reconciler.refused()
    }

    /// Entries and ranges that were not served because a budget was used up.
    pub(crate) fn served_over_budget(&self) -> u64 {
        self.serving.over_budget()
    }

    /// Requests that had to make room: this node's, and neighbours'.
    pub(crate) fn requests_dropped(&self) -> u64 {
        self.ranges.dropped() + self.serving.dropped()
    }

    /// Entries that left the window before the store could be asked to keep them.
    pub(crate) fn entries_not_kept(&self) -> u64 {
        self.keeper.passed_over()
    }

    /// How often the store was read.
    pub(crate) fn loads(&self) -> u64 {
        self.serving.load_count()
    }

    /// Members that were forgotten, for want of room.
    pub(crate) fn members_forgotten(&self) -> u64 {
        self.members.forgotten()
    }

    /// Names of authors that are no longer remembered, for want of room.
    pub(crate) fn names_forgotten(&self) -> u64 {
        self.names.forgotten()
    }

    /// How far the clock is off the neighbours' clocks, if it seems to be wrong.
    pub(crate) fn skewed(&self, cx: &Cx) -> Option<Skewed> {
        self.skew.skewed(cx.now, cx.wall()?, cx.limits().chat.clock_tolerance)
    }

    /// A number that grows when the names of authors change.
    pub(crate) fn changes(&self) -> u64 {
        self.names.changes()
    }

    /// The names of authors, to be kept.
    pub(crate) fn remember(&self) -> Vec<KnownName> {
        self.names.remember()
    }

    /// The gaps that were reported and are still open, where the user is.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.log.gaps().filter(|gap| super::is_of_the_lobby(&gap.run))
    }

    /// This node's position in the eager tree.
    pub(crate) fn standing(&self, cx: &Cx) -> Standing {
        self.gossip.standing(cx.moment())
    }

    /// A neighbour's role in the eager tree.
    pub(crate) fn role(&self, cx: &Cx, peer: NodeId) -> Role {
        self.gossip.role(cx.moment(), peer)
    }

    /// How much is stored.
    pub(crate) fn sizes(&self) -> Sizes {
        let super::log::LogSizes { held, bytes, new_bytes, early, parked, authors } = self.log.sizes();
        let (seen, awaited) = (self.gossip.seen(), self.gossip.awaited() + self.ranges.pending());
        Sizes { held, bytes, new_bytes, early, parked, authors, seen, awaited }
    }

    /// How full each bounded collection is.
    pub(crate) fn capacities(&self) -> impl Iterator<Item = (Capacity, usize)> {
        let own = [
            (Capacity::Rates, self.budgets.authors()),
            (Capacity::NewAuthors, self.budgets.senders()),
            (Capacity::KnownKeys, self.known_keys.bytes()),
            (Capacity::Syncs, self.reconciler.begun()),
            (Capacity::UncommittedOwn, self.keeper.own_bytes()),
            (Capacity::Uncommitted, self.keeper.others_bytes()),
            (Capacity::CatchUpBytes, self.catch_up.bytes()),
        ];
        let names = [
            (Capacity::Names, self.names.len()),
            (Capacity::NamesPerAuthor, self.names.most_of_key()),
            (Capacity::Members, self.members.len()),
        ];
        let ranges = [
            (Capacity::Wanted, self.ranges.len()),
            (Capacity::Ranges, self.ranges.most_asked()),
            (Capacity::Serving, self.serving.most()),
            (Capacity::Loads, self.serving.loads()),
            (Capacity::LoadedBytes, self.serving.most_loaded()),
            (Capacity::ServingBudgets, self.serving.budgets().max(self.excused.len())),
        ];
        let spreading = self.gossip.capacities().into_iter().chain(ranges);
        own.into_iter().chain(self.log.capacities()).chain(names).chain(spreading)
    }

    /// Whether all indexes match what they index. Slow where much is stored.
    pub(crate) fn is_consistent(&self) -> bool {
        let Self { log, gossip, names, known_keys, .. } = self;
        let linked = |peer: &NodeId| self.addrs.contains_key(peer);
        self.ranges.is_consistent(linked)
            && self.keeper.is_consistent()
            && self.serving.is_consistent()
            && log.is_consistent()
            && gossip.is_consistent()
            && names.is_consistent()
            && self.members.is_consistent()
            && self.backfill.is_consistent()
            && known_keys.is_consistent()
    }
}
