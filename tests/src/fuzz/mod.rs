//! The bodies of the fuzz targets in `fuzz/`, which `cargo test` runs over the committed corpora too.
//!
//! Each takes bytes, whatever they are, and panics if something does not hold. Inputs read as text where they can, so
//! that a corpus can be written, and a failure understood, by hand.

mod conversation;
mod frames;
mod handshake;
mod keyed;
mod ledger;
mod messages;
mod node;
pub mod peers;
mod script;
mod sealed;

pub use frames::{check_lines, frames};
pub use handshake::{End, Shaken, handshake};
pub use ledger::Counts;
pub use messages::messages;
pub use node::node;
pub use sealed::{first_bytes, sealed};
