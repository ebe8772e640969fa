//! Backoff: how long to wait before the next attempt (SPEC 5.11).

use core::time::Duration;

use rand_core::Rng;

use crate::model::uniform;

/// Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Starts again from the lowest ceiling.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether no attempt has failed since the start or the last reset.
    pub(super) fn is_reset(&self) -> bool {
        self.failures == 0
    }

    /// A random delay from zero to the current ceiling. The ceiling starts at `min`, doubles with each call, and stops
    /// at `max`.
    pub(super) fn next(&mut self, random: &mut impl Rng, min: Duration, max: Duration) -> Duration {
        let ceiling = min.saturating_mul(1 << self.failures.min(30)).min(max);
        self.failures = self.failures.saturating_add(1);
        uniform(random, ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::generator;
    use super::*;

    #[test]
    fn delays_span_the_range_up_to_a_ceiling_that_doubles() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(600));
        let mut longest = [Duration::ZERO; 12];
        for seed in 0..200 {
            let mut random = generator(seed);
            let mut backoff = Backoff::default();
            for (failures, longest) in longest.iter_mut().enumerate() {
                let ceiling = Duration::from_secs(1 << failures).min(max);
                let delay = backoff.next(&mut random, min, max);
                assert!(delay <= ceiling);
                *longest = delay.max(*longest);
            }
        }
        for (failures, longest) in longest.iter().enumerate() {
            assert!(*longest > Duration::from_secs(1 << failures).min(max).mul_f64(0.9));
        }
    }
}
