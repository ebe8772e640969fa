//! What a node counts.

use serde::{Deserialize, Serialize};

/// Counters since the node's start, for logs, tests and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages that came from peers.
    pub delivered: u64,
    /// Messages said here.
    pub said: u64,
    /// Entries signed here.
    pub signed: u64,
    /// Entries of others that were taken.
    pub entries: u64,
    /// Entries that came again.
    pub entries_again: u64,
    /// Entries that came, but were not taken: older than all that is held, a third with one number, or one too many of
    /// those that wait.
    pub entries_dropped: u64,
    /// Entries taken that waited and had to make room. They can come again.
    pub entries_put_off: u64,
    /// Entries that left the log for younger ones.
    pub entries_evicted: u64,
    /// Ids of entries that came or were evicted and are no longer known, for want of room.
    pub ids_forgotten: u64,
    /// Authors whose order is no longer known, for want of room.
    pub authors_forgotten: u64,
    /// Epochs whose order is no longer known, for want of room or with their authors.
    pub epochs_forgotten: u64,
    /// Gaps that are no longer known as such, for want of room.
    pub gaps_forgotten: u64,
    /// Entries whose signatures were found to hold together with others that came at once. This depends on how streams
    /// were cut.
    pub verified_together: u64,
    /// Entries whose signatures were verified by themselves.
    pub verified_alone: u64,
    /// Entries that came unasked faster than their author may speak.
    pub entries_over_rate: u64,
    /// Entries sent, ours and relayed ones: copies.
    pub entries_sent: u64,
    /// Entries that a full link did not take.
    pub entries_not_pushed: u64,
    /// Announcements that were left to reconciliation, for want of room.
    pub announcements_dropped: u64,
    /// Entries that were elsewhere and not asked for, for want of room.
    pub asks_dropped: u64,
    /// Lines that peers without a key were told of what others said.
    pub told_in_lines: u64,
    /// Lines of such peers that were brought in as entries here.
    pub brought_in: u64,
    /// Lines of such peers that were not brought in from here, for want of room.
    pub lines_dropped: u64,
    /// Lines of such peers that are no longer known when they come in again, for want of room.
    pub lines_forgotten: u64,
    /// Times that entries were reported missing.
    pub gaps: u64,
    /// Reconciliations begun here.
    pub syncs: u64,
    /// Reconciliations begun here that took too many messages, or too long.
    pub syncs_given_up: u64,
    /// Messages of reconciliations that came too fast and were not answered.
    pub syncs_refused: u64,
    /// Claims to be the root that came too fast and were passed over.
    pub roots_passed_over: u64,
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
    /// Newcomers refused because they had been cut for breaking rules.
    pub banned: u64,
    /// Newcomers refused because they belong to another network.
    pub foreign: u64,
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
