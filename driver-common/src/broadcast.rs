//! Distributes events to the WebSockets and the printer.

mod history;
pub(crate) mod json;
pub(crate) mod json_v2;
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
use crate::store::{PageError, StoreView};
use crate::{Event, Origin};

/// Receives each batch last. The broadcast waits for it.
pub trait Printer: Send {
    /// Takes a batch. Until this returns, no further batch is fetched, and the node stops reading from its links.
    fn print(&mut self, batch: Batch) -> impl Future<Output = ()> + Send;
}

/// Prints nothing.
impl Printer for () {
    async fn print(&mut self, _: Batch) {}
}

/// Events that a node reported together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<Event>,
    /// When they were reported: Unix time in milliseconds.
    pub at: u64,
    /// The number of the first one. A message has a number for each line, any other event has one.
    pub first_id: u64,
}

impl Batch {
    /// A batch that was reported at this time.
    pub fn new(events: Vec<Event>, at: u64, first_id: u64) -> Self {
        Self { events, at, first_id }
    }
}

/// The form of the events that a subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As clients in the field know them.
    V1,
    /// Each is an object with one key.
    V2,
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
    form: Form,
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
        while let Ok(events) = events.recv().await {
            let at = unix_micros() / 1000;
            let first_id = self.shared.state().history.record(&events, at);
            let batch = Batch { events, at, first_id };
            self.send(&batch).await;
            printer.print(batch).await;
        }
    }

    async fn send(&self, batch: &Batch) {
        let subscribers = self.shared.state().subscribers.clone();
        if subscribers.is_empty() {
            return;
        }
        let (at, mut id) = (batch.at, batch.first_id);
        for event in &batch.events {
            match event {
                Event::Message(_) | Event::Recalled(_) | Event::Said { .. } => {
                    for line in line::lines(event) {
                        let id = id + line.offset as u64;
                        send_to_all(&subscribers, line.origin, |form| match form {
                            Form::V1 => Some(json::line(&line, at, id)),
                            Form::V2 => Some(json_v2::line(&line, at, id)),
                        })
                        .await;
                    }
                }
                other => {
                    send_to_all(&subscribers, None, |form| match form {
                        Form::V1 => json::event(other, at),
                        Form::V2 => json_v2::event(other, at, id),
                    })
                    .await;
                }
            }
            id += line::ids(event);
        }
    }
}

/// Renders the event once for each form, and only if there is a subscriber for it.
async fn send_to_all(
    subscribers: &[Subscriber],
    except: Option<Origin>,
    render: impl Fn(Form) -> Option<String>,
) {
    for form in [Form::V1, Form::V2] {
        let wants = |subscriber: &&Subscriber| subscriber.form == form && Some(subscriber.origin) != except;
        let mut wanting = subscribers.iter().filter(wants).peekable();
        if wanting.peek().is_none() {
            continue;
        }
        let Some(text) = render(form).map(Utf8Bytes::from) else { continue };
        for subscriber in wanting {
            subscriber.queue.wait_for_turn().await;
            subscriber.queue.push(text.clone());
        }
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
    pub(crate) fn subscribe(&self, origin: Origin, form: Form, limit: usize) -> Option<Subscription> {
        let mut state = self.shared.state();
        if state.ended {
            return None;
        }
        let queue = Arc::new(SubscriberQueue::new(limit));
        state.subscribers.retain(|subscriber| !subscriber.queue.is_abandoned());
        state.subscribers.push(Subscriber { origin, form, queue: queue.clone() });
        Some(Subscription { queue })
    }

    /// With the messages in the store of the node with this key.
    pub fn with_store(self, store: StoreView, key: PublicKey) -> Self {
        Self { stored: Some(Pages::new(store, key)), ..self }
    }

    /// Messages in the order of the conversation, as a JSON array: the newest before a place. While the store cannot be
    /// read, those in memory, if there are any.
    pub(crate) async fn messages(&self, query: PageQuery) -> Result<String, PageError> {
        let stored = match &self.stored {
            Some(pages) => pages.read(query).await,
            None => None,
        };
        let (recent, first_ids) = {
            let state = self.shared.state();
            (state.history.recent(), stored.is_some().then(|| state.history.first_ids()))
        };
        let unread = self.stored.is_some() && stored.is_none();
        match pages::merge(query, recent, stored, first_ids.as_ref()) {
            Some(page) if !(unread && page.is_empty() && query.is_older()) => Ok(json::messages(&page)),
            _ if unread => Err(PageError::Unavailable),
            _ => Err(PageError::NoSuchEntry),
        }
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
