//! Finds out whose program is at the other end of a connection.

#[cfg(target_os = "linux")]
mod sock_diag;

use std::net::SocketAddr;

#[cfg(target_os = "linux")]
use self::sock_diag::owner;

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It runs as the user who runs the node, or as root.
    User,
    /// It runs as another user.
    Other {
        /// The user's number.
        uid: u32,
    },
    /// The system does not tell: it is on another machine or in another namespace, or it has closed its end.
    Unknown,
}

/// Whether this system tells whose a connection is.
pub const CLIENTS_ARE_KNOWN: bool = cfg!(target_os = "linux");

/// The user number that Linux shows for users that a user namespace has no number for.
const UNMAPPED: u32 = 65_534;

impl Client {
    /// Whose end of an accepted connection this is. Ask once, right after it was accepted, while this end is open: no
    /// other socket can have the same two addresses then.
    pub(super) fn of_connection(remote: SocketAddr, local: SocketAddr) -> Self {
        match owner(remote, local) {
            Ok(uid) => Self::of_owner(uid, rustix::process::geteuid().as_raw()),
            Err(error) => {
                tracing::warn!(%error, "the system does not tell whose an API connection is");
                Self::Unknown
            }
        }
    }

    fn of_owner(owner: Option<u32>, user: u32) -> Self {
        match owner {
            None | Some(UNMAPPED) => Self::Unknown,
            Some(uid) if uid == user || uid == 0 => Self::User,
            Some(uid) => Self::Other { uid },
        }
    }
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn owner(_: SocketAddr, _: SocketAddr) -> std::io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_and_root_are_the_user() {
        assert_eq!(Client::of_owner(Some(1000), 1000), Client::User);
        assert_eq!(Client::of_owner(Some(0), 1000), Client::User);
        assert_eq!(Client::of_owner(Some(1001), 1000), Client::Other { uid: 1001 });
        assert_eq!(Client::of_owner(Some(1000), 0), Client::Other { uid: 1000 });
        assert_eq!(Client::of_owner(None, 1000), Client::Unknown);
        assert_eq!(Client::of_owner(None, 0), Client::Unknown);
    }

    #[test]
    fn a_user_without_a_number_here_is_unknown_even_to_a_node_of_that_number() {
        assert_eq!(Client::of_owner(Some(UNMAPPED), 1000), Client::Unknown);
        assert_eq!(Client::of_owner(Some(UNMAPPED), UNMAPPED), Client::Unknown);
    }
}
