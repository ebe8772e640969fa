//! The output queue of one link, and when a full one blocks the user.

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::model::{Instant, Limits};

/// The output queue of one link: whole frames, gathered into chunks. One chunk at a time is in flight with the driver.
#[derive(Debug, Default)]
pub(in crate::conns) struct OutputQueue {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in `chunks`.
    waiting: usize,
    /// The size of the chunk in flight, and since when it is.
    in_flight: Option<(usize, Instant)>,
    /// The gate: until that time, only that many chunks may be sent.
    gate: Option<(Instant, usize)>,
    /// The chunks written lately, the oldest first. They are recorded while the queue is at least half full.
    taken: VecDeque<(Instant, usize)>,
    full: Option<Full>,
}

/// The state of a queue from when it became full until it is below half.
#[derive(Clone, Copy, Debug)]
struct Full {
    since: Instant,
    /// It no longer blocks.
    waived: bool,
}

impl OutputQueue {
    /// Bytes in the queue, including the chunk in flight.
    pub(in crate::conns) fn bytes(&self) -> usize {
        self.waiting + self.in_flight.map_or(0, |(bytes, _)| bytes)
    }

    /// Whether no chunk is left for the driver.
    pub(in crate::conns) fn is_drained(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a chunk can go to the driver.
    pub(in crate::conns) fn is_ready(&self) -> bool {
        self.in_flight.is_none() && !self.chunks.is_empty() && self.gate.is_none_or(|(_, before)| before > 0)
    }

    /// Holds back what is pushed from now on until that time. What is held back already waits at least as long.
    pub(in crate::conns) fn close_gate_until(&mut self, until: Instant) {
        let gate = (until, self.chunks.len());
        self.gate = Some(self.gate.map_or(gate, |held| (held.0.max(gate.0), held.1.min(gate.1))));
    }

    /// Holds back nothing any more.
    pub(in crate::conns) fn open_gate(&mut self) {
        self.gate = None;
    }

    /// When the gate opens, if it is closed.
    pub(in crate::conns) fn gate_opens_at(&self) -> Option<Instant> {
        self.gate.map(|(until, _)| until)
    }

    /// Appends whole frames. They are split if they are longer than a chunk.
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

    /// The driver has written the chunk in flight.
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

    /// When the link is stalled, unless the chunk in flight is written before.
    pub(in crate::conns) fn stalled_at(&self, limits: &Limits) -> Option<Instant> {
        self.in_flight_since().map(|since| since + limits.conns.stalled)
    }

    /// Since when a chunk is in flight.
    pub(in crate::conns) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.map(|(_, since)| since)
    }

    /// Whether `bytes` more have to wait: the queue is full, and it drains or has become full only lately.
    pub(in crate::conns) fn blocks(&mut self, now: Instant, bytes: usize, limits: &Limits) -> bool {
        if self.full.is_none() && self.bytes() + bytes <= limits.conns.queue {
            return false;
        }
        self.full.get_or_insert(Full { since: now, waived: false });
        self.still_blocks(now, limits)
    }

    /// Whether a full queue still blocks.
    pub(in crate::conns) fn still_blocks(&mut self, now: Instant, limits: &Limits) -> bool {
        let until = self.blocks_until(limits);
        let Some(full) = &mut self.full else { return false };
        full.waived |= until.is_none_or(|until| until <= now);
        !full.waived
    }

    /// Until when a full queue blocks, unless more of it is written before.
    pub(in crate::conns) fn blocks_until(&self, limits: &Limits) -> Option<Instant> {
        let full = self.full.filter(|full| !full.waived)?;
        // The newest chunks that together reach the pace do so until the oldest of them is out of the window.
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
