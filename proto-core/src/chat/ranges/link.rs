//! What one neighbour was asked for.

use alloc::vec::Vec;
use core::time::Duration;

use crate::chat::gossip::{MAX_WAIT_ANSWERING, MAX_WAIT_BUSY};
use crate::model::{Instant, Limits, RunId};
use crate::wire::{RangeEnd, RangeQuery};

/// What a neighbour may take for each entry, and for each piece of a long one, where another may hold it.
const FOR_EACH: Duration = Duration::from_secs(1);
const PIECE: usize = 4_096;

/// A number is not held by the neighbour if so many came with higher ones. Fewer may have come by themselves.
const NOT_HELD: u8 = 4;

/// The ranges that one neighbour was asked for.
#[derive(Debug, Default)]
pub(super) struct LinkRanges {
    pub(super) asked: Vec<Asked>,
    /// When it was asked for the first of these, or last brought something of them.
    pub(super) begun: Option<Instant>,
    /// How many entries it is asked for at once. None: few.
    batch: Option<u64>,
    /// It sends nothing for now, by its own word: until when it is not asked, and how long that is.
    pause: Option<(Instant, Duration)>,
}

/// A range that a neighbour was asked for and has not answered to the end.
#[derive(Debug)]
pub(super) struct Asked {
    tag: u64,
    pub(super) run: RunId,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When it was asked for.
    at: Instant,
    /// When it was asked for, or the last entry of it came.
    pub(super) since: Instant,
    /// The number behind the last one that came in order, or the first one.
    pub(super) next: u64,
    /// How many came with higher numbers since.
    ahead: u8,
    /// When to look whether anything came.
    pub(super) check: Instant,
    /// It is wanted for the store alone.
    pub(super) low: bool,
    /// When the first entry of it came, and how many pieces of [`PIECE`] bytes came since.
    pub(super) brought: Option<(Instant, u32)>,
    /// Another neighbour is asked now. What still comes counts as asked for.
    pub(super) lost: bool,
    /// The lowest number of those for which there was no room, or that were over a rate.
    pub(super) refused: Option<u64>,
    /// There was no room, or they are dated too far ahead: that may stay so for long.
    pub(super) untimely: bool,
    /// The same where it was the store that had no room.
    pub(super) left: Option<u64>,
}

impl Asked {
    pub(super) fn new(now: Instant, query: RangeQuery, low: bool, limits: &Limits) -> Self {
        let RangeQuery { run, first, last, tag } = query;
        let check = now + limits.chat.range_wait;
        Self {
            tag,
            run,
            first,
            last,
            at: now,
            since: now,
            next: first,
            ahead: 0,
            check,
            low,
            brought: None,
            lost: false,
            refused: None,
            untimely: false,
            left: None,
        }
    }

    fn contains(&self, run: &RunId, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq) && self.run == *run
    }

    /// When it is given up if nothing more comes. `another`: someone else may hold it. While bytes of something else come, it
    /// is waited for, since the answer is behind them, but not without end. Where someone else may hold it, whoever brings it
    /// entry by entry has a minute from the first one on, and a second for each.
    pub(super) fn expires(&self, heard: Option<Instant>, another: bool, limits: &Limits) -> Instant {
        let (wait, long) = (limits.chat.range_wait, limits.chat.asked_for);
        let (least, rounds) = if another { (wait, MAX_WAIT_BUSY) } else { (long, MAX_WAIT_ANSWERING) };
        let least = self.since + least;
        let expires = heard.map_or(least, |heard| (heard + wait).max(least)).min(self.since + long * rounds);
        let slowest = self.brought.map(|(first, pieces)| first + long * MAX_WAIT_BUSY + FOR_EACH * pieces);
        slowest.filter(|_| another).map_or(expires, |slowest| expires.min(slowest))
    }

    /// An entry of it came, whose line has so many bytes.
    pub(super) fn came(&mut self, now: Instant, seq: u64, bytes: usize) {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let (first, before) = self.brought.unwrap_or((now, 0));
        self.brought = Some((first, before.saturating_add(pieces)));
        self.since = now;
        if seq > self.next {
            self.ahead += 1;
        }
        if seq == self.next || self.ahead == NOT_HELD {
            (self.next, self.ahead) = (seq.saturating_add(1), 0);
        }
    }

    /// Gives it to another neighbour. Until it ends, or for some time, it takes up the place of another range.
    pub(super) fn lose(&mut self, now: Instant, limits: &Limits) {
        self.lost = true;
        self.check = now + limits.chat.asked_for * MAX_WAIT_ANSWERING;
    }
}

impl LinkRanges {
    pub(super) fn of(&self, run: &RunId, seq: u64) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.contains(run, seq))
    }

    /// Whether it was asked for anything that the store alone is to have.
    pub(super) fn is_asked_low(&self) -> bool {
        self.asked.iter().any(|asked| asked.low)
    }

    /// Whether the store alone is to have this entry that it was asked for.
    pub(super) fn is_low(&self, run: &RunId, seq: u64) -> bool {
        self.asked.iter().any(|asked| asked.low && asked.contains(run, seq))
    }

    pub(super) fn of_mut(&mut self, run: &RunId, seq: u64) -> Option<&mut Asked> {
        self.asked.iter_mut().find(|asked| asked.contains(run, seq))
    }

    /// Whether it lost a range of this run, and has not ended its answer.
    pub(super) fn has_lost(&self, run: &RunId) -> bool {
        self.asked.iter().any(|asked| asked.lost && asked.run == *run)
    }

    pub(super) fn batch(&self, limits: &Limits) -> u64 {
        self.batch.unwrap_or(limits.chat.range_first).max(1)
    }

    /// How much it is asked for, and how much of that it did not bring. An error: it cannot be asked for this run, at least
    /// until that time. What is wanted for the store alone (`low`) leaves room for the rest.
    pub(super) fn load(
        &self,
        now: Instant,
        run: &RunId,
        low: bool,
        limits: &Limits,
    ) -> Result<(usize, usize), Option<Instant>> {
        let most = if low { limits.chat.ranges.div_ceil(2) } else { limits.chat.ranges };
        if let Some((until, _)) = self.pause.filter(|(until, _)| *until > now) {
            return Err(Some(until));
        }
        let lost = self.asked.iter().filter(|asked| asked.lost);
        if self.asked.len() >= most || self.has_lost(run) {
            return Err(lost.map(|asked| asked.check).min());
        }
        Ok((lost.count(), self.asked.len()))
    }

    /// It ended an answer: returns what it was asked for.
    pub(super) fn end(&mut self, now: Instant, end: RangeEnd, limits: &Limits) -> Option<Asked> {
        let index = self.asked.iter().position(|asked| asked.tag == end.tag)?;
        let asked = self.asked.remove(index);
        // Whoever is asked goes on from this number, so one that brings nothing and denies little is asked as often.
        let is_later = end.next <= asked.first || asked.brought.is_none() && end.next <= asked.last;
        if is_later {
            let longest = limits.chat.range_wait * 4;
            let pause = self.pause.map_or(limits.chat.range_wait / 4, |(_, pause)| pause * 2).min(longest);
            self.pause = Some((now + pause, pause));
        } else {
            self.pause = None;
            let is_fast = now.since(asked.at) <= limits.chat.range_wait;
            // More that there is no room for is not asked for.
            let is_whole = end.next > asked.last && asked.refused.is_none();
            let doubled = self.batch(limits).saturating_mul(2).min(limits.chat.range_most);
            if !is_fast {
                self.batch = None;
            } else if is_whole {
                self.batch = Some(doubled.max(limits.chat.range_first));
            }
        }
        Some(asked)
    }
}
