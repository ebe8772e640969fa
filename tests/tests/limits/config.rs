//! Which limits a node does not start with.

use std::time::Duration;

use proto_core::{Config, ConfigError, Limits, Name};

use crate::solo::SECOND;

#[test]
fn what_cannot_work_is_no_config() {
    type Change = fn(&mut Limits);
    let cases: [(Change, ConfigError); 10] = [
        (|limits| limits.conns.slots = 0, ConfigError::Zero("conns.slots")),
        (|limits| limits.conns.chunk = 0, ConfigError::Zero("conns.chunk")),
        (|limits| limits.mesh.backoff_min = Duration::ZERO, ConfigError::Zero("mesh.backoff_min")),
        (
            |limits| limits.conns.queue = 1000,
            ConfigError::Order { low: "wire.line", high: "conns.queue / 2" },
        ),
        (
            |limits| limits.conns.dead = SECOND,
            ConfigError::Order { low: "conns.ping_idle", high: "conns.dead" },
        ),
        (|limits| limits.mesh.degree_low = 0, ConfigError::Zero("mesh.degree_low")),
        (
            |limits| limits.mesh.degree_low = 9,
            ConfigError::Order { low: "mesh.degree_low", high: "mesh.degree_target" },
        ),
        (
            |limits| limits.mesh.degree_high = 7,
            ConfigError::Order { low: "mesh.degree_target", high: "mesh.degree_high" },
        ),
        (
            |limits| limits.mesh.degree_high = 117,
            ConfigError::Order { low: "mesh.degree_high", high: "conns.slots - conns.slots_reserved - 1" },
        ),
        (|limits| limits.mesh.explore_every = Duration::ZERO, ConfigError::Zero("mesh.explore_every")),
    ];
    for (change, error) in cases {
        assert_eq!(Config::builder(Name::cut("x").unwrap()).limits(change).build(), Err(error));
    }
}
