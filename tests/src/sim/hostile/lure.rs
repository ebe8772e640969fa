//! A member that announces what it says, and sends it when it is asked for, far above all rates.

use std::collections::BTreeMap;

use proto_core::{ConnId, Entry};

use super::Todo;
use super::keys::chat;
use super::tricks::line;

/// The most entries that it keeps until they are asked for.
const MOST: usize = 1_024;

/// What it announced.
#[derive(Default)]
pub(super) struct Lures {
    /// The lines by the ids of the entries.
    lines: BTreeMap<String, Vec<u8>>,
    /// The ids of the newest ones.
    newest: Vec<String>,
    /// When these were made.
    made_at: u64,
}

impl Lures {
    /// Whether the newest ones were made before this time.
    pub(super) fn are_stale(&self, at: u64) -> bool {
        self.made_at < at
    }

    /// There are new ones.
    pub(super) fn replace(&mut self, at: u64, entries: &[Entry]) {
        self.made_at = at;
        self.newest = entries.iter().map(|entry| entry.id().to_string()).collect();
        for (id, entry) in self.newest.iter().zip(entries) {
            if self.lines.len() == MOST {
                self.lines.pop_first();
            }
            self.lines.insert(id.clone(), chat(entry));
        }
    }

    /// Announces the newest ones.
    pub(super) fn announce(&self, out: &mut Vec<u8>) {
        line(out, format_args!("IHAVE|{}", self.newest.join(";")));
    }

    /// Sends what is asked for.
    pub(super) fn heard(&self, conn: ConnId, kind: &str, payload: &str, todo: &mut Vec<Todo>) {
        if kind == "GRAFT" {
            let lines: Vec<_> =
                payload.split(';').filter_map(|id| self.lines.get(id)).flatten().copied().collect();
            todo.push(Todo::Send(conn, lines));
        }
    }
}
