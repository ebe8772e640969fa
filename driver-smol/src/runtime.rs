//! smol's sockets and timers, with any executor.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use driver_common::net;
use driver_common::runtime::{Listener, Runtime, Stream};
use smol::{Async, Executor, Timer};

/// smol's sockets and timers. Tasks run on any executor.
#[derive(Clone)]
pub struct Smol {
    spawner: Arc<dyn Fn(Task) + Send + Sync>,
}

/// A task that an executor runs to its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Smol {
    /// Runs tasks on smol's global executor, which has its own threads.
    pub fn global() -> Self {
        Self::with_spawner(|task| smol::spawn(task).detach())
    }

    /// Runs tasks on this executor. Somebody has to run the executor.
    pub fn on(executor: Arc<Executor<'static>>) -> Self {
        Self::with_spawner(move |task| executor.spawn(task).detach())
    }

    /// Passes tasks to `spawn`, which runs them on any executor.
    pub fn with_spawner(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self { spawner: Arc::new(spawn) }
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").finish_non_exhaustive()
    }
}

impl Runtime for Smol {
    type Stream = SmolStream;
    type Listener = SmolListener;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.spawner)(Box::pin(task));
    }

    async fn sleep_until(&self, at: Instant) {
        Timer::at(at).await;
    }

    fn stream(&self, socket: TcpStream) -> io::Result<SmolStream> {
        Async::new_nonblocking(socket).map(SmolStream)
    }

    fn listener(&self, socket: TcpListener) -> io::Result<SmolListener> {
        Async::new_nonblocking(socket).map(SmolListener)
    }
}

/// A TCP connection on smol.
#[derive(Debug)]
pub struct SmolStream(pub(crate) Async<TcpStream>);

impl AsFd for SmolStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Stream for SmolStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = net::receive(&self.0, buffer)?;
        if net::has_taken_all(count, buffer.len()) {
            // Nothing is left. This consumes the event that the read has served; the next poll waits for another one.
            let _ = self.0.poll_readable(&mut Context::from_waker(Waker::noop()));
        }
        Ok(count)
    }

    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        net::send(&self.0, parts)
    }
}

/// A TCP listener on smol.
#[derive(Debug)]
pub struct SmolListener(Async<TcpListener>);

impl AsFd for SmolListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener for SmolListener {
    type Stream = SmolStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(SmolStream, SocketAddr)>> {
        loop {
            match self.0.get_ref().accept() {
                Ok((stream, remote)) => return Poll::Ready(Ok((SmolStream(Async::new(stream)?), remote))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
