//! Whether this node's clock is off, as far as others show it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{Instant, NodeId};

/// The most authors whose clocks are compared. *Guess.*
const AUTHORS: usize = 16;

/// How long a comparison counts. *Guess.*
const KEPT: Duration = Duration::from_secs(600);

/// What fresh entries show of this node's clock: how far it was ahead of each author's when the author was last heard.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// The last heard last.
    heard: VecDeque<(Instant, NodeId, i64)>,
    told: bool,
}

impl Skew {
    /// An entry of this author's came fresh, when this clock was so many milliseconds ahead of it. Whether, and by
    /// how much, the clock is off, if that is news and so many authors were heard: it is the word of one against
    /// another's where there are more.
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
        let news = off.filter(|_| !self.told);
        self.told = off.is_some();
        news
    }

    /// How far the clock is ahead of the middle one of the others, if it is more than `tolerance` away from most of them.
    pub(super) fn ahead_ms(&self, tolerance: Duration) -> Option<i64> {
        let mut all: Vec<_> = self.heard.iter().map(|(_, _, ahead)| *ahead).collect();
        all.sort_unstable();
        let middle = *all.get(all.len() / 2)?;
        let tolerance = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
        let off = |ahead: &i64| *ahead > tolerance || *ahead < -tolerance;
        let many = all.iter().filter(|ahead| off(ahead) && ahead.signum() == middle.signum()).count();
        (off(&middle) && many * 2 > all.len()).then_some(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(120);

    fn author(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    #[test]
    fn most_of_those_heard_decide_and_it_is_told_once() {
        let mut skew = Skew::default();
        let now = Instant::ORIGIN;
        assert_eq!(Skew::default().heard(now, author(1), 130_000, TOLERANCE, 2), None, "one against one");
        assert_eq!(
            Skew::default().heard(now, author(1), 130_000, TOLERANCE, 1),
            Some(130_000),
            "there is no other"
        );
        assert_eq!(skew.heard(now, author(1), 20, TOLERANCE, 2), None);
        assert_eq!(skew.heard(now, author(2), 130_000, TOLERANCE, 2), None, "one of two");
        assert_eq!(skew.heard(now, author(3), 140_000, TOLERANCE, 2), Some(130_000));
        assert_eq!(skew.heard(now, author(4), 150_000, TOLERANCE, 2), None, "told already");
        assert_eq!(skew.ahead_ms(TOLERANCE), Some(140_000));
        for n in 2..=4 {
            skew.heard(now, author(n), -5, TOLERANCE, 2);
        }
        assert_eq!(skew.ahead_ms(TOLERANCE), None);
        for n in 2..=4 {
            let news = skew.heard(now, author(n), -200_000, TOLERANCE, 2);
            assert_eq!(news, (n == 4).then_some(-200_000), "{n}");
        }
    }

    #[test]
    fn what_is_old_counts_no_more_and_few_are_kept() {
        let mut skew = Skew::default();
        skew.heard(Instant::ORIGIN, author(1), 200_000, TOLERANCE, 2);
        skew.heard(Instant::ORIGIN + KEPT, author(2), 0, TOLERANCE, 2);
        assert_eq!((skew.heard.len(), skew.ahead_ms(TOLERANCE)), (1, None));
        for n in 0..40 {
            skew.heard(Instant::ORIGIN + KEPT, author(n), 0, TOLERANCE, 2);
        }
        assert_eq!(skew.heard.len(), AUTHORS);
    }
}
