//! Distributes events to the WebSockets and the printer.

mod history;
pub(crate) mod json;
mod line;
mod pages;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use proto_core::PublicKey;
use tungstenite::Utf8Bytes;

use self::history::History;
pub(crate) use self::pages::PageQuery;
use self::pages::Pages;
pub(crate) use self::queue::{Next, SubscriberQueue};
use crate::clock::unix_time;
use crate::store::StoreView;
use crate::{Event, Origin};

/// Receives each batch last. The broadcast waits for it.
pub trait Printer: Send {
    /// Takes a batch. Until this returns, no further batch is fetched, and the node stops reading from its links.
    fn print(&mut self, batch: Vec<Event>) -> impl Future<Output = ()> + Send;
}

/// Prints nothing.
impl Printer for () {
    async fn print(&mut self, _: Vec<Event>) {}
}

/// The task that distributes the events of a node.
///
/// It waits for the printer. It waits for a WebSocket only until that had a chance to send. A WebSocket whose client
/// does not read is closed when its queue is full.
#[derive(Debug)]
pub struct Broadcast {
    shared: Arc<Shared>,
    /// Dropped when the broadcast ends.
    _running: Sender<()>,
}

/// Subscribes to a broadcast. Clones belong to the same broadcast.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    ended: Receiver<()>,
    /// None: messages are in memory alone.
    stored: Option<Pages>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    history: History,
    subscribers: Vec<Subscriber>,
    ended: bool,
}

#[derive(Clone, Debug)]
struct Subscriber {
    /// Its own messages are not sent back to it.
    origin: Origin,
    queue: Arc<SubscriberQueue>,
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Subscription {
    queue: Arc<SubscriberQueue>,
}

/// Creates a broadcast and the feed to subscribe to.
pub fn channel() -> (Broadcast, Feed) {
    let state = State { history: History::new(unix_micros()), subscribers: Vec::new(), ended: false };
    let shared = Arc::new(Shared { state: Mutex::new(state) });
    let (running, ended) = async_channel::bounded(1);
    (Broadcast { shared: shared.clone(), _running: running }, Feed { shared, ended, stored: None })
}

impl Broadcast {
    /// Distributes events until the node has stopped.
    pub async fn run(self, events: Receiver<Vec<Event>>, mut printer: impl Printer) {
        while let Ok(batch) = events.recv().await {
            let at = unix_micros() / 1000;
            let first_id = self.shared.state().history.record(&batch, at);
            self.send(&batch, at, first_id).await;
            printer.print(batch).await;
        }
    }

    async fn send(&self, batch: &[Event], at: u64, mut id: u64) {
        let subscribers = self.shared.state().subscribers.clone();
        if subscribers.is_empty() {
            return;
        }
        for event in batch {
            match event {
                Event::Joined(peer) => send_to_all(&subscribers, None, || json::joined(peer, at)).await,
                Event::Updated(peer) => send_to_all(&subscribers, None, || json::updated(peer, at)).await,
                Event::Left { peer, reason } => {
                    send_to_all(&subscribers, None, || json::left(peer, *reason, at)).await;
                }
                Event::Message(_) | Event::Recalled(_) | Event::Said { .. } => {
                    for line in line::lines(event) {
                        send_to_all(&subscribers, line.origin, || json::line(&line, at, id)).await;
                        id += 1;
                    }
                }
                Event::Notice(notice) => send_to_all(&subscribers, None, || json::notice(notice, at)).await,
                Event::Store(notice) => {
                    send_to_all(&subscribers, None, || json::store_notice(notice, at)).await;
                }
                Event::Report { .. } => {}
            }
        }
    }
}

/// Renders the event once, and only if there is a subscriber for it.
async fn send_to_all(subscribers: &[Subscriber], except: Option<Origin>, render: impl FnOnce() -> String) {
    let wants = |subscriber: &Subscriber| Some(subscriber.origin) != except;
    if !subscribers.iter().any(wants) {
        return;
    }
    let text = Utf8Bytes::from(render());
    for subscriber in subscribers {
        if !wants(subscriber) {
            continue;
        }
        subscriber.queue.wait_for_turn().await;
        subscriber.queue.push(text.clone());
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        for subscriber in state.subscribers.drain(..) {
            subscriber.queue.finish();
        }
    }
}

impl Feed {
    /// Subscribes to all events except the messages that `origin` sends itself. At most `limit` bytes may be queued.
    ///
    /// Returns `None` if the broadcast has ended.
    pub(crate) fn subscribe(&self, origin: Origin, limit: usize) -> Option<Subscription> {
        let mut state = self.shared.state();
        if state.ended {
            return None;
        }
        let queue = Arc::new(SubscriberQueue::new(limit));
        state.subscribers.retain(|subscriber| !subscriber.queue.is_abandoned());
        state.subscribers.push(Subscriber { origin, queue: queue.clone() });
        Some(Subscription { queue })
    }

    /// With the messages in the store of the node with this key.
    pub fn with_store(self, store: StoreView, key: PublicKey) -> Self {
        Self { stored: Some(Pages::new(store, key)), ..self }
    }

    /// Messages in the order of the conversation, as a JSON array: the newest before a place. None: there is no such place.
    pub(crate) async fn messages(&self, query: PageQuery) -> Option<String> {
        let stored = match &self.stored {
            Some(pages) => pages.read(query).await,
            None => None,
        };
        let (recent, first_ids) = {
            let state = self.shared.state();
            (state.history.recent(), stored.is_some().then(|| state.history.first_ids()))
        };
        let page = pages::merge(query, recent, stored, first_ids.as_ref())?;
        Some(json::messages(&page))
    }

    /// Waits until the broadcast ends, which means that the node has stopped.
    pub async fn ended(&self) {
        // The channel carries no messages.
        let _ = self.ended.recv().await;
    }
}

impl Subscription {
    pub(crate) fn queue(&self) -> &SubscriberQueue {
        &self.queue
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_micros() -> u64 {
    u64::try_from(unix_time().as_micros()).unwrap_or(u64::MAX)
}
