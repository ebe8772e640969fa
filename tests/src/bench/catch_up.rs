//! What a catch-up costs in bytes, besides the entries.

use std::time::Duration;

use proto_core::{Entry, Limits};

use super::meeting::{Author, Meeting};

/// What was sent over a link from its first byte until all is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of all lines but `CHAT`, both ways.
    pub control: u64,
    /// Lines of `CHAT`.
    pub entries: u64,
}

/// More than a catch-up takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A node that holds so many entries meets one that lacks the newest of them.
///
/// # Panics
/// When the other one does not catch up.
pub fn catch_up(all: usize, missing: usize, authors: usize) -> Cost {
    let said = said(all, authors);
    let limits = Limits::default().with(|limits| {
        (limits.chat.log_entries, limits.chat.log_bytes) = (all * 2, all * 8_192);
        limits.chat.seen = all * 2;
    });
    let mut meeting = Meeting::new(&[limits.clone(), limits]);
    meeting.give(0, &said[..all - missing]);
    meeting.give(1, &said);
    drop(said);
    meeting.link(0, 1);
    let end = meeting.now + PATIENCE;
    let caught_up = meeting.run_until(end, |meeting| meeting.held(0) == all);
    assert!(caught_up, "{} of {all} are there", meeting.held(0));
    // What ends the last answer.
    meeting.run_for(Duration::from_secs(1));
    let sent = meeting.take_sent();
    let control = sent.iter().filter(|(word, _)| *word != "CHAT").map(|(_, (_, bytes))| bytes).sum();
    Cost { control, entries: sent.get("CHAT").map_or(0, |(lines, _)| *lines) }
}

/// Entries of authors who take turns, the oldest first.
fn said(all: usize, authors: usize) -> Vec<Entry> {
    let mut runs: Vec<_> = (0..authors).map(|author| Author::new(author as u8, 1)).collect();
    let ago = |n: usize| (60 + (all - n) / 10) as u64;
    (0..all).map(|n| runs[n % authors].says("what people say in one message", ago(n))).collect()
}
