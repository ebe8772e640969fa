//! Renders events as single lines without terminal control characters.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use proto_core::{LeaveReason, LinkRole, LinkState, Marks, MemberState, Message, NodeId, Notice, Status};

use super::times::date_and_time;
use super::visible::{push_visible, visible};
use crate::members::Person;
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

    /// Appends a message for the terminal: the name, with details in brackets. `me`: this user's name, if it is to be marked.
    pub(crate) fn push_said(self, out: &mut String, time: Option<&str>, author: &Author, said: Said<'_>) {
        let Author { node_id, name, own, caveat } = author;
        let short_id = node_id.short().to_string();
        let you = own.then_some("you");
        let facts: Vec<_> = [Some(&*short_id), you, caveat.as_deref()].into_iter().flatten().collect();
        let facts = facts.join(", ");
        self.push_time(out, time);
        match self {
            Self::Bare | Self::Plain => out.extend([name, " (", &*facts, ")"]),
            Self::Coloured => {
                let bold = if *own { "\x1b[1m" } else { colour(*node_id) };
                out.extend([bold, name, "\x1b[0m\x1b[2m (", &*facts, ")\x1b[0m"]);
            }
        }
        // No text can pass for an action, since a colon stands before each text.
        match said.text.strip_prefix(ACTION).map(str::trim) {
            Some(action) if !action.is_empty() => {
                out.push_str(" *");
                self.push_text(out, action, said.mentions);
                out.push('*');
            }
            _ => {
                out.push_str(": ");
                self.push_text(out, said.text, said.mentions);
            }
        }
        out.push('\n');
    }

    /// Appends a further line of a message. No name can pass for the start of such a line.
    pub(crate) fn push_more(self, out: &mut String, said: Said<'_>) {
        match self {
            Self::Bare | Self::Plain => out.push_str("  │ "),
            Self::Coloured => out.push_str("\x1b[2m  │\x1b[0m "),
        }
        self.push_text(out, said.text, said.mentions);
        out.push('\n');
    }

    fn push_text(self, out: &mut String, text: &str, mentions: &[Range<usize>]) {
        if self != Self::Coloured {
            return push_visible(out, text);
        }
        let mut from = 0;
        for Range { start, end } in mentions.iter().filter(|mention| mention.end <= text.len()) {
            push_visible(out, &text[from..*start]);
            out.push_str("\x1b[1;7m");
            push_visible(out, &text[*start..*end]);
            out.push_str("\x1b[0m");
            from = *end;
        }
        push_visible(out, &text[from..]);
    }

    /// Appends a notice. It must not contain control characters.
    pub(crate) fn push_notice(self, out: &mut String, time: Option<&str>, notice: &str) {
        self.push_time(out, time);
        match self {
            Self::Bare | Self::Plain => out.extend(["* ", notice, "\n"]),
            Self::Coloured => out.extend(["\x1b[2m* ", notice, "\x1b[0m\n"]),
        }
    }

    /// Appends a line between two parts of the conversation. It must not contain control characters.
    pub(crate) fn push_divider(self, out: &mut String, text: &str) {
        match self {
            Self::Bare | Self::Plain => out.extend(["──── ", text, " ────\n"]),
            Self::Coloured => out.extend(["\x1b[2m──── ", text, " ────\x1b[0m\n"]),
        }
    }

    fn push_time(self, out: &mut String, time: Option<&str>) {
        match (self, time) {
            (_, None) => {}
            (Self::Bare | Self::Plain, Some(time)) => out.extend([time, " "]),
            (Self::Coloured, Some(time)) => out.extend(["\x1b[2m", time, "\x1b[0m "]),
        }
    }
}

/// What a text begins with that tells what its author does.
pub(crate) const ACTION: &str = "/me ";

/// Whether a text is shown below the line before it in its message, and not by itself.
pub(crate) fn is_further_line(index: usize, text: &str) -> bool {
    index > 0 && !text.starts_with(ACTION)
}

/// A text, and where it names this user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) text: &'a str,
    pub(crate) mentions: &'a [Range<usize>],
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

/// What is told while no peer is linked.
pub(crate) const ALONE: &str = "nobody is connected now: /connect HOST:PORT, or wait until somebody connects";

pub(crate) fn joined(label: &str) -> String {
    format!("{label} joined")
}

pub(crate) fn left(label: &str, reason: LeaveReason) -> String {
    format!("{label} left ({reason})")
}

/// How somebody in the network stands, after the name.
pub(super) fn presence(person: &Person, now: u64) -> String {
    let ago = person.last_heard.map(|heard| messages::duration(now.saturating_sub(heard)));
    match (person.state, ago) {
        _ if person.linked => "  (connected)".to_owned(),
        (MemberState::Silent, Some(ago)) => format!("  (not heard for {ago})"),
        (MemberState::Left, Some(ago)) => format!("  (left {ago} ago)"),
        _ => String::new(),
    }
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

pub(super) fn counted(count: usize, one: &str, more: &str) -> String {
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
            caveats.extend((behind || history).then(|| date_and_time(entry.at())));
            let odd =
                [(late, "late"), (forked, "forked"), (backdated, "backdated"), (name_taken, "name taken")];
            caveats.extend(odd.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
        }
        _ => caveats.push("of an unknown kind".to_owned()),
    }
    (!caveats.is_empty()).then(|| caveats.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto_core::wire::ByeCode;
    use proto_core::{DialError, Name, Via};

    use super::*;
    use crate::testing::{self, peer};

    #[test]
    fn what_is_said_is_one_line_in_the_peers_colour() {
        let (one, other) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        let said = |style: Style, node_id| {
            let mut out = String::new();
            let author = Author { node_id, name: "Alice".to_owned(), own: false, caveat: None };
            style.push_said(&mut out, None, &author, Said { text: "a\x1bb\nc", mentions: &[] });
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
    fn times_actions_and_mentions_are_shown() {
        let author = Author {
            node_id: NodeId::from_bytes([1; 16]),
            name: "Alice".to_owned(),
            own: false,
            caveat: None,
        };
        let said = |style: Style, text: &str| {
            let mut out = String::new();
            let mentions = super::super::mentions::mentions(text, "Bob");
            style.push_said(&mut out, Some("12:00"), &author, Said { text, mentions: &mentions });
            out
        };
        let id = "0101010101010101";
        assert_eq!(said(Style::Plain, "hi bob"), format!("12:00 Alice ({id}): hi bob\n"));
        assert!(said(Style::Coloured, "hi bob!").ends_with(": hi \x1b[1;7mbob\x1b[0m!\n"));
        assert_eq!(said(Style::Plain, "/me waves"), format!("12:00 Alice ({id}) *waves*\n"));
        assert_eq!(said(Style::Plain, "/me  "), format!("12:00 Alice ({id}): /me  \n"));
        assert_eq!(said(Style::Plain, "/met"), format!("12:00 Alice ({id}): /met\n"));
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
        let said = Said { text: "hi", mentions: &[] };
        Style::Plain.push_said(&mut plain, None, &author, said);
        Style::Coloured.push_said(&mut coloured, None, &author, said);
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
        let via = Via::new(NodeId::from_bytes([7; 16]), Name::cut("Old").unwrap());
        assert_eq!(entry(Some(&via), Marks::default()).as_deref(), Some("unsigned, via Bob"));
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
            Style::Plain.push_notice(&mut line, None, &text);
            assert!(line.starts_with("* ") && line.contains("a.example:1"), "{line:?}");
            assert_eq!(line.find(char::is_control), Some(line.len() - 1), "{line:?}");
        }
    }
}
