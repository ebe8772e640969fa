//! The eager tree of one period, as this node sees it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use rand_core::Rng;

use super::advert::AdvertSchedule;
use super::barred::BarredParents;
use super::election::{Election, SignedSequence};
use super::position::{self, Candidate, TreePosition};
use crate::chat::FalseClaim;
use crate::model::{Identity, Instant, Limits, Moment, NodeId, PublicKey};
use crate::wire::TreeClaim;

/// The eager tree of one period: its root, the neighbours' last tree adverts, and this node's
/// [`TreePosition`].
#[derive(Debug)]
pub(super) struct Tree {
    me: NodeId,
    period: u64,
    election: Election,
    position: Option<TreePosition>,
    /// See [`Choice::wait_until`](super::position::Choice::wait_until).
    wait_until: Option<Instant>,
    /// The neighbours, each with its last tree advert and when that came.
    neighbours: BTreeMap<NodeId, Option<(TreeClaim, Instant)>>,
    adverts: AdvertSchedule,
    /// When entries had to be requested that the parent should have pushed.
    failures: VecDeque<Instant>,
}

impl Tree {
    pub(super) fn new(
        me: NodeId,
        key: PublicKey,
        period: u64,
        neighbours: impl Iterator<Item = NodeId>,
        limits: &Limits,
    ) -> Self {
        Self {
            me,
            period,
            election: Election::new(period, key, limits),
            position: None,
            wait_until: None,
            neighbours: neighbours.map(|peer| (peer, None)).collect(),
            adverts: AdvertSchedule::default(),
            failures: VecDeque::new(),
        }
    }

    pub(super) fn linked(&mut self, now: Instant, peer: NodeId) {
        self.neighbours.insert(peer, None);
        if self.position.is_some() {
            self.adverts.linked(now, peer);
        }
    }

    pub(super) fn unlinked(&mut self, moment: Moment<'_>, peer: NodeId, barred: &BarredParents) {
        self.neighbours.remove(&peer);
        self.adverts.unlinked(peer);
        if self.neighbours.is_empty() {
            self.election.no_neighbours();
        }
        self.choose_position(moment, barred);
    }

    /// A tree advert came.
    pub(super) fn receive(
        &mut self,
        moment: Moment<'_>,
        from: NodeId,
        claim: &TreeClaim,
        barred: &BarredParents,
    ) -> Result<(), FalseClaim> {
        if !self.neighbours.contains_key(&from) {
            return Ok(());
        }
        // The root, and no other node, is at distance 0.
        let root = claim.root.node_id();
        if (claim.distance == 0) != (root == from) {
            return Err(FalseClaim);
        }
        self.election.consider(moment, root, claim)?;
        self.neighbours.insert(from, Some((*claim, moment.now)));
        self.choose_position(moment, barred);
        Ok(())
    }

    /// Updates the election and the position by the time. `eligible`: this node may become the root.
    pub(super) fn timeout(
        &mut self,
        moment: Moment<'_>,
        eligible: bool,
        identity: &Identity,
        random: &mut impl Rng,
        barred: &BarredParents,
    ) {
        let eligible = eligible && !self.neighbours.is_empty();
        if self.election.timeout(moment, eligible, identity, random) && self.election.root().is_none() {
            self.reconsider_adverts(moment);
        }
        self.choose_position(moment, barred);
    }

    /// The root expired. Considers the roots that neighbours have named recently.
    fn reconsider_adverts(&mut self, moment: Moment<'_>) {
        let recent = |at: Instant| moment.now.since(at) < moment.limits.chat.root_lives;
        let claims: Vec<_> = self
            .neighbours
            .values()
            .flatten()
            .filter(|(_, at)| recent(*at))
            .map(|(claim, _)| *claim)
            .collect();
        for claim in claims {
            // Faults are reported when an advert comes, not here.
            let _ = self.election.consider(moment, claim.root.node_id(), &claim);
        }
    }

    /// When [`timeout`](Self::timeout) or [`next_advert`](Self::next_advert) has something to do.
    pub(super) fn deadline(&self, eligible: bool, limits: &Limits) -> Option<Instant> {
        let eligible = eligible && !self.neighbours.is_empty();
        let election = self.election.deadline(eligible, limits);
        [election, self.wait_until, self.adverts.deadline()].into_iter().flatten().min()
    }

    /// The next `TREE` to send.
    pub(super) fn next_advert(&mut self, moment: Moment<'_>) -> Option<(NodeId, TreeClaim)> {
        let claim = self.claim()?;
        let peer = self.adverts.next_recipient(moment, &claim, self.neighbours.keys().copied())?;
        Some((peer, claim))
    }

