//! What a node counts.

use serde::{Deserialize, Serialize};

/// Counters since the node's start, for logs, tests and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages that came from peers.
    pub delivered: u64,
    /// Messages said here.
    pub said: u64,
    /// Times that something said had to wait.
    pub busy: u64,
    /// Frames of unknown type, and version 2 frames from version 1 peers.
    pub unknown_frames: u64,
    /// Rules broken by peers.
    pub violations: u64,
    /// Of these, malformed frames that were skipped.
    pub malformed: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Dials begun.
    pub dials: u64,
    /// Dials that did not become a connection.
    pub dials_failed: u64,
    /// Pending connections that made room for others.
    pub evicted: u64,
    /// Newcomers sent on because there was no room.
    pub turned_away: u64,
    /// Links closed to make room for newcomers who had few or none.
    pub displaced: u64,
    /// Links closed because there were more than needed.
    pub trimmed: u64,
    /// Dials of addresses of which it was not known whether anybody is there.
    pub explored: u64,
    /// Links cut because they took too little.
    pub slow: u64,
    /// Links that were silent for too long.
    pub silent: u64,
    /// Second connections to one peer that were settled.
    pub duplicates: u64,
    /// Addresses in `PEERS` that were taken into the book.
    pub learned: u64,
    /// Addresses in `PEERS` that were passed over by a limit or a rule.
    pub passed_over: u64,
    /// Times that reading a link was paused.
    pub pauses: u64,
}
