//! Parses what the user enters at the prompt: a command or a text.

use proto_core::{ChatText, Name, PeerAddr, PeerTarget};

use super::render::ACTION;

/// What the user entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UserInput {
    Nothing,
    Say(Vec<ChatText>),
    Peers,
    Who,
    Status,
    Connect(PeerTarget),
    Disconnect(PeerAddr),
    Nick(Name),
    /// Whom to mute: a name or an id. None: list who is muted.
    Mute(Option<String>),
    Unmute(String),
    /// Show the lines that were folded.
    Show,
    Help,
    Quit,
    /// Invalid input, with the reason.
    Invalid(String),
}

/// The lines that `/help` prints.
pub(crate) const HELP: &[&str] = &[
    "Type a message and press Enter to send it to everybody. Each line of a pasted text is a message.",
    "Tab completes commands and names.",
    "/me TEXT               say what you do",
    "/who                   list who is in the network, and who was",
    "/peers                 list the connected peers, and the addresses that are dialed",
    "/status                show the state of this node",
    "/connect HOST:PORT     connect to a peer and stay connected; with ID@ before it, to that node alone",
    "/disconnect HOST:PORT  dial that address no more",
    "/nick NAME             change your name",
    "/mute NAME             hide what somebody says; an id will do, too; without a name, list who is muted",
    "/unmute NAME           undo it",
    "/show                  show the lines that were folded",
    "/help                  list the commands",
    "/quit                  leave (or press Ctrl-D or Ctrl-C)",
    "//TEXT                 send a text that starts with a slash",
];

/// The commands that Tab completes. A space follows those that take an argument.
pub(crate) const COMMANDS: &[&str] = &[
    "/connect ",
    "/disconnect ",
    "/help",
    "/me ",
    "/mute ",
    "/nick ",
    "/peers",
    "/quit",
    "/show",
    "/status",
    "/unmute ",
    "/who",
];

impl UserInput {
    /// Parses one input. If it has several lines, as from a paste, every line is text, even one that starts with a
    /// slash.
    pub(crate) fn parse(entered: &str) -> Self {
        let entered = entered.trim_end_matches(['\n', '\r']);
        // Spaces before a command are a slip: nobody wants to say it.
        let line = Some(entered.trim_start()).filter(|line| !line.contains(['\n', '\r']));
        match line.and_then(|line| line.strip_prefix('/')) {
            None => Self::say(entered),
            Some(text) if text.starts_with('/') => Self::say(text),
            Some(command) => {
                let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
                Self::command(name, argument.trim())
            }
        }
    }

    fn say(text: &str) -> Self {
        if text.trim().is_empty() {
            return Self::Nothing;
        }
        match ChatText::lines(text) {
            Ok(texts) => {
                Self::Say(texts.into_iter().filter(|text| !text.as_str().trim().is_empty()).collect())
            }
            Err(error) => Self::Invalid(format!("not sent: {error}")),
        }
    }

