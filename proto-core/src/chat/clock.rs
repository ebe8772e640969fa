//! What time it is for everybody: a hybrid logical clock (Kulkarni et al., OPODIS 2014) of milliseconds.

use crate::model::{Cx, MAX_NUMBER};

/// How far a time heard from others may move the clock ahead of the wall clock, in milliseconds (SPEC section 7).
const MOST_AHEAD: u64 = 30_000;

/// Gives each entry a time that is later than those of all before it, and near the wall clock's.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: u64,
}

impl Clock {
    /// The time of the next entry.
    pub(super) fn next(&mut self, cx: &Cx) -> u64 {
        self.last = cx.time().max(self.last + 1).min(MAX_NUMBER);
        self.last
    }

    /// An entry of that time was heard: what is said from now on is later, if that is not too far ahead.
    pub(super) fn heard(&mut self, cx: &Cx, at: u64) {
        let most = cx.wall().map_or(MAX_NUMBER, |wall| wall.saturating_add(MOST_AHEAD)).min(MAX_NUMBER);
        self.last = self.last.max(at.min(most));
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::model::{Config, Identity, Instant};

    fn cx() -> Cx {
        let config = Config::new("Me".parse().unwrap());
        Cx::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN)
    }

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn it_grows_with_the_wall_clock_and_when_that_stands_or_goes_back() {
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
    fn what_is_heard_moves_it_by_thirty_seconds_at_most() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        cx.set_wall(1_000_000);
        clock.heard(&cx, 1_029_999);
        assert_eq!(clock.next(&cx), 1_030_000);
        clock.heard(&cx, MAX_NUMBER);
        assert_eq!(clock.next(&cx), 1_030_001);
    }

    #[test]
    fn the_largest_number_is_the_end_of_it() {
        let (mut cx, mut clock) = (cx(), Clock::default());
        clock.heard(&cx, u64::MAX);
        cx.now = Instant::FAR_FUTURE;
        assert_eq!(clock.next(&cx), MAX_NUMBER);
        assert_eq!(clock.next(&cx), MAX_NUMBER);
    }
}
