//! Prints a node's events.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_core::{LeaveReason, Member, MemberChange, Message, NodeId, Notice};

use super::arrivals::Arrivals;
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
use crate::store::Shown;
use crate::{Event, Origin, messages};

/// Prints events as fast as the output takes them.
pub struct EventPrinter {
    people: Arc<People>,
    mutes: Mutes,
    arrivals: Arrivals,
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
    /// How many messages of the first catch-up, and of before the start, a terminal shows.
    pub(crate) const EARLIER: usize = 20;

    pub(crate) fn new(people: Arc<People>, mutes: Mutes, paper: Paper) -> Self {
        let Paper { messages, notices, style, form, times, folds } = paper;
        Self {
            people,
            mutes,
            arrivals: Arrivals::default(),
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

    /// Shows the end of the conversation that the node had before it started, on a terminal alone. The newest message comes
    /// first; `own` is the node itself.
    pub(crate) async fn print_before(&mut self, shown: &[Shown], own: NodeId) {
        if self.style == Style::Bare {
            return;
        }
        let last = self.last_lines(shown, own);
        if last.is_empty() {
            return;
        }
        // No event has told the time yet.
        self.now = crate::clock::unix_ms();
        self.notice(Gravity::Info, "the last messages from before:");
        for (message, own) in last.into_iter().rev() {
            self.print_message(&message, own);
        }
        self.hand_over().await;
    }

    /// The first of these messages that have [`EARLIER`](Self::EARLIER) lines at most, or the first one alone, and whether
    /// they are of this node. Lines that are not shown do not count.
    fn last_lines(&self, shown: &[Shown], own: NodeId) -> Vec<(Message, bool)> {
        let messages = shown.iter().filter_map(|Shown { entry, marks, .. }| {
            let mut marks = *marks;
            marks.history = true;
            let message = Message::Entry { entry: entry.clone(), marks };
            let own = message.is_signed() && message.node_id() == own;
            (self.may_show(&message, own) && lines_of(&message) > 0).then_some((message, own))
        });
        let mut left = Self::EARLIER;
        let fits = |(message, _): &(Message, bool)| {
            let lines = lines_of(message);
            let fits = lines <= left || left == Self::EARLIER;
            left = left.saturating_sub(lines);
            fits
        };
        messages.take_while(fits).collect()
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
                if self.arrivals.linked(peer.node_id) && self.arrivals.may_tell(self.now) {
                    self.notice(Gravity::Info, &render::joined(&label));
                }
            }
            Event::Updated(peer) => {
                let (before, label) = {
                    let mut roster = self.people.roster();
                    (roster.note(&peer), roster.label(&peer))
                };
                if let Some(before) = before.filter(|before| *before != shown(&peer.uname))
                    && self.arrivals.may_tell(self.now)
                {
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
                if self.arrivals.unlinked(peer.node_id, reason) && self.arrivals.may_tell(self.now) {
                    self.notice(Gravity::Info, &render::left(&label, reason));
                }
                if self.people.roster().is_alone() {
                    self.notice(Gravity::Warning, render::ALONE);
                }
            }
            Event::Member { member, change } => self.print_member(&member, change),
            Event::Notice(Notice::CaughtUp { entries }) => self.print_caught_up(entries),
            Event::Notice(notice) => self.notice(gravity(&notice), &render::notice(&notice)),
            // What was typed at the terminal is answered there.
            Event::Mute { origin: Origin::TERMINAL, .. } => {}
            Event::Mute { node_id, uname, muted, .. } => {
                let label = self.people.roster().label_of(node_id, &uname);
                let what = if muted { "muted" } else { "no longer muted" };
                self.notice(
                    Gravity::Info,
                    &format!("{label} is {what}, as somebody said on the page or by the API"),
                );
            }
            Event::Store(notice) => self.notice(Gravity::Warning, &super::visible(&notice.to_string())),
            // The node logs it.
            Event::Report { .. } => {}
        }
    }

    /// Prints news of a member that links do not tell.
    fn print_member(&mut self, member: &Member, change: MemberChange) {
        if !self.arrivals.changed(member.node_id, change) {
            return;
        }
        let label = self.people.roster().label_of(member.node_id, &member.uname);
        let text = match change {
            MemberChange::Joined => render::joined(&label),
            MemberChange::Back => format!("{label} is back"),
            MemberChange::Left => render::left(&label, LeaveReason::Bye),
            MemberChange::Silent => format!("{label} is not heard any more"),
            // A link tells the names of its peer.
            _ => return,
        };
        if self.arrivals.may_tell(self.now) {
            self.notice(Gravity::Info, &text);
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
        if !self.may_show(&message, own) {
            return;
        }
        if self.earlier.len() >= Self::EARLIER {
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
            if (1..entries).contains(&last) && self.style != Style::Bare {
                let these = if last == 1 {
                    "this is the last one".to_owned()
                } else {
                    format!("these are the last {last}")
                };
                self.notice(Gravity::Info, &format!("{notice}; {these}:"));
            } else {
                self.notice(Gravity::Info, &notice);
            }
        }
        self.print_earlier();
    }

    /// Whether the user wants to hear who said it.
    fn may_show(&self, message: &Message, own: bool) -> bool {
        own || !self.mutes.is_muted(message.node_id())
    }

    fn print_message(&mut self, message: &Message, own: bool) {
        if !self.may_show(message, own) {
            return;
        }
        let (node_id, uname) = (message.node_id(), message.uname());
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
