//! Reading lines as frames.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{Object, Value};
use super::{
    ByeCode, Frame, FrameError, Hello, Join, Line, MAX_ADDRESS, MAX_BYE_TEXT, MAX_GRAFT, MAX_IHAVE,
    MAX_LINKS, PeerRecord, RangeEnd, RangeQuery, Token, TreeClaim,
};
use crate::model::{
    Class, EntryId, MAX_NUMBER, Name, NetworkId, NodeId, Room, RunId, Sealed, Signature, canonical,
};

/// What a line is, if it is not malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parsed<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// A blank line. It is skipped, but shows that the peer is alive (SPEC 1.1.3).
    Blank,
    /// A frame of an unknown type, perhaps of a later version. It is skipped (SPEC 1.3.2).
    Unknown,
}

/// Reads a line from a [`LineReader`](super::LineReader) as a frame: `TYPE|payload` (SPEC section 11).
///
/// Of `PEERS`, the first `peers_read` entries are read, and the rest is ignored unseen. Signatures are read but not
/// verified. The [module](super) has an example.
///
/// # Errors
/// [`FrameError`], if the line is malformed: not UTF-8, or of a known type with a payload that cannot be read.
#[inline]
pub fn parse(line: Line<'_>, peers_read: usize) -> Result<Parsed<'_>, FrameError> {
    let Line::Text(line) = line else {
        return Err(FrameError::NotUtf8);
    };
    match line.strip_prefix("MSG|") {
        Some(text) => msg(text),
        None => parse_any(line, peers_read),
    }
}

fn parse_any(line: &str, peers_read: usize) -> Result<Parsed<'_>, FrameError> {
    let line = line.trim_end_matches('\r');
    let (kind, payload) = match line.split_once('|') {
        Some((kind, payload)) => (kind, Some(payload)),
        None => (line, None),
    };
    let filled = || payload.filter(|payload| !payload.is_empty()).ok_or(FrameError::NoPayload);
    let frame = match kind {
        "JOIN" => Frame::Join(Box::new(join(filled()?)?)),
        "PEERS" => Frame::Peers(peers(payload.ok_or(FrameError::NoPayload)?, peers_read)?),
        "MSG" => return msg(payload.unwrap_or_default()),
        "PING" => Frame::Ping(Token::new(filled()?).ok_or(FrameError::Token)?),
        "PONG" => Frame::Pong(Token::new(filled()?).ok_or(FrameError::Token)?),
        "BYE" => bye(filled()?),
        "CHAT" => Frame::Chat(chat(filled()?)?),
        "IHAVE" => Frame::Ihave(ids(filled()?, MAX_IHAVE, EntryId::new)?),
        "GRAFT" => Frame::Graft(ids(filled()?, MAX_GRAFT, EntryId::new)?),
        "LACK" => Frame::Lack(ids(filled()?, MAX_GRAFT, EntryId::new)?),
        "RANGE" => Frame::Range(range(filled()?).ok_or(FrameError::Range)?),
        "HELD" => Frame::Held(held(filled()?).ok_or(FrameError::Range)?),
        "TREE" => Frame::Tree(tree(filled()?).ok_or(FrameError::Tree)?),
        "LINKS" => Frame::Links(links(payload.ok_or(FrameError::NoPayload)?)?),
        "SYNC" => Frame::Sync(URL_SAFE_NO_PAD.decode(filled()?).map_err(|_| FrameError::Base64)?),
        "PROOF" => Frame::Proof(Signature::new(filled()?).ok_or(FrameError::Base64)?),
        "" if payload.is_none() => return Ok(Parsed::Blank),
        _ => return Ok(Parsed::Unknown),
    };
    Ok(Parsed::Frame(frame))
}

/// Reads `MSG`. Each `\r` at the end of the text belongs to the line's end (SPEC 1.1.2).
fn msg(text: &str) -> Result<Parsed<'_>, FrameError> {
    match text.trim_end_matches('\r') {
        "" => Err(FrameError::NoPayload),
        text => Ok(Parsed::Frame(Frame::Msg(text))),
    }
}

fn bye(payload: &str) -> Frame<'_> {
    let (word, text) = payload.split_once('|').unwrap_or((payload, ""));
    let text = text[..text.floor_char_boundary(MAX_BYE_TEXT)].trim_end_matches('\r');
    Frame::Bye(ByeCode::from_word(word), text)
}

fn chat(payload: &str) -> Result<Sealed<'_>, FrameError> {
    let (signature, signed) = payload.split_once('|').ok_or(FrameError::NoPayload)?;
    let (header, body) = signed.split_once('|').ok_or(FrameError::NoPayload)?;
    Ok(Sealed { signature: Signature::new(signature).ok_or(FrameError::Base64)?, header, body })
}

/// Reads ids separated by `;`. More than `most` are malformed.
fn ids<T>(payload: &str, most: usize, id: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, FrameError> {
    let mut ids = Vec::new();
    for text in payload.split(';') {
        if ids.len() == most {
            return Err(FrameError::TooMany);
        }
        ids.push(id(text).ok_or(FrameError::Base64)?);
    }
    Ok(ids)
}

fn links(payload: &str) -> Result<Vec<NodeId>, FrameError> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    ids(payload, MAX_LINKS, |text| text.parse().ok()).map_err(|error| match error {
        FrameError::Base64 => FrameError::NodeId,
        other => other,
    })
}

