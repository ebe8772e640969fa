//! Back-pressure: when the user has to wait, which slow peer is disconnected, and when reading pauses (SPEC section 6).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::closing::Ending;
use super::link::{Link, Phase};
use super::{Conns, Event, Refusal};
use crate::model::{ConnId, Crowd, Cx, Instant, LeaveReason, NodeId};

/// What the driver is to do with a connection next.
#[derive(Debug)]
pub(crate) enum Output {
    /// Write these bytes.
    Chunk(ConnId, Vec<u8>),
    /// Flush and close.
    Close(ConnId),
}

/// The linked peers, when the user says something.
#[derive(Debug)]
pub(crate) struct Audience {
    /// No peer is linked, and the user is to be notified: once, until a peer is linked.
    pub(crate) newly_alone: bool,
    /// The peers without a key, in the order of their ids.
    pub(crate) keyless: Vec<NodeId>,
    /// Their active connections.
    pub(crate) conns: Vec<ConnId>,
}

impl Conns {
    /// The next chunk or close of a link that has one.
    pub(crate) fn next_output(&mut self, cx: &Cx) -> Option<Output> {
        while let Some(conn) = self.table.pop_sendable() {
            let Some(link) = self.table.get_mut(conn) else { continue };
            let output = if let Some(bytes) = link.queue.take_chunk(cx.now) {
                Some(Output::Chunk(conn, bytes))
            } else if let Phase::Closing { close_sent, .. } = &mut link.phase
                && !*close_sent
                && link.queue.is_drained()
            {
                *close_sent = true;
                Some(Output::Close(conn))
            } else {
                None
            };
            if output.is_some() {
                self.table.refresh(cx.limits());
                return output;
            }
        }
        None
    }

    /// Checks whether the user's messages fit into the queues of all peers: `lines` bytes for peers without a key,
    /// `entries` bytes for the others. If not, [`Event::Ready`] follows when they do.
    pub(crate) fn check_room(&mut self, cx: &Cx, lines: usize, entries: usize) -> Result<Audience, Refusal> {
        let limits = cx.limits();
        if lines.max(entries) > limits.conns.queue / 2 {
            return Err(Refusal::TooMuch);
        }
        let mut blocked = false;
        for peer in self.roster.iter() {
            let link = self.table.get_mut(peer.active);
            let bytes = if peer.info.key.is_some() { entries } else { lines };
            blocked |= link.is_some_and(|link| link.queue.blocks(cx.now, bytes, limits));
        }
        if blocked {
            self.counts.busy += 1;
            self.busy = true;
            return Err(Refusal::Busy);
        }
        let keyless = self.roster.iter().filter(|peer| peer.info.key.is_none());
        let (keyless, conns) = keyless.map(|peer| (peer.info.node_id, peer.active)).unzip();
        let newly_alone = self.roster.len() == 0 && !core::mem::replace(&mut self.alone_notified, true);
        Ok(Audience { newly_alone, keyless, conns })
    }

    /// Queues whole frames on each of these connections.
    pub(crate) fn send_to_all(&mut self, cx: &Cx, conns: &[ConnId], frames: &[u8]) {
        conns.iter().for_each(|conn| self.push(cx, *conn, frames));
    }

    /// Adds [`Event::Ready`] if something was refused as busy and no queue blocks any more.
    pub(crate) fn notify_ready(&mut self, cx: &Cx) {
        if !self.busy {
            return;
        }
        let mut blocked = false;
        for peer in self.roster.iter() {
            let link = self.table.get_mut(peer.active);
            blocked |= link.is_some_and(|link| link.queue.still_blocks(cx.now, cx.limits()));
        }
        if !blocked {
            self.busy = false;
            self.events.push_back(Event::Ready);
        }
    }

    /// When the next full queue stops blocking because it does not drain.
    pub(super) fn pace_deadline(&self, cx: &Cx) -> Option<Instant> {
        if !self.busy {
            return None;
        }
        let until = |conn: ConnId| self.table.get(conn)?.queue.blocks_until(cx.limits());
        self.roster.iter().filter_map(|peer| until(peer.active)).min()
    }

