//! The timers of one connection, and its health (SPEC section 14).

use core::time::Duration;

use super::{Channel, Link, Phase};
use crate::conns::Health;
use crate::model::{Dialed, Instant, Limits, Version};

/// The timers of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// `JOIN` is sent to a peer that has sent nothing.
    Greet,
    /// The peer must have sent its first byte.
    FirstByte,
    /// The peer must have sent its `JOIN`.
    Greeting,
    /// What waits behind the `JOIN` to a version 1 peer is sent.
    Settle,
    /// An idle peer is sent `PING`, or a blank line.
    Idle,
    /// A neighbour that does not answer counts as silent.
    Silent,
    /// A silent peer is dropped.
    Dead,
    /// A newcomer's claim to the id of a linked peer is decided.
    Claim,
    /// Lines held back on a link wait no longer for the end of the one that it replaces.
    Handover,
    /// A link with `BYE|duplicate|` of the peer waits no longer for the one that replaces it.
    Farewell,
    /// A connection that is being closed is dropped.
    Linger,
    /// A link whose peer reads nothing is dropped.
    Stalled,
    /// Reading goes on from a peer that sent too fast.
    Resume,
    /// A handshake that waits has its turn.
    Seal,
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

    /// The health of the link, for the status.
    pub(in crate::conns) fn health(&self, now: Instant, limits: &Limits) -> Health {
        if self.queue.in_flight_since().is_some_and(|since| since + limits.conns.patience <= now) {
            Health::Slow
        } else if self.is_silent_since(limits).is_some_and(|since| since <= now) {
            Health::Silent
        } else {
            Health::Linked
        }
    }

    /// From when on the peer counts as silent, if nothing comes until then.
    fn is_silent_since(&self, limits: &Limits) -> Option<Instant> {
        let left = self.ping?.left.filter(|_| !self.paused.notified)?;
        let heard = self.received.unwrap_or(self.opened);
        Some(left.max(heard) + limits.conns.probe)
    }

    /// Brings up to date whether this neighbour is in doubt: it is linked and silent. Returns whether it is, if that is new.
    pub(in crate::conns) fn update_doubt(&mut self, now: Instant, limits: &Limits) -> Option<bool> {
        let linked = self.phase == Phase::Linked && self.key().is_some();
        let doubted = linked && self.is_silent_since(limits).is_some_and(|since| since <= now);
        let before = core::mem::replace(&mut self.doubted, doubted);
        (doubted != before).then_some(doubted)
    }

    fn each_deadline(&self, limits: &Limits, mut add: impl FnMut(Instant, Timer)) {
        match self.phase {
            Phase::Greeting => {
                let (first_byte, greeting) = self.handshake_times(limits);
                if self.received.is_none() {
                    add(self.opened + first_byte, Timer::FirstByte);
                }
                add(self.opened + greeting, Timer::Greeting);
                if let Channel::Sealing { since, .. } = self.channel {
                    add(since + first_byte, Timer::FirstByte);
                }
                if self.join_sent.is_none() && self.channel.may_be_greeted() {
                    let conns = &limits.conns;
                    let wait = if self.is_outbound() { conns.greet_dialed } else { conns.greet_after };
                    add(self.opened + wait, Timer::Greet);
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

    /// How long the handshake may take to its first byte, and to its end. A node says nothing before its `JOIN`: whoever does
    /// has a third of the time. At a learned address, where anybody may make this
    /// node wait, it is as long as a few round trips take, which connecting shows, within a third of the limit and the limit.
    fn handshake_times(&self, limits: &Limits) -> (Duration, Duration) {
        let (first_byte, greeting) = (limits.conns.first_byte, limits.conns.greeting);
        match self.dialed {
            _ if self.said_other => (first_byte, greeting / 3),
            Some(Dialed { target: None, took, .. }) => (
                first_byte.min(took.saturating_mul(5)).max(first_byte / 3),
                greeting.min(took.saturating_mul(10)).max(greeting / 3),
            ),
            _ => (first_byte, greeting),
        }
    }

    fn keep_alive(&self, limits: &Limits, add: &mut impl FnMut(Instant, Timer)) {
        let heard = self.received.unwrap_or(self.opened);
        match self.version() {
            // A version 1 peer does not answer. The timers of the socket notice if the blank line is not acknowledged.
            Some(Version::V1) => add(self.sent + limits.conns.ping_idle, Timer::Idle),
            _ if self.paused.notified => {}
            _ => {
                if self.ping.is_none() && self.probes.is_empty() {
                    add(heard + limits.conns.ping_idle, Timer::Idle);
                }
                if let Some(at) =
                    self.is_silent_since(limits).filter(|_| !self.doubted && self.key().is_some())
                {
                    add(at, Timer::Silent);
                }
                if let Some(at) = self.dead_at(heard, limits) {
                    add(at, Timer::Dead);
                }
            }
        }
    }

    /// When the peer counts as dead. On a slow link a `PING` waits behind what was queued before it, then behind what the
    /// operating system holds. While bytes leave, the peer is taken for alive until `limits.conns.ping_answer` is over.
    fn dead_at(&self, heard: Instant, limits: &Limits) -> Option<Instant> {
        let silent = heard + limits.conns.dead;
        let Some(ping) = self.ping else { return Some(silent) };
        // Until then, the link counts as stalled if nothing leaves.
        let left = ping.left?;
        let moved = self.queue.moved().map_or(left, |moved| moved.max(left));
        let answer = limits.conns.dead.saturating_sub(limits.conns.ping_idle);
        Some(silent.max(moved + answer).min(left + limits.conns.ping_answer))
    }
}
