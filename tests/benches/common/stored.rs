//! Stores that are filled without a node.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use driver_common::DataDir;
use driver_common::store::{Answer, Store, StoreOptions};
use proto_core::{
    ChatText, Draft, Entry, Identity, Name, NetworkId, PublicKey, Record, RunPosition, StoreId,
};
use tests::process::Launch;

/// Authors of a long conversation.
pub(crate) const AUTHORS: u8 = 50;

/// Entries of an author in a row, a millisecond apart.
pub(crate) struct Author {
    pub(crate) identity: Identity,
    next: RunPosition,
    at: u64,
}

impl Author {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            identity: Identity::from_secret(&[number; 32]),
            next: RunPosition::FIRST,
            at: 1_700_000_000_000,
        }
    }

    pub(crate) fn say(&mut self) -> Arc<Entry> {
        let uname: Name = "bench".parse().unwrap();
        let texts = [ChatText::new("a line of a conversation, as long as most of them are").unwrap()];
        self.at += 1;
        let entry = Entry::sign(&self.identity, &Draft::new(1, self.next, self.at, &uname, &texts, [7; 16]));
        self.next = RunPosition::after(&entry).unwrap();
        Arc::new(entry)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A store whose answers this thread waits for.
pub(crate) struct Open {
    store: Store,
    next: u64,
}

impl Open {
    pub(crate) fn new(data: &DataDir, key: PublicKey) -> Self {
        let store = Store::open(data, &StoreOptions::new(key, NetworkId::named(""))).unwrap();
        store.client().attach(Waker::from(Arc::new(Unpark(thread::current()))));
        Self { store, next: 1 }
    }

    pub(crate) fn put(&mut self, record: Record) {
        self.store.client().store(StoreId(self.next), record);
        self.next += 1;
    }

    /// Waits until all is on the disk.
    pub(crate) fn wait(&self) {
        loop {
            match self.store.client().next_answer() {
                Some(Answer::Stored(StoreId(through))) if through + 1 == self.next => return,
                Some(Answer::Stored(_)) => {}
                Some(other) => panic!("{other:?}"),
                None => thread::park(),
            }
        }
    }

    /// Waits until there is room.
    pub(crate) fn make_room(&self) {
        while self.store.client().is_behind() {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    pub(crate) fn close(mut self) {
        let threads = self.store.take_threads();
        drop(self.store);
        threads.wait();
    }
}

/// Gives a node, which must not run, a conversation of so many entries of these authors in turn.
pub(crate) fn fill(launch: &Launch, folder: &std::path::Path, count: usize, authors: u8) {
    drop(launch.start());
    let data = DataDir::open(Some(folder), launch.addr().port()).unwrap();
    let key = data.identity().unwrap().key();
    let mut authors: Vec<_> = (0..authors).map(|number| Author::new(100 + number)).collect();
    let mut open = Open::new(&data, key);
    for number in 0..count {
        let turn = number % authors.len();
        let entry = authors[turn].say();
        open.put(Record::Entry(entry));
        open.make_room();
    }
    open.wait();
    open.close();
}
