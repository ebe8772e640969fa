//! The election of one period's root.

use rand_core::Rng;
use sha2::{Digest, Sha256};

use crate::chat::FalseClaim;
use crate::model::{
    Fifo, Identity, Instant, Limits, Moment, NetworkId, NodeId, PublicKey, Purpose, Signature, TokenBucket,
    uniform,
};
use crate::wire::TreeClaim;

/// How many former roots are remembered at most.
const RETIRED: usize = 64;

/// The root of one period: the node with the lowest rank of all that claim it.
#[derive(Debug)]
pub(super) struct Election {
    period: u64,
    /// This node's key and rank.
    key: PublicKey,
    rank: Rank,
    root: Option<Root>,
    /// Former roots, and this node before a restart, each with its newest sequence number. Older claims of
    /// them are not believed again.
    retired: Fifo<PublicKey, u64>,
    /// The rate of root changes.
    changes: TokenBucket,
    /// Claims that were ignored because the root had changed too often.
    rate_limited: u64,
    /// When this node claims to be the root, or signs its next sequence number as the root.
    claim_at: Option<Instant>,
}

/// A hash of a key and a period.
pub(super) type Rank = [u8; 32];

/// The root that this node believes in.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) key: PublicKey,
    pub(super) node_id: NodeId,
    pub(super) rank: Rank,
    pub(super) newest: SignedSequence,
    /// When `newest` came first.
    pub(super) newest_at: Instant,
}

/// A root's sequence number and its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedSequence {
    pub(super) sequence: u64,
    pub(super) signature: Signature,
}

impl Election {
    pub(super) fn new(period: u64, key: PublicKey, limits: &Limits) -> Self {
        Self {
            period,
            key,
            rank: rank(period, key),
            root: None,
            retired: Fifo::default(),
            changes: TokenBucket::new(limits.chat.roots_every, limits.chat.roots_burst),
            rate_limited: 0,
            claim_at: None,
        }
    }

    pub(super) fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Claims that were ignored because the root had changed too often.
    pub(super) fn rate_limited(&self) -> u64 {
        self.rate_limited
    }

    /// Whether this node is the root.
    pub(super) fn is_root(&self) -> bool {
        self.root.as_ref().is_some_and(|root| root.key == self.key)
    }

    /// Considers a claim that a neighbour made or passed on. Returns whether it changed the root or its
    /// newest sequence number. To bound the work, a signature is checked only if the claim would change
    /// something.
    pub(super) fn consider(
        &mut self,
        moment: Moment<'_>,
        node_id: NodeId,
        claim: &TreeClaim,
    ) -> Result<bool, FalseClaim> {
        let Moment { now, limits, network, .. } = moment;
        if claim.root == self.key {
            return self.consider_own(moment, claim).map(|()| false);
        }
        let signed = SignedSequence { sequence: claim.sequence, signature: claim.signature };
        if let Some(root) = self.root.as_mut().filter(|root| root.key == claim.root) {
            let rise = claim.sequence.saturating_sub(root.newest.sequence);
            let believed = (1..=limits.chat.sequence_rise).contains(&rise)
                && now.since(root.newest_at) >= limits.chat.sequence_least;
            if !believed {
                return Ok(false);
            }
            verify(network, claim)?;
            root.newest = signed;
            root.newest_at = now;
            return Ok(true);
        }
        let rank = rank(self.period, claim.root);
        let better = self.rank > rank && self.root.as_ref().is_none_or(|root| root.rank > rank);
        let fresh = self.retired.get(&claim.root).is_none_or(|sequence| *sequence < claim.sequence);
        if !better || !fresh {
            return Ok(false);
        }
        if self.changes.next_at(now) > now {
            self.rate_limited += 1;
            return Ok(false);
        }
        verify(network, claim)?;
        self.changes.charge(now, 1);
        self.retire();
        self.root = Some(Root { key: claim.root, node_id, rank, newest: signed, newest_at: now });
        self.claim_at = None;
        Ok(true)
    }

    /// Considers a claim of this node. One that is newer than this node knows of is from before a restart:
    /// the next sequence number follows it, at once.
    fn consider_own(&mut self, moment: Moment<'_>, claim: &TreeClaim) -> Result<(), FalseClaim> {
        let Moment { now, network, .. } = moment;
        if self.own_newest() >= Some(claim.sequence) {
            return Ok(());
        }
        verify(network, claim)?;
        self.retired.insert(self.key, claim.sequence);
        if self.root.is_none() || self.is_root() {
            self.claim_at = Some(now);
        }
        Ok(())
    }

    /// The newest sequence number of this node.
    fn own_newest(&self) -> Option<u64> {
        let current = self.root.as_ref().filter(|root| root.key == self.key).map(|root| root.newest.sequence);
        current.max(self.retired.get(&self.key).copied())
    }

