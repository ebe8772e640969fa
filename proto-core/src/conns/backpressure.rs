//! Back-pressure: when the user has to wait, which slow peer is disconnected, and when reading pauses (SPEC section 6).

use alloc::vec::Vec;

use super::closing::Ending;
use super::link::{Link, Phase};
use super::{Conns, Event, Refusal};
use crate::model::{ConnId, Cx, Instant, LeaveReason, NodeId};

/// What the driver is to do with a connection next.
#[derive(Debug)]
pub(crate) enum Output {
    /// Write these bytes.
    Chunk(ConnId, Vec<u8>),
    /// Flush and close.
    Close(ConnId),
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
    pub(crate) fn check_room(&mut self, cx: &Cx, lines: usize, entries: usize) -> Result<(), Refusal> {
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
        Ok(())
    }

    /// Whether to notify the user that no peer is linked: true once, until a peer is linked.
    pub(crate) fn take_alone_notice(&mut self) -> bool {
        self.roster.len() == 0 && !core::mem::replace(&mut self.alone_notified, true)
    }

    /// The peers without a key and their active connections, in the order of their ids.
    pub(crate) fn keyless(&self) -> impl Iterator<Item = (NodeId, ConnId)> {
        let keyless = self.roster.iter().filter(|peer| peer.info.key.is_none());
        keyless.map(|peer| (peer.info.node_id, peer.active))
    }

    /// Queues whole frames on a connection.
    pub(crate) fn send_frames(&mut self, cx: &Cx, conn: ConnId, frames: &[u8]) {
        self.push(cx, conn, frames);
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
    pub(crate) fn pace_deadline(&self, cx: &Cx) -> Option<Instant> {
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
    }

    /// The links whose queues are above their bounds. Each is to be disconnected.
    pub(crate) fn overfull(&mut self, cx: &Cx) -> Vec<ConnId> {
        self.refresh(cx);
        let (limits, all) = (cx.limits(), self.table.buffered());
        if all <= limits.conns.queue {
            return Vec::new();
        }
        let over = |link: &Link| {
            let bytes = link.queue.bytes();
            bytes > limits.conns.queue && (bytes > limits.conns.queue_hard || all > limits.conns.queues)
        };
        self.table.iter().filter(|(_, link)| over(link)).map(|(conn, _)| conn).collect()
    }

    /// Disconnects a link whose queue is above its bounds.
    pub(crate) fn disconnect_overfull(&mut self, cx: &mut Cx, conn: ConnId) {
        self.disconnect_slow(cx, conn, LeaveReason::Slow);
    }

    /// Disconnects the link with the longest buffers, if all buffers together are above their bound. Whether it did.
    pub(crate) fn make_room_in_buffers(&mut self, cx: &mut Cx) -> bool {
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

    /// If there are too many pending connections, drops the oldest silent one, or else the oldest. Whether it dropped
    /// one: call it until it does not. Links that are being closed are pending, too, so there may be several too many.
    pub(crate) fn make_room_for_pending(&mut self, cx: &mut Cx) -> bool {
        let surplus = self.surplus_pending(cx);
        if let Some(conn) = surplus {
            self.counts.evicted += 1;
            self.end(cx, conn, Ending::Abort, LeaveReason::NoRoom);
        }
        surplus.is_some()
    }

    fn surplus_pending(&self, cx: &Cx) -> Option<ConnId> {
        let limits = cx.limits();
        let pending = self.table.iter().filter(|(_, link)| link.is_pending() && !link.is_outbound());
        if pending.clone().count() < limits.conns.pending {
            return None;
        }
        let oldest =
            pending.min_by_key(|(conn, link)| (!link.is_silent(cx.now, limits), link.opened(), *conn));
        oldest.map(|(conn, _)| conn)
    }

    /// Counts an accepted connection.
    pub(crate) fn count_accepted(&mut self) {
        self.counts.accepted += 1;
    }
}
