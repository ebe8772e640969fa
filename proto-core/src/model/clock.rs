//! Wall-clock time, and how it compares with a peer's.

use super::{Instant, MAX_NUMBER};

/// The wall clock, in milliseconds since the Unix epoch, at most [`MAX_NUMBER`]. It runs on from the driver's last
/// reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    /// The driver's last reading, and when it came.
    reading: Option<(Instant, u64)>,
}

impl WallClock {
    /// Takes a reading from the driver.
    pub(crate) fn set(&mut self, now: Instant, unix_ms: u64) {
        self.reading = Some((now, unix_ms.min(MAX_NUMBER)));
    }

    /// The time at `now`. None: there was no reading yet.
    pub(crate) fn at(&self, now: Instant) -> Option<u64> {
        let (since, unix_ms) = self.reading?;
        let passed = u64::try_from(now.since(since).as_millis()).unwrap_or(MAX_NUMBER);
        Some(unix_ms.saturating_add(passed).min(MAX_NUMBER))
    }
}

/// How far the wall clock may run apart from the monotonic clock, in milliseconds. Beyond this, it was set, or the machine
/// slept, and earlier readings say nothing.
const STEP_MS: u64 = 1_000;

/// A peer's clock, compared with this node's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockReading {
    at: Instant,
    wall: u64,
    theirs: u64,
}

impl ClockReading {
    /// At `at`, this node's wall clock showed `wall` and the peer's `theirs`, in milliseconds since the Unix epoch. Both
    /// are at most [`MAX_NUMBER`].
    pub(crate) fn new(at: Instant, wall: u64, theirs: u64) -> Self {
        Self { at, wall, theirs }
    }

    /// How far this node's clock was ahead, in milliseconds. Both clocks are below 2^53, so the casts are lossless.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.wall as i64 - self.theirs as i64
    }

    /// Whether this node's wall clock, which shows `wall` now, has not been set since.
    pub(crate) fn is_valid(&self, now: Instant, wall: u64) -> bool {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.wall.saturating_add(passed).abs_diff(wall) <= STEP_MS
    }
}
