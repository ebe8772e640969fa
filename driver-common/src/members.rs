//! Everybody in the network, for the user: the members that say that they are here, and peers that say nothing of it.

use std::collections::BTreeMap;

use proto_core::{MemberState, Name, NodeId, PublicKey};
use serde::Serialize;

use crate::{Handle, RequestError};

/// Somebody else in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) id: NodeId,
    /// `None`: it has none, and nothing that it says is signed.
    pub(crate) key: Option<PublicKey>,
    /// Since when it is here, by its own clock: Unix time in milliseconds. `None`: it does not say so.
    pub(crate) since: Option<u64>,
    /// When it last said that it is here: Unix time in milliseconds.
    pub(crate) last_heard: Option<u64>,
    /// This node has a link with it.
    pub(crate) linked: bool,
    pub(crate) state: MemberState,
}

impl Person {
    /// Whether it is in the network now.
    pub(crate) fn is_here(&self) -> bool {
        self.linked || self.state == MemberState::Here
    }
}

/// Everybody else: those who are here first, each part in the order in which people count.
pub(crate) async fn all(handle: &Handle) -> Result<Vec<Person>, RequestError> {
    let (members, peers) = (handle.members().await?, handle.peers().await?);
    let mut people: BTreeMap<NodeId, Person> = BTreeMap::new();
    for member in members {
        let person = Person {
            name: member.uname.to_string(),
            id: member.node_id,
            key: Some(member.key),
            since: Some(member.since),
            last_heard: Some(member.heard),
            linked: false,
            state: member.state,
        };
        people.insert(member.node_id, person);
    }
    for peer in peers {
        let unheard = Person {
            name: peer.uname.to_string(),
            id: peer.node_id,
            key: peer.key,
            since: None,
            last_heard: None,
            linked: true,
            state: MemberState::Here,
        };
        people.entry(peer.node_id).or_insert(unheard).linked = true;
    }
    let mut people: Vec<_> = people.into_values().collect();
    people.sort_by_cached_key(|person| (!person.is_here(), natural(&person.name), person.id));
    Ok(people)
}

/// The name by which a node is known, or else the start of its id.
pub(crate) async fn name_of(handle: &Handle, id: NodeId) -> Result<Name, RequestError> {
    let known = all(handle).await?.into_iter().find(|person| person.id == id);
    let known = known.and_then(|person| person.name.parse().ok());
    Ok(known.unwrap_or_else(|| Name::cut(&id.short().to_string()).expect("it is a name")))
}

/// A key by which names sort as people count: u2 before u10.
fn natural(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let number = rest[..digits].trim_start_matches('0');
            parts.push(Part::Number(number.len(), number.to_owned()));
            rest = &rest[digits..];
        }
        let text = rest.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        if text > 0 {
            parts.push(Part::Text(rest[..text].to_lowercase()));
            rest = &rest[text..];
        }
    }
    parts
}

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// By the number of its digits, then by them.
    Number(usize, String),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["u10", "U2", "u1", "alice", "Bob", "u007", "7up", "u2b", "", "Zoë", "u2a"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["", "7up", "alice", "Bob", "u1", "U2", "u2a", "u2b", "u007", "u10", "Zoë"]);
    }
}