/// Reads `TREE`. The parent is optional, and what follows it is for later versions (SPEC 8.3.6).
fn tree(payload: &str) -> Option<TreeClaim> {
    let mut fields = payload.split(';');
    let root = fields.next()?.parse().ok()?;
    let mut number = || fields.next()?.parse::<u64>().ok().filter(|number| *number <= MAX_NUMBER);
    let (period, sequence) = (number()?, number()?);
    let signature = Signature::new(fields.next()?)?;
    let distance = fields.next()?.parse::<u64>().ok()?.try_into().unwrap_or(u16::MAX);
    let parent = fields.next().filter(|text| !text.is_empty());
    let parent = parent.map(str::parse).transpose().ok()?;
    Some(TreeClaim { root, period, sequence, signature, distance, parent })
}

/// Reads `RANGE`. What follows the tag is for later versions.
fn range(payload: &str) -> Option<RangeQuery> {
    let mut fields = payload.split(';');
    let room = room(fields.next()?)?;
    let class = match fields.next()? {
        "" => Class::Kept,
        word => Class::from_word(word)?,
    };
    let key = fields.next()?.parse().ok()?;
    let epoch = fields.next()?.parse().ok()?;
    let (first, last) = fields.next()?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    RangeQuery::new(RunId { key, room, class, epoch }, first, last, fields.next()?.parse().ok()?)
}

/// Reads the name of a room, in which any byte may be written as `%` and two hexadecimal digits. Empty: the lobby.
fn room(text: &str) -> Option<Option<Room>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        // Two digits are at most 255.
        bytes.push(if byte == b'%' { (digit()? * 16 + digit()?) as u8 } else { byte });
    }
    let name = String::from_utf8(bytes).ok().filter(|name| !name.is_empty());
    if text.is_empty() { Some(None) } else { Some(Some(name?.parse().ok()?)) }
}

/// Reads `HELD`. What follows the next number is for later versions.
fn held(payload: &str) -> Option<RangeEnd> {
    let mut fields = payload.split(';');
    let mut number = || fields.next()?.parse().ok();
    RangeEnd::new(number()?, number()?)
}

fn join(payload: &str) -> Result<Join, FrameError> {
    let object: Object = serde_json::from_str(payload).map_err(|_| FrameError::Json)?;
    Ok(Join {
        hello: hello(&object)?,
        node_id: string(&object.node_id)?.and_then(NodeId::of_text),
        uname: name(&object)?,
        listen_addr: address(&object.listen_addr)?,
        remote_addr: address(&object.remote_addr)?,
    })
}

/// Reads the members of version 2. None: the object has no `v`, or one below 2. Its other members are not looked at
/// then.
fn hello(object: &Object<'_>) -> Result<Option<Hello>, FrameError> {
    let Some(version) = number(&object.v)?.filter(|version| *version >= 2) else {
        return Ok(None);
    };
    let Value::String(nonce) = &object.nonce else {
        return Err(FrameError::Token);
    };
    Ok(Some(Hello {
        version: version.try_into().unwrap_or(u32::MAX),
        nonce: Token::new(nonce).ok_or(FrameError::Token)?,
        links: number(&object.links)?.unwrap_or(0).try_into().unwrap_or(u16::MAX),
        key: string(&object.key)?.map(str::parse).transpose().map_err(|_| FrameError::Key)?,
        network: string(&object.net)?
            .map_or(Ok(NetworkId::OPEN), str::parse)
            .map_err(|_| FrameError::Network)?,
        now: number(&object.now)?.filter(|now| *now <= MAX_NUMBER),
    }))
}

/// Reads objects with any number of `;` and white space between them. The payload cannot be split at each `;` first,
/// because version 1 nodes write a `;` inside a string as it is. An entry that cannot be read ends at the next `;`, and
/// costs itself alone (SPEC 1.4.8). An error: there are entries, and none can be read.
fn peers(mut payload: &str, peers_read: usize) -> Result<Vec<PeerRecord>, FrameError> {
    let mut records = Vec::new();
    let mut error = None;
    for _ in 0..peers_read {
        payload = payload.trim_start_matches([';', ' ', '\t', '\r']);
        let mut values = serde_json::Deserializer::from_str(payload).into_iter::<Object<'_>>();
        let Some(object) = values.next() else {
            break;
        };
        match object.map_err(|_| FrameError::Json).and_then(|object| peer(&object)) {
            Ok(record) => {
                records.push(record);
                payload = &payload[values.byte_offset()..];
            }
            Err(reason) => {
                error = Some(reason);
                payload = payload.split_once(';').map_or("", |(_, rest)| rest);
            }
        }
    }
    match error {
        Some(error) if records.is_empty() => Err(error),
        _ => Ok(records),
    }
}

/// Reads an entry of `PEERS`. An address that cannot be read counts as absent, so that the rest is still of use (SPEC
/// 2.5.1).
fn peer(object: &Object<'_>) -> Result<PeerRecord, FrameError> {
    Ok(PeerRecord {
        node_id: string(&object.node_id)?.and_then(NodeId::of_text),
        uname: name(object)?,
        listen_addr: address(&object.listen_addr)?,
        remote_addr: address(&object.remote_addr)?,
    })
}

fn name(object: &Object<'_>) -> Result<Option<Name>, FrameError> {
    Ok(string(&object.uname)?.and_then(Name::cut))
}

fn address(value: &Value<'_>) -> Result<Option<SocketAddr>, FrameError> {
    Ok(string(value)?
        .filter(|text| text.len() <= MAX_ADDRESS)
        .and_then(|text| text.parse().ok())
        .map(canonical))
}

fn string<'a>(value: &'a Value<'_>) -> Result<Option<&'a str>, FrameError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(_) | Value::Other => Err(FrameError::Json),
    }
}

fn number(value: &Value<'_>) -> Result<Option<u64>, FrameError> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(Some(*number)),
        Value::String(_) | Value::Other => Err(FrameError::Json),
    }
}
