//! Back-pressure: what a slow peer costs, who makes room, and when reading pauses (SPEC section 6).

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

    /// Whether what the user says can be queued for all peers: `lines` bytes for those without a key, `entries` for the others.
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

    /// Whether nobody hears what the user says, and the user is to be told: once until somebody does.
    pub(crate) fn take_alone_notice(&mut self) -> bool {
        self.roster.len() == 0 && !core::mem::replace(&mut self.alone_notified, true)
    }

    /// The peers without a key, in the order of their ids, and where each is written to.
    pub(crate) fn keyless(&self) -> impl Iterator<Item = (NodeId, ConnId)> {
        let keyless = self.roster.iter().filter(|peer| peer.info.key.is_none());
        keyless.map(|peer| (peer.info.node_id, peer.active))
    }

    /// Queues whole frames on a connection.
    pub(crate) fn send_frames(&mut self, cx: &Cx, conn: ConnId, frames: &[u8]) {
        self.push(cx, conn, frames);
    }

    /// Says that what had to wait need wait no longer.
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

    /// When the next full link is waited for no longer.
    pub(crate) fn pace_deadline(&self, cx: &Cx) -> Option<Instant> {
        if !self.busy {
            return None;
        }
        let until = |conn: ConnId| self.table.get(conn)?.queue.blocks_until(cx.limits());
        self.roster.iter().filter_map(|peer| until(peer.active)).min()
    }

    /// Tells the driver if a link is to be read no further, or again.
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

    /// Links whose queues have overfull their bounds: each is to be cut.
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

    /// Cuts a link whose queue has overfull its bounds.
    pub(crate) fn disconnect_overfull(&mut self, cx: &mut Cx, conn: ConnId) {
        self.disconnect_slow(cx, conn, LeaveReason::Slow);
    }

    /// Cuts the link with the longest buffers if those of all are too long together; whether one was cut.
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

    /// Cuts a link that takes too little.
    pub(super) fn disconnect_slow(&mut self, cx: &mut Cx, conn: ConnId, reason: LeaveReason) {
        self.counts.slow += 1;
        // It takes nothing, so there is no point in a last word.
        self.end(cx, conn, Ending::Abort, reason);
    }

    /// Lets a pending connection make room for a new one if there are too many: the oldest that is silent, else the oldest.
    /// Whether one did. More than one may have to: links that are being closed are pending again.
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

    /// Counts a connection that was accepted.
    pub(crate) fn count_accepted(&mut self) {
        self.counts.accepted += 1;
    }
}
