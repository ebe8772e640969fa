//! The context that all machines of a node share.

use core::net::IpAddr;
use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::clock::WallClock;
use super::{Config, Identity, Instant, Limits, MAX_NUMBER, NetworkId, Reach};

/// The time, the settings, the identity and the random number generator of a node.
///
/// The node passes it to its machines with each call. They draw random numbers from it, and only read the rest.
#[derive(Debug)]
pub(crate) struct Cx {
    pub(crate) now: Instant,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) random: ChaCha8Rng,
    /// When the node began.
    started: Instant,
    /// The node is shutting down: it accepts no connection and begins no dial.
    pub(crate) stopping: bool,
    wall: WallClock,
}

/// The time, the limits and the network: the part of [`Cx`] for decisions that need no random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Instant,
    /// Wall-clock time in milliseconds since the Unix epoch. None: it is unknown.
    pub(crate) wall: Option<u64>,
    pub(crate) limits: &'a Limits,
    pub(crate) network: NetworkId,
}

impl Cx {
    /// The context of a node that starts at `now`. The seed is for the generator (ChaCha8) only, and never becomes a
    /// key.
    pub(crate) fn new(config: Config, identity: Identity, seed: [u8; 32], now: Instant) -> Self {
        let random = ChaCha8Rng::from_seed(seed);
        Self { now, config, identity, random, started: now, stopping: false, wall: WallClock::default() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.config.limits()
    }

    /// Which addresses a peer can reach that this node sees at `ip`.
    pub(crate) fn reach_of(&self, ip: IpAddr) -> Reach {
        Reach::of(ip, self.config.trusts_loopback())
    }

    /// Takes the driver's wall-clock time, in milliseconds since the Unix epoch.
    pub(crate) fn set_wall(&mut self, unix_ms: u64) {
        self.wall.set(self.now, unix_ms);
    }

    /// Wall-clock time in milliseconds since the Unix epoch. None: the driver has not given it yet.
    pub(crate) fn wall(&self) -> Option<u64> {
        self.wall.at(self.now)
    }

    /// How long the node has run.
    pub(crate) fn lived(&self) -> Duration {
        self.now.since(self.started)
    }

    /// When the node began, by the wall clock as it is now, in milliseconds since the Unix epoch.
    pub(crate) fn began(&self) -> Option<u64> {
        let runs = u64::try_from(self.now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.wall().map(|wall| wall.saturating_sub(runs))
    }

    /// Wall-clock time in milliseconds since the Unix epoch. While it is unknown, milliseconds since the driver's
    /// origin.
    pub(crate) fn time(&self) -> u64 {
        self.wall().unwrap_or_else(|| u64::try_from(self.now.since_origin().as_millis()).unwrap_or(0))
    }

    /// The time, the limits and the network.
    pub(crate) fn moment(&self) -> Moment<'_> {
        let (limits, network) = (self.config.limits(), self.config.network());
        Moment { now: self.now, wall: self.wall(), limits, network }
    }

    /// The time and limits, the identity, and the generator, borrowed at the same time.
    pub(crate) fn split(&mut self) -> (Moment<'_>, &Identity, &mut ChaCha8Rng) {
        let wall = self.wall();
        let (limits, network) = (self.config.limits(), self.config.network());
        (Moment { now: self.now, wall, limits, network }, &self.identity, &mut self.random)
    }

    /// Draws a number for an epoch: 53 random bits.
    pub(crate) fn random_epoch(&mut self) -> u64 {
        self.random.next_u64() & MAX_NUMBER
    }

    /// Draws 128 random bits.
    pub(crate) fn random_bits(&mut self) -> u128 {
        let high = u128::from(self.random.next_u64());
        high << 64 | u128::from(self.random.next_u64())
    }
}
