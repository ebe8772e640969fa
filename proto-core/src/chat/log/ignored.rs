//! Who passes over the reconciliations that we begin.
//!
//! A peer handles what comes in on a link in its order. So one that answers a `PING` which went right behind the opening
//! of a reconciliation, and has not answered the opening, passed it over; how slow it is has no say in that.

use alloc::collections::BTreeMap;

use crate::model::ConnId;
use crate::wire::Token;

/// What is opening on each link on which we began one.
#[derive(Debug, Default)]
pub(super) struct IgnoredSyncs {
    openings: BTreeMap<ConnId, Opening>,
}

#[derive(Debug, Default)]
struct Opening {
    /// The token of the `PING` behind the last opening, unless that was answered or passed over.
    ping: Option<Token>,
    /// Openings in a row that were passed over.
    ignored_in_a_row: usize,
}

impl IgnoredSyncs {
    /// An opening goes out, and right behind it a `PING` with this token.
    pub(super) fn began(&mut self, conn: ConnId, ping: Token) {
        self.openings.entry(conn).or_default().ping = Some(ping);
    }

    /// The peer answered.
    pub(super) fn answered(&mut self, conn: ConnId) {
        self.openings.remove(&conn);
    }

    /// The peer's link is another one now, on which it has nothing to answer yet.
    pub(super) fn moved(&mut self, before: ConnId, after: ConnId) {
        if let Some(opening) = self.openings.remove(&before) {
            self.openings.insert(after, Opening { ping: None, ..opening });
        }
    }

    /// `PONG` came. If an opening was passed over before it: how many now, in a row.
    pub(super) fn pong_received(&mut self, conn: ConnId, token: Token) -> Option<usize> {
        let opening = self.openings.get_mut(&conn).filter(|opening| opening.ping == Some(token))?;
        opening.ping = None;
        opening.ignored_in_a_row += 1;
        Some(opening.ignored_in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: ConnId = ConnId(1);

    #[test]
    fn an_opening_is_passed_over_by_who_answers_the_ping_behind_it_alone() {
        let mut ignored = IgnoredSyncs::default();
        let [first, second, other] = [1, 2, 3].map(Token::from_bits);
        ignored.began(LINK, first);
        assert_eq!(ignored.pong_received(LINK, other), None);
        assert_eq!(ignored.pong_received(ConnId(2), first), None);
        ignored.answered(LINK);
        assert_eq!(ignored.pong_received(LINK, first), None);
        ignored.began(LINK, first);
        assert_eq!(ignored.pong_received(LINK, first), Some(1));
        assert_eq!(ignored.pong_received(LINK, first), None, "counted once");
        ignored.began(LINK, second);
        assert_eq!(ignored.pong_received(LINK, second), Some(2));
        ignored.answered(LINK);
        ignored.began(LINK, other);
        assert_eq!(ignored.pong_received(LINK, other), Some(1), "not in a row");
        ignored.began(LINK, first);
        ignored.moved(LINK, ConnId(2));
        assert_eq!(ignored.pong_received(LINK, first), None);
        ignored.began(ConnId(2), second);
        assert_eq!(ignored.pong_received(ConnId(2), second), Some(2), "another link makes it no other peer");
    }
}
