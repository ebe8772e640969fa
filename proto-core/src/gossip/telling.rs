//! When neighbours are told where we stand in a tree.

use alloc::collections::BTreeMap;

use super::Context;
use crate::wire::TreeClaim;
use crate::{Instant, NodeId};

/// When neighbours are told where we stand in one tree: a new sequence number at once, other changes after a moment.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// What all were told last, and when.
    told: Option<(TreeClaim, Instant)>,
    /// When all are told what has changed since.
    due: Option<Instant>,
    /// Who is told next, and when.
    waiting: BTreeMap<NodeId, Instant>,
}

impl Telling {
    /// A neighbour is new.
    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        self.waiting.insert(peer, now);
    }

    pub(super) fn unlinked(&mut self, peer: NodeId) {
        self.waiting.remove(&peer);
    }

    /// This is where we stand now.
    pub(super) fn update(&mut self, context: Context<'_>, claim: Option<&TreeClaim>) {
        let Context { now, limits, .. } = context;
        let Some(claim) = claim else {
            *self = Self::default();
            return;
        };
        let due = match &self.told {
            Some((told, _)) if told == claim => return self.due = None,
            Some((told, at)) if (told.root, told.sequence) == (claim.root, claim.sequence) => {
                *at + limits.tree_told_every
            }
            _ => now,
        };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.values().copied().chain(self.due).min()
    }

    /// Who is to be told.
    pub(super) fn waiting(&self) -> impl Iterator<Item = NodeId> {
        self.waiting.keys().copied()
    }

    /// The next neighbour to be told.
    pub(super) fn next_due(
        &mut self,
        context: Context<'_>,
        claim: &TreeClaim,
        neighbours: impl Iterator<Item = NodeId>,
    ) -> Option<NodeId> {
        let Context { now, limits, .. } = context;
        if self.due.is_some_and(|at| at <= now) {
            self.due = None;
            let before = self.told.and_then(|(told, _)| told.parent).filter(|_| claim.parent.is_some());
            self.told = Some((*claim, now));
            for peer in neighbours {
                // The new parent is taken before the old one is let go.
                let let_go = before == Some(peer) && claim.parent != before;
                self.waiting.insert(peer, if let_go { now + limits.tree_overlap } else { now });
            }
        }
        let (&peer, _) = self.waiting.iter().find(|(_, at)| **at <= now)?;
        self.waiting.remove(&peer);
        Some(peer)
    }
}
