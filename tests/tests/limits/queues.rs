//! Output queues, and all buffers together.

use proto_core::wire::Frame;
use proto_core::{Action, CommandError, Entry, LeaveReason, Limits};

use tests::fuzz::peers::line;

use crate::solo::{EPOCH_MS, SECOND, Solo, around, entry_of, solo, up_to};

#[test]
fn an_output_queue_is_full_at_one_mebibyte() {
    let limit = Limits::default().conns.queue;
    for size in around(limit) {
        let mut solo = solo(Limits::default());
        solo.join(0);
        solo.read(0);
        let mut said = 0;
        while size - said > 60_000 {
            solo.say(50_000).unwrap();
            said += 50_000;
        }
        assert_eq!(solo.say(size - said), if size > limit { Err(CommandError::Busy) } else { Ok(()) });
        assert_eq!(solo.node.stats().busy, u64::from(size > limit));
    }
}

#[test]
fn a_queue_that_nobody_waits_for_is_cut_at_eight_mebibytes() {
    let limit = Limits::default().conns.queue_hard;
    for size in around(limit) {
        let mut solo = solo(Limits::default().with(|limits| limits.conns.stalled = 100 * SECOND));
        solo.join(0);
        solo.read(0);
        let mut said = 0;
        while size - said > 60_000 {
            if solo.say(50_000).is_ok() {
                said += 50_000;
            } else {
                solo.now = solo.now + 2 * SECOND;
            }
        }
        assert_eq!(solo.say(size - said), Ok(()));
        assert_eq!(solo.peers() == 0, size > limit, "{size}");
        assert_eq!(solo.node.stats().slow, u64::from(size > limit));
    }
}

/// Two peers that have taken all that they were sent, and take nothing by themselves.
fn half_stuck(limits: &Limits) -> Solo {
    let mut solo = solo(limits.clone().with(|limits| {
        limits.conns.stalled = 1_000 * SECOND;
        limits.conns.ping_answer = 1_000 * SECOND;
        limits.conns.dead = 1_000 * SECOND;
    }));
    (0..2).for_each(|conn| solo.join(conn));
    (0..2).for_each(|conn| solo.read(conn));
    solo
}

#[test]
fn a_link_over_its_queue_is_cut_when_all_buffers_are_over_the_bound_of_queues() {
    let limits = Limits::default().with(|limits| {
        limits.conns.queue = 200_000;
        limits.conns.queues = 500_001;
    });
    for total in around(limits.conns.queues) {
        let mut solo = half_stuck(&limits);
        // Half of it waits on either link, and some bytes of a line have come in.
        solo.say_all(250_000);
        assert_eq!(solo.peers(), 2);
        solo.receive(1, &"x".repeat(total - 500_000));
        let cut = total > limits.conns.queues;
        assert_eq!((solo.peers() == 0, solo.stats().slow), (cut, if cut { 2 } else { 0 }), "{total}");
        assert!(solo.left().iter().all(|reason| *reason == LeaveReason::Slow));
    }
}

#[test]
fn no_link_is_cut_for_all_buffers_that_is_not_over_its_queue() {
    let limits = Limits::default().with(|limits| {
        limits.conns.queue = 200_000;
        limits.conns.queues = 300_000;
    });
    for over in around(limits.conns.queue) {
        let mut solo = half_stuck(&limits);
        solo.say_all(over - 1_000);
        // What comes last is said in spite of a queue that is full.
        solo.now = solo.now + 3 * SECOND;
        solo.say_all(1_000);
        assert_eq!(solo.stats().slow, if over > limits.conns.queue { 2 } else { 0 }, "{over}");
    }
}

