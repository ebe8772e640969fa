//! Who forks its runs.

use proto_core::{ConnId, Entry, RunPosition};

use super::keys::{Keys, behind, line_of};
use super::tricks::Trick;
use crate::sim::Dice;

/// Entries of one epoch. Then it begins another one.
const LENGTH: usize = 6;

/// Versions of one number that it makes at once.
const VERSIONS: usize = 24;

/// What it said of the current epoch.
#[derive(Default)]
pub(super) struct Forks {
    epoch: u64,
    run: Vec<Entry>,
    /// Versions of one number to say, the one with the lowest id first: it is said last.
    versions: Vec<Entry>,
    said: usize,
}

impl Forks {
    /// Adds to what is sent on this connection.
    pub(super) fn play(
        &mut self,
        (trick, conn): (Trick, ConnId),
        keys: &Keys,
        dice: &mut Dice,
        at: u64,
        out: &mut Vec<u8>,
    ) {
        self.said += 1;
        match trick {
            Trick::ForkLower => self.say_lower(keys, dice, at, out),
            Trick::ForkBehind => self.say_behind(keys, dice, at, out),
            _ => self.say_to_each(keys, conn, at, out),
        }
    }

    /// One more of the run.
    fn extend(&mut self, keys: &Keys, at: u64) -> &Entry {
        if self.run.len() >= LENGTH {
            self.run.clear();
            self.epoch += 1;
        }
        let entry =
            keys.entry(self.epoch, behind(self.run.last()), at, &format!("number {}", self.run.len()));
        self.run.push(entry);
        &self.run[self.run.len() - 1]
    }

    /// A number of its own for each few words, in another version on each connection.
    fn say_to_each(&mut self, keys: &Keys, conn: ConnId, at: u64, out: &mut Vec<u8>) {
        if self.said.is_multiple_of(5) || self.run.is_empty() {
            out.extend(line_of(self.extend(keys, at)));
        }
        let before = self.run.len().checked_sub(2).and_then(|before| self.run.get(before));
        let text = format!("{} for {}", self.said, conn.0);
        out.extend(line_of(&keys.entry(self.epoch, behind(before), at, &text)));
    }

    /// A run first, then versions of one of its numbers, each with a lower id than the one before.
    fn say_lower(&mut self, keys: &Keys, dice: &mut Dice, at: u64, out: &mut Vec<u8>) {
        if let Some(lower) = self.versions.pop() {
            return out.extend(line_of(&lower));
        }
        out.extend(line_of(self.extend(keys, at)));
        if self.run.len() == LENGTH {
            let before = self.run.get(dice.index(LENGTH));
            let version = |n: usize| keys.entry(self.epoch, behind(before), at, &format!("version {n}"));
            self.versions = (0..VERSIONS).map(version).collect();
            self.versions.sort_by_key(Entry::id);
        }
    }

    /// Entries behind another version of the one before, which few hear of.
    fn say_behind(&mut self, keys: &Keys, dice: &mut Dice, at: u64, out: &mut Vec<u8>) {
        if dice.chance(0.6) || self.run.is_empty() {
            return out.extend(line_of(self.extend(keys, at)));
        }
        let last = &self.run[self.run.len() - 1];
        let before = self.run.len().checked_sub(2).and_then(|before| self.run.get(before));
        let position = if before.is_some() { behind(before) } else { RunPosition::FIRST };
        let other = keys.entry(self.epoch, position, last.at() + 1, &format!("other {}", dice.below(3)));
        if dice.chance(0.2) {
            out.extend(line_of(&other));
        }
        out.extend(line_of(&keys.entry(self.epoch, behind(Some(&other)), at, "behind the other one")));
    }
}
