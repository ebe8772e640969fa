//! What version 1 peers said, with repeated reports of the same words recognised (SPEC 10.5).
//!
//! One utterance reaches a node from several sources: as a line from the speaker, and in the entry of each node that
//! brought it in. Each source reports each utterance once, and in order. So a report is taken for the first utterance
//! of the speaker with this text that the source has not reported yet, if the times fit. Otherwise it is a new one.

mod repeats;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::model::{ChatText, Instant, Limits, NodeId, PublicKey, Via};
use repeats::Repeats;

/// Where the report of an utterance came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A line from the speaker.
    Speaker,
    /// An entry of this author.
    Entry(PublicKey),
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
    /// The words of each utterance, by its number: an index of `by_words`.
    words: BTreeMap<u64, Words>,
    /// What is to be brought in, by the time when it is due and the number of its utterance.
    waiting: BTreeMap<(Instant, u64), (Via, ChatText)>,
    /// Bytes in `waiting`: an index.
    bytes: usize,
    /// The number of the next utterance.
    next_number: u64,
    /// How many were not brought in because too much waited.
    pub(super) dropped: u64,
    /// How many were forgotten because there were too many.
    pub(super) forgotten: u64,
}

/// What became of a report.
pub(super) struct Noted {
    /// The number of the utterance, if it is a new one.
    pub(super) new: Option<u64>,
    /// Whether to show the words now.
    pub(super) show: bool,
}

impl Utterances {
    /// Notes a report. `show`: the words are to be shown unless they were shown before.
    pub(super) fn note(
        &mut self,
        source: Source,
        speaker: NodeId,
        text: &str,
        when: When,
        show: bool,
        limits: &Limits,
    ) -> Noted {
        let words = Words::new(speaker, text);
        let repeats = self.by_words.entry(words).or_default();
        let Some(number) = repeats.first_match(source, when, limits) else {
            let number = self.next_number;
            self.next_number += 1;
            repeats.push(number, source, when, show);
            self.words.insert(number, words);
            self.enforce_bound(limits);
            return Noted { new: Some(number), show };
        };
        let newly_shown = repeats.report(number, source, show);
        self.cancel(words, number);
        Noted { new: None, show: newly_shown }
    }

    /// Whether another source reported any of these words before.
    pub(super) fn any_known<'a>(
        &mut self,
        source: Source,
        speaker: NodeId,
        texts: impl IntoIterator<Item = &'a str>,
        when: When,
        limits: &Limits,
    ) -> bool {
        texts.into_iter().any(|text| {
            let repeats = self.by_words.get_mut(&Words::new(speaker, text));
            repeats.is_some_and(|repeats| repeats.first_match(source, when, limits).is_some())
        })
    }

    /// Brings an utterance in at `due`, unless another node's entry brings it in before.
    pub(super) fn bring_in(&mut self, number: u64, due: Instant, who: Via, text: ChatText, limits: &Limits) {
        let Some(utterance_due) = self.due_mut(number) else { return };
        *utterance_due = Some(due);
        self.bytes += size(&text);
        self.waiting.insert((due, number), (who, text));
        // If too much waits, what would wait longest is dropped: another node has to bring it in.
        while self.waiting.len() > limits.v1.waiting || self.bytes > limits.v1.waiting_bytes {
            let Some(((_, last), (_, text))) = self.waiting.pop_last() else { return };
            self.bytes -= size(&text);
            self.dropped += 1;
            if let Some(due) = self.due_mut(last) {
                *due = None;
            }
        }
    }

    /// How many utterances are known, how many wait, and the bytes of those that wait.
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.words.len(), self.waiting.len(), self.bytes]
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// What is due of the speaker whose words are due first, in the order in which it was said.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(Via, Vec<ChatText>)> {
        let (_, (who, _)) = self.waiting.first_key_value().filter(|((due, _), _)| *due <= now)?;
        let who = who.clone();
        let due = self.waiting.range(..=(now, u64::MAX)).filter(|(_, (other, _))| *other == who);
        let keys: Vec<_> = due.map(|(key, _)| *key).collect();
        let mut texts = Vec::with_capacity(keys.len());
        for key in keys {
            let Some((_, text)) = self.waiting.remove(&key) else { continue };
            self.bytes -= size(&text);
            texts.push(text);
            if let Some(due) = self.due_mut(key.1) {
                *due = None;
            }
        }
        Some((who, texts))
    }

    /// When the utterance with this number is to be brought in.
    fn due_mut(&mut self, number: u64) -> Option<&mut Option<Instant>> {
        self.by_words.get_mut(self.words.get(&number)?)?.due_mut(number)
    }

    /// Cancels the bringing in of an utterance.
    fn cancel(&mut self, words: Words, number: u64) {
        let due = self.by_words.get_mut(&words).and_then(|repeats| repeats.due_mut(number));
        let Some(due) = due.and_then(Option::take) else { return };
        if let Some((_, text)) = self.waiting.remove(&(due, number)) {
            self.bytes -= size(&text);
        }
    }

    /// If there are too many utterances, forgets the oldest. A forgotten one is not brought in.
    fn enforce_bound(&mut self, limits: &Limits) {
        while self.words.len() > limits.v1.lines
            && let Some((number, words)) =
                self.words.first_key_value().map(|(number, words)| (*number, *words))
        {
            self.cancel(words, number);
            self.words.remove(&number);
            self.forgotten += 1;
            if let Some(repeats) = self.by_words.get_mut(&words) {
                // The oldest of all is the oldest with these words.
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
        self.words == words
            && self.by_words.values().all(|repeats| !repeats.is_empty() && repeats.is_consistent())
            && waiting.collect::<BTreeSet<_>>() == self.waiting.keys().copied().collect()
            && self.bytes == self.waiting.values().map(|(_, text)| size(text)).sum::<usize>()
    }
}

/// What a waiting text is charged in addition to its bytes: a constant, so that it is the same on all machines.
const WAITING_CHARGE: usize = 256;

/// The bytes that a waiting text is charged for.
pub(super) fn size(text: &ChatText) -> usize {
    text.as_str().len() + WAITING_CHARGE
}
