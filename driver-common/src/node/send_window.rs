//! How much of one connection's data the operating system may hold.
//!
//! What it holds waits in a queue that the node does not see. On a slow link a large one delays every answer, and fills
//! the queues of the routers on the way: they drop packets, and nothing arrives for up to a minute. So the window
//! follows the speed of the link: it holds about what leaves in a second.

use std::time::Duration;

use proto_core::Instant;

/// The smallest window, in bytes: two packets and a bit.
const MIN: usize = 4 * 1024;
/// The largest window, in bytes. It is enough for 256 KiB a second around the world.
const MAX: usize = 256 * 1024;
/// The window of a new connection, in bytes.
const FIRST: usize = 8 * 1024;

/// The window doubles if the system takes data again within this time.
const FAST: Duration = Duration::from_millis(250);
/// The window is halved if that takes this long.
const SLOW: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct SendWindow {
    bytes: usize,
    /// The system has taken nothing since then.
    blocked: Option<Instant>,
}

impl SendWindow {
    pub(super) fn new() -> Self {
        Self { bytes: FIRST, blocked: None }
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most bytes to write at once. The system may exceed the window by one piece.
    pub(super) fn piece(&self) -> usize {
        self.bytes / 2
    }

    /// The system takes no more for now.
    pub(super) fn note_blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert(now);
    }

    /// The system took data. Returns whether the size of the window has changed.
    pub(super) fn note_taken(&mut self, now: Instant) -> bool {
        let Some(blocked) = self.blocked.take() else { return false };
        let waited = now.since(blocked);
        let before = self.bytes;
        if waited < FAST {
            self.bytes = (before * 2).min(MAX);
        } else if waited >= SLOW {
            self.bytes = (before / 2).max(MIN);
        }
        self.bytes != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window after the system has taken data so many times, each after this wait.
    fn after(waits: usize, wait: Duration) -> usize {
        let mut window = SendWindow::new();
        let mut now = Instant::ORIGIN;
        for _ in 0..waits {
            window.note_blocked(now);
            window.note_blocked(now + wait / 2);
            now = now + wait;
            window.note_taken(now);
        }
        window.bytes()
    }

    #[test]
    fn the_window_follows_the_speed_of_the_link() {
        assert_eq!(after(0, FAST), FIRST);
        assert_eq!(after(2, FAST / 2), FIRST * 4);
        assert_eq!(after(20, FAST / 2), MAX);
        assert_eq!(after(20, FAST), FIRST);
        assert_eq!(after(20, SLOW), MIN);
    }

    #[test]
    fn a_write_that_did_not_wait_changes_nothing() {
        let mut window = SendWindow::new();
        assert!(!window.note_taken(Instant::ORIGIN));
        window.note_blocked(Instant::ORIGIN);
        assert!(window.note_taken(Instant::ORIGIN) && !window.note_taken(Instant::ORIGIN));
        assert_eq!(window.bytes(), FIRST * 2);
    }
}
