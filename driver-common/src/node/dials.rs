//! Names being resolved and addresses being dialed.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use proto_core::seal::{MAX_HANDSHAKE, SealError, Sealer, Session};
use proto_core::{DialError, DialId, Expected};

use super::channel::Piece;
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
    /// The error is the reason, and a text for the log.
    Connected(Result<Connected<S>, (DialError, String)>),
}

pub(super) struct Connected<S> {
    pub(super) stream: S,
    pub(super) sealed: Option<SealedDial>,
}

/// The seal of a connection whose handshake is complete.
pub(super) struct SealedDial {
    pub(super) session: Box<Session>,
    /// The plain bytes that came with the end of the handshake.
    pub(super) early: Vec<u8>,
}

/// How to seal a connection.
pub(super) struct Sealing {
    pub(super) sealer: Sealer,
    pub(super) expected: Option<Expected>,
}

impl<R: Runtime> Dials<R> {
    pub(super) fn new(runtime: R) -> Self {
        Self { runtime, attempts: BTreeMap::new() }
    }

    pub(super) fn resolve(&mut self, dial: DialId, host: String, port: u16, list: &Arc<ReadyList>) {
        self.start(dial, list, async move { Outcome::Resolved(resolve(host, port).await) });
    }

    pub(super) fn dial(
        &mut self,
        dial: DialId,
        addr: SocketAddr,
        sealing: Option<Sealing>,
        list: &Arc<ReadyList>,
    ) {
        let runtime = self.runtime.clone();
        self.start(dial, list, async move { Outcome::Connected(connect(&runtime, addr, sealing).await) });
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

async fn connect<R: Runtime>(
    runtime: &R,
    addr: SocketAddr,
    sealing: Option<Sealing>,
) -> Result<Connected<R::Stream>, (DialError, String)> {
    let stream = open(runtime, addr).await.map_err(|error| (net::dial_error(&error), error.to_string()))?;
    let Some(Sealing { sealer, expected }) = sealing else { return Ok(Connected { stream, sealed: None }) };
    let seal = async {
        let mut session = Box::new(sealer.dial(expected)?);
        let early = shake_hands(&stream, &mut session).await?;
        Ok(SealedDial { session, early })
    };
    match seal.await {
        Ok(sealed) => Ok(Connected { stream, sealed: Some(sealed) }),
        Err(error) => Err((seal_error(error), error.to_string())),
    }
}

fn seal_error(error: SealError) -> DialError {
    match error {
        SealError::WrongKey { shown } => DialError::WrongKey { found: shown.node_id() },
        SealError::NoRandomness => DialError::NoResources,
        _ => DialError::NotSealed,
    }
}

async fn open<R: Runtime>(runtime: &R, addr: SocketAddr) -> io::Result<R::Stream> {
    let stream = runtime.stream(net::connect(addr)?)?;
    poll_fn(|cx| stream.poll_writable(cx)).await?;
    net::connected(&stream)?;
    Ok(stream)
}

/// Completes the handshake. What the session has to write at its end may still be in it. Returns the plain bytes that came
/// with the end.
async fn shake_hands<S: Stream>(stream: &S, session: &mut Session) -> Result<Vec<u8>, SealError> {
    let mut early = Vec::new();
    let mut buffer = vec![0; MAX_HANDSHAKE];
    while session.peer().is_none() {
        flush(stream, session).await?;
        let count = read(stream, &mut buffer).await?;
        if let Err(error) = session.receive(&buffer[..count], &mut early) {
            // The other end learns the reason, if there is room for it.
            let _ = session.write_to(&mut Piece { stream, most: usize::MAX });
            return Err(error);
        }
    }
    Ok(early)
}

async fn flush<S: Stream>(stream: &S, session: &mut Session) -> Result<(), SealError> {
    while session.has_output() {
        match session.write_to(&mut Piece { stream, most: usize::MAX }) {
            Ok(0) => return Err(SealError::Truncated),
            Ok(_) => {}
            Err(error) => may_retry(&error)?,
        }
        if session.has_output() {
            poll_fn(|cx| stream.poll_writable(cx)).await.map_err(|_| SealError::Truncated)?;
        }
    }
    Ok(())
}

async fn read<S: Stream>(stream: &S, buffer: &mut [u8]) -> Result<usize, SealError> {
    loop {
        match stream.try_read(buffer) {
            Ok(0) => return Err(SealError::Truncated),
            Ok(count) => return Ok(count),
            Err(error) => may_retry(&error)?,
        }
        poll_fn(|cx| stream.poll_readable(cx)).await.map_err(|_| SealError::Truncated)?;
    }
}

/// Whether an operation only has to wait.
fn may_retry(error: &io::Error) -> Result<(), SealError> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(SealError::Truncated),
    }
}
