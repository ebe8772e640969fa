//! The resolutions and dials under way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::model::{DialId, Instant, Limits, PeerAddr, TargetId, TokenBucket};

/// The resolutions and dials under way, and how fast learned addresses may be dialed.
#[derive(Debug)]
pub(super) struct Dials {
    under_way: BTreeMap<DialId, Dial>,
    next: u64,
    rate: TokenBucket,
    /// Dials of learned addresses: an index of `under_way`.
    learned: usize,
}

/// A resolution or a dial under way.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) goal: Goal,
    /// None: a learned address.
    pub(super) target: Option<TargetId>,
    until: Instant,
}

#[derive(Clone, Debug)]
pub(super) enum Goal {
    Resolve(PeerAddr),
    Connect(SocketAddr),
}

impl Dials {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            under_way: BTreeMap::new(),
            next: 0,
            rate: TokenBucket::new(limits.mesh.dial_every, limits.mesh.dial_burst),
            learned: 0,
        }
    }

    /// Whether a learned address may be dialed now. Ask before anything is drawn: what is asked in vain must leave no trace.
    pub(super) fn may_begin_learned(&self, now: Instant, limits: &Limits) -> bool {
        self.has_room(limits) && self.rate.next_at(now) <= now
    }

    /// When the next learned address may be dialed, as far as the rate goes; none while as many are dialed as may be.
    pub(super) fn next_learned_at(&self, now: Instant, limits: &Limits) -> Option<Instant> {
        self.has_room(limits).then(|| self.rate.next_at(now))
    }

    fn has_room(&self, limits: &Limits) -> bool {
        self.learned < limits.mesh.dials
    }

    pub(super) fn begin_learned(&mut self, addr: SocketAddr, now: Instant, limits: &Limits) -> DialId {
        self.rate.charge(now, 1);
        self.learned += 1;
        self.begin(Goal::Connect(addr), None, now, limits)
    }

    pub(super) fn begin_target(
        &mut self,
        goal: Goal,
        target: TargetId,
        now: Instant,
        limits: &Limits,
    ) -> DialId {
        self.begin(goal, Some(target), now, limits)
    }

    fn begin(&mut self, goal: Goal, target: Option<TargetId>, now: Instant, limits: &Limits) -> DialId {
        let id = DialId(self.next);
        self.next += 1;
        self.under_way.insert(id, Dial { goal, target, until: now + limits.mesh.connect });
        id
    }

    /// The dial with this number is over.
    pub(super) fn finish(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.under_way.remove(&id)?;
        self.learned -= usize::from(dial.target.is_none());
        Some(dial)
    }

    /// The dials of this target, or all.
    pub(super) fn of(&self, target: Option<TargetId>) -> Vec<DialId> {
        let wanted = self.under_way.iter().filter(|(_, dial)| target.is_none() || dial.target == target);
        wanted.map(|(id, _)| *id).collect()
    }

    /// The learned addresses that are being dialed.
    pub(super) fn learned_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        let learned = self.under_way.values().filter(|dial| dial.target.is_none());
        learned.filter_map(|dial| match dial.goal {
            Goal::Connect(addr) => Some(addr),
            Goal::Resolve(_) => None,
        })
    }

    /// How many learned addresses are being dialed.
    pub(super) fn learned(&self) -> usize {
        self.learned
    }

    /// The first dial that is out of time.
    pub(super) fn overdue(&self, now: Instant) -> Option<DialId> {
        self.under_way.iter().find(|(_, dial)| dial.until <= now).map(|(id, _)| *id)
    }

    /// When the first dial is out of time. All have the same time, so it is the one begun first.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|(_, dial)| dial.until)
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.under_way.values().filter(|dial| dial.target.is_none()).count() == self.learned
    }
}
