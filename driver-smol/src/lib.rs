//! A chat node on smol.

mod runtime;

pub use runtime::{Smol, SmolListener, SmolStream, Task};
