//! Entries: what is one, what it says, and the order in which a conversation holds them.

use std::time::Duration;

use proto_core::wire::{Frame, Line, Parsed, parse};
use proto_core::{
    ConnId, Draft, Entry, EntryError, EntryId, Identity, Limits, Message, NetworkId, Violation,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::sign;
use super::listener::{Done, Listener};
use super::pieces::{Pieces, brief, expand};
use super::{Failure, NODE, NOW_MS, PEER, hex, same, secret};

const CONN: ConnId = ConnId(1);
const DOMAIN: &[u8] = b"p2p-chat/2 entry\0";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vector {
    /// The network in which it is said, where that is not the open one.
    #[serde(default)]
    network: String,
    json: Pieces,
    /// Who signed.
    secret: Option<String>,
    /// What was signed, where it is not what it has to be, or is to be seen.
    signed: Option<String>,
    signature: String,
    id: String,
    /// What it says, if it is an entry.
    entry: Option<Value>,
    error: Option<EntryError>,
    /// Its JSON is written as a node writes it.
    #[serde(default)]
    as_written: bool,
    /// It is dated ahead: nobody is told of it before it is shown.
    #[serde(default)]
    waits: bool,
    /// When it is shown, if not at once.
    shown_after_ms: Option<u64>,
}

pub(super) fn check(vector: &Vector) -> Result<(), Failure> {
    let json = vector.json.text()?;
    let network = NetworkId::named(&vector.network);
    check_signature(vector)?;
    let line = format!("CHAT|{}|{json}\n", vector.signature);
    let (id, opened) = open(network, &line)?;
    same("id", &vector.id, &id.to_string())?;
    match (&opened, vector.error, &vector.entry) {
        (Err(error), Some(expected), None) => same("error", &expected, error)?,
        (Ok(entry), None, Some(expected)) => {
            same("id of the entry", &id, &entry.id())?;
            same("entry", &expand(expected), &of_entry(entry))?;
            if vector.as_written {
                check_written(vector, entry, &json)?;
            }
        }
        (Ok(entry), ..) => return Err(format!("it is an entry: {}", of_entry(entry))),
        (Err(error), ..) => return Err(format!("it is none: {error}")),
    }
    check_heard(vector, &line, opened.as_ref().ok())
}

fn check_signature(vector: &Vector) -> Result<(), Failure> {
    let Some(by) = &vector.secret else { return Ok(()) };
    let id = EntryId::new(&vector.id).ok_or("its id is none")?;
    let covered = [DOMAIN, NetworkId::named(&vector.network).as_bytes(), id.as_bytes()].concat();
    let signed = vector.signed.as_deref().map_or(Ok(covered.clone()), hex)?;
    same("signature", &vector.signature, &sign(&secret(by)?, &signed))?;
    if vector.entry.is_some() { same("signed", &covered, &signed) } else { Ok(()) }
}

fn check_written(vector: &Vector, entry: &Entry, json: &str) -> Result<(), Failure> {
    let by = secret(vector.secret.as_deref().ok_or("nobody to sign it again")?)?;
    let mut draft = Draft::new(entry.epoch(), entry.seq(), entry.at(), entry.uname(), entry.texts());
    (draft.network, draft.to, draft.via) = (entry.network(), entry.to(), entry.via());
    let again = Entry::sign(&Identity::from_secret(&by), &draft);
    same("JSON as a node writes it", &json, &again.sealed().json)?;
    same("signature of a node", &vector.signature, &again.sealed().signature.to_string())
}

/// What a node does that is told so by a peer, and asked for it afterwards.
fn check_heard(vector: &Vector, line: &str, entry: Option<&Entry>) -> Result<(), Failure> {
    let mut node = Listener::of_network(NetworkId::named(&vector.network), &NODE, NOW_MS);
    node.link(CONN, &PEER)?;
    let done = node.hear(CONN, line);
    let reports: Vec<_> = vector.error.map(Violation::Entry).into_iter().collect();
    same("reports", &reports, &done.reports)?;
    let texts = |done: &Done| -> Vec<String> {
        done.shown.iter().flat_map(Message::texts).map(str::to_owned).collect()
    };
    let mut shown = texts(&done);
    let answer = node.hear(CONN, format!("GRAFT|{}\n", vector.id));
    let held: Vec<_> =
        entry.filter(|_| !vector.waits).map(|_| line.trim_end_matches('\n')).into_iter().collect();
    same("answer to GRAFT", &held, &answer.lines(CONN, &["CHAT"]))?;
    if let Some(after) = vector.shown_after_ms {
        shown.extend(texts(&node.pass(Duration::from_millis(after - 1))));
        same("shows too early", &Vec::new(), &shown)?;
        shown.extend(texts(&node.pass(Duration::from_millis(1))));
    }
    let said = entry.map(Entry::texts).unwrap_or_default();
    same("shows", &said.iter().map(|text| text.as_str().to_owned()).collect(), &shown)
}

/// The id of a line's entry in this network, and the entry, if it is one.
fn open(network: NetworkId, line: &str) -> Result<(EntryId, Result<Entry, EntryError>), Failure> {
    match parse(Line::Text(line.trim_end_matches('\n')), Limits::default().wire.peers_read) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => Ok((sealed.id(network), sealed.open(network))),
        other => Err(format!("no CHAT: {other:?}")),
    }
}

fn of_entry(entry: &Entry) -> Value {
    let texts: Vec<_> = entry.texts().iter().map(|text| brief(text.as_str())).collect();
    let mut value = json!({
        "key": entry.key(), "epoch": entry.epoch(), "seq": entry.seq(), "at": entry.at(),
        "author": entry.author(), "uname": entry.uname(), "texts": texts,
    });
    if !entry.to().is_empty() {
        value["to"] = json!(entry.to());
    }
    if let Some(via) = entry.via() {
        value["via"] = json!(via);
    }
    value
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// The lines of entries, in the order of the conversation.
    lines: Vec<String>,
}

pub(super) fn check_order(vector: &Order) -> Result<(), Failure> {
    let opened: Result<Vec<_>, _> = vector.lines.iter().map(|line| open(NetworkId::OPEN, line)).collect();
    let entries: Result<Vec<_>, _> = opened?.into_iter().map(|(_, entry)| entry).collect();
    let entries = entries.map_err(|error| error.to_string())?;
    if !entries.is_sorted_by(|one, next| one.place() <= next.place()) {
        return Err("the places are in another order".into());
    }
    let ids: Vec<_> = entries.iter().map(Entry::id).collect();
    let mut node = Listener::new(&NODE, NOW_MS);
    node.link(CONN, &PEER)?;
    for line in vector.lines.iter().rev() {
        node.hear(CONN, format!("{line}\n"));
    }
    same("the conversation", &ids, &node.node.entries().map(|entry| entry.id()).collect())
}
