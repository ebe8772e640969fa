//! Finding out what one of two sides holds and the other does not: range-based set reconciliation (Meyer, SRDS 2023)
//! by the negentropy protocol, version 1.
//!
//! A message is a tag, a time in milliseconds of eight bytes, and for most tags a negentropy message. The time is the
//! one from which on entries are compared: both sides have to be whole from there on. The side that begins keeps a
//! snapshot; the other keeps nothing, so that it can serve everybody.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::Log;
use super::ignored::IgnoredSyncs;
use crate::model::{ConnId, EntryId, Instant, Limits, TokenBucket};
use crate::wire::Token;

/// The most bytes of a negentropy message. It goes over its limit by less than the room that
/// [`MAX_SYNC`](crate::wire::MAX_SYNC) leaves.
const MAX_MESSAGE: u64 = 45_000;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    /// The first one of who begins. If the other side is whole only from a later time on, it answers [`Later`](Tag::Later).
    Begin = 0,
    /// A later one of who began, to be answered for that time come what may.
    Continue = 1,
    /// The answer to either.
    Answer = 2,
    /// No answer: begin again from this time on.
    Later = 3,
}

impl Tag {
    const ALL: [Self; 4] = [Self::Begin, Self::Continue, Self::Answer, Self::Later];
}

/// The reconciliations on all links.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    sessions: BTreeMap<ConnId, Session>,
    ignored: IgnoredSyncs,
    /// How much each link may ask for.
    rates: BTreeMap<ConnId, TokenBucket>,
    /// What was last served, since one message is seldom the only one.
    cached: Option<Snapshot>,
    given_up: u64,
    refused: u64,
}

/// A reconciliation that we began.
#[derive(Debug)]
struct Session {
    snapshot: Snapshot,
    rounds: usize,
    /// When the answer has to be here.
    until: Instant,
}

/// The ids of a log from some time on.
#[derive(Debug)]
struct Snapshot {
    since: u64,
    generation: u64,
    ids: NegentropyStorageVector,
}

/// What follows from a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// To be sent to the peer.
    pub(crate) reply: Option<Vec<u8>>,
    /// What is here and not there, oldest first.
    pub(crate) have: Vec<EntryId>,
    /// What is there and not here, oldest first as far as that is known.
    pub(crate) need: Vec<EntryId>,
    /// The peer began it, or goes on with it.
    pub(crate) peer_began: bool,
}

/// A peer's message that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of a reconciliation cannot be read")]
pub(crate) struct SyncError;

impl From<negentropy::Error> for SyncError {
    fn from(_: negentropy::Error) -> Self {
        Self
    }
}

impl Reconciler {
    /// Begins a reconciliation on this link; right behind its message a `PING` with the token `ping` is to be sent.
    /// None: one is under way there, or too many are elsewhere.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        conn: ConnId,
        ping: Token,
        log: &Log,
        limits: &Limits,
    ) -> Option<Vec<u8>> {
        if self.sessions.contains_key(&conn) || self.sessions.len() >= limits.chat.syncs {
            return None;
        }
        let snapshot = Snapshot::of(log, log.window.complete_since()).ok()?;
        let message = snapshot.first_message(Tag::Begin).ok()?;
        self.sessions.insert(conn, Session { snapshot, rounds: 1, until: now + limits.chat.sync_timeout });
        self.ignored.began(conn, ping);
        Some(message)
    }

    /// A message came. One that nobody waits for, or that comes too often, has no consequences.
    pub(crate) fn message(
        &mut self,
        now: Instant,
        conn: ConnId,
        bytes: &[u8],
        log: &Log,
        limits: &Limits,
    ) -> Result<Step, SyncError> {
        let (tag, since, message) = read(bytes)?;
        match tag {
            Tag::Begin | Tag::Continue => {
                let bucket = || TokenBucket::new(limits.chat.sync_every, limits.chat.sync_burst);
                if !self.rates.entry(conn).or_insert_with(bucket).take(now) {
                    self.refused += 1;
                    return Ok(Step::default());
                }
                let reply = self.serve(tag, since, message, log)?;
                Ok(Step { reply: Some(reply), peer_began: true, ..Step::default() })
            }
            Tag::Answer | Tag::Later => {
                let session = self.sessions.get(&conn);
                let step = match session.map(|session| session.snapshot.is_answered_by(tag, since)) {
                    Some(true) => self.answered(now, conn, (tag, since, message), log, limits)?,
                    // To an opening before this one, of which it says nothing.
                    Some(false) => return Ok(Step::default()),
                    // It comes too late, but it comes.
                    None => Step::default(),
                };
                self.ignored.answered(conn);
                Ok(step)
            }
        }
    }

    /// `PONG` came. If a reconciliation that we began was passed over before it: how many were now, in a row.
    pub(crate) fn pong_received(&mut self, conn: ConnId, token: Token) -> Option<usize> {
        let ignored = self.ignored.pong_received(conn, token)?;
        self.sessions.remove(&conn);
        Some(ignored)
    }

    /// The peer's link is now `after`, and what is under way on `before` is lost with it.
    pub(crate) fn moved(&mut self, before: ConnId, after: ConnId) {
        self.sessions.remove(&before);
        self.rates.remove(&before);
        self.ignored.moved(before, after);
    }

    /// The link is gone.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
        self.ignored.answered(conn);
        self.rates.remove(&conn);
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sessions.values().map(|session| session.until).min()
    }

    /// Gives up reconciliations whose answer is not here in time.
    pub(crate) fn timeout(&mut self, now: Instant) {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.until > now);
        self.given_up += (before - self.sessions.len()) as u64;
    }

    /// Reconciliations that we began and that are not over.
    pub(crate) fn begun(&self) -> usize {
        self.sessions.len()
    }

    /// Reconciliations that were given up so far.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Messages that came too fast so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    fn serve(&mut self, tag: Tag, since: u64, message: &[u8], log: &Log) -> Result<Vec<u8>, SyncError> {
        let ours = log.window.complete_since();
        if tag == Tag::Begin && since < ours {
            return Ok(write(Tag::Later, ours, &[]));
        }
        let served = self.cached.take().filter(|served| served.is_of(log, since));
        let served = served.map_or_else(|| Snapshot::of(log, since), Ok)?;
        let reply = Negentropy::borrowed(&served.ids, MAX_MESSAGE)?.reconcile(message)?;
        self.cached = Some(served);
        Ok(write(Tag::Answer, since, &reply))
    }

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
            session.snapshot = Snapshot::of(log, since)?;
            step.reply = Some(session.snapshot.first_message(Tag::Continue)?);
        } else {
            session.snapshot.compare(message, log, &mut step)?;
        }
        session.rounds += 1;
        if session.rounds > limits.chat.sync_rounds {
            self.given_up += u64::from(step.reply.is_some());
            step.reply = None;
        }
        if step.reply.is_some() {
            session.until = now + limits.chat.sync_timeout;
            self.sessions.insert(conn, session);
        }
        Ok(step)
    }
}

