//! The exchange by which two neighbours find out what either lacks: range-based set reconciliation (Meyer,
//! SRDS 2023) by the negentropy protocol, version 1. They compare the tips of runs: what is before a tip follows from it.
//!
//! Each message names the date from which on tips are compared: either side knows all of them from there on. The initiator keeps a snapshot of its ids. The responder keeps no state, so that it can serve
//! everybody.

mod message;
mod snapshot;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub(crate) use message::AnswerRoom;
use message::{SyncError, Tag, decode, encode};
use snapshot::Snapshot;

use super::Log;
use super::ignored::IgnoredSyncs;
use crate::model::{ConnId, EntryId, Instant, Limits, NodeId, TokenBucket, TokenBuckets};
use crate::wire::Token;

/// The reconciliations on all connections.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    /// Those that this node began.
    sessions: BTreeMap<ConnId, Session>,
    ignored: IgnoredSyncs,
    /// The rate of messages that are answered, by neighbour: who comes back on another connection has no more.
    rates: TokenBuckets<NodeId>,
    /// The snapshot of the last answer, since one message is seldom the only one. It has all tips.
    cached: Option<Snapshot>,
    given_up: u64,
    refused: u64,
}

/// A reconciliation that this node began.
#[derive(Debug)]
struct Session {
    snapshot: Snapshot,
    /// Messages sent.
    rounds: usize,
    /// When it is given up without an answer.
    until: Instant,
}

/// Who sends a message, and how much an answer to it may bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) conn: ConnId,
    pub(crate) peer: NodeId,
    pub(crate) room: AnswerRoom,
}

/// What follows from a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// The message to send to the peer.
    pub(crate) reply: Option<Vec<u8>>,
    /// Tips that the peer lacks and this node holds.
    pub(crate) have: Vec<EntryId>,
    /// Tips that this node lacks.
    pub(crate) need: Vec<EntryId>,
    /// The peer is the initiator.
    pub(crate) peer_initiated: bool,
    /// A reconciliation that this node began is over.
    pub(crate) is_last: bool,
}

impl Reconciler {
    /// Begins a reconciliation on this connection. A `PING` with the token `ping` has to go right behind the
    /// message. None: one is under way there, or what followed from the last one, or too many are elsewhere.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        conn: ConnId,
        ping: Token,
        log: &Log,
        limits: &Limits,
    ) -> Option<Vec<u8>> {
        if self.sessions.contains_key(&conn) || self.ignored.is_pending(now, conn, limits) {
            return None;
        }
        if self.sessions.len() >= limits.chat.syncs && !self.make_room(now, limits) {
            return None;
        }
        let snapshot = Snapshot::of(log, log.window.tips().compared_since()).ok()?;
        let message = snapshot.first_message(Tag::Begin).ok()?;
        self.sessions.insert(conn, Session { snapshot, rounds: 1, until: now + limits.chat.sync_timeout });
        self.ignored.began(now, conn, ping);
        Some(message)
    }

    /// Gives up the reconciliation that has waited for an answer longest, if that is long enough.
    fn make_room(&mut self, now: Instant, limits: &Limits) -> bool {
        let longest = self.sessions.iter().min_by_key(|(_, session)| session.until);
        let waited =
            |session: &Session| now + limits.chat.sync_timeout >= session.until + limits.chat.sync_patience;
        let Some((&conn, _)) = longest.filter(|(_, session)| waited(session)) else { return false };
        self.sessions.remove(&conn);
        self.given_up += 1;
        true
    }

    /// A message came. One that is not expected, or that comes over the rate, is ignored.
    pub(crate) fn message(
        &mut self,
        now: Instant,
        Asker { conn, peer, room }: Asker,
        bytes: &[u8],
        log: &Log,
        limits: &Limits,
    ) -> Result<Step, SyncError> {
        let (tag, since, message) = decode(bytes)?;
        match tag {
            Tag::Begin | Tag::Continue => {
                let fresh = TokenBucket::new(limits.chat.sync_every, limits.chat.sync_burst);
                if !self.rates.take(now, peer, fresh, limits.conns.slots.max(1)) {
                    self.refused += 1;
                    return Ok(Step::default());
                }
                let reply = self.serve((tag, since, message), room, log)?;
                Ok(Step { reply: Some(reply), peer_initiated: true, ..Step::default() })
            }
            Tag::Answer | Tag::Later => {
                let session = self.sessions.get(&conn);
                let step = match session.map(|session| session.snapshot.is_answered_by(tag, since)) {
                    Some(true) => self.answered(now, conn, (tag, since, message), log, limits)?,
                    // It answers an earlier opening, and says nothing about this one.
                    Some(false) => return Ok(Step::default()),
                    // It comes too late for its session, but the peer did not ignore the opening.
                    None => Step::default(),
                };
                self.ignored.answered(conn);
                Ok(step)
            }
        }
    }

    /// `PONG` came. If it shows that an opening was ignored, returns how many were in a row.
    pub(crate) fn pong_received(&mut self, conn: ConnId, token: Token) -> Option<usize> {
        let ignored = self.ignored.pong_received(conn, token)?;
        self.sessions.remove(&conn);
        Some(ignored)
    }

    /// The peer's link moved to another connection. What was under way on the old one is lost.
    pub(crate) fn moved(&mut self, before: ConnId, after: ConnId) {
        self.sessions.remove(&before);
        self.ignored.moved(before, after);
    }

    /// The connection ended.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
        self.ignored.ended(conn);
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sessions.values().map(|session| session.until).min()
    }

    /// Gives up reconciliations that were not answered in time.
    pub(crate) fn timeout(&mut self, now: Instant) {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.until > now);
        self.given_up += (before - self.sessions.len()) as u64;
    }

    /// The number of reconciliations under way that this node began.
    pub(crate) fn begun(&self) -> usize {
        self.sessions.len()
    }

    /// How many reconciliations were given up so far.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How many messages came over the rate so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// The responder's part.
    fn serve(
        &mut self,
        (tag, since, message): (Tag, u64, &[u8]),
        room: AnswerRoom,
        log: &Log,
    ) -> Result<Vec<u8>, SyncError> {
        let ours = log.window.tips().compared_since();
        if tag == Tag::Begin && since < ours {
            return Ok(encode(Tag::Later, ours, &[]));
        }
        let cached = self.cached.take().filter(|cached| cached.is_current(log));
        let snapshot = cached.map_or_else(|| Snapshot::of(log, 0), Ok)?.from(since);
        let answer = snapshot.answer(message, room)?;
        self.cached = Some(snapshot);
        Ok(answer)
    }

    /// The initiator's part.
    fn answered(
        &mut self,
        now: Instant,
        conn: ConnId,
        (tag, since, message): (Tag, u64, &[u8]),
        log: &Log,
        limits: &Limits,
    ) -> Result<Step, SyncError> {
        let mut step = Step::default();
        let Some(mut session) = self.sessions.remove(&conn) else { return Ok(step) };
        if tag == Tag::Later {
            session.snapshot = session.snapshot.from(since);
            step.reply = Some(session.snapshot.first_message(Tag::Continue)?);
        } else {
            session.snapshot.compare(message, log, &mut step)?;
        }
        session.rounds += 1;
        let gives_up = step.reply.is_some() && session.rounds > limits.chat.sync_rounds;
        if gives_up {
            self.given_up += 1;
            step.reply = None;
        } else if step.reply.is_some() {
            session.until = now + limits.chat.sync_timeout;
            self.sessions.insert(conn, session);
        } else {
            step.is_last = true;
        }
        Ok(step)
    }
}
