//! Limits how long the end of the process takes.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use std::{io, process, thread};

use crate::terminal::Restore;

/// Ends the process some time after it was armed. Its thread is started early, because no thread may be available at
/// the end.
pub(super) struct Deadline(SyncSender<Duration>);

impl Deadline {
    pub(super) fn new(restore: Restore) -> io::Result<Self> {
        let (arm, armed) = sync_channel::<Duration>(1);
        thread::Builder::new().name("exit".to_owned()).spawn(move || {
            // An error means that it was dropped without being armed.
            let Ok(limit) = armed.recv() else { return };
            thread::sleep(limit);
            restore.now();
            process::exit(0);
        })?;
        Ok(Self(arm))
    }

    /// Ends the process with code 0 after this time, if it has not ended before.
    pub(super) fn arm(&self, limit: Duration) {
        // It fails only if it is already armed.
        let _ = self.0.try_send(limit);
    }
}
