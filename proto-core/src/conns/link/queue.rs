//! What waits to be written on one link, and what a slow peer costs.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::model::{Instant, Limits};

/// The output of one link: whole frames, gathered into chunks, of which one at a time is with the driver.
#[derive(Debug, Default)]
pub(in crate::conns) struct OutputQueue {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in `chunks`.
    waiting: usize,
    in_flight: Option<InFlight>,
    /// Bytes pushed, and bytes that the operating system took, since the connection opened.
    pushed: u64,
    left: u64,
    /// When the operating system last took bytes that had waited for it.
    moved: Option<Instant>,
    /// All but the first so many chunks wait until then.
    gate: Option<(Instant, usize)>,
    /// What was taken lately, the oldest first; kept while the queue is full.
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
    /// Nobody waits for it any more.
    waived: bool,
}

impl OutputQueue {
    /// Bytes in the queue, those with the driver included.
    pub(in crate::conns) fn bytes(&self) -> usize {
        self.waiting + self.in_flight.map_or(0, |chunk| chunk.bytes)
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
    pub(in crate::conns) fn hold_until(&mut self, until: Instant) {
        let gate = (until, self.chunks.len());
        self.gate = Some(self.gate.map_or(gate, |held| (held.0.max(gate.0), held.1.min(gate.1))));
    }

    /// Holds nothing back any more.
    pub(in crate::conns) fn open_gate(&mut self) {
        self.gate = None;
    }

    /// Until when something is held back.
    pub(in crate::conns) fn gate(&self) -> Option<Instant> {
        self.gate.map(|(until, _)| until)
    }

    /// Appends whole frames, or none, cut where they are more than a chunk.
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
        if since < now {
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

    /// When the operating system last took bytes that had waited for it: so the link is slow, and it moves.
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

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn filled(bytes: usize, limits: &Limits) -> OutputQueue {
        let mut queue = OutputQueue::default();
        for _ in 0..bytes / 1024 {
            queue.push(&[b'x'; 1024], limits.conns.chunk);
        }
        queue
    }

    #[test]
    fn frames_are_gathered_into_chunks_one_of_which_is_out() {
        let limits = Limits::default();
        let mut queue = filled(limits.conns.chunk + 1024, &limits);
        assert_eq!(queue.take_chunk(at(0)).map(|chunk| chunk.len()), Some(limits.conns.chunk));
        assert_eq!(queue.take_chunk(at(0)), None);
        assert_eq!(queue.bytes(), limits.conns.chunk + 1024);
        queue.flushed(at(1), &limits);
        assert_eq!(queue.take_chunk(at(1)).map(|chunk| chunk.len()), Some(1024));
        assert!(queue.is_drained());
    }

    #[test]
    fn frames_that_are_more_than_a_chunk_are_cut() {
        for (len, chunks) in [(0, &[][..]), (9, &[9]), (10, &[10]), (11, &[10, 1]), (25, &[10, 10, 5])] {
            let mut queue = OutputQueue::default();
            queue.push(&vec![b'x'; len], 10);
            assert_eq!(queue.chunks.iter().map(Vec::len).collect::<Vec<_>>(), chunks);
            assert_eq!(queue.bytes(), len);
        }
    }

    #[test]
    fn what_stands_before_the_gate_goes_and_the_rest_waits() {
        let limits = Limits::default();
        let mut queue = OutputQueue::default();
        queue.push(b"JOIN", limits.conns.chunk);
        queue.hold_until(at(100));
        queue.push(b"PEERS", limits.conns.chunk);
        queue.push(b"MSG", limits.conns.chunk);
        assert_eq!(queue.take_chunk(at(0)).as_deref(), Some(&b"JOIN"[..]));
        queue.flushed(at(1), &limits);
        assert_eq!(queue.take_chunk(at(1)), None);
        queue.open_gate();
        assert_eq!(queue.take_chunk(at(100)).as_deref(), Some(&b"PEERSMSG"[..]));
    }

    #[test]
    fn what_is_held_back_stays_so_when_more_is() {
        let limits = Limits::default();
        let mut queue = OutputQueue::default();
        for until in [100, 150, 120] {
            queue.hold_until(at(until));
            queue.push(b"PEERS", limits.conns.chunk);
            assert_eq!(queue.take_chunk(at(50)), None);
        }
        assert_eq!(queue.gate(), Some(at(150)));
    }

    #[test]
    fn the_bound_is_met_exactly() {
        let limits = Limits::default();
        for (more, blocks) in [(1023, false), (1024, false), (1025, true)] {
            let mut queue = filled(limits.conns.queue - 1024, &limits);
            assert_eq!(queue.blocks(at(0), more, &limits), blocks, "{more}");
        }
    }

    #[test]
    fn a_full_queue_that_stands_still_is_waited_for_two_seconds_then_no_more_until_half() {
        let limits = Limits::default();
        let mut queue = filled(limits.conns.queue, &limits);
        assert!(queue.blocks(at(0), 1, &limits));
        assert!(queue.still_blocks(at(1999), &limits));
        assert!(!queue.still_blocks(at(2000), &limits));
        queue.take_chunk(at(2000)).unwrap();
        queue.flushed(at(2001), &limits);
        assert!(!queue.blocks(at(2001), 1024 * 1024, &limits), "it is waived until it is below half");
        while queue.bytes() >= limits.conns.queue / 2 {
            queue.take_chunk(at(2002)).unwrap();
            queue.flushed(at(2002), &limits);
        }
        assert!(queue.blocks(at(2003), limits.conns.queue, &limits), "then it counts again");
    }

    #[test]
    fn bytes_that_leave_are_progress_though_the_chunk_is_not_done() {
        let limits = Limits::default();
        let mut queue = OutputQueue::default();
        queue.push(&[b'x'; 1000], limits.conns.chunk);
        assert_eq!((queue.pushed(), queue.left(), queue.moved()), (1000, 0, None));
        queue.take_chunk(at(0)).unwrap();
        queue.written(at(0), 200, &limits);
        assert_eq!((queue.bytes(), queue.left(), queue.moved()), (800, 200, None), "these did not wait");
        for second in 1..8 {
            queue.written(at(second * 5000), 100, &limits);
            assert_eq!(queue.moved(), Some(at(second * 5000)));
            assert_eq!(queue.stalled_at(&limits), Some(at(second * 5000) + limits.conns.stalled));
        }
        queue.written(at(40_000), 0, &limits);
        assert_eq!(queue.moved(), Some(at(35_000)), "nothing left");
        queue.written(at(41_000), 5000, &limits);
        assert_eq!((queue.bytes(), queue.left()), (1, 999), "`flushed` alone says that all left");
        queue.flushed(at(42_000), &limits);
        assert_eq!((queue.bytes(), queue.left(), queue.stalled_at(&limits)), (0, 1000, None));
        queue.written(at(43_000), 5, &limits);
        assert_eq!(queue.left(), 1000, "nothing is with the driver");
    }

    #[test]
    fn a_full_queue_that_moves_is_waited_for() {
        let limits = Limits::default().with(|limits| limits.conns.chunk = 32 * 1024);
        let mut queue = filled(limits.conns.queue, &limits);
        assert!(queue.blocks(at(0), 1, &limits));
        // 64 KiB in 250 ms, for ever: taken in two halves.
        for turn in 0..40 {
            let now = at(turn * 125);
            queue.take_chunk(now).unwrap();
            queue.flushed(now, &limits);
            queue.push(&[b'x'; 32 * 1024], limits.conns.chunk);
            assert!(queue.still_blocks(now, &limits), "{turn}");
        }
        let last = at(39 * 125);
        assert_eq!(queue.blocks_until(&limits), Some(at(38 * 125 + 250)));
        assert!(!queue.still_blocks(last + Duration::from_millis(250), &limits));
    }
}
