//! What happened, in words: one line each, with nothing in it that a terminal would obey.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use proto_core::wire::ByeCode;
use proto_core::{LeaveReason, Name, NodeId, Notice, PeerInfo};

use super::visible::{push_visible, visible};

/// Whether lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

impl Style {
    /// Coloured, unless the user says otherwise by `NO_COLOR` (<https://no-color.org>).
    pub(crate) fn of_terminal() -> Self {
        match std::env::var_os("NO_COLOR") {
            Some(value) if !value.is_empty() => Self::Plain,
            _ => Self::Coloured,
        }
    }

    /// Something said, as the terminal shows it. `speaker` is none for the user of this node.
    pub(crate) fn push_said(self, out: &mut String, speaker: Option<NodeId>, label: &str, text: &str) {
        match (self, speaker) {
            (Self::Plain, _) => out.push_str(label),
            (Self::Coloured, None) => out.extend(["\x1b[1m", label, "\x1b[0m"]),
            (Self::Coloured, Some(id)) => out.extend([colour(id), label, "\x1b[0m"]),
        }
        out.push_str(": ");
        push_visible(out, text);
        out.push('\n');
    }

    /// A line about the conversation, not of it. Everything in it must be visible already.
    pub(crate) fn push_notice(self, out: &mut String, notice: &str) {
        match self {
            Self::Plain => out.extend(["* ", notice, "\n"]),
            Self::Coloured => out.extend(["\x1b[2m* ", notice, "\x1b[0m\n"]),
        }
    }
}

/// Bold, in one of the six colours that can be read on light and on dark; a peer keeps its own.
fn colour(id: NodeId) -> &'static str {
    const COLOURS: [&str; 6] =
        ["\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1;35m", "\x1b[1;36m"];
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    COLOURS[(hasher.finish() % COLOURS.len() as u64) as usize]
}

/// Who is here, and how each is called so that no two are called the same.
#[derive(Debug)]
pub(crate) struct Roster {
    /// The name of this node's user, as it is shown.
    own: String,
    /// The names of the peers that are here, as they are shown.
    peers: BTreeMap<NodeId, String>,
}

impl Roster {
    pub(crate) fn new(own: &Name) -> Self {
        Self { own: shown(own), peers: BTreeMap::new() }
    }

    pub(crate) fn rename_own(&mut self, own: &Name) {
        self.own = shown(own);
    }

    /// Notes a peer and gives its name until now.
    pub(crate) fn note(&mut self, peer: &PeerInfo) -> Option<String> {
        self.peers.insert(peer.node_id, shown(&peer.uname))
    }

    pub(crate) fn forget(&mut self, peer: &PeerInfo) {
        self.peers.remove(&peer.node_id);
    }

    /// The peer's name; with the start of its id where somebody else here goes by that name too, or where the name
    /// alone could be taken for something else.
    pub(crate) fn label(&self, peer: &PeerInfo) -> String {
        let name = shown(&peer.uname);
        let others = self.peers.iter().filter(|(id, _)| **id != peer.node_id).map(|(_, name)| name);
        if others.chain([&self.own]).any(|other| *other == name) || is_misleading(&name) {
            format!("{name} ({})", peer.node_id.short())
        } else {
            name
        }
    }
}

/// Space around a name is not seen, so it makes no difference.
fn shown(name: &Name) -> String {
    visible(name.as_str().trim())
}

/// Whether a name looks like a name with an id, like a name and what was said, or like a notice.
fn is_misleading(name: &str) -> bool {
    name.is_empty() || name.ends_with(')') || name.contains(':') || name.starts_with('*')
}

pub(crate) fn joined(label: &str) -> String {
    format!("{label} is here")
}

pub(crate) fn left(label: &str, reason: LeaveReason) -> String {
    format!("{label} left ({reason})")
}

pub(crate) fn renamed(before: &str, label: &str) -> String {
    format!("{before} is now {label}")
}

/// The words for a notice of the node.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Gap { uname, missing: 1, .. } => format!("1 message of {uname} is missing"),
        Notice::Gap { uname, missing, .. } => format!("{missing} messages of {uname} are missing"),
        Notice::ClockOff { ahead_ms } => {
            let which = if *ahead_ms > 0 { "ahead" } else { "behind" };
            format!("this node's clock is {} s {which} of the others", ahead_ms.unsigned_abs() / 1000)
        }
        Notice::Alone => "nobody is here to hear it yet".to_owned(),
        Notice::Unreachable { target, reason } => {
            format!("{target} cannot be reached yet ({reason}): trying on")
        }
        Notice::NotAChatNode { target } => format!("what answers at {target} is no chat node: trying on"),
        Notice::IsSelf { target } => format!("{target} is this node itself: not dialed again"),
        Notice::TurnedAway { target, code } => {
            format!("{target} and this node do not link ({}): trying on", turned_away(*code))
        }
    }
}

