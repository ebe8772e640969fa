//! The interface of an async runtime: tasks, a timer and sockets. The program needs signals and HTTP types as well.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Instant;

/// An async runtime. Each driver implements this trait; all other code is generic over it.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: Stream;
    /// A TCP listener.
    type Listener: Listener<Stream = Self::Stream>;

    /// Runs a task in the background.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Waits until this time.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;

    /// Takes over a non-blocking socket that is connected or connecting.
    fn stream(&self, socket: TcpStream) -> io::Result<Self::Stream>;

    /// Takes over a non-blocking listener.
    fn listener(&self, socket: TcpListener) -> io::Result<Self::Listener>;
}

/// The additional interface that the program needs: signals and the types that hyper works with.
#[cfg(feature = "app")]
pub trait AppRuntime: Runtime {
    /// A TCP connection that hyper can read and write.
    type HttpIo: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static;
    /// A timer for hyper.
    type HttpTimer: hyper::rt::Timer + Send + Sync + 'static;

    /// Waits for SIGINT, SIGTERM, or SIGHUP where [`hangup_ends`] says so. After the first poll, these signals no longer end
    /// the process by themselves.
    fn interrupted(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Wraps a connection for hyper.
    fn http_io(&self, stream: Self::Stream) -> Self::HttpIo;

    /// Creates a timer for hyper.
    fn http_timer(&self) -> Self::HttpTimer;
}

/// Whether SIGHUP is to be waited for. Whoever started the process may have set it to be ignored, as `nohup` does. Where that
/// cannot be found out, the signal does what it did before.
#[cfg(feature = "app")]
pub fn hangup_ends() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & SIGHUP_BIT == 0)
}

/// A non-blocking TCP connection that reports when it is ready.
///
/// For each direction, the last waker that was polled with is woken. It is guaranteed to be woken only if the operation
/// returned `WouldBlock` before, or if a read did not fill its buffer: such a read has taken all that there was, unless urgent
/// data lies behind, which no node sends. It may be woken spuriously.
pub trait Stream: AsFd + Send + Sync + Unpin + 'static {
    /// Ready when reading may make progress.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when writing may make progress.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what is available. Returns 0 at the end of the stream. After a read that did not fill the buffer, the stream
    /// is readable again when more has come.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as fits of these, one after the other.
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// A TCP listener.
pub trait Listener: AsFd + Send + Sync + Unpin + 'static {
    /// The type of accepted connections.
    type Stream: Stream;

    /// The next connection and its remote address. The last waker that was polled with is woken.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, SocketAddr)>>;

    /// The next connection and its remote address. Only one task may wait for it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send {
        poll_fn(|cx| self.poll_accept(cx))
    }
}
