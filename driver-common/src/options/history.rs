//! What is kept of the conversation.

use std::time::Duration;

use clap::{ArgAction, Args};

use crate::store::Retention;

/// Whether messages are kept in the data folder, and what of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Nothing is kept.
    Off,
    /// All is kept, except what this drops.
    On(Retention),
}

#[derive(Args)]
pub(super) struct HistoryFlags {
    /// Keep no messages, addresses and names in the data folder: the node forgets them when it stops
    #[arg(long, env = "CHAT_NO_HISTORY", action = ArgAction::SetTrue, value_parser = super::values::switch)]
    no_history: bool,

    /// Keep messages for this time, such as 90d, 12h or 2y; units are s, m, h, d, w and y [default: for ever]
    #[arg(long, value_name = "TIME", env = "CHAT_KEEP", value_parser = age)]
    keep: Option<Duration>,

    /// Keep so many messages [default: all]
    #[arg(long, value_name = "NUMBER", env = "CHAT_KEEP_COUNT", value_parser = entries)]
    keep_count: Option<u64>,

    /// Keep messages as long as the history is not larger than this, such as 1GiB or 500MiB, 1MiB at least [default: what the disk has room for]
    #[arg(long, value_name = "SIZE", env = "CHAT_KEEP_SIZE", value_parser = size)]
    keep_size: Option<u64>,
}

impl History {
    pub(super) fn of(flags: &HistoryFlags) -> Self {
        let HistoryFlags { no_history, keep, keep_count, keep_size } = *flags;
        if no_history {
            return Self::Off;
        }
        let mut retention = Retention::default();
        (retention.age, retention.entries, retention.bytes) = (keep, keep_count, keep_size);
        Self::On(retention)
    }
}

/// The smallest size of a history, in bytes: one page of a client fits many times.
const SMALLEST: u64 = 1024 * 1024;

fn age(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800), ("y", 31_536_000)];
    let seconds = number_of(text, &units).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is not a time such as 90d, 12h or 2y"))
}

fn size(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let bytes = number_of(text, &units).filter(|bytes| *bytes >= SMALLEST);
    bytes.ok_or_else(|| format!("{text:?} is not a size of 1MiB at least, such as 500MiB or 1GiB"))
}

fn entries(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=i64::MAX as u64).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number of messages"))
}

/// A number with one of these units.
fn number_of(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor).filter(|value| *value <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(age("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(age(" 2 h"), Ok(Duration::from_secs(7_200)));
        assert_eq!((size("1GiB"), size("500 MB")), (Ok(1 << 30), Ok(500_000_000)));
        for wrong in
            ["", "90", "d", "-1d", "0d", "1.5d", "90x", "99999999999999999999d", "9223372036854775807y"]
        {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "1", "GiB", "1gib", "1023KiB", "99999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(entries("0").is_err() && entries("x").is_err() && entries("7") == Ok(7));
    }
}
