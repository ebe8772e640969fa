//! The JSON that clients get: events, peers and messages.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;

use proto_core::{LeaveReason, Name, NodeId, PeerInfo};
use serde::Serialize;

use super::history::Entry;

/// An event: the key that clients know and, beside it, what more there is to say.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    what: What<'a>,
    /// When this node learned of it: Unix time in milliseconds.
    at: Option<u64>,
    /// A message's number; later ones have higher ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uname: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<LeaveReason>,
}

#[derive(Serialize)]
enum What<'a> {
    MessageReceived { from: &'a Name, content: &'a str },
    MessageSent { from: &'a Name, content: &'a str },
    PeerJoined(Peer<'a>),
    PeerUpdated(Peer<'a>),
    PeerDisconnected(NodeId),
}

/// A peer as `GET /peers` shows it.
#[derive(Serialize)]
struct Peer<'a> {
    remote_addr: SocketAddr,
    listen_addr: Option<SocketAddr>,
    node_id: NodeId,
    uname: &'a Name,
}

#[derive(Serialize)]
struct Message<'a> {
    from: &'a Name,
    content: &'a str,
    at: u64,
    id: u64,
    /// Null where it was said here.
    node_id: Option<NodeId>,
    own: bool,
}

pub(super) fn received(peer: &PeerInfo, content: &str, at: u64, id: u64) -> String {
    let what = What::MessageReceived { from: &peer.uname, content };
    to_json(&Event { id: Some(id), node_id: Some(peer.node_id), ..Event::new(what, at) })
}

pub(super) fn sent(from: &Name, content: &str, at: u64, id: u64) -> String {
    to_json(&Event { id: Some(id), ..Event::new(What::MessageSent { from, content }, at) })
}

pub(super) fn joined(peer: &PeerInfo, at: u64) -> String {
    to_json(&Event::new(What::PeerJoined(peer.into()), at))
}

pub(super) fn updated(peer: &PeerInfo, at: u64) -> String {
    to_json(&Event::new(What::PeerUpdated(peer.into()), at))
}

pub(super) fn left(peer: &PeerInfo, reason: LeaveReason, at: u64) -> String {
    let event = Event::new(What::PeerDisconnected(peer.node_id), at);
    to_json(&Event { uname: Some(&peer.uname), reason: Some(reason), ..event })
}

/// A socket's own request failed.
pub(crate) fn error(text: &str) -> String {
    #[derive(Serialize)]
    enum Failed<'a> {
        Error(&'a str),
    }
    to_json(&Failed::Error(text))
}

/// The array of `GET /peers`.
pub(crate) fn peers(peers: &[Arc<PeerInfo>]) -> String {
    to_json(&peers.iter().map(|peer| Peer::from(Borrow::<PeerInfo>::borrow(peer))).collect::<Vec<_>>())
}

/// The array of `GET /messages`.
pub(super) fn messages(entries: &[Arc<Entry>]) -> String {
    to_json(&entries.iter().map(|entry| Message::from(Borrow::<Entry>::borrow(entry))).collect::<Vec<_>>())
}

impl<'a> Event<'a> {
    fn new(what: What<'a>, at: u64) -> Self {
        Self { what, at: Some(at), id: None, node_id: None, uname: None, reason: None }
    }
}

impl<'a> From<&'a PeerInfo> for Peer<'a> {
    fn from(peer: &'a PeerInfo) -> Self {
        let PeerInfo { remote_addr, listen_addr, node_id, uname, version: _, key: _ } = peer;
        Self { remote_addr: *remote_addr, listen_addr: *listen_addr, node_id: *node_id, uname }
    }
}

impl<'a> From<&'a Entry> for Message<'a> {
    fn from(entry: &'a Entry) -> Self {
        let Entry { id, at, node_id, from, content } = entry;
        Self { from, content, at: *at, id: *id, node_id: *node_id, own: node_id.is_none() }
    }
}

/// JSON as text.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have string keys only and cannot fail")
}

#[cfg(test)]
mod tests {
    use proto_core::Version;

    use super::*;

    fn bob() -> Arc<PeerInfo> {
        Arc::new(PeerInfo {
            node_id: NodeId::from_bytes([7; 16]),
            uname: "Bob".parse().unwrap(),
            listen_addr: None,
            remote_addr: "127.0.0.1:9".parse().unwrap(),
            version: Version::V1,
            key: None,
        })
    }

    const ID: &str = "07070707-0707-0707-0707-070707070707";

    #[test]
    fn events_are_as_clients_know_them() {
        assert_eq!(
            received(&bob(), "hi \"you\"\u{1b}", 5, 6),
            format!(
                r#"{{"MessageReceived":{{"from":"Bob","content":"hi \"you\"\u001b"}},"at":5,"id":6,"node_id":"{ID}"}}"#
            )
        );
        assert_eq!(
            sent(&bob().uname, "hi", 5, 6),
            r#"{"MessageSent":{"from":"Bob","content":"hi"},"at":5,"id":6}"#
        );
        assert_eq!(
            left(&bob(), LeaveReason::Bye, 5),
            format!(r#"{{"PeerDisconnected":"{ID}","at":5,"uname":"Bob","reason":"Bye"}}"#)
        );
        let peer =
            format!(r#"{{"remote_addr":"127.0.0.1:9","listen_addr":null,"node_id":"{ID}","uname":"Bob"}}"#);
        assert_eq!(joined(&bob(), 5), format!(r#"{{"PeerJoined":{peer},"at":5}}"#));
        assert_eq!(updated(&bob(), 5), format!(r#"{{"PeerUpdated":{peer},"at":5}}"#));
        assert_eq!(peers(&[bob()]), format!("[{peer}]"));
        assert_eq!(error("no"), r#"{"Error":"no"}"#);
    }
}
