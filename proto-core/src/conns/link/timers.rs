//! When a link wants to be woken, and for what.

use super::{Link, Phase};
use crate::conns::Health;
use crate::model::{Instant, Limits, Version};

/// What a link wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A listener greets a peer that has said nothing.
    Greet,
    /// The peer must have sent its first byte.
    FirstByte,
    /// The peer must have sent its `JOIN`.
    Greeting,
    /// A version 1 peer can be written to.
    Settle,
    /// An idle peer is pinged, or sent a blank line.
    Idle,
    /// A silent peer is dead.
    Dead,
    /// A newcomer's claim to the id of a linked peer is settled.
    Claim,
    /// What came in on a new link waits no longer for the end of the old one.
    Handover,
    /// A link on which the peer said `BYE` waits no longer for the one that replaces it.
    Farewell,
    /// A link that is being closed is aborted.
    Linger,
    /// A link that took nothing is cut.
    Stalled,
    /// A link that sent too much is read again.
    Resume,
}

impl Link {
    /// The earliest of its deadlines.
    pub(in crate::conns) fn deadline(&self, limits: &Limits) -> Option<(Instant, Timer)> {
        let mut earliest = None;
        self.each_deadline(limits, |at, kind| {
            if earliest.is_none_or(|(first, _)| at < first) {
                earliest = Some((at, kind));
            }
        });
        earliest
    }

    /// How the link does.
    pub(in crate::conns) fn health(&self, now: Instant, limits: &Limits) -> Health {
        let heard = self.received.unwrap_or(self.opened);
        let asked = self.ping.map(|(_, since)| since.max(heard)).filter(|_| !self.paused.notified);
        if self.queue.in_flight_since().is_some_and(|since| since + limits.conns.patience <= now) {
            Health::Slow
        } else if asked.is_some_and(|since| since + limits.conns.probe <= now) {
            Health::Silent
        } else {
            Health::Linked
        }
    }

    fn each_deadline(&self, limits: &Limits, mut add: impl FnMut(Instant, Timer)) {
        match self.phase {
            Phase::Greeting => {
                if self.received.is_none() {
                    add(self.opened + limits.conns.first_byte, Timer::FirstByte);
                }
                add(self.opened + limits.conns.greeting, Timer::Greeting);
                if !self.is_outbound() && !self.join_sent {
                    add(self.opened + limits.conns.greet_after, Timer::Greet);
                }
            }
            Phase::Claiming { until, .. } => add(until, Timer::Claim),
            Phase::Linked => {
                self.keep_alive(limits, &mut add);
                if let Some(at) = self.farewell {
                    add(at, Timer::Farewell);
                }
            }
            Phase::Leaving { until } | Phase::Closing { until, .. } => add(until, Timer::Linger),
        }
        if !matches!(self.phase, Phase::Closing { .. }) {
            if let Some(at) = self.queue.stalled_at(limits) {
                add(at, Timer::Stalled);
            }
            if let Some(at) = self.paused.until {
                add(at, Timer::Resume);
            }
        }
        if let Some(at) = self.queue.gate_opens_at() {
            add(at, Timer::Settle);
        }
        if let Some(hold) = &self.held_back {
            add(hold.until, Timer::Handover);
        }
    }

    fn keep_alive(&self, limits: &Limits, add: &mut impl FnMut(Instant, Timer)) {
        let heard = self.received.unwrap_or(self.opened);
        match self.version() {
            // It cannot be pinged: the socket's own timers find out whether the blank line arrives.
            Some(Version::V1) => add(self.sent + limits.conns.ping_idle, Timer::Idle),
            _ if self.paused.notified => {}
            _ => {
                if self.ping.is_none() && self.probes.is_empty() {
                    add(heard + limits.conns.ping_idle, Timer::Idle);
                }
                add(heard + limits.conns.dead, Timer::Dead);
                if let Some((_, since)) = self.ping {
                    add(since + limits.conns.ping_answer, Timer::Dead);
                }
            }
        }
    }
}
