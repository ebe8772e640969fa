//! How long to wait before the next attempt.

use core::time::Duration;

use rand_core::Rng;

use crate::model::uniform;

/// Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Forgets what failed.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether nothing has failed.
    pub(super) fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// A delay between nothing and the current ceiling, which then doubles.
    pub(super) fn next(&mut self, random: &mut impl Rng, min: Duration, max: Duration) -> Duration {
        let ceiling = min.saturating_mul(1 << self.failures.min(30)).min(max);
        self.failures = self.failures.saturating_add(1);
        uniform(random, ceiling)
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn delays_stay_below_a_doubling_ceiling_and_use_all_of_it() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(600));
        let mut most = [Duration::ZERO; 12];
        for seed in 0..200 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut backoff = Backoff::default();
            for (failures, most) in most.iter_mut().enumerate() {
                let ceiling = Duration::from_secs(1 << failures).min(max);
                let delay = backoff.next(&mut random, min, max);
                assert!(delay <= ceiling);
                *most = delay.max(*most);
            }
        }
        for (failures, most) in most.iter().enumerate() {
            assert!(*most > Duration::from_secs(1 << failures).min(max).mul_f64(0.9));
        }
    }
}
