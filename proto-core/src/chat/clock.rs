//! A hybrid logical clock (Kulkarni et al., OPODIS 2014) in milliseconds.

use crate::model::{Cx, MAX_NUMBER};

/// How far other nodes' entries may move the clock ahead of the wall clock, in milliseconds (SPEC section 7).
const MOST_AHEAD: u64 = 2_000;

/// With a next date that is further ahead of the wall clock, the author begins another epoch, in milliseconds (SPEC
/// 7.4.2).
const TOO_FAR_AHEAD: u64 = 5_000;

/// Dates entries. Each date is later than all before it, and near the wall clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The latest date given or heard.
    last: u64,
}

impl Clock {
    /// A clock whose dates are later than this one.
    pub(super) fn after(last: u64) -> Self {
        Self { last: last.min(MAX_NUMBER) }
    }

    /// The date of this node's next entry.
    pub(super) fn next(&mut self, cx: &Cx) -> u64 {
        self.last = cx.time().max(self.last + 1).min(MAX_NUMBER);
        self.last
    }

    /// Whether the next date would be so far ahead of the wall clock that the wall clock was set back.
    pub(super) fn is_ahead(&self, cx: &Cx) -> bool {
        cx.wall().is_some_and(|wall| self.last.saturating_add(1) > wall.saturating_add(TOO_FAR_AHEAD))
    }

    /// An entry with this date came. Later entries of this node are dated after it, unless it is too far
    /// ahead.
    pub(super) fn heard(&mut self, cx: &Cx, at: u64) {
        let most = cx.wall().map_or(MAX_NUMBER, |wall| wall.saturating_add(MOST_AHEAD)).min(MAX_NUMBER);
        self.last = self.last.max(at.min(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::testing::at;
    use crate::model::{Config, Identity, Instant};

    fn cx() -> Cx {
        let config = Config::new("Me".parse().unwrap());
        Cx::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN)
    }

    #[test]
    fn the_clock_advances_even_if_the_wall_clock_stops_or_goes_back() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        cx.set_wall(1_000_000);
        cx.now = at(500);
        assert_eq!(clock.next(&cx), 1_000_500);
        assert_eq!(clock.next(&cx), 1_000_501);
        cx.now = at(600);
        cx.set_wall(900_000);
        assert_eq!(clock.next(&cx), 1_000_502);
        cx.now = at(1_600);
        assert_eq!(cx.wall(), Some(901_000));
    }

    #[test]
    fn entries_of_others_move_the_clock_at_most_two_seconds_ahead() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        cx.set_wall(1_000_000);
        clock.heard(&cx, 1_001_999);
        assert_eq!(clock.next(&cx), 1_002_000);
        clock.heard(&cx, MAX_NUMBER);
        assert_eq!(clock.next(&cx), 1_002_001);
    }

    #[test]
    fn the_clock_is_ahead_when_the_wall_clock_was_set_back() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        cx.set_wall(1_000_000);
        clock.next(&cx);
        for (wall, ahead) in [(995_001, false), (995_000, true), (0, true)] {
            cx.set_wall(wall);
            assert_eq!(clock.is_ahead(&cx), ahead, "{wall}");
        }
    }

    #[test]
    fn the_clock_stops_at_the_largest_number() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        clock.heard(&cx, u64::MAX);
        cx.now = Instant::FAR_FUTURE;
        assert_eq!(clock.next(&cx), MAX_NUMBER);
        assert_eq!(clock.next(&cx), MAX_NUMBER);
    }
}
