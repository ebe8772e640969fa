//! How long it takes to fill an empty store from a neighbour's.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Entry, Limits};

use super::meeting::{Author, Meeting};
use crate::store::MemoryStore;

/// More than that takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A node with a store that has so many entries, and one with an empty store, on one machine. How long it takes in virtual time
/// until the second store has all.
///
/// # Panics
/// When that does not come to pass.
pub fn backfill(all: usize, authors: usize) -> Duration {
    let limits = Limits::default();
    let stores = vec![Some(MemoryStore::with(said(all, authors))), Some(MemoryStore::default())];
    let mut meeting = Meeting::stored([127, 0, 0], &[limits.clone(), limits], stores);
    meeting.link(1, 0);
    let (begin, has) = (meeting.now, |meeting: &Meeting| meeting.store(1).map_or(0, MemoryStore::len));
    let full = meeting.run_until(begin + PATIENCE, |meeting| has(meeting) == all);
    assert!(full, "{} of {all} are there", has(&meeting));
    meeting.now.since(begin)
}

/// Entries of authors who take turns, the oldest first.
fn said(all: usize, authors: usize) -> Vec<Arc<Entry>> {
    let mut runs: Vec<_> = (0..authors).map(|author| Author::new(author as u8 + 100, 1)).collect();
    let ago = |n: usize| (60 + (all - n) / 10) as u64;
    (0..all).map(|n| Arc::new(runs[n % authors].says("what people say in one message", ago(n)))).collect()
}
