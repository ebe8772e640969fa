//! Monotonic time.

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
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::FAR_FUTURE + Duration::from_secs(1);
        assert_eq!(late, Instant::FAR_FUTURE);
        assert_eq!(Instant::ORIGIN.since(late), Duration::ZERO);
    }
}
