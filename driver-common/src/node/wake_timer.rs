//! The timer that wakes the node's task. It may fire early; whether a deadline has come, the task's clock decides.

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
    /// Ready at `at` or before. Most deadlines are put off again and again: one that is set stays set, unless a sooner
    /// one is asked for.
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
