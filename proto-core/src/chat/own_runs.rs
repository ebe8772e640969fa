//! The runs of this node as an author: what its user says, and what it brings in for peers without a key.

use rand_core::Rng;

use crate::model::{Entry, MAX_NUMBER, RunPosition};

/// The runs in which this node signs.
#[derive(Debug)]
pub(super) struct OwnRuns {
    /// Of the class of what is kept.
    words: OwnRun,
    /// Of the class `line`. It has another epoch, so that no two entries of this node have one place. None: this node has
    /// brought in nothing yet.
    lines: Option<OwnRun>,
}

/// A run, and where its next entry stands.
#[derive(Debug)]
pub(super) struct OwnRun {
    epoch: u64,
    next: RunPosition,
}

impl OwnRuns {
    /// Runs without entries. What earlier starts of the node signed is not stored, so each start begins an epoch.
    pub(super) fn new(random: &mut impl Rng) -> Self {
        Self { words: OwnRun::new(random), lines: None }
    }

    /// The run of the user's words, or that of lines.
    pub(super) fn get(&mut self, lines: bool, random: &mut impl Rng) -> &mut OwnRun {
        let run = if lines { self.lines.get_or_insert_with(|| OwnRun::new(random)) } else { &mut self.words };
        if run.next.seq() == MAX_NUMBER {
            *run = OwnRun::new(random);
        }
        run
    }
}

impl OwnRun {
    fn new(random: &mut impl Rng) -> Self {
        Self { epoch: random.next_u64() & MAX_NUMBER, next: RunPosition::FIRST }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the next entry stands.
    pub(super) fn next(&self) -> RunPosition {
        self.next
    }

    /// This entry was signed at the next position.
    pub(super) fn signed(&mut self, entry: &Entry) {
        if let Some(next) = RunPosition::after(entry) {
            self.next = next;
        }
    }
}
