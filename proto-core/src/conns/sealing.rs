//! How accepted connections become sealed ones, and which may be in clear (SPEC section 19).

use core::net::SocketAddr;

use super::closing::Ending;
use super::link::Channel;
use super::{Breach, Conns, Event};
use crate::model::{ConnId, Cx, LeaveReason, PublicKey};

impl Conns {
    /// The first byte of an accepted connection opens a TLS handshake.
    pub(crate) fn sealing(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(link) = self.table.get_mut(conn) else { return };
        match link.channel {
            Channel::Undecided { .. } if !link.join_sent => {
                link.channel = Channel::Sealing { since: cx.now };
                link.note_bytes(cx.now);
                self.events.push_back(Event::AcceptSeal(conn));
            }
            // This node has spoken in clear already, or the driver cannot seal.
            _ => self.end(cx, conn, Ending::Abort, LeaveReason::Violation),
        }
    }

    /// The handshake of an accepted connection is complete. The peer has proven this key.
    pub(crate) fn sealed(&mut self, cx: &mut Cx, conn: ConnId, key: PublicKey) {
        let Some(link) = self.table.get_mut(conn) else { return };
        if !matches!(link.channel, Channel::Sealing { .. }) {
            return self.end(cx, conn, Ending::Abort, LeaveReason::Violation);
        }
        link.channel = Channel::Sealed(key);
        link.note_bytes(cx.now);
        self.greet(cx, conn);
    }

    /// Bytes came on a connection. The first ones decide whether it is in clear. They are answered by `JOIN` (SPEC 2.1).
    pub(crate) fn bytes_came(&mut self, cx: &mut Cx, conn: ConnId, bytes: &[u8]) {
        let Some(link) = self.table.get_mut(conn).filter(|_| !bytes.is_empty()) else { return };
        match link.channel {
            Channel::Undecided { clear: true } => link.channel = Channel::Clear,
            Channel::Undecided { clear: false } | Channel::Sealing { .. } => {
                self.report(conn, Breach::InClear);
                return self.end(cx, conn, Ending::Abort, LeaveReason::Violation);
            }
            Channel::Clear | Channel::Sealed(_) => {}
        }
        if !link.join_sent {
            self.greet(cx, conn);
        }
    }
}

/// How a connection that opens is secured. `accepted`: its first byte may open a handshake.
pub(super) fn channel_of(cx: &Cx, remote: SocketAddr, key: Option<PublicKey>, accepted: bool) -> Channel {
    match (key, cx.config.plaintext()) {
        (Some(key), _) => Channel::Sealed(key),
        (None, Some(plaintext)) if accepted => Channel::Undecided { clear: plaintext.admits(remote.ip()) },
        (None, _) => Channel::Clear,
    }
}
