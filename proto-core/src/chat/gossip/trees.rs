//! The trees of all periods that matter now: one, or two around the turn of a period.

use alloc::collections::BTreeMap;
use core::time::Duration;

use rand_core::Rng;

use super::barred::BarredParents;
use super::election::millis;
use super::neighbours::Neighbours;
use super::tree::Tree;
use crate::chat::FalseClaim;
use crate::model::{Identity, Instant, Limits, Moment, NodeId, PublicKey};
use crate::wire::TreeClaim;

/// The trees, by period.
///
/// The date of an entry decides which tree it takes, so all nodes use the same one, whatever their clocks
/// say. A period's tree is used only from some time after the period begins, so that the tree is complete by
/// then.
#[derive(Debug)]
pub(super) struct Trees {
    me: NodeId,
    key: PublicKey,
    trees: BTreeMap<u64, Tree>,
    barred: BarredParents,
    /// Claims over the rate of root changes, in trees that are gone.
    rate_limited: u64,
}

impl Trees {
    pub(super) fn new(me: NodeId, key: PublicKey) -> Self {
        Self { me, key, trees: BTreeMap::new(), barred: BarredParents::default(), rate_limited: 0 }
    }

    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        for tree in self.trees.values_mut() {
            tree.linked(now, peer);
        }
    }

    pub(super) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId) {
        for tree in self.trees.values_mut() {
            tree.unlinked(moment, peer, &self.barred);
        }
    }

    /// A tree advert came.
    pub(super) fn receive(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        claim: &TreeClaim,
        neighbours: &Neighbours,
    ) -> Result<(), FalseClaim> {
        if !periods(moment, Horizon::Heard).contains(&claim.period) {
            return Ok(());
        }
        self.ensure(claim.period, neighbours, moment.limits);
        match self.trees.get_mut(&claim.period) {
            Some(tree) => tree.receive(moment, from, claim, &self.barred),
            None => Ok(()),
        }
    }

    /// Creates the tree of a period, if there is none.
    fn ensure(&mut self, period: u64, neighbours: &Neighbours, limits: &Limits) {
        let new = || Tree::new(self.me, self.key, period, neighbours.ids(), limits);
        self.trees.entry(period).or_insert_with(new);
    }

    /// Creates, updates and removes trees by the time.
    pub(super) fn timeout(
        &mut self,
        moment: Moment<'_>,
        neighbours: &Neighbours,
        identity: &Identity,
        random: &mut impl Rng,
    ) {
        let Moment { now, limits, .. } = moment;
        self.barred.expire(now);
        let heard = periods(moment, Horizon::Heard);
        let rate_limited = self.rate_limited();
        self.trees.retain(|period, _| heard.contains(period));
        self.rate_limited = rate_limited - self.trees.values().map(Tree::rate_limited).sum::<u64>();
        let own = periods(moment, Horizon::Own);
        for period in own {
            self.ensure(period, neighbours, limits);
        }
        for (period, tree) in &mut self.trees {
            tree.timeout(moment, own.contains(period), identity, random, &self.barred);
        }
    }

    /// Claims that were ignored because the root had changed too often.
    pub(super) fn rate_limited(&self) -> u64 {
        self.rate_limited + self.trees.values().map(Tree::rate_limited).sum::<u64>()
    }

    /// When [`timeout`](Self::timeout) or [`next_advert`](Self::next_advert) has something to do.
    pub(super) fn deadline(&self, moment: Moment<'_>) -> Option<Instant> {
        let own = periods(moment, Horizon::Own);
        if own.iter().any(|period| !self.trees.contains_key(period)) {
            return Some(moment.now);
        }
        let of = |(period, tree): (&u64, &Tree)| tree.deadline(own.contains(period), moment.limits);
        self.trees.iter().filter_map(of).chain(next_turn(moment)).min()
    }

    /// The next `TREE` to send.
    pub(super) fn next_advert(&mut self, moment: Moment<'_>) -> Option<(NodeId, TreeClaim)> {
        self.trees.values_mut().find_map(|tree| tree.next_advert(moment))
    }

    /// The tree for an entry dated `at`, or now.
    pub(super) fn tree_for(&self, moment: Moment<'_>, at: Option<u64>) -> Option<&Tree> {
        self.trees.get(&self.period_for(moment, at)?)
    }

    /// The period of `at`, else that of now, else the latest: the first whose tree has a root.
    fn period_for(&self, moment: Moment<'_>, at: Option<u64>) -> Option<u64> {
        let limits = moment.limits;
        let period_at =
            |time: u64| time.saturating_sub(millis(limits.chat.root_turn)) / millis(limits.chat.root_period);
        let usable = |period: &u64| self.trees.get(period).is_some_and(Tree::has_root);
        let current = period_at(moment.wall.unwrap_or(0));
        let preferred = at.map(period_at).into_iter().chain([current]).find(usable);
        preferred.or_else(|| self.trees.keys().rev().copied().find(usable))
    }

    /// An entry dated `at` had to be requested from another neighbour than the parent.
    pub(super) fn parent_failed(&mut self, moment: Moment<'_>, at: u64) {
        let Some(period) = self.period_for(moment, Some(at)) else { return };
        let Some(parent) = self.trees.get_mut(&period).and_then(|tree| tree.parent_failed(moment)) else {
            return;
        };
        self.bar_parent(moment, parent);
    }

    /// This neighbour may not be the parent for a while.
    pub(super) fn bar_parent(&mut self, moment: Moment<'_>, peer: NodeId) {
        self.barred.insert(moment, peer);
        for tree in self.trees.values_mut() {
            tree.choose_position(moment, &self.barred);
        }
    }

    #[cfg(test)]
    pub(super) fn periods(&self) -> impl Iterator<Item = u64> {
        self.trees.keys().copied()
    }

    #[cfg(test)]
    pub(super) fn of_period(&self, period: u64) -> Option<&Tree> {
        self.trees.get(&period)
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.trees.values().all(Tree::is_consistent)
    }
}

