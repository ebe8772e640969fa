//! Wall-clock time, as far as the driver has told it.

use super::{Instant, MAX_NUMBER};

/// The wall clock: milliseconds since the Unix epoch, at most [`MAX_NUMBER`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    /// What the driver said last, and when.
    reading: Option<(Instant, u64)>,
}

impl WallClock {
    /// The driver says what time it is.
    pub(crate) fn set(&mut self, now: Instant, unix_ms: u64) {
        self.reading = Some((now, unix_ms.min(MAX_NUMBER)));
    }

    /// The time at `now`. None: the driver has never told it.
    pub(crate) fn at(&self, now: Instant) -> Option<u64> {
        let (since, unix_ms) = self.reading?;
        let passed = u64::try_from(now.since(since).as_millis()).unwrap_or(MAX_NUMBER);
        Some(unix_ms.saturating_add(passed).min(MAX_NUMBER))
    }
}
