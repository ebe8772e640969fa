//! The eager tree of one period: where we stand in it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use rand_core::Rng;

use super::advert::AdvertSchedule;
use super::election::{Election, SignedSequence};
use super::position::{self, Candidate, TreePosition};
use crate::chat::FalseClaim;
use crate::model::{Identity, Instant, Limits, Moment, NodeId, PublicKey};
use crate::wire::TreeClaim;

/// The eager tree of one period: its root, what the neighbours say of it, and our [`TreePosition`] in it.
#[derive(Debug)]
pub(super) struct Tree {
    me: NodeId,
    period: u64,
    election: Election,
    position: Option<TreePosition>,
    /// See [`Choice`](super::position::Choice).
    wait_until: Option<Instant>,
    /// The neighbours, and what each said last and when.
    neighbours: BTreeMap<NodeId, Option<(TreeClaim, Instant)>>,
    adverts: AdvertSchedule,
    /// When entries came that the parent should have brought.
    failures: VecDeque<Instant>,
}

/// Neighbours that are not to be a parent, and until when.
pub(super) type BarredParents = BTreeMap<NodeId, Instant>;

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
            self.election.stand_down();
        }
        self.choose_position(moment, barred);
    }

    /// A neighbour says where it stands.
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
        // The root alone is no link away from the root.
        let root = claim.root.node_id();
        if (claim.distance == 0) != (root == from) {
            return Err(FalseClaim);
        }
        self.election.consider(moment, root, claim)?;
        self.neighbours.insert(from, Some((*claim, moment.now)));
        self.choose_position(moment, barred);
        Ok(())
    }

    /// What time brings; `eligible` says whether we may become the root.
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

    /// The root is it no more: what neighbours said of others lately counts from now on.
    fn reconsider_adverts(&mut self, moment: Moment<'_>) {
        let lately = |at: Instant| moment.now.since(at) < moment.limits.chat.root_lives;
        let claims: Vec<_> = self
            .neighbours
            .values()
            .flatten()
            .filter(|(_, at)| lately(*at))
            .map(|(claim, _)| *claim)
            .collect();
        for claim in claims {
            // A neighbour that passed on what does not hold has been told of; there is no second time.
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

    /// Our position, as we tell it.
    fn claim(&self) -> Option<TreeClaim> {
        let TreePosition { root, signed: SignedSequence { sequence, signature }, distance, parent, .. } =
            self.position?;
        Some(TreeClaim { root, period: self.period, sequence, signature, distance, parent })
    }

    /// What the neighbours below this root say.
    fn adverts_for(&self, root: PublicKey) -> impl Iterator<Item = (NodeId, &TreeClaim)> {
        let claims = self.neighbours.iter().filter_map(|(peer, said)| Some((*peer, &said.as_ref()?.0)));
        claims.filter(move |(_, claim)| claim.root == root)
    }

    /// Finds our position anew, and has it told if it is another.
    pub(super) fn choose_position(&mut self, moment: Moment<'_>, barred: &BarredParents) {
        let Moment { now, limits, .. } = moment;
        let before = self.parent();
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
        if self.parent() != before {
            self.failures.clear();
        }
        let claim = self.claim();
        self.adverts.update(moment, claim.as_ref());
    }

    /// Who may be our parent.
    fn candidates(
        &self,
        root: PublicKey,
        now: Instant,
        barred: &BarredParents,
    ) -> impl Iterator<Item = Candidate> {
        let usable = move |peer: &NodeId, claim: &TreeClaim| {
            claim.parent != Some(self.me)
                && claim.distance < u16::MAX
                && barred.get(peer).is_none_or(|until| *until <= now)
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

    /// Whether there is a tree, as far as we can see.
    pub(super) fn has_root(&self) -> bool {
        self.position.is_some()
    }

    /// Claims to be the root that were passed over because there had been too many.
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

    /// Whether what is said elsewhere reaches us along the tree: we are the root, or have a parent.
    pub(super) fn is_attached(&self) -> bool {
        self.position.is_some_and(|position| position.distance == 0 || position.parent.is_some())
    }

    /// The neighbours whose parent we are.
    pub(super) fn children(&self) -> impl Iterator<Item = NodeId> {
        let claims = self.position.into_iter().flat_map(|position| self.adverts_for(position.root));
        claims.filter(|(_, claim)| claim.parent == Some(self.me)).map(|(peer, _)| peer)
    }

    /// An entry came from another neighbour upon our asking. The parent, if it is to be given up for that.
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
        let peers = self.adverts.recipients().all(|peer| self.neighbours.contains_key(&peer));
        peers && self.parent().is_none_or(|parent| self.neighbours.contains_key(&parent))
    }
}
