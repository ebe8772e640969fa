//! What the unit tests of the mesh share.

use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::model::{Identity, Instant, NodeId};

/// The instant this many milliseconds after the origin.
pub(super) fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

/// The id of a node with a key, one for each `n`.
pub(super) fn id(n: u8) -> NodeId {
    Identity::from_secret(&[n; 32]).node_id()
}

/// A generator with this seed.
pub(super) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