    /// Makes the root a former one.
    fn retire(&mut self) {
        let Some(root) = self.root.take() else { return };
        let known = self.retired.remove(&root.key);
        self.retired.insert(root.key, root.newest.sequence.max(known.unwrap_or(0)));
        if self.retired.len() > RETIRED {
            self.retired.pop_first();
        }
    }

    /// The last neighbour is gone, and the tree with it.
    pub(super) fn no_neighbours(&mut self) {
        self.retire();
        self.claim_at = None;
    }

    /// When [`timeout`](Self::timeout) has something to do. `eligible`: this node may become the root.
    pub(super) fn deadline(&self, eligible: bool, limits: &Limits) -> Option<Instant> {
        match &self.root {
            Some(root) if root.key != self.key => Some(root.newest_at + limits.chat.root_lives),
            _ => eligible.then(|| self.claim_at.unwrap_or(Instant::ORIGIN)),
        }
    }

    /// Expires a root whose newest sequence number is too old. Claims to be the root after a delay, if there
    /// is none, and signs the next sequence number when it is due. Returns whether anything changed.
    pub(super) fn timeout(
        &mut self,
        moment: Moment<'_>,
        eligible: bool,
        identity: &Identity,
        random: &mut impl Rng,
    ) -> bool {
        let Moment { now, limits, .. } = moment;
        let expired =
            |root: &Root| root.key != self.key && now.since(root.newest_at) >= limits.chat.root_lives;
        let mut changed = self.root.as_ref().is_some_and(expired);
        if changed {
            self.retire();
        }
        if !eligible || self.root.is_some() && !self.is_root() {
            return changed;
        }
        let at = match self.claim_at {
            Some(at) => at,
            None => now + self.claim_delay(random, limits),
        };
        self.claim_at = Some(at);
        if at <= now {
            self.sign(moment, identity);
            changed = true;
        }
        changed
    }

    /// How long this node waits before it claims to be the root. Lower ranks wait less, so that few others
    /// claim it before the one that wins.
    fn claim_delay(&self, random: &mut impl Rng, limits: &Limits) -> core::time::Duration {
        const STEPS: u32 = 15;
        let zeros = self.rank.iter().take_while(|byte| **byte == 0).count() as u32 * 8
            + self.rank.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros());
        let step = limits.chat.root_wait / STEPS;
        step * (STEPS - 1 - zeros.min(STEPS - 5)) + uniform(random, step)
    }

    /// Signs the next sequence number of this node as the root. It follows the wall clock, so that it also
    /// rises after a restart.
    fn sign(&mut self, moment: Moment<'_>, identity: &Identity) {
        let Moment { now, wall, limits, network } = moment;
        let known = self.own_newest();
        let is_recent =
            self.root.as_ref().is_some_and(|root| now.since(root.newest_at) < limits.chat.root_lives);
        let next = known.map_or(0, |known| known.saturating_add(1));
        let most = if is_recent { next.saturating_add(limits.chat.sequence_rise - 1) } else { u64::MAX };
        let sequence = sequence_at(self.period, wall, limits).clamp(next, most.max(next));
        let message = signed_bytes(self.key, self.period, sequence);
        let newest = SignedSequence { sequence, signature: identity.sign(Purpose::Tree, network, &message) };
        let node_id = identity.node_id();
        self.root = Some(Root { key: self.key, node_id, rank: self.rank, newest, newest_at: now });
        self.claim_at = Some(now + limits.chat.sequence_every);
    }
}

/// The sequence number for this time: how many intervals of the period have passed.
fn sequence_at(period: u64, wall: Option<u64>, limits: &Limits) -> u64 {
    let start = period.saturating_mul(millis(limits.chat.root_period));
    wall.map_or(0, |wall| wall.saturating_sub(start) / millis(limits.chat.sequence_every))
}

/// A duration in milliseconds, at least 1, so that it can divide.
pub(super) fn millis(duration: core::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The rank of a key in a period. The lowest rank is the root.
pub(super) fn rank(period: u64, key: PublicKey) -> Rank {
    let hash = Sha256::new().chain_update(b"p2p-chat/2 tree rank\0").chain_update(period.to_be_bytes());
    hash.chain_update(key.as_bytes()).finalize().into()
}

/// The bytes that a root signs.
pub(super) fn signed_bytes(root: PublicKey, period: u64, sequence: u64) -> [u8; 48] {
    let mut message = [0; 48];
    message[..32].copy_from_slice(root.as_bytes());
    message[32..40].copy_from_slice(&period.to_be_bytes());
    message[40..].copy_from_slice(&sequence.to_be_bytes());
    message
}

fn verify(network: NetworkId, claim: &TreeClaim) -> Result<(), FalseClaim> {
    let message = signed_bytes(claim.root, claim.period, claim.sequence);
    let is_valid = claim.root.verify(Purpose::Tree, network, &message, &claim.signature);
    if is_valid { Ok(()) } else { Err(FalseClaim) }
}
