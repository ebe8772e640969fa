//! Names being resolved and addresses being dialed.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use proto_core::DialId;

use super::ready::{ReadyHandle, ReadyList, Source};
use crate::net;
use crate::resolve::resolve;
use crate::runtime::{Runtime, Stream};

/// The core limits their number.
pub(super) struct Dials<R: Runtime> {
    runtime: R,
    attempts: BTreeMap<DialId, Attempt<R::Stream>>,
}

struct Attempt<S> {
    ready: ReadyHandle,
    future: Pin<Box<dyn Future<Output = Outcome<S>> + Send>>,
}

pub(super) enum Outcome<S> {
    Resolved(io::Result<Vec<SocketAddr>>),
    Connected(io::Result<S>),
}

impl<R: Runtime> Dials<R> {
    pub(super) fn new(runtime: R) -> Self {
        Self { runtime, attempts: BTreeMap::new() }
    }

    pub(super) fn resolve(&mut self, dial: DialId, host: String, port: u16, list: &Arc<ReadyList>) {
        self.start(dial, list, async move { Outcome::Resolved(resolve(host, port).await) });
    }

    pub(super) fn dial(&mut self, dial: DialId, addr: SocketAddr, list: &Arc<ReadyList>) {
        let runtime = self.runtime.clone();
        self.start(dial, list, async move { Outcome::Connected(connect(&runtime, addr).await) });
    }

    pub(super) fn cancel(&mut self, dial: DialId) {
        self.attempts.remove(&dial);
    }

    /// Polls an attempt. Its outcome is returned once.
    pub(super) fn poll(&mut self, dial: DialId) -> Option<Outcome<R::Stream>> {
        let attempt = self.attempts.get_mut(&dial)?;
        attempt.ready.clear_ready();
        let Poll::Ready(outcome) = attempt.future.as_mut().poll(&mut attempt.ready.context()) else {
            return None;
        };
        self.attempts.remove(&dial);
        Some(outcome)
    }

    fn start(
        &mut self,
        dial: DialId,
        list: &Arc<ReadyList>,
        future: impl Future<Output = Outcome<R::Stream>> + Send + 'static,
    ) {
        let ready = ReadyHandle::new(Source::Dial(dial), list);
        ready.mark_ready();
        self.attempts.insert(dial, Attempt { ready, future: Box::pin(future) });
    }
}

async fn connect<R: Runtime>(runtime: &R, addr: SocketAddr) -> io::Result<R::Stream> {
    let stream = runtime.stream(net::connect(addr)?)?;
    poll_fn(|cx| stream.poll_writable(cx)).await?;
    net::connected(&stream)?;
    Ok(stream)
}
