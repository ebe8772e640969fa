//! How accepted connections become sealed ones, and which may be in clear (SPEC 3.14).

use alloc::collections::BTreeSet;
use core::cmp::Reverse;
use core::net::{IpAddr, SocketAddr};

use super::closing::Ending;
use super::link::Channel;
use super::{Breach, Conns, Event};
use crate::model::{ConnId, Crowd, Cx, Instant, LeaveReason, Limits, PublicKey, TokenBucket};

/// The handshakes that wait for their turn, and the rate of all.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    waiting: BTreeSet<ConnId>,
    /// None: there was none yet.
    rate: Option<TokenBucket>,
}

impl Handshakes {
    fn rate(&mut self, limits: &Limits) -> &mut TokenBucket {
        let (per_second, burst) = (limits.conns.handshakes_per_second, limits.conns.handshakes_burst);
        self.rate.get_or_insert_with(|| TokenBucket::per_second(per_second, burst))
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.waiting.remove(&conn);
    }

    /// When the next one that waits has its turn.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.rate.filter(|_| !self.waiting.is_empty()).map(|rate| rate.next_at(now))
    }
}

impl Conns {
    /// The first byte of an accepted connection opens a TLS handshake. `expected`: from an address where a node was found,
    /// or that the user gave.
    pub(crate) fn sealing(&mut self, cx: &mut Cx, conn: ConnId, expected: bool) {
        let Some(link) = self.table.get_mut(conn) else { return };
        match link.channel {
            Channel::Undecided { .. } if link.join_sent.is_none() && !link.is_closing() => {
                link.channel = Channel::Waiting { since: cx.now, expected };
                link.note_bytes(cx.now);
                self.handshakes.waiting.insert(conn);
                if !self.accept_seals(cx) || self.handshakes.waiting.contains(&conn) {
                    self.counts.handshakes_delayed += 1;
                }
            }
            // This node has spoken in clear already, or the driver cannot seal.
            _ => self.end(cx, conn, Ending::Abort, LeaveReason::Violation),
        }
    }

    /// Lets the handshakes begin that have their turn. Whether any did.
    pub(super) fn accept_seals(&mut self, cx: &Cx) -> bool {
        let mut any = false;
        while !self.handshakes.waiting.is_empty() && self.handshakes.rate(cx.limits()).take(cx.now) {
            let Some(conn) = self.next_seal() else {
                self.handshakes.waiting.clear();
                break;
            };
            self.handshakes.forget(conn);
            if let Some(link) = self.table.get_mut(conn) {
                let expected = link.channel.is_expected();
                link.channel = Channel::Sealing { since: cx.now, expected };
                self.counts.handshakes += 1;
                self.events.push_back(Event::AcceptSeal(conn));
                any = true;
            }
        }
        any
    }

    /// The handshake that has its turn: of those that are expected, else of all, one from the address, then from the network,
    /// with the fewest pending connections. Of several, the one that has waited longest.
    fn next_seal(&self) -> Option<ConnId> {
        let pending = self.table.links().filter(|link| link.is_pending() && !link.is_outbound());
        let crowd = Crowd::of(pending.map(|link| link.remote.ip()));
        let place = |conn: ConnId| {
            let link = self.table.get(conn)?;
            let Channel::Waiting { since, expected } = link.channel else { return None };
            Some((Reverse(expected), crowd.held(link.remote.ip()), since, conn))
        };
        self.handshakes.waiting.iter().filter_map(|conn| place(*conn)).min().map(|(.., conn)| conn)
    }

    /// The handshake of an accepted connection is complete. The peer has proven this key, and speaks first (SPEC 3.14.17).
    pub(crate) fn sealed(&mut self, cx: &mut Cx, conn: ConnId, key: PublicKey) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if link.is_closing() {
            return;
        }
        if !matches!(link.channel, Channel::Sealing { .. }) {
            return self.end(cx, conn, Ending::Abort, LeaveReason::Violation);
        }
        link.channel = Channel::Sealed(key);
        link.proof_sent = true;
        link.note_bytes(cx.now);
    }

    /// This node has completed a handshake that it began: it is not put off, and counts like the others.
    pub(super) fn note_own_handshake(&mut self, cx: &Cx) {
        self.handshakes.rate(cx.limits()).charge(cx.now, 1);
    }

    /// Bytes came on a connection. The first ones decide whether it is in clear, and are answered by `JOIN` there (SPEC
    /// 2.1).
    pub(crate) fn bytes_came(&mut self, cx: &mut Cx, conn: ConnId, bytes: &[u8]) {
        let Some(link) = self.table.get_mut(conn).filter(|_| !bytes.is_empty()) else { return };
        match link.channel {
            _ if link.is_closing() => return,
            Channel::Undecided { clear: true } => link.channel = Channel::Clear,
            Channel::Undecided { clear: false } | Channel::Waiting { .. } | Channel::Sealing { .. } => {
                self.counts.refused_clear += 1;
                self.report(conn, Breach::InClear);
                return self.end(cx, conn, Ending::Abort, LeaveReason::Violation);
            }
            Channel::Sealed(_) => return,
            Channel::Clear => {}
        }
        if link.join_sent.is_none() {
            self.greet(cx, conn);
        }
    }

    /// The other end of a connection.
    pub(crate) fn remote_ip(&self, conn: ConnId) -> Option<IpAddr> {
        self.table.get(conn).map(|link| link.remote.ip())
    }
}

/// How a connection that opens is secured. `accepted`: its first byte may open a handshake.
pub(super) fn channel_of(cx: &Cx, remote: SocketAddr, key: Option<PublicKey>, accepted: bool) -> Channel {
    match (key, cx.config.plaintext()) {
        (Some(key), _) => Channel::Sealed(key),
        (None, Some(plaintext)) if accepted => Channel::Undecided { clear: plaintext.admits(remote.ip()) },
        (None, _) => Channel::Clear,
    }
}
