//! What is run many times, or large: seeds by the thousand, and measurements to compare with the field's.

pub mod attack;
pub mod digests;
pub mod kill;
pub mod networks;
mod parallel;
pub mod seeds;
pub mod speed;
pub mod spread;
mod steady;

use std::fmt::Write;

pub use parallel::each;
pub use steady::{Steady, mean_degree};

/// A table in Markdown.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells.collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    line(&mut head.iter().copied());
    line(&mut head.iter().map(|_| "---"));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    out
}

/// The mean; none of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// A number that may not be there.
pub(super) fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.digits$}"))
}
