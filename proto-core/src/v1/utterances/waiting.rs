//! The lines that wait to be brought in. All peers without a key share one budget (SPEC 10.7): addresses take turns, and at
//! one address its peers do. Long lines wait apart, so that short ones do not wait for many of them. Where too much waits, the
//! address that has most waiting gives way.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Bound;

use crate::model::{ChatText, Draft, Instant, Limits, MAX_TEXTS, NodeId, TokenBucket, Via};

/// When a line is due, and the number of its utterance.
type Due = (Instant, u64);

/// The lines that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: BTreeMap<Due, Line>,
    /// The lines of each host, and at each host of each speaker: an index of `lines`.
    hosts: BTreeMap<IpAddr, Host>,
    /// Bytes of `lines`: an index.
    bytes: usize,
    /// The host whose turn was last, by [`Kind`].
    turns: [Option<IpAddr>; 2],
    /// So many short entries come before the next long one, if there are any.
    short_first: u32,
    /// What all may bring in. None: nothing was brought in yet.
    budget: Option<Budget>,
}

#[derive(Debug)]
struct Line {
    host: IpAddr,
    who: Via,
    text: ChatText,
}

#[derive(Debug, Default)]
struct Host {
    bytes: usize,
    speakers: BTreeMap<NodeId, Speaker>,
    /// The speaker whose turn was last, by [`Kind`].
    turns: [Option<NodeId>; 2],
}

#[derive(Debug, Default)]
struct Speaker {
    bytes: usize,
    due: BTreeSet<Due>,
}

/// What a speaker has to say next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An entry that counts as one.
    Short,
    /// A line that counts as more than one entry.
    Long,
}

impl Kind {
    fn of(text: &ChatText) -> Self {
        if cost(text.as_str().len()) > 1 { Self::Long } else { Self::Short }
    }
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    entries: TokenBucket,
    bytes: TokenBucket,
}

impl Budget {
    fn full(limits: &Limits) -> Self {
        let v1 = &limits.v1;
        Self {
            entries: TokenBucket::per_second(v1.entries_per_second, v1.entries_burst),
            bytes: TokenBucket::per_second(v1.bytes_per_second, v1.bytes_burst),
        }
    }

    /// When one more entry may be brought in: `now`, if it may already.
    fn next_at(&self, now: Instant) -> Instant {
        self.entries.next_at(now).max(self.bytes.next_at(now))
    }

    /// An entry is brought in, with texts of so many bytes. A large one overdraws the budget.
    fn charge(&mut self, now: Instant, bytes: usize) {
        self.entries.charge(now, cost(bytes));
        self.bytes.charge(now, u32::try_from(bytes).unwrap_or(u32::MAX));
    }
}

/// An entry counts as one for each piece of so many bytes.
const PIECE: usize = 4_096;

/// What its line has besides the texts, about.
const HEADER: usize = 1_024;

/// As how many entries one with texts of so many bytes counts, as it does at neighbours (SPEC 7.5.1).
fn cost(bytes: usize) -> u32 {
    u32::try_from((bytes + HEADER).div_ceil(PIECE)).unwrap_or(u32::MAX)
}

/// Short entries that come for each one that a long entry counts as (SPEC 10.7.6). So even if each peer without a key has a
/// host of its own, all have a turn in about half a minute.
const SHORT_FOR_LONG: u32 = 3;

impl Waiting {
    /// A line waits. `host`: where its speaker is.
    pub(super) fn insert(&mut self, due: Due, host: IpAddr, who: Via, text: ChatText) {
        let of_host = self.hosts.entry(host).or_default();
        let speaker = of_host.speakers.entry(who.node_id).or_default();
        let size = size(&text);
        for bytes in [&mut self.bytes, &mut of_host.bytes, &mut speaker.bytes] {
            *bytes += size;
        }
        speaker.due.insert(due);
        self.lines.insert(due, Line { host, who, text });
    }

    /// A line waits no longer.
    pub(super) fn remove(&mut self, due: Due) -> Option<(Via, ChatText)> {
        let Line { host, who, text } = self.lines.remove(&due)?;
        let size = size(&text);
        self.bytes -= size;
        if let Some(of_host) = self.hosts.get_mut(&host) {
            of_host.bytes -= size;
            if let Some(speaker) = of_host.speakers.get_mut(&who.node_id) {
                speaker.bytes -= size;
                speaker.due.remove(&due);
                if speaker.due.is_empty() {
                    of_host.speakers.remove(&who.node_id);
                }
            }
            if of_host.speakers.is_empty() {
                self.hosts.remove(&host);
            }
        }
        Some((who, text))
    }

    /// If too much waits: the line that is not brought in, the last of the speaker that has most waiting, at the host that
    /// has most waiting.
    pub(super) fn surplus(&self, limits: &Limits) -> Option<Due> {
        if self.lines.len() <= limits.v1.waiting && self.bytes <= limits.v1.waiting_bytes {
            return None;
        }
        let host = self.hosts.values().max_by_key(|host| host.bytes)?;
        host.speakers.values().max_by_key(|speaker| speaker.bytes)?.due.last().copied()
    }

    /// A line that has waited for so long that others may no longer recognise it (SPEC 10.5).
    pub(super) fn overdue(&self, now: Instant, limits: &Limits) -> Option<Due> {
        let (due, _) = self.lines.first_key_value()?;
        (now.since(due.0) > limits.v1.match_window / 2).then_some(*due)
    }

