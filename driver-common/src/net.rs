//! Sockets with the options that a node needs, before a runtime takes them over.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use proto_core::DialError;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// The number of completed connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1024;
/// The kernel probes a connection that was silent for this long.
const PROBE_IDLE: Duration = Duration::from_secs(15);
/// The time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// The kernel ends an idle connection after this many unanswered probes. Linux ignores it, since [`UNACKNOWLEDGED`] is set.
const PROBES: u32 = 3;
/// Linux ends a connection whose data or probes stay unacknowledged for this long. A version 1 peer cannot be pinged: it
/// is sent a blank line after 15 s of silence, so it is found dead in 45 s.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Linux takes more data of a connection only while it holds less than this, in bytes, that it has not sent yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 8 * 1024;

/// Creates a non-blocking listener on this address. It may reuse the address of a node that has just stopped.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Creates a non-blocking socket and starts to connect it to this address.
pub(crate) fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

/// The result of [`connect`], once the socket is writable.
pub(crate) fn connected(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // A dial to an unused local port can get the same port as its source. TCP then connects the socket to itself.
    let itself = socket.peer_addr()?.as_socket() == socket.local_addr()?.as_socket();
    if itself { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}

/// Sets the options of a connection between nodes. A connection works without them if the system rejects one.
pub(crate) fn tune(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    let probes = TcpKeepalive::new().with_time(PROBE_IDLE).with_interval(PROBE_EVERY).with_retries(PROBES);
    let result = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&probes))
        .and_then(|()| limit_unacknowledged(&socket))
        .and_then(|()| limit_unsent(&socket));
    if let Err(error) = result {
        tracing::debug!(%error, "a socket option was rejected");
    }
}

#[cfg(target_os = "linux")]
fn limit_unacknowledged(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Other systems have no such option. Their own limit on retransmissions applies.
#[cfg(not(target_os = "linux"))]
fn limit_unacknowledged(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// The system reports a socket as writable while it holds less unsent data than this. Thus the driver sees on a slow link
/// that data leaves, and what the node sends next does not wait behind megabytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT)
}

/// Other systems hold as much unsent data as their send buffer takes.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Shuts down the sending side.
pub(crate) fn end_sending(socket: &impl AsFd) {
    // It fails only if the connection is already closed.
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Write);
}

/// Makes the kernel drop unsent data when the socket is closed.
pub(crate) fn discard_unsent(socket: &impl AsFd) {
    // If this fails, the kernel keeps trying to send for a while.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Whether this machine, rather than the peer, lacks a resource.
pub(crate) fn no_resources(error: &io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    short.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Converts an error to the core's reason for a failed dial.
pub(crate) fn dial_error(error: &io::Error) -> DialError {
    use io::ErrorKind;
    match error.kind() {
        _ if no_resources(error) => DialError::NoResources,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => DialError::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            DialError::Unreachable
        }
        ErrorKind::TimedOut => DialError::TimedOut,
        _ => DialError::Other,
    }
}
