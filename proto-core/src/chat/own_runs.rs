//! The runs of this node as an author: what its user says, and what it brings in for peers without a key.

use alloc::vec::Vec;

use crate::model::{Class, Cx, Entry, Fifo, MAX_NUMBER, OwnPosition, RunPosition};

/// The runs in which this node signs.
#[derive(Debug)]
pub(super) struct OwnRuns {
    /// Of the class of what is kept.
    words: OwnRun,
    /// Of the class `line`. It has another epoch, so that no two entries of this node have one place. None: this node has
    /// brought in nothing yet.
    lines: Option<OwnRun>,
    /// Others hold something else of one of them.
    forked: bool,
    /// The last epochs in which this node signed before, the oldest first.
    before: Fifo<u64, ()>,
    /// The epochs that an earlier start of this node began.
    restored: Vec<u64>,
}

/// The most epochs of before that are remembered.
const BEFORE: usize = 64;

/// A run, and where its next entry stands.
#[derive(Debug)]
pub(super) struct OwnRun {
    epoch: u64,
    next: RunPosition,
}

impl OwnRuns {
    /// The runs in which an earlier start of the node signed, as far as the store is sure where they end, and others without
    /// entries.
    pub(super) fn restore(cx: &mut Cx, kept: &[OwnPosition]) -> Self {
        let find = |class| kept.iter().rev().find(|own| own.class == class).map(OwnRun::restored);
        let (words, lines) = (find(Class::Kept), find(Class::Line));
        let restored = words.iter().chain(&lines).map(|run| run.epoch).collect();
        let words = words.unwrap_or_else(|| OwnRun::new(cx));
        Self { words, lines, forked: false, before: Fifo::default(), restored }
    }

    /// Begins other runs.
    pub(super) fn begin(&mut self, cx: &mut Cx) {
        let lines = self.lines.take().map(|run| run.epoch);
        for epoch in [self.words.epoch].into_iter().chain(lines) {
            self.before.insert(epoch, ());
        }
        while self.before.len() > BEFORE {
            self.before.pop_first();
        }
        (self.words, self.forked) = (OwnRun::new(cx), false);
    }

    /// The epoch of the user's words.
    pub(super) fn epoch(&self) -> u64 {
        self.words.epoch
    }

    /// Whether this node signs in this epoch.
    pub(super) fn is_current(&self, epoch: u64) -> bool {
        self.words.epoch == epoch || self.lines.as_ref().is_some_and(|run| run.epoch == epoch)
    }

    /// Whether an earlier start of this node began this epoch.
    pub(super) fn was_restored(&self, epoch: u64) -> bool {
        self.restored.contains(&epoch)
    }

    /// Whether this node signed in this epoch before.
    pub(super) fn was_current(&self, epoch: u64) -> bool {
        self.before.contains(&epoch)
    }

    /// Others hold something else of one of these runs than this node signed.
    pub(super) fn set_forked(&mut self) {
        self.forked = true;
    }

    pub(super) fn is_forked(&self) -> bool {
        self.forked
    }

    /// The run of the user's words, or that of lines.
    pub(super) fn get(&mut self, lines: bool, cx: &mut Cx) -> &mut OwnRun {
        let run = if lines { self.lines.get_or_insert_with(|| OwnRun::new(cx)) } else { &mut self.words };
        if run.next.seq() == MAX_NUMBER {
            self.before.insert(run.epoch, ());
            *run = OwnRun::new(cx);
        }
        run
    }
}

impl OwnRun {
    fn new(cx: &mut Cx) -> Self {
        Self { epoch: cx.random_epoch(), next: RunPosition::FIRST }
    }

    fn restored(own: &OwnPosition) -> Self {
        Self { epoch: own.epoch.min(MAX_NUMBER), next: own.next }
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
