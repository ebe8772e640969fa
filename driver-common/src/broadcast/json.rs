//! The JSON for clients: events, peers and messages.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;

use proto_core::{LeaveReason, LinkState, LinkStatus, Name, NodeId, Notice, PeerInfo, PublicKey, Version};
use serde::Serialize;

use super::history::HistoryLine;
use super::line::{EntryInfo, Line};
use crate::messages;
use crate::store::StoreNotice;

/// An event: one key that names its kind, with further keys beside it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    kind: Kind<'a>,
    /// When this node learned of it: Unix time in milliseconds.
    at: u64,
    #[serde(flatten)]
    extra: Extra<'a>,
}

#[derive(Serialize)]
enum Kind<'a> {
    MessageReceived(Text<'a>),
    MessageSent(Text<'a>),
    PeerJoined(Peer<'a>),
    PeerUpdated(Peer<'a>),
    PeerDisconnected(NodeId),
    Notice(&'a Notice),
}

#[derive(Serialize)]
struct Text<'a> {
    from: &'a Name,
    content: &'a str,
}

/// The keys beside the kind.
#[derive(Serialize)]
#[serde(untagged)]
enum Extra<'a> {
    None {},
    Line {
        /// The line's number. Later lines have higher numbers.
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        node_id: Option<NodeId>,
        #[serde(flatten)]
        source: Source<'a>,
    },
    Left {
        uname: &'a Name,
        reason: LeaveReason,
    },
    Notice {
        text: String,
    },
}

/// Whether the message is signed, and by which entry.
#[derive(Serialize)]
pub(super) struct Source<'a> {
    /// Whether its author signed it.
    signed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<EntryPart<'a>>,
}

/// An entry and the index of the line in it.
#[derive(Serialize)]
struct EntryPart<'a> {
    #[serde(flatten)]
    entry_info: &'a EntryInfo,
    part: usize,
}

/// A peer.
#[derive(Serialize)]
pub(crate) struct Peer<'a> {
    remote_addr: SocketAddr,
    listen_addr: Option<SocketAddr>,
    node_id: NodeId,
    uname: &'a Name,
    key: Option<PublicKey>,
    version: u8,
    /// The link is sealed.
    sealed: bool,
    state: LinkState,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    text: Text<'a>,
    at: u64,
    id: u64,
    /// Null if this node sent it.
    node_id: Option<NodeId>,
    own: bool,
    #[serde(flatten)]
    source: Source<'a>,
}

/// A line of a message that was received or sent.
pub(super) fn line(line: &Line<'_>, at: u64, id: u64) -> String {
    let text = Text { from: line.from, content: line.content };
    let kind = if line.node_id.is_some() { Kind::MessageReceived(text) } else { Kind::MessageSent(text) };
    let source = Source::new(line.entry_info.as_deref(), line.part);
    to_json(&Event { kind, at, extra: Extra::Line { id, node_id: line.node_id, source } })
}

/// An event that is no message, if clients are told of it.
pub(super) fn event(event: &crate::Event, at: u64) -> Option<String> {
    let (kind, extra) = match event {
        crate::Event::Joined(peer) => (Kind::PeerJoined((&**peer).into()), Extra::None {}),
        crate::Event::Updated(peer) => (Kind::PeerUpdated((&**peer).into()), Extra::None {}),
        crate::Event::Left { peer, reason } => {
            (Kind::PeerDisconnected(peer.node_id), Extra::Left { uname: &peer.uname, reason: *reason })
        }
        crate::Event::Notice(notice) => {
            (Kind::Notice(notice), Extra::Notice { text: messages::notice(notice) })
        }
        crate::Event::Store(notice) => return Some(store_notice(notice, at)),
        _ => return None,
    };
    Some(to_json(&Event { kind, at, extra }))
}

/// Something about the store, in the form of other notices.
fn store_notice(notice: &StoreNotice, at: u64) -> String {
    let fact = store_fact(notice);
    to_json(&serde_json::json!({ "Notice": fact, "at": at, "text": notice.to_string() }))
}

