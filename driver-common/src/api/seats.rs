//! Which connections are held, and which makes room for the next.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use hyper::rt::Timer;

use super::timer::SharedTimer;

/// The connections held, as the accepting task sees them.
pub(super) struct Seats {
    limit: usize,
    answer_time: Duration,
    timer: SharedTimer,
    taken: Vec<(Arc<Place>, Sender<Infallible>)>,
    /// Wakes the accepting task when a place changes.
    changes: (Sender<()>, Receiver<()>),
}

/// One connection's place. It is free again when this is dropped.
pub(super) struct Seat {
    place: Arc<Place>,
    evicted: Receiver<Infallible>,
}

/// What both sides know of a place.
struct Place {
    epoch: Instant,
    timer: SharedTimer,
    phase: AtomicU8,
    /// When the phase began, in microseconds since `epoch`.
    since: AtomicU64,
    changes: Sender<()>,
}

/// There is no complete request.
const WAITING: u8 = 0;
/// There is, and its answer is not with hyper yet.
const ANSWERING: u8 = 1;
/// The connection is gone, or has become a WebSocket.
const LEFT: u8 = 2;

impl Seats {
    pub(super) fn new(limit: usize, answer_time: Duration, timer: SharedTimer) -> Self {
        Self { limit, answer_time, timer, taken: Vec::new(), changes: async_channel::bounded(1) }
    }

    /// A seat for a connection. Where all are taken, the connection that has been without a complete request for
    /// longest loses its own; where all have one, this waits.
    pub(super) async fn take(&mut self) -> Seat {
        loop {
            self.taken.retain(|(place, _)| place.phase() != LEFT);
            if self.taken.len() < self.limit {
                return self.seat();
            }
            let oldest = |phase| {
                let places = self.taken.iter().enumerate().filter(|(_, (place, _))| place.phase() == phase);
                places.min_by_key(|(_, (place, _))| place.since()).map(|(index, _)| index)
            };
            if let Some(index) = oldest(WAITING) {
                self.evict(index);
                continue;
            }
            let deadline =
                oldest(ANSWERING).map(|index| (index, self.taken[index].0.since() + self.answer_time));
            match deadline {
                Some((index, deadline)) if deadline <= self.timer.now() => self.evict(index),
                Some((_, deadline)) => self.changed(deadline).await,
                None => {}
            }
        }
    }

    fn seat(&mut self) -> Seat {
        let (evict, evicted) = async_channel::bounded(1);
        let place = Arc::new(Place {
            epoch: self.timer.now(),
            timer: self.timer.clone(),
            phase: AtomicU8::new(WAITING),
            since: AtomicU64::new(0),
            changes: self.changes.0.clone(),
        });
        self.taken.push((place.clone(), evict));
        Seat { place, evicted }
    }

    /// Its connection is told by the end of the channel.
    fn evict(&mut self, index: usize) {
        let (place, _) = self.taken.remove(index);
        tracing::debug!(phase = place.phase(), "an HTTP connection made room");
    }

    async fn changed(&self, deadline: Instant) {
        let changed = async {
            // Both ends are ours, so it cannot fail.
            let _ = self.changes.1.recv().await;
        };
        or(changed, self.timer.sleep_until(deadline)).await;
    }
}

impl Seat {
    /// Waits until the connection has to make room.
    pub(super) async fn evicted(&self) {
        // Nothing is ever sent.
        let _ = self.evicted.recv().await;
    }

    /// For the connection's service.
    pub(super) fn marker(&self) -> Marker {
        Marker(self.place.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.place.set(LEFT);
    }
}

/// Marks when a connection has a complete request.
#[derive(Clone)]
pub(super) struct Marker(Arc<Place>);

/// From a complete request to the end of its answer.
pub(super) struct Answering(Arc<Place>);

impl Marker {
    pub(super) fn complete(&self) -> Answering {
        self.0.set(ANSWERING);
        Answering(self.0.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(WAITING);
    }
}

impl Place {
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Acquire)
    }

    fn since(&self) -> Instant {
        self.epoch + Duration::from_micros(self.since.load(Ordering::Acquire))
    }

    fn set(&self, phase: u8) {
        let since = self.timer.now().saturating_duration_since(self.epoch).as_micros();
        self.since.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
        // Once it has left, it does not come back.
        let _ = self
            .phase
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| (was != LEFT).then_some(phase));
        // A full channel wakes as well.
        let _ = self.changes.try_send(());
    }
}

/// So many WebSockets and no more.
#[derive(Clone)]
pub(super) struct Tickets {
    limit: usize,
    out: Arc<AtomicUsize>,
}

/// One WebSocket's; dropping it gives it back.
pub(super) struct Ticket(Arc<AtomicUsize>);

impl Tickets {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, out: Arc::default() }
    }

    pub(super) fn take(&self) -> Option<Ticket> {
        let more = |out| (out < self.limit).then_some(out + 1);
        self.out.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Ticket(self.out.clone()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
