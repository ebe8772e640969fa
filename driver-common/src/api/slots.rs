//! Limits the number of connections, and decides which one is closed to make room.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use hyper::rt::Timer;

use super::timer::SharedTimer;

/// The open connections, as the accepting task sees them.
pub(super) struct ConnectionSlots {
    limit: usize,
    answer_time: Duration,
    timer: SharedTimer,
    held: Vec<(Arc<SlotState>, Sender<Infallible>)>,
    /// Wakes the accepting task when a slot changes.
    changes: (Sender<()>, Receiver<()>),
}

/// A connection's slot. Dropping it releases it.
pub(super) struct ConnectionSlot {
    state: Arc<SlotState>,
    evicted: Receiver<Infallible>,
}

/// The state shared by the connection and the accepting task.
struct SlotState {
    epoch: Instant,
    timer: SharedTimer,
    phase: AtomicU8,
    /// When the phase began, in microseconds since `epoch`.
    since: AtomicU64,
    changes: Sender<()>,
}

/// There is no complete request.
const WAITING: u8 = 0;
/// There is a complete request, and hyper does not have the answer yet.
const ANSWERING: u8 = 1;
/// The connection has ended, or has become a WebSocket.
const CLOSED: u8 = 2;

impl ConnectionSlots {
    pub(super) fn new(limit: usize, answer_time: Duration, timer: SharedTimer) -> Self {
        Self { limit, answer_time, timer, held: Vec::new(), changes: async_channel::bounded(1) }
    }

    /// Acquires a slot. If none is free, closes the connection that has waited longest without a complete request. If
    /// all have one, waits.
    pub(super) async fn acquire(&mut self) -> ConnectionSlot {
        loop {
            self.held.retain(|(state, _)| state.phase() != CLOSED);
            if self.held.len() < self.limit {
                return self.slot();
            }
            let oldest = |phase| {
                let slots = self.held.iter().enumerate().filter(|(_, (state, _))| state.phase() == phase);
                slots.min_by_key(|(_, (state, _))| state.since()).map(|(index, _)| index)
            };
            if let Some(index) = oldest(WAITING) {
                self.evict(index);
                continue;
            }
            let deadline =
                oldest(ANSWERING).map(|index| (index, self.held[index].0.since() + self.answer_time));
            match deadline {
                Some((index, deadline)) if deadline <= self.timer.now() => self.evict(index),
                Some((_, deadline)) => self.changed(deadline).await,
                None => {}
            }
        }
    }

    fn slot(&mut self) -> ConnectionSlot {
        let (evict, evicted) = async_channel::bounded(1);
        let state = Arc::new(SlotState {
            epoch: self.timer.now(),
            timer: self.timer.clone(),
            phase: AtomicU8::new(WAITING),
            since: AtomicU64::new(0),
            changes: self.changes.0.clone(),
        });
        self.held.push((state.clone(), evict));
        ConnectionSlot { state, evicted }
    }

    /// The connection sees that its channel is closed.
    fn evict(&mut self, index: usize) {
        let (state, _) = self.held.remove(index);
        tracing::debug!(phase = state.phase(), "an HTTP connection made room");
    }

    async fn changed(&self, deadline: Instant) {
        let changed = async {
            // It cannot fail: both ends of the channel are here.
            let _ = self.changes.1.recv().await;
        };
        or(changed, self.timer.sleep_until(deadline)).await;
    }
}

impl ConnectionSlot {
    /// Waits until the connection has to make room.
    pub(super) async fn evicted(&self) {
        // The channel carries no messages.
        let _ = self.evicted.recv().await;
    }

    /// For the connection's service.
    pub(super) fn marker(&self) -> RequestMarker {
        RequestMarker(self.state.clone())
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.state.set(CLOSED);
    }
}

/// Marks when a connection has a complete request.
#[derive(Clone)]
pub(super) struct RequestMarker(Arc<SlotState>);

/// Exists from a complete request to the end of its answer.
pub(super) struct PendingAnswer(Arc<SlotState>);

impl RequestMarker {
    pub(super) fn complete(&self) -> PendingAnswer {
        self.0.set(ANSWERING);
        PendingAnswer(self.0.clone())
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        self.0.set(WAITING);
    }
}

impl SlotState {
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Acquire)
    }

    fn since(&self) -> Instant {
        self.epoch + Duration::from_micros(self.since.load(Ordering::Acquire))
    }

    fn set(&self, phase: u8) {
        let since = self.timer.now().saturating_duration_since(self.epoch).as_micros();
        self.since.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
        // A closed slot stays closed.
        let _ = self
            .phase
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| (was != CLOSED).then_some(phase));
        // If the channel is full, the task will wake anyway.
        let _ = self.changes.try_send(());
    }
}

/// Limits the number of WebSockets.
#[derive(Clone)]
pub(super) struct WebSocketPermits {
    limit: usize,
    out: Arc<AtomicUsize>,
}

/// The permit of one WebSocket. Dropping it releases it.
pub(super) struct WebSocketPermit(Arc<AtomicUsize>);

impl WebSocketPermits {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, out: Arc::default() }
    }

    pub(super) fn acquire(&self) -> Option<WebSocketPermit> {
        let more = |out| (out < self.limit).then_some(out + 1);
        self.out.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(WebSocketPermit(self.out.clone()))
    }
}

impl Drop for WebSocketPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
