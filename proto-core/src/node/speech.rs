//! What this node says: its user's words, and those of peers without a key.

use alloc::vec::Vec;

use super::Node;
use crate::chat;
use crate::contract::{Action, CommandError, Notice, Outcome};
use crate::model::{ChatText, Draft, Entry, NodeId};
use crate::v1;

/// Says what the user wants to be said.
pub(super) fn say(node: &mut Node, texts: &[ChatText]) -> Result<Outcome, CommandError> {
    let lines = || texts.iter().map(ChatText::as_str);
    let bytes = Draft::most_bytes(texts);
    if !node.chat.has_room(&node.cx, bytes) {
        return Err(CommandError::Busy);
    }
    let audience = node.conns.check_room(&node.cx, v1::frames_len(lines()), bytes)?;
    node.actions.extend(audience.newly_alone.then_some(Action::Notice(Notice::Alone)));
    let spoken = node.chat.say(&mut node.cx, texts, &audience.keyless, None);
    node.route();
    let outcome = match spoken {
        chat::Spoken::Waits(id) => return Ok(Outcome::Saying(id)),
        chat::Spoken::Unstored(id) => Outcome::Saying(id),
        chat::Spoken::Said(entries) => Outcome::Said(entries),
    };
    if !audience.conns.is_empty() {
        node.conns.send_to_all(&node.cx, &audience.conns, &v1::frames(lines()));
    }
    Ok(outcome)
}

/// Brings in what peers without a key said, as far as it is due and the store keeps up.
pub(super) fn bring_in_lines(node: &mut Node) {
    while node.chat.may_sign(&node.cx)
        && let Some((via, texts)) = node.v1.next_due(&node.cx)
    {
        let spoken = node.chat.say(&mut node.cx, &texts, &[], Some(&via));
        node.route();
        let chat::Spoken::Said(entries) = spoken else { continue };
        for entry in entries {
            let lines = node.v1.relay(&entry);
            send_lines(node, lines);
        }
    }
}

/// An entry of this node is on its way, after the store has committed it: tells it to peers without a key.
pub(super) fn uttered(node: &mut Node, entry: &Entry, recipients: &[NodeId]) {
    if entry.via().is_some() {
        let lines = node.v1.relay(entry);
        return send_lines(node, lines);
    }
    if !recipients.is_empty() {
        node.conns.send_to_peers(&node.cx, recipients, &v1::frames(entry.texts()));
    }
}

pub(super) fn send_lines(node: &mut Node, lines: Option<(Vec<NodeId>, Vec<u8>)>) {
    if let Some((peers, frames)) = lines {
        node.conns.send_to_peers(&node.cx, &peers, &frames);
    }
}