    fn command(name: &str, argument: &str) -> Self {
        match (name, argument) {
            ("peers", "") => Self::Peers,
            ("who", "") => Self::Who,
            ("status", "") => Self::Status,
            ("show", "") => Self::Show,
            ("help", "") => Self::Help,
            ("quit", "") => Self::Quit,
            ("peers" | "who" | "status" | "show" | "help" | "quit", _) => {
                Self::Invalid(format!("/{name} takes no argument"))
            }
            ("me", "") => Self::Invalid("/me TEXT: say what you do, as in /me waves".to_owned()),
            ("me", action) => Self::say(&format!("{ACTION}{action}")),
            ("connect", addr) => match addr.parse() {
                Ok(addr) => Self::Connect(addr),
                Err(error) => Self::Invalid(format!("/connect HOST:PORT: {error}")),
            },
            ("disconnect", addr) => match addr.parse() {
                Ok(addr) => Self::Disconnect(addr),
                Err(error) => Self::Invalid(format!("/disconnect HOST:PORT: {error}")),
            },
            ("nick", name) => match name.parse() {
                Ok(name) => Self::Nick(name),
                Err(error) => Self::Invalid(format!("/nick NAME: {error}")),
            },
            ("mute", "") => Self::Mute(None),
            ("mute", who) => Self::Mute(Some(who.to_owned())),
            ("unmute", "") => Self::Invalid("/unmute NAME: whom? /mute lists them".to_owned()),
            ("unmute", who) => Self::Unmute(who.to_owned()),
            _ => Self::Invalid(format!(
                "unknown command /{name}: see /help, or start with // to send it as text"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(texts: &[&str]) -> UserInput {
        UserInput::Say(texts.iter().map(|text| ChatText::new(*text).unwrap()).collect())
    }

    fn wrong(entered: &str) -> String {
        match UserInput::parse(entered) {
            UserInput::Invalid(text) => text,
            other => panic!("{entered:?}: {other:?}"),
        }
    }

    #[test]
    fn text_is_said_as_it_is() {
        assert_eq!(UserInput::parse("hello / world "), say(&["hello / world "]));
        assert_eq!(UserInput::parse(" hello"), say(&[" hello"]));
        assert_eq!(UserInput::parse("//quit"), say(&["/quit"]));
        assert_eq!(UserInput::parse("///"), say(&["//"]));
    }

    #[test]
    fn nothing_is_nothing() {
        for entered in ["", " ", "\n", " \r\n\t"] {
            assert_eq!(UserInput::parse(entered), UserInput::Nothing, "{entered:?}");
        }
    }

    #[test]
    fn a_paste_is_text_line_by_line() {
        assert_eq!(UserInput::parse("one\n\n \n/two\r\nthree\n"), say(&["one", "/two", "three"]));
        assert_eq!(UserInput::parse("/quit\n/quit"), say(&["/quit", "/quit"]));
        assert_eq!(UserInput::parse("/quit\n"), UserInput::Quit);
    }

    #[test]
    fn commands() {
        assert_eq!(UserInput::parse("/peers"), UserInput::Peers);
        assert_eq!(UserInput::parse("/status"), UserInput::Status);
        assert_eq!(UserInput::parse("/help "), UserInput::Help);
        assert_eq!(UserInput::parse("/quit"), UserInput::Quit);
        assert_eq!(UserInput::parse(" \t/quit"), UserInput::Quit);
        assert_eq!(UserInput::parse(" //quit"), say(&["/quit"]));
        assert_eq!(UserInput::parse("/show"), UserInput::Show);
        assert_eq!(UserInput::parse("/me  waves "), say(&["/me waves"]));
        assert_eq!(UserInput::parse("/mute"), UserInput::Mute(None));
        assert_eq!(UserInput::parse("/mute Carol C"), UserInput::Mute(Some("Carol C".to_owned())));
        assert_eq!(UserInput::parse("/unmute Bob"), UserInput::Unmute("Bob".to_owned()));
        assert_eq!(
            UserInput::parse("/disconnect a.example:1"),
            UserInput::Disconnect("a.example:1".parse().unwrap())
        );
        assert_eq!(UserInput::parse("/connect  [::1]:80 "), UserInput::Connect("[::1]:80".parse().unwrap()));
        let named = "/connect 78b2cd5d-5b5e-8b7d-8e2a-0a1b2c3d4e5f@[::1]:80";
        let target = named.strip_prefix("/connect ").unwrap();
        assert_eq!(UserInput::parse(named), UserInput::Connect(target.parse().unwrap()));
        assert!(wrong("/connect bob@[::1]:80").contains("a node is named by its whole id"));
        assert_eq!(UserInput::parse("/nick Zoë Z"), UserInput::Nick("Zoë Z".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(wrong("/foo bar"), "unknown command /foo: see /help, or start with // to send it as text");
        assert_eq!(wrong("/quit now"), "/quit takes no argument");
        assert!(wrong("/connect").starts_with("/connect HOST:PORT: "));
        assert!(wrong("/connect x").starts_with("/connect HOST:PORT: "));
        assert!(wrong("/disconnect x").starts_with("/disconnect HOST:PORT: "));
        assert!(wrong("/me ").starts_with("/me TEXT: "));
        assert!(wrong("/unmute").starts_with("/unmute NAME: "));
        assert_eq!(wrong("/nick"), "/nick NAME: a name must not be empty");
        assert!(wrong(&format!("/nick {}", "x".repeat(65))).contains("at most 64 bytes"));
        assert!(wrong(&"x".repeat(ChatText::MAX + 1)).starts_with("not sent: a message is at most"));
    }

    #[test]
    fn what_tab_completes_is_a_command() {
        for command in COMMANDS {
            let help = HELP.iter().any(|line| line.starts_with(command));
            assert!(help, "{command} is not in /help");
            let argument = if command.ends_with(' ') { "127.0.0.1:1" } else { "" };
            let input = UserInput::parse(&format!("{command}{argument}"));
            assert!(
                !matches!(&input, UserInput::Invalid(why) if why.starts_with("unknown")),
                "{command}: {input:?}"
            );
        }
    }
}
