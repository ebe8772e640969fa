//! The end of the process, within its time, whatever hangs.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use std::{io, process, thread};

use crate::terminal::Restore;

/// Ends the process some time after it was armed. Its thread exists from the start: at the end there may be none to be had.
pub(super) struct Deadline(SyncSender<Duration>);

impl Deadline {
    pub(super) fn new(restore: Restore) -> io::Result<Self> {
        let (arm, armed) = sync_channel::<Duration>(1);
        thread::Builder::new().name("exit".to_owned()).spawn(move || {
            // An error: it was dropped and never armed.
            let Ok(limit) = armed.recv() else { return };
            thread::sleep(limit);
            restore.now();
            process::exit(0);
        })?;
        Ok(Self(arm))
    }

    /// Ends the process after this time, with code 0, if it has not ended by itself.
    pub(super) fn arm(&self, limit: Duration) {
        // It is armed already where this fails.
        let _ = self.0.try_send(limit);
    }
}
