//! Random numbers from the node's generator.

use core::time::Duration;

use rand_core::Rng;

/// A random duration from zero to `ceiling`.
pub(crate) fn uniform(random: &mut impl Rng, ceiling: Duration) -> Duration {
    // 53 random bits: as many as a double holds exactly.
    let share = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    ceiling.mul_f64(share)
}

/// A random number below `count`. Zero, if `count` is zero.
pub(crate) fn below(random: &mut impl Rng, count: usize) -> usize {
    // The remainder's bias is below 2^-40 for any number of items that fits in memory.
    usize::try_from(random.next_u64() % count.max(1) as u64).unwrap_or(0)
}
