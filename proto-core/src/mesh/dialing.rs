//! Dials: which one begins when, and what follows from how it ended (SPEC 5.3, 5.11).

use core::net::SocketAddr;

use super::Mesh;
use super::book::Eligible;
use super::dials::{Dial, DialStep};
use super::event::{Event, LinkFailure};
use crate::model::{
    Census, Cx, DialError, DialId, Dialed, Instant, MAX_RESOLVED, NodeId, PeerAddr, PublicKey, Seal,
    TargetId, canonical,
};
use crate::wire::ByeCode;

impl Mesh {
    /// Begins the dials that are due and allowed.
    pub(crate) fn dial(&mut self, cx: &mut Cx, census: &impl Census) {
        while !cx.stopping {
            let eligible = self.eligible_now(cx, census);
            let Some((step, target)) = self.pick(cx, eligible) else { return };
            let limits = cx.limits();
            let seal = match step {
                DialStep::Connect(addr) => self.seal_of(cx, addr, target),
                DialStep::Resolve(_) => Seal::Clear,
            };
            let dial = match target {
                None => match step {
                    DialStep::Connect(addr) => self.dials.begin_learned(addr, seal, cx.now, limits),
                    DialStep::Resolve(_) => return,
                },
                Some(target) => {
                    self.targets.begin_attempts(target, 1, cx.now);
                    let dial = self.dials.begin_target(step.clone(), seal, target, cx.now, limits);
                    if let DialStep::Connect(addr) = step
                        && let Some(node_id) = peer_reached_at(addr, census)
                    {
                        self.dials.finish(dial);
                        self.targets.linked(target, node_id);
                        continue;
                    }
                    dial
                }
            };
            self.request(dial, step, seal);
        }
    }

    /// The next address that is due: a target, else an eligible learned address.
    fn pick(&mut self, cx: &mut Cx, eligible: Eligible) -> Option<(DialStep, Option<TargetId>)> {
        if let Some((_, target)) = self.targets.first_due().filter(|(at, _)| *at <= cx.now) {
            let step = match self.targets.addr(target) {
                PeerAddr::Ip(addr) => DialStep::Connect(addr),
                host => DialStep::Resolve(host),
            };
            return Some((step, Some(target)));
        }
        if !self.dials.may_begin_learned(cx.now, cx.limits()) {
            return None;
        }
        loop {
            let addr = self.book.pick_due(cx.now, eligible, &mut cx.random)?;
            if self.pay_for(cx, addr) {
                self.book.dialing(addr);
                return Some((DialStep::Connect(addr), None));
            }
        }
    }

    /// Charges the dial of a learned address to its budgets, or puts it off (SPEC 5.13).
    fn pay_for(&mut self, cx: &Cx, addr: SocketAddr) -> bool {
        let Some(account) = self.book.account(addr) else { return true };
        let at = self.budgets.next_at(cx.now, &account, cx.limits());
        if at > cx.now {
            self.book.put_off(addr, at);
            self.counts.dials_postponed += 1;
            return false;
        }
        self.budgets.charge(cx.now, &account, cx.limits());
        true
    }

    /// A dial of a learned address reached a node. To be called before the book knows.
    fn refund(&mut self, addr: SocketAddr) {
        if let Some(account) = self.book.account(addr) {
            self.budgets.refund(&account);
        }
    }

    /// Asks the driver for a resolution or a dial.
    pub(super) fn request(&mut self, dial: DialId, step: DialStep, seal: Seal) {
        self.counts.dials += u64::from(matches!(step, DialStep::Connect(_)));
        self.events.push_back(match step {
            DialStep::Connect(addr) | DialStep::Resolve(PeerAddr::Ip(addr)) => {
                Event::Dial { dial, addr, seal }
            }
            DialStep::Resolve(PeerAddr::Host { host, port }) => Event::Resolve { dial, host, port },
        });
    }

    /// A host name that the user gave was resolved. The first [`MAX_RESOLVED`] addresses are dialed at once; the first
    /// that answers becomes the link.
    pub(crate) fn resolved(&mut self, cx: &mut Cx, dial: DialId, addrs: &[SocketAddr], census: &impl Census) {
        let Some(Dial { target: Some(target), .. }) = self.dials.finish(dial) else { return };
        let addrs = &addrs[..addrs.len().min(MAX_RESOLVED)];
        self.targets.begin_attempts(target, addrs.len(), cx.now);
        for addr in addrs.iter().copied().map(canonical) {
            let (step, seal) = (DialStep::Connect(addr), self.seal_of(cx, addr, Some(target)));
            let dial = self.dials.begin_target(step.clone(), seal, target, cx.now, cx.limits());
            self.request(dial, step, seal);
        }
        // The resolution was an attempt of its own, which is over.
        self.target_failed(cx, target, DialError::NotResolved.into(), cx.now, census);
    }

