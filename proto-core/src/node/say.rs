//! What is said here, and whom it waits for.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::links::Ending;
use crate::link::Link;
use crate::wire::Frame;
use crate::{Action, ChatText, CommandError, ConnId, Entry, Instant, LeaveReason, TimerKind};

impl Node {
    pub(super) fn say(&mut self, texts: &[ChatText]) -> Result<Vec<Arc<Entry>>, CommandError> {
        let limits = &self.config.limits;
        let mut frames =
            Vec::with_capacity(texts.iter().map(|text| text.as_str().len() + "MSG|\n".len()).sum());
        for text in texts {
            Frame::Msg(text.as_str()).encode(&mut frames);
        }
        if frames.len() > limits.queue / 2 {
            return Err(CommandError::TooMuch);
        }
        let mut blocked = false;
        for peer in self.roster.iter() {
            let link = self.links.get_mut(&peer.active);
            blocked |= link.is_some_and(|link| link.queue.blocks(self.now, frames.len(), limits));
        }
        if blocked {
            self.stats.busy += 1;
            self.busy = true;
            return Err(CommandError::Busy);
        }
        self.stats.said += texts.len() as u64;
        let conns: Vec<_> = self.roster.iter().map(|peer| peer.active).collect();
        for conn in conns {
            self.send(conn, &frames);
        }
        Ok(Vec::new())
    }

    /// Says that what had to wait need wait no longer.
    pub(super) fn say_ready(&mut self) {
        if !self.busy {
            return;
        }
        let Self { roster, links, now, config, .. } = self;
        let mut blocked = false;
        for peer in roster.iter() {
            let link = links.get_mut(&peer.active);
            blocked |= link.is_some_and(|link| link.queue.still_blocks(*now, &config.limits));
        }
        if !blocked {
            self.busy = false;
            self.actions.push_back(Action::Ready);
        }
    }

    /// When the next full link is waited for no longer.
    pub(super) fn pace_deadline(&self) -> Option<(Instant, TimerKind)> {
        if !self.busy {
            return None;
        }
        let until = |conn: &ConnId| self.links.get(conn)?.queue.blocks_until(&self.config.limits);
        let first = self.roster.iter().filter_map(|peer| until(&peer.active)).min()?;
        Some((first, TimerKind::Pace))
    }

    /// Cuts links whose queues outgrow their bounds (SPEC section 6).
    pub(super) fn keep_bounds(&mut self) {
        let limits = &self.config.limits;
        if self.buffered <= limits.queue {
            return;
        }
        let all = self.buffered;
        let over = |link: &Link| {
            let bytes = link.queue.bytes();
            bytes > limits.queue && (bytes > limits.queue_hard || all > limits.queues)
        };
        let slow: Vec<_> = self.links.iter().filter(|(_, link)| over(link)).map(|(conn, _)| *conn).collect();
        for conn in slow {
            self.cut_slow(conn, LeaveReason::Slow);
        }
        while self.buffered > self.config.limits.buffers {
            let longest = self.links.iter().max_by_key(|(_, link)| link.buffered()).map(|(conn, _)| *conn);
            let Some(conn) = longest else { return };
            self.cut_slow(conn, LeaveReason::NoRoom);
        }
    }

    pub(super) fn cut_slow(&mut self, conn: ConnId, reason: LeaveReason) {
        self.stats.slow += 1;
        // It takes nothing, so there is no point in a last word.
        self.end(conn, Ending::Abort, reason);
    }
}