    /// This node's position, as its tree adverts state it.
    fn claim(&self) -> Option<TreeClaim> {
        let TreePosition { root, signed: SignedSequence { sequence, signature }, distance, parent, .. } =
            self.position?;
        Some(TreeClaim { root, period: self.period, sequence, signature, distance, parent })
    }

    /// The neighbours whose last advert names this root.
    fn adverts_for(&self, root: PublicKey) -> impl Iterator<Item = (NodeId, &TreeClaim)> {
        let adverts = self.neighbours.iter().filter_map(|(peer, last)| Some((*peer, &last.as_ref()?.0)));
        adverts.filter(move |(_, claim)| claim.root == root)
    }

    /// Chooses the position anew, and schedules adverts if it changed.
    pub(super) fn choose_position(&mut self, moment: Moment<'_>, barred: &BarredParents) {
        let Moment { now, limits, .. } = moment;
        let parent_before = self.parent();
        self.wait_until = None;
        self.position = match self.election.root() {
            None => None,
            Some(root) if self.election.is_root() => {
                let since = self.position.map_or(now, |position| position.since);
                Some(TreePosition::of_root(root, since))
            }
            Some(root) => {
                let position = self.position.filter(|position| position.root == root.key);
                let candidates: Vec<_> = self.candidates(root.key, now, barred).collect();
                let choice = position::choose(now, root, position, &candidates, limits);
                self.wait_until = choice.wait_until;
                choice.position
            }
        };
        if self.parent() != parent_before {
            self.failures.clear();
        }
        let claim = self.claim();
        self.adverts.update(moment, claim.as_ref());
    }

    /// The neighbours that may be the parent.
    fn candidates(
        &self,
        root: PublicKey,
        now: Instant,
        barred: &BarredParents,
    ) -> impl Iterator<Item = Candidate> {
        let usable = move |peer: &NodeId, claim: &TreeClaim| {
            claim.parent != Some(self.me) && claim.distance < u16::MAX && !barred.contains(now, *peer)
        };
        self.adverts_for(root).filter(move |(peer, claim)| usable(peer, claim)).map(|(peer, claim)| {
            Candidate {
                peer,
                sequence: claim.sequence,
                distance: claim.distance,
                attached: claim.distance == 0 || claim.parent.is_some(),
            }
        })
    }

    /// Whether this node has a position below a root.
    pub(super) fn has_root(&self) -> bool {
        self.position.is_some()
    }

    /// Claims that were ignored because the root had changed too often.
    pub(super) fn rate_limited(&self) -> u64 {
        self.election.rate_limited()
    }

    /// The root's id.
    pub(super) fn root(&self) -> Option<NodeId> {
        self.election.root().map(|root| root.node_id)
    }

    pub(super) fn distance(&self) -> Option<u16> {
        self.position.map(|position| position.distance)
    }

    pub(super) fn parent(&self) -> Option<NodeId> {
        self.position?.parent
    }

    /// Whether entries of others reach this node along the tree: it is the root or has a parent.
    pub(super) fn is_attached(&self) -> bool {
        self.position.is_some_and(|position| position.distance == 0 || position.parent.is_some())
    }

    /// The neighbours whose parent this node is.
    pub(super) fn children(&self) -> impl Iterator<Item = NodeId> {
        let adverts = self.position.into_iter().flat_map(|position| self.adverts_for(position.root));
        adverts.filter(|(_, claim)| claim.parent == Some(self.me)).map(|(peer, _)| peer)
    }

    /// An entry had to be requested from another neighbour. Returns the parent, if it failed too often.
    pub(super) fn parent_failed(&mut self, moment: Moment<'_>) -> Option<NodeId> {
        let Moment { now, limits, .. } = moment;
        let position = self.position?;
        let parent = position.parent?;
        if now.since(position.since) <= limits.chat.parent_settled {
            return None;
        }
        self.failures.push_back(now);
        let old = |at: &Instant| now.since(*at) > limits.chat.parent_failures_window;
        while self.failures.len() > limits.chat.parent_failures || self.failures.front().is_some_and(old) {
            self.failures.pop_front();
        }
        (self.failures.len() >= limits.chat.parent_failures).then_some(parent)
    }

    pub(super) fn is_consistent(&self) -> bool {
        let recipients = self.adverts.recipients().all(|peer| self.neighbours.contains_key(&peer));
        recipients && self.parent().is_none_or(|parent| self.neighbours.contains_key(&parent))
    }
}
