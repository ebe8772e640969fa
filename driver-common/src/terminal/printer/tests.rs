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

#[test]
fn a_terminal_shows_the_end_of_what_was_before_and_a_pipe_does_not() {
    let shown = |number: u64| Shown {
        number,
        heard: 0,
        entry: entry("Zoe", &[&format!("{number} first"), "second"]),
        marks: Marks::default(),
    };
    // The newest comes first.
    let before: Vec<_> = (0..30).rev().map(shown).collect();
    for (style, shows) in [(Style::Plain, true), (Style::Bare, false)] {
        let (output, text) = output();
        let mut printer = printer(output, None, style);
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

#[test]
fn what_is_not_shown_of_before_does_not_count() {
    let shown = |author: u8, number: u64, texts: &[&str], hidden: usize| {
        let mut marks = Marks::default();
        marks.repeated = (0..hidden).collect();
        Shown { number, heard: 0, entry: testing::entry(author, [2, 3], "Zoe", texts, None), marks }
    };
    let texts: Vec<_> = ["repeated"; 18].into_iter().chain(["new"]).collect();
    // One line of every other entry is shown, and nothing of the rest.
    let before = (1..=20).rev().map(|number| match number % 4 {
        0 => shown(1, number, &texts, 18),
        1 => shown(1, number, &["shown"], 0),
        2 => shown(1, number, &texts, 19),
        _ => shown(2, number, &texts, 0),
    });
    let before: Vec<_> = before.collect();
    let (output, text) = output();
    let mut printer = printer(output, None, Style::Plain);
    let muted = Identity::from_secret(&[2; 32]).node_id();
    printer.mutes.mute(muted, Name::cut("Zoe").unwrap()).unwrap();
    block_on(printer.print_before(&before, NodeId::from_bytes([9; 16])));
    let lines = text();
    let lines: Vec<_> = lines.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(lines, ["shown", "new"].repeat(5));
    assert!(printer.now > 1_700_000_000_000, "the heading has the time");
    let nothing = [shown(2, 2, &texts, 0), shown(1, 1, &texts, 19)];
    block_on(printer.print_before(&nothing, NodeId::from_bytes([9; 16])));
    assert_eq!(text().lines().count(), 11, "there is no heading of nothing");
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
    assert_eq!(said(), "Alice: hi␍\nAlice: me too\nRob: new name\nZoe: from afar\nZoe: more\nAlice: alone\n");
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
fn whom_the_user_mutes_takes_no_place_among_the_last_messages_of_a_first_catch_up() {
    let (screen, shown) = output();
    let mut printer = printer(screen, None, Style::Plain);
    printer.mutes.mute(Identity::from_secret(&[2; 32]).node_id(), Name::cut("Zoe").unwrap()).unwrap();
    let mut marks = Marks::default();
    marks.catch_up = true;
    let earlier = |author: u8, text: &str| {
        Event::Message(Message::Entry { entry: testing::entry(author, [2, 3], "Zoe", &[text], None), marks })
    };
    let muted = || (0..30).map(|_| earlier(2, "muted"));
    block_on(printer.print(batch([earlier(1, "heard")].into_iter().chain(muted()).collect())));
    block_on(printer.print(batch(vec![Event::Notice(Notice::CaughtUp { entries: 31 })])));
    let lines = shown();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines[0], "* 31 messages were sent before you were connected; this is the last one:");
    assert!(lines[1].ends_with("heard"), "{lines:?}");
    assert_eq!(lines[2..], ["──── new messages ────"]);
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
