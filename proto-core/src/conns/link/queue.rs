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
    /// The chunk that the driver writes.
    in_flight: Option<InFlight>,
    /// Bytes pushed, and bytes that the operating system took, since the connection opened.
    pushed: u64,
    left: u64,
    /// When the operating system last took bytes that had waited for `limits.conns.patience` or longer.
    moved: Option<Instant>,
    /// The gate: until that time, only that many chunks may be sent.
    gate: Option<(Instant, usize)>,
    /// The chunks written lately, the oldest first. They are recorded while the queue is at least half full.
    taken: VecDeque<(Instant, usize)>,
    full: Option<Full>,
}

/// A chunk that the driver has.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// Bytes that the operating system has not taken.
    bytes: usize,
    /// Since when it has taken none.
    since: Instant,
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
        self.waiting + self.in_flight.map_or(0, |chunk| chunk.bytes)
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
        self.pushed += frames.len() as u64;
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
        self.in_flight = Some(InFlight { bytes: chunk.len(), since: now });
        Some(chunk)
    }

    /// The operating system took some bytes of the chunk that the driver has, and not the last one.
    pub(in crate::conns) fn written(&mut self, now: Instant, bytes: usize, limits: &Limits) {
        let Some(chunk) = &mut self.in_flight else { return };
        let bytes = bytes.min(chunk.bytes.saturating_sub(1));
        if bytes > 0 {
            chunk.bytes -= bytes;
            let since = core::mem::replace(&mut chunk.since, now);
            self.took(now, bytes, since, limits);
        }
    }

    /// The operating system took all of the chunk that the driver had.
    pub(in crate::conns) fn flushed(&mut self, now: Instant, limits: &Limits) {
        if let Some(InFlight { bytes, since }) = self.in_flight.take() {
            self.took(now, bytes, since, limits);
        }
    }

    fn took(&mut self, now: Instant, bytes: usize, since: Instant, limits: &Limits) {
        self.left += bytes as u64;
        if since + limits.conns.patience <= now {
            self.moved = Some(now);
        }
        if self.bytes() < limits.conns.queue / 2 {
            self.full = None;
            self.taken = VecDeque::new();
        } else {
            self.forget_taken(now, limits);
            self.taken.push_back((now, bytes));
        }
    }

    /// Bytes pushed since the connection opened.
    pub(in crate::conns) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Bytes that the operating system took since the connection opened.
    pub(in crate::conns) fn left(&self) -> u64 {
        self.left
    }

    /// When the operating system last took bytes that had waited for `limits.conns.patience`: the link is slow, and it moves.
    pub(in crate::conns) fn moved(&self) -> Option<Instant> {
        self.moved
    }

    /// When the link counts as stalled, if nothing of the chunk that is out is taken until then.
    pub(in crate::conns) fn stalled_at(&self, limits: &Limits) -> Option<Instant> {
        self.in_flight_since().map(|since| since + limits.conns.stalled)
    }

    /// Since when the driver has a chunk of which nothing was taken.
    pub(in crate::conns) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.map(|chunk| chunk.since)
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