impl Snapshot {
    fn of(log: &Log, since: u64) -> Result<Self, negentropy::Error> {
        let mut ids = NegentropyStorageVector::new();
        for (at, id) in log.window.from_time(since) {
            ids.insert(at, Id::from_byte_array(*id.as_bytes()))?;
        }
        ids.seal()?;
        Ok(Self { since, generation: log.window.generation(), ids })
    }

    fn is_of(&self, log: &Log, since: u64) -> bool {
        self.since == since && self.generation == log.window.generation()
    }

    /// Whether an answer with this time is one to what was compared here, and not to something before.
    fn is_answered_by(&self, tag: Tag, since: u64) -> bool {
        if tag == Tag::Later { since > self.since } else { since == self.since }
    }

    fn first_message(&self, tag: Tag) -> Result<Vec<u8>, negentropy::Error> {
        let message = Negentropy::borrowed(&self.ids, MAX_MESSAGE)?.initiate()?;
        Ok(write(tag, self.since, &message))
    }

    /// What an answer says of both sides, and what to ask next.
    fn compare(&self, message: &[u8], log: &Log, step: &mut Step) -> Result<(), SyncError> {
        let mut side = Negentropy::borrowed(&self.ids, MAX_MESSAGE)?;
        side.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = side.reconcile_with_ids(message, &mut have, &mut need)?;
        step.reply = next.map(|next| write(Tag::Continue, self.since, &next));
        let id = |id: Id| EntryId::from_bytes(id.to_bytes());
        step.have = have.into_iter().map(id).filter(|id| log.window.contains(id)).collect();
        let need: BTreeSet<EntryId> = need.into_iter().map(id).filter(|id| !log.contains(id)).collect();
        step.need = in_order_of(message, need);
        Ok(())
    }
}

/// These ids in the order in which the message lists them, which is that of their times.
///
/// The negentropy crate loses that order. In a message every range is its upper bound (a time and the start of an id,
/// each with a length that is a varint), a mode, and what the mode says.
fn in_order_of(message: &[u8], mut ids: BTreeSet<EntryId>) -> Vec<EntryId> {
    let mut ordered = Vec::with_capacity(ids.len());
    let mut rest = message.get(1..).unwrap_or_default();
    while !rest.is_empty() && !ids.is_empty() {
        varint(&mut rest);
        let prefix = varint(&mut rest);
        rest = usize::try_from(prefix).ok().and_then(|prefix| rest.get(prefix..)).unwrap_or_default();
        match varint(&mut rest) {
            0 => {}
            1 => rest = rest.get(negentropy::FINGERPRINT_SIZE..).unwrap_or_default(),
            _ => {
                for _ in 0..varint(&mut rest) {
                    let Some((id, after)) = rest.split_first_chunk() else { break };
                    rest = after;
                    ordered.extend(ids.take(&EntryId::from_bytes(*id)));
                }
            }
        }
    }
    ordered.extend(ids);
    ordered
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value: u64 = 0;
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn write(tag: Tag, since: u64, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + message.len());
    bytes.push(tag as u8);
    bytes.extend_from_slice(&since.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

fn read(bytes: &[u8]) -> Result<(Tag, u64, &[u8]), SyncError> {
    let (tag, rest) = bytes.split_first().ok_or(SyncError)?;
    let tag = Tag::ALL.into_iter().find(|known| *known as u8 == *tag).ok_or(SyncError)?;
    let (since, message) = rest.split_first_chunk().ok_or(SyncError)?;
    Ok((tag, u64::from_be_bytes(*since), message))
}

#[cfg(test)]
mod tests;
