//! The trees of the periods: two around the turn of one, else one.

use alloc::collections::BTreeMap;
use core::time::Duration;

use rand_core::Rng;

use super::election::millis;
use super::neighbours::Neighbours;
use super::tree::{BarredParents, Tree};
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
    barred: BarredParents,
    /// Claims to be the root that were passed over because there had been too many, in trees that are no more.
    rate_limited: u64,
}

impl Trees {
    pub(super) fn new(me: NodeId, key: PublicKey) -> Self {
        Self { me, key, trees: BTreeMap::new(), barred: BarredParents::new(), rate_limited: 0 }
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

    /// A neighbour says where it stands.
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

    fn ensure(&mut self, period: u64, neighbours: &Neighbours, limits: &Limits) {
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
        self.barred.retain(|_, until| *until > now);
        let heard = periods(moment, Horizon::Heard);
        let rate_limited = self.rate_limited();
        self.trees.retain(|period, _| heard.contains(period));
        self.rate_limited = rate_limited - self.trees.values().map(Tree::rate_limited).sum::<u64>();
        let ours = periods(moment, Horizon::Own);
        for period in ours {
            self.ensure(period, neighbours, limits);
        }
        for (period, tree) in &mut self.trees {
            tree.timeout(moment, ours.contains(period), identity, random, &self.barred);
        }
    }

    /// Claims to be the root that were passed over because there had been too many.
    pub(super) fn rate_limited(&self) -> u64 {
        self.rate_limited + self.trees.values().map(Tree::rate_limited).sum::<u64>()
    }

    /// When [`timeout`](Self::timeout) or [`next_advert`](Self::next_advert) has something to do.
    pub(super) fn deadline(&self, moment: Moment<'_>) -> Option<Instant> {
        let ours = periods(moment, Horizon::Own);
        if ours.iter().any(|period| !self.trees.contains_key(period)) {
            return Some(moment.now);
        }
        let of = |(period, tree): (&u64, &Tree)| tree.deadline(ours.contains(period), moment.limits);
        self.trees.iter().filter_map(of).chain(next_turn(moment)).min()
    }

    /// The next `TREE` to send.
    pub(super) fn next_advert(&mut self, moment: Moment<'_>) -> Option<(NodeId, TreeClaim)> {
        self.trees.values_mut().find_map(|tree| tree.next_advert(moment))
    }

    /// The tree for an entry that was said at this time, or now.
    pub(super) fn tree_for(&self, moment: Moment<'_>, at: Option<u64>) -> Option<&Tree> {
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
    pub(super) fn parent_failed(&mut self, moment: Moment<'_>, at: u64) {
        let Some(period) = self.period_of(moment, Some(at)) else { return };
        let Some(parent) = self.trees.get_mut(&period).and_then(|tree| tree.parent_failed(moment)) else {
            return;
        };
        self.bar_parent(moment, parent);
    }

    /// This neighbour is not to be a parent for a while.
    pub(super) fn bar_parent(&mut self, moment: Moment<'_>, peer: NodeId) {
        if self.barred.len() >= moment.limits.conns.slots {
            let first = self.barred.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            first.map(|peer| self.barred.remove(&peer));
        }
        self.barred.insert(peer, moment.now + moment.limits.chat.parent_barred);
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

/// Which periods are meant.
#[derive(Clone, Copy)]
enum Horizon {
    /// Those whose root we may be: from so long before that even by a fast clock nothing takes the tree yet.
    Own,
    /// Those whose claims we hear: a neighbour's clock may be ahead.
    Heard,
}

/// The periods around now, each once or more. Without a wall clock there is the first alone.
fn periods(moment: Moment<'_>, horizon: Horizon) -> [u64; 3] {
    let Moment { wall, limits, .. } = moment;
    let wall = wall.unwrap_or(0);
    let ahead = match horizon {
        Horizon::Own => limits.chat.root_turn,
        Horizon::Heard => limits.chat.root_overlap,
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
