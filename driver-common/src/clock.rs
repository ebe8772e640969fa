//! The one place where the operating system's time becomes the protocol's, and back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

/// Beyond this a deadline may come early: the core is asked again then.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time now, as the protocol counts it.
    pub fn now(&self) -> proto_core::Instant {
        proto_core::Instant::from_origin(self.origin.elapsed())
    }

    /// When the operating system's clock shows `at`, a day from `now` at the latest.
    pub fn wake_time(&self, now: proto_core::Instant, at: proto_core::Instant) -> Instant {
        let at = at.min(now + FAR);
        // Both are within a day of what the clock showed, which the system's range holds.
        self.origin.checked_add(at.since_origin()).unwrap_or_else(Instant::now)
    }
}

/// Notices when wall-clock time was set anew, or went on while monotonic time stood still: the machine slept.
///
/// To be asked whenever the node's task wakes: what it does between two wake-ups knows no other time.
#[derive(Debug)]
pub(crate) struct WallClockMonitor {
    /// How far the origin of monotonic time is from the Unix epoch, as it was reported last.
    reported: Duration,
}

/// A difference that is reported.
const MOVED: Duration = Duration::from_millis(500);

impl WallClockMonitor {
    /// What time it is, in milliseconds since the Unix epoch, and what tells when that moves.
    pub(crate) fn start(now: proto_core::Instant) -> (Self, u64) {
        Self::at(now, unix_time())
    }

    /// What time it is, if that moved.
    pub(crate) fn check(&mut self, now: proto_core::Instant) -> Option<u64> {
        self.compare(now, unix_time())
    }

    fn at(now: proto_core::Instant, unix: Duration) -> (Self, u64) {
        let reported = unix.saturating_sub(now.since_origin());
        (Self { reported }, u64::try_from(unix.as_millis()).unwrap_or(u64::MAX))
    }

    fn compare(&mut self, now: proto_core::Instant, unix: Duration) -> Option<u64> {
        let (new, unix_ms) = Self::at(now, unix);
        let moved = self.reported.abs_diff(new.reported) > MOVED;
        moved.then(|| {
            *self = new;
            unix_ms
        })
    }
}

/// The time since the Unix epoch by the system's clock; zero before it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_told_at_first_and_when_it_moved_by_more_than_half_a_second() {
        let instant = |millis| proto_core::Instant::from_origin(Duration::from_millis(millis));
        let (mut watch, reported) = WallClockMonitor::at(instant(0), Duration::from_millis(1_000_000));
        assert_eq!(reported, 1_000_000);
        let mut at = |monotonic, unix| watch.compare(instant(monotonic), Duration::from_millis(unix));
        assert_eq!(at(60_000, 1_060_000), None);
        assert_eq!(at(60_000, 1_060_500), None, "it drifts");
        assert_eq!(at(60_000, 1_059_500), None);
        assert_eq!(at(60_000, 1_060_501), Some(1_060_501), "it was set");
        assert_eq!(at(61_000, 1_061_501), None);
        assert_eq!(at(61_001, 9_061_501), Some(9_061_501), "the machine slept");
        assert_eq!(at(61_002, 5), Some(5), "it was set back by more than there was");
        assert_eq!(at(61_003, 6), None);
    }

    #[test]
    fn a_deadline_beyond_all_time_is_a_wake_up_a_day_ahead() {
        let clock = Clock::start();
        let now = clock.now();
        assert_eq!(clock.wake_time(now, now), clock.origin + now.since_origin());
        assert_eq!(
            clock.wake_time(now, proto_core::Instant::FAR_FUTURE),
            clock.origin + now.since_origin() + FAR
        );
    }
}
