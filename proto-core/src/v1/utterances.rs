//! What version 1 peers said, with repeated reports of the same words recognised (SPEC 10.5).
//!
//! One utterance reaches a node from several sources: as a line from the speaker, and in the entry of each node that
//! brought it in. Each source reports each utterance once, and in order. So a report is taken for the first utterance
//! of the speaker with this text that the source has not reported yet, if the times fit. Otherwise it is a new one.

mod origins;
mod repeats;
#[cfg(test)]
mod tests;
mod waiting;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::model::{ChatText, Instant, Limits, NodeId, PublicKey, Via};
pub(super) use origins::Origin;
use origins::Origins;
use repeats::Repeats;
use waiting::Waiting;
#[cfg(test)]
pub(super) use waiting::size;

/// Where the report of an utterance came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A line from the speaker.
    Speaker,
    /// An entry of this author.
    Entry(PublicKey),
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Host(_) => Self::Speaker,
            Origin::Author(key) => Self::Entry(key),
        }
    }
}

/// A speaker and the SHA-256 of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Words {
    speaker: NodeId,
    text: [u8; 32],
}

impl Words {
    fn new(speaker: NodeId, text: &str) -> Self {
        Self { speaker, text: Sha256::digest(text.as_bytes()).into() }
    }
}

/// The time of a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// When it arrived. This never goes back from one report to the next.
    pub(super) now: Instant,
    /// When the words were said, in milliseconds, by the wall clock of the node that heard them.
    pub(super) at: u64,
}

/// The newest utterances, and those that wait to be brought in.
#[derive(Debug, Default)]
pub(super) struct Utterances {
    by_words: BTreeMap<Words, Repeats>,
    /// The words of each utterance and where it came from, by its number: an index of `by_words`.
    words: BTreeMap<u64, (Words, Origin)>,
    /// The utterances by where they came from: an index of `words`.
    origins: Origins,
    /// What is to be brought in.
    waiting: Waiting,
    /// The number of the next utterance.
    next_number: u64,
    /// How many were not brought in because too much waited, or for too long.
    pub(super) dropped: u64,
    /// How many were forgotten because there were too many.
    pub(super) forgotten: u64,
}

impl Utterances {
    /// Notes a report. If it is of a new utterance, returns the number of that, and the words are to be shown.
    pub(super) fn note(
        &mut self,
        origin: Origin,
        speaker: NodeId,
        text: &str,
        when: When,
        limits: &Limits,
    ) -> Option<u64> {
        let words = Words::new(speaker, text);
        let source = Source::from(origin);
        let repeats = self.by_words.entry(words).or_default();
        let Some(number) = repeats.first_match(source, when, limits) else {
            let number = self.next_number;
            self.next_number += 1;
            repeats.push(number, source, when);
            self.words.insert(number, (words, origin));
            self.origins.insert(origin, number);
            self.enforce_bound(limits);
            return Some(number);
        };
        repeats.report(number, source);
        self.cancel(words, number);
        None
    }

    /// Brings an utterance in at `due`, unless another node's entry brings it in before.
    pub(super) fn bring_in(
        &mut self,
        (number, due): (u64, Instant),
        host: IpAddr,
        who: Via,
        text: ChatText,
        limits: &Limits,
    ) {
        let Some(utterance_due) = self.due_mut(number) else { return };
        *utterance_due = Some(due);
        self.waiting.insert((due, number), host, who, text);
        // Another node has to bring in what is dropped.
        while let Some(surplus) = self.waiting.surplus(limits) {
            self.take(surplus);
            self.dropped += 1;
        }
    }

    /// A line waits no longer.
    fn take(&mut self, due: (Instant, u64)) -> Option<(Via, ChatText)> {
        if let Some(utterance_due) = self.due_mut(due.1) {
            *utterance_due = None;
        }
        self.waiting.remove(due)
    }

    /// How many utterances are known, how many wait, and the bytes of those that wait.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let [waiting, bytes] = self.waiting.sizes();
        [self.words.len(), waiting, bytes]
    }

    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        self.waiting.deadline(limits)
    }

    /// What is to be brought in now, as one entry, in the order in which it was said.
    pub(super) fn next_due(&mut self, now: Instant, limits: &Limits) -> Option<(Via, Vec<ChatText>)> {
        while let Some(overdue) = self.waiting.overdue(now, limits) {
            self.take(overdue);
            self.dropped += 1;
        }
        let lines = self.waiting.next_entry(now, limits)?;
        let (mut speaker, mut texts) = (None, Vec::with_capacity(lines.len()));
        for (who, text) in lines.into_iter().filter_map(|due| self.take(due)) {
            speaker = Some(who);
            texts.push(text);
        }
        Some((speaker?, texts))
    }

    /// When the utterance with this number is to be brought in.
    fn due_mut(&mut self, number: u64) -> Option<&mut Option<Instant>> {
        self.by_words.get_mut(&self.words.get(&number)?.0)?.due_mut(number)
    }

    /// Cancels the bringing in of an utterance.
    fn cancel(&mut self, words: Words, number: u64) {
        let due = self.by_words.get_mut(&words).and_then(|repeats| repeats.due_mut(number));
        let Some(due) = due.and_then(Option::take) else { return };
        self.waiting.remove((due, number));
    }

    /// If there are too many utterances, forgets one of those who brought most: the oldest with the same words as their
    /// oldest one. A forgotten one is not brought in.
    fn enforce_bound(&mut self, limits: &Limits) {
        while self.words.len() > limits.v1.lines
            && let Some(oldest) = self.origins.oldest_of_most()
            && let Some((words, _)) = self.words.get(&oldest).copied()
            && let Some(number) = self.by_words.get(&words).and_then(Repeats::oldest)
        {
            self.cancel(words, number);
            if let Some((_, origin)) = self.words.remove(&number) {
                self.origins.remove(origin, number);
            }
            self.forgotten += 1;
            if let Some(repeats) = self.by_words.get_mut(&words) {
                repeats.pop_oldest();
                if repeats.is_empty() {
                    self.by_words.remove(&words);
                }
            }
        }
    }

    /// Compares the indexes with what they are indexes of.
    pub(super) fn is_consistent(&self) -> bool {
        let all = || {
            let of_words = |(words, repeats): (&Words, _)| {
                let words = *words;
                Repeats::iter(repeats).map(move |(number, due)| (words, number, due))
            };
            self.by_words.iter().flat_map(of_words)
        };
        let waiting = all().filter_map(|(_, number, due)| Some((due?, number)));
        let words: BTreeMap<_, _> = all().map(|(words, number, _)| (number, words)).collect();
        self.words.iter().map(|(number, (words, _))| (*number, *words)).collect::<BTreeMap<_, _>>() == words
            && self.origins.is_consistent(self.words.iter().map(|(number, (_, origin))| (*origin, *number)))
            && self.waiting.is_consistent()
            && self.by_words.values().all(|repeats| !repeats.is_empty() && repeats.is_consistent())
            && waiting.collect::<BTreeSet<_>>() == self.waiting.due().collect()
    }
}
