//! The Tokio runtime.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Instant;

use driver_common::net;
use driver_common::runtime::{Listener, Runtime, Stream};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, TryCurrentError};

/// A Tokio runtime of either flavour. Its I/O and time drivers have to be enabled.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
}

impl Tokio {
    /// The runtime of this handle.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The current runtime.
    pub fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::new)
    }
}

impl Runtime for Tokio {
    type Stream = TokioStream;
    type Listener = TokioListener;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send {
        let _entered = self.handle.enter();
        tokio::time::sleep_until(at.into())
    }

    fn stream(&self, socket: std::net::TcpStream) -> io::Result<TokioStream> {
        let _entered = self.handle.enter();
        TcpStream::from_std(socket).map(TokioStream)
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<TokioListener> {
        let _entered = self.handle.enter();
        TcpListener::from_std(socket).map(TokioListener)
    }
}

/// A TCP connection on Tokio.
#[derive(Debug)]
pub struct TokioStream(pub(crate) TcpStream);

impl AsFd for TokioStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Stream for TokioStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx)
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        // After `WouldBlock`, Tokio waits for the next event of the socket, without a second read that finds nothing.
        let result = self.0.try_io(Interest::READABLE, || {
            count = net::receive(&self.0, buffer)?;
            if net::has_taken_all(count, buffer.len()) {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(count)
            }
        });
        if count > 0 { Ok(count) } else { result }
    }

    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_io(Interest::WRITABLE, || net::send(&self.0, parts))
    }
}

/// A TCP listener on Tokio.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl AsFd for TokioListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener for TokioListener {
    type Stream = TokioStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TokioStream, SocketAddr)>> {
        self.0.poll_accept(cx).map_ok(|(stream, remote)| (TokioStream(stream), remote))
    }
}
