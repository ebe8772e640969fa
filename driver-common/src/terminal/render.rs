//! Renders events as single lines without terminal control characters.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use proto_core::{LeaveReason, LinkRole, LinkState, Marks, Message, Name, NodeId, Notice, PeerInfo, Status};

use super::visible::{push_visible, visible};
use crate::messages;

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For programs: names and texts only.
    Bare,
    /// For users, without colours.
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

    /// Appends a message for the terminal: the name, with details in brackets.
    pub(crate) fn push_said(self, out: &mut String, author: &Author, text: &str) {
        let Author { node_id, name, own, caveat } = author;
        let short_id = node_id.short().to_string();
        let you = own.then_some("you");
        let facts: Vec<_> = [Some(&*short_id), you, caveat.as_deref()].into_iter().flatten().collect();
        let facts = facts.join(", ");
        match self {
            Self::Bare => out.push_str(name),
            Self::Plain => out.extend([name, " (", &*facts, ")"]),
            Self::Coloured => {
                let bold = if *own { "\x1b[1m" } else { colour(*node_id) };
                out.extend([bold, name, "\x1b[0m\x1b[2m (", &*facts, ")\x1b[0m"]);
            }
        }
        out.push_str(": ");
        push_visible(out, text);
        out.push('\n');
    }

    /// Appends a notice. It must not contain control characters.
    pub(crate) fn push_notice(self, out: &mut String, notice: &str) {
        match self {
            Self::Bare | Self::Plain => out.extend(["* ", notice, "\n"]),
            Self::Coloured => out.extend(["\x1b[2m* ", notice, "\x1b[0m\n"]),
        }
    }
}

/// The author of a message. It must not contain control characters.
pub(crate) struct Author {
    pub(crate) node_id: NodeId,
    pub(crate) name: String,
    /// Whether it is this node's user.
    pub(crate) own: bool,
    pub(crate) caveat: Option<String>,
}

/// One of six bold colours that are readable on light and dark backgrounds. It depends on the node id only.
fn colour(id: NodeId) -> &'static str {
    const COLOURS: [&str; 6] =
        ["\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1;35m", "\x1b[1;36m"];
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    COLOURS[(hasher.finish() % COLOURS.len() as u64) as usize]
}

/// The linked peers and recent authors, with names that tell them apart.
#[derive(Debug)]
pub(crate) struct Roster {
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
    pub(crate) fn new(own: &Name) -> Self {
        Self { own: shown(own), peers: BTreeMap::new(), authors: BTreeMap::new() }
    }

