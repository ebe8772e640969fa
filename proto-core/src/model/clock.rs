//! Wall-clock time.

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
