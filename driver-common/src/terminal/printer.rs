//! Prints a node's events.

use std::collections::VecDeque;
use std::sync::Arc;

use proto_core::{Marks, Message, NodeId, Notice};

use super::output::Output;
use super::render::{self, Author, Roster, Style};
use super::speaker::SharedName;
use super::visible::push_visible;
use crate::broadcast::Printer;
use crate::store::Shown;
use crate::{Event, Origin};

/// Prints events as fast as the output takes them.
pub struct EventPrinter {
    shared_name: Arc<SharedName>,
    roster: Roster,
    style: Style,
    messages: Output,
    /// Where notices go. `None`: to the same output as messages, which then also shows messages that were sent through
    /// the API.
    notices: Option<Output>,
    /// Lines not queued yet.
    lines: String,
    /// The last messages that the first catch-up brought, and whether they are of this node's user. They are printed when
    /// it is over.
    earlier: VecDeque<(Message, bool)>,
}

impl Printer for EventPrinter {
    /// Waits while the output is full and makes progress.
    async fn print(&mut self, events: Vec<Event>) {
        self.roster.rename_own(&self.shared_name.uname());
        for event in events {
            self.print_event(event);
            if self.lines.len() >= PART {
                self.hand_over().await;
            }
        }
        self.hand_over().await;
    }
}

/// Lines are queued in parts of about this many bytes.
const PART: usize = 64 * 1024;

impl EventPrinter {
    /// How many messages of the first catch-up, and of before the start, a terminal shows.
    pub(crate) const EARLIER: usize = 20;

    pub(crate) fn new(
        shared_name: Arc<SharedName>,
        messages: Output,
        notices: Option<Output>,
        style: Style,
    ) -> Self {
        let roster = Roster::new(&shared_name.uname());
        Self { shared_name, roster, style, messages, notices, lines: String::new(), earlier: VecDeque::new() }
    }

    /// Shows the end of the conversation that the node had before it started, on a terminal alone. The newest message comes
    /// first; `own` is the node itself.
    pub(crate) async fn print_before(&mut self, shown: &[Shown], own: NodeId) {
        if self.style == Style::Bare {
            return;
        }
        let mut left = Self::EARLIER;
        let fits = |shown: &&Shown| {
            let lines = shown.entry.texts().len();
            let fits = lines <= left || left == Self::EARLIER;
            left = left.saturating_sub(lines);
            fits
        };
        let last: Vec<_> = shown.iter().take_while(fits).collect();
        if last.is_empty() {
            return;
        }
        self.notice("the last messages from before:");
        for Shown { entry, forked, .. } in last.into_iter().rev() {
            let mut marks = Marks::default();
            (marks.history, marks.forked) = (true, *forked);
            let message = Message::Entry { entry: entry.clone(), marks };
            let own = message.is_signed() && message.node_id() == own;
            self.print_message(&message, own);
        }
        self.hand_over().await;
    }

    async fn hand_over(&mut self) {
        if !self.lines.is_empty() {
            self.messages.write(&self.lines).await;
            self.lines.clear();
        }
    }

    fn print_event(&mut self, event: Event) {
        match event {
            Event::Message(message) if self.style == Style::Bare => self.print_piped(&message),
            Event::Message(message) => self.print_or_keep(message, false),
            Event::Recalled(message) if self.notices.is_none() => self.print_or_keep(message, true),
            Event::Said { entries, origin } if self.notices.is_none() && origin != Origin::TERMINAL => {
                for entry in entries {
                    let name = render::shown(entry.uname());
                    let author = Author { node_id: entry.author(), name, own: true, caveat: None };
                    self.push_texts(&author, entry.texts());
                }
            }
            // Standard output shows only messages of others. A user at the terminal has seen what was typed.
            Event::Recalled(_) | Event::Said { .. } => {}
            Event::Joined(peer) => {
                self.roster.note(&peer);
                self.notice(&render::joined(&self.roster.label(&peer)));
            }
            Event::Updated(peer) => {
                let before = self.roster.note(&peer);
                let label = self.roster.label(&peer);
                if let Some(before) =
                    before.filter(|before| *before != super::visible(peer.uname.as_str().trim()))
                {
                    self.notice(&render::renamed(&before, &label));
                }
            }
            Event::Left { peer, reason } => {
                let label = self.roster.label(&peer);
                self.roster.forget(&peer);
                self.notice(&render::left(&label, reason));
            }
            Event::Notice(Notice::CaughtUp { entries }) => self.print_caught_up(entries),
            Event::Notice(notice) => self.notice(&render::notice(&notice)),
            Event::Store(notice) => self.notice(&super::visible(&notice.to_string())),
            // The node logs it.
            Event::Report { .. } => {}
        }
    }

    fn print_piped(&mut self, message: &Message) {
        for text in message.texts() {
            push_visible(&mut self.lines, message.uname().as_str());
            self.lines.push_str(": ");
            push_visible(&mut self.lines, text);
            self.lines.push('\n');
        }
    }

