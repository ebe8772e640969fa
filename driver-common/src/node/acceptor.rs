//! Accepts connections, and pauses when this machine has no room for more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proto_core::Instant;

use super::ready::{ReadyHandle, ReadyList, Source};
use crate::net;
use crate::runtime::Listener;

pub(super) struct Acceptor<L> {
    listener: L,
    ready: ReadyHandle,
    paused_until: Option<Instant>,
    /// When the user was last warned.
    warned_at: Option<Instant>,
}

/// The result of accepting.
pub(super) enum Accepted<S> {
    Connection(S, SocketAddr),
    /// The connection ended before it was accepted.
    Failed,
    Nothing,
}

/// How long to pause when no descriptor is free. The socket may report readiness earlier than that.
const PAUSE: Duration = Duration::from_millis(100);

/// The minimum time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(60);

impl<L: Listener> Acceptor<L> {
    pub(super) fn new(listener: L, list: &Arc<ReadyList>) -> Self {
        let ready = ReadyHandle::new(Source::Acceptor, list);
        ready.mark_ready();
        Self { listener, ready, paused_until: None, warned_at: None }
    }

    /// Call this before serving the source.
    pub(super) fn clear_ready(&self) {
        self.ready.clear_ready();
    }

    /// Schedules the source to be served again.
    pub(super) fn mark_ready(&self) {
        self.ready.mark_ready();
    }

    /// When the pause ends.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Ends the pause when its time has come.
    pub(super) fn handle_time(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
            self.mark_ready();
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Accepted<L::Stream> {
        if self.paused_until.is_some() {
            return Accepted::Nothing;
        }
        match self.listener.poll_accept(&mut self.ready.context()) {
            Poll::Pending => Accepted::Nothing,
            Poll::Ready(Ok((stream, remote))) => {
                // An IPv6 listener shows an IPv4 peer by a mapped address, which other peers do not use.
                Accepted::Connection(stream, SocketAddr::new(remote.ip().to_canonical(), remote.port()))
            }
            Poll::Ready(Err(error)) if net::no_resources(&error) => {
                if self.warned_at.is_none_or(|at| now.since(at) >= WARN_EVERY) {
                    tracing::warn!(%error, "cannot accept more connections for now");
                    self.warned_at = Some(now);
                }
                self.paused_until = Some(now + PAUSE);
                Accepted::Nothing
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
                Accepted::Failed
            }
        }
    }
}
