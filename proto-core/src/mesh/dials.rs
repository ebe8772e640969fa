//! The resolutions and dials under way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::model::{DialId, Instant, Limits, PeerAddr, Seal, TargetId, TokenBucket};

/// The resolutions and dials under way, and the rate at which learned addresses may be dialed.
#[derive(Debug)]
pub(super) struct Dials {
    under_way: BTreeMap<DialId, Dial>,
    next_id: u64,
    rate: TokenBucket,
    /// Dials of learned addresses. An index of `under_way`.
    learned: usize,
}

/// A resolution or a dial under way.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) step: DialStep,
    /// The user's address that it serves. None: it dials a learned address.
    pub(super) target: Option<TargetId>,
    /// How the connection is to be secured.
    pub(super) seal: Seal,
    pub(super) began: Instant,
    times_out: Instant,
}

/// What is under way.
#[derive(Clone, Debug)]
pub(super) enum DialStep {
    Resolve(PeerAddr),
    Connect(SocketAddr),
}

impl Dials {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            under_way: BTreeMap::new(),
            next_id: 0,
            rate: TokenBucket::new(limits.mesh.dial_every, limits.mesh.dial_burst),
            learned: 0,
        }
    }

    /// Whether a learned address may be dialed now. Ask before choosing an address: a choice draws random numbers, and
    /// a choice that is not used would change what follows.
    pub(super) fn may_begin_learned(&self, now: Instant, limits: &Limits) -> bool {
        self.has_room(limits) && self.rate.next_at(now) <= now
    }

    /// When the rate allows the next dial of a learned address. None while `mesh.dials` of them are under way.
    pub(super) fn next_learned_at(&self, now: Instant, limits: &Limits) -> Option<Instant> {
        self.has_room(limits).then(|| self.rate.next_at(now))
    }

    fn has_room(&self, limits: &Limits) -> bool {
        self.learned < limits.mesh.dials
    }

    pub(super) fn begin_learned(
        &mut self,
        addr: SocketAddr,
        seal: Seal,
        now: Instant,
        limits: &Limits,
    ) -> DialId {
        self.rate.charge(now, 1);
        self.learned += 1;
        self.begin(DialStep::Connect(addr), seal, None, now, limits)
    }

    pub(super) fn begin_target(
        &mut self,
        step: DialStep,
        seal: Seal,
        target: TargetId,
        now: Instant,
        limits: &Limits,
    ) -> DialId {
        self.begin(step, seal, Some(target), now, limits)
    }

    fn begin(
        &mut self,
        step: DialStep,
        seal: Seal,
        target: Option<TargetId>,
        now: Instant,
        limits: &Limits,
    ) -> DialId {
        let id = DialId(self.next_id);
        self.next_id += 1;
        self.under_way
            .insert(id, Dial { step, target, seal, began: now, times_out: now + limits.mesh.connect });
        id
    }

    /// How the connection of a dial is to be secured.
    pub(super) fn seal(&self, id: DialId) -> Option<Seal> {
        self.under_way.get(&id).map(|dial| dial.seal)
    }

    /// Removes a dial that is over.
    pub(super) fn finish(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.under_way.remove(&id)?;
        self.learned -= usize::from(dial.target.is_none());
        Some(dial)
    }

    /// The dials of this target. With `None`, all dials.
    pub(super) fn of(&self, target: Option<TargetId>) -> Vec<DialId> {
        let matching = self.under_way.iter().filter(|(_, dial)| target.is_none() || dial.target == target);
        matching.map(|(id, _)| *id).collect()
    }

    /// The learned addresses that are being dialed.
    pub(super) fn learned_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        let learned = self.under_way.values().filter(|dial| dial.target.is_none());
        learned.filter_map(|dial| match dial.step {
            DialStep::Connect(addr) => Some(addr),
            DialStep::Resolve(_) => None,
        })
    }

    /// The number of learned addresses that are being dialed.
    pub(super) fn learned(&self) -> usize {
        self.learned
    }

    /// The first dial that has timed out.
    pub(super) fn timed_out(&self, now: Instant) -> Option<DialId> {
        self.under_way.iter().find(|(_, dial)| dial.times_out <= now).map(|(id, _)| *id)
    }

    /// When the first dial times out. All dials have the same timeout, so it is the oldest one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|(_, dial)| dial.times_out)
    }

    /// Whether the index agrees with what it indexes.
    pub(super) fn is_consistent(&self) -> bool {
        self.under_way.values().filter(|dial| dial.target.is_none()).count() == self.learned
    }
}
