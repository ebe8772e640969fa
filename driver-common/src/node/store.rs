//! Carries between the node and its store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{Entry, Input, Instant, Marks, Message, SayId};

use super::NodeTask;
use super::ready::{ReadyHandle, ReadyList, Source};
use crate::handle::Say;
use crate::runtime::Runtime;
use crate::store::{Answer, StoreClient, StoreNotice};
use crate::{Event, Said};

/// What the node learns of others is kept this long after it learned it.
const SAVE: Duration = Duration::from_secs(2);

/// The most calls that wait for a commit.
const SAYING: usize = 256;

/// The task's end of a store.
pub(super) struct StoreLink {
    pub(super) client: StoreClient,
    ready: ReadyHandle,
    /// Messages that are being committed.
    saying: BTreeMap<SayId, Say>,
    /// The state of the node's memory that was kept last.
    saved: u64,
    /// When to keep it again.
    save_at: Option<Instant>,
}

impl StoreLink {
    pub(super) fn new(client: StoreClient, list: &Arc<ReadyList>, memory: u64) -> Self {
        let ready = ReadyHandle::new(Source::Store, list);
        client.attach(ready.context().waker().clone());
        Self { client, ready, saying: BTreeMap::new(), saved: memory, save_at: None }
    }

    /// Whether one more message can be committed.
    pub(super) fn can_say(&self) -> bool {
        self.saying.len() < SAYING
    }

    pub(super) fn saying(&mut self, id: SayId, say: Say) {
        self.saying.insert(id, say);
    }

    pub(super) fn save_at(&self) -> Option<Instant> {
        self.save_at
    }
}

impl<R: Runtime> NodeTask<R> {
    /// Whether the task reads nothing from peers, because the user or the store is behind.
    pub(super) fn is_behind(&self) -> bool {
        self.events.is_blocked() || self.store.as_ref().is_some_and(|store| store.client.is_behind())
    }

    /// Takes what the store has answered.
    pub(super) fn serve_store(&mut self) {
        let Some(store) = &self.store else { return };
        store.ready.clear_ready();
        while let Some(answer) = self.store.as_ref().and_then(|store| store.client.next_answer()) {
            self.take_answer(answer);
        }
        if !self.is_behind() {
            self.resume_reading();
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Stored(through) => self.node.handle_input(self.now, Input::stored(through)),
            Answer::Loaded(id, entries) => self.node.handle_input(self.now, Input::loaded(id, entries)),
            Answer::Failed(problem) => {
                // What the node asked for before it knows is not kept.
                self.perform_actions();
                self.node.handle_input(self.now, Input::StoreFailed);
                if let Some(store) = &self.store {
                    store.client.heard_failure();
                }
                self.events.push(Event::Store(StoreNotice::Failed(problem)));
            }
            Answer::Works => {
                self.node.handle_input(self.now, Input::StoreWorks);
                self.events.push(Event::Store(StoreNotice::Works));
            }
            Answer::SetAside(file) => self.events.push(Event::Store(StoreNotice::SetAside { file })),
            Answer::Changed(changes) => {
                for change in changes {
                    self.node.handle_input(self.now, Input::store_changed(change));
                }
            }
            Answer::Damaged(entries) => self.events.push(Event::Store(StoreNotice::Damaged { entries })),
        }
    }

    /// Shows a message, and keeps what is unusual about it.
    pub(super) fn deliver(&mut self, message: Message) {
        if let (Some(store), Message::Entry { entry, marks }) = (&self.store, &message)
            && *marks != Marks::default()
        {
            store.client.mark(entry.id(), *marks);
        }
        // Only this node can sign in its own name.
        let own = message.is_signed() && message.node_id() == self.node.id();
        self.events.push(if own { Event::Recalled(message) } else { Event::Message(message) });
    }

    /// Answers the call whose messages are on their way.
    pub(super) fn said(&mut self, id: SayId, entries: Vec<Arc<Entry>>, stored: bool) {
        let Some(say) = self.store.as_mut().and_then(|store| store.saying.remove(&id)) else { return };
        // It fails if the caller has gone.
        let _ = say.reply.try_send(Ok(Said { entries: entries.clone(), stored }));
        self.events.push(Event::Said { entries, origin: say.origin });
    }

    /// Keeps what the node knows of others, some time after it changed.
    pub(super) fn keep_memory(&mut self) {
        let Some(store) = &mut self.store else { return };
        let changes = self.node.memory_changes();
        if store.saved == changes {
            return;
        }
        let at = *store.save_at.get_or_insert(self.now + SAVE);
        if at <= self.now || self.stopping.is_some() {
            store.client.save(self.node.memory());
            (store.saved, store.save_at) = (changes, None);
        }
    }
}
