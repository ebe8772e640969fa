//! Lines to frames.

use alloc::vec::Vec;
use core::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{Object, Value};
use super::{
    ByeCode, Frame, FrameError, Hello, Join, Line, MAX_ADDRESS, MAX_BYE_TEXT, MAX_GRAFT, MAX_IHAVE,
    MAX_LINKS, PeerRecord, Token, TreeClaim,
};
use crate::model::{EntryId, MAX_NUMBER, Name, NodeId, Sealed, Signature};

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parsed<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing: to be skipped, but a sign of life.
    Blank,
    /// A frame of a type that nobody here knows, perhaps of a later version: to be skipped.
    Unknown,
}

/// Reads a line that [`LineReader`](super::LineReader) cut: `TYPE|payload`, the type in capital letters.
///
/// Of `PEERS` the first `peers_read` entries are read, and what follows is passed over unseen.
#[inline]
pub fn parse(line: Line<'_>, peers_read: usize) -> Result<Parsed<'_>, FrameError> {
    let Line::Text(line) = line else {
        return Err(FrameError::NotUtf8);
    };
    match line.strip_prefix("MSG|") {
        Some(text) => msg(text),
        None => any(line, peers_read),
    }
}

fn any(line: &str, peers_read: usize) -> Result<Parsed<'_>, FrameError> {
    let line = line.trim_end_matches('\r');
    let (kind, payload) = match line.split_once('|') {
        Some((kind, payload)) => (kind, Some(payload)),
        None => (line, None),
    };
    let filled = || payload.filter(|payload| !payload.is_empty()).ok_or(FrameError::NoPayload);
    let frame = match kind {
        "JOIN" => Frame::Join(join(filled()?)?),
        "PEERS" => Frame::Peers(peers(payload.ok_or(FrameError::NoPayload)?, peers_read)?),
        "MSG" => return msg(payload.unwrap_or_default()),
        "PING" => Frame::Ping(Token::new(filled()?).ok_or(FrameError::Token)?),
        "PONG" => Frame::Pong(Token::new(filled()?).ok_or(FrameError::Token)?),
        "BYE" => bye(filled()?),
        "CHAT" => Frame::Chat(chat(filled()?)?),
        "IHAVE" => Frame::Ihave(ids(filled()?, MAX_IHAVE, EntryId::new)?),
        "GRAFT" => Frame::Graft(ids(filled()?, MAX_GRAFT, EntryId::new)?),
        "TREE" => Frame::Tree(tree(filled()?).ok_or(FrameError::Tree)?),
        "LINKS" => Frame::Links(links(payload.ok_or(FrameError::NoPayload)?)?),
        "SYNC" => Frame::Sync(URL_SAFE_NO_PAD.decode(filled()?).map_err(|_| FrameError::Base64)?),
        "PROOF" => Frame::Proof(Signature::new(filled()?).ok_or(FrameError::Base64)?),
        "" if payload.is_none() => return Ok(Parsed::Blank),
        _ => return Ok(Parsed::Unknown),
    };
    Ok(Parsed::Frame(frame))
}

/// The text's last `\r`s belong to the line's end, so that every text that is read can be written.
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
    let (signature, json) = payload.split_once('|').ok_or(FrameError::NoPayload)?;
    Ok(Sealed { signature: Signature::new(signature).ok_or(FrameError::Base64)?, json })
}

/// Ids separated by `;`. More of them than a frame may have are malformed.
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

/// The parent is optional: what stands behind it is for later versions.
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

fn join(payload: &str) -> Result<Join, FrameError> {
    let object: Object = serde_json::from_str(payload).map_err(|_| FrameError::Json)?;
    Ok(Join {
        hello: hello(&object)?,
        node_id: string(&object.node_id)?.map(str::parse).transpose().map_err(|_| FrameError::NodeId)?,
        uname: name(&object)?,
        listen_addr: address(&object.listen_addr)?,
        remote_addr: address(&object.remote_addr)?,
    })
}

/// None where the object does not say `v`, or one before 2: then `nonce` and `links` mean nothing.
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
    }))
}

/// Values that follow each other, with any `;` and white space between: version 1 nodes leave a `;` inside a string
/// as it is, so that the payload cannot be split first.
fn peers(mut payload: &str, peers_read: usize) -> Result<Vec<PeerRecord>, FrameError> {
    let mut records = Vec::new();
    while records.len() < peers_read {
        payload = payload.trim_start_matches([';', ' ', '\t', '\r']);
        let mut values = serde_json::Deserializer::from_str(payload).into_iter::<Object<'_>>();
        let Some(object) = values.next() else {
            break;
        };
        records.push(peer(&object.map_err(|_| FrameError::Json)?)?);
        payload = &payload[values.byte_offset()..];
    }
    Ok(records)
}

/// An id or address that cannot be read is none: the other entries are still of use.
fn peer(object: &Object<'_>) -> Result<PeerRecord, FrameError> {
    Ok(PeerRecord {
        node_id: string(&object.node_id)?.and_then(|id| id.parse::<NodeId>().ok()),
        uname: name(object)?,
        listen_addr: address(&object.listen_addr)?,
        remote_addr: address(&object.remote_addr)?,
    })
}

fn name(object: &Object<'_>) -> Result<Option<Name>, FrameError> {
    Ok(string(&object.uname)?.and_then(Name::cut))
}

fn address(value: &Value<'_>) -> Result<Option<SocketAddr>, FrameError> {
    Ok(string(value)?.filter(|text| text.len() <= MAX_ADDRESS).and_then(|text| text.parse().ok()))
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
