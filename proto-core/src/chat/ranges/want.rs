//! A run of which entries are missing.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::model::{EntryId, Instant, NodeId, RunId};

/// What is wanted for the window comes before what is wanted for the store alone, then the newest entry.
pub(super) type Order = (bool, Reverse<u64>);

/// A run among others, in the order in which they are asked for.
pub(super) type Place = (Order, Arc<RunId>);

/// A run of which entries are missing.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) run: Arc<RunId>,
    /// They are wanted for the store alone.
    pub(super) low: bool,
    /// Between these numbers, both included. The first one is missing.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The date of the entry that showed it.
    pub(super) at: u64,
    /// The tip that showed it, which is not in the log yet, and its number. The range is to bring it.
    pub(super) tip: Option<(EntryId, u64)>,
    /// Who may hold something of it, and from which number on: what it holds below, it has sent.
    pub(super) holders: BTreeMap<NodeId, u64>,
    /// Who is asked for it now.
    pub(super) asked: Option<NodeId>,
    /// It is not asked for before.
    pub(super) ready: Instant,
    /// It is waiting, and was not ready when it last changed.
    pub(super) rests: bool,
    /// How often in a row there was no room for what came, or it was dated too far ahead.
    pub(super) refusals: u8,
    /// Whoever held nothing of it may be asked again from then on.
    pub(super) again: Instant,
    /// The newest entry that came, and who sent it.
    pub(super) came: Option<(EntryId, NodeId)>,
    /// Who showed it first, and the order of that.
    pub(super) shown: (NodeId, u64),
    /// Since when nobody is asked for it and nobody may hold it, if it is wanted for the window.
    pub(super) alone: Option<Instant>,
    /// Who had nothing of what was last asked for.
    pub(super) empty: Option<NodeId>,
}

impl Want {
    /// What is wanted of a run of which nobody is known yet who may hold it. It is the run with this order that this neighbour
    /// showed first.
    pub(super) fn new(
        run: &RunId,
        low: bool,
        (first, last): (u64, u64),
        at: u64,
        shown: (NodeId, u64),
    ) -> Self {
        Self {
            run: Arc::new(run.clone()),
            low,
            first,
            last,
            at,
            tip: None,
            holders: BTreeMap::new(),
            asked: None,
            ready: Instant::ORIGIN,
            rests: false,
            refusals: 0,
            again: Instant::ORIGIN,
            came: None,
            shown,
            alone: None,
            empty: None,
        }
    }

    pub(super) fn may_hold(&self, peer: NodeId) -> bool {
        self.holders.get(&peer).is_some_and(|next| *next <= self.last)
    }

    pub(super) fn place(&self) -> Place {
        ((self.low, Reverse(self.at)), self.run.clone())
    }

    /// Who may hold it, where it is waiting and does not rest.
    pub(super) fn askable(&self) -> Vec<(NodeId, Place)> {
        let is_askable = self.asked.is_none() && !self.rests;
        let holders = self.holders.keys().filter(|peer| is_askable && self.may_hold(**peer));
        holders.map(|peer| (*peer, self.place())).collect()
    }

    /// It is wanted for the store alone, and something may still come.
    pub(super) fn is_low_and_open(&self) -> bool {
        self.low && (self.asked.is_some() || self.is_waiting())
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.asked.is_none() && self.holders.values().any(|next| *next <= self.last)
    }
}
