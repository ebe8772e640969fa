//! The one place where the operating system's time becomes the protocol's, and back.

use std::time::{Duration, Instant};

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

#[cfg(test)]
mod tests {
    use super::*;

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
