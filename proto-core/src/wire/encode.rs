//! Writing frames as lines.

use alloc::vec::Vec;
use core::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{
    ByeCode, Frame, Hello, Join, MAX_BYE_TEXT, MAX_GRAFT, MAX_IHAVE, MAX_LINE, MAX_LINKS, PeerRecord,
    RangeQuery, TreeClaim,
};
use crate::model::{RunId, write_display, write_string};

impl Frame<'_> {
    /// Appends the frame's line to `out`, with its `\n`.
    ///
    /// A text is never able to start a frame of its own: each `\n` in it is written as a space. What does not fit is
    /// left out: entries of `PEERS` beyond a line of [`MAX_LINE`] bytes, ids beyond the most that a frame may have, and
    /// the text of `BYE` beyond 200 bytes. The caller keeps `MSG`, `CHAT` and `SYNC` within a line:
    /// [`ChatText`](crate::ChatText), [`Draft::fitting`](crate::Draft::fitting) and [`MAX_SYNC`](super::MAX_SYNC) do.
    ///
    /// ```
    /// use proto_core::wire::{ByeCode, Frame, Token};
    ///
    /// let mut out = Vec::new();
    /// Frame::Ping(Token::from_bits(7)).encode(&mut out);
    /// Frame::Bye(ByeCode::Full, "no room").encode(&mut out);
    /// assert_eq!(out, b"PING|00000000000000000000000000000007\nBYE|full|no room\n");
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Join(join) => write_join(out, join),
            Self::Peers(records) => write_peers(out, records),
            Self::Msg(text) => write_text(out, b"MSG|", text),
            Self::Ping(token) => write_text(out, b"PING|", token.as_str()),
            Self::Pong(token) => write_text(out, b"PONG|", token.as_str()),
            Self::Bye(code, text) => write_bye(out, *code, text),
            Self::Proof(signature) => write_display(out, format_args!("PROOF|{signature}")),
            Self::Links(ids) => write_ids(out, b"LINKS|", ids, MAX_LINKS),
            Self::Chat(sealed) => {
                out.reserve_exact(sealed.line_len());
                write_display(out, format_args!("CHAT|{}|", sealed.signature));
                out.extend_from_slice(sealed.header.as_bytes());
                out.push(b'|');
                out.extend_from_slice(sealed.body.as_bytes());
            }
            Self::Ihave(ids) => write_ids(out, b"IHAVE|", ids, MAX_IHAVE),
            Self::Graft(ids) => write_ids(out, b"GRAFT|", ids, MAX_GRAFT),
            Self::Lack(ids) => write_ids(out, b"LACK|", ids, MAX_GRAFT),
            Self::Range(query) => write_range(out, query),
            Self::Held(end) => write_display(out, format_args!("HELD|{};{}", end.tag, end.next)),
            Self::Tree(claim) => write_tree(out, claim),
            Self::Sync(bytes) => {
                out.extend_from_slice(b"SYNC|");
                write_display(out, Base64Display::new(bytes, &URL_SAFE_NO_PAD));
            }
        }
        out.push(b'\n');
    }
}

/// Writes `JOIN` with all four members of version 1, which version 1 nodes expect (SPEC 2.8.6).
fn write_join(out: &mut Vec<u8>, join: &Join) {
    let Join { node_id, uname, listen_addr, remote_addr, hello } = join.clone();
    out.extend_from_slice(b"JOIN|{");
    write_record(out, &PeerRecord { node_id, uname, listen_addr, remote_addr });
    if let Some(Hello { version, nonce, links, key, network, now }) = hello {
        write_display(out, format_args!(",\"v\":{version},\"nonce\":"));
        write_string(out, nonce.as_str());
        write_display(out, format_args!(",\"links\":{links}"));
        if let Some(key) = key {
            write_display(out, format_args!(",\"key\":\"{key}\""));
        }
        if !network.is_open() {
            write_display(out, format_args!(",\"net\":\"{network}\""));
        }
        if let Some(now) = now {
            write_display(out, format_args!(",\"now\":{now}"));
        }
    }
    out.push(b'}');
}

fn write_peers(out: &mut Vec<u8>, records: &[PeerRecord]) {
    let longest = out.len() + MAX_LINE - 1;
    out.extend_from_slice(b"PEERS|");
    for (index, record) in records.iter().enumerate() {
        let start = out.len();
        out.extend_from_slice(if index == 0 { b"{" } else { b";{" });
        write_record(out, record);
        out.push(b'}');
        if out.len() > longest {
            return out.truncate(start);
        }
    }
}

/// Writes the members of an object, without its braces.
fn write_record(out: &mut Vec<u8>, record: &PeerRecord) {
    out.extend_from_slice(b"\"listen_addr\":");
    write_quoted(out, record.listen_addr);
    out.extend_from_slice(b",\"node_id\":");
    write_quoted(out, record.node_id);
    out.extend_from_slice(b",\"uname\":");
    match &record.uname {
        Some(name) => write_string(out, name.as_str()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"remote_addr\":");
    write_quoted(out, record.remote_addr);
}

/// Writes an id or an address as a JSON string, or `null`. Neither has a character that JSON escapes.
fn write_quoted(out: &mut Vec<u8>, value: Option<impl fmt::Display>) {
    match value {
        Some(value) => write_display(out, format_args!("\"{value}\"")),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_ids(out: &mut Vec<u8>, head: &[u8], ids: &[impl fmt::Display], most: usize) {
    out.extend_from_slice(head);
    for (index, id) in ids.iter().take(most).enumerate() {
        write_display(out, format_args!("{}{id}", if index == 0 { "" } else { ";" }));
    }
}

fn write_tree(out: &mut Vec<u8>, claim: &TreeClaim) {
    let TreeClaim { root, period, sequence, signature, distance, parent } = claim;
    write_display(out, format_args!("TREE|{root};{period};{sequence};{signature};{distance};"));
    if let Some(parent) = parent {
        write_display(out, parent);
    }
}

/// Writes `RANGE`. In the name of a room, `%`, `;` and `|` are written by their bytes.
fn write_range(out: &mut Vec<u8>, query: &RangeQuery) {
    let RangeQuery { run: RunId { key, room, class, epoch }, first, last, tag } = query;
    out.extend_from_slice(b"RANGE|");
    for byte in room.iter().flat_map(|room| room.as_str().bytes()) {
        match byte {
            b'%' | b';' | b'|' => write_display(out, format_args!("%{byte:02X}")),
            _ => out.push(byte),
        }
    }
    let class = class.word().unwrap_or_default();
    write_display(out, format_args!(";{class};{key};{epoch};{first}-{last};{tag}"));
}

fn write_bye(out: &mut Vec<u8>, code: ByeCode, text: &str) {
    out.extend_from_slice(b"BYE|");
    out.extend_from_slice(code.word().as_bytes());
    write_text(out, b"|", &text[..text.floor_char_boundary(MAX_BYE_TEXT)]);
}

fn write_text(out: &mut Vec<u8>, head: &[u8], text: &str) {
    out.reserve(head.len() + text.len() + 1);
    out.extend_from_slice(head);
    let mut lines = text.split('\n');
    out.extend_from_slice(lines.next().unwrap_or_default().as_bytes());
    for line in lines {
        out.push(b' ');
        out.extend_from_slice(line.as_bytes());
    }
}
