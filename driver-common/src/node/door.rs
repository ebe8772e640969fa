//! The listener: lets connections in, and rests when this machine has no room for more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proto_core::Instant;

use super::ready::{Bell, ReadyList, Source};
use crate::net;
use crate::runtime::Listener;

pub(super) struct Door<L> {
    listener: L,
    bell: Bell,
    resting_until: Option<Instant>,
    /// When the user was last told that there is no room.
    warned_at: Option<Instant>,
}

/// What came to the door.
pub(super) enum Knock<S> {
    Guest(S, SocketAddr),
    /// One that is gone already.
    Gone,
    Nobody,
}

/// How long the listener rests when there is no descriptor free. What wakes it can come sooner than one is.
const REST: Duration = Duration::from_millis(100);

/// The user is not told of it more often: room comes and goes.
const WARN_EVERY: Duration = Duration::from_secs(60);

impl<L: Listener> Door<L> {
    pub(super) fn new(listener: L, list: &Arc<ReadyList>) -> Self {
        let bell = Bell::new(Source::Door, list);
        bell.ring();
        Self { listener, bell, resting_until: None, warned_at: None }
    }

    /// To be called first when it is served.
    pub(super) fn heard(&self) {
        self.bell.heard();
    }

    /// Has it served again.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// When it is to be served again by itself.
    pub(super) fn resting_until(&self) -> Option<Instant> {
        self.resting_until
    }

    /// Ends the rest when it is over.
    pub(super) fn handle_time(&mut self, now: Instant) {
        if self.resting_until.is_some_and(|until| until <= now) {
            self.resting_until = None;
            self.ring();
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Knock<L::Stream> {
        if self.resting_until.is_some() {
            return Knock::Nobody;
        }
        match self.listener.poll_accept(&mut self.bell.context()) {
            Poll::Pending => Knock::Nobody,
            Poll::Ready(Ok((stream, remote))) => {
                // What an IPv6 listener shows of an IPv4 peer is not what others know it by.
                Knock::Guest(stream, SocketAddr::new(remote.ip().to_canonical(), remote.port()))
            }
            Poll::Ready(Err(error)) if net::no_resources(&error) => {
                if self.warned_at.is_none_or(|at| now.since(at) >= WARN_EVERY) {
                    tracing::warn!(%error, "no more connections can be accepted for now");
                    self.warned_at = Some(now);
                }
                self.resting_until = Some(now + REST);
                Knock::Nobody
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
                Knock::Gone
            }
        }
    }
}
