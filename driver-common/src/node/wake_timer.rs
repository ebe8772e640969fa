//! The timer that wakes the node's task. It may fire early: the task compares its clock with the deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::runtime::Runtime;

#[derive(Default)]
pub(super) struct WakeTimer {
    set: Option<(Instant, Sleep)>,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl WakeTimer {
    /// Ready at `at` or before. Most deadlines are postponed again and again, so a set timer is replaced only by an
    /// earlier one.
    pub(super) fn poll<R: Runtime>(&mut self, runtime: &R, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let set = match &mut self.set {
            Some((when, sleep)) if *when <= at => sleep,
            set => {
                let runtime = runtime.clone();
                &mut set.insert((at, Box::pin(async move { runtime.sleep_until(at).await }))).1
            }
        };
        ready!(set.as_mut().poll(cx));
        self.set = None;
        Poll::Ready(())
    }
}
