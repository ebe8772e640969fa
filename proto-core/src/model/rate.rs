//! Token buckets: how often something may happen.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;
use core::time::Duration;

use crate::model::{Instant, NodeId};

/// A token bucket. It holds at most `burst` tokens and gains one per `every`. It can be overdrawn; the debt is then
/// repaid before there is a token again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    every: Duration,
    burst: u32,
    /// When the bucket is full again, if nothing more is taken. This one time is the whole state (the "theoretical
    /// arrival time" of the generic cell rate algorithm, ITU-T I.371).
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket. A `burst` of zero counts as one.
    pub(crate) fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst: burst.max(1), full_at: Instant::ORIGIN }
    }

    /// A full bucket that gains `per_second` tokens a second. Zero counts as one.
    pub(crate) fn per_second(per_second: u32, burst: u32) -> Self {
        Self::new(Duration::from_secs(1) / per_second.max(1), burst)
    }

    /// Takes `count` tokens, overdrawing the bucket if needed.
    pub(crate) fn charge(&mut self, now: Instant, count: u32) {
        self.full_at = self.full_at.max(now) + self.every.saturating_mul(count);
    }

    /// Gives `count` tokens back.
    pub(crate) fn refund(&mut self, count: u32) {
        let full_at = self.full_at.since_origin().saturating_sub(self.every.saturating_mul(count));
        self.full_at = Instant::from_origin(full_at);
    }

    /// Takes one token. False: there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let free = self.next_at(now) <= now;
        if free {
            self.charge(now, 1);
        }
        free
    }

    /// When there are `count` tokens, or all that it can hold: `now`, if there are already.
    fn next_many_at(&self, now: Instant, count: u32) -> Instant {
        let full = self.every.saturating_mul(self.burst);
        let room = full.saturating_sub(self.every.saturating_mul(count));
        now + self.full_at.since(now).saturating_sub(room)
    }

    /// Whether there are `count` tokens, or all that it can hold, once `before` were taken.
    fn has_behind(mut self, now: Instant, before: u32, count: u32) -> bool {
        self.charge(now, before);
        self.next_many_at(now, count) <= now
    }

    /// When there is a token: `now`, if there is one already.
    pub(crate) fn next_at(&self, now: Instant) -> Instant {
        let room = self.every.saturating_mul(self.burst - 1);
        let debt = self.full_at.since(now).saturating_sub(room);
        if debt.is_zero() { now } else { now + debt }
    }
}

