//! Folds bursts: of what one author says at once, a terminal shows some lines and the number of the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use proto_core::{Message, NodeId};

use super::render::{Author, Said, Style, is_further_line};

/// How many lines of one author are shown at once.
const BURST: u32 = 20;
/// The time after which one more is.
const EVERY: Duration = Duration::from_millis(500);
/// After this time, the hidden lines are counted on the screen.
const TOLD_AFTER: Duration = Duration::from_millis(300);
/// The most authors whose bursts are measured. With one more, the one who spoke longest ago is forgotten.
const AUTHORS: usize = 1024;
/// The most authors whose hidden lines are counted apart.
const COUNTED: usize = 8;
/// The most hidden lines that are kept, and what they and their messages are charged, in bytes.
const LINES: usize = 2000;
const BYTES: usize = 512 * 1024;
/// What a line without an entry is charged beside its text.
const LINE: usize = 512;

/// What was folded. Clones share it.
#[derive(Clone)]
pub(crate) struct Folds(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    folded: Condvar,
}

#[derive(Default)]
struct State {
    authors: BTreeMap<NodeId, Allowance>,
    /// The lines hidden and not counted on the screen yet.
    untold: BTreeMap<NodeId, (String, u64)>,
    /// The same of further authors.
    untold_of_others: u64,
    hidden: Hidden,
}

/// The lines that an author may have shown.
struct Allowance {
    left: u32,
    since: Instant,
}

/// The newest hidden lines.
#[derive(Default)]
struct Hidden {
    parts: VecDeque<Part>,
    lines: usize,
    bytes: usize,
    /// Earlier lines that are gone.
    gone: usize,
}

/// The hidden lines of a message. They are rendered when the user wants to see them, so that hiding them costs next to nothing.
pub(crate) struct Part {
    pub(crate) author: Author,
    pub(crate) time: Option<String>,
    pub(crate) message: Message,
    /// How many of its lines were shown.
    pub(crate) shown: usize,
}

impl Folds {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), folded: Condvar::new() }))
    }

    /// Tells the number of hidden lines with `tell`, on a thread of its own, a moment after lines were hidden.
    pub(crate) fn start(&self, tell: impl Fn(&str) + Send + 'static) -> io::Result<()> {
        let shared = self.0.clone();
        thread::Builder::new().name("folds".to_owned()).spawn(move || {
            loop {
                shared.next_told().iter().for_each(|line| tell(line));
            }
        })?;
        Ok(())
    }

    /// Of so many lines of this author, how many may be shown.
    pub(crate) fn allow(&self, author: NodeId, lines: usize, now: Instant) -> usize {
        self.0.lock().allow(author, lines, now)
    }

    /// Hides the rest of a message.
    pub(crate) fn hide(&self, part: Part) {
        let mut state = self.0.lock();
        let (author, lines) = (part.author.node_id, part.lines() as u64);
        if state.untold.len() < COUNTED || state.untold.contains_key(&author) {
            state.untold.entry(author).or_insert_with(|| (part.author.name.clone(), 0)).1 += lines;
        } else {
            state.untold_of_others += lines;
        }
        state.hidden.push(part);
        self.0.folded.notify_one();
    }

    /// The hidden lines, which are shown now.
    pub(crate) fn take_hidden(&self, style: Style) -> String {
        let hidden = std::mem::take(&mut self.0.lock().hidden);
        let mut out = match hidden.gone {
            0 => String::new(),
            1 => "… 1 earlier line is gone\n".to_owned(),
            gone => format!("… {gone} earlier lines are gone\n"),
        };
        for part in &hidden.parts {
            for (index, text) in part.message.texts().skip(part.shown).enumerate() {
                let said = Said { text, mentions: &[] };
                if is_further_line(index, text) {
                    style.push_more(&mut out, said);
                } else {
                    style.push_said(&mut out, part.time.as_deref(), &part.author, said);
                }
            }
        }
        out
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until lines were hidden, and a moment longer. What to tell of them.
    fn next_told(&self) -> Vec<String> {
        let mut state = self.lock();
        while state.untold.is_empty() {
            state = self.folded.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        thread::sleep(TOLD_AFTER);
        let mut state = self.lock();
        let others = std::mem::take(&mut state.untold_of_others);
        let untold = std::mem::take(&mut state.untold);
        let told = untold.into_values().map(|(name, count)| more_lines(count, &name));
        told.chain((others > 0).then(|| more_lines(others, "others"))).collect()
    }
}

fn more_lines(count: u64, from: &str) -> String {
    match count {
        1 => format!("1 more line from {from}: /show"),
        _ => format!("{count} more lines from {from}: /show"),
    }
}

impl State {
    fn allow(&mut self, author: NodeId, lines: usize, now: Instant) -> usize {
        if self.authors.len() >= AUTHORS && !self.authors.contains_key(&author) {
            let oldest = self.authors.iter().min_by_key(|(_, allowance)| allowance.since);
            if let Some(author) = oldest.map(|(author, _)| *author) {
                self.authors.remove(&author);
            }
        }
        let allowance = self.authors.entry(author).or_insert(Allowance { left: BURST, since: now });
        let earned = now.saturating_duration_since(allowance.since).as_millis() / EVERY.as_millis();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            allowance.left = allowance.left.saturating_add(earned).min(BURST);
            allowance.since = if allowance.left == BURST { now } else { allowance.since + EVERY * earned };
        }
        let allowed = lines.min(allowance.left as usize);
        allowance.left -= u32::try_from(allowed).unwrap_or(allowance.left);
        allowed
    }
}