    /// Prints a message. What the first catch-up brings is kept until that is over.
    fn print_or_keep(&mut self, message: Message, own: bool) {
        if !is_catch_up(&message) {
            self.print_earlier();
            return self.print_message(&message, own);
        }
        if self.earlier.len() >= Self::EARLIER {
            self.earlier.pop_front();
        }
        self.earlier.push_back((message, own));
    }

    fn print_earlier(&mut self) {
        while let Some((message, own)) = self.earlier.pop_front() {
            self.print_message(&message, own);
        }
    }

    /// The first catch-up is over: prints how many messages it brought, and the last of those on a terminal.
    fn print_caught_up(&mut self, entries: usize) {
        if entries > 0 {
            let notice = render::notice(&Notice::CaughtUp { entries });
            let last = self.earlier.len();
            if last < entries && self.style != Style::Bare {
                self.notice(&format!("{notice}; these are the last {last}:"));
            } else {
                self.notice(&notice);
            }
        }
        self.print_earlier();
    }

    fn print_message(&mut self, message: &Message, own: bool) {
        let (node_id, uname) = (message.node_id(), message.uname());
        let name = if own { render::shown(uname) } else { self.roster.note_author(node_id, uname) };
        let author = Author { node_id, name, own, caveat: render::caveat(message) };
        self.push_texts(&author, message.texts());
    }

    fn push_texts<'a>(&mut self, author: &Author, texts: impl Iterator<Item = &'a str>) {
        texts.for_each(|text| self.style.push_said(&mut self.lines, author, text));
    }

    fn notice(&mut self, text: &str) {
        match &self.notices {
            None => self.style.push_notice(&mut self.lines, text),
            Some(notices) => {
                let mut line = String::new();
                self.style.push_notice(&mut line, text);
                notices.offer(&line);
            }
        }
    }
}

