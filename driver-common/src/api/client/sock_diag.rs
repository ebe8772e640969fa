//! Asks the kernel for the owner of a TCP socket on this machine: `sock_diag(7)` over netlink. It needs no privilege.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// The user who owns the TCP socket of this machine that is bound to `local` and connected to `remote`. `None` if no
/// process has such a socket open.
pub(super) fn owner(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<u32>> {
    // A socket of its own: what it receives can answer nothing else.
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, &request(local, remote)?, SendFlags::empty())?;
    let mut answer = [0; ANSWER];
    // The kernel answers while it takes the request, so there is nothing to wait for.
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    read(&answer[..length])
}

/// `SOCK_DIAG_BY_FAMILY`, the type of the request and of its answer (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` without `NLM_F_DUMP`: one socket, not a list.
const ONE: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
const TCP: u8 = 6;
/// A `nlmsghdr`, and an `inet_diag_req_v2`.
const REQUEST: usize = 16 + 56;
/// A `nlmsghdr` and an `inet_diag_msg`. Attributes may follow; an error is shorter.
const ANSWER: usize = 16 + 72;

/// A request for the socket with these addresses (linux/inet_diag.h).
fn request(local: SocketAddr, remote: SocketAddr) -> io::Result<[u8; REQUEST]> {
    let (from, to) = (local.ip().to_canonical(), remote.ip().to_canonical());
    let family = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AddressFamily::INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AddressFamily::INET6,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let mut bytes = [0; REQUEST];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &(REQUEST as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &ONE.to_ne_bytes());
    put(16, &[family.as_raw() as u8, TCP]);
    // Any state.
    put(20, &u32::MAX.to_ne_bytes());
    put(24, &local.port().to_be_bytes());
    put(26, &remote.port().to_be_bytes());
    for (at, ip) in [(28, from), (44, to)] {
        match ip {
            IpAddr::V4(ip) => put(at, &ip.octets()),
            IpAddr::V6(ip) => put(at, &ip.octets()),
        }
    }
    // `INET_DIAG_NOCOOKIE`: whichever socket it is.
    put(64, &[0xff; 8]);
    Ok(bytes)
}

fn read(answer: &[u8]) -> io::Result<Option<u32>> {
    let malformed = || io::Error::other("sock_diag gave an answer that cannot be read");
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(malformed)
    };
    match answer.get(4..6) {
        Some(kind) if kind == ERROR.to_ne_bytes() => {
            let error = io::Error::from_raw_os_error(word(16)?.cast_signed().saturating_neg());
            if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
        }
        Some(kind) if kind == BY_FAMILY.to_ne_bytes() => {
            let state = *answer.get(17).ok_or_else(malformed)?;
            let (uid, inode) = (word(80)?, word(84)?);
            Ok(is_open(state, inode).then_some(uid))
        }
        _ => Err(malformed()),
    }
}

/// Whether a process has the socket open, and it is one end of a connection.
///
/// A socket without an inode is nobody's any more, and its user may read as 0, which is root. This includes
/// `TIME_WAIT`. A listener, or a socket that is still connecting, is not the other end of anything. A program that
/// has sent its request and ended its sending side is in `FIN_WAIT1` or `FIN_WAIT2`.
fn is_open(state: u8, inode: u32) -> bool {
    const ESTABLISHED: u8 = 1;
    const FIN_WAIT1: u8 = 4;
    const FIN_WAIT2: u8 = 5;
    matches!(state, ESTABLISHED | FIN_WAIT1 | FIN_WAIT2) && inode != 0
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn me() -> Option<u32> {
        Some(rustix::process::geteuid().as_raw())
    }

    fn accepted(listener: &TcpListener) -> (TcpStream, SocketAddr) {
        listener.accept().unwrap()
    }

    #[test]
    fn a_connection_of_this_process_is_this_users() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let (_server, remote) = accepted(&listener);
            assert_eq!(owner(remote, local).unwrap(), me(), "{address}");
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(owner(remote, local).unwrap(), me(), "{address}, after its request");
        }
    }

    #[test]
    fn an_ipv4_address_is_found_however_it_is_written() {
        let both = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        both.set_only_v6(false).unwrap();
        both.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        both.listen(8).unwrap();
        let listener = TcpListener::from(both);
        let port = listener.local_addr().unwrap().port();
        for target in [format!("127.0.0.1:{port}"), format!("[::ffff:127.0.0.1]:{port}")] {
            let _client = TcpStream::connect(&target).unwrap();
            let (server, remote) = accepted(&listener);
            let local = server.local_addr().unwrap();
            assert!(remote.is_ipv6(), "{remote}");
            assert_eq!(owner(remote, local).unwrap(), me(), "{target}");
        }
    }

    #[test]
    fn what_nobody_holds_open_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (server, remote) = accepted(&listener);
        drop(client);
        assert_eq!(owner(remote, local).unwrap(), None, "closed by its owner");
        drop(server);
        assert_eq!(owner(remote, local).unwrap(), None, "in TIME_WAIT");
        let unused = "127.0.0.1:1".parse().unwrap();
        assert_eq!(owner(unused, local).unwrap(), None, "never there");
    }

    #[test]
    fn a_listener_at_the_clients_port_is_not_the_client() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        // For want of a connection the kernel looks for a listener.
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(owner(other.local_addr().unwrap(), local).unwrap(), None);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        let answer = [&16_u32.to_ne_bytes()[..], &BY_FAMILY.to_ne_bytes(), &[0; 10]].concat();
        assert!(read(&answer).is_err());
        assert!(read(&[]).is_err());
        let denied =
            [&36_u32.to_ne_bytes()[..], &ERROR.to_ne_bytes(), &[0; 10], &(-1_i32).to_ne_bytes()].concat();
        assert_eq!(read(&denied).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
