//! A relay that leaves bodies out: it announces what it heard, and answers with header and signature alone.

use std::collections::BTreeMap;

use proto_core::wire::MAX_GRAFT;
use proto_core::{ConnId, NetworkId};

use super::keys::entry_id;
use super::tricks::line;
use super::{Dice, Todo};

/// The most entries of which it remembers the header.
const MOST: usize = 1_024;

/// What it heard, without the bodies: the lines by the ids of the entries.
#[derive(Default)]
pub(super) struct Stripped(BTreeMap<String, Vec<u8>>);

impl Stripped {
    /// It heard a frame, and answers requests as the protocol says, but for the bodies.
    pub(super) fn heard(&mut self, conn: ConnId, kind: &str, payload: &str, todo: &mut Vec<Todo>) {
        let mut out = Vec::new();
        match kind {
            "CHAT" => self.learn(payload),
            // It wants all that there is.
            "IHAVE" => {
                let ids: Vec<_> = payload.split(';').take(MAX_GRAFT).collect();
                line(&mut out, format_args!("GRAFT|{}", ids.join(";")));
            }
            "GRAFT" => {
                payload
                    .split(';')
                    .filter_map(|id| self.0.get(id))
                    .for_each(|gone| out.extend_from_slice(gone));
            }
            _ => {}
        }
        if !out.is_empty() {
            todo.push(Todo::Send(conn, out));
        }
    }

    fn learn(&mut self, payload: &str) {
        if let [signature, header, _] = payload.splitn(3, '|').collect::<Vec<_>>()[..] {
            let id = entry_id(NetworkId::OPEN, header);
            if self.0.len() == MOST {
                self.0.pop_first();
            }
            self.0.insert(id, format!("CHAT|{signature}|{header}|\n").into_bytes());
        }
    }

    /// Announces what it has, and pushes one of them, which nobody may.
    pub(super) fn play(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        let ids: Vec<_> = self.0.keys().map(String::as_str).collect();
        let start = dice.index(ids.len());
        let some: Vec<_> = ids.iter().copied().skip(start).take(100).collect();
        if !some.is_empty() {
            line(out, format_args!("IHAVE|{}", some.join(";")));
        }
        let lines: Vec<_> = self.0.values().collect();
        dice.pick(&lines).into_iter().for_each(|gone| out.extend_from_slice(gone));
    }
}
