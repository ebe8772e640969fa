//! Finds out whether this node's clock is wrong, by the dates of others' entries.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{Instant, NodeId};

/// How many authors' clocks are compared at most. *Guess.*
const AUTHORS: usize = 16;

/// How long a comparison is kept. *Guess.*
const KEPT: Duration = Duration::from_secs(600);

/// How far this node's clock was ahead of each author's, when an unrequested entry of that author last came.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// When an entry came, its author, and the difference in milliseconds. The latest is last.
    heard: VecDeque<(Instant, NodeId, i64)>,
    /// The current difference has been reported.
    reported: bool,
}

impl Skew {
    /// An unrequested entry of this author came, when this clock was `ahead_ms` ahead of its date. Returns
    /// the difference if the clock has just turned out to be wrong. That takes at least `fewest` authors:
    /// with one author among several, nobody can tell whose clock is wrong.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        author: NodeId,
        ahead_ms: i64,
        tolerance: Duration,
        fewest: usize,
    ) -> Option<i64> {
        self.heard.retain(|(at, other, _)| *other != author && now.since(*at) < KEPT);
        if self.heard.len() >= AUTHORS {
            self.heard.pop_front();
        }
        self.heard.push_back((now, author, ahead_ms));
        let off = self.ahead_ms(tolerance).filter(|_| self.heard.len() >= fewest);
        let news = off.filter(|_| !self.reported);
        self.reported = off.is_some();
        news
    }

    /// How far the clock is ahead of the median author's, if it differs by more than `tolerance` from most of
    /// them.
    pub(super) fn ahead_ms(&self, tolerance: Duration) -> Option<i64> {
        let mut all: Vec<_> = self.heard.iter().map(|(_, _, ahead)| *ahead).collect();
        all.sort_unstable();
        let median = *all.get(all.len() / 2)?;
        let tolerance = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
        let off = |ahead: &i64| *ahead > tolerance || *ahead < -tolerance;
        let many = all.iter().filter(|ahead| off(ahead) && ahead.signum() == median.signum()).count();
        (off(&median) && many * 2 > all.len()).then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::peer;

    const TOLERANCE: Duration = Duration::from_secs(120);

    #[test]
    fn a_majority_of_authors_decides_and_a_difference_is_reported_once() {
        let mut skew = Skew::default();
        let now = Instant::ORIGIN;
        assert_eq!(
            Skew::default().heard(now, peer(1), 130_000, TOLERANCE, 2),
            None,
            "one against one, with others around"
        );
        assert_eq!(
            Skew::default().heard(now, peer(1), 130_000, TOLERANCE, 1),
            Some(130_000),
            "nobody else is there to ask"
        );
        assert_eq!(skew.heard(now, peer(1), 20, TOLERANCE, 2), None);
        assert_eq!(skew.heard(now, peer(2), 130_000, TOLERANCE, 2), None, "no majority");
        assert_eq!(skew.heard(now, peer(3), 140_000, TOLERANCE, 2), Some(130_000));
        assert_eq!(skew.heard(now, peer(4), 150_000, TOLERANCE, 2), None, "reported already");
        assert_eq!(skew.ahead_ms(TOLERANCE), Some(140_000));
        for n in 2..=4 {
            skew.heard(now, peer(n), -5, TOLERANCE, 2);
        }
        assert_eq!(skew.ahead_ms(TOLERANCE), None);
        for n in 2..=4 {
            let news = skew.heard(now, peer(n), -200_000, TOLERANCE, 2);
            assert_eq!(news, (n == 4).then_some(-200_000), "{n}");
        }
    }

    #[test]
    fn old_comparisons_expire_and_their_number_is_bounded() {
        let mut skew = Skew::default();
        skew.heard(Instant::ORIGIN, peer(1), 200_000, TOLERANCE, 2);
        skew.heard(Instant::ORIGIN + KEPT, peer(2), 0, TOLERANCE, 2);
        assert_eq!((skew.heard.len(), skew.ahead_ms(TOLERANCE)), (1, None));
        for n in 0..40 {
            skew.heard(Instant::ORIGIN + KEPT, peer(n), 0, TOLERANCE, 2);
        }
        assert_eq!(skew.heard.len(), AUTHORS);
    }
}
