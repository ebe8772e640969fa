//! What time it is for everybody: a hybrid logical clock (Kulkarni et al., OPODIS 2014) of milliseconds.

use crate::{Instant, MAX_NUMBER};

/// How far a time heard from others may move the clock ahead of the wall clock, in milliseconds (SPEC section 7).
const MOST_AHEAD: u64 = 30_000;

/// Gives each entry a time that is later than those of all before it, and near the wall clock's.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// What the driver said last, and when.
    wall: Option<(Instant, u64)>,
    last: u64,
}

impl Clock {
    /// The driver says what time it is, in milliseconds since the Unix epoch.
    pub(crate) fn set(&mut self, now: Instant, unix_ms: u64) {
        self.wall = Some((now, unix_ms.min(MAX_NUMBER)));
    }

    /// Wall-clock time; none if the driver never told.
    pub(crate) fn wall(&self, now: Instant) -> Option<u64> {
        let (since, at) = self.wall?;
        let passed = u64::try_from(now.since(since).as_millis()).unwrap_or(MAX_NUMBER);
        Some(at.saturating_add(passed).min(MAX_NUMBER))
    }

    /// Wall-clock time, or what stands in for it: the time since the driver's origin.
    pub(crate) fn time(&self, now: Instant) -> u64 {
        self.wall(now).unwrap_or_else(|| u64::try_from(now.since_origin().as_millis()).unwrap_or(0))
    }

    /// The time of the next entry.
    pub(crate) fn next(&mut self, now: Instant) -> u64 {
        self.last = self.time(now).max(self.last + 1).min(MAX_NUMBER);
        self.last
    }

    /// An entry of that time was heard: what is said from now on is later, if that is not too far ahead.
    pub(crate) fn heard(&mut self, now: Instant, at: u64) {
        let most = self.wall(now).map_or(MAX_NUMBER, |wall| wall.saturating_add(MOST_AHEAD)).min(MAX_NUMBER);
        self.last = self.last.max(at.min(most));
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn it_grows_with_the_wall_clock_and_when_that_stands_or_goes_back() {
        let mut clock = Clock::default();
        clock.set(at(0), 1_000_000);
        assert_eq!(clock.next(at(500)), 1_000_500);
        assert_eq!(clock.next(at(500)), 1_000_501);
        clock.set(at(600), 900_000);
        assert_eq!(clock.next(at(600)), 1_000_502);
        assert_eq!(clock.wall(at(1_600)), Some(901_000));
    }

    #[test]
    fn what_is_heard_moves_it_by_thirty_seconds_at_most() {
        let mut clock = Clock::default();
        clock.set(at(0), 1_000_000);
        clock.heard(at(0), 1_029_999);
        assert_eq!(clock.next(at(0)), 1_030_000);
        clock.heard(at(0), MAX_NUMBER);
        assert_eq!(clock.next(at(0)), 1_030_001);
    }

    #[test]
    fn the_largest_number_is_the_end_of_it() {
        let mut clock = Clock::default();
        clock.heard(at(0), u64::MAX);
        assert_eq!(clock.next(Instant::FAR_FUTURE), MAX_NUMBER);
        assert_eq!(clock.next(Instant::FAR_FUTURE), MAX_NUMBER);
    }
}
