//! Who passes over the reconciliations that we begin.
//!
//! A peer handles what comes in on a link in its order. So one that answers a `PING` which went right behind the opening
//! of a reconciliation, and has not answered the opening, passed it over; how slow it is has no say in that.

use alloc::collections::BTreeMap;

use crate::model::ConnId;
use crate::wire::Token;

/// What is awaited on each link on which we began one.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    links: BTreeMap<ConnId, Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    /// The token of the `PING` behind the last opening, unless that was answered or passed over.
    witness: Option<Token>,
    /// Openings in a row that were passed over.
    passed_over: usize,
}

impl Unanswered {
    /// An opening goes out, and right behind it a `PING` with this token.
    pub(super) fn began(&mut self, conn: ConnId, witness: Token) {
        self.links.entry(conn).or_default().witness = Some(witness);
    }

    /// The peer answered.
    pub(super) fn answered(&mut self, conn: ConnId) {
        self.links.remove(&conn);
    }

    /// The peer's link is another one now, on which it has nothing to answer yet.
    pub(super) fn moved(&mut self, before: ConnId, after: ConnId) {
        if let Some(awaited) = self.links.remove(&before) {
            self.links.insert(after, Awaited { witness: None, ..awaited });
        }
    }

    /// `PONG` came. If an opening was passed over before it: how many now, in a row.
    pub(super) fn ponged(&mut self, conn: ConnId, token: Token) -> Option<usize> {
        let awaited = self.links.get_mut(&conn).filter(|awaited| awaited.witness == Some(token))?;
        awaited.witness = None;
        awaited.passed_over += 1;
        Some(awaited.passed_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: ConnId = ConnId(1);

    #[test]
    fn an_opening_is_passed_over_by_who_answers_the_ping_behind_it_alone() {
        let mut unanswered = Unanswered::default();
        let [first, second, other] = [1, 2, 3].map(Token::from_bits);
        unanswered.began(LINK, first);
        assert_eq!(unanswered.ponged(LINK, other), None);
        assert_eq!(unanswered.ponged(ConnId(2), first), None);
        unanswered.answered(LINK);
        assert_eq!(unanswered.ponged(LINK, first), None);
        unanswered.began(LINK, first);
        assert_eq!(unanswered.ponged(LINK, first), Some(1));
        assert_eq!(unanswered.ponged(LINK, first), None, "counted once");
        unanswered.began(LINK, second);
        assert_eq!(unanswered.ponged(LINK, second), Some(2));
        unanswered.answered(LINK);
        unanswered.began(LINK, other);
        assert_eq!(unanswered.ponged(LINK, other), Some(1), "not in a row");
        unanswered.began(LINK, first);
        unanswered.moved(LINK, ConnId(2));
        assert_eq!(unanswered.ponged(LINK, first), None);
        unanswered.began(ConnId(2), second);
        assert_eq!(unanswered.ponged(ConnId(2), second), Some(2), "another link makes it no other peer");
    }
}
