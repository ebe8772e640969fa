//! Which limits a node does not start with.

use std::time::Duration;

use proto_core::{Config, ConfigError, Identity, Instant, Limits, Name, Node};

use crate::solo::SECOND;

#[test]
fn what_cannot_work_is_no_config() {
    type Change = fn(&mut Limits);
    let cases: [(Change, ConfigError); 10] = [
        (|limits| limits.held = 0, ConfigError::Zero("held")),
        (|limits| limits.chunk = 0, ConfigError::Zero("chunk")),
        (|limits| limits.backoff_min = Duration::ZERO, ConfigError::Zero("backoff_min")),
        (|limits| limits.queue = 1000, ConfigError::Order { low: "line", high: "queue / 2" }),
        (|limits| limits.dead = SECOND, ConfigError::Order { low: "ping_idle", high: "dead" }),
        (|limits| limits.degree_low = 0, ConfigError::Zero("degree_low")),
        (|limits| limits.degree_low = 9, ConfigError::Order { low: "degree_low", high: "degree_target" }),
        (|limits| limits.degree_high = 7, ConfigError::Order { low: "degree_target", high: "degree_high" }),
        (
            |limits| limits.degree_high = 117,
            ConfigError::Order { low: "degree_high", high: "held - reserved_outbound - 1" },
        ),
        (|limits| limits.explore_every = Duration::ZERO, ConfigError::Zero("explore_every")),
    ];
    for (change, error) in cases {
        let mut config = Config::new(Name::cut("x").unwrap());
        change(&mut config.limits);
        assert_eq!(
            Node::new(config, Identity::from_secret(&[0; 32]), [0; 32], Instant::ORIGIN).err(),
            Some(error)
        );
    }
}
