//! Lies about catching up: asking without end, denying what is held, and tips of runs that do not exist.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_core::{ConnId, MAX_NUMBER};
use serde_json::Value;

use super::tricks::line;
use super::{Hostile, Todo, Trick};

/// So many tips of nothing stand in one answer.
const TIPS: usize = 100;

impl Hostile {
    /// Asks for all of each run that it heard of, again and again.
    pub(super) fn ask_for_ranges(&mut self, out: &mut Vec<u8>) {
        let heard: Vec<_> = self.heard.iter().filter_map(|line| run_of(line)).collect();
        for _ in 0..20 {
            let Some((key, epoch)) = self.dice.pick(&heard) else { return };
            let tag = self.dice.below(1_000);
            line(out, format_args!("RANGE|;;{key};{epoch};0-{MAX_NUMBER};{tag}"));
        }
    }

    /// Passes on what it heard, so that it is asked for what was said before.
    pub(super) fn lure(&mut self, out: &mut Vec<u8>) {
        let heard = self.some_line();
        if heard.starts_with(b"CHAT|") {
            out.extend(heard);
        }
    }

    /// Answers a request for a range, or a reconciliation, with a lie.
    pub(super) fn answer_falsely(&mut self, conn: ConnId, kind: &str, payload: &str, todo: &mut Vec<Todo>) {
        let mut out = Vec::new();
        match (self.trick, kind) {
            (Trick::DenyRanges, "RANGE") => {
                let fields: Vec<_> = payload.split(';').collect();
                let [.., numbers, tag] = fields[..] else { return };
                let (first, last) = numbers.split_once('-').unwrap_or_default();
                let last: u64 = last.parse().unwrap_or_default();
                match self.dice.below(4) {
                    // It sends nothing, and does not say so.
                    0 => {}
                    1 => line(&mut out, format_args!("HELD|{tag};{first}")),
                    2 => line(&mut out, format_args!("HELD|{MAX_NUMBER};{MAX_NUMBER}")),
                    _ => line(&mut out, format_args!("HELD|{tag};{}", last + 1)),
                }
            }
            (Trick::FalseTips, "SYNC") => {
                let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
                if let [0 | 1, rest @ ..] = &bytes[..]
                    && let Some(since) = rest.get(..8)
                {
                    // One list of ids up to infinity.
                    let mut answer = [&[2][..], since, &[0x61, 0, 0, 2, TIPS as u8]].concat();
                    (0..TIPS).for_each(|_| answer.extend(self.dice.secret()));
                    line(&mut out, format_args!("SYNC|{}", URL_SAFE_NO_PAD.encode(answer)));
                }
            }
            _ => {}
        }
        if !out.is_empty() {
            todo.push(Todo::Send(conn, out));
        }
    }
}

/// The key and the epoch of the run of an entry in the lobby.
fn run_of(chat: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(chat).ok()?;
    let header: Value = serde_json::from_str(text.strip_prefix("CHAT|")?.split('|').nth(1)?).ok()?;
    Some((header["key"].as_str()?.to_owned(), header["epoch"].as_u64()?))
}