    /// Pauses or resumes reading from a connection, if that has changed.
    pub(crate) fn update_pause(&mut self, cx: &Cx, conn: ConnId) {
        let Some(link) = self.table.get_mut(conn) else { return };
        match link.update_pause(cx.now, cx.limits()) {
            Some(true) => {
                self.counts.pauses += 1;
                self.events.push_back(Event::PauseReading(conn));
            }
            Some(false) => self.events.push_back(Event::ResumeReading(conn)),
            None => {}
        }
        self.update_doubt(cx, conn);
    }

    /// Brings up to date whether the neighbour on this connection is in doubt.
    pub(super) fn update_doubt(&mut self, cx: &Cx, conn: ConnId) {
        let Some(link) = self.table.get_mut(conn) else { return };
        let (doubted, peer) = (link.update_doubt(cx.now, cx.limits()), link.node_id());
        if let (Some(doubted), Some(peer)) = (doubted, peer)
            && self.active(peer) == Some(conn)
        {
            self.events.push_back(Event::Doubt { peer, doubted });
        }
    }

    /// Notes the links whose queues are above their bounds, for [`enforce_bounds`](Self::enforce_bounds).
    pub(crate) fn note_overfull(&mut self, cx: &Cx) {
        self.refresh(cx);
        let (limits, all) = (cx.limits(), self.table.buffered());
        if all <= limits.conns.queue {
            return;
        }
        let over = |link: &Link| {
            let bytes = link.queue.bytes();
            bytes > limits.conns.queue && (bytes > limits.conns.queue_hard || all > limits.conns.queues)
        };
        self.overfull = self.table.iter().filter(|(_, link)| over(link)).map(|(conn, _)| conn).collect();
    }

    /// Drops a link whose queue was noted as above its bounds. If there is none, and all buffers together are above
    /// their bound, drops the link with the longest buffers. Whether it dropped one: call it until it does not.
    pub(crate) fn enforce_bounds(&mut self, cx: &mut Cx) -> bool {
        if let Some(conn) = self.overfull.pop_front() {
            self.disconnect_slow(cx, conn, LeaveReason::Slow);
            return true;
        }
        self.refresh(cx);
        if self.table.buffered() <= cx.limits().conns.buffers {
            return false;
        }
        let longest = self.table.iter().max_by_key(|(_, link)| link.buffered()).map(|(conn, _)| conn);
        if let Some(conn) = longest {
            self.disconnect_slow(cx, conn, LeaveReason::NoRoom);
        }
        longest.is_some()
    }

    /// Drops a link whose peer reads too slowly.
    pub(super) fn disconnect_slow(&mut self, cx: &mut Cx, conn: ConnId, reason: LeaveReason) {
        self.counts.slow += 1;
        // It reads nothing, so a `BYE` would not arrive.
        self.end(cx, conn, Ending::Abort, reason);
    }

    /// While there are too many pending connections for one more from `newcomer`, drops one. Links that are being closed
    /// are pending, too, so there may be several too many.
    pub(super) fn make_room_for_pending(&mut self, cx: &mut Cx, newcomer: IpAddr) {
        while let Some(conn) = self.surplus_pending(cx, newcomer) {
            self.counts.evicted += 1;
            self.end(cx, conn, Ending::Abort, LeaveReason::NoRoom);
        }
    }

    /// The pending connection that makes room: the youngest of the address, or of the network, that holds more than the
    /// newcomer's with it. Where there is none, of the address that holds most in the network that does: the oldest silent
    /// one, or else the oldest. Of these, one that is expected and sealing goes last.
    fn surplus_pending(&self, cx: &Cx, newcomer: IpAddr) -> Option<ConnId> {
        let limits = cx.limits();
        let pending = self.table.iter().filter(|(_, link)| link.is_pending() && !link.is_outbound());
        if pending.clone().count() < limits.conns.pending {
            return None;
        }
        let crowd = Crowd::of(pending.clone().map(|(_, link)| link.remote.ip()));
        let larger = crowd.larger_than(newcomer);
        let largest = larger.unwrap_or_else(|| crowd.largest());
        let those = pending.filter(|(_, link)| crowd.is_among(link.remote.ip(), largest));
        let found = if larger.is_some() {
            those.max_by_key(|(conn, link)| (!link.channel.is_expected(), link.opened(), *conn))
        } else {
            let spared = |link: &Link| (link.channel.is_expected(), !link.is_silent(cx.now, limits));
            those.min_by_key(|(conn, link)| (spared(link), link.opened(), *conn))
        };
        found.map(|(conn, _)| conn)
    }
}
