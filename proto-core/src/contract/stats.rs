//! The counters of a node.

use serde::{Deserialize, Serialize};

/// Counters, each from the start of the node, for logs, tests and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages of others that were delivered.
    pub delivered: u64,
    /// Messages of the user.
    pub said: u64,
    /// Entries that this node signed.
    pub signed: u64,
    /// Entries received that were new.
    pub entries: u64,
    /// Entries received that were known.
    pub entries_known: u64,
    /// Entries received that were not kept: at or below the floor of their author, dated too far ahead, a third version of one sequence number, or no room among those that
    /// wait.
    pub entries_dropped: u64,
    /// Entries received that only the store keeps.
    pub entries_archived: u64,
    /// Entries that left the window before the store could be asked to keep them.
    pub entries_not_kept: u64,
    /// Spans of missing numbers below the window that were given up for want of room.
    pub spans_given_up: u64,
    /// How often the store was asked for what a neighbour asked for.
    pub loads: u64,
    /// Entries kept that waited and had to make room. They can be received again.
    pub entries_displaced: u64,
    /// Entries evicted from the window.
    pub entries_evicted: u64,
    /// Ids of received or evicted entries that were forgotten to make room.
    pub ids_forgotten: u64,
    /// Authors whose sequences were forgotten to make room.
    pub authors_forgotten: u64,
    /// Epochs that were forgotten to make room, or with their authors.
    pub epochs_forgotten: u64,
    /// Gaps that were forgotten to make room.
    pub gaps_forgotten: u64,
    /// Times that a run turned out to be forked, or to be forked at a lower number than was known.
    pub forks: u64,
    /// Entries taken out of the window because of a fork.
    pub entries_withdrawn: u64,
    /// Frozen runs that are no longer known to be frozen, for want of room.
    pub forks_forgotten: u64,
    /// Authors without held entries whose floors were forgotten to make room.
    pub floors_forgotten: u64,
    /// Tips of runs that were forgotten.
    pub tips_forgotten: u64,
    /// Unrequested entries of new authors that were dropped because a neighbour brought new authors too fast.
    pub entries_of_new_authors: u64,
    /// Entries of a kind or a room that is not shown here, when they would have been.
    pub entries_not_shown: u64,
    /// Entries that came without their bodies.
    pub bodies_gone: u64,
    /// Entries of no run that came, and were relayed.
    pub live: u64,
    /// Entries of no run that came and were dated too far from now.
    pub live_untimely: u64,
    /// Entries of no run that were over the rate of their neighbour.
    pub live_over_rate: u64,
    /// Entries whose author goes by a name that another key had before.
    pub names_taken: u64,
    /// Names of authors that were forgotten to make room.
    pub names_forgotten: u64,
    /// Members forgotten for want of room.
    pub members_forgotten: u64,
    /// Entries whose signatures were found to hold together with others that came at once. This depends on how streams
    /// were cut.
    pub verified_together: u64,
    /// Entries whose signatures were verified by themselves.
    pub verified_alone: u64,
    /// Entries that were dropped because they exceeded their author's rate.
    pub entries_over_rate: u64,
    /// Entries sent, counted for each neighbour.
    pub entries_sent: u64,
    /// Entries not sent because a neighbour's queue was full.
    pub entries_not_pushed: u64,
    /// Announcements that were dropped for want of room. Reconciliation brings these entries.
    pub announcements_dropped: u64,
    /// Requests that were dropped for want of room.
    pub requests_dropped: u64,
    /// Entries and ranges that neighbours asked for and were not served, and reconciliations that were answered as briefly as
    /// possible, because their budget of bytes was used up.
    pub served_over_budget: u64,
    /// Messages of others that were relayed to peers without a key, as lines.
    pub lines_relayed: u64,
    /// Lines of such peers that this node signed.
    pub lines_signed: u64,
    /// Lines of such peers that this node did not sign, because too much waited, or for too long.
    pub lines_dropped: u64,
    /// Lines of such peers that were forgotten to make room.
    pub lines_forgotten: u64,
    /// Times that entries were reported missing.
    pub gaps: u64,
    /// Reconciliations that this node began.
    pub syncs: u64,
    /// Of these, those that it gave up: they took too many messages or too long.
    pub syncs_given_up: u64,
    /// Reconciliation messages that were not answered because they came too fast.
    pub syncs_refused: u64,
    /// Claims to be the root that were ignored because they came too fast.
    pub roots_ignored: u64,
    /// Commands that were refused because a queue was full.
    pub busy: u64,
    /// Frames of unknown type, and version 2 frames from version 1 peers.
    pub unknown_frames: u64,
    /// Rules that peers broke.
    pub violations: u64,
    /// Of these, malformed frames that were skipped.
    pub malformed: u64,
    /// Accepted connections.
    pub accepted: u64,
    /// Dials that were begun.
    pub dials: u64,
    /// Of these, those that brought no connection.
    pub dials_failed: u64,
    /// Pending connections closed to make room for others.
    pub evicted: u64,
    /// Newcomers that were turned away for want of room.
    pub turned_away: u64,
    /// Newcomers that were refused because they were banned.
    pub banned: u64,
    /// Newcomers that were refused because they belong to another network.
    pub foreign: u64,
    /// Links closed to make room for newcomers.
    pub displaced: u64,
    /// Links closed because there were too many.
    pub trimmed: u64,
    /// Dials of addresses where it was unknown whether a node is there.
    pub explored: u64,
    /// Links closed because the peer received too slowly.
    pub slow: u64,
    /// Links closed because the peer was silent for too long.
    pub silent: u64,
    /// Duplicate connections with one peer that were resolved.
    pub duplicates: u64,
    /// Addresses in `PEERS` that were added to the address book.
    pub learned: u64,
    /// Addresses in `PEERS` that were ignored because of a limit or a rule.
    pub addresses_ignored: u64,
    /// Dials of told addresses that were postponed, because the destination or the teller had no budget left.
    pub dials_postponed: u64,
    /// Linked peers that were not named to another peer, because it cannot reach their address.
    pub peers_withheld: u64,
    /// How often reading from a link was paused.
    pub pauses: u64,
    /// Handshakes of sealed connections that peers opened and that began.
    #[serde(default)]
    pub handshakes: u64,
    /// Handshakes that peers opened and that had to wait for their turn.
    #[serde(default)]
    pub handshakes_delayed: u64,
    /// Connections dropped because they were in clear where that is not admitted.
    #[serde(default)]
    pub refused_clear: u64,
    /// Dials that found another node than the expected one.
    #[serde(default)]
    pub wrong_keys: u64,
}