/// How far ahead a period may be.
#[derive(Clone, Copy)]
enum Horizon {
    /// Periods in which this node may claim to be the root. They begin so soon that no node, even with a fast
    /// clock, uses the tree yet.
    Own,
    /// Periods whose tree adverts are read. A neighbour's clock may be ahead.
    Heard,
}

/// The periods around now. One may be named several times. Without wall-clock time it is period 0 alone.
fn periods(moment: Moment<'_>, horizon: Horizon) -> [u64; 3] {
    let Moment { wall, limits, .. } = moment;
    let wall = wall.unwrap_or(0);
    let ahead = match horizon {
        Horizon::Own => limits.chat.root_turn,
        Horizon::Heard => limits.chat.root_overlap,
    };
    let ahead = wall.saturating_add(millis(ahead));
    [wall.saturating_sub(kept_for(limits)), wall, ahead].map(|time| time / millis(limits.chat.root_period))
}

/// How long a tree is kept after its period ends, in milliseconds. Entries use it until the next tree takes
/// over.
fn kept_for(limits: &Limits) -> u64 {
    millis(limits.chat.root_turn).saturating_add(millis(limits.chat.root_overlap))
}

/// When the periods of [`Horizon::Own`] change next.
fn next_turn(moment: Moment<'_>) -> Option<Instant> {
    let Moment { now, wall, limits, .. } = moment;
    let (wall, period) = (wall?, millis(limits.chat.root_period));
    let until_next_begins = period - wall.saturating_add(millis(limits.chat.root_turn)) % period;
    let until_last_ends = match wall.checked_sub(kept_for(limits)) {
        Some(passed) => period - passed % period,
        None => kept_for(limits) - wall,
    };
    Some(now + Duration::from_millis(until_next_begins.min(until_last_ends)))
}
