//! What can be seen of the conversation.

use alloc::sync::Arc;

use super::gossip::{GossipLost, Role, Standing};
use super::log::{Gap, LogLost};
use super::{Chat, Counts};
use crate::model::{Capacity, Cx, Entry, NodeId};

/// How much is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Entries in the window.
    pub(crate) held: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Of them, held back.
    pub(crate) early: usize,
    /// Entries that are not due yet; they are not in the window.
    pub(crate) parked: usize,
    /// Authors whose order is known.
    pub(crate) authors: usize,
    /// Ids of entries that came lately.
    pub(crate) seen: usize,
    /// Entries that are known to be elsewhere.
    pub(crate) awaited: usize,
}

impl Chat {
    /// The entries that are held, in the order of the conversation.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.log.iter()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the log lost, and what the spreading lost.
    pub(crate) fn lost(&self) -> (LogLost, GossipLost) {
        (self.log.lost(), self.gossip.lost())
    }

    /// Reconciliations begun here that were given up.
    pub(crate) fn syncs_given_up(&self) -> u64 {
        self.reconciler.given_up()
    }

    /// Messages of reconciliations that came too fast and were not answered.
    pub(crate) fn syncs_refused(&self) -> u64 {
        self.reconciler.refused()
    }

    /// How many milliseconds the clock is ahead of the others', if it seems to be wrong.
    pub(crate) fn clock_ahead_ms(&self, cx: &Cx) -> Option<i64> {
        self.skew.ahead_ms(cx.limits().chat.clock_tolerance)
    }

    /// What is known to be missing.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.log.gaps()
    }

    /// Where this node stands in the eager tree.
    pub(crate) fn standing(&self, cx: &Cx) -> Standing {
        self.gossip.standing(cx.moment())
    }

    /// What a neighbour is in the eager tree.
    pub(crate) fn role(&self, cx: &Cx, peer: NodeId) -> Role {
        self.gossip.role(cx.moment(), peer)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let super::log::LogSizes { held, bytes, early, parked, authors } = self.log.sizes();
        let (seen, awaited) = (self.gossip.seen(), self.gossip.awaited());
        Sizes { held, bytes, early, parked, authors, seen, awaited }
    }

    /// How full each bounded thing is.
    pub(crate) fn capacities(&self) -> impl Iterator<Item = (Capacity, usize)> {
        [(Capacity::Rates, self.rates.len()), (Capacity::Syncs, self.reconciler.begun())]
            .into_iter()
            .chain(self.log.capacities())
            .chain(self.gossip.capacities())
    }

    /// Compares the indexes with what they are indexes of: slow where there is much.
    pub(crate) fn is_consistent(&self) -> bool {
        self.log.is_consistent() && self.gossip.is_consistent()
    }
}