fn turned_away(code: ByeCode) -> &'static str {
    match code {
        ByeCode::Shutdown => "it is stopping",
        ByeCode::Duplicate => "another connection between the two stays",
        ByeCode::Full => "there is no room",
        ByeCode::SelfLink => "both ends are one node",
        ByeCode::Refused => "an id is claimed twice",
        ByeCode::Violation => "a rule was broken",
        ByeCode::Other => "the connection ended",
    }
}

#[cfg(test)]
mod tests {
    use proto_core::{DialError, Version};

    use super::*;

    fn peer(number: u8, uname: &str) -> PeerInfo {
        PeerInfo {
            node_id: NodeId::from_bytes([number; 16]),
            uname: Name::cut(uname).unwrap(),
            listen_addr: None,
            remote_addr: "127.0.0.1:9".parse().unwrap(),
            version: Version::V2,
            key: None,
        }
    }

    #[test]
    fn only_peers_of_one_name_show_their_ids() {
        let mut roster = Roster::new(&Name::cut("Me").unwrap());
        let (alice, other, bob) = (peer(1, "Alice"), peer(2, "Alice "), peer(3, "Bob"));
        roster.note(&alice);
        roster.note(&bob);
        assert_eq!((roster.label(&alice), roster.label(&bob)), ("Alice".to_owned(), "Bob".to_owned()));
        assert_eq!(roster.note(&other), None);
        assert_eq!(roster.label(&alice), "Alice (01010101)");
        assert_eq!(roster.label(&other), "Alice (02020202)");
        assert_eq!(roster.label(&bob), "Bob");
        roster.forget(&other);
        assert_eq!(roster.label(&alice), "Alice");
        assert_eq!(roster.note(&peer(1, "Alicia")), Some("Alice".to_owned()));
        assert_eq!(roster.label(&other), "Alice");
    }

    #[test]
    fn a_peer_with_the_users_own_name_shows_its_id() {
        let mut roster = Roster::new(&Name::cut("Me").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me (01010101)");
        roster.rename_own(&Name::cut("You").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me");
    }

    #[test]
    fn no_name_can_pass_for_another_line() {
        let roster = Roster::new(&Name::cut("Me").unwrap());
        for name in ["Alice (01010101)", "Alice: hi", "* Alice left", " "] {
            assert!(roster.label(&peer(9, name)).ends_with(" (09090909)"), "{name:?}");
        }
        assert_eq!(roster.label(&peer(9, "\x1b[2J")), "␛[2J");
        assert_eq!(roster.label(&peer(9, "Me\u{200b}")), "Me\\u{200b}");
    }

    #[test]
    fn what_is_said_is_one_line_in_the_peers_colour() {
        let (one, other) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        let said = |style: Style, speaker| {
            let mut out = String::new();
            style.push_said(&mut out, speaker, "Alice", "a\x1bb\nc");
            out
        };
        assert_eq!(said(Style::Plain, Some(one)), "Alice: a␛b␊c\n");
        assert_eq!(said(Style::Coloured, None), "\x1b[1mAlice\x1b[0m: a␛b␊c\n");
        assert_eq!(said(Style::Coloured, Some(one)), said(Style::Coloured, Some(one)));
        assert!(said(Style::Coloured, Some(other)).ends_with("Alice\x1b[0m: a␛b␊c\n"));
        let colours: std::collections::BTreeSet<_> =
            (0..100).map(|number| colour(NodeId::from_bytes([number; 16]))).collect();
        assert_eq!(colours.len(), 6);
    }

    #[test]
    fn notices_are_one_line_without_controls() {
        let target: proto_core::PeerAddr = "a.example:1".parse().unwrap();
        for text in [
            notice(&Notice::Unreachable { target: target.clone(), reason: DialError::Refused }),
            notice(&Notice::NotAChatNode { target: target.clone() }),
            notice(&Notice::IsSelf { target: target.clone() }),
            notice(&Notice::TurnedAway { target, code: ByeCode::Full }),
        ] {
            let mut line = String::new();
            Style::Plain.push_notice(&mut line, &text);
            assert!(line.starts_with("* ") && line.contains("a.example:1"), "{line:?}");
            assert_eq!(line.find(char::is_control), Some(line.len() - 1), "{line:?}");
        }
    }
}
