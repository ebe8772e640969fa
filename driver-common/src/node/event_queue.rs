//! Sends events to the node's user, in batches.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_channel::{Receiver, Sender, TrySendError};

use crate::Event;

/// The number of batches that wait for the user, in addition to the one being filled.
const BATCHES: usize = 4;

/// The maximum number of bytes of own messages in a batch. When it is reached, sending waits.
const OWN_BYTES: usize = 1024 * 1024;

pub(super) struct EventQueue {
    sender: Sender<Vec<Event>>,
    batch: Vec<Event>,
    /// The length of the last batch, as an estimate for the next.
    expected: usize,
    own_bytes: usize,
    /// A batch that is waiting for room.
    blocked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl EventQueue {
    pub(super) fn new() -> (Self, Receiver<Vec<Event>>) {
        let (sender, receiver) = async_channel::bounded(BATCHES);
        (Self { sender, batch: Vec::new(), expected: 0, own_bytes: 0, blocked: None }, receiver)
    }

    pub(super) fn push(&mut self, event: Event) {
        if let Event::Said { entries, .. } = &event {
            self.own_bytes += entries.iter().map(|entry| entry.charge()).sum::<usize>();
        }
        if self.batch.is_empty() {
            self.batch.reserve(self.expected);
        }
        self.batch.push(event);
    }

    /// Whether the user is behind. Then the node does nothing that creates an unlimited number of events.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Whether own messages may add more events.
    pub(super) fn accepts_own(&self) -> bool {
        self.own_bytes < OWN_BYTES
    }

    /// Sends the batch, or keeps it until there is room. If the user has dropped the receiver, the events are dropped.
    pub(super) fn flush(&mut self) {
        if self.is_blocked() || self.batch.is_empty() {
            return;
        }
        self.expected = self.batch.len();
        self.own_bytes = 0;
        match self.sender.try_send(mem::take(&mut self.batch)) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(batch)) => {
                let sender = self.sender.clone();
                self.blocked = Some(Box::pin(async move {
                    // It fails if the receiver was dropped.
                    let _ = sender.send(batch).await;
                }));
            }
        }
    }

    /// Sends what is left, as the user takes it. It ends when the user has dropped the receiver, too.
    pub(super) async fn end(mut self) {
        if let Some(blocked) = self.blocked.take() {
            blocked.await;
        }
        if !self.batch.is_empty() {
            let _ = self.sender.send(self.batch).await;
        }
    }

    /// Ready when the waiting batch was sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(blocked) = &mut self.blocked else { return Poll::Pending };
        ready!(blocked.as_mut().poll(cx));
        self.blocked = None;
        Poll::Ready(())
    }
}
