//! Events on their way to the node's user, in batches.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_channel::{Receiver, Sender, TrySendError};

use crate::Event;

/// Batches that wait for the user beside the one being gathered.
const BATCHES: usize = 4;

/// Bytes said here that may wait in a batch; then saying waits too.
const OWN_BYTES: usize = 1024 * 1024;

pub(super) struct EventQueue {
    sender: Sender<Vec<Event>>,
    batch: Vec<Event>,
    /// How long the last batch was: the next is likely so, too.
    expected: usize,
    own_bytes: usize,
    /// A batch that found no room.
    blocked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl EventQueue {
    pub(super) fn new() -> (Self, Receiver<Vec<Event>>) {
        let (sender, receiver) = async_channel::bounded(BATCHES);
        (Self { sender, batch: Vec::new(), expected: 0, own_bytes: 0, blocked: None }, receiver)
    }

    pub(super) fn push(&mut self, event: Event) {
        if let Event::Said { entries, .. } = &event {
            self.own_bytes += entries.iter().map(|entry| entry.size()).sum::<usize>();
        }
        if self.batch.is_empty() {
            self.batch.reserve(self.expected);
        }
        self.batch.push(event);
    }

    /// Whether the user is behind: nothing that makes events without end is to be done then.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Whether what is said here may make more events.
    pub(super) fn accepts_own(&self) -> bool {
        self.own_bytes < OWN_BYTES
    }

    /// Hands the batch over, or keeps it until the user has taken another. Nobody is told what nobody listens to.
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
                    // Fails where nobody listens any more.
                    let _ = sender.send(batch).await;
                }));
            }
        }
    }

    /// Ready when the batch that was blocked is no more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(blocked) = &mut self.blocked else { return Poll::Pending };
        ready!(blocked.as_mut().poll(cx));
        self.blocked = None;
        Poll::Ready(())
    }
}
