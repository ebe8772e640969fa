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
fn frames_are_gathered_into_chunks_and_one_chunk_is_in_flight() {
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
fn frames_longer_than_a_chunk_are_split() {
    for (len, chunks) in [(0, &[][..]), (9, &[9]), (10, &[10]), (11, &[10, 1]), (25, &[10, 10, 5])] {
        let mut queue = OutputQueue::default();
        queue.push(&vec![b'x'; len], 10);
        assert_eq!(queue.chunks.iter().map(Vec::len).collect::<Vec<_>>(), chunks);
        assert_eq!(queue.bytes(), len);
    }
}

#[test]
fn chunks_before_the_gate_are_sent_and_the_rest_waits() {
    let limits = Limits::default();
    let mut queue = OutputQueue::default();
    queue.push(b"JOIN", limits.conns.chunk);
    queue.close_gate_until(at(100));
    queue.push(b"PEERS", limits.conns.chunk);
    queue.push(b"MSG", limits.conns.chunk);
    assert_eq!(queue.take_chunk(at(0)).as_deref(), Some(&b"JOIN"[..]));
    queue.flushed(at(1), &limits);
    assert_eq!(queue.take_chunk(at(1)), None);
    queue.open_gate();
    assert_eq!(queue.take_chunk(at(100)).as_deref(), Some(&b"PEERSMSG"[..]));
}

#[test]
fn closing_the_gate_again_releases_nothing() {
    let limits = Limits::default();
    let mut queue = OutputQueue::default();
    for until in [100, 150, 120] {
        queue.close_gate_until(at(until));
        queue.push(b"PEERS", limits.conns.chunk);
        assert_eq!(queue.take_chunk(at(50)), None);
    }
    assert_eq!(queue.gate_opens_at(), Some(at(150)));
}

#[test]
fn a_queue_blocks_from_the_first_byte_above_its_bound() {
    let limits = Limits::default();
    for (more, blocks) in [(1023, false), (1024, false), (1025, true)] {
        let mut queue = filled(limits.conns.queue - 1024, &limits);
        assert_eq!(queue.blocks(at(0), more, &limits), blocks, "{more}");
    }
}

#[test]
fn a_stalled_full_queue_blocks_for_two_seconds_and_not_again_until_it_is_below_half() {
    let limits = Limits::default();
    let mut queue = filled(limits.conns.queue, &limits);
    assert!(queue.blocks(at(0), 1, &limits));
    assert!(queue.still_blocks(at(1999), &limits));
    assert!(!queue.still_blocks(at(2000), &limits));
    queue.take_chunk(at(2000)).unwrap();
    queue.flushed(at(2001), &limits);
    assert!(!queue.blocks(at(2001), 1024 * 1024, &limits), "it does not block until it is below half");
    while queue.bytes() >= limits.conns.queue / 2 {
        queue.take_chunk(at(2002)).unwrap();
        queue.flushed(at(2002), &limits);
    }
    assert!(queue.blocks(at(2003), limits.conns.queue, &limits), "then it blocks again");
}

#[test]
fn a_full_queue_that_drains_at_the_pace_keeps_blocking() {
    let limits = Limits::default().with(|limits| limits.conns.chunk = 32 * 1024);
    let mut queue = filled(limits.conns.queue, &limits);
    assert!(queue.blocks(at(0), 1, &limits));
    // It drains at the pace: 64 KiB in 250 ms, in two halves.
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
