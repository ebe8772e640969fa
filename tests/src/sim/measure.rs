//! What goes over the network: how often each entry arrives at each node, over how many links, and what that costs.
//!
//! It reads the bytes that the network carries, as a listener on the line would.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proto_core::{ConnId, Entry, Message};

use super::{HostId, Lines, Nanos};

/// Reads along.
#[derive(Debug, Default)]
pub struct Meter {
    lines: HashMap<ConnId, Lines>,
    spreads: HashMap<Box<[u8]>, Spread>,
    frames: Frames,
}

/// Frames and bytes that arrived, by their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// By the word before the `|`; entries of no run apart, as [`LIVE`](Self::LIVE).
    pub kinds: BTreeMap<Box<str>, (u64, u64)>,
}

impl Frames {
    /// Stands for a `CHAT` whose entry is in no run.
    pub const LIVE: &str = "CHAT of no run";

    /// Frames and bytes of all kinds but `CHAT`.
    pub fn control(&self) -> (u64, u64) {
        let control = self.kinds.iter().filter(|(kind, _)| !["CHAT", Self::LIVE].contains(&&***kind));
        control.fold((0, 0), |(frames, bytes), (_, (f, b))| (frames + f, bytes + b))
    }

    fn count(&mut self, line: &[u8]) {
        let mut fields = line.split(|byte| *byte == b'|');
        let word = fields.next().unwrap_or_default();
        let word = std::str::from_utf8(word).ok().filter(|word| word.len() <= 8 && word.len() < line.len());
        let word = match word.unwrap_or("?") {
            "CHAT" if fields.nth(1).is_some_and(is_live) => Self::LIVE,
            word => word,
        };
        if !self.kinds.contains_key(word) {
            self.kinds.insert(word.into(), (0, 0));
        }
        if let Some((frames, bytes)) = self.kinds.get_mut(word) {
            *frames += 1;
            *bytes += line.len() as u64;
        }
    }
}

/// How one entry went through the network.
#[derive(Clone, Debug)]
pub struct Spread {
    /// When it was said.
    pub said: Nanos,
    /// Who said it.
    pub author: HostId,
    /// How often it arrived anywhere.
    pub copies: u64,
    /// Over how many links it first came to each node; the author's is 0.
    hops: BTreeMap<HostId, u16>,
    /// When each node showed it.
    pub shown: BTreeMap<HostId, Nanos>,
}

impl Spread {
    /// Links on the longest way of a first arrival.
    pub fn last_hop(&self) -> u16 {
        self.hops.values().copied().max().unwrap_or_default()
    }

    /// Time until so many nodes showed it; none if they have not.
    pub fn time_to_reach(&self, nodes: usize) -> Option<Nanos> {
        let mut times: Vec<_> = self.shown.values().copied().collect();
        times.sort_unstable();
        Some(times.get(nodes.checked_sub(1)?)?.saturating_sub(self.said))
    }

    /// Copies that each other node of a network of this size received, less the one that it needs.
    pub fn redundancy(&self, nodes: usize) -> f64 {
        self.copies as f64 / (nodes.max(2) - 1) as f64 - 1.0
    }
}

impl Meter {
    /// What became of an entry.
    pub fn spread(&self, entry: &Entry) -> Option<&Spread> {
        self.spreads.get(&mark(entry))
    }

    /// What arrived since this was asked last.
    pub fn take_frames(&mut self) -> Frames {
        std::mem::take(&mut self.frames)
    }

    pub(super) fn said(&mut self, now: Nanos, host: HostId, entries: &[Arc<Entry>]) {
        for entry in entries {
            let spread = Spread {
                said: now,
                author: host,
                copies: 0,
                hops: BTreeMap::from([(host, 0)]),
                shown: BTreeMap::new(),
            };
            self.spreads.insert(mark(entry), spread);
        }
    }

    pub(super) fn delivered(&mut self, now: Nanos, host: HostId, message: &Message) {
        if let Message::Entry { entry, .. } = message
            && let Some(spread) = self.spreads.get_mut(&mark(entry))
        {
            spread.shown.entry(host).or_insert(now);
        }
    }

    pub(super) fn received(&mut self, from: HostId, to: HostId, conn: ConnId, bytes: &[u8]) {
        let Self { lines, spreads, frames } = self;
        lines.entry(conn).or_default().feed(bytes, |line| {
            frames.count(line);
            let Some(payload) = line.strip_prefix(b"CHAT|") else { return };
            let mark = payload.split(|byte| *byte == b'|').next().unwrap_or_default();
            let Some(spread) = spreads.get_mut(mark) else { return };
            spread.copies += 1;
            let hops = spread.hops.get(&from).map_or(1, |hops| hops + 1);
            spread.hops.entry(to).or_insert(hops);
        });
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.lines.remove(&conn);
    }
}

/// Whether this is the header of an entry in no run.
fn is_live(header: &[u8]) -> bool {
    const CLASS: &[u8] = br#""class":"live""#;
    header.windows(CLASS.len()).any(|part| part == CLASS)
}

/// How an entry is told from others in what the network carries: its signature.
fn mark(entry: &Entry) -> Box<[u8]> {
    entry.sealed().signature.to_string().into_bytes().into()
}