    pub(crate) fn rename_own(&mut self, own: &Name) {
        self.own = shown(own);
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

    /// The peer's name. The start of its id is added if somebody else has the same name, or if the name could be
    /// mistaken for other output.
    pub(crate) fn label(&self, peer: &PeerInfo) -> String {
        let name = shown(&peer.uname);
        match self.short_id(peer.node_id, &name) {
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

    fn short_id(&self, node_id: NodeId, name: &str) -> Option<String> {
        let others = self.peers.iter().filter(|(id, _)| **id != node_id).map(|(_, name)| name);
        let shared = others.chain([&self.own]).any(|other| other == name)
            || self.authors.get(name).is_some_and(|author| *author != Some(node_id));
        (shared || is_misleading(name)).then(|| node_id.short().to_string())
    }
}

/// Surrounding space is removed, since it is invisible.
pub(crate) fn shown(name: &Name) -> String {
    visible(name.as_str().trim())
}

/// Whether a name looks like a name with an id, like a message, or like a notice.
fn is_misleading(name: &str) -> bool {
    name.is_empty() || name.ends_with(')') || name.contains(':') || name.starts_with('*')
}

pub(crate) fn joined(label: &str) -> String {
    format!("{label} joined")
}

pub(crate) fn left(label: &str, reason: LeaveReason) -> String {
    format!("{label} left ({reason})")
}

pub(crate) fn renamed(before: &str, label: &str) -> String {
    format!("{before} is now {label}")
}

/// The state of a node, one line each.
pub(crate) fn status(status: &Status) -> Vec<String> {
    let Status { node_id, uname, links, entries, book, .. } = status;
    let mut lines = vec![format!("{node_id}  {}", visible(uname.as_str()))];
    lines.push(format!(
        "{} from {} stored, {} known",
        counted(entries.held, "entry", "entries"),
        counted(entries.authors, "author", "authors"),
        counted(book.known, "address", "addresses"),
    ));
    lines.extend(messages::problems(status).iter().map(|problem| visible(problem)));
    for link in links {
        let round_trip = link.round_trip.map_or_else(|| "?".to_owned(), |time| format!("{time:.1?}"));
        let queued = if link.queued > 0 { format!(", {} bytes queued", link.queued) } else { String::new() };
        let (id, name) = (link.peer.node_id.short(), visible(link.peer.uname.as_str()));
        lines.push(format!(
            "  {id}  {}  {name}: {}, {round_trip}{queued}{}",
            link.peer.remote_addr,
            role(link.role),
            state(link.state)
        ));
    }
    lines
}

fn role(role: LinkRole) -> &'static str {
    match role {
        LinkRole::Parent => "parent",
        LinkRole::Child => "child",
        LinkRole::Announce => "announcements only",
        LinkRole::Lines => "version 1 lines",
        _ => "other",
    }
}

/// The problem of a link, if there is one.
pub(crate) fn state(state: LinkState) -> &'static str {
    match state {
        LinkState::Linked => "",
        LinkState::Silent => ", not responding",
        LinkState::Slow => ", slow",
        _ => ", unknown state",
    }
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A notice of the node.
pub(crate) fn notice(notice: &Notice) -> String {
    visible(&messages::notice(notice))
}

/// What the user should know before believing a message. `None` if its author signed it and it arrived in order.
pub(crate) fn caveat(message: &Message) -> Option<String> {
    let mut caveats = Vec::new();
    match message {
        Message::Line { .. } => caveats.push("unsigned".to_owned()),
        Message::Entry { entry, marks } => {
            if entry.via().is_some() {
                caveats.push(format!("unsigned, via {}", visible(entry.uname().as_str().trim())));
            }
            let Marks { late, forked, backdated, behind, history, name_taken, .. } = *marks;
            caveats.extend((behind || history).then(|| local_time(entry.at())));
            let odd =
                [(late, "late"), (forked, "forked"), (backdated, "backdated"), (name_taken, "name taken")];
            caveats.extend(odd.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
        }
        _ => caveats.push("of an unknown kind".to_owned()),
    }
    (!caveats.is_empty()).then(|| caveats.join(", "))
}

/// A time in milliseconds since the Unix epoch, as the user's clock shows it.
fn local_time(unix_ms: u64) -> String {
    let timestamp = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(
        || "at an impossible time".to_owned(),
        |timestamp| {
            jiff::tz::TimeZone::system().to_datetime(timestamp).strftime("%Y-%m-%d %H:%M").to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto_core::wire::ByeCode;
    use proto_core::{DialError, Via};

    use super::*;
    use crate::testing::{self, peer};

    #[test]
    fn only_peers_of_one_name_show_their_ids() {
        let mut roster = Roster::new(&Name::cut("Me").unwrap());
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
        let mut roster = Roster::new(&Name::cut("Me").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me (0101010101010101)");
        roster.rename_own(&Name::cut("You").unwrap());
        assert_eq!(roster.label(&peer(1, "Me")), "Me");
    }

    #[test]
    fn no_name_can_pass_for_another_line() {
        let roster = Roster::new(&Name::cut("Me").unwrap());
        for name in ["Alice (0101010101010101)", "Alice: hi", "* Alice left", " "] {
            assert!(roster.label(&peer(9, name)).ends_with(" (0909090909090909)"), "{name:?}");
        }
        assert_eq!(roster.label(&peer(9, "\x1b[2J")), "␛[2J");
        assert_eq!(roster.label(&peer(9, "Me\u{200b}")), "Me\\u{200b}");
    }

    #[test]
    fn what_is_said_is_one_line_in_the_peers_colour() {
        let (one, other) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        let said = |style: Style, node_id| {
            let mut out = String::new();
            let author = Author { node_id, name: "Alice".to_owned(), own: false, caveat: None };
            style.push_said(&mut out, &author, "a\x1bb\nc");
            out
        };
        assert_eq!(said(Style::Plain, one), "Alice (0101010101010101): a␛b␊c\n");
        assert_eq!(said(Style::Coloured, one), said(Style::Coloured, one));
        let end = "Alice\x1b[0m\x1b[2m (0202020202020202)\x1b[0m: a␛b␊c\n";
        assert!(said(Style::Coloured, other).ends_with(end));
        let colours: std::collections::BTreeSet<_> =
            (0..100).map(|number| colour(NodeId::from_bytes([number; 16]))).collect();
        assert_eq!(colours.len(), 6);
    }

    #[test]
    fn what_is_not_the_name_stands_dim_behind_it() {
        let author = Author {
            node_id: NodeId::from_bytes([1; 16]),
            name: "Alice".to_owned(),
            own: true,
            caveat: Some("late".to_owned()),
        };
        let (mut plain, mut coloured) = (String::new(), String::new());
        Style::Plain.push_said(&mut plain, &author, "hi");
        Style::Coloured.push_said(&mut coloured, &author, "hi");
        assert_eq!(plain, "Alice (0101010101010101, you, late): hi\n");
        assert!(
            coloured == "\x1b[1mAlice\x1b[0m\x1b[2m (0101010101010101, you, late)\x1b[0m: hi\n",
            "{coloured:?}"
        );
    }

    #[test]
    fn caveats_tell_what_is_not_as_it_should_be() {
        let entry = |via: Option<&Via>, marks| {
            let entry = testing::entry(1, [2, 3], "Bob", &["hi"], via);
            caveat(&Message::Entry { entry, marks })
        };
        let line = Message::Line { peer: Arc::new(peer(1, "Alice")), text: "hi".to_owned() };
        assert_eq!(caveat(&line).as_deref(), Some("unsigned"));
        assert_eq!(entry(None, Marks::default()), None);
        let mut all = Marks::default();
        (all.late, all.forked, all.backdated, all.name_taken) = (true, true, true, true);
        assert_eq!(entry(None, all).as_deref(), Some("late, forked, backdated, name taken"));
        let mut old = Marks::default();
        old.behind = true;
        // At 3 ms after the Unix epoch it was still 1969 in the West.
        let date = entry(None, old).unwrap();
        assert!(date.starts_with("1970-01-01 ") || date.starts_with("1969-12-31 "), "{date}");
        assert_eq!(local_time(u64::MAX), "at an impossible time");
        let via = Via::new(NodeId::from_bytes([7; 16]), Name::cut("Old").unwrap());
        assert_eq!(entry(Some(&via), Marks::default()).as_deref(), Some("unsigned, via Bob"));
    }

    #[test]
    fn a_peer_whose_name_a_speaker_far_away_has_too_shows_its_id() {
        let mut roster = Roster::new(&Name::cut("Me").unwrap());
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
