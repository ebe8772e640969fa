//! Who is there: this user, the linked peers and recent authors, with names that tell them apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_core::{Name, NodeId, PeerInfo};

use super::visible::visible;

/// Who is there. Input and output share it.
#[derive(Debug)]
pub(crate) struct People(Mutex<Roster>);

impl People {
    pub(crate) fn new(uname: Name) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Roster::new(uname))))
    }

    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The linked peers and recent authors.
#[derive(Debug)]
pub(crate) struct Roster {
    /// This node's user.
    uname: Name,
    /// The displayed name of this node's user.
    own: String,
    /// The displayed names of the linked peers.
    peers: BTreeMap<NodeId, String>,
    /// The author who used each name. `None` if there was more than one.
    authors: BTreeMap<String, Option<NodeId>>,
}

/// The maximum number of stored author names. When it is reached, all are forgotten.
const AUTHORS: usize = 4_096;

impl Roster {
    fn new(uname: Name) -> Self {
        Self { own: shown(&uname), uname, peers: BTreeMap::new(), authors: BTreeMap::new() }
    }

    /// This node's user.
    pub(crate) fn uname(&self) -> &Name {
        &self.uname
    }

    pub(crate) fn rename_own(&mut self, uname: Name) {
        self.own = shown(&uname);
        self.uname = uname;
    }

    /// Stores a peer and returns its previous name.
    pub(crate) fn note(&mut self, peer: &PeerInfo) -> Option<String> {
        self.peers.insert(peer.node_id, shown(&peer.uname))
    }

    pub(crate) fn forget(&mut self, peer: &PeerInfo) {
        if let Some(name) = self.peers.remove(&peer.node_id) {
            self.authors.remove(&name);
        }
    }

    /// Whether no peer is linked.
    pub(crate) fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    /// The peer's name. The start of its id is added if somebody else has the same name, or if the name could be
    /// mistaken for other output.
    pub(crate) fn label(&self, peer: &PeerInfo) -> String {
        self.label_of(peer.node_id, &peer.uname)
    }

    /// The same for any node with a name.
    pub(crate) fn label_of(&self, node_id: NodeId, uname: &Name) -> String {
        let name = shown(uname);
        match self.short_id(node_id, &name) {
            Some(short_id) => format!("{name} ({short_id})"),
            None => name,
        }
    }

    /// Stores the author of a message, linked or not, and returns the displayed name.
    pub(crate) fn note_author(&mut self, node_id: NodeId, uname: &Name) -> String {
        let name = shown(uname);
        match self.authors.get_mut(&name) {
            Some(Some(before)) if *before == node_id => {}
            Some(before) => *before = None,
            None => {
                if self.authors.len() >= AUTHORS {
                    self.authors.clear();
                }
                self.authors.insert(name.clone(), Some(node_id));
            }
        }
        name
    }

    /// Whom a name or an id means. The error tells what to do.
    pub(crate) fn find(&self, who: &str) -> Result<(NodeId, String), String> {
        if let Ok(node_id) = who.parse::<NodeId>() {
            return Ok((node_id, self.name_of(node_id).unwrap_or_else(|| node_id.short().to_string())));
        }
        let known = || self.peers.keys().copied().chain(self.authors.values().copied().flatten());
        if let Some(node_id) = known().find(|node_id| node_id.short().to_string() == who) {
            return Ok((node_id, self.name_of(node_id).unwrap_or_default()));
        }
        let several = || format!("several people are called {who}: use the id that stands behind the name");
        let mut found: Vec<_> =
            self.peers.iter().filter(|(_, name)| *name == who).map(|(node_id, _)| *node_id).collect();
        match self.authors.get(who) {
            Some(None) => return Err(several()),
            Some(Some(author)) => found.push(*author),
            None => {}
        }
        found.sort();
        found.dedup();
        match found[..] {
            [] if who == self.own => Err("that is you".to_owned()),
            [] => match &self.spelled(who)[..] {
                [name] => self.find(name),
                _ => Err(format!("nobody is called {who} here")),
            },
            [node_id] => Ok((node_id, who.to_owned())),
            _ => Err(several()),
        }
    }

    /// The names that differ from this one in the case of letters alone.
    fn spelled(&self, who: &str) -> Vec<String> {
        let same = |name: &String| name != who && name.to_lowercase() == who.to_lowercase();
        self.names_from(who).into_iter().filter(same).collect()
    }