#[test]
fn the_link_with_the_longest_queue_is_cut_when_all_buffers_are_full() {
    let limits = Limits::default().with(|limits| {
        limits.conns.queue = 200_000;
        limits.conns.buffers = 450_010;
    });
    for total in around(limits.conns.buffers) {
        let mut solo = half_stuck(&limits);
        solo.say_all(150_000);
        (0..2).for_each(|_| solo.read(1));
        solo.say_all(40_000);
        solo.join(2);
        solo.read(2);
        let before = solo.node.buffered();
        assert_eq!((before, solo.peers()), (230_000, 3), "190,000 to one and 40,000 to the other");
        solo.actions.clear();
        // Lines without end come in on other links.
        let mut rest = total - before;
        for conn in 10.. {
            let some = rest.min(60_000);
            solo.join(conn);
            solo.read(conn);
            solo.receive(conn, &"x".repeat(some));
            rest -= some;
            if rest == 0 {
                break;
            }
        }
        let cut = total > limits.conns.buffers;
        assert_eq!(solo.left(), if cut { vec![LeaveReason::NoRoom] } else { Vec::new() });
        assert_eq!(
            (solo.aborted(), solo.stats().slow),
            (if cut { vec![0] } else { Vec::new() }, u64::from(cut))
        );
        assert_eq!(solo.node.buffered(), if cut { total - 190_000 } else { total });
    }
}

#[test]
fn a_link_that_takes_nothing_is_cut_after_a_while() {
    let limits = Limits::default();
    let mut solo = solo(limits.clone());
    solo.join(0);
    solo.read(0);
    solo.say(100).unwrap();
    for (at, cut) in up_to(limits.conns.stalled) {
        solo.at(at);
        assert_eq!((solo.peers() == 0, solo.stats().slow), (cut, u64::from(cut)));
    }
    assert_eq!(solo.left(), [LeaveReason::Slow]);
}

#[test]
fn a_full_link_is_pushed_no_entry() {
    let limits = Limits::default().with(|limits| {
        limits.wire.line = 8_192;
        limits.conns.queue = 40_000;
    });
    let mut solo = solo(limits.clone()).with_clock();
    solo.link(0);
    let queued = |solo: &Solo| solo.node.status().links[0].queued;
    let before = queued(&solo);
    solo.say(1_000).unwrap();
    let size = queued(&solo) - before;
    while solo.stats().entries_not_pushed == 0 {
        if solo.say(1_000).is_err() {
            // It does not drain, so nobody waits for it any more.
            solo.now = solo.now + limits.conns.patience;
        }
    }
    let queued = queued(&solo);
    assert!(queued <= limits.conns.queue && queued + size > limits.conns.queue, "{queued} bytes are queued");
}

#[test]
fn what_was_asked_for_waits_for_room_on_the_link() {
    let entries: Vec<_> = (1..7).map(|seq| entry_of(7, 1, seq, EPOCH_MS, &"x".repeat(2_000))).collect();
    let size = line(&Frame::Chat(entries[0].sealed())).len();
    let asked = |served_queue: usize| {
        let limits = Limits::default().with(|limits| limits.chat.served_queue = served_queue);
        let mut solo = solo(limits).with_clock();
        solo.link(0);
        entries.iter().for_each(|entry| solo.chat(0, entry));
        let queued = solo.node.status().links[0].queued;
        solo.frame(0, &Frame::Graft(entries.iter().map(Entry::id).collect()));
        let sent = solo.stats().entries_sent;
        solo.read(0);
        assert_eq!(solo.stats().entries_sent, 6, "the rest follows when there is room");
        (queued, sent)
    };
    let (queued, _) = asked(usize::MAX);
    for served_queue in around(queued + 5 * size) {
        assert_eq!(asked(served_queue).1, if served_queue < queued + 5 * size { 4 } else { 5 });
    }
}

#[test]
fn a_chunk_holds_so_much() {
    let limits = Limits::default().with(|limits| limits.conns.chunk = 10_000);
    for size in around(2 * limits.conns.chunk) {
        let mut solo = solo(limits.clone());
        solo.join(0);
        solo.read(0);
        solo.actions.clear();
        solo.say(1_000).unwrap();
        solo.say(size).unwrap();
        (0..5).for_each(|_| solo.read(0));
        let sent: Vec<_> = solo
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::SendFrame { bytes, .. } => Some(bytes.len()),
                _ => None,
            })
            .collect();
        let rest = size - 2 * limits.conns.chunk.min(size / 2);
        assert_eq!(sent.iter().sum::<usize>(), 1_000 + size);
        assert!(sent.iter().all(|len| *len <= limits.conns.chunk), "{sent:?}");
        assert_eq!(sent.len(), if rest > 0 && size > 2 * limits.conns.chunk { 4 } else { 3 }, "{sent:?}");
    }
}
