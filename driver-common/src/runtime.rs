//! What a node needs of an async runtime: tasks, a timer and sockets. The program needs a little more.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Instant;

/// An async runtime. Each driver implements it once; everything else is written against it.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: Stream;
    /// A TCP listener.
    type Listener: Listener<Stream = Self::Stream>;

    /// Runs a task to its end, in the background.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Waits until then.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;

    /// Takes over a socket that is non-blocking, and connected or connecting.
    fn stream(&self, socket: TcpStream) -> io::Result<Self::Stream>;

    /// Takes over a listener that is non-blocking.
    fn listener(&self, socket: TcpListener) -> io::Result<Self::Listener>;
}

/// What the program needs of a runtime beyond what its node does: signals, and what hyper works with.
#[cfg(feature = "app")]
pub trait AppRuntime: Runtime {
    /// A TCP connection as hyper reads and writes it.
    type HttpIo: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static;
    /// The timer as hyper uses it.
    type HttpTimer: hyper::rt::Timer + Send + Sync + 'static;

    /// Waits for SIGINT or SIGTERM. From its first poll on, these no longer end the process by themselves.
    fn interrupted(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// A connection for hyper.
    fn http_io(&self, stream: Self::Stream) -> Self::HttpIo;

    /// A timer for hyper.
    fn http_timer(&self) -> Self::HttpTimer;
}

/// A TCP connection that tells when it is ready and never blocks.
///
/// Of each direction the last waker polled with counts. After `WouldBlock`, and only then, `poll_*` is sure to wake
/// it; it may do so too often.
pub trait Stream: AsFd + Send + Sync + Unpin + 'static {
    /// Ready when reading may get somewhere.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when writing may get somewhere.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what is there; 0 is the end.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what fits.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// A TCP listener.
pub trait Listener: AsFd + Send + Sync + Unpin + 'static {
    /// The connections that it accepts.
    type Stream: Stream;

    /// The next connection and where it comes from. The last waker polled with counts.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, SocketAddr)>>;

    /// The next connection and where it comes from; only one task may wait for it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send {
        poll_fn(|cx| self.poll_accept(cx))
    }
}
