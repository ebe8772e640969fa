//! The list of sockets and dials that are ready. Their wakers add them and wake the task.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use proto_core::{ConnId, DialId};

/// Something that the node's task serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Acceptor,
    Dial(DialId),
    Conn(ConnId),
    Store,
}

/// The ready sources, each listed once. The lock is held only for a push or a drain.
#[derive(Default)]
pub(super) struct ReadyList {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sources: Vec<Source>,
    task: Option<Waker>,
}

impl ReadyList {
    /// Moves the listed sources to the end of `queue`.
    pub(super) fn take(&self, queue: &mut VecDeque<Source>) {
        queue.extend(self.lock().sources.drain(..));
    }

    /// Ready when a source is listed.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if !inner.sources.is_empty() {
            return Poll::Ready(());
        }
        inner.task = Some(cx.waker().clone());
        Poll::Pending
    }

    fn list(&self, source: Source) {
        let task = {
            let mut inner = self.lock();
            inner.sources.push(source);
            inner.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists one source.
pub(super) struct ReadyHandle {
    listing: Arc<Listing>,
    waker: Waker,
}

struct Listing {
    source: Source,
    list: Arc<ReadyList>,
    listed: AtomicBool,
}

impl ReadyHandle {
    pub(super) fn new(source: Source, list: &Arc<ReadyList>) -> Self {
        let listing = Arc::new(Listing { source, list: Arc::clone(list), listed: AtomicBool::new(false) });
        Self { waker: Arc::clone(&listing).into(), listing }
    }

    /// Lists the source, unless it is already listed.
    pub(super) fn mark_ready(&self) {
        self.waker.wake_by_ref();
    }

    /// Call this after taking the source from the list and before serving it. Later events then list it again.
    pub(super) fn clear_ready(&self) {
        self.listing.listed.swap(false, Ordering::AcqRel);
    }

    /// The context to poll the source with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Wake for Listing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.list.list(self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_listed_once_until_it_is_heard() {
        let list = Arc::new(ReadyList::default());
        let (one, two) = (Source::Conn(ConnId(1)), Source::Conn(ConnId(2)));
        let handles = [ReadyHandle::new(one, &list), ReadyHandle::new(two, &list)];
        let mut queue = VecDeque::new();
        for ready in [&handles[0], &handles[1], &handles[0]] {
            ready.mark_ready();
        }
        list.take(&mut queue);
        assert_eq!(queue, [one, two]);
        handles[0].clear_ready();
        for ready in &handles {
            ready.mark_ready();
        }
        list.take(&mut queue);
        assert_eq!(queue, [one, two, one]);
    }

    #[test]
    fn the_task_is_woken_by_the_first_ring_after_it_found_nothing() {
        let list = Arc::new(ReadyList::default());
        let ready = ReadyHandle::new(Source::Acceptor, &list);
        let woken = Arc::new(Listing {
            source: Source::Acceptor,
            list: Arc::new(ReadyList::default()),
            listed: AtomicBool::new(false),
        });
        let waker = Arc::clone(&woken).into();
        assert!(list.poll(&mut Context::from_waker(&waker)).is_pending());
        ready.mark_ready();
        assert!(woken.listed.load(Ordering::Relaxed));
        assert!(list.poll(&mut Context::from_waker(&waker)).is_ready());
    }
}
