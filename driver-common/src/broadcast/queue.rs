//! The queue of one subscriber, bounded in bytes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tungstenite::Utf8Bytes;

/// Texts for one subscriber. The queue ends when a text does not fit.
#[derive(Debug)]
pub(crate) struct SubscriberQueue {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    texts: VecDeque<Utf8Bytes>,
    bytes: usize,
    end: Option<End>,
    /// The subscriber cannot take more for now, although it had the chance.
    blocked: bool,
    subscriber: Option<Waker>,
    sender: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The queued texts are still delivered.
    Finished,
    /// The limit was exceeded. The queued texts are dropped.
    Overflowed,
    /// The subscriber is gone.
    Abandoned,
}

/// The result of [`SubscriberQueue::poll_next`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Text(Utf8Bytes),
    Finished,
    Overflowed,
}

impl SubscriberQueue {
    /// At most `limit` bytes are queued, including bookkeeping.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    /// Appends a text. If the limit is exceeded, the queue drops everything and ends.
    pub(super) fn push(&self, text: Utf8Bytes) {
        let mut inner = self.inner();
        if inner.end.is_some() {
            return;
        }
        inner.bytes += cost(&text);
        if inner.bytes > self.limit {
            inner.end(End::Overflowed);
        } else {
            inner.texts.push_back(text);
        }
        wake(&mut inner.subscriber);
    }

    /// Ends the queue after the queued texts.
    pub(super) fn finish(&self) {
        let mut inner = self.inner();
        inner.end.get_or_insert(End::Finished);
        wake(&mut inner.subscriber);
    }

    /// Waits while the queue is half full and the subscriber had no chance to take more.
    pub(super) async fn wait_for_turn(&self) {
        poll_fn(|cx| {
            let mut inner = self.inner();
            if inner.end.is_some() || inner.blocked || inner.bytes <= self.limit / 2 {
                return Poll::Ready(());
            }
            inner.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.inner().end == Some(End::Abandoned)
    }

    /// The next text if the subscriber has room for it. The end is reported without waiting for room.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>, room: bool) -> Poll<Next> {
        let mut inner = self.inner();
        match inner.end {
            Some(End::Overflowed | End::Abandoned) => return Poll::Ready(Next::Overflowed),
            Some(End::Finished) if inner.texts.is_empty() => return Poll::Ready(Next::Finished),
            _ => {}
        }
        inner.blocked = !room;
        if let Some(text) = room.then(|| inner.texts.pop_front()).flatten() {
            inner.bytes -= cost(&text);
            if inner.bytes <= self.limit / 2 {
                wake(&mut inner.sender);
            }
            return Poll::Ready(Next::Text(text));
        }
        if inner.blocked {
            wake(&mut inner.sender);
        }
        inner.subscriber = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn abandon(&self) {
        self.inner().end(End::Abandoned);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Ends the queue and drops the queued texts.
    fn end(&mut self, end: End) {
        self.end = Some(end);
        self.texts = VecDeque::new();
        self.bytes = 0;
        wake(&mut self.sender);
    }
}

fn cost(text: &Utf8Bytes) -> usize {
    text.len() + size_of::<Utf8Bytes>()
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn text(bytes: usize) -> Utf8Bytes {
        "x".repeat(bytes - size_of::<Utf8Bytes>()).into()
    }

    fn next(queue: &SubscriberQueue, room: bool) -> Poll<Next> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()), room)
    }

    fn wait_for_turn(queue: &SubscriberQueue) -> bool {
        pin!(queue.wait_for_turn()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn overflows_past_its_limit_and_not_before() {
        for (last, overflows) in [(499, false), (500, false), (501, true)] {
            let queue = SubscriberQueue::new(1000);
            queue.push(text(500));
            queue.push(text(last));
            assert_eq!(next(&queue, false) == Poll::Ready(Next::Overflowed), overflows, "{last}");
            assert_eq!(next(&queue, true) == Poll::Ready(Next::Text(text(500))), !overflows, "{last}");
        }
    }

    #[test]
    fn what_is_delivered_makes_room() {
        let queue = SubscriberQueue::new(1000);
        for _ in 0..10 {
            queue.push(text(600));
            assert_eq!(next(&queue, true), Poll::Ready(Next::Text(text(600))));
            assert_eq!(next(&queue, true), Poll::Pending);
        }
    }

    #[test]
    fn what_waits_is_delivered_before_the_end() {
        let queue = SubscriberQueue::new(1000);
        queue.push(text(100));
        queue.finish();
        queue.push(text(200));
        assert_eq!(next(&queue, true), Poll::Ready(Next::Text(text(100))));
        assert_eq!(next(&queue, true), Poll::Ready(Next::Finished));
    }

    #[test]
    fn the_hub_waits_for_a_listener_that_can_take_more_and_for_no_other() {
        let queue = SubscriberQueue::new(1000);
        queue.push(text(500));
        assert!(wait_for_turn(&queue));
        queue.push(text(100));
        assert!(!wait_for_turn(&queue));
        assert_eq!(next(&queue, false), Poll::Pending);
        assert!(wait_for_turn(&queue), "it is blocked");
        assert_eq!(next(&queue, true), Poll::Ready(Next::Text(text(500))));
        assert!(wait_for_turn(&queue), "it has room");
    }
}
