//! Prints a node's events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_core::{Message, Notice};

use super::folds::{Folds, Part, lines_of};
use super::mentions::mentions;
use super::notices::{Gravity, Notices};
use super::output::Output;
use super::people::{People, shown};
use super::render::{self, Author, Said, Style, is_further_line};
use super::times::TimeFormat;
use super::visible::push_visible;
use crate::broadcast::{Batch, Printer, json_v2};
use crate::mutes::Mutes;
use crate::options::OutputForm;
use crate::{Event, Origin, messages};

/// Prints events as fast as the output takes them.
pub struct EventPrinter {
    people: Arc<People>,
    mutes: Mutes,
    style: Style,
    form: OutputForm,
    times: TimeFormat,
    messages: Output,
    /// Where notices go. `None`: to the same output as messages, which then also shows messages that were sent through
    /// the API.
    notices: Option<Notices>,
    /// What folds bursts, on a screen.
    folds: Option<Folds>,
    /// Lines not queued yet.
    lines: String,
    /// The last messages that the first catch-up brought, and whether they are of this node's user. They are printed when
    /// it is over.
    earlier: VecDeque<(Message, bool)>,
    /// When the batch that is printed was reported: Unix time in milliseconds.
    now: u64,
    /// The day of the line that was printed last.
    day: Option<String>,
    /// When the terminal rang last.
    rang: Option<Instant>,
}

impl Printer for EventPrinter {
    /// Waits while the output is full and makes progress.
    async fn print(&mut self, batch: Batch) {
        self.now = batch.at;
        if self.form == OutputForm::Json {
            self.lines = json_v2::lines(&batch);
        }
        for event in batch.events {
            self.print_event(event);
            if self.lines.len() >= PART {
                self.hand_over().await;
            }
        }
        self.hand_over().await;
    }
}

/// How many messages of the first catch-up a terminal shows.
const EARLIER: usize = 20;

/// Lines are queued in parts of about this many bytes.
const PART: usize = 64 * 1024;

/// A terminal rings once in this time at most.
const RING: Duration = Duration::from_secs(3);

/// What an event printer prints to.
pub(crate) struct Paper {
    pub(crate) messages: Output,
    pub(crate) notices: Option<Notices>,
    pub(crate) style: Style,
    pub(crate) form: OutputForm,
    pub(crate) times: TimeFormat,
    pub(crate) folds: Option<Folds>,
}

impl EventPrinter {
    pub(crate) fn new(people: Arc<People>, mutes: Mutes, paper: Paper) -> Self {
        let Paper { messages, notices, style, form, times, folds } = paper;
        Self {
            people,
            mutes,
            style,
            form,
            times,
            messages,
            notices,
            folds,
            lines: String::new(),
            earlier: VecDeque::new(),
            now: 0,
            day: None,
            rang: None,
        }
    }

    async fn hand_over(&mut self) {
        if !self.lines.is_empty() {
            self.messages.write(&self.lines).await;
            self.lines.clear();
        }
    }

