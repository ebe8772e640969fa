//! When a link wants to be woken, and for what.

use super::{Link, Opener, Phase};
use crate::{Instant, Limits, LinkState, TimerKind, Version};

impl Link {
    /// The earliest of its deadlines.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, TimerKind)> {
        let mut earliest = None;
        self.each_deadline(limits, |at, kind| {
            if earliest.is_none_or(|(first, _)| at < first) {
                earliest = Some((at, kind));
            }
        });
        earliest
    }

    /// How it does.
    pub(crate) fn state(&self, now: Instant, limits: &Limits) -> LinkState {
        let heard = self.received.unwrap_or(self.opened);
        let asked = self.ping.map(|(_, since)| since.max(heard)).filter(|_| !self.paused.told);
        if self.queue.in_flight_since().is_some_and(|since| since + limits.patience <= now) {
            LinkState::Slow
        } else if asked.is_some_and(|since| since + limits.probe <= now) {
            LinkState::Silent
        } else {
            LinkState::Linked
        }
    }

    fn each_deadline(&self, limits: &Limits, mut add: impl FnMut(Instant, TimerKind)) {
        match self.phase {
            Phase::Greeting => {
                if self.received.is_none() {
                    add(self.opened + limits.first_byte, TimerKind::FirstByte);
                }
                add(self.opened + limits.greeting, TimerKind::Greeting);
                if self.opener == Opener::Peer && !self.greeted {
                    add(self.opened + limits.greet_after, TimerKind::Greet);
                }
            }
            Phase::Claiming { until, .. } => add(until, TimerKind::Claim),
            Phase::Here => {
                self.keep_alive(limits, &mut add);
                if let Some(at) = self.farewell {
                    add(at, TimerKind::Farewell);
                }
            }
            Phase::Leaving { until } | Phase::Closing { until, .. } => add(until, TimerKind::Linger),
        }
        if !matches!(self.phase, Phase::Closing { .. }) {
            if let Some(at) = self.queue.stalled_at(limits) {
                add(at, TimerKind::Stalled);
            }
            if let Some(at) = self.paused.until {
                add(at, TimerKind::Resume);
            }
        }
        if let Some(at) = self.queue.gate() {
            add(at, TimerKind::Settle);
        }
        if let Some(hold) = &self.hold {
            add(hold.until, TimerKind::Handover);
        }
    }

    fn keep_alive(&self, limits: &Limits, add: &mut impl FnMut(Instant, TimerKind)) {
        let heard = self.received.unwrap_or(self.opened);
        match self.version() {
            // It cannot be pinged: the socket's own timers find out whether the blank line arrives.
            Some(Version::V1) => add(self.sent + limits.ping_idle, TimerKind::Idle),
            _ if self.paused.told => {}
            _ => {
                if self.ping.is_none() && self.probes.is_empty() {
                    add(heard + limits.ping_idle, TimerKind::Idle);
                }
                add(heard + limits.dead, TimerKind::Dead);
                if let Some((_, since)) = self.ping {
                    add(since + limits.ping_answer, TimerKind::Dead);
                }
            }
        }
    }
}
