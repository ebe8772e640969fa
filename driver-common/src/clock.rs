//! Converts between the operating system's time and the protocol's time. No other module does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the clock was created.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

/// A deadline further away than this wakes the task early. The core is then asked again.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

impl Clock {
    /// Creates a clock that starts now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The current time of the protocol.
    pub fn now(&self) -> proto_core::Instant {
        proto_core::Instant::from_origin(self.origin.elapsed())
    }

    /// The time of the operating system that corresponds to `at`, at most one day after `now`.
    pub fn wake_time(&self, now: proto_core::Instant, at: proto_core::Instant) -> Instant {
        let at = at.min(now + FAR);
        // Both times are within a day of the present, so the addition does not overflow.
        self.origin.checked_add(at.since_origin()).unwrap_or_else(Instant::now)
    }
}

/// Detects that the wall clock was changed, or that it went on while monotonic time stopped because the machine slept.
///
/// The task checks it whenever it wakes, since it reads the time only once a turn.
#[derive(Debug)]
pub(crate) struct WallClockMonitor {
    /// The offset from the Unix epoch to the origin of monotonic time, as last reported.
    reported: Duration,
}

/// Smaller changes are not reported.
const MOVED: Duration = Duration::from_millis(500);

impl WallClockMonitor {
    /// Returns the monitor and the current Unix time in milliseconds.
    pub(crate) fn start(now: proto_core::Instant) -> (Self, u64) {
        Self::at(now, unix_time())
    }

    /// Returns the current Unix time in milliseconds if the wall clock was changed.
    pub(crate) fn check(&mut self, now: proto_core::Instant) -> Option<u64> {
        self.compare(now, unix_time())
    }

    fn at(now: proto_core::Instant, unix: Duration) -> (Self, u64) {
        let reported = unix.saturating_sub(now.since_origin());
        (Self { reported }, whole_ms(unix))
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

/// Unix time in milliseconds.
#[cfg(feature = "app")]
pub(crate) fn unix_ms() -> u64 {
    whole_ms(unix_time())
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time since the Unix epoch by the system's clock. Zero if the clock shows an earlier time.
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
