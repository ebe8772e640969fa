//! Folds bursts: of what one author says at once, a terminal shows some lines and the number of the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use proto_core::NodeId;

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
/// The most hidden lines that are kept, and their bytes.
const LINES: usize = 2000;
const BYTES: usize = 512 * 1024;

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
    lines: VecDeque<String>,
    bytes: usize,
    /// Earlier ones that are gone.
    gone: u64,
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

    /// Whether one more line of this author may be shown.
    pub(crate) fn may_show(&self, author: NodeId, now: Instant) -> bool {
        self.0.lock().may_show(author, now)
    }

    /// Hides a line, which has its line end.
    pub(crate) fn hide(&self, author: NodeId, name: &str, line: String) {
        let mut state = self.0.lock();
        if state.untold.len() < COUNTED || state.untold.contains_key(&author) {
            state.untold.entry(author).or_insert_with(|| (name.to_owned(), 0)).1 += 1;
        } else {
            state.untold_of_others += 1;
        }
        state.hidden.push(line);
        self.0.folded.notify_one();
    }

    /// The hidden lines, which are shown now.
    pub(crate) fn take_hidden(&self) -> String {
        let hidden = std::mem::take(&mut self.0.lock().hidden);
        let gone = match hidden.gone {
            0 => String::new(),
            1 => "… 1 earlier line is gone\n".to_owned(),
            gone => format!("… {gone} earlier lines are gone\n"),
        };
        hidden.lines.into_iter().fold(gone, |all, line| all + &line)
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
    fn may_show(&mut self, author: NodeId, now: Instant) -> bool {
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
        let may = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
        may
    }
}

impl Hidden {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
            self.gone += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(number: u8) -> NodeId {
        NodeId::from_bytes([number; 16])
    }

    #[test]
    fn an_author_has_some_lines_at_once_and_earns_more() {
        let (mut state, now) = (State::default(), Instant::now());
        let shown =
            |state: &mut State, of: u8, now| (0..100).filter(|_| state.may_show(author(of), now)).count();
        assert_eq!(shown(&mut state, 1, now), 20);
        assert_eq!(shown(&mut state, 2, now), 20, "others are not concerned");
        assert_eq!(shown(&mut state, 1, now + EVERY * 3), 3);
        assert_eq!(shown(&mut state, 1, now + EVERY * 3), 0);
        assert_eq!(shown(&mut state, 1, now + EVERY * 1000), 20);
    }

    #[test]
    fn authors_and_hidden_lines_are_bounded() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..3 * AUTHORS {
            let author = NodeId::from_bytes((number as u128).to_be_bytes());
            assert!(state.may_show(author, now));
            assert!(state.authors.len() <= AUTHORS);
        }
        let folds = Folds::new();
        for number in 0..LINES + 7 {
            folds.hide(author((number % 50) as u8), "Mallory", format!("{number}\n"));
        }
        assert_eq!(folds.0.lock().untold.len(), COUNTED);
        let shown = folds.take_hidden();
        assert!(shown.starts_with("… 7 earlier lines are gone\n7\n8\n"), "{}", &shown[..60]);
        assert_eq!(shown.lines().count(), LINES + 1);
        (0..10).for_each(|_| folds.hide(author(1), "Mallory", "x".repeat(BYTES / 4)));
        assert!(folds.take_hidden().len() <= BYTES + 100);
        assert_eq!(folds.take_hidden(), "");
    }

    #[test]
    fn what_is_hidden_is_counted_for_each_author() {
        let folds = Folds::new();
        (0..40).for_each(|n| folds.hide(author(1), "Mallory", format!("{n}\n")));
        folds.hide(author(2), "Eve", "e\n".to_owned());
        let told = folds.0.next_told();
        assert_eq!(told, ["40 more lines from Mallory: /show", "1 more line from Eve: /show"]);
    }
}
