//! The JSON of version 2: each message to a client is an object with one key.

use proto_core::{EntryId, LeaveReason, LinkStatus, Member, MemberChange, Name, NodeId, Notice, PeerInfo};
use serde::Serialize;

use super::Batch;
use super::json::{Peer, Source, store_fact, to_json};
use super::line::{self, EntryInfo, Line};
use crate::messages;

/// An event. Its key names its kind.
#[derive(Serialize)]
enum Event<'a> {
    Message(About<Message<'a>>),
    PeerJoined(About<Joined<'a>>),
    PeerUpdated(About<Joined<'a>>),
    PeerLeft(About<Left<'a>>),
    Member(About<News<'a>>),
    Mute(About<Muting<'a>>),
    Notice(About<Told<'a>>),
}

/// What each event says.
#[derive(Serialize)]
struct About<T> {
    /// Later events have higher numbers, across restarts too.
    id: u64,
    /// When this node learned of it: Unix time in milliseconds.
    at: u64,
    /// When it was said, by its author's clock. `at`, if nobody dated it.
    said_at: u64,
    /// It is from before this node came, or came late.
    history: bool,
    /// This node's user said it.
    own: bool,
    #[serde(flatten)]
    of: T,
}

#[derive(Serialize)]
struct Message<'a> {
    from: &'a Name,
    content: &'a str,
    node_id: Option<NodeId>,
    #[serde(flatten)]
    source: Source<'a>,
}

#[derive(Serialize)]
struct Joined<'a> {
    peer: Peer<'a>,
}

#[derive(Serialize)]
struct Left<'a> {
    peer: Peer<'a>,
    reason: LeaveReason,
}

/// News of somebody in the network, linked or not.
#[derive(Serialize)]
struct News<'a> {
    change: MemberChange,
    member: &'a Member,
}

/// The user wants to see nothing of a node any more, or wants to see it again.
#[derive(Serialize)]
struct Muting<'a> {
    node_id: NodeId,
    uname: &'a Name,
    muted: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    notice: Fact<'a>,
    text: String,
}

/// What a notice says: the node's own, or one about the store.
#[derive(Serialize)]
#[serde(untagged)]
enum Fact<'a> {
    Node(&'a Notice),
    Store(serde_json::Value),
}

impl<T> About<T> {
    /// Something that happened at this node just now.
    fn now(at: u64, id: u64, of: T) -> Self {
        Self { id, at, said_at: at, history: false, own: false, of }
    }
}

/// A line of a message that was received or sent.
pub(super) fn line(line: &Line<'_>, at: u64, id: u64) -> String {
    let entry_info = line.entry_info.as_deref();
    to_json(&Event::Message(About {
        id,
        at,
        said_at: entry_info.map_or(at, EntryInfo::said_at),
        history: entry_info.is_some_and(EntryInfo::is_history),
        own: line.node_id.is_none(),
        of: Message {
            from: line.from,
            content: line.content,
            node_id: line.author(),
            source: Source::new(entry_info, line.part),
        },
    }))
}

/// An event that is no message, if clients are told of it.
pub(super) fn event<'a>(event: &'a crate::Event, at: u64, id: u64) -> Option<String> {
    let joined = |peer: &'a PeerInfo| About::now(at, id, Joined { peer: peer.into() });
    let event = match event {
        crate::Event::Joined(peer) => Event::PeerJoined(joined(peer)),
        crate::Event::Updated(peer) => Event::PeerUpdated(joined(peer)),
        crate::Event::Left { peer, reason } => {
            let peer: &PeerInfo = peer;
            Event::PeerLeft(About::now(at, id, Left { peer: peer.into(), reason: *reason }))
        }
        crate::Event::Member { member, change } => {
            Event::Member(About::now(at, id, News { change: *change, member }))
        }
        crate::Event::Mute { node_id, uname, muted, .. } => {
            Event::Mute(About::now(at, id, Muting { node_id: *node_id, uname, muted: *muted }))
        }
        crate::Event::Notice(notice) => {
            let text = messages::notice(notice);
            Event::Notice(About::now(at, id, Told { notice: Fact::Node(notice), text }))
        }
        crate::Event::Store(notice) => {
            let told = Told { notice: Fact::Store(store_fact(notice)), text: notice.to_string() };
            Event::Notice(About::now(at, id, told))
        }
        _ => return None,
    };
    Some(to_json(&event))
}

