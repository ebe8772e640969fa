//! Which limits a node can work with.

use super::{Limits, MAX_CHUNK};

impl Limits {
    /// Whether a node can work with them.
    pub fn check(&self) -> Result<(), ConfigError> {
        let nonzero = [
            ("line_before_join", self.line_before_join),
            ("malformed", self.malformed),
            ("held", self.held),
            ("pending", self.pending),
            ("degree_low", self.degree_low),
            ("book_failures", self.book_failures as usize),
            ("dials", self.dials),
            ("dial_burst", self.dial_burst as usize),
            ("targets", self.targets),
            ("learn_burst", self.learn_burst as usize),
            ("entries_per_second", self.entries_per_second as usize),
            ("entries_burst", self.entries_burst as usize),
            ("frames_per_second", self.frames_per_second as usize),
            ("frames_burst", self.frames_burst as usize),
            ("bytes_per_second", self.bytes_per_second as usize),
            ("bytes_burst", self.bytes_burst as usize),
            ("chunk", self.chunk),
            ("log_entries", self.log_entries),
            ("authors", self.authors),
            ("epochs_per_author", self.epochs_per_author),
            ("syncs", self.syncs),
            ("sync_rounds", self.sync_rounds),
            ("syncs_passed_over", self.syncs_passed_over),
            ("sync_burst", self.sync_burst as usize),
            ("sequence_rise", usize::try_from(self.sequence_rise).unwrap_or(usize::MAX)),
            ("asked", self.asked),
            ("announced", self.announced),
        ];
        if let Some((name, _)) = nonzero.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero(name));
        }
        let line = ("line", self.line);
        let queue = ("queue", self.queue);
        let ordered = [
            (("line_before_join", self.line_before_join), line),
            (line, ("MAX_LINE", crate::model::MAX_LINE)),
            (("reserved_outbound", self.reserved_outbound), ("held", self.held)),
            (("degree_low", self.degree_low), ("degree_target", self.degree_target)),
            (("degree_target", self.degree_target), ("degree_high", self.degree_high)),
            (("degree_outbound", self.degree_outbound), ("degree_high", self.degree_high)),
            (
                ("degree_high", self.degree_high),
                // One more, for the newcomer that takes another's place.
                (
                    "held - reserved_outbound - 1",
                    self.held.saturating_sub(self.reserved_outbound.saturating_add(1)),
                ),
            ),
            (("chunk", self.chunk), ("MAX_CHUNK", MAX_CHUNK)),
            // Half a queue takes the longest line.
            (line, ("queue / 2", self.queue / 2)),
            (queue, ("queue_hard", self.queue_hard)),
            (queue, ("queues", self.queues)),
            (queue, ("buffers", self.buffers)),
            (line, ("log_bytes", self.log_bytes)),
            (("early_per_author", self.early_per_author), ("early", self.early)),
        ];
        let wrong = ordered.into_iter().find(|((_, low), (_, high))| low > high);
        if let Some(((low, _), (high, _))) = wrong {
            return Err(ConfigError::Order { low, high });
        }
        let times = [
            (("first_byte", self.first_byte), ("greeting", self.greeting)),
            (("ping_idle", self.ping_idle), ("dead", self.dead)),
            (("dead", self.dead), ("ping_answer", self.ping_answer)),
            (("backoff_min", self.backoff_min), ("backoff_max", self.backoff_max)),
            (("backoff_min", self.backoff_min), ("backoff_low", self.backoff_low)),
            (("backoff_min", self.backoff_min), ("backoff_user", self.backoff_user)),
            (("root_turn", self.root_turn), ("root_overlap", self.root_overlap)),
            (("root_overlap", self.root_overlap), ("root_period", self.root_period)),
            (("sequence_least", self.sequence_least), ("sequence_every", self.sequence_every)),
            (("sequence_every", self.sequence_every), ("root_lives", self.root_lives)),
        ];
        let wrong = times.into_iter().find(|((_, low), (_, high))| low > high);
        if let Some(((low, _), (high, _))) = wrong {
            return Err(ConfigError::Order { low, high });
        }
        // What comes again at once never ends.
        let intervals = [
            ("backoff_min", self.backoff_min),
            ("ping_idle", self.ping_idle),
            ("displace_every", self.displace_every),
            ("explore_every", self.explore_every),
            ("refresh_every", self.refresh_every),
            ("sequence_every", self.sequence_every),
            ("ask_again", self.ask_again),
            ("asked_for", self.asked_for),
            ("reconcile_every", self.reconcile_every),
            ("bridge_ask_every", self.bridge_ask_every),
            ("bridge_ask_soon", self.bridge_ask_soon),
        ];
        match intervals.into_iter().find(|(_, every)| every.is_zero()) {
            Some((name, _)) => Err(ConfigError::Zero(name)),
            None => Ok(()),
        }
    }
}

/// A setting that no node can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
