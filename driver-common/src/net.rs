//! Sockets with the options that a node needs, before a runtime takes them over.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use proto_core::DialError;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
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

/// A closed connection is an error, not a signal.
#[cfg(not(target_vendor = "apple"))]
const FLAGS: SendFlags = SendFlags::EOR.union(SendFlags::NOSIGNAL);
/// The standard library has turned the signal off on each socket.
#[cfg(target_vendor = "apple")]
const FLAGS: SendFlags = SendFlags::EOR;

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

/// Limits what the system holds of a connection, sent or not, until the peer acknowledges it. Linux counts its own
/// bookkeeping, too, and doubles the number for that.
pub(crate) fn limit_held(socket: &impl AsFd, bytes: usize) {
    if let Err(error) = SockRef::from(socket).set_send_buffer_size(bytes) {
        tracing::debug!(%error, "a socket option was rejected");
    }
}

/// Hands bytes to the system, one part after the other. Returns how many it took.
///
/// Linux checks its limits only where a new buffer begins, and one buffer takes up to 64 KiB. A record of its own
/// (`MSG_EOR`) begins a new buffer. So the limits are exceeded by no more than the bytes given here.
pub fn send(socket: &impl AsFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(match parts {
        [bytes] => rustix::net::send(socket, bytes, FLAGS)?,
        _ => rustix::net::sendmsg(socket, parts, &mut SendAncillaryBuffer::default(), FLAGS)?,
    })
}

/// Reads what the system has. Returns 0 at the end of the stream.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, count) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Whether a read of so many bytes into a buffer of this size has left nothing behind. A read that fills its buffer may have left
/// more, and one of nothing has met the end of the stream.
pub fn has_taken_all(count: usize, buffer: usize) -> bool {
    (1..buffer).contains(&count)
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Bytes of this connection that the kernel holds, as `/proc/net/tcp` tells.
    fn held(socket: &TcpStream, remote: SocketAddr) -> usize {
        let ports = [socket.local_addr().unwrap().port(), remote.port()].map(|port| format!(":{port:04X}"));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[1].ends_with(&ports[0]) && row[2].ends_with(&ports[1])).unwrap();
        let (unacknowledged, _) = row[4].split_once(':').unwrap();
        usize::from_str_radix(unacknowledged, 16).unwrap()
    }

    #[test]
    fn the_kernel_holds_no_more_than_its_limits_and_one_piece() {
        let (limit, piece) = (8 * 1024, 4 * 1024);
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let remote = listener.local_addr().unwrap();
        let socket = TcpStream::connect(remote).unwrap();
        socket.set_nonblocking(true).unwrap();
        tune(&socket);
        limit_held(&socket, 1024 * 1024);
        let bytes = vec![b'.'; piece];
        // Nobody reads. What the receiving side does not take stays here. It is full if nothing more was taken for a while.
        let mut tries = 0;
        while tries < 20 {
            let parts = [&bytes[..piece / 4], &bytes[piece / 4..]].map(IoSlice::new);
            match send(&socket, &parts) {
                Ok(_) => tries = 0,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        let held = held(&socket, remote);
        assert!(held <= limit + piece, "{held} bytes");
    }
}
