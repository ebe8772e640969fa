//! What version 1 peers said, told apart from what is the same said again.
//!
//! One utterance reaches a node by several sources: as a line, and in the entry of each node that brought it in. Each way
//! brings each utterance once and in order; so what comes by a way is the first utterance of its speaker with its text
//! that has not come by this way, if there is one of about that time, and else a new one.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use arrayvec::ArrayVec;
use sha2::{Digest, Sha256};

use crate::model::{ChatText, Instant, Limits, NodeId, PublicKey, Via};

/// The most sources that are kept of an utterance. What comes by yet another is taken for it.
const MAX_SOURCES: usize = 8;

/// A way by which an utterance came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From the speaker.
    Heard,
    /// In an entry of this author.
    Entry(PublicKey),
}

/// Who said what; the text by its SHA-256.
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

/// When words came, and when they were said by the clock of who noted them.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) now: Instant,
    pub(super) at: u64,
}

#[derive(Debug)]
struct Utterance {
    first: When,
    sources: ArrayVec<Source, MAX_SOURCES>,
    shown: bool,
    /// When it is to be brought in.
    due: Option<Instant>,
}

impl Utterance {
    /// What comes at about the same time is the same, whatever the clocks say; what comes later is if it was said at
    /// about the same time.
    fn can_be(&self, source: Source, when: When, limits: &Limits) -> bool {
        let apart =
            Duration::from_millis(self.first.at.abs_diff(when.at)).min(when.now.since(self.first.now));
        apart <= limits.v1.match_window && !self.sources.contains(&source)
    }
}

/// The utterances noted last.
#[derive(Debug, Default)]
pub(super) struct Utterances {
    /// By the number of each, which grows.
    by_words: BTreeMap<Words, BTreeMap<u64, Utterance>>,
    /// Whose words each is, the oldest note first: an index of `by_words`.
    words: BTreeMap<u64, Words>,
    /// What is to be brought in.
    waiting: BTreeMap<(Instant, u64), (Via, ChatText)>,
    /// Of `waiting`: an index.
    bytes: usize,
    numbers: u64,
    /// How many were not brought in, for want of room.
    pub(super) dropped: u64,
    /// How many notes were forgotten, for want of room.
    pub(super) forgotten: u64,
}

/// What became of a note.
pub(super) struct Noted {
    /// The number of the utterance, if it is a new one.
    pub(super) new: Option<u64>,
    /// Whether it was not shown before.
    pub(super) show: bool,
}

impl Utterances {
    /// Notes that words came by a way; `show`: they are shown if they were not before.
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
        let said = self.by_words.entry(words).or_default();
        let known = said.iter_mut().find(|(_, utterance)| utterance.can_be(source, when, limits));
        let Some((number, utterance)) = known else {
            let number = self.numbers;
            self.numbers += 1;
            said.insert(
                number,
                Utterance { first: when, sources: [source].into_iter().collect(), shown: show, due: None },
            );
            self.words.insert(number, words);
            self.bound(limits);
            return Noted { new: Some(number), show };
        };
        let number = *number;
        // One way more than are kept is taken for one that is.
        let _ = utterance.sources.try_push(source);
        let show = show && !utterance.shown;
        utterance.shown |= show;
        self.cancel(words, number);
        Noted { new: None, show }
    }

    /// Whether any of these words that came by this way came by another before.
    pub(super) fn any_known(
        &self,
        source: Source,
        speaker: NodeId,
        texts: &[ChatText],
        when: When,
        limits: &Limits,
    ) -> bool {
        texts.iter().any(|text| {
            let said = self.by_words.get(&Words::new(speaker, text.as_str()));
            said.is_some_and(|said| said.values().any(|utterance| utterance.can_be(source, when, limits)))
        })
    }

    /// Brings an utterance in at `due`, unless it comes in by others before.
    pub(super) fn bring_in(&mut self, number: u64, due: Instant, who: Via, text: ChatText, limits: &Limits) {
        let Some(utterance) = self.utterance(number) else { return };
        utterance.due = Some(due);
        self.bytes += size(&text);
        self.waiting.insert((due, number), (who, text));
        // Where too much waits, what would wait longest does so no longer: it is not brought in from here.
        while self.waiting.len() > limits.v1.waiting || self.bytes > limits.v1.waiting_bytes {
            let Some(((_, last), (_, text))) = self.waiting.pop_last() else { return };
            self.bytes -= size(&text);
            self.dropped += 1;
            if let Some(utterance) = self.utterance(last) {
                utterance.due = None;
            }
        }
    }

    /// Lines known, lines that wait, and the bytes of the latter.
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.words.len(), self.waiting.len(), self.bytes]
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// What is due of the first speaker, in the order in which it was said.
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
            if let Some(utterance) = self.utterance(key.1) {
                utterance.due = None;
            }
        }
        Some((who, texts))
    }

    fn utterance(&mut self, number: u64) -> Option<&mut Utterance> {
        self.by_words.get_mut(self.words.get(&number)?)?.get_mut(&number)
    }

    /// Forgets that an utterance is to be brought in.
    fn cancel(&mut self, words: Words, number: u64) {
        let utterance = self.by_words.get_mut(&words).and_then(|said| said.get_mut(&number));
        let Some(due) = utterance.and_then(|utterance| utterance.due.take()) else { return };
        if let Some((_, text)) = self.waiting.remove(&(due, number)) {
            self.bytes -= size(&text);
        }
    }

    /// Where there are too many utterances, the one noted first is forgotten. It is not brought in any more.
    fn bound(&mut self, limits: &Limits) {
        while self.words.len() > limits.v1.lines
            && let Some((number, words)) =
                self.words.first_key_value().map(|(number, words)| (*number, *words))
        {
            self.cancel(words, number);
            self.words.remove(&number);
            self.forgotten += 1;
            if let Some(said) = self.by_words.get_mut(&words) {
                said.remove(&number);
                if said.is_empty() {
                    self.by_words.remove(&words);
                }
            }
        }
    }

    pub(super) fn is_consistent(&self) -> bool {
        let all =
            || self.by_words.iter().flat_map(|(words, said)| said.iter().map(move |(n, u)| (*words, *n, u)));
        let waiting = all().filter_map(|(_, number, utterance)| Some((utterance.due?, number)));
        let words: BTreeMap<_, _> = all().map(|(words, number, _)| (number, words)).collect();
        self.words == words
            && self.by_words.values().all(|said| !said.is_empty())
            && waiting.collect::<BTreeSet<_>>() == self.waiting.keys().copied().collect()
            && self.bytes == self.waiting.values().map(|(_, text)| size(text)).sum::<usize>()
    }
}

pub(super) fn size(text: &ChatText) -> usize {
    text.as_str().len() + size_of::<(Via, ChatText)>()
}