impl Part {
    fn lines(&self) -> usize {
        lines_of(&self.message) - self.shown
    }

    fn charge(&self) -> usize {
        match &self.message {
            Message::Entry { entry, .. } => entry.charge(),
            other => LINE + other.texts().map(str::len).sum::<usize>(),
        }
    }
}

/// The number of lines of a message.
pub(crate) fn lines_of(message: &Message) -> usize {
    message.texts().count()
}

impl Hidden {
    fn push(&mut self, part: Part) {
        self.lines += part.lines();
        self.bytes += part.charge();
        self.parts.push_back(part);
        // The newest message is kept, whatever its size.
        while self.parts.len() > 1 && (self.lines > LINES || self.bytes > BYTES) {
            let Some(oldest) = self.parts.pop_front() else { break };
            self.lines -= oldest.lines();
            self.bytes -= oldest.charge();
            self.gone += oldest.lines();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::peer;

    fn author(number: u8) -> NodeId {
        NodeId::from_bytes([number; 16])
    }

    fn line(number: u8, text: String) -> Part {
        let peer = Arc::new(peer(number, "Mallory"));
        let name = "Mallory".to_owned();
        let author = Author { node_id: peer.node_id, name, own: false, caveat: None };
        Part { author, time: None, message: Message::Line { peer, text }, shown: 0 }
    }

    #[test]
    fn an_author_has_some_lines_at_once_and_earns_more() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.allow(author(1), 15, now), 15);
        assert_eq!(state.allow(author(1), 100, now), 5);
        assert_eq!(state.allow(author(2), 100, now), 20, "others are not concerned");
        assert_eq!(state.allow(author(1), 100, now + EVERY * 3), 3);
        assert_eq!(state.allow(author(1), 100, now + EVERY * 3), 0);
        assert_eq!(state.allow(author(1), 100, now + EVERY * 1000), 20);
    }

    #[test]
    fn authors_and_hidden_lines_are_bounded() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..3 * AUTHORS {
            let author = NodeId::from_bytes((number as u128).to_be_bytes());
            assert_eq!(state.allow(author, 1, now), 1);
            assert!(state.authors.len() <= AUTHORS);
        }
        let folds = Folds::new();
        (0..1200).for_each(|number| folds.hide(line((number % 50) as u8, number.to_string())));
        assert_eq!(folds.0.lock().untold.len(), COUNTED);
        let shown = folds.take_hidden(Style::Plain);
        assert!(shown.lines().count() <= BYTES / LINE && shown.ends_with(": 1199\n"), "the oldest made room");
        (0..LINES).for_each(|_| folds.hide(line(1, "x".repeat(1000))));
        let state = folds.0.lock();
        assert!(state.hidden.bytes <= BYTES && state.hidden.lines + state.hidden.gone == LINES);
        drop(state);
        assert!(folds.take_hidden(Style::Plain).contains(" earlier lines are gone\n"));
        assert_eq!(folds.take_hidden(Style::Plain), "");
    }

    #[test]
    fn what_is_hidden_is_counted_for_each_author() {
        let folds = Folds::new();
        (0..40).for_each(|n| folds.hide(line(1, n.to_string())));
        folds.hide(line(2, "e".to_owned()));
        let told = folds.0.next_told();
        assert_eq!(told, ["40 more lines from Mallory: /show", "1 more line from Mallory: /show"]);
    }
}
