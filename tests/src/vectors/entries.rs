//! Entries: what is one, what it says, and the order in which a conversation holds them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_core::wire::{Frame, Line, Parsed, parse};
use proto_core::{
    ChatText, ConnId, Draft, Entry, EntryError, EntryId, Identity, Limits, Message, NetworkId, Opened,
    Violation,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::keys::sign;
use super::listener::{Done, Listener};
use super::pieces::{Pieces, brief, expand};
use super::{Failure, NODE, NOW_MS, PEER, hex, same, secret};

const CONN: ConnId = ConnId(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vector {
    /// In which network, by its name. Absent: in the open one.
    #[serde(default)]
    network: String,
    header: Pieces,
    /// Empty, where it is absent.
    #[serde(default)]
    body: Pieces,
    /// Who signed.
    secret: Option<String>,
    /// What was signed, where it is not what it has to be, or is to be seen.
    signed: Option<String>,
    signature: String,
    id: String,
    /// What it says, if it is an entry of a run.
    entry: Option<Value>,
    /// It is an entry whose body is gone.
    #[serde(default)]
    gone: bool,
    /// It is an entry that is in no run.
    #[serde(default)]
    live: bool,
    error: Option<EntryError>,
    /// Header and body are written as a node writes them.
    #[serde(default)]
    as_written: bool,
    /// When it is shown, if not at once.
    shown_after_ms: Option<u64>,
    /// The latest time at which it is shown, where the earliest one is not the only one.
    shown_before_ms: Option<u64>,
    /// It is not served before it is shown.
    #[serde(default)]
    waits: bool,
    /// It is an entry, and it is neither held nor shown.
    #[serde(default)]
    dropped: bool,
    /// A node that did not ask for it ignores it, whatever it is.
    #[serde(default)]
    ignored: bool,
    /// It is not shown, though it is held.
    #[serde(default)]
    not_shown: bool,
}

impl Vector {
    fn network(&self) -> NetworkId {
        NetworkId::named(&self.network)
    }

    fn expected(&self) -> Result<&str, Failure> {
        match (&self.entry, self.gone, self.live, self.error) {
            (Some(_), false, false, None) => Ok("entry"),
            (None, true, false, None) => Ok("gone"),
            (None, false, true, None) => Ok("live"),
            (None, false, false, Some(_)) => Ok("error"),
            _ => Err("one of entry, gone, live and error is expected".into()),
        }
    }
}

pub(super) fn check(vector: &Vector) -> Result<(), Failure> {
    let (header, body) = (vector.header.text()?, vector.body.text()?);
    check_signature(vector, &header)?;
    let line = format!("CHAT|{}|{header}|{body}\n", vector.signature);
    let (id, opened) = open(&line, vector.network())?;
    same("id", &vector.id, &id.to_string())?;
    let found = match &opened {
        Ok(Opened::Entry(_)) => "entry",
        Ok(Opened::Gone(_)) => "gone",
        Ok(Opened::Live(_)) => "live",
        Err(_) => "error",
        Ok(other) => return Err(format!("unknown: {other:?}")),
    };
    same(&format!("what {opened:?} is"), &vector.expected()?, &found)?;
    if let (Err(error), Some(expected)) = (&opened, vector.error) {
        same("error", &expected, error)?;
    }
    let entry = opened.ok().and_then(Opened::entry);
    if let (Some(entry), Some(expected)) = (&entry, &vector.entry) {
        same("id of the entry", &id, &entry.id())?;
        same("entry", &expand(expected), &of_entry(entry))?;
        if vector.as_written {
            check_written(vector, entry)?;
        }
    }
    check_heard(vector, &line, entry.as_ref())
}

/// What a signature covers.
fn covered(network: NetworkId, header: &str) -> Vec<u8> {
    let id = Sha256::new().chain_update(b"p2p-chat/2 entry id\0").chain_update(network.as_bytes());
    let id = id.chain_update(header).finalize();
    [b"p2p-chat/2 entry\0".as_slice(), network.as_bytes(), &id].concat()
}

fn check_signature(vector: &Vector, header: &str) -> Result<(), Failure> {
    let Some(by) = &vector.secret else { return Ok(()) };
    let covered = covered(vector.network(), header);
    let signed = vector.signed.as_deref().map_or(Ok(covered.clone()), hex)?;
    same("signature", &vector.signature, &sign(&secret(by)?, &signed))?;
    if vector.entry.is_some() { same("signed", &covered, &signed) } else { Ok(()) }
}

fn check_written(vector: &Vector, entry: &Entry) -> Result<(), Failure> {
    let by = secret(vector.secret.as_deref().ok_or("nobody to sign it again")?)?;
    let texts: Result<Vec<_>, _> = entry.texts().map(ChatText::new).collect();
    let texts = texts.map_err(|error| error.to_string())?;
    let body: Value = serde_json::from_str(entry.body()).map_err(|error| error.to_string())?;
    let salt = body["salt"].as_str().and_then(|salt| URL_SAFE_NO_PAD.decode(salt).ok());
    let salt = salt.and_then(|salt| salt.try_into().ok()).ok_or("no salt")?;
    let mut draft = Draft::new(entry.epoch(), entry.position(), entry.at(), entry.uname(), &texts, salt);
    (draft.to, draft.via, draft.room) = (entry.to(), entry.via(), entry.room());
    draft.network = vector.network();
    let again = Entry::sign(&Identity::from_secret(&by), &draft);
    same("as a node writes it", &entry.sealed().to_string(), &again.sealed().to_string())
}

/// What a node does that is told so by a peer, and asked for it afterwards.
fn check_heard(vector: &Vector, line: &str, entry: Option<&Entry>) -> Result<(), Failure> {
    let mut node = Listener::of_network(vector.network(), &NODE, NOW_MS);
    node.link(CONN, &PEER)?;
    let done = node.hear(CONN, line);
    let error = vector.error.filter(|_| !vector.ignored);
    let reports: Vec<_> = error.map(Violation::Entry).into_iter().collect();
    same("reports", &reports, &done.reports)?;
    let texts = |done: &Done| -> Vec<String> {
        done.shown.iter().flat_map(Message::texts).map(str::to_owned).collect()
    };
    let mut shown = texts(&done);
    let check_served = |node: &mut Listener, is_held: bool| {
        let answer = node.hear(CONN, format!("GRAFT|{}\n", vector.id));
        let held: Vec<_> = is_held.then(|| line.trim_end_matches('\n')).into_iter().collect();
        same("answer to GRAFT", &held, &answer.lines(CONN, &["CHAT"]))
    };
    check_served(&mut node, entry.is_some() && !vector.waits && !vector.dropped)?;
    if let Some(after) = vector.shown_after_ms {
        shown.extend(texts(&node.pass(Duration::from_millis(after - 1))));
        same("shows too early", &Vec::new(), &shown)?;
        let before = vector.shown_before_ms.unwrap_or(after);
        shown.extend(texts(&node.pass(Duration::from_millis(before - after + 1))));
        // A peer that says nothing for longer than that is cut.
        if before < 30_000 {
            check_served(&mut node, true)?;
        }
    }
    let said = entry.filter(|_| !vector.not_shown && !vector.dropped).into_iter().flat_map(Entry::texts);
    same("shows", &said.map(str::to_owned).collect(), &shown)
}

/// The id of a line's entry, and what it is.
fn open(line: &str, network: NetworkId) -> Result<(EntryId, Result<Opened, EntryError>), Failure> {
    match parse(Line::Text(line.trim_end_matches('\n')), Limits::default().wire.peers_read) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => Ok((sealed.id(network), sealed.open(network))),
        other => Err(format!("no CHAT: {other:?}")),
    }
}

fn of_entry(entry: &Entry) -> Value {
    let texts: Vec<_> = entry.texts().map(brief).collect();
    let mut value = json!({
        "key": entry.key(), "epoch": entry.epoch(), "seq": entry.seq(), "at": entry.at(),
        "author": entry.author(), "kind": entry.kind().word(), "uname": entry.uname(), "texts": texts,
    });
    let optional = [
        ("room", entry.room().map(|room| json!(room))),
        ("class", entry.class().word().map(|word| json!(word))),
        ("prev", entry.prev().map(|prev| json!(prev))),
    ];
    for (member, found) in optional {
        if let Some(found) = found {
            value[member] = found;
        }
    }
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
    let opened: Result<Vec<_>, _> = vector.lines.iter().map(|line| open(line, NetworkId::OPEN)).collect();
    let opened = opened?.into_iter().map(|(_, opened)| opened.ok().and_then(Opened::entry));
    let entries = opened.collect::<Option<Vec<_>>>().ok_or("a line is no entry")?;
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