    /// A dial is connected. `key`: what its peer proved in the handshake. Returns where it leads. None: the dial was given
    /// up, or this is not the connection that was asked for, and the dial has failed.
    pub(crate) fn connected(
        &mut self,
        cx: &mut Cx,
        dial: DialId,
        key: Option<PublicKey>,
        census: &impl Census,
    ) -> Option<Dialed> {
        let failure = match (self.dials.seal(dial)?, key) {
            (Seal::Clear, _) | (Seal::Sealed { expected: None }, Some(_)) => None,
            (Seal::Sealed { .. }, None) => Some(DialError::NotSealed),
            (Seal::Sealed { expected: Some(expected) }, Some(key)) => {
                Some(DialError::WrongKey { found: key.node_id() }).filter(|_| !expected.matches(&key))
            }
        };
        if let Some(reason) = failure {
            self.failed(cx, dial, reason, census);
            return None;
        }
        match self.dials.finish(dial)? {
            Dial { step: DialStep::Connect(addr), target, began, .. } => {
                Some(Dialed { addr, target, took: cx.now.since(began), sealed: key.is_some() })
            }
            Dial { step: DialStep::Resolve(_), .. } => None,
        }
    }

    /// A resolution or a dial failed.
    pub(crate) fn failed(&mut self, cx: &mut Cx, dial: DialId, reason: DialError, census: &impl Census) {
        let Some(Dial { step, target, seal, began, .. }) = self.dials.finish(dial) else { return };
        self.counts.dials_failed += 1;
        if let DialStep::Connect(addr) = step {
            self.note_wrong_key(addr, target, seal, reason);
            // It is a dial more, which who told the address pays for, too.
            if self.may_be_in_clear(cx, addr, target, seal, reason)
                && (target.is_some() || self.pay_for(cx, addr))
            {
                return self.dial_in_clear(cx, addr, target);
            }
        }
        match (step, target) {
            (_, Some(target)) => self.target_failed(cx, target, reason.into(), cx.now, census),
            (DialStep::Connect(addr), None) => {
                self.not_linked(
                    cx,
                    Dialed { addr, target: None, took: cx.now.since(began), sealed: false },
                    reason.into(),
                    cx.now,
                    census,
                );
            }
            (DialStep::Resolve(_), None) => {}
        }
    }

    /// A dial brought no link. The next attempt comes at `earliest` or later, and much later where a node of another
    /// network answered, or where another node has the same key.
    pub(crate) fn not_linked(
        &mut self,
        cx: &mut Cx,
        dialed: Dialed,
        failure: LinkFailure,
        earliest: Instant,
        census: &impl Census,
    ) {
        let earliest = match failure {
            LinkFailure::TurnedAway(ByeCode::Network) => cx.now + cx.limits().mesh.foreign_pause,
            LinkFailure::TurnedAway(ByeCode::Taken) => cx.now + cx.limits().mesh.taken_pause,
            _ => earliest,
        };
        match dialed.target {
            Some(target) => self.target_failed(cx, target, failure, earliest, census),
            None => {
                if matches!(failure, LinkFailure::TurnedAway(_)) {
                    self.refund(dialed.addr);
                }
                let answered = matches!(failure, LinkFailure::TurnedAway(ByeCode::Full));
                let Cx { random, config, .. } = cx;
                let degree = census.degree();
                self.book.failed(dialed.addr, answered, degree, earliest, random, config.limits());
            }
        }
    }

    fn target_failed(
        &mut self,
        cx: &mut Cx,
        target: TargetId,
        failure: LinkFailure,
        earliest: Instant,
        census: &impl Census,
    ) {
        let connectivity = self.connectivity(cx, census);
        let Cx { random, config, .. } = cx;
        let limits = config.limits();
        let notice = self.targets.attempt_failed(target, failure, connectivity, earliest, random, limits);
        self.events.extend(notice);
    }

    /// A dial reached this node, which is linked.
    pub(crate) fn reached(&mut self, cx: &Cx, dialed: Dialed, node_id: NodeId, census: &impl Census) {
        self.pin(cx, dialed, node_id);
        match dialed.target {
            Some(target) => {
                self.target_reached(cx, dialed, node_id);
                self.targets.linked(target, node_id);
            }
            None => {
                self.refund(dialed.addr);
                self.book.reached(dialed.addr, node_id, link_addr(node_id, census), cx.now);
            }
        }
    }

    /// A dial reached this node itself.
    pub(crate) fn reached_ourselves(&mut self, dialed: Dialed) {
        match dialed.target {
            Some(target) => self.events.extend(self.targets.set_own(target)),
            None => {
                self.refund(dialed.addr);
                self.book.set_own(dialed.addr);
            }
        }
    }

    /// Gives up the dials of this target. With `None`, all dials.
    pub(crate) fn cancel(&mut self, target: Option<TargetId>) {
        for dial in self.dials.of(target) {
            self.dials.finish(dial);
            self.events.push_back(Event::Cancel(dial));
        }
    }

    /// Gives up the dials that have timed out, which have failed.
    pub(crate) fn timeout(&mut self, cx: &mut Cx, census: &impl Census) {
        while let Some(dial) = self.dials.timed_out(cx.now) {
            self.events.push_back(Event::Cancel(dial));
            self.failed(cx, dial, DialError::TimedOut, census);
        }
    }
}

/// Where the dial led that a peer's link came from.
fn link_addr(node_id: NodeId, census: &impl Census) -> Option<SocketAddr> {
    let link = census.links().find(|link| link.linked && link.node_id == Some(node_id));
    Some(link?.dialed?.addr)
}

/// The linked peer that a dial of this address reached.
fn peer_reached_at(addr: SocketAddr, census: &impl Census) -> Option<NodeId> {
    let leads_there = |dialed: Option<Dialed>| dialed.is_some_and(|dialed| dialed.addr == addr);
    census.links().find(|link| link.linked && leads_there(link.dialed))?.node_id
}
