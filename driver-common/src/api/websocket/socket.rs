//! Connects a session with its socket, the events, the node and the timer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use std::{io, mem};

use hyper::rt::{Read, ReadBuf, Sleep, Timer, Write};
use hyper::upgrade::Upgraded;
use tungstenite::protocol::frame::coding::CloseCode;

use super::session::{Request, Session};
use crate::api::Api;
use crate::broadcast::{Form, Next, Subscription, json, json_v2};
use crate::{Origin, RequestError};

/// The maximum number of bytes read at once.
const CHUNK: usize = 16 * 1024;
/// The number of rounds before other tasks get a turn.
const BUDGET: usize = 32;

/// A session and everything that it works with.
pub(super) struct Socket {
    io: Upgraded,
    session: Session,
    /// Dropped when it closes: what it does not take any more holds no other reader up.
    events: Option<Subscription>,
    job: Option<Job>,
    timer: Pin<Box<dyn Sleep>>,
    armed: Instant,
    origin: Origin,
    form: Form,
    api: Arc<Api>,
}

/// A request in progress. It returns the answer for the client.
type Job = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

impl Socket {
    pub(super) fn new(
        io: Upgraded,
        (origin, form): (Origin, Form),
        events: Subscription,
        api: Arc<Api>,
    ) -> Self {
        let session = Session::new(&api.limits, form, api.timer.now());
        let armed = session.deadline();
        let timer = api.timer.sleep_until(armed);
        Self { io, session, events: Some(events), job: None, timer, armed, origin, form, api }
    }

    /// Runs it until it ends. An error is one of the connection.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        poll_fn(|cx| self.poll(cx, &mut chunk)).await?;
        poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await
    }

    /// Ready when the session has ended.
    fn poll(&mut self, cx: &mut Context<'_>, chunk: &mut [u8]) -> Poll<io::Result<()>> {
        for _ in 0..BUDGET {
            let mut moved = self.poll_job(cx);
            moved |= self.poll_events(cx);
            if let Poll::Ready(count) = self.poll_read(cx, chunk)? {
                if count == 0 {
                    return Poll::Ready(Ok(()));
                }
                moved = true;
            }
            moved |= self.poll_write(cx)?;
            if self.session.has_ended() && self.session.output().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(alive) = self.poll_timer(cx) {
                if !alive {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                moved = true;
            }
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.api.timer.now();
        if self.job.is_none() {
            self.job = self.session.next_request(now).map(|request| self.start(request));
        }
        let Some(job) = &mut self.job else { return false };
        let Poll::Ready(answer) = job.as_mut().poll(cx) else { return false };
        self.job = None;
        self.session.reset_silence(now);
        if let Some(answer) = answer {
            self.session.send(answer.into());
        }
        true
    }

    fn start(&self, request: Request) -> Job {
        let (handle, origin, form) = (self.api.handle.clone(), self.origin, self.form);
        match request {
            Request::Say(texts) => Box::pin(async move {
                match handle.say(texts, origin).await {
                    Ok(said) if form == Form::V2 => Some(json_v2::sent(&said)),
                    Ok(_) => None,
                    Err(unsaid) => Some(json::error(&unsaid.to_string())),
                }
            }),
            Request::Peers => Box::pin(async move {
                let status = handle.status().await;
                Some(status.map_or_else(
                    |lost: RequestError| json::error(&lost.to_string()),
                    |status| match form {
                        Form::V1 => json::peers(&status.links),
                        Form::V2 => json_v2::peers(&status.links),
                    },
                ))
            }),
        }
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.session.is_open()
            && let Some(events) = &self.events
        {
            let Poll::Ready(next) = events.queue().poll_next(cx, self.session.wants_events()) else { break };
            moved = true;
            let now = self.api.timer.now();
            match next {
                Next::Text(text) => self.session.send(text),
                Next::Finished => self.session.close(CloseCode::Away, "the node has stopped", now),
                Next::Overflowed => {
                    self.session.close(CloseCode::Again, "events are not read fast enough", now);
                }
            }
        }
        if !self.session.is_open() {
            self.events = None;
        }
        moved
    }

    /// Ready with 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, chunk: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.job.is_some() && self.session.is_open() || !self.session.wants_bytes() {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()))?;
        self.session.received(buffer.filled(), self.api.timer.now());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.session.output().is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, self.session.output())? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => self.session.written(count),
                Poll::Pending => break,
            }
            moved = true;
        }
        if let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx) {
            flushed?;
        }
        Ok(moved)
    }

    /// Ready when the deadline of the session has passed. False if the connection is to be dropped.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        // While the node has not answered, the client is not read, so its silence means nothing.
        if self.job.is_some() && self.session.is_open() {
            return Poll::Pending;
        }
        let deadline = self.session.deadline();
        if mem::replace(&mut self.armed, deadline) != deadline {
            self.api.timer.reset(&mut self.timer, deadline);
        }
        let now = self.api.timer.now();
        if now < deadline {
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Ready(self.session.timeout(self.api.timer.now().max(deadline)))
    }
}
