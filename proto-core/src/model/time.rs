//! Monotonic time.

use core::cmp::Ordering;
use core::fmt;
use core::ops::Add;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in monotonic time, as the time since an origin. The driver picks the origin once, for example its own start.
///
/// Arithmetic saturates: it never overflows and never panics.
///
/// ```
/// use proto_core::Instant;
/// use std::time::Duration;
///
/// // A driver maps its own clock to it.
/// let start = std::time::Instant::now();
/// let now = || Instant::from_origin(start.elapsed());
/// assert!(now() >= Instant::ORIGIN);
///
/// let soon = Instant::ORIGIN + Duration::from_millis(1_500);
/// assert_eq!(soon.since(Instant::ORIGIN), Duration::from_millis(1_500));
/// assert_eq!(Instant::ORIGIN.since(soon), Duration::ZERO);
/// assert_eq!(soon.to_string(), "1.500s");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(Duration);

impl Instant {
    /// The origin.
    pub const ORIGIN: Self = Self(Duration::ZERO);
    /// The latest instant, which no clock reaches.
    pub const FAR_FUTURE: Self = Self(Duration::MAX);

    /// The instant this long after the origin.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time from the origin to this instant.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this instant. Zero, if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// An instant that may be before the origin: some time before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    at: Instant,
    before: Duration,
}

impl Past {
    /// This instant.
    pub(crate) const fn at(at: Instant) -> Self {
        Self { at, before: Duration::ZERO }
    }

    /// That of a wall-clock time, if `wall` is the wall-clock time now, both in milliseconds since the Unix epoch. What is
    /// later counts as now.
    pub(crate) const fn of_unix(now: Instant, wall: u64, unix_ms: u64) -> Self {
        Self { at: now, before: Duration::from_millis(wall.saturating_sub(unix_ms)) }
    }

    /// How long ago it is.
    pub(crate) const fn age(self, now: Instant) -> Duration {
        now.since(self.at).saturating_add(self.before)
    }

    /// Its wall-clock time, if `wall` is that of now.
    pub(crate) fn unix_ms(self, now: Instant, wall: u64) -> u64 {
        wall.saturating_sub(u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX))
    }
}

impl PartialOrd for Past {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earlier one is less.
impl Ord for Past {
    fn cmp(&self, other: &Self) -> Ordering {
        let latest = self.at.max(other.at);
        other.age(latest).cmp(&self.age(latest))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }
}

/// Seconds since the origin with three decimals, as in `1.500s`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_may_be_before_the_origin() {
        let (now, wall) = (Instant::from_origin(Duration::from_secs(5)), 1_000_000);
        let old = Past::of_unix(now, wall, wall - 60_000);
        assert_eq!(old.age(now), Duration::from_secs(60));
        assert_eq!(old.age(now + Duration::from_secs(1)), Duration::from_secs(61));
        assert_eq!(old.unix_ms(now + Duration::from_secs(1), wall + 1_000), wall - 60_000);
        let (first, later) = (Past::at(Instant::ORIGIN), Past::of_unix(now, wall, wall + 60_000));
        assert!(old < first && first < later && later == Past::at(now));
        assert!(Past::of_unix(now, wall, wall - 5_000) <= first);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::FAR_FUTURE + Duration::from_secs(1);
        assert_eq!(late, Instant::FAR_FUTURE);
        assert_eq!(Instant::ORIGIN.since(late), Duration::ZERO);
    }
}
