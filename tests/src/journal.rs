//! What happened so far, and waiting for what should.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Five times the two seconds that a node promises for most of what it does.
pub const SOON: Duration = Duration::from_secs(10);

/// A growing list that threads append to and tests wait on.
pub struct Journal<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    entries: Vec<T>,
    ended: bool,
}

impl<T> Journal<T> {
    /// Adds an entry.
    pub fn push(&self, entry: T) {
        self.lock().entries.push(entry);
        self.shared.changed.notify_all();
    }

    /// Says that nothing more will come.
    pub fn end(&self) {
        self.lock().ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits until `find` finds something in all that came so far; `None` at the end of the time or of the entries.
    pub fn until<R>(&self, timeout: Duration, mut find: impl FnMut(&[T]) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&state.entries) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end; whether it came in time.
    pub fn ended(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How much came so far.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing came so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at all that came so far.
    pub fn look<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        look(&self.lock().entries)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Debug> Journal<T> {
    /// Waits until `find` finds something; fails the test with `what` and the last entries otherwise.
    #[track_caller]
    pub fn expect<R>(&self, what: &str, timeout: Duration, find: impl FnMut(&[T]) -> Option<R>) -> R {
        self.until(timeout, find).unwrap_or_else(|| panic!("waited for {what}; so far:\n{self:?}"))
    }

    /// Waits for an entry that `is` accepts.
    #[track_caller]
    pub fn expect_one(&self, what: &str, timeout: Duration, is: impl Fn(&T) -> bool) -> T
    where
        T: Clone,
    {
        let mut seen = 0;
        self.expect(what, timeout, |entries| {
            let found = entries[seen..].iter().find(|entry| is(entry)).cloned();
            seen = entries.len();
            found
        })
    }
}

impl<T: Clone> Journal<T> {
    /// All that came so far.
    pub fn all(&self) -> Vec<T> {
        self.look(<[T]>::to_vec)
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        let state = Mutex::new(State { entries: Vec::new(), ended: false });
        Self { shared: Arc::new(Shared { state, changed: Condvar::new() }) }
    }
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Debug> Debug for Journal<T> {
    /// The start of each of the last thirty entries.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.look(|entries| {
            let start = entries.len().saturating_sub(30);
            (start..).zip(&entries[start..]).try_for_each(|(n, entry)| {
                let entry = format!("{entry:?}");
                writeln!(f, "{n}: {}", &entry[..entry.floor_char_boundary(200)])
            })
        })
    }
}

/// Waits until `check` holds, looking every few milliseconds: for what can only be asked for, not awaited.
#[track_caller]
pub fn eventually(what: &str, timeout: Duration, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !check() {
        assert!(Instant::now() < deadline, "not in {timeout:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_what_another_thread_adds_and_no_longer_than_told() {
        let journal = Journal::default();
        let writer = journal.clone();
        let thread = std::thread::spawn(move || (1..=3).for_each(|n| writer.push(n)));
        assert_eq!(journal.expect_one("three", SOON, |n| *n == 3), 3);
        thread.join().unwrap();
        assert_eq!(journal.until(Duration::ZERO, |all| all.get(3).copied()), None);
        assert!(!journal.ended(Duration::ZERO));
        journal.end();
        assert!(journal.ended(SOON));
        assert_eq!(journal.until(SOON, |all| all.get(3).copied()), None);
    }
}