/// All events of a batch, one line each.
pub(crate) fn lines(batch: &Batch) -> String {
    let (mut out, mut id) = (String::new(), batch.first_id);
    for event_of in &batch.events {
        for line_of in line::lines(event_of) {
            out.push_str(&line(&line_of, batch.at, id + line_of.offset as u64));
            out.push('\n');
        }
        if let Some(other) = event(event_of, batch.at, id) {
            out.push_str(&other);
            out.push('\n');
        }
        id += line::ids(event_of);
    }
    out
}

/// An answer to a request on a WebSocket.
#[derive(Serialize)]
enum Answer<'a> {
    Peers(Vec<Peer<'a>>),
    Sent(Sent),
}

/// What was said.
#[derive(Serialize)]
struct Sent {
    /// The id of the first entry.
    id: Option<EntryId>,
    /// The ids of all entries that hold the text.
    ids: Vec<EntryId>,
    /// How many lines were said.
    texts: usize,
    /// The text is on this node's disk.
    stored: bool,
}

/// The linked peers.
pub(crate) fn peers(links: &[LinkStatus]) -> String {
    to_json(&Answer::Peers(links.iter().map(Peer::of).collect()))
}

/// A text was said.
pub(crate) fn sent(said: &crate::Said) -> String {
    let crate::Said { entries, stored, .. } = said;
    let ids: Vec<_> = entries.iter().map(|entry| entry.id()).collect();
    let texts = entries.iter().map(|entry| entry.texts().len()).sum();
    to_json(&Answer::Sent(Sent { id: ids.first().copied(), ids, texts, stored: *stored }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto_core::{LeaveReason, Marks, Message as Said};
    use serde_json::Value;

    use super::*;
    use crate::{Event as Happened, Origin, testing};

    fn parsed(batch: &Batch) -> Vec<Value> {
        lines(batch).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_event_is_an_object_with_one_key_and_says_what_and_when() {
        let peer = Arc::new(testing::peer(7, "Bob"));
        let entry = testing::entry(1, [2, 3], "Alice: I quit", &["one", "two"], None);
        let mut marks = Marks::default();
        marks.history = true;
        let events = vec![
            Happened::Joined(peer.clone()),
            Happened::Message(Said::Entry { entry: entry.clone(), marks }),
            Happened::Message(Said::Line { peer: peer.clone(), text: "unsigned".to_owned() }),
            Happened::Said { entries: vec![entry.clone()], origin: Origin::TERMINAL },
            Happened::Notice(Notice::Alone),
            Happened::Left { peer, reason: LeaveReason::Bye },
        ];
        let shown = parsed(&Batch::new(events, 50, 100));
        let kinds: Vec<_> =
            shown.iter().map(|event| event.as_object().unwrap().keys().next().unwrap()).collect();
        let message = "Message";
        assert_eq!(kinds, ["PeerJoined", message, message, message, message, message, "Notice", "PeerLeft"]);
        for (number, event) in (100..).zip(&shown) {
            let event = event.as_object().unwrap();
            assert_eq!(event.len(), 1);
            let about = event.values().next().unwrap();
            assert_eq!((&about["id"], &about["at"]), (&Value::from(number), &Value::from(50)));
            assert!(about["said_at"].is_u64() && about["history"].is_boolean() && about["own"].is_boolean());
        }
        let heard = &shown[2][message];
        assert_eq!((&heard["from"], &heard["content"]), (&"Alice: I quit".into(), &"two".into()));
        assert_eq!((&heard["said_at"], &heard["history"]), (&3.into(), &true.into()));
        assert_eq!((&heard["own"], &heard["entry"]["part"]), (&false.into(), &1.into()));
        assert_eq!(heard["node_id"], Value::from(entry.author().to_string()));
        let own = &shown[4][message];
        assert_eq!((&own["own"], &own["node_id"]), (&true.into(), &heard["node_id"]));
        assert_eq!(
            (&shown[3][message]["signed"], &shown[3][message]["said_at"]),
            (&false.into(), &50.into())
        );
        assert_eq!(shown[7]["PeerLeft"]["reason"], Value::from("Bye"));
        assert_eq!(shown[6]["Notice"]["notice"], Value::from("Alone"));
    }

    #[test]
    fn answers_are_objects_with_one_key_too() {
        let entry = testing::entry(1, [2, 3], "Alice", &["one", "two"], None);
        let id = entry.id();
        let said = crate::Said { entries: vec![entry], stored: true };
        let expected = format!(r#"{{"Sent":{{"id":"{id}","ids":["{id}"],"texts":2,"stored":true}}}}"#);
        assert_eq!(sent(&said), expected);
        assert_eq!(peers(&[]), r#"{"Peers":[]}"#);
    }
}