/// Whether the first catch-up brought this message.
fn is_catch_up(message: &Message) -> bool {
    matches!(message, Message::Entry { marks, .. } if marks.catch_up)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use futures_lite::future::block_on;
    use proto_core::{Entry, Identity, LeaveReason, Name, PeerInfo};

    use super::super::output::Bounds;
    use super::*;
    use crate::testing;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output() -> (Output, impl Fn() -> String) {
        let memory = Memory::default();
        let output = Output::new(memory.clone(), Bounds::default(), None).unwrap();
        let flushed = output.clone();
        let text = move || {
            flushed.flush(Instant::now() + Duration::from_secs(20));
            String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
        };
        (output, text)
    }

    fn peer(number: u8, uname: &str) -> Arc<PeerInfo> {
        Arc::new(testing::peer(number, uname))
    }

    fn message(peer: &Arc<PeerInfo>, text: &str) -> Event {
        Event::Message(Message::Line { peer: peer.clone(), text: text.to_owned() })
    }

    fn entry(uname: &str, texts: &[&str]) -> Arc<Entry> {
        testing::entry(1, [2, 3], uname, texts, None)
    }

    #[test]
    fn a_terminal_shows_the_end_of_what_was_before_and_a_pipe_does_not() {
        let shown = |number: u64| Shown {
            number,
            heard: 0,
            entry: entry("Zoe", &[&format!("{number} first"), "second"]),
            forked: false,
        };
        // The newest comes first.
        let before: Vec<_> = (0..30).rev().map(shown).collect();
        for (style, shows) in [(Style::Plain, true), (Style::Bare, false)] {
            let (output, text) = output();
            let name = SharedName::new(Name::cut("Me").unwrap());
            let mut printer = EventPrinter::new(name, output, None, style);
            block_on(printer.print_before(&before, NodeId::from_bytes([9; 16])));
            block_on(printer.print_before(&[], NodeId::from_bytes([9; 16])));
            let text = text();
            let lines: Vec<_> = text.lines().collect();
            if shows {
                assert_eq!((lines.len(), lines[0]), (21, "* the last messages from before:"), "{text}");
                assert!(lines[1].ends_with("20 first") && lines[19].ends_with("29 first"), "{text}");
            } else {
                assert_eq!(text, "");
            }
        }
    }

    fn said(text: &str, origin: Origin) -> Event {
        Event::Said { entries: vec![entry("Me", &[text])], origin }
    }

    fn heard(texts: &[&str]) -> Message {
        let mut marks = Marks::default();
        marks.late = true;
        Message::Entry { entry: entry("Zoe", texts), marks }
    }

    fn events() -> Vec<Event> {
        let (alice, bob, other) = (peer(1, "Alice"), peer(2, "B\x1bob"), peer(3, "Alice"));
        vec![
            Event::Joined(alice.clone()),
            Event::Joined(bob.clone()),
            message(&alice, "hi\r"),
            said("typed", Origin::TERMINAL),
            said("posted", Origin::fresh()),
            Event::Joined(other.clone()),
            message(&other, "me too"),
            Event::Updated(peer(2, "B\x1bob")),
            Event::Updated(peer(2, "Rob")),
            message(&peer(2, "Rob"), "new name"),
            Event::Message(heard(&["from afar", "more"])),
            Event::Recalled(heard(&["said before"])),
            Event::Left { peer: alice, reason: LeaveReason::Closed },
            message(&other, "alone"),
        ]
    }

    #[test]
    fn standard_output_has_what_others_say_and_nothing_else() {
        let ((out, said), (err, aside)) = (output(), output());
        let shared_name = SharedName::new(Name::cut("Me").unwrap());
        let mut printer = EventPrinter::new(shared_name, out, Some(err), Style::Bare);
        block_on(printer.print(events()));
        assert_eq!(
            said(),
            "Alice: hi␍\nAlice: me too\nRob: new name\nZoe: from afar\nZoe: more\nAlice: alone\n"
        );
        assert_eq!(
            aside(),
            "* Alice joined\n* B␛ob joined\n* Alice (0303030303030303) joined\n* B␛ob is now Rob\n\
             * Alice (0101010101010101) left (the connection ended)\n"
        );
    }

    #[test]
    fn a_terminal_shows_the_last_messages_of_a_first_catch_up() {
        let (screen, shown) = output();
        let shared_name = SharedName::new(Name::cut("Me").unwrap());
        let mut printer = EventPrinter::new(shared_name, screen, None, Style::Plain);
        let mut marks = Marks::default();
        marks.catch_up = true;
        let earlier =
            |n: usize| Event::Message(Message::Entry { entry: entry("Zoe", &[&*n.to_string()]), marks });
        block_on(printer.print((0..25).map(earlier).collect()));
        assert_eq!(shown(), "", "they wait");
        block_on(printer.print(vec![Event::Notice(Notice::CaughtUp { entries: 25 })]));
        let lines = shown();
        let mut lines = lines.lines();
        let notice = "* 25 messages were sent before you were connected; these are the last 20:";
        assert_eq!(lines.next(), Some(notice));
        let texts: Vec<_> = lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(texts, (5..25).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn own_messages_of_a_first_catch_up_wait_with_the_others() {
        let (screen, shown) = output();
        let shared_name = SharedName::new(Name::cut("Me").unwrap());
        let mut printer = EventPrinter::new(shared_name, screen, None, Style::Plain);
        let mut marks = Marks::default();
        (marks.catch_up, marks.history) = (true, true);
        let earlier = |uname: &str, text: &str| Message::Entry { entry: entry(uname, &[text]), marks };
        let own = Event::Recalled(earlier("Me", "mine"));
        block_on(printer.print(vec![Event::Message(earlier("Zoe", "hers")), own]));
        assert_eq!(shown(), "", "they wait");
        block_on(printer.print(vec![Event::Notice(Notice::CaughtUp { entries: 2 })]));
        let lines = shown();
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], "* 2 messages were sent before you were connected");
        assert!(lines[1].ends_with("hers") && !lines[1].contains("you"), "{lines:?}");
        assert!(lines[2].ends_with("mine") && lines[2].contains("you, "), "its date: {lines:?}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_terminal_has_everything_in_its_order() {
        let (screen, shown) = output();
        let shared_name = SharedName::new(Name::cut("Me").unwrap());
        let mut printer = EventPrinter::new(shared_name, screen, None, Style::Plain);
        block_on(printer.print(events()));
        let id = Identity::from_secret(&[1; 32]).node_id().short();
        assert_eq!(
            shown(),
            format!(
                "* Alice joined\n* B␛ob joined\nAlice (0101010101010101, unsigned): hi␍\nMe ({id}, you): posted\n\
                 * Alice (0303030303030303) joined\nAlice (0303030303030303, unsigned): me too\n* B␛ob is now Rob\n\
                 Rob (0202020202020202, unsigned): new name\nZoe ({id}, late): from afar\nZoe ({id}, late): more\n\
                 Zoe ({id}, you, late): said before\n* Alice (0101010101010101) left (the connection ended)\n\
                 Alice (0303030303030303, unsigned): alone\n"
            )
        );
    }

    #[test]
    fn a_batch_of_any_size_comes_whole() {
        let (out, said) = output();
        let shared_name = SharedName::new(Name::cut("Me").unwrap());
        let mut printer = EventPrinter::new(shared_name, out.clone(), Some(out), Style::Bare);
        let alice = peer(1, "Alice");
        let texts: Vec<_> = (0..50_000).map(|number| format!("text {number:050}")).collect();
        block_on(printer.print(texts.iter().map(|text| message(&alice, text)).collect()));
        let expected: String = texts.iter().map(|text| format!("Alice: {text}\n")).collect();
        assert!(said() == expected);
    }
}
