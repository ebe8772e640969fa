//! What the benches share: nodes in a row, nodes that meet, peers that join, messages to count, and tables.
//!
//! A bench measures in full only when `cargo bench` runs it. Under `cargo test` or with `--test` among its arguments it is
//! tiny and only shows that it works.

pub mod authors;
pub mod backfill;
pub mod catch_up;
pub mod chain;
pub mod joiner;
pub mod meeting;
pub mod table;

/// How many entries a long conversation has: so many, or a few to show that the bench works. `CHAT_ENTRIES` asks for another
/// number.
pub fn entries(many: usize, few: usize) -> usize {
    let asked = std::env::var("CHAT_ENTRIES").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if is_smoke() { few } else { many })
}

/// Whether to run this part: it is among the arguments, or none is.
pub fn is_asked(part: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).peekable();
    parts.peek().is_none() || parts.any(|asked| asked == part)
}

/// Whether to show that the bench works, and no more.
pub fn is_smoke() -> bool {
    let asked = |arg: &str| std::env::args().any(|given| given == arg);
    asked("--test") || !asked("--bench")
}
