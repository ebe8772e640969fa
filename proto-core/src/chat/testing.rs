//! What the unit tests of the conversation share.

use core::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::model::{EntryId, Instant, Limits, Moment, NetworkId, NodeId};

/// The instant so many milliseconds after the origin.
pub(super) fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A moment without wall-clock time.
pub(super) fn moment(millis: u64, limits: &Limits) -> Moment<'_> {
    Moment { now: at(millis), wall: None, limits, network: NetworkId::OPEN }
}

/// The `n`th node id, in ascending order.
pub(super) fn peer(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

/// The `n`th entry id, in ascending order.
pub(super) fn entry_id(n: u16) -> EntryId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    EntryId::from_bytes(bytes)
}

/// A generator with a fixed seed.
pub(super) fn generator() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}
