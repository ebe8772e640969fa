//! What comes in on a link: lines to events, by the rules that need nothing but this link.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Introduction, Link, Phase};
use crate::wire::{self, ByeCode, Chunk, Frame, FrameError, Join, Parsed, PeerRecord, Token, TreeClaim};
use crate::{EntryId, Instant, Limits, NodeId, Sealed, Signature, Version, Violation};

/// One line that came in.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A blank line, or one of a type that this peer cannot send: nothing to do.
    Skipped {
        unknown: bool,
    },
    /// The first `JOIN`.
    Joined(Join),
    /// Another `JOIN` with the same id.
    Rejoined(Join),
    Peers(Vec<PeerRecord>),
    Said(String),
    Pinged(Token),
    Ponged(Token),
    Bye(ByeCode),
    Proof(Signature),
    Chat(Box<Unopened>),
    Links(Vec<NodeId>),
    Ihave(Vec<EntryId>),
    Graft(Vec<EntryId>),
    Tree(Box<TreeClaim>),
    Sync(Vec<u8>),
    #[cfg(feature = "plumtree")]
    Pruned,
    /// A rule was broken that costs only the frame.
    Broke(Violation),
    /// A rule was broken that costs the link.
    Cut(Violation),
}

/// The characters of a signature.
const SIGNATURE_LEN: usize = 86;

/// An entry as it came.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub(crate) id: EntryId,
    signature: Signature,
    json: String,
}

impl Unopened {
    /// The bytes of its line, with its end.
    pub(crate) fn line_len(&self) -> usize {
        "CHAT||\n".len() + SIGNATURE_LEN + self.json.len()
    }

    pub(crate) fn sealed(&self) -> Sealed<'_> {
        Sealed { signature: self.signature, json: &self.json }
    }
}

impl Link {
    /// Takes the next line off the front of `chunk`, or what there is of it.
    pub(crate) fn next_event(
        &mut self,
        now: Instant,
        chunk: &mut Chunk<'_>,
        limits: &Limits,
    ) -> Option<LinkEvent> {
        if matches!(self.phase, Phase::Closing { .. }) {
            return None;
        }
        if !chunk.rest().is_empty() {
            self.received = Some(now);
        }
        let joined = self.peer.is_some();
        let limit = if joined { limits.line } else { limits.line_before_join };
        let Ok(line) = self.reader.next_line(chunk, limit)? else {
            return Some(LinkEvent::Cut(Violation::LineTooLong));
        };
        if let Some(rates) = &mut self.rates {
            rates.frames.charge(now, 1);
            rates.bytes.charge(now, line.as_bytes().len() as u32 + 1);
            let free = rates.frames.next_at(now).max(rates.bytes.next_at(now));
            self.paused.until = (free > now).then_some(free);
        }
        let peer = self.peer.as_deref();
        let keyed = peer.is_some_and(|peer| peer.key.is_some());
        let version = peer.map(|peer| if peer.nonce.is_some() { Version::V2 } else { Version::V1 });
        let parsed = match wire::parse(line, limits.peers_read) {
            Ok(Parsed::Frame(frame)) => frame,
            Ok(Parsed::Blank) => return Some(LinkEvent::Skipped { unknown: false }),
            Ok(Parsed::Unknown) => return Some(LinkEvent::Skipped { unknown: true }),
            Err(error) => return Some(self.malformed(now, error, limits)),
        };
        Some(match (parsed, version) {
            (Frame::Join(join), None) => LinkEvent::Joined(join),
            (Frame::Join(join), Some(_)) if peer.is_some_and(|peer| peer.is_same(&join)) => {
                LinkEvent::Rejoined(join)
            }
            (Frame::Join(_), Some(_)) => LinkEvent::Cut(Violation::SecondId),
            (_, None) => LinkEvent::Broke(Violation::BeforeJoin),
            (Frame::Proof(signature), Some(_)) if peer.is_some_and(|peer| !peer.proven) => {
                LinkEvent::Proof(signature)
            }
            // One without room sends us on before either side proves anything.
            (Frame::Peers(records), Some(_)) => LinkEvent::Peers(records),
            (Frame::Bye(code, _), Some(Version::V2)) => LinkEvent::Bye(code),
            _ if peer.is_some_and(|peer| !peer.proven) => LinkEvent::Broke(Violation::BeforeProof),
            (Frame::Chat(sealed), Some(_)) if keyed => LinkEvent::Chat(Box::new(Unopened {
                id: sealed.id(),
                signature: sealed.signature,
                json: sealed.json.to_owned(),
            })),
            (Frame::Links(ids), Some(_)) if keyed => LinkEvent::Links(ids),
            (Frame::Ihave(ids), Some(_)) if keyed => LinkEvent::Ihave(ids),
            (Frame::Graft(ids), Some(_)) if keyed => LinkEvent::Graft(ids),
            (Frame::Tree(claim), Some(_)) if keyed => LinkEvent::Tree(Box::new(claim)),
            (Frame::Sync(bytes), Some(_)) if keyed => LinkEvent::Sync(bytes),
            #[cfg(feature = "plumtree")]
            (Frame::Prune, Some(_)) => LinkEvent::Pruned,
            (
                Frame::Proof(_)
                | Frame::Chat(_)
                | Frame::Links(_)
                | Frame::Ihave(_)
                | Frame::Graft(_)
                | Frame::Tree(_)
                | Frame::Sync(_),
                Some(_),
            ) => LinkEvent::Skipped { unknown: true },
            (Frame::Msg(text), Some(_)) if !keyed => LinkEvent::Said(text.to_owned()),
            // Who has a key signs what it says.
            (Frame::Msg(_), Some(_)) => LinkEvent::Skipped { unknown: true },
            (Frame::Ping(_) | Frame::Pong(_) | Frame::Bye(..), Some(Version::V1)) => {
                LinkEvent::Skipped { unknown: true }
            }
            (Frame::Ping(token), Some(Version::V2)) => LinkEvent::Pinged(token),
            (Frame::Pong(token), Some(Version::V2)) => LinkEvent::Ponged(token),
        })
    }

    fn malformed(&mut self, now: Instant, error: FrameError, limits: &Limits) -> LinkEvent {
        if self.is_one_too_many(now, limits) {
            return LinkEvent::Cut(Violation::TooManyMalformed);
        }
        LinkEvent::Broke(Violation::Malformed(error))
    }

    /// Counts a frame that cannot be read, or whose content does not hold; whether there are too many now.
    pub(crate) fn is_one_too_many(&mut self, now: Instant, limits: &Limits) -> bool {
        while self.malformed.front().is_some_and(|at| now.since(*at) >= limits.malformed_window) {
            self.malformed.pop_front();
        }
        self.malformed.push_back(now);
        self.malformed.len() >= limits.malformed
    }
}

impl Introduction {
    fn is_same(&self, join: &Join) -> bool {
        if self.named { join.node_id == Some(self.node_id) } else { join.node_id.is_none() }
    }
}
