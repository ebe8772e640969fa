//! The trees of the periods: two around the turn of one, else one.

use alloc::collections::BTreeMap;
use core::time::Duration;

use rand_core::Rng;

use super::election::millis;
use super::neighbours::Neighbours;
use super::tree::{Shunned, Tree};
use crate::chat::FalseClaim;
use crate::model::{Identity, Instant, Limits, Moment, NodeId, PublicKey};
use crate::wire::TreeClaim;

/// The trees of the periods.
///
/// A period counts from a moment after its beginning, so that its tree stands by then; which tree an entry takes follows
/// from when it was said, so that all nodes take the same one whatever their clocks say.
#[derive(Debug)]
pub(super) struct Trees {
    me: NodeId,
    key: PublicKey,
    trees: BTreeMap<u64, Tree>,
    /// At most as many as links are held.
    shunned: Shunned,
    /// Claims to be the root that were passed over because there had been too many, in trees that are no more.
    passed_over: u64,
}

impl Trees {
    pub(super) fn new(me: NodeId, key: PublicKey) -> Self {
        Self { me, key, trees: BTreeMap::new(), shunned: Shunned::new(), passed_over: 0 }
    }

    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        for tree in self.trees.values_mut() {
            tree.linked(now, peer);
        }
    }

    pub(super) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId) {
        for tree in self.trees.values_mut() {
            tree.unlinked(moment, peer, &self.shunned);
        }
    }

    /// A neighbour says where it stands.
    pub(super) fn told(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        claim: &TreeClaim,
        neighbours: &Neighbours,
    ) -> Result<(), FalseClaim> {
        if !periods(moment, Reach::Heard).contains(&claim.period) {
            return Ok(());
        }
        self.of_period(claim.period, neighbours, moment.limits);
        match self.trees.get_mut(&claim.period) {
            Some(tree) => tree.told(moment, from, claim, &self.shunned),
            None => Ok(()),
        }
    }

    fn of_period(&mut self, period: u64, neighbours: &Neighbours, limits: &Limits) {
        let new = || Tree::new(self.me, self.key, period, neighbours.ids(), limits);
        self.trees.entry(period).or_insert_with(new);
    }

    /// What time brings.
    pub(super) fn timeout(
        &mut self,
        moment: Moment<'_>,
        neighbours: &Neighbours,
        identity: &Identity,
        random: &mut impl Rng,
    ) {
        let Moment { now, limits, .. } = moment;
        self.shunned.retain(|_, until| *until > now);
        let heard = periods(moment, Reach::Heard);
        let passed_over = self.passed_over();
        self.trees.retain(|period, _| heard.contains(period));
        self.passed_over = passed_over - self.trees.values().map(Tree::passed_over).sum::<u64>();
        let ours = periods(moment, Reach::Ours);
        for period in ours {
            self.of_period(period, neighbours, limits);
        }
        for (period, tree) in &mut self.trees {
            tree.timeout(moment, ours.contains(period), identity, random, &self.shunned);
        }
    }

    /// Claims to be the root that were passed over because there had been too many.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over + self.trees.values().map(Tree::passed_over).sum::<u64>()
    }

    /// When [`timeout`](Self::timeout) or [`next_to_tell`](Self::next_to_tell) has something to do.
    pub(super) fn deadline(&self, moment: Moment<'_>) -> Option<Instant> {
        let ours = periods(moment, Reach::Ours);
        if ours.iter().any(|period| !self.trees.contains_key(period)) {
            return Some(moment.now);
        }
        let of = |(period, tree): (&u64, &Tree)| tree.deadline(ours.contains(period), moment.limits);
        self.trees.iter().filter_map(of).chain(next_turn(moment)).min()
    }

    /// The next `TREE` to send.
    pub(super) fn next_to_tell(&mut self, moment: Moment<'_>) -> Option<(NodeId, TreeClaim)> {
        self.trees.values_mut().find_map(|tree| tree.next_to_tell(moment))
    }

    /// The tree for an entry that was said at this time, or now.
    pub(super) fn of(&self, moment: Moment<'_>, at: Option<u64>) -> Option<&Tree> {
        self.trees.get(&self.period_of(moment, at)?)
    }

    fn period_of(&self, moment: Moment<'_>, at: Option<u64>) -> Option<u64> {
        let limits = moment.limits;
        let counted =
            |time: u64| time.saturating_sub(millis(limits.chat.root_turn)) / millis(limits.chat.root_period);
        let usable = |period: &u64| self.trees.get(period).is_some_and(Tree::has_root);
        let now = counted(moment.wall.unwrap_or(0));
        let counts = at.map(counted).into_iter().chain([now]).find(usable);
        counts.or_else(|| self.trees.keys().rev().copied().find(usable))
    }

    /// An entry said at this time came from another neighbour than the parent, upon our asking.
    pub(super) fn failed(&mut self, moment: Moment<'_>, at: u64) {
        let Some(period) = self.period_of(moment, Some(at)) else { return };
        let Some(parent) = self.trees.get_mut(&period).and_then(|tree| tree.failed(moment)) else { return };
        self.shun(moment, parent);
    }

    /// This neighbour is not to be a parent for a while.
    pub(super) fn shun(&mut self, moment: Moment<'_>, peer: NodeId) {
        if self.shunned.len() >= moment.limits.conns.slots {
            let first = self.shunned.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            first.map(|peer| self.shunned.remove(&peer));
        }
        self.shunned.insert(peer, moment.now + moment.limits.chat.parent_barred);
        for tree in self.trees.values_mut() {
            tree.choose(moment, &self.shunned);
        }
    }

    #[cfg(test)]
    pub(super) fn periods(&self) -> impl Iterator<Item = u64> {
        self.trees.keys().copied()
    }

    #[cfg(test)]
    pub(super) fn of_exactly(&self, period: u64) -> Option<&Tree> {
        self.trees.get(&period)
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.trees.values().all(Tree::is_consistent)
    }
}

/// Which periods are meant.
#[derive(Clone, Copy)]
enum Reach {
    /// Those whose root we may be: from so long before that even by a fast clock nothing takes the tree yet.
    Ours,
    /// Those whose claims we hear: a neighbour's clock may be ahead.
    Heard,
}

/// The periods around now, each once or more. Without a wall clock there is the first alone.
fn periods(moment: Moment<'_>, reach: Reach) -> [u64; 3] {
    let Moment { wall, limits, .. } = moment;
    let wall = wall.unwrap_or(0);
    let ahead = match reach {
        Reach::Ours => limits.chat.root_turn,
        Reach::Heard => limits.chat.root_overlap,
    };
    let ahead = wall.saturating_add(millis(ahead));
    [wall.saturating_sub(kept(limits)), wall, ahead].map(|time| time / millis(limits.chat.root_period))
}

/// For how many milliseconds after its end a period's tree is kept: entries take it until the next one's counts.
fn kept(limits: &Limits) -> u64 {
    millis(limits.chat.root_turn).saturating_add(millis(limits.chat.root_overlap))
}

/// When the periods whose root we may be change.
fn next_turn(moment: Moment<'_>) -> Option<Instant> {
    let Moment { now, wall, limits } = moment;
    let (wall, period) = (wall?, millis(limits.chat.root_period));
    let until_begun = period - wall.saturating_add(millis(limits.chat.root_turn)) % period;
    let until_over = match wall.checked_sub(kept(limits)) {
        Some(passed) => period - passed % period,
        None => kept(limits) - wall,
    };
    Some(now + Duration::from_millis(until_begun.min(until_over)))
}