/// A token bucket for each key. The number of buckets is bounded: the one that is full first is forgotten first.
#[derive(Clone, Debug)]
pub(crate) struct TokenBuckets<K> {
    buckets: BTreeMap<K, TokenBucket>,
    /// The keys by when their buckets are full. An index of `buckets`.
    full: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Default for TokenBuckets<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Copy> TokenBuckets<K> {
    pub(crate) fn new() -> Self {
        Self { buckets: BTreeMap::new(), full: BTreeSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// When the bucket of a key has a token: `now`, if there is one already. A key without a bucket has a `fresh` one.
    pub(crate) fn next_at(&self, now: Instant, key: &K, fresh: TokenBucket) -> Instant {
        self.buckets.get(key).unwrap_or(&fresh).next_at(now)
    }

    /// Whether the bucket of a key has so many tokens now. A key without a bucket has a `fresh` one.
    pub(crate) fn has(&self, now: Instant, key: &K, fresh: TokenBucket, tokens: u32) -> bool {
        let mut bucket = *self.buckets.get(key).unwrap_or(&fresh);
        bucket.charge(now, tokens.saturating_sub(1));
        bucket.next_at(now) <= now
    }

    /// When the bucket of a key has `count` tokens, or all that it can hold: `now`, if it has already.
    pub(crate) fn next_many_at(&self, now: Instant, key: &K, count: u32, fresh: TokenBucket) -> Instant {
        self.buckets.get(key).unwrap_or(&fresh).next_many_at(now, count)
    }

    /// Whether the bucket of a key has `count` tokens, or all that it can hold, once `before` were taken.
    pub(crate) fn has_behind(
        &self,
        now: Instant,
        key: &K,
        (before, count): (u32, u32),
        fresh: TokenBucket,
    ) -> bool {
        self.buckets.get(key).unwrap_or(&fresh).has_behind(now, before, count)
    }

    /// Gives a token back to the bucket of a key, unless that is forgotten.
    pub(crate) fn refund(&mut self, key: K) {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            self.full.remove(&(bucket.full_at, key));
            bucket.refund(1);
            self.full.insert((bucket.full_at, key));
        }
    }

    /// Takes one token from the bucket of a key. False: there is none. A key without a bucket gets `fresh`; if there
    /// are `most` buckets, another one is forgotten.
    pub(crate) fn take(&mut self, now: Instant, key: K, fresh: TokenBucket, most: usize) -> bool {
        self.take_by(key, fresh, most, |bucket| bucket.take(now))
    }

    /// Takes `count` tokens from the bucket of a key, overdrawing it if needed.
    pub(crate) fn charge(&mut self, now: Instant, key: K, count: u32, fresh: TokenBucket, most: usize) {
        self.take_by(key, fresh, most, |bucket| {
            bucket.charge(now, count);
            true
        });
    }

    fn take_by(
        &mut self,
        key: K,
        fresh: TokenBucket,
        most: usize,
        take: impl FnOnce(&mut TokenBucket) -> bool,
    ) -> bool {
        let mut bucket = self.buckets.get(&key).copied().unwrap_or(fresh);
        let before = bucket.full_at;
        if !take(&mut bucket) {
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

/// Where something comes from: the key of a neighbour, and the [host](super::host_of) that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerAtHost {
    pub(crate) peer: NodeId,
    pub(crate) host: IpAddr,
}

/// Full buckets, of a key and of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreshBuckets {
    pub(crate) key: TokenBucket,
    pub(crate) host: TokenBucket,
}

impl FreshBuckets {
    /// A host has twice as much as a key, so that one key leaves something to others at its host.
    pub(crate) fn twice(bucket: TokenBucket) -> Self {
        Self { key: bucket, host: TokenBucket::new(bucket.every / 2, bucket.burst.saturating_mul(2)) }
    }
}

/// A token bucket for each key and one for each host. So nobody has more for coming under one key after the other.
#[derive(Debug, Default)]
pub(crate) struct PeerBuckets {
    keys: TokenBuckets<NodeId>,
    hosts: TokenBuckets<IpAddr>,
}

impl PeerBuckets {
    /// The number of buckets: of keys or of hosts, whichever are more.
    pub(crate) fn len(&self) -> usize {
        self.keys.len().max(self.hosts.len())
    }

    /// When both buckets have `count` tokens, or all that they can hold: `now`, if they have already.
    pub(crate) fn next_many_at(
        &self,
        now: Instant,
        of: &PeerAtHost,
        count: u32,
        fresh: FreshBuckets,
    ) -> Instant {
        let key = self.keys.next_many_at(now, &of.peer, count, fresh.key);
        key.max(self.hosts.next_many_at(now, &of.host, count, fresh.host))
    }

    /// Whether both buckets have `count` tokens, or all that they can hold, once `before` were taken from both.
    pub(crate) fn has_behind(
        &self,
        now: Instant,
        of: &PeerAtHost,
        (before, count): (u32, u32),
        fresh: FreshBuckets,
    ) -> bool {
        self.keys.has_behind(now, &of.peer, (before, count), fresh.key)
            && self.hosts.has_behind(now, &of.host, (before, count), fresh.host)
    }

    /// Takes `count` tokens from both, overdrawing them if needed. Of each kind there are `most` buckets.
    pub(crate) fn charge(
        &mut self,
        now: Instant,
        of: PeerAtHost,
        count: u32,
        fresh: FreshBuckets,
        most: usize,
    ) {
        self.keys.charge(now, of.peer, count, fresh.key, most);
        self.hosts.charge(now, of.host, count, fresh.host, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    #[test]
    fn a_burst_is_free_and_then_one_token_per_interval() {
        let mut bucket = TokenBucket::new(Duration::from_millis(500), 8);
        let start = Instant::from_origin(Duration::from_secs(9));
        assert_eq!((0..10).filter(|_| bucket.take(start)).count(), 8);
        assert_eq!(bucket.next_at(start), start + Duration::from_millis(500));
        assert!(!bucket.take(start + Duration::from_millis(499)));
        assert!(bucket.take(start + Duration::from_millis(500)));
        assert_eq!((0..10).filter(|_| bucket.take(start + Duration::from_secs(60))).count(), 8);
    }

    #[test]
    fn many_tokens_are_taken_at_once_if_they_are_there_or_the_bucket_is_full() {
        let start = Instant::from_origin(Duration::from_secs(9));
        let mut bucket = TokenBucket::new(Duration::from_secs(1), 10);
        let take_many = |bucket: &mut TokenBucket, now, count| {
            let free = bucket.next_many_at(now, count) <= now;
            bucket.charge(now, if free { count } else { 0 });
            free
        };
        assert!(take_many(&mut bucket, start, 4) && take_many(&mut bucket, start, 6));
        assert!(!take_many(&mut bucket, start, 1));
        let later = start + Duration::from_secs(5);
        assert_eq!(
            [5, 6].map(|count| bucket.next_many_at(later, count)),
            [later, later + Duration::from_secs(1)]
        );
        assert!(!take_many(&mut bucket, later, 6) && take_many(&mut bucket, later, 5));
        // More than it can hold is taken from a full one alone, so not behind others.
        let full = start + Duration::from_secs(15);
        assert_eq!([0, 1].map(|before| bucket.has_behind(full, before, 30)), [true, false]);
        assert_eq!([5, 6].map(|before| bucket.has_behind(full, before, 5)), [true, false]);
        assert!(!take_many(&mut bucket, start + Duration::from_millis(14_999), 30));
        assert!(take_many(&mut bucket, full, 30));
        assert_eq!(bucket.next_many_at(full, 1), full + Duration::from_secs(21));
    }

    #[test]
    fn a_debt_is_repaid_before_there_is_a_token() {
        let mut bucket = TokenBucket::per_second(200, 1000);
        bucket.charge(Instant::ORIGIN, 1200);
        let debt = Duration::from_millis(201 * 5);
        assert_eq!(bucket.next_at(Instant::ORIGIN), Instant::ORIGIN + debt);
    }

    #[test]
    fn each_key_has_its_bucket_and_the_fullest_is_forgotten() {
        let mut buckets = TokenBuckets::new();
        let fresh = TokenBucket::new(Duration::from_secs(1), 2);
        let now = Instant::ORIGIN;
        assert!(buckets.take(now, 'a', fresh, 2) && buckets.take(now, 'a', fresh, 2));
        assert!(!buckets.take(now, 'a', fresh, 2));
        assert!(buckets.take(now, 'b', fresh, 2));
        assert!(buckets.take(now, 'c', fresh, 2), "b is forgotten");
        assert!(!buckets.take(now, 'a', fresh, 2), "a is still known");
        assert!(buckets.take(now + Duration::from_secs(1), 'a', fresh, 2));
        assert_eq!((buckets.buckets.len(), buckets.full.len()), (2, 2));
        let (later, second) = (now + Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(buckets.next_at(later, &'a', fresh), later + second);
        assert_eq!(buckets.next_at(later, &'x', fresh), later, "a key without a bucket");
        let has = |key, tokens| buckets.has(later, &key, fresh, tokens);
        assert_eq!(
            ['a', 'c', 'x'].map(|key| [1, 2, 3].map(|tokens| has(key, tokens))),
            [[false, false, false], [true, true, false], [true, true, false]]
        );
        buckets.refund('a');
        buckets.refund('x');
        assert_eq!(buckets.next_at(later, &'a', fresh), later);
        assert_eq!((buckets.buckets.len(), buckets.full.len()), (2, 2));
    }

    #[test]
    fn whoever_comes_back_under_another_key_has_what_its_host_has_left() {
        let second = Duration::from_secs(1);
        let fresh = FreshBuckets::twice(TokenBucket::new(second, 10));
        let now = Instant::from_origin(second * 9);
        let of = |key: u8, host: [u8; 4]| PeerAtHost {
            peer: Identity::from_secret(&[key; 32]).node_id(),
            host: host.into(),
        };
        let mut buckets = PeerBuckets::default();
        let waits =
            |buckets: &PeerBuckets, of| !buckets.next_many_at(now, &of, 1, fresh).since(now).is_zero();
        for key in 1..=2 {
            assert!(!waits(&buckets, of(key, [10, 0, 0, 1])), "one key leaves something to another");
            buckets.charge(now, of(key, [10, 0, 0, 1]), 10, fresh, 4);
        }
        assert!(waits(&buckets, of(9, [10, 0, 0, 1])), "a third key");
        assert!(waits(&buckets, of(1, [10, 0, 0, 2])), "another host");
        assert!(!waits(&buckets, of(9, [10, 0, 0, 2])), "both");
        (3..9).for_each(|n| buckets.charge(now, of(n, [10, 0, 0, n]), 1, fresh, 4));
        assert_eq!(buckets.len(), 4);
        assert!(waits(&buckets, of(9, [10, 0, 0, 1])), "those that are full first are forgotten first");
    }
}