    fn print_event(&mut self, event: Event) {
        match event {
            Event::Message(_) | Event::Recalled(_) | Event::Said { .. } if self.form == OutputForm::Json => {}
            Event::Message(message) if self.style == Style::Bare => self.print_piped(&message),
            Event::Message(message) => self.print_or_keep(message, false),
            Event::Recalled(message) if self.notices.is_none() => self.print_or_keep(message, true),
            Event::Said { entries, origin } if self.notices.is_none() && origin != Origin::TERMINAL => {
                for entry in entries {
                    let name = shown(entry.uname());
                    let author = Author { node_id: entry.author(), name, own: true, caveat: None };
                    self.push_texts(&author, self.now, false, entry.texts());
                }
            }
            // Standard output shows only messages of others. A user at the terminal has seen what was typed.
            Event::Recalled(_) | Event::Said { .. } => {}
            Event::Joined(peer) => {
                let label = {
                    let mut roster = self.people.roster();
                    roster.note(&peer);
                    roster.label(&peer)
                };
                self.notice(Gravity::Info, &render::joined(&label));
            }
            Event::Updated(peer) => {
                let (before, label) = {
                    let mut roster = self.people.roster();
                    (roster.note(&peer), roster.label(&peer))
                };
                if let Some(before) = before.filter(|before| *before != shown(&peer.uname)) {
                    self.notice(Gravity::Info, &render::renamed(&before, &label));
                }
            }
            Event::Left { peer, reason } => {
                let label = {
                    let mut roster = self.people.roster();
                    let label = roster.label(&peer);
                    roster.forget(&peer);
                    label
                };
                self.notice(Gravity::Info, &render::left(&label, reason));
                if self.people.roster().is_alone() {
                    self.notice(Gravity::Warning, render::ALONE);
                }
            }
            Event::Notice(Notice::CaughtUp { entries }) => self.print_caught_up(entries),
            Event::Notice(notice) => self.notice(gravity(&notice), &render::notice(&notice)),
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
        if self.earlier.len() >= EARLIER {
            self.earlier.pop_front();
        }
        self.earlier.push_back((message, own));
    }

    /// Prints what the first catch-up brought, and a divider before what is new.
    fn print_earlier(&mut self) {
        if self.earlier.is_empty() {
            return;
        }
        while let Some((message, own)) = self.earlier.pop_front() {
            self.print_message(&message, own);
        }
        if self.style != Style::Bare {
            self.style.push_divider(&mut self.lines, "new messages");
        }
    }

    /// The first catch-up is over: prints how many messages it brought, and the last of those on a terminal.
    fn print_caught_up(&mut self, entries: usize) {
        if entries > 0 {
            let notice = render::notice(&Notice::CaughtUp { entries });
            let last = self.earlier.len();
            if last < entries && self.style != Style::Bare {
                self.notice(Gravity::Info, &format!("{notice}; these are the last {last}:"));
            } else {
                self.notice(Gravity::Info, &notice);
            }
        }
        self.print_earlier();
    }

    fn print_message(&mut self, message: &Message, own: bool) {
        let (node_id, uname) = (message.node_id(), message.uname());
        if !own && self.mutes.is_muted(node_id) {
            return;
        }
        let name = if own { shown(uname) } else { self.people.roster().note_author(node_id, uname) };
        let author = Author { node_id, name, own, caveat: render::caveat(message) };
        let earlier = earlier_date(message);
        let at = earlier.unwrap_or(self.now);
        let lines = lines_of(message);
        let folds = self.folds.clone().filter(|_| !own);
        let shown = folds.as_ref().map_or(lines, |folds| folds.allow(node_id, lines, Instant::now()));
        if shown > 0 {
            self.push_texts(&author, at, earlier.is_none() && !own, message.texts().take(shown));
        }
        if let Some(folds) = folds.filter(|_| shown < lines) {
            folds.hide(Part { author, time: self.times.show(at), message: message.clone(), shown });
        }
    }

    /// `to_me`: whoever is named in the texts is to notice.
    fn push_texts<'a>(
        &mut self,
        author: &Author,
        at: u64,
        to_me: bool,
        texts: impl Iterator<Item = &'a str>,
    ) {
        let me = to_me.then(|| self.people.roster().uname().clone());
        self.push_day(at);
        let time = self.times.show(at);
        for (index, text) in texts.enumerate() {
            let mentions = me.as_ref().map(|me| mentions(text, me.as_str().trim())).unwrap_or_default();
            let said = Said { text, mentions: &mentions };
            if is_further_line(index, text) {
                self.style.push_more(&mut self.lines, said);
            } else {
                self.style.push_said(&mut self.lines, time.as_deref(), author, said);
            }
            if !mentions.is_empty() && self.may_ring(Instant::now()) {
                // Before the line end: a line is printed as a whole.
                self.lines.pop();
                self.lines.push_str("\x07\n");
            }
        }
    }

    /// Whether a mention rings now.
    fn may_ring(&mut self, now: Instant) -> bool {
        let may =
            self.folds.is_some() && self.rang.is_none_or(|rang| now.saturating_duration_since(rang) >= RING);
        if may {
            self.rang = Some(now);
        }
        may
    }

