//! What waits to be written on one link, and what a slow peer costs.

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::model::{Instant, Limits};

/// The output of one link: whole frames, gathered into chunks, of which one at a time is with the driver.
#[derive(Debug, Default)]
pub(in crate::conns) struct OutputQueue {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in `chunks`.
    waiting: usize,
    /// Bytes with the driver, and since when.
    in_flight: Option<(usize, Instant)>,
    /// All but the first so many chunks wait until then.
    gate: Option<(Instant, usize)>,
    /// What was taken lately, the oldest first; kept while the queue is full.
    taken: VecDeque<(Instant, usize)>,
    full: Option<Full>,
}

/// The state of a queue from when it became full until it is below half.
#[derive(Clone, Copy, Debug)]
struct Full {
    since: Instant,
    /// Nobody waits for it any more.
    waived: bool,
}

impl OutputQueue {
    /// Bytes in the queue, those with the driver included.
    pub(in crate::conns) fn bytes(&self) -> usize {
        self.waiting + self.in_flight.map_or(0, |(bytes, _)| bytes)
    }

    /// Whether nothing is left to hand to the driver.
    pub(in crate::conns) fn is_drained(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a chunk can go to the driver.
    pub(in crate::conns) fn is_ready(&self) -> bool {
        self.in_flight.is_none() && !self.chunks.is_empty() && self.gate.is_none_or(|(_, before)| before > 0)
    }

    /// Holds what is pushed from now on back until then, and with it what is held back already.
    pub(in crate::conns) fn close_gate_until(&mut self, until: Instant) {
        let gate = (until, self.chunks.len());
        self.gate = Some(self.gate.map_or(gate, |held| (held.0.max(gate.0), held.1.min(gate.1))));
    }

    /// Holds nothing back any more.
    pub(in crate::conns) fn open_gate(&mut self) {
        self.gate = None;
    }

    /// Until when something is held back.
    pub(in crate::conns) fn gate_opens_at(&self) -> Option<Instant> {
        self.gate.map(|(until, _)| until)
    }

    /// Appends whole frames, or none, cut where they are more than a chunk.
    pub(in crate::conns) fn push(&mut self, frames: &[u8], chunk: usize) {
        self.waiting += frames.len();
        let at_gate = self.gate.is_some_and(|(_, before)| before == self.chunks.len());
        match self.chunks.back_mut() {
            Some(last) if !at_gate && last.len() + frames.len() <= chunk => last.extend_from_slice(frames),
            _ => self.chunks.extend(frames.chunks(chunk).map(<[u8]>::to_vec)),
        }
    }

    /// The next chunk for the driver.
    pub(in crate::conns) fn take_chunk(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.is_ready() {
            return None;
        }
        let chunk = self.chunks.pop_front()?;
        if let Some((_, before)) = &mut self.gate {
            *before -= 1;
        }
        self.waiting -= chunk.len();
        self.in_flight = Some((chunk.len(), now));
        Some(chunk)
    }

    /// The driver is rid of the chunk that it had.
    pub(in crate::conns) fn flushed(&mut self, now: Instant, limits: &Limits) {
        let Some((bytes, _)) = self.in_flight.take() else { return };
        if self.bytes() < limits.conns.queue / 2 {
            self.full = None;
            self.taken = VecDeque::new();
        } else {
            self.forget_taken(now, limits);
            self.taken.push_back((now, bytes));
        }
    }

    /// When the link counts as stalled, if nothing of the chunk that is out is taken until then.
    pub(in crate::conns) fn stalled_at(&self, limits: &Limits) -> Option<Instant> {
        self.in_flight_since().map(|since| since + limits.conns.stalled)
    }

    /// Since when the driver has a chunk.
    pub(in crate::conns) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.map(|(_, since)| since)
    }

    /// Whether `bytes` more have to wait: the queue is full, and yet it moves or has only just become full.
    pub(in crate::conns) fn blocks(&mut self, now: Instant, bytes: usize, limits: &Limits) -> bool {
        if self.full.is_none() && self.bytes() + bytes <= limits.conns.queue {
            return false;
        }
        self.full.get_or_insert(Full { since: now, waived: false });
        self.still_blocks(now, limits)
    }

    /// Whether what had to wait still has to.
    pub(in crate::conns) fn still_blocks(&mut self, now: Instant, limits: &Limits) -> bool {
        let until = self.blocks_until(limits);
        let Some(full) = &mut self.full else { return false };
        full.waived |= until.is_none_or(|until| until <= now);
        !full.waived
    }

    /// How long a full queue is waited for if nothing of it is taken until then.
    pub(in crate::conns) fn blocks_until(&self, limits: &Limits) -> Option<Instant> {
        let full = self.full.filter(|full| !full.waived)?;
        // The newest of those that together make the pace: once it is old, they no longer do.
        let mut sum = 0;
        let paced = self.taken.iter().rev().find(|(_, bytes)| {
            sum += bytes;
            sum >= limits.conns.pace
        });
        let paced = paced.map_or(Instant::ORIGIN, |(at, _)| *at + limits.conns.pace_window);
        Some(paced.max(full.since + limits.conns.patience))
    }

    fn forget_taken(&mut self, now: Instant, limits: &Limits) {
        while self.taken.front().is_some_and(|(at, _)| now.since(*at) >= limits.conns.pace_window) {
            self.taken.pop_front();
        }
    }
}
