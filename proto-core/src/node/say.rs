//! What is said here, and whom it waits for.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::links::Ending;
use crate::link::Link;
use crate::wire::Frame;
use crate::{
    Action, ChatText, CommandError, ConnId, Draft, Entry, Instant, LeaveReason, MAX_TO, Notice, TimerKind,
};

impl Node {
    pub(super) fn say(&mut self, texts: &[ChatText]) -> Result<Vec<Arc<Entry>>, CommandError> {
        let limits = &self.config.limits;
        let lines = lines(texts.iter().map(ChatText::as_str));
        let entries = texts.iter().map(|text| text.json_len() + 1).sum::<usize>() + Draft::OVERHEAD;
        if lines.len().max(entries) > limits.queue / 2 {
            return Err(CommandError::TooMuch);
        }
        let mut blocked = false;
        for peer in self.roster.iter() {
            let link = self.links.get_mut(&peer.active);
            let bytes = if peer.info.key.is_some() { entries } else { lines.len() };
            blocked |= link.is_some_and(|link| link.queue.blocks(self.now, bytes, limits));
        }
        if blocked {
            self.counted.busy += 1;
            self.busy = true;
            return Err(CommandError::Busy);
        }
        self.counted.said += texts.len() as u64;
        if self.roster.len() == 0 && !core::mem::replace(&mut self.alone_told, true) {
            self.actions.push_back(Action::Notice(Notice::Alone));
        }
        let without_key = self.roster.iter().filter(|peer| peer.info.key.is_none());
        let (told, conns): (Vec<_>, Vec<_>) =
            without_key.map(|peer| (peer.info.node_id, peer.active)).unzip();
        let entries = self.author(texts, &told[..told.len().min(MAX_TO)], None);
        for conn in conns {
            self.send(conn, &lines);
        }
        Ok(entries)
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
        self.counted.slow += 1;
        // It takes nothing, so there is no point in a last word.
        self.end(conn, Ending::Abort, reason);
    }
}

/// A `MSG` frame for each text.
pub(super) fn lines<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Vec<u8> {
    let mut frames = Vec::with_capacity(texts.clone().map(|text| text.len() + "MSG|\n".len()).sum());
    for text in texts {
        Frame::Msg(text).encode(&mut frames);
    }
    frames
}