    /// The names that begin with this, whatever the case, and that can be typed.
    pub(crate) fn names_from(&self, start: &str) -> Vec<String> {
        let start = start.to_lowercase();
        let mut names: Vec<_> = self
            .peers
            .values()
            .chain(self.authors.keys())
            .filter(|name| name.to_lowercase().starts_with(&start))
            .filter(|name| !name.is_empty() && !name.contains(is_of_an_escape))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn name_of(&self, node_id: NodeId) -> Option<String> {
        let author = || self.authors.iter().find(|(_, author)| **author == Some(node_id));
        self.peers.get(&node_id).cloned().or_else(|| author().map(|(name, _)| name.clone()))
    }

    fn short_id(&self, node_id: NodeId, name: &str) -> Option<String> {
        let others = self.peers.iter().filter(|(id, _)| **id != node_id).map(|(_, name)| name);
        let shared = others.chain([&self.own]).any(|other| other == name)
            || self.authors.get(name).is_some_and(|author| *author != Some(node_id));
        (shared || is_misleading(name)).then(|| node_id.short().to_string())
    }
}

/// Whether a character may stand for another one, which cannot be typed.
fn is_of_an_escape(char: char) -> bool {
    char == '\\' || ('\u{2400}'..='\u{2421}').contains(&char)
}

/// Surrounding space is removed, since it is invisible. Of a name in which nothing can be seen, the characters are named.
pub(crate) fn shown(name: &Name) -> String {
    if !name.is_visible() {
        return name.as_str().chars().map(|char| format!("\\u{{{:x}}}", u32::from(char))).collect();
    }
    visible(name.as_str().trim())
}

/// Whether a name looks like a name with an id, like a message, or like a notice.
fn is_misleading(name: &str) -> bool {
    name.is_empty() || name.ends_with(')') || name.contains(':') || name.starts_with(['*', '─', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peer;

    #[test]
    fn only_peers_of_one_name_show_their_ids() {
        let mut roster = Roster::new(Name::cut("Me").unwrap());
        let (alice, other, bob) = (peer(1, "Alice"), peer(2, "Alice "), peer(3, "Bob"));
        roster.note(&alice);
        roster.note(&bob);
        assert_eq!((roster.label(&alice), roster.label(&bob)), ("Alice".to_owned(), "Bob".to_owned()));
        assert_eq!(roster.note(&other), None);
        assert_eq!(roster.label(&alice), "Alice (0101010101010101)");
        assert_eq!(roster.label(&other), "Alice (0202020202020202)");
        assert_eq!(roster.label(&bob), "Bob");
        roster.forget(&other);
        assert_eq!(roster.label(&alice), "Alice");
        assert_eq!(roster.note(&peer(1, "Alicia")), Some("Alice".to_owned()));
        assert_eq!(roster.label(&other), "Alice");
    }

    #[test]
    fn a_peer_with_the_users_own_name_shows_its_id() {
        let mut roster = Roster::new(Name::cut("Me").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me (0101010101010101)");
        roster.rename_own(Name::cut("You").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me");
    }

    #[test]
    fn no_name_can_pass_for_another_line() {
        let roster = Roster::new(Name::cut("Me").unwrap());
        for name in ["Alice (0101010101010101)", "Alice: hi", "* Alice left", " "] {
            assert!(roster.label(&peer(9, name)).ends_with(" (0909090909090909)"), "{name:?}");
        }
        assert_eq!(roster.label(&peer(9, "\x1b[2J")), "␛[2J");
        assert_eq!(roster.label(&peer(9, "Me\u{200b}")), "Me\\u{200b}");
        let unseen = roster.label(&peer(9, "\u{200d}\u{301} "));
        assert_eq!(unseen, "\\u{200d}\\u{301}\\u{20} (0909090909090909)");
    }

    #[test]
    fn a_peer_whose_name_a_speaker_far_away_has_too_shows_its_id() {
        let mut roster = Roster::new(Name::cut("Me").unwrap());
        let (one, other, bob) =
            (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]), Name::cut("Bob").unwrap());
        for _ in 0..2 {
            assert_eq!(roster.note_author(one, &bob), "Bob");
            assert_eq!(roster.label(&peer(1, "Bob")), "Bob");
        }
        roster.note_author(other, &bob);
        assert_eq!(roster.label(&peer(1, "Bob")), "Bob (0101010101010101)");
        roster.note_author(one, &bob);
        assert_eq!(roster.label(&peer(1, "Bob")), "Bob (0101010101010101)");
        for number in 0..2 * AUTHORS {
            roster.note_author(one, &Name::cut(&format!("name {number}")).unwrap());
            assert!(roster.authors.len() <= AUTHORS);
        }
    }

    #[test]
    fn who_is_meant_is_found_by_a_name_of_one_or_by_an_id() {
        let mut roster = Roster::new(Name::cut("Me").unwrap());
        let id = |number| NodeId::from_bytes([number; 16]);
        roster.note(&peer(1, "Alice"));
        roster.note(&peer(2, "Bob"));
        roster.note_author(id(1), &Name::cut("Alice").unwrap());
        roster.note_author(id(3), &Name::cut("Bob").unwrap());
        roster.note_author(id(4), &Name::cut("Carol C").unwrap());
        assert_eq!(roster.find("Alice"), Ok((id(1), "Alice".to_owned())));
        assert_eq!(roster.find("Carol C"), Ok((id(4), "Carol C".to_owned())));
        assert!(roster.find("Bob").unwrap_err().contains("use the id"));
        assert_eq!(roster.find("0202020202020202"), Ok((id(2), "Bob".to_owned())));
        assert_eq!(roster.find(&id(3).to_string()), Ok((id(3), "Bob".to_owned())));
        assert_eq!(roster.find(&id(9).to_string()), Ok((id(9), "0909090909090909".to_owned())));
        assert_eq!(roster.find("aLICE"), Ok((id(1), "Alice".to_owned())));
        assert_eq!(roster.find("Me"), Err("that is you".to_owned()));
        assert_eq!(roster.find("Dave"), Err("nobody is called Dave here".to_owned()));
        assert_eq!(roster.names_from("a"), ["Alice"]);
        assert_eq!(roster.names_from("C"), ["Carol C"]);
        roster.note(&peer(5, "A\x1b"));
        assert_eq!(roster.names_from("a"), ["Alice"], "it cannot be typed");
    }
}
