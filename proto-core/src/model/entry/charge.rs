//! What an entry is charged where it is kept.

use super::{Content, Entry};

/// What an entry is charged for its fields, and for its places in the indexes of the log (SPEC 9.13).
const ENTRY_CHARGE: usize = 1_152;

/// What each text is charged in addition to its bytes (SPEC 9.13).
const TEXT_CHARGE: usize = 4;

/// What each id in `to` is charged (SPEC 9.13).
const TO_CHARGE: usize = 16;

impl Entry {
    /// What it is charged where it is kept, in bytes: its `CHAT` line, its texts once more, and fixed amounts for itself,
    /// each text and each id in [`to`](Self::to). It is an upper bound of the memory that it takes, and the same on all
    /// machines.
    pub fn charge(&self) -> usize {
        let content = match &self.content {
            Content::Text(text) => {
                text.texts.bytes() + text.texts.iter().len() * TEXT_CHARGE + text.to.len() * TO_CHARGE
            }
            Content::Presence(_) | Content::Unknown => 0,
        };
        self.sealed().line_len() + content + ENTRY_CHARGE
    }
}
