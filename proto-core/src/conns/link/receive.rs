//! Incoming lines of one connection: parses them, and applies the rules that need only this connection.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Link, PeerHandshake, Phase};
use crate::conns::Breach;
use crate::model::{Instant, Limits, Signature, Version};
use crate::wire::{self, ByeCode, ChatFrame, Chunk, Frame, Join, Parsed, PeerRecord, Token};

/// One line that came in.
#[derive(Debug)]
pub(crate) enum LinkEvent<'a> {
    /// A line for this machine.
    Conn(ConnFrame),
    /// A frame of the conversation, from a peer that has proven its key.
    Chat(ChatFrame<'a>),
}

/// A line that concerns connections.
#[derive(Debug)]
pub(crate) enum ConnFrame {
    /// A line to skip. `unknown`: its type is unknown, or not for this peer to send. Else it is blank.
    Skipped {
        unknown: bool,
    },
    /// The first `JOIN`.
    Join(Box<Join>),
    /// Another `JOIN` with the same id.
    Rejoin(Box<Join>),
    Msg(String),
    Ping(Token),
    Pong(Token),
    Bye(ByeCode),
    Proof(Signature),
    Peers(Vec<PeerRecord>),
    /// The frame breaks a rule, and is skipped.
    Breach(Breach),
    /// The frame breaks a rule for which the peer is disconnected.
    Disconnect(Breach),
}

impl ConnFrame {
    /// Whether it changes nothing but this connection.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Msg(_) | Self::Skipped { .. })
    }
}

impl Link {
    /// Takes the next line from the front of `chunk`. None: the rest of the chunk has no end of line, and is buffered.
    pub(in crate::conns) fn next_event<'a, 'b: 'a>(
        &'a mut self,
        now: Instant,
        chunk: &mut Chunk<'b>,
        limits: &Limits,
    ) -> Option<LinkEvent<'a>> {
        if matches!(self.phase, Phase::Closing { .. }) {
            return None;
        }
        if !chunk.rest().is_empty() {
            self.received = Some(now);
        }
        let joined = self.peer.is_some();
        // A node that turns this one away on a sealed connection sends no `JOIN`.
        let may_turn_away = self.channel.is_sealed() && self.is_outbound();
        let limit = if joined || may_turn_away { limits.wire.line } else { limits.wire.line_before_join };
        let Ok(line) = self.reader.next_line(chunk, limit)? else {
            self.said_other |= !joined;
            return Some(LinkEvent::Conn(ConnFrame::Disconnect(Breach::LineTooLong)));
        };
        if let Some(rates) = &mut self.rates {
            rates.frames.charge(now, 1);
            rates.bytes.charge(now, line.as_bytes().len() as u32 + 1);
            let free = rates.frames.next_at(now).max(rates.bytes.next_at(now));
            self.paused.until = (free > now).then_some(free);
        }
        let parsed = wire::parse(line, limits.wire.peers_read);
        self.said_other |= !joined && !matches!(parsed, Ok(Parsed::Blank | Parsed::Frame(Frame::Join(_))));
        let parsed = match parsed {
            Ok(Parsed::Frame(Frame::Peers(records))) if may_turn_away && !joined => {
                return Some(LinkEvent::Conn(ConnFrame::Peers(records)));
            }
            Ok(Parsed::Frame(Frame::Bye(code, _))) if may_turn_away && !joined => {
                return Some(LinkEvent::Conn(ConnFrame::Bye(code)));
            }
            other => other,
        };
        let frame = match parsed {
            Ok(Parsed::Frame(frame)) => frame,
            Ok(Parsed::Blank) => return Some(LinkEvent::Conn(ConnFrame::Skipped { unknown: false })),
            Ok(Parsed::Unknown) => return Some(LinkEvent::Conn(ConnFrame::Skipped { unknown: true })),
            Err(_) if self.malformed.record(now, limits) => {
                return Some(LinkEvent::Conn(ConnFrame::Disconnect(Breach::TooManyMalformed)));
            }
            Err(error) => {
                if !joined {
                    self.unread.get_or_insert(error);
                }
                return Some(LinkEvent::Conn(ConnFrame::Breach(Breach::Malformed(error))));
            }
        };
        let event = classify(frame, self.peer.as_deref());
        if let LinkEvent::Chat(ChatFrame::Links(ids)) = &event {
            self.advertised_degree = ids.len();
        }
        Some(event)
    }
}

/// What a frame means in this state of the peer's handshake.
fn classify<'a>(frame: Frame<'a>, peer: Option<&PeerHandshake>) -> LinkEvent<'a> {
    let keyed = peer.is_some_and(|peer| peer.key.is_some());
    let unproven = peer.is_some_and(|peer| !peer.proven);
    let version = peer.map(|peer| if peer.nonce.is_some() { Version::V2 } else { Version::V1 });
    let chat = |frame| match keyed {
        true => LinkEvent::Chat(frame),
        false => LinkEvent::Conn(ConnFrame::Skipped { unknown: true }),
    };
    LinkEvent::Conn(match (frame, version) {
        (Frame::Join(join), None) => ConnFrame::Join(join),
        (Frame::Join(join), Some(_)) if peer.is_some_and(|peer| peer.is_same(&join)) => {
            ConnFrame::Rejoin(join)
        }
        (Frame::Join(_), Some(_)) => ConnFrame::Disconnect(Breach::SecondId),
        (_, None) => ConnFrame::Breach(Breach::BeforeJoin),
        (Frame::Proof(signature), Some(_)) if unproven => ConnFrame::Proof(signature),
        // A node without room sends `PEERS` before either side sends `PROOF`.
        (Frame::Peers(records), Some(_)) => ConnFrame::Peers(records),
        (Frame::Bye(code, _), Some(Version::V2)) => ConnFrame::Bye(code),
        _ if unproven => ConnFrame::Breach(Breach::BeforeProof),
        (Frame::Chat(sealed), Some(_)) => return chat(ChatFrame::Chat(sealed)),
        (Frame::Links(ids), Some(_)) => return chat(ChatFrame::Links(ids)),
        (Frame::Ihave(ids), Some(_)) => return chat(ChatFrame::Ihave(ids)),
        (Frame::Graft(ids), Some(_)) => return chat(ChatFrame::Graft(ids)),
        (Frame::Lack(ids), Some(_)) => return chat(ChatFrame::Lack(ids)),
        (Frame::Range(query), Some(_)) => return chat(ChatFrame::Range(query)),
        (Frame::Held(end), Some(_)) => return chat(ChatFrame::Held(end)),
        (Frame::Tree(claim), Some(_)) => return chat(ChatFrame::Tree(claim)),
        (Frame::Sync(bytes), Some(_)) => return chat(ChatFrame::Sync(bytes)),
        (Frame::Msg(text), Some(_)) if !keyed => ConnFrame::Msg(text.to_owned()),
        (Frame::Ping(token), Some(Version::V2)) => ConnFrame::Ping(token),
        (Frame::Pong(token), Some(Version::V2)) => ConnFrame::Pong(token),
        // A peer with a key sends no `MSG`. A version 1 peer sends none of the others.
        (Frame::Proof(_) | Frame::Msg(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Bye(..), Some(_)) => {
            ConnFrame::Skipped { unknown: true }
        }
    })
}

impl PeerHandshake {
    fn is_same(&self, join: &Join) -> bool {
        if self.named { join.node_id == Some(self.node_id) } else { join.node_id.is_none() }
    }
}
