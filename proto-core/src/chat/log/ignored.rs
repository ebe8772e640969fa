//! Who ignores the reconciliations that this node begins.
//!
//! A peer handles the frames of a link in order, and a `PING` goes right behind the opening of a
//! reconciliation. If the `PONG` comes before an answer to the opening, the peer ignored the opening, however
//! slow the link is.

use crate::model::{ConnId, Instant, Limits};
use crate::wire::Token;
use alloc::collections::BTreeMap;

/// The unanswered openings of this node, by connection.
#[derive(Debug, Default)]
pub(super) struct IgnoredSyncs {
    openings: BTreeMap<ConnId, Opening>,
    /// The last `PING` behind an opening that has no `PONG` yet, by connection.
    pings: BTreeMap<ConnId, (Token, Instant)>,
}

#[derive(Debug, Default)]
struct Opening {
    /// The token of the `PING` behind the last opening, until the opening is answered or known to be ignored.
    ping: Option<Token>,
    /// How many openings in a row were ignored.
    ignored: usize,
}

impl IgnoredSyncs {
    /// An opening was sent, and right behind it a `PING` with this token.
    pub(super) fn began(&mut self, now: Instant, conn: ConnId, ping: Token) {
        self.openings.entry(conn).or_default().ping = Some(ping);
        self.pings.insert(conn, (ping, now));
    }

    /// Whether the `PONG` for the last opening has not come. What followed from that reconciliation may still wait in the
    /// output queues of a slow link, and another one would add the same again.
    pub(super) fn is_pending(&self, now: Instant, conn: ConnId, limits: &Limits) -> bool {
        self.pings.get(&conn).is_some_and(|(_, began)| now < *began + limits.chat.sync_timeout)
    }

    /// The peer answered an opening.
    pub(super) fn answered(&mut self, conn: ConnId) {
        self.openings.remove(&conn);
    }

    /// The peer's link moved to another connection. The count goes on there.
    pub(super) fn moved(&mut self, before: ConnId, after: ConnId) {
        self.pings.remove(&before);
        if let Some(opening) = self.openings.remove(&before) {
            self.openings.insert(after, Opening { ping: None, ..opening });
        }
    }

    /// The connection ended.
    pub(super) fn ended(&mut self, conn: ConnId) {
        self.pings.remove(&conn);
        self.openings.remove(&conn);
    }

    /// `PONG` came. If it shows that an opening was ignored, returns how many were in a row.
    pub(super) fn pong_received(&mut self, conn: ConnId, token: Token) -> Option<usize> {
        if self.pings.get(&conn).is_some_and(|(ping, _)| *ping == token) {
            self.pings.remove(&conn);
        }
        let opening = self.openings.get_mut(&conn).filter(|opening| opening.ping == Some(token))?;
        opening.ping = None;
        opening.ignored += 1;
        Some(opening.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId(1);

    #[test]
    fn an_opening_is_ignored_if_the_ping_behind_it_is_answered_first() {
        let mut syncs = IgnoredSyncs::default();
        let [first, second, other] = [1, 2, 3].map(Token::from_bits);
        syncs.began(Instant::ORIGIN, CONN, first);
        assert_eq!(syncs.pong_received(CONN, other), None);
        assert_eq!(syncs.pong_received(ConnId(2), first), None);
        syncs.answered(CONN);
        assert_eq!(syncs.pong_received(CONN, first), None);
        syncs.began(Instant::ORIGIN, CONN, first);
        assert_eq!(syncs.pong_received(CONN, first), Some(1));
        assert_eq!(syncs.pong_received(CONN, first), None, "counted once");
        syncs.began(Instant::ORIGIN, CONN, second);
        assert_eq!(syncs.pong_received(CONN, second), Some(2));
        syncs.answered(CONN);
        syncs.began(Instant::ORIGIN, CONN, other);
        assert_eq!(syncs.pong_received(CONN, other), Some(1), "not in a row");
        syncs.began(Instant::ORIGIN, CONN, first);
        syncs.moved(CONN, ConnId(2));
        assert_eq!(syncs.pong_received(CONN, first), None);
        syncs.began(Instant::ORIGIN, ConnId(2), second);
        assert_eq!(syncs.pong_received(ConnId(2), second), Some(2), "the count moves with the peer");
        syncs.ended(ConnId(2));
        assert_eq!(syncs.pong_received(ConnId(2), second), None);
    }

    #[test]
    fn a_reconciliation_is_pending_until_the_ping_behind_it_is_answered() {
        let mut syncs = IgnoredSyncs::default();
        let [first, second] = [1, 2].map(Token::from_bits);
        let (now, limits) = (Instant::ORIGIN, Limits::default());
        assert!(!syncs.is_pending(now, CONN, &limits));
        syncs.began(now, CONN, first);
        syncs.answered(CONN);
        assert!(
            syncs.is_pending(now, CONN, &limits) && !syncs.is_pending(now, ConnId(2), &limits),
            "the answer comes before the `PONG`"
        );
        assert_eq!(syncs.pong_received(CONN, second), None);
        assert!(
            syncs.is_pending(now, CONN, &limits)
                && !syncs.is_pending(now + limits.chat.sync_timeout, CONN, &limits)
        );
        assert_eq!(syncs.pong_received(CONN, first), None);
        assert!(!syncs.is_pending(now, CONN, &limits));
        syncs.began(now, CONN, second);
        syncs.moved(CONN, ConnId(2));
        assert!(!syncs.is_pending(now, CONN, &limits) && !syncs.is_pending(now, ConnId(2), &limits));
    }
}