/// The same without its text.
pub(super) fn store_fact(notice: &StoreNotice) -> serde_json::Value {
    match notice {
        StoreNotice::Failed(problem) => serde_json::json!({ "StoreFailed": { "problem": problem.word() } }),
        StoreNotice::Works => serde_json::json!({ "StoreWorks": {} }),
        StoreNotice::SetAside { file } => {
            serde_json::json!({ "StoreSetAside": { "file": file.display().to_string() } })
        }
        StoreNotice::Damaged { entries } => serde_json::json!({ "StoreDamaged": { "entries": entries } }),
    }
}

/// The error of a request on a WebSocket.
pub(crate) fn error(text: &str) -> String {
    #[derive(Serialize)]
    enum Failed<'a> {
        Error(&'a str),
    }
    to_json(&Failed::Error(text))
}

/// The array of `GET /peers`.
pub(crate) fn peers(links: &[LinkStatus]) -> String {
    to_json(&links.iter().map(Peer::of).collect::<Vec<_>>())
}

/// The array of `GET /messages`.
pub(super) fn messages(lines: &[Arc<HistoryLine>]) -> String {
    to_json(&lines.iter().map(|line| Message::from(Borrow::<HistoryLine>::borrow(line))).collect::<Vec<_>>())
}

impl<'a> Source<'a> {
    pub(super) fn new(entry_info: Option<&'a EntryInfo>, part: usize) -> Self {
        let signed = entry_info.is_some_and(EntryInfo::is_signed);
        Self { signed, entry: entry_info.map(|entry_info| EntryPart { entry_info, part }) }
    }
}

impl<'a> From<&'a PeerInfo> for Peer<'a> {
    fn from(peer: &'a PeerInfo) -> Self {
        let PeerInfo { remote_addr, listen_addr, node_id, uname, version, key, sealed, .. } = peer;
        Self {
            remote_addr: *remote_addr,
            listen_addr: *listen_addr,
            node_id: *node_id,
            uname,
            key: *key,
            version: number(*version),
            sealed: *sealed,
            // An event describes a peer that has just linked or changed its name.
            state: LinkState::Linked,
        }
    }
}

impl<'a> Peer<'a> {
    /// With the state of its link.
    pub(crate) fn of(link: &'a LinkStatus) -> Self {
        Self { state: link.state, ..(&*link.peer).into() }
    }
}

impl<'a> From<&'a HistoryLine> for Message<'a> {
    fn from(line: &'a HistoryLine) -> Self {
        Self {
            text: Text { from: &line.from, content: &line.content },
            at: line.at,
            id: line.id,
            node_id: line.node_id,
            own: line.node_id.is_none(),
            source: Source::new(line.entry_info.as_deref(), line.part),
        }
    }
}

/// A version as a number.
pub(crate) fn number(version: Version) -> u8 {
    match version {
        Version::V1 => 1,
        _ => 2,
    }
}

/// Serializes a value.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have string keys only and cannot fail")
}

#[cfg(test)]
mod tests {
    use proto_core::{ConnId, Entry, Marks, Message as Said, Via};

    use super::super::line::lines;
    use super::*;
    use crate::{Event as Happened, Origin, testing};

    fn bob() -> Arc<PeerInfo> {
        let (node_id, addr) = (NodeId::from_bytes([7; 16]), "127.0.0.1:9".parse().unwrap());
        Arc::new(PeerInfo::new(node_id, "Bob".parse().unwrap(), addr))
    }

    fn linked(peer: Arc<PeerInfo>) -> LinkStatus {
        let mut link = LinkStatus::new(ConnId(1), peer);
        link.state = LinkState::Slow;
        link
    }

    const ID: &str = "07070707-0707-0707-0707-070707070707";

    fn line_of(event: &Happened) -> String {
        line(&lines(event).next().unwrap(), 5, 6)
    }

    fn entry(via: Option<&Via>) -> Arc<Entry> {
        testing::entry(1, [2, 3], "Bob", &["hi"], via)
    }