    /// A divider where another day begins.
    fn push_day(&mut self, at: u64) {
        if self.style == Style::Bare {
            return;
        }
        let Some(day) = self.times.day(at) else { return };
        if self.day.as_ref().is_some_and(|before| *before != day) {
            self.style.push_divider(&mut self.lines, &day);
        }
        self.day = Some(day);
    }

    fn notice(&mut self, gravity: Gravity, text: &str) {
        match &self.notices {
            None => {
                self.push_day(self.now);
                self.style.push_notice(&mut self.lines, self.times.show(self.now).as_deref(), text);
            }
            Some(notices) => notices.tell(gravity, text),
        }
    }
}

fn gravity(notice: &Notice) -> Gravity {
    if messages::is_problem(notice) { Gravity::Warning } else { Gravity::Info }
}

/// Whether the first catch-up brought this message.
fn is_catch_up(message: &Message) -> bool {
    matches!(message, Message::Entry { marks, .. } if marks.catch_up)
}

/// The date of a message that is not of now: Unix time in milliseconds.
fn earlier_date(message: &Message) -> Option<u64> {
    match message {
        Message::Entry { entry, marks } if marks.history || marks.behind => Some(entry.at()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use futures_lite::future::block_on;
    use proto_core::{Entry, Identity, LeaveReason, Marks, Name, PeerInfo};

    use super::super::output::{Bounds, LossReport, not_shown};
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
        let output = Output::new(memory.clone(), Bounds::default(), LossReport::Here(not_shown)).unwrap();
        let flushed = output.clone();
        let text = move || {
            flushed.flush(Instant::now() + Duration::from_secs(20));
            String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
        };
        (output, text)
    }

    fn printer(messages: Output, notices: Option<Output>, style: Style) -> EventPrinter {
        let times = TimeFormat::default();
        let screen = |output| Notices::Screen { output, style, times: times.clone() };
        let notices = notices.map(screen);
        let folds = None;
        let paper = Paper { messages, notices, style, form: OutputForm::Text, times: times.clone(), folds };
        EventPrinter::new(People::new(Name::cut("Me").unwrap()), Mutes::default(), paper)
    }

    fn batch(events: Vec<Event>) -> Batch {
        Batch::new(events, 5, 6)
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
        let mut printer = printer(out, Some(err), Style::Bare);
        block_on(printer.print(batch(events())));
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
        let mut printer = printer(screen, None, Style::Plain);
        let mut marks = Marks::default();
        marks.catch_up = true;
        let earlier =
            |n: usize| Event::Message(Message::Entry { entry: entry("Zoe", &[&*n.to_string()]), marks });
        block_on(printer.print(batch((0..25).map(earlier).collect())));
        assert_eq!(shown(), "", "they wait");
        block_on(printer.print(batch(vec![Event::Notice(Notice::CaughtUp { entries: 25 })])));
        let lines = shown();
        let mut lines = lines.lines();
        let notice = "* 25 messages were sent before you were connected; these are the last 20:";
        assert_eq!(lines.next(), Some(notice));
        let texts: Vec<_> = lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        let expected = (5..25).map(|n| n.to_string()).chain(["────".to_owned()]);
        assert_eq!(texts, expected.collect::<Vec<_>>());
    }

    #[test]
    fn own_messages_of_a_first_catch_up_wait_with_the_others() {
        let (screen, shown) = output();
        let mut printer = printer(screen, None, Style::Plain);
        let mut marks = Marks::default();
        (marks.catch_up, marks.history) = (true, true);
        let earlier = |uname: &str, text: &str| Message::Entry { entry: entry(uname, &[text]), marks };
        let own = Event::Recalled(earlier("Me", "mine"));
        block_on(printer.print(batch(vec![Event::Message(earlier("Zoe", "hers")), own])));
        assert_eq!(shown(), "", "they wait");
        block_on(printer.print(batch(vec![Event::Notice(Notice::CaughtUp { entries: 2 })])));
        let lines = shown();
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], "* 2 messages were sent before you were connected");
        assert!(lines[1].ends_with("hers") && !lines[1].contains("you"), "{lines:?}");
        assert!(lines[2].ends_with("mine") && lines[2].contains("you, "), "its date: {lines:?}");
        assert_eq!(lines[3..], ["──── new messages ────"]);
    }

    #[test]
    fn a_terminal_has_everything_in_its_order() {
        let (screen, shown) = output();
        let mut printer = printer(screen, None, Style::Plain);
        block_on(printer.print(batch(events())));
        let id = Identity::from_secret(&[1; 32]).node_id().short();
        assert_eq!(
            shown(),
            format!(
                "* Alice joined\n* B␛ob joined\nAlice (0101010101010101, unsigned): hi␍\nMe ({id}, you): posted\n\
                 * Alice (0303030303030303) joined\nAlice (0303030303030303, unsigned): me too\n* B␛ob is now Rob\n\
                 Rob (0202020202020202, unsigned): new name\nZoe ({id}, late): from afar\n  │ more\n\
                 Zoe ({id}, you, late): said before\n* Alice (0101010101010101) left (the connection ended)\n\
                 Alice (0303030303030303, unsigned): alone\n"
            )
        );
    }

    #[test]
    fn a_batch_of_any_size_comes_whole() {
        let (out, said) = output();
        let mut printer = printer(out.clone(), Some(out), Style::Bare);
        let alice = peer(1, "Alice");
        let texts: Vec<_> = (0..50_000).map(|number| format!("text {number:050}")).collect();
        block_on(printer.print(batch(texts.iter().map(|text| message(&alice, text)).collect())));
        let expected: String = texts.iter().map(|text| format!("Alice: {text}\n")).collect();
        assert!(said() == expected);
    }

    #[test]
    fn a_screen_shows_times_days_mentions_and_not_whom_the_user_mutes() {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let (screen, shown) = output();
        let times: TimeFormat = "%Y".parse().unwrap();
        let (people, mutes) = (People::new(Name::cut("Me").unwrap()), Mutes::default());
        let paper = Paper {
            messages: screen,
            notices: None,
            style: Style::Plain,
            form: OutputForm::Text,
            times,
            folds: Some(Folds::new()),
        };
        let mut printer = EventPrinter::new(people, mutes.clone(), paper);
        let (alice, mallory) = (peer(1, "Alice"), peer(2, "Mallory"));
        mutes.mute(mallory.node_id, mallory.uname.clone()).unwrap();
        let events = vec![message(&alice, "hi me"), message(&mallory, "hi me"), message(&alice, "me again")];
        block_on(printer.print(Batch::new(events, 100 * DAY, 0)));
        block_on(printer.print(Batch::new(vec![message(&alice, "later")], 102 * DAY, 0)));
        let shown = shown();
        let lines: Vec<_> = shown.lines().collect();
        let said = |text: &str| format!("1970 Alice (0101010101010101, unsigned): {text}");
        assert_eq!(lines[..2], [said("hi me\x07"), said("me again")], "it rings once in a while");
        assert!(lines[2].starts_with("──── ") && lines[2].contains(" April 1970 "), "{lines:?}");
        assert_eq!(lines[3..], [said("later")]);
    }

    #[test]
    fn a_burst_is_folded_and_delays_nobody() {
        let (screen, shown) = output();
        let folds = Folds::new();
        let paper = Paper {
            messages: screen,
            notices: None,
            style: Style::Plain,
            form: OutputForm::Text,
            times: TimeFormat::default(),
            folds: Some(folds.clone()),
        };
        let mut printer = EventPrinter::new(People::new(Name::cut("Me").unwrap()), Mutes::default(), paper);
        let (alice, mallory) = (peer(1, "Alice"), peer(2, "Mallory"));
        let mut events: Vec<_> = (0..60).map(|n| message(&mallory, &n.to_string())).collect();
        events.push(message(&alice, "hello"));
        block_on(printer.print(batch(events)));
        let shown = shown();
        assert_eq!(shown.lines().count(), 21, "{shown}");
        assert!(shown.ends_with("hello\n"));
        let hidden = folds.take_hidden(Style::Plain);
        assert_eq!(hidden.lines().count(), 40);
        assert!(hidden.starts_with("Mallory (0202020202020202, unsigned): 20\n"), "{hidden}");
    }
}
