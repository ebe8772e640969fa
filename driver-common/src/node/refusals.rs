//! The log of refused peers. However many there are, they cannot flood it.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{Instant, Violation};

/// The most lines in a row.
const BURST: u32 = 20;

/// Then, one more line may follow each so long.
const EVERY: Duration = Duration::from_secs(10);

/// Decides which refusals are logged at the default level.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The lines that may follow in a row.
    room: u32,
    /// The time up to which `room` was earned.
    earned: Instant,
    /// Refusals since the last line.
    unlogged: u64,
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self { room: BURST, earned: now, unlogged: 0 }
    }

    /// Logs that a peer was refused or cut.
    pub(super) fn log(&mut self, now: Instant, remote: SocketAddr, reason: Violation) {
        match self.admit(now) {
            Some(0) => tracing::warn!(%remote, %reason, "a peer was refused"),
            Some(unlogged) => {
                tracing::warn!(%remote, %reason, unlogged, "a peer was refused, and others before it");
            }
            None => tracing::debug!(%remote, %reason, "a peer was refused"),
        }
    }

    /// Whether one more line fits: the number of refusals that were passed over before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        while self.room < BURST && now.since(self.earned) >= EVERY {
            self.room += 1;
            self.earned = self.earned + EVERY;
        }
        if self.room == BURST {
            self.earned = now;
        }
        let Some(room) = self.room.checked_sub(1) else {
            self.unlogged += 1;
            return None;
        };
        self.room = room;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_slowly_and_none_is_forgotten() {
        let mut refusals = Refusals::new(Instant::ORIGIN);
        let lines = |refusals: &mut Refusals, at: Duration, count: u32| -> Vec<u64> {
            (0..count).filter_map(|_| refusals.admit(Instant::from_origin(at))).collect()
        };
        let first = lines(&mut refusals, Duration::ZERO, 1_000);
        assert_eq!(first, [0; BURST as usize]);
        assert_eq!(lines(&mut refusals, EVERY - Duration::from_nanos(1), 1), [0; 0]);
        assert_eq!(lines(&mut refusals, EVERY, 10), [981]);
        assert_eq!(lines(&mut refusals, EVERY * 3, 10), [9, 0]);
        let rested = lines(&mut refusals, EVERY * 1_000, 1_000);
        assert_eq!((rested.len(), rested[0]), (BURST as usize, 8));
    }
}
