//! How often something may happen: a token bucket.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::model::Instant;

/// A bucket of `burst` tokens that gains one each `every`. It may be overdrawn: then it is empty until the debt is paid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    every: Duration,
    burst: u32,
    /// When the bucket would be full if nothing more were taken.
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst: burst.max(1), full_at: Instant::ORIGIN }
    }

    /// A bucket that gains `per_second` tokens a second.
    pub(crate) fn per_second(per_second: u32, burst: u32) -> Self {
        Self::new(Duration::from_secs(1) / per_second.max(1), burst)
    }

    /// Takes `count` tokens, whether they are there or not.
    pub(crate) fn charge(&mut self, now: Instant, count: u32) {
        self.full_at = self.full_at.max(now) + self.every.saturating_mul(count);
    }

    /// Gives tokens back.
    pub(crate) fn refund(&mut self, count: u32) {
        let full_at = self.full_at.since_origin().saturating_sub(self.every.saturating_mul(count));
        self.full_at = Instant::from_origin(full_at);
    }

    /// Takes one token if it is there.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let free = self.next_at(now) <= now;
        if free {
            self.charge(now, 1);
        }
        free
    }

    /// When there is a whole token again: `now` or before, if there is one.
    pub(crate) fn next_at(&self, now: Instant) -> Instant {
        let room = self.every.saturating_mul(self.burst - 1);
        let debt = self.full_at.since(now).saturating_sub(room);
        if debt.is_zero() { now } else { now + debt }
    }
}

/// A bucket for each of many, of which at most so many are known: who has taken least lately is forgotten first.
#[derive(Debug)]
pub(crate) struct TokenBuckets<K> {
    buckets: BTreeMap<K, TokenBucket>,
    /// The keys by when their buckets are full: an index.
    full: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> TokenBuckets<K> {
    pub(crate) fn new() -> Self {
        Self { buckets: BTreeMap::new(), full: BTreeSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Takes one token of this one's, if it is there; `fresh` is the bucket of one that is not known.
    pub(crate) fn take(&mut self, now: Instant, key: K, fresh: TokenBucket, most: usize) -> bool {
        let mut bucket = self.buckets.get(&key).copied().unwrap_or(fresh);
        let before = bucket.full_at;
        if !bucket.take(now) {
            return false;
        }
        self.full.remove(&(before, key));
        if !self.buckets.contains_key(&key)
            && self.buckets.len() >= most
            && let Some((_, fullest)) = self.full.pop_first()
        {
            self.buckets.remove(&fullest);
        }
        self.full.insert((bucket.full_at, key));
        self.buckets.insert(key, bucket);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut bucket = TokenBucket::new(Duration::from_millis(500), 8);
        let start = Instant::from_origin(Duration::from_secs(9));
        assert_eq!((0..10).filter(|_| bucket.take(start)).count(), 8);
        assert_eq!(bucket.next_at(start), start + Duration::from_millis(500));
        assert!(!bucket.take(start + Duration::from_millis(499)));
        assert!(bucket.take(start + Duration::from_millis(500)));
        assert_eq!((0..10).filter(|_| bucket.take(start + Duration::from_secs(60))).count(), 8);
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_free() {
        let mut bucket = TokenBucket::per_second(200, 1000);
        bucket.charge(Instant::ORIGIN, 1200);
        let debt = Duration::from_millis(201 * 5);
        assert_eq!(bucket.next_at(Instant::ORIGIN), Instant::ORIGIN + debt);
    }

    #[test]
    fn each_has_its_bucket_and_the_fullest_makes_room() {
        let mut buckets = TokenBuckets::new();
        let fresh = TokenBucket::new(Duration::from_secs(1), 2);
        let now = Instant::ORIGIN;
        assert!(buckets.take(now, 'a', fresh, 2) && buckets.take(now, 'a', fresh, 2));
        assert!(!buckets.take(now, 'a', fresh, 2));
        assert!(buckets.take(now, 'b', fresh, 2));
        assert!(buckets.take(now, 'c', fresh, 2), "b makes room");
        assert!(!buckets.take(now, 'a', fresh, 2), "a is still known");
        assert!(buckets.take(now + Duration::from_secs(1), 'a', fresh, 2));
        assert_eq!((buckets.buckets.len(), buckets.full.len()), (2, 2));
    }
}
