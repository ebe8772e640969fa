//! What all machines of a node share.

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::clock::WallClock;
use super::{Config, Identity, Instant, Limits};

/// The time, the settings, the source of randomness, and who the node is. The node hands it to its machines with each call;
/// they draw random numbers from it and read the rest.
#[derive(Debug)]
pub(crate) struct Cx {
    pub(crate) now: Instant,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) random: ChaCha8Rng,
    /// The node is shutting down: it takes no connection and begins no dial.
    pub(crate) stopping: bool,
    wall: WallClock,
}

/// When something happens, and within which limits: the part of [`Cx`] that a decision without chance depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Instant,
    /// Wall-clock time in milliseconds since the Unix epoch. None: it is not known.
    pub(crate) wall: Option<u64>,
    pub(crate) limits: &'a Limits,
}

impl Cx {
    /// For a node that starts at `now`. The seed feeds the generator (ChaCha8); it is never key material.
    pub(crate) fn new(config: Config, identity: Identity, seed: [u8; 32], now: Instant) -> Self {
        let random = ChaCha8Rng::from_seed(seed);
        Self { now, config, identity, random, stopping: false, wall: WallClock::default() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.config.limits()
    }

    /// The driver says what time it is, in milliseconds since the Unix epoch.
    pub(crate) fn set_wall(&mut self, unix_ms: u64) {
        self.wall.set(self.now, unix_ms);
    }

    /// Wall-clock time in milliseconds since the Unix epoch. None: the driver has never told it.
    pub(crate) fn wall(&self) -> Option<u64> {
        self.wall.at(self.now)
    }

    /// Wall-clock time, or in its place the time since the driver's origin.
    pub(crate) fn time(&self) -> u64 {
        self.wall().unwrap_or_else(|| u64::try_from(self.now.since_origin().as_millis()).unwrap_or(0))
    }

    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment { now: self.now, wall: self.wall(), limits: self.config.limits() }
    }

    /// The moment, the identity, and the generator: for decisions that need all of them.
    pub(crate) fn split(&mut self) -> (Moment<'_>, &Identity, &mut ChaCha8Rng) {
        let wall = self.wall();
        (Moment { now: self.now, wall, limits: self.config.limits() }, &self.identity, &mut self.random)
    }

    /// 128 random bits.
    pub(crate) fn random_bits(&mut self) -> u128 {
        let high = u128::from(self.random.next_u64());
        high << 64 | u128::from(self.random.next_u64())
    }
}