    /// When there is something to bring in, or a line is overdue.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let ((due, _), _) = self.lines.first_key_value()?;
        let budget = self.budget.unwrap_or_else(|| Budget::full(limits));
        let overdue = *due + limits.v1.match_window / 2 + core::time::Duration::from_nanos(1);
        Some(budget.next_at(*due).min(overdue))
    }

    /// The lines of the next entry that is brought in now, in the order in which they were said.
    pub(super) fn next_entry(&mut self, now: Instant, limits: &Limits) -> Option<Vec<Due>> {
        let mut budget = self.budget.unwrap_or_else(|| Budget::full(limits));
        if budget.next_at(now) > now {
            return None;
        }
        let (kind, host, speaker) = self.next_speaker(now)?;
        let of_host = self.hosts.get_mut(&host)?;
        (self.turns[kind as usize], of_host.turns[kind as usize]) = (Some(host), Some(speaker));
        let (entry, bytes) = self.entry(now, kind, host, speaker);
        self.short_first = match kind {
            Kind::Short => self.short_first.saturating_sub(1),
            Kind::Long => cost(bytes).saturating_mul(SHORT_FOR_LONG),
        };
        budget.charge(now, bytes);
        self.budget = Some(budget);
        Some(entry)
    }

    /// Whose turn it is.
    fn next_speaker(&self, now: Instant) -> Option<(Kind, IpAddr, NodeId)> {
        let kinds = if self.short_first > 0 { [Kind::Short, Kind::Long] } else { [Kind::Long, Kind::Short] };
        kinds.into_iter().find_map(|kind| {
            let is_next = |speaker: &Speaker| self.kind(speaker, now) == Some(kind);
            let index = kind as usize;
            let host = after(&self.hosts, self.turns[index], |host| host.speakers.values().any(is_next))?;
            let of_host = self.hosts.get(&host)?;
            Some((kind, host, after(&of_host.speakers, of_host.turns[index], is_next)?))
        })
    }

    /// What a speaker has to say now, if anything is due.
    fn kind(&self, speaker: &Speaker, now: Instant) -> Option<Kind> {
        let due = speaker.due.first().filter(|(at, _)| *at <= now)?;
        self.lines.get(due).map(|line| Kind::of(&line.text))
    }

    /// The lines of this speaker's next entry, and the bytes of their texts.
    fn entry(&self, now: Instant, kind: Kind, host: IpAddr, speaker: NodeId) -> (Vec<Due>, usize) {
        let speaker = self.hosts.get(&host).and_then(|host| host.speakers.get(&speaker));
        let due = speaker.into_iter().flat_map(|speaker| speaker.due.range(..=(now, u64::MAX)));
        let lines: Vec<_> =
            due.take(MAX_TEXTS).filter_map(|due| Some((*due, self.lines.get(due)?))).collect();
        let (who, mut bytes) = (lines.first().map(|(_, line)| &line.who), 0);
        let together = lines.iter().take_while(|(_, line)| {
            bytes += line.text.as_str().len();
            Some(&line.who) == who && (kind == Kind::Long || cost(bytes) == 1)
        });
        let texts: Vec<_> = together.map(|(_, line)| line.text.clone()).collect();
        let count = Draft::fitting(&texts);
        let bytes = texts.iter().take(count).map(|text| text.as_str().len()).sum();
        (lines.iter().take(count).map(|(due, _)| *due).collect(), bytes)
    }

    /// How many lines wait, and their bytes.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.lines.len(), self.bytes]
    }

    /// What waits, by when it is due.
    pub(super) fn due(&self) -> impl Iterator<Item = Due> {
        self.lines.keys().copied()
    }

    /// Compares the indexes with what they are indexes of.
    pub(super) fn is_consistent(&self) -> bool {
        let of = |host: &IpAddr, speaker: &NodeId| {
            let (host, speaker) = (*host, *speaker);
            self.lines.iter().filter(move |(_, line)| (line.host, line.who.node_id) == (host, speaker))
        };
        let mut lines = 0;
        let consistent = self.hosts.iter().all(|(ip, host)| {
            let speakers = host.speakers.iter().all(|(id, speaker)| {
                lines += speaker.due.len();
                let bytes = of(ip, id).map(|(_, line)| size(&line.text)).sum::<usize>();
                !speaker.due.is_empty()
                    && bytes == speaker.bytes
                    && of(ip, id).map(|(due, _)| *due).eq(speaker.due.iter().copied())
            });
            let bytes = host.speakers.values().map(|speaker| speaker.bytes).sum::<usize>();
            speakers && !host.speakers.is_empty() && bytes == host.bytes
        });
        let bytes = self.lines.values().map(|line| size(&line.text)).sum::<usize>();
        consistent && lines == self.lines.len() && bytes == self.bytes
    }
}

/// The next key behind the last one, around in a circle, that the condition holds for.
fn after<K: Ord + Copy, V>(map: &BTreeMap<K, V>, last: Option<K>, is_due: impl Fn(&V) -> bool) -> Option<K> {
    let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
    let around = map.range((behind, Bound::Unbounded)).chain(map.iter());
    around.filter(|(_, value)| is_due(value)).map(|(key, _)| *key).next()
}

/// What a waiting text is charged in addition to its bytes: a constant, so that it is the same on all machines.
const WAITING_CHARGE: usize = 256;

/// The bytes that a waiting text is charged for.
pub(in crate::v1) fn size(text: &ChatText) -> usize {
    text.as_str().len() + WAITING_CHARGE
}
