//! Limits the number of connections, and decides which one is closed to make room.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use hyper::rt::Timer;

use super::client::Client;
use super::timer::SharedTimer;

/// The open connections, as the accepting task sees them.
pub(super) struct ConnectionSlots {
    limit: usize,
    answer_time: Duration,
    timer: SharedTimer,
    held: Vec<Held>,
    /// Wakes the accepting task when a slot changes.
    changes: (Sender<()>, Receiver<()>),
}

/// A slot that is taken.
struct Held {
    state: Arc<SlotState>,
    client: Client,
    evict: Sender<Infallible>,
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

    /// Acquires a slot for a connection of the user. If none is free, closes the connection that has waited longest
    /// without a complete request. If all have one, waits.
    pub(super) async fn acquire(&mut self) -> ConnectionSlot {
        loop {
            if let Some(slot) = self.try_acquire(Client::User) {
                return slot;
            }
            let oldest = self.held.iter().map(|held| held.state.since()).min();
            if let Some(since) = oldest {
                self.changed(since + self.answer_time).await;
            }
        }
    }

    /// Acquires a slot for a connection of this client, at once or not at all. If none is free, the client that holds
    /// most makes room, the new connection counted. Of its connections the one is closed that has waited longest without
    /// a complete request, or else whose answer has taken too long.
    pub(super) fn try_acquire(&mut self, client: Client) -> Option<ConnectionSlot> {
        self.held.retain(|held| held.state.phase() != CLOSED);
        if self.held.len() >= self.limit {
            let victim = self.victim(client, WAITING).or_else(|| {
                let overdue =
                    |index: &usize| self.held[*index].state.since() + self.answer_time <= self.timer.now();
                self.victim(client, ANSWERING).filter(overdue)
            })?;
            self.evict(victim);
        }
        Some(self.slot(client))
    }

    /// The slot in this phase that makes room for one more connection of `newcomer`.
    fn victim(&self, newcomer: Client, phase: u8) -> Option<usize> {
        let holds = |client| {
            let held = self.held.iter().filter(|held| held.client == client).count();
            held + usize::from(client == newcomer)
        };
        let most = self.held.iter().map(|held| holds(held.client)).max()?;
        let slots = self.held.iter().enumerate();
        let of_most = slots.filter(|(_, held)| held.state.phase() == phase && holds(held.client) == most);
        of_most.min_by_key(|(_, held)| held.state.since()).map(|(index, _)| index)
    }

    fn slot(&mut self, client: Client) -> ConnectionSlot {
        let (evict, evicted) = async_channel::bounded(1);
        let state = Arc::new(SlotState {
            epoch: self.timer.now(),
            timer: self.timer.clone(),
            phase: AtomicU8::new(WAITING),
            since: AtomicU64::new(0),
            changes: self.changes.0.clone(),
        });
        self.held.push(Held { state: state.clone(), client, evict });
        ConnectionSlot { state, evicted }
    }

    /// The connection sees that its channel is closed.
    fn evict(&mut self, index: usize) {
        let Held { state, client, evict } = self.held.remove(index);
        tracing::debug!(phase = state.phase(), ?client, "an HTTP connection made room");
        drop(evict);
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
