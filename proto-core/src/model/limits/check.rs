//! Which limits a node can work with.

use super::{Limits, Rule};

impl Limits {
    /// Whether a node can work with them.
    pub fn check(&self) -> Result<(), ConfigError> {
        for limit in Self::ALL {
            let value = limit.value(self);
            for rule in limit.rules {
                match *rule {
                    Rule::NonZero if value.is_zero() => return Err(ConfigError::Zero(limit.name)),
                    Rule::AtMost(high, most) if value > most(self) => {
                        return Err(ConfigError::Order { low: limit.name, high });
                    }
                    Rule::NonZero | Rule::AtMost(..) => {}
                }
            }
        }
        Ok(())
    }
}

/// A setting that no node can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit that must be at least one is zero.
    #[error("the limit `{0}` must not be zero")]
    Zero(&'static str),
    /// Two limits contradict each other.
    #[error("the limit `{low}` must not be above `{high}`")]
    Order {
        /// The one that is too large.
        low: &'static str,
        /// The one that it is measured against.
        high: &'static str,
    },
}