    #[test]
    fn events_are_as_clients_know_them() {
        let text = "hi \"you\"\u{1b}".to_owned();
        assert_eq!(
            line_of(&Happened::Message(Said::Line { peer: bob(), text })),
            format!(
                r#"{{"MessageReceived":{{"from":"Bob","content":"hi \"you\"\u001b"}},"at":5,"id":6,"node_id":"{ID}","signed":false}}"#
            )
        );
        assert_eq!(
            event(&Happened::Left { peer: bob(), reason: LeaveReason::Bye }, 5).unwrap(),
            format!(r#"{{"PeerDisconnected":"{ID}","at":5,"uname":"Bob","reason":"Bye"}}"#)
        );
        let known = format!(
            r#""remote_addr":"127.0.0.1:9","listen_addr":null,"node_id":"{ID}","uname":"Bob","key":null,"version":1"#
        );
        let peer = format!(r#"{{{known},"sealed":false,"state":"linked"}}"#);
        assert_eq!(event(&Happened::Joined(bob()), 5), Some(format!(r#"{{"PeerJoined":{peer},"at":5}}"#)));
        assert_eq!(event(&Happened::Updated(bob()), 5), Some(format!(r#"{{"PeerUpdated":{peer},"at":5}}"#)));
        assert_eq!(peers(&[linked(bob())]), format!(r#"[{{{known},"sealed":false,"state":"slow"}}]"#));
        assert_eq!(error("no"), r#"{"Error":"no"}"#);
        let gap = Notice::Gap { node_id: bob().node_id, uname: bob().uname.clone(), missing: 3 };
        assert_eq!(
            event(&Happened::Notice(gap), 5).unwrap(),
            format!(
                r#"{{"Notice":{{"Gap":{{"node_id":"{ID}","uname":"Bob","missing":3}}}},"at":5,"text":"3 messages from Bob are missing"}}"#
            )
        );
    }

    #[test]
    fn notices_of_the_store_have_the_form_of_others() {
        let failed = StoreNotice::Failed(crate::store::StoreProblem::NoSpace);
        assert_eq!(
            store_notice(&failed, 5),
            r#"{"Notice":{"StoreFailed":{"problem":"no_space"}},"at":5,"text":"messages are not being kept: there is no space left on the disk; the chat goes on, and this node tries again"}"#
        );
        let notice: serde_json::Value = serde_json::from_str(&store_notice(&StoreNotice::Works, 5)).unwrap();
        assert_eq!(notice["Notice"]["StoreWorks"], serde_json::json!({}));
    }

    #[test]
    fn what_is_known_of_an_entry_stands_beside_the_key() {
        let entry_info = |entry: &Entry, more: &str, marks: [bool; 4]| {
            format!(
                r#""entry":{{"id":"{}","author":"{}","uname":"Bob","key":"{}","epoch":1,"seq":2,"at":3,{more},"late":{},"forked":{},"backdated":{}{},"part":0}}"#,
                entry.id(),
                entry.author(),
                entry.key(),
                marks[0],
                marks[1],
                marks[2],
                if marks[3] { r#","name_taken":true"# } else { "" }
            )
        };
        let signed = entry(None);
        let said = Happened::Said { entries: vec![signed.clone()], origin: Origin::TERMINAL };
        let beside = entry_info(&signed, r#""signed":true"#, [false; 4]);
        let sent = format!(
            r#"{{"MessageSent":{{"from":"Bob","content":"hi"}},"at":5,"id":6,"signed":true,{beside}}}"#
        );
        assert_eq!(line_of(&said), sent);
        let recalled = Said::Entry { entry: signed.clone(), marks: Marks::default() };
        assert_eq!(line_of(&Happened::Recalled(recalled)), sent);

        let mut marks = Marks::default();
        (marks.late, marks.backdated, marks.name_taken) = (true, true, true);
        let beside = entry_info(&signed, r#""signed":true"#, [true, false, true, true]);
        let author = signed.author();
        assert_eq!(
            line_of(&Happened::Message(Said::Entry { entry: signed, marks })),
            format!(
                r#"{{"MessageReceived":{{"from":"Bob","content":"hi"}},"at":5,"id":6,"node_id":"{author}","signed":true,{beside}}}"#
            )
        );

        let via = Via::new(NodeId::from_bytes([7; 16]), "Old".parse().unwrap());
        let brought = entry(Some(&via));
        let more = format!(r#""class":"line","signed":false,"via":{{"node_id":"{ID}","uname":"Old"}}"#);
        let beside = entry_info(&brought, &more, [false; 4]);
        assert_eq!(
            line_of(&Happened::Message(Said::Entry { entry: brought, marks: Marks::default() })),
            format!(
                r#"{{"MessageReceived":{{"from":"Old","content":"hi"}},"at":5,"id":6,"node_id":"{ID}","signed":false,{beside}}}"#
            )
        );
    }
}
